"""Canonical bases, frozen arrays, generic numbers, rows equal up to rounding."""

import numpy as np
import pytest

from equivax._numerics import (
    clean,
    digest,
    freeze,
    generic_numbers,
    label_rows,
    match_rows,
    pivoted_columns,
    range_basis,
)


def random_projector(size: int, rank: int, seed: int) -> np.ndarray:
    q = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, rank)))[0]
    return q @ q.T


@pytest.mark.parametrize("size, rank", [(1, 0), (1, 1), (5, 0), (6, 3), (12, 11), (8, 8)])
def test_pivoted_columns_is_an_orthonormal_basis(size: int, rank: int) -> None:
    projector = random_projector(size, rank, seed=size + rank)
    basis = pivoted_columns(projector)
    assert basis.shape == (size, rank)
    np.testing.assert_allclose(basis.T @ basis, np.eye(rank), atol=1e-14)
    np.testing.assert_allclose(basis @ basis.T, projector, atol=1e-13)


def test_basis_depends_on_the_space_only() -> None:
    rng = np.random.default_rng(0)
    vectors = np.linalg.qr(rng.normal(size=(9, 4)))[0]
    turned = vectors @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    np.testing.assert_allclose(range_basis(vectors), range_basis(turned), atol=1e-13)
    np.testing.assert_allclose(
        range_basis(vectors), pivoted_columns(vectors @ vectors.T), atol=1e-13
    )


def test_coordinate_subspace_gives_unit_vectors() -> None:
    basis = pivoted_columns(np.diag([0.0, 1.0, 0.0, 1.0]))
    np.testing.assert_array_equal(basis, np.eye(4)[:, [1, 3]])


def test_first_vector_is_the_first_good_column() -> None:
    # Columns of equal norm: the first is taken, with a positive own entry.
    projector = np.array([[0.5, -0.5], [-0.5, 0.5]])
    np.testing.assert_allclose(pivoted_columns(projector)[:, 0], np.array([1, -1]) / np.sqrt(2))


@pytest.mark.parametrize(
    "matrix, message",
    [
        (np.ones((2, 3)), "square"),
        (np.array([[1.0, 1.0], [0.0, 0.0]]), "symmetric"),
        (0.3 * np.eye(2), "not an integer"),
        (np.diag([2.0, 0.0]), "not idempotent"),
        (np.diag([0.5, 0.5]), "not idempotent"),
    ],
)
def test_not_a_projector(matrix: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pivoted_columns(matrix)


def test_freeze_is_read_only_and_signless() -> None:
    source = np.array([[1, -0.0]])
    frozen = freeze(source)
    source[0, 0] = 7
    assert frozen[0, 0] == 1
    assert not np.signbit(frozen[0, 1])
    with pytest.raises(ValueError, match="read-only"):
        frozen[0, 0] = 2


def test_digest_sees_values_shape_and_dtype() -> None:
    a = np.arange(4.0)
    assert digest(a) == digest(a.copy())
    assert digest(np.array([0.0])) == digest(np.array([-0.0]))
    assert digest(a) != digest(a.reshape(2, 2))
    assert digest(a) != digest(a.astype(np.float32))
    assert digest(a, a + 1) != digest(a + 1, a)


def test_generic_numbers_are_fixed_and_spread() -> None:
    numbers = generic_numbers(1000)
    # Exact values: the irreps of generated groups, hence checkpoints, depend on them.
    np.testing.assert_array_equal(numbers[:5], generic_numbers(5))
    assert abs(numbers.mean()) < 0.1
    assert 0.5 < numbers.std() < 0.65
    assert np.abs(numbers).max() < 1
    assert len(np.unique(numbers)) == 1000
    assert not np.array_equal(numbers[:5], generic_numbers(5, attempt=1))


def test_rows_up_to_rounding() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 7))
    again = rows[[3, 3, 10]] + 1e-13 * rng.normal(size=(3, 7))
    labels = label_rows(np.concatenate([rows, again]), 1e-9)
    np.testing.assert_array_equal(labels, [*range(50), 3, 3, 10])
    other = np.concatenate([rows[[5, 49]], rng.normal(size=(1, 7))])
    np.testing.assert_array_equal(match_rows(rows, other, 1e-9), [5, 49, -1])
    assert label_rows(np.zeros((0, 3)), 1e-9).shape == (0,)


def test_rows_that_are_neither_equal_nor_different() -> None:
    rows = np.linspace(0, 1, 200)[:, None]
    with pytest.raises(ValueError, match="neither clearly equal"):
        label_rows(rows, 0.02)


def test_clean() -> None:
    np.testing.assert_array_equal(clean(np.array([1e-16, 1.0])), [0.0, 1.0])
