"""Training steps on tensor images against plain layers, and the time that filters take.

A step is value and gradient, in the parameters and the input, of a weighted sum of the output.
`ConvContract` has orders 0, 1, 2 with 8 and 32 channels each, 3 x 3 taps, 32 x 32 pixels of a
torus, 8 examples; the plain layer is one `equinox.nn.Conv2d` of the same dense channels.
`GroupNorm` stands against `equinox.nn.GroupNorm` of as many channels. Filters are found in new
processes; the time is that of the call.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from timing import by_turns, machine, milliseconds, ratio, table

import equivax as evx
from equivax.images import Signature

FILTERS = """
import time
import equivax as evx
start = time.perf_counter()
for k in range({orders}):
    for p in range(2):
        evx.images.invariant_filters({D}, {size}, k, p)
print(time.perf_counter() - start)
"""


@eqx.filter_jit
def step(layer: Any, x: jax.Array, weight: jax.Array) -> Any:
    """Value and gradient; plain layers take one example."""

    def loss(pair: Any) -> jax.Array:
        layer, x = pair
        function = layer if isinstance(layer, evx.nn.AbstractModule) else jax.vmap(layer)
        return jnp.vdot(function(x), weight)

    return eqx.filter_value_and_grad(loss)((layer, x))


def compared(name: str, ours: Any, plain: Any, *shape: int) -> list[Any]:
    """A row: milliseconds of both, and their ratio."""
    x, weight = (jax.random.normal(jax.random.key(seed), shape) for seed in (0, 1))
    layers = {"ours": ours, "plain": plain}
    calls = {n: functools.partial(step, layer, x, weight) for n, layer in layers.items()}
    times = by_turns(calls, rounds=25)
    numbers = (milliseconds(times[n]) for n in layers)
    return [name, *numbers, ratio(times["ours"], times["plain"])]


def convolutions() -> list[list[Any]]:
    """`ConvContract` with 8 and 32 channels of every order."""
    rows = []
    for channels in (8, 32):
        signature = Signature([((k, 0), channels) for k in range(3)])
        conv = evx.nn.ConvContract(
            signature, signature, padding="TORUS", use_bias="scalar", key=jax.random.key(0)
        )
        size = signature.size(2)
        options: dict[str, Any] = dict(padding=1, padding_mode="CIRCULAR", key=jax.random.key(1))
        plain = eqx.nn.Conv2d(size, size, 3, **options)
        rows.append(compared(f"ConvContract, {channels}", conv, plain, 8, size, 32, 32))
    return rows


def norms() -> list[list[Any]]:
    """`GroupNorm` of vectors in the plane and in space."""
    rows = []
    for D, channels, side in ((2, 32, 32), (3, 16, 16)):
        for groups in (1, 4):
            type_ = Signature((((1, 0), channels),)).field_type(D)
            plain = eqx.nn.GroupNorm(groups, type_.size)
            shape = (8, type_.size, *[side] * D)
            name = f"GroupNorm, {channels} vectors in {D}-D, groups={groups}"
            rows.append(compared(name, evx.nn.GroupNorm(type_, groups), plain, *shape))
    return rows


def filters(D: int, size: int, orders: int) -> list[Any]:
    """A row: seconds in a new process, for all orders and both parities."""
    program = FILTERS.format(D=D, size=size, orders=orders)
    command = [sys.executable, "-c", program]
    found = [float(subprocess.check_output(command, text=True)) for _ in range(3)]
    return [f"D = {D}, size {size}, k < {orders}, both parities", f"{1e3 * min(found):.1f}"]


def main() -> None:
    """Prints two tables."""
    print(machine())
    header = ["layer", "ours, ms", "plain, ms", "ratio"]
    print(table(header, [*convolutions(), *norms()]))
    rows = [filters(2, 3, 5), filters(3, 5, 3)]
    print(table(["invariant filters", "ms in a new process"], rows))


if __name__ == "__main__":
    main()
