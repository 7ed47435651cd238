"""Pools to a given number of cells, whatever the size of the input."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from ..._windows import Integers, as_tuple, at_centres
from ...fields import FieldType
from ...images import MultiImage
from .._core._admission import check_permuted
from .._core._grid_rule import as_grid_check, check_exchanged
from .._core._module import AbstractModule
from .._core._plain import plain_layer
from ._sliding import cell_max, cell_mean
from ._window_pool import spatial_type

_PLAIN_MEANS = (eqx.nn.AdaptiveAvgPool1d, eqx.nn.AdaptiveAvgPool2d, eqx.nn.AdaptiveAvgPool3d)
_PLAIN_MAXIMA = (eqx.nn.AdaptiveMaxPool1d, eqx.nn.AdaptiveMaxPool2d, eqx.nn.AdaptiveMaxPool3d)


class PointwiseAdaptiveAvgPool(AbstractModule):
    """The mean over each of ``o`` cells: cell ``i`` is ``floor(i L/o) .. ceil((i+1) L/o) - 1``.

    Cells may overlap. Law: linear, hence for any field; the rule is symmetric, so it commutes with
    every element that maps the grid to itself, if ``output_size`` agrees on axes that it exchanges.

    Shapes: ``(..., C, *L) -> (..., C, *output_size)``.
    """

    in_type: FieldType = eqx.field(static=True)
    out_type: FieldType = eqx.field(static=True)
    output_size: tuple[int, ...] = eqx.field(static=True)
    grid_check: str = eqx.field(static=True)

    def __init__(
        self, in_type: FieldType, output_size: Integers, *, grid_check: str = "warn"
    ) -> None:
        """Checks the size.

        Args:
            in_type: A `FieldType` of any fields.
            output_size: Number of cells; an integer, or one per axis.
            grid_check: What to do if it differs on axes that the group exchanges: "raise", "warn"
                or "off".

        Raises:
            ValueError: If a number does not fit.
            TypeError: If ``in_type`` is no `FieldType`, or a number no integer.
        """
        name = "PointwiseAdaptiveAvgPool"
        type_ = spatial_type(name, in_type, "InvariantPool")
        self.output_size = as_tuple(output_size, type_.space.dim, name, "output_size", 1)
        self.grid_check = as_grid_check(grid_check, name)
        check_exchanged(name, type_.space, "output_size", self.output_size, self.grid_check)
        self.in_type = in_type
        self.out_type = in_type

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        return cell_mean(self.output_size, x)

    def _metric_on_output(self, metric: Array, x: MultiImage) -> Array:
        return _metric_of_cells(metric, x.spatial, self.output_size)

    def export(self) -> eqx.nn.AdaptivePool | eqx.nn.Lambda:
        """`equinox.nn.AdaptiveAvgPool2d` (1d, 3d) for one cell, else a plain function.

        Equinox makes the first cells longer where the division leaves a remainder.
        """
        if set(self.output_size) == {1}:
            return _PLAIN_MEANS[len(self.output_size) - 1](self.output_size)
        return plain_layer(cell_mean, self.output_size)


class PointwiseAdaptiveMaxPool(AbstractModule):
    """The maximum over each of ``o`` cells: cell ``i`` is ``floor(i L/o) .. ceil((i+1) L/o) - 1``.

    Cells may overlap. Law: as `PointwiseAdaptiveAvgPool`, for fields that the group permutes.

    Shapes: ``(..., C, *L) -> (..., C, *output_size)``.
    """

    in_type: FieldType = eqx.field(static=True)
    out_type: FieldType = eqx.field(static=True)
    output_size: tuple[int, ...] = eqx.field(static=True)
    grid_check: str = eqx.field(static=True)

    def __init__(
        self, in_type: FieldType, output_size: Integers, *, grid_check: str = "warn"
    ) -> None:
        """Checks the type and the size.

        Args:
            in_type: A `FieldType` whose fields are permutation representations.
            output_size: Number of cells; an integer, or one per axis.
            grid_check: What to do if it differs on axes that the group exchanges: "raise", "warn"
                or "off".

        Raises:
            ValueError: If a field is not a permutation, or a number does not fit.
            TypeError: If ``in_type`` is no `FieldType`, or a number no integer.
        """
        name = "PointwiseAdaptiveMaxPool"
        type_ = spatial_type(name, in_type, "GroupPooling")
        reason = "a maximum channel by channel is not equivariant"
        check_permuted(name, type_.representation, reason, "PointwiseAdaptiveAvgPool")
        self.output_size = as_tuple(output_size, type_.space.dim, name, "output_size", 1)
        self.grid_check = as_grid_check(grid_check, name)
        check_exchanged(name, type_.space, "output_size", self.output_size, self.grid_check)
        self.in_type = in_type
        self.out_type = in_type

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        return cell_max(self.output_size, x)

    def _metric_on_output(self, metric: Array, x: MultiImage) -> Array:
        return _metric_of_cells(metric, x.spatial, self.output_size)

    def export(self) -> eqx.nn.AdaptivePool | eqx.nn.Lambda:
        """`equinox.nn.AdaptiveMaxPool2d` (1d, 3d) for one cell, else a plain function."""
        if set(self.output_size) == {1}:
            return _PLAIN_MAXIMA[len(self.output_size) - 1](self.output_size)
        return plain_layer(cell_max, self.output_size)


def _metric_of_cells(metric: Array, lengths: Sequence[int], output_size: Sequence[int]) -> Array:
    """A metric ``(..., *spatial, D, D)`` at the middle of every cell."""
    centres = tuple(
        (tuple(i * n // o + -(-(i + 1) * n // o) - 1 for i in range(o)), 2)
        for n, o in zip(lengths, output_size, strict=True)
    )
    return at_centres(metric, centres, (False,) * len(centres), 2)
