"""One indecomposed piece of a representation: irreps and a change of basis, as plain data.

A summand of size ``n`` acts by ``rho(g) = Q (psi_1(g) + ... + psi_r(g)) Q^T`` with ``Q``
orthogonal. A `Representation` is a sequence of summands; feature fields are summands too.
Equality is by content, that is the irreps in order and the exact bytes of ``Q``: names are labels.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float

from .._numerics import freeze
from .._values import AbstractValue
from ..groups import Group, IrrepId


class Summand(AbstractValue):
    """The data of one summand.

    Attributes:
        group: The group that acts.
        irreps: Irrep ids in the order of the columns of ``change_of_basis``.
        change_of_basis: Orthogonal ``(n, n)`` float64 matrix ``Q``, read-only.
        name: A label for messages; it takes no part in equality.
        orthogonalizer: ``T`` with ``T rho T^-1`` orthogonal if the user's matrices were not
            orthogonal, else None.
        induced_from: ``(subgroup, representation of the subgroup)`` for induced and quotient
            representations, else None.
        removed_error: How far matrices that were measured moved to become exact.
    """

    group: Group
    irreps: tuple[IrrepId, ...]
    change_of_basis: Float[np.ndarray, "n n"]
    name: str = dataclasses.field(compare=False)
    orthogonalizer: Float[np.ndarray, "n n"] | None
    induced_from: tuple[Any, Any] | None = dataclasses.field(compare=False)
    removed_error: float = dataclasses.field(compare=False, default=0.0)

    def __init__(
        self,
        group: Group,
        irreps: Iterable[IrrepId],
        change_of_basis: Float[np.ndarray, "n n"],
        name: str,
        orthogonalizer: Float[np.ndarray, "n n"] | None = None,
        induced_from: tuple[Any, Any] | None = None,
        removed_error: float = 0.0,
    ) -> None:
        self._fill(
            group=group,
            irreps=tuple(irreps),
            change_of_basis=freeze(change_of_basis),
            name=name,
            orthogonalizer=None if orthogonalizer is None else freeze(orthogonalizer),
            induced_from=induced_from,
            removed_error=removed_error,
        )

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return self.change_of_basis.shape[0]

    @functools.cached_property
    def columns(self) -> tuple[slice, ...]:
        """Columns of ``Q`` that belong to each irrep, in order."""
        ends = np.cumsum([self.group.irrep_data(i).size for i in self.irreps], dtype=int)
        starts = [0, *(int(end) for end in ends[:-1])]
        return tuple(slice(a, int(b)) for a, b in zip(starts, ends, strict=True))

    def columns_of(self, irrep: IrrepId) -> np.ndarray:
        """Columns of every copy of one irrep: integers ``(multiplicity, irrep size)``."""
        found = [
            np.arange(c.start, c.stop)
            for i, c in zip(self.irreps, self.columns, strict=True)
            if i == irrep
        ]
        return np.stack(found) if found else np.zeros((0, 0), dtype=int)

    @functools.cached_property
    def is_diagonal_basis(self) -> bool:
        """Whether ``Q`` is exactly the identity, so that no change of basis is needed."""
        return bool(np.array_equal(self.change_of_basis, np.eye(self.size)))

    def evaluate(self, coordinates: np.ndarray) -> Float[np.ndarray, "elements n n"]:
        """Matrices at group elements given by their coordinates ``(N, p)``."""
        count = len(coordinates)
        spectral = np.zeros((count, self.size, self.size))
        for irrep in dict.fromkeys(self.irreps):
            blocks = self.group.irrep_data(irrep).matrices(coordinates)
            for columns in self.columns_of(irrep):
                spectral[:, columns[:, None], columns[None, :]] = blocks
        if self.is_diagonal_basis:
            return spectral
        return self.change_of_basis @ spectral @ self.change_of_basis.T

    def characters(self, coordinates: np.ndarray) -> Float[np.ndarray, " elements"]:
        """Traces at group elements given by their coordinates ``(N, p)``."""
        total = np.zeros(len(coordinates))
        for irrep in dict.fromkeys(self.irreps):
            blocks = self.group.irrep_data(irrep).matrices(coordinates)
            total += self.irreps.count(irrep) * np.trace(blocks, axis1=1, axis2=2)
        return total

    def renamed(self, name: str) -> Summand:
        """The same data under another label."""
        return dataclasses.replace(self, name=name)
