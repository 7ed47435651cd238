"""What users write for types, parities and flags, checked once."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence

import numpy as np

from .._windows import is_integer
from ..groups import Group, Subgroup
from ..spaces import (
    GSpace,
    axis_matrices,
    hyperoctahedral_on,
    signed_matrices,
    signed_permutations_on,
)

TensorType = tuple[tuple[bool, ...], int]
"""Flags of the tensor axes (True: lower) and the parity."""

_NAME = re.compile(r"k(\d+)p([01])(?:-([lu]+))?")


def as_dimension(value: object, caller: str) -> int:
    """Dimension of a grid.

    Raises:
        ValueError: If it is not 1, 2 or 3.
    """
    if not is_integer(value) or operator.index(value) not in (1, 2, 3):
        raise ValueError(f"{caller}: D: expected 1, 2 or 3, got {value!r}")
    return operator.index(value)


def as_parity(value: object, caller: str) -> int:
    """A parity, modulo 2.

    Raises:
        ValueError: If it is no integer.
    """
    if not is_integer(value):
        raise ValueError(f"{caller}: parity: expected an integer, taken modulo 2, got {value!r}")
    return operator.index(value) % 2


def _booleans(value: object) -> tuple[bool, ...] | None:
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)):
        return None
    if any(not isinstance(v, (bool, np.bool_)) and v not in (0, 1) for v in value):
        return None
    return tuple(bool(v) for v in value)


def as_flags(value: object, count: int, caller: str, argument: str) -> tuple[bool, ...]:
    """One boolean per axis, from that or from a single one.

    Raises:
        ValueError: If the number is wrong or something is no boolean.
    """
    flags = (bool(value),) * count if isinstance(value, (bool, np.bool_)) else _booleans(value)
    if flags is None or len(flags) != count:
        raise ValueError(
            f"{caller}: {argument}: expected a boolean, or {count} of them, got {value!r}"
        )
    return flags


def as_type(value: object, caller: str) -> TensorType:
    """A tensor type from ``(order, parity)``, ``(flags, parity)`` or a name such as ``k2p0-lu``.

    Raises:
        ValueError: If it is none of these.
    """
    if isinstance(value, str):
        match = _NAME.fullmatch(value)
        if match is not None and (match[3] is None or len(match[3]) == int(match[1])):
            letters = match[3] or "u" * int(match[1])
            return tuple(letter == "l" for letter in letters), int(match[2])
    elif isinstance(value, (tuple, list)) and len(value) == 2:
        flags, parity = value
        if is_integer(flags) and operator.index(flags) >= 0:
            flags = (False,) * operator.index(flags)
        found = _booleans(flags)
        if found is not None:
            return found, as_parity(parity, caller)
    raise ValueError(
        f"{caller}: type: expected (order, parity), (flags, parity) or a name such as 'k1p0', got "
        f"{value!r}"
    )


def type_name(type_: TensorType) -> str:
    """``k2p0``, or ``k2p0-lu`` if an axis is lower."""
    flags, parity = type_
    suffix = "-" + "".join("l" if flag else "u" for flag in flags) if any(flags) else ""
    return f"k{len(flags)}p{parity}{suffix}"


# ---- groups ------------------------------------------------------------------------------------


def axis_space(group: object, D: int, caller: str) -> GSpace:
    """The space of a group of signed permutations of D axes; all of them if None.

    Args:
        group: None, a `Group` with its defining matrices, a `Subgroup` of one, or a `GSpace`.
        D: Number of axes.
        caller: Who asks, for messages.

    Raises:
        ValueError: If it is no group of signed permutations of D axes.
        TypeError: If it is no group.
    """
    if group is None:
        return hyperoctahedral_on(D)
    try:
        if isinstance(group, GSpace):
            space = group
            axis_matrices(space)
        elif isinstance(group, Subgroup):
            space = signed_permutations_on(group.parent).restrict(group)
        elif isinstance(group, Group):
            space = signed_permutations_on(group)
        else:
            raise TypeError(
                f"{caller}: group: expected a group of signed permutations, a subgroup of one, or "
                f"None for all of them, got {type(group).__name__}"
            )
    except ValueError as error:
        raise ValueError(f"{caller}: {error}") from None
    _check_size(space.dim, D, group, caller)
    return space


def group_matrices(group: object, D: int, caller: str) -> np.ndarray:
    """The signed permutation matrices ``(N, D, D)`` of a group, as integers; see `axis_space`.

    Raises:
        ValueError: If it is no group of signed permutations of D axes.
    """
    if isinstance(group, Group):  # without a representation to decompose
        try:
            found = signed_matrices(group)
        except ValueError as error:
            raise ValueError(f"{caller}: {error}") from None
        _check_size(found.shape[-1], D, group, caller)
        return found
    return axis_matrices(axis_space(group, D, caller))


def _check_size(size: int, D: int, group: object, caller: str) -> None:
    if size != D:
        raise ValueError(
            f"{caller}: group: expected signed permutations of {D} axes, got {group!r}, which acts "
            f"on {size}"
        )
