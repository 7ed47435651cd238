"""What users write for types, parities and flags, checked once."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from jaxtyping import Array

from .._arguments import (
    arrays,
    integer,
    is_flag,
    is_integer,
    is_number,
    is_several,
    refuse,
    shown,
)
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

MOST_CELLS = 10**8
"""Most numbers that are made from a few: cells of an image, entries of filters, indices."""

MOST_ORDER = 30
"""The largest order of a tensor; arrays have few more axes."""

_NAME = re.compile(r"k(\d{1,2})p([01])(?:-([lu]+))?")


def as_dimension(value: object, caller: str, argument: str = "D") -> int:
    """Dimension of a grid.

    Raises:
        TypeError: If it is no integer.
        ValueError: If it is not 1, 2 or 3.
    """
    return integer(value, caller, argument, 1, 3)


def as_parity(value: object, caller: str) -> int:
    """A parity, modulo 2.

    Raises:
        TypeError: If it is no integer.
    """
    return integer(value, caller, "parity") % 2


def as_real(value: object, caller: str, argument: str) -> Array:
    """An array of real numbers from what JAX takes for one.

    Raises:
        TypeError: If it holds no numbers.
        ValueError: If it is ragged or complex.
    """
    found = arrays.array(value, caller, argument)
    if found.dtype.kind == "c":
        refuse(ValueError, caller, argument, "an array of real numbers", value)
    return found


def as_factor(value: object, dtype: Any, caller: str, takes: str) -> Any:
    """A number as it is, or an array in the dtype of an image.

    Raises:
        TypeError: If it is neither.
        ValueError: If it is complex and the image is not.
    """
    if isinstance(value, (int, float)) and not is_flag(value):
        return value if abs(value) < 2**31 else float(value)  # no integer of JAX is longer
    if is_flag(value) or not hasattr(value, "shape"):
        raise TypeError(f"{caller}: expected {takes}, got {shown(value)}")
    read = arrays.array if np.dtype(dtype).kind == "c" else as_real
    return read(value, caller, "factor").astype(dtype)


def _booleans(value: object) -> tuple[bool, ...] | None:
    if not is_several(value):
        return None
    if not all(is_flag(v) or (is_number(v) and v in (0, 1)) for v in value):
        return None
    return tuple(bool(v) for v in value)


def as_flags(value: object, count: int, caller: str, argument: str) -> tuple[bool, ...]:
    """One boolean per axis, from that or from a single one.

    Raises:
        ValueError: If the number is wrong or something is no boolean.
    """
    flags = (bool(value),) * count if is_flag(value) else _booleans(value)
    if flags is None or len(flags) != count:
        refuse(ValueError, caller, argument, f"a boolean, or {count} of them", value)
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
            if len(letters) <= MOST_ORDER:
                return tuple(letter == "l" for letter in letters), int(match[2])
    elif isinstance(value, (tuple, list)) and len(value) == 2:
        flags, parity = value
        if is_integer(flags) and 0 <= flags <= MOST_ORDER:
            flags = (False,) * int(flags)
        found = _booleans(flags)
        if found is not None and len(found) <= MOST_ORDER:
            return found, as_parity(parity, caller)
    takes = f"(order, parity), (flags, parity) or a name such as 'k1p0', of order <= {MOST_ORDER}"
    refuse(ValueError, caller, "type", takes, value)


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
