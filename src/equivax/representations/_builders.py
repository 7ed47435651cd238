"""The representations every group comes with: trivial, irreps, regular, quotient, induced.

`Group.regular` and its like are short forms of these functions.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable
from typing import Any

import numpy as np

from .._arguments import type_of
from .._numerics import PIVOT_FRACTION
from ..groups import Group, Subgroup
from ._decomposition import decompose, polish
from ._representation import Representation
from ._summand import Summand


def irrep(group: Group, id: tuple[Any, ...]) -> Representation:
    """The irrep with an id, in the group's own basis.

    Args:
        group: The group.
        id: A tuple such as ``(1,)`` or ``(1, 2)``; see the group's ``irrep_ids``.

    Raises:
        ValueError: If the group has no such irrep.
    """
    as_group(group, "irrep")
    return _irrep(group, id if isinstance(id, Hashable) else group.irrep_data(id).id)


def as_group(value: object, caller: str) -> Group:
    """A group.

    Raises:
        TypeError: If it is something else.
    """
    return type_of(value, caller, "group", Group, "a group")


@functools.cache
def _irrep(group: Group, id: tuple[Any, ...]) -> Representation:
    data = group.irrep_data(id)
    return Representation(group, [(Summand(group, (data.id,), np.eye(data.size), data.name), 1)])


def trivial(group: Group) -> Representation:
    """The one-dimensional representation in which nothing moves."""
    return _trivial(as_group(group, "trivial"))


@functools.cache
def _trivial(group: Group) -> Representation:
    return _irrep(group, group.irrep_ids(0)[0])


def regular(group: Group) -> Representation:
    """The group acting on functions on itself: ``rho(g) e_h = e_{gh}``, axes in element order.

    The change of basis is the real Fourier transform of the group: the columns of a copy of
    ``psi`` are ``sqrt(d / |G|) psi(h)[i, j]`` as functions of ``h``, for ``d / S`` columns ``j``.

    Raises:
        ValueError: If the group is infinite.
    """
    if as_group(group, "regular").order is None:
        raise ValueError(
            f"regular: {group.name} is infinite and has no finite regular representation; choose "
            "irreps up to a frequency, as in group.irreps(3)"
        )
    return _regular(group)


@functools.cache
def _regular(group: Group) -> Representation:
    coordinates = np.arange(group.order)[:, None]
    irreps, pieces = [], []
    for id in group.irrep_ids():
        data = group.irrep_data(id)
        matrices = np.sqrt(data.size / group.order) * data.matrices(coordinates)
        chosen = _independent_columns(data.endomorphism_basis)
        irreps += [id] * len(chosen)
        pieces += [matrices[:, :, j] for j in chosen]
    columns = polish(np.concatenate(pieces, axis=1))
    return Representation(group, [(Summand(group, tuple(irreps), columns, "regular"), 1)])


def _independent_columns(endomorphisms: np.ndarray) -> list[int]:
    """Indices ``j`` whose unit vectors span R^d over the endomorphism algebra, greedily."""
    size = endomorphisms.shape[1]
    residual = np.eye(size)
    chosen = []
    while len(chosen) * len(endomorphisms) < size:
        norms = np.linalg.norm(residual, axis=0)
        j = int(np.argmax(norms >= PIVOT_FRACTION * norms.max()))
        chosen.append(j)
        # Matrix coefficients psi(h)[i, j] and their images under the right action of the
        # endomorphisms span the same functions, so those directions are used up.
        vector = residual[:, j] / norms[j]
        span = np.stack([psi @ vector for psi in endomorphisms], axis=1)
        residual = residual - span @ (span.T @ residual)
    return chosen


@functools.lru_cache(maxsize=1024)
def _quotient(subgroup: Subgroup) -> Representation:
    sigma = trivial(subgroup.group)
    rep = _induced(subgroup, sigma)
    summand = rep.data[0][0].renamed(f"quotient({subgroup.group.name})")
    return Representation(subgroup.parent, [(summand, 1)])


def quotient(group: Group, subgroup: object) -> Representation:
    """The group permuting the left cosets of a subgroup: ``rho(g) e_{xH} = e_{gxH}``.

    Args:
        group: The group.
        subgroup: A `Subgroup`, or whatever ``group.subgroup`` takes.

    Returns:
        A permutation representation; axes are cosets, ordered by their first element.
    """
    return _quotient(as_group(group, "quotient").subgroup(subgroup))


def induced(rep: Representation, group: Group, subgroup: object = None) -> Representation:
    """The representation induced from a subgroup of finite index.

    One subfield per left coset ``s_i H``; block ``(i, j)`` of ``rho(g)`` is
    ``sigma(s_i^-1 g s_j)`` if that lies in ``H``, else 0 (Serre, section 3.3).

    Args:
        rep: A representation ``sigma`` of ``H``.
        group: The group ``G``.
        subgroup: ``H`` in ``G``: a `Subgroup`, or whatever ``group.subgroup`` takes. Default: the
            usual place of ``rep.group`` in ``G``, such as the rotations for a cyclic group.

    Returns:
        A representation of size ``index * sigma.size`` as one summand.

    Raises:
        ValueError: If ``rep`` is no representation of the subgroup, or the index is infinite.
    """
    type_of(rep, "induced", "rep", Representation)
    inner = as_group(group, "induced").subgroup(rep.group if subgroup is None else subgroup)
    if rep.group is not inner.group:
        raise ValueError(
            f"rep: expected a representation of the subgroup {inner.group.name}, got one of "
            f"{rep.group.name}"
        )
    return _induced(inner, rep)


@functools.lru_cache(maxsize=1024)
def _induced(subgroup: Subgroup, rep: Representation) -> Representation:
    group = subgroup.parent
    representatives = subgroup.coset_representatives
    starts = np.asarray([s.coordinates for s in representatives])
    inverses = group.invert(starts)
    count, size = len(representatives), rep.size

    def evaluate(coordinates: np.ndarray) -> np.ndarray:
        dense = np.zeros((len(coordinates), count, size, count, size))
        for i in range(count):
            for j in range(count):
                inside = group.compose(
                    group.compose(inverses[i : i + 1], coordinates), starts[j : j + 1]
                )
                mask, located = subgroup.locate(inside)
                if mask.any():
                    dense[mask, i, :, j, :] = rep.evaluate(located[mask])
        return dense.reshape(len(coordinates), count * size, count * size)

    frequency = max(
        (group.irrep_data(i).frequency for i in _parent_frequencies(subgroup, rep)), default=0
    )
    irreps, columns = decompose(group, evaluate, frequency)
    name = f"induced({subgroup.group.name}: {rep.name})"
    root = rep.orthogonalizer
    if root is not None:
        root = np.kron(np.eye(count), root)
    summand = Summand(group, irreps, columns, name, root, induced_from=(subgroup, rep))
    return Representation(group, [(summand, 1)])


def _parent_frequencies(subgroup: Subgroup, rep: Representation) -> list[Any]:
    """Irreps of the parent that can occur: by Frobenius reciprocity, of the same frequency."""
    if subgroup.parent.order is not None:
        return []
    highest = max(rep.group.irrep_data(i).frequency for i in rep.irreps)
    return list(subgroup.parent.irrep_ids(highest))


def defining(group: Group) -> Representation:
    """The faithful orthogonal representation by which the group is defined.

    Rotations and reflections of the plane for cyclic and dihedral groups, of space for the
    polyhedral ones, permutation matrices for ``symmetric(n)``, the user's own (orthogonalised)
    matrices for ``from_generators``.
    """
    return _named_action(as_group(group, "defining"), "defining")


def standard(group: Group) -> Representation:
    """The action on the coordinates x, y, z (or x, y) of space; the user's vectors."""
    return _named_action(as_group(group, "standard"), "standard")


@functools.cache
def _named_action(group: Group, name: str) -> Representation:
    evaluate = group.defining_matrices if name == "defining" else group.standard_matrices
    irreps, columns = decompose(group, evaluate, 0 if group.order is not None else 1)
    return Representation(group, [(Summand(group, irreps, columns, name), 1)])
