"""What is nothing but rounding, decided from the size of the data and not from their variance.

A norm divides by ``sqrt(variance + eps)``: where x should not vary, such as across a constant
velocity, what rounding has left would be magnified by ``1 / sqrt(eps)``. There the value is zero,
and the derivative that of the formula at that point.

The layer before leaves rounding too, of the size of all that it added up: where symmetry makes the
vectors of an image zero, a convolution leaves ``u`` times its scalars. Every norm would magnify
that again, by 316 for ``eps = 1e-5``, until it is as large as data. So on images the fields of a
kind are compared with all channels beside them, not only with themselves.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp

from ...hom import widened
from .._core._fibres import by_kind

#: What deviates by less than so many roundings of the data is taken for zero.
ROUNDINGS = 8.0


def above_rounding(variance, level, largest=0.0):
    """Whether numbers vary by more than rounding.

    Args:
        variance: Of the numbers.
        level: Their mean square, before anything was subtracted.
        largest: Mean square of the largest channel beside them.
    """
    rounding = (ROUNDINGS * jnp.finfo(variance.dtype).eps) ** 2
    alive = (variance > rounding * level) & (level > rounding * largest)
    return jax.lax.stop_gradient(alive)


def denoised(value, alive):
    """Zero for what is not alive; derivatives are those at that point."""
    return value - jax.lax.stop_gradient(jnp.where(alive, 0.0, value))


def by_kind_with_level(function, kinds, order, back, axis, x):
    """`by_kind` of a function that takes the mean square of an image's largest channel first.

    It is ``(batch, 1, 1, 1)``; 0 without spatial axes, where a field may be small by chance.
    """
    wide = widened(jax.lax.stop_gradient(x))
    place = wide.ndim + axis
    leading, spatial = wide.shape[:place], wide.shape[place + 1 :]
    if spatial:
        wide = wide.reshape(math.prod(leading), wide.shape[place], math.prod(spatial))
        level = jnp.max(jnp.mean(wide * wide, axis=2), axis=1)
    else:
        level = jnp.zeros(math.prod(leading), wide.dtype)
    function = functools.partial(function, level[:, None, None, None])
    return by_kind(function, kinds, order, back, axis, x)
