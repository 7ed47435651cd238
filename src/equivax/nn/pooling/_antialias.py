"""Pools that blur before they skip cells, so that nothing aliases (Zhang 2019)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._arguments import choice, number
from ..._windows import Integers, PaddingLike, make_windows
from ...fields import FieldType
from .._core._admission import check_permuted
from .._core._plain import plain_layer
from ._max import PLAIN_MAX_POOLS
from ._sliding import slide_dense_max, slide_sum
from ._window_pool import AbstractWindowPool, pool_windows, spatial_type

BLUR_PADDINGS = ("zero", "edge")

#: Cells beyond which a blur is refused; it would be wider than any grid.
MOST_SIGMA = 1000


class PointwiseMaxPoolAntialiased(AbstractWindowPool):
    """A maximum at every cell, a Gaussian blur, then every ``stride``-th cell.

    The blur has side ``2 round(4 sigma) + 1``, weights ``exp(-|q|^2 / (2 sigma^2))`` of sum 1, and
    half its side of padding: zeros, which darken the border, or the outermost cells. The padding
    of the user goes to the maximum alone. Law and shapes: as `PointwiseMaxPool`.
    """

    sigma: float = eqx.field(static=True)
    blur_padding: str = eqx.field(static=True)

    def __init__(
        self,
        in_type: FieldType,
        kernel_size: Integers,
        stride: Integers | None = None,
        padding: PaddingLike = 0,
        dilation: Integers = 1,
        ceil_mode: bool = False,
        sigma: float = 0.6,
        *,
        blur_padding: str = "zero",
        grid_check: str | None = None,
    ) -> None:
        """Checks the type and the windows.

        Args:
            in_type: A `FieldType` whose fields are permutation representations.
            kernel_size: Taps of the maximum; as in `PointwiseMaxPool`, like the next two.
            stride: Cells from an output to the next.
            padding: Cells added on both sides; the maximum ignores them.
            dilation: 1; there for the peers' order of arguments.
            ceil_mode: Whether a last window may reach over the end.
            sigma: Standard deviation of the blur, in cells.
            blur_padding: What the blur sees outside: "zero" or "edge" (the outermost cells).
            grid_check: As in `PointwiseMaxPool`.

        Raises:
            ValueError: If a field is not a permutation, or an argument does not fit.
            TypeError: If ``in_type`` is no `FieldType`, or a number no integer.
        """
        name = "PointwiseMaxPoolAntialiased"
        type_ = spatial_type(name, in_type, "GroupPooling")
        check_permuted(
            name,
            type_.representation,
            "a maximum channel by channel is not equivariant",
            "PointwiseAvgPoolAntialiased or NormMaxPool",
        )
        windows = pool_windows(name, type_, kernel_size, stride, padding, dilation, ceil_mode)
        if any(d != 1 for d in windows.dilation):
            raise ValueError(
                f"{name}: dilation: expected 1, since the blur is over neighbours, got "
                f"{dilation!r}; use PointwiseMaxPool"
            )
        self.sigma = _as_sigma(sigma, name)
        self.blur_padding = choice(blur_padding, name, "blur_padding", BLUR_PADDINGS)
        self._set_up(type_, windows, grid_check)

    def _pooled(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        w = self.windows
        dense = slide_dense_max(w.kernel_size, w.stride, w.pairs, w.ceil_mode, x)
        return slide_sum(*self._blur, self.blur_padding == "edge", dense)

    @property
    def _blur(self) -> tuple[Any, Any, Any]:
        """Weights, stride and padding of the blur, per axis."""
        weights, w = blur_weights(self.sigma, 4), self.windows
        half = len(weights) // 2
        dim = len(w.stride)
        return (weights,) * dim, w.stride, ((half, half),) * dim

    def export(self) -> eqx.nn.Sequential:
        """`equinox.nn.MaxPool2d` and a depthwise `equinox.nn.Conv2d` (1d, 3d).

        In ceil mode the maximum is a plain function.
        """
        w = self.windows
        if w.ceil_mode:
            arguments = (w.kernel_size, w.stride, w.pairs, w.ceil_mode)
            maximum = plain_layer(slide_dense_max, *arguments)
        else:
            maximum = PLAIN_MAX_POOLS[len(w.stride) - 1](w.kernel_size, 1, w.pairs)
        edge = self.blur_padding == "edge"
        return eqx.nn.Sequential([maximum, _plain_blur(self.in_type, *self._blur, edge)])


class PointwiseAvgPoolAntialiased(AbstractWindowPool):
    """A Gaussian blur at every ``stride``-th cell.

    The blur has side ``k = 2 round(3 sigma) + 1`` and weights ``exp(-|q|^2 / (2 sigma^2))`` of sum
    1; padding is with zeros. Law: linear, hence for any field; exact as `PointwiseAvgPool`.

    Shapes: ``(..., C, *L) -> (..., C, *n)``, ``n = floor((L + 2p - k) / s) + 1``.
    """

    sigma: float = eqx.field(static=True)

    def __init__(
        self,
        in_type: FieldType,
        sigma: float,
        stride: Integers,
        padding: PaddingLike | None = None,
        *,
        grid_check: str | None = None,
    ) -> None:
        """Checks the windows.

        Args:
            in_type: A `FieldType` of any fields.
            sigma: Standard deviation of the blur, in cells.
            stride: Cells from an output to the next; an integer, or one per axis.
            padding: Zeros added on each side, as in `PointwiseMaxPool`; half the blur if None.
            grid_check: As in `PointwiseMaxPool`.

        Raises:
            ValueError: If a number does not fit.
            TypeError: If ``in_type`` is no `FieldType`, or a number no integer.
        """
        name = "PointwiseAvgPoolAntialiased"
        type_ = spatial_type(name, in_type, "InvariantPool")
        self.sigma = _as_sigma(sigma, name)
        side = len(blur_weights(self.sigma, 3))
        dim = type_.space.dim
        windows = make_windows(
            name, dim, side, stride=stride, padding=side // 2 if padding is None else padding
        )
        if max(map(max, windows.pairs)) >= side:
            raise ValueError(
                f"{name}: padding: expected less than the side {side} of the blur, got {padding!r}"
            )
        self._set_up(type_, windows, grid_check)

    def _pooled(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return slide_sum(*self._blur, False, x)

    @property
    def _blur(self) -> tuple[Any, Any, Any]:
        """Weights, stride and padding of the blur, per axis."""
        w = self.windows
        return (blur_weights(self.sigma, 3),) * len(w.stride), w.stride, w.pairs

    def export(self) -> eqx.nn.Conv:
        """A depthwise `equinox.nn.Conv2d` (1d, 3d)."""
        return _plain_blur(self.in_type, *self._blur, False)


def blur_weights(sigma: float, reach: int) -> tuple[float, ...]:
    """Weights of a Gaussian along one axis, of sum 1, at ``2 round(reach sigma) + 1`` cells."""
    half = round(reach * sigma)
    weights = np.exp(-(np.arange(-half, half + 1.0) ** 2) / (2.0 * sigma**2))
    return tuple((weights / weights.sum()).tolist())


def _as_sigma(sigma: object, caller: str) -> float:
    return number(sigma, caller, "sigma", maximum=MOST_SIGMA, above=0)


def _plain_blur(
    in_type: FieldType,
    weights: Iterable[object],
    stride: Integers,
    padding: PaddingLike,
    edge: bool,
) -> eqx.nn.Conv:
    channels, dim = in_type.size, in_type.space.dim
    kernel = np.ones(())
    for axis_weights in weights:
        kernel = np.multiply.outer(kernel, np.asarray(axis_weights))
    layer = eqx.filter_eval_shape(
        (eqx.nn.Conv1d, eqx.nn.Conv2d, eqx.nn.Conv3d)[dim - 1],
        channels,
        channels,
        kernel.shape,
        stride=stride,
        padding=padding,
        groups=channels,
        use_bias=False,
        padding_mode="REPLICATE" if edge else "ZEROS",
        key=jax.random.key(0),
    )
    stacked = np.broadcast_to(kernel, (channels, 1, *kernel.shape))
    weight = jnp.asarray(stacked, jnp.result_type(float))
    return eqx.tree_at(lambda tree: tree.weight, layer, weight)
