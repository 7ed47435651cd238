"""What windows do to arrays: how many fit, what is put around, sums of products, places.

Every function stands alone (`jax`, `jnp` and each other only): layers call it, and `export` takes
it along.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp

PADDING_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""How the cells around a grid are filled, and what `jnp.pad` calls it."""


def window_count(length, kernel, stride, padding, dilation=1, input_dilation=1, ceil_mode=False):
    """Number of windows along an axis; below 1 if none fits.

    Args:
        length: ``L``, cells of the axis.
        kernel: ``k``, cells of the window.
        stride: ``s``, cells from a window to the next.
        padding: ``(p, p')``, cells added before and after.
        dilation: ``d``, cells from a tap to the next.
        input_dilation: ``l``, cells from a cell of the input to the next.
        ceil_mode: Whether a last window may reach over the end: ceil in the place of floor, but
            no window that starts in the padding after the end.
    """
    room = input_dilation * (length - 1) + sum(padding) - dilation * (kernel - 1)
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= length + padding[0] else count


def same_padding(lengths, kernel, stride, dilation, input_dilation, circular):
    """Per axis the pair that puts windows evenly, as many as cells if the stride is 1; or None.

    On a circle windows go round once, and lie evenly where that can be.

    Args:
        lengths: Cells per axis.
        kernel: Taps per axis.
        stride: Per axis.
        dilation: Per axis.
        input_dilation: Per axis.
        circular: Which axes are circles.
    """
    pairs = []
    for n, k, s, d, l, wraps in zip(
        lengths, kernel, stride, dilation, input_dilation, circular, strict=True
    ):
        reach = d * (k - 1)
        even = reach + l - s
        if wraps and even >= 0 and even % 2 == 0 and l * n % s == 0:
            pairs.append((even // 2, even // 2))
        elif reach % 2 == 0:
            pairs.append((reach // 2, reach // 2 + (l - 1 if wraps else 0)))
        else:
            pairs.append(None)
    return pairs


def padded(x, padding, modes, input_dilation):
    """An array with the cells around its last axes that are no zeros.

    Args:
        x: An array with these axes last.
        padding: Pairs of cells before and after, per axis.
        modes: A key of `PADDING_MODES`, per axis.
        input_dilation: Per axis.

    Returns:
        The array, the pairs of zeros that are left for a convolution to add, and the input
        dilation that is left for it.
    """
    first = x.ndim - len(padding)
    zeros, left = list(padding), list(input_dilation)
    for name in sorted(set(modes) - {"zeros"}):
        spread, around, ends = [(0, 0, 0)] * x.ndim, [(0, 0)] * x.ndim, list(x.shape)
        for axis, (pair, mode, l) in enumerate(zip(padding, modes, input_dilation, strict=True)):
            if mode != name or pair == (0, 0):
                continue
            at, tail = first + axis, l - 1 if name == "circular" else 0
            # The period of a dilated signal ends with zeros too; they are the first cells after.
            spread[at], around[at] = (0, tail, l - 1), (pair[0], max(pair[1] - tail, 0))
            ends[at] = l * (x.shape[at] - 1) + 1 + sum(pair)
            zeros[axis], left[axis] = (0, 0), 1
        for axis, (_, tail, inner) in enumerate(spread):
            if inner:
                x = _dilated(x, axis, inner + 1, tail)
        if name == "circular":
            x = wrapped(x, around)
        else:
            pad = functools.partial(jnp.pad, pad_width=around[first:], mode=PADDING_MODES[name])
            for _ in range(first):  # jax < 0.7 asks a symbolic axis for its length, padded or not
                pad = jax.vmap(pad)
            x = pad(x)
        if x.shape != tuple(ends):
            x = jax.lax.slice(x, (0,) * x.ndim, ends)
    return x, zeros, left


def _dilated(x, axis, factor, tail):
    """An array with ``factor - 1`` zeros between its cells, and ``tail`` behind the last one.

    As `jax.lax.pad` does inside, which converters to ONNX do not know.
    """
    length = x.shape[axis]
    x = jnp.stack([x, *(factor - 1) * [jnp.zeros_like(x)]], axis=axis + 1)
    x = x.reshape(*x.shape[:axis], factor * length, *x.shape[axis + 2 :])
    return jax.lax.slice_in_dim(x, 0, factor * (length - 1) + 1 + tail, axis=axis)


def wrapped(x, around):
    """An array continued as a circle, by pairs of cells before and after, per axis.

    `jnp.pad` does so too, but for axes of symbolic length.
    """
    for axis, (before, after) in enumerate(around):
        length = x.shape[axis]
        if isinstance(length, int) and max(before, after) > length:  # more than once around
            pairs = [(before, after) if a == axis else (0, 0) for a in range(x.ndim)]
            x = jnp.pad(x, pairs, mode="wrap" if length else "constant")
        elif before or after:
            last = jax.lax.slice_in_dim(x, length - before, length, axis=axis)
            first = jax.lax.slice_in_dim(x, 0, after, axis=axis)
            x = jnp.concatenate([last, x, first], axis=axis)
    return x


def correlate(
    x, kernel, *, stride, padding, dilation, input_dilation, modes, groups=1, precision=None
):
    """Cross-correlation with any number of batch axes, in the dtype of ``x``.

    Args:
        x: ``(..., in, *spatial)``.
        kernel: ``(out, in / groups, *kernel)``.
        stride: Per axis, like the next four.
        padding: Pairs of cells before and after, or ``"same"``.
        dilation: Of the kernel.
        input_dilation: Of ``x``.
        modes: What the cells around are: a key of `PADDING_MODES`.
        groups: Number of equal parts of both channel axes that are mapped separately.
        precision: As in `jax.lax.conv`.

    Raises:
        ValueError: If ``"same"`` cannot be.
    """
    if padding == "same":
        circular = [mode == "circular" for mode in modes]
        sides, taps = x.shape[x.ndim - len(stride) :], kernel.shape[2:]
        padding = same_padding(sides, taps, stride, dilation, input_dilation, circular)
        if None in padding:
            raise ValueError(f"padding: 'same' cannot pad {taps} taps evenly on sides of {sides}")
    x, zeros, left = padded(x, padding, modes, input_dilation)
    lead = x.shape[: x.ndim - kernel.ndim + 1]
    y = jax.lax.conv_general_dilated(
        x.reshape(math.prod(lead), *x.shape[len(lead) :]),
        kernel.astype(x.dtype),
        window_strides=stride,
        padding=zeros,
        lhs_dilation=left,
        rhs_dilation=dilation,
        feature_group_count=groups,
        precision=precision,
    )
    return y.reshape(*lead, *y.shape[1:])


def at_centres(values, centres, circular, trailing):
    """Values between cells: those of the cell itself, or the mean of the neighbours by distance.

    Args:
        values: object array.
        centres: Per axis, numerators and the denominator of the places.
        circular: Which axes are circles; the others go on with their outermost cells.
        trailing: Number of axes after the spatial ones.
    """
    first = values.ndim - trailing - len(centres)
    for axis, ((numerators, denominator), wraps) in enumerate(
        zip(centres, circular, strict=True), start=first
    ):
        length = values.shape[axis]
        if numerators == tuple(range(0, denominator * length, denominator)):
            continue
        low = [n // denominator for n in numerators]
        sides = [
            [n % length if wraps else min(max(n, 0), length - 1) for n in cells]
            for cells in (low, [n + 1 for n in low])
        ]
        weights = [n % denominator / denominator for n in numerators]
        before = jnp.take(values, jnp.array(sides[0]), axis=axis, mode="clip")
        if any(weights):
            after = jnp.take(values, jnp.array(sides[1]), axis=axis, mode="clip")
            share = jnp.array(weights, values.dtype)
            share = share.reshape(-1, *[1] * (values.ndim - 1 - axis))
            before = before * (1 - share) + after * share
        values = before
    return values
