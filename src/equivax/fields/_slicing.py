"""Indexing by fields: what an expression in brackets selects."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np

from ._field_type import FieldType


def parse(index: object, shape: Sequence[int], type_: FieldType) -> tuple[list[slice], list[int]]:
    """One slice per axis, and the chosen fields for the channel axis.

    Args:
        index: What stands in brackets.
        shape: Of the array.
        type_: Its type.

    Returns:
        Slices for all axes (the one of the channels is a placeholder), and positions of fields.

    Raises:
        IndexError: If an integer is out of range.
        ValueError: If no field is left.
        TypeError: For anything else than integers, slices and one Ellipsis, or too many of them.
    """
    rank, channels = len(shape), len(shape) - 1 - type_.space.dim
    entries = list(index) if isinstance(index, tuple) else [index]
    dots = [i for i, entry in enumerate(entries) if entry is Ellipsis]
    if len(dots) > 1:
        raise TypeError("GeometricTensor: index: expected at most one Ellipsis, got two or more")
    if len(entries) - len(dots) > rank:
        raise TypeError(
            f"GeometricTensor: index: expected at most {rank} entries, got {len(entries)}"
        )
    fill = [slice(None)] * (rank - len(entries) + len(dots))
    if dots:
        entries[dots[0] : dots[0] + 1] = fill
    else:
        entries += fill
    slices, fields = [], list(range(len(type_)))
    for axis, entry in enumerate(entries):
        if axis == channels:
            fields = _fields(entry, len(type_))
            slices.append(slice(None))
        else:
            slices.append(_one(entry, shape[axis], f"axis {axis} of length {shape[axis]}"))
    return slices, fields


def _one(entry: object, length: int, where: str) -> slice:
    """A slice; an integer keeps its axis with length 1."""
    if isinstance(entry, slice):
        return entry
    at = _position(entry, length, where)
    return slice(at, at + 1)


def _position(entry: object, length: int, where: str) -> int:
    if isinstance(entry, bool) or not isinstance(entry, SupportsIndex) or getattr(entry, "ndim", 0):
        raise TypeError(
            f"GeometricTensor: index: expected an integer, a slice or an Ellipsis for {where}, got "
            f"{entry!r}; index .array for anything else"
        )
    at = operator.index(entry)
    if not -length <= at < length:
        raise IndexError(f"GeometricTensor: index: {at} is out of range for {where}")
    return at % length


def _fields(entry: object, count: int) -> list[int]:
    where = f"{count} fields"
    if isinstance(entry, slice):
        chosen = list(range(count))[entry]
    elif isinstance(entry, (list, np.ndarray)):
        listed = np.asarray(entry)
        if listed.ndim != 1 or (listed.size and listed.dtype.kind not in "biu"):
            raise TypeError(
                "GeometricTensor: index: expected a list of integers or booleans for the fields, "
                f"got {entry!r}"
            )
        if listed.dtype == bool:
            if len(listed) != count:
                raise IndexError(
                    f"GeometricTensor: index: expected {count} booleans, one per field, got "
                    f"{len(listed)}"
                )
            listed = np.flatnonzero(listed)
        chosen = [_position(i, count, where) for i in listed.tolist()]
    else:
        chosen = [_position(entry, count, where)]
    if not chosen:
        raise ValueError(f"GeometricTensor: index: {entry!r} leaves no field of {count}")
    return chosen
