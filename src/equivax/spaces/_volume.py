"""Space, R^3, with the groups that turn it and mirror it.

Coordinates are (x, y, z); an array ``(D, H, W)`` has the axes z, y, x, of which x runs along its
axis and the others against theirs, as everywhere. Polyhedral groups act by their own matrices,
`Group.standard`; cyclic and dihedral ones by rotations about a line.
"""

from __future__ import annotations

import functools

import numpy as np

from .._arguments import choice
from ..groups import (
    Group,
    cyclic,
    dihedral,
    full_icosahedral,
    full_octahedral,
    icosahedral,
    o2,
    o3,
    octahedral,
    so2,
    so3,
    tetrahedral,
)
from ..representations import Representation
from ._gspace import GSpace
from ._plane import action_by_irreps, number_of_turns

AXES = ("x", "y", "z")
"""The lines about which `cyclic_on_r3` turns."""


def on_r3(group: Group, action: Representation | None = None) -> GSpace:
    """Space with any group of rotations and reflections.

    Args:
        group: The group.
        action: An orthogonal representation of size 3, used on (x, y, z); by default
            ``group.standard``, for groups that are made of 3 x 3 matrices.

    Raises:
        ValueError: If the action is not of size 3, or not orthogonal.
        TypeError: If ``group`` is no group or ``action`` no representation.

    Examples:
        >>> import equivax as evx
        >>> turns = evx.groups.from_generators([[[0, -1, 0], [1, 0, 0], [0, 0, 1]]])
        >>> evx.spaces.on_r3(turns).matrix(turns.generators[0]).round()
        array([[ 0., -1.,  0.],
               [ 1.,  0.,  0.],
               [ 0.,  0.,  1.]])
    """
    if not isinstance(group, Group):
        raise TypeError(f"on_r3: group: expected a group, got {type(group).__name__}")
    if action is None:
        action = group.standard
        if action.size != 3:
            raise ValueError(
                f"on_r3: action: expected a representation of size 3, since {group} is defined by "
                f"matrices of size {action.size}, got None"
            )
    if isinstance(action, Representation) and action.size != 3:
        raise ValueError(f"on_r3: action: expected size 3, got {action.size} ({action!r})")
    return GSpace(group, action)


@functools.cache
def rot_on_r3() -> GSpace:
    """Space with all rotations, SO(3)."""
    return on_r3(so3())


@functools.cache
def flip_rot_on_r3() -> GSpace:
    """Space with all rotations and reflections, O(3)."""
    return on_r3(o3())


@functools.cache
def octahedral_on_r3() -> GSpace:
    """Space with the 24 rotations of a cube whose faces look along the axes.

    They map a cubic grid to itself, so layers commute with them exactly.
    """
    return on_r3(octahedral())


@functools.cache
def full_octahedral_on_r3() -> GSpace:
    """Space with the 48 symmetries of a cube, the inversion among them; exact on a cubic grid."""
    return on_r3(full_octahedral())


@functools.cache
def icosahedral_on_r3() -> GSpace:
    """Space with the 60 rotations of an icosahedron; 12 of them are exact on a cubic grid."""
    return on_r3(icosahedral())


@functools.cache
def full_icosahedral_on_r3() -> GSpace:
    """Space with the 120 symmetries of an icosahedron; 24 of them are exact on a cubic grid."""
    return on_r3(full_icosahedral())


@functools.cache
def tetrahedral_on_r3() -> GSpace:
    """Space with the 12 rotations of a tetrahedron; exact on a cubic grid."""
    return on_r3(tetrahedral())


def trivial_on_r3() -> GSpace:
    """Space with translations only, as a plain 3-D convolution sees it."""
    return cyclic_on_r3(1)


def cyclic_on_r3(n: int, axis: str = "z") -> GSpace:
    """Space with ``n`` rotations about an axis, by ``2 pi / n``.

    Args:
        n: Number of rotations; -1 for all of SO(2).
        axis: The line that stays: ``"x"``, ``"y"`` or ``"z"``.

    Raises:
        ValueError: If ``n`` is neither positive nor -1, or the axis is none of these.
    """
    order = number_of_turns("cyclic_on_r3", n)
    axis = choice(axis, "cyclic_on_r3", "axis", AXES)
    group = so2() if order == -1 else cyclic(order)
    # A half turn is a sign, twice.
    irreps = ((0,), *(((order - 1,),) * 2 if order in (1, 2) else ((1,),)))
    # The axis first, then the two coordinates that follow it in the circle x, y, z.
    basis = np.eye(3)[:, np.roll(np.arange(3), -AXES.index(axis))]
    label = "" if axis == "z" or order == 1 else f"axis {axis}"
    return GSpace(group, action_by_irreps(group, irreps, basis), label)


def dihedral_on_r3(n: int) -> GSpace:
    """Space with ``n`` rotations about z and ``n`` half turns about lines across.

    All are rotations of space: ``f`` is the half turn about the x axis, ``diag(1, -1, -1)``. For
    mirrors in their place give `on_r3` the action of your choice.

    Args:
        n: Number of rotations about z; -1 for all of them, the group O(2).

    Raises:
        ValueError: If ``n`` is neither positive nor -1.
    """
    order = number_of_turns("dihedral_on_r3", n)
    group = o2() if order == -1 else dihedral(order)
    if order == 1:
        plane = ((0, 0), (1, 0))
    elif order == 2:  # along the line of the half turn f, and across
        plane = ((0, 1), (1, 1))
    else:
        plane = ((1, 1),)
    basis = np.eye(3)[:, [2, 0, 1]]
    return GSpace(group, action_by_irreps(group, ((1, 0), *plane), basis))
