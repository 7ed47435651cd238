"""Maxima over sliding windows, channel by channel."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Float

from ..._windows import Integers, PaddingLike
from ...fields import FieldType
from .._core._admission import check_permuted
from .._core._plain import plain_layer
from ._sliding import plain_windows, slide_max
from ._window_pool import AbstractWindowPool, pool_windows, spatial_type

PLAIN_MAX_POOLS = (eqx.nn.MaxPool1d, eqx.nn.MaxPool2d, eqx.nn.MaxPool3d)


class PointwiseMaxPool(AbstractWindowPool):
    """``y(p)_c = max_q x(s p + d q - padding)_c`` over a window, channel by channel; -inf outside.

    Law: commutes with the elements that map the grid to itself if and only if
    ``(L + 2p - d(k-1) - 1) mod s == 0`` on every axis (else see ``grid_check``); with all
    translations by multiples of the stride; with other angles approximately.

    Shapes: ``(..., C, *L) -> (..., C, *n)``, ``n = floor((L + 2p - d(k-1) - 1) / s) + 1``.

    Examples:
        >>> import equivax as evx
        >>> space = evx.spaces.rot_on_r2(4)
        >>> pool = evx.nn.PointwiseMaxPool(evx.FieldType(space, space.regular), 3, stride=2)
        >>> pool.evaluate_output_shape((4, 9, 9))
        (4, 4, 4)
    """

    def __init__(
        self,
        in_type: FieldType,
        kernel_size: Integers,
        stride: Integers | None = None,
        padding: PaddingLike = 0,
        dilation: Integers = 1,
        ceil_mode: bool = False,
        *,
        grid_check: str | None = None,
    ) -> None:
        """Checks the type and the windows.

        Args:
            in_type: A `FieldType` whose fields are permutation representations.
            kernel_size: Taps of the window; an integer, or one per axis.
            stride: Cells from a window to the next; ``kernel_size`` if None.
            padding: Cells added on each side, at most half the kernel, which the maximum ignores:
                an integer, one or a pair per axis, ``"same"`` or ``"valid"``.
            dilation: Cells from a tap to the next.
            ceil_mode: Whether a last window may reach over the end.
            grid_check: What to do on a grid where it cannot be exact: "raise", "warn" or "off";
                None: the first if it is called on a `MultiImage`, else the second.

        Raises:
            ValueError: If a field is not a permutation, or a number does not fit.
            TypeError: If ``in_type`` is no `FieldType`, or a number no integer.
        """
        name = "PointwiseMaxPool"
        type_ = spatial_type(name, in_type, "GroupPooling")
        reason = "a maximum channel by channel is not equivariant"
        check_permuted(name, type_.representation, reason, "NormMaxPool or PointwiseAvgPool")
        windows = pool_windows(name, type_, kernel_size, stride, padding, dilation, ceil_mode)
        self._set_up(type_, windows, grid_check)

    def _pooled(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return slide_max(plain_windows(self.windows), x)

    def export(self) -> eqx.nn.Pool | eqx.nn.Lambda:
        """`equinox.nn.MaxPool2d` (1d, 3d) where it is the same function, else a plain one.

        Equinox has no dilation, and in ceil mode no windows that may start in the padding.
        """
        w = self.windows
        dilated = any(d > 1 for d in w.dilation)
        same_ceil = all(
            max(p) + s <= k for k, s, p in zip(w.kernel_size, w.stride, w.pairs, strict=True)
        )
        if dilated or (w.ceil_mode and not same_ceil):
            return plain_layer(slide_max, plain_windows(w))
        plain = PLAIN_MAX_POOLS[len(w.kernel_size) - 1]
        return plain(w.kernel_size, w.stride, w.pairs, use_ceil=w.ceil_mode)
