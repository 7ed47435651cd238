"""What is nothing but rounding, decided from the size of the data and not from their variance.

A norm divides by ``sqrt(variance + eps)``: where x should not vary, such as across a constant
velocity, what rounding has left would be magnified by ``1 / sqrt(eps)``. There the value is zero,
and the derivative that of the formula at that point.

The layer before leaves rounding too, of the size of all that it added up: where symmetry makes the
vectors of an image zero, a convolution leaves ``u`` times its scalars. Every norm would magnify
that again, by 316 for ``eps = 1e-5``, until it is as large as data. That is so on constant images,
so there fields are compared with the largest channel beside them. Of an image that varies nothing
can be told: vectors may be a millionth of the scalars because of their units.
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


def rounding_of(level):
    """Variance of numbers that are nothing but rounding of data with this mean square, at most."""
    return (ROUNDINGS * jnp.finfo(level.dtype).eps) ** 2 * level


def above_rounding(variance, level, largest=0.0):
    """Whether numbers vary by more than rounding.

    Args:
        variance: Of the numbers.
        level: Their mean square, before anything was subtracted.
        largest: Mean square of what has left its rounding among them.
    """
    alive = variance > rounding_of(jnp.maximum(level, largest))
    return jax.lax.stop_gradient(alive)


def denoised(value, alive):
    """Zero for what is not alive; derivatives are those at that point."""
    return value - jax.lax.stop_gradient(jnp.where(alive, 0.0, value))


def by_kind_with_level(function, kinds, order, back, axis, x):
    """`by_kind` of a function that takes the mean square of a constant image's largest channel.

    It is ``(batch, 1, 1, 1)``; 0 for images that vary, and without spatial axes.
    """
    wide = widened(jax.lax.stop_gradient(x))
    place = wide.ndim + axis
    leading, spatial = wide.shape[:place], wide.shape[place + 1 :]
    if spatial:
        wide = wide.reshape(math.prod(leading), wide.shape[place], math.prod(spatial))
        first = wide[..., :1]
        # Of a constant image, for which alone it counts, every point has the mean square.
        level, variance = largest_square(first), largest_square(wide - first)
        level = jnp.where(variance > rounding_of(level), 0.0, level)
    else:
        level = jnp.zeros(math.prod(leading), wide.dtype)
    function = functools.partial(function, level[:, None, None, None])
    return by_kind(function, kinds, order, back, axis, x)


def largest_square(x):
    """The mean square of the largest channel of ``(batch, channels, points)``."""
    return jnp.max(jnp.mean(x * x, axis=2), axis=1)
