"""Signed permutations of the axes of an array: the spaces on which tensor images live.

Two frames, one action. A tensor image counts along the axes of its array: component ``j`` of a
vector points along spatial axis ``j``, and an element is the signed permutation matrix ``g`` of
these axes. A field has coordinates (x, y, ...), the last axis along x, the others against theirs:
``point = J (index - center)`` with ``J`` the `index_matrix`. So ``A(g) = J g J^-1``, and a vector
has components ``v_xyz = J v_axes``; in the plane ``v_x = v_1`` and ``v_y = -v_0``.
"""

from __future__ import annotations

import functools
from typing import SupportsIndex

import numpy as np
from jaxtyping import Float, Int

from .._arguments import integer, is_integer, type_of
from ..groups import Group, hyperoctahedral, octahedral
from ..representations import Representation
from ._grid import index_matrix
from ._gspace import GSpace

MOST_AXES = 4
"""Axes whose signed permutations are all listed: 384 of them; of five axes there are 3840."""

_EXACT = 1e-9
"""Distance from an integer below which an entry of a matrix is that integer."""


def grid(D: SupportsIndex, group: Group | None = None) -> GSpace:
    """A grid with signed permutations of its axes, in any dimension.

    Args:
        D: Number of axes of the grid.
        group: A group of signed permutation matrices of D axes, such as ``dihedral(4)`` or one
            from ``from_generators``; by default all of them, `hyperoctahedral_on`, up to D = 4.

    Raises:
        ValueError: If the group's matrices are none, or of another size.
        TypeError: If ``group`` is no group.

    Examples:
        >>> import equivax as evx
        >>> space = evx.spaces.grid(4)  # three axes of space and one of time, all alike
        >>> space.dim, space.group.order
        (4, 384)
    """
    dim = integer(D, "grid", "D", 1)
    if group is None:
        if dim > MOST_AXES:
            raise ValueError(
                f"grid: group: expected a group of signed permutations of {dim} axes, got None, "
                f"which stands for all of them up to D = {MOST_AXES}"
            )
        return _hyperoctahedral_on(dim)
    type_of(group, "grid", "group", Group, "a Group or None")
    space = _signed_permutations_on(group)
    if space.dim != dim:
        raise ValueError(
            f"grid: group: expected signed permutations of {dim} axes, got {group!r}, which acts "
            f"on {space.dim}"
        )
    return space


def hyperoctahedral_on(dim: SupportsIndex) -> GSpace:
    """The line, plane, volume, ... with all signed permutations of its axes, ``2^d d!`` of them.

    Args:
        dim: 1 to 4.

    Raises:
        ValueError: For another dimension.
    """
    return _hyperoctahedral_on(_dimension("hyperoctahedral_on", dim))


def rotations_on(dim: SupportsIndex) -> GSpace:
    """The line, plane, volume, ... with the signed permutations of determinant 1.

    Args:
        dim: 1 (nothing moves), 2 (4 quarter turns), 3 (the octahedral group) or 4.

    Raises:
        ValueError: For another dimension.
    """
    return _rotations_on(_dimension("rotations_on", dim))


def signed_permutations_on(group: Group) -> GSpace:
    """A group of signed permutation matrices, its defining ones, acting on the axes of an array.

    Args:
        group: A group such as ``dihedral(4)``, ``octahedral()`` or one from ``from_generators``.

    Raises:
        ValueError: If its defining matrices are no signed permutations.
        TypeError: If it is no group.
    """
    if not isinstance(group, Group):
        raise TypeError(
            f"signed_permutations_on: group: expected a Group, got {type(group).__name__}"
        )
    return _signed_permutations_on(group)


def signed_matrices(group: Group) -> Int[np.ndarray, "N d d"]:
    """The defining matrices of all elements, as integers.

    Args:
        group: The group.

    Raises:
        ValueError: If they are no signed permutations.
    """
    type_of(group, "signed_matrices", "group", Group, "a Group")
    every = None if group.order is None else np.arange(group.order)[:, None]
    return _integers(
        group, group.defining_matrices(group.testing_coordinates if every is None else every)
    )


def axis_matrices(space: GSpace) -> Int[np.ndarray, "N d d"]:
    """``J^-1 A(g) J`` for all elements: how they move the axes of an array.

    Args:
        space: A space whose group maps the grid to itself.

    Raises:
        ValueError: If it does not.
    """
    type_of(space, "axis_matrices", "space", GSpace)
    frame = index_matrix(space.dim)
    return _integers(space, frame.T @ space.element_matrices @ frame)


def _dimension(caller: str, dim: SupportsIndex) -> int:
    if not is_integer(dim) or not 1 <= int(dim) <= MOST_AXES:
        raise ValueError(f"{caller}: dim: expected 1 to {MOST_AXES}, got {dim!r}")
    return int(dim)


def _integers(owner: object, matrices: Float[np.ndarray, "N d d"]) -> Int[np.ndarray, "N d d"]:
    rounded = np.rint(matrices)
    near = np.abs(matrices - rounded).max(initial=0.0) < _EXACT
    size = matrices.shape[-1]
    if not near or not size or not ((np.abs(rounded) == 1).sum(axis=1) == 1).all():
        raise ValueError(
            f"group: expected signed permutation matrices, got {owner!r}, which "
            "does not map the pixel grid to itself; layers on field types take any group with "
            "basis='harmonic'"
        )
    return rounded.astype(np.int64)


@functools.cache
def _hyperoctahedral_on(dim: int) -> GSpace:
    return _signed_permutations_on(hyperoctahedral(dim))


@functools.cache
def _rotations_on(dim: int) -> GSpace:
    if dim == 3:
        return _signed_permutations_on(octahedral())
    return _hyperoctahedral_on(dim).restrict("rotations")


@functools.lru_cache(maxsize=256)
def _signed_permutations_on(group: Group) -> GSpace:
    matrices = signed_matrices(group).astype(np.float64)
    frame = index_matrix(matrices.shape[-1])
    return GSpace(group, Representation.from_matrices(group, frame @ matrices @ frame.T, "vector"))
