"""Training steps of networks on tensor images against their plain twins, by turns.

The twins have the same graph and the same dense channels. Compilation is timed for fresh programs,
in turns too: pass ``--compile`` for that alone.

    python benchmarks/dynamics.py            # seconds of a training step
    python benchmarks/dynamics.py --compile
"""

import argparse
import functools
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from timing import by_turns, machine, milliseconds, ratio, table

from equivax import images, models

BATCH, SIDE = 8, 64
IN = images.Signature((((0, 0), 1), ((1, 0), 4)))
OUT = images.Signature((((1, 0), 1),))
MID = (((0, 0), 8), ((1, 0), 8))
NETWORKS = {
    "TensorUNet": (models.TensorUNet, {}),
    "TensorUNet, no norm": (models.TensorUNet, {"norm": None}),
    "TensorResNet": (models.TensorResNet, {"num_blocks": 4}),
    "DilResNet": (models.DilResNet, {"num_blocks": 2}),
}


def training_step(make, options, equivariant):
    """A step of Adam on the mean square error, and what it takes."""
    model = make(
        IN, OUT, mid_signature=MID, equivariant=equivariant, key=jax.random.key(0), **options
    )
    optimiser = optax.adam(1e-3)
    arrays, static = eqx.partition(model, eqx.is_inexact_array)
    state = optimiser.init(arrays)
    rng = np.random.default_rng(0)
    x, y = (
        images.MultiImage.from_array(
            jnp.asarray(rng.normal(size=(BATCH, s.size(2), SIDE, SIDE)), jnp.float32), s, 2
        )
        for s in (IN, OUT)
    )

    def step(arrays, state, x, y):
        gradient = jax.grad(lambda a: images.smse(eqx.combine(a, static)(x), y))(arrays)
        updates, state = optimiser.update(gradient, state, arrays)
        return optax.apply_updates(arrays, updates), state

    return step, (arrays, state, x, y)


def compile_seconds(make, options, equivariant):
    """Trace and compilation of a program that is not in any cache."""
    step, arguments = training_step(make, options, equivariant)
    jax.clear_caches()
    start = time.perf_counter()
    jax.jit(step).lower(*arguments).compile()
    return time.perf_counter() - start


def main() -> None:
    """A table of one or the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", choices=NETWORKS)
    arguments = parser.parse_args()
    print(machine())
    rows = []
    for name, (make, options) in NETWORKS.items():
        if arguments.only not in (None, name):
            continue
        pairs = {"equivariant": True, "plain": False}
        if arguments.compile:
            found = {
                which: np.array([compile_seconds(make, options, e) for _ in range(3)])
                for which, e in pairs.items()
            }
        else:
            calls = {}
            for which, equivariant in pairs.items():
                step, inputs = training_step(make, options, equivariant)
                calls[which] = functools.partial(jax.jit(step), *inputs)
            found = by_turns(calls, rounds=arguments.rounds)
        times = [milliseconds(found[which]) for which in pairs]
        rows.append([name, *times, ratio(found["equivariant"], found["plain"])])
    what = "trace and compile" if arguments.compile else "training step"
    print(table([what, "equivariant, ms", "plain, ms", "ratio"], rows))


if __name__ == "__main__":
    main()
