"""Small questions about arrays: wide enough? already known?"""

from __future__ import annotations

import jax.numpy as jnp
from jax.core import Tracer
from jax.typing import DTypeLike
from jaxtyping import Array, Float


def at_least_float32(dtype: DTypeLike) -> jnp.dtype:
    """float32 for 16-bit types: bases, statistics and long sums are too coarse in fewer bits."""
    dtype = jnp.dtype(dtype)
    return jnp.dtype(jnp.float32) if dtype.itemsize < 4 else dtype


def widened(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """16-bit numbers in float32: what is summed or squared would overflow or lose digits."""
    return x.astype(at_least_float32(x.dtype))


def is_concrete(value: object) -> bool:
    """Whether the value can be looked at now: it is not traced by a transformation."""
    return not isinstance(value, Tracer)
