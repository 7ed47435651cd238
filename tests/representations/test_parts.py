"""Axial vectors, determinants, and sums whose parts have names."""

import copy
import pickle

import numpy as np
import pytest

from equivax import Representation, direct_sum, groups

GROUPS = [
    groups.dihedral(4),
    groups.hyperoctahedral(3),
    groups.full_icosahedral(),
    groups.o2(),
    groups.o3(),
    groups.direct_product(groups.o2(), groups.dihedral(3)),
]


@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_determinants_and_axial_vectors(group: groups.Group):
    rep = group.defining
    for seed in range(5):
        g = group.sample(seed)
        det = np.linalg.det(rep(g))
        np.testing.assert_allclose(rep.determinant(g), [[det]], atol=1e-12)
        np.testing.assert_allclose((2 * rep).determinant(g), [[1.0]], atol=1e-12)
        np.testing.assert_allclose(
            (3 * rep).pseudo()(g), np.kron(np.eye(3), det * rep(g)), atol=1e-12
        )
    assert Representation.pseudo(rep) == rep.pseudo()


def test_rotations_make_no_difference():
    vector = groups.so3().standard
    assert vector.pseudo() == vector
    assert vector.determinant == groups.so3().trivial


def test_a_cross_product_is_axial():
    vector = groups.o3().standard
    a, b = np.random.default_rng(0).normal(size=(2, 3))
    g = groups.o3().sample(1)
    turned = np.cross(vector.transform(a, g), vector.transform(b, g))
    np.testing.assert_allclose(turned, vector.pseudo().transform(np.cross(a, b), g), atol=1e-12)


def test_named_parts_slice_a_state():
    G = groups.dihedral(4)
    legs, vector = G.regular, G.standard
    state = direct_sum({"position": vector, "spin": vector.determinant, "legs": 2 * legs})
    assert state == vector + vector.determinant + 2 * legs
    assert state.parts == {"position": slice(0, 2), "spin": slice(2, 3), "legs": slice(3, 19)}
    x = np.random.default_rng(0).normal(size=(5, state.size))
    for g in G.elements:
        moved = state.transform(x, g)
        for name, rep in {"position": vector, "legs": 2 * legs}.items():
            at = state.parts[name]
            np.testing.assert_allclose(moved[:, at], rep.transform(x[:, at], g), atol=1e-12)
    for same in (
        state.restrict("rotations"),
        state.fused(),
        state.isotypic(),
        pickle.loads(pickle.dumps(state)),
        copy.copy(state),
    ):
        assert same.parts == state.parts
    assert legs.parts == (state + legs).parts == {}


def test_sums_of_mappings_are_checked():
    with pytest.raises(ValueError, match="got no representation"):
        direct_sum({})
