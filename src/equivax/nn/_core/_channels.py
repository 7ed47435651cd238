"""Channels: choosing them, and one number per field (or subfield) and back.

Everything acts on the channel axis where it stands, ``-1 - d``: images are not transposed. All
functions of arrays run without equivax too, as parts of exported formulas; runs of equal fields,
``(*shape, count)``, are their plans.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from ...fields import FieldType, Type
from ...representations import Representation

#: More runs than this are brought together by one gather instead of slices.
MOST_SLICES = 16

Runs: TypeAlias = tuple[tuple[int, ...], ...]
"""Blocks of channels in order: ``(size, count)``, or ``(subfields, size, count)`` for fields."""

Repeated: TypeAlias = tuple[tuple[int, int, int, np.ndarray | Array], ...]
"""Whole numbers in runs ``(start, step, count, row)``: a row, again and again, by a step larger."""


# ---- fields of a type ----------------------------------------------------------------------------


def field_sizes(rep: Representation) -> list[int]:
    """Size of every field, in order."""
    return [summand.size for summand, count in rep.data for _ in range(count)]


@functools.lru_cache(maxsize=1024)
def whole_fields(rep: Representation) -> Runs:
    """Every field is one block."""
    return runs_of((summand.size, count) for summand, count in rep.data)


def runs_of(blocks: Iterable[Sequence[int]]) -> Runs:
    """Blocks ``(*shape, count)`` with neighbours of equal shape together."""
    alike = itertools.groupby(blocks, key=lambda block: tuple(block[:-1]))
    return tuple((*shape, sum(block[-1] for block in run)) for shape, run in alike)


def type_like(type_: Type, rep: Representation) -> Type:
    """A type with other fields: on the same space if there is one, else the representation."""
    return FieldType(type_.space, rep) if isinstance(type_, FieldType) else rep


# ---- choosing channels ---------------------------------------------------------------------------


def take_channels(x: Array, channels: Sequence[int] | np.ndarray | Array, axis: int = -1) -> Array:
    """Chosen channels in a given order: nothing, a slice or a gather.

    Args:
        x: ``(..., channels, *spatial)``.
        channels: Their numbers; what they are is looked at where they are no JAX array.
        axis: The channel axis, negative.
    """
    if isinstance(channels, jax.Array):
        return jnp.take(x, channels, axis=axis, mode="clip")
    index = np.asarray(channels, dtype=np.int32)
    if len(index) and np.array_equal(index, np.arange(index[0], index[0] + len(index))):
        return _slice(x, int(index[0]), len(index), axis)
    once = len(np.unique(index)) == len(index)  # so that the gradient need not add up
    return jnp.take(x, index, axis=axis, mode="clip", unique_indices=once)


def _slice(x: Array, start: int, length: int, axis: int) -> Array:
    if length == x.shape[axis]:
        return x
    return jax.lax.slice_in_dim(x, start, start + length, axis=x.ndim + axis)


def split_axis(x: Array, count: int, size: int, axis: int) -> Array:
    """``(..., count * size, *spatial)`` as ``(..., count, size, *spatial)``; ``axis`` is negative.

    The new inner axis stands at ``axis``.
    """
    at = x.ndim + axis
    return x.reshape(*x.shape[:at], count, size, *x.shape[at + 1 :])


def merge_axis(x: Array, axis: int) -> Array:
    """The inverse of `split_axis`."""
    at = x.ndim + axis
    return x.reshape(*x.shape[: at - 1], x.shape[at - 1] * x.shape[at], *x.shape[at + 1 :])


def along(values: Shaped[Array, " n"], axis: int) -> Shaped[Array, "..."]:
    """A vector with one entry per channel, shaped to broadcast along a negative axis."""
    return values.reshape(-1, *[1] * (-1 - axis))


def on_last_axis(
    function: Callable[..., Array], axis: int, x: Float[Array, "..."], *rest: object
) -> Float[Array, "..."]:
    """A function of the last axis as one of the channel axis; ``rest`` is passed on."""
    if axis == -1:
        return function(x, *rest)
    return jnp.moveaxis(function(jnp.moveaxis(x, axis, -1), *rest), -1, axis)


# ---- one number per block ------------------------------------------------------------------------


def per_block(
    reduce: Callable[[Array, int], Array], runs: Runs, axis: int, x: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Applies a reduction to every block of channels.

    Args:
        reduce: ``(part, axis) -> result``: takes ``(..., blocks, *shape, *spatial)`` with the last
            axis of the shape at ``axis``, and removes the axes of the shape.
        runs: The blocks, ``(*shape, count)``.
        axis: The channel axis, negative.
        x: ``(..., channels, *spatial)``.

    Returns:
        ``(..., blocks, *spatial)``.
    """
    if len(runs) > MOST_SLICES:
        together, channels, places = _together(runs)
        if len(together) < len(runs):
            y = per_block(reduce, together, axis, take_channels(x, channels, axis))
            return take_channels(y, places, axis)
    pieces, start = [], 0
    for *shape, count in runs:
        length = math.prod(shape) * count
        part = _slice(x, start, length, axis)
        at = part.ndim + axis
        part = part.reshape(*part.shape[:at], count, *shape, *part.shape[at + 1 :])
        pieces.append(reduce(part, axis))
        start += length
    return pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, axis=axis)


@functools.lru_cache(maxsize=512)
def _together(runs: Runs) -> tuple[Runs, np.ndarray, np.ndarray]:
    """Runs with equal blocks next to each other, the channels then, and the way back of blocks."""
    blocks = [run[:-1] for run in runs for _ in range(run[-1])]
    order = sorted(range(len(blocks)), key=blocks.__getitem__)
    sizes = [math.prod(block) for block in blocks]
    ends = [*itertools.accumulate(sizes)]
    channels = np.concatenate([np.arange(ends[i] - sizes[i], ends[i]) for i in order])
    return runs_of((*blocks[i], 1) for i in order), channels, np.argsort(order)


def block_sums(runs: Runs, x: Float[Array, "..."], axis: int = -1) -> Float[Array, "..."]:
    """Sum over the channels of each block ``(size, count)``, see `per_block`."""
    return per_block(_sum_of_short, runs, axis, x)


def _sum_of_short(x: Array, axis: int) -> Array:
    """The sum over one axis; on CPU slices of images add up faster than `sum` reduces them."""
    if axis == -1 or x.shape[axis] > MOST_SLICES:
        return x.sum(axis=axis)
    slices = (jax.lax.index_in_dim(x, i, axis, keepdims=False) for i in range(x.shape[axis]))
    return functools.reduce(jnp.add, slices)


def safe_norms(squares: Float[Array, "..."], threshold: float = 0.0) -> Float[Array, "..."]:
    """Square roots whose gradient at 0 is 0 instead of infinite; those of NaN are NaN."""
    positive = ~(squares <= threshold)
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1.0)), 0.0)


# ---- and back ------------------------------------------------------------------------------------


def repeated(rows: Iterable[tuple[np.ndarray, int, int]]) -> Repeated:
    """Whole numbers ``(row, step, count)``; a run starts where the steps of the one before end."""
    found, start = [], 0
    for row, step, count in rows:
        found.append((start, step, count, row.astype(np.int32)))
        start += step * count
    if len(found) <= MOST_SLICES:
        return tuple(found)
    listed = [
        (first + step * np.arange(count)[:, None] + row).reshape(-1)
        for first, step, count, row in found
    ]
    return ((0, 0, 1, np.concatenate(listed).astype(np.int32)),)


def counted(table: Repeated) -> Array:
    """The numbers of a table, made in the program: it holds a row of each run, not a list."""
    pieces = []
    for start, step, count, row in table:
        first = start + step * jnp.arange(count, dtype=jnp.int32)
        pieces.append((first[:, None] + jnp.asarray(row)).reshape(-1))
    return pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces)


def take_counted(x: Array, table: Repeated, axis: int = -1) -> Array:
    """Channels chosen by a table, which may choose some again, see `take_channels`."""
    return jnp.take(x, counted(table), axis=axis, mode="clip")


@functools.lru_cache(maxsize=1024)
def _blocks(runs: Runs) -> Repeated:
    """For every channel, the number of its block."""
    return repeated((np.zeros(math.prod(run[:-1]), np.int32), 1, run[-1]) for run in runs)


def scale_blocks(
    runs: Runs, x: Float[Array, "..."], factors: Float[Array, "..."], axis: int = -1
) -> Float[Array, "..."]:
    """Multiplies every channel by the number of its block, see `spread_blocks`."""
    return x * spread_blocks(runs, factors, axis)


def spread_blocks(runs: Runs, values: Float[Array, "..."], axis: int = -1) -> Float[Array, "..."]:
    """The number of its block at every channel.

    Args:
        runs: The blocks, ``(size, count)``.
        values: ``(..., blocks, *spatial)``.
        axis: The channel axis, negative.

    Returns:
        ``(..., channels, *spatial)``.
    """
    if all(size == 1 for size, _ in runs):
        return values
    if axis == -1 or len(runs) > MOST_SLICES:
        # One gather that fuses with a product; broadcasting over a short last axis is slower.
        return take_counted(values, _blocks(runs), axis)
    # In front of spatial axes broadcasting is fast, and its gradient a sum, not a scatter.
    pieces, start = [], 0
    for size, count in runs:
        piece = _slice(values, start, count, axis)
        at = values.ndim + axis + 1
        if size <= MOST_SLICES:
            piece = jnp.stack(size * [piece], axis=at)
        else:
            wide = (*piece.shape[:at], size, *piece.shape[at:])
            piece = jnp.broadcast_to(jnp.expand_dims(piece, at), wide)
        pieces.append(merge_axis(piece, axis))
        start += count
    return pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, axis=axis)


def spread(
    rep: Representation, values: Shaped[Array, "..."], axis: int = -1
) -> Shaped[Array, "..."]:
    """The value of each field at each of its channels."""
    return take_counted(values, _blocks(whole_fields(rep)), axis)
