"""`ModuleList`: layers that a model of the user's calls one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import equinox as eqx
import jax

from ..._arguments import integer
from .._core._module import Layer
from .._core._printing import printed
from .._core._stateful import exported, position


class ModuleList(eqx.Module):
    """An immutable list of equivariant layers; no types of its own and not callable.

    What `append`, `extend`, `insert` and slices give is a new list.

    Examples:
        >>> import equivax as evx
        >>> G = evx.groups.cyclic(4)
        >>> heads = evx.nn.ModuleList([evx.nn.ReLU(G.regular)]).append(evx.nn.ELU(G.regular))
        >>> len(heads), type(heads[-1]).__name__
        (2, 'ELU')
    """

    layers: tuple[Layer, ...]

    def __init__(self, layers: object = ()) -> None:
        """Checks the layers.

        Args:
            layers: Equivariant layers.

        Raises:
            TypeError: If something is no equivariant layer.
        """
        if isinstance(layers, (Layer, str, bytes, jax.Array)) or not isinstance(layers, Iterable):
            raise TypeError(
                f"ModuleList: layers: expected a list of equivariant layers, got "
                f"{type(layers).__name__}"
            )
        listed = tuple(layers)
        for index, layer in enumerate(listed):
            if not isinstance(layer, Layer):
                raise TypeError(
                    f"ModuleList: layers[{index}]: expected an equivariant layer, got "
                    f"{type(layer).__name__}; a plain tuple holds anything"
                )
        self.layers = listed

    def __repr__(self) -> str:
        """A line for every layer."""
        return printed(self)

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __getitem__(self, index: int | slice) -> Layer | ModuleList:
        """A layer, or for a slice the list of the chosen layers."""
        if isinstance(index, slice):
            return ModuleList(self.layers[index])
        return self.layers[position(index, "ModuleList", len(self))]

    def append(self, layer: object) -> ModuleList:
        """A new list with one layer more at the end."""
        return ModuleList((*self.layers, layer))

    def extend(self, layers: object) -> ModuleList:
        """A new list with more layers at the end."""
        return ModuleList((*self.layers, *ModuleList(layers)))

    def insert(self, index: int, layer: object) -> ModuleList:
        """A new list with one layer more before position ``index``, as `list.insert`."""
        at = integer(index, "ModuleList", "index")
        return ModuleList((*self.layers[:at], layer, *self.layers[at:]))

    def export(self, state: eqx.nn.State | None = None) -> tuple[Any, ...]:
        """A tuple of the exported layers.

        Args:
            state: The state of the model, if a layer has running statistics.
        """
        return tuple(exported(layer, state, f"layers[{i}]") for i, layer in enumerate(self.layers))
