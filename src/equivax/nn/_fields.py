"""One number per field: sums over the channels of every summand, and the way back."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..fields import FieldType
from ..representations import Representation


@functools.lru_cache(maxsize=1024)
def field_index(rep: Representation) -> np.ndarray:
    """For every channel, the number of its field (summand)."""
    sizes = field_sizes(rep)
    index = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    index.setflags(write=False)
    return index


def field_sizes(rep: Representation) -> list[int]:
    """Size of every field, in order."""
    return [summand.size for summand, count in rep.data for _ in range(count)]


def type_like(type_: Any, rep: Representation) -> Any:
    """A type with other fields: on the same space if there is one, else the representation."""
    return FieldType(type_.space, rep) if isinstance(type_, FieldType) else rep


def field_sums(rep: Representation, x: Float[Array, "*batch n"]) -> Float[Array, "*batch fields"]:
    """Sum over the channels of each field."""
    sizes = {summand.size for summand, _ in rep.data}
    if len(sizes) == 1:
        size = sizes.pop()
        return x.reshape(*x.shape[:-1], rep.size // size, size).sum(axis=-1)
    index = field_index(rep)
    moved = jnp.moveaxis(x, -1, 0)
    sums = jax.ops.segment_sum(moved, index, int(index[-1]) + 1, indices_are_sorted=True)
    return jnp.moveaxis(sums, 0, -1)


def spread(rep: Representation, values: Float[Array, "*batch fields"]) -> Float[Array, "*batch n"]:
    """The value of each field at each of its channels."""
    return values[..., field_index(rep)]


def safe_norms(squares: Float[Array, "..."], threshold: float = 0.0) -> Float[Array, "..."]:
    """Square roots whose gradient at 0 is 0 instead of infinite."""
    positive = squares > threshold
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1.0)), 0.0)
