"""Images, invariant filters and convolutions of tensor images against ginjax 0.1.8."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import nn
from equivax.images import (
    FilterBasis,
    GeometricImage,
    MultiImage,
    Signature,
    invariant_filters,
)

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

peer = pytest.importorskip("ginjax.geometric", reason="the peer lives in an environment of its own")
peer_layers = pytest.importorskip("ginjax.layers", reason="the peer itself")


OPERATORS = peer.make_all_operators(2)
# ginjax computes filters and images in single precision, whatever the dtype of its input.
SINGLE = 2e-5
each_type = pytest.mark.parametrize("k, parity", [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (3, 1)])


@pytest.fixture(autouse=True)
def peers_promotion():
    """ginjax adds and multiplies arrays of several ranks and dtypes."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def both(k, parity, is_torus=(True, True), spatial=(5, 4), seed=0):
    """The same random image of both libraries."""
    data = np.random.default_rng(seed).normal(size=(*spatial, *(2,) * k)).astype(np.float32)
    return (
        GeometricImage(data, parity, 2, is_torus),
        peer.GeometricImage(jnp.asarray(data), parity, 2, is_torus),
    )


def assert_same(ours, theirs):
    assert ours.parity == theirs.parity
    assert ours.is_torus == theirs.is_torus
    scale = max(1.0, float(jnp.max(jnp.abs(theirs.data))))
    np.testing.assert_allclose(ours.data, theirs.data, rtol=0, atol=SINGLE * scale)


@each_type
def test_elements_act_alike(k, parity):
    ours, theirs = both(k, parity, (True, False))
    for g in OPERATORS:
        assert_same(ours.transform(g), theirs.times_group_element(g))


def test_algebra():
    ours, theirs = both(3, 1)
    other, their_other = both(1, 0, seed=1)
    assert_same(ours.contract(0, 2), theirs.contract(0, 2))
    assert_same(ours.transpose((2, 0, 1)), theirs.transpose((2, 0, 1)))
    assert_same(ours.levi_civita_contract(1), theirs.levi_civita_contract(1))
    assert_same(ours.norm(), theirs.norm())
    assert_same(ours * other, theirs * their_other)
    assert_same(2.5 * ours - ours, 2.5 * theirs - theirs)


@pytest.mark.parametrize("is_torus", [(True, True), (False, False), (True, False)])
@each_type
def test_convolution_with_a_filter(is_torus, k, parity):
    ours, theirs = both(k, parity, is_torus, (6, 6))
    tap, their_tap = both(1, 1, (False, False), (3, 3), seed=2)
    assert_same(ours.convolve_with(tap), theirs.convolve_with(their_tap))


@functools.cache
def filters(size, orders):
    return peer.get_invariant_filters([size], range(orders), [0, 1], 2, OPERATORS)


@pytest.mark.parametrize("size", [2, 3])
@each_type
def test_invariant_filters_have_one_span(size, k, parity):
    ours = invariant_filters(2, size, k, parity)
    found = {(len(t), p): np.asarray(a, np.float64) for (t, p), a in filters(size, 4).items()}
    theirs = found.get((k, parity), np.zeros((0, *ours.shape[1:])))
    assert len(theirs) == len(ours)
    if len(ours):
        flat, wanted = ours.reshape(len(ours), -1), theirs.reshape(len(ours), -1)
        rows = np.linalg.svd(flat, full_matrices=False)[2]
        outside = wanted - (wanted @ rows.T) @ rows
        assert np.abs(outside).max() <= SINGLE * np.abs(wanted).max()


def label(type_):
    """A type of ginjax, as equivax names it."""
    return f"k{len(type_[0])}p{type_[1]}"


def with_weights_of(theirs, ours):
    """Our convolution with ginjax's weights: its filters as the basis, its numbers, its biases."""
    given = {(len(t), p): np.asarray(a) for (t, p), a in theirs.invariant_filters.items()}
    basis = FilterBasis(ours.in_signature, ours.out_signature, ours.basis.kernel, ours.space, given)
    weights = {
        f"{label(source)}>{label(target)}": array
        for source, targets in theirs.weights.items()
        for target, array in targets.items()
    }
    bias = {label(type_): array for type_, array in theirs.bias.items()}
    return eqx.tree_at(lambda c: c.bias, ours.with_kernel(basis.expand(weights)), bias)


@pytest.mark.parametrize(
    "source, target, options",
    [
        ({(0, 0): 2, (1, 0): 1}, {(0, 0): 1, (1, 0): 3}, {}),
        ({(0, 0): 1, (1, 0): 2}, {(0, 1): 1, (1, 1): 1, (2, 0): 1}, {}),
        ({(1, 1): 2, (2, 0): 1}, {(0, 0): 2, (1, 0): 1}, {"rhs_dilation": 2}),
    ],
    ids=["vectors", "pseudotensors", "dilated"],
)
def test_convolutions_with_equal_weights(source, target, options):
    keys = jax.random.split(jax.random.key(0), 4)
    names = [
        peer.Signature(tuple((((False,) * k, p), n) for (k, p), n in types.items()))
        for types in (source, target)
    ]
    theirs = peer_layers.ConvContract(
        *names,
        filters(3, 5),
        key=keys[0],
        **{name: (value, value) for name, value in options.items()},
    )
    ours = nn.ConvContract(
        Signature(list(source.items())), Signature(list(target.items())), key=keys[1], **options
    )
    blocks = {
        (k, p): jax.random.normal(jax.random.fold_in(keys[2], 4 * k + p), (n, 6, 6, *(2,) * k))
        for (k, p), n in source.items()
    }
    found = with_weights_of(theirs, ours)(MultiImage(blocks, 2))
    wanted = theirs(peer.MultiImage(blocks, 2))
    assert len(found.signature) == len(target)
    for (t, p), block in wanted.items():
        scale = float(jnp.max(jnp.abs(block)))
        np.testing.assert_allclose(found[len(t), p], block, rtol=0, atol=SINGLE * scale)
