"""Windows on a grid of tokens, which see their own window only: as a mask, or as batch axes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int

from ..._arguments import flag, integer, integers
from ..._windows import Integers
from ...spaces import GSpace
from .._core._admission import MOST_CHANNELS
from .._core._cells import MOST_CELLS, check_sides, check_space, moved_cells

_NAME = "window_mask"

#: Pairs of tokens beyond which no table is made.
MOST_PAIRS = 1 << 28


def window_mask(
    space: GSpace,
    grid: Integers,
    window: Integers,
    *,
    shift: Integers = 0,
    torus: bool = False,
    extra: int = 0,
) -> Bool[np.ndarray, "tokens tokens"]:
    """Which tokens share a window, as ``mask=`` of `MultiheadAttention` (Liu et al. 2021).

    Windows tile the grid of cells, from its corner or ``shift`` cells before it. Attention with
    such a mask is equivariant if the group maps windows to windows, which is checked: with mirrors
    or half turns, windows are shifted by half their size or not at all.

    Args:
        space: How the group, a finite one that turns and mirrors axes, moves cells.
        grid: Cells along every axis, equal on axes that the group exchanges.
        window: Cells of a window along every axis.
        shift: Cells by which windows are shifted.
        torus: Whether the grid goes on at its other end, as do the windows there; else those that
            reach over the end are cut.
        extra: Number of tokens in front that have no place; they see all and are seen by all.

    Returns:
        Booleans, True where a token may see another.

    Raises:
        ValueError: If the group does not map the grid, or the windows, to themselves, or windows do
            not tile the torus.
        TypeError: If an argument is of another kind.

    Examples:
        >>> import equivax as evx
        >>> space = evx.spaces.flip_rot_on_r2(4)
        >>> evx.nn.window_mask(space, 8, 4, shift=2).sum(axis=1)[:5]
        array([4, 4, 8, 8, 8])
    """
    ids = _checked_windows(_NAME, space, grid, window, shift, torus)
    front, cells = integer(extra, _NAME, "extra", 0, MOST_CHANNELS), len(ids)
    if (front + cells) ** 2 > MOST_PAIRS:
        raise ValueError(
            f"{_NAME}: grid: expected at most {MOST_PAIRS} pairs of tokens, got {front + cells} "
            "tokens; nn.window_cells makes windows batch axes"
        )
    seen = np.ones((front + cells, front + cells), bool)
    seen[front:, front:] = ids[:, None] == ids
    return seen


def window_cells(
    space: GSpace,
    grid: Integers,
    window: Integers,
    *,
    shift: Integers = 0,
    torus: bool = False,
) -> Int[np.ndarray, "windows cells"]:
    """The cells of every window, by which windows become a batch axis of attention.

    With ``cells`` as index and as positions `MultiheadAttention` does what it does with
    `window_mask`, without the products that a mask throws away: a window of w of all T tokens costs
    w / T as much. All windows have to be of one size: on a torus they are; else they divide the
    grid and are not shifted.

    Args:
        space: As in `window_mask`.
        grid: Likewise.
        window: Likewise.
        shift: Likewise.
        torus: Likewise.

    Returns:
        Numbers of cells in the raveled grid, every one once.

    Raises:
        ValueError: As `window_mask`; also if windows differ in size.
        TypeError: If an argument is of another kind.

    Examples:
        >>> import equivax as evx, jax.numpy as jnp, numpy as np
        >>> space = evx.spaces.flip_rot_on_r2(4)
        >>> cells = evx.nn.window_cells(space, 8, 4, shift=2, torus=True)
        >>> x = jnp.ones((3, 64, 16))
        >>> x[:, cells].shape
        (3, 4, 16, 16)
        >>> x[:, cells].reshape(x.shape)[:, np.argsort(cells.ravel())].shape
        (3, 64, 16)
    """
    name = "window_cells"
    ids = _checked_windows(name, space, grid, window, shift, torus)
    sizes = np.bincount(ids)
    sizes = sizes[sizes > 0]
    if sizes.min() != sizes.max():
        raise ValueError(
            f"{name}: window: expected windows of one size, got {sizes.min()} to {sizes.max()} "
            "cells; take windows that divide the sides, torus=True for shifted ones, or "
            "nn.window_mask"
        )
    return np.argsort(ids, kind="stable").astype(np.int32).reshape(len(sizes), -1)


def _checked_windows(
    caller: str,
    space: GSpace,
    grid: Integers,
    window: Integers,
    shift: Integers,
    torus: bool,
) -> Int[np.ndarray, " cells"]:
    """The number of the window of every cell.

    Raises:
        ValueError: If the group does not map the grid, or the windows, to themselves, or windows do
            not tile the torus.
        TypeError: If an argument is of another kind.
    """
    space = check_space(caller, "space", space)
    sides = check_sides(caller, "grid", space, grid)
    sizes = check_sides(caller, "window", space, window)
    steps = integers(shift, caller, "shift", 0, MOST_CELLS, count=space.dim)
    round_about = flag(torus, caller, "torus")
    if round_about and any(n % size for n, size in zip(sides, sizes, strict=True)):
        raise ValueError(
            f"{caller}: window: expected divisors of the sides {sides} of the torus, got {sizes}"
        )
    ids = _window_of(sides, sizes, steps, round_about)
    if not _is_kept(ids, moved_cells(space, sides)):
        raise ValueError(
            f"{caller}: shift: expected windows that {space!r} maps to windows, got windows "
            f"{sizes} on the grid {sides}, shifted by {steps}; take windows that divide the sides, "
            "and shift them by half their size, or not at all"
        )
    return ids


def _window_of(
    sides: tuple[int, ...], sizes: tuple[int, ...], steps: tuple[int, ...], torus: bool
) -> Int[np.ndarray, " cells"]:
    """The number of the window of every cell."""
    along = []
    for count, size, step in zip(sides, sizes, steps, strict=True):
        places = np.arange(count) + step % size
        along.append((places % count if torus else places) // size)
    grids = np.meshgrid(*along, indexing="ij")
    numbers = np.ravel_multi_index(grids, [1 + int(own.max()) for own in along])
    return np.asarray(numbers).ravel()


def _is_kept(ids: Int[np.ndarray, " cells"], moved: Int[np.ndarray, "order cells"]) -> bool:
    """Whether cells of one window are always moved to cells of one window."""
    first = np.unique(ids, return_index=True)[1]
    home = np.zeros(ids.max() + 1, np.int64)
    home[ids[first]] = first
    images = ids[moved]
    return bool(np.array_equal(images, images[:, home[ids]]))
