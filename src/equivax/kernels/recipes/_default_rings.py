"""The default rings of harmonic kernels: radii, widths and highest frequencies.

A profile ``exp(-(r - r_i)^2 / (2 sigma_i^2))`` per ring. Radii are whole numbers of taps; the
centre ring touches only the centre; the frequency grows with the radius as far as a circle of
taps can carry it, and less on the outermost ring, which the square cuts.
"""

from __future__ import annotations

import functools
import math
import warnings

CENTRE_WIDTH = 0.005
"""Narrow enough that the ring at radius 0 is zero, in float64, on every other tap."""

OUTER_WIDTH = 0.4
INNER_WIDTH = 0.6

CUTOFFS = ("default", "narrow", "flat")
"""Names of the frequency cut-offs."""


def default_radii(size: int, dim: int) -> tuple[float, ...]:
    """``ceil(k / 2)`` radii ``0, 1, ...``; two taps per axis get the one ring that they lie on."""
    if size == 2:
        return (math.sqrt(dim / 4),)
    return tuple(float(r) for r in range((size + 1) // 2))


def default_widths(radii: tuple[float, ...]) -> tuple[float, ...]:
    """0.6, but 0.4 for the outermost ring and 0.005 at the centre."""
    outer = max(radii)
    widths = (OUTER_WIDTH if r == outer else INNER_WIDTH for r in radii)
    return tuple(CENTRE_WIDTH if r == 0 else w for r, w in zip(radii, widths, strict=True))


def cutoff(policy: str, radius: float, size: int, dim: int) -> int:
    """Highest frequency of a ring.

    ``"default"``: on planes 0 at the centre, ``min(2 r, 2)`` on the ring at ``floor(k / 2)``, else
    ``2 r - ((r + 1) mod 2)``; in space ``min(2 r, floor(k / 2) - r + 2)``, since there a degree has
    many functions. ``"narrow"`` has 1 instead of 2 on that outer ring; ``"flat"`` is 0, then 2,
    then 1 on the outer ring. Never below 0, which counts for radii between the taps.
    """
    if radius == 0:
        return 0
    if size == 2:  # one ring through all taps
        return 2 if policy == "default" else 1
    if policy == "default" and dim == 3:
        return max(0, math.floor(min(2 * radius, size // 2 - radius + 2)))
    outer = radius == size // 2
    if policy == "flat":
        return 1 if outer else 2
    if outer:
        return math.floor(min(2 * radius, 2 if policy == "default" else 1))
    return max(0, math.floor(2 * radius - (radius + 1) % 2))


@functools.cache
def warn_even_size(size: int) -> None:
    """Once per size: few degrees of freedom survive between the taps."""
    warnings.warn(
        f"kernel_size: the harmonic basis on an even kernel ({size}) has no centre tap and spans "
        'little of the grid; prefer an odd size, or basis="grid" for groups that preserve the grid',
        UserWarning,
        stacklevel=4,
    )
