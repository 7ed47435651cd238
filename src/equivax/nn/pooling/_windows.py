"""`Windows`: the arguments that pools with sliding windows share, checked once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...fields import FieldType, Type
from ...spaces import hyperoctahedral_on, rotations_on
from .._core._windows import as_grid_check, as_tuple, check_grid, output_lengths


@dataclasses.dataclass(frozen=True)
class Windows:
    """Sliding windows on a grid, one integer per spatial axis.

    Attributes:
        kernel_size: Taps.
        stride: Cells from a window to the next.
        padding: Cells added on both sides.
        dilation: Cells from a tap to the next.
        ceil_mode: Whether a last window may reach over the end.
        grid_check: ``"raise"``, ``"warn"``, ``"off"``, or None: the first on tensor images, the
            second on other fields.
    """

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil_mode: bool
    grid_check: str | None

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Padding before and after."""
        return tuple((p, p) for p in self.padding)

    def check(
        self, caller: str, in_type: FieldType, shape: Sequence[int], image: bool = False
    ) -> None:
        """Looks at the shape of an input, when it is traced.

        Args:
            caller: The layer, for messages.
            in_type: Type of the input.
            shape: Its shape.
            image: Whether it is a `MultiImage`.

        Raises:
            ValueError: If no window fits, if one would see nothing but padding, or if the windows
                cannot commute with the group and ``grid_check`` is ``"raise"``.
        """
        lengths = tuple(shape[len(shape) - len(self.kernel_size) :])
        settings = (self.kernel_size, self.stride, self.pairs, self.dilation)
        output_lengths(caller, lengths, *settings, self.ceil_mode)
        for axis, length in enumerate(lengths):
            taps = self.dilation[axis] * np.arange(self.kernel_size[axis])
            starts = np.arange(-self.padding[axis], 0, self.stride[axis])[:, None]
            seen = (starts + taps >= 0) & (starts + taps < length)
            if not seen.any(axis=1).all():
                raise ValueError(
                    f"{caller}: x: expected windows that meet the array, got spatial axis {axis} "
                    f"of length {length}, which every tap of one window steps over; use a smaller "
                    "dilation or padding"
                )
        check_grid(
            caller,
            in_type.space,
            lengths,
            *settings,
            self.grid_check or ("raise" if image or of_images(in_type) else "warn"),
            ceil_mode=self.ceil_mode,
            largest_padding=[k // 2 for k in self.kernel_size],
        )


def of_images(in_type: FieldType) -> bool:
    """Whether a type is on one of the two spaces that tensor images live on by default."""
    dim = in_type.space.dim
    return in_type.space in (hyperoctahedral_on(dim), rotations_on(dim))


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


def make_windows(
    caller: str,
    in_type: FieldType,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    grid_check: Any,
) -> Windows:
    """Windows from a user's arguments.

    Raises:
        TypeError: If something is no integer, or ``ceil_mode`` no bool.
        ValueError: If a number is too small, or the padding above half the kernel.
    """
    dim = in_type.space.dim
    kernel = as_tuple(kernel_size, dim, caller, "kernel_size", 1)
    stride = as_tuple(kernel if stride is None else stride, dim, caller, "stride", 1)
    padded = as_tuple(padding, dim, caller, "padding", 0)
    dilated = as_tuple(dilation, dim, caller, "dilation", 1)
    if any(2 * p > k for p, k in zip(padded, kernel, strict=True)):
        raise ValueError(
            f"{caller}: padding: expected at most half of kernel_size {kernel}, got {padding!r}"
        )
    if not isinstance(ceil_mode, (bool, np.bool_)):
        raise TypeError(f"{caller}: ceil_mode: expected True or False, got {ceil_mode!r}")
    mode = None if grid_check is None else as_grid_check(grid_check, caller)
    return Windows(kernel, stride, padded, dilated, bool(ceil_mode), mode)
