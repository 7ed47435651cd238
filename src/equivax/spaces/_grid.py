"""The one axis convention: array indices and coordinates in space.

The last axis of an array runs along x; every other spatial axis runs against its coordinate, so
that a picture is seen as it is stored: ``x = column - (W - 1) / 2``, ``y = (H - 1) / 2 - row``.
A volume ``(D, H, W)`` has axes z, y, x. The origin is the middle of the array.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from .._arguments import integers, several

_EXACT = 1e-9
"""Distance of an entry from 0 or +-1 below which a matrix counts as a signed permutation.

Entries of rotations by rational angles other than quarter turns differ from 0 and 1 by more than
1e-9 for every group of an order below 10^4.
"""

MOST_CELLS = 10**8
"""Most cells whose coordinates are listed."""


def index_matrix(dim: int) -> Float[np.ndarray, "d d"]:
    """``J`` with ``point = J (index - center(shape))``; its own inverse transpose.

    Args:
        dim: Number of spatial axes.

    Returns:
        Signed permutation: reverses the order of the axes, and the sense of all but the last.
    """
    matrix = np.zeros((dim, dim))
    for axis in range(dim):
        matrix[dim - 1 - axis, axis] = 1.0 if axis == dim - 1 else -1.0
    return matrix


def center(shape: Sequence[int]) -> Float[np.ndarray, " d"]:
    """Index of the origin, ``(L - 1) / 2`` per axis: between two cells if the length is even."""
    return (np.asarray(_sides(shape, "center"), np.float64) - 1.0) / 2.0


def _sides(shape: object, caller: str) -> tuple[int, ...]:
    sides = several(shape, caller, "shape", "a list of sides of a grid", 0)
    return integers(sides, caller, "shape", 0) if sides else ()


def grid_points(shape: Sequence[int]) -> Float[np.ndarray, "cells d"]:
    """Coordinates (x, y, ...) of all cells of a grid, in the order of the raveled array."""
    shape = _sides(shape, "grid_points")
    if math.prod(shape) > MOST_CELLS:
        raise ValueError(f"grid_points: shape: expected at most {MOST_CELLS} cells, got {shape}")
    dim = len(shape)
    indices = np.indices(tuple(shape)).reshape(dim, math.prod(shape)).T
    return (indices - center(shape)) @ index_matrix(dim).T


@dataclasses.dataclass(frozen=True)
class SignedPermutation:
    """An action on a grid without resampling: swap spatial axes, then reverse some.

    ``out[i] = in[A^-1 i]`` is ``in.transpose(axes)`` with the axes in ``reverse`` reversed.

    Attributes:
        axes: For each spatial axis of the result, the spatial axis of the source.
        reverse: Spatial axes of the result that are reversed.
    """

    axes: tuple[int, ...]
    reverse: tuple[int, ...]

    @classmethod
    def of(cls, action: Float[np.ndarray, "d d"]) -> SignedPermutation | None:
        """From the matrix of a group element on R^d; None if it does not preserve the grid."""
        dim = len(action)
        rounded = np.rint(action)
        if np.abs(action - rounded).max(initial=0.0) > _EXACT:
            return None
        if not np.array_equal(rounded @ rounded.T, np.eye(dim)):
            return None
        frame = index_matrix(dim)
        moved = frame.T @ rounded @ frame  # acts on centred indices: source -> target
        axes = tuple(int(np.argmax(np.abs(row))) for row in moved)
        signs = [row[axis] for row, axis in zip(moved, axes, strict=True)]
        return cls(axes, tuple(axis for axis, sign in enumerate(signs) if sign < 0))

    @property
    def swaps_axes(self) -> bool:
        """Whether the shape of the grid is permuted."""
        return self.axes != tuple(range(len(self.axes)))
