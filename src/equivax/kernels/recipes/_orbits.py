"""Orbits of taps under a group of signed permutations, and how the group permutes each.

A kernel that is exactly equivariant on the grid is, per orbit, an element of
``Hom_G(permutations of the orbit (x) rho_in, rho_out)``: no band limit, nothing left out.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ...groups import GroupElement
from ...representations import Representation
from ...spaces import GSpace, grid_points


@dataclasses.dataclass(frozen=True, eq=False)
class Orbit:
    """Taps that the group permutes among themselves.

    Attributes:
        taps: Indices into the raveled kernel, in the order of the axes of ``rep``.
        rep: The permutation representation of the orbit.
    """

    taps: np.ndarray
    rep: Representation


def tap_points(kernel: tuple[int, ...]) -> np.ndarray:
    """Coordinates of the taps ``(taps, d)``; one tap without coordinates if ``d`` is 0."""
    return grid_points(kernel) if kernel else np.zeros((1, 0))


def permutation_table(space: GSpace, kernel: tuple[int, ...]) -> np.ndarray | None:
    """``table[g, p]``: where a testing element sends a tap; None if some tap leaves the kernel."""
    points = np.rint(2 * tap_points(kernel)).astype(np.int64)
    matrices = np.rint(space.matrices(space.group.testing_coordinates)).astype(np.int64)
    return _find(points, np.einsum("gij,pj->gpi", matrices, points))


def _find(points: np.ndarray, moved: np.ndarray) -> np.ndarray | None:
    """Indices of the moved points among the points, in integers."""
    bound = int(np.abs(points).max(initial=0))
    if np.abs(moved).max(initial=0) > bound:
        return None
    radix = (2 * bound + 1) ** np.arange(points.shape[1], dtype=np.int64)
    codes, wanted = (points + bound) @ radix, (moved + bound) @ radix
    order = np.argsort(codes)
    at = np.minimum(np.searchsorted(codes[order], wanted), len(codes) - 1)
    found = order[at]
    return found if np.array_equal(codes[found], wanted) else None


def orbits(space: GSpace, kernel: tuple[int, ...]) -> list[Orbit]:
    """All orbits, by distance from the centre, then by their first tap.

    Within an orbit the taps follow the group: with a base point that depends only on the
    stabilisers, orbits of one kind get equal representations, which are then solved once.
    """
    table = permutation_table(space, kernel)
    if table is None:
        raise ValueError(f"kernel: {space!r} does not map a kernel of {kernel} taps to itself")
    first = table.min(axis=0)
    squared = np.rint(4 * (tap_points(kernel) ** 2).sum(axis=1)).astype(np.int64)
    fixed = table == np.arange(table.shape[1])
    known: dict[bytes, Representation] = {}
    result = []
    for start in sorted(np.unique(first), key=lambda p: (squared[p], p)):
        members = np.flatnonzero(first == start)
        if len(members) == 1:
            result.append(Orbit(members, space.group.trivial))
            continue
        base = members[max(range(len(members)), key=lambda m: fixed[:, members[m]].tobytes())]
        images = table[:, base]
        _, when = np.unique(images, return_index=True)
        taps = images[np.sort(when)]
        places = np.full(table.shape[1], -1)
        places[taps] = np.arange(len(taps))
        permutations = places[table[:, taps]]
        kind = permutations.tobytes()
        if kind not in known:
            known[kind] = _permutation_representation(space, kernel, taps, permutations)
        result.append(Orbit(taps, known[kind]))
    return result


def _permutation_representation(
    space: GSpace, kernel: tuple[int, ...], taps: np.ndarray, permutations: np.ndarray
) -> Representation:
    """``e_j -> e_{p[j]}`` on the taps of an orbit."""
    group, size = space.group, len(taps)
    if group.order is not None:
        matrices = np.swapaxes(np.eye(size)[permutations], 1, 2)
        return Representation.from_matrices(group, matrices, f"orbit({size})")
    points = np.rint(2 * tap_points(kernel)[taps]).astype(np.int64)

    def matrix(g: GroupElement) -> np.ndarray:
        moved = points @ np.rint(space.matrix(g)).astype(np.int64).T
        return (moved[:, None] == points).all(axis=2).astype(np.float64).T

    return Representation.from_matrices(group, matrix, f"orbit({size})")
