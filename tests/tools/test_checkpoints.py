"""Files that an earlier release wrote load, and the models in them compute what they computed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx
from golden_checkpoints import CHECKPOINTS, FOLDER, OUTPUTS, outputs

BOUNDS = {np.dtype("float32"): 1e-5, np.dtype("float64"): 1e-12}
"""Relative to the largest entry of an output."""


def stored(name: str, letter: str) -> list[np.ndarray]:
    with np.load(OUTPUTS) as arrays:
        found = [key for key in arrays.files if key.startswith(f"{name}/{letter}")]
        return [arrays[f"{name}/{letter}{i}"] for i in range(len(found))]


def test_every_checkpoint_is_there():
    assert {path.stem for path in FOLDER.glob("*.evx")} == set(CHECKPOINTS)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_old_files_load_and_mean_the_same(name, precision):
    checkpoint = CHECKPOINTS[name]
    with precision(checkpoint.x64):
        loaded = evx.load(FOLDER / f"{name}.evx", checkpoint.build)
        like = checkpoint.input(np.random.default_rng(0))
        x = jax.tree.unflatten(jax.tree.structure(like), map(jnp.asarray, stored(name, "x")))
        found, expected = outputs(checkpoint, loaded, x), stored(name, "y")
    assert len(found) == len(expected) > 0
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
        assert np.abs(ours - theirs).max() <= BOUNDS[theirs.dtype] * np.abs(theirs).max()
