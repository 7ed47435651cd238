"""How fast is `nn.Linear` against `equinox.nn.Linear` of the same width?

A training step is the gradient in parameters and input. ``--grid`` compares the modes and the
automatic choice over groups, widths and batch sizes. ``--fit`` prints the rows of the table
of prices, `hom.Machine`, as this device has them.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import time
from collections.abc import Iterator, Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from timing import (
    HOST,
    Program,
    by_turns,
    compiled,
    machine,
    milliseconds,
    ratio,
    table,
    training_step,
)

import equivax as evx

HEADLINE = [
    ("C8", evx.groups.cyclic(8), 128),
    ("C16", evx.groups.cyclic(16), 64),
    ("icosahedral", evx.groups.icosahedral(), 16),
]
GRID_GROUPS = {
    "C2": evx.groups.cyclic(2),
    "C4": evx.groups.cyclic(4),
    "D4": evx.groups.dihedral(4),
    "C16": evx.groups.cyclic(16),
    "Q8": evx.groups.quaternion(),
    "octahedral": evx.groups.octahedral(),
    "icosahedral": evx.groups.icosahedral(),
}
GRID_MULTIPLICITIES = (1, 2, 4, 8, 16, 32, 64, 128)
GRID_BATCHES = (1, 16, 128, 1024, 4096)
MODES = ("dense", "spectral", "irreps")
ON_CPU = jax.default_backend() == "cpu"
#: What an accelerator gets, and what a CPU.
GRID_ON_DEVICE = ("C2", "D4", "Q8", "octahedral")
GRID_ON_CPU = ("C4", "D4", "C16", "Q8", "octahedral", "icosahedral")
GRID_WIDTHS = (64, 256, 1024, 4096, 8192)
GRID_ROWS = (64, 1024, 8192, 65536)
#: Multiply-adds above which a cell is left out: it would time the memory of the machine.
LARGEST_CELL = 2.0e10
LARGEST_ON_DEVICE = 1.2e12


def forward(layer, x) -> Program:
    """The outputs of a batch."""
    arrays, rest = eqx.partition(layer, eqx.is_array)
    return lambda arrays, x: jax.vmap(eqx.combine(arrays, rest))(x), (arrays, x)


def timed(programs: Mapping[str, Program], **options) -> dict[str, np.ndarray]:
    """Seconds per call, by turns; what does not compile raises."""
    calls = {}
    for name, call in compiled(programs):
        if isinstance(call, Exception):
            raise call
        calls[name] = call
    return by_turns(calls, **options)


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
            steps = timed(
                {"plain": training_step(plain, x), "equivax": training_step(layer, x)},
                rounds=rounds,
            )
            runs = timed(
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
    """The automatic choice against the best of the modes."""
    losses: list[float] = []
    header = ["group", "width", "rows", "type", *MODES, "auto chooses", "auto / best"]
    print(table(header, []))
    for group, cells in itertools.groupby(grid_cells(), key=lambda cell: cell[0]):
        programs, chosen = {}, {}
        for _, copies, rows, dtype in cells:
            type_ = copies * GRID_GROUPS[group].regular
            x = jax.ShapeDtypeStruct((rows, type_.size), dtype)
            options = {"dtype": dtype, "key": jax.random.key(0)}
            cell = group, type_.size, rows, jnp.dtype(dtype).name
            chosen[cell] = evx.hom_basis(type_, type_).choose_mode(rows, dtype)
            for mode in MODES:
                with jax.default_device(HOST):
                    layer = evx.nn.Linear(type_, type_, mode=mode, **options)
                programs[(*cell, mode)] = training_step(layer, x)
        found = itertools.groupby(compiled(programs), key=lambda item: item[0][:-1])
        for cell, calls in found:
            calls = {name[-1]: call for name, call in calls}
            # On a CPU others may work too; a device works by itself.
            own = {"clock": time.process_time} if ON_CPU else {"turn": 0.01}
            seconds = by_turns(calls, rounds=rounds, **own)
            best = min(MODES, key=lambda mode: float(np.median(seconds[mode])))
            loss = max(1.0, ratio(seconds[chosen[cell]], seconds[best]))
            losses.append(loss)
            times = (f"{milliseconds(seconds[mode]):.4f}" for mode in MODES)
            print(table([], [[*cell, *times, chosen[cell], loss]]).splitlines()[-1], flush=True)
    within, worst = np.mean(np.array(losses) <= 1.15), max(losses)
    print(f"\nauto / best: at most 1.15 in {within:.0%} of {len(losses)} cells, worst {worst:.2f}")


def grid_cells() -> Iterator[tuple[str, int, int, DTypeLike]]:
    """Groups, copies of the regular representation, rows and types."""
    if ON_CPU:
        for name, copies, rows in itertools.product(GRID_GROUPS, GRID_MULTIPLICITIES, GRID_BATCHES):
            if rows * (copies * GRID_GROUPS[name].order) ** 2 <= LARGEST_CELL:
                yield name, copies, rows, jnp.float32
        return
    for name, width, rows, dtype in itertools.product(
        GRID_ON_DEVICE, GRID_WIDTHS, GRID_ROWS, (jnp.float32, jnp.bfloat16)
    ):
        if rows * width**2 <= LARGEST_ON_DEVICE:
            yield name, max(1, width // GRID_GROUPS[name].order), rows, dtype


def fit(rounds: int) -> None:
    """Prices of this device, in multiply-adds of a large product: medians over some types."""
    batch, widths = (1024, (256, 512)) if ON_CPU else (8192, (1024, 2048, 4096))
    for width, dtype in ((4, jnp.float32), (2, jnp.bfloat16)):
        cases = [(name, size) for name in ("D4", "C16", "Q8") for size in widths]
        with jax.default_device(HOST):
            programs = {
                (case, name): program
                for case in cases
                for name, program in _priced(*case, batch, dtype).items()
            }
        found: dict[str, list[float]] = {}
        calls_of = itertools.groupby(compiled(programs), key=lambda item: item[0][0])
        for (name, size), calls in calls_of:
            steps = {step: call for (_, step), call in calls}
            times = by_turns(steps, rounds=rounds, turn=0.0 if ON_CPU else 0.01)
            seconds = {step: float(np.median(own)) for step, own in times.items()}
            for price, value in _prices(GRID_GROUPS[name], size, batch, seconds).items():
                found.setdefault(price, []).append(max(value, 0.0))
        prices = {price: float(np.median(values)) for price, values in found.items()}
        if not ON_CPU:  # fields of all these groups are turned by sums there
            orders = [GRID_GROUPS[name].order for name, _ in cases]
            prices["term"], prices["turned"] = np.polyfit(orders, found["turned"], 1)
        medians = {price: float(f"{value:.3g}") for price, value in prices.items()}
        row = ", ".join(f"{price}={value}" for price, value in medians.items())
        print(f'("{jax.default_backend()}", {width}): Machine({row}),', flush=True)


def _priced(name: str, size: int, rows: int, dtype: DTypeLike) -> dict[str, Program]:
    """Steps that show the prices."""
    group = GRID_GROUPS[name]
    key, type_ = jax.random.key(0), (size // group.order) * group.regular
    x = jax.ShapeDtypeStruct((rows, size), dtype)
    features = jax.eval_shape(functools.partial(evx.IrrepTensor.of, type_), x)
    layers = {
        mode: evx.nn.Linear(type_, type_, use_bias=False, mode=mode, dtype=dtype, key=key)
        for mode in MODES
    }
    plain = eqx.nn.Linear(size, size, use_bias=False, dtype=dtype, key=key)
    act = evx.nn.PointwiseNonlinearity(type_, jax.nn.gelu)
    return {mode: training_step(layer, x) for mode, layer in layers.items()} | {
        "plain": training_step(plain, x),
        "one": training_step(plain, jax.ShapeDtypeStruct((1, size), dtype)),
        "inside": training_step(layers["irreps"], features),
        "pointwise": training_step(act, x),
        "turned": training_step(act, features),
    }


def _prices(
    group: evx.groups.Group, size: int, rows: int, seconds: Mapping[str, float]
) -> dict[str, float]:
    """Prices as one type shows them."""
    type_ = (size // group.order) * group.regular
    unit = seconds["plain"] / (rows * size**2)
    cost = {name: value / unit for name, value in seconds.items()}
    blocks = evx.hom_basis(type_, type_).blocks
    arithmetic = rows * sum(
        block.size * block.endomorphism_dimension * block.out_multiplicity * block.in_multiplicity
        for block in blocks
    )
    numbers = rows * size
    return {
        "carry": (cost["spectral"] - arithmetic) / (2 * numbers),
        "entry": (cost["dense"] - cost["plain"]) / size**2,
        "weight": 80.0,  # too little of a step to be seen in it: that of a CPU
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
