"""Shapes as point clouds, at any orientation: which group, and what does augmentation need?

Two tasks. "tetris": the eight ways to join four cubes in space, as noisy centres; two of them are
mirror images. "solids": 16 noisy points on spheres, cubes, cylinders, cones, left and right screws.
Networks are trained on upright shapes and tested on turned ones: an SO(3) network; an O(3) network,
which cannot tell mirror images; a plain message-passing network of about as many parameters,
trained upright, or on turned shapes for four times the steps ("augmented"). Prints accuracies over
seeds and draws them.

    python examples/points.py          # a few minutes on two cores
"""

import argparse
import functools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
from scipy.spatial.transform import Rotation
from tqdm import tqdm

import equivax as evx
from equivax import models, nn

matplotlib.use("agg")
import matplotlib.pyplot as plt

TETRIS = np.array(
    [
        [[0, 0, 0], [0, 0, 1], [1, 0, 0], [1, 1, 0]],  # chiral, and its mirror image
        [[0, 0, 0], [0, 0, 1], [1, 0, 0], [1, -1, 0]],
        [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]],  # square
        [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 0, 3]],  # line
        [[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]],  # corner
        [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 1, 0]],  # L
        [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 1, 1]],  # T
        [[0, 0, 0], [1, 0, 0], [1, 1, 0], [2, 1, 0]],  # zigzag
    ],
    dtype=float,
)
SOLIDS = ("sphere", "cube", "cylinder", "cone", "left screw", "right screw")
MIRRORED = {"tetris": (0, 1), "solids": (4, 5)}  # two classes that are mirror images
CLASSES = {"tetris": len(TETRIS), "solids": len(SOLIDS)}
NETWORKS = ("SO(3)", "O(3)", "plain", "augmented")
RADIUS = {"tetris": 1.6, "solids": 1.0}
EDGES = {"tetris": 12, "solids": 160}
NOISE = {"tetris": 0.08, "solids": 0.03}


# ---- data --------------------------------------------------------------------------------------


def surface(solid: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Random points on a solid of about unit size."""
    t, z = rng.uniform(0, 2 * np.pi, count), rng.uniform(-1, 1, count)
    circle = np.stack([np.cos(t), np.sin(t)], axis=1)
    if solid == "sphere":
        return np.column_stack([np.sqrt(1 - z**2)[:, None] * circle, z])
    if solid == "cube":
        points = rng.uniform(-0.8, 0.8, (count, 3))
        points[np.arange(count), rng.integers(3, size=count)] = 0.8 * rng.choice([-1, 1], count)
        return points
    if solid == "cylinder":
        return np.column_stack([0.7 * circle, z])
    if solid == "cone":
        share = np.sqrt(rng.uniform(0, 1, count))
        return np.column_stack([share[:, None] * circle, 1 - 2 * share])
    turn = np.pi * z * (1 if solid == "right screw" else -1)
    return np.column_stack([0.7 * np.cos(turn), 0.7 * np.sin(turn), z])


def shapes(task: str, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Upright shapes ``(size, points, 3)``, as many of each class, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(size) % CLASSES[task]
    if task == "tetris":
        points = TETRIS[labels]
    else:
        points = np.stack([surface(SOLIDS[label], 16, rng) for label in labels])
    points = points + NOISE[task] * rng.standard_normal(points.shape)
    points -= points.mean(axis=1, keepdims=True)
    return points.astype(np.float32), labels.astype(np.int32)


def turned(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every shape turned by a rotation of its own, all equally likely."""
    matrices = Rotation.random(len(points), random_state=rng).as_matrix()
    return np.einsum("bij,bnj->bni", matrices, points).astype(np.float32)


# ---- networks ----------------------------------------------------------------------------------


class Steerable(eqx.Module):
    """A `PointNetwork` on points that are all alike."""

    network: models.PointNetwork

    def __init__(self, space: evx.spaces.GSpace, task: str, key: jax.Array):
        scalars, vectors = space.trivial, space.vector
        # Of O(3), tensors as products of two vectors: even under the inversion.
        tensors = space.irrep(2) if space.group is evx.groups.so3() else space.irrep(0, 2)
        hidden = evx.FieldType(space, 16 * scalars + 8 * vectors + 2 * tensors)
        classes = evx.FieldType(space, CLASSES[task] * scalars)
        self.network = models.PointNetwork(
            evx.FieldType(space, scalars),
            classes,
            hidden,
            width=RADIUS[task],
            depth=3,
            rings=3,
            frequency_cutoff=1,
            key=key,
        )

    def __call__(self, points: jax.Array, senders: jax.Array, receivers: jax.Array) -> jax.Array:
        """Logits of a batch of clouds."""
        return self.network(jnp.ones((*points.shape[:-1], 1)), points, senders, receivers)


class Message(eqx.Module):
    """An MLP of an offset and of what its sender knows.

    Three coordinates beside all channels of the sender would be lost at first, when these hardly
    differ from shape to shape: the network then learns nothing. So offsets have a matrix, and hence
    an initial scale, of their own.
    """

    offset: eqx.nn.Linear
    sender: eqx.nn.Linear
    out: eqx.nn.Linear

    def __init__(self, width: int, key: jax.Array):
        first, second, third = jax.random.split(key, 3)
        self.offset = eqx.nn.Linear(3, width, key=first)
        self.sender = eqx.nn.Linear(width, width, use_bias=False, key=second)
        self.out = eqx.nn.Linear(width, width, key=third)

    def __call__(self, offset: jax.Array, sender: jax.Array) -> jax.Array:
        """What one neighbour says."""
        return self.out(jax.nn.silu(self.offset(offset) + self.sender(sender)))


class Plain(eqx.Module):
    """Message passing without symmetry: an MLP of offset and sender, means, an MLP of the mean."""

    messages: list[Message]
    norms: list[eqx.nn.LayerNorm]
    readout: eqx.nn.MLP
    width: int = eqx.field(static=True)
    radius: float = eqx.field(static=True)

    def __init__(self, width: int, task: str, key: jax.Array):
        *keys, last = jax.random.split(key, 4)
        self.width, self.radius = width, RADIUS[task]
        self.messages = [Message(width, key=k) for k in keys]
        self.norms = [eqx.nn.LayerNorm(width) for _ in keys]
        self.readout = eqx.nn.MLP(width, CLASSES[task], width, 1, jax.nn.silu, key=last)

    def one(self, points: jax.Array, senders: jax.Array, receivers: jax.Array) -> jax.Array:
        """Logits of one cloud."""
        count = len(points)
        place = jnp.where(receivers < 0, count, receivers)
        neighbours = jax.ops.segment_sum(jnp.ones(len(place)), place, count)
        offsets = 2 * (points[senders] - points[receivers]) / self.radius
        x = jnp.zeros((count, self.width))
        for message, norm in zip(self.messages, self.norms, strict=True):
            sent = jax.vmap(message)(offsets, x[senders])
            total = jax.ops.segment_sum(sent, place, count)
            x = x + jax.nn.silu(jax.vmap(norm)(total / jnp.maximum(neighbours, 1)[:, None]))
        return self.readout(x.mean(axis=0))

    def __call__(self, points: jax.Array, senders: jax.Array, receivers: jax.Array) -> jax.Array:
        """Logits of a batch of clouds."""
        return jax.vmap(self.one)(points, senders, receivers)


def count(make: Callable[..., Any]) -> int:
    """Parameters of a network, without allocating it."""
    model = eqx.filter_eval_shape(make, key=jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(model) if hasattr(leaf, "size"))


def maker(name: str, task: str) -> Callable[..., Any]:
    """What makes a network from a key; plain ones have about as many parameters as SO(3)."""
    if name == "O(3)":
        return functools.partial(Steerable, evx.spaces.flip_rot_on_r3(), task)
    steerable = functools.partial(Steerable, evx.spaces.rot_on_r3(), task)
    if name == "SO(3)":
        return steerable
    budget = count(steerable)
    width = max(w for w in range(4, 200) if 8 * w * w <= budget)
    return functools.partial(Plain, width, task)


# ---- training ----------------------------------------------------------------------------------


def edges_of(task: str, points: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Edges of every cloud of a batch."""
    return jax.vmap(lambda p: nn.radius_edges(p, RADIUS[task], EDGES[task]))(points)


@functools.cache
def optimiser(steps: int) -> optax.GradientTransformation:
    """Adam with a cosine schedule."""
    return optax.adam(optax.cosine_decay_schedule(5e-3, steps))


@eqx.filter_jit
def step(model: Any, progress: Any, points: Any, labels: Any, task: str, steps: int) -> Any:
    """One step of gradient descent."""

    def loss(model: Any) -> jax.Array:
        logits = model(points, *edges_of(task, points))
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    value, gradient = eqx.filter_value_and_grad(loss)(model)
    updates, progress = optimiser(steps).update(gradient, progress)
    return eqx.apply_updates(model, updates), progress, value


def train(name: str, task: str, options: Any, seed: int) -> Any:
    """A trained network."""
    points, labels = shapes(task, options.size, seed)
    steps = options.steps * (4 if name == "augmented" else 1)
    model = maker(name, task)(key=jax.random.key(seed))
    progress = optimiser(steps).init(eqx.filter(model, eqx.is_inexact_array))
    rng = np.random.default_rng(seed)
    bar = tqdm(range(steps), desc=f"{task}, {name}, {seed}", leave=False, disable=None)
    for _ in bar:
        chosen = rng.integers(len(points), size=options.batch)
        batch = turned(points[chosen], rng) if name == "augmented" else points[chosen]
        model, progress, _ = step(
            model, progress, jnp.asarray(batch), jnp.asarray(labels[chosen]), task, steps
        )
    return model


@eqx.filter_jit
def predict(model: Any, points: jax.Array, task: str) -> jax.Array:
    """The most probable classes."""
    return jnp.argmax(model(points, *edges_of(task, points)), axis=-1)


def scores(model: Any, task: str, options: Any) -> list[float]:
    """Accuracy on upright and on turned shapes, and on the turned mirror images alone."""
    points, labels = shapes(task, options.test, 1000)
    moved = turned(points, np.random.default_rng(1000))
    hits = [np.asarray(predict(model, jnp.asarray(p), task)) == labels for p in (points, moved)]
    pair = np.isin(labels, MIRRORED[task])
    return [100.0 * float(h.mean()) for h in (*hits, hits[1][pair])]


def main() -> None:
    """Trains every network with every seed on both tasks; prints and draws the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="*", default=list(CLASSES), choices=CLASSES)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--size", type=int, default=960, help="shapes to train on")
    parser.add_argument("--test", type=int, default=240)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--smoke", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument("--output", help="default: points.png; of --smoke a temporary file")
    options = parser.parse_args()
    folder = tempfile.mkdtemp() if options.smoke else ""
    output = options.output or Path(folder) / "points.png"
    if options.smoke:
        options.steps, options.test, options.seeds, options.tasks = 40, 48, [0], ["tetris"]

    names = ("SO(3)", "plain", "augmented") if options.smoke else NETWORKS
    print(f"{options.steps} steps, seeds {options.seeds}: accuracy in % with standard deviation")
    print(f"{'task':7} {'network':10} {'parameters':>10} {'upright':>12} {'turned':>12} "
          f"{'mirror pair':>12} {'s a seed':>9}")  # fmt: skip
    found: dict[str, dict[str, np.ndarray]] = {task: {} for task in options.tasks}
    for task in options.tasks:
        for name in names:
            start = time.perf_counter()
            rows = [scores(train(name, task, options, s), task, options) for s in options.seeds]
            seconds = (time.perf_counter() - start) / len(rows)
            found[task][name] = table = np.array(rows)
            cells = " ".join(f"{c.mean():6.1f} ±{c.std():4.1f}" for c in table.T)
            size = count(maker(name, task))
            print(f"{task:7} {name:10} {size:10,} {cells} {seconds:9.0f}", flush=True)
    draw(found, output)


def draw(found: dict[str, dict[str, np.ndarray]], output: str | Path) -> None:
    """Bars of what was found: per task and network an array of seeds and accuracies."""
    figure, axes = plt.subplots(
        1, len(found), figsize=(8, 3.4), sharey=True, squeeze=False, layout="constrained"
    )
    for own, (task, networks) in zip(axes[0], found.items(), strict=True):
        for number, (name, table) in enumerate(networks.items()):
            places = np.arange(3) + 0.2 * number
            color = f"C{number}"
            error = table.std(axis=0)
            own.bar(places, table.mean(axis=0), 0.18, yerr=error, color=color, label=name)
        own.set(title=task, ylim=(0, 105))
        own.set_xticks(np.arange(3) + 0.3, ["upright", "turned", "turned, mirrored\npair alone"])
        own.grid(alpha=0.3, axis="y")
    axes[0, 0].set_ylabel("accuracy (%)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    figure.savefig(output, dpi=120)
    print(f"figure: {output}")


if __name__ == "__main__":
    main()
