"""What a value is, written once: made once, never changed, equal by content.

So values are keys of caches that cannot be stale, they sit in the static structure of pytrees, and
two equal ones share a compilation.
"""

import dataclasses
import functools
from typing import Any, TypeVar, dataclass_transform

import numpy as np

from ._numerics import digest

Self = TypeVar("Self", bound="AbstractValue")


@dataclass_transform(
    frozen_default=True, eq_default=False, field_specifiers=(dataclasses.field, dataclasses.Field)
)
class AbstractValue:
    """A frozen dataclass whose equality, hash, pickle and copies go by the content of its fields.

    A subclass lists its fields as a dataclass does, and needs no decorator. Fields hold numbers,
    text, values, NumPy arrays (compared by exact bytes) and tuples of these; a label that is no
    part of the value is a ``dataclasses.field(compare=False)``. An ``__init__`` of its own, which
    checks or converts arguments, ends in ``self._fill(...)``. `functools.cached_property` works:
    what it keeps is no part of equality and is not pickled.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)
        # A frozen dataclass writes its own refusals, which do not name the class.
        cls.__setattr__ = AbstractValue.__setattr__
        cls.__delattr__ = AbstractValue.__delattr__

    def _fill(self, **fields: Any) -> None:
        """Sets the fields, once, at the end of an ``__init__``."""
        self.__dict__.update(fields)

    @functools.cached_property
    def _content(self) -> tuple[Any, ...]:
        """What equality compares."""
        fields = dataclasses.fields(self)  # pyright: ignore[reportArgumentType]
        return tuple(_comparable(getattr(self, f.name)) for f in fields if f.compare)

    @functools.cached_property
    def _hash(self) -> int:
        return hash(self._content)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other):
            return NotImplemented
        mine, theirs = self._content, other._content  # pyright: ignore[reportAttributeAccessIssue]
        if mine is theirs:
            return True
        if self._hash != other._hash or mine != theirs:  # pyright: ignore[reportAttributeAccessIssue]
            return False
        # Layers compare types at every call: once in full, from then on by identity.
        other.__dict__["_content"] = mine
        return True

    def __hash__(self) -> int:
        return self._hash

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: cannot set {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: cannot delete {name}")

    def __getstate__(self) -> dict[str, Any]:
        names = [f.name for f in dataclasses.fields(self)]  # pyright: ignore[reportArgumentType]
        return {name: getattr(self, name) for name in names}

    def __copy__(self: Self) -> Self:
        return self

    def __deepcopy__(self: Self, memo: dict[int, Any]) -> Self:
        return self


def _comparable(value: object) -> Any:
    """A field's value, with digests in place of arrays."""
    if isinstance(value, np.ndarray):
        return digest(value)
    return tuple(map(_comparable, value)) if type(value) is tuple else value
