"""`Upsampling`: fields on a finer grid, by interpolation between cells or by repeating them.

Along an axis of ``L`` cells that becomes ``L'`` long, cell ``i`` is read at

- ``max((i + 1/2) L / L' - 1/2, 0)`` (bilinear),
- ``i (L - 1) / (L' - 1)`` (bilinear with ``align_corners``),
- ``floor(i L / L')`` (nearest),

with neighbours beyond the end clamped to it. Integers all, so positions are exact on the host.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import choice, flag, is_number, is_several, shown
from ..._windows import as_tuple
from ...fields import FieldType, Type
from ...images import MultiImage
from .._core._grid_rule import as_grid_check, moved_axes, report
from .._core._interpolation import resize
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_layer

MODES = ("bilinear", "nearest")


class Upsampling(AbstractModule):
    """Fields on a finer (or coarser) grid; the interpolation is linear along every axis.

    Law: commutes with every element that maps the grid to itself, if all axes that the group
    exchanges scale alike; ``mode="nearest"`` if moreover every ``L'`` is a multiple of ``L``. Other
    elements are interpolated: ``f(g x) = g f(x)`` holds up to the resolution of the grid.

    Shapes: ``(..., n, *spatial) -> (..., n, *spatial')``, any dimension above 0.
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    scale_factor: tuple[float, ...] | None = eqx.field(static=True)
    size: tuple[int, ...] | None = eqx.field(static=True)
    mode: str = eqx.field(static=True)
    align_corners: bool = eqx.field(static=True)
    grid_check: str = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        scale_factor: object = None,
        *,
        size: object = None,
        mode: str = "bilinear",
        align_corners: bool = False,
        grid_check: str = "warn",
    ) -> None:
        """Stores the options.

        Args:
            in_type: Fields on a line, a plane or in space.
            scale_factor: ``L' = floor(L scale_factor)``: a positive number, or one per axis.
            size: ``L'`` itself, an integer or one per axis, in the place of ``scale_factor``.
            mode: ``"bilinear"`` (linear along every axis, for any dimension) or ``"nearest"``.
            align_corners: Whether the first and last cells keep their values (bilinear only).
            grid_check: What to do when the layer cannot commute with the group on the grid it
                meets: ``"raise"``, ``"warn"`` or ``"off"``.

        Raises:
            ValueError: If not exactly one of ``scale_factor`` and ``size`` is given, an option is
                out of range, or the fields live on a point.
            TypeError: If ``in_type`` is no type, or a number is none.
        """
        representation_of(in_type, "Upsampling", "in_type")
        dim = -1 - channel_axis(in_type)
        if dim == 0:
            raise ValueError(
                "Upsampling: in_type: expected fields on a line, a plane or in space, got "
                f"{in_type!r}, which has no spatial axes"
            )
        if (scale_factor is None) == (size is None):
            raise ValueError(
                "Upsampling: scale_factor, size: expected exactly one of them, got "
                f"{scale_factor!r} and {size!r}"
            )
        mode = choice(mode, "Upsampling", "mode", MODES)
        align_corners = flag(align_corners, "Upsampling", "align_corners")
        if align_corners and mode == "nearest":
            raise ValueError(
                "Upsampling: align_corners: has a meaning for mode='bilinear' only, got True with "
                "mode='nearest'"
            )
        self.in_type = in_type
        self.out_type = in_type
        self.scale_factor = None if scale_factor is None else _factors(scale_factor, dim)
        self.size = None if size is None else as_tuple(size, dim, "Upsampling", "size", 1)
        self.mode = mode
        self.align_corners = align_corners
        self.grid_check = as_grid_check(grid_check, "Upsampling")

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        dim = -1 - channel_axis(self.in_type)
        lengths = x.shape[x.ndim - dim :]
        targets = self._targets(lengths)
        self._check(lengths, targets)
        return resize(x, **self._rule())

    def _metric_on_output(self, metric: Array, x: MultiImage) -> Array:
        finer = resize(jnp.moveaxis(metric, (-2, -1), (0, 1)), **self._rule())
        return jnp.moveaxis(finer, (0, 1), (-2, -1))

    def _rule(self) -> dict[str, Any]:
        """The options as plain numbers; factors as exact fractions."""
        ratios = None
        if self.scale_factor is not None:
            exact = [Fraction(f).limit_denominator(10**6) for f in self.scale_factor]
            ratios = tuple((f.numerator, f.denominator) for f in exact)
        return {
            "ratios": ratios, "size": self.size, "nearest": self.mode == "nearest",
            "align_corners": self.align_corners,
        }  # fmt: skip

    def _targets(self, lengths: Sequence[int]) -> tuple[int, ...]:
        if self.size is not None:
            targets = self.size
        else:
            ratios = self._rule()["ratios"]
            targets = tuple(n * p // q for n, (p, q) in zip(lengths, ratios, strict=True))
        for axis, (length, target) in enumerate(zip(lengths, targets, strict=True)):
            if length < 1 or target < 1:
                raise ValueError(
                    f"Upsampling: x: expected a spatial axis {axis} that gives at least one cell, "
                    f"got {length} cells, which become {target}"
                )
        return targets

    def _check(self, lengths: Sequence[int], targets: Sequence[int]) -> None:
        if self.grid_check == "off":
            return
        if not isinstance(self.in_type, FieldType):
            return
        space = self.in_type.space
        mirrored, exchanged = moved_axes(space)
        problems = []
        for a, b in exchanged:
            if self.scale_factor is not None:
                alike = self.scale_factor[a] == self.scale_factor[b]
            else:
                alike = targets[a] * lengths[b] == targets[b] * lengths[a]
            if not alike:
                problems.append(
                    f"it exchanges spatial axes {a} and {b}, so they must scale alike, got "
                    f"{lengths[a]} -> {targets[a]} and {lengths[b]} -> {targets[b]}"
                )
        for axis in mirrored:
            if self.mode == "nearest" and targets[axis] % lengths[axis]:
                problems.append(
                    f"spatial axis {axis} goes from {lengths[axis]} to {targets[axis]} cells, "
                    "which is no multiple, so nearest cells lie to one side; use mode='bilinear' "
                    f"or a length of {_multiple(lengths[axis], targets[axis])}"
                )
        report("Upsampling", space, problems, self.grid_check)

    def export(self) -> eqx.nn.Lambda:
        """`equinox.nn.Lambda` of the interpolation, for inputs of any length."""
        return plain_layer(resize, **self._rule())


def _factors(value: object, dim: int) -> tuple[float, ...]:
    takes = f"Upsampling: scale_factor: expected a positive number, or {dim} of them"
    entries: list[Any] = list(value) if is_several(value) else [value] * dim
    if len(entries) != dim:
        raise ValueError(f"{takes}, got {value!r}")
    if not all(map(is_number, entries)):
        raise TypeError(f"{takes}, got {shown(value)}")
    if not all(0 < float(entry) < math.inf for entry in entries):
        raise ValueError(f"{takes}, got {shown(value)}")
    return tuple(float(entry) for entry in entries)


def _multiple(length: int, target: int) -> int:
    return max(1, round(target / length)) * length
