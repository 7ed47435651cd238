"""Windows of a convolution on images that may be periodic: how many, where, with which cells.

Output cell ``i`` sees the cells ``s i - before + r a`` of the input after ``l - 1`` zeros were
inserted between its cells; ``span = r (M - 1)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ._arguments import is_integer

NAMES = ("TORUS", "SAME", "VALID")


class Windows(NamedTuple):
    """Settings of every axis.

    Attributes:
        lengths: Cells of the input.
        kernel: Taps.
        stride: Cells from a window to the next.
        before: Cells added before the first.
        after: Cells added after the last.
        lhs: Dilation of the input.
        rhs: Dilation of the kernel.
        wraps: Whether the added cells are those of the other end.
        counts: Windows.
    """

    lengths: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    lhs: tuple[int, ...]
    rhs: tuple[int, ...]
    wraps: tuple[bool, ...]
    counts: tuple[int, ...]

    @property
    def asymmetric(self) -> tuple[int, ...]:
        """Axes whose mirror image of all windows is another set of windows.

        Symmetric means ``s (L - 1) = l (N - 1) + 2 before - span``, on a torus with ``s`` dividing
        its period ``l N``: ``2 before - span + s - l = 0`` modulo the period.
        """
        return tuple(axis for axis in range(len(self.lengths)) if not self._is_symmetric(axis))

    def _is_symmetric(self, axis: int) -> bool:
        n, s, lhs, before = (v[axis] for v in (self.lengths, self.stride, self.lhs, self.before))
        span = self.rhs[axis] * (self.kernel[axis] - 1)
        if s * (self.counts[axis] - 1) == lhs * (n - 1) + 2 * before - span:
            return True
        if not self.wraps[axis] or lhs * n % s:
            return False
        return (2 * before - span + s - lhs) % (lhs * n) == 0

    def apply(self, x: Array) -> tuple[Array, list[tuple[int, int]], tuple[int, ...]]:
        """Wraps the last axes of an array.

        Returns:
            The array, and the zeros and the dilation that are left for the convolution.
        """
        first = x.ndim - len(self.lengths)
        pairs = list(zip(self.before, self.after, strict=True))
        if not any(self.wraps):
            return x, pairs, self.lhs
        dilated = [(0, 0, 0)] * first
        wrapped = [(0, 0)] * first
        for wraps, lhs, pair in zip(self.wraps, self.lhs, pairs, strict=True):
            # The period of the dilated signal ends with zeros too.
            dilated.append((0, lhs - 1, lhs - 1) if wraps else (0, 0, 0))
            wrapped.append(pair if wraps else (0, 0))
        if any(high for _, high, _ in dilated):
            x = jax.lax.pad(x, jnp.zeros((), x.dtype), dilated)
        x = jnp.pad(x, wrapped, mode="wrap") if x.size else jnp.pad(x, wrapped)
        left = [(0, 0) if w else p for w, p in zip(self.wraps, pairs, strict=True)]
        return x, left, tuple(1 if w else n for w, n in zip(self.wraps, self.lhs, strict=True))


def as_padding(padding: Any, D: int, caller: str) -> Any:
    """None, a name, or pairs ``(before, after)`` per axis.

    Raises:
        ValueError: If it is none of these.
    """
    if padding is None or (isinstance(padding, str) and padding in NAMES):
        return padding
    if is_integer(padding):
        padding = [(padding, padding)] * D
    fits = (
        isinstance(padding, (tuple, list))
        and len(padding) == D
        and all(isinstance(p, (tuple, list)) and len(p) == 2 for p in padding)
        and all(is_integer(n) and n >= 0 for p in padding for n in p)
    )
    if not fits:
        raise ValueError(
            f"{caller}: padding: expected None, one of {', '.join(NAMES)}, an integer >= 0, or {D} "
            f"pairs (before, after), got {padding!r}"
        )
    return tuple((int(a), int(b)) for a, b in padding)


def make_windows(
    caller: str,
    lengths: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Any,
    lhs: Sequence[int] | None,
    rhs: Sequence[int],
    is_torus: Sequence[bool],
) -> Windows:
    """The windows over an image.

    Args:
        caller: Who asks, for messages.
        lengths: Cells per axis.
        kernel: Taps per axis.
        stride: Per axis.
        padding: As `as_padding` returns it; None is ``"TORUS"`` if an axis is periodic, else
            ``"SAME"``.
        lhs: Dilation of the input per axis, or None.
        rhs: Dilation of the kernel per axis.
        is_torus: Which axes are periodic.

    Raises:
        ValueError: If an axis cannot be padded evenly, or is too short.
    """
    if padding is None:
        padding = "TORUS" if any(is_torus) else "SAME"
    if lhs is not None and any(n > 1 for n in lhs) and padding in ("SAME", "VALID"):
        raise ValueError(
            f"{caller}: padding: expected explicit pairs with lhs_dilation {tuple(lhs)} (or "
            f"'TORUS' on a periodic image), got {padding!r}"
        )
    spread = (1,) * len(lengths) if lhs is None else tuple(lhs)
    pairs, counts = [], []
    for axis, length in enumerate(lengths):
        s, r, m, n = stride[axis], rhs[axis], kernel[axis], spread[axis] * (lengths[axis] - 1) + 1
        span = r * (m - 1)
        wraps = padding == "TORUS" and is_torus[axis]
        if padding == "VALID":
            pair = (0, 0)
        elif isinstance(padding, str):
            pair = _even(caller, axis, padding, m, s, span, spread[axis] * length)
        else:
            pair = padding[axis]
        cells = spread[axis] * length if wraps else n
        count = (cells + sum(pair) - span - 1) // s + 1
        if count < 1:
            raise ValueError(
                f"{caller}: x: expected at least {span + 1 - sum(pair)} cells along spatial axis "
                f"{axis}, since a window spans {span + 1} and the padding adds {sum(pair)}, got "
                f"{cells}"
            )
        pairs.append(pair)
        counts.append(count)
    return Windows(
        tuple(lengths),
        tuple(kernel),
        tuple(stride),
        tuple(p[0] for p in pairs),
        tuple(p[1] for p in pairs),
        spread,
        tuple(rhs),
        tuple(padding == "TORUS" and flag for flag in is_torus),
        tuple(counts),
    )


def _even(
    caller: str, axis: int, padding: str, m: int, s: int, span: int, period: int
) -> tuple[int, int]:
    """Equal padding on both sides."""
    if span % 2 == 0:
        return (span // 2, span // 2)
    room = span - s + 1
    if padding == "TORUS" and s % 2 == 0 and room >= 0 and period % s == 0:
        return (room // 2, room // 2)
    reason = (
        "the output grid would sit half a cell off"
        if padding == "SAME" or s % 2
        else f"windows of stride {s} do not fit a period of {period} cells evenly"
    )
    raise ValueError(
        f"{caller}: padding: {padding!r} cannot pad a kernel of {m} taps with stride {s} equally "
        f"on both sides of spatial axis {axis}: {reason}; use an odd kernel_size or explicit "
        "padding"
    )
