"""Conversions between angles, quaternions, matrices and Euler angles."""

import numpy as np
import pytest

from equivax._numerics import _rotations as rotations


@pytest.fixture
def quaternions() -> np.ndarray:
    q = np.random.default_rng(0).normal(size=(200, 4))
    special = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 1], [0, 1, 1, 0]]
    return rotations.normalize_quaternions(np.concatenate([q, np.array(special, dtype=float)]))


def test_quaternion_and_matrix(quaternions: np.ndarray) -> None:
    matrices = rotations.quaternion_matrices(quaternions)
    np.testing.assert_allclose(
        matrices @ matrices.transpose(0, 2, 1), np.tile(np.eye(3), (206, 1, 1)), atol=1e-14
    )
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=1e-14)
    np.testing.assert_allclose(rotations.matrix_quaternions(matrices), quaternions, atol=1e-14)


def test_product(quaternions: np.ndarray) -> None:
    p, q = quaternions, quaternions[::-1]
    product = rotations.quaternion_matrices(rotations.multiply_quaternions(p, q))
    expected = rotations.quaternion_matrices(p) @ rotations.quaternion_matrices(q)
    np.testing.assert_allclose(product, expected, atol=1e-14)


def test_euler_angles(quaternions: np.ndarray) -> None:
    again = rotations.euler_quaternions(*rotations.quaternion_euler(quaternions))
    np.testing.assert_allclose(
        rotations.quaternion_matrices(again), rotations.quaternion_matrices(quaternions), atol=1e-14
    )


def test_axis_turns_are_right_handed() -> None:
    turn = rotations.quaternion_matrices(rotations.axis_quaternions(2, np.array([np.pi / 2])))[0]
    np.testing.assert_allclose(turn @ [1, 0, 0], [0, 1, 0], atol=1e-15)
    turn = rotations.quaternion_matrices(rotations.axis_quaternions(0, np.array([np.pi / 2])))[0]
    np.testing.assert_allclose(turn @ [0, 1, 0], [0, 0, 1], atol=1e-15)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 12, 16])
def test_plane_turns(n: int) -> None:
    k = np.arange(-n, 2 * n)
    exact = rotations.plane_turns(k, n)
    np.testing.assert_allclose(exact, rotations.plane_rotations(2 * np.pi * k / n), atol=1e-14)
    if n == 4:
        np.testing.assert_array_equal(exact, np.rint(exact))


def test_angles_wrap() -> None:
    wrapped = rotations.wrap_angles(np.array([-1e-18, 2 * np.pi, -np.pi, 7.0]))
    np.testing.assert_allclose(wrapped, [0, 0, np.pi, 7 - 2 * np.pi], atol=1e-15)
    assert (wrapped < 2 * np.pi).all()
