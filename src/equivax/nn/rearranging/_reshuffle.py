"""`Reshuffle`: the same fields in another order."""

from __future__ import annotations

import operator

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import is_integer, is_several, shown
from ...fields import Type
from .._core._channels import take_channels
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_layer
from .._core._select import channels_of, number_of_fields, select_fields


class Reshuffle(AbstractModule):
    """Field ``i`` of the output is field ``permutation[i]`` of the input.

    Shapes: unchanged.
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    permutation: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, in_type: Type, permutation: object) -> None:
        """Stores the order.

        Args:
            in_type: A type of any fields.
            permutation: Positions of fields, each once.

        Raises:
            ValueError: If it is no permutation of the fields.
            TypeError: If it is no sequence of integers.
        """
        representation_of(in_type, "Reshuffle", "in_type")
        count = number_of_fields(in_type)
        takes = f"Reshuffle: permutation: expected the positions 0 to {count - 1}, each once"
        if not is_several(permutation):
            raise TypeError(f"{takes}, got {shown(permutation)}")
        for entry in permutation:
            if not is_integer(entry):
                raise TypeError(f"{takes}, got the entry {shown(entry)}")
        order = tuple(operator.index(entry) for entry in permutation)
        if sorted(order) != list(range(count)):
            raise ValueError(f"{takes}, got {list(order)}")
        self.in_type = in_type
        self.out_type = select_fields(in_type, order)
        self.permutation = order

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        channels = channels_of(self.in_type, self.permutation)
        return take_channels(x, channels, channel_axis(self.in_type))

    def export(self) -> eqx.nn.Lambda:
        """`equinox.nn.Lambda` of a gather."""
        return gather_layer(channels_of(self.in_type, self.permutation), self.in_type)


def gather_layer(channels: np.ndarray, type_: Type) -> eqx.nn.Lambda:
    """A plain layer that rearranges the channels of an example of a type."""
    return plain_layer(rearranged, channels, channel_axis(type_))


def rearranged(channels: np.ndarray | Array, axis: int, x: Array) -> Array:
    """`take_channels` with the example last."""
    return take_channels(x, channels, axis)
