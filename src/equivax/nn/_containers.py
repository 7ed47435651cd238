"""`Sequential` and `Identity`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from ._export import export
from ._module import AbstractModule, representation_of


class Identity(AbstractModule):
    """``y = x``, with a type. Shapes: unchanged."""

    in_type: Any = eqx.field(static=True)
    out_type: Any = eqx.field(static=True)

    def __init__(self, in_type: Any) -> None:
        """Stores the type.

        Args:
            in_type: Any type.
        """
        representation_of(in_type, "Identity", "in_type")
        self.in_type = in_type
        self.out_type = in_type

    def _forward(self, x: Float[Array, "..."], key: Any = None) -> Float[Array, "..."]:
        return x

    def export(self) -> eqx.nn.Identity:
        """`equinox.nn.Identity`."""
        return eqx.nn.Identity()


class Sequential(AbstractModule):
    """Layers one after the other; the types of neighbours must agree.

    Law: the composition of equivariant maps is equivariant. ``key=`` is split among the layers.
    With layers that have running statistics the call is ``(x, state) -> (y, state)``.

    Shapes: ``(..., n_in) -> (..., n_out)``.
    """

    layers: tuple[AbstractModule, ...]
    in_type: Any = eqx.field(static=True)
    out_type: Any = eqx.field(static=True)

    def __init__(self, *layers: AbstractModule) -> None:
        """Checks that the layers fit.

        Args:
            *layers: Equivariant layers, at least one.

        Raises:
            ValueError: If there is none, or two neighbours do not fit (names both types).
            TypeError: If an argument is not an equivariant layer.
        """
        if not layers:
            raise ValueError("Sequential: layers: got none; a sequence needs at least one layer")
        for index, layer in enumerate(layers):
            if not isinstance(layer, AbstractModule):
                raise TypeError(
                    f"Sequential: layers[{index}]: expected an equivariant layer, got "
                    f"{type(layer).__name__}; wrap a pointwise function in PointwiseNonlinearity"
                )
            if index and layers[index - 1].out_type != layer.in_type:
                raise ValueError(
                    f"Sequential: layers[{index}] ({type(layer).__name__}) takes "
                    f"{layer.in_type!r}, but the layer before it gives "
                    f"{layers[index - 1].out_type!r}"
                )
        self.layers = tuple(layers)
        self.in_type = layers[0].in_type
        self.out_type = layers[-1].out_type

    @property
    def is_stateful(self) -> bool:
        """Whether a layer has running statistics, so that the call takes a state."""
        return any(layer.is_stateful for layer in self.layers)

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: Any, state: eqx.nn.State | None = None, *, key: PRNGKeyArray | None = None
    ) -> Any:
        """Applies the layers.

        Args:
            x: Array ``(..., n_in)``.
            state: The state of the model, if a layer has running statistics.
            key: A JAX key, split among the layers.

        Returns:
            ``y``, or ``(y, state)`` if a layer has running statistics.

        Raises:
            ValueError: If the channel axis does not fit, or a state is missing or not needed.
            TypeError: If ``x`` is no array of floating numbers.
        """
        if self.is_stateful and state is None:
            raise ValueError(
                "Sequential: state: a layer has running statistics; expected the state that "
                "equinox.nn.make_with_state returns, got None"
            )
        if state is not None and not self.is_stateful:
            raise ValueError("Sequential: state: no layer has running statistics; expected None")
        return super().__call__(x, key=key, state=state)

    def _forward(
        self,
        x: Float[Array, "..."],
        key: PRNGKeyArray | None = None,
        *,
        state: eqx.nn.State | None = None,
    ) -> Any:
        keys = [None] * len(self.layers) if key is None else jax.random.split(key, len(self.layers))
        for layer, layer_key in zip(self.layers, keys, strict=True):
            if layer.is_stateful:
                x, state = layer(x, state, key=layer_key)  # pyright: ignore[reportCallIssue]
            else:
                x = layer(x, key=layer_key)
        return (x, state) if self.is_stateful else x

    def evaluate_output_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of the output for an input shape, layer by layer."""
        for layer in self.layers:
            shape = layer.evaluate_output_shape(shape)
        return tuple(shape)

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[AbstractModule]:
        return iter(self.layers)

    def __getitem__(self, index: int | slice) -> AbstractModule:
        """A layer, or for a slice the sequence of the chosen layers."""
        if isinstance(index, slice):
            return Sequential(*self.layers[index])
        return self.layers[index]

    def append(self, layer: AbstractModule) -> Sequential:
        """A new sequence with one layer more."""
        return Sequential(*self.layers, layer)

    def export(self, state: eqx.nn.State | None = None) -> eqx.nn.Sequential:
        """`equinox.nn.Sequential` of the exported layers; it takes one example.

        Args:
            state: The state of the model, if a layer has running statistics.
        """
        return eqx.nn.Sequential([export(layer, state) for layer in self.layers])
