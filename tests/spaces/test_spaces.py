"""Spaces: axes, mirrors, equality, restriction, the vector field."""

import copy
import math
import pickle

import jax
import numpy as np
import pytest

import golden_fields as gf
from equivax import groups, spaces

TURN = np.array([[0.0, -1.0], [1.0, 0.0]])
PLANES = {
    "C1": spaces.trivial_on_r2,
    "C2": lambda: spaces.rot_on_r2(2),
    "C4": lambda: spaces.rot_on_r2(4),
    "C8": lambda: spaces.rot_on_r2(8),
    "C12": lambda: spaces.rot_on_r2(12),
    "D1": spaces.flip_on_r2,
    "D1 of D_n": lambda: spaces.flip_rot_on_r2(1),
    "D1, axis 0.3": lambda: spaces.flip_on_r2(0.3),
    "D2": lambda: spaces.flip_rot_on_r2(2),
    "D2, axis 0.3": lambda: spaces.flip_rot_on_r2(2, 0.3),
    "D4": lambda: spaces.flip_rot_on_r2(4),
    "D12": lambda: spaces.flip_rot_on_r2(12),
    "D5, axis 0": lambda: spaces.flip_rot_on_r2(5, 0.0),
    "SO2": lambda: spaces.rot_on_r2(-1),
    "O2": lambda: spaces.flip_rot_on_r2(-1),
    "O2, axis 1": lambda: spaces.flip_rot_on_r2(-1, 1.0),
}
by_plane = pytest.mark.parametrize("name", PLANES)


def rotation(angle):
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s], [s, c]])


def reflection(axis):
    return rotation(2 * axis) @ np.diag([1.0, -1.0])


def same_elements(space, other):
    pairs = zip(space.testing_elements, other.testing_elements, strict=True)
    return all(np.allclose(space.matrix(g), other.matrix(h), atol=1e-12) for g, h in pairs)


# ---- actions -----------------------------------------------------------------------------------


@by_plane
def test_actions_are_orthogonal_and_multiply(name):
    space = PLANES[name]()
    elements = space.testing_elements
    for g in elements:
        A = space.matrix(g)
        np.testing.assert_allclose(A @ A.T, np.eye(2), atol=1e-13)
        for h in elements[:: max(1, len(elements) // 5)]:
            np.testing.assert_allclose(space.matrix(g @ h), A @ space.matrix(h), atol=1e-12)
    np.testing.assert_allclose(space.matrix(space.group.identity), np.eye(2), atol=1e-15)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 8, 12])
def test_rotations_are_counter_clockwise_and_mirrors_where_they_should_be(n):
    turned = spaces.rot_on_r2(n)
    for a in range(n):
        expected = rotation(2 * math.pi * a / n)
        np.testing.assert_allclose(turned.matrix(turned.group.element(a)), expected, atol=1e-13)
    for axis in (math.pi / 2, 0.0, 0.3):
        space = spaces.flip_rot_on_r2(n, axis)
        for b in (0, 1):
            for a in range(n):
                expected = rotation(2 * math.pi * a / n) @ (reflection(axis) if b else np.eye(2))
                found = space.matrix(space.group.element((b, a)))
                np.testing.assert_allclose(found, expected, atol=1e-13)


def test_circles_turn_by_their_angle():
    for angle in (0.0, 0.4, 5.0):
        turn, mirror = spaces.rot_on_r2(-1), spaces.flip_rot_on_r2(-1, 0.3)
        np.testing.assert_allclose(turn.matrix(turn.group.element(angle)), rotation(angle))
        found = mirror.matrix(mirror.group.element((1, angle)))
        np.testing.assert_allclose(found, rotation(angle) @ reflection(0.3), atol=1e-13)


def test_the_default_mirror_exchanges_left_and_right():
    space = spaces.flip_on_r2()
    np.testing.assert_array_equal(space.matrix(space.group.elements[1]), np.diag([-1.0, 1.0]))


@pytest.mark.parametrize(
    "name, count", [("C1", 1), ("C8", 4), ("C12", 4), ("D4", 8), ("D12", 8), ("D1, axis 0.3", 1),
                    ("D5, axis 0", 2), ("SO2", 4), ("O2", 8), ("O2, axis 1", 4), ("D1", 2)]
)  # fmt: skip
def test_exact_elements_are_the_signed_permutations(name, count):
    space = PLANES[name]()
    exact = space.exact_elements
    assert len(exact) == len(set(exact)) == count
    for g in space.testing_elements:
        A = space.matrix(g)
        signed = np.abs(A - np.rint(A)).max() < 1e-9
        assert (g in exact) == signed == (space.grid_action(g) is not None)
    assert space.preserves_grid == (len(exact) == len(space.testing_elements))
    closed = {g @ h for g in exact for h in exact}
    assert len(closed) == count if space.group.order is not None else True


# ---- the grid ----------------------------------------------------------------------------------


def test_points_of_the_grid():
    points = spaces.grid_points((2, 3))
    expected = [(-1, 0.5), (0, 0.5), (1, 0.5), (-1, -0.5), (0, -0.5), (1, -0.5)]
    np.testing.assert_array_equal(points, expected)
    np.testing.assert_array_equal(spaces.grid_points((3,)), [[-1], [0], [1]])
    volume = spaces.grid_points((2, 2, 2))
    np.testing.assert_array_equal(volume[0], [-0.5, 0.5, 0.5])  # x first; z and y reversed
    np.testing.assert_array_equal(volume[1], [0.5, 0.5, 0.5])
    np.testing.assert_array_equal(volume[4], [-0.5, 0.5, -0.5])


def test_the_frame_is_its_own_inverse_transpose():
    for dim in (1, 2, 3):
        frame = spaces.index_matrix(dim)
        np.testing.assert_array_equal(frame @ frame.T, np.eye(dim))
    np.testing.assert_array_equal(spaces.center((4, 5)), [1.5, 2.0])


def test_signed_permutations_of_grids():
    turn = spaces.SignedPermutation.of(TURN)
    assert turn is not None
    assert turn.swaps_axes
    picture = np.arange(6).reshape(2, 3)
    moved = np.flip(picture.transpose(turn.axes), turn.reverse)
    np.testing.assert_array_equal(moved, np.rot90(picture))  # counter-clockwise as one sees it
    mirror = spaces.SignedPermutation.of(np.diag([-1.0, 1.0]))
    assert mirror == spaces.SignedPermutation((0, 1), (1,))
    assert not mirror.swaps_axes
    assert spaces.SignedPermutation.of(rotation(0.1)) is None
    assert spaces.SignedPermutation.of(np.array([[1.0, 0.0], [1.0, 0.0]])) is None


# ---- values ------------------------------------------------------------------------------------


@by_plane
def test_spaces_are_values(name):
    space, again = PLANES[name](), PLANES[name]()
    for same in (again, pickle.loads(pickle.dumps(space)), copy.deepcopy(space), copy.copy(space)):
        assert same == space
        assert hash(same) == hash(space)
    assert jax.tree.leaves(space) == []
    assert space != "a plane"
    assert space.dim == 2
    assert space.domain == "R2"
    assert space.group.name in repr(space)


def test_equality_counts_the_axis_of_mirrors():
    assert spaces.flip_on_r2() != spaces.flip_on_r2(0.0)
    assert spaces.flip_rot_on_r2(4) != spaces.flip_rot_on_r2(4, math.pi / 4)
    assert spaces.flip_rot_on_r2(-1) != spaces.flip_rot_on_r2(-1, 0.0)
    # Lines have no direction: the same mirror.
    assert spaces.flip_on_r2() == spaces.flip_on_r2(-math.pi / 2)
    assert spaces.flip_on_r2() == spaces.flip_rot_on_r2(1)
    assert spaces.trivial_on_r2() == spaces.rot_on_r2(1)
    assert spaces.rot_on_r2(4) != spaces.no_base_space(groups.cyclic(4))
    assert spaces.rot_on_r2(4) != spaces.on_r1(groups.cyclic(4))
    assert spaces.on_r1(groups.dihedral(1)) != spaces.flip_on_r1()


def test_equality_of_actions_that_were_built_differently():
    G = groups.cyclic(4)
    given = spaces.GSpace(G, type(G.regular).from_matrices(G, G.irrep(1).matrices))
    assert given == spaces.rot_on_r2(4)
    assert hash(given) == hash(spaces.rot_on_r2(4))
    backwards = type(G.regular).from_matrices(G, G.irrep(1).matrices.transpose(0, 2, 1))
    assert spaces.GSpace(G, backwards) != given


def test_reprs():
    assert repr(spaces.rot_on_r2(8)) == "C8 on R2"
    assert repr(spaces.flip_rot_on_r2(4)) == "D4 on R2"
    assert repr(spaces.flip_on_r2(0.5)) == "D1 on R2 (axis 0.5)"
    assert repr(spaces.no_base_space(groups.cyclic(3))) == "C3 on a point"
    assert repr(spaces.flip_on_r1()) == "D1 on R1"


def test_points_and_lines():
    group = groups.cyclic(3)
    point, line, flip = spaces.no_base_space(group), spaces.on_r1(group), spaces.flip_on_r1()
    assert (point.dim, line.dim, flip.dim) == (0, 1, 1)
    assert point.exact_elements == line.exact_elements == group.elements
    assert not point.moves_points
    assert not line.moves_points
    assert flip.moves_points
    assert point.preserves_grid
    assert point.matrix(group.elements[1]).shape == (0, 0)
    np.testing.assert_array_equal(flip.matrix(flip.group.elements[1]), [[-1.0]])
    restricted = point.restrict(1)
    assert restricted.dim == 0
    assert restricted.group.order == 1


def test_representations_are_those_of_the_group():
    space = spaces.flip_rot_on_r2(4)
    G = space.group
    rotations = G.subgroup((None, 4))
    sigma = rotations.group.irrep(1)
    assert space.trivial == G.trivial
    assert space.regular == G.regular
    assert space.irrep(1, 2) == G.irrep(1, 2)
    assert space.quotient((0, 1)) == G.quotient((0, 1))
    assert space.induced(rotations, sigma) == G.induced(rotations, sigma)
    assert space.testing_elements == G.testing_elements


# ---- restriction -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "n, k, m", [(4, 0, 4), (4, 1, 1), (4, 1, 2), (6, 1, 3), (12, 5, 2), (8, 3, 1)]
)
def test_mirror_lines_of_restricted_dihedral_groups(n, k, m):
    for axis in (math.pi / 2, 0.2):
        found = spaces.flip_rot_on_r2(n, axis).restrict((k, m))
        expected = spaces.flip_rot_on_r2(m, axis + math.pi * k / n)
        assert found == expected
        assert same_elements(found, expected)


@pytest.mark.parametrize("theta, m", [(0.0, 4), (0.7, 1), (1.3, 3)])
def test_mirror_lines_of_restricted_o2(theta, m):
    found = spaces.flip_rot_on_r2(-1, 0.2).restrict((theta, m))
    assert found == spaces.flip_rot_on_r2(m, 0.2 + theta / 2)


@pytest.mark.parametrize(
    "space, spec, expected",
    [
        ("C8", 4, "C4"), ("D4", (None, 4), "C4"), ("SO2", 8, "C8"), ("O2", (None, 8), "C8"),
        ("O2", (None, -1), "SO2"), ("C12", 1, "C1"), ("D12", (None, 2), "C2"),
    ],
)  # fmt: skip
def test_restriction_to_rotations(space, spec, expected):
    whole = PLANES[space]()
    found = whole.restrict(spec)
    assert found == PLANES[expected]()
    inner = whole.group.subgroup(spec)
    for h in inner.group.testing_elements:
        np.testing.assert_allclose(found.matrix(h), whole.matrix(inner.embedding(h)), atol=1e-12)


# ---- vectors -----------------------------------------------------------------------------------


@by_plane
def test_vector_is_the_action(name):
    space = PLANES[name]()
    for g in space.testing_elements:
        np.testing.assert_array_equal(space.vector(g), space.matrix(g))


@pytest.mark.parametrize("n", [3, 4, 6, -1])
@pytest.mark.parametrize("axis", [math.pi / 2, 0.0, 0.3])
def test_components_of_vectors_and_of_irreps(n, axis):
    space = spaces.flip_rot_on_r2(n, axis)
    v_irrep = np.array([0.3, -1.1])
    irrep = space.irrep(1, 1)
    for g in space.testing_elements:
        v_xy = rotation(axis) @ v_irrep
        np.testing.assert_allclose(
            space.vector(g) @ v_xy, rotation(axis) @ irrep(g) @ v_irrep, atol=1e-12
        )
    assert (space.vector == irrep) == (axis == 0.0)


def test_vector_of_rotations_is_the_irrep():
    for n in (3, 4, 8, -1):
        space = spaces.rot_on_r2(n)
        for g in space.testing_elements:
            np.testing.assert_allclose(space.vector(g), space.irrep(1)(g), atol=1e-12)


def test_golden_names_build_these_spaces():
    assert gf.space("D1") == spaces.flip_on_r2()
    assert gf.space("O2") == spaces.flip_rot_on_r2(-1)
