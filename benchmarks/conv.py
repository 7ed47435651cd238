"""A training step of `Conv` against `equinox.nn.Conv2d` of the same channels.

Regular fields of C4, C8 and D8, 64 to 256 channels, kernels 3 to 7, 32 x 32 pixels, batch 16,
float32; a step is the gradient with respect to the parameters and the input. Also the exported
layer at inference. Prints medians of ratios, the two timed by turns.

    python benchmarks/conv.py [--rounds 7]
"""

import argparse
import functools

import equinox as eqx
import jax
import numpy as np
from timing import by_turns, machine, ratio

import equivax as evx

SPACES = {
    "C4": evx.spaces.rot_on_r2(4),
    "C8": evx.spaces.rot_on_r2(8),
    "D8": evx.spaces.flip_rot_on_r2(8),
}


def step_of(layer, batched):
    """A compiled gradient step on a batch."""

    @jax.jit
    def step(arrays, x):
        def loss(arrays, x):
            module = eqx.combine(arrays, static)
            y = module(x) if batched else jax.vmap(module)(x)
            return (y * y).mean()

        return jax.grad(loss, argnums=(0, 1))(arrays, x)

    arrays, static = eqx.partition(layer, eqx.is_inexact_array)
    return lambda x: step(arrays, x)


def main() -> None:
    """Prints one line per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--channels", type=int, nargs="*", default=[64, 128, 256])
    parser.add_argument("--kernels", type=int, nargs="*", default=[3, 5, 7])
    parser.add_argument("--groups", nargs="*", default=list(SPACES))
    arguments = parser.parse_args()
    print(machine())
    key = jax.random.key(0)
    for name in arguments.groups:
        space = SPACES[name]
        for channels in arguments.channels:
            type_ = evx.FieldType.for_channels(space, space.regular, channels)
            for size in arguments.kernels:
                options = {"padding": size // 2, "key": key}
                plain = eqx.nn.Conv2d(channels, channels, size, **options)
                ours = evx.nn.Conv(type_, type_, size, **options)
                x = jax.random.normal(key, (16, channels, 32, 32))
                step, baseline = step_of(ours, True), step_of(plain, False)
                exported = jax.jit(jax.vmap(ours.export()))
                inference = jax.jit(jax.vmap(plain))
                calls = {
                    "ours": functools.partial(step, x),
                    "plain": functools.partial(baseline, x),
                    "exported": functools.partial(exported, x),
                    "inference": functools.partial(inference, x),
                }
                seconds = by_turns(calls, rounds=arguments.rounds)
                train = ratio(seconds["ours"], seconds["plain"])
                infer = ratio(seconds["exported"], seconds["inference"])
                plain_seconds = float(np.median(seconds["plain"]))
                print(
                    f"{name} {channels:4d} channels {size} x {size}: training {train:.3f} of "
                    f"{1e3 * plain_seconds:.0f} ms, exported {infer:.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
