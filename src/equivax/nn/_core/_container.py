"""What containers share: layers with and without running statistics in one call.

Equinox's protocol: a layer whose ``is_stateful()`` holds is called ``(x, state) -> (y, state)``,
every other one ``x -> y``. A container is stateful if something inside is.
"""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, PRNGKeyArray

from ...images import MultiImage
from ._module import AbstractModule


def is_stateful(layer: Any) -> bool:
    """Whether a layer is called ``(x, state) -> (y, state)``."""
    return isinstance(layer, eqx.nn.StatefulLayer) and layer.is_stateful()


def step(
    layer: Any, inputs: tuple[Any, ...], state: eqx.nn.State | None, key: PRNGKeyArray | None
) -> tuple[Any, eqx.nn.State | None]:
    """One layer of a container: the output and the state after it."""
    if is_stateful(layer):
        return layer(*inputs, state, key=key)
    return layer(*inputs, key=key), state


def exported(layer: AbstractModule, state: eqx.nn.State | None, where: str) -> Any:
    """``layer.export()``, or ``layer.export(state)`` for one with running statistics.

    Raises:
        ValueError: If the state is needed and missing; ``where`` names the layer.
    """
    if not is_stateful(layer):
        return layer.export()
    if state is None:
        raise ValueError(
            f"export: state: needed, since {where} ({type(layer).__name__}) has running "
            "statistics; call export(model, state)"
        )
    return layer.export(state)  # pyright: ignore[reportCallIssue]


class AbstractContainer(AbstractModule, eqx.nn.StatefulLayer):
    """Interface of layers made of layers: called ``x -> y``, or ``(x, state) -> (y, state)``."""

    @abc.abstractmethod
    def is_stateful(self) -> bool:
        """Whether something inside has running statistics, so that the call takes the state."""

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: Any, state: Any = None, *, key: PRNGKeyArray | None = None
    ) -> Any:
        """Applies the layers.

        Args:
            x: Array ``(..., n)`` for a vector type, ``(..., n, *spatial)`` for fields, or a
                `GeometricTensor` of ``in_type``, or a `MultiImage` whose signature has that type.
            state: The state of the model, if a layer inside has running statistics.
            key: A JAX key, split among the layers.

        Returns:
            The output, as what the input was; with the new state if there was a state.

        Raises:
            ValueError: If the channel axis, or the type of a tensor, does not fit ``in_type``, or
                the state is missing.
            TypeError: If ``x`` is no array of floating numbers, or ``state`` no state.
        """
        name = type(self).__name__
        if state is None and self.is_stateful():
            raise ValueError(
                f"{name}: state: needed, since a layer inside has running statistics; call it as "
                "y, state = model(x, state), where model, state = "
                "equinox.nn.make_with_state(make_model)(...)"
            )
        if state is not None and not isinstance(state, eqx.nn.State):
            raise TypeError(
                f"{name}: state: expected an equinox.nn.State or None, got {type(state).__name__}"
            )
        if isinstance(x, MultiImage):
            with jax.named_scope(f"equivax.{name}"):
                wrapped, new_state = self._on_image(x, state, key)
            return wrapped if state is None else (wrapped, new_state)
        array = self._checked(x)
        with jax.named_scope(f"equivax.{name}"):
            y, new_state = self._forward(array, state, key)
        wrapped = self._wrapped(y, (x,))
        return wrapped if state is None else (wrapped, new_state)

    @abc.abstractmethod
    def _forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: Array, state: eqx.nn.State | None, key: PRNGKeyArray | None
    ) -> tuple[Any, eqx.nn.State | None]:
        """The layers in their order on a checked array."""

    def _on_image(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: MultiImage, state: eqx.nn.State | None, key: PRNGKeyArray | None
    ) -> tuple[MultiImage, eqx.nn.State | None]:
        """The layers on a tensor image; containers whose layers should see it override this."""
        y, state = self._forward(self._image_array(x), state, key)
        return self._image_of(y, x), state

    @abc.abstractmethod
    def export(self, state: eqx.nn.State | None = None) -> Any:
        """The same function as plain Equinox, at inference where there are statistics."""

    def _for_shape(self, x: Array) -> Array:
        return self(x, key=jax.random.key(0))


def split_keys(key: PRNGKeyArray | None, count: int) -> list[Any]:
    """One key per layer, or as many times None."""
    return [None] * count if key is None else list(jax.random.split(key, count))
