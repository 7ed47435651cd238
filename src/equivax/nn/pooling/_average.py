"""Means over sliding windows, for any field."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Float

from ..._windows import Integers, PaddingLike
from ...fields import FieldType
from .._core._plain import plain_layer
from ._sliding import slide_mean
from ._window_pool import AbstractWindowPool, pool_windows, spatial_type

PLAIN_AVG_POOLS = (eqx.nn.AvgPool1d, eqx.nn.AvgPool2d, eqx.nn.AvgPool3d)


class PointwiseAvgPool(AbstractWindowPool):
    """``y(p) = mean_q x(s p + q - padding)`` over a window, zeros of the padding counted.

    The divisor is the number of positions of the window inside the padded array, so a window that
    ``ceil_mode`` clips divides by fewer. Law: linear, hence for any field; else as
    `PointwiseMaxPool` with a dilation of 1.

    Shapes: as `PointwiseMaxPool`.
    """

    def __init__(
        self,
        in_type: FieldType,
        kernel_size: Integers,
        stride: Integers | None = None,
        padding: PaddingLike = 0,
        ceil_mode: bool = False,
        *,
        grid_check: str | None = None,
    ) -> None:
        """Checks the windows.

        Args:
            in_type: A `FieldType` of any fields.
            kernel_size: As in `PointwiseMaxPool`, like the rest.
            stride: Cells from a window to the next.
            padding: Zeros added on both sides.
            ceil_mode: Whether a last window may reach over the end.
            grid_check: On a grid where it cannot be exact.

        Raises:
            ValueError: If a number does not fit.
            TypeError: If ``in_type`` is no `FieldType`, or a number no integer.
        """
        name = "PointwiseAvgPool"
        type_ = spatial_type(name, in_type, "InvariantPool")
        windows = pool_windows(name, type_, kernel_size, stride, padding, 1, ceil_mode)
        self._set_up(type_, windows, grid_check)

    def _pooled(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        w = self.windows
        return slide_mean(w.kernel_size, w.stride, w.pairs, w.ceil_mode, x)

    def export(self) -> eqx.nn.Pool | eqx.nn.Lambda:
        """`equinox.nn.AvgPool2d` (1d, 3d); in ceil mode a plain function.

        Equinox divides clipped windows by the full size.
        """
        w = self.windows
        if w.ceil_mode:
            return plain_layer(slide_mean, w.kernel_size, w.stride, w.pairs, w.ceil_mode)
        return PLAIN_AVG_POOLS[len(w.kernel_size) - 1](w.kernel_size, w.stride, w.pairs)
