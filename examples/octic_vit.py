"""Digits in all eight orientations: vision transformers of equal width, for an equal time.

Every image of scikit-learn's digits is shown turned by quarter turns and mirrored, to train and to
test. Networks: plain; of a mirror; of C4; of all eight symmetries ("octic"); and a hybrid, octic
for its first block and plain behind it. All have the same width, see the same data, and train for
the same number of seconds: processor time of all cores, compilation and tests not counted. Prints
accuracy on new digits in all orientations after a quarter, a half and all of the time, and draws it
against seconds.

    python examples/octic_vit.py                    # a few minutes on two idle cores
    python examples/octic_vit.py --seconds 60 --width 192
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
from sklearn.datasets import load_digits
from tqdm import tqdm

import equivax as evx

matplotlib.use("agg")
import matplotlib.pyplot as plt

SPACES = {
    "plain": evx.spaces.trivial_on_r2(),
    "mirror": evx.spaces.flip_on_r2(),
    "C4": evx.spaces.rot_on_r2(4),
    "octic": evx.spaces.flip_rot_on_r2(4),
    "hybrid": evx.spaces.flip_rot_on_r2(4),
}
RATE, CHUNK, TEST = 2e-3, 20, 600


class Curve(NamedTuple):
    """Seconds of training, and accuracy in percent after them."""

    seconds: np.ndarray
    accuracy: np.ndarray

    def after(self, seconds: float) -> float:
        """Accuracy at a time, between the nearest tests."""
        return float(np.interp(seconds, self.seconds, self.accuracy))


def orientations(images: np.ndarray) -> np.ndarray:
    """All eight of each image: ``(8, N, 1, side, side)``."""
    both = [images, images[..., ::-1]]
    return np.stack([np.rot90(x, k, axes=(-2, -1)) for x in both for k in range(4)])


def network(name: str, options: argparse.Namespace, seed: int) -> evx.models.VisionTransformer:
    """One of the rivals."""
    space = SPACES[name]
    return evx.models.VisionTransformer(
        evx.FieldType(space, space.trivial),
        classes=10,
        patch=2,
        size=8,
        width=options.width,
        depth=options.depth,
        heads=4,
        break_after=options.depth // 2 if name == "hybrid" else None,
        key=jax.random.key(seed),
    )


def loss(model: Any, images: jax.Array, labels: jax.Array) -> jax.Array:
    """Cross entropy."""
    return optax.softmax_cross_entropy_with_integer_labels(model(images), labels).mean()


OPTIMISER = optax.chain(
    optax.clip_by_global_norm(1.0), optax.scale_by_adam(), optax.add_decayed_weights(1e-2)
)


@eqx.filter_jit
def step(model: Any, progress: Any, images: jax.Array, labels: jax.Array, rate: jax.Array) -> Any:
    """One step of gradient descent; the rate is an argument, since it falls with the clock."""
    value, gradient = eqx.filter_value_and_grad(loss)(model, images, labels)
    parameters = eqx.filter(model, eqx.is_inexact_array)
    updates, progress = OPTIMISER.update(gradient, progress, parameters)
    updates = jax.tree.map(lambda update: -rate * update, updates)
    return eqx.apply_updates(model, updates), progress, value


@eqx.filter_jit
def hits(model: Any, images: jax.Array, labels: jax.Array) -> jax.Array:
    """How many digits are recognised."""
    return (model(images).argmax(-1) == labels).sum()


def accuracy(model: Any, images: np.ndarray, labels: np.ndarray) -> float:
    """Percent of all orientations ``(8, N, ...)``."""
    return 100 * float(np.mean([hits(model, x, labels) / len(labels) for x in images]))


def train(
    name: str, options: argparse.Namespace, data: tuple[np.ndarray, ...], seed: int
) -> tuple[Curve, int]:
    """Accuracy against seconds, and the number of steps."""
    images, labels, test_images, test_labels = data
    model, rng = network(name, options, seed), np.random.default_rng(seed)
    progress = OPTIMISER.init(eqx.filter(model, eqx.is_inexact_array))

    def batch() -> tuple[jax.Array, jax.Array]:
        chosen = rng.integers(len(labels), size=options.batch)
        turned = images[rng.integers(8, size=options.batch), chosen]
        return jnp.asarray(turned), jnp.asarray(labels[chosen])

    jax.block_until_ready(step(model, progress, *batch(), jnp.float32(0)))  # compiles
    seconds, steps, found = 0.0, 0, [(0.0, accuracy(model, test_images, test_labels))]
    with tqdm(total=100, desc=f"{name}, seed {seed}", leave=False, disable=None) as bar:
        while seconds < options.seconds:
            start = time.process_time()
            for _ in range(CHUNK):
                warm = min(1.0, (steps + 1) / 50)
                left = max(0.0, 1 - (seconds + time.process_time() - start) / options.seconds)
                rate = jnp.float32(RATE * warm * np.sin(np.pi / 2 * left))
                model, progress, value = step(model, progress, *batch(), rate)
                steps += 1
            jax.block_until_ready(value)
            seconds += time.process_time() - start
            if seconds >= min(options.seconds, len(found) * options.seconds / 4):
                found.append((seconds, accuracy(model, test_images, test_labels)))
            bar.n = min(100, round(100 * seconds / options.seconds))
            bar.set_postfix(loss=f"{value:.3f}")
    return Curve(*np.array(found).T), steps


def digits(smoke: bool) -> tuple[np.ndarray, ...]:
    """Digits in all orientations, 1197 to train and 600 to test."""
    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))[: 800 if smoke else None]
    images = orientations(found.images[order, None].astype(np.float32) / 8 - 1)
    labels = found.target[order].astype(np.int32)
    return images[:, TEST:], labels[TEST:], images[:, :TEST], labels[:TEST]


def main() -> None:
    """Trains every network with every seed; prints and draws the curves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=list(SPACES), choices=SPACES)
    parser.add_argument("--seconds", type=float, default=10, help="of training, each")
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--smoke", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument("--output", help="default: octic_vit.png; of --smoke a temporary file")
    options = parser.parse_args()
    folder = tempfile.mkdtemp() if options.smoke else ""
    output = options.output or Path(folder) / "octic_vit.png"
    if options.smoke:
        options.networks, options.seeds = ["plain", "octic", "hybrid"], [0]
        options.seconds, options.width, options.depth = 1.0, 32, 2
    data = digits(options.smoke)
    print(f"{len(data[1])} digits to train, {len(data[3])} to test, each in 8 orientations")
    print(f"{options.seconds:g} s each, seeds {options.seeds}: accuracy in % with deviation")
    found = {}
    for name in options.networks:
        runs = [train(name, options, data, seed) for seed in options.seeds]
        leaves = jax.tree.leaves(eqx.filter(network(name, options, 0), eqx.is_array))
        found[name] = sum(leaf.size for leaf in leaves), runs
    show(found, options.seconds, output)


def show(found: dict[str, Any], seconds: float, output: str | Path) -> None:
    """Prints and draws what training found: per network its size, and curves with their steps."""
    times = [share * seconds for share in (0.25, 0.5, 1.0)]
    heads = " ".join(f"{f'{t:.3g} s':>12}" for t in times)
    print(f"{'network':8} {'parameters':>10} {heads} {'steps':>7}")
    figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
    for number, (name, (size, runs)) in enumerate(found.items()):
        at = np.linspace(0, seconds, 49)
        table = np.array([[curve.after(t) for t in at] for curve, _ in runs])
        shown = np.array([[curve.after(t) for t in times] for curve, _ in runs])
        cells = " ".join(
            f"{m:6.1f} ±{s:4.1f}" for m, s in zip(shown.mean(0), shown.std(0), strict=True)
        )
        print(f"{name:8} {size:10,} {cells} {np.mean([n for _, n in runs]):7.0f}")
        mean, std = table.mean(0), table.std(0)
        axes.plot(at, mean, color=f"C{number}", label=f"{name}, {size // 1000} k parameters")
        axes.fill_between(at, mean - std, mean + std, color=f"C{number}", alpha=0.2)
    axes.set(xlabel="seconds of processor time", ylabel="accuracy in all orientations (%)")
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    figure.savefig(output, dpi=120)
    print(f"figure: {output}")


if __name__ == "__main__":
    main()
