"""Canonical orthonormal bases of subspaces that are given by their projector.

An eigenvector routine returns *some* basis of a degenerate space, another one with another
BLAS. The projector itself is unique, so a basis read off its columns by a fixed rule is
the same everywhere, to rounding.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from ._tolerances import CLEAN, INTEGER_SLACK, PIVOT_FRACTION, RANK_GAP


def projector_rank(trace: float) -> int:
    """Dimension of the range of a projector from its trace.

    Raises:
        ValueError: If the trace is not close to an integer, so the matrix no projector.
    """
    rank = round(float(trace))
    if abs(trace - rank) > INTEGER_SLACK * max(1, rank):
        raise ValueError(f"projector: trace {trace:.6g} is not an integer")
    return rank


def pivoted_columns(projector: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n r"]:
    """Canonical orthonormal basis of the range of an orthogonal projector.

    Walk the columns in index order. The pivot of each step is the *first* column whose
    residual norm is at least `PIVOT_FRACTION` of the largest residual norm; the next basis
    vector is its normalised residual (Gram-Schmidt, done twice). The pivot's own entry of
    that vector is positive, which fixes the sign.

    Args:
        projector: Symmetric idempotent matrix ``(n, n)`` (m = n, which is checked).

    Returns:
        ``(n, r)``, orthonormal columns; r is the rank.

    Raises:
        ValueError: If the matrix is no orthogonal projector.
    """
    projector = np.asarray(projector, dtype=np.float64)
    if projector.ndim != 2 or projector.shape[0] != projector.shape[1]:
        raise ValueError(f"projector: expected a square matrix, got shape {projector.shape}")
    if np.abs(projector - projector.T).max(initial=0.0) > RANK_GAP:
        raise ValueError("projector: expected a symmetric matrix; it differs from its transpose")
    return pivoted_basis(np.diagonal(projector), lambda index: projector[:, index])


def pivoted_basis(
    diagonal: Float[np.ndarray, " n"], column: Callable[[int], Float[np.ndarray, " n"]]
) -> Float[np.ndarray, "n r"]:
    """`pivoted_columns` of a projector of which only some columns are ever formed.

    Args:
        diagonal: ``(n,)``, the projector's diagonal (the squared norms of its columns).
        column: Function from an index to that column, ``(n,)``.

    Returns:
        ``(n, r)``, orthonormal columns.

    Raises:
        ValueError: If the columns are not those of an orthogonal projector.
    """
    size = len(diagonal)
    rank = projector_rank(float(np.sum(diagonal)))
    basis = np.zeros((size, rank))
    # <v, P e_b> = v_b for v in the range, so residual norms need no inner products.
    residual = np.array(diagonal, dtype=np.float64)
    for step in range(rank):
        pivot = int(np.argmax(residual >= PIVOT_FRACTION**2 * residual.max()))
        vector = np.array(column(pivot), dtype=np.float64)
        for _ in range(2):
            vector -= basis[:, :step] @ (basis[:, :step].T @ vector)
        norm = float(np.linalg.norm(vector))
        if norm < RANK_GAP or abs(norm**2 - residual[pivot]) > RANK_GAP:
            raise ValueError("projector: not idempotent")
        basis[:, step] = vector / norm
        residual -= basis[:, step] ** 2
    return clean(basis)


def range_basis(vectors: Float[np.ndarray, "n r"]) -> Float[np.ndarray, "n r"]:
    """Canonical orthonormal basis of the span of given orthonormal columns.

    The result depends on the span only, not on the columns.

    Args:
        vectors: ``(n, r)``, orthonormal columns.

    Returns:
        ``(n, r)``, the `pivoted_columns` of ``vectors @ vectors.T``.
    """
    return pivoted_basis((vectors**2).sum(axis=1), lambda index: vectors @ vectors[index])


def clean(array: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """The array with entries below `CLEAN` set to exact zeros."""
    return np.where(np.abs(array) < CLEAN, 0.0, array)
