"""Functions on a group, or on its cosets, of finitely many frequencies: their coefficients.

A function ``f(g) = sum_k sqrt(d_k) <psi_k(g) v_k, x_k>`` has one coefficient vector ``x_k`` for
every irrep and every ``v_k``. It turns by ``f(h^-1 g)``, so ``x_k`` turns by ``psi_k(h)``. On ``G``
the ``v_k`` are unit vectors, on ``G / H`` vectors that ``H`` leaves fixed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Float

from .._arguments import several, type_of
from .._numerics import PIVOT_FRACTION, freeze
from ..groups import Group, IrrepId, Subgroup
from ._irrep_algebra import restricted_irrep
from ._representation import Representation
from ._summand import Summand


def band_limited(
    group: Group,
    max_frequency: int | None = None,
    *,
    irreps: Iterable[Any] | None = None,
    subgroup: object = None,
) -> Representation:
    """Functions on a group (or on ``G / H``) up to a frequency, by their Fourier coefficients.

    Every irrep ``psi`` occurs as often as among all functions: ``d / S`` times on ``G``, and
    ``dim(psi^H) / S`` times on ``G / H`` (Peter and Weyl; ``S`` is 1, 2 or 4). The change of basis
    is the identity, so a finite group gives its regular (quotient) representation in the irreps'
    coordinates.

    Args:
        group: A group.
        max_frequency: Of the irreps of an infinite group.
        irreps: Ids in its place, in order; for a finite group the default is all.
        subgroup: ``H``: a `Subgroup`, or whatever ``group.subgroup`` takes. Default: functions on
            the group itself.

    Returns:
        A representation of one summand; irreps without functions are left out.

    Raises:
        ValueError: If no irrep is left, the group has no such irrep or subgroup, or the frequency
            does not fit the group.
        TypeError: If ``group`` is no group.

    Examples:
        >>> import equivax as evx
        >>> evx.representations.band_limited(evx.groups.o2(), 1).irreps
        ((0, 0), (1, 0), (1, 1), (1, 1))
    """
    type_of(group, "band_limited", "group", Group, "a group")
    inner = None if subgroup is None else group.subgroup(subgroup)
    ids = _chosen(group, max_frequency, irreps)
    copies = {id: point_vectors(group, id, inner).shape[1] for id in ids}
    listed = tuple(id for id, count in copies.items() for _ in range(count))
    where = group.name if inner is None else f"{group.name}/{inner.group.name}"
    if not listed:
        names = ", ".join(group.irrep_data(id).name for id in ids) or "none"
        raise ValueError(
            f"band_limited: irreps: expected at least one irrep that occurs among the functions on "
            f"{where}, got {names}"
        )
    size = sum(group.irrep_data(id).size for id in listed)
    limit = f"{len(ids)} irreps" if max_frequency is None else str(max_frequency)
    name = f"band_limited({where}: {limit})"
    return Representation(group, [(Summand(group, listed, np.eye(size), name), 1)])


def _chosen(
    group: Group, max_frequency: SupportsIndex | None, irreps: Iterable[Any] | None
) -> tuple[Any, ...]:
    if irreps is not None:
        if max_frequency is not None:
            raise ValueError(
                "band_limited: irreps: expected max_frequency or irreps, got both, "
                f"{max_frequency!r} and {irreps!r}"
            )
        ids = several(irreps, "band_limited", "irreps", "a sequence of ids", 0)
        return tuple(dict.fromkeys(group.irrep_data(id).id for id in ids))
    if group.order is None:
        return group.irrep_ids(max_frequency)
    if max_frequency is not None:
        raise ValueError(
            f"band_limited: max_frequency: the irreps of the finite group {group.name} have no "
            f"frequency, got {max_frequency!r}; choose them by irreps="
        )
    return group.irrep_ids()


@functools.lru_cache(maxsize=4096)
def point_vectors(
    group: Group, id: IrrepId, subgroup: Subgroup | None = None
) -> Float[np.ndarray, "d copies"]:
    """Vectors ``v`` whose functions ``<psi(g) v, x>`` are all those of an irrep, each once.

    Args:
        group: The group.
        id: Of the irrep ``psi``.
        subgroup: Of elements that must leave ``v`` fixed.

    Returns:
        ``(d, copies)``, orthonormal: they span the unit vectors (or the vectors fixed by the
        subgroup) over the endomorphism algebra.
    """
    data = group.irrep_data(id)
    vectors = np.eye(data.size)
    if subgroup is not None:
        inner, columns = restricted_irrep(subgroup, data.id)
        identity = subgroup.group.irrep_ids(0)[0]
        sizes = [subgroup.group.irrep_data(i).size for i in inner]
        fixed = np.repeat([i == identity for i in inner], sizes)
        vectors = columns[:, fixed]
    chosen, rest, units = [], vectors, data.endomorphism_basis
    while len(chosen) * len(units) < vectors.shape[1]:
        norms = np.linalg.norm(rest, axis=0)
        j = int(np.argmax(norms >= PIVOT_FRACTION * norms.max()))
        vector = rest[:, j] / norms[j]
        chosen.append(vector)
        # An endomorphism of psi turns the functions of v into those of its image, so those
        # directions are used up.
        span = np.stack([unit @ vector for unit in units], axis=1)
        rest = rest - span @ (span.T @ rest)
    return freeze(np.stack(chosen, axis=1) if chosen else np.zeros((data.size, 0)))


def sampled_functions(
    group: Group, irreps: Iterable[Any], coordinates: np.ndarray, subgroup: Subgroup | None = None
) -> Float[np.ndarray, "points coefficients"]:
    """Values at group elements of the functions with unit coefficients.

    Args:
        group: The group.
        irreps: Ids in the order of the coefficients; the ``j``-th copy of an irrep stands for its
            ``j``-th vector of `point_vectors`.
        coordinates: Of the elements, ``(points, p)``.
        subgroup: For functions on its cosets.

    Returns:
        ``(points, coefficients)``, with entries ``sqrt(d) psi(g) v``.
    """
    seen: dict[Any, int] = {}
    pieces = [np.zeros((len(coordinates), 0))]
    for id in irreps:
        data = group.irrep_data(id)
        number = seen.get(id, 0)
        seen[id] = number + 1
        vector = point_vectors(group, id, subgroup)[:, number]
        pieces.append(np.sqrt(data.size) * (data.matrices(coordinates) @ vector))
    return np.concatenate(pieces, axis=1)
