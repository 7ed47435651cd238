"""Windows that slide over a grid: where they lie, how many there are, what fills the cells around.

Window ``i`` of an axis of ``L`` cells covers the cells ``s i - p + d q``, ``0 <= q < k``, after
``l - 1`` zeros were put between neighbouring cells. ``p`` cells are added before the first and
``p'`` after the last one, so that there are

    n = floor((l (L - 1) + p + p' - d (k - 1)) / s) + 1

windows. The mirror image of all windows is the set itself if and only if ``(n - 1) s = l (L - 1) +
2 p - d (k - 1)``: else a layer looks at one end of the axis and not at the other. Where the added
cells are those of the other end, the axis is a circle of ``l L`` cells, and equality modulo that is
enough.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from jaxtyping import Array

from ._arrays import at_centres, same_padding, window_count

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]

TORUS = "torus"
"""The mode of tensor images: circular along periodic axes, zeros along the others."""

MOST_CELLS = 10**10
"""Most cells of a grid with what is put around and between them."""


@dataclasses.dataclass(frozen=True)
class Windows:
    """Sliding windows as a user asked for them; every tuple has one entry per spatial axis.

    Attributes:
        kernel_size: Taps ``k``.
        stride: Cells ``s`` from a window to the next.
        padding: Cells ``(p, p')`` added before and after; or ``"same"``, where that depends on the
            grid.
        dilation: Cells ``d`` from a tap to the next.
        input_dilation: Cells ``l`` from a cell of the input to the next.
        padding_mode: A key of `PADDING_MODES`, or `TORUS`.
        ceil_mode: Whether a last window may reach over the end.
    """

    kernel_size: Ints
    stride: Ints
    padding: Pairs | str
    dilation: Ints
    input_dilation: Ints
    padding_mode: tuple[str, ...]
    ceil_mode: bool = False

    def on(
        self, caller: str, lengths: Sequence[int], is_torus: Sequence[bool] | None = None
    ) -> Windows:
        """These windows on a grid: with pairs as padding, and no mode `TORUS`.

        Args:
            caller: Who asks, for messages.
            lengths: Cells ``L`` per axis.
            is_torus: Which axes are periodic, for the mode `TORUS`.

        Raises:
            ValueError: If an axis cannot be padded evenly, or is too short for one window, or no
                memory holds the cells that are added.
        """
        found = self.filled(is_torus)
        if isinstance(found.padding, str):
            pairs = found._same(lengths)
            if isinstance(pairs, str):
                raise ValueError(f"{caller}: padding: {pairs}{found._rather(lengths, is_torus)}")
            found = dataclasses.replace(found, padding=pairs)
        for axis, length in enumerate(lengths):
            if found.count(axis, length) < 1:
                window = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
                added = sum(found.pairs[axis])
                least = max(-(-(window - added - 1) // self.input_dilation[axis]) + 1, 1)
                raise ValueError(
                    f"{caller}: x: expected at least {least} cells along spatial axis {axis}, "
                    f"since a window spans {window} and the padding adds {added}, got {length}"
                )
        known = [n if isinstance(n, int) else 1 for n in lengths]
        spread = [l * n for l, n in zip(found.input_dilation, known, strict=True)]
        cells = math.prod(n + sum(pair) for n, pair in zip(spread, found.pairs, strict=True))
        if cells > max(MOST_CELLS, math.prod(known)):
            raise ValueError(
                f"{caller}: padding: expected at most {MOST_CELLS} cells with those that it and "
                f"input_dilation add, got {cells}"
            )
        return found

    def filled(self, is_torus: Sequence[bool] | None) -> Windows:
        """The same without the mode `TORUS`."""
        if TORUS not in self.padding_mode:
            return self
        modes = tuple(
            mode if mode != TORUS else "circular" if is_torus and is_torus[axis] else "zeros"
            for axis, mode in enumerate(self.padding_mode)
        )
        return dataclasses.replace(self, padding_mode=modes)

    def _same(self, lengths: Sequence[int]) -> Pairs | str:
        """The pairs that ``"same"`` stands for, or why there are none."""
        circular = tuple(mode == "circular" for mode in self.padding_mode)
        if max(self.input_dilation) > 1 and not any(circular):
            return (
                f"expected explicit pairs with input_dilation {self.input_dilation} where no axis "
                "is periodic, got 'same'"
            )
        pairs: list[tuple[int, int]] = []
        for axis, pair in enumerate(self.same(lengths)):
            if pair is None:
                k, s = self.kernel_size[axis], self.stride[axis]
                period = self.input_dilation[axis] * lengths[axis]
                return (
                    f"'same' cannot pad a kernel of {k} taps with stride {s} equally on both sides "
                    f"of spatial axis {axis}: "
                ) + (
                    f"windows of stride {s} do not fit a period of {period} cells evenly"
                    if circular[axis] and s % 2 == 0
                    else "the output grid would sit half a cell off"
                )
            pairs.append(pair)
        return tuple(pairs)

    def same(self, lengths: Sequence[int]) -> list[tuple[int, int] | None]:
        """Per axis the pair that ``"same"`` stands for, or None."""
        return same_padding(
            lengths,
            self.kernel_size,
            self.stride,
            self.dilation,
            self.input_dilation,
            [mode == "circular" for mode in self.padding_mode],
        )

    def _rather(self, lengths: Sequence[int], is_torus: Sequence[bool] | None) -> str:
        """What to do on the axis that ``"same"`` cannot pad."""
        pairs = self.same(lengths)
        if None not in pairs:
            return ""
        use = advice(self, pairs.index(None), lengths, range(len(lengths)), is_torus, kernels=True)
        return f"; use {use}" if use else ""

    @property
    def pairs(self) -> Pairs:
        """The padding as pairs, as windows on a grid have it.

        Raises:
            TypeError: If it is ``"same"``.
        """
        if isinstance(self.padding, str):
            raise TypeError("Windows: pairs: padding 'same' is known on a grid only; call on()")
        return self.padding

    # ---- facts about windows on a grid -------------------------------------------------------

    def counts(self, lengths: Sequence[int]) -> Ints:
        """Number of windows per axis; below 1 where none fits."""
        return tuple(self.count(axis, length) for axis, length in enumerate(lengths))

    def count(self, axis: int, length: int) -> int:
        """Number of windows along one axis."""
        return window_count(
            length,
            self.kernel_size[axis],
            self.stride[axis],
            self.pairs[axis],
            self.dilation[axis],
            self.input_dilation[axis],
            self.ceil_mode,
        )

    def problem(
        self, axis: int, length: int, mirrored: bool = True, periodic: bool = False
    ) -> str | None:
        """Why the windows of an axis break a symmetry of the grid, or None.

        Args:
            axis: The axis.
            length: Its cells.
            mirrored: Whether some element reverses it.
            periodic: Whether it is periodic, so that translations are symmetries too. Not asked
                for where the stride does not divide the period, nor of windows that cut the circle
                on purpose: without padding, or with another mode.
        """
        s, spread = self.stride[axis], self.input_dilation[axis]
        before, after = self.pairs[axis]
        count, period = self.count(axis, length), spread * length
        circular = self.padding_mode[axis] == "circular"
        room = spread * (length - 1) + 2 * before
        room -= self.dilation[axis] * (self.kernel_size[axis] - 1)
        off = s * (count - 1) - room
        if mirrored and (off % period if circular else off):
            formula = "L + 2p - d(k-1) - 1" if spread == 1 else "l(L-1) + 2p - d(k-1)"
            return "the windows do not lie evenly, " + (
                f"({formula}) mod s = {room % s}, not 0"
                if room % s
                else f"{before} cells of padding before and {after} after"
            )
        if periodic and (before or after) and not self.goes_round(axis, length):
            return (
                f"{count} windows do not go round a circle of {period} cells once, which breaks "
                "translations"
            )
        return None

    def goes_round(self, axis: int, length: int) -> bool:
        """Whether the windows of a circle that the stride divides go round it once."""
        s, period = self.stride[axis], self.input_dilation[axis] * length
        if self.padding_mode[axis] != "circular" or period % s:
            return True
        return self.count(axis, length) * s == period

    def described(self, axis: int, length: int) -> str:
        """The numbers that `problem` speaks of."""
        spread = self.input_dilation[axis]
        return (
            f"spatial axis {axis} with L = {length}, k = {self.kernel_size[axis]}, "
            f"s = {self.stride[axis]}, p = {self.pairs[axis][0]}, d = {self.dilation[axis]}"
            + (f", l = {spread}" if spread > 1 else "")
        )

    def centres(self, lengths: Sequence[int]) -> tuple[tuple[Ints, int], ...]:
        """Where the middle of every window lies, per axis, as numerators and a denominator."""
        found = []
        for axis, count in enumerate(self.counts(lengths)):
            first = self.dilation[axis] * (self.kernel_size[axis] - 1) - 2 * self.pairs[axis][0]
            steps = range(first, first + 2 * self.stride[axis] * count, 2 * self.stride[axis])
            found.append((tuple(steps), 2 * self.input_dilation[axis]))
        return tuple(found)

    def metric(self, values: Array, lengths: Sequence[int]) -> Array:
        """A metric ``(..., *spatial, D, D)`` at the middle of every window."""
        circular = tuple(mode == "circular" for mode in self.padding_mode)
        return at_centres(values, self.centres(lengths), circular, 2)

    @property
    def settings(self) -> dict[str, Any]:
        """What `correlate` wants to know."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "input_dilation": self.input_dilation,
            "modes": self.padding_mode,
        }


def advice(
    windows: Windows,
    axis: int,
    lengths: Sequence[int],
    mirrored: Sequence[int],
    is_torus: Sequence[bool] | None,
    *,
    largest_padding: Sequence[int] | None = None,
    kernels: bool = False,
) -> str:
    """Changes near what was given that mend the windows of an axis; "" if there are none.

    Every one is tried before it is said. A padding or kernel is meant for all axes that have the
    settings of this one: those that a group exchanges must stay equal.

    Args:
        windows: As the user gave them.
        axis: The axis.
        lengths: Cells per axis.
        mirrored: Axes that the group reverses.
        is_torus: Which axes are periodic.
        largest_padding: Per axis, what the layer takes.
        kernels: Whether another kernel will do.
    """
    settings = list(zip(*_per_axis(windows), strict=True))
    alike = [a for a, own in enumerate(settings) if own == settings[axis]]

    def fits(other: Windows, length: int | None = None) -> bool:
        sides = [length or n if a == axis else n for a, n in enumerate(lengths)]
        chosen = [axis] if length else alike
        return _fits(other, chosen, sides, mirrored, is_torus)

    length, step = lengths[axis], windows.stride[axis]
    below = (n for n in range(length - 1, max(length - 2 * step, 1) - 1, -1) if fits(windows, n))
    above = (n for n in range(length + 1, length + 2 * step + 1) if fits(windows, n))
    near = [str(n) for n in (next(below, None), next(above, None)) if n is not None]
    found = [f"a length of {' or '.join(near)}"] if near else []

    k = windows.kernel_size[axis]
    reach = windows.dilation[axis] * k
    before = reach // 2 if isinstance(windows.padding, str) else windows.padding[axis][0]
    most = before + max(step, reach) if largest_padding is None else largest_padding[axis]
    for taps in (k, k + 1, k - 1) if kernels else (k,):
        sizes = tuple(taps if a in alike else n for a, n in enumerate(windows.kernel_size))
        for p in sorted(range(most + 1), key=lambda p: (abs(p - before), p)):
            if isinstance(windows.padding, str):
                pairs = ((p, p),) * len(lengths)
            else:
                pairs = tuple((p, p) if a in alike else q for a, q in enumerate(windows.padding))
            other = dataclasses.replace(windows, kernel_size=sizes, padding=pairs)
            if taps > 0 and fits(other):
                what = f"kernel_size={taps}, padding={p}"
                found.append(what if kernels else f"a padding of {p} on both sides")
                return ", or ".join(found)
    return ", or ".join(found)


def _per_axis(windows: Windows) -> list[Sequence[Any]]:
    listed = [getattr(windows, field.name) for field in dataclasses.fields(windows)]
    return [v if isinstance(v, tuple) else (v,) * len(windows.stride) for v in listed]


def _fits(
    windows: Windows,
    axes: Sequence[int],
    lengths: Sequence[int],
    mirrored: Sequence[int],
    is_torus: Sequence[bool] | None,
) -> bool:
    """Whether there are windows, and no problem on some axes."""
    windows = windows.filled(is_torus)
    if isinstance(windows.padding, str):
        pairs = windows._same(lengths)
        if isinstance(pairs, str):
            return False
        windows = dataclasses.replace(windows, padding=pairs)
    return all(
        windows.count(a, lengths[a]) > 0
        and windows.goes_round(a, lengths[a])
        and not windows.problem(a, lengths[a], a in mirrored, bool(is_torus and is_torus[a]))
        for a in axes
    )
