"""The one rule about 16-bit numbers."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp


def at_least_float32(dtype: Any) -> Any:
    """float32 for 16-bit types: bases, statistics and long sums are too coarse in fewer bits."""
    dtype = jnp.dtype(dtype)
    return jnp.dtype(jnp.float32) if dtype.itemsize < 4 else dtype
