"""Blocks and the dense array: channels in signature order, the tensor components contiguous."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._arguments import arrays, refuse
from ._arguments import TensorType, as_type, type_name
from ._signature import Signature
from ._signed_axes import SignedAxes


def to_block(dense: Array, k: int, D: int) -> Array:
    """``(..., c D^k, *spatial)`` to ``(..., c, *spatial, *(D,)*k)``."""
    axis = dense.ndim - D - 1
    lead, spatial = dense.shape[:axis], dense.shape[axis + 1 :]
    fields = dense.reshape(*lead, dense.shape[axis] // D**k, *(D,) * k, *spatial)
    return jnp.moveaxis(fields, range(axis + 1, axis + 1 + k), range(fields.ndim - k, fields.ndim))


def to_dense(block: Array, k: int, D: int) -> Array:
    """``(..., c, *spatial, *(D,)*k)`` to ``(..., c D^k, *spatial)``."""
    axis = block.ndim - D - k - 1
    fields = jnp.moveaxis(block, range(block.ndim - k, block.ndim), range(axis + 1, axis + 1 + k))
    lead, spatial = block.shape[:axis], block.shape[axis + 1 : axis + 1 + D]
    return fields.reshape(*lead, block.shape[axis] * D**k, *spatial)


def channel_action(signature: Signature, D: int, g: SignedAxes) -> tuple[np.ndarray, np.ndarray]:
    """``out[c] = signs[c] in[source[c]]`` for all dense channels."""
    sources, signs = [np.zeros(0, np.int64)], [np.ones(0, np.int64)]
    for (flags, parity), place in signature.slices(D).items():
        size = D ** len(flags)
        source, sign = g.components(len(flags), parity)
        fields = np.arange(place.start, place.stop, size)
        sources.append((fields[:, None] + source).ravel())
        signs.append(np.tile(sign, len(fields)))
    return np.concatenate(sources), np.concatenate(signs)


def reordered(signature: Signature, wanted: Signature, D: int) -> np.ndarray | None:
    """Channels of an array of a signature in the order of another; None if nothing moves."""
    if signature.types == wanted.types:
        return None
    places = signature.slices(D)
    return np.concatenate([np.arange(places[t].start, places[t].stop) for t in wanted.types])


def joined(blocks: object, D: int) -> tuple[Array, Signature]:
    """The dense array of a mapping from types to blocks, and what its channels are.

    Raises:
        ValueError: If there is none, or ranks, batch shapes, spatial shapes or dtypes do not fit.
        TypeError: If something is no array.
    """
    if not isinstance(blocks, Mapping) or not blocks:
        refuse(ValueError, "MultiImage", "blocks", "a mapping from types to arrays", blocks)
    arrays, entries, first = [], [], None
    for key, given in blocks.items():
        type_ = as_type(key, "MultiImage")
        name, k = type_name(type_), len(type_[0])
        block, batch, spatial = _checked_block(given, type_, D, name)
        shared = (batch, spatial, block.dtype)
        first = shared if first is None else first
        for what, one, other in zip(
            ("batch shape", "spatial shape", "dtype"), first, shared, strict=True
        ):
            if one != other:
                raise ValueError(
                    f"MultiImage: blocks: expected one {what}, got {one} for "
                    f"{type_name(entries[0][0])} and {other} for {name}"
                )
        entries.append((type_, block.shape[len(batch)]))
        arrays.append(to_dense(block, k, D))
    array = jnp.concatenate(arrays, axis=-1 - D) if len(arrays) > 1 else arrays[0]
    return array, Signature(tuple(entries))


def _checked_block(
    block: Any, type_: TensorType, D: int, name: str
) -> tuple[Array, tuple[int, ...], tuple[int, ...]]:
    """The array of a block, its batch shape and its spatial shape.

    Raises:
        ValueError: If the rank or the tensor axes do not fit.
        TypeError: If it is no array.
    """
    if not hasattr(block, "shape") or not hasattr(block, "dtype"):
        raise TypeError(
            f"MultiImage: blocks: expected an array for {name}, got {type(block).__name__}"
        )
    k = len(type_[0])
    shape = tuple(block.shape)
    if len(shape) < 1 + D + k or shape[len(shape) - k :] != (D,) * k:
        expected = ", ".join(["...", "c", *["_"] * D, *[str(D)] * k])
        raise ValueError(f"MultiImage: blocks: expected ({expected}) for {name}, got {shape}")
    first = len(shape) - k - D - 1
    array = arrays.array(block, "MultiImage", f"blocks of {name}")
    return array, shape[:first], shape[first + 1 : first + 1 + D]
