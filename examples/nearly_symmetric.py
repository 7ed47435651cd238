"""Learn a motion whose symmetry a wind breaks: strict, relaxed, plain and augmented networks.

A puck slides over a table with a square lattice of dips, and air slows it down. In still air the
motion commutes with the eight quarter turns and mirror images of the table; a wind along x leaves
one mirror. The networks see position and velocity, and predict both half a second later. The knob
is the speed of the wind.

"Plain" has as many parameters as the strict network, "wide" as many hidden numbers, which is about
what the relaxed one has in parameters; "augmented" is the wide one on all eight copies of the data.
Which symmetry is left is also asked of the training data alone: "found" is a strict network with
the largest group that `stats.symmetry_report` does not find contradicted.

    python examples/nearly_symmetric.py    # three seeds; about two minutes on two cores
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from tqdm import tqdm

import equivax as evx
from equivax import models, nn, stats

D4 = evx.groups.dihedral(4)
VECTOR = D4.irrep(1, 1)
STATE = 2 * VECTOR  # position and velocity
ELEMENTS = np.stack([STATE(g) for g in D4.elements])


class Data(NamedTuple):
    """States, and what changed half a second later."""

    x: np.ndarray
    y: np.ndarray


def acceleration(state: np.ndarray, wind: float) -> np.ndarray:
    """The slope of the dips, and a drag that grows with the square of the speed in the air."""
    place, velocity = state[:, :2], state[:, 2:]
    through_air = velocity - np.array([wind, 0.0])
    speed = np.linalg.norm(through_air, axis=1, keepdims=True)
    return -2.0 * np.sin(2.0 * place) - 0.5 * speed * through_air


def simulate(count: int, wind: float, rng: np.random.Generator, noise: float = 0.02) -> Data:
    """Starts anywhere in a dip and its neighbours, and follows the motion in steps of 1/40 s."""

    def slope(state: np.ndarray) -> np.ndarray:
        return np.concatenate([state[:, 2:], acceleration(state, wind)], axis=1)

    start = np.concatenate(
        [rng.uniform(-2.0, 2.0, (count, 2)), rng.normal(size=(count, 2))], axis=1
    )
    state, step = start, 1 / 40
    for _ in range(20):
        middle = state + step / 2 * slope(state)
        state = state + step * slope(middle)
    return Data(start, state - start + noise * rng.normal(size=start.shape))


def augmented(data: Data) -> Data:
    """All eight copies of every pair."""
    return Data(*(np.concatenate(np.einsum("gij,nj->gni", ELEMENTS, a)) for a in data))


def network(group: Any, copies: int, key: jax.Array) -> models.MLP:
    """A network that commutes with a subgroup of D4, with fields of the regular type of D4."""
    state, hidden = STATE.restrict(group), (copies * D4.regular).restrict(group)
    return models.MLP(state, state, [hidden, hidden], key=key)


def plain(width: int, key: jax.Array) -> eqx.nn.MLP:
    """The same without any symmetry."""
    return eqx.nn.MLP(4, 4, width, 2, key=key)


def count(model: Any) -> int:
    """Number of trainable parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array)))


def width_for(parameters: int) -> int:
    """Width of the plain network with about as many parameters."""
    sizes = {n: n * n + 10 * n + 4 for n in range(1, 500)}
    return min(sizes, key=lambda n: abs(sizes[n] - parameters))


@eqx.filter_jit
def train(model: Any, x: jax.Array, y: jax.Array, steps: int, price: float, key: jax.Array) -> Any:
    """One recipe for all: Adam on batches of 64, its rate falling to zero."""
    optimiser = optax.adam(optax.cosine_decay_schedule(3e-3, steps))
    parameters, static = eqx.partition(model, eqx.is_inexact_array)

    def loss(parameters: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        model = eqx.combine(parameters, static)
        error = jnp.mean((jax.vmap(model)(x) - y) ** 2)
        return error if price == 0 else error + price * nn.symmetry_penalty(model)

    def step(carry: Any, key: jax.Array) -> tuple[Any, None]:
        parameters, state = carry
        chosen = jax.random.randint(key, (min(64, len(x)),), 0, len(x))
        slopes = jax.grad(loss)(parameters, x[chosen], y[chosen])
        updates, state = optimiser.update(slopes, state)
        return (optax.apply_updates(parameters, updates), state), None

    carry = parameters, optimiser.init(parameters)
    (parameters, _), _ = jax.lax.scan(step, carry, jax.random.split(key, steps))
    return eqx.combine(parameters, static)


@eqx.filter_jit
def error(model: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    """Root of the mean square error, relative to that of predicting rest."""
    return jnp.sqrt(jnp.mean((jax.vmap(model)(x) - y) ** 2) / jnp.mean(y**2))


def draw(winds: list[float], results: dict[str, np.ndarray], output: str | Path) -> None:
    """Errors over the knob, with bands of one standard deviation."""
    figure, axis = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
    places = np.arange(len(winds))
    for name, table in results.items():
        mean, std = table.mean(axis=1), table.std(axis=1)
        axis.plot(places, mean, marker=".", label=name)
        axis.fill_between(places, mean - std, mean + std, alpha=0.2)
    axis.set_xticks(places, [f"{wind:g}" for wind in winds])
    axis.set(xlabel="wind", ylabel="relative error", yscale="log")
    axis.legend(frameon=False, fontsize=8)
    figure.savefig(output, dpi=90)


def main() -> None:
    """Trains every network at every wind for every seed and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12])
    parser.add_argument("--winds", type=float, nargs="+", default=[0.0, 0.1, 0.3, 1.0, 2.0])
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--copies", type=int, default=16, help="hidden regular fields")
    parser.add_argument("--price", type=float, default=0.1, help="of what breaks the symmetry")
    parser.add_argument("--output", help="default: nearly_symmetric.png; of --smoke a temporary")
    parser.add_argument("--smoke", action="store_true", help="a short run that checks the code")
    arguments = parser.parse_args()
    folder = tempfile.mkdtemp() if arguments.smoke else ""
    output = arguments.output or Path(folder) / "nearly_symmetric.png"
    if arguments.smoke:
        arguments.seeds, arguments.winds = [0], [0.0, 2.0]
        arguments.samples, arguments.steps, arguments.copies = 60, 60, 2

    winds, seeds, copies = arguments.winds, arguments.seeds, arguments.copies
    names = ("strict", "relaxed", "plain", "wide", "augmented", "found")
    results = {name: np.zeros((len(winds), len(seeds))) for name in names}
    sizes: dict[str, int] = {}
    found: dict[float, list[str]] = {wind: [] for wind in winds}
    begin = time.perf_counter()
    total = len(winds) * len(seeds) * len(names)
    with tqdm(total=total, leave=False, disable=None) as bar:
        for place, wind in enumerate(winds):
            for column, seed in enumerate(seeds):
                rng = np.random.default_rng(seed)
                data = simulate(arguments.samples, wind, rng)
                test = simulate(2000, wind, rng, noise=0.0)
                report = stats.symmetry_report(data.x, data.y, STATE, STATE, seed=seed)
                row = next(row for row in report.rows if row.subgroup == report.largest)
                found[wind].append(row.label)
                key, own = jax.random.split(jax.random.key(seed))
                strict = network(D4.subgroup("all"), copies, key)
                wide = plain(copies * len(D4.elements), key)
                entries = {
                    "strict": (strict, data, 0.0),
                    "relaxed": (nn.relax(strict), data, arguments.price),
                    "plain": (plain(width_for(count(strict)), key), data, 0.0),
                    "wide": (wide, data, 0.0),
                    "augmented": (wide, augmented(data), 0.0),
                    "found": (network(report.largest, copies, key), data, 0.0),
                }
                for name, (model, seen, price) in entries.items():
                    sizes.setdefault(name, count(model))
                    pairs = (jnp.asarray(a, jnp.float32) for a in seen)
                    model = train(model, *pairs, arguments.steps, price, own)
                    pairs = (jnp.asarray(a, jnp.float32) for a in test)
                    results[name][place, column] = float(error(model, *pairs))
                    bar.update()

    print(f"\nrelative error, mean and standard deviation over {len(seeds)} seeds, by wind")
    print(f"{'network':12}{'parameters':>11}" + "".join(f"{wind:>16g}" for wind in winds))
    for name, table in results.items():
        cells = "".join(f"{row.mean():>8.4f} ±{row.std():.4f}" for row in table)
        print(f"{name:12}{sizes[name]:11,}{cells}")
    print("\nlargest symmetry that the training data do not contradict")
    for wind, labels in found.items():
        print(f"{wind:6g}: {'; '.join(labels)}")
    draw(winds, results, output)
    print(f"{time.perf_counter() - begin:.0f} s, figure: {output}")


if __name__ == "__main__":
    main()
