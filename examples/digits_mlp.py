"""Classify handwritten digits that may be turned or mirrored, having seen them upright only.

The 64 pixels of scikit-learn's 8 x 8 digits are permuted by the dihedral group D4 of the square:
quarter turns and mirror images. An invariant network treats all eight copies of a digit
alike by construction; plain networks of the same width and of the same number of parameters
do not. (A turned 6 is a 9, so some upright accuracy is the price of invariance.)
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
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

SIDE, CLASSES, BATCH = 8, 10, 128


class Data(NamedTuple):
    """Images as rows of 64 pixels in [0, 1], and labels."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


class Result(NamedTuple):
    """What one model achieved."""

    name: str
    parameters: int
    compile_seconds: float
    train_seconds: float
    accuracies: np.ndarray  # one per group element, the identity first
    invariance_error: float


def load_data(seed: int) -> Data:
    """A fixed split of the 1797 digits into training and test images."""
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(
        images.astype(np.float32) / 16, labels, test_size=0.3, random_state=seed, stratify=labels
    )
    return Data(split[0], split[2], split[1], split[3])


def pixel_representation() -> evx.Representation:
    """D4 permuting the pixels: a quarter turn and a mirror image, decomposed by the library."""
    index = np.arange(SIDE**2).reshape(SIDE, SIDE)
    # Moving an image moves what is at pixel index[p] to position p, so pixel j goes to
    # argsort(moved)[j].
    turn = np.argsort(np.rot90(index).ravel())
    mirror = np.argsort(index[:, ::-1].ravel())
    return evx.Representation.from_generators(evx.groups.dihedral(4), [turn, mirror], "pixels")


def count(model: Any) -> int:
    """Number of trainable parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array)))


def plain_mlp(width: int, depth: int, key: jax.Array) -> eqx.nn.MLP:
    """The unconstrained network."""
    return eqx.nn.MLP(SIDE**2, CLASSES, width, depth, key=key)


def width_for(parameters: int, depth: int) -> int:
    """Width of the plain network with about that many parameters."""
    widths = np.arange(1, 1024)
    counts = (SIDE**2 + 1) * widths + (depth - 1) * (widths + 1) * widths + (widths + 1) * CLASSES
    return int(widths[np.abs(counts - parameters).argmin()])


def train(
    model: Any, data: Data, epochs: int, rate: float, seed: int, name: str
) -> tuple[Any, float, float]:
    """Trains on upright digits; returns the model, seconds to compile and seconds to train."""
    steps = epochs * (len(data.x_train) // BATCH)
    optimiser = optax.adamw(optax.cosine_decay_schedule(rate, steps), weight_decay=1e-3)
    state = optimiser.init(eqx.filter(model, eqx.is_inexact_array))

    @eqx.filter_jit
    def step(model: Any, state: Any, x: jax.Array, y: jax.Array) -> tuple[Any, Any, jax.Array]:
        def loss(model: Any) -> jax.Array:
            logits = jax.vmap(model)(x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        value, gradients = eqx.filter_value_and_grad(loss)(model)
        updates, state = optimiser.update(gradients, state, eqx.filter(model, eqx.is_inexact_array))
        return eqx.apply_updates(model, updates), state, value

    start = time.perf_counter()
    jax.block_until_ready(step(model, state, data.x_train[:BATCH], data.y_train[:BATCH])[2])
    compiled = time.perf_counter()
    order = np.random.default_rng(seed)
    with tqdm(total=steps, desc=name, leave=False) as bar:
        for _ in range(epochs):
            shuffled = order.permutation(len(data.x_train))
            for batch in range(len(data.x_train) // BATCH):
                rows = shuffled[batch * BATCH : (batch + 1) * BATCH]
                model, state, value = step(model, state, data.x_train[rows], data.y_train[rows])
                bar.update()
            bar.set_postfix(loss=f"{float(value):.4f}")
    return model, compiled - start, time.perf_counter() - compiled


def evaluate(model: Callable[..., jax.Array], data: Data, rep: Any) -> tuple[np.ndarray, float]:
    """Accuracy on every copy of the test set, and the largest relative change of the logits."""
    run = eqx.filter_jit(lambda m, x: jax.vmap(m)(x))
    logits = np.stack(
        [
            np.asarray(run(model, rep.transform(data.x_test, g).astype(np.float32)))
            for g in rep.group.elements
        ]
    )
    accuracies = (logits.argmax(-1) == data.y_test).mean(axis=1)
    return accuracies, float(np.abs(logits - logits[0]).max() / np.abs(logits).max())


def draw(results: list[Result], data: Data, rep: Any, output: str) -> None:
    """The eight copies of a digit, and accuracy on each."""
    elements = rep.group.elements
    figure = plt.figure(figsize=(10, 5.2), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 2.4])
    sample = data.x_test[int(np.argmax(data.y_test == 4))]
    for axis, g in zip(top.subplots(1, len(elements)), elements, strict=True):
        axis.imshow(rep.transform(sample, g).reshape(SIDE, SIDE), cmap="gray_r")
        axis.set_axis_off()
    axis = bottom.subplots()
    positions = np.arange(len(elements))
    for index, result in enumerate(results):
        offset = (index - (len(results) - 1) / 2) * 0.27
        label = f"{result.name} ({result.parameters:,} parameters)"
        axis.bar(positions + offset, 100 * result.accuracies, width=0.25, label=label)
    names = [f"{90 * g.value[1]}°" + ("\nmirrored" if g.value[0] else "") for g in elements]
    axis.set_xticks(positions, ["upright", *names[1:]])
    axis.set(ylabel="test accuracy (%)", ylim=(0, 100), xlabel="copy of the test set")
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    figure.savefig(output, dpi=120)


def main() -> None:
    """Trains three networks and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--output", default="digits_mlp.png")
    parser.add_argument("--smoke", action="store_true", help="a short run that checks the code")
    arguments = parser.parse_args()
    epochs, width = (3, 64) if arguments.smoke else (arguments.epochs, arguments.width)

    data = load_data(arguments.seed)
    rep = pixel_representation()
    irreps = {rep.group.irrep(*id).name: m for id, m in rep.multiplicities.items()}
    print(f"{rep.size} pixels under {rep.group}: {irreps}")

    key = jax.random.key(arguments.seed)
    invariant = evx.models.InvariantMLP(rep, CLASSES, [width, width], key=key)
    models = {
        "invariant": invariant,
        "plain, same width": plain_mlp(width, 2, key),
        "plain, same parameters": plain_mlp(width_for(count(invariant), 2), 2, key),
    }
    results = []
    for name, model in models.items():
        model, compile_seconds, seconds = train(model, data, epochs, 3e-3, arguments.seed, name)
        accuracies, error = evaluate(model, data, rep)
        results.append(Result(name, count(model), compile_seconds, seconds, accuracies, error))
        models[name] = model

    print(f"\n{'model':24}{'parameters':>11}{'compile':>9}{'train':>8}{'upright':>9}"
          f"{'8 copies':>10}{'invariance error':>18}")  # fmt: skip
    for r in results:
        times = f"{r.compile_seconds:8.1f}s{r.train_seconds:7.1f}s"
        scores = f"{r.accuracies[0]:9.1%}{r.accuracies.mean():10.1%}{r.invariance_error:18.1e}"
        print(f"{r.name:24}{r.parameters:11,}{times}{scores}")

    exported = evx.export(models["invariant"])
    difference = np.abs(
        jax.vmap(exported)(data.x_test) - models["invariant"](jnp.asarray(data.x_test))
    ).max()
    print(f"\nexported to plain Equinox: logits differ by at most {float(difference):.1e}")
    draw(results, data, rep, arguments.output)
    print(f"figure: {arguments.output}")


if __name__ == "__main__":
    main()
