"""What is asked of a user's matrices: do they multiply, are they orthogonal, do they close?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from .._numerics import generic_numbers
from ..groups import Group
from ._decomposition import Evaluate

#: Largest entry by which user matrices may miss the homomorphism property, relative to their size.
HOMOMORPHISM_TOLERANCE = 1e-6
#: Below this relative distance from orthogonality the input is only polished, not transformed.
ORTHOGONALITY_TOLERANCE = 1e-6
#: Products with a few generic vectors show an error of a matrix by at least this share of its
#: largest entry; if they show more than nothing, the matrices themselves are compared.
SEEN_BY_VECTORS = 1 / 16
#: Matrices up to this size are compared as they are.
SMALL = 32
#: The step of a one-parameter subgroup at which eigenvalue angles give frequencies; frequencies
#: below 1024 stay clear of the wrap-around at pi.
FREQUENCY_STEP = 2 * np.pi / 4096


def band_limit(group: Group, evaluate: Evaluate) -> int:
    """Largest frequency of a representation of a Lie group, read off one-parameter subgroups.

    Args:
        group: The group; a finite one has frequency 0.
        evaluate: Takes coordinates ``(N, p)``, returns matrices ``(N, n, n)``.

    Returns:
        The largest integer frequency.

    Raises:
        ValueError: If the eigenvalues are not those of an integer frequency.
    """
    largest = 0
    for coordinates in group.one_parameter_coordinates(np.array([FREQUENCY_STEP])):
        eigenvalues = np.linalg.eigvals(np.asarray(evaluate(coordinates), dtype=np.float64)[0])
        frequencies = np.abs(np.angle(eigenvalues)) / FREQUENCY_STEP
        if np.abs(frequencies - np.round(frequencies)).max() > 1e-4 or not np.allclose(
            np.abs(eigenvalues), 1.0, atol=1e-6
        ):
            raise ValueError(
                f"matrices: a rotation by {FREQUENCY_STEP:.4g} has no integer frequency, so the "
                f"matrices are not a representation of {group.name}"
            )
        largest = max(largest, int(np.round(frequencies).max()))
    return largest


def orthogonalizer(
    matrices: Float[np.ndarray, "elements n n"], weights: Float[np.ndarray, " elements"]
) -> Float[np.ndarray, "n n"] | None:
    """``T = M^(1/2)`` of the mean metric ``M = mean rho^T rho``, or None if ``M`` is the identity.

    ``T rho T^-1`` is orthogonal (Weyl's unitary trick).
    """
    tried = _generic_vectors(matrices.shape[1])
    back = np.einsum("e,eji,ejv->iv", weights, matrices, matrices @ tried, optimize=True)
    if np.abs(back - tried).max() <= SEEN_BY_VECTORS * ORTHOGONALITY_TOLERANCE:
        return None
    metric = np.einsum("e,eij,eik->jk", weights, matrices, matrices, optimize=True)
    if np.abs(metric - np.eye(len(metric))).max() <= ORTHOGONALITY_TOLERANCE:
        return None
    values, vectors = np.linalg.eigh(metric)
    if values.min() <= 1e-12 * values.max():
        raise ValueError(
            "matrices: the mean metric is singular, so some matrix cannot be inverted; "
            "a representation consists of invertible matrices"
        )
    return (vectors * np.sqrt(values)) @ vectors.T


def check_homomorphism(
    group: Group, matrices: Float[np.ndarray, "elements n n"], name: str = "matrices"
) -> None:
    """Checks ``rho(s) rho(g) = rho(s g)`` for generators ``s`` and all elements ``g``.

    Together with generation this is the property for all pairs.

    Raises:
        ValueError: Naming the worst pair.
    """
    everything = np.arange(len(matrices))[:, None]
    tried = matrices @ _generic_vectors(matrices.shape[1])
    scale = max(1.0, float(np.abs(matrices).max()))
    tolerance = HOMOMORPHISM_TOLERANCE * scale**2
    worst, pair = 0.0, None
    for generator in group.generators:
        index = np.asarray([generator.coordinates])
        products = group.compose(index, everything)[:, 0].astype(int)
        own = matrices[int(index[0, 0])]
        if np.abs(own @ tried - tried[products]).max() <= SEEN_BY_VECTORS * tolerance:
            continue
        difference = own @ matrices - matrices[products]
        errors = np.abs(difference).reshape(len(matrices), -1).max(axis=1)
        if errors.max() > worst:
            worst, pair = float(errors.max()), (generator, group.elements[int(errors.argmax())])
    identity_error = float(np.abs(matrices[0] - np.eye(matrices.shape[1])).max())
    if identity_error > HOMOMORPHISM_TOLERANCE * scale:
        raise ValueError(
            f"{name}: the matrix of the identity of {group.name} differs from the identity matrix "
            f"by {identity_error:.3g}; a representation takes the identity to the identity"
        )
    if worst > tolerance and pair is not None:
        raise ValueError(
            f"{name}: not a representation of {group.name}, since rho(a) rho(b) differs from "
            f"rho(a b) by {worst:.3g} at a = {pair[0]}, b = {pair[1]}"
        )


def _generic_vectors(size: int) -> Float[np.ndarray, "n columns"]:
    """Vectors that no error of a matrix is likely to annihilate all; a basis, where it is small."""
    if size <= SMALL:
        return np.eye(size)
    return generic_numbers(4 * size).reshape(size, 4)
