"""Arguments that every basis takes, checked in one place: the space, the taps, numbers."""

from __future__ import annotations

import math
import operator
from typing import Any

from ..._arguments import is_integer, is_number, is_several
from ...representations import Representation
from ...spaces import GSpace

MOST_TAPS = 10**6
"""Most taps of a kernel: beyond, its basis alone fills the memory."""


def check_space(caller: str, space: object) -> None:
    """Refuses what is no space."""
    if not isinstance(space, GSpace):
        raise TypeError(f"{caller}: space: expected a GSpace, got {type(space).__name__}")


def check_group(caller: str, space: GSpace, rep: Representation) -> None:
    """Refuses a representation of another group than the space's."""
    if rep.group is not space.group:
        raise ValueError(
            f"{caller}: in_rep: expected a representation of {space.group.name}, which acts on "
            f"{space!r}, got one of {rep.group.name}"
        )


def check_filter(caller: str, basis_filter: object) -> None:
    """Refuses what cannot be asked about elements."""
    if basis_filter is not None and (not callable(basis_filter) or isinstance(basis_filter, type)):
        raise TypeError(
            f"{caller}: basis_filter: expected a callable of the attributes of an element, or "
            f"None, got {basis_filter!r}"
        )


def kernel_shape(caller: str, space: GSpace, kernel_size: object) -> tuple[int, ...]:
    """Taps per spatial axis from an integer or one per axis."""
    given: Any = kernel_size
    sizes = tuple(given) if is_several(given) else (given,) * max(space.dim, 1)
    shape = tuple(-1 if (k := as_integer(size)) is None else k for size in sizes)
    if space.dim == 0 and shape == (1,):
        shape = ()
    if len(shape) != space.dim or any(k < 1 for k in shape):
        wanted = (
            "1, since a point has one tap"
            if space.dim == 0
            else f"a positive integer, or one for each of {space.dim} axes"
        )
        raise ValueError(f"{caller}: kernel_size: expected {wanted}, got {kernel_size!r}")
    if math.prod(shape) > MOST_TAPS:
        raise ValueError(
            f"{caller}: kernel_size: expected at most {MOST_TAPS} taps, got {kernel_size!r}"
        )
    return shape


def as_integer(value: object) -> int | None:
    """A whole number as an int; None for anything else, booleans too."""
    return operator.index(value) if is_integer(value) else None


def as_number(value: object) -> float | None:
    """A finite real number as a float; None for anything else, booleans too."""
    return float(value) if is_number(value) and math.isfinite(value) else None


def non_negative(caller: str, name: str, value: object, otherwise: str = "") -> int:
    """An integer of at least 0."""
    found = as_integer(value)
    if found is None or found < 0:
        raise ValueError(
            f"{caller}: {name}: expected a non-negative integer{otherwise}, got {value!r}"
        )
    return found


def positive(caller: str, name: str, value: object) -> float:
    """A finite number above 0."""
    found = as_number(value)
    if found is None or found <= 0:
        raise ValueError(f"{caller}: {name}: expected a positive number, got {value!r}")
    return found
