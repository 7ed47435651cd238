"""From the user's options to a recipe: every option checked once, in one place."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...spaces import GSpace
from .._parts import GridRecipe, HarmonicRecipe
from ._harmonics import DIMENSIONS
from ._orbits import permutation_table
from ._policy import CUTOFFS, cutoff, default_radii, default_widths, warn_even_size

BASES = ("harmonic", "grid")

Numbers = Sequence[float | int] | np.ndarray
FrequencyCutoff = str | float | int | Callable[[float], Any]


def make_recipe(
    caller: str,
    space: GSpace,
    kernel_size: Any,
    basis: str = "harmonic",
    *,
    rings: Numbers | None = None,
    sigma: float | int | Numbers | None = None,
    frequency_cutoff: FrequencyCutoff | None = None,
    maximum_offset: int | None = None,
) -> HarmonicRecipe | GridRecipe:
    """A recipe from options, see `steerable_basis`."""
    if basis not in BASES:
        raise ValueError(f"{caller}: basis: expected one of {', '.join(BASES)}, got {basis!r}")
    kernel = kernel_shape(caller, space, kernel_size)
    harmonic = {
        "rings": rings,
        "sigma": sigma,
        "frequency_cutoff": frequency_cutoff,
        "maximum_offset": maximum_offset,
    }
    if basis == "grid" or space.dim < 2:
        for name, value in harmonic.items():
            if value is not None:
                raise ValueError(
                    f"{caller}: {name}: belongs to the harmonic basis in two or more dimensions; "
                    f"the grid basis on {space.domain} takes every tap, so leave it out, got "
                    f"{value!r}"
                )
        return _grid(caller, space, kernel)
    if space.dim not in DIMENSIONS:
        raise ValueError(
            f'{caller}: basis: "harmonic" is for planes, got a space of dimension {space.dim}; '
            'groups that preserve the grid can use basis="grid"'
        )
    return _harmonic(caller, kernel, **harmonic)


def kernel_shape(caller: str, space: GSpace, kernel_size: Any) -> tuple[int, ...]:
    """Taps per spatial axis from an integer or one per axis."""
    given = kernel_size
    if not isinstance(kernel_size, (tuple, list)):
        kernel_size = (kernel_size,) * max(space.dim, 1)
    try:
        shape = tuple(_integer(k) for k in kernel_size)
    except TypeError:
        shape = (0,)
    if space.dim == 0 and shape == (1,):
        shape = ()
    if len(shape) != space.dim or any(k < 1 for k in shape):
        wanted = (
            "1, since a point has one tap"
            if space.dim == 0
            else f"a positive integer, or one for each of {space.dim} axes"
        )
        raise ValueError(f"{caller}: kernel_size: expected {wanted}, got {given!r}")
    return shape


def _integer(value: Any) -> int:
    if isinstance(value, (bool, np.bool_)):
        raise TypeError
    return operator.index(value)


def _grid(caller: str, space: GSpace, kernel: tuple[int, ...]) -> GridRecipe:
    if not space.preserves_grid:
        raise ValueError(
            f'{caller}: basis: "grid" needs a group that maps the grid to itself, that is quarter '
            f"turns and reflections in the axes, got {space!r}; use "
            'basis="harmonic", or restrict the space to such a subgroup'
        )
    if permutation_table(space, kernel) is None:
        raise ValueError(
            f"{caller}: kernel_size: expected equal sizes for axes that {space!r} exchanges, got "
            f"{kernel}"
        )
    return GridRecipe(kernel)


def _harmonic(
    caller: str,
    kernel: tuple[int, ...],
    rings: Numbers | None,
    sigma: float | int | Numbers | None,
    frequency_cutoff: FrequencyCutoff | None,
    maximum_offset: int | None,
) -> HarmonicRecipe:
    size = kernel[0]
    if len(set(kernel)) > 1:
        raise ValueError(
            f"{caller}: kernel_size: the harmonic basis expects equal sizes, got {kernel}; the "
            'grid basis takes unequal ones (basis="grid")'
        )
    radii = default_radii(size) if rings is None else _radii(caller, rings, size)
    widths = default_widths(radii) if sigma is None else _widths(caller, sigma, len(radii))
    order = sorted(range(len(radii)), key=lambda i: (radii[i], widths[i]))
    radii, widths = tuple(radii[i] for i in order), tuple(widths[i] for i in order)
    policy = "default" if frequency_cutoff is None else frequency_cutoff
    if maximum_offset is not None:
        maximum_offset = _offset(caller, maximum_offset)
    if size % 2 == 0 and rings is None:
        warn_even_size(size)
    return HarmonicRecipe(
        kernel=kernel,
        radii=radii,
        sigmas=widths,
        cutoffs=tuple(_highest(caller, policy, r, size) for r in radii),
        maximum_offset=maximum_offset,
        # The default is independent (tests show the singular values); two taps are a narrow fit.
        checks_rank=any(x is not None for x in (rings, sigma, frequency_cutoff)) or size == 2,
    )


def _offset(caller: str, given: Any) -> int:
    try:
        found = _integer(given)
    except TypeError:
        found = -1
    if found < 0:
        raise ValueError(
            f"{caller}: maximum_offset: expected a non-negative integer or None, got {given!r}"
        )
    return found


def _numbers(values: Any) -> tuple[float, ...] | None:
    """Finite real numbers, or None."""
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        return None
    try:
        found = tuple(float(v) for v in values)
    except (TypeError, ValueError):
        return None
    return found if all(map(math.isfinite, found)) else None


def _radii(caller: str, rings: Any, size: int) -> tuple[float, ...]:
    largest = math.sqrt(2) * (size - 1) / 2
    found = _numbers(rings)
    if not found or not all(0 <= r <= largest * (1 + 1e-12) for r in found):
        raise ValueError(
            f"{caller}: rings: expected radii in taps between 0 and {largest:.4g} for kernel "
            f"{size}, got {rings!r}"
        )
    return found


def _widths(caller: str, sigma: Any, count: int) -> tuple[float, ...]:
    found = (_numbers([sigma]) or ()) * count if np.ndim(sigma) == 0 else _numbers(sigma)
    if not found or len(found) != count or min(found) <= 0:
        raise ValueError(
            f"{caller}: sigma: expected a positive width, or one for each of {count} rings, got "
            f"{sigma!r}"
        )
    return found


def _highest(caller: str, policy: Any, radius: float, size: int) -> int:
    """The cut-off of a ring by a policy's name, a slope or a callable."""
    if isinstance(policy, str) and policy in CUTOFFS:
        return cutoff(policy, radius, size)
    value: Any = policy
    if callable(policy):
        value = policy(radius)
    elif isinstance(policy, (int, float, np.number)) and not isinstance(policy, bool):
        value = policy * radius
    try:
        highest = math.floor(value + 1e-9)  # 3 * (1 / 3) should mean 1
    except (TypeError, ValueError, OverflowError):
        highest = -1
    if highest < 0:
        raise ValueError(
            f"{caller}: frequency_cutoff: expected one of {', '.join(CUTOFFS)}, a number a (for "
            f"a r), or a callable from the radius to a frequency >= 0, got {policy!r} which gives "
            f"{value!r} at radius {radius:.4g}"
        )
    return highest
