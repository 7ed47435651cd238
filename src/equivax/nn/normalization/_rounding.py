"""What is nothing but rounding, decided from the size of the data and not from their variance.

A norm divides by ``sqrt(variance + eps)``: where x should not vary, such as across a constant
velocity, what rounding has left would be magnified by ``1 / sqrt(eps)``. There the value is zero,
and the derivative that of the formula at that point.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

#: What deviates by less than so many roundings of the data is taken for zero.
ROUNDINGS = 8.0


def above_rounding(variance, level):
    """Whether numbers vary by more than the rounding of data of mean square ``level``."""
    rounding = ROUNDINGS * jnp.finfo(variance.dtype).eps
    return jax.lax.stop_gradient(variance > rounding * rounding * level)


def denoised(value, alive):
    """Zero for what is not alive; derivatives are those at that point."""
    return value - jax.lax.stop_gradient(jnp.where(alive, 0.0, value))
