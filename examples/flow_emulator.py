"""Emulate a flow on a torus: an equivariant network against plain ones of as many parameters.

Viscous Burgers flow, ``u_t + (u . grad) u = nu laplace u``, simulated by exponax on a periodic
grid. The flows drift in all directions, in training as in the test: none is preferred. The networks
see four snapshots of the velocity, predict the fifth, and are then applied to their own output. All
are residual networks of dilated convolutions: the equivariant one on regular fields of the group of
the square, its rivals the same without symmetry, trained without and with augmentation by quarter
turns and mirror images. The test is made twice: on new flows, and on these turned by 90 degrees.

    python examples/flow_emulator.py    # three seeds; about two minutes on two cores
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import exponax as ex
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from tqdm import tqdm

from equivax import FieldType, images, models, nn, spaces

PAST, FUTURE = 4, 5
DILATIONS = (1, 2, 4, 2, 1)  # of the convolutions of a block: it sees the whole torus
VELOCITY = (1, 0)  # tensor order 1, parity 0
SNAPSHOTS, ONE = (images.Signature(((VELOCITY, number),)) for number in (PAST, 1))
GROUP = spaces.hyperoctahedral_on(2).group  # quarter turns and mirror images
PLAIN = GROUP.subgroup("trivial")
TURN, MIRROR = np.array([[0, -1], [1, 0]]), np.array([[1, 0], [0, -1]])
MOVES = [
    np.linalg.matrix_power(TURN, n) @ m for m in (np.eye(2, dtype=int), MIRROR) for n in range(4)
]


class Data(NamedTuple):
    """Windows of series: inputs with 4 snapshots, targets with 1 or 5."""

    x: images.MultiImage
    y: images.MultiImage


class Result(NamedTuple):
    """What one model achieved: relative errors per rollout step, upright and turned."""

    parameters: int
    compile_seconds: float
    train_seconds: float
    upright: np.ndarray
    turned: np.ndarray


def simulate(trajectories: int, steps: int, size: int, key: jax.Array) -> images.MultiImage:
    """Velocities ``(trajectories, steps, *grid, 2)`` as an image with time in its channels."""
    # Snapshots are 0.2 apart; finer grids need finer steps, or fast flows blow up.
    parts = max(4, size // 8)
    stepper = ex.RepeatedStepper(
        ex.stepper.Burgers(2, 2 * np.pi, size, 0.2 / parts, diffusivity=0.02), num_sub_steps=parts
    )
    swirls = ex.ic.RandomTruncatedFourierSeries(2, cutoff=4, std_one=True)

    def start(key: jax.Array) -> jax.Array:
        first, second, wind, way = jax.random.split(key, 4)
        u = 0.4 * jnp.concatenate([swirls(size, key=first), swirls(size, key=second)])
        speed = jax.random.uniform(wind, minval=0.5, maxval=1.0)
        angle = jax.random.uniform(way, maxval=2 * jnp.pi)
        return u + speed * jnp.stack([jnp.cos(angle), jnp.sin(angle)])[:, None, None]

    flows = jax.vmap(start)(jax.random.split(key, trajectories))
    series = jax.jit(jax.vmap(ex.rollout(stepper, steps - 1, include_init=True)))(flows)
    if not np.isfinite(series).all():
        raise FloatingPointError("a simulated flow is not finite: its steps in time are too long")
    # exponax: (trajectory, time, component, rows, columns); component 0 runs down the rows.
    blocks = {VELOCITY: jnp.moveaxis(series, 2, -1)[:, :, None]}
    return images.MultiImage(blocks, D=2, is_torus=True).fold_time()


def augmented(data: Data) -> Data:
    """All windows, turned and mirrored in all eight ways."""

    def copies(x: images.MultiImage) -> images.MultiImage:
        return jax.tree.map(lambda *blocks: jnp.concatenate(blocks), *map(x.transform, MOVES))

    return Data(*map(copies, data))


class Emulator(eqx.Module):
    """The last snapshot plus a tenth of what a network says: flows change little in one step."""

    last: models.LastStep
    lift: nn.Conv
    blocks: list[nn.Sequential]
    head: nn.Conv

    def __call__(self, x: images.MultiImage) -> images.MultiImage:
        """The next velocity; the blocks work on the dense channels."""
        h = self.lift(x.array)
        for block in self.blocks:
            h = h + block(h)
        change = images.MultiImage.from_array(self.head(h), ONE, D=2, is_torus=x.is_torus)
        return self.last(x) + 0.1 * change


def emulator(group: Any, copies: int, blocks: int, key: jax.Array) -> Emulator:
    """Residual blocks of dilated convolutions between regular fields of a group.

    A group of one element has the plain network: its regular fields are single channels.
    """
    before, after = (signature.field_type(2, group=group) for signature in (SNAPSHOTS, ONE))
    hidden = FieldType(before.space, copies * before.space.regular)
    keys = iter(jax.random.split(key, 2 + blocks * len(DILATIONS)))

    def conv(source: FieldType, target: FieldType, dilation: int = 1) -> nn.Conv:
        options: dict[str, Any] = dict(padding=dilation, dilation=dilation, basis="grid")
        return nn.Conv(source, target, 3, padding_mode="circular", key=next(keys), **options)

    def block() -> nn.Sequential:
        layers: list[nn.AbstractModule] = []
        for dilation in DILATIONS:
            # On regular fields any function of single numbers is equivariant.
            layers += [
                nn.PointwiseNonlinearity(hidden, jax.nn.gelu),
                conv(hidden, hidden, dilation),
            ]
        return nn.Sequential(*layers)

    lift = conv(before, hidden)
    return Emulator(
        models.LastStep(SNAPSHOTS, ONE), lift, [block() for _ in range(blocks)], conv(hidden, after)
    )


def count(model: Any) -> int:
    """Number of trainable parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(model, _is_array)))


def _is_array(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.inexact)


def width_for(parameters: int, blocks: int) -> int:
    """Channels of the plain network with as many parameters, or a few less."""
    few, many = 1, 64
    while many - few > 1:  # parameters grow with the width
        n = (few + many) // 2
        plain = eqx.filter_eval_shape(emulator, PLAIN, n, blocks, jax.random.key(0))
        few, many = (n, many) if count(plain) <= parameters else (few, n)
    return few


def train(
    model: Any, data: Data, steps: int, batch: int, seed: int, name: str
) -> tuple[Any, float, float]:
    """One recipe for all models; returns the model, seconds to compile and seconds to train."""
    optimiser = optax.adamw(optax.cosine_decay_schedule(3e-3, steps), weight_decay=1e-5)
    state = optimiser.init(eqx.filter(model, eqx.is_inexact_array))

    @eqx.filter_jit
    def step(model: Any, state: Any, x: Any, y: Any) -> tuple[Any, Any, jax.Array]:
        value, gradients = eqx.filter_value_and_grad(lambda m: images.smse(m(x), y))(model)
        updates, state = optimiser.update(gradients, state, eqx.filter(model, eqx.is_inexact_array))
        return eqx.apply_updates(model, updates), state, value

    rows = np.random.default_rng(seed)
    start = time.perf_counter()
    jax.block_until_ready(step(model, state, data.x[:batch], data.y[:batch])[2])
    compiled = time.perf_counter()
    with tqdm(total=steps, desc=name, leave=False, disable=None) as bar:
        for number in range(steps):
            chosen = rows.choice(data.x.batch[0], batch, replace=False)
            model, state, value = step(model, state, data.x[chosen], data.y[chosen])
            bar.update()
            if number % 20 == 0:
                bar.set_postfix(loss=f"{float(value):.2e}")
    return model, compiled - start, time.perf_counter() - compiled


def errors(model: Any, data: Data) -> np.ndarray:
    """Root of the mean square error of every rollout step, relative to that of predicting rest."""
    predicted = models.rollout(model, data.x, FUTURE)
    wrong = images.timestep_smse(predicted, data.y, FUTURE)
    return np.sqrt(wrong / images.timestep_smse(0 * data.y, data.y, FUTURE))


def draw(results: dict[str, list[Result]], series: dict[str, Any], output: str | Path) -> None:
    """Errors by step with bands of one standard deviation; speed and arrows of the last step."""
    panels = len(series) + 1
    figure, axes = plt.subplots(1, panels, figsize=(3.4 * panels, 3.4), layout="constrained")
    steps = np.arange(1, FUTURE + 1)
    for name, runs in results.items():
        table = np.array([run.upright for run in runs])
        mean, std = table.mean(axis=0), table.std(axis=0)
        axes[0].plot(steps, mean, marker=".", label=name)
        axes[0].fill_between(steps, mean - std, mean + std, alpha=0.2)
    axes[0].set(xlabel="step", ylabel="relative error", ylim=(0, None), xticks=steps)
    axes[0].legend(fontsize=8, frameon=False)
    largest = float(jnp.linalg.norm(series["truth"][VELOCITY][FUTURE - 1], axis=-1).max())
    for axis, (name, flow) in zip(axes[1:], series.items(), strict=True):
        u = np.asarray(flow[VELOCITY][FUTURE - 1])
        drawn = axis.imshow(np.linalg.norm(u, axis=-1), cmap="viridis", vmin=0, vmax=largest)
        every = max(1, len(u) // 16)
        rows, columns = np.mgrid[: len(u) : every, : len(u) : every]
        arrows = u[::every, ::every]
        # component 0 points down the rows, component 1 along the columns
        axis.quiver(columns, rows, arrows[..., 1], arrows[..., 0], color="w", angles="xy")
        axis.set_title(f"{name}, step {FUTURE}")
        axis.set_axis_off()
    figure.colorbar(drawn, ax=axes[1:], label="speed", shrink=0.8)
    figure.savefig(output, dpi=90)


def main() -> None:
    """Trains all networks for every seed and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--trajectories", type=int, default=16)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--copies", type=int, default=4, help="regular fields, of 8 channels each")
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--output", help="default: flow_emulator.png; of --smoke a temporary file")
    parser.add_argument("--smoke", action="store_true", help="a short run that checks the code")
    arguments = parser.parse_args()
    folder = tempfile.mkdtemp() if arguments.smoke else ""
    output = arguments.output or Path(folder) / "flow_emulator.png"
    if arguments.smoke:
        arguments.seeds = [0]
        arguments.size, arguments.trajectories, arguments.steps = 8, 3, 3
        arguments.copies, arguments.blocks, arguments.batch = 1, 1, 4

    results: dict[str, list[Result]] = {}
    for seed in arguments.seeds:
        train_key, test_key, key = jax.random.split(jax.random.key(seed), 3)
        length = PAST + FUTURE + 3
        series = simulate(arguments.trajectories, length, arguments.size, train_key)
        tests = simulate(max(2, arguments.trajectories // 4), length, arguments.size, test_key)
        training = Data(*images.window_series(series, length, PAST))
        upright = Data(*images.window_series(tests, length, PAST, FUTURE))
        turned = Data(upright.x.transform(TURN), upright.y.transform(TURN))

        equivariant = emulator(GROUP, arguments.copies, arguments.blocks, key)
        channels = width_for(count(equivariant), arguments.blocks)
        plain = emulator(PLAIN, channels, arguments.blocks, key)
        pictures = {"truth": turned.y[0]}
        entries = {
            "equivariant": (equivariant, training),
            "plain": (plain, training),
            "augmented": (plain, augmented(training)),
        }
        for name, (model, data) in entries.items():
            model, *seconds = train(model, data, arguments.steps, arguments.batch, seed, name)
            scores = errors(model, upright), errors(model, turned)
            results.setdefault(name, []).append(Result(count(model), *seconds, *scores))
            pictures[name] = models.rollout(model, turned.x[0], FUTURE)
        last = models.LastStep(SNAPSHOTS, ONE)
        scores = errors(last, upright), errors(last, turned)
        results.setdefault("last step", []).append(Result(0, 0.0, 0.0, *scores))

    print(
        f"\nrelative error of steps 1 to {FUTURE}, mean and standard deviation over "
        f"{len(arguments.seeds)} seeds"
    )
    print(f"{'model':13}{'parameters':>11}{'compile':>9}{'train':>8}   test flows")
    for name, runs in results.items():
        times = f"{runs[-1].compile_seconds:8.1f}s{runs[-1].train_seconds:7.1f}s"
        for kind in ("upright", "turned"):
            table = np.array([getattr(run, kind) for run in runs])
            pairs = zip(table.mean(axis=0), table.std(axis=0), strict=True)
            scores = "".join(f" {mean:8.4f} ±{std:.4f}" for mean, std in pairs)
            lead = f"{name:13}{runs[0].parameters:11,}{times}" if kind == "upright" else " " * 41
            print(f"{lead}   {kind:8}{scores}")
    draw(results, pictures, output)
    print(f"figure: {output}")


if __name__ == "__main__":
    main()
