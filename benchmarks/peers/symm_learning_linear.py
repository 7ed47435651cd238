"""Training step of `nn.Linear` against symm-learning's `eLinear`, in one process by turns.

Runs in the environment of the ``oracles(symm_learning)`` session of nox, where both are installed.
A training step is the gradient in parameters and input. Both use all cores.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
sys.path.insert(0, str(Path(__file__).parents[1]))

import equinox as eqx  # noqa: E402
import escnn.group as peer_groups  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from symm_learning.nn import eLinear  # noqa: E402
from symm_learning.representation_theory import direct_sum  # noqa: E402
from timing import machine, table  # noqa: E402

import equivax as evx  # noqa: E402

CASES = [
    ("C8 x 128", evx.groups.cyclic(8), lambda: peer_groups.cyclic_group(8), 128),
    ("C16 x 64", evx.groups.cyclic(16), lambda: peer_groups.cyclic_group(16), 64),
    ("icosahedral x 16", evx.groups.icosahedral(), peer_groups.ico_group, 16),
]


def equivax_step(group, copies: int, batch: int):
    """A call without arguments."""
    type_ = copies * group.regular
    key = jax.random.key(0)
    layer = evx.nn.Linear(type_, type_, key=key)
    x = jax.random.normal(key, (batch, type_.size))

    @eqx.filter_jit
    def step(layer, x):
        return eqx.filter_grad(lambda pair: jnp.sum(jax.vmap(pair[0])(pair[1]) ** 2))((layer, x))

    return lambda: jax.block_until_ready(step(layer, x))


def peer_step(group, copies: int, batch: int):
    """A call without arguments."""
    rep = direct_sum([group.regular_representation] * copies)
    layer = eLinear(rep, rep)
    layer.train()
    x = torch.randn(batch, rep.size, requires_grad=True)

    def step():
        layer.zero_grad()
        x.grad = None
        layer(x).square().sum().backward()

    return step


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    print(f"{machine()}; torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    rows = []
    for name, group, peer_group, copies in CASES:
        for batch in (1024, 2048):
            steps = [
                equivax_step(group, copies, batch),
                peer_step(peer_group(), copies, batch),
            ]
            seconds: list[list[float]] = [[], []]
            for step in steps:
                step(), step()
            for _ in range(arguments.rounds):
                for times, step in zip(seconds, steps, strict=True):
                    start = time.perf_counter()
                    step()
                    times.append(time.perf_counter() - start)
            ratios = np.array(seconds[1]) / np.array(seconds[0])
            rows.append(
                (
                    name,
                    batch,
                    1e3 * statistics.median(seconds[0]),
                    1e3 * statistics.median(seconds[1]),
                    float(np.median(ratios)),
                )
            )
    print(table(["type", "batch", "equivax (ms)", "symm-learning (ms)", "times faster"], rows))


if __name__ == "__main__":
    main()
