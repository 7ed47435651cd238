"""Velocity from vorticity: equivariant networks on tensor images against plain ones.

Flows on a periodic square are simulated from random streamfunctions without a preferred direction
or sense. Vorticity is a pseudoscalar, velocity a vector. Two equivariant networks differ by what is
between these ends: regular fields of the group of the square, on which a GELU is equivariant as it
is, or tensors, on which vector neurons take its place. The rivals are plain networks of as many
parameters, without and with augmentation by quarter turns and mirror images. All are tested on new
flows, also turned and mirrored. Only the equivariant ones turn their velocity with the flow. Writes
a figure of arrows.

    python examples/tensor_images.py    # three seeds; about two minutes on two cores
"""

from __future__ import annotations

import argparse
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
from tqdm import tqdm

from equivax import FieldType, nn
from equivax.images import MultiImage, Signature

matplotlib.use("agg")
import matplotlib.pyplot as plt

SIDE, BATCH = 16, 16
DILATIONS = (1, 2, 4, 2, 1)  # the velocity at a point depends on the vorticity far away
VORTICITY = Signature((((0, 1), 1),))
VELOCITY = Signature((((1, 0), 1),))
TURNED, MIRRORED = np.array([[0, -1], [1, 0]]), np.array([[1, 0], [0, -1]])
MOVES = [
    np.linalg.matrix_power(TURNED, n) @ m
    for m in (np.eye(2, dtype=int), MIRRORED)
    for n in range(4)
]


# ---- data --------------------------------------------------------------------------------------


def simulate(samples: int, seed: int) -> tuple[MultiImage, MultiImage]:
    """Vorticities of unit variance, and the velocities that belong to them."""
    rng = np.random.default_rng(seed)
    k0, k1 = np.meshgrid(*[np.fft.fftfreq(SIDE, 1 / SIDE)] * 2, indexing="ij")
    noise = np.fft.fft2(rng.standard_normal((samples, SIDE, SIDE)))
    waves = noise * np.exp(-(k0**2 + k1**2) / 8.0)  # of the streamfunction
    vorticity = np.fft.ifft2((k0**2 + k1**2) * waves).real[:, None]
    # Components along axes 0 and 1 of the array: the gradient of the streamfunction, turned.
    velocity = np.stack([np.fft.ifft2(1j * k * waves).real for k in (k1, -k0)], axis=1)
    size = vorticity.std(axis=(1, 2, 3), keepdims=True)
    arrays = [(a / size).astype(np.float32) for a in (vorticity, velocity)]
    pairs = zip(arrays, (VORTICITY, VELOCITY), strict=True)
    x, y = (MultiImage.from_array(array, signature, 2) for array, signature in pairs)
    return x, y


def augmented(x: MultiImage) -> MultiImage:
    """All images, turned and mirrored in all eight ways."""
    return jax.tree.map(lambda *blocks: jnp.concatenate(blocks), *map(x.transform, MOVES))


# ---- networks ----------------------------------------------------------------------------------


class OnImages(eqx.Module):
    """A network on arrays of channels, from image to image."""

    network: Any

    def __call__(self, x: MultiImage) -> MultiImage:
        return MultiImage.from_array(self.network(x.array), VELOCITY, 2)


def on_regular_fields(copies: int, key: jax.Array) -> OnImages:
    """Convolutions with a GELU between them: regular fields have it point by point."""
    ends = VORTICITY.field_type(2), VELOCITY.field_type(2)
    hidden = FieldType(ends[0].space, copies * ends[0].space.regular)
    types = [ends[0], *[hidden] * (len(DILATIONS) - 1), ends[1]]
    layers: list[nn.AbstractModule] = []
    for index, dilation in enumerate(DILATIONS):
        own, key = jax.random.split(key)
        if index:
            layers.append(nn.PointwiseNonlinearity(hidden, jax.nn.gelu))
        options: dict[str, Any] = dict(padding=dilation, dilation=dilation, basis="grid")
        options["padding_mode"] = "circular"
        layers.append(nn.Conv(*types[index : index + 2], 3, key=own, **options))
    return OnImages(nn.Sequential(*layers))


def on_tensors(copies: int, key: jax.Array) -> nn.Sequential:
    """Convolutions with vector neurons between them; scalars, vectors and their pseudo kinds."""
    # No filter of 3 x 3 turns pseudoscalars into scalars, so these come one layer later.
    first = Signature([(type_, copies) for type_ in ((0, 1), (1, 0), (1, 1))])
    hidden = first + Signature((((0, 0), copies),))
    signatures = [VORTICITY, first, *[hidden] * (len(DILATIONS) - 2), VELOCITY]
    layers: list[nn.AbstractModule] = []
    for index, dilation in enumerate(DILATIONS):
        conv_key, act_key, key = jax.random.split(key, 3)
        if index:
            fields = signatures[index].field_type(2)
            layers.append(nn.VectorNeuron(fields, activation=jax.nn.gelu, key=act_key))
        ends = signatures[index : index + 2]
        layers.append(nn.ConvContract(*ends, dilation=dilation, key=conv_key))
    return nn.Sequential(*layers)


def plain(width: int, key: jax.Array) -> OnImages:
    """The same without symmetry."""
    widths = [1, *[width] * (len(DILATIONS) - 1), 2]
    layers: list[Any] = []
    for index, dilation in enumerate(DILATIONS):
        own, key = jax.random.split(key)
        if index:
            layers.append(eqx.nn.Lambda(jax.nn.gelu))
        options: dict[str, Any] = dict(padding=dilation, dilation=dilation, padding_mode="CIRCULAR")
        layers.append(eqx.nn.Conv2d(*widths[index : index + 2], 3, key=own, **options))
    return OnImages(eqx.filter_vmap(eqx.nn.Sequential(layers)))


# ---- training ----------------------------------------------------------------------------------


def trained(model: Any, x: MultiImage, y: MultiImage, steps: int, name: str) -> Any:
    """The model after some steps of Adam on the squared error."""
    optimiser = optax.adam(optax.cosine_decay_schedule(5e-3, steps))
    state = optimiser.init(eqx.filter(model, eqx.is_inexact_array))

    @eqx.filter_jit
    def step(model: Any, state: Any, x: MultiImage, y: MultiImage) -> tuple[Any, Any]:
        def loss(model: Any) -> jax.Array:
            return jnp.mean((model(x) - y).array ** 2)

        updates, state = optimiser.update(eqx.filter_grad(loss)(model), state)
        return eqx.apply_updates(model, updates), state

    rng = np.random.default_rng(0)
    for _ in tqdm(range(steps), desc=name, leave=False, disable=None):
        chosen = rng.integers(len(x.array), size=BATCH)
        model, state = step(model, state, x[chosen], y[chosen])
    return model


@eqx.filter_jit
def error(model: Any, x: MultiImage, y: MultiImage) -> jax.Array:
    """Relative root mean square error."""
    difference = model(x) - y
    return jnp.linalg.norm(difference.array) / jnp.linalg.norm(y.array)


@eqx.filter_jit
def change(model: Any, x: MultiImage) -> jax.Array:
    """How far turning before the network is from turning after it, relative."""
    after = model(x).transform(TURNED)
    difference = model(x.transform(TURNED)) - after
    return jnp.linalg.norm(difference.array) / jnp.linalg.norm(after.array)


def count(model: Any) -> int:
    """Number of trainable parameters."""
    leaves = jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array))
    return sum(leaf.size for leaf in leaves)


def draw(models: dict[str, Any], x: MultiImage, y: MultiImage, output: str | Path) -> None:
    """One flow: vorticity in colour, the true and the found velocity as arrows."""
    found: dict[str, Callable[[], MultiImage]] = {"true velocity": lambda: y}
    found |= {name: lambda m=model: m(x) for name, model in models.items()}
    panels = len(found)
    figure, axes = plt.subplots(1, panels, figsize=(3.4 * panels, 3.4), layout="constrained")
    rows, columns = np.mgrid[:SIDE, :SIDE]
    largest = float(jnp.abs(x.array[0, 0]).max())
    for axis, (name, image) in zip(axes, found.items(), strict=True):
        velocity = np.asarray(image().array[0])
        drawn = axis.imshow(x.array[0, 0], cmap="RdBu", alpha=0.6, vmin=-largest, vmax=largest)
        # Rows go down the picture, as imshow has them.
        axis.quiver(columns, rows, velocity[1], velocity[0], angles="xy", scale_units="width")
        axis.set(title=name, xticks=[], yticks=[])
    figure.colorbar(drawn, ax=axes, label="vorticity", shrink=0.8)
    figure.savefig(output, dpi=90)


def main() -> None:
    """Trains all networks with every seed, prints a table and draws the arrows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--output", help="default: tensor_images.png; of --smoke a temporary file")
    parser.add_argument("--smoke", action="store_true", help="few flows and steps")
    options = parser.parse_args()
    folder = tempfile.mkdtemp() if options.smoke else ""
    output = options.output or Path(folder) / "tensor_images.png"
    if options.smoke:
        options.seeds, options.steps = [0], 40
    regulars, copies, width = 5, 6, 13  # about as many parameters
    models: dict[str, Any] = {}
    rows: dict[str, list[list[float]]] = {}
    for seed in options.seeds:
        x, y = simulate(options.samples, seed)
        new = simulate(64, seed + 1000)
        tests = [new] + [tuple(image.transform(g) for image in new) for g in (TURNED, MIRRORED)]
        key = jax.random.key(seed)
        entries = {
            "regular fields": (on_regular_fields(regulars, key), x, y),
            "tensors": (on_tensors(copies, key), x, y),
            "plain": (plain(width, key), x, y),
            "augmented": (plain(width, key), augmented(x), augmented(y)),
        }
        for name, (model, *data) in entries.items():
            start = time.perf_counter()
            models[name] = model = trained(model, *data, options.steps, name)
            seconds = time.perf_counter() - start
            scores = [float(error(model, *pair)) for pair in tests]
            row = [seconds, *scores, float(change(model, new[0]))]
            rows.setdefault(name, []).append(row)
    print(f"{options.samples} training flows, {options.steps} steps, seeds {options.seeds}: "
          "relative errors with standard deviation")  # fmt: skip
    print(f"{'network':14} {'parameters':>10} {'seconds':>8} "
          f"{'new flows':>15} {'turned':>15} {'mirrored':>15} {'change':>9}")  # fmt: skip
    for name, table in rows.items():
        mean, std = np.mean(table, axis=0), np.std(table, axis=0)
        errors = " ".join(f"{mean[i]:7.4f} ±{std[i]:.4f}" for i in (1, 2, 3))
        print(f"{name:14} {count(models[name]):10,} {mean[0]:8.1f} {errors} {mean[4]:9.1e}")
    draw(models, new[0][:1], new[1][:1], output)
    print(f"figure: {output}")


if __name__ == "__main__":
    main()
