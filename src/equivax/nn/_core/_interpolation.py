"""The last axes of an array on a finer or coarser grid."""

from __future__ import annotations

import jax.numpy as jnp


def resize(x, *, ratios, size, nearest, align_corners):
    """The last axes of an array on other grids, one axis after the other.

    Args:
        x (Array): ``(..., *sides)``.
        ratios (Sequence | None): Per axis, new length over old, as a fraction ``(p, q)``; None to
            say ``size``.
        size (Sequence | None): New lengths, or None.
        nearest (bool): Whether a new cell is its nearest old one; else linear between two.
        align_corners (bool): Whether the centres of the outermost cells stay where they are; else
            the borders of the grid do.
    """
    dim = len(size) if ratios is None else len(ratios)
    for i in range(dim):
        axis = x.ndim - dim + i
        length = x.shape[axis]
        target = size[i] if ratios is None else length * ratios[i][0] // ratios[i][1]
        if target == length:
            continue
        if nearest and target % length == 0:
            x = jnp.repeat(x, target // length, axis=axis)
            continue
        # The position of each new cell is numerator / denominator.
        if nearest:
            pairs = [(j * length // target, 1) for j in range(target)]
        elif align_corners:
            pairs = [(j * (length - 1), max(target - 1, 1)) for j in range(target)]
        else:
            pairs = [(max((2 * j + 1) * length - target, 0), 2 * target) for j in range(target)]
        low = [min(n // d, length - 1) for n, d in pairs]
        before = jnp.take(x, jnp.array(low), axis=axis, mode="clip")
        if nearest:
            x = before
            continue
        high = [min(k + 1, length - 1) for k in low]
        after = jnp.take(x, jnp.array(high), axis=axis, mode="clip")
        weights = jnp.array([(n % d) / d for n, d in pairs], x.dtype)
        weights = weights.reshape(-1, *[1] * (dim - 1 - i))
        x = before * (1 - weights) + after * weights
    return x
