"""A group element: a small hashable value that remembers its group."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ._group import Group


class GroupElement:
    """An element of a group, with `g @ h`, `~g` and `g ** n`.

    Attributes:
        group: the group.
        coordinates: tuple of numbers, one row of the arrays that groups compute with.
    """

    __slots__ = ("_coordinates", "_group", "_hash")

    def __init__(self, group: "Group", coordinates: tuple) -> None:
        self._group = group
        self._coordinates = coordinates
        self._hash = hash((group, coordinates))

    @property
    def group(self) -> "Group":
        """The group it belongs to."""
        return self._group

    @property
    def coordinates(self) -> tuple:
        """One row of coordinates, as a tuple of Python numbers."""
        return self._coordinates

    @property
    def array(self) -> np.ndarray:
        """The coordinates as an array `(1, p)`."""
        return self._group.coordinates_of([self])

    @property
    def value(self) -> Any:
        """The natural value: an integer, an angle, a matrix as nested tuples, a pair ..."""
        return self._group.value_of(self._coordinates)

    @property
    def index(self) -> int:
        """Position in `group.elements` (finite groups)."""
        if self._group.order is None:
            raise ValueError(f"{self._group} is infinite: its elements have no index.")
        return int(self._coordinates[0])

    def __matmul__(self, other: "GroupElement") -> "GroupElement":
        if not isinstance(other, GroupElement):
            return NotImplemented
        if other._group is not self._group:
            raise ValueError(
                f"cannot multiply an element of {self._group} by one of {other._group}."
            )
        return self._group.element_at(self._group.compose(self.array, other.array)[0])

    def __invert__(self) -> "GroupElement":
        return self._group.element_at(self._group.invert(self.array)[0])

    def __pow__(self, exponent: int) -> "GroupElement":
        factor = self if exponent >= 0 else ~self
        result = self._group.identity
        exponent = abs(int(exponent))
        while exponent:
            if exponent & 1:
                result = result @ factor
            factor = factor @ factor
            exponent >>= 1
        return result

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GroupElement):
            return NotImplemented
        return self._group is other._group and self._coordinates == other._coordinates

    def __hash__(self) -> int:
        return self._hash

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, "_hash"):
            raise AttributeError("group elements are immutable.")
        object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple:
        return GroupElement, (self._group, self._coordinates)

    def __repr__(self) -> str:
        return f"{self._group}[{_text(self.value)}]"


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple):
        return "(" + ", ".join(_text(part) for part in value) + ")"
    return str(value)
