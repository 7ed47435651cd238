"""Files that an earlier release wrote load, and the models in them compute what they computed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx
from golden_checkpoints import CHECKPOINTS, FOLDER, LATER, OUTPUTS, mlp, outputs
from laws import one_in

BOUNDS = {np.dtype("float32"): 1e-5, np.dtype("float64"): 1e-12}
"""Relative to the largest entry of an output."""


def stored(name: str, letter: str) -> list[np.ndarray]:
    with np.load(OUTPUTS) as arrays:
        found = [key for key in arrays.files if key.startswith(f"{name}/{letter}")]
        return [arrays[f"{name}/{letter}{i}"] for i in range(len(found))]


FILES = [*CHECKPOINTS, *(f"{folder}/{name}" for folder, names in LATER.items() for name in names)]


def test_every_checkpoint_is_there():
    found = {str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.evx")}
    assert found == set(FILES)
    for name in FILES:
        version = int(name.split("/")[0].removeprefix("format_")) if "/" in name else 1
        assert evx.describe(FOLDER / f"{name}.evx").format_version == version


def input_of(name):
    like = CHECKPOINTS[name].input(np.random.default_rng(0))
    return jax.tree.unflatten(jax.tree.structure(like), map(jnp.asarray, stored(name, "x")))


@pytest.mark.parametrize(
    "file",
    [
        pytest.param("tensor_unet", marks=pytest.mark.slow),
        *one_in(2, [file for file in FILES if file != "tensor_unet"]),
    ],
)
def test_old_files_load_and_mean_the_same(file, precision):
    name = file.split("/")[-1]
    checkpoint = CHECKPOINTS[name]
    with precision(checkpoint.x64):
        loaded = evx.load(FOLDER / f"{file}.evx", checkpoint.build)
        found, expected = outputs(checkpoint, loaded, input_of(name)), stored(name, "y")
    assert len(found) == len(expected) > 0
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
        assert np.abs(ours - theirs).max() <= BOUNDS[theirs.dtype] * np.abs(theirs).max()


@pytest.mark.parametrize("file", ["mlp_float64", "format_2/mlp_float64"])
def test_old_files_are_cast_where_asked(file):
    def build(hidden, key):
        return mlp(hidden, key=key)

    path = FOLDER / f"{file}.evx"
    with pytest.raises(ValueError, match=r"float64.* types are switched off: pass dtype="):
        evx.load(path, build)
    x = jnp.asarray(stored("mlp_float64", "x")[0].astype(np.float32))
    (expected,) = stored("mlp_float64", "y")
    found = evx.load(path, build, dtype=jnp.float32)(x)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
