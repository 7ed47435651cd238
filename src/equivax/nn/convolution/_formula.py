"""The formula of all convolutions, and what they export: a layer of Equinox or that formula."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..._windows import Windows, correlate
from ...hom import widened
from .._core._plain import detached, plain_conv


def plus_bias(y, bias, dim, scaled=()):
    """Adds one number per channel, or to some channels that number times their mean.

    Args:
        y: ``(..., channels, *spatial)``.
        bias: ``(channels,)`` or None.
        dim: Number of spatial axes.
        scaled: Whether a channel has the second kind, one boolean per channel; empty if none has.
    """
    if bias is None:
        return y
    column = bias.reshape(-1, *[1] * dim)
    if not any(scaled):
        return y + column.astype(y.dtype)
    wide = widened(y)
    mean = jnp.mean(wide, axis=tuple(range(-dim, 0)), keepdims=True)
    factor = jnp.where(jnp.array(scaled).reshape(column.shape), mean, jnp.ones_like(mean))
    return y + (column.astype(wide.dtype) * factor).astype(y.dtype)


def convolved(kernel, bias, x, *, scaled=(), key=None, **settings):
    """A correlation plus a bias.

    Args:
        kernel: ``(out, in / groups, *kernel)``.
        bias: As for `plus_bias`.
        x: ``(..., in, *spatial)``.
        scaled: As for `plus_bias`.
        key: Ignored; layers of Equinox take one.
        **settings: Those of `correlate`.
    """
    return plus_bias(correlate(x, kernel, **settings), bias, kernel.ndim - 2, scaled)


def exported_convolution(
    kernel: Array,
    bias: Array | None,
    windows: Windows,
    *,
    groups: int = 1,
    precision: object = None,
    scaled: tuple[bool, ...] = (),
) -> Any:
    """`equinox.nn.Conv` where that is the same function, else a plain function of an example.

    Args:
        kernel: The dense kernel.
        bias: One number per channel, or None.
        windows: Without the mode of tensor images.
        groups: Number of equal parts of the channels.
        precision: Of the convolution.
        scaled: As for `plus_bias`.
    """
    pairs, modes = _fixed_padding(windows), set(windows.padding_mode)
    if pairs and len(modes) == 1 and max(windows.input_dilation) == 1 and not any(scaled):
        return plain_conv(
            kernel,
            bias,
            stride=windows.stride,
            padding=pairs,
            dilation=windows.dilation,
            groups=groups,
            padding_mode=modes.pop().upper(),
        )
    settings = {**windows.settings, "groups": groups, "precision": precision, "scaled": scaled}
    return jax.tree_util.Partial(_with_settings(**settings), kernel, bias)


@functools.lru_cache(maxsize=256)
def _with_settings(**settings: Any) -> Callable[..., Any]:
    """One function for equal settings, so that their exports share a compilation."""
    return functools.partial(detached(convolved), **settings)


def _fixed_padding(windows: Windows) -> Any:
    """Pairs that are the padding on every grid, or None if it depends on the grid."""
    if not isinstance(windows.padding, str):
        return windows.padding
    # It depends on whether the stride divides the side, and on nothing else.
    one, other = (windows.same([s + more for s in windows.stride]) for more in (0, 1))
    pairs = [a or b for a, b in zip(one, other, strict=True) if None in (a, b) or a == b]
    return tuple(pairs) if len(pairs) == len(one) and None not in pairs else None
