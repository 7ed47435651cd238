"""A subgroup: a group of its own, with its embedding into a parent.

The subgroup as a group has its own elements and canonical irreps; only the embedding knows
the parent. Two subgroups are equal if parent, group and embedding are.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Int

from .._numerics import freeze, freeze_indices, match_rows
from .._values import AbstractValue
from ._element import GroupElement
from ._finite import FiniteGroup
from ._group import Group

_SAME_POINT = 1e-9
"""Difference of defining matrices below which two elements of a Lie group are one."""


class Subgroup(AbstractValue):
    """A subgroup H of a group G; made by ``G.subgroup(...)``.

    Args:
        parent: The group G.
        group: The group H.
        images: Coordinates in G of all elements of H, ``(|H|, p)``, for a finite H.
        family: Name of a closed form that an infinite H is embedded by.
        embed: That closed form, from coordinates in H to coordinates in G.
        locate: Its inverse, see the method.
        representatives: Coordinates ``(index, p)`` of coset representatives, if finitely many.
    """

    parent: Group
    group: Group
    _images: np.ndarray | None
    _family: str
    _embed: Callable[[np.ndarray], np.ndarray] | None = dataclasses.field(compare=False)
    _locate: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = dataclasses.field(
        compare=False
    )
    _representatives: np.ndarray | None = dataclasses.field(compare=False)

    def __init__(
        self,
        parent: Group,
        group: Group,
        *,
        images: np.ndarray | None = None,
        family: str = "",
        embed: Callable[[np.ndarray], np.ndarray] | None = None,
        locate: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None,
        representatives: np.ndarray | None = None,
    ) -> None:
        if images is not None:
            images = (freeze if parent.order is None else freeze_indices)(images)
        self._fill(
            parent=parent,
            group=group,
            _images=images,
            _family=family,
            _embed=embed,
            _locate=locate,
            _representatives=representatives,
        )

    def embed(self, coordinates: np.ndarray) -> np.ndarray:
        """Coordinates in G of elements of H.

        Args:
            coordinates: ``(N, q)``, coordinates in H.

        Returns:
            ``(N, p)``, coordinates in G.
        """
        if self._images is not None and isinstance(self.group, FiniteGroup):
            return self._images[self.group.indices(coordinates)]
        assert self._embed is not None
        return self._embed(np.asarray(coordinates))

    def embedding(self, element: GroupElement) -> GroupElement:
        """The element of G that an element of H is."""
        return self.parent.element_at(self.embed(self.group.element(element).array)[0])

    def locate(self, coordinates: np.ndarray) -> tuple[Bool[np.ndarray, " N"], np.ndarray]:
        """Which elements of G lie in H, and where.

        Args:
            coordinates: ``(N, p)``, coordinates in G.

        Returns:
            Mask ``(N,)`` and coordinates in H ``(N, q)``, those of the identity where the mask
            is false.
        """
        if self._images is None:
            assert self._locate is not None
            mask, found = self._locate(np.asarray(coordinates))
            rest = np.broadcast_to(self.group._identity_coordinates(), found.shape)
            return mask, np.where(mask[:, None], found, rest)
        if isinstance(self.parent, FiniteGroup):
            position = np.full(self.parent.order, -1)
            position[self._images[:, 0]] = np.arange(len(self._images))
            found = position[self.parent.indices(coordinates)]
        else:
            known = self.parent.defining_matrices(self._images).reshape(len(self._images), -1)
            rows = self.parent.defining_matrices(np.asarray(coordinates))
            found = match_rows(known, rows.reshape(len(rows), -1), _SAME_POINT)
        return found >= 0, np.maximum(found, 0)[:, None]

    @functools.cached_property
    def _coset_coordinates(self) -> np.ndarray:
        if self._representatives is not None:
            return self._representatives
        if not isinstance(self.parent, FiniteGroup):
            raise ValueError(f"{self} has infinite index: its cosets cannot be listed")
        return np.unique(self.coset_labels)[:, None]

    @functools.cached_property
    def coset_labels(self) -> Int[np.ndarray, " n"]:
        """For each element g of a finite parent, the first element of its coset g H."""
        if not isinstance(self.parent, FiniteGroup) or self._images is None:
            raise ValueError(f"{self} has an infinite parent: its elements cannot be listed")
        return freeze_indices(self.parent.cayley_table[:, self._images[:, 0]].min(axis=1))

    @functools.cached_property
    def coset_representatives(self) -> tuple[GroupElement, ...]:
        """The first element of each left coset g H, in the parent's order.

        Raises:
            ValueError: If the index is infinite.
        """
        return self.parent.elements_at(self._coset_coordinates)

    @property
    def index(self) -> int:
        """Number of cosets.

        Raises:
            ValueError: If it is infinite.
        """
        return len(self._coset_coordinates)

    def __reduce__(self) -> tuple:
        # Closed forms are functions: they are found again by their name.
        if self._images is None:
            from ._subgroup_spec import subgroup

            return subgroup, (self.parent, self._family)
        return _from_images, (self.parent, self.group, self._images)

    def __repr__(self) -> str:
        return f"{self.group} < {self.parent}"


def _from_images(parent: Group, group: Group, images: np.ndarray) -> Subgroup:
    return Subgroup(parent, group, images=images)
