"""Matrices that commute with an irreducible representation.

By Schur's lemma they form R, C or H. The group average of the antisymmetric unit matrices
is the orthogonal projection onto the antisymmetric (imaginary) part of that algebra, of
dimension 0, 1 or 3, and its pivoted basis gives the units in a canonical way.
"""

import numpy as np
from jaxtyping import Float

from ._subspace import pivoted_columns
from ._tolerances import COMMUTES, INTEGER_SLACK


def endomorphism_dimension(
    characters: Float[np.ndarray, " n"], weights: Float[np.ndarray, " n"]
) -> int:
    """Dimension S = mean chi^2 of the endomorphism algebra of a real irrep.

    Args:
        characters: ``(n,)`` traces at quadrature points of the group.
        weights: ``(n,)`` quadrature weights of sum 1.

    Returns:
        1 (real), 2 (complex) or 4 (quaternionic).

    Raises:
        ValueError: If mean chi^2 is none of these, so the representation not irreducible.
    """
    mean = float(weights @ characters**2)
    dimension = round(mean)
    if dimension not in (1, 2, 4) or abs(mean - dimension) > INTEGER_SLACK:
        raise ValueError(
            f"matrices: not irreducible: mean of the squared character is {mean:.6g}, "
            "expected 1, 2 or 4"
        )
    return dimension


def endomorphism_basis(
    matrices: Float[np.ndarray, "n d d"], weights: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "S d d"]:
    """Canonical basis of the matrices that commute with a real irrep.

    Psi_0 = I; the others are antisymmetric and orthogonal with Psi_s Psi_s = -I, mutually
    orthogonal in the Frobenius product, |Psi_s|^2 = d; Psi_1 Psi_2 = Psi_3 if there are four.

    Args:
        matrices: ``(n, d, d)``, the representation at quadrature points of the group.
        weights: ``(n,)`` weights of sum 1, exact for products of two matrix entries.

    Returns:
        ``(S, d, d)`` with S = 1, 2 or 4.

    Raises:
        ValueError: If the representation is not irreducible (or not orthogonal).
    """
    matrices = np.asarray(matrices, dtype=np.float64)
    weights = np.asarray(weights, dtype=np.float64)
    size = matrices.shape[-1]
    dimension = endomorphism_dimension(np.trace(matrices, axis1=1, axis2=2), weights)
    identity = np.eye(size)
    if dimension == 1:
        return identity[None]
    # Unit matrices E_ab - E_ba with a > b, so that in the plane Psi_1 = [[0, -1], [1, 0]].
    a, b = np.tril_indices(size, -1)
    flat = matrices.reshape(len(matrices), -1)
    mean = ((flat * weights[:, None]).T @ flat).reshape(size, size, size, size)
    # mean[i, k, j, l] = mean of psi_ik psi_jl; entry (i, j) of the average of E_kl.
    half = mean[a, :, b, :] - mean[b, :, a, :]
    units = _units(half[:, a, b], dimension, size, (a, b))
    basis = np.stack([identity, *units])
    if dimension == 4:
        basis = np.concatenate([basis[:3], (basis[1] @ basis[2])[None]])
    _check(matrices, basis)
    return basis


def _units(
    projector: np.ndarray, dimension: int, size: int, pairs: tuple[np.ndarray, np.ndarray]
) -> list[np.ndarray]:
    """The imaginary units, from the projector in the basis (E_ab - E_ba) / sqrt(2)."""
    try:
        vectors = pivoted_columns((projector + projector.T) / 2)
    except ValueError as error:
        raise ValueError("matrices: expected an orthogonal representation") from error
    if vectors.shape[1] != dimension - 1:
        raise ValueError(
            f"matrices: not irreducible: {vectors.shape[1]} antisymmetric commuting "
            f"matrices where a division algebra of dimension {dimension} has {dimension - 1}"
        )
    units = np.zeros((dimension - 1, size, size))
    units[:, pairs[0], pairs[1]] = vectors.T * np.sqrt(size / 2)
    return list(units - units.transpose(0, 2, 1))


def _check(matrices: np.ndarray, basis: np.ndarray) -> None:
    for unit in basis[1:]:
        commutator = np.abs(matrices @ unit - unit @ matrices).max()
        square = np.abs(unit @ unit + basis[0]).max()
        if max(commutator, square) > COMMUTES:
            raise ValueError(
                "matrices: not irreducible or not orthogonal: a commuting unit has error "
                f"{max(commutator, square):.2g}"
            )
