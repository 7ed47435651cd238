"""`PointConv` against the usual edge MLP of the same channels, on random clouds.

A training step is the gradient with respect to the parameters, the features and the positions, on
one cloud of float32. The edge MLP takes the offset and the features of the sender through one
hidden layer of as many channels as the features have, and is summed over the neighbours. The two
are timed by turns; the clock is that of the processor, so that others may work on the machine.
Every point has as many neighbours; "random" is our step where receivers are drawn at random, so
that some points have more than others, over the same step of the edge MLP.

What is possible: with C channels, F functions and k neighbours the MLP takes 2 k C^2 multiply-adds
a point. `PointConv` takes k F C for the sums and F C^2 for the matrices; with matrices kept sparse,
irrep by irrep, the latter shrink by up to the order of the group, but to products of a few columns.
For the types here, in thousands, with the sparse ones in brackets:

    C8              37    8 + 48  (8 + 12)
    octahedral      37   25 + 152 (25 + 40)
    SO(3)           34   15 + 85  (15 + 15)

So on the octahedral group even the sparse products take 1.8 times the MLP's. On few points a step
is bound by the number of operations: some 100 to 200 against 29.

    python benchmarks/points.py [--rounds 15] [--points 64 256]
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from timing import by_turns, machine, milliseconds, ratio, table

import equivax as evx

PLANE, BALL, CUBE = evx.spaces.rot_on_r2(8), evx.spaces.rot_on_r3(), evx.spaces.octahedral_on_r3()
UNIT = BALL.trivial + BALL.irrep(1) + BALL.irrep(2)
NEIGHBOURS = 8


def types() -> dict[str, evx.FieldType]:
    """About 48 channels each."""
    return {
        "C8 on the plane, 6 regular": evx.FieldType(PLANE, 6 * PLANE.regular),
        "octahedral, 2 regular": evx.FieldType(CUBE, 2 * CUBE.regular),
        "SO(3), 5 of l <= 2": evx.FieldType(BALL, 5 * UNIT),
    }


class EdgeMLP(eqx.Module):
    """``y_i = sum_j W silu(A (p_j - p_i) + B x_j)``."""

    first: eqx.nn.Linear
    second: eqx.nn.Linear

    def __init__(self, dim: int, channels: int, key: jax.Array):
        one, two = jax.random.split(key)
        self.first = eqx.nn.Linear(dim + channels, channels, key=one)
        self.second = eqx.nn.Linear(channels, channels, key=two)

    def __call__(self, x: Any, places: Any, senders: Any, receivers: Any) -> jax.Array:
        """One value a point."""
        given = jnp.concatenate([places[senders] - places[receivers], x[senders]], axis=1)
        sent = jax.vmap(lambda e: self.second(jax.nn.silu(self.first(e))))(given)
        return jax.ops.segment_sum(sent, receivers, len(x))


def step_of(layer: Any, senders: Any, receivers: Any) -> Callable[..., Any]:
    """The gradient with respect to all that varies, compiled."""

    @eqx.filter_jit
    def step(x: Any, places: Any) -> Any:
        def loss(parts: Any) -> jax.Array:
            model, x, places = parts
            return jnp.sum(model(x, places, senders, receivers) ** 2)

        return eqx.filter_grad(loss)((layer, x, places))

    return step


def rows(rounds: int, counts: list[int]) -> list[list[Any]]:
    """One row per type and number of points."""
    found, keys = [], jax.random.split(jax.random.key(0), 5)
    for name, type_ in types().items():
        dim = type_.space.dim
        for count in counts:
            places = jax.random.normal(keys[0], (count, dim))
            receivers = jnp.repeat(jnp.arange(count), NEIGHBOURS)
            senders, drawn = jax.random.randint(keys[1], (2, len(receivers)), 0, count)
            x = jax.random.normal(keys[2], (count, type_.size))
            layers = {
                "ours": evx.nn.PointConv(type_, type_, width=2.0, rings=3, key=keys[3]),
                "plain": EdgeMLP(dim, type_.size, keys[4]),
            }
            steps = {label: (layer, receivers) for label, layer in layers.items()}
            steps["random"] = layers["ours"], drawn
            calls = {
                label: functools.partial(step_of(layer, senders, ends), x, places)
                for label, (layer, ends) in steps.items()
            }
            taken = by_turns(calls, rounds=rounds, clock=time.process_time)
            sizes = [
                sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(layer, eqx.is_array)))
                for layer in layers.values()
            ]
            found.append(
                [
                    name, type_.size, count, len(senders), ratio(taken["ours"], taken["plain"]),
                    ratio(taken["random"], taken["plain"]), milliseconds(taken["plain"]), *sizes,
                ]
            )  # fmt: skip
    return found


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--points", type=int, nargs="*", default=[64, 256])
    arguments = parser.parse_args()
    print(machine())
    head = ["types", "channels", "points", "edges", "step / MLP", "random", "MLP, ms"]
    print(table([*head, "numbers", "of MLP"], rows(arguments.rounds, arguments.points)))


if __name__ == "__main__":
    main()
