"""A policy that walks around an obstacle: a transformer with the symmetry of the plane, and plain.

A robot stands on one side of a round obstacle and has to get to the other side, to the left or to
the right: demonstrations do either. A policy by flow matching (Lipman et al. 2023) makes eight
steps of noise, given where the robot and its goal are. Networks: `ConditionalTransformer` with the
symmetries of the square, D4; with the trivial group, "plain"; and that with demonstrations turned
and mirrored at random, "augmented". All have the same width and see as many batches. Prints how
many new tasks succeed, by the number of demonstrations, and draws the ways that two of them take.

    python examples/robot_policy.py                 # some minutes on two cores
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
from tqdm import tqdm

import equivax as evx

matplotlib.use("agg")
import matplotlib.pyplot as plt
from matplotlib.patches import Circle

D4, C1 = evx.groups.dihedral(4), evx.groups.cyclic(1)
ACTION = {"D4": D4.irrep(1, 1), "plain": 2 * C1.trivial, "augmented": 2 * C1.trivial}
TIMES, OBSTACLE, NEAR, SCALE = 8, 0.5, 0.25, 0.4
OPTIMISER = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(2e-3))


def tasks(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Where robot and goal are ``(count, 1, 4)``, and a good way ``(count, TIMES, 2)`` in steps."""
    start = rng.uniform(0, 2 * np.pi, count)
    turn = np.pi + rng.uniform(-0.5, 0.5, count)
    turn = np.where(rng.random(count) < 0.5, turn, turn - 2 * np.pi)  # left or right
    angles = start[:, None] + turn[:, None] * np.linspace(0, 1, TIMES + 1)
    places = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    seen = np.concatenate([places[:, 0], places[:, -1]], axis=-1)[:, None]
    return seen.astype(np.float32), (np.diff(places, axis=1) / SCALE).astype(np.float32)


def orbit(seen: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All eight images of every demonstration."""
    turns = [D4.irrep(1, 1)(g) for g in D4.elements]
    both = [np.kron(np.eye(2), turn) for turn in turns]
    moved = [seen @ pair.T for pair in both], [steps @ turn.T for turn in turns]
    seen, steps = (np.concatenate(images).astype(np.float32) for images in moved)
    return seen, steps


def network(name: str, options: argparse.Namespace, seed: int) -> evx.models.ConditionalTransformer:
    """One of the rivals."""
    action = ACTION[name]
    return evx.models.ConditionalTransformer(
        *(action, 2 * action),
        hidden=options.width,
        num_heads=2,
        depth=2,
        feedforward=2 * options.width,
        step_size=32,
        key=jax.random.key(seed),
    )


def loss(model: Any, seen: jax.Array, steps: jax.Array, key: jax.Array) -> jax.Array:
    """How far the model is from the way from noise to the demonstration, on average over it."""
    first, second = jax.random.split(key)
    noise = jax.random.normal(first, steps.shape)
    time = jax.random.uniform(second, steps.shape[:1])
    between = noise + time[:, None, None] * (steps - noise)
    return jnp.mean((model(between, seen, step=100 * time) - (steps - noise)) ** 2)


@eqx.filter_jit
def train(model: Any, seen: jax.Array, steps: jax.Array, keys: jax.Array, batch: int) -> Any:
    """The trained model."""
    parameters, rest = eqx.partition(model, eqx.is_inexact_array)

    def step(carry: Any, key: jax.Array) -> Any:
        parameters, progress = carry
        first, second = jax.random.split(key)
        chosen = jax.random.randint(first, (batch,), 0, len(seen))
        slope = jax.grad(lambda p: loss(eqx.combine(p, rest), seen[chosen], steps[chosen], second))
        updates, progress = OPTIMISER.update(slope(parameters), progress)
        return (eqx.apply_updates(parameters, updates), progress), None

    (parameters, _), _ = jax.lax.scan(step, (parameters, OPTIMISER.init(parameters)), keys)
    return eqx.combine(parameters, rest)


@eqx.filter_jit
def ways(model: Any, seen: jax.Array, key: jax.Array) -> jax.Array:
    """Where the robot goes ``(count, TIMES + 1, 2)``: noise, moved along the flow."""
    size = 16

    def step(x: jax.Array, time: jax.Array) -> Any:
        return x + model(x, seen, step=100 * time) / size, None

    noise = jax.random.normal(key, (len(seen), TIMES, 2))
    steps, _ = jax.lax.scan(step, noise, jnp.arange(size) / size)
    start = seen[:, :, :2]
    return jnp.concatenate([start, start + SCALE * jnp.cumsum(steps, axis=1)], axis=1)


def successes(places: np.ndarray, seen: np.ndarray) -> float:
    """Percent of ways that end near the goal and touch no obstacle, at or between the steps."""
    fine = np.concatenate([places, (places[:, 1:] + places[:, :-1]) / 2], axis=1)
    free = np.linalg.norm(fine, axis=-1).min(axis=1) > OBSTACLE
    near = np.linalg.norm(places[:, -1] - seen[:, 0, 2:], axis=-1) < NEAR
    return 100 * float(np.mean(free & near))


def main() -> None:
    """Trains every network on every number of demonstrations; prints and draws."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demonstrations", type=int, nargs="*", default=[16, 64])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--smoke", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument("--output", help="default: robot_policy.png; of --smoke a temporary file")
    options = parser.parse_args()
    folder = tempfile.mkdtemp() if options.smoke else ""
    output = options.output or Path(folder) / "robot_policy.png"
    if options.smoke:
        options.demonstrations, options.steps, options.seeds = [8], 20, [0]
    new, _ = tasks(500, np.random.default_rng(99))
    print(f"{options.steps} steps, seeds {options.seeds}: % of {len(new)} new tasks that succeed")
    print(f"{'network':10} {'parameters':>10}", *[f"{n:>5} shown" for n in options.demonstrations])
    drawn = {}
    for name in ACTION:
        cells = []
        for count in options.demonstrations:
            found = []
            for seed in tqdm(options.seeds, desc=f"{name}, {count}", leave=False, disable=None):
                shown = tasks(count, np.random.default_rng(seed))
                shown = orbit(*shown) if name == "augmented" else shown
                seen, steps = map(jnp.asarray, shown)
                keys = jax.random.split(jax.random.key(seed), options.steps)
                model = train(network(name, options, seed), seen, steps, keys, options.batch)
                places = np.asarray(ways(model, jnp.asarray(new), jax.random.key(1)))
                found.append(successes(places, new))
            cells.append(f"{np.mean(found):5.1f} ±{np.std(found):4.1f}")
            drawn.setdefault(name, places[:30])  # of the fewest demonstrations
        leaves = jax.tree.leaves(eqx.filter(network(name, options, 0), eqx.is_array))
        print(f"{name:10} {sum(leaf.size for leaf in leaves):10,}", *cells)
    show(drawn, new, options.demonstrations[0], output)


def show(drawn: dict[str, np.ndarray], seen: np.ndarray, count: int, output: str | Path) -> None:
    """Draws the ways that networks take."""
    figure, axes = plt.subplots(1, len(drawn), figsize=(9, 3.3), layout="constrained")
    for panel, (name, places) in zip(axes, drawn.items(), strict=True):
        panel.add_patch(Circle((0, 0), OBSTACLE, color="0.8"))
        for way, goal in zip(places, seen[:, 0, 2:], strict=False):
            good = successes(way[None], np.concatenate([way[0], goal])[None, None]) > 0
            panel.plot(*way.T, color="C0" if good else "C3", alpha=0.6, linewidth=1)
            panel.plot(*goal, ".", color="0.3", markersize=4)
        panel.set(title=f"{name}, {count} demonstrations", aspect="equal", xticks=[], yticks=[])
        panel.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6))
    figure.savefig(output, dpi=120)
    print(f"figure: {output}")


if __name__ == "__main__":
    main()
