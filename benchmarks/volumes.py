"""Convolutions in space against plain ones of the same channels, and a 3-D U-Net.

A training step is the gradient with respect to the parameters and the input, on one volume of
float32. The two are timed by turns; building is timed once, in this process. The memory of a
training step of the U-Net is what its compiled program asks for: arguments, results and what lies
between. The plain one has as many channels at every level, and an average of 2 x 2 x 2 for the
antialiased pooling.

    python benchmarks/volumes.py [--rounds 7] [--sides 16 24] [--memory]
"""

from __future__ import annotations

import argparse
import functools
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from conv import step_of
from timing import by_turns, machine, milliseconds, ratio, table

import equivax as evx

CUBE, BALL = evx.spaces.octahedral_on_r3(), evx.spaces.rot_on_r3()
UNIT = BALL.trivial + BALL.irrep(1) + BALL.irrep(2)


def types() -> dict[str, evx.FieldType]:
    """About 48 channels each."""
    return {
        "octahedral, 2 regular": evx.FieldType(CUBE, 2 * CUBE.regular),
        "SO(3), 5 of l <= 2": evx.FieldType(BALL, 5 * UNIT),
    }


def megabytes(function: Any, *arguments: Any) -> float:
    """Of the constants in a program, as the text that compilers get."""
    return len(jax.jit(function).lower(*arguments).as_text()) / 2**20


def convolutions(rounds: int, sides: list[int]) -> list[list[Any]]:
    """One row per type, kernel size and side."""
    rows, key = [], jax.random.key(0)
    for name, type_ in types().items():
        for size, side in [(3, side) for side in sides] + [(5, sides[0])]:
            options: dict[str, Any] = {"padding": size // 2, "key": key}
            ours = evx.nn.Conv(type_, type_, size, **options)
            plain = eqx.nn.Conv3d(type_.size, type_.size, size, **options)
            x = jax.random.normal(key, (1, type_.size, side, side, side))
            calls = {
                "ours": functools.partial(step_of(ours, True), x),
                "plain": functools.partial(step_of(plain, False), x),
            }
            seconds = by_turns(calls, rounds=rounds, warm_up=1)
            arrays, static = eqx.partition(ours, eqx.is_inexact_array)
            constants = megabytes(lambda a, s=static: eqx.combine(a, s).kernel, arrays)
            rows.append(
                [
                    name, type_.size, size, side, ratio(seconds["ours"], seconds["plain"]),
                    milliseconds(seconds["plain"]), constants,
                ]
            )  # fmt: skip
    return rows


def unets() -> dict[str, tuple[evx.FieldType, dict[str, Any]]]:
    """Types of the input and options of U-Nets of three levels."""
    scan, ball = evx.FieldType(CUBE, CUBE.trivial), evx.FieldType(BALL, BALL.trivial)
    return {
        "octahedral, regular": (scan, {"channels": [24, 48, 96]}),
        "SO(3), l <= 2": (ball, {"channels": [27, 54, 108], "unit": UNIT}),
    }


class PlainUNet(eqx.Module):
    """The U-Net without symmetry."""

    down: list[Any]
    ups: list[Any]
    merges: list[Any]
    head: eqx.nn.Conv3d

    def __init__(self, channels: list[int], key: jax.Array):
        keys = iter(jax.random.split(key, 5 * len(channels)))

        def unit(a: int, b: int) -> list[Any]:
            conv = eqx.nn.Conv3d(a, b, 3, padding=1, use_bias=False, key=next(keys))
            return [conv, eqx.nn.BatchNorm(b, "batch", mode="batch"), eqx.nn.Lambda(jax.nn.relu)]

        pairs = list(zip([1, *channels[:-1]], channels, strict=True))
        self.down = [eqx.nn.Sequential([*unit(a, b), *unit(b, b)]) for a, b in pairs]
        self.ups = [eqx.nn.Sequential(unit(b, a)) for a, b in pairs[1:]]
        self.merges = [eqx.nn.Sequential([*unit(2 * a, a), *unit(a, a)]) for a, _ in pairs[1:]]
        self.head = eqx.nn.Conv3d(channels[0], 1, 1, key=next(keys))

    def __call__(self, x: jax.Array, state: Any) -> tuple[jax.Array, Any]:
        """One volume of a batch that is named ``"batch"``."""
        skips = []
        for level, block in enumerate(self.down):
            x, state = block(eqx.nn.AvgPool3d(2, 2)(x) if level else x, state)
            skips.append(x)
        for up, merge, skip in list(zip(self.ups, self.merges, skips[:-1], strict=True))[::-1]:
            x = jax.image.resize(x, (x.shape[0], *skip.shape[1:]), "linear")
            x, state = up(x, state)
            x, state = merge(jnp.concatenate([skip, x]), state)
        return self.head(x), state


def memory(side: int, batch: int = 2) -> list[list[Any]]:
    """Megabytes that a training step of the U-Nets takes, of ours and of a plain one."""
    rows, key = [], jax.random.key(0)
    for name, (type_, options) in unets().items():
        build = functools.partial(evx.models.FieldUNet, grid_check="off", key=key, **options)
        ours = eqx.nn.make_with_state(build)(type_, type_)
        plain = eqx.nn.make_with_state(PlainUNet)(options["channels"], key)
        mapped = {
            "ours": (ours, lambda model: model),
            "plain": (
                plain,
                lambda model: jax.vmap(
                    model, in_axes=(0, None), out_axes=(0, None), axis_name="batch"
                ),
            ),
        }
        x, taken = jnp.zeros((batch, 1, side, side, side)), []
        for (model, state), call_of in mapped.values():
            arrays, static = eqx.partition(model, eqx.is_inexact_array)

            def loss(arrays: Any, x: Any, state: Any, static: Any = static, of: Any = call_of):
                y, state = of(eqx.combine(arrays, static))(x, state)
                return jnp.sum(y**2), state

            step = jax.jit(jax.grad(loss, has_aux=True))
            found = step.lower(arrays, x, state).compile().memory_analysis()
            parts = ("argument", "output", "temp")
            taken.append(sum(getattr(found, f"{part}_size_in_bytes") for part in parts) / 2**20)
        rows.append([name, side, batch, *taken, taken[0] / taken[1]])
    return rows


def networks() -> list[list[Any]]:
    """Seconds to build a U-Net of three levels, and again with everything known."""
    rows = []
    for name, (type_, options) in unets().items():
        taken = []
        for _ in range(2):
            start = time.perf_counter()
            build = eqx.nn.make_with_state(evx.models.FieldUNet)
            model, _ = build(type_, type_, key=jax.random.key(0), **options)
            jax.block_until_ready(jax.tree.leaves(eqx.filter(model, eqx.is_array)))
            taken.append(time.perf_counter() - start)
        count = sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_array)))
        rows.append([name, count, *taken])
    return rows


def main() -> None:
    """Prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sides", type=int, nargs="*", default=[16, 24])
    parser.add_argument("--memory", action="store_true", help="only the memory of the U-Nets")
    arguments = parser.parse_args()
    print(machine())
    if arguments.memory:
        head = ["U-Net", "side", "batch", "ours, MB", "plain, MB", "ratio"]
        print(table(head, memory(arguments.sides[0])))
        return
    print(table(["U-Net", "parameters", "built, s", "again, s"], networks()))
    head = ["types", "channels", "k", "side", "step / plain", "plain, ms", "constants, MB"]
    print(table(head, convolutions(arguments.rounds, arguments.sides)))


if __name__ == "__main__":
    main()
