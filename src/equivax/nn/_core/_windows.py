"""Windows that slide over a grid: their arguments, their number, and whether they see it evenly.

Window ``i`` of an axis covers the cells ``i s - p + d q``, ``0 <= q < k``. The mirror image of
all windows is the set itself if and only if ``(n - 1) s = L + 2 p - d (k - 1) - 1`` for ``n``
windows over ``L`` cells, that is if the division in the formula of ``n`` leaves no remainder. Else
a layer looks at one end of the axis and not at the other, and commutes with no mirror or turn.
"""

from __future__ import annotations

import functools
import operator
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...spaces import GSpace, SignedPermutation

#: What a grid layer does when its windows cannot commute with the group.
GRID_CHECKS = ("raise", "warn", "off")

_MOVED = 1e-9
"""Entry of a matrix from which a point counts as moved: far above rounding."""


class GridWarning(UserWarning):
    """A grid layer met an input on which it cannot commute with the group."""


def as_tuple(value: Any, dim: int, caller: str, argument: str, minimum: int) -> tuple[int, ...]:
    """One integer per axis from an integer, or a sequence with one per axis.

    Args:
        value: What the user gave.
        dim: Number of spatial axes.
        caller: The layer, for messages.
        argument: Its argument, for messages.
        minimum: The smallest integer that makes sense.

    Raises:
        TypeError: If something is no integer.
        ValueError: If the number of integers is not ``dim``, or one is too small.
    """
    takes = f"expected an integer >= {minimum}, or {dim} of them"
    several = isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (str, bytes))
    entries: list[Any] = list(value) if several else [value] * dim
    if len(entries) != dim:
        raise ValueError(f"{caller}: {argument}: {takes}, got {value!r}")
    for entry in entries:
        if isinstance(entry, (bool, np.bool_)) or not hasattr(entry, "__index__"):
            raise TypeError(f"{caller}: {argument}: {takes}, got {value!r}")
    numbers = tuple(operator.index(entry) for entry in entries)
    if any(number < minimum for number in numbers):
        raise ValueError(f"{caller}: {argument}: {takes}, got {value!r}")
    return numbers


def as_grid_check(value: Any, caller: str) -> str:
    """``value`` if it is one of `GRID_CHECKS`.

    Raises:
        ValueError: If not.
    """
    if value not in GRID_CHECKS:
        raise ValueError(
            f"{caller}: grid_check: expected one of {', '.join(GRID_CHECKS)}, got {value!r}"
        )
    return value


def output_length(
    length: int,
    kernel: int,
    stride: int,
    padding: tuple[int, int],
    dilation: int,
    ceil_mode: bool = False,
) -> int:
    """Number of windows, ``floor((L + p + p' - d (k - 1) - 1) / s) + 1``; below 1 if none fits.

    Args:
        length: ``L``, cells of the axis.
        kernel: ``k``, cells of the window.
        stride: ``s``, cells from a window to the next.
        padding: ``(p, p')``, cells added before and after.
        dilation: ``d``, cells from a tap to the next.
        ceil_mode: Whether a last window may reach over the end: ceil in the place of floor, but
            no window that starts in the padding after the end.
    """
    room = length + sum(padding) - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= length + padding[0] else count


def output_lengths(
    caller: str,
    lengths: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    ceil_mode: bool = False,
) -> tuple[int, ...]:
    """`output_length` of every axis.

    Raises:
        ValueError: If an axis is too short for one window.
    """
    settings = zip(lengths, kernel, stride, padding, dilation, strict=True)
    found = tuple(output_length(*axis, ceil_mode) for axis in settings)
    for axis, count in enumerate(found):
        if count < 1:
            window = dilation[axis] * (kernel[axis] - 1) + 1
            raise ValueError(
                f"{caller}: x: expected at least {window - sum(padding[axis])} cells along spatial "
                f"axis {axis}, since a window spans {window} and the padding adds "
                f"{sum(padding[axis])}, got {lengths[axis]}"
            )
    return found


def check_grid(
    caller: str,
    space: GSpace,
    lengths: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    mode: str,
    *,
    ceil_mode: bool = False,
    largest_padding: Sequence[int] | None = None,
) -> None:
    """Says so if sliding windows cannot commute with the action on the grid.

    Args:
        caller: The layer, for messages.
        space: The space; axes along which its group moves nothing are not looked at.
        lengths: Cells of every spatial axis.
        kernel: Taps per axis.
        stride: Per axis.
        padding: Cells before and after, per axis.
        dilation: Per axis.
        mode: ``"raise"``, ``"warn"`` or ``"off"``.
        ceil_mode: As in `output_length`.
        largest_padding: Per axis, what the layer takes; bounds the advice only.

    Raises:
        ValueError: In mode ``"raise"``.
    """
    if mode == "off":
        return
    settings = list(zip(kernel, stride, padding, dilation, strict=True))
    mirrored, exchanged = moved_axes(space)
    problems = _unequal(settings, exchanged, "kernel_size, stride, padding, dilation")
    for axis in mirrored:
        k, s, (before, after), d = settings[axis]
        count = output_length(lengths[axis], *settings[axis], ceil_mode)
        room = lengths[axis] + 2 * before - d * (k - 1) - 1
        if count < 1 or (count - 1) * s == room:
            continue
        limit = before + s if largest_padding is None else largest_padding[axis]
        why = (
            f"(L + 2p - d(k-1) - 1) mod s = {room % s}, not 0"
            if room % s
            else f"{before} cells of padding before and {after} after"
        )
        problems.append(
            f"spatial axis {axis} with L = {lengths[axis]}, k = {k}, s = {s}, p = {before}, "
            f"d = {d}: {why}; use {_advice(lengths[axis], k, s, before, d, limit)}"
        )
    report(caller, space, problems, mode)


def check_exchanged(
    caller: str, space: GSpace, argument: str, values: Sequence[Any], mode: str
) -> None:
    """Says so if an argument differs on axes that the group exchanges.

    Raises:
        ValueError: In mode ``"raise"``.
    """
    if mode != "off":
        report(caller, space, _unequal(list(values), moved_axes(space)[1], argument), mode)


def report(caller: str, space: GSpace, problems: Sequence[str], mode: str) -> None:
    """Raises or warns if there are problems.

    Raises:
        ValueError: In mode ``"raise"``.
    """
    if not problems:
        return
    text = (
        f"{caller}: cannot commute with {space!r} on this grid: {'; '.join(problems)} "
        '(grid_check="off" silences this)'
    )
    if mode == "raise":
        raise ValueError(text)
    warnings.warn(text, GridWarning, stacklevel=3)


@functools.lru_cache(maxsize=256)
def moved_axes(space: GSpace) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """What a group does to the axes of an array.

    Returns:
        The axes along which windows must lie symmetrically, since some element reverses them or
        turns them by an angle that is no quarter turn; and the pairs of axes that it exchanges.
    """
    dim = space.dim
    mirrored: set[int] = set()
    exchanged: set[tuple[int, int]] = set()
    for matrix in space.matrices(space.group.testing_coordinates):
        exact = SignedPermutation.of(matrix)
        if exact is not None:
            mirrored.update(exact.axes[axis] for axis in exact.reverse)
            exchanged.update((a, b) for a, b in enumerate(exact.axes) if a < b)
            continue
        flat = matrix[::-1, ::-1]  # coordinate i runs along axis d - 1 - i; signs do not matter
        moved = np.abs(flat - np.eye(dim)) > _MOVED
        mirrored.update(np.flatnonzero(moved.any(axis=0)).tolist())
        exchanged.update((a, b) for a, b in np.argwhere(moved).tolist() if a < b)
    return tuple(sorted(mirrored)), tuple(sorted(exchanged))


def _unequal(values: list[Any], exchanged: Sequence[tuple[int, int]], argument: str) -> list[str]:
    return [
        f"it exchanges spatial axes {a} and {b}, so {argument} must agree on them, got "
        f"{values[a]} and {values[b]}"
        for a, b in exchanged
        if values[a] != values[b]
    ]


def _advice(length: int, k: int, s: int, before: int, d: int, limit: int) -> str:
    """Sizes and a padding near the given ones for which the rule holds."""
    window = d * (k - 1) + 1
    over = (length + 2 * before - window) % s
    sizes = (length - over, length + s - over) if over else ()
    fits = [str(size) for size in sizes if size > 0 and size + 2 * before >= window]
    even = [
        p
        for p in range(limit + 1)
        if length + 2 * p >= window and (length + 2 * p - window) % s == 0
    ]
    advice = [f"a length of {' or '.join(fits)}"] if fits else []
    if even:
        advice.append(f"a padding of {min(even, key=lambda p: (abs(p - before), p))} on both sides")
    return ", or ".join(advice)
