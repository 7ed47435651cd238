"""Endomorphism algebras of irreps, given by matrices and weights."""

import numpy as np
import pytest

from equivax._numerics import endomorphism_basis
from equivax._numerics._rotations import plane_rotations


def uniform(n: int) -> np.ndarray:
    return np.full(n, 1 / n)


def turns(n: int, k: int = 1) -> np.ndarray:
    return plane_rotations(2 * np.pi * k * np.arange(n) / n)


def quaternions() -> np.ndarray:
    i = np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0.0]])
    j = np.array([[0, 0, -1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, -1, 0, 0.0]])
    units = np.stack([np.eye(4), i, j, i @ j])
    return np.concatenate([units, -units])


def conjugated(matrices: np.ndarray, seed: int) -> np.ndarray:
    size = matrices.shape[-1]
    q = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]
    return q @ matrices @ q.T


def check_algebra(matrices: np.ndarray, basis: np.ndarray) -> None:
    size = matrices.shape[-1]
    np.testing.assert_array_equal(basis[0], np.eye(size))
    for unit in basis:
        np.testing.assert_allclose(matrices @ unit, unit @ matrices, atol=1e-13)
    for unit in basis[1:]:
        np.testing.assert_allclose(unit @ unit, -np.eye(size), atol=1e-13)
        np.testing.assert_allclose(unit, -unit.T, atol=1e-13)
    gram = np.einsum("sij,tij->st", basis, basis)
    np.testing.assert_allclose(gram, size * np.eye(len(basis)), atol=1e-12)
    if len(basis) == 4:
        np.testing.assert_allclose(basis[1] @ basis[2], basis[3], atol=1e-13)


def test_plane_rotations_have_the_quarter_turn() -> None:
    basis = endomorphism_basis(turns(7), uniform(7))
    np.testing.assert_allclose(basis[1], [[0, -1], [1, 0]], atol=1e-15)


@pytest.mark.parametrize("seed", [None, 0, 1])
@pytest.mark.parametrize("kind", ["real", "complex", "quaternionic"])
def test_algebra(kind: str, seed: int | None) -> None:
    matrices = {
        "real": np.concatenate([turns(5), turns(5) @ np.diag([1.0, -1.0])]),
        "complex": turns(5, 2),
        "quaternionic": quaternions(),
    }[kind]
    if seed is not None:
        matrices = conjugated(matrices, seed)
    basis = endomorphism_basis(matrices, uniform(len(matrices)))
    assert len(basis) == {"real": 1, "complex": 2, "quaternionic": 4}[kind]
    check_algebra(matrices, basis)


def blocks(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    zero = np.zeros((len(a), a.shape[1], b.shape[1]))
    return np.block([[a, zero], [zero.transpose(0, 2, 1), b]])


@pytest.mark.parametrize(
    "matrices",
    [
        blocks(np.ones((2, 1, 1)), np.array([[[1.0]], [[-1.0]]])),  # mean chi^2 = 2
        np.stack([np.eye(2), np.eye(2)]),  # mean chi^2 = 4
        blocks(turns(5), turns(5, 2)),  # mean chi^2 = 4
        np.stack([np.eye(3), np.eye(3)]),  # mean chi^2 = 9
    ],
)
def test_reducible_is_refused(matrices: np.ndarray) -> None:
    with pytest.raises(ValueError, match="not irreducible"):
        endomorphism_basis(matrices, uniform(len(matrices)))


def test_not_orthogonal_is_refused() -> None:
    t = np.array([[1.0, 0.7], [0.0, 1.0]])
    with pytest.raises(ValueError, match="orthogonal"):
        endomorphism_basis(t @ turns(5) @ np.linalg.inv(t), uniform(5))
