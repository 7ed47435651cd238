"""One number per field, whatever the sizes of the fields: fields of equal shape go together."""

from __future__ import annotations

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

from ...fields import FieldType, Type
from ...representations import Representation, trivial
from ._module import representation_of

#: ``(subfields, size of each, fields)`` for runs of equal fields, in order.
Shapes = tuple[tuple[int, int, int], ...]


def whole_fields(rep: Representation) -> Shapes:
    """Every field is one vector."""
    return tuple((1, summand.size, count) for summand, count in rep.data)


def single_channels(rep: Representation) -> Shapes:
    """Every channel of a field is a number of its own."""
    return tuple((summand.size, 1, count) for summand, count in rep.data)


@functools.lru_cache(maxsize=512)
def field_blocks(shapes: Shapes) -> tuple[tuple[tuple[Any, int, int], ...], Any]:
    """Plan of `pool_fields`.

    Args:
        shapes: The shape of every field, in runs.

    Returns:
        Per distinct shape ``(channels, subfields, size)``, with None for all channels in order;
        and where the result of each field stands, or None if in order.
    """
    kinds = list(dict.fromkeys((n, sub) for n, sub, _ in shapes))
    if len(kinds) == 1:
        return ((None, *kinds[0]),), None
    counts = [count for _, _, count in shapes]
    kind = np.repeat([kinds.index((n, sub)) for n, sub, _ in shapes], counts)
    sizes = np.array([n * sub for n, sub in kinds])[kind]
    starts = np.cumsum(sizes) - sizes
    blocks, fields = [], []
    for i, (n, sub) in enumerate(kinds):
        chosen = np.flatnonzero(kind == i)
        channels = (starts[chosen][:, None] + np.arange(n * sub)).ravel().astype(np.int32)
        channels.setflags(write=False)
        blocks.append((channels, n, sub))
        fields.append(chosen)
    order = np.argsort(np.concatenate(fields)).astype(np.int32)
    order.setflags(write=False)
    in_order = np.array_equal(order, np.arange(len(order)))
    return tuple(blocks), None if in_order else order


def plain_blocks(shapes: Shapes) -> tuple[list[Any], Any]:
    """`field_blocks` with JAX arrays, as constants of an exported function."""
    blocks, order = field_blocks(shapes)
    listed = [[None if c is None else jnp.asarray(c), n, sub] for c, n, sub in blocks]
    return listed, None if order is None else jnp.asarray(order)


def pool_fields(reduce, blocks, order, axis, x):
    """Applies a reduction to every field (`jax` and `jnp` only; `export` detaches it).

    Args:
        reduce: ``(part, axis) -> result``: takes ``(..., fields, subfields, size, *spatial)`` with
            the last of the three at ``axis`` and removes the latter two.
        blocks: From `field_blocks`.
        order: From `field_blocks`.
        axis: Of the channels, negative.
        x: ``(..., channels, *spatial)``.
    """
    pieces = []
    for channels, n, sub in blocks:
        part = x if channels is None else jnp.take(x, channels, axis=axis, mode="clip")
        at = part.ndim + axis
        fields = part.shape[at] // (n * sub)
        pieces.append(
            reduce(part.reshape(*part.shape[:at], fields, n, sub, *part.shape[at + 1 :]), axis)
        )
    y = pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, axis=axis)
    return y if order is None else jnp.take(y, order, axis=axis, mode="clip")


def reduced_channels(reduce, part, axis):
    """A user's reduction over the channels of fields that are split into single channels."""
    return reduce(jnp.squeeze(part, axis), axis=axis)


def squared_length(part, axis):
    """Largest squared norm of the subfields, in at least float32."""
    part = part.astype(jnp.float32) if part.dtype.itemsize < 4 else part
    return jnp.max(jnp.sum(part * part, axis=axis), axis=axis)


def longest(part, axis):
    """Largest norm of the subfields; value and gradient 0 where all are 0."""
    wide = part.astype(jnp.float32) if part.dtype.itemsize < 4 else part
    squares = jnp.max(jnp.sum(wide * wide, axis=axis), axis=axis)
    positive = squares > 0
    norms = jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1.0)), 0.0)
    return norms.astype(part.dtype)


def weighted_sum(pool_fields, summed, weights, blocks, order, axis, x):
    """Per field the sum of its channels times ``weights``, one per channel."""
    wide = x.astype(jnp.float32) if x.dtype.itemsize < 4 else x
    column = jnp.asarray(weights, wide.dtype).reshape(-1, *[1] * (-1 - axis))
    return pool_fields(summed, blocks, order, axis, wide * column).astype(x.dtype)


def summed(part, axis):
    """Sum over subfields and their entries."""
    return jnp.sum(part, axis=(axis - 1, axis))


def invariant_type(in_type: Type, count: int) -> Any:
    """``count`` trivial fields, as a `FieldType` if the input is one."""
    if isinstance(in_type, FieldType):
        return FieldType(in_type.space, count * in_type.space.trivial)
    return count * trivial(representation_of(in_type, "invariant_type", "in_type").group)
