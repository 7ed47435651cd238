"""Small models in files of an earlier release, with their outputs; see `golden/README.md`.

Every later version builds these models by the functions below, loads the files and computes the
same numbers. ``python tests/golden_checkpoints.py`` writes the files that are missing; it never
writes over one, since a file that is made again tests nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

import equivax as evx
from equivax import FieldType, groups, nn, spaces
from equivax.images import MultiImage, Signature

FOLDER = Path(__file__).parent / "checkpoints"
OUTPUTS = FOLDER / "outputs.npz"

LATER = {
    "format_2": ("mlp", "mlp_float64", "wide_resnet", "contraction_mean"),
    "format_3": ("gated", "mlp"),
}
"""Folders of later formats, with the models that were written again in them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A model in a file.

    Attributes:
        build: Makes the model from the hyperparameters and ``key``.
        input: From a generator of random numbers.
        hyperparameters: As stored in the file.
        stateful: The model has running statistics and is compared at inference.
        call: Of the model on an input, if that is not ``model(x)``.
        x64: The file holds float64.
    """

    build: Callable[..., Any]  # the function that `equivax.load` is given
    input: Callable[[np.random.Generator], Any]
    hyperparameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    stateful: bool = False
    call: Callable[[Any, Any], Any] = lambda model, x: model(x)
    x64: bool = False


def normal(*shape: int) -> Callable[[np.random.Generator], np.ndarray]:
    """Standard normal numbers in float32."""
    return lambda rng: rng.normal(size=shape).astype(np.float32)


def mlp(hidden, dtype=None, *, key):
    G = groups.dihedral(4)
    x, h = G.regular + 2 * G.irrep(1, 1), hidden * G.regular
    keys = jax.random.split(key, 2)
    return nn.Sequential(
        nn.Linear(x, h, dtype=dtype, key=keys[0]),
        nn.LayerNorm(h, dtype=dtype),
        nn.Affine(h, dtype=dtype),
        nn.PointwiseNonlinearity(h, jax.nn.elu),
        nn.RMSNorm(h, dtype=dtype),
        nn.Linear(h, x, dtype=dtype, key=keys[1]),
    )


def polyhedral(*, key):
    G = groups.icosahedral()
    return evx.models.MLP(G.standard, G.standard + G.trivial, [60], key=key)


def wide_resnet(width, *, key):
    space = spaces.flip_rot_on_r2(4)
    x = FieldType(space, space.trivial)
    h = FieldType(space, width * space.regular)
    keys = jax.random.split(key, 2)
    return nn.Sequential(
        nn.Conv(x, h, 3, padding=1, key=keys[0]),
        nn.InnerBatchNorm(h),
        nn.ReLU(h),
        evx.models.ResidualBlock(h, h, key=keys[1]),
        nn.PointwiseMaxPool(h, 3, stride=2, padding=1),
        nn.GroupPooling(h),
    )


def field_resnet(*, key):
    space = spaces.rot_on_r2(4)
    image = FieldType(space, space.trivial)
    return evx.models.ResNet(image, 3, blocks=(1, 1), channels=(4, 8), stem="small", key=key)


def harmonic(*, key):
    space = spaces.flip_rot_on_r2(8)
    x = FieldType(space, [space.trivial, space.irrep(1, 1)])
    h = FieldType(space, [space.regular, space.irrep(1, 2), space.irrep(1, 0)])
    return nn.Conv(x, h, 5, padding=2, key=key)


def on_the_grid(*, key):
    space = spaces.rot_on_r2(4)
    x = FieldType(space, [space.regular, space.irrep(1)])
    options = {"basis": "grid", "padding": 1, "padding_mode": "circular"}
    return nn.Conv(x, x, 3, **options, key=key)


def gated(*, key):
    space = spaces.rot_on_r2(-1)
    G = space.group
    x = FieldType(space, [G.irrep(0), G.irrep(1)])
    gates = FieldType(space, 3 * [G.irrep(0)])
    hidden = FieldType(space, [G.irrep(0), G.irrep(1), G.irrep(2)])
    keys = jax.random.split(key, 2)
    first = nn.Conv(x, gates + hidden, 5, padding=2, key=keys[0])
    gate = nn.GatedNonlinearity(gates + hidden, gates=3 * ["gate"] + 3 * ["gated"])
    return nn.Sequential(first, gate, nn.Conv(gate.out_type, x, 5, padding=2, key=keys[1]))


def tensor_unet(*, key):
    signature = (((0, 0), 1), ((1, 0), 1))
    options = {"width": 2, "num_downsamples": 1, "num_conv": 1}
    return evx.models.TensorUNet(signature, signature, **options, key=key)


def whitened(*, key):
    signature = Signature((((0, 0), 2), ((1, 0), 4), ((2, 0), 2)))
    type_ = signature.field_type(2)
    return nn.Sequential(nn.GroupNorm(type_, 2), nn.VectorNeuron(type_, key=key))


def contraction(use_bias, *, key):
    x = Signature((((0, 0), 2), ((1, 0), 1)))
    y = Signature((((0, 0), 1), ((1, 0), 1), ((2, 1), 1)))
    return nn.ConvContract(x, y, 3, use_bias=use_bias, key=key)


def diffop(*, key):
    space = spaces.rot_on_r2(4)
    x = FieldType(space, [space.trivial, space.irrep(1)])
    return nn.Diffop(x, x, kernel_size=5, padding=2, key=key)


def transposed(*, key):
    space = spaces.flip_rot_on_r2(4)
    x, y = FieldType(space, [space.regular]), FieldType(space, [space.irrep(1, 1), space.trivial])
    return nn.ConvTranspose(x, y, 3, stride=2, padding=1, key=key)


def gaussian(covariance, *, key):
    G = groups.cyclic(5)
    y = G.regular + G.irrep(1)
    distribution = nn.EquivariantMultivariateNormal(y, covariance=covariance)
    x = G.regular + G.irrep(2)
    return nn.Linear(x, distribution.in_type, key=key), distribution


def log_density(model, x):
    linear, distribution = model
    normal = distribution(linear(x))
    return normal.mean, normal.covariance, normal.log_prob(np.ones(7, x.dtype))


def fourier(*, key):
    G = groups.so2()
    x = evx.representations.band_limited(G, 3)
    keys = jax.random.split(key, 2)
    linear = [nn.Linear(x, x, key=k) for k in keys]
    return nn.Sequential(linear[0], nn.FourierNonlinearity(x, jax.nn.elu), linear[1])


CHECKPOINTS = {
    "mlp": Checkpoint(build=mlp, hyperparameters={"hidden": 3}, input=normal(4, 12)),
    "mlp_float64": Checkpoint(
        build=lambda hidden, key: mlp(hidden, np.float64, key=key),
        hyperparameters={"hidden": 2},
        input=lambda rng: rng.normal(size=(4, 12)),
        x64=True,
    ),
    "polyhedral": Checkpoint(build=polyhedral, input=normal(5, 3)),
    "wide_resnet": Checkpoint(
        build=wide_resnet, hyperparameters={"width": 2}, input=normal(2, 1, 9, 9), stateful=True
    ),
    "field_resnet": Checkpoint(build=field_resnet, input=normal(2, 1, 17, 17), stateful=True),
    "harmonic": Checkpoint(build=harmonic, input=normal(2, 3, 7, 7)),
    "on_the_grid": Checkpoint(build=on_the_grid, input=normal(2, 6, 6, 6)),
    "gated": Checkpoint(build=gated, input=normal(1, 3, 7, 7)),
    "tensor_unet": Checkpoint(build=tensor_unet, input=normal(1, 3, 8, 8)),
    "whitened": Checkpoint(
        build=whitened,
        input=lambda rng: MultiImage(
            {
                (k, 0): rng.normal(size=(c, 6, 6, *[2] * k)).astype(np.float32)
                for k, c in ((0, 2), (1, 4), (2, 2))
            },
            2,
        ),
    ),
    **{
        f"contraction_{mode}": Checkpoint(
            build=contraction, hyperparameters={"use_bias": value}, input=normal(2, 4, 6, 6)
        )
        for mode, value in (("auto", "auto"), ("mean", "mean"), ("none", False))
    },
    "diffop": Checkpoint(build=diffop, input=normal(2, 3, 8, 8)),
    "transposed": Checkpoint(build=transposed, input=normal(2, 8, 5, 5)),
    **{
        f"gaussian_{kind}": Checkpoint(
            build=gaussian,
            hyperparameters={"covariance": kind},
            input=normal(7),
            call=log_density,
        )
        for kind in ("diagonal", "full")
    },
    "fourier": Checkpoint(build=fourier, input=normal(3, 7)),
}


def outputs(checkpoint: Checkpoint, loaded: Any, x: Any) -> list[np.ndarray]:
    """The arrays that a loaded model makes of an input."""
    if checkpoint.stateful:
        model, state = loaded
        found = eqx.nn.inference_mode(model)(x, state)[0]
    else:
        found = checkpoint.call(loaded, x)
    return [np.asarray(leaf) for leaf in jax.tree.leaves(found)]


# ---- writing -----------------------------------------------------------------------------------


@contextlib.contextmanager
def widths(x64: bool) -> Iterator[None]:
    """64-bit types, on or off."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", x64)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)


def shaken(model: Any, rng: np.random.Generator) -> Any:
    """Noise on every parameter, so that no bias or scale is at its start."""

    def shake(leaf: Any) -> Any:
        if not eqx.is_inexact_array(leaf):
            return leaf
        return leaf + (0.1 * rng.normal(size=leaf.shape)).astype(leaf.dtype)

    return jax.tree.map(shake, model)


def write(name: str, seed: int) -> dict[str, np.ndarray]:
    """Writes one file and returns its input and output."""
    checkpoint, rng = CHECKPOINTS[name], np.random.default_rng(seed)
    with widths(checkpoint.x64):
        options = {**checkpoint.hyperparameters, "key": jax.random.key(seed)}
        state = None
        if checkpoint.stateful:
            model, state = eqx.nn.make_with_state(checkpoint.build)(**options)
            model = shaken(model, rng)
            for _ in range(3):
                _, state = model(jax.numpy.asarray(1 + 2 * checkpoint.input(rng)), state)
        else:
            model = shaken(checkpoint.build(**options), rng)
        x = jax.tree.map(jax.numpy.asarray, checkpoint.input(rng))
        file = FOLDER / f"{name}.evx"
        evx.save(file, model, state, checkpoint.hyperparameters)
        found = outputs(checkpoint, model if state is None else (model, state), x)
    arrays = {f"{name}/x{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(x))}
    return arrays | {f"{name}/y{i}": leaf for i, leaf in enumerate(found)}


def write_again(name: str, target: Path) -> None:
    """Writes the numbers of a first file in the format of today."""
    checkpoint = CHECKPOINTS[name]
    with widths(checkpoint.x64):
        loaded = evx.load(FOLDER / f"{name}.evx", checkpoint.build)
        model, state = loaded if checkpoint.stateful else (loaded, None)
        evx.save(target, model, state, checkpoint.hyperparameters, make=checkpoint.build)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    known = dict(np.load(OUTPUTS)) if OUTPUTS.exists() else {}
    for seed, name in enumerate(CHECKPOINTS):
        if not (FOLDER / f"{name}.evx").exists():
            known |= write(name, seed)
            np.savez_compressed(OUTPUTS, **known)
    for folder, names in LATER.items():
        (FOLDER / folder).mkdir(exist_ok=True)
        for name in names:
            if not (FOLDER / folder / f"{name}.evx").exists():
                write_again(name, FOLDER / folder / f"{name}.evx")


if __name__ == "__main__":
    main()
