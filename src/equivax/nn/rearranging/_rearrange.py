"""Layers that only rename or move fields: `Identity`, `Restriction`, `Reshuffle`."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...fields import Type
from ...groups import GroupElement, Subgroup
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_layer
from .._core._select import channels_of, number_of_fields, select_fields, take_channels


class Identity(AbstractModule):
    """``y = x``, with a type. Shapes: unchanged."""

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)

    def __init__(self, in_type: Type) -> None:
        """Stores the type.

        Args:
            in_type: Any type.

        Raises:
            TypeError: If ``in_type`` is no type.
        """
        representation_of(in_type, "Identity", "in_type")
        self.in_type = in_type
        self.out_type = in_type

    def _forward(self, x: Float[Array, "..."], key: Any = None) -> Float[Array, "..."]:
        return x

    def export(self) -> eqx.nn.Identity:
        """`equinox.nn.Identity`."""
        return eqx.nn.Identity()


class Restriction(AbstractModule):
    """``y = x``, from here on under fewer symmetries.

    Law: ``f(rho(h) x) = Res_H rho(h) f(x)`` for ``h`` in the subgroup H. `Disentangle` behind it
    splits the fields that fall apart.

    Shapes: unchanged.
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    subgroup: Subgroup = eqx.field(static=True)

    def __init__(self, in_type: Type, subgroup: Any) -> None:
        """Restricts the type.

        Args:
            in_type: Any type.
            subgroup: A `Subgroup` of its group, or whatever ``group.subgroup`` takes: a peer's id
                such as ``(None, 4)``, generators, a name, a group in its usual place.

        Raises:
            ValueError: If that is no subgroup.
            TypeError: If ``in_type`` is no type, or ``subgroup`` nothing that names a subgroup.
        """
        group = representation_of(in_type, "Restriction", "in_type").group
        try:
            inner = group.subgroup(subgroup)
        except (ValueError, TypeError) as error:
            raise type(error)(
                f"Restriction: subgroup: expected a subgroup of {group.name}, got {subgroup!r}: "
                f"{error}"
            ) from None
        self.in_type = in_type
        self.out_type = in_type.restrict(inner)
        self.subgroup = inner

    def embedding(self, element: GroupElement) -> GroupElement:
        """The element of the group of ``in_type`` that an element of the subgroup is."""
        return self.subgroup.embedding(element)

    def _forward(self, x: Float[Array, "..."], key: Any = None) -> Float[Array, "..."]:
        return x

    def export(self) -> eqx.nn.Identity:
        """`equinox.nn.Identity`."""
        return eqx.nn.Identity()


class Reshuffle(AbstractModule):
    """Field ``i`` of the output is field ``permutation[i]`` of the input.

    Shapes: unchanged.
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    permutation: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, in_type: Type, permutation: Any) -> None:
        """Stores the order.

        Args:
            in_type: Any type.
            permutation: Positions of fields, each once.

        Raises:
            ValueError: If it is no permutation of the fields.
            TypeError: If it is no sequence of integers.
        """
        representation_of(in_type, "Reshuffle", "in_type")
        count = number_of_fields(in_type)
        takes = f"Reshuffle: permutation: expected the positions 0 to {count - 1}, each once"
        if isinstance(permutation, (str, bytes)) or not isinstance(
            permutation, (Sequence, np.ndarray)
        ):
            raise TypeError(f"{takes}, got {permutation!r}")
        for entry in permutation:
            if isinstance(entry, (bool, np.bool_)) or not hasattr(entry, "__index__"):
                raise TypeError(f"{takes}, got the entry {entry!r}")
        order = tuple(operator.index(entry) for entry in permutation)
        if sorted(order) != list(range(count)):
            raise ValueError(f"{takes}, got {list(order)}")
        self.in_type = in_type
        self.out_type = select_fields(in_type, order)
        self.permutation = order

    def _forward(self, x: Float[Array, "..."], key: Any = None) -> Float[Array, "..."]:
        channels = channels_of(self.in_type, self.permutation)
        return take_channels(x, channels, channel_axis(self.in_type))

    def export(self) -> eqx.nn.Lambda:
        """`equinox.nn.Lambda` of a gather."""
        return gather_layer(channels_of(self.in_type, self.permutation))


def gather_layer(channels: np.ndarray) -> eqx.nn.Lambda:
    """A plain layer that rearranges the channels, axis 0 of one example."""
    return plain_layer(_gather, jnp.asarray(channels, jnp.int32))


def _gather(channels: jax.Array, x: jax.Array) -> jax.Array:
    return jnp.take(x, channels, axis=0)
