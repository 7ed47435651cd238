"""Learn the dynamics of a robot: strict, relaxed, augmented and plain networks of one size.

Gymnasium's ant, a ball with four legs of two motors each, is simulated with MuJoCo: it needs
`pip install gymnasium mujoco`. The networks see how the body moves in its own frame, all joints and
all motors, and predict what changes within 1/20 second; then they are applied to their own output
for half a second. As built, the ant has the eight symmetries of a square. With a weak leg, whose
motors have less force, it has one mirror only, which no network is told.

Which joint goes where, and with which sign, is read from the model by `interop.mujoco.symmetry`. A
table by hand is easily wrong: here it forgets that a mirror reverses hips. That is a representation
of the group all the same, so no algebra objects; `stats.symmetry_report` asks the data.

    python examples/robot_dynamics.py    # three seeds; three to five minutes on two cores
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
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
STANDING = np.array([0, 0, 0.55, 1, 0, 0, 0, 0, 1, 0, -1, 0, -1, 0, 1.0])
SUBSTEPS = 5
"""Steps of the simulator, of 1/100 second, per step of the networks."""
DRAWN, KEPT = 10, 10
"""Steps of a motion that are thrown away, since it starts standing still; and that are used."""


class Motions(NamedTuple):
    """Motions by step: ``states[:, t + 1]`` follows from ``states[:, t]`` and ``motors[:, t]``."""

    states: np.ndarray
    motors: np.ndarray

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """What a network sees, and what changes; a row for every step."""
        before, after = self.states[:, :-1], self.states[:, 1:]
        seen = np.concatenate([before, self.motors], axis=-1)
        return seen.reshape(-1, seen.shape[-1]), (after - before).reshape(-1, before.shape[-1])


class Ant:
    """The robot, and how the group acts on what is known of it.

    Args:
        weak: The force of the motors of one leg, where that of the others is 1.
    """

    def __init__(self, weak: float = 1.0) -> None:
        mujoco = self.mujoco = importlib.import_module("mujoco")
        package = Path(str(importlib.import_module("gymnasium").__file__)).parent
        path = package / "envs" / "mujoco" / "assets" / "ant.xml"
        self.model = mujoco.MjModel.from_xml_path(str(path))
        # With round friction cones, motions in all directions are alike.
        self.model.opt.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
        self.symmetry = evx.interop.mujoco.symmetry(self.model, D4, pose=STANDING)
        if self.symmetry.actuators is None:
            raise AssertionError("every motor of the ant drives a joint")
        self.motors = self.symmetry.actuators
        leg = [self.model.joint(name).id for name in ("hip_1", "ankle_1")]
        leg = np.isin(self.model.actuator_trnid[:, 0], leg)
        self.model.actuator_gear[leg, 0] *= weak
        self.data = mujoco.MjData(self.model)

    def state(self, joints: evx.Representation) -> evx.Representation:
        """Height and tilt of the body, its velocities in its own frame, and the joints."""
        vector = self.symmetry.vector
        parts = {"height": D4.trivial, "up": vector, "velocity": vector, "spin": vector.pseudo()}
        return evx.direct_sum({**parts, "joints": joints, "rates": joints})

    def read(self) -> np.ndarray:
        """The state; where the robot is and which way it looks make no difference."""
        frame = np.empty(9)
        self.mujoco.mju_quat2Mat(frame, self.data.qpos[3:7])
        frame = frame.reshape(3, 3)
        qpos, qvel = self.data.qpos, self.data.qvel
        return np.concatenate(
            [qpos[2:3], frame[2], qvel[:3] @ frame, qvel[3:6], qpos[7:], qvel[6:]]
        )

    def move(self, count: int, rng: np.random.Generator) -> Motions:
        """Motions under random torques."""
        states, motors = [], rng.uniform(-0.5, 0.5, (count, DRAWN + KEPT, self.model.nu))
        for torques in motors:
            self.mujoco.mj_resetData(self.model, self.data)
            self.data.qpos[:] = STANDING
            self.data.qpos[7:] += rng.uniform(-0.1, 0.1, 8)
            self.data.qvel[:] = 0.1 * rng.normal(size=self.model.nv)
            states.append([self.read()])
            for torque in torques:
                self.data.ctrl[:] = torque
                self.mujoco.mj_step(self.model, self.data, SUBSTEPS)
                states[-1].append(self.read())
        return Motions(np.array(states)[:, DRAWN:], motors[:, DRAWN:])


def elements(rep: evx.Representation) -> np.ndarray:
    """The matrices of a representation."""
    return np.stack([rep(g) for g in D4.elements])


class Scale(NamedTuple):
    """Mean and standard deviation, the same for all that a symmetry exchanges."""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, rep: evx.Representation) -> Scale:
        images = np.einsum("gij,nj->gni", elements(rep), x)
        return cls(images.mean(axis=(0, 1)), images.std(axis=(0, 1)))

    def units(self, x: Any) -> Any:
        """In standard deviations from the mean."""
        return (x - self.mean) / self.std


def count(model: Any) -> int:
    """Number of trainable parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array)))


def networks(inner: Any, outer: Any, copies: int, key: jax.Array) -> dict[str, Any]:
    """Four with about as many parameters as the strict one, and two of its width."""

    def strict(n: int) -> models.MLP:
        return models.MLP(inner, outer, 2 * [n * D4.regular], key=key)

    def plain(width: int) -> eqx.nn.MLP:
        return eqx.nn.MLP(inner.size, outer.size, width, 2, key=key)

    first = strict(copies)
    # Relaxed and plain layers have a parameter for every entry of their matrices.
    sizes = {n: n * (n + inner.size + outer.size + 2) + outer.size for n in range(1, 1000)}
    width = min(sizes, key=lambda n: abs(sizes[n] - count(first)))
    free = plain(width)
    return {
        "strict": first,
        "relaxed": nn.relax(strict(max(width // 8, 1))),
        "plain": free,
        "augmented": free,
        "wide, relaxed": nn.relax(first),
        "wide, augmented": plain(8 * copies),
    }


@eqx.filter_jit
def train(
    model: Any, x: jax.Array, y: jax.Array, copies: Any, steps: int, price: float, key: jax.Array
) -> Any:
    """One recipe for all: Adam on batches of 128, its rate falling to zero.

    Args:
        model: The network.
        x: What it sees.
        y: What it is to say.
        copies: Matrices on x and on y, of which one is drawn for every pair; of augmentation.
        steps: Of Adam.
        price: Of what breaks the symmetry.
        key: Of the draws.
    """
    optimiser = optax.adam(optax.cosine_decay_schedule(3e-3, steps))
    parameters, static = eqx.partition(model, eqx.is_inexact_array)

    def loss(parameters: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        model = eqx.combine(parameters, static)
        error = jnp.mean((jax.vmap(model)(x) - y) ** 2)
        return error if price == 0 else error + price * nn.symmetry_penalty(model)

    def step(carry: Any, key: jax.Array) -> tuple[Any, None]:
        parameters, state = carry
        which, turn = jax.random.split(key)
        chosen = jax.random.randint(which, (128,), 0, len(x))
        seen, wanted = x[chosen], y[chosen]
        if copies is not None:
            drawn = jax.random.randint(turn, (128,), 0, len(copies[0]))
            seen = jnp.einsum("nij,nj->ni", copies[0][drawn], seen)
            wanted = jnp.einsum("nij,nj->ni", copies[1][drawn], wanted)
        updates, state = optimiser.update(jax.grad(loss)(parameters, seen, wanted), state)
        return (optax.apply_updates(parameters, updates), state), None

    carry = parameters, optimiser.init(parameters)
    (parameters, _), _ = jax.lax.scan(step, carry, jax.random.split(key, steps))
    return eqx.combine(parameters, static)


@eqx.filter_jit
def one_step(model: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    """Root of the mean square error, where 1 is that of predicting the mean."""
    return jnp.sqrt(jnp.mean((jax.vmap(model)(x) - y) ** 2))


@eqx.filter_jit
def rollout(model: Any, motions: Motions, inner: Scale, outer: Scale) -> jax.Array:
    """The error after every step of the network on its own output, in units of the state."""

    def step(state: jax.Array, motors: jax.Array) -> tuple[jax.Array, jax.Array]:
        seen = inner.units(jnp.concatenate([state, motors], axis=-1))
        state = state + outer.mean + outer.std * jax.vmap(model)(seen)
        return state, state

    states, motors = (jnp.moveaxis(jnp.asarray(a, jnp.float32), 1, 0) for a in motions)
    _, found = jax.lax.scan(step, states[0], motors)
    errors = (found - states[1:]) / inner.std[: states.shape[-1]]
    return jnp.sqrt(jnp.mean(errors**2, axis=(1, 2)))


def wrong(table: evx.Representation) -> evx.Representation:
    """A table of joints or motors that forgets that mirrors reverse hips, every other of them."""
    hips = np.arange(table.size) % 2 == 0
    mirrored = [np.linalg.det(D4.standard(g)) < 0 for g in D4.generators]
    matrices = [
        table(g) * np.where(hips & mirror, -1, 1)
        for g, mirror in zip(D4.generators, mirrored, strict=True)
    ]
    return evx.Representation.from_generators(D4, matrices, "wrong")


class Task(NamedTuple):
    """What is to be learned, in units of its spread, and the symmetry it is said to have."""

    inner: evx.Representation
    outer: evx.Representation
    seen: Motions
    test: Motions

    def scales(self) -> tuple[Scale, Scale]:
        x, y = self.seen.pairs()
        return Scale.of(x, self.inner), Scale.of(y, self.outer)

    def errors(self, name: str, network: Any, steps: int, price: float, key: Any) -> np.ndarray:
        """Trains a network: its error in one step, then those of a rollout."""
        scales = self.scales()

        def scaled(motions: Motions) -> tuple[jax.Array, jax.Array]:
            pairs = zip(scales, motions.pairs(), strict=True)
            x, y = (jnp.asarray(scale.units(a), jnp.float32) for scale, a in pairs)
            return x, y

        copies = None
        if "augmented" in name:
            copies = [jnp.asarray(elements(r), jnp.float32) for r in (self.inner, self.outer)]
        price = price if "relaxed" in name else 0.0
        network = train(network, *scaled(self.seen), copies, steps, price, key)
        first = one_step(network, *scaled(self.test))
        return np.array([first, *rollout(network, self.test, *scales)])

    def report(self) -> stats.SymmetryReport:
        """Which symmetries the motions do not contradict, at every other step."""
        pairs = zip(self.scales(), self.seen.pairs(), strict=True)
        x, y = (scale.units(a)[::2] for scale, a in pairs)
        return stats.symmetry_report(x, y, self.inner, self.outer)


def tasks(motions: int, weak: float, seed: int) -> dict[str, Task]:
    """The ant as built and with a weak leg; and as built with a wrong table of signs."""
    found = {}
    for name, force in (("as built", 1.0), ("weak leg", weak)):
        ant, rng = Ant(force), np.random.default_rng(seed)
        seen, test = ant.move(motions, rng), ant.move(max(motions // 2, 50), rng)
        joints, motors = ant.symmetry.joints, ant.motors
        found[name] = Task(ant.state(joints) + motors, ant.state(joints), seen, test)
        if name == "as built":
            state = ant.state(wrong(joints))
            found["wrong table"] = Task(state + wrong(motors), state, seen, test)
    return found


def draw(results: dict[tuple[str, str], np.ndarray], output: str | Path) -> None:
    """Errors over the steps of a rollout, with bands of one standard deviation."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), sharey=True, layout="constrained")
    for axis, task in zip(axes, ("as built", "weak leg"), strict=True):
        for (own, name), errors in results.items():
            if own == task:
                mean, std = errors[:, 1:].mean(axis=0), errors[:, 1:].std(axis=0)
                steps = np.arange(1, len(mean) + 1)
                axis.plot(steps, mean, marker=".", label=name)
                axis.fill_between(steps, mean - std, mean + std, alpha=0.2)
        axis.set(title=task, xlabel="steps of 1/20 s")
    axes[0].set(ylabel="error, in units of the spread")
    axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(output, dpi=90)


def main() -> None:
    """Trains every network on both robots for every seed and prints tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12])
    parser.add_argument("--motions", type=int, default=300, help="of ten steps each, to train")
    parser.add_argument("--weak", type=float, default=0.3, help="force of the motors of a weak leg")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--copies", type=int, default=32, help="hidden regular fields, if strict")
    parser.add_argument("--price", type=float, default=0.03, help="of what breaks the symmetry")
    parser.add_argument("--output", help="default: robot_dynamics.png; of --smoke a temporary")
    parser.add_argument("--smoke", action="store_true", help="a short run that checks the code")
    arguments = parser.parse_args()
    missing = [name for name in ("gymnasium", "mujoco") if not importlib.util.find_spec(name)]
    if missing:
        message = f"robot_dynamics needs {' and '.join(missing)}: pip install {' '.join(missing)}"
        if not arguments.smoke:
            parser.error(message)
        print(f"{message}; nothing is run.")
        return
    folder = tempfile.mkdtemp() if arguments.smoke else ""
    output = arguments.output or Path(folder) / "robot_dynamics.png"
    if arguments.smoke:
        arguments.seeds, arguments.steps, arguments.copies = [0], 60, 2

    begin = time.perf_counter()
    results: dict[tuple[str, str], Any] = {}
    sizes: dict[str, int] = {}
    found: dict[str, list[str]] = {}
    with tqdm(total=13 * len(arguments.seeds), leave=False, disable=None) as bar:
        for seed in arguments.seeds:
            for kind, task in tasks(arguments.motions, arguments.weak, seed).items():
                report = task.report()
                row = next(row for row in report.rows if row.subgroup == report.largest)
                found.setdefault(kind, []).append(row.label)
                make, own = jax.random.split(jax.random.key(seed))
                for name, network in networks(
                    task.inner, task.outer, arguments.copies, make
                ).items():
                    if kind == "wrong table" and name != "strict":
                        continue
                    sizes.setdefault(name, count(network))
                    errors = task.errors(name, network, arguments.steps, arguments.price, own)
                    results.setdefault((kind, name), []).append(errors)
                    bar.update()
    results = {key: np.array(errors) for key, errors in results.items()}

    print(f"\nerror in one step, and after a rollout of {KEPT}; {len(arguments.seeds)} seeds")
    print(f"{'robot':13}{'network':17}{'parameters':>10}{'one step':>16}{'rollout':>16}")
    for (kind, name), errors in results.items():
        cells = "".join(f"{e.mean():>8.3f} ± {e.std():.3f}" for e in (errors[:, 0], errors[:, -1]))
        print(f"{kind:13}{name:17}{sizes[name]:10,}{cells}")
    print("\nlargest symmetry that the training data do not contradict")
    for kind, labels in found.items():
        print(f"{kind:13}{'; '.join(labels)}")
    draw(results, output)
    print(f"{time.perf_counter() - begin:.0f} s, figure: {output}")


if __name__ == "__main__":
    main()
