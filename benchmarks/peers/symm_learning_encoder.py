"""Training step of a transformer layer against symm-learning's, in one process by turns.

Runs in the environment of the ``oracles(symm_learning)`` session of nox, where both are installed.
A step is the gradient in parameters and tokens, of regular fields of D4, two examples of 196 tokens
in float32, without dropout; the weights are the same. Seconds are those of a process on all its
cores, so that others may work on the machine.

    python benchmarks/peers/symm_learning_encoder.py [--widths 384 768] [--rounds 7]
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
sys.path.insert(0, str(Path(__file__).parents[1]))

import escnn.group as peer_groups  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import symm_learning.nn as peer  # noqa: E402
import torch  # noqa: E402
from symm_learning.nn.transformer.etransformer import eTransformerEncoderLayer  # noqa: E402
from symm_learning.representation_theory import direct_sum  # noqa: E402
from timing import by_turns, machine, milliseconds, ratio, table  # noqa: E402
from transformer import step_of  # noqa: E402

from equivax import interop  # noqa: E402


def peer_layer(width: int) -> torch.nn.Module:
    """A pre-norm encoder layer with heads of about 64 channels."""
    rep = direct_sum([peer_groups.dihedral_group(4).regular_representation] * (width // 8))
    attention = peer.eMultiheadAttention(rep, width // 64, dropout=0.0)
    return eTransformerEncoderLayer(rep, attention, dim_feedforward=4 * width, dropout=0.0)


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--widths", type=int, nargs="*", default=[384, 768])
    options = parser.parse_args()
    print(f"{machine()}; torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    rows = []
    for width in options.widths:
        theirs = peer_layer(width)
        ours = interop.symm_learning.load(theirs.eval())
        x = torch.randn(2, 196, width, requires_grad=True)
        tokens = jnp.asarray(x.detach().numpy())
        with torch.no_grad():
            difference = float(np.abs(theirs(x).numpy() - np.asarray(ours(tokens))).max())
        theirs.train()
        step, leaves = step_of(ours)

        def their_step(layer: torch.nn.Module = theirs, x: torch.Tensor = x) -> None:
            layer.zero_grad()
            x.grad = None
            layer(x).square().sum().backward()

        calls = {
            "equivax": lambda step=step, leaves=leaves, tokens=tokens: step((leaves, tokens)),
            "symm-learning": their_step,
        }
        found = by_turns(calls, rounds=options.rounds, clock=time.process_time)
        times = [milliseconds(found[name]) for name in calls]
        rows.append(
            [width, *times, ratio(found["symm-learning"], found["equivax"]), f"{difference:.0e}"]
        )
    print(
        table(["width", "equivax (ms)", "symm-learning (ms)", "times faster", "differs by"], rows)
    )


if __name__ == "__main__":
    main()
