"""Instance norm of fields: the definition, statistics of one example, refusals."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import FieldType, groups, linalg, nn, spaces
from laws import normal, relative

C4, D4 = groups.cyclic(4), groups.dihedral(4)
PLANE = spaces.flip_rot_on_r2(4)
MIXED = FieldType(PLANE, [D4.irrep(1, 1), D4.regular, D4.trivial, D4.irrep(1, 1), D4.irrep(1, 0)])


@pytest.mark.usefixtures("x64")
def test_it_is_what_the_formula_says():
    layer = nn.InstanceNorm(MIXED)
    weight, bias = normal(5), normal(2, seed=3)
    layer = eqx.tree_at(lambda m: (m.weight, m.bias), layer, (weight, bias))
    x = normal(2, MIXED.size, 4, 4) + 3.0
    y = layer(x)
    trivial = iter(np.asarray(bias))
    for i, field in enumerate(MIXED.reps):
        part = np.asarray(x)[:, MIXED.fields_start[i] : MIXED.fields_end[i]]
        project = np.asarray(linalg.invariant_projector(field))
        mean = part.mean(axis=(2, 3)) @ project.T
        rest = part - mean[..., None, None]
        variance = (rest**2).mean(axis=(1, 2, 3), keepdims=True)
        expected = np.asarray(weight)[i] * rest / np.sqrt(variance + 1e-5)
        if field.contains_trivial:  # a unit vector of the invariants, with all entries alike
            expected = expected + next(trivial) / np.sqrt(field.size)
        found = y[:, MIXED.fields_start[i] : MIXED.fields_end[i]]
        assert relative(found, expected) < 1e-12, field


def test_on_trivial_fields_it_is_the_usual_one():
    type_ = FieldType(PLANE, 6 * PLANE.trivial)
    x = normal(3, 6, 5, 5)
    usual = eqx.nn.GroupNorm(6, 6, channelwise_affine=False)
    np.testing.assert_allclose(nn.InstanceNorm(type_)(x), jax.vmap(usual)(x), atol=1e-5)


def test_examples_are_apart_and_means_that_turn_stay():
    layer = nn.InstanceNorm(MIXED)
    x = normal(2, MIXED.size, 4, 4)
    np.testing.assert_allclose(layer(x)[0], layer(x.at[1].set(7.0))[0], atol=1e-6)
    np.testing.assert_allclose(layer(100 * x), layer(x), atol=1e-3)
    constant = jnp.ones((2, 4, 4))
    vector = nn.InstanceNorm(FieldType(PLANE, [D4.irrep(1, 1)]))
    np.testing.assert_allclose(vector(constant), constant, atol=1e-4)


@pytest.mark.parametrize("dim", [0, 1, 2, 3])
def test_any_dimension(dim):
    actions = [None, C4.irrep(2), C4.irrep(1), C4.irrep(1) + C4.trivial]
    type_ = FieldType(spaces.GSpace(C4, actions[dim]), [C4.irrep(1), C4.regular, C4.irrep(1)])
    layer = nn.InstanceNorm(type_)
    x = normal(2, type_.size, *(3, 4, 5)[:dim])
    y = layer(x)
    assert y.shape == x.shape
    np.testing.assert_allclose(jax.vmap(layer.export())(x), y, atol=1e-5)
    if dim == 0:
        np.testing.assert_allclose(y, nn.FieldNorm(type_)(x), atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-30, 1e6])
def test_gradients_are_finite(value):
    layer = nn.InstanceNorm(MIXED)
    x = jnp.full((MIXED.size, 3, 3), value)
    found = jax.grad(lambda m, v: (m(v) ** 2).sum(), argnums=(0, 1))(layer, x)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


def test_half_precision_counts_in_single():
    x = (normal(2, MIXED.size, 8, 8) + 100.0).astype(jnp.bfloat16)
    y = nn.InstanceNorm(MIXED)(x)
    assert y.dtype == jnp.bfloat16
    expected = nn.InstanceNorm(MIXED)(x.astype(jnp.float32))
    np.testing.assert_allclose(y.astype(jnp.float32), expected, atol=0.05)


REFUSED = {
    "eps of 0": (lambda: nn.InstanceNorm(MIXED, eps=0.0), ValueError, "InstanceNorm: eps"),
    "eps below 0": (lambda: nn.InstanceNorm(MIXED, eps=-1.0), ValueError, "InstanceNorm: eps"),
    "no type": (lambda: nn.InstanceNorm(5), TypeError, "InstanceNorm: in_type"),
    "affine by a word": (
        lambda: nn.InstanceNorm(MIXED, affine="yes"), TypeError,
        "InstanceNorm: affine: expected True or False, got 'yes'",
    ),
    "other channels": (
        lambda: nn.InstanceNorm(MIXED)(jnp.zeros((3, 4, 4))), ValueError, "InstanceNorm: expected",
    ),
    "integers": (
        lambda: nn.InstanceNorm(MIXED)(jnp.zeros((MIXED.size, 4, 4), int)), TypeError,
        "InstanceNorm: x: expected floating numbers",
    ),
}  # fmt: skip


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    call, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message):
        call()


def in_double(layer, x, precision):
    """What a layer gives in float64 for the same input."""
    with precision(True):
        layer = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), layer)
        return np.asarray(layer(jnp.asarray(x, jnp.float64)))


@pytest.mark.filterwarnings("ignore:FieldNorm")
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("mean", [0.0, 1e4])
@pytest.mark.parametrize(
    "make",
    [
        nn.InstanceNorm,
        nn.FieldNorm,
        lambda t: nn.RMSNorm(t, affine=False),
        lambda t: nn.LayerNorm(t, whiten=None, affine=False),
    ],
    ids=["instance", "field", "rms", "layer"],
)
def test_large_means_and_any_size_in_single_precision(make, mean, dtype, precision):
    layer = make(MIXED)
    invariant = sum(MIXED.representation.matrices) @ np.ones(MIXED.size) / 8
    x = normal(2, MIXED.size, 6, 6) + mean * invariant[:, None, None]
    for size in (1e-6, 1.0, 1e6):
        given = jnp.asarray(size * x, dtype)
        found, expected = layer(given), in_double(layer, given, precision)
        # The output of 16 bits is rounded once, at the end.
        assert relative(found, expected) < (1e-6 if dtype == jnp.float32 else 1e-2)
        if dtype == jnp.float32:
            assert relative(jax.vmap(layer.export())(given), expected) < 2e-6
