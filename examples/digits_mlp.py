"""How many digits must a network see, if the digits may be turned? Invariance against augmentation.

The 64 pixels of scikit-learn's 8 x 8 digits are permuted by quarter turns (C4), and by quarter
turns and mirror images (D4). Invariant networks see upright digits and know the copies by
construction. Their rivals are plain networks of as many parameters: without and with augmentation
by the same group, four times as long, and as wide. All are tested on turned copies of new digits.
(A turned 6 is nearly a 9; digits have no mirror symmetry, so that D4 asks more than C4.)

    python examples/digits_mlp.py    # three seeds; one to three minutes on two cores
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import equivax as evx

SIDE, CLASSES, BATCH, DEPTH = 8, 10, 64, 2


class Contestant(NamedTuple):
    """A network, and what it is trained on."""

    name: str
    task: str  # the group by whose elements the test digits are moved
    make: Callable[[jax.Array], Any]
    augmented: bool = False
    effort: int = 1  # multiplies the number of steps


class Result(NamedTuple):
    """What one training achieved."""

    upright: float
    moved: float  # accuracy over all copies of the test digits
    change: float  # the largest relative change of the logits when a digit is moved
    seconds: float  # the first training of a contestant is compiled, the others are not


# ---- data --------------------------------------------------------------------------------------


def pixels(group: evx.Group, mirrored: bool) -> evx.Representation:
    """The group permuting the pixels, from its generators; the library finds the irreps."""
    index = np.arange(SIDE**2).reshape(SIDE, SIDE)
    # Moving an image moves what is at pixel index[p] to position p, so pixel j goes to
    # argsort(moved)[j].
    turn, mirror = np.argsort(np.rot90(index).ravel()), np.argsort(index[:, ::-1].ravel())
    generators = [turn, mirror] if mirrored else [turn]
    return evx.Representation.from_generators(group, generators, "pixels")


def copies(rep: evx.Representation, x: np.ndarray) -> np.ndarray:
    """Images moved by every element: ``(elements, images, pixels)``, the identity first."""
    return np.stack([rep.transform(x, g) for g in rep.group.elements]).astype(np.float32)


# ---- networks ----------------------------------------------------------------------------------


def count(make: Callable[[jax.Array], Any]) -> int:
    """Number of trainable parameters of what is made."""
    shapes = eqx.filter_eval_shape(make, jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes) if hasattr(leaf, "size"))


def invariant(rep: evx.Representation, width: int) -> Callable[[jax.Array], Any]:
    """Equivariant layers, invariants of the last one, a linear readout."""
    return lambda key: evx.models.InvariantMLP(rep, CLASSES, [width] * DEPTH, key=key)


def plain(width: int) -> Callable[[jax.Array], Any]:
    """The unconstrained network."""
    return lambda key: eqx.nn.MLP(SIDE**2, CLASSES, width, DEPTH, key=key)


def width_for(parameters: int) -> int:
    """Width of the plain network with about that many parameters."""
    widths = np.arange(1, 1024)
    counts = (SIDE**2 + 1) * widths + (DEPTH - 1) * (widths + 1) * widths + (widths + 1) * CLASSES
    return int(widths[np.abs(counts - parameters).argmin()])


def contestants(reps: dict[str, evx.Representation], width: int) -> list[Contestant]:
    """An invariant network and its rivals for each group."""
    found = []
    for task, rep in reps.items():
        ours = invariant(rep, width)
        rival = plain(width_for(count(ours)))
        found += [
            Contestant(f"invariant {task}", task, ours),
            Contestant(f"plain, {task} augmented", task, rival, augmented=True),
            Contestant(f"plain, {task} augmented, 4x steps", task, rival, augmented=True, effort=4),
            Contestant(f"plain, {task} augmented, same width", task, plain(width), augmented=True),
            Contestant(f"plain, {task} not augmented", task, rival),
        ]
    return found


# ---- training ----------------------------------------------------------------------------------


@eqx.filter_jit
def train(
    model: Any, x: jax.Array, y: jax.Array, number: jax.Array, steps: int, key: jax.Array
) -> Any:
    """Trains on the first ``number`` images of x ``(copies, images, pixels)``, a random copy each.

    One scan over all steps: fast for small dense layers (convolutions want a Python loop).
    """
    optimiser = optax.adamw(optax.cosine_decay_schedule(3e-3, steps), weight_decay=1e-3)
    parameters, static = eqx.partition(model, eqx.is_inexact_array)

    def loss(parameters: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        logits = jax.vmap(eqx.combine(parameters, static))(x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    def step(carry: tuple[Any, Any], key: jax.Array) -> tuple[tuple[Any, Any], None]:
        parameters, state = carry
        row_key, copy_key = jax.random.split(key)
        rows = jax.random.randint(row_key, (BATCH,), 0, number)
        which = jax.random.randint(copy_key, (BATCH,), 0, len(x))
        gradients = jax.grad(loss)(parameters, x[which, rows], y[rows])
        updates, state = optimiser.update(gradients, state, parameters)
        return (optax.apply_updates(parameters, updates), state), None

    start = parameters, optimiser.init(parameters)
    (parameters, _), _ = jax.lax.scan(step, start, jax.random.split(key, steps))
    return eqx.combine(parameters, static)


@eqx.filter_jit
def logits_of(model: Any, x: jax.Array) -> jax.Array:
    """Logits ``(copies, images, classes)``."""
    return jax.vmap(jax.vmap(model))(x)


def run(
    entry: Contestant, rep: evx.Representation, sizes: list[int], steps: int, seed: int, bar: tqdm
) -> tuple[list[Result], Any]:
    """Trains one contestant on ever more digits; returns the results and the last model."""
    images, labels = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(
        images.astype(np.float32) / 16, labels, test_size=0.3, random_state=seed, stratify=labels
    )
    seen = jnp.asarray(copies(rep, x) if entry.augmented else x[None])
    tests, y = jnp.asarray(copies(rep, x_test)), jnp.asarray(y)
    results, steps = [], entry.effort * steps
    for size in sizes:
        model_key, key = jax.random.split(jax.random.key(seed))
        start = time.perf_counter()
        model = train(entry.make(model_key), seen, y, jnp.asarray(size), steps, key)
        jax.block_until_ready(eqx.filter(model, eqx.is_array))
        seconds = time.perf_counter() - start
        logits = np.asarray(logits_of(model, tests))
        hits = logits.argmax(-1) == y_test
        change = np.abs(logits - logits[0]).max() / np.abs(logits).max()
        results.append(Result(hits[0].mean(), hits.mean(), change, seconds))
        bar.update()
    return results, model


# ---- results -----------------------------------------------------------------------------------


def draw(table: dict[Contestant, np.ndarray], sizes: list[int], output: Path) -> None:
    """Accuracy on moved digits by the number of training digits: mean, and band of one std."""
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.9), sharey=True, layout="constrained")
    titles = {"C4": "tested on turned digits", "D4": "tested on turned and mirrored digits"}
    for axis, (task, title) in zip(axes, titles.items(), strict=True):
        for entry, results in table.items():
            if entry.task != task:
                continue
            moved = 100 * results[..., Result._fields.index("moved")]
            mean, std = moved.mean(axis=0), moved.std(axis=0)
            label = entry.name.replace(f", {task}", ",")
            line = axis.plot(sizes, mean, marker=".", label=label)[0]
            axis.fill_between(sizes, mean - std, mean + std, color=line.get_color(), alpha=0.2)
        axis.set(xscale="log", xlabel="training digits", title=title)
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.set_ylim(25, 100)
        axis.legend(fontsize=8, loc="center right", bbox_to_anchor=(1.0, 0.4))
    axes[0].set_ylabel("accuracy (%)")
    figure.savefig(output, dpi=120)


def main() -> None:
    """Trains every contestant on every number of digits with every seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sizes", type=int, nargs="+", default=[80, 160, 320, 640, 1257])
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--output", help="default: digits_mlp.png; of --smoke a temporary file")
    parser.add_argument("--smoke", action="store_true", help="a short run that checks the code")
    options = parser.parse_args()
    output = options.output or Path(tempfile.mkdtemp() if options.smoke else "") / "digits_mlp.png"
    if options.smoke:
        options.steps, options.seeds, options.sizes, options.width = 150, [0], [320, 1257], 64

    reps = {
        "C4": pixels(evx.groups.cyclic(4), mirrored=False),
        "D4": pixels(evx.groups.dihedral(4), mirrored=True),
    }
    for name, rep in reps.items():
        irreps = {rep.group.irrep(*id).name: m for id, m in rep.multiplicities.items()}
        print(f"{rep.size} pixels under {name}: {irreps}")

    entries, table, last = contestants(reps, options.width), {}, {}
    total = len(entries) * len(options.seeds) * len(options.sizes)
    with tqdm(total=total, desc="trainings", leave=False, disable=None) as bar:
        for entry in entries:
            runs = [
                run(entry, reps[entry.task], options.sizes, options.steps, seed, bar)
                for seed in options.seeds
            ]
            table[entry] = np.array([results for results, _ in runs])
            last[entry.name] = runs[-1][1]

    print(f"\n{options.sizes[-1]} training digits, {options.steps} steps, seeds {options.seeds}: "
          "accuracy in % with standard deviation")  # fmt: skip
    print(f"{'model':36}{'parameters':>11}{'upright':>14}{'moved':>14}{'train':>9}{'change':>10}")
    for entry, results in table.items():
        mean, std = results[:, -1].mean(axis=0), results[:, -1].std(axis=0)
        scores = "".join(f"{100 * mean[i]:8.1f} ±{100 * std[i]:4.1f}" for i in (0, 1))
        seconds = np.median(results[..., 3])  # of trainings without compilation, if there are some
        print(f"{entry.name:36}{count(entry.make):11,}{scores}{seconds:8.2f}s{mean[2]:10.1e}")
    print("\naccuracy on moved digits in %, by number of training digits")
    print(f"{'model':36}" + "".join(f"{size:8}" for size in options.sizes))
    for entry, results in table.items():
        cells = "".join(f"{100 * value:8.1f}" for value in results[..., 1].mean(axis=0))
        print(f"{entry.name:36}{cells}")

    exported, x = evx.export(last["invariant C4"]), load_digits(return_X_y=True)[0][:100] / 16
    difference = jax.vmap(exported)(x) - jax.vmap(last["invariant C4"])(x)
    print(f"\nexported to plain Equinox: logits differ by at most {np.abs(difference).max():.1e}")
    draw(table, options.sizes, Path(output))
    print(f"figure: {output}")


if __name__ == "__main__":
    main()
