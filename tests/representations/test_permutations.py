"""Orbits of (signed) permutation representations, and what they are induced from."""

import numpy as np
import pytest
import scipy

from equivax import Representation, direct_sum, groups
from equivax.representations import doubled, induced_structure

C4, D4, D1, O2, SO2 = (
    groups.cyclic(4), groups.dihedral(4), groups.dihedral(1), groups.o2(), groups.so2(),
)  # fmt: skip
MIRROR = D4.subgroup((0, 1))
ROTATIONS = D4.subgroup((None, 4))

SIGNED = {
    "regular": C4.regular,
    "quarter turns": C4.irrep(1),
    "sign": C4.irrep(2),
    "plane": D4.irrep(1, 1),
    "signs of a mirror": D4.induced(MIRROR, MIRROR.group.irrep(1, 0)),
    "trivial group": groups.cyclic(1).trivial,
    "mirror sign of O(2)": O2.irrep(1, 0),
    "components of O(2)": O2.quotient("so2"),
    "several orbits": (C4.irrep(1) + C4.irrep(2) + C4.trivial).fused(),
    "axes of a cube": groups.hyperoctahedral(3).defining,
    "a Lie product": groups.direct_product(SO2, groups.cyclic(2)).irreps(0)[1],
}


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("name", SIGNED)
def test_doubling_puts_the_exchange_matrix_for_minus_one(name, interleaved):
    field = SIGNED[name]
    rep, order = doubled(field, interleaved=interleaved)
    assert rep.is_permutation
    assert sorted(order) == list(range(2 * field.size))
    assert not interleaved or order == tuple(range(2 * field.size))
    exchange = np.array([[0, 1], [1, 0]])
    for g in field.group.testing_elements:
        matrix = field(g).round()
        ends = np.kron(np.maximum(matrix, 0), np.eye(2)) + np.kron(np.maximum(-matrix, 0), exchange)
        np.testing.assert_allclose(rep(g), ends[np.ix_(order, order)], atol=1e-12)


def test_one_orbit_of_ends_is_a_quotient_by_value():
    assert doubled(C4.irrep(1))[0] == C4.regular
    assert doubled(D1.irrep(1, 0))[0] == D1.regular
    assert doubled(C4.irrep(2))[0] == C4.quotient(2)
    assert doubled(D4.irrep(1, 1))[0] == D4.quotient(MIRROR)
    assert doubled(O2.irrep(1, 0))[0] == O2.quotient("so2")
    assert doubled(D4.irrep(1, 0))[0] == D4.quotient(ROTATIONS)


def test_the_structure_is_remembered_or_read_off_the_orbit():
    sigma = ROTATIONS.group.irrep(1)
    found = induced_structure(D4.induced(ROTATIONS, sigma))
    assert (found.subgroup, found.size, found.starts) == (ROTATIONS, 2, (0, 2))
    custom = Representation.from_matrices(D4, D4.quotient(MIRROR).matrices)
    read, known = induced_structure(custom), induced_structure(D4.quotient(MIRROR))
    assert custom.induced_from is None
    assert read.same_cosets(known)
    assert read.starts == known.starts == (0, 1, 2, 3)
    assert induced_structure(D4.regular).subgroup.group.order == 1
    assert induced_structure(D4.trivial).subgroup.group.order == 8


def test_another_order_of_channels_is_traced_to_the_cosets():
    shuffle = np.eye(4)[[2, 0, 3, 1]]
    custom = Representation.from_matrices(C4, shuffle.T @ C4.regular.matrices @ shuffle)
    starts = induced_structure(custom).starts
    assert starts[0] == 0
    for place, g in zip(starts, C4.elements, strict=True):
        assert custom(g)[place, 0] == pytest.approx(1.0)


def test_remembered_subfields_win_over_orbits():
    """C_2 x C_2 permutes two pairs: equal matrices, induced in one way or in the other."""
    G = groups.direct_product(groups.cyclic(2), groups.cyclic(2))
    half = G.subgroup([G.elements[1]])
    pairs = G.induced(half, half.group.regular)
    assert induced_structure(pairs).size == 2
    assert induced_structure(G.regular).size == 1
    assert induced_structure(pairs).size == 2


@pytest.mark.parametrize(
    "field",
    [
        C4.irrep(1),
        SO2.irrep(1),
        (C4.regular + C4.regular).fused(),
        C4.regular + C4.regular,
    ],
    ids=repr,
)
def test_other_fields_have_no_structure(field):
    assert induced_structure(field) is None


def test_equal_index_is_not_equal_cosets():
    other = D4.subgroup((0, 2))
    a, b = induced_structure(D4.quotient(ROTATIONS)), induced_structure(D4.quotient(other))
    assert a.subgroup.index == b.subgroup.index == 2
    assert not a.same_cosets(b)
    assert a.same_cosets(induced_structure(D4.quotient([(0, 1)])))
    assert not a.same_cosets(induced_structure(groups.dihedral(8).quotient((None, 8))))
    circle = induced_structure(O2.quotient("so2"))
    assert circle.same_cosets(circle)
    assert not circle.same_cosets(induced_structure(O2.trivial))


@pytest.mark.parametrize("frequency", [1, 13, 26, 52])
def test_what_turns_continuously_is_no_permutation(frequency):
    """The 52 testing angles see a turn 13 times as fast as quarter turns, 52 times as none."""
    assert not SO2.irrep(frequency).is_permutation
    assert not SO2.irrep(frequency).is_signed_permutation
    assert not O2.irrep(1, frequency).is_signed_permutation
    assert direct_sum([O2.trivial, O2.irrep(1, 0)]).is_signed_permutation


def quarter_turn(side: int) -> np.ndarray:
    """Where a quarter turn takes every pixel of a square image."""
    pixels = np.arange(side * side).reshape(side, side)
    taken = np.empty(side * side, dtype=int)
    taken[np.rot90(pixels).ravel()] = np.arange(side * side)
    return taken


def test_pixels_are_decomposed_orbit_by_orbit():
    """40 x 40 pixels: dense matrices of all elements would take a hundred times as long."""
    rep = Representation.from_generators(C4, [quarter_turn(40)])
    assert rep.multiplicities == {(0,): 400, (1,): 400, (2,): 400}
    change = rep.change_of_basis
    turned = change[np.argsort(quarter_turn(40))]  # rho(g) Q, a permutation of the rows
    blocks = (change.T @ turned).round(12)
    assert np.abs(change.T @ change - np.eye(1600)).max() < 1e-13
    wanted = [C4.irrep(*i)(C4.generators[0]) for i in rep.irreps]
    np.testing.assert_allclose(blocks, scipy.linalg.block_diag(*wanted), atol=1e-11)
    assert (np.count_nonzero(change, axis=0) <= 4).all()


def test_components_are_found_in_any_order_and_whether_orthogonal_or_not():
    """A mixed state: a stretched plane, signed axes and a fixed number, shuffled."""
    stretch = np.diag([1.0, 3.0])
    plane = stretch @ C4.irrep(1)(C4.generators[0]) @ np.linalg.inv(stretch)
    signed = np.array([[0.0, -1.0], [-1.0, 0.0]])
    whole = scipy.linalg.block_diag(plane, signed, 1.0)
    shuffle = [3, 0, 4, 2, 1]
    with pytest.warns(UserWarning, match="not orthogonal"):
        rep = Representation.from_generators(C4, [whole[np.ix_(shuffle, shuffle)]])
    assert rep.multiplicities == {(0,): 2, (1,): 1, (2,): 1}
    root = rep.orthogonalizer
    given = root @ whole[np.ix_(shuffle, shuffle)] @ np.linalg.inv(root)
    np.testing.assert_allclose(rep(C4.generators[0]), given, atol=1e-13)
    apart = np.ix_([1, 4], [0, 2, 3])  # the plane and the rest
    assert not root[apart].any()
