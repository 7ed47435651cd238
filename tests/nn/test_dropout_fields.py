"""FieldDropout and PointwiseDropout on fields: what shares a draw, rates, ends of the range."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import FieldType, groups, nn, spaces
from laws import normal

SPACE = spaces.flip_rot_on_r2(4)
TYPE = FieldType(SPACE, SPACE.regular + 2 * SPACE.irrep(1, 1) + SPACE.trivial)
SIZES = [8, 2, 2, 1]
STARTS = [0, 8, 10, 12]


def mask_per_field(y, p):
    """The factors of each field, checked to be equal on its channels and 0 or 1 / (1 - p)."""
    y = np.asarray(y)
    per_field = y[:, STARTS]
    np.testing.assert_array_equal(y, np.repeat(per_field, SIZES, axis=1))
    np.testing.assert_allclose(per_field * (per_field - 1 / (1 - p)), 0.0, atol=1e-5)
    return per_field > 0


@pytest.mark.parametrize("p", [0.2, 0.7])
@pytest.mark.parametrize("whole", [False, True])
def test_rates_and_what_shares_a_draw(p, whole, key):
    layer = nn.FieldDropout(TYPE, p, broadcast_spatial=whole)
    mask = mask_per_field(layer(jnp.ones((300, TYPE.size, 5, 4)), key=key), p)
    draws = mask[:, :, 0, 0] if whole else mask
    if whole:
        assert (mask == mask[:, :, :1, :1]).all()
    else:
        assert not (mask == mask[:, :, :1, :1]).all()
    sigma = np.sqrt(p * (1 - p))
    assert draws.mean() == pytest.approx(1 - p, abs=4 * sigma / np.sqrt(draws.size))
    # Fields and positions are independent.
    rows = np.moveaxis(draws, 1, -1).reshape(-1, len(SIZES)).astype(float)
    covariance = np.cov(rows.T)
    off = covariance - np.diag(np.diag(covariance))
    assert np.abs(off).max() < 5 * sigma**2 / np.sqrt(len(rows))
    if not whole:
        sites = draws.reshape(-1, 20).astype(float)
        covariance = np.cov(sites.T)
        off = covariance - np.diag(np.diag(covariance))
        assert np.abs(off).max() < 5 * sigma**2 / np.sqrt(len(sites))


@pytest.mark.parametrize("spatial", [(), (6,), (3, 4), (2, 3, 2)])
def test_keys_decide_in_any_dimension(spatial, key):
    G = groups.cyclic(4)
    space = {
        0: spaces.no_base_space(G),
        1: spaces.on_r1(G),
        2: spaces.rot_on_r2(4),
        3: spaces.GSpace(G, G.irrep(1) + G.trivial),
    }[len(spatial)]
    type_ = FieldType(space, 3 * G.regular)
    x = jnp.ones((4, 12, *spatial))
    for layer in (nn.FieldDropout(type_), nn.PointwiseDropout(type_)):
        y = layer(x, key=key)
        assert np.array_equal(y, layer(x, key=key))
        assert not np.array_equal(y, layer(x, key=jax.random.key(1)))
        assert set(np.unique(y)) == {0.0, 2.0}
        assert layer(type_(x), key=key).type == type_


@pytest.mark.parametrize("cls", [nn.FieldDropout, nn.PointwiseDropout])
def test_ends_of_the_range_and_inference(cls, key):
    type_ = FieldType(SPACE, SPACE.regular + SPACE.irrep(1, 1))
    x = normal(2, type_.size, 3, 3)
    x = x.at[0, 0, 0, 0].set(jnp.inf)  # 0 times infinity would be NaN
    assert np.array_equal(cls(type_, 0)(x), x)
    assert not np.asarray(cls(type_, 1)(x, key=key)).any()
    assert not np.isnan(np.asarray(cls(type_, 0.5)(x, key=key))).any()
    gradient = jax.grad(lambda v: cls(type_, 1.0)(v, key=key).sum())(x)
    assert not np.asarray(gradient).any()
    with pytest.raises(ValueError, match=f"{cls.__name__}: key: needed in training"):
        cls(type_, 1.0)(x)
    assert np.array_equal(eqx.nn.inference_mode(cls(type_, 0.5))(x), x)
    assert cls(type_, 0.5).evaluate_output_shape(x.shape) == x.shape


def test_single_channels_are_dropped_and_export_is_equinox(key):
    layer = nn.PointwiseDropout(FieldType(SPACE, SPACE.regular), 0.3)
    y = np.asarray(layer(jnp.ones((50, 8, 5, 5)), key=key))
    assert len({tuple(c) for c in np.moveaxis(y, 1, -1).reshape(-1, 8)}) > 100
    assert (y > 0).mean() == pytest.approx(0.7, abs=0.02)
    plain = layer.export()
    assert isinstance(plain, eqx.nn.Dropout)
    x = normal(8, 5, 5)
    np.testing.assert_allclose(plain(x, key=key), layer(x, key=key), rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_dtype_is_kept(dtype, key):
    type_ = FieldType(SPACE, SPACE.regular)
    x = jnp.ones((8, 2, 2), dtype)
    for layer in (nn.FieldDropout(type_), nn.PointwiseDropout(type_)):
        assert layer(x, key=key).dtype == dtype
