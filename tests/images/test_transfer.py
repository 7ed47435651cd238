"""Kernels of one dimension in another: their restriction, and what they do to flat data."""

import itertools

import jax
import numpy as np
import pytest

from equivax import images, models, nn
from equivax.images import InexactTransferWarning, MultiImage, invariant_filters, transfer_kernel

pytestmark = pytest.mark.usefixtures("x64")
TYPES = (((0, 0), 2), ((1, 0), 1))


def restricted(kernel, D, E, k):
    """By loops over components, independent of the library."""
    size = kernel.shape[0]
    found = np.zeros((*(size,) * D, *(D,) * k))
    for index in itertools.product(range(D), repeat=k):
        component = np.asarray(kernel)[(..., *index)] if k else np.asarray(kernel)
        found[(..., *index)] = component.sum(axis=tuple(range(D, E)))
    return found


@pytest.mark.parametrize("D, E, size", [(1, 2, 4), (2, 3, 3), (1, 3, 3)])
def test_the_new_kernel_is_invariant_and_restricts_to_the_old_one(D, E, size):
    rng = np.random.default_rng(D)
    for k in (0, 1, 2):
        filters = invariant_filters(D, size, k, 0)
        kernel = np.tensordot(rng.normal(size=len(filters)), filters, axes=1)
        near = rng.normal(size=(*(size,) * E, *(E,) * k))
        rows = invariant_filters(E, size, k, 0).reshape(-1, near.size)
        least = transfer_kernel(kernel, D, E)
        for rule in ("min_norm", near):
            new = transfer_kernel(kernel, D, E, rule)
            np.testing.assert_allclose(restricted(new, D, E, k), kernel, atol=1e-12)
            flat = np.asarray(new).ravel()
            np.testing.assert_allclose(rows.T @ (rows @ flat), flat, atol=1e-12)
            assert np.linalg.norm(least) <= np.linalg.norm(new) + 1e-12
            np.testing.assert_allclose(transfer_kernel(new, E, D), kernel, atol=1e-12)
        distance = [np.linalg.norm(near - v) for v in (new, least)]
        assert distance[0] < distance[1]


def test_the_map_of_scalar_filters_is_the_known_one():
    unit = invariant_filters(3, 3, 0, 0, normalize="unit")
    order = np.argsort(unit.reshape(len(unit), -1).sum(1))  # centre, face, corner, edge
    centre, face, corner, edge = unit[order]
    small = invariant_filters(2, 3, 0, 0, normalize="unit")
    c, f, e = sorted(small, key=lambda v: (v != 0).sum() + 10 * (v[0, 0] != 0))
    for new, old in ((centre, c), (face, 2 * c + f), (edge, 2 * f + e), (corner, 2 * e)):
        np.testing.assert_allclose(transfer_kernel(new, 3, 2), old, atol=1e-12)


def test_pseudotensors_cannot_be_carried():
    kernel = invariant_filters(2, 3, 2, 1)[0]
    with pytest.warns(InexactTransferWarning, match="side 3, order 2 and parity 1 in 2 dim"):
        assert not np.asarray(transfer_kernel(kernel, 2, 3, parity=1)).any()


def network(D):
    keys = jax.random.split(jax.random.key(D), 3)
    return [
        nn.ConvContract(TYPES, TYPES, D=D, key=keys[0]),
        nn.ConvContract(TYPES, TYPES, 4, D=D, stride=2, key=keys[1]),
        # to scalars: half a stencil along the new axis is a slope, which vectors would see
        nn.ConvContract(TYPES, TYPES[:1], 2, D=D, lhs_dilation=2, padding=1, key=keys[2]),
    ]


@pytest.mark.parametrize("rule", [pytest.param("min_norm", marks=pytest.mark.slow), "nearest"])
def test_a_carried_network_does_to_flat_data_what_the_old_one_did(rule):
    rng, flat = np.random.default_rng(0), network(1)
    flat = jax.tree.map(lambda a: a + 0.3, flat)  # biases too
    y = MultiImage({(0, 0): rng.normal(size=(2, 8)), (1, 0): rng.normal(size=(1, 8, 1))}, 1)
    wide = {
        (0, 0): np.repeat(y[(0, 0)][..., None], 8, axis=-1),
        (1, 0): np.pad(np.repeat(y[(1, 0)][..., None, :], 8, axis=-2), [(0, 0)] * 3 + [(0, 1)]),
    }
    z = MultiImage(wide, 2)
    for old, new in zip(flat, models.transfer_weights(flat, network(2), rule), strict=True):
        y, z = old(y), new(z)
        sides = z.spatial[1]
        np.testing.assert_allclose(
            z[(0, 0)], np.repeat(y[(0, 0)][..., None], sides, -1), atol=1e-12
        )
        if len(y.types) > 1:
            along, across = z[(1, 0)][..., 0], z[(1, 0)][..., 1]
            np.testing.assert_allclose(along, np.repeat(y[(1, 0)], sides, -1), atol=1e-12)
            np.testing.assert_allclose(across, 0, atol=1e-12)


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: transfer_kernel(np.ones((3, 4)), 2, 3), "kernel: expected equal sides"),
        (lambda: transfer_kernel(np.ones((3, 3, 3)), 2, 3), "3, 3, 3"),
        (lambda: transfer_kernel(np.ones(3), 1, 4), "transfer_kernel: D_to: expected an int"),
        (lambda: transfer_kernel(np.ones(3), 1, 2, "volume"), "rule: expected 'min_norm' or an"),
        (lambda: transfer_kernel(np.ones(3), 1, 2, np.ones(3)), r"rule: .* shape \(3, 3\)"),
        (lambda: models.transfer_weights([], [], "volume"), "rule: expected 'min_norm'"),
        (lambda: models.transfer_weights(network(1), network(2)[:1]), "expected 3 convolutions"),
        (
            lambda: models.transfer_weights(network(1)[0], network(2)[1]),
            "expected kernels of one size",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_jitted_transfer_has_no_surprises():
    kernel = images.invariant_filters(1, 3, 1, 0)
    run = jax.jit(lambda v: transfer_kernel(v, 1, 2, order=1))
    assert run(kernel).shape == (len(kernel), 3, 3, 2)
