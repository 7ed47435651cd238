"""Digits trained upright and tested at all angles: steerable CNNs against a plain CNN.

By default scikit-learn's 8 x 8 digits, enlarged; with ``--mnist FOLDER`` 28 x 28 images from
``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte`` (gzipped or not). All networks have as
many parameters as the plain one. Prints accuracy by angle and writes ``rotated_digits.png``.

    python examples/rotated_digits.py                          # a few minutes on two cores
    python examples/rotated_digits.py --mnist FOLDER --seeds 0 1 2 --groups C1 C4 C8 D4 SO2
"""

import argparse
import dataclasses
import functools
import gzip
import time
from pathlib import Path

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
SIZE = 29  # odd, and (29 - 1) / 2 is even: pooling by 2 keeps quarter turns exact
BLUR = 0.66


# ---- data --------------------------------------------------------------------------------------


@dataclasses.dataclass
class Split:
    """Images ``(N, SIZE, SIZE)`` in [0, 1] and labels."""

    images: np.ndarray
    labels: np.ndarray

    def turned(self, angle: float) -> np.ndarray:
        """The images turned by an angle in degrees, by a cubic spline."""
        turn = functools.partial(ndimage.rotate, axes=(2, 1), reshape=False, order=3)
        return np.clip(turn(self.images, angle), 0.0, 1.0)


def scikit_digits() -> list[Split]:
    """1797 images: 1000 to train, 200 to validate, 597 to test."""
    data = load_digits()
    small = data.images.astype(np.float32) / 16.0
    large = np.clip(ndimage.zoom(small, (1, 2.5, 2.5), order=3), 0.0, 1.0)  # 20 x 20
    return cut(padded(large), data.target, (1000, 200, 597))


def mnist(folder: Path) -> list[Split]:
    """The 10,000 test images of MNIST: 6000 to train, 1000 to validate, 3000 to test."""

    def read(name: str, header: int) -> np.ndarray:
        path = next(p for p in (folder / name, folder / f"{name}.gz") if p.exists())
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return np.frombuffer(raw, np.uint8, offset=header)

    images = read("t10k-images-idx3-ubyte", 16).reshape(-1, 28, 28).astype(np.float32) / 255.0
    return cut(padded(images), read("t10k-labels-idx1-ubyte", 8), (6000, 1000, 3000))


def padded(images: np.ndarray) -> np.ndarray:
    """Images in the middle of ``SIZE x SIZE`` (shifted by half a pixel if their size is even)."""
    before = (SIZE - images.shape[1]) // 2
    after = SIZE - images.shape[1] - before
    return np.pad(images, ((0, 0), (before, after), (before, after)))


def cut(images: np.ndarray, labels: np.ndarray, sizes: tuple[int, ...]) -> list[Split]:
    """Parts of shuffled data; the same for every network and seed."""
    order = np.random.default_rng(0).permutation(len(images))
    parts = np.split(order, np.cumsum(sizes))[:-1]
    return [Split(images[part].astype(np.float32), labels[part].astype(np.int32)) for part in parts]


# ---- networks ----------------------------------------------------------------------------------


def hidden(space: evx.spaces.GSpace) -> evx.Representation:
    """What is copied: the regular representation, or low frequencies of a continuous group."""
    if space.group.order is not None:
        return space.regular
    return space.trivial + space.irrep(1) + space.irrep(2)


def block(x: evx.FieldType, copies: int, size: int, pool: bool, key) -> list:
    """Convolution, batch norm, nonlinearity and, if asked, antialiased pooling by two."""
    space, unit = x.space, copies * hidden(x.space)
    fields = evx.FieldType(space, unit)
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


class SteerableCNN(eqx.Module):
    """Three steerable blocks, an invariant map, the mean over a disc, a linear readout."""

    features: nn.Sequential
    readout: eqx.nn.Linear

    def __init__(self, space: evx.spaces.GSpace, copies: int, key):
        keys = jax.random.split(key, 4)
        x = evx.FieldType(space, space.trivial)
        layers = [nn.Mask(x, SIZE, margin=2.0), *block(x, -(-copies // 2), 7, True, keys[0])]
        layers += block(layers[-1].out_type, copies, 5, True, keys[1])
        layers += block(layers[-1].out_type, copies, 5, False, keys[2])
        fields = layers[-1].out_type
        invariant = nn.GroupPooling if space.group.order is not None else nn.NormPool
        self.features = nn.Sequential(*layers, invariant(fields))
        self.readout = eqx.nn.Linear(len(fields), 10, key=keys[3])

    def __call__(self, images, state):
        """Logits ``(batch, 10)`` of images ``(batch, 1, SIZE, SIZE)``."""
        y, state = self.features(images, state)
        return jax.vmap(self.readout)(y.mean(axis=(-2, -1))), state


class PlainCNN(eqx.Module):
    """The same layers without symmetry, in Equinox."""

    layers: list
    readout: eqx.nn.Linear

    def __init__(self, channels: int, key):
        keys = jax.random.split(key, 4)
        widths = [1, -(-channels // 2), channels, channels]
        self.layers = []
        for number, size in enumerate((7, 5, 5)):
            a, b = widths[number : number + 2]
            conv = eqx.nn.Conv2d(a, b, size, padding=size // 2, use_bias=False, key=keys[number])
            norm = eqx.nn.BatchNorm(b, "batch", momentum=0.9, mode="batch")
            pool = eqx.nn.AvgPool2d(5, 2, 2) if number < 2 else eqx.nn.Identity()
            self.layers += [conv, norm, eqx.nn.Lambda(jax.nn.relu), pool]
        self.readout = eqx.nn.Linear(channels, 10, key=keys[3])

    def one(self, x, state):
        for layer in self.layers:
            if isinstance(layer, eqx.nn.BatchNorm):
                x, state = layer(x, state)
            else:
                x = layer(x)
        return self.readout(x.mean(axis=(-2, -1))), state

    def __call__(self, images, state):
        """Logits ``(batch, 10)`` of images ``(batch, 1, SIZE, SIZE)``."""
        return jax.vmap(self.one, axis_name="batch", in_axes=(0, None), out_axes=(0, None))(
            images, state
        )


def count(make) -> int:
    """Parameters of a network, without allocating it."""
    model, _ = eqx.filter_eval_shape(eqx.nn.make_with_state(make), key=jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(model) if hasattr(leaf, "size"))


def network(name: str, width: int, seed: int):
    """A network and its state; a steerable one has at most as many parameters as the plain one."""
    plain = functools.partial(PlainCNN, width)
    if name == "plain":
        return eqx.nn.make_with_state(plain)(key=jax.random.key(seed))
    space, budget, copies = GROUPS[name], count(plain), 1
    while count(functools.partial(SteerableCNN, space, copies + 1)) <= budget:
        copies += 1
    return eqx.nn.make_with_state(SteerableCNN)(space, copies, key=jax.random.key(seed))


# ---- training ----------------------------------------------------------------------------------


def loss(model, state, images, labels):
    logits, state = model(images, state)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), state


def train(model, state, data: Split, epochs: int, batch: int, seed: int, label: str):
    """Adam with decoupled weight decay and a cosine schedule."""
    steps = epochs * (len(data.labels) // batch)
    optimiser = optax.adamw(optax.cosine_decay_schedule(5e-3, steps), weight_decay=1e-4)
    progress = optimiser.init(eqx.filter(model, eqx.is_inexact_array))
    rng = np.random.default_rng(seed)

    @eqx.filter_jit(donate="all")
    def step(model, state, progress, images, labels):
        (value, state), gradient = eqx.filter_value_and_grad(loss, has_aux=True)(
            model, state, images, labels
        )
        updates, progress = optimiser.update(
            gradient, progress, eqx.filter(model, eqx.is_inexact_array)
        )
        return eqx.apply_updates(model, updates), state, progress, value

    with tqdm(total=steps, desc=label, leave=False) as bar:
        for _ in range(epochs):
            order = rng.permutation(len(data.labels))
            for part in np.split(order[: len(order) // batch * batch], len(order) // batch):
                images, labels = data.images[part][:, None], data.labels[part]
                model, state, progress, value = step(
                    model, state, progress, jnp.asarray(images), jnp.asarray(labels)
                )
                bar.update()
            bar.set_postfix(loss=f"{value:.3f}")
    return eqx.nn.inference_mode(model), state


def accuracies(model, state, data: Split, angles, batch: int = 250) -> np.ndarray:
    """Accuracy at each angle, in percent."""
    predict = eqx.filter_jit(lambda images: jnp.argmax(model(images, state)[0], axis=-1))
    found = []
    for angle in angles:
        images = data.turned(angle)[:, None]
        chunks = np.array_split(images, max(1, len(images) // batch))
        hits = np.concatenate([np.asarray(predict(jnp.asarray(c))) for c in chunks]) == data.labels
        found.append(100.0 * hits.mean())
    return np.array(found)


def main() -> None:
    """Trains every network with every seed, then prints and draws the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", nargs="*", default=["C4", "C8"], choices=GROUPS)
    parser.add_argument("--mnist", type=Path, help="folder with IDX files of 28 x 28 images")
    parser.add_argument("--width", type=int, default=16, help="channels of the plain network")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--step", type=int, default=15, help="degrees between tested angles")
    parser.add_argument("--smoke", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument("--output", type=Path, default=Path("rotated_digits.png"))
    options = parser.parse_args()
    training, _, test = mnist(options.mnist) if options.mnist else scikit_digits()
    if options.smoke:
        options.epochs, options.step, options.width = 1, 90, 6
        training, test = (Split(d.images[:100], d.labels[:100]) for d in (training, test))
    angles = np.arange(0, 360, options.step)
    figure, axes = plt.subplots(figsize=(7, 4))
    print(f"{'network':8s} {'parameters':>10s} {'upright':>8s} {'all angles':>10s} {'worst':>6s}")
    for name in ["plain", *options.groups]:
        rows, start = [], time.perf_counter()
        for seed in options.seeds:
            model, state = network(name, options.width, seed)
            size = sum(x.size for x in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array)))
            label = f"{name}, seed {seed}"
            model, state = train(model, state, training, options.epochs, options.batch, seed, label)
            rows.append(accuracies(model, state, test, angles))
        table = np.array(rows)
        mean, spread = table.mean(axis=0), table.mean(axis=1).std()
        print(
            f"{name:8s} {size:10d} {mean[0]:8.2f} {mean.mean():10.2f} {mean.min():6.2f}   "
            f"(over {len(rows)} seeds: all angles +- {spread:.2f}; "
            f"{time.perf_counter() - start:.0f} s)",
            flush=True,
        )
        axes.plot(angles, mean, marker=".", label=f"{name} ({size} parameters)")
    axes.set(xlabel="angle of the test images in degrees", ylabel="accuracy in %", ylim=(0, 100))
    axes.legend()
    figure.tight_layout()
    figure.savefig(options.output, dpi=150)


if __name__ == "__main__":
    main()
