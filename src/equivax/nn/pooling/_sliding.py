"""Maxima, sums and longest vectors over sliding windows, one axis after the other.

All three are separable. Slices of the whole array, combined elementwise, leave XLA one fused loop
where ``reduce_window``, its gradient ``select_and_scatter`` and depthwise convolutions are slow
(``benchmarks/pooling.py``). A maximum over ``k`` taps is idempotent, so windows may overlap: it is
built of maxima over 1, 2, 4, ... taps, and its gradient at ties is spread evenly and finite.

Every function stands alone (`jax`, `jnp` and each other only): layers call it, and `export` takes
it along. Padding is a pair ``(before, after)`` per axis; ``ceil_mode`` is that of `window_count`.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ..._windows import Windows, window_count
from ...hom import widened


def plain_windows(windows: Windows) -> tuple[Any, ...]:
    """Windows as plain numbers, for functions that stand alone.

    Returns:
        Kernel, stride, padding and dilation, each with an entry per axis, and ceil_mode.
    """
    w = windows
    return w.kernel_size, w.stride, w.pairs, w.dilation, w.ceil_mode


def _reached(x, axis, count, kernel, stride, padding, dilation):
    """What `jax.lax.pad` adds to an axis so that the last window is inside."""
    reach = (count - 1) * stride + dilation * (kernel - 1) + 1
    pads = [(0, 0, 0)] * x.ndim
    pads[axis] = (padding[0], max(reach - x.shape[axis] - padding[0], 0), 0)
    return pads


def widened_by(x, value, pads):
    """`jax.lax.pad`, and nothing where nothing is added: that is one operation less to convert."""
    if all(isinstance(n, int) and n == 0 for pad in pads for n in pad):
        return x
    return jax.lax.pad(x, jnp.array(value, x.dtype), pads)


def slide_max(windows, x):
    """Largest entry of every window on the last axes; -inf outside.

    Args:
        windows: From `plain_windows`.
        x: An array with these axes last.
    """
    kernel, stride, padding, dilation, ceil_mode = windows
    for axis in range(-len(kernel), 0):
        k, s, d = kernel[axis], stride[axis], dilation[axis]
        count = window_count(x.shape[axis], k, s, padding[axis], d, 1, ceil_mode)
        pads = _reached(x, axis, count, k, s, padding[axis], d)
        x = widened_by(x, -jnp.inf, pads)
        taps = 1
        while 2 * taps < k:
            end = x.shape[axis]
            first = jax.lax.slice_in_dim(x, 0, end - taps * d, axis=axis)
            x = jnp.maximum(first, jax.lax.slice_in_dim(x, taps * d, end, axis=axis))
            taps *= 2
        shift, last = (k - taps) * d, (count - 1) * s + 1
        first = jax.lax.slice_in_dim(x, 0, last, s, axis=axis)
        if shift:
            first = jnp.maximum(first, jax.lax.slice_in_dim(x, shift, shift + last, s, axis=axis))
        x = first
    return x


def slide_longest(windows, x, lengths):
    """The entry of ``x`` where ``lengths`` is largest in the window, first in row-major order.

    Args:
        windows: From `plain_windows`.
        x: An array with these axes last.
        lengths: Non-negative numbers, of the shape of ``x``; no gradient flows through them.
    """
    kernel, stride, padding, dilation, ceil_mode = windows
    lengths = jax.lax.stop_gradient(lengths)
    for axis in range(-1, -len(kernel) - 1, -1):  # columns first: ties go to the first row
        k, s, d = kernel[axis], stride[axis], dilation[axis]
        count = window_count(x.shape[axis], k, s, padding[axis], d, 1, ceil_mode)
        pads = _reached(x, axis, count, k, s, padding[axis], d)
        x, lengths = widened_by(x, 0, pads), widened_by(lengths, -1, pads)
        taps = 1
        while taps < k:
            shift = min(taps, k - taps) * d
            taps += shift // d
            step = s if taps == k else 1
            last = (count - 1) * s + 1 if taps == k else x.shape[axis] - shift
            x, x_late, lengths, lengths_late = (
                jax.lax.slice_in_dim(array, start, start + last, step, axis=axis)
                for array in (x, lengths)
                for start in (0, shift)
            )
            late = (lengths_late > lengths) | (lengths_late != lengths_late)
            x = jnp.where(late, x_late, x)
            lengths = jnp.where(late, lengths_late, lengths)
        if k == 1:
            x = jax.lax.slice_in_dim(x, 0, (count - 1) * s + 1, s, axis=axis)
            lengths = jax.lax.slice_in_dim(lengths, 0, (count - 1) * s + 1, s, axis=axis)
    return x


def slide_sum(weights, stride, padding, edge, x):
    """``y_i = sum_q w_q x_(i s - p + q)`` along each of the last ``len(weights)`` axes.

    Args:
        weights: The numbers ``w_q``, per axis.
        stride: Cells from a window to the next, per axis.
        padding: Pairs of cells before and after, per axis.
        edge: Whether the padding repeats the outermost cells; else it is zero.
        x: An array with these axes last.
    """
    dtype = x.dtype
    x = widened(x)
    for axis in range(-len(weights), 0):
        w, s = weights[axis], stride[axis]
        pads = [(0, 0)] * x.ndim
        pads[axis] = padding[axis]
        x = jnp.pad(x, pads, mode="edge" if edge else "constant")
        last = (x.shape[axis] - len(w)) // s * s + 1
        taps = [jax.lax.slice_in_dim(x, q, q + last, s, axis=axis) for q in range(len(w))]
        x = taps[0] * w[0]
        for tap, v in zip(taps[1:], w[1:], strict=True):
            x = x + (tap if v == 1.0 else tap * v)
    return x.astype(dtype)


def slide_mean(kernel, stride, padding, ceil_mode, x):
    """Mean over every window; zeros of the padding count, what lies beyond it does not.

    Args:
        kernel: Taps per axis.
        stride: Cells from a window to the next, per axis.
        padding: Pairs of cells before and after, per axis.
        ceil_mode: Whether a last window may reach over the end; it has fewer cells then.
        x: An array with these axes last.
    """
    dtype = x.dtype
    x = widened(x)
    pads, cells = [], []
    for axis in range(-len(kernel), 0):
        k, s, (before, after) = kernel[axis], stride[axis], padding[axis]
        end = x.shape[axis] + before + after
        count = window_count(x.shape[axis], k, s, padding[axis], 1, 1, ceil_mode)
        pads.append((before, after + max((count - 1) * s + k - end, 0)))
        shape = [1] * len(kernel)
        shape[axis] = count
        cells.append(jnp.array([min(k, end - i * s) for i in range(count)], x.dtype).reshape(shape))
    total = slide_sum([[1.0] * k for k in kernel], stride, pads, False, x)
    for number in cells:
        total = total / number
    return total.astype(dtype)


def slide_dense_max(kernel, stride, padding, ceil_mode, x):
    """Maxima at every cell, such that windows with ``stride`` start at the first of them.

    Args:
        kernel: Taps per axis.
        stride: Of what follows, per axis; matters in ``ceil_mode`` only.
        padding: Pairs of cells before and after, per axis.
        ceil_mode: Whether to go on to the start of a last window that reaches over the end.
        x: An array with these axes last.
    """
    pads = []
    for axis in range(-len(kernel), 0):
        k, s, (before, after) = kernel[axis], stride[axis], padding[axis]
        count = window_count(x.shape[axis], k, s, padding[axis], 1, 1, ceil_mode)
        more = (count - 1) * s + k - x.shape[axis] - before - after
        pads.append((before, after + (max(more, 0) if ceil_mode else 0)))
    ones = [1] * len(kernel)
    return slide_max((kernel, ones, pads, ones, False), x)


def cell_max(output_size, x):
    """Largest entry of cells ``floor(i L / o) .. ceil((i + 1) L / o) - 1`` on the last axes.

    Args:
        output_size: Number of cells ``o``, per axis.
        x: An array with these axes last.
    """
    for axis in range(-len(output_size), 0):
        o, length = output_size[axis], x.shape[axis]
        start = [i * length // o for i in range(o)]
        stop = [-(-(i + 1) * length // o) for i in range(o)]
        narrow = min(b - a for a, b in zip(start, stop, strict=True))
        taps = 1
        while 2 * taps <= narrow:  # cells differ by at most one in width, so two windows cover one
            end = x.shape[axis]
            first = jax.lax.slice_in_dim(x, 0, end - taps, axis=axis)
            x = jnp.maximum(first, jax.lax.slice_in_dim(x, taps, end, axis=axis))
            taps *= 2
        left = jnp.take(x, jnp.array(start), axis=axis, mode="clip")
        x = jnp.maximum(left, jnp.take(x, jnp.array(stop) - taps, axis=axis, mode="clip"))
    return x


def cell_mean(output_size, x):
    """Mean of cells ``floor(i L / o) .. ceil((i + 1) L / o) - 1`` on the last axes.

    Args:
        output_size: Number of cells ``o``, per axis.
        x: An array with these axes last.
    """
    dtype = x.dtype
    x = widened(x)
    for axis in range(-len(output_size), 0):
        o, length = output_size[axis], x.shape[axis]
        if length % o == 0:
            at = x.ndim + axis
            x = x.reshape(*x.shape[:at], o, length // o, *x.shape[at + 1 :]).mean(axis=at + 1)
            continue
        i = jnp.arange(o)[:, None]
        cells = jnp.arange(length)
        members = (cells >= i * length // o) & (cells < -(-(i + 1) * length // o))
        members = members.astype(x.dtype)
        mean = members / members.sum(axis=1, keepdims=True)
        moved = jnp.matmul(jnp.moveaxis(x, axis, -1), mean.T, precision="highest")
        x = jnp.moveaxis(moved, -1, axis)
    return x.astype(dtype)
