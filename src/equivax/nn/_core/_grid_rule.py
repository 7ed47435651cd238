"""The grid rule: a layer that slides windows says so where they cannot commute with the group.

Which axes matter is a fact of the group's action, whether windows lie evenly one of `Windows`.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..._arguments import refuse
from ..._windows import Windows, advice
from ...spaces import GSpace, SignedPermutation

#: What a grid layer does when its windows cannot commute with the group.
GRID_CHECKS = ("raise", "warn", "off")

_MOVED = 1e-9
"""Entry of a matrix from which a point counts as moved: far above rounding."""


class GridWarning(UserWarning):
    """A grid layer met an input on which it cannot commute with the group."""


def as_grid_check(value: object, caller: str) -> str:
    """``value`` if it is one of `GRID_CHECKS`.

    Raises:
        TypeError: If it is no text.
        ValueError: If it is another word.
    """
    if not isinstance(value, str) or value not in GRID_CHECKS:
        error = ValueError if isinstance(value, str) else TypeError
        refuse(error, caller, "grid_check", f"one of {', '.join(GRID_CHECKS)}", value)
    return value


def checked_windows(
    caller: str,
    space: GSpace,
    windows: Windows,
    lengths: Sequence[int],
    mode: str,
    *,
    is_torus: Sequence[bool] | None = None,
    largest_padding: Sequence[int] | None = None,
    kernels: bool = False,
    spacing: tuple[float, ...] | None = None,
) -> Windows:
    """Windows on a grid; says so if they cannot commute with the action on it.

    Args:
        caller: The layer, for messages.
        space: The space; axes along which its group moves nothing are not looked at.
        windows: As the user gave them.
        lengths: Cells of every spatial axis.
        mode: ``"raise"``, ``"warn"`` or ``"off"``.
        is_torus: Which axes are periodic; None if nobody knows.
        largest_padding: Per axis, what the layer takes; bounds the advice only.
        kernels: Whether to advise other kernels too.
        spacing: Distance of cells per axis, if the layer knows.

    Raises:
        ValueError: If no window fits; or in mode ``"raise"``.
    """
    found = windows.on(caller, lengths, is_torus)
    if mode == "off":
        return found
    mirrored, exchanged = moved_axes(space, spacing)
    problems = unequal_axes(windows, exchanged)
    for axis, length in enumerate(lengths):
        periodic = is_torus is not None and is_torus[axis]
        why = found.problem(axis, length, axis in mirrored, periodic)
        if why is not None:
            use = advice(
                windows, axis, lengths, mirrored, is_torus,
                largest_padding=largest_padding, kernels=kernels,
            )  # fmt: skip
            text = f"{found.described(axis, length)}: {why}"
            problems.append(f"{text}; use {use}" if use else text)
    report(caller, space, problems, mode)
    return found


def check_exchanged(
    caller: str, space: GSpace, argument: str, values: Sequence[Any], mode: str
) -> None:
    """Says so if an argument differs on axes that the group exchanges.

    Raises:
        ValueError: In mode ``"raise"``.
    """
    if mode != "off":
        report(caller, space, _unequal(values, moved_axes(space)[1], argument), mode)


def unequal_axes(windows: Windows, exchanged: Sequence[tuple[int, int]]) -> list[str]:
    """What differs on axes that a group exchanges, in words."""
    found = []
    for name in ("kernel_size", "stride", "padding", "dilation", "input_dilation", "padding_mode"):
        value = getattr(windows, name)
        if not isinstance(value, str):
            found += _unequal(value, exchanged, name)
    return found


def _unequal(
    values: Sequence[Any], exchanged: Sequence[tuple[int, int]], argument: str
) -> list[str]:
    return [
        f"it exchanges spatial axes {a} and {b}, so {argument} must agree on them, got "
        f"{values[a]} and {values[b]}"
        for a, b in exchanged
        if values[a] != values[b]
    ]


def report(caller: str, space: GSpace, problems: Sequence[str], mode: str) -> None:
    """Raises or warns if there are problems.

    Raises:
        ValueError: In mode ``"raise"``.
    """
    if not problems or mode == "off":
        return
    text = (
        f"{caller}: cannot commute with {space!r} on this grid: {'; '.join(problems)} "
        '(grid_check="off" silences this)'
    )
    if mode == "raise":
        raise ValueError(text)
    warnings.warn(text, GridWarning, stacklevel=3)


@functools.lru_cache(maxsize=256)
def moved_axes(
    space: GSpace, spacing: tuple[float, ...] | None = None
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """What a group does to the axes of an array.

    Returns:
        The axes along which windows must lie symmetrically, since some element reverses them or
        turns them by an angle that is no quarter turn; and the pairs of axes that it exchanges, if
        their cells are as far apart.
    """
    dim = space.dim
    mirrored: set[int] = set()
    exchanged: set[tuple[int, int]] = set()
    for matrix in space.element_matrices:
        exact = SignedPermutation.of(matrix)
        if exact is not None:
            mirrored.update(exact.axes[axis] for axis in exact.reverse)
            exchanged.update((a, b) for a, b in enumerate(exact.axes) if a < b)
            continue
        flat = matrix[::-1, ::-1]  # coordinate i runs along axis d - 1 - i; signs do not matter
        moved = np.abs(flat - np.eye(dim)) > _MOVED
        mirrored.update(np.flatnonzero(moved.any(axis=0)).tolist())
        exchanged.update((a, b) for a, b in np.argwhere(moved).tolist() if a < b)
    if spacing is not None:
        exchanged = {(a, b) for a, b in exchanged if spacing[a] == spacing[b]}
    return tuple(sorted(mirrored)), tuple(sorted(exchanged))
