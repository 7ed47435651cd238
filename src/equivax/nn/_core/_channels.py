"""One number per block of channels: sums over fields (or subfields), and the way back.

Everything acts on the channel axis where it stands, ``-1 - d``: images are not transposed.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from ...fields import FieldType, Type
from ...representations import Representation

#: More runs of equal sizes than this are brought together by one gather instead of slices.
MOST_SLICES = 16


@functools.lru_cache(maxsize=1024)
def field_index(rep: Representation) -> np.ndarray:
    """For every channel, the number of its field (summand)."""
    return block_index(tuple(field_sizes(rep)))


def field_sizes(rep: Representation) -> list[int]:
    """Size of every field, in order."""
    return [summand.size for summand, count in rep.data for _ in range(count)]


def type_like(type_: Type, rep: Representation) -> Type:
    """A type with other fields: on the same space if there is one, else the representation."""
    return FieldType(type_.space, rep) if isinstance(type_, FieldType) else rep


# ---- blocks of channels --------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def block_index(sizes: tuple[int, ...]) -> np.ndarray:
    """For every channel, the number of its block."""
    index = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    index.setflags(write=False)
    return index


@functools.lru_cache(maxsize=1024)
def _runs(sizes: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Runs of equal sizes, ``(size, count)``."""
    return tuple((size, len(list(run))) for size, run in itertools.groupby(sizes))


def block_sums(
    sizes: tuple[int, ...], x: Float[Array, "..."], axis: int = -1
) -> Float[Array, "..."]:
    """Sum over the channels of each block.

    Args:
        sizes: Of the blocks, in order.
        x: ``(..., channels, *spatial)``.
        axis: The channel axis, negative.

    Returns:
        ``(..., blocks, *spatial)``.
    """
    if max(sizes) == 1:
        return x
    runs = _runs(sizes)
    if len(runs) > MOST_SLICES:
        by_size = np.argsort(sizes, kind="stable")
        channels = np.argsort(np.asarray(sizes)[block_index(sizes)], kind="stable")
        grouped = block_sums(
            tuple(sorted(sizes)), take_channels(x, channels, axis), axis
        )  # one run per size
        return take_channels(grouped, np.argsort(by_size), axis)
    pieces = []
    for (size, count), start in zip(runs, _starts(runs), strict=True):
        piece = x if len(runs) == 1 else _slice(x, start, size * count, axis)
        if size > 1:
            piece = _sum_of_short(split_axis(piece, count, size, axis), axis)
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, axis=axis)


def _sum_of_short(x: Array, axis: int) -> Array:
    """The sum over one axis; on CPU slices of images add up faster than `sum` reduces them."""
    if axis == -1 or x.shape[axis] > MOST_SLICES:
        return x.sum(axis=axis)
    slices = (jax.lax.index_in_dim(x, i, axis, keepdims=False) for i in range(x.shape[axis]))
    return functools.reduce(jnp.add, slices)


def scale_blocks(
    sizes: tuple[int, ...], x: Float[Array, "..."], factors: Float[Array, "..."], axis: int = -1
) -> Float[Array, "..."]:
    """Multiplies every channel by the number of its block.

    Args:
        sizes: Of the blocks, in order.
        x: ``(..., channels, *spatial)``.
        factors: ``(..., blocks, *spatial)``.
        axis: The channel axis, negative.

    Returns:
        ``(..., channels, *spatial)``.
    """
    return x * spread_blocks(sizes, factors, axis)


def spread_blocks(
    sizes: tuple[int, ...], values: Float[Array, "..."], axis: int = -1
) -> Float[Array, "..."]:
    """The number of its block at every channel.

    Args:
        sizes: Of the blocks, in order.
        values: ``(..., blocks, *spatial)``.
        axis: The channel axis, negative.

    Returns:
        ``(..., channels, *spatial)``.
    """
    runs = _runs(sizes)
    if max(sizes) == 1:
        return values
    if axis == -1 or len(runs) > MOST_SLICES:
        # One gather that fuses with a product; broadcasting over a short last axis is slower.
        return take_channels(values, block_index(sizes), axis)
    # In front of spatial axes broadcasting is fast, and its gradient a sum, not a scatter.
    pieces, start = [], 0
    for size, count in runs:
        piece = values if len(runs) == 1 else _slice(values, start, count, axis)
        at = values.ndim + axis + 1
        if size <= MOST_SLICES:
            piece = jnp.stack(size * [piece], axis=at)
        else:
            wide = (*piece.shape[:at], size, *piece.shape[at:])
            piece = jnp.broadcast_to(jnp.expand_dims(piece, at), wide)
        pieces.append(merge_axis(piece, axis))
        start += count
    return pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, axis=axis)


def _starts(runs: tuple[tuple[int, int], ...]) -> list[int]:
    lengths = [size * count for size, count in runs]
    return [0, *itertools.accumulate(lengths)][:-1]


def _slice(x: Array, start: int, length: int, axis: int) -> Array:
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


def take_channels(x: Array, channels: Sequence[int] | np.ndarray, axis: int = -1) -> Array:
    """Chosen channels in a given order: nothing, a slice or a static gather."""
    index = np.asarray(channels, dtype=np.int32)
    length = x.shape[axis]
    if len(index) and np.array_equal(index, np.arange(index[0], index[0] + len(index))):
        return x if len(index) == length else _slice(x, int(index[0]), len(index), axis)
    return jnp.take(x, index, axis=axis, mode="clip")


def along(values: Shaped[Array, " n"], axis: int) -> Shaped[Array, "..."]:
    """A vector with one entry per channel, shaped to broadcast along a negative axis."""
    return values.reshape(-1, *[1] * (-1 - axis))


# ---- numbers -------------------------------------------------------------------------------------


def spread(rep: Representation, values: Float[Array, "..."], axis: int = -1) -> Float[Array, "..."]:
    """The value of each field at each of its channels."""
    return take_channels(values, field_index(rep), axis)


def safe_norms(squares: Float[Array, "..."], threshold: float = 0.0) -> Float[Array, "..."]:
    """Square roots whose gradient at 0 is 0 instead of infinite."""
    positive = squares > threshold
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1.0)), 0.0)


def at_least_float32(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Half-precision numbers in single precision, where a sum of squares would overflow."""
    return x.astype(jnp.float32) if jnp.finfo(x.dtype).bits < 32 else x
