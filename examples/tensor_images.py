"""Velocity from vorticity: an equivariant network on tensor images against a plain one.

Flows on a periodic square are simulated from random streamfunctions, with jets along one axis and
vortices of mostly one sense. Vorticity is a pseudoscalar, velocity a vector. Both networks are
trained on these flows and tested on turned and mirrored ones, which look like none of them: the
equivariant network is as good there. Writes a figure of arrows.

    python examples/tensor_images.py    # about a minute on two cores
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
from tqdm import tqdm

from equivax import nn
from equivax.images import MultiImage, Signature

matplotlib.use("agg")
import matplotlib.pyplot as plt

SIDE, BATCH = 24, 16
DILATIONS = (1, 2, 4, 2, 1)  # the velocity at a point depends on the vorticity far away
VORTICITY = Signature((((0, 1), 1),))
VELOCITY = Signature((((1, 0), 1),))
TURNED, MIRRORED = np.array([[0, -1], [1, 0]]), np.array([[1, 0], [0, -1]])


# ---- data --------------------------------------------------------------------------------------


def simulate(samples: int, seed: int) -> tuple[MultiImage, MultiImage]:
    """Vorticities of unit variance, and the velocities that belong to them."""
    rng = np.random.default_rng(seed)
    k0, k1 = np.meshgrid(*[np.fft.fftfreq(SIDE, 1 / SIDE)] * 2, indexing="ij")
    noise = np.fft.fft2(rng.standard_normal((samples, SIDE, SIDE)))
    stream = np.fft.ifft2(noise * np.exp(-((k0 / 3.0) ** 2) - (k1 / 1.2) ** 2)).real
    stream /= stream.std(axis=(1, 2), keepdims=True)
    waves = np.fft.fft2(stream + 0.4 * stream**2)  # vortices of one sense are stronger
    vorticity = np.fft.ifft2((k0**2 + k1**2) * waves).real[:, None]
    # Components along axes 0 and 1 of the array: the gradient of the streamfunction, turned.
    velocity = np.stack([np.fft.ifft2(1j * k * waves).real for k in (k1, -k0)], axis=1)
    size = vorticity.std(axis=(1, 2, 3), keepdims=True)
    arrays = [(a / size).astype(np.float32) for a in (vorticity, velocity)]
    pairs = zip(arrays, (VORTICITY, VELOCITY), strict=True)
    x, y = (MultiImage.from_array(array, signature, 2) for array, signature in pairs)
    return x, y


# ---- networks ----------------------------------------------------------------------------------


def equivariant(copies: int, key: jax.Array) -> nn.Sequential:
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


def plain(width: int, key: jax.Array) -> eqx.nn.Sequential:
    """The same without symmetry."""
    widths = [1, *[width] * (len(DILATIONS) - 1), 2]
    layers: list[Any] = []
    for index, dilation in enumerate(DILATIONS):
        own, key = jax.random.split(key)
        if index:
            layers.append(eqx.nn.Lambda(jax.nn.gelu))
        options: dict[str, Any] = dict(padding=dilation, dilation=dilation, padding_mode="CIRCULAR")
        layers.append(eqx.nn.Conv2d(*widths[index : index + 2], 3, key=own, **options))
    return eqx.nn.Sequential(layers)


def on_images(model: Any, x: MultiImage) -> MultiImage:
    """A network on vorticities; the plain one sees the channels of one example."""
    if isinstance(model, nn.AbstractModule):
        return model(x)
    return MultiImage.from_array(jax.vmap(model)(x.array), VELOCITY, 2)


# ---- training ----------------------------------------------------------------------------------


def trained(model: Any, x: MultiImage, y: MultiImage, steps: int, name: str) -> Any:
    """The model after some steps of Adam on the squared error."""
    optimiser = optax.adam(optax.cosine_decay_schedule(5e-3, steps))
    state = optimiser.init(eqx.filter(model, eqx.is_inexact_array))

    @eqx.filter_jit
    def step(model: Any, state: Any, x: MultiImage, y: MultiImage) -> tuple[Any, Any]:
        def loss(model: Any) -> jax.Array:
            return jnp.mean((on_images(model, x) - y).array ** 2)

        updates, state = optimiser.update(eqx.filter_grad(loss)(model), state)
        return eqx.apply_updates(model, updates), state

    rng = np.random.default_rng(0)
    for _ in tqdm(range(steps), desc=name):
        chosen = rng.integers(len(x.array), size=BATCH)
        model, state = step(model, state, x[chosen], y[chosen])
    return model


@eqx.filter_jit
def error(model: Any, x: MultiImage, y: MultiImage) -> jax.Array:
    """Relative root mean square error."""
    difference = on_images(model, x) - y
    return jnp.linalg.norm(difference.array) / jnp.linalg.norm(y.array)


def draw(models: dict[str, Any], x: MultiImage, y: MultiImage, output: str) -> None:
    """One turned flow: vorticity in colour, the true and the found velocity as arrows."""
    found: dict[str, Callable[[], MultiImage]] = {"true velocity": lambda: y}
    found |= {name: lambda m=model: on_images(m, x) for name, model in models.items()}
    figure, axes = plt.subplots(1, len(found), figsize=(4 * len(found), 4), layout="constrained")
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for axis, (name, image) in zip(axes, found.items(), strict=True):
        velocity = np.asarray(image().array[0])
        axis.imshow(x.array[0, 0], cmap="RdBu", alpha=0.6)
        # Rows go down the picture, as imshow has them.
        axis.quiver(columns, rows, velocity[1], velocity[0], angles="xy", scale_units="width")
        axis.set(title=f"{name}, turned flow", xticks=[], yticks=[])
    figure.savefig(output, dpi=120)


def main() -> None:
    """Trains both networks, prints a table and draws the arrows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default="tensor_images.png")
    parser.add_argument("--smoke", action="store_true", help="few flows and steps")
    arguments = parser.parse_args()
    samples, steps = (64, 40) if arguments.smoke else (512, 300)
    x, y = simulate(samples, seed=0)
    tests = {"as trained": simulate(64, seed=1)}
    for name, g in (("turned", TURNED), ("mirrored", MIRRORED)):
        tests[name] = tuple(image.transform(g) for image in tests["as trained"])
    copies = 6
    models: dict[str, Any] = {
        "equivariant": equivariant(copies, jax.random.key(0)),
        "plain": plain(4 * copies, jax.random.key(1)),
    }
    print(
        f"{'network':12} {'parameters':>10} {'seconds':>8} " + " ".join(f"{n:>11}" for n in tests)
    )
    for name, model in models.items():
        start = time.perf_counter()
        models[name] = trained(model, x, y, steps, name)
        seconds = time.perf_counter() - start
        count = sum(a.size for a in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array)))
        errors = [f"{float(error(models[name], *pair)):11.4f}" for pair in tests.values()]
        print(f"{name:12} {count:10,} {seconds:8.1f} {' '.join(errors)}")
    turned = tests["turned"]
    draw(models, turned[0][:1], turned[1][:1], arguments.output)


if __name__ == "__main__":
    main()
