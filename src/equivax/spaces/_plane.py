"""Planes with rotations and mirrors.

The mirror ``f`` of a dihedral group or O(2) reflects in the line through the origin at an angle
``axis``: ``f`` is ``R(2 axis) diag(1, -1)``. The irrep (1, 1) maps ``f`` to ``diag(1, -1)``, so
``v_xy = R(axis) v_irrep``: `GSpace.vector` is the one whose components are x and y.
"""

from __future__ import annotations

import math
import operator

import numpy as np

from .._arguments import is_number
from ..groups import Group, cyclic, dihedral, o2, so2
from ..representations import Representation, Summand
from ._gspace import GSpace

VERTICAL = math.pi / 2
"""The default mirror line: left and right are exchanged."""


def _rotation(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    matrix = np.array([[c, -s], [s, c]])
    snapped = np.rint(matrix)  # cos(pi/2) is 6e-17: quarter turns should be exact
    return np.where(np.abs(matrix - snapped) < 1e-15, snapped, matrix)


def action_by_irreps(group: Group, irreps: tuple, basis: np.ndarray) -> Representation:
    """Coordinates ``basis @ (irreps)``, with an orthogonal basis."""
    return Representation(group, [(Summand(group, irreps, basis, "vector"), 1)])


def number_of_turns(caller: str, n: int) -> int:
    """A number of rotations, or -1 for all of them.

    Raises:
        ValueError: If it is neither.
    """
    try:
        order = operator.index(n)
    except TypeError:
        order = 0
    if isinstance(n, bool) or (order < 1 and order != -1):
        raise ValueError(
            f"{caller}: n: expected a positive number of rotations, or -1 for all of them, got {n}"
        )
    return order


def _axis(caller: str, axis: float) -> float:
    if not is_number(axis) or not math.isfinite(axis):
        raise ValueError(f"{caller}: axis: expected a finite angle in radians, got {axis!r}")
    return float(axis)


def _label(axis: float) -> str:
    return "" if axis == VERTICAL else f"axis {axis:.4g}"


def trivial_on_r2() -> GSpace:
    """The plane with translations only, as a plain convolution sees it."""
    return rot_on_r2(1)


def rot_on_r2(n: int) -> GSpace:
    """The plane with ``n`` rotations, counter-clockwise by ``2 pi / n``.

    Args:
        n: Number of rotations; -1 for all of SO(2).

    Raises:
        ValueError: If ``n`` is neither positive nor -1.
    """
    order = number_of_turns("rot_on_r2", n)
    if order == -1:
        return GSpace(so2(), action_by_irreps(so2(), ((1,),), np.eye(2)))
    group = cyclic(order)
    irreps = ((1,),) if order > 2 else ((order - 1,),) * 2
    return GSpace(group, action_by_irreps(group, irreps, np.eye(2)))


def flip_on_r2(axis: float = VERTICAL) -> GSpace:
    """The plane with one mirror, the group ``dihedral(1)``.

    Args:
        axis: Angle of the mirror line in radians; by default vertical, so left and right swap.

    Raises:
        ValueError: If ``axis`` is not finite.
    """
    axis = _axis("flip_on_r2", axis)
    group = dihedral(1)
    return GSpace(group, action_by_irreps(group, ((0, 0), (1, 0)), _rotation(axis)), _label(axis))


def flip_rot_on_r2(n: int, axis: float = VERTICAL) -> GSpace:
    """The plane with ``n`` rotations and ``n`` mirrors.

    Args:
        n: Number of rotations; -1 for all of O(2).
        axis: Angle of the line of the mirror ``f`` in radians; by default vertical.

    Raises:
        ValueError: If ``n`` is neither positive nor -1, or ``axis`` is not finite.
    """
    order, axis = number_of_turns("flip_rot_on_r2", n), _axis("flip_rot_on_r2", axis)
    if order == -1:
        return GSpace(o2(), action_by_irreps(o2(), ((1, 1),), _rotation(axis)), _label(axis))
    group = dihedral(order)
    if order == 1:
        irreps = ((0, 0), (1, 0))
    elif order == 2:  # along the axis and across: both change sign under the half turn
        irreps = ((0, 1), (1, 1))
    else:
        irreps = ((1, 1),)
    return GSpace(group, action_by_irreps(group, irreps, _rotation(axis)), _label(axis))
