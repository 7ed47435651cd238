"""From matrices to irreps: multiplicities by characters, copies by a canonical walk.

For an irrep ``psi`` of size ``d`` the operators ``M_c = d mean_g psi(g)[c, 0] rho(g)`` take the
first unit vector of every copy to the ``c``-th one. ``M_0`` is the orthogonal projector on the
span of ``Q_i Psi_s e_0`` over copies ``i`` and endomorphisms ``s``. Walking its columns in index
order with a fixed pivot rule picks one vector a copy; nothing depends on eigenvectors of a
degenerate space, so the result is the same on every machine (Serre, *Linear representations of
finite groups*, section 2.7, over the reals).

Coordinates that the group never mixes form components, such as the orbits of pixels. Every
operator is block-diagonal over them, and equal components share their operators.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from .._numerics import PIVOT_FRACTION
from ..groups import Group

#: A multiplicity computed by characters must be an integer to this accuracy.
MULTIPLICITY_TOLERANCE = 1e-6
#: Entries of orthogonal matrices below this are rounding, and mix nothing.
_MIXES = 1e-12


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
        overlap = float(np.sum(weights * irrep.characters(coordinates) * characters))
        value = overlap / irrep.endomorphism_dimension
        rounded = round(value)
        if abs(value - rounded) > MULTIPLICITY_TOLERANCE * max(1.0, abs(characters).max()):
            raise ValueError(
                f"matrices: the multiplicity of {irrep.name} of {group.name} came out as "
                f"{value:.6g}, so the matrices are not a representation of {group.name}"
            )
        if rounded:
            found[irrep_id] = rounded
    return found


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
    coordinates, _ = group.quadrature(2 * frequency)
    parts = components(np.asarray(evaluate(coordinates), dtype=np.float64))
    return decompose_components(group, parts, frequency)


def decompose_components(
    group: Group, parts: list[Component], frequency: int
) -> tuple[tuple[Any, ...], Float[np.ndarray, "n n"]]:
    """`decompose` of a representation that is split into components already.

    Args:
        group: The group.
        parts: What the representation is at the quadrature points for ``2 * frequency``.
        frequency: Largest frequency that occurs (0 for a finite group).
    """
    coordinates, weights = group.quadrature(2 * frequency)
    size = sum(len(part.indices) for part in parts)
    traces = {id(part.matrices): part.matrices for part in parts}
    traces = {key: np.trace(own, axis1=1, axis2=2) for key, own in traces.items()}
    characters = sum((traces[id(part.matrices)] for part in parts), np.zeros(len(coordinates)))
    counts = multiplicities(group, characters, coordinates, weights, frequency)
    total = sum(m * group.irrep_data(i).size for i, m in counts.items())
    if total != size:
        raise ValueError(
            f"matrices: irreps of {group.name} account for {total} of {size} dimensions, so the "
            f"matrices are not a representation of {group.name}"
        )
    columns: list[list[np.ndarray]] = [[] for _ in parts]
    places: list[list[int]] = [[] for _ in parts]
    start = 0
    for irrep_id, multiplicity in counts.items():
        irrep = group.irrep_data(irrep_id)
        for copy in copies(
            parts,
            irrep.matrices(coordinates),
            irrep.endomorphism_basis,
            weights,
            multiplicity,
        ):
            columns[copy.component].append(copy.columns)
            places[copy.component] += range(start, start + irrep.size)
            start += irrep.size
    change = np.zeros((size, size))
    for part, own, at in zip(parts, columns, places, strict=True):
        change[part.indices[:, None], at] = polish(np.concatenate(own, axis=1))
    irreps = tuple(i for i, multiplicity in counts.items() for _ in range(multiplicity))
    return irreps, change


def polish(columns: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """One Newton step to the nearest orthogonal matrix; removes rounding of order 1e-14."""
    polished = columns @ (1.5 * np.eye(columns.shape[1]) - 0.5 * columns.T @ columns)
    # Exact zeros and units let later steps recognise that no change of basis is needed.
    rounded = np.round(polished)
    return np.where(np.abs(polished - rounded) < 1e-14, rounded, polished)


@dataclasses.dataclass(frozen=True, eq=False)
class Component:
    """Coordinates that matrices mix among each other.

    Attributes:
        indices: Which coordinates ``(n,)``, ascending.
        matrices: What the matrices are on them ``(elements, n, n)``; equal components hold one
            object.
    """

    indices: Int[np.ndarray, " n"]
    matrices: Float[np.ndarray, "elements n n"]


def components(matrices: Float[np.ndarray, "elements n n"]) -> list[Component]:
    """The finest sets of coordinates that no matrix mixes, by their first coordinates."""
    scale = max(1.0, float(np.abs(matrices).max(initial=0.0)))
    mixed: np.ndarray = np.any(np.abs(matrices) > _MIXES * scale, axis=0)
    count, labels = connected_components(csr_array(mixed), directed=False)
    if count == 1:
        return [Component(np.arange(len(mixed)), matrices)]
    ascending = np.argsort(labels, kind="stable")
    sets = np.split(ascending, np.cumsum(np.bincount(labels))[:-1])
    known: dict[bytes, np.ndarray] = {}
    found = []
    for indices in sorted(sets, key=lambda s: s[0]):
        own = matrices[:, indices[:, None], indices]
        found.append(Component(indices, known.setdefault(own.tobytes(), own)))
    return found


@dataclasses.dataclass(frozen=True, eq=False)
class Copy:
    """One copy of an irrep: columns ``Q`` with ``rho(g) Q = Q psi(g)``, on one component."""

    component: int
    columns: Float[np.ndarray, "n d"]


def copies(
    parts: list[Component],
    irrep_matrices: Float[np.ndarray, "elements d d"],
    endomorphisms: Float[np.ndarray, "s d d"],
    weights: Float[np.ndarray, " elements"],
    multiplicity: int,
) -> list[Copy]:
    """Orthonormal columns of all copies of an irrep, chosen canonically.

    Args:
        parts: An orthogonal representation at quadrature points.
        irrep_matrices: The irrep at the same points.
        endomorphisms: Basis of the irrep's endomorphism algebra, the identity first.
        weights: Quadrature weights.
        multiplicity: Number of copies.
    """
    first = irrep_matrices.shape[1] * weights[:, None] * irrep_matrices[:, :, 0]  # (elements, d)
    kinds = {id(part.matrices): part.matrices for part in parts}
    operators = {key: _operators(own, first, endomorphisms) for key, own in kinds.items()}
    walked = _walk(parts, [operators[id(part.matrices)] for part in parts], multiplicity)
    found: list[Copy | None] = [None] * multiplicity
    for key, own in kinds.items():
        places = [i for i, (number, _) in enumerate(walked) if id(parts[number].matrices) == key]
        if places:
            starts = operators[key][0] @ np.stack([walked[i][1] for i in places], axis=1)
            starts /= np.linalg.norm(starts, axis=0)
            blocks = _partners(own, first, starts)
            for i, block in zip(places, blocks, strict=True):
                found[i] = Copy(walked[i][0], block)
    return [copy for copy in found if copy is not None]


def _partners(
    matrices: np.ndarray, first: np.ndarray, starts: Float[np.ndarray, "n copies"]
) -> Float[np.ndarray, "copies n d"]:
    """All columns of copies from their first ones: ``M_c Q e_0 = Q e_c``."""
    (order, size), (_, copies) = first.shape, starts.shape
    if size == 1:
        return starts.T[:, :, None]
    if size * (order + copies) < order * copies:  # many copies: the operators pay
        made = (first.T @ matrices.reshape(order, -1)).reshape(size * len(starts), -1) @ starts
        return np.moveaxis(made.reshape(size, len(starts), copies), 0, 2).swapaxes(0, 1)
    moved = matrices.reshape(-1, len(starts)) @ starts  # (elements n, copies)
    columns = np.tensordot(moved.reshape(order, -1), first, axes=(0, 0))
    return np.moveaxis(columns.reshape(len(starts), copies, -1), 1, 0)


def _operators(
    matrices: np.ndarray, first: np.ndarray, endomorphisms: np.ndarray
) -> Float[np.ndarray, "s n n"]:
    """The projector ``M_0``, then what takes ``Q e_0`` to ``Q Psi_s e_0``."""
    size = matrices.shape[1]
    made = (endomorphisms[:, :, 0] @ first.T) @ matrices.reshape(len(matrices), -1)
    made = made.reshape(-1, size, size)
    made[0] = (made[0] + made[0].T) / 2
    return made


def _walk(
    parts: list[Component], operators: list[np.ndarray], multiplicity: int
) -> list[tuple[int, np.ndarray]]:
    """For every copy its component and its first unit vector there, by Gram-Schmidt done twice.

    What is left of the projector is a projector, so its diagonal holds the squared norms of its
    columns.
    """
    size = sum(len(part.indices) for part in parts)
    owner, place = np.empty(size, dtype=int), np.empty(size, dtype=int)
    left = np.empty(size)
    spans, used = [], [0] * len(parts)
    for number, (part, own) in enumerate(zip(parts, operators, strict=True)):
        owner[part.indices], place[part.indices] = number, np.arange(len(part.indices))
        diagonal = np.diagonal(own[0])
        left[part.indices] = diagonal
        spans.append(np.zeros((round(float(diagonal.sum())) + len(own), len(part.indices))))
    found = []
    for _ in range(multiplicity):
        norms = np.sqrt(np.maximum(left, 0.0))
        pivot = int(np.argmax(norms >= PIVOT_FRACTION * norms.max()))
        number, row = int(owner[pivot]), int(place[pivot])
        own, span = operators[number], spans[number][: used[number]]
        start = own[0][row] - span[:, row] @ span
        start = start - (span @ start) @ span
        start /= np.linalg.norm(start)
        new = [start, *(twist @ start for twist in own[1:])]
        for vector in new:
            spans[number][used[number]] = vector
            used[number] += 1
            left[parts[number].indices] -= vector * vector
        found.append((number, start))
    return found
