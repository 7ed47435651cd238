"""What users write for windows: integers, pairs, names and modes, checked once."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex, TypeAlias

import numpy as np

from .._arguments import flag, integer, integers, is_integer, is_several, refuse, shown
from ._arrays import PADDING_MODES
from ._windows import TORUS, Ints, Pairs, Windows

Integers: TypeAlias = SupportsIndex | Sequence[SupportsIndex] | np.ndarray
"""One integer for all spatial axes, or one per axis."""

PaddingLike: TypeAlias = Integers | Sequence[Sequence[SupportsIndex]] | str
"""Cells on both sides of all axes or of each, pairs ``(before, after)``, or a name."""

ModeLike: TypeAlias = str | Sequence[str]
"""What the added cells are, along all axes or each."""

IMAGE_PADDINGS = {
    "TORUS": ("same", TORUS),
    "SAME": ("same", "zeros"),
    "VALID": ("valid", "zeros"),
}
"""What JAX and ginjax call padding, which says the mode too."""


MOST_STEPS = 10**8
"""The largest step, size or number of cells added: products of these are 64-bit integers."""


def as_tuple(value: object, dim: int, caller: str, argument: str, minimum: int) -> Ints:
    """One integer per axis from an integer, or a sequence with one per axis.

    Args:
        value: What the user gave.
        dim: Number of spatial axes.
        caller: The layer, for messages.
        argument: Its argument, for messages.
        minimum: The smallest integer that makes sense.

    Raises:
        TypeError: If something is no integer; a boolean is none.
        ValueError: If the number of integers is not ``dim``, or one is too small or too large.
    """
    if not dim and not is_several(value):  # a point has no axes
        integer(value, caller, argument, minimum)
        return ()
    numbers = integers(value, caller, argument, minimum, count=dim)
    if max(numbers, default=0) > MOST_STEPS:
        refuse(ValueError, caller, argument, f"at most {MOST_STEPS}", value)
    return numbers


def make_windows(
    caller: str,
    dim: int,
    kernel_size: Integers,
    *,
    stride: Integers = 1,
    padding: PaddingLike | None = 0,
    dilation: Integers = 1,
    input_dilation: Integers = 1,
    padding_mode: ModeLike | None = "zeros",
    ceil_mode: object = False,
    images: bool = False,
) -> Windows:
    """Windows from a user's arguments.

    Args:
        caller: The layer, for messages.
        dim: Number of spatial axes.
        kernel_size: Taps; an integer or one per axis, like the next.
        stride: Cells from a window to the next.
        padding: Cells added on both sides: an integer, one or a pair (before, after) per axis,
            ``"same"``, ``"valid"``, or ``"causal"`` on a line.
        dilation: Cells from a tap to the next.
        input_dilation: Cells from a cell of the input to the next.
        padding_mode: A key of `PADDING_MODES`, or one per axis.
        ceil_mode: Whether a last window may reach over the end.
        images: Whether the layer takes tensor images, which know what is periodic: then there is
            the mode ``"torus"``, which None means unless the padding is given in numbers, and the
            names of `IMAGE_PADDINGS` are known.

    Raises:
        TypeError: If something is no integer, or ``ceil_mode`` no bool.
        ValueError: If a number is too small, or a mode or name unknown.
    """
    if images and isinstance(padding, str) and padding in IMAGE_PADDINGS:
        if padding_mode not in (None, TORUS):
            raise ValueError(
                f"{caller}: padding_mode: expected none with padding={padding!r}, which says it; "
                f"write padding={IMAGE_PADDINGS[padding][0]!r}, padding_mode={padding_mode!r}"
            )
        padding, padding_mode = IMAGE_PADDINGS[padding]
    if images:
        padding = "same" if padding is None else padding
        if padding_mode is None:
            padding_mode = TORUS if isinstance(padding, str) else "zeros"
    ceil_mode = flag(ceil_mode, caller, "ceil_mode")
    modes = _as_modes(padding_mode, dim, caller, images)
    found = Windows(
        as_tuple(kernel_size, dim, caller, "kernel_size", 1),
        as_tuple(stride, dim, caller, "stride", 1),
        "same",
        as_tuple(dilation, dim, caller, "dilation", 1),
        as_tuple(input_dilation, dim, caller, "input_dilation", 1),
        modes,
        ceil_mode,
    )
    if not (isinstance(padding, str) and padding == "same"):
        return dataclasses.replace(found, padding=_as_pairs(padding, found, caller))
    if {"circular", TORUS} & set(modes):
        return found  # depends on the grid
    if max(found.input_dilation) == 1 and None in found.same((1,) * dim):
        raise ValueError(
            f"{caller}: padding: 'same' needs a symmetric kernel, an odd dilation * (kernel_size - "
            f"1) + 1, else the output grid would sit half a cell off; got kernel_size "
            f"{found.kernel_size} and dilation {found.dilation}"
        )
    return found.on(caller, found.kernel_size)  # the same on every grid


def _as_modes(value: Any, dim: int, caller: str, images: bool) -> tuple[str, ...]:
    known = (TORUS, *PADDING_MODES) if images else tuple(PADDING_MODES)
    modes = tuple(value) if is_several(value) else (value,) * dim
    if len(modes) != dim or not all(isinstance(m, str) and m in known for m in modes):
        raise ValueError(
            f"{caller}: padding_mode: expected one of {', '.join(known)}, or {dim} of them, got "
            f"{shown(value)}"
        )
    return modes


def _as_pairs(value: object, windows: Windows, caller: str) -> Pairs:
    dim = len(windows.stride)
    if isinstance(value, str) and value == "valid":
        return ((0, 0),) * dim
    if isinstance(value, str) and value == "causal":
        if dim != 1:
            raise ValueError(
                f"{caller}: padding: 'causal' looks at the past of a line, got fields on R{dim}"
            )
        return ((windows.dilation[0] * (windows.kernel_size[0] - 1), 0),)
    takes = (
        f"{caller}: padding: expected an integer >= 0, {dim} of them, {dim} pairs (before, after), "
        f"'same', 'valid' or 'causal', got {shown(value)}"
    )
    if isinstance(value, (str, bytes)):
        raise ValueError(takes)
    entries: list[Any] = list(value) if is_several(value) else [value] * dim
    pairs = [list(entry) if is_several(entry) else [entry, entry] for entry in entries]
    if len(pairs) != dim or any(len(pair) != 2 for pair in pairs):
        raise ValueError(takes)
    for number in (number for pair in pairs for number in pair):
        if not is_integer(number):
            raise TypeError(takes)
        if operator.index(number) < 0:
            raise ValueError(takes)
        if operator.index(number) > MOST_STEPS:
            refuse(ValueError, caller, "padding", f"at most {MOST_STEPS}", value)
    return tuple((operator.index(before), operator.index(after)) for before, after in pairs)


def one_of(caller: str, name: str, value: object, other: str, second: object) -> Any:
    """The value of an argument, 1 by default, that goes by another name too.

    Raises:
        ValueError: If both are given.
    """
    if second is None:
        return value
    if not (is_integer(value) and value == 1):
        raise ValueError(
            f"{caller}: {other}: another name of {name}; expected one of them, got both, "
            f"{shown(value)} and {shown(second)}"
        )
    return second
