"""`Sequential`: layers one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import equinox as eqx
from jaxtyping import Array, PRNGKeyArray

from ...fields import IrrepTensor, Type
from ...hom import Machine
from ...images import MultiImage
from .._core._folding import exported_chain
from .._core._module import AbstractContainer, Layer, channel_axis
from .._core._stateful import is_stateful, position, split_keys, step
from .._core._ways import Ways, carried, cheapest, ways_through
from ._typed_function import as_layer


class Sequential(AbstractContainer):
    """Layers one after the other; the types of neighbours must agree.

    Law: the composition of equivariant maps is equivariant. ``key=`` is split among the layers.
    With a layer inside that has running statistics, also in a nested sequence, the call is
    ``y, state = model(x, state)``; without one it is ``y = model(x)``.

    Shapes: ``(..., n_in, *spatial) -> (..., n_out, *spatial')``, as the layers have it.

    Examples:
        >>> import equivax as evx, jax
        >>> R = evx.groups.cyclic(4).regular
        >>> linear = evx.nn.Linear(R, R, key=jax.random.key(0))
        >>> model = evx.nn.Sequential({"linear": linear, "act": evx.nn.ReLU(R)})
        >>> len(model), model["act"] is model[1]
        (2, True)
    """

    layers: tuple[Layer, ...]
    names: tuple[str, ...] | None = eqx.field(static=True)
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)

    def __init__(self, *layers: object) -> None:
        """Checks that the layers fit.

        Args:
            *layers: Equivariant layers, at least one, or a single mapping from names to them.
                A callable that declares ``in_type`` and ``out_type`` is wrapped.

        Raises:
            ValueError: If there is none, or two neighbours do not fit (names both types).
            TypeError: If an argument is not an equivariant layer, or a name no string.
        """
        names = None
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            names = tuple(layers[0])
            layers = tuple(layers[0].values())
            for name in names:
                if not isinstance(name, str):
                    raise TypeError(f"Sequential: layers: expected names as keys, got {name!r}")
        if len(layers) == 1 and isinstance(layers[0], (list, tuple)):
            raise TypeError(
                f"Sequential: layers: expected layers one by one, got a "
                f"{type(layers[0]).__name__}; write Sequential(*layers)"
            )
        if not layers:
            raise ValueError("Sequential: layers: got none; a sequence needs at least one layer")
        checked: list[Layer] = []
        for index, value in enumerate(layers):
            layer = as_layer(value, f"Sequential: layers[{index}]")
            if checked and checked[-1].out_type != layer.in_type:
                raise ValueError(
                    f"Sequential: layers[{index}] ({type(layer).__name__}) takes "
                    f"{layer.in_type!r}, but the layer before it gives {checked[-1].out_type!r}"
                )
            checked.append(layer)
        self.layers = tuple(checked)
        self.names = names
        self.in_type = checked[0].in_type
        self.out_type = checked[-1].out_type

    def is_stateful(self) -> bool:
        """Whether a layer has running statistics, so that the call takes the state."""
        return any(is_stateful(layer) for layer in self.layers)

    def _forward(
        self, x: Array, state: eqx.nn.State | None, key: PRNGKeyArray | None
    ) -> tuple[Array, eqx.nn.State | None]:
        y: Any = x
        keys = split_keys(key, len(self.layers))
        for layer, own, irrep_wise in zip(self.layers, keys, self._ways(x), strict=True):
            y, state = step(layer, (carried(layer.in_type, y, irrep_wise),), state, own)
        return y.array if isinstance(y, IrrepTensor) else y, state

    def _ways(self, x: Array) -> tuple[bool, ...]:
        """Which layers take their input irrep by irrep, where that is expected to be faster."""
        return ways_through(self.layers, x)

    def costs_of_ways(self, rows: int, prices: Machine) -> Ways:
        """See `AbstractLayer`: those of the cheapest ways through the layers."""
        if channel_axis(self.in_type) != -1:
            return Ways()
        arrays, irreps = (cheapest(self.layers, rows, prices, way, way)[0] for way in (False, True))
        return Ways(arrays, irreps)

    def _forward_irreps(
        self, x: IrrepTensor, state: eqx.nn.State | None, key: PRNGKeyArray | None
    ) -> tuple[IrrepTensor, eqx.nn.State | None]:
        y: Any = x
        for layer, own in zip(self.layers, split_keys(key, len(self.layers)), strict=True):
            y, state = step(layer, (y,), state, own)
        return y, state

    def _forward_image(
        self, x: MultiImage, state: eqx.nn.State | None, key: PRNGKeyArray | None
    ) -> tuple[MultiImage, eqx.nn.State | None]:
        y: Any = x  # every layer sees the torus and the metric
        for layer, own in zip(self.layers, split_keys(key, len(self.layers)), strict=True):
            y, state = step(layer, (y,), state, own)
        return y, state

    def evaluate_output_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of the output for an input shape: that of the layers, one after the other."""
        for layer in self.layers:
            shape = layer.evaluate_output_shape(shape)
        return tuple(shape)

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __getitem__(self, index: int | slice | str) -> Layer:
        """A layer by position or name, or for a slice the sequence of the chosen layers.

        Raises:
            KeyError: If no layer has the name.
            IndexError: If the position is out of range.
        """
        if isinstance(index, str):
            if self.names is None or index not in self.names:
                told = (
                    "Sequential({name: layer}) gives names"
                    if self.names is None
                    else f"names: {', '.join(self.names)}"
                )
                raise KeyError(f"Sequential: no layer is named {index!r}; {told}")
            return self.layers[self.names.index(index)]
        if isinstance(index, slice):
            chosen = self.layers[index]
            if self.names is not None and chosen:
                return Sequential(dict(zip(self.names[index], chosen, strict=True)))
            return Sequential(*chosen)
        return self.layers[position(index, "Sequential", len(self))]

    def append(self, layer: object, name: str | None = None) -> Sequential:
        """A new sequence with one layer more.

        Args:
            layer: The layer.
            name: Its name, if the layers have names.

        Raises:
            ValueError: If a name is missing, taken, or given where the layers have none.
        """
        if self.names is None:
            if name is not None:
                raise ValueError(
                    f"Sequential: name: the layers have no names, so expected None, got {name!r}"
                )
            return Sequential(*self.layers, layer)
        if not isinstance(name, str) or name in self.names:
            raise ValueError(
                f"Sequential: name: expected one that differs from {self.names}, got {name!r}"
            )
        return Sequential({**dict(zip(self.names, self.layers, strict=True)), name: layer})

    def export(self, state: eqx.nn.State | None = None) -> eqx.nn.Sequential:
        """`equinox.nn.Sequential` of the exported layers; it takes one example.

        Args:
            state: The state of the model, if a layer has running statistics. What is affine on
                channels at inference, as batch norms are, is folded into the layer before it.
        """
        return eqx.nn.Sequential(exported_chain(self.layers, state))
