"""Spaces of three dimensions and more: actions, grids, equality, transforms."""

import itertools
import math

import jax
import numpy as np
import pytest

from equivax import FieldType, groups, spaces

VOLUMES = {
    "C1": (spaces.trivial_on_r3, 1),
    "C2 about z": (lambda: spaces.cyclic_on_r3(2), 2),
    "C4 about z": (lambda: spaces.cyclic_on_r3(4), 4),
    "C4 about x": (lambda: spaces.cyclic_on_r3(4, "x"), 4),
    "C4 about y": (lambda: spaces.cyclic_on_r3(4, axis="y"), 4),
    "C6 about z": (lambda: spaces.cyclic_on_r3(6), 2),
    "SO2 about y": (lambda: spaces.cyclic_on_r3(-1, "y"), 4),
    "D1": (lambda: spaces.dihedral_on_r3(1), 2),
    "D2": (lambda: spaces.dihedral_on_r3(2), 4),
    "D4": (lambda: spaces.dihedral_on_r3(4), 8),
    "D5": (lambda: spaces.dihedral_on_r3(5), 2),
    "O2": (lambda: spaces.dihedral_on_r3(-1), 8),
    "T": (spaces.tetrahedral_on_r3, 12),
    "O": (spaces.octahedral_on_r3, 24),
    "Oh": (spaces.full_octahedral_on_r3, 48),
    "I": (spaces.icosahedral_on_r3, 12),
    "Ih": (spaces.full_icosahedral_on_r3, 24),
    "SO3": (spaces.rot_on_r3, 7),
    "O3": (spaces.flip_rot_on_r3, 14),
    "mirrors": (lambda: spaces.on_r3(groups.dihedral(4), mirrors(groups.dihedral(4))), 8),
}
by_volume = pytest.mark.parametrize("name", VOLUMES)


def mirrors(group):
    """A dihedral group whose f is a mirror of the plane, with z untouched."""
    return group.irrep(1, 1) + group.trivial


def about(axis, angle):
    """The right-handed rotation about a coordinate axis, column by column."""
    after, last = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[after, after] = matrix[last, last] = math.cos(angle)
    matrix[last, after], matrix[after, last] = math.sin(angle), -math.sin(angle)
    return matrix


@by_volume
def test_actions_are_orthogonal_and_multiply(name):
    make, exact = VOLUMES[name]
    space = make()
    assert space.dim == 3
    assert space.domain == "R3"
    assert len(space.exact_elements) == exact
    assert space.preserves_grid == (exact == space.group.order)
    elements = space.testing_elements
    for g in elements[:: max(1, len(elements) // 8)]:
        A = space.matrix(g)
        np.testing.assert_allclose(A @ A.T, np.eye(3), atol=1e-13)
        for h in elements[:: max(1, len(elements) // 5)]:
            np.testing.assert_allclose(space.matrix(g @ h), A @ space.matrix(h), atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_cyclic_groups_turn_about_their_axis(n):
    for axis, letter in enumerate("xyz"):
        space = spaces.cyclic_on_r3(n, letter)
        for a in range(n):
            expected = about(axis, 2 * math.pi * a / n)
            found = space.matrix(space.group.element(a))
            np.testing.assert_allclose(found, expected, atol=1e-13)
    circle = spaces.cyclic_on_r3(-1, "x")
    np.testing.assert_allclose(circle.matrix(circle.group.element(0.3)), about(0, 0.3))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6])
def test_dihedral_groups_are_rotations_with_half_turns_about_lines_across(n):
    space = spaces.dihedral_on_r3(n)
    for b, a in itertools.product((0, 1), range(n)):
        half_turn = np.diag([1.0, -1.0, -1.0]) if b else np.eye(3)
        expected = about(2, 2 * math.pi * a / n) @ half_turn
        found = space.matrix(space.group.element((b, a)))
        np.testing.assert_allclose(found, expected, atol=1e-13)
    np.testing.assert_allclose(np.linalg.det(space.element_matrices), 1.0)


def test_groups_of_matrices_act_by_them():
    for name in ("T", "O", "Oh", "I", "SO3", "O3"):
        space = VOLUMES[name][0]()
        matrices = space.group.standard_matrices(space.group.testing_coordinates)
        for g, expected in zip(space.testing_elements, matrices, strict=True):
            np.testing.assert_allclose(space.matrix(g), expected, atol=1e-12)


def test_equal_groups_with_equal_actions_are_equal_spaces():
    full, turns = spaces.flip_rot_on_r3(), spaces.rot_on_r3()
    quarter = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    pairs = [
        (turns, spaces.on_r3(groups.so3())),
        (turns, full.restrict("so3")),
        (spaces.octahedral_on_r3(), turns.restrict("octahedral")),
        (spaces.octahedral_on_r3(), spaces.full_octahedral_on_r3().restrict("rotations")),
        (spaces.icosahedral_on_r3(), turns.restrict("icosahedral")),
        (spaces.full_octahedral_on_r3(), full.restrict("full_octahedral")),
        (spaces.tetrahedral_on_r3(), spaces.octahedral_on_r3().restrict("tetrahedral")),
        (spaces.cyclic_on_r3(-1), turns.restrict("so2")),
        (spaces.cyclic_on_r3(4), spaces.cyclic_on_r3(-1).restrict(4)),
        (spaces.cyclic_on_r3(4), spaces.dihedral_on_r3(4).restrict("rotations")),
        (spaces.cyclic_on_r3(1, "x"), spaces.trivial_on_r3()),
        (spaces.cyclic_on_r3(4), spaces.octahedral_on_r3().restrict([quarter])),
    ]
    for one, other in pairs:
        assert one == other
        assert hash(one) == hash(other)
    assert spaces.cyclic_on_r3(4) != spaces.cyclic_on_r3(4, "x")
    assert spaces.dihedral_on_r3(4) != VOLUMES["mirrors"][0]()
    assert repr(spaces.cyclic_on_r3(4, "x")) == "C4 on R3 (axis x)"
    assert repr(spaces.full_octahedral_on_r3()) == "full_octahedral on R3"


def test_the_axes_of_a_volume_are_z_y_x():
    """A quarter turn about z takes x to y, at every height."""
    space = spaces.cyclic_on_r3(4)
    volume = np.zeros((1, 3, 3, 3))
    volume[0, 2, 1, 2] = 1.0  # z = -1, y = 0, x = 1
    moved = FieldType(space, space.trivial).transform(volume, space.group.element(1))
    assert np.argwhere(moved[0] > 0.5).tolist() == [[2, 0, 1]]  # z = -1, y = 1, x = 0


@pytest.mark.parametrize("name", ["Oh", "D4", "C4 about x"])
@pytest.mark.usefixtures("x64")
def test_exact_elements_move_volumes_without_loss(name):
    space = VOLUMES[name][0]()
    vectors = FieldType(space, space.vector)
    x = jax.random.normal(jax.random.key(0), (3, 2, 2, 2))
    elements = space.testing_elements
    for g, h in zip(elements, elements[::-1], strict=True):
        twice = vectors.transform(vectors.transform(x, h), g)
        np.testing.assert_allclose(vectors.transform(x, g @ h), twice, atol=1e-13)


def test_grids_of_any_dimension():
    assert spaces.grid(3) == spaces.hyperoctahedral_on(3)
    assert spaces.grid(2, groups.dihedral(4)) == spaces.flip_rot_on_r2(4)
    four = spaces.grid(4)
    assert (four.dim, four.group.order, four.preserves_grid) == (4, 384, True)
    proper = spaces.rotations_on(4)
    assert proper.group.order == 192
    np.testing.assert_allclose(np.linalg.det(proper.element_matrices), 1.0)
    turn = np.roll(np.eye(6), 1, axis=0)
    six = spaces.grid(6, groups.from_generators([turn]))
    assert (six.dim, six.group.order, six.domain) == (6, 6, "R6")
    x = np.arange(2.0**6).reshape(1, *(2,) * 6)
    g = six.group.elements[1]
    moved = FieldType(six, six.trivial).transform(x, g)
    axes = np.argmax(np.abs(spaces.axis_matrices(six)[1]), axis=1)
    np.testing.assert_array_equal(np.abs(moved), x.transpose(0, *(1 + axes)))


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: spaces.on_r3("O"), "on_r3: group: expected a group, got str"),
        (lambda: spaces.on_r3(groups.cyclic(4)), "action: expected a representation of size 3"),
        (lambda: spaces.on_r3(groups.so3(), groups.so3().irrep(2)), "expected size 3, got 5"),
        (lambda: spaces.on_r3(groups.so3(), np.eye(3)), "expected a Representation or None"),
        (lambda: spaces.cyclic_on_r3(0), "cyclic_on_r3: n: expected a positive number"),
        (lambda: spaces.cyclic_on_r3(4, "w"), "cyclic_on_r3: axis: expected 'x', 'y' or 'z'"),
        (lambda: spaces.dihedral_on_r3(1.5), "dihedral_on_r3: n: expected a positive number"),
        (lambda: spaces.grid(0), "grid: D: expected"),
        (lambda: spaces.grid(5), "stands for all of them up to D = 4"),
        (lambda: spaces.grid(3, groups.dihedral(4)), "signed permutations of 3 axes"),
        (lambda: spaces.grid(2, "D4"), "grid: group: expected a Group"),
        (lambda: spaces.grid(2, groups.cyclic(8)), "signed permutation matrices"),
    ],
)
def test_refusals(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()
