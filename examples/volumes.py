"""Grey and white matter in a brain: what symmetry saves in labelled patches.

nilearn ships an average of 152 brains: T1 images, and how probable grey and white matter are. A
"scan" is the T1 average in voxels of 2 mm with noise and an uneven gain. U-Nets label its voxels
as grey matter, white matter or neither. They learn from a few patches of the back of the head and
are tested on its front: as it lies, under rotations of a cube, and with the head turned by any
rotation before it is scanned. The rivals of the octahedral U-Net are plain ones of as many
parameters ("plain"), of as many channels ("wide"), and the latter trained for twice the steps on
patches turned by the rotations of a cube ("augmented"); it too is trained for twice the steps
("longer"). Prints Dice scores over seeds and draws them. The averages are files in nilearn's
package, so that nothing is downloaded.

    python examples/volumes.py          # eight minutes of one core
"""

import argparse
import functools
import importlib.util
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
from scipy import ndimage
from scipy.spatial.transform import Rotation
from tqdm import tqdm

import equivax as evx
from equivax import models

matplotlib.use("agg")
import matplotlib.pyplot as plt
from matplotlib.colors import ListedColormap

SIDE, SPACING = 13, 2.0  # voxels along a patch, and their size in mm
NOISE, GAIN = 0.3, 0.2  # where white matter is 0.2 brighter than grey
# Centres to learn from lie behind the first, those to test before the second (y of MNI, in mm):
# patches of the two do not meet. Left and right would not do: they are mirror images here.
BACK, FRONT = -28, 20
CLASSES = ("neither", "grey", "white")
CUBE, NONE = evx.spaces.octahedral_on_r3(), evx.spaces.trivial_on_r3()
NETWORKS = ("octahedral", "longer", "plain", "wide", "augmented")
TESTS = ("as it lies", "cube's turns", "any turn")


# ---- data --------------------------------------------------------------------------------------


class Brain(NamedTuple):
    """T1, grey and white matter ``(3, x, y, z)`` in steps of 1 mm, and MNI's origin in it."""

    maps: np.ndarray
    origin: np.ndarray


def brain() -> Brain:
    """The template in nilearn's package."""
    from nilearn import datasets

    loads = (
        datasets.load_mni152_template,
        datasets.load_mni152_gm_template,
        datasets.load_mni152_wm_template,
    )
    images = [load(resolution=1) for load in loads]
    maps = np.stack([image.get_fdata() for image in images]).astype(np.float32)
    maps[0] /= np.percentile(maps[0], 99.5)
    return Brain(maps, -images[0].affine[:3, 3])


class Patches(NamedTuple):
    """Scans ``(..., 1, z, y, x)`` and the classes of their voxels ``(..., z, y, x)``."""

    scans: np.ndarray
    labels: np.ndarray


def scanned(
    head: Brain, centre: Any, turn: np.ndarray, sides: Sequence[int], rng: np.random.Generator
) -> Patches:
    """What a scanner sees about a place of a turned head: noise and gain are the scanner's own."""
    grid = evx.spaces.grid_points(sides)
    places = (SPACING * grid @ turn.T + centre).T
    t1, grey, white = (ndimage.map_coordinates(m, places, order=1) for m in head.maps)
    gain = 1 + GAIN * (grid @ rng.standard_normal(3) / max(sides) + 0.5 * rng.standard_normal())
    scan = gain * t1 + NOISE * rng.standard_normal(len(grid))
    labels = np.argmax([1 - grey - white, grey, white], axis=0)
    return Patches(
        scan.reshape(1, *sides).astype(np.float32), labels.reshape(sides).astype(np.int32)
    )


def patches(head: Brain, size: int, front: bool, turned: bool, seed: int) -> Patches:
    """Patches about random places of grey or white matter; the same places if turned."""
    rng = np.random.default_rng([seed, front])
    y = np.arange(head.maps.shape[2]) - head.origin[1]
    part = (y > FRONT) if front else (y < BACK)
    inside = np.argwhere((head.maps[1:].sum(axis=0) > 0.5) & part[:, None])
    centres = inside[rng.integers(len(inside), size=size)]
    turns = Rotation.random(size, random_state=rng).as_matrix() if turned else [np.eye(3)] * size
    found = [
        scanned(head, centre, turn, (SIDE,) * 3, rng)
        for centre, turn in zip(centres, turns, strict=True)
    ]
    return Patches(*map(np.stack, zip(*found, strict=True)))


def all_turns(data: Patches) -> Patches:
    """Patches under the rotations of a cube, which need no resampling: ``(24, N, ...)``."""
    scan = evx.FieldType(CUBE, CUBE.trivial)

    def turns(x: np.ndarray) -> np.ndarray:
        return np.stack([np.asarray(scan.transform(x, g)) for g in CUBE.group.elements])

    labels = turns(data.labels[:, None].astype(np.float32))[:, :, 0]
    return Patches(turns(data.scans), np.rint(labels).astype(np.int32))


def cube_turned(data: Patches, seed: int) -> Patches:
    """Every patch under one rotation of a cube."""
    some = np.random.default_rng(seed).integers(CUBE.group.order, size=len(data.labels))
    return Patches(*(x[some, np.arange(len(some))] for x in all_turns(data)))


# ---- networks ----------------------------------------------------------------------------------


def unit() -> evx.Representation:
    """Twelve channels: three scalars, one for each face of a cube, one for each of its axes.

    They are permutations, so that ReLUs stay equivariant, and smaller than a regular field of 24
    channels, which is one filter in all directions: here are five filters, most of them round.
    """
    quarter = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])  # about z
    half = np.diag([1, -1, -1])  # about x
    faces, axes = (CUBE.quotient(generators) for generators in ([quarter], [quarter, half]))
    return 3 * CUBE.trivial + faces + axes


def maker(name: str) -> Callable[..., models.FieldUNet]:
    """What makes a network from a key; all kernels that the symmetry allows."""
    space = CUBE if name in ("octahedral", "longer") else NONE
    ends = [evx.FieldType(space, n * space.trivial) for n in (1, len(CLASSES))]
    return functools.partial(
        models.FieldUNet,
        *ends,
        channels=(3, 6) if name == "plain" else (12, 24),
        unit=unit() if space is CUBE else None,
        basis="grid",
    )


def count(make: Callable[..., Any]) -> int:
    """Parameters of a network, without allocating it."""
    model, _ = eqx.filter_eval_shape(eqx.nn.make_with_state(make), key=jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(model) if hasattr(leaf, "size"))


# ---- training ----------------------------------------------------------------------------------


def loss(model: Any, state: Any, scans: jax.Array, labels: jax.Array) -> tuple[jax.Array, Any]:
    """Cross entropy and what a soft Dice score lacks of one; the new state of batch norms."""
    logits, state = model(scans, state)
    logits = jnp.moveaxis(logits, 1, -1)
    entropy = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    guess, truth = jax.nn.softmax(logits), jax.nn.one_hot(labels, len(CLASSES))
    both, total = (x.sum(axis=(0, 1, 2, 3)) for x in (guess * truth, guess + truth))
    return entropy + 1 - jnp.mean(2 * both / total), state


@functools.cache
def optimiser(steps: int) -> optax.GradientTransformation:
    """Adam with a cosine schedule."""
    return optax.adam(optax.cosine_decay_schedule(1e-2, steps))


@eqx.filter_jit
def step(model: Any, state: Any, progress: Any, data: Patches, steps: int) -> Any:
    """One step of gradient descent."""
    (value, state), gradient = eqx.filter_value_and_grad(loss, has_aux=True)(model, state, *data)
    updates, progress = optimiser(steps).update(gradient, progress)
    return eqx.apply_updates(model, updates), state, progress, value


def train(name: str, data: Patches, options: Any, seed: int) -> tuple[Any, Any]:
    """A trained network, ready for inference, and its state."""
    turns = all_turns(data) if name == "augmented" else Patches(*(x[None] for x in data))
    steps = options.steps * (2 if name in ("augmented", "longer") else 1)
    model, state = eqx.nn.make_with_state(maker(name))(key=jax.random.key(seed))
    progress = optimiser(steps).init(eqx.filter(model, eqx.is_inexact_array))
    rng = np.random.default_rng(seed)
    size = len(data.labels)
    bar = tqdm(range(steps), desc=f"{name}, {size}, {seed}", leave=False, disable=None)
    for _ in bar:
        chosen = tuple(rng.integers(n, size=options.batch) for n in turns.labels.shape[:2])
        batch = Patches(*(jnp.asarray(x[chosen]) for x in turns))
        model, state, progress, value = step(model, state, progress, batch, steps)
        bar.set_postfix(loss=f"{value:.3f}")
    return eqx.nn.inference_mode(model), state


@eqx.filter_jit
def predict(model: Any, state: Any, scans: jax.Array) -> jax.Array:
    """The most probable classes."""
    return jnp.argmax(model(scans, state)[0], axis=-4)


def dice(model: Any, state: Any, data: Patches) -> float:
    """Overlap with the truth in per cent, the mean of grey and white matter."""
    parts = np.array_split(data.scans, max(1, len(data.scans) // 10))
    found = np.concatenate([predict(model, state, jnp.asarray(part)) for part in parts])
    scores = []
    for label in (1, 2):
        ours, true = found == label, data.labels == label
        scores.append(200.0 * (ours & true).sum() / (ours.sum() + true.sum()))
    return float(np.mean(scores))


def main() -> None:
    """Trains every network with every seed; prints and draws the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10], help="patches to learn from")
    parser.add_argument("--test", type=int, default=40)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--smoke", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument("--output", help="default: volumes.png; of --smoke a temporary file")
    options = parser.parse_args()
    if importlib.util.find_spec("nilearn") is None:
        print("needs nilearn (pip install nilearn): nothing is run")
        return
    folder = tempfile.mkdtemp() if options.smoke else ""
    output = options.output or Path(folder) / "volumes.png"
    if options.smoke:
        options.steps, options.test, options.seeds = 4, 4, [0]
        options.networks = ["octahedral", "plain", "augmented"]

    head = brain()
    upright, turned = (patches(head, options.test, True, t, 1000) for t in (False, True))
    tests = upright, cube_turned(upright, 1000), turned
    print(f"{options.steps} steps, seeds {options.seeds}: Dice in % with standard deviation")
    print(f"{'network':10} {'parameters':>10} {'patches':>7} "
          f"{' '.join(f'{t:>12}' for t in TESTS)} {'s a seed':>9}")  # fmt: skip
    found: dict[int, dict[str, np.ndarray]] = {}
    shown: dict[str, tuple[Any, Any]] = {}
    for size in options.sizes:
        found[size] = {}
        for name in options.networks:
            start, rows = time.perf_counter(), []
            for seed in options.seeds:
                trained = train(name, patches(head, size, False, False, seed), options, seed)
                rows.append([dice(*trained, test) for test in tests])
                shown.setdefault(name, trained)
            seconds = (time.perf_counter() - start) / len(rows)
            found[size][name] = table = np.array(rows)
            cells = " ".join(f"{c.mean():6.1f} ±{c.std():4.1f}" for c in table.T)
            print(f"{name:10} {count(maker(name)):10,} {size:7} {cells} {seconds:9.0f}", flush=True)
    draw(head, shown, found, output)


def draw(
    head: Brain,
    networks: dict[str, tuple[Any, Any]],
    found: dict[int, dict[str, np.ndarray]],
    output: str | Path,
) -> None:
    """A slice of the front with what the networks of the first seed say, and all scores."""
    sides = (53, SIDE, 65)  # networks of convolutions take any grid
    centre = head.origin + np.array([0, 38, 14])
    scan, labels = scanned(head, centre, np.eye(3), sides, np.random.default_rng(5))
    pictures = {"scan": scan[0], "truth": labels}
    for name, trained in networks.items():
        pictures[name] = np.asarray(predict(*trained, jnp.asarray(scan)))
    figure = plt.figure(figsize=(9, 4.6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.6))
    colors = ListedColormap(["white", "C0", "C1"])
    slices = above.subplots(1, len(pictures))
    for own, (name, picture) in zip(slices, pictures.items(), strict=True):
        options: Any = {"cmap": "gray"} if name == "scan" else {"cmap": colors, "vmax": 2}
        own.imshow(picture[:, SIDE // 2], **options)
        own.set_title(name, fontsize=9)
        own.axis("off")
    axes = below.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for own, (size, tables) in zip(axes, found.items(), strict=True):
        for number, (name, table) in enumerate(tables.items()):
            places = np.arange(len(TESTS)) + 0.1 * number
            style: Any = {"fmt": "o", "capsize": 3, "color": f"C{number + 2}"}  # C0, C1: tissues
            own.errorbar(places, table.mean(axis=0), table.std(axis=0), label=name, **style)
        own.set_title(f"{size} patches to learn from", fontsize=9)
        own.set_xticks(np.arange(len(TESTS)) + 0.05 * (len(tables) - 1), TESTS)
        own.grid(alpha=0.3, axis="y")
    axes[0].set_ylabel("Dice (%)")
    below.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=len(NETWORKS),
        fontsize=8,
        frameon=False,
    )
    figure.savefig(output, dpi=110)
    print(f"figure: {output}")


if __name__ == "__main__":
    main()
