"""Arguments that networks share: types of fields, counts, what is copied."""

from __future__ import annotations

from typing import TypeAlias

from .._arguments import integers, number, refuse, type_of
from ..fields import FieldType, Type
from ..groups import told_apart
from ..kernels import Grid, Harmonic
from ..nn import FieldDropout, Layer
from ..representations import Representation
from ..spaces import GSpace

Basis: TypeAlias = str | Harmonic | Grid
"""What networks take for a basis of kernels."""

NAMES = ("harmonic", "grid")

#: Taps along an axis beyond which no kernel is made.
MOST_TAPS = 99

#: Layers, blocks or channels beyond which no network is made.
MOST = 10_000


#: Logits beyond which no readout is made.
MOST_CLASSES = 1_000_000


def checked_fields(caller: str, argument: str, type_: Type) -> GSpace:
    """The space of a field type on a line, a plane, in space, ...

    Raises:
        TypeError: If it is no `FieldType`.
        ValueError: If the space is a point.
    """
    if not isinstance(type_, FieldType):
        raise TypeError(
            f"{caller}: {argument}: expected a FieldType on a plane or in space, got "
            f"{type(type_).__name__}"
        )
    if type_.space.dim == 0:
        raise ValueError(
            f"{caller}: {argument}: expected fields on a plane or in space, got {type_!r}"
        )
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


def checked_basis(caller: str, basis: object) -> Basis:
    """What `Conv` takes for a basis of kernels of any size.

    Raises:
        TypeError: If it is neither a name nor a record.
        ValueError: If the name is unknown.
    """
    takes = "'harmonic', 'grid' or a record such as kernels.Harmonic(frequency_cutoff=3)"
    if isinstance(basis, Harmonic | Grid) or (isinstance(basis, str) and basis in NAMES):
        return basis
    refuse(ValueError if isinstance(basis, str) else TypeError, caller, "basis", takes, basis)


def dropped(caller: str, fields: FieldType, dropout: object) -> list[Layer]:
    """A dropout of fields, or nothing if nothing is dropped.

    Raises:
        TypeError: If the probability is no number.
        ValueError: If it is not in [0, 1).
    """
    p = number(dropout, caller, "dropout", 0, below=1)
    return [FieldDropout(fields, p)] if p else []


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
