"""`NormMaxPool`: the longest vector of every window, with ties that turn along."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._arguments import choice, number
from ..._windows import Integers, PaddingLike
from ...fields import FieldType
from ...hom import widened
from .._core._channels import block_sums, spread_blocks, whole_fields
from .._core._plain import plain_layer
from ._sliding import plain_windows, slide_longest, slide_max, widened_by
from ._window_pool import AbstractWindowPool, pool_windows, spatial_type

TIES = ("mean", "first", "softmax")
KEYS = ("norm", "value")


class NormMaxPool(AbstractWindowPool):
    """Per field, the vector with the largest norm in the window.

    ``y(p) = v(q*)``, ``q* = argmax_q |v(q)|`` over the window of ``p``; the gradient goes to the
    chosen vector. Which of two equally long vectors comes first depends on the orientation, so
    ``ties="mean"`` takes the mean of all whose squared norms are within 32 rounding errors of the
    largest, and gives each an equal share of the gradient; ``"first"`` takes the first in row-major
    order, which is equivariant where the maximum is unique; ``"softmax"`` is a smooth mean with
    weights ``exp(beta |v|)``. A NaN in a window gives NaN.

    Law: as `PointwiseMaxPool`, for any orthogonal fields (Weiler and Cesa 2019).

    Shapes: as `PointwiseMaxPool`.
    """

    by: str = eqx.field(static=True)
    ties: str = eqx.field(static=True)
    beta: float = eqx.field(static=True)

    def __init__(
        self,
        in_type: FieldType,
        kernel_size: Integers,
        stride: Integers | None = None,
        padding: PaddingLike = 0,
        dilation: Integers = 1,
        ceil_mode: bool = False,
        *,
        by: str = "norm",
        ties: str = "mean",
        beta: float = 1.0,
        grid_check: str | None = None,
    ) -> None:
        """Checks the windows.

        Args:
            in_type: A `FieldType` of any fields.
            kernel_size: As in `PointwiseMaxPool`, like the next five.
            stride: Cells from a window to the next.
            padding: Cells added on both sides; never chosen.
            dilation: Cells from a tap to the next.
            ceil_mode: Whether a last window may reach over the end.
            by: ``"norm"``, by which a trivial field keeps its sign, or ``"value"``: the usual
                maximum, of trivial fields.
            ties: ``"mean"``, ``"first"`` or ``"softmax"``.
            beta: Of ``"softmax"``, positive.
            grid_check: On a grid where it cannot be exact.

        Raises:
            ValueError: If a number does not fit, a mode is unknown, or ``by="value"`` meets a field
                that is not trivial.
            TypeError: If ``in_type`` is no `FieldType`, or a number no integer.
        """
        name = "NormMaxPool"
        type_ = spatial_type(name, in_type, "NormPool")
        windows = pool_windows(name, type_, kernel_size, stride, padding, dilation, ceil_mode)
        self.by = choice(by, name, "by", KEYS)
        self.ties = choice(ties, name, "ties", TIES)
        self.beta = number(beta, name, "beta", above=0)
        if by == "value" and not type_.representation.is_trivial:
            raise ValueError(
                f'{name}: by: expected "norm" for {type_!r}, got "value", which compares numbers '
                "that the group leaves alone"
            )
        self._set_up(type_, windows, grid_check)

    def _pooled(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        if self.by == "value":
            return slide_max(plain_windows(self.windows), x)
        runs = whole_fields(self.in_type.representation)
        return longest_field(*self._rule, runs, plain_windows(self.windows), x)

    @property
    def _rule(self) -> tuple[bool, float | None]:
        """Whether the first wins, and how sharp a smooth mean is."""
        return self.ties == "first", self.beta if self.ties == "softmax" else None

    def export(self) -> eqx.nn.Lambda:
        """A plain function."""
        windows = plain_windows(self.windows)
        if self.by == "value":
            return plain_layer(slide_max, windows)
        runs = whole_fields(self.in_type.representation)
        return plain_layer(longest_field, *self._rule, runs, windows)


def longest_field(first, beta, runs, windows, x):
    """Per field, the vector with the largest norm in every window.

    Args:
        first: Whether the first of several equally long ones is taken, not their mean.
        beta: As for `slide_tied`.
        runs: Blocks of channels that are one vector each.
        windows: As for `slide_max`.
        x: ``(..., channels, *spatial)``.
    """
    axis, wide = -1 - len(windows[0]), widened(x)
    lengths = spread_blocks(runs, block_sums(runs, wide * wide, axis), axis)
    return slide_longest(windows, x, lengths) if first else slide_tied(beta, windows, x, lengths)


def slide_tied(beta, windows, x, lengths):
    """The mean of the entries of ``x`` where ``lengths`` is largest in the window.

    Args:
        beta: None; or the mean of all entries has weights ``exp(beta sqrt(lengths))``.
        windows: As for `slide_max`.
        x: An array with these axes last.
        lengths: Non-negative numbers, of the shape of ``x``.
    """
    kernel, stride, padding, dilation, _ = windows
    dtype, dim = x.dtype, len(kernel)
    x = x.astype(lengths.dtype)
    fixed = jax.lax.stop_gradient(lengths)
    top = slide_max(windows, fixed)
    lengths = fixed if beta is None else lengths
    spread = [(0, 0, 0)] * (x.ndim - dim)
    for axis in range(-dim, 0):
        reach = (top.shape[axis] - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1
        before = padding[axis][0]
        spread.append((before, max(reach - x.shape[axis] - before, 0), 0))
    x, lengths = widened_by(x, 0, spread), widened_by(lengths, -1, spread)
    least = top * (1 - 32 * float(jnp.finfo(top.dtype).eps))
    total = jnp.zeros(top.shape, x.dtype)
    weights, taps = total, [()]
    for k in kernel:
        taps = [(*tap, q) for tap in taps for q in range(k)]
    for tap in taps:
        at, own = x, lengths
        for axis, q in zip(range(-dim, 0), tap, strict=True):
            start = q * dilation[axis]
            stop = start + (top.shape[axis] - 1) * stride[axis] + 1
            at = jax.lax.slice_in_dim(at, start, stop, stride[axis], axis=axis)
            own = jax.lax.slice_in_dim(own, start, stop, stride[axis], axis=axis)
        if beta is None:
            weight = (own >= least).astype(x.dtype)
        else:
            safe = jnp.where(own > 0, own, 1.0)
            norm = jnp.where(own > 0, jnp.sqrt(safe), 0.0)
            weight = jnp.where(own >= 0, jnp.exp(beta * (norm - jnp.sqrt(top))), 0.0)
        # Not a product with the weight: 0 times an infinite entry that is not chosen is NaN.
        total = total + (jnp.where(weight > 0, at, 0.0) if beta is None else weight * at)
        weights = weights + weight
    return jnp.divide(total, weights).astype(dtype)
