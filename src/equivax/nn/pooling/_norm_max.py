"""`NormMaxPool`: the longest vector of every window, with ties that turn along."""

from __future__ import annotations

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...fields import FieldType
from ...images import MultiImage
from .._core._channels import field_index
from .._core._module import AbstractModule
from .._core._per_field import (
    field_blocks,
    plain_blocks,
    pool_fields,
    squared_length,
    whole_fields,
)
from .._core._plain import detached, plain_function, plain_layer
from ._sliding import longest_field, slide_longest, slide_max
from ._windows import Windows, make_windows, of_images, spatial_type

TIES = ("mean", "first", "softmax")
KEYS = ("norm", "value")


class NormMaxPool(AbstractModule):
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

    in_type: FieldType = eqx.field(static=True)
    out_type: FieldType = eqx.field(static=True)
    windows: Windows = eqx.field(static=True)
    by: str = eqx.field(static=True)
    ties: str | None = eqx.field(static=True)
    beta: float = eqx.field(static=True)

    def __init__(
        self,
        in_type: FieldType,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        *,
        by: str = "norm",
        ties: str | None = None,
        beta: float = 1.0,
        grid_check: str | None = None,
    ) -> None:
        """Checks the windows.

        Args:
            in_type: Any `FieldType`.
            kernel_size: As in `PointwiseMaxPool`, like the next five.
            stride: Cells from a window to the next.
            padding: Cells added on both sides; never chosen.
            dilation: Cells from a tap to the next.
            ceil_mode: Whether a last window may reach over the end.
            by: ``"norm"``, by which a trivial field keeps its sign, or ``"value"``: the usual
                maximum, of trivial fields.
            ties: ``"mean"``, ``"first"`` or ``"softmax"``; None: the first of these on tensor
                images, the second on other fields.
            beta: Of ``"softmax"``, positive.
            grid_check: On a grid where it cannot be exact.

        Raises:
            ValueError: If a number does not fit, a mode is unknown, or ``by="value"`` meets a field
                that is not trivial.
            TypeError: If ``in_type`` is no `FieldType`, or a number no integer.
        """
        name = "NormMaxPool"
        type_ = spatial_type(name, in_type, "NormPool")
        self.windows = make_windows(
            name, type_, kernel_size, stride, padding, dilation, ceil_mode, grid_check
        )
        if by not in KEYS:
            raise ValueError(f"{name}: by: expected one of {', '.join(KEYS)}, got {by!r}")
        if ties is not None and ties not in TIES:
            raise ValueError(f"{name}: ties: expected one of {', '.join(TIES)}, got {ties!r}")
        if not beta > 0:
            raise ValueError(f"{name}: beta: expected a positive number, got {beta!r}")
        if by == "value" and not type_.representation.is_trivial:
            raise ValueError(
                f'{name}: by: expected "norm" for {type_!r}, got "value", which compares numbers '
                "that the group leaves alone"
            )
        self.in_type = in_type
        self.out_type = in_type
        self.by = by
        self.ties = "mean" if ties is None and of_images(type_) else ties
        self.beta = float(beta)

    def _image_options(self, x: MultiImage) -> dict[str, Any]:
        return {"image": True}

    def _forward(
        self, x: Float[Array, "..."], key: Any = None, image: bool = False
    ) -> Float[Array, "..."]:
        w, rep = self.windows, self.in_type.representation
        w.check("NormMaxPool", self.in_type, x.shape, image)
        if self.by == "value":
            return slide_max(*_plain(w), x)
        plan = field_blocks(whole_fields(rep))
        index = field_index(rep) if len(self.in_type) < rep.size else None
        ties = self.ties or ("mean" if image else "first")
        slide: Any = slide_longest
        if ties != "first":
            slide = functools.partial(slide_tied, slide_max, self._sharpness(ties))
        axis = -1 - self.in_type.space.dim
        return longest_field(slide, pool_fields, squared_length, *plan, index, axis, _plain(w), x)

    def _sharpness(self, ties: str) -> float | None:
        return self.beta if ties == "softmax" else None

    def export(self) -> eqx.nn.Lambda:
        """A plain function; where ``ties`` is None, with the first at ties."""
        w, rep = self.windows, self.in_type.representation
        if self.by == "value":
            return plain_layer(slide_max, *_plain(w))
        plan = plain_blocks(whole_fields(rep))
        index = jnp.asarray(field_index(rep)) if len(self.in_type) < rep.size else None
        slide = detached(slide_longest)
        if self.ties not in (None, "first"):
            slide = plain_function(slide_tied, detached(slide_max), self._sharpness(self.ties))
        functions = slide, detached(pool_fields), detached(squared_length)
        axis = -1 - self.in_type.space.dim
        return plain_layer(longest_field, *functions, *plan, index, axis, _plain(w))


def _plain(windows: Windows) -> tuple[Any, Any, Any, Any, Any]:
    w = windows
    return w.kernel_size, w.stride, w.pairs, w.dilation, w.ceil_mode


def slide_tied(slide_max, beta, kernel, stride, padding, dilation, ceil_mode, x, lengths):
    """The mean of the entries of ``x`` where ``lengths`` is largest in the window.

    Args:
        slide_max: The function of this name.
        beta: None; or the mean of all entries has weights ``exp(beta sqrt(lengths))``.
        kernel: Taps per axis.
        stride: Cells from a window to the next, per axis.
        padding: Pairs of cells before and after, per axis.
        dilation: Cells from a tap to the next, per axis.
        ceil_mode: Whether a last window may reach over the end.
        x: Any array with these axes last.
        lengths: Non-negative numbers, of the shape of ``x``.
    """
    dtype, dim = x.dtype, len(kernel)
    x = x.astype(lengths.dtype)
    fixed = jax.lax.stop_gradient(lengths)
    top = slide_max(kernel, stride, padding, dilation, ceil_mode, fixed)
    lengths = fixed if beta is None else lengths
    spread = [(0, 0, 0)] * (x.ndim - dim)
    for axis in range(-dim, 0):
        reach = (top.shape[axis] - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1
        before = padding[axis][0]
        spread.append((before, max(reach - x.shape[axis] - before, 0), 0))
    x = jax.lax.pad(x, jnp.array(0, x.dtype), spread)
    lengths = jax.lax.pad(lengths, jnp.array(-1, lengths.dtype), spread)
    least = top * (1 - 32 * jnp.finfo(top.dtype).eps)
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
