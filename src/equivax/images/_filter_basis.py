"""`FilterBasis`: the kernels between two signatures, one parameter array per pair of types.

The invariant filters of order ``k + k'`` and parity ``p + p'`` are the kernels between fields of
types (k, p) and (k', p'): their first k indices meet the image, the others are the result. In
terms of `kernels` this is the grid basis in tensor components, with the filters as its elements.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from .._arguments import is_integer, real_array
from .._numerics import freeze
from .._values import AbstractValue
from ..hom import HIGHEST, Coefficients, at_least_float32, platform, unstacked
from ..spaces import GSpace, axis_matrices
from ._arguments import MOST_ORDER, TensorType, as_parity, type_name
from ._invariant_filters import check_sizes, filter_size, invariant_filters
from ._signature import Signature
from ._signed_axes import SignedAxes

LARGEST_TABLE = 1 << 15
"""Numbers in a table of several pairs, which is a constant of programs."""

_INVARIANT = 1e-5
"""Largest relative change of a given filter under the group: float32 filters pass."""


class DependentFiltersWarning(UserWarning):
    """Given filters are linearly dependent: weights are not unique."""


class TypePair(NamedTuple):
    """The filters between two types.

    Attributes:
        key: ``"k1p0>k0p0"``.
        source: Type of the input.
        target: Type of the output.
        shape: Of the weights, ``(out_c, in_c, filters)``.
    """

    key: str
    source: TensorType
    target: TensorType
    shape: tuple[int, int, int]


class FilterBasis(AbstractValue):
    """A basis of the convolution kernels between two signatures that commute with a group.

    Immutable, hashable by value, a pytree without leaves.
    """

    in_signature: Signature
    out_signature: Signature
    kernel: tuple[int, ...]
    space: GSpace
    _given: tuple[tuple[tuple[int, int], np.ndarray], ...] | None

    def __init__(
        self,
        in_signature: Signature,
        out_signature: Signature,
        kernel_size: object,
        space: GSpace,
        filters: Mapping[Any, Any] | None = None,
        caller: str = "FilterBasis",
    ) -> None:
        """The basis of invariant filters, or of given ones.

        Args:
            in_signature: Types of the input.
            out_signature: Types of the output.
            kernel_size: Taps, one or one per axis.
            space: The group of signed permutations of the axes.
            filters: None, or a mapping from (k, p) to arrays ``(n, *kernel, *(D,)*k)``, used as
                they are.
            caller: Who asks, for messages.

        Raises:
            ValueError: If the sizes do not fit the group, or given filters are not invariant.
        """
        kernel = filter_size(kernel_size, space.dim, caller, "kernel_size")
        check_sizes(axis_matrices(space), kernel, space, f"{caller}: kernel_size")
        given = None if filters is None else _checked(filters, kernel, space, caller)
        self._fill(
            in_signature=in_signature,
            out_signature=out_signature,
            kernel=kernel,
            space=space,
            _given=given,
        )

    def __repr__(self) -> str:
        taps = " x ".join(map(str, self.kernel))
        return f"FilterBasis({self.in_signature!r} -> {self.out_signature!r}, {taps}, {self.dim})"

    # ---- facts -------------------------------------------------------------------------------

    def filters(self, k: int, parity: int) -> Float[np.ndarray, "n *rest"]:
        """The filters of an order and a parity."""
        if self._given is None:
            return _filters(self.space, self.kernel, k, parity)
        none = np.zeros((0, *self.kernel, *(self.space.dim,) * k))
        return dict(self._given).get((k, parity), none)

    def pair_filters(self, pair: TypePair) -> Float[np.ndarray, "n *rest"]:
        """The filters of a pair of types."""
        k = len(pair.source[0]) + len(pair.target[0])
        return self.filters(k, (pair.source[1] + pair.target[1]) % 2)

    @functools.cached_property
    def pairs(self) -> tuple[TypePair, ...]:
        """All pairs that some filter connects: by output type, then input type."""
        found = []
        for target, out_c in self.out_signature:
            for source, in_c in self.in_signature:
                key = f"{type_name(source)}>{type_name(target)}"
                pair = TypePair(key, source, target, (out_c, in_c, 0))
                n = len(self.pair_filters(pair))
                if n and out_c and in_c:
                    found.append(pair._replace(shape=(out_c, in_c, n)))
        return tuple(found)

    @property
    def shapes(self) -> dict[str, tuple[int, int, int]]:
        """Key to the shape of its weights."""
        return {pair.key: pair.shape for pair in self.pairs}

    @property
    def dim(self) -> int:
        """Number of weights."""
        return sum(math.prod(pair.shape) for pair in self.pairs)

    @property
    def unreached(self) -> tuple[Any, ...]:
        """Types of the output that no input type reaches."""
        reached = {pair.target for pair in self.pairs}
        return tuple(t for t, c in self.out_signature if c and t not in reached)

    # ---- kernels -----------------------------------------------------------------------------

    def expand(self, coeffs: Mapping[str, Array]) -> Float[Array, "out in *kernel"]:
        """The dense kernel ``(C_out, C_in, *kernel)`` of weights, expanded at least in float32."""
        return _expand(self, coeffs)

    def coefficients(self, kernel: Float[Any, "out in *kernel"]) -> dict[str, Array]:
        """Weights of the orthogonal projection of a dense kernel; exact on the span.

        Raises:
            ValueError: If the shape does not fit.
        """
        D = self.space.dim
        shape = (self.out_signature.size(D), self.in_signature.size(D), *self.kernel)
        if kernel.shape != shape:
            raise ValueError(f"kernel: expected {shape}, got {kernel.shape}")
        return _coefficients(self, jnp.asarray(kernel))

    def _table(self, pair: TypePair) -> np.ndarray:
        """Filters as ``(n, D^k', D^k, taps)``."""
        D, a, b = self.space.dim, len(pair.source[0]), len(pair.target[0])
        found = self.pair_filters(pair).reshape(pair.shape[2], -1, D**a, D**b)
        return np.ascontiguousarray(found.transpose(0, 3, 2, 1))


jax.tree_util.register_static(FilterBasis)


@functools.lru_cache(maxsize=512)
def _filters(space: GSpace, kernel: tuple[int, ...], k: int, parity: int) -> np.ndarray:
    return invariant_filters(space.dim, kernel, k, parity, space)


@functools.lru_cache(maxsize=512)
def _constant(basis: FilterBasis, number: int, dtype: DTypeLike, inverse: bool) -> np.ndarray:
    """A table, on the host: it belongs to no device."""
    table = basis._table(basis.pairs[number])
    if inverse:
        table = np.linalg.pinv(table.reshape(len(table), -1)).T
    return table.reshape(len(table), -1).astype(dtype)


@functools.lru_cache(maxsize=512)
def _side_by_side(basis: FilterBasis, keys: tuple[str, ...], dtype: DTypeLike) -> np.ndarray:
    """The tables of some pairs as one, which is zero between their filters and other pairs."""
    names = [pair.key for pair in basis.pairs]
    tables = [_constant(basis, names.index(key), dtype, False) for key in keys]
    return np.asarray(scipy.linalg.block_diag(*tables))


@functools.partial(jax.jit, static_argnums=0)
def _expand(basis: FilterBasis, coeffs: Mapping[str, Array]) -> Array:
    D, ins, outs = basis.space.dim, basis.in_signature, basis.out_signature
    dtype = jnp.result_type(*(coeffs[pair.key].dtype for pair in basis.pairs))
    wide = at_least_float32(dtype)
    blocks = _blocks(basis, coeffs, wide)
    rows = []
    for target, out_c in outs:
        row = []
        for source, in_c in ins:
            shape = (out_c * D ** len(target[0]), in_c * D ** len(source[0]))
            empty = functools.partial(jnp.zeros, (*shape, math.prod(basis.kernel)), wide)
            block = blocks.get(f"{type_name(source)}>{type_name(target)}")
            row.append(empty() if block is None else block.reshape(*shape, -1))
        rows.append(jnp.concatenate(row, axis=1))
    kernel = jnp.concatenate(rows, axis=0)
    return kernel.reshape(*kernel.shape[:2], *basis.kernel).astype(dtype)


def _blocks(
    basis: FilterBasis, coeffs: Mapping[str, Array], wide: DTypeLike
) -> dict[str, Float[Array, "out b in a taps"]]:
    """By pair of types ``sum_n coeffs[n] filters[n]``.

    On CPU by products, one for all pairs whose coefficients are one array. On accelerators as sums,
    which the compiler makes in one kernel for all pairs: a kernel of a few numbers costs its
    launch, whatever it computes.
    """
    D, pairs, found = basis.space.dim, {pair.key: pair for pair in basis.pairs}, {}
    sizes = {
        key: (D ** len(pair.target[0]), D ** len(pair.source[0]), math.prod(basis.kernel))
        for key, pair in pairs.items()
    }
    for keys, together in _products(basis, coeffs, sizes):
        table = jax.lax.optimization_barrier(_side_by_side(basis, keys, wide))
        if platform() != "cpu":
            (key,) = keys
            filters = table.reshape(len(table), *sizes[key]).transpose(1, 2, 3, 0)[:, None]
            widened = together.astype(wide)[:, None, :, None, None]
            found[key] = jnp.sum(widened * filters, axis=-1)
            continue
        o, i, n = together.shape
        flat = jnp.matmul(together.reshape(o * i, n).astype(wide), table, precision=HIGHEST)
        parts = jax.lax.split(flat, [math.prod(sizes[key]) for key in keys], axis=1)
        for key, part in zip(keys, parts, strict=True):
            found[key] = part.reshape(o, i, *sizes[key]).transpose(0, 2, 1, 3, 4)
    return found


def _products(
    basis: FilterBasis, coeffs: Mapping[str, Array], sizes: Mapping[str, tuple[int, ...]]
) -> Iterator[tuple[tuple[str, ...], Array]]:
    """Keys of pairs that are multiplied together, and their coefficients side by side."""
    if isinstance(coeffs, Coefficients) and platform() == "cpu":
        for keys, stack in zip(coeffs.stacking.stacks, coeffs.stacks, strict=True):
            numbers = sum(math.prod(sizes[key]) for key in keys) * stack.shape[-1]
            if numbers <= LARGEST_TABLE:
                yield keys, stack
            else:
                yield from (((key,), coeffs[key]) for key in keys)
    else:
        found = unstacked(coeffs)
        yield from (((pair.key,), found[pair.key]) for pair in basis.pairs)


@functools.partial(jax.jit, static_argnums=0)
def _coefficients(basis: FilterBasis, kernel: Array) -> dict[str, Array]:
    D, wide = basis.space.dim, at_least_float32(kernel.dtype)
    ins, outs = basis.in_signature.slices(D), basis.out_signature.slices(D)
    found = {}
    for number, pair in enumerate(basis.pairs):
        table = jax.lax.optimization_barrier(_constant(basis, number, wide, True))
        o, i, n = pair.shape
        a, b = D ** len(pair.source[0]), D ** len(pair.target[0])
        block = kernel[outs[pair.target], ins[pair.source]].astype(wide)
        flat = block.reshape(o, b, i, a, -1).transpose(0, 2, 1, 3, 4).reshape(o * i, -1)
        weights = jnp.matmul(flat, table.T, precision=HIGHEST)
        found[pair.key] = weights.reshape(o, i, n).astype(kernel.dtype)
    return found


def _checked(
    filters: Mapping[Any, Any], kernel: tuple[int, ...], space: GSpace, caller: str
) -> tuple[tuple[tuple[int, int], np.ndarray], ...]:
    """Given filters by key, as read-only float64, invariant; a warning if dependent."""
    if not isinstance(filters, Mapping):
        raise TypeError(
            f"{caller}: filters: expected a mapping from (k, p) to arrays, got "
            f"{type(filters).__name__}"
        )
    D, found = space.dim, {}
    for key, value in filters.items():
        pair = isinstance(key, tuple) and len(key) == 2 and is_integer(key[0])
        if not pair or not 0 <= key[0] <= MOST_ORDER:
            raise ValueError(f"{caller}: filters: expected keys (order, parity), got {key!r}")
        k, parity = int(key[0]), as_parity(key[1], f"{caller}: filters")
        array = freeze(real_array(value, caller, f"filters: {key}"))
        if array.shape[1:] != (*kernel, *(D,) * k):
            raise ValueError(
                f"{caller}: filters: expected (n, {', '.join(map(str, (*kernel, *(D,) * k)))}) for "
                f"{key}, got {array.shape}"
            )
        if len(array):
            error = _variance(array, k, parity, space)
            if not error < _INVARIANT:
                raise ValueError(
                    f"{caller}: filters: expected filters for {key} that {space!r} leaves alone, "
                    f"but they change by {error:.2g} of their largest entry"
                )
            if np.linalg.matrix_rank(array.reshape(len(array), -1), tol=1e-5) < len(array):
                warnings.warn(
                    f"{caller}: filters: those for {key} are linearly dependent",
                    DependentFiltersWarning,
                    stacklevel=4,
                )
        found[k, parity] = array
    return tuple(sorted(found.items(), key=lambda item: item[0]))


def _variance(filters: np.ndarray, k: int, parity: int, space: GSpace) -> float:
    """Largest change of filters under the group, relative to the largest entry."""
    D, worst = space.dim, 0.0
    for matrix in axis_matrices(space):
        g = SignedAxes.of(matrix, D, "filters")
        moved = filters.transpose(0, *(1 + s for s in g.source), *range(1 + D, filters.ndim))
        moved = np.flip(moved, tuple(1 + a for a, sign in enumerate(g.signs) if sign < 0))
        source, signs = g.components(k, parity)
        flat = moved.reshape(*moved.shape[: 1 + D], -1)[..., source] * signs
        worst = max(worst, float(np.abs(flat.reshape(filters.shape) - filters).max()))
    return worst / max(float(np.abs(filters).max()), 1e-300)
