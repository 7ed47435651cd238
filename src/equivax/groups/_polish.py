"""Matrices that nearly are a representation, and the exact representation next to them."""

import dataclasses

import numpy as np
from jaxtyping import Float

from .._numerics import clean
from .._numerics._tolerances import ORTHOGONAL

_POLISH_WORK = 10**9
"""Most multiply-adds spent on making approximate matrices exact."""
_STEPS = 8
"""Each step squares the error: what does not arrive in so many is no representation."""
_ARRIVED = 1e-14
"""Change of a step that is rounding."""


def orthogonalised(
    matrices: Float[np.ndarray, "n f f"], slack: float = ORTHOGONAL
) -> tuple[Float[np.ndarray, "n f f"], Float[np.ndarray, "f f"] | None]:
    """T rho T^-1 and T = M^(1/2), M the mean metric; the matrices and None where M is the identity.

    Args:
        matrices: All matrices of the group.
        slack: How far M may be from the identity to count as it.
    """
    metric = np.mean(matrices.transpose(0, 2, 1) @ matrices, axis=0)
    if np.abs(metric - np.eye(len(metric))).max() < slack:
        return matrices, None
    values, vectors = np.linalg.eigh(metric)
    root = (vectors * np.sqrt(values)) @ vectors.T
    inverse = (vectors / np.sqrt(values)) @ vectors.T
    return clean(root @ matrices @ inverse), root


def exact(matrices: Float[np.ndarray, "n f f"], table: np.ndarray) -> Float[np.ndarray, "n f f"]:
    """Matrices given to few digits, moved to the exact representation next to them.

    rho'(g) = mean_h rho(g h) rho(h)^T, for orthogonal matrices that nearly multiply by the
    table, converges quadratically (Grove, Karcher, Ruh 1974).
    """
    order, size, _ = matrices.shape
    if order**2 * size**3 > _POLISH_WORK:
        return matrices
    for _ in range(_STEPS):
        # One Newton step to the nearest orthogonal matrix.
        matrices = 1.5 * matrices - 0.5 * matrices @ matrices.transpose(0, 2, 1) @ matrices
        flat = matrices.transpose(1, 0, 2).reshape(size, -1)  # row j, columns (h, k)
        better = np.empty_like(matrices)
        for start in range(0, order, 64):
            moved = matrices[table[start : start + 64]].transpose(0, 2, 1, 3)
            better[start : start + 64] = moved.reshape(-1, size, order * size) @ flat.T / order
        change = np.abs(better - matrices).max()
        if not change >= _ARRIVED:
            break
        matrices = better
    return clean(matrices)


FURTHER_THAN_TRUTH = 3.0
"""Averages spread errors, so an entry may move by more than it is wrong, but not by much."""


@dataclasses.dataclass(frozen=True)
class Nearest:
    """The exact representation next to matrices that were measured or rounded.

    Attributes:
        given: Its matrices ``(n, f, f)`` in the coordinates of what was given.
        orthogonal: The same, orthogonal: T rho T^-1.
        moved: How far each generator is from what was given, in the largest entry.
        refused: Whether that is further than errors of the tolerance explain.
    """

    given: np.ndarray
    orthogonal: np.ndarray
    moved: np.ndarray
    refused: bool


def nearest(
    matrices: Float[np.ndarray, "n f f"],
    table: np.ndarray,
    generators: np.ndarray,
    tolerance: float,
) -> Nearest:
    """Averages matrices that multiply by a table up to errors of measurement.

    Args:
        matrices: ``(n, f, f)``, products of what was given.
        table: The table of products.
        generators: Indices of the matrices that were given.
        tolerance: Matrices that are orthogonal up to this are meant to be.
    """
    size = matrices.shape[-1]
    found, root = orthogonalised(matrices, 4 * size * tolerance)
    with np.errstate(all="ignore"):  # what is no representation diverges, and is seen below
        orthogonal = exact(found, table)
    given = orthogonal if root is None else np.linalg.solve(root, orthogonal @ root)
    moved = np.abs(given - matrices)[generators].max(axis=(1, 2), initial=0.0)
    moved = np.where(np.isfinite(moved), moved, np.inf)
    refused = bool(moved.max(initial=0.0) > FURTHER_THAN_TRUTH * tolerance)
    return Nearest(given, orthogonal, moved, refused)
