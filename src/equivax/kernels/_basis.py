"""`SteerableBasis`: the kernels that commute with a group, between two representations."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

from .._numerics import freeze_indices
from ..hom import at_least_float32
from ..representations import Representation, as_representation, check_same_group
from ..spaces import GSpace
from ._blocks import DEPENDENT, Block, block
from ._contraction import contract, project_coefficients
from ._options import FrequencyCutoff, make_recipe
from ._parts import Recipe

BasisFilter = Callable[[Mapping[str, Any]], bool]


@dataclasses.dataclass(frozen=True, eq=False)
class Elements:
    """What is known of every element of a basis: read-only arrays of one length.

    Attributes:
        in_index: Position of the input irrep in ``in_rep.irreps``.
        out_index: Position of the output irrep in ``out_rep.irreps``.
        in_type: Number of the input irrep's id among the keys of ``in_rep.multiplicities``.
        out_type: Likewise of the output.
        part: Number of the part, see `SteerableBasis.parts`.
        index: Number of the solution among those of one part and pair of irreps.
        row: Row in the block of the pair of irrep ids.
        radius: Of the ring or orbit.
        frequency: Angular frequency; -1 in a grid basis.
    """

    in_index: np.ndarray
    out_index: np.ndarray
    in_type: np.ndarray
    out_type: np.ndarray
    part: np.ndarray
    index: np.ndarray
    row: np.ndarray
    radius: Float[np.ndarray, " dim"]
    frequency: np.ndarray

    def __len__(self) -> int:
        return len(self.part)

    def take(self, chosen: np.ndarray) -> Elements:
        """Some of the elements, in the order given."""
        return Elements(*(_frozen(getattr(self, f.name)[chosen]) for f in dataclasses.fields(self)))


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


class SteerableBasis:
    """A basis of the kernels ``K`` on the taps with ``K(A(g) x) = rho_out(g) K(x) rho_in(g)^-1``.

    ``K(x) = sum_p C_p . Y_p(x)`` over parts (a ring times a frequency, or an orbit of taps), ``C_p``
    in ``Hom_G(Y_p (x) rho_in, rho_out)``. Stored as small tables per pair of irreps; the changes of
    basis of the two representations stay apart. Elements are ordered by ring, input irrep, output
    irrep, frequency, solution, and have squared norm ``size of the output irrep`` over all taps.

    Made by `steerable_basis`; immutable, hashable by value, a pytree without leaves.
    """

    __slots__ = ("__dict__", "_filter", "_key", "_kept", "in_rep", "out_rep", "recipe", "space")

    space: GSpace
    in_rep: Representation
    out_rep: Representation
    recipe: Recipe
    _filter: BasisFilter | None
    _kept: bytes | None
    _key: tuple[Any, ...]

    def __init__(
        self,
        space: GSpace,
        in_rep: Representation,
        out_rep: Representation,
        recipe: Recipe,
        basis_filter: BasisFilter | None = None,
        allow_dependent: bool = False,
        kept: bytes | None = None,
    ) -> None:
        """Use `steerable_basis`, which checks the arguments and caches by value."""
        key = (space, in_rep, out_rep, recipe, basis_filter, kept)
        values = dict(space=space, in_rep=in_rep, out_rep=out_rep, recipe=recipe)
        for name, value in {**values, "_filter": basis_filter, "_kept": kept, "_key": key}.items():
            object.__setattr__(self, name, value)
        if recipe.checks_rank and not allow_dependent:
            self._check_rank()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"SteerableBasis is immutable: cannot set {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        # Whoever made the basis accepted its rank.
        return (pair_basis, (*self._key[:5], True, self._kept))

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, SteerableBasis) and self._key == other._key)

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return (
            f"SteerableBasis({self.space!r}: {self.in_rep.name} -> {self.out_rep.name}, "
            f"{self.recipe}, dim {self.dim})"
        )

    # ---- facts -------------------------------------------------------------------------------

    @property
    def kernel(self) -> tuple[int, ...]:
        """Taps per spatial axis."""
        return self.recipe.kernel

    @property
    def taps(self) -> int:
        """Number of taps."""
        return int(np.prod(self.kernel, dtype=int))

    @property
    def dim(self) -> int:
        """Number of elements: the free parameters of one pair of fields."""
        return len(self.data)

    @property
    def parts(self) -> tuple[Any, ...]:
        """The parts, ordered by ring, then frequency."""
        return self.recipe.parts(self.space)

    @functools.cached_property
    def irrep_types(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Distinct irrep ids of the input and of the output."""
        return tuple(self.in_rep.multiplicities), tuple(self.out_rep.multiplicities)

    def block(self, in_type: int, out_type: int) -> Block:
        """The sampled elements between two irreps, by their numbers in `irrep_types`."""
        in_ids, out_ids = self.irrep_types
        return block(self.space, self.recipe, in_ids[in_type], out_ids[out_type])

    @functools.cached_property
    def _all(self) -> Elements:
        """Every element, before the filter, in order."""
        positions = [
            [np.array([k for k, i in enumerate(rep.irreps) if i == irrep]) for irrep in ids]
            for rep, ids in zip((self.in_rep, self.out_rep), self.irrep_types, strict=True)
        ]
        columns: list[list[np.ndarray]] = []
        for i, in_positions in enumerate(positions[0]):
            for o, out_positions in enumerate(positions[1]):
                found = self.block(i, o)
                rows = np.arange(len(found))
                grid = np.meshgrid(in_positions, out_positions, rows, indexing="ij")
                at_in, at_out, row = (g.ravel() for g in grid)
                same = np.ones_like(row)
                columns.append(
                    [at_in, at_out, i * same, o * same, found.part[row], found.index[row], row]
                )
        table = [np.concatenate(c).astype(np.int64) for c in zip(*columns, strict=True)]
        parts = self.parts
        ring, radius, frequency = (
            np.array(values)[table[4]]
            for values in (
                [p.ring for p in parts],
                [p.radius for p in parts],
                [-1 if p.frequency is None else p.frequency for p in parts],
            )
        )
        order = np.lexsort((table[5], table[4], frequency, table[1], table[0], ring))
        return Elements(*table, radius, frequency).take(order)

    @functools.cached_property
    def data(self) -> Elements:
        """Arrays that describe every element, for code that works on all of them at once."""
        found = self._all
        kept = np.ones(len(found), dtype=bool)
        if self._filter is not None:
            accept = self._filter
            kept = np.array([bool(accept(a)) for a in self._attributes(found)], dtype=bool)
        if self._kept is not None:
            kept[kept] = np.frombuffer(self._kept, dtype=bool)
        return found if kept.all() else found.take(np.flatnonzero(kept))

    def _attributes(self, data: Elements) -> list[dict[str, Any]]:
        ids, parts, result = self.irrep_types, self.parts, []
        offsets: dict[tuple[int, int, int], int | None] = {}
        for n in range(len(data)):
            i, o, p = int(data.in_type[n]), int(data.out_type[n]), int(data.part[n])
            if (i, o, p) not in offsets:
                offsets[i, o, p] = self.recipe.offset(self.space, parts[p], ids[0][i], ids[1][o])
            result.append(
                {
                    "in_irrep": ids[0][i],
                    "out_irrep": ids[1][o],
                    "in_index": int(data.in_index[n]),
                    "out_index": int(data.out_index[n]),
                    "radius": parts[p].radius,
                    "sigma": parts[p].sigma,
                    "frequency": parts[p].frequency,
                    "offset": offsets[i, o, p],
                    "part": p,
                    "index": int(data.index[n]),
                }
            )
        return result

    def attributes(self, i: int | None = None) -> Any:
        """What `basis_filter` sees: a list of dicts in order, or the dict of element ``i``.

        Keys: ``in_irrep, out_irrep`` (ids), ``in_index, out_index`` (positions in the lists of
        irreps), ``radius, sigma, frequency, offset`` (None where undefined), ``part`` (number of
        ring and frequency, or of the orbit), ``index`` (among solutions that agree in all others).
        """
        if i is None:
            return self._attributes(self.data)
        if not -self.dim <= i < self.dim:
            raise IndexError(f"attributes: expected an element in 0..{self.dim - 1}, got {i}")
        return self._attributes(self.data.take(np.array([i])))[0]

    @functools.cached_property
    def _names(self) -> tuple[str, ...]:
        group, ids, data = self.space.group, self.irrep_types, self.data
        called = [[group.irrep_data(irrep).name for irrep in side] for side in ids]
        labels = [part.label for part in self.parts]
        return tuple(
            f"({called[0][i]}[{at_in}] -> {called[1][o]}[{at_out}]) {labels[p]} #{k}"
            for i, at_in, o, at_out, p, k in zip(
                data.in_type.tolist(),
                data.in_index.tolist(),
                data.out_type.tolist(),
                data.out_index.tolist(),
                data.part.tolist(),
                data.index.tolist(),
                strict=True,
            )
        )

    def names(self) -> tuple[str, ...]:
        """A readable, stable, unique name of every element, in order."""
        return self._names

    @functools.cached_property
    def _by_name(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self._names)}

    def index(self, name: str) -> int:
        """Position of the element with a name.

        Raises:
            KeyError: If there is none.
        """
        if name not in self._by_name:
            known = self._names[0] if self._names else "none, the basis is empty"
            raise KeyError(f"index: expected a name such as {known!r}, got {name!r}")
        return self._by_name[name]

    def subset(self, mask: Bool[np.ndarray, " dim"] | Sequence[bool]) -> SteerableBasis:
        """The basis of some of the elements, in the same order.

        Args:
            mask: One boolean per element.

        Raises:
            ValueError: If the mask does not have one boolean per element.
        """
        mask = np.asarray(mask)
        if mask.shape != (self.dim,) or mask.dtype != np.bool_:
            raise ValueError(
                f"subset: mask: expected {self.dim} booleans, got shape {mask.shape} of {mask.dtype}"
            )
        if self._kept is not None:
            before = np.frombuffer(self._kept, dtype=bool).copy()
            before[before] = mask
            mask = before
        return pair_basis(*self._key[:5], True, mask.tobytes())

    # ---- independence ------------------------------------------------------------------------

    def patterns(self, in_type: int, out_type: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Which elements are kept between copies of two irreps.

        Returns:
            Pairs ``(kept, copies)``: a boolean per row of the block, and the ``(in_index,
            out_index)`` of the copies ``(c, 2)`` where exactly these rows are kept.
        """
        data, count = self.data, len(self.block(in_type, out_type))
        chosen = (data.in_type == in_type) & (data.out_type == out_type)
        pairs = np.stack([data.in_index[chosen], data.out_index[chosen]], axis=1)
        copies, inverse = np.unique(pairs, axis=0, return_inverse=True)
        flags = np.zeros((len(copies), count), dtype=bool)
        flags[inverse.reshape(-1), data.row[chosen]] = True
        if flags.all():  # the usual case, without a filter
            return [(np.ones(count, dtype=bool), copies)] if len(copies) else []
        kinds, which = np.unique(flags, axis=0, return_inverse=True)
        return [(kept, copies[which.reshape(-1) == n]) for n, kept in enumerate(kinds)]

    def _check_rank(self) -> None:
        ids = self.irrep_types
        for i, in_irrep in enumerate(ids[0]):
            for o, out_irrep in enumerate(ids[1]):
                for kept, _ in self.patterns(i, o):
                    if self.block(i, o).independence(kept) < DEPENDENT:
                        raise ValueError(
                            f"rings: the elements from irrep {in_irrep} to irrep {out_irrep} are "
                            f"linearly dependent with {self.recipe}; use fewer rings, narrower "
                            "widths or lower frequencies, drop elements by basis_filter, or accept "
                            "it by allow_dependent=True"
                        )

    # ---- kernels -----------------------------------------------------------------------------

    def elements(self) -> Float[np.ndarray, "dim out in *kernel"]:
        """The dense basis in float64. For inspection and small cases."""
        return self.dense().reshape(self.dim, self.out_rep.size, self.in_rep.size, *self.kernel)

    def dense(self, dual: bool = False) -> Float[np.ndarray, "dim out in taps"]:
        """All elements on the raveled taps, or the kernels dual to them."""
        data = self.data
        result = np.zeros((len(data), self.out_rep.size, self.in_rep.size, self.taps))
        slots = {}
        for n, key in enumerate(
            zip(data.in_index.tolist(), data.out_index.tolist(), data.row.tolist(), strict=True)
        ):
            slots[key] = n
        for i, o, table, copies, rows in self.tables(dual):
            left = self.columns[1][o]  # {position: (out, d)}
            right = self.columns[0][i]
            at_in, at_out = copies.T
            q_in = np.stack([right[int(a)] for a in at_in])
            q_out = np.stack([left[int(a)] for a in at_out])
            half = np.einsum("cxa,nabt->cnxbt", q_out, table, optimize=True)
            full = np.einsum("cnxbt,cyb->cnxyt", half, q_in, optimize=True)
            where = [[slots[int(a), int(b), int(r)] for r in rows] for a, b in copies]
            result[np.array(where)] = full
        return result

    def tables(self, dual: bool) -> list[tuple[int, int, np.ndarray, np.ndarray, np.ndarray]]:
        """``(in type, out type, samples (n, d_out, d_in, taps), copies (c, 2), rows (n,))``."""
        found = []
        for i in range(len(self.irrep_types[0])):
            for o in range(len(self.irrep_types[1])):
                for kept, copies in self.patterns(i, o):
                    values = self.block(i, o)
                    table = values.duals(kept) if dual else values.samples
                    found.append((i, o, table[kept], copies, np.flatnonzero(kept)))
        return found

    @functools.cached_property
    def columns(self) -> tuple[list[dict[int, np.ndarray]], list[dict[int, np.ndarray]]]:
        """Per side and irrep type, position to the columns ``(size, d)`` of the change of basis."""
        sides = []
        for rep, ids in zip((self.in_rep, self.out_rep), self.irrep_types, strict=True):
            basis, start, found = rep.change_of_basis, 0, [{} for _ in ids]
            number = {irrep: n for n, irrep in enumerate(ids)}
            for position, irrep in enumerate(rep.irreps):
                stop = start + rep.group.irrep_data(irrep).size
                found[number[irrep]][position] = basis[:, start:stop]
                start = stop
            sides.append(found)
        return sides[0], sides[1]

    def expand(
        self, coeffs: Shaped[Any, "*leading dim"]
    ) -> Float[Array, "*leading out in *kernel"]:
        """``sum_n coeffs[n] K_n``, in the dtype of the coefficients.

        Args:
            coeffs: ``(..., dim)``; 16-bit ones are expanded in float32 and cast once.

        Raises:
            ValueError: If the last axis is not ``dim``.
            TypeError: If the dtype is not floating.
        """
        coeffs = jnp.asarray(coeffs)
        if coeffs.ndim == 0 or coeffs.shape[-1] != self.dim:
            raise ValueError(f"coeffs: expected (..., {self.dim}), got {coeffs.shape}")
        if not jnp.issubdtype(coeffs.dtype, jnp.floating):
            raise TypeError(f"coeffs: expected a floating dtype, got {coeffs.dtype}")
        return _expand(self, coeffs)

    def coefficients(
        self, kernel: Shaped[Any, "*leading out in *kernel"]
    ) -> Float[Array, "*leading dim"]:
        """Coefficients of the orthogonal projection; the inverse of `expand` on the span.

        Args:
            kernel: ``(..., out, in, *kernel)``, equivariant or not.

        Raises:
            ValueError: If the last axes do not fit.
            TypeError: If the dtype is not floating.
        """
        kernel = jnp.asarray(kernel)
        shape = (self.out_rep.size, self.in_rep.size, *self.kernel)
        if kernel.ndim < len(shape) or kernel.shape[kernel.ndim - len(shape) :] != shape:
            raise ValueError(
                f"kernel: expected (..., {', '.join(map(str, shape))}), got {kernel.shape}"
            )
        if not jnp.issubdtype(kernel.dtype, jnp.floating):
            raise TypeError(f"kernel: expected a floating dtype, got {kernel.dtype}")
        return _coefficients(self, kernel)

    def project(
        self, kernel: Shaped[Any, "*leading out in *kernel"]
    ) -> Float[Array, "*leading out in *kernel"]:
        """The nearest kernel of the span, in the Frobenius norm."""
        return self.expand(self.coefficients(kernel))


jax.tree_util.register_static(SteerableBasis)


@functools.partial(jax.jit, static_argnums=0)
def _expand(basis: SteerableBasis, coeffs: Array) -> Array:
    wide = coeffs.astype(at_least_float32(coeffs.dtype))
    full = contract(basis, wide)
    return full.reshape(*full.shape[:-1], *basis.kernel).astype(coeffs.dtype)


@functools.partial(jax.jit, static_argnums=0)
def _coefficients(basis: SteerableBasis, kernel: Array) -> Array:
    leading = kernel.shape[: kernel.ndim - 2 - len(basis.kernel)]
    flat = kernel.reshape(*leading, basis.out_rep.size, basis.in_rep.size, basis.taps)
    wide = flat.astype(at_least_float32(kernel.dtype))
    return project_coefficients(basis, wide).astype(kernel.dtype)


@functools.lru_cache(maxsize=1024)
def pair_basis(
    space: GSpace,
    in_rep: Representation,
    out_rep: Representation,
    recipe: Recipe,
    basis_filter: BasisFilter | None,
    allow_dependent: bool,
    kept: bytes | None = None,
) -> SteerableBasis:
    return SteerableBasis(space, in_rep, out_rep, recipe, basis_filter, allow_dependent, kept)


def steerable_basis(
    space: GSpace,
    in_rep: Any,
    out_rep: Any,
    kernel_size: int | Sequence[int],
    basis: str = "harmonic",
    *,
    rings: Sequence[float] | None = None,
    sigma: float | Sequence[float] | None = None,
    frequency_cutoff: FrequencyCutoff | None = None,
    maximum_offset: int | None = None,
    basis_filter: BasisFilter | None = None,
    allow_dependent: bool = False,
) -> SteerableBasis:
    """The kernels between two representations that commute with a group.

    Args:
        space: What is acted on, see `equivax.spaces`.
        in_rep: A `Representation` of its group, or a type that has one.
        out_rep: Likewise.
        kernel_size: Taps per axis, one integer or one per axis.
        basis: ``"harmonic"`` (band-limited, any group) or ``"grid"`` (every kernel that symmetry
            allows, exact on the grid; groups of quarter turns and reflections). Lines and points
            always use the second.
        rings: Radii in taps, within ``[0, sqrt(2) (k - 1) / 2]``; by default ``0, 1, ...``.
        sigma: Width of the rings, one number or one per ring; by default 0.6, and 0.4 for the
            outermost.
        frequency_cutoff: Highest frequency per ring: ``"default"``, ``"narrow"``, ``"flat"``, a
            number ``a`` for ``a r``, or a callable of the radius.
        maximum_offset: Finite groups: keep solutions with ``f = +-m +- n + t N``, ``|t|`` at most
            this.
        basis_filter: Takes the attributes of an element (see `SteerableBasis.attributes`), returns
            whether to keep it. Bases are cached by its identity, so give one function, not a new
            lambda each time.
        allow_dependent: Accept rings whose elements are linearly dependent.

    Returns:
        A `SteerableBasis`, possibly empty; equal arguments give the same object.

    Raises:
        ValueError: If the groups differ, an option is out of range or does not fit the space, or
            the elements are linearly dependent.
        TypeError: If an argument has the wrong type.

    References:
        Weiler and Cesa, *General E(2)-equivariant steerable CNNs*, 2019, arXiv:1911.08251; Cesa,
        Lang and Weiler, *A program to build E(n)-equivariant steerable CNNs*, 2022.

    Example:
        >>> import equivax as evx
        >>> space = evx.spaces.rot_on_r2(4)
        >>> basis = evx.kernels.steerable_basis(space, space.trivial, space.regular, 3)
        >>> basis.dim, basis.elements().shape
        (6, (6, 4, 1, 3, 3))
    """
    check_space("steerable_basis", space)
    in_rep = as_representation(in_rep, "in_rep")
    out_rep = as_representation(out_rep, "out_rep")
    check_same_group("steerable_basis", in_rep, out_rep)
    check_group("steerable_basis", space, in_rep)
    recipe = make_recipe(
        "steerable_basis",
        space,
        kernel_size,
        basis,
        rings=rings,
        sigma=sigma,
        frequency_cutoff=frequency_cutoff,
        maximum_offset=maximum_offset,
    )
    return pair_basis(space, in_rep, out_rep, recipe, basis_filter, allow_dependent)


def check_space(caller: str, space: Any) -> None:
    """Refuses what is no space."""
    if not isinstance(space, GSpace):
        raise TypeError(f"{caller}: space: expected a GSpace, got {type(space).__name__}")


def check_group(caller: str, space: GSpace, rep: Representation) -> None:
    """Refuses a representation of another group than the space's."""
    if rep.group is not space.group:
        raise ValueError(
            f"{caller}: in_rep: expected a representation of {space.group.name}, which acts on "
            f"{space!r}, got one of {rep.group.name}"
        )
