"""How fast is `nn.Linear` against `equinox.nn.Linear` of the same width?

A training step is the gradient in parameters and input. ``--grid`` compares the two modes and the
automatic choice over groups, multiplicities and batch sizes. ``--fit`` prints the rows of the table
of prices, `hom.Machine`, as this device has them.
"""

from __future__ import annotations

import argparse
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from timing import by_turns, machine, milliseconds, ratio, table

import equivax as evx

HEADLINE = [
    ("C8", evx.groups.cyclic(8), 128),
    ("C16", evx.groups.cyclic(16), 64),
    ("icosahedral", evx.groups.icosahedral(), 16),
]
GRID_GROUPS = {
    "C4": evx.groups.cyclic(4),
    "D4": evx.groups.dihedral(4),
    "C16": evx.groups.cyclic(16),
    "Q8": evx.groups.quaternion(),
    "octahedral": evx.groups.octahedral(),
    "icosahedral": evx.groups.icosahedral(),
}
GRID_MULTIPLICITIES = (1, 2, 4, 8, 16, 32, 64, 128)
GRID_BATCHES = (1, 16, 128, 1024, 4096)
#: Multiply-adds above which a cell is left out: it would time the memory of the machine.
LARGEST_CELL = 2.0e10


def training_step(layer, x):
    """A call without arguments: gradients of ``sum(y^2)`` in parameters and input."""

    @eqx.filter_jit
    def step(layer, x):
        def loss(inputs):
            layer, x = inputs
            y = jax.vmap(layer)(x)
            return sum(jnp.sum(a.astype(jnp.float32) ** 2) for a in jax.tree.leaves(y))

        return eqx.filter_grad(loss)((layer, x))

    return lambda: step(layer, x)


def forward(layer, x):
    """A call without arguments: the outputs of a batch."""
    run = eqx.filter_jit(lambda layer, x: jax.vmap(layer)(x))
    return lambda: run(layer, x)


def headline(rounds: int) -> None:
    """Training step against the plain layer, and inference of the exported layer."""
    rows = []
    for name, group, copies in HEADLINE:
        for batch in (1024, 2048):
            type_ = copies * group.regular
            key = jax.random.key(0)
            x = jax.random.normal(key, (batch, type_.size))
            plain = eqx.nn.Linear(type_.size, type_.size, key=key)
            layer = evx.nn.Linear(type_, type_, key=key)
            steps = by_turns(
                {"plain": training_step(plain, x), "equivax": training_step(layer, x)},
                rounds=rounds,
            )
            runs = by_turns(
                {"plain": forward(plain, x), "exported": forward(layer.export(), x)}, rounds=rounds
            )
            rows.append(
                (
                    f"{name} x {copies}",
                    batch,
                    milliseconds(steps["plain"]),
                    milliseconds(steps["equivax"]),
                    ratio(steps["plain"], steps["equivax"]),
                    ratio(runs["exported"], runs["plain"]),
                )
            )
    header = [
        "type", "batch", "plain step (ms)", "equivax step (ms)", "times faster",
        "exported / plain inference",
    ]  # fmt: skip
    print(table(header, rows))


def grid(rounds: int) -> None:
    """The automatic choice against the better of the two modes."""
    rows, losses = [], []
    for name, group in GRID_GROUPS.items():
        for copies in GRID_MULTIPLICITIES:
            for batch in GRID_BATCHES:
                type_ = copies * group.regular
                if batch * type_.size**2 > LARGEST_CELL:
                    continue
                key = jax.random.key(0)
                x = jax.random.normal(key, (batch, type_.size))
                layers = {
                    mode: evx.nn.Linear(type_, type_, mode=mode, key=key)
                    for mode in ("dense", "spectral")
                }
                auto = evx.nn.Linear(type_, type_, key=key)
                chosen = auto.basis.choose_mode(batch, jnp.float32)
                steps = by_turns(
                    {mode: training_step(layer, x) for mode, layer in layers.items()},
                    rounds=rounds,
                    clock=time.process_time,  # others may work on the machine
                )
                other = "dense" if chosen == "spectral" else "spectral"
                loss = max(1.0, ratio(steps[chosen], steps[other]))
                losses.append(loss)
                rows.append(
                    (
                        name,
                        copies,
                        batch,
                        milliseconds(steps["dense"]),
                        milliseconds(steps["spectral"]),
                        chosen,
                        loss,
                    )
                )
    header = [
        "group", "copies", "batch", "dense (ms)", "spectral (ms)", "auto chooses", "auto / better",
    ]  # fmt: skip
    print(table(header, rows))
    within, worst = np.mean(np.array(losses) <= 1.15), max(losses)
    print(f"\nauto / better: at most 1.15 in {within:.0%} of {len(rows)} cells, worst {worst:.2f}")


def fit(rounds: int) -> None:
    """Prices of this device, in multiply-adds of a large product: medians over some types."""
    platform = jax.default_backend()
    large = platform != "cpu"
    rows, widths = (8192, (1024, 2048, 4096)) if large else (1024, (256, 512))
    for width, dtype in ((4, jnp.float32), (2, jnp.bfloat16)):
        found: dict[str, list[float]] = {}
        for name in ("D4", "C16", "Q8"):
            for size in widths:
                for price, value in _prices(GRID_GROUPS[name], size, rows, dtype, rounds).items():
                    found.setdefault(price, []).append(max(value, 0.0))
        medians = {price: float(f"{np.median(values):.3g}") for price, values in found.items()}
        prices = ", ".join(f"{price}={value}" for price, value in medians.items())
        print(f'("{platform}", {width}): Machine({prices}),')


def _prices(
    group: evx.groups.Group, size: int, rows: int, dtype: DTypeLike, rounds: int
) -> dict[str, float]:
    """Prices as one type shows them."""
    key, type_ = jax.random.key(0), (size // group.order) * group.regular
    x = jax.random.normal(key, (rows, size), dtype)
    features, one = evx.IrrepTensor.of(type_, x), x[:1]
    layers = {
        mode: evx.nn.Linear(type_, type_, use_bias=False, mode=mode, dtype=dtype, key=key)
        for mode in ("dense", "spectral", "irreps")
    }
    plain = eqx.nn.Linear(size, size, use_bias=False, dtype=dtype, key=key)
    act = evx.nn.PointwiseNonlinearity(type_, jax.nn.gelu)
    steps = {mode: training_step(layer, x) for mode, layer in layers.items()}
    steps |= {
        "plain": training_step(plain, x),
        "one": training_step(plain, one),
        "inside": training_step(layers["irreps"], features),
        "pointwise": training_step(act, x),
        "turned": training_step(act, features),
    }
    seconds = {name: np.median(times) for name, times in by_turns(steps, rounds=rounds).items()}
    unit = seconds["plain"] / (rows * size**2)
    cost = {name: float(value / unit) for name, value in seconds.items()}
    blocks = evx.hom_basis(type_, type_).blocks
    arithmetic = rows * sum(
        block.size * block.endomorphism_dimension * block.out_multiplicity * block.in_multiplicity
        for block in blocks
    )
    numbers = rows * size
    return {
        "carry": (cost["spectral"] - arithmetic) / (2 * numbers),
        "entry": (cost["dense"] - cost["plain"]) / size**2,
        "weight": 80.0,
        "number": (cost["inside"] - arithmetic) / (2 * numbers),
        "convert": (cost["irreps"] - cost["inside"]) / (2 * numbers),
        "pointwise": cost["pointwise"] / numbers,
        "turned": cost["turned"] / numbers,
        "launch": cost["one"],
    }


def main() -> None:
    """Prints Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--grid", action="store_true", help="also compare the modes on a grid")
    parser.add_argument("--fit", action="store_true", help="only print prices of this device")
    arguments = parser.parse_args()
    print(machine() + "\n")
    if arguments.fit:
        fit(arguments.rounds)
        return
    headline(arguments.rounds)
    if arguments.grid:
        print()
        grid(max(5, arguments.rounds // 2))


if __name__ == "__main__":
    main()
