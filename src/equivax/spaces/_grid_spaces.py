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

from .._arguments import is_integer, type_of
from ..groups import Group, hyperoctahedral, octahedral
from ..representations import Representation
from ._grid import index_matrix
from ._gspace import GSpace

_EXACT = 1e-9
"""Distance from an integer below which an entry of a matrix is that integer."""


def hyperoctahedral_on(dim: SupportsIndex) -> GSpace:
    """The line, plane or volume with all signed permutations of its axes, ``2^d d!`` of them.

    Args:
        dim: 1, 2 or 3.

    Raises:
        ValueError: For another dimension.
    """
    return _hyperoctahedral_on(_dimension("hyperoctahedral_on", dim))


def rotations_on(dim: SupportsIndex) -> GSpace:
    """The line, plane or volume with the signed permutations of determinant 1.

    Args:
        dim: 1 (nothing moves), 2 (4 quarter turns) or 3 (the octahedral group).

    Raises:
        ValueError: For another dimension.
    """
    return _rotations_on(_dimension("rotations_on", dim))


def signed_permutations_on(group: Group) -> GSpace:
    """A group of signed permutation matrices, its defining ones, acting on the axes of an array.

    Args:
        group: A group such as ``dihedral(4)``, ``octahedral()`` or one from ``from_generators``.

    Raises:
        ValueError: If its defining matrices are no signed permutations of 1 to 3 axes.
        TypeError: If it is no group.
    """
    if not isinstance(group, Group):
        raise TypeError(
            f"signed_permutations_on: group: expected a Group, got {type(group).__name__}"
        )
    return _signed_permutations_on(group)


def signed_matrices(group: Group) -> Int[np.ndarray, "N d d"]:
    """The defining matrices of the testing elements, as integers.

    Args:
        group: The group.

    Raises:
        ValueError: If they are no signed permutations of 1 to 3 axes.
    """
    type_of(group, "signed_matrices", "group", Group, "a Group")
    return _integers(group, group.defining_matrices(group.testing_coordinates))


def axis_matrices(space: GSpace) -> Int[np.ndarray, "N d d"]:
    """``J^-1 A(g) J`` for the testing elements: how they move the axes of an array.

    Args:
        space: A space whose group maps the grid to itself.

    Raises:
        ValueError: If it does not.
    """
    type_of(space, "axis_matrices", "space", GSpace)
    frame = index_matrix(space.dim)
    moved = space.matrices(space.group.testing_coordinates)
    return _integers(space, frame.T @ moved @ frame)


def _dimension(caller: str, dim: SupportsIndex) -> int:
    if not is_integer(dim) or int(dim) not in (1, 2, 3):
        raise ValueError(f"{caller}: dim: expected 1, 2 or 3, got {dim!r}")
    return int(dim)


def _integers(owner: object, matrices: Float[np.ndarray, "N d d"]) -> Int[np.ndarray, "N d d"]:
    rounded = np.rint(matrices)
    near = np.abs(matrices - rounded).max(initial=0.0) < _EXACT
    size = matrices.shape[-1]
    if not near or not 1 <= size <= 3 or not ((np.abs(rounded) == 1).sum(axis=1) == 1).all():
        raise ValueError(
            f"group: expected signed permutation matrices of 1 to 3 axes, got {owner!r}, which "
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
    space = _hyperoctahedral_on(dim)
    proper = np.linalg.det(signed_matrices(space.group)) > 0
    elements = space.group.elements_at(space.group.testing_coordinates[proper])
    return space.restrict(list(elements))


@functools.lru_cache(maxsize=256)
def _signed_permutations_on(group: Group) -> GSpace:
    matrices = signed_matrices(group).astype(np.float64)
    frame = index_matrix(matrices.shape[-1])
    return GSpace(group, Representation.from_matrices(group, frame @ matrices @ frame.T, "vector"))
