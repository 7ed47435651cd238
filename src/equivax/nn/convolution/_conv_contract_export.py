"""What `ConvContract.export` returns: a layer of Equinox, or a function that needs no equivax."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._core._plain import plain_conv, plain_function


def exported_convolution(
    kernel: Array,
    bias: Array | None,
    added: np.ndarray,
    is_torus: tuple[bool, ...],
    *,
    padding: Any,
    stride: tuple[int, ...],
    lhs_dilation: tuple[int, ...] | None,
    rhs_dilation: tuple[int, ...],
    precision: Any,
) -> Any:
    """`equinox.nn.Conv` where that is the same function, else a plain function of an example.

    Args:
        kernel: The dense kernel.
        bias: One number per channel, or None.
        added: Which of them are added as they are; the others times the mean of the channel.
        is_torus: Which axes are periodic.
        padding: As `as_padding` returns it.
        stride: Per axis.
        lhs_dilation: Per axis, or None.
        rhs_dilation: Per axis.
        precision: Of the convolution.
    """
    dim, fits = len(is_torus), lhs_dilation is None
    span = [r * (m - 1) for r, m in zip(rhs_dilation, kernel.shape[2:], strict=True)]
    if padding is None:
        padding = "TORUS" if any(is_torus) else "SAME"
    wraps = padding == "TORUS" and any(is_torus)
    if isinstance(padding, str):
        steps = stride if padding == "TORUS" else (1,) * dim
        even = [n if n % 2 == 0 else n - s + 1 for n, s in zip(span, steps, strict=True)]
        fits = fits and (padding != "SAME" or all(n % 2 == 0 for n in span))
        pairs = tuple((0, 0) if padding == "VALID" else (n // 2, n // 2) for n in even)
    else:
        pairs = padding
    if fits and added.all() and (not wraps or all(is_torus)):
        mode = "CIRCULAR" if wraps else "ZEROS"
        options = dict(stride=stride, padding=pairs, dilation=rhs_dilation)
        return plain_conv(kernel, bias, padding_mode=mode, **options)
    wrapped = tuple(wraps and flag for flag in is_torus)
    lhs = lhs_dilation or (1,) * dim
    return plain_function(
        _plain, kernel, bias, pairs=pairs, stride=stride, rhs=rhs_dilation, lhs=lhs, key=None,
        wraps=wrapped, precision=precision, added=tuple(added.tolist()),
    )  # fmt: skip


def _plain(kernel, bias, x, *, pairs, stride, rhs, lhs, wraps, precision, added, key):
    # Runs where equivax is not installed: builtins, jax and jnp only.
    dim = len(stride)
    first = x.ndim - dim
    spread = [(0, 0, 0)] * first
    around = [(0, 0)] * first
    for wrap, n, pair in zip(wraps, lhs, pairs, strict=True):
        spread.append((0, n - 1, n - 1) if wrap else (0, 0, 0))
        around.append(pair if wrap else (0, 0))
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), spread)
    x = jnp.pad(x, around, mode="wrap")
    y = jax.lax.conv_general_dilated(
        x[None],
        kernel.astype(x.dtype),
        stride,
        [(0, 0) if wrap else pair for wrap, pair in zip(wraps, pairs, strict=True)],
        lhs_dilation=[1 if wrap else n for wrap, n in zip(wraps, lhs, strict=True)],
        rhs_dilation=rhs,
        precision=precision,
    )[0]
    if bias is None:
        return y
    shape = (-1, *[1] * dim)
    mean = jnp.mean(y, axis=tuple(range(1, y.ndim)), keepdims=True)
    factor = jnp.where(jnp.array(added).reshape(shape), jnp.ones_like(mean), mean)
    return y + bias.astype(y.dtype).reshape(shape) * factor
