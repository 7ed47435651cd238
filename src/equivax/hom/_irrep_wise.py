"""Vectors as one array per irrep, ``(..., d, m)``: where every number of them lies.

The last axis counts copies, so that a commuting map is one product per irrep on an array as it lies
in memory. Equal summands are a *kind*. On the last axis of an irrep stand the kinds in the order of
their first appearance, in each first the copy within the summand, then the number of the summand:
what one column of ``Q`` belongs to is contiguous, and functions of single fields need no
permutation. The axis of components ``d = (q, S)`` has the endomorphism algebra fastest, in the
basis in which its elements act by the table of R, C or H.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import PrecisionLike
from jaxtyping import Array, Float, Shaped

from .._numerics import freeze
from ..groups import IrrepId
from ..representations import Representation, Summand, trivial
from ._coefficients import unstacked
from ._cost import machine
from ._dtypes import at_least_float32
from ._layout import algebra_basis
from ._sums import materialized, materialized_backwards, weighted_sum
from ._synthesis import HIGHEST, number_table

Blocks = Mapping[str, Array]
"""Irrep name to ``(..., d, m)``."""


@dataclasses.dataclass(frozen=True)
class Segment:
    """The copies of one irrep in the summands of one kind.

    Attributes:
        name: Of the irrep.
        size: ``d``.
        copies: Copies of the irrep in one summand.
        start: First place on the axis of copies.
    """

    name: str
    size: int
    copies: int
    start: int


@dataclasses.dataclass(frozen=True, eq=False)
class Kind:
    """Equal summands, adjacent after the gather.

    Attributes:
        summand: What they are.
        fields: Their numbers among all summands.
        first_copies: For each of them the number of its first copy in ``rep.irreps``.
        start: First channel after the gather.
        basis: ``Q`` with columns ``(irrep, component, copy)``, ``(n, n)``.
        is_identity: Whether the basis is exactly the identity.
        segments: Where their copies lie, in the group's order of irreps.
    """

    summand: Summand
    fields: np.ndarray
    first_copies: np.ndarray
    start: int
    basis: Float[np.ndarray, "n n"]
    is_identity: bool
    segments: tuple[Segment, ...]

    @property
    def count(self) -> int:
        """Number of summands."""
        return len(self.fields)


@dataclasses.dataclass(frozen=True, eq=False)
class IrrepSpace:
    """All copies of one irrep in a representation.

    Attributes:
        id: Of the irrep.
        name: Its name.
        size: ``d``.
        algebra: ``S``.
        copies: ``m``.
        order: For every place on the axis of copies, the number of the copy in the order of
            ``rep.irreps``; None if they agree.
        grid: ``(summands, copies within a summand)`` if ``order`` swaps these two, else None.
    """

    id: IrrepId
    name: str
    size: int
    algebra: int
    copies: int
    order: np.ndarray | None
    grid: tuple[int, int] | None


@dataclasses.dataclass(frozen=True, eq=False)
class IrrepPlan:
    """Where everything lies.

    Attributes:
        kinds: Distinct summands.
        spaces: One record per irrep, by name, in the group's order.
        gather: Channel order that makes equal summands adjacent, or None if they are.
        scatter: Its inverse, or None.
    """

    kinds: tuple[Kind, ...]
    spaces: dict[str, IrrepSpace]
    gather: np.ndarray | None
    scatter: np.ndarray | None


@functools.lru_cache(maxsize=1024)
def irrep_plan(rep: Representation) -> IrrepPlan:
    """The plan of a representation."""
    group = rep.group
    counts = np.array([count for _, count in rep.data])
    sizes = np.array([summand.size for summand, _ in rep.data])
    first_field = np.concatenate([[0], np.cumsum(counts)])
    first_channel = np.concatenate([[0], np.cumsum(counts * sizes)])
    distinct = tuple(dict.fromkeys(summand for summand, _ in rep.data))
    copies_per_field = np.concatenate([np.full(n, len(s.irreps)) for s, n in rep.data])
    first_copy = np.concatenate([[0], np.cumsum(copies_per_field)[:-1]]).astype(np.int32)
    filled = dict.fromkeys(rep.multiplicities, 0)
    kinds, channels, start = [], [], 0
    for summand in distinct:
        runs = [i for i, (other, _) in enumerate(rep.data) if other == summand]
        fields = np.concatenate([np.arange(first_field[i], first_field[i + 1]) for i in runs])
        channels += [np.arange(first_channel[i], first_channel[i + 1]) for i in runs]
        segments, columns = [], []
        for irrep in rep.multiplicities:
            copies = summand.irreps.count(irrep)
            if copies == 0:
                continue
            data = group.irrep_data(irrep)
            segments.append(Segment(data.name, data.size, copies, filled[irrep]))
            filled[irrep] += copies * len(fields)
            moved = summand.change_of_basis[:, summand.columns_of(irrep)]  # (n, copies, d)
            moved = moved @ algebra_basis(group, irrep)
            columns.append(moved.transpose(0, 2, 1).reshape(summand.size, -1))
        basis = freeze(np.concatenate(columns, axis=1))
        is_identity = np.array_equal(basis, np.eye(summand.size))
        kinds.append(
            Kind(
                summand,
                fields.astype(np.int32),
                first_copy[fields],
                start,
                basis,
                is_identity,
                tuple(segments),
            )
        )
        start += len(fields) * summand.size
    spaces = {}
    for irrep, copies in rep.multiplicities.items():
        data, (order, grid) = group.irrep_data(irrep), _order(rep, kinds, irrep)
        spaces[data.name] = IrrepSpace(
            irrep, data.name, data.size, data.endomorphism_dimension, copies, order, grid
        )
    if len(rep.data) == len(distinct):
        return IrrepPlan(tuple(kinds), spaces, None, None)
    # int32: an int64 index that JAX meets under both settings of x64 in one process is an error.
    gather = np.concatenate(channels).astype(np.int32)
    return IrrepPlan(tuple(kinds), spaces, gather, np.argsort(gather).astype(np.int32))


def _order(
    rep: Representation, kinds: Sequence[Kind], irrep: IrrepId
) -> tuple[np.ndarray | None, tuple[int, int] | None]:
    """`IrrepSpace.order` and ``grid``."""
    per_field = np.concatenate([np.full(n, s.irreps.count(irrep)) for s, n in rep.data])
    first = np.concatenate([[0], np.cumsum(per_field)[:-1]])
    places = []
    for kind in kinds:
        copies = kind.summand.irreps.count(irrep)
        places.append((first[kind.fields][None] + np.arange(copies)[:, None]).reshape(-1))
    order = np.concatenate(places).astype(np.int32)
    if np.array_equal(order, np.arange(len(order))):
        return None, None
    one_run = len(rep.data) == 1
    return order, (kinds[0].count, kinds[0].summand.irreps.count(irrep)) if one_run else None


def reordered(values: Array, space: IrrepSpace, axis: int) -> Array:
    """One value per copy, from the order of ``rep.irreps`` to that of the blocks."""
    if space.order is None:
        return values
    if space.grid is None:
        return jnp.take(values, space.order, axis=axis, mode="clip", unique_indices=True)
    return _grid_swapped(values, space.grid, axis)


def ordered_back(values: Array, space: IrrepSpace, axis: int) -> Array:
    """The inverse of `reordered`."""
    if space.order is None:
        return values
    if space.grid is None:
        back = np.argsort(space.order).astype(np.int32)
        return jnp.take(values, back, axis=axis, mode="clip", unique_indices=True)
    summands, copies = space.grid
    return _grid_swapped(values, (copies, summands), axis)


def _grid_swapped(values: Array, grid: tuple[int, int], axis: int) -> Array:
    at = axis % values.ndim
    split = values.reshape(*values.shape[:at], *grid, *values.shape[at + 1 :])
    return jnp.swapaxes(split, at, at + 1).reshape(values.shape)


# ---- to irreps and back ----------------------------------------------------------------------


def to_irrep_wise(rep: Representation, x: Float[Array, "*batch n"]) -> dict[str, Array]:
    """``Q^T x`` as blocks ``(..., d, m)``; computed in at least float32, rounded once.

    On a GPU small fields are turned by sums of arrays ``(..., summands)``, see `Machine`.
    """
    return _to_irrep_wise(rep, machine(x.dtype).narrow, x)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _to_irrep_wise(
    rep: Representation, narrow: int, x: Float[Array, "*batch n"]
) -> dict[str, Array]:
    plan, dtype, leading = irrep_plan(rep), x.dtype, x.shape[:-1]
    if plan.gather is not None:
        x = jnp.take(x, plan.gather, axis=-1, mode="clip", unique_indices=True)
    parts = []
    for kind in plan.kinds:
        size = kind.summand.size
        z = x[..., kind.start : kind.start + kind.count * size]
        z = z.reshape(*leading, kind.count, size)
        if not _takes_sums(kind, narrow):
            if not kind.is_identity:
                z = z.astype(at_least_float32(dtype))
                z = jnp.matmul(z, kind.basis.astype(z.dtype), precision=HIGHEST).astype(dtype)
            found, start = {}, 0
            z = jnp.swapaxes(z, -1, -2)
            for segment in kind.segments:
                stop = start + segment.size * segment.copies
                found[segment.name] = _copies_apart(segment, kind, z[..., start:stop, :])
                start = stop
        else:
            (z,) = materialized(jnp.swapaxes(z, -1, -2))
            found = parts_of_rows(
                kind, materialized(*_sums(kind.basis.T, materialized_backwards(*_rows(z))))
            )
        parts.append(found)
    blocks = join_kinds(rep, parts)
    if not any(_takes_sums(kind, narrow) for kind in plan.kinds):
        return blocks
    return dict(zip(blocks, materialized_backwards(*blocks.values()), strict=True))


def from_irrep_wise(rep: Representation, blocks: Blocks) -> Float[Array, "*batch n"]:
    """The inverse of `to_irrep_wise`."""
    narrow = machine(next(iter(blocks.values())).dtype).narrow
    return _from_irrep_wise(rep, narrow, blocks)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _from_irrep_wise(rep: Representation, narrow: int, blocks: Blocks) -> Float[Array, "*batch n"]:
    plan = irrep_plan(rep)
    if any(_takes_sums(kind, narrow) for kind in plan.kinds):
        blocks = dict(zip(blocks, materialized(*blocks.values()), strict=True))
    pieces = []
    for kind, parts in zip(plan.kinds, split_kinds(rep, blocks), strict=True):
        if not _takes_sums(kind, narrow):
            flat = [_copies_together(segment, kind, parts) for segment in kind.segments]
            z = flat[0] if len(flat) == 1 else jnp.concatenate(flat, axis=-2)
            z, dtype = jnp.swapaxes(z, -1, -2), z.dtype
            if not kind.is_identity:
                z = z.astype(at_least_float32(dtype))
                z = jnp.matmul(z, kind.basis.T.astype(z.dtype), precision=HIGHEST).astype(dtype)
        else:
            rows = materialized_backwards(*rows_of_parts(kind, parts))
            (z,) = materialized_backwards(
                jnp.stack(materialized(*_sums(kind.basis, rows)), axis=-2)
            )
            z = jnp.swapaxes(z, -1, -2)
        pieces.append(z.reshape(*z.shape[:-2], kind.count * kind.summand.size))
    x = pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, axis=-1)
    if plan.scatter is None:
        return x
    return jnp.take(x, plan.scatter, axis=-1, mode="clip", unique_indices=True)


def _takes_sums(kind: Kind, narrow: int) -> bool:
    return not kind.is_identity and kind.summand.size <= narrow


# ---- one array per coordinate ----------------------------------------------------------------


def rows_of_parts(kind: Kind, parts: Blocks) -> list[Array]:
    """The coordinates of all summands of a kind, one array ``(..., summands)`` for each."""
    return [
        row for segment in kind.segments for row in _rows(_copies_together(segment, kind, parts))
    ]


def parts_of_rows(kind: Kind, rows: Sequence[Array]) -> dict[str, Array]:
    """The inverse of `rows_of_parts`: irrep name to ``(..., d, copies, summands)``."""
    parts, rest = {}, list(rows)
    for segment in kind.segments:
        own, rest = rest[: segment.size * segment.copies], rest[segment.size * segment.copies :]
        parts[segment.name] = _copies_apart(segment, kind, jnp.stack(own, axis=-2))
    return parts


def _copies_apart(segment: Segment, kind: Kind, z: Array) -> Array:
    return z.reshape(*z.shape[:-2], segment.size, segment.copies, kind.count)


def _copies_together(segment: Segment, kind: Kind, parts: Blocks) -> Array:
    part = parts[segment.name]
    return part.reshape(*part.shape[:-3], segment.size * segment.copies, kind.count)


def _rows(z: Float[Array, "*batch n m"]) -> list[Float[Array, "*batch m"]]:
    """The cotangents of a split are joined, those of slices padded and added."""
    return [row.squeeze(-2) for row in jax.lax.split(z, (1,) * z.shape[-2], axis=z.ndim - 2)]


def _sums(weights: np.ndarray, rows: Sequence[Array]) -> list[Array]:
    """A product with a matrix, row by row; computed in at least float32, rounded once."""
    wide = [row.astype(at_least_float32(row.dtype)) for row in rows]
    return [weighted_sum(own, wide).astype(rows[0].dtype) for own in weights]


# ---- kind by kind ----------------------------------------------------------------------------


def split_kinds(rep: Representation, blocks: Blocks) -> list[dict[str, Array]]:
    """Per kind of summand, irrep name to ``(..., d, copies within a summand, summands)``."""
    found = []
    for kind in irrep_plan(rep).kinds:
        parts = {}
        for segment in kind.segments:
            block = blocks[segment.name]
            width = segment.copies * kind.count
            part = block
            if width != block.shape[-1]:
                part = block[..., segment.start : segment.start + width]
            parts[segment.name] = part.reshape(*part.shape[:-1], segment.copies, kind.count)
        found.append(parts)
    return found


def join_kinds(rep: Representation, parts: Sequence[Blocks]) -> dict[str, Array]:
    """The inverse of `split_kinds`."""
    plan = irrep_plan(rep)
    pieces: dict[str, list[Array]] = {name: [] for name in plan.spaces}
    for found in parts:
        for name, part in found.items():
            width = part.shape[-2] * part.shape[-1]
            pieces[name].append(part.reshape(*part.shape[:-2], width))
    return {
        name: found[0] if len(found) == 1 else jnp.concatenate(found, axis=-1)
        for name, found in pieces.items()
    }


def split_fields(rep: Representation, values: Shaped[Array, "*batch fields"]) -> list[Array]:
    """One number per summand: per kind those of its summands, ``(..., summands)``."""
    return [_taken(values, kind.fields) for kind in irrep_plan(rep).kinds]


def split_copies(
    rep: Representation, values: Float[Array, "*batch copies"]
) -> list[dict[str, Array]]:
    """One number per copy, in the order of ``rep.irreps``, as `split_kinds` has the copies.

    Returns:
        Per kind, irrep name to ``(..., copies within a summand, summands)``.
    """
    found = []
    for kind in irrep_plan(rep).kinds:
        inner = len(kind.summand.irreps)
        index = (kind.first_copies[:, None] + np.arange(inner)).reshape(-1)
        own = _taken(values, index).reshape(*values.shape[:-1], kind.count, inner)
        own = jnp.swapaxes(own, -1, -2)
        parts = {}
        for name, places in _places(kind).items():
            parts[name] = own if inner == len(places) else _taken(own, places, axis=-2)
        found.append(parts)
    return found


def join_copies(rep: Representation, parts: Sequence[Blocks]) -> Float[Array, "*batch copies"]:
    """The inverse of `split_copies`."""
    pieces, index = [], []
    for kind, found in zip(irrep_plan(rep).kinds, parts, strict=True):
        inner = len(kind.summand.irreps)
        places = np.concatenate(list(_places(kind).values()))
        joined = jnp.concatenate(list(found.values()), axis=-2)
        joined = _taken(joined, np.argsort(places), axis=-2)
        joined = jnp.swapaxes(joined, -1, -2)
        pieces.append(joined.reshape(*joined.shape[:-2], kind.count * inner))
        index.append((kind.first_copies[:, None] + np.arange(inner)).reshape(-1))
    joined = pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, axis=-1)
    return _taken(joined, np.argsort(np.concatenate(index)))


def _places(kind: Kind) -> dict[str, np.ndarray]:
    """For every irrep, where its copies stand in the irreps of one summand."""
    group = kind.summand.group
    names = [group.irrep_data(irrep).name for irrep in kind.summand.irreps]
    return {
        segment.name: np.array([i for i, name in enumerate(names) if name == segment.name])
        for segment in kind.segments
    }


def _taken(values: Array, index: np.ndarray, axis: int = -1) -> Array:
    """Chosen entries of an axis: all as they are, a slice, or a gather."""
    start, length = int(index[0]), len(index)
    if np.array_equal(index, np.arange(start, start + length)):
        if length == values.shape[axis]:
            return values
        return jax.lax.slice_in_dim(values, start, start + length, axis=values.ndim + axis)
    index = index.astype(np.int32)
    return jnp.take(values, index, axis=axis, mode="clip", unique_indices=True)


# ---- products --------------------------------------------------------------------------------


def irrep_product(
    z: Float[Array, "*batch d copies"],
    theta: Float[Array, "out copies s"],
    precision: PrecisionLike = None,
) -> Float[Array, "*batch d out"]:
    """``sum_s Theta_s (x) Psi_s`` times a block: one product with contiguous ``(S, m)``.

    Args:
        z: The block; the copies may lie on several devices.
        theta: Coefficients, in the order of the blocks.
        precision: As in `jax.lax.dot`.
    """
    algebra = theta.shape[-1]
    if algebra == 1:
        weight = theta[..., 0]
        if z.shape[-2] > 1 and machine(z.dtype).apart:
            # The cotangents of a split are joined, those of slices padded and added.
            rows = jax.lax.split(z, (1,) * z.shape[-2], axis=z.ndim - 2)
            into = functools.partial(jnp.einsum, "...m,om->...o", precision=precision)
            return jnp.stack([into(row.squeeze(-2), weight) for row in rows], axis=-2)
        return jnp.einsum("...dm,om->...do", z, weight, precision=precision)
    units = [theta[..., s] for s in range(algebra)]
    rows = [
        jnp.stack([units[u] if positive else -units[u] for u, positive in row], axis=1)
        for row in number_table(algebra)
    ]
    weight = jnp.stack(rows)  # (S out, copies out, S in, copies in)
    split = z.reshape(*z.shape[:-2], z.shape[-2] // algebra, algebra, z.shape[-1])
    y = jnp.einsum("...qsm,tosm->...qto", split, weight, precision=precision)
    return y.reshape(*z.shape[:-1], theta.shape[0])


def irrep_wise_map(
    in_rep: Representation,
    out_rep: Representation,
    coeffs: Blocks,
    blocks: Blocks,
    precision: PrecisionLike = None,
) -> dict[str, Array]:
    """A commuting map on blocks, in the promoted dtype: zeros where an irrep is not reached.

    Args:
        in_rep: Type of the input.
        out_rep: Type of the output.
        coeffs: Irrep name to ``(m_out, m_in, S)``, in the order of `HomBasis`.
        blocks: Irrep name to ``(..., d, m_in)``.
        precision: As in `jax.lax.dot`. Sums of 16-bit products are taken in float32.
    """
    sources, found = irrep_plan(in_rep).spaces, {}
    like, coeffs = next(iter(blocks.values())), unstacked(coeffs)
    dtype = jnp.result_type(like.dtype, *(c.dtype for c in coeffs.values()))
    for name, space in irrep_plan(out_rep).spaces.items():
        if name not in coeffs:
            shape = (*like.shape[:-2], space.size, space.copies)
            found[name] = jnp.zeros(shape, dtype)
            continue
        theta = reordered(reordered(coeffs[name], space, 0), sources[name], 1)
        z = blocks[name].astype(dtype)
        found[name] = irrep_product(z, theta.astype(dtype), precision)
    return found


def with_invariant(
    rep: Representation, coeffs: Float[Array, "*batch m0"] | None, blocks: Blocks
) -> dict[str, Array]:
    """Blocks plus an invariant vector, given as `invariant_vector` takes it; None for zero."""
    if coeffs is None:
        return dict(blocks)
    name = trivial_name(rep)
    beta = reordered(coeffs, irrep_plan(rep).spaces[name], -1)
    block = blocks[name]
    return {**blocks, name: block + beta[..., None, :].astype(block.dtype)}


def trivial_name(rep: Representation) -> str:
    """Name of the trivial irrep."""
    return rep.group.irrep_data(trivial(rep.group).irreps[0]).name
