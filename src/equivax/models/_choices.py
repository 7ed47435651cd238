"""Arguments that networks share: types on the plane, counts, what is copied."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..fields import FieldType, Type
from ..groups import told_apart
from ..representations import Representation
from ..spaces import GSpace


def checked_plane(caller: str, argument: str, type_: Type) -> GSpace:
    """The space of a field type on the plane.

    Raises:
        TypeError: If it is no `FieldType`.
        ValueError: If the space is no plane.
    """
    if not isinstance(type_, FieldType):
        raise TypeError(
            f"{caller}: {argument}: expected a FieldType on a plane, got {type(type_).__name__}"
        )
    if type_.space.dim != 2:
        raise ValueError(f"{caller}: {argument}: expected fields on a plane, got {type_!r}")
    return type_.space


def checked_counts(caller: str, **counts: object) -> None:
    """Refuses what is no positive integer, or no sequence of them where one was given.

    Raises:
        TypeError: If an entry is no integer.
        ValueError: If one is not positive, or there is none.
    """
    for name, value in counts.items():
        entries: list[object] = [value]
        if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            entries = list(value)
        if not entries:
            raise ValueError(f"{caller}: {name}: expected at least one number, got none")
        for entry in entries:
            if isinstance(entry, bool) or not isinstance(entry, (int, np.integer)):
                raise TypeError(f"{caller}: {name}: expected positive integers, got {value!r}")
            if entry < 1:
                raise ValueError(f"{caller}: {name}: expected positive integers, got {value!r}")


def checked_odd(caller: str, kernel_size: int) -> None:
    """Refuses kernels that would put the output between the pixels.

    Raises:
        ValueError: If the size is even.
    """
    if kernel_size % 2 == 0:
        raise ValueError(f"{caller}: kernel_size: expected an odd number, got {kernel_size}")


def checked_unit(caller: str, space: GSpace, unit: Representation | None) -> Representation:
    """What is copied; the regular representation if None.

    Raises:
        ValueError: If it is None and the group infinite, or of another group.
        TypeError: If it is no representation.
    """
    if unit is None:
        if space.group.order is None:
            raise ValueError(
                f"{caller}: unit: {space.group.name} is infinite and has no regular "
                "representation; give a sum of irreps"
            )
        return space.regular
    if not isinstance(unit, Representation):
        raise TypeError(
            f"{caller}: unit: expected a Representation or None, got {type(unit).__name__}"
        )
    if unit.group is not space.group:
        one, other = told_apart(space.group, unit.group)
        raise ValueError(f"{caller}: unit: expected a representation of {one}, got one of {other}")
    return unit
