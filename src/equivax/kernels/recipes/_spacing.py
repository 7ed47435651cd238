"""Grids whose axes have different spacings, as scans with thick slices: where the taps lie.

Lengths are in units of the finest spacing, since kernels are scaled anyway: only ratios count.
Spacings are given in the order of the axes of arrays, as sizes of kernels are; coordinates
(x, y, ...) come in the reverse order.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from ..._arguments import is_several
from ...spaces import GSpace, grid_points
from ._arguments import as_number

Spacing = tuple[float, ...]

MOST_RATIO = 1e3
"""Largest ratio of two spacings: beyond, no tap of the coarse axis is near another."""


def checked_spacing(caller: str, spacing: object) -> Spacing:
    """Positive numbers, one per axis of some space.

    Raises:
        ValueError: If they are none.
    """
    given = list(spacing) if is_several(spacing) else [None]
    found = [-1.0 if (n := as_number(entry)) is None else n for entry in given]
    if not found or min(found) <= 0 or max(found) > MOST_RATIO * min(found):
        raise ValueError(
            f"{caller}: spacing: expected a positive length per spatial axis, as (3.0, 1.0, 1.0), "
            f"of ratios of at most {MOST_RATIO:g}, got {spacing!r}; equal axes need none"
        )
    return tuple(found)


def relative_spacing(caller: str, space: GSpace, spacing: object) -> Spacing | None:
    """Spacings over the finest; None if all are equal.

    Raises:
        ValueError: If there is not one per axis.
    """
    if spacing is None:
        return None
    found = checked_spacing(caller, spacing)
    if len(found) != space.dim:
        raise ValueError(
            f"{caller}: spacing: expected {space.dim} lengths, one per axis of {space!r}, got "
            f"{spacing!r}"
        )
    ratios = tuple(length / min(found) for length in found)
    return None if max(ratios) < 1 + 1e-9 else ratios


def spaced_points(kernel: tuple[int, ...], spacing: Spacing | None) -> Float[np.ndarray, "taps d"]:
    """Coordinates (x, y, ...) of the taps, in units of the finest spacing."""
    points = grid_points(kernel)
    return points if spacing is None else points * np.array(spacing[::-1])


def spaced_radii(kernel: tuple[int, ...], spacing: Spacing) -> tuple[float, ...]:
    """Whole radii on which taps lie, up to the furthest tap of an axis."""
    lengths = np.sqrt((spaced_points(kernel, spacing) ** 2).sum(axis=1))
    furthest = max((k - 1) / 2 * s for k, s in zip(kernel, spacing, strict=True))
    whole = np.unique(np.floor(lengths + 0.5))
    return tuple(whole[whole <= math.floor(furthest + 0.5)].tolist())
