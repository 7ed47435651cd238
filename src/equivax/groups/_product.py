"""Direct products of two groups.

Elements are pairs. A product of finite groups is a finite group, its elements ordered with
the first factor slow; with an infinite factor, coordinates are those of the factors, one
after the other. Irreps are (id_g, id_h, k), see `_product_irreps`.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from .._numerics import freeze
from ._finite import FiniteGroup, IrrepTable, Values
from ._group import MAX_ELEMENTS_TESTED, Group, as_generator
from ._interning import interned
from ._irrep import Irrep, IrrepId, irrep_name
from ._lie import LieGroup
from ._product_irreps import TensorIrrep, tensor_irreps


def direct_product(G: Group, H: Group) -> Group:
    """The group of pairs (g, h).

    Irreps have ids (id_g, id_h, k): the tensor product of an irrep of G and one of H, with
    k = 0, or k = 0 and 1 where both are complex. (id_g, id_h) means k = 0.

    Args:
        G: First factor.
        H: Second factor.

    Returns:
        A `FiniteGroup` if both are finite.
    """
    for name, group in (("G", G), ("H", H)):
        if not isinstance(group, Group):
            raise TypeError(f"direct_product: {name}: expected a Group, got {group!r}")
    return _direct_product(G, H)


@interned
def _direct_product(first: Group, second: Group) -> Group:
    if isinstance(first, FiniteGroup) and isinstance(second, FiniteGroup):
        return _finite_product(first, second)
    return ProductGroup(first, second)


def _product_name(first: Group, second: Group) -> str:
    parts = (f"({g})" if g.kind == "direct_product" else str(g) for g in (first, second))
    return " x ".join(parts)


def _finite_product(first: FiniteGroup, second: FiniteGroup) -> FiniteGroup:
    m, n = first.order, second.order
    table = first.cayley_table[:, None, :, None] * n + second.cayley_table[None, :, None, :]
    g, h = (part[:, None] for part in np.divmod(np.arange(m * n), n))

    def build(tensor: TensorIrrep) -> Callable[[], np.ndarray]:
        return lambda: tensor.matrices(
            tensor.first.matrices(g), tensor.second.matrices(h), tensor.basis()
        )

    def irreps() -> dict[IrrepId, IrrepTable]:
        return {
            key: IrrepTable(
                tensor.size,
                tensor.endomorphism_dimension,
                build(tensor),
                lambda tensor=tensor: tensor.endomorphisms(tensor.basis()),
            )
            for key, tensor in _all_tensors(first, second, None)
        }

    def index(value: Any) -> int | None:
        a, b = value
        return first.element(a).index * n + second.element(b).index

    def value(i: int) -> tuple:
        return first.value_of((i // n,)), second.value_of((i % n,))

    return FiniteGroup(
        _product_name(first, second),
        ("direct_product", first, second),
        (direct_product, (first, second)),
        table.reshape(m * n, m * n),
        np.concatenate([first.generator_indices * n, second.generator_indices]),
        defining=lambda: _block_diagonal(first.defining_matrices(g), second.defining_matrices(h)),
        irreps=irreps,
        values=Values(value, index, "a pair of values"),
    )


def _all_tensors(
    first: Group, second: Group, max_frequency: int | None
) -> list[tuple[IrrepId, TensorIrrep]]:
    return [
        ((a, b, tensor.part), tensor)
        for a in first.irrep_ids(max_frequency)
        for b in second.irrep_ids(max_frequency)
        for tensor in tensor_irreps(first.irrep_data(a), second.irrep_data(b))
    ]


class ProductGroup(LieGroup):
    """A direct product with an infinite factor; use `direct_product`."""

    def __init__(self, first: Group, second: Group) -> None:
        super().__init__((direct_product, (first, second)))
        self.name = _product_name(first, second)
        self.family = ("direct_product", first, second)
        self.factors = (first, second)
        self.coordinate_size = first.coordinate_size + second.coordinate_size

    def split(self, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates of the two factors, from those of pairs."""
        coordinates = np.asarray(coordinates)
        parts = np.split(coordinates, [self.factors[0].coordinate_size], axis=-1)
        return parts[0], parts[1]

    def _pairs(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.concatenate([a, b], axis=-1, dtype=np.float64)

    def _all_pairs(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return self._pairs(np.repeat(a, len(b), axis=0), np.tile(b, (len(a), 1)))

    def compose(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Products of the parts."""
        parts = zip(self.factors, self.split(a), self.split(b), strict=True)
        return self._pairs(*(group.compose(x, y) for group, x, y in parts))

    def invert(self, a: np.ndarray) -> np.ndarray:
        """Inverses of the parts."""
        first, second = self.split(a)
        return self._pairs(self.factors[0].invert(first), self.factors[1].invert(second))

    def sample_coordinates(self, seed: int | np.random.Generator, count: int) -> np.ndarray:
        """Independent samples of the factors."""
        rng = as_generator(seed)
        return self._pairs(*(group.sample_coordinates(rng, count) for group in self.factors))

    def quadrature(self, degree: int) -> tuple[np.ndarray, Float[np.ndarray, " N"]]:
        """The product of the factors' rules."""
        (x, v), (y, w) = (group.quadrature(degree) for group in self.factors)
        return self._all_pairs(x, y), np.outer(v, w).ravel()

    def one_parameter_coordinates(self, t: Float[np.ndarray, " N"]) -> list[np.ndarray]:
        """Those of the factors, the other part at rest."""
        first, second = self.factors
        rest = [
            np.broadcast_to(group._identity_coordinates(), (len(t), group.coordinate_size))
            for group in self.factors
        ]
        return [
            *(self._pairs(x, rest[1]) for x in first.one_parameter_coordinates(t)),
            *(self._pairs(rest[0], y) for y in second.one_parameter_coordinates(t)),
        ]

    def defining_matrices(self, coordinates: np.ndarray) -> Float[np.ndarray, "N f f"]:
        """Block diagonal matrices."""
        first, second = self.split(coordinates)
        return _block_diagonal(
            self.factors[0].defining_matrices(first), self.factors[1].defining_matrices(second)
        )

    @property
    def generator_coordinates(self) -> np.ndarray:
        """Those of the factors."""
        first, second = self.factors
        x, y = first.generator_coordinates, second.generator_coordinates
        rest = [group._identity_coordinates()[None] for group in self.factors]
        return np.concatenate([self._all_pairs(x, rest[1]), self._all_pairs(rest[0], y)])

    @functools.cached_property
    def testing_coordinates(self) -> np.ndarray:
        """Pairs of the factors' testing elements; if there are many, an even selection."""
        pairs = self._all_pairs(*(group.testing_coordinates for group in self.factors))
        step = -(-len(pairs) // MAX_ELEMENTS_TESTED)
        # A step prime to the number of pairs runs through both factors.
        while np.gcd(step, len(pairs)) > 1:
            step += 1
        return freeze(pairs[::step])

    def value_of(self, coordinates: tuple) -> tuple:
        """The pair of values."""
        size = self.factors[0].coordinate_size
        first, second = self.factors
        return first.value_of(coordinates[:size]), second.value_of(coordinates[size:])

    def _identity_coordinates(self) -> np.ndarray:
        return self._pairs(*(group._identity_coordinates() for group in self.factors))

    def _parse(self, value: Any) -> np.ndarray:
        try:
            a, b = value
        except (TypeError, ValueError):
            raise ValueError(
                f"element of {self}: expected a pair of values, got {value!r}"
            ) from None
        parts = (self.factors[0].element(a), self.factors[1].element(b))
        return self._pairs(*(np.array(part.coordinates, dtype=np.float64) for part in parts))

    def _ids_up_to(self, max_frequency: int) -> tuple[IrrepId, ...]:
        return tuple(key for key, _ in _all_tensors(*self.factors, max_frequency))

    def _canonical_id(self, irrep_id: object) -> IrrepId | None:
        if not isinstance(irrep_id, tuple) or len(irrep_id) not in (2, 3):
            return None
        try:
            first, second = (
                group.irrep_data(part)
                for group, part in zip(self.factors, irrep_id[:2], strict=True)
            )
        except ValueError:
            return None
        part = irrep_id[2] if len(irrep_id) == 3 else 0
        if part not in range(len(tensor_irreps(first, second))):
            return None
        return first.id, second.id, int(part)

    def _valid_ids(self) -> str:
        return "(id_g, id_h, k), k = 0, or 0 and 1 where both irreps are complex"

    def irrep_sort_key(self, irrep_id: IrrepId) -> tuple:
        """Sort keys of the factors' irreps, then k."""
        a, b, part = self.irrep_data(irrep_id).id
        return self.factors[0].irrep_sort_key(a), self.factors[1].irrep_sort_key(b), part

    def _make_irrep(self, irrep_id: IrrepId) -> Irrep:
        a, b, part = irrep_id
        tensor = TensorIrrep(self.factors[0].irrep_data(a), self.factors[1].irrep_data(b), part)
        basis = tensor.basis()

        def matrices(coordinates: np.ndarray) -> np.ndarray:
            first, second = self.split(coordinates)
            return tensor.matrices(
                tensor.first.matrices(first), tensor.second.matrices(second), basis
            )

        return Irrep(
            self,
            irrep_id,
            irrep_name(irrep_id, self._trivial_id),
            tensor.size,
            tensor.endomorphism_dimension,
            max(tensor.first.frequency, tensor.second.frequency),
            matrices,
            lambda: tensor.endomorphisms(basis),
        )


def _block_diagonal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    size = a.shape[-1]
    result = np.zeros((len(a), size + b.shape[-1], size + b.shape[-1]))
    result[:, :size, :size] = a
    result[:, size:, size:] = b
    return result
