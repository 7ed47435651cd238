"""Finite groups by multiplication table.

Elements are indices 0..n-1, 0 the identity, and everything about the abstract group is
read off the Cayley table with array operations. Closed forms (irreps, defining matrices,
natural values) are handed in by the factories; what is missing is computed.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Float, Int

from .._arguments import integer, is_integer
from .._numerics import endomorphism_basis, freeze, freeze_indices
from ._closure import Level, spell, word_levels
from ._element import GroupElement
from ._group import MAX_ELEMENTS_TESTED, Group, as_generator
from ._interning import interned
from ._irrep import Irrep, IrrepId, irrep_name, plain_id


@dataclasses.dataclass(frozen=True)
class IrrepTable:
    """An irrep of a finite group before it is evaluated.

    Attributes:
        size: Dimension d.
        endomorphism_dimension: S = 1, 2 or 4.
        build: Function without arguments that returns the matrices ``(n, d, d)``.
        endomorphisms: Function that returns the commuting matrices ``(S, d, d)``; without it
            they are computed.
        characters: The traces of all elements ``(n,)``, where they are known before the matrices.
    """

    size: int
    endomorphism_dimension: int
    build: Callable[[], np.ndarray]
    endomorphisms: Callable[[], np.ndarray] | None = None
    characters: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Values:
    """Natural values of the elements of a finite group.

    Attributes:
        value: From an index to the value.
        index: From a value to an index, or None (or an exception) if it is no value.
        text: What a value looks like, for error messages.
    """

    value: Callable[[int], Any]
    index: Callable[[Any], int | None]
    text: str


class FiniteGroup(Group):
    """A finite group.

    Args:
        name: Short name.
        family: The factory's name and arguments.
        recipe: Factory and arguments that return this object.
        cayley_table: ``(n, n)``, the index of a b at [a, b]; element 0 is the identity.
        generators: Indices of generators.
        defining: Function that returns faithful orthogonal matrices ``(n, f, f)``.
        irreps: Function that returns the irrep tables by id, in canonical order; without
            it they are found numerically.
        labels: Other names of irreps, such as {"T1": (1,)}.
        values: Natural values; without it the indices.
        given: The matrices a user gave, if they were not orthogonal.
        removed_error: How far generators that were measured moved to become exact.
    """

    order: int

    def __init__(
        self,
        name: str,
        family: tuple,
        recipe: tuple[Callable[..., Group], tuple],
        cayley_table: np.ndarray,
        generators: list[int] | np.ndarray,
        *,
        defining: Callable[[], np.ndarray] | None = None,
        irreps: Callable[[], Mapping[IrrepId, IrrepTable]] | None = None,
        labels: Mapping[str, IrrepId] | None = None,
        values: Values | None = None,
        given: np.ndarray | None = None,
        removed_error: float = 0.0,
    ) -> None:
        super().__init__(recipe)
        self.name = name
        self.family = family
        self.cayley_table = freeze_indices(cayley_table)
        self.order = len(self.cayley_table)
        self.coordinate_size = 1
        self.generator_indices = freeze_indices(np.asarray(generators, dtype=np.int64))
        self._defining = defining
        self._irreps = irreps
        self._labels = dict(labels or {})
        self._values = values
        self.given_matrices = None if given is None else freeze(given)
        self.removed_error = removed_error

    # Elements.

    @functools.cached_property
    def elements(self) -> tuple[GroupElement, ...]:
        """All elements, identity first."""
        return self.elements_at(self.element_coordinates)

    @functools.cached_property
    def element_coordinates(self) -> Int[np.ndarray, "n 1"]:
        """Coordinates of all elements, ``(n, 1)``."""
        return freeze_indices(np.arange(self.order)[:, None])

    @functools.cached_property
    def inverses(self) -> Int[np.ndarray, " n"]:
        """Index of the inverse of each element."""
        return freeze_indices(np.argmin(self.cayley_table, axis=1))

    @property
    def generator_coordinates(self) -> np.ndarray:
        """Coordinates of the generators, ``(N, 1)``."""
        return self.generator_indices[:, None]

    @functools.cached_property
    def testing_coordinates(self) -> np.ndarray:
        """All elements up to order 120, else the generators and a fixed sample of 60."""
        if self.order <= MAX_ELEMENTS_TESTED:
            return self.element_coordinates
        sample = np.random.default_rng(0).integers(self.order, size=60)
        return freeze_indices(np.unique(np.r_[0, self.generator_indices, sample])[:, None])

    def indices(self, coordinates: np.ndarray) -> Int[np.ndarray, " N"]:
        """Indices from coordinates ``(N, 1)``, which a product group may hold as floats."""
        return np.rint(np.asarray(coordinates)[..., 0]).astype(np.int64)

    def compose(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Coordinates of the products of rows."""
        return self.cayley_table[self.indices(a), self.indices(b)][:, None]

    def invert(self, a: np.ndarray) -> np.ndarray:
        """Coordinates of the inverses."""
        return self.inverses[self.indices(a)][:, None]

    def sample_coordinates(self, seed: int | np.random.Generator, count: int) -> np.ndarray:
        """Coordinates of uniformly drawn elements."""
        return as_generator(seed).integers(self.order, size=(count, 1))

    def quadrature(self, degree: int) -> tuple[np.ndarray, Float[np.ndarray, " N"]]:
        """All elements with equal weights; the degree plays no role."""
        return self.element_coordinates, np.full(self.order, 1.0 / self.order)

    def one_parameter_coordinates(self, t: Float[np.ndarray, " N"]) -> list[np.ndarray]:
        """None: a finite group has no one-parameter subgroups."""
        return []

    def value_of(self, coordinates: tuple) -> Any:
        """The natural value of an element."""
        index = int(coordinates[0])
        return index if self._values is None else self._values.value(index)

    def _identity_coordinates(self) -> np.ndarray:
        return np.zeros(1, dtype=np.int64)

    def _parse(self, value: object) -> np.ndarray:
        index: int | None = None
        if self._values is not None:
            try:
                index = self._values.index(value)
            except (TypeError, ValueError, KeyError, IndexError, AttributeError):
                index = None
        if index is None and is_integer(value) and 0 <= operator.index(value) < self.order:
            index = operator.index(value)
        if index is None:
            natural = "" if self._values is None else f"{self._values.text} or "
            raise ValueError(
                f"element of {self}: expected {natural}an index in 0..{self.order - 1}, "
                f"got {value!r}"
            )
        return np.array([index], dtype=np.int64)

    # Structure.

    @functools.cached_property
    def element_orders(self) -> Int[np.ndarray, " n"]:
        """Order of each element."""
        orders = np.ones(self.order, dtype=np.int64)
        power = np.arange(self.order)
        open_ = power != 0
        while open_.any():
            orders[open_] += 1
            power = self.cayley_table[power, np.arange(self.order)]
            open_ &= power != 0
        return freeze_indices(orders)

    @functools.cached_property
    def conjugacy_classes(self) -> Int[np.ndarray, " n"]:
        """Class of each element, classes numbered by their first element."""
        from ._characters import conjugacy_labels

        return freeze_indices(conjugacy_labels(self.cayley_table, self.inverses))

    @functools.cached_property
    def subgroup_classes(self) -> tuple[tuple[Any, ...], ...]:
        """All subgroups up to conjugation: for each class the `Subgroup` objects in it.

        Classes are ordered by the order of their subgroups, the trivial one first.

        Raises:
            ValueError: If the order of the group is above 200.
        """
        from ._subgroup_classes import subgroup_classes

        return subgroup_classes(self)

    def extend(self, generator_matrices: np.ndarray) -> Float[np.ndarray, "n d d"]:
        """Matrices of all elements from those of the generators.

        Args:
            generator_matrices: ``(N, d, d)``, one per entry of `generators`.

        Returns:
            ``(n, d, d)``: each element is written as a shortest word in the generators.
        """
        mats = np.asarray(generator_matrices, dtype=np.float64)
        if len(mats) != len(self.generator_indices):
            raise ValueError(
                f"extend: generator_matrices: expected {len(self.generator_indices)}, one per "
                f"generator of {self}, got {len(mats)}"
            )
        return spell(self.words, mats, self.order)

    @property
    def words(self) -> list[Level]:
        """Shortest words in the generators, as levels of equal length.

        A level holds the indices of new elements, and for each the index of its parent and the
        number of the generator by which the parent is multiplied from the right.
        """
        return word_levels(self.cayley_table[:, self.generator_indices])

    @functools.cached_property
    def _defining_table(self) -> Float[np.ndarray, "n f f"]:
        if self._defining is not None:
            return freeze(self._defining())
        # A group known by its table only: the permutation of its elements.
        regular = np.zeros((self.order, self.order, self.order))
        np.put_along_axis(regular, self.cayley_table[:, None, :], 1.0, axis=1)
        return freeze(regular)

    def defining_matrices(self, coordinates: np.ndarray) -> Float[np.ndarray, "N f f"]:
        """Matrices of the faithful orthogonal representation that defines the group."""
        return self._defining_table[self.indices(coordinates)]

    # Irreps.

    @functools.cached_property
    def _irrep_tables(self) -> dict[IrrepId, IrrepTable]:
        if self._irreps is not None:
            return dict(self._irreps())
        from ._numerical_irreps import numerical_irreps

        return numerical_irreps(self.cayley_table, self.inverses)

    @functools.cached_property
    def _positions(self) -> dict[IrrepId, int]:
        return {key: position for position, key in enumerate(self._irrep_tables)}

    def irrep_ids(self, max_frequency: SupportsIndex | None = None) -> tuple[IrrepId, ...]:
        """Ids of all irreps in canonical order, the trivial one first."""
        if max_frequency is not None:
            integer(max_frequency, "irrep_ids", "max_frequency", 0)
        return tuple(self._irrep_tables)

    def irrep_sort_key(self, irrep_id: IrrepId) -> tuple:
        """Position in ``irrep_ids()``."""
        return (self._positions[self.irrep_data(irrep_id).id],)

    def irrep_data(self, irrep_id: IrrepId | str) -> Irrep:
        """The irrep with an id or label."""
        known = irrep_id
        if isinstance(irrep_id, str):
            known = self._labels.get(irrep_id, irrep_id)
        else:
            known = plain_id(irrep_id)
        try:
            position = self._positions[known]  # type: ignore[index]
        except (KeyError, TypeError):
            position = self._positions.get(self._short_form(known))
        if position is None:
            valid = ", ".join(map(str, self.irrep_ids()))
            labels = f" or labels {', '.join(self._labels)}" if self._labels else ""
            raise ValueError(f"{self} has no irrep {irrep_id!r}; valid ids are {valid}{labels}")
        return self._irrep_at(position)

    def irrep_matrices(self, irrep_id: IrrepId | str) -> Float[np.ndarray, "n d d"]:
        """The matrices of an irrep for all elements, in the order of `elements`."""
        return self.irrep_data(irrep_id).matrices(self.element_coordinates)

    def _short_form(self, irrep_id: object) -> Any:
        """Other spellings: the mirror group's (j,), a product's (id, id) for k = 0."""
        if isinstance(irrep_id, tuple):
            if self.family == ("dihedral", 1) and len(irrep_id) == 1:
                return (*irrep_id, 0)
            if self.kind == "direct_product" and len(irrep_id) == 2:
                return (*irrep_id, 0)
        return None

    @interned
    def _irrep_at(self, position: int) -> Irrep:
        key = self.irrep_ids()[position]
        table = self._irrep_tables[key]
        built, known = _Built(table, self.order), table.characters
        return Irrep(
            self,
            key,
            irrep_name(key, self.irrep_ids()[0]),
            table.size,
            table.endomorphism_dimension,
            0,
            lambda coordinates: built.matrices[self.indices(coordinates)],
            lambda: built.basis,
            None if known is None else lambda coordinates: known[self.indices(coordinates)],
        )


class _Built:
    """The matrices of an irrep and what commutes with them, built when first asked for."""

    def __init__(self, table: IrrepTable, order: int) -> None:
        self._table = table
        self._order = order

    @functools.cached_property
    def matrices(self) -> np.ndarray:
        return freeze(self._table.build())

    @functools.cached_property
    def basis(self) -> np.ndarray:
        if self._table.endomorphism_dimension == 1:
            return freeze(np.eye(self._table.size)[None])
        if self._table.endomorphisms is not None:
            return freeze(self._table.endomorphisms())
        weights = np.full(self._order, 1.0 / self._order)
        return freeze(endomorphism_basis(self.matrices, weights))
