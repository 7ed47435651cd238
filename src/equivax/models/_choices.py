"""Arguments that networks share: types on the plane, counts, what is copied."""

from __future__ import annotations

from .._arguments import integers, refuse, type_of
from ..fields import FieldType, Type
from ..groups import told_apart
from ..representations import Representation
from ..spaces import GSpace

#: Taps along an axis beyond which no kernel is made.
MOST_TAPS = 99

#: Layers, blocks or channels beyond which no network is made.
MOST = 10_000


#: Logits beyond which no readout is made.
MOST_CLASSES = 1_000_000


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


def checked_odd(caller: str, kernel_size: object) -> int:
    """One side of kernels, which must not put the output between the pixels.

    Raises:
        TypeError: If it is no integer, or are several that differ.
        ValueError: If the size is even, or no window so large is ever used.
    """
    sides = integers(kernel_size, caller, "kernel_size", 1, MOST_TAPS)
    if len(set(sides)) > 1:
        refuse(ValueError, caller, "kernel_size", "one odd number for all axes", kernel_size)
    if sides[0] % 2 == 0:
        raise ValueError(f"{caller}: kernel_size: expected an odd number, got {kernel_size}")
    return sides[0]


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
    type_of(unit, caller, "unit", Representation, "a Representation or None")
    if unit.group is not space.group:
        one, other = told_apart(space.group, unit.group)
        raise ValueError(f"{caller}: unit: expected a representation of {one}, got one of {other}")
    return unit
