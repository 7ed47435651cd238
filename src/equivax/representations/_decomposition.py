"""From matrices to irreps: multiplicities by characters, copies by a canonical construction.

For an irrep ``psi`` of size ``d`` the operators ``M_c = d mean_g psi(g)[c, 0] rho(g)`` take the
first unit vector of every copy to the ``c``-th one. ``M_0`` is the orthogonal projector on the
span of ``Q_i Psi_s e_0`` over copies ``i`` and endomorphisms ``s``. Walking its columns in index
order with a fixed pivot rule picks one vector a copy; nothing depends on eigenvectors of a
degenerate space, so the result is the same on every machine (Serre, *Linear representations of
finite groups*, section 2.7, over the reals).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from .._numerics import PIVOT_FRACTION
from ..groups import Group

#: A multiplicity computed by characters must be an integer to this accuracy.
MULTIPLICITY_TOLERANCE = 1e-6
#: Largest entry by which user matrices may miss the homomorphism property, relative to their size.
HOMOMORPHISM_TOLERANCE = 1e-6
#: Below this relative distance from orthogonality the input is only polished, not transformed.
ORTHOGONALITY_TOLERANCE = 1e-6
#: The step of a one-parameter subgroup at which eigenvalue angles give frequencies; frequencies
#: below 1024 stay clear of the wrap-around at pi.
FREQUENCY_STEP = 2 * np.pi / 4096

Evaluate = Callable[[np.ndarray], np.ndarray]


def multiplicities(
    group: Group,
    characters: Float[np.ndarray, " elements"],
    coordinates: np.ndarray,
    weights: Float[np.ndarray, " elements"],
    frequency: int,
) -> dict[Any, int]:
    """How often each irrep occurs, from the character at quadrature points.

    Args:
        group: The group.
        characters: Character of the representation at the points.
        coordinates: Quadrature points, exact for degree ``2 * frequency``.
        weights: Quadrature weights.
        frequency: Largest frequency that can occur (ignored by finite groups).

    Returns:
        Irrep id to multiplicity, in the group's order, without zeros.

    Raises:
        ValueError: If a multiplicity is not an integer.
    """
    found: dict[Any, int] = {}
    for irrep_id in group.irrep_ids(frequency if group.order is None else None):
        irrep = group.irrep_data(irrep_id)
        character = np.trace(irrep.matrices(coordinates), axis1=1, axis2=2)
        value = float(np.sum(weights * character * characters)) / irrep.endomorphism_dimension
        rounded = round(value)
        if abs(value - rounded) > MULTIPLICITY_TOLERANCE * max(1.0, abs(characters).max()):
            raise ValueError(
                f"matrices: the multiplicity of {irrep.name} of {group.name} came out as "
                f"{value:.6g}, so the matrices are not a representation of {group.name}"
            )
        if rounded:
            found[irrep_id] = rounded
    return found


def copies(
    matrices: Float[np.ndarray, "elements n n"],
    irrep_matrices: Float[np.ndarray, "elements d d"],
    endomorphisms: Float[np.ndarray, "s d d"],
    weights: Float[np.ndarray, " elements"],
    multiplicity: int,
) -> Float[np.ndarray, "n columns"]:
    """Orthonormal columns ``[Q_1 ... Q_m]`` with ``rho(g) Q_i = Q_i psi(g)``, chosen canonically.

    Args:
        matrices: Orthogonal representation at quadrature points.
        irrep_matrices: The irrep at the same points.
        endomorphisms: Basis of the irrep's endomorphism algebra.
        weights: Quadrature weights.
        multiplicity: Number of copies.

    Returns:
        The columns of all copies, copy by copy.
    """
    size, irrep_size = matrices.shape[1], irrep_matrices.shape[1]
    first = irrep_size * weights[:, None] * irrep_matrices[:, :, 0]  # (elements, d)
    flat = matrices.reshape(len(matrices), -1)
    projector = (first[:, 0] @ flat).reshape(size, size)
    projector = (projector + projector.T) / 2
    residual = projector.copy()
    columns = np.zeros((size, 0))
    for _ in range(multiplicity):
        norms = np.linalg.norm(residual, axis=0)
        pivot = int(np.argmax(norms >= PIVOT_FRACTION * norms.max()))
        start = projector @ residual[:, pivot]
        start -= columns @ (columns.T @ start)
        start /= np.linalg.norm(start)
        moved = matrices @ start  # (elements, n)
        copy = moved.T @ first  # (n, d)
        columns = np.concatenate([columns, copy], axis=1)
        span = np.stack([copy @ psi[:, 0] for psi in endomorphisms], axis=1)
        residual -= span @ (span.T @ residual)
    return columns


def decompose(
    group: Group, evaluate: Evaluate, frequency: int
) -> tuple[tuple[Any, ...], Float[np.ndarray, "n n"]]:
    """Irreps and change of basis of an orthogonal representation.

    Args:
        group: The group.
        evaluate: Takes coordinates ``(N, p)``, returns orthogonal matrices ``(N, n, n)``.
        frequency: Largest frequency that occurs (0 for a finite group).

    Returns:
        ``(irreps, Q)``: ids in the group's order and the orthogonal change of basis.

    Raises:
        ValueError: If the matrices are not a representation of the group.
    """
    coordinates, weights = group.quadrature(2 * frequency)
    matrices = np.asarray(evaluate(coordinates), dtype=np.float64)
    characters = np.trace(matrices, axis1=1, axis2=2)
    counts = multiplicities(group, characters, coordinates, weights, frequency)
    size = matrices.shape[1]
    total = sum(m * group.irrep_data(i).size for i, m in counts.items())
    if total != size:
        raise ValueError(
            f"matrices: irreps of {group.name} account for {total} of {size} dimensions, so the "
            f"matrices are not a representation of {group.name}"
        )
    pieces = []
    for irrep_id, multiplicity in counts.items():
        irrep = group.irrep_data(irrep_id)
        pieces.append(
            copies(
                matrices,
                irrep.matrices(coordinates),
                irrep.endomorphism_basis,
                weights,
                multiplicity,
            )
        )
    irreps = tuple(i for i, multiplicity in counts.items() for _ in range(multiplicity))
    return irreps, polish(np.concatenate(pieces, axis=1))


def polish(columns: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """One Newton step to the nearest orthogonal matrix; removes rounding of order 1e-14."""
    polished = columns @ (1.5 * np.eye(columns.shape[1]) - 0.5 * columns.T @ columns)
    # Exact zeros and units let later steps recognise that no change of basis is needed.
    rounded = np.round(polished)
    return np.where(np.abs(polished - rounded) < 1e-14, rounded, polished)


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
    scale = max(1.0, float(np.abs(matrices).max()))
    worst, pair = 0.0, None
    for generator in group.generators:
        index = np.asarray([generator.coordinates])
        products = group.compose(index, everything)[:, 0].astype(int)
        difference = matrices[int(index[0, 0])] @ matrices - matrices[products]
        errors = np.abs(difference).reshape(len(matrices), -1).max(axis=1)
        if errors.max() > worst:
            worst, pair = float(errors.max()), (generator, group.elements[int(errors.argmax())])
    identity_error = float(np.abs(matrices[0] - np.eye(matrices.shape[1])).max())
    if identity_error > HOMOMORPHISM_TOLERANCE * scale:
        raise ValueError(
            f"{name}: the matrix of the identity of {group.name} differs from the identity matrix "
            f"by {identity_error:.3g}; a representation takes the identity to the identity"
        )
    if worst > HOMOMORPHISM_TOLERANCE * scale**2 and pair is not None:
        raise ValueError(
            f"{name}: not a representation of {group.name}, since rho(a) rho(b) differs from "
            f"rho(a b) by {worst:.3g} at a = {pair[0]}, b = {pair[1]}"
        )
