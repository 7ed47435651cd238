"""The steerable U-Net: from fields to fields."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from .._arguments import arrays, integers
from ..fields import FieldType
from ..nn import (
    AbstractContainer,
    AbstractModule,
    Conv,
    Layer,
    PointwiseAvgPoolAntialiased,
    Sequential,
)
from ..nn.authoring import as_grid_check, plain_steps, resize
from ..representations import Representation
from ._choices import (
    MOST,
    Basis,
    checked_basis,
    checked_fields,
    checked_odd,
    checked_unit,
    dropped,
)
from ._residual import Activation, AxisName, activated, batch_norm, default_activation
from ._u_shape import u_shaped


class FieldUNet(AbstractContainer):
    """A steerable U-Net: from fields to fields on the same grid, such as masks, flows or forces.

    On every level two convolutions with norm and nonlinearity. Downwards the grid is blurred and
    halved, ``L' = (L + 1) / 2``; upwards it is interpolated back to ``2 L' - 1`` by `Upsampling`,
    convolved, and the fields of the way down stand beside it (a direct sum of types). A 1 x 1
    convolution makes the output.

    Law: ``f(g x) = g f(x)``, exactly for the elements that map the grid to itself, up to resampling
    for the others.

    Shapes: ``(..., c_in, *sides) -> (..., c_out, *sides)``, sides ``2^n m + 1`` for ``n + 1``
    levels; the call is ``(x, state) -> (y, state)``.
    """

    down: tuple[Sequential, ...]
    pools: tuple[AbstractModule, ...]
    ups: tuple[Sequential, ...]
    merges: tuple[Sequential, ...]
    head: Conv
    in_type: FieldType = eqx.field(static=True)
    out_type: FieldType = eqx.field(static=True)

    def __init__(
        self,
        in_type: FieldType,
        out_type: FieldType,
        *,
        channels: Sequence[int] = (32, 64, 128, 256),
        unit: Representation | None = None,
        kernel_size: int = 3,
        activation: Activation = default_activation,
        basis: Basis = "harmonic",
        dropout: float | int = 0.0,
        grid_check: str = "warn",
        axis_name: AxisName = None,
        key: PRNGKeyArray,
    ) -> None:
        """Builds the levels.

        Args:
            in_type: Type of the input.
            out_type: Type of the output, on the same space.
            channels: Per level, the finest first: as many copies of ``unit`` as fit, at least one.
            unit: What is copied: the regular representation by default; needed for infinite groups.
            kernel_size: Of all convolutions but the last, odd.
            activation: From a type to a layer with that ``out_type``.
            basis: Of the kernels, as in `Conv`: its name, or a record such as
                ``kernels.Harmonic(frequency_cutoff=3)``.
            dropout: Probability to drop a field at a point, behind every nonlinearity.
            grid_check: As in `Conv`.
            axis_name: Of the batch norms: the named axes of ``vmap`` or ``shard_map``.
            key: A JAX key.

        Raises:
            ValueError: If the spaces differ, a number does not fit, or ``unit`` is missing.
            TypeError: If a type or a number is of another kind.
        """
        space = checked_fields("UNet", "in_type", in_type)
        if checked_fields("UNet", "out_type", out_type) != space:
            raise ValueError(
                f"UNet: out_type: expected fields on {space!r}, where in_type lives, got "
                f"{out_type!r}"
            )
        given, channels = channels, integers(channels, "UNet", "channels", 1, MOST)
        if len(channels) < 2:
            raise ValueError(
                f"UNet: channels: expected two or more numbers, one per level, got {given!r}"
            )
        grid_check = as_grid_check(grid_check, "UNet")
        kernel_size, key = checked_odd("UNet", kernel_size), arrays.key(key, "UNet")
        unit, basis = checked_unit("UNet", space, unit), checked_basis("UNet", basis)
        widths = [FieldType.for_channels(space, unit, width) for width in channels]
        keys = iter(jax.random.split(key, 5 * len(widths)))

        def unit_of(source: FieldType, target: FieldType) -> list[Layer]:
            act = activated("UNet", activation, target)
            conv = Conv(
                source,
                act.in_type,
                kernel_size,
                padding=kernel_size // 2,
                use_bias=False,
                basis=basis,
                key=next(keys),
            )
            return [
                conv,
                batch_norm(act.in_type, axis_name),
                act,
                *dropped("UNet", target, dropout),
            ]

        sources = [in_type, *widths[:-1]]
        self.down = tuple(
            Sequential(*unit_of(source, width), *unit_of(width, width))
            for source, width in zip(sources, widths, strict=True)
        )
        self.pools = tuple(
            PointwiseAvgPoolAntialiased(width, 0.66, 2, grid_check=grid_check)
            for width in widths[:-1]
        )
        levels = list(range(len(widths) - 1))
        self.ups = tuple(Sequential(*unit_of(widths[level + 1], widths[level])) for level in levels)
        self.merges = tuple(
            Sequential(
                *unit_of(widths[level] + widths[level], widths[level]),
                *unit_of(widths[level], widths[level]),
            )
            for level in levels
        )
        # A head of scalars leaves other irreps out on purpose.
        self.head = Conv(widths[0], out_type, 1, warn_unused=False, key=next(keys))
        self.in_type = in_type
        self.out_type = out_type

    def is_stateful(self) -> bool:
        """The batch norms are."""
        return True

    def _forward(
        self, x: Array, state: eqx.nn.State | None, key: PRNGKeyArray | None
    ) -> tuple[Array, eqx.nn.State | None]:
        dim = self.in_type.space.dim
        enlarge, join = functools.partial(onto, dim), [functools.partial(beside, dim)]
        parts = self.down, self.pools, enlarge, self.ups, len(self.ups) * join, self.merges
        return u_shaped(*parts, self.head, x, state, key)

    def evaluate_output_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of the output: the grid stays."""
        self.down[0].evaluate_output_shape(shape)
        axis = len(shape) - 1 - self.in_type.space.dim
        return (*shape[:axis], self.out_type.size, *shape[axis + 1 :])

    def export(self, state: eqx.nn.State | None = None) -> eqx.nn.Lambda:
        """A layer without state that holds the exported parts; it takes one example."""
        dim = self.in_type.space.dim
        parts = (
            [block.export(state) for block in self.down],
            [pool.export() for pool in self.pools],
            functools.partial(onto, dim),
            [block.export(state) for block in self.ups],
            [functools.partial(beside, dim)] * len(self.ups),
            [block.export(state) for block in self.merges],
            self.head.export(),
        )
        return eqx.nn.Lambda(plain_steps(u_shaped, *parts))


def onto(dim: int, x: Array, skip: Array) -> Array:
    """On the grid of a skip; cell ``i`` of the coarse grid falls on cell ``2 i`` of it."""
    return resize(x, ratios=None, size=skip.shape[-dim:], nearest=False, align_corners=True)


def beside(dim: int, x: Array, skip: Array) -> Array:
    """The channels of both, those of the skip first."""
    return jnp.concatenate([skip, x], axis=-1 - dim)
