"""A group element: a small hashable value that remembers its group."""

from typing import TYPE_CHECKING, Any

import numpy as np

from .._arguments import is_integer
from .._values import AbstractValue

if TYPE_CHECKING:
    from ._group import Group


class GroupElement(AbstractValue):
    """An element of a group, with ``g @ h``, ``~g`` and ``g ** n``.

    Attributes:
        group: The group.
        coordinates: Tuple of numbers, one row of the arrays that groups compute with.
    """

    group: "Group"
    coordinates: tuple

    @property
    def array(self) -> np.ndarray:
        """The coordinates as an array ``(1, p)``."""
        return self.group.coordinates_of([self])

    @property
    def value(self) -> Any:
        """The natural value: an integer, an angle, a matrix as nested tuples, a pair ..."""
        return self.group.value_of(self.coordinates)

    @property
    def index(self) -> int:
        """Position in `group.elements` (finite groups)."""
        if self.group.order is None:
            raise ValueError(f"index: {self.group} is infinite: its elements have no index")
        return int(self.coordinates[0])

    def __matmul__(self, other: "GroupElement") -> "GroupElement":
        if not isinstance(other, GroupElement):
            return NotImplemented
        if other.group is not self.group:
            raise ValueError(
                f"product: expected two elements of {self.group}, got one of {other.group}"
            )
        return self.group.element_at(self.group.compose(self.array, other.array)[0])

    def __invert__(self) -> "GroupElement":
        return self.group.element_at(self.group.invert(self.array)[0])

    def __pow__(self, exponent: int) -> "GroupElement":
        if not is_integer(exponent):
            return NotImplemented
        factor = self if exponent >= 0 else ~self
        result = self.group.identity
        exponent = abs(int(exponent))
        while exponent:
            if exponent & 1:
                result = result @ factor
            factor = factor @ factor
            exponent >>= 1
        return result

    def __repr__(self) -> str:
        return f"{self.group}[{_text(self.value)}]"


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple):
        return "(" + ", ".join(_text(part) for part in value) + ")"
    return str(value)
