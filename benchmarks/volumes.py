"""Convolutions in space against plain ones of the same channels, and building a 3-D U-Net.

A training step is the gradient with respect to the parameters and the input, on one volume of
float32. The two are timed by turns; building is timed once, in this process.

    python benchmarks/volumes.py [--rounds 7] [--sides 16 24]
"""

from __future__ import annotations

import argparse
import functools
import time
from typing import Any

import equinox as eqx
import jax
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


def networks() -> list[list[Any]]:
    """Seconds to build a U-Net of three levels, and again with everything known."""
    scan, ball = evx.FieldType(CUBE, CUBE.trivial), evx.FieldType(BALL, BALL.trivial)
    cases = {
        "octahedral, regular": (scan, {"channels": [24, 48, 96]}),
        "SO(3), l <= 2": (ball, {"channels": [27, 54, 108], "unit": UNIT}),
    }
    rows = []
    for name, (type_, options) in cases.items():
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
    arguments = parser.parse_args()
    print(machine())
    print(table(["U-Net", "parameters", "built, s", "again, s"], networks()))
    head = ["types", "channels", "k", "side", "step / plain", "plain, ms", "constants, MB"]
    print(table(head, convolutions(arguments.rounds, arguments.sides)))


if __name__ == "__main__":
    main()
