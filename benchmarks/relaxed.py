"""What a relaxed linear layer and its penalty cost, against the plain and the strict layer.

A step is the gradient of ``sum(y^2)`` in the parameters, with ``symmetry_penalty`` where it says
so, in float32. All are timed by turns on the clock of the processor, so that others may work on
the machine; the least of the rounds counts, since whatever disturbs a step makes it longer.

    python benchmarks/relaxed.py [--rounds 200] [--rows 64 256 1024 4096]
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
from timing import by_turns, machine, table

import equivax as evx
from equivax import nn

REGULAR = evx.groups.dihedral(4).regular


class PlainLinear(eqx.Module):
    """A linear layer on rows."""

    linear: eqx.nn.Linear

    def __call__(self, x: Any) -> jax.Array:
        """All rows in one product."""
        return x @ self.linear.weight.T + self.linear.bias


def step_of(model: Any, penalty: float) -> Callable[..., Any]:
    """The gradient in the parameters, compiled."""
    parameters, static = eqx.partition(model, eqx.is_inexact_array)

    def loss(parameters: Any, x: Any) -> jax.Array:
        layer = eqx.combine(parameters, static)
        error = jnp.sum(layer(x) ** 2)
        return error + penalty * nn.symmetry_penalty(layer) if penalty else error

    return functools.partial(jax.jit(jax.grad(loss)), parameters)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--rows", type=int, nargs="*", default=[64, 256, 1024, 4096])
    options = parser.parse_args()
    key, rep = jax.random.key(0), 48 * REGULAR
    plain = PlainLinear(eqx.nn.Linear(rep.size, rep.size, key=key))
    strict = nn.Linear(rep, rep, key=key)
    relaxed = nn.Relaxed(strict)
    steps = {
        "plain": step_of(plain, 0.0),
        "strict": step_of(strict, 0.0),
        "relaxed": step_of(relaxed, 0.0),
        "relaxed, with penalty": step_of(relaxed, 1e-3),
    }
    rows = []
    for count in options.rows:
        x = jax.random.normal(key, (count, rep.size))
        calls = {name: functools.partial(step, x) for name, step in steps.items()}
        seconds = by_turns(calls, rounds=options.rounds, clock=time.process_time)
        least = {name: 1e3 * float(found.min()) for name, found in seconds.items()}
        added = least["relaxed, with penalty"] / least["relaxed"] - 1
        rows.append([count, *least.values(), f"{added:.0%}"])
    print(machine(), f"\n{rep.size} by {rep.size} channels under D4, milliseconds\n")
    print(table(["rows", *steps, "penalty adds"], rows))


if __name__ == "__main__":
    main()
