"""What a group is: the interface that everything above uses.

Two faces. Users hold a `Group` and its `GroupElement`s. The upper floors compute on
*coordinates*, arrays ``(N, p)`` with one element a row, so that nothing loops over elements.
"""

import abc
import functools
import operator
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar

import numpy as np
from jaxtyping import Float

from .._arguments import is_integer, refuse
from ._element import GroupElement
from ._irrep import Irrep, IrrepId

if TYPE_CHECKING:
    from ..representations import Representation
    from ._subgroup import Subgroup

Self = TypeVar("Self", bound="Group")
MAX_ELEMENTS_TESTED = 120


class Group(abc.ABC):
    """A compact group: finite, SO(2), O(2), SO(3), O(3), or a product of such.

    Groups are interned: equal factory arguments give the same object, also after pickling
    or copying. They compare by identity and never change.

    Attributes:
        name: Short name, also its `repr`.
        order: Number of elements, or None.
        family: The factory's name and its arguments, such as ``("cyclic", 8)``.
        coordinate_size: P, the number of coordinates of an element.
    """

    name: str
    order: int | None
    family: tuple
    coordinate_size: int

    def __init__(self, recipe: tuple[Callable[..., "Group"], tuple]) -> None:
        self._recipe = recipe

    @property
    def kind(self) -> str:
        """Name of the factory, such as ``"cyclic"``."""
        return self.family[0]

    # Elements, for users.

    @property
    @abc.abstractmethod
    def elements(self) -> tuple[GroupElement, ...]:
        """All elements, identity first."""

    @functools.cached_property
    def identity(self) -> GroupElement:
        """The neutral element."""
        return self.element_at(self._identity_coordinates())

    @functools.cached_property
    def generators(self) -> tuple[GroupElement, ...]:
        """Elements that generate the group (a dense subgroup of a Lie group)."""
        return self.elements_at(self.generator_coordinates)

    @functools.cached_property
    def testing_elements(self) -> tuple[GroupElement, ...]:
        """Elements that suffice in practice to test equivariance, the same in every process."""
        return self.elements_at(self.testing_coordinates)

    def element(self, value: object) -> GroupElement:
        """The element with a natural value.

        Args:
            value: What `GroupElement.value` returns, an index into `elements`, or an element.

        Raises:
            ValueError: If the group has no such element.
        """
        if isinstance(value, GroupElement):
            if value.group is not self:
                raise ValueError(
                    f"element: value: expected an element of {self}, got one of {value.group}"
                )
            return value
        return self.element_at(self._parse(value))

    def sample(self, seed: int | np.random.Generator) -> GroupElement:
        """One element, distributed uniformly (by the Haar measure).

        Args:
            seed: An integer or a NumPy generator.
        """
        return self.element_at(self.sample_coordinates(seed, 1)[0])

    def element_at(self, coordinates: np.ndarray | tuple) -> GroupElement:
        """The element with one row of coordinates."""
        return GroupElement(self, tuple(np.asarray(coordinates).tolist()))

    def elements_at(self, coordinates: np.ndarray) -> tuple[GroupElement, ...]:
        """The elements with coordinates ``(N, p)``."""
        return tuple(GroupElement(self, tuple(row)) for row in coordinates.tolist())

    def coordinates_of(self, elements: Iterable[Any]) -> np.ndarray:
        """Coordinates ``(N, p)`` of elements or of their natural values."""
        rows = [self.element(element).coordinates for element in elements]
        dtype = np.int64 if self.order is not None else np.float64
        return np.array(rows, dtype=dtype).reshape(-1, self.coordinate_size)

    # Elements, for the floors above.

    @abc.abstractmethod
    def compose(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Coordinates ``(N, p)`` of the products of rows; N may be 1 on either side."""

    @abc.abstractmethod
    def invert(self, a: np.ndarray) -> np.ndarray:
        """Coordinates ``(N, p)`` of the inverses."""

    @abc.abstractmethod
    def sample_coordinates(self, seed: int | np.random.Generator, count: int) -> np.ndarray:
        """Coordinates ``(count, p)`` of independent Haar-distributed elements."""

    @abc.abstractmethod
    def quadrature(self, degree: int) -> tuple[np.ndarray, Float[np.ndarray, " N"]]:
        """Points and weights that integrate over the group.

        Args:
            degree: Matrix entries of irreps of frequency up to this are integrated exactly
                (so, for products of two entries, the sum of their frequencies). A finite
                group returns all its elements, whatever the degree.

        Returns:
            Coordinates ``(N, p)`` and weights ``(N,)`` of sum 1.
        """

    @abc.abstractmethod
    def one_parameter_coordinates(self, t: Float[np.ndarray, " N"]) -> list[np.ndarray]:
        """One-parameter subgroups whose frequencies bound those of a representation.

        Args:
            t: Parameters ``(N,)``; t = 2 pi is a full turn.

        Returns:
            Coordinates ``(N, p)``, one array per continuous factor; none for a finite group.
        """

    @abc.abstractmethod
    def defining_matrices(self, coordinates: np.ndarray) -> Float[np.ndarray, "N f f"]:
        """Matrices of the faithful orthogonal representation that defines the group."""

    def standard_matrices(self, coordinates: np.ndarray) -> Float[np.ndarray, "N f f"]:
        """Matrices of the action on xyz where there is one, else `defining_matrices`."""
        return self.defining_matrices(coordinates)

    @property
    @abc.abstractmethod
    def generator_coordinates(self) -> np.ndarray:
        """Coordinates ``(N, p)`` of the generators."""

    @property
    @abc.abstractmethod
    def testing_coordinates(self) -> np.ndarray:
        """Coordinates ``(N, p)`` of the testing elements."""

    @abc.abstractmethod
    def value_of(self, coordinates: tuple) -> Any:
        """The natural value of one row of coordinates."""

    @abc.abstractmethod
    def _identity_coordinates(self) -> np.ndarray:
        """One row of coordinates."""

    @abc.abstractmethod
    def _parse(self, value: object) -> np.ndarray:
        """One row of coordinates from a natural value; ValueError if there is none."""

    # Irreps, as data.

    @abc.abstractmethod
    def irrep_ids(self, max_frequency: SupportsIndex | None = None) -> tuple[IrrepId, ...]:
        """Ids of the irreps in canonical order, the trivial one first.

        Args:
            max_frequency: Required for a Lie group; a finite group has all its irreps.
        """

    @abc.abstractmethod
    def irrep_data(self, irrep_id: IrrepId | str) -> Irrep:
        """The irrep with an id (or a label such as "T1" where the group has them).

        Raises:
            ValueError: If there is none; the message names the valid ids.
        """

    @abc.abstractmethod
    def irrep_sort_key(self, irrep_id: IrrepId) -> tuple:
        """Key that sorts ids canonically, also those of a Lie group."""

    # Representations: sugar over the floor above, the one allowed late import.

    def irreps(self, max_frequency: SupportsIndex | None = None) -> "tuple[Representation, ...]":
        """All irreps of a finite group; those up to a frequency of a Lie group."""
        from ..representations import irrep

        return tuple(irrep(self, key) for key in self.irrep_ids(max_frequency))

    def irrep(self, *irrep_id: object) -> "Representation":
        """The irrep with an id: ``G.irrep(1)``, ``D.irrep(1, 2)``, ``O.irrep("T1")``."""
        from ..representations import irrep

        key = irrep_id[0] if len(irrep_id) == 1 and isinstance(irrep_id[0], str) else irrep_id
        return irrep(self, self.irrep_data(key).id)

    @property
    def trivial(self) -> "Representation":
        """The representation by 1."""
        from ..representations import trivial

        return trivial(self)

    @property
    def regular(self) -> "Representation":
        """The permutation of the group's own elements (finite groups)."""
        from ..representations import regular

        return regular(self)

    def quotient(self, subgroup: object) -> "Representation":
        """The permutation of the cosets of a subgroup."""
        from ..representations import quotient

        return quotient(self, self.subgroup(subgroup))

    def induced(self, subgroup: object, rep: "Representation") -> "Representation":
        """The representation induced from one of a subgroup."""
        from ..representations import induced

        return induced(rep, self, subgroup)

    @property
    def defining(self) -> "Representation":
        """The faithful orthogonal representation that defines the group."""
        from ..representations import defining

        return defining(self)

    @property
    def standard(self) -> "Representation":
        """The action on xyz for a group of rotations of space, else `defining`."""
        from ..representations import standard

        return standard(self)

    def subgroup(self, spec: object) -> "Subgroup":
        """A subgroup with its embedding.

        Args:
            spec: A list of generators (elements or values); a name ("trivial", "rotations",
                "so2", "so3", ...); the peers' ids (M for C_N and SO(2), the tuples
                (None, M) and (k, M) for D_N, (None, M) and (theta, M) for O(2), with
                M = -1 for SO(2)); a pair (H, images of H.generators); or a `Subgroup`.

        Raises:
            ValueError: If there is no such subgroup.
        """
        from ._subgroup_spec import subgroup

        return subgroup(self, spec)

    # Values.

    def __reduce__(self) -> tuple:
        return self._recipe

    def __repr__(self) -> str:
        return self.name


def as_generator(seed: int | np.random.Generator) -> np.random.Generator:
    """A NumPy generator from a seed or from itself."""
    if isinstance(seed, np.random.Generator):
        return seed
    if not is_integer(seed) or operator.index(seed) < 0:
        error = ValueError if is_integer(seed) else TypeError
        refuse(error, "sample", "seed", "an integer >= 0 or a numpy Generator", seed)
    return np.random.default_rng(operator.index(seed))
