"""`AbstractWindowPool`: what pools with sliding windows share: all but what they compute."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..._windows import Integers, PaddingLike, Windows, as_tuple, make_windows
from ...fields import FieldType, Type
from ...images import MultiImage
from .._core._grid_rule import as_grid_check, checked_windows
from .._core._module import AbstractModule


class AbstractWindowPool(AbstractModule):
    """A pool over sliding windows, of fields of one type into fields of the same.

    Attributes:
        windows: The windows.
        grid_check: ``"raise"``, ``"warn"``, ``"off"``, or None: the first if the layer is called on
            a `MultiImage`, else the second.
    """

    in_type: FieldType = eqx.field(static=True)
    out_type: FieldType = eqx.field(static=True)
    windows: Windows = eqx.field(static=True)
    grid_check: str | None = eqx.field(static=True)

    @abc.abstractmethod
    def __init__(self, in_type: FieldType) -> None:
        """Checks the options and hands them to `_set_up`."""

    def _set_up(self, in_type: FieldType, windows: Windows, grid_check: object) -> None:
        self.in_type = in_type
        self.out_type = in_type
        self.windows = windows
        name = type(self).__name__
        self.grid_check = None if grid_check is None else as_grid_check(grid_check, name)

    @abc.abstractmethod
    def _pooled(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The formula on an array of which windows have been checked."""

    def _image_options(self, x: MultiImage) -> dict[str, Any]:
        return {"image": True}

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None, image: bool = False
    ) -> Float[Array, "..."]:
        space, windows = self.in_type.space, self.windows
        name, sides = type(self).__name__, x.shape[x.ndim - space.dim :]
        checked_windows(
            name, space, windows, sides, self.grid_check or ("raise" if image else "warn"),
            largest_padding=[k // 2 for k in windows.kernel_size],
        )  # fmt: skip
        _check_every_window_meets(name, windows, sides)
        return self._pooled(x)

    def _metric_on_output(self, metric: Array, x: MultiImage) -> Array:
        return self.windows.metric(metric, x.spatial)


def pool_windows(
    caller: str,
    in_type: FieldType,
    kernel_size: Integers,
    stride: Integers | None,
    padding: PaddingLike,
    dilation: Integers = 1,
    ceil_mode: object = False,
) -> Windows:
    """Windows from a user's arguments; the stride is the kernel if None.

    Raises:
        TypeError: If something is no integer, or ``ceil_mode`` no bool.
        ValueError: If a number is too small, or the padding above half the kernel.
    """
    dim = in_type.space.dim
    kernel = as_tuple(kernel_size, dim, caller, "kernel_size", 1)
    found = make_windows(
        caller,
        dim,
        kernel,
        stride=kernel if stride is None else stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
    )
    if any(2 * max(pair) > k for pair, k in zip(found.pairs, kernel, strict=True)):
        raise ValueError(
            f"{caller}: padding: expected at most half of kernel_size {kernel}, got {padding!r}"
        )
    return found


def _check_every_window_meets(caller: str, windows: Windows, lengths: Sequence[int]) -> None:
    """Refuses windows that see nothing but padding, since all their taps step over the array.

    Raises:
        ValueError: If there is one.
    """
    for axis, length in enumerate(lengths):
        taps = windows.dilation[axis] * np.arange(windows.kernel_size[axis])
        before = windows.pairs[axis][0]
        starts = np.arange(-before, 0, windows.stride[axis])[:, None]
        seen = (starts + taps >= 0) & (starts + taps < length)
        if not seen.any(axis=1).all():
            raise ValueError(
                f"{caller}: x: expected windows that meet the array, got spatial axis {axis} "
                f"of length {length}, which every tap of one window steps over; use a smaller "
                "dilation or padding"
            )


def spatial_type(caller: str, in_type: Type, instead: str) -> FieldType:
    """The type of fields on a grid.

    Args:
        caller: The layer, for messages.
        in_type: What the user gave.
        instead: Modules for fields at a point.

    Raises:
        TypeError: If ``in_type`` is no `FieldType`.
        ValueError: If its space is a point.
    """
    if not isinstance(in_type, FieldType):
        raise TypeError(
            f"{caller}: in_type: expected a FieldType on a grid, got {type(in_type).__name__}"
        )
    if in_type.space.dim == 0:
        raise ValueError(
            f"{caller}: in_type: expected fields on a line, plane or volume, got {in_type!r}; "
            f"use {instead}"
        )
    return in_type
