"""Spaces of signed permutations, and the two frames: array axes, and x, y, z."""

import numpy as np
import pytest

from equivax import FieldType, groups, spaces
from equivax.images import MultiImage, Signature


@pytest.mark.parametrize("D", [1, 2, 3])
def test_orders_and_frames(D):
    full, proper = spaces.hyperoctahedral_on(D), spaces.rotations_on(D)
    assert full.group.order == 2**D * [1, 1, 2, 6][D]
    assert proper.group.order == max(1, full.group.order // 2)
    J = spaces.index_matrix(D)
    for space in (full, proper):
        assert space.dim == D
        assert space.preserves_grid
        g = spaces.axis_matrices(space)
        A = space.matrices(space.group.testing_coordinates)
        np.testing.assert_allclose(A, J @ g @ J.T, atol=1e-14)
    assert (np.linalg.det(spaces.axis_matrices(proper)) > 0).all()
    assert np.array_equal(spaces.axis_matrices(full), spaces.signed_matrices(full.group))


def test_vectors_of_the_plane_turn_like_their_axes():
    # v_x = v_1 and v_y = -v_0: a vector down the rows points against y.
    space = spaces.hyperoctahedral_on(2)
    to_xy = np.array([[0, 1], [-1, 0]])
    np.testing.assert_array_equal(spaces.index_matrix(2), to_xy)
    tensors = Signature((((1, 0), 1),)).field_type(2)
    for g in space.testing_elements:
        moved = tensors.representation(g)
        np.testing.assert_allclose(to_xy @ moved, space.vector(g) @ to_xy, atol=1e-14)


@pytest.mark.parametrize("D", [1, 2, 3])
@pytest.mark.usefixtures("x64")
def test_a_multi_image_moves_like_the_fields_of_its_type(D):
    signature = Signature((((0, 1), 1), ((1, 0), 2), ((2, 1), 1)))
    sides = (3, 4, 5)[:D]
    x = np.random.default_rng(0).standard_normal((2, signature.size(D), *sides))
    image = MultiImage.from_array(x, signature, D)
    type_ = signature.field_type(D)
    for g in type_.testing_elements:
        np.testing.assert_allclose(image.transform(g).array, type_.transform(x, g), atol=1e-13)


def test_equal_spaces_are_equal_however_they_were_made():
    cube = spaces.rotations_on(3)
    assert cube.group is groups.octahedral()
    pairs = [
        (cube, spaces.signed_permutations_on(groups.octahedral())),
        (spaces.rotations_on(1), spaces.on_r1(groups.cyclic(1))),
        (spaces.signed_permutations_on(groups.dihedral(4)), spaces.flip_rot_on_r2(4)),
        (spaces.signed_permutations_on(groups.cyclic(4)), spaces.rot_on_r2(4)),
        (spaces.flip_rot_on_r2(8).restrict("rotations"), spaces.rot_on_r2(8)),
        (spaces.flip_on_r2(0.0), spaces.flip_on_r2(np.pi)),
    ]
    for one, other in pairs:
        assert one == other
        assert hash(one) == hash(other)
    assert spaces.flip_on_r2(0.0) != spaces.flip_on_r2(1e-6)


def test_groups_by_their_own_matrices():
    assert spaces.signed_permutations_on(groups.octahedral()).group is groups.octahedral()
    square = spaces.signed_permutations_on(groups.dihedral(4))
    assert FieldType(square, square.regular).size == 8


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: spaces.hyperoctahedral_on(5), "dim: expected 1 to 4"),
        (lambda: spaces.rotations_on(True), "dim: expected 1 to 4"),
        (lambda: spaces.signed_permutations_on(groups.cyclic(8)), "signed permutation matrices"),
        (lambda: spaces.signed_permutations_on("C4"), "expected a Group"),
        (lambda: spaces.axis_matrices(spaces.rot_on_r2(8)), "signed permutation matrices"),
    ],
)
def test_refusals(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()
