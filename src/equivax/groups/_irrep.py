"""Irreducible representations as data: id, size, type, matrices.

An irrep is real and orthogonal, in a basis that never changes. Its endomorphism algebra
is R, C or H. What can be done with representations is the business of the floor above.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float

from .._arguments import is_integer, is_several

if TYPE_CHECKING:
    from ._group import Group

EndomorphismType = Literal["real", "complex", "quaternionic"]
TYPE_OF_DIMENSION: dict[int, EndomorphismType] = {1: "real", 2: "complex", 4: "quaternionic"}

IrrepId = tuple
"""Ids are tuples of integers; those of a direct product hold the ids of the factors."""


@dataclasses.dataclass(frozen=True, eq=False)
class Irrep:
    """One irreducible representation of a group.

    Attributes:
        group: The group it represents.
        id: Tuple that names it in the group.
        name: Text that is unique in the group (a key of parameter dicts).
        size: Dimension d of its matrices.
        endomorphism_dimension: S = 1, 2 or 4, the dimension of the commuting matrices.
        frequency: Band-limit label of a Lie group's irrep; 0 for finite groups.
    """

    group: "Group"
    id: IrrepId
    name: str
    size: int
    endomorphism_dimension: int
    frequency: int
    _matrices: Callable[[np.ndarray], np.ndarray] = dataclasses.field(repr=False)
    _basis: Callable[[], np.ndarray] = dataclasses.field(repr=False)

    @property
    def endomorphism_type(self) -> EndomorphismType:
        """One of "real", "complex" and "quaternionic"."""
        return TYPE_OF_DIMENSION[self.endomorphism_dimension]

    @functools.cached_property
    def endomorphism_basis(self) -> Float[np.ndarray, "S d d"]:
        """The matrices that commute with the irrep, read-only ``(S, d, d)``.

        Psi_0 = I, then antisymmetric orthogonal units with Psi_s Psi_s = -I, mutually
        orthogonal, |Psi_s|_F^2 = d; if quaternionic, Psi_1 Psi_2 = Psi_3.
        """
        return self._basis()

    def matrices(self, coordinates: np.ndarray) -> Float[np.ndarray, "N d d"]:
        """The matrices of elements given by coordinates ``(N, p)``, as ``(N, d, d)``."""
        return self._matrices(coordinates)

    def characters(self, coordinates: np.ndarray) -> Float[np.ndarray, " N"]:
        """The traces of `matrices`, as ``(N,)``."""
        return np.trace(self.matrices(coordinates), axis1=1, axis2=2)

    def __reduce__(self) -> tuple:
        return _load, (self.group, self.id)


def _load(group: "Group", irrep_id: IrrepId) -> Irrep:
    return group.irrep_data(irrep_id)


def irrep_name(irrep_id: IrrepId, trivial_id: IrrepId) -> str:
    """Either "trivial" or the id in brackets, as in "irrep(1,2)"."""
    return "trivial" if irrep_id == trivial_id else "irrep" + _compact(irrep_id)


def _compact(value: object) -> str:
    if isinstance(value, tuple):
        return "(" + ",".join(_compact(part) for part in value) + ")"
    return str(value)


def plain_id(value: object) -> IrrepId | None:
    """An id of plain integers from integers and sequences of them; None from anything else."""
    if is_integer(value):
        return (operator.index(value),)
    if not is_several(value):
        return None
    parts = []
    for part in value:
        found = operator.index(part) if is_integer(part) else plain_id(part)
        if found is None:
            return None
        parts.append(found)
    return tuple(parts)
