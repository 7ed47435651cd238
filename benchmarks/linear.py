"""How fast is `nn.Linear` against `equinox.nn.Linear` of the same width?

A training step is the gradient in parameters and input. ``--grid`` compares the two modes and the
automatic choice over groups, multiplicities and batch sizes.
"""

from __future__ import annotations

import argparse

import equinox as eqx
import jax
import jax.numpy as jnp
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
            return jnp.sum(jax.vmap(layer)(x) ** 2)

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
    rows, worst = [], 0.0
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
                )
                other = "dense" if chosen == "spectral" else "spectral"
                loss = max(1.0, ratio(steps[chosen], steps[other]))
                worst = max(worst, loss)
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
    print(f"\nworst auto / better: {worst:.2f} over {len(rows)} cells")


def main() -> None:
    """Prints Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--grid", action="store_true", help="also compare the modes on a grid")
    arguments = parser.parse_args()
    print(machine() + "\n")
    headline(arguments.rounds)
    if arguments.grid:
        print()
        grid(max(5, arguments.rounds // 2))


if __name__ == "__main__":
    main()
