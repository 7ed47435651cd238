"""What SO(2), O(2), SO(3), O(3) and products with them share: irreps by frequency."""

import abc
import functools
import operator
from typing import SupportsIndex

from .._arguments import is_integer
from ._element import GroupElement
from ._group import Group
from ._interning import interned
from ._irrep import Irrep, IrrepId, plain_id

MAX_FREQUENCY = 1000
"""Highest frequency up to which irreps are listed; matrices grow with it."""

HIGHEST_FREQUENCY = 10_000
"""Beyond, a list of irreps is a slip of the keyboard."""


class LieGroup(Group):
    """An infinite compact group, with finitely many irreps up to each frequency."""

    order: None = None

    @property
    def elements(self) -> tuple[GroupElement, ...]:
        """Not available.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            f"elements: {self} is infinite and has no list of elements; use testing_elements or "
            "sample"
        )

    def irrep_ids(self, max_frequency: SupportsIndex | None = None) -> tuple[IrrepId, ...]:
        """Ids of the irreps up to a frequency, in canonical order, the trivial one first."""
        limit = operator.index(max_frequency) if is_integer(max_frequency) else -1
        if limit > MAX_FREQUENCY:
            raise ValueError(
                f"irrep_ids: max_frequency: expected at most {MAX_FREQUENCY}, got {limit}"
            )
        if limit < 0:
            raise ValueError(
                f"irrep_ids: max_frequency: expected an integer >= 0, since {self} has infinitely "
                f"many irreps, got {max_frequency!r}"
            )
        if limit > HIGHEST_FREQUENCY:
            raise ValueError(
                f"irrep_ids: max_frequency: expected at most {HIGHEST_FREQUENCY}, got {limit}"
            )
        return self._ids_up_to(limit)

    def irrep_data(self, irrep_id: IrrepId | str) -> Irrep:
        """The irrep with an id."""
        key = self._canonical_id(irrep_id)
        if key is None:
            raise ValueError(f"{self} has no irrep {irrep_id!r}; valid ids are {self._valid_ids()}")
        return self._irrep_with(key)

    def irrep_sort_key(self, irrep_id: IrrepId) -> tuple:
        """The id itself: ids sort canonically as tuples."""
        return self.irrep_data(irrep_id).id

    @interned
    def _irrep_with(self, irrep_id: IrrepId) -> Irrep:
        return self._make_irrep(irrep_id)

    @functools.cached_property
    def _trivial_id(self) -> IrrepId:
        return self._ids_up_to(0)[0]

    @abc.abstractmethod
    def _ids_up_to(self, max_frequency: int) -> tuple[IrrepId, ...]:
        """Ids in canonical order."""

    @abc.abstractmethod
    def _canonical_id(self, irrep_id: object) -> IrrepId | None:
        """The id in its canonical spelling, or None if there is no such irrep."""

    @abc.abstractmethod
    def _make_irrep(self, irrep_id: IrrepId) -> Irrep:
        """The irrep of a canonical id."""

    @abc.abstractmethod
    def _valid_ids(self) -> str:
        """Text for error messages."""


def integers(irrep_id: object, count: int) -> tuple[int, ...] | None:
    """An id of a given number of integers, as plain ints; None if it is no such thing."""
    key = plain_id(irrep_id)
    return key if key is not None and len(key) == count and all(map(is_integer, key)) else None
