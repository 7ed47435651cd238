"""`FieldDropout`: one draw per example and field."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import nn
from random_types import FINITE, in_random_basis

D4 = FINITE["D4"]
REP = 3 * D4.regular + in_random_basis(D4.irrep(1, 1) + D4.trivial, 1) + 2 * D4.irrep(1, 1)
SIZES = [field.size for field in REP.summands]
STARTS = np.concatenate([[0], np.cumsum(SIZES)[:-1]])


def kept(y: np.ndarray, p: float) -> np.ndarray:
    """The mask per field, checked to be constant on it and to scale by 1 / (1 - p)."""
    factors = np.asarray(y)
    per_field = factors[..., STARTS]
    np.testing.assert_allclose(factors, np.repeat(per_field, SIZES, axis=-1))
    np.testing.assert_allclose(per_field * (per_field - 1 / (1 - p)), 0.0, atol=1e-5)
    return per_field > 0


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_rate_and_constancy_on_fields(p, key):
    count = 4000
    mask = kept(nn.FieldDropout(REP, p)(jnp.ones((count, REP.size)), key=key), p)
    sigma = np.sqrt(p * (1 - p))
    # Every field on its own, and all together: 4 sigma of a mean of coin flips.
    np.testing.assert_allclose(mask.mean(axis=0), 1 - p, atol=4 * sigma / np.sqrt(count))
    assert mask.mean() == pytest.approx(1 - p, abs=4 * sigma / np.sqrt(mask.size))
    # Fields are dropped independently of each other.
    covariance = np.cov(mask.T.astype(float))
    off = covariance - np.diag(np.diag(covariance))
    assert np.abs(off).max() < 4.5 * sigma**2 / np.sqrt(count)


def test_examples_differ_and_keys_decide(key):
    layer = nn.FieldDropout(REP, 0.5)
    x = jnp.ones((2, 5, REP.size))
    y = layer(x, key=key)
    assert np.array_equal(y, layer(x, key=key))
    assert not np.array_equal(y, layer(x, key=jax.random.key(1)))
    masks = kept(y, 0.5).reshape(10, -1)
    assert len({tuple(mask) for mask in masks.tolist()}) > 3


def test_ends_of_the_range(key):
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, REP.size)), jnp.float32)
    assert np.array_equal(nn.FieldDropout(REP, 0.0)(x), x)
    assert not np.asarray(nn.FieldDropout(REP, 1.0)(x, key=key)).any()
    gradient = jax.grad(lambda v: nn.FieldDropout(REP, 1.0)(v, key=key).sum())(x)
    assert not np.asarray(gradient).any()
    for p in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"number in \[0, 1\]"):
            nn.FieldDropout(REP, p)


def test_inference(key):
    layer = nn.FieldDropout(REP, 0.5)
    x = jnp.ones((3, REP.size))
    with pytest.raises(ValueError, match="key: needed in training"):
        layer(x)
    quiet = eqx.nn.inference_mode(layer)
    assert np.array_equal(quiet(x), x)
    assert np.array_equal(nn.FieldDropout(REP, 0.5, inference=True)(x), x)
    assert [leaf for leaf in jax.tree.leaves(layer) if eqx.is_array(leaf)] == []


def test_equivariance_for_a_fixed_key(key, x64):
    layer = nn.FieldDropout(REP, 0.5)
    x = np.random.default_rng(0).standard_normal((4, REP.size))
    y = np.asarray(layer(x, key=key))
    assert (y == 0).any()
    for g in D4.elements:
        moved = layer(REP.transform(x, g), key=key)
        np.testing.assert_allclose(moved, REP.transform(y, g), atol=1e-13)
