"""A training step of `Diffop` against `equinox.nn.Conv2d` of the same channels and kernel size.

Regular fields of C4, C8 and D8, 64 and 128 channels, kernels 3 and 5, 32 x 32 pixels, batch 16,
float32; a step is the gradient with respect to the parameters and the input. Prints medians of
ratios, the two timed by turns.

    python benchmarks/diffop.py [--rounds 7]
"""

import argparse
import functools

import equinox as eqx
import jax
import numpy as np
from conv import SPACES, step_of
from timing import by_turns, machine, ratio

import equivax as evx


def main() -> None:
    """Prints one line per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--channels", type=int, nargs="*", default=[64, 128])
    parser.add_argument("--kernels", type=int, nargs="*", default=[3, 5])
    parser.add_argument("--groups", nargs="*", default=list(SPACES))
    arguments = parser.parse_args()
    print(machine())
    key = jax.random.key(0)
    for name in arguments.groups:
        space = SPACES[name]
        for channels in arguments.channels:
            type_ = evx.FieldType.for_channels(space, space.regular, channels)
            for size in arguments.kernels:
                options = {"kernel_size": size, "padding": size // 2, "key": key}
                plain = eqx.nn.Conv2d(channels, channels, **options)
                ours = evx.nn.Diffop(type_, type_, **options)
                x = jax.random.normal(key, (16, channels, 32, 32))
                calls = {
                    "ours": functools.partial(step_of(ours, True), x),
                    "plain": functools.partial(step_of(plain, False), x),
                }
                seconds = by_turns(calls, rounds=arguments.rounds)
                print(
                    f"{name} {channels:4d} channels {size} x {size}: training "
                    f"{ratio(seconds['ours'], seconds['plain']):.3f} of "
                    f"{1e3 * float(np.median(seconds['plain'])):.0f} ms",
                    flush=True,
                )


if __name__ == "__main__":
    main()
