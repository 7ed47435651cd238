"""What is nothing but rounding, decided from the size of the data and not from their variance.

A norm divides by ``sqrt(variance + eps)``: where x should not vary, such as across a constant
velocity, what rounding has left would be magnified by ``1 / sqrt(eps)``. There the value is zero,
and the derivative that of the formula at that point.

The layer before leaves rounding too, of the size of all that it added up: where symmetry makes the
vectors of an image zero, a convolution leaves ``u`` times its scalars. Every norm would magnify
that again, by 316 for ``eps = 1e-5``, until it is as large as data. Where terms nearly cancel, as
they do in sums over taps and in learned directions, more is left than the rounding of what comes
out. So three things are compared more generously:

- directions of one kind of field with the strongest of them: vectors on a line, as those of stripes
  or of a constant image, leave rounding across it. Data keep directions of 1e-4 of the strongest;
- on constant images, fields with the largest channel beside them;
- on others likewise where the norm would make next to nothing of them. More cannot be told there:
  vectors may be a millionth of the scalars because of their units.
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

#: And so many of what the layers before may have left: 3e-5 in float32, below weak data.
LEFT = 256.0

#: Size of an output that is as good as zero, beside others of size one.
NEGLIGIBLE = 2e-4


def rounding_of(level, roundings=ROUNDINGS):
    """Variance of numbers that are nothing but rounding of data with this mean square, at most."""
    return (roundings * float(jnp.finfo(level.dtype).eps)) ** 2 * level


def left_among(level, eps):
    """Variance that may be rounding of data beside, and that the norm makes nothing of.

    Args:
        level: Mean square of the data.
        eps: What the norm adds to variances.
    """
    return jnp.minimum(rounding_of(level, LEFT), NEGLIGIBLE**2 * eps)


def above_rounding(variance, level, left=None):
    """Whether numbers vary by more than rounding.

    Args:
        variance: Of the numbers.
        level: Their mean square, before anything was subtracted.
        left: Variance that the layers before may have left, if any.
    """
    least = rounding_of(level)
    alive = variance > (least if left is None else jnp.maximum(least, left))
    return jax.lax.stop_gradient(alive)


def denoised(value, alive):
    """Zero for what is not alive; derivatives are those at that point."""
    return value - jax.lax.stop_gradient(jnp.where(alive, 0.0, value))


def by_kind_above_rounding(function, eps, kinds, order, back, axis, x):
    """`by_kind` of a function that takes the variance that the layers before may have left.

    It is ``(batch, 1, 1, 1)``; 0 without spatial axes.
    """
    wide = widened(jax.lax.stop_gradient(x))
    place = wide.ndim + axis
    leading, spatial = wide.shape[:place], wide.shape[place + 1 :]
    if spatial:
        wide = wide.reshape(math.prod(leading), wide.shape[place], math.prod(spatial))
        level, variance = largest_square(wide), largest_square(wide - wide[..., :1])
        varies = variance > rounding_of(level)
        left = jnp.where(varies, left_among(level, eps), rounding_of(level, LEFT))
    else:
        left = jnp.zeros(math.prod(leading), wide.dtype)
    function = functools.partial(function, left[:, None, None, None])
    return by_kind(function, kinds, order, back, axis, x)


def largest_square(x):
    """The mean square of the largest channel of ``(batch, channels, points)``."""
    return jnp.max(jnp.mean(x * x, axis=2), axis=1)
