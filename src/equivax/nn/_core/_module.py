"""`AbstractModule`: what every equivariant layer shares.

Types at the border, arrays inside: the check of the input, the error messages, the output shape
and the scope name in profiles are written here once, so that a layer reads as its formula.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ...fields import GeometricTensor
from ...images import MultiImage, Signature
from ...representations import Representation, as_representation
from ._printing import printed

observer: ContextVar[Callable[[Any, Any], None] | None] = ContextVar("observer", default=None)
"""Hears of every call of a layer, with its output: how `summary` learns shapes."""


class AbstractModule(eqx.Module):
    """Interface of equivariant layers: ``f(rho_in(g) x) = rho_out(g) f(x)`` for all ``g``.

    Array leaves are trainable parameters and nothing else; types and options are static and
    hashable. Concrete layers are final: a variant wraps a layer, it does not subclass it.

    Attributes:
        in_type: Type of the input, as the user gave it.
        out_type: Type of the output.
    """

    in_type: eqx.AbstractVar[Any]
    out_type: eqx.AbstractVar[Any]

    def __call__(
        self, x: Any, *others: Any, key: PRNGKeyArray | None = None, **options: Any
    ) -> Any:
        """Applies the layer.

        Args:
            x: Array ``(..., n)`` for a vector type, ``(..., n, *spatial)`` for fields: one example,
                a batch, or under ``vmap``. Or a `GeometricTensor` of ``in_type``, or a `MultiImage`
                whose signature has that type.
            *others: Further inputs of a layer whose ``in_type`` is a tuple of types.
            key: A JAX key, for layers with randomness; the others ignore it.
            **options: What the layer documents, such as ``scale=`` of `Affine`.

        Returns:
            Array ``(..., n_out, *spatial)``; a `GeometricTensor` of ``out_type`` if ``x`` was one.

        Raises:
            ValueError: If the channel axis, or the type of a tensor, does not fit ``in_type``.
            TypeError: If ``x`` is no array of floating numbers, or the number of inputs is wrong.
        """
        several = isinstance(self.in_type, tuple)
        types = self.in_type if several else (self.in_type,)
        given = (x, *others)
        if len(given) != len(types):
            raise TypeError(
                f"{type(self).__name__}: expected {len(types)} inputs, one per type of in_type, "
                f"got {len(given)}"
            )
        if isinstance(x, MultiImage) and not several:
            with jax.named_scope(f"equivax.{type(self).__name__}"):
                return self._on_image(x, key, **options)
        arrays = tuple(self._checked(*pair) for pair in zip(given, types, strict=True))
        with jax.named_scope(f"equivax.{type(self).__name__}"):
            y = self._forward(arrays if several else arrays[0], key, **options)
            return self._wrapped(y, given)

    @abc.abstractmethod
    def _forward(self, x: Any, key: PRNGKeyArray | None, **options: Any) -> Float[Array, "..."]:
        """The layer's formula on a checked array, or a tuple of them if ``in_type`` is one."""

    @abc.abstractmethod
    def export(self) -> Any:
        """The same function as plain Equinox, without any need of equivax.

        Returns:
            A module or callable for one example; use ``jax.vmap`` for batches.
        """

    def evaluate_output_shape(self, shape: Sequence[Any]) -> tuple[int, ...]:
        """Shape of the output for an input shape, by abstract evaluation of the layer itself.

        Args:
            shape: Of the input; a sequence of shapes if ``in_type`` is a tuple of types.
        """
        several = isinstance(self.in_type, tuple)
        shapes = shape if several else (shape,)
        like = [jax.ShapeDtypeStruct(tuple(s), jnp.result_type(float)) for s in shapes]
        return jax.eval_shape(self if several else self._for_shape, *like).shape

    def _for_shape(self, x: Array) -> Array:
        """What `evaluate_output_shape` traces; layers with a key or state override it."""
        return self(x)

    def _checked(self, x: Any, in_type: Any = None) -> Array:
        """The array of an input, or the message; ``in_type`` is that of the layer if None."""
        name, in_type = type(self).__name__, self.in_type if in_type is None else in_type
        if isinstance(x, GeometricTensor):
            if x.type != in_type:
                raise ValueError(f"{name}: x: expected fields of type {in_type!r}, got {x.type!r}")
            x = x.array
        if not isinstance(x, (jax.Array, np.ndarray)):
            raise TypeError(f"{name}: x: expected an array, got {type(x).__name__}")
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise TypeError(
                f"{name}: x: expected floating numbers, got dtype {x.dtype}; cast with "
                "x.astype(float)"
            )
        size = as_representation(in_type, "in_type").size
        axis = channel_axis(in_type)
        if x.ndim < -axis or x.shape[axis] != size:
            expected = ", ".join(["...", str(size), *["_"] * (-1 - axis)])
            raise ValueError(
                f"{name}: expected ({expected}) for in_type {in_type!r}, got {x.shape}"
            )
        return jnp.asarray(x)

    def _on_image(self, x: MultiImage, key: PRNGKeyArray | None, **options: Any) -> MultiImage:
        """The layer on a tensor image; layers that look at its grid or metric override it."""
        return self._image_of(self._forward(self._image_array(x), key, **options), x)

    def _image_array(self, x: MultiImage) -> Array:
        """The dense array of an image whose type is ``in_type``."""
        name, space = type(self).__name__, getattr(self.in_type, "space", None)
        if space is None or space.dim != x.D or x.field_type(space) != self.in_type:
            raise ValueError(
                f"{name}: x: expected an image of type {self.in_type!r}, got {x!r}; "
                "signature.field_type(D, group) is the type of its channels"
            )
        return self._checked(x.array)

    def _image_of(self, y: Array, x: MultiImage) -> MultiImage:
        """The output as an image on the torus and with the metric of the input."""
        signature = self._out_signature(x.signature)
        return MultiImage.from_array(y, signature, x.D, x.is_torus, x.metric)

    def _out_signature(self, signature: Signature) -> Signature:
        """Names of the output's channels: those of the input if the types are equal."""
        if self.out_type != self.in_type:
            raise ValueError(
                f"{type(self).__name__}: x: expected an array, since no signature names the "
                f"channels of out_type {self.out_type!r}; pass x.array"
            )
        return signature

    def _wrapped(self, y: Any, given: tuple[Any, ...]) -> Any:
        """The output as what the inputs were: an array, or a tensor with its type.

        Distributions and moments know their types and stay what they are.
        """
        hears = observer.get()
        if hears is not None:
            hears(self, y)
        wrap = isinstance(y, jax.Array) and any(isinstance(x, GeometricTensor) for x in given)
        return GeometricTensor(y, self.out_type) if wrap else y

    def __repr__(self) -> str:
        """Types and options on one line, with a line for every layer inside."""
        return printed(self)


class AbstractStatefulModule(AbstractModule, eqx.nn.StatefulLayer):
    """Interface of layers with running statistics, ``(x, state) -> (y, state)``.

    The statistics live in `equinox.nn.State`; make the layer with `equinox.nn.make_with_state`.
    """

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: Any, state: eqx.nn.State, *, key: PRNGKeyArray | None = None, **options: Any
    ) -> tuple[Any, eqx.nn.State]:
        """Applies the layer.

        Args:
            x: Array ``(..., n, *spatial)``, or a `GeometricTensor` of ``in_type``.
            state: The state of the model.
            key: A JAX key, for layers with randomness; the others ignore it.
            **options: What the layer documents.

        Returns:
            The output, as what the input was, and the new state.

        Raises:
            ValueError: If the channel axis, or the type of a tensor, does not fit ``in_type``.
            TypeError: If ``x`` is no array of floating numbers.
        """
        image = isinstance(x, MultiImage)
        array = self._image_array(x) if image else self._checked(x)
        with jax.named_scope(f"equivax.{type(self).__name__}"):
            y, state = self._forward(array, state, key, **options)
        return (self._image_of(y, x) if image else self._wrapped(y, (x,))), state

    @abc.abstractmethod
    def _forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: Float[Array, "..."], state: eqx.nn.State, key: PRNGKeyArray | None, **options: Any
    ) -> tuple[Any, eqx.nn.State]:
        """The layer's formula on a checked array."""

    @abc.abstractmethod
    def export(self, state: eqx.nn.State) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The layer at inference, with the running statistics of ``state``, as plain Equinox.

        Args:
            state: The state of the model.

        Returns:
            A module or callable for one example; use ``jax.vmap`` for batches.
        """

    def evaluate_output_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of the output for an input shape; layers with running statistics keep it.

        Args:
            shape: Of the input.

        Raises:
            ValueError: If the channel axis does not fit the input type.
        """
        like = jax.ShapeDtypeStruct(tuple(shape), jnp.result_type(float))
        return jax.eval_shape(self._checked, like).shape


def channel_axis(type_: Any) -> int:
    """Axis of the channels, ``-1 - d`` for a base space of dimension ``d`` (0 for vectors)."""
    return -1 - getattr(getattr(type_, "space", None), "dim", 0)


def representation_of(type_: Any, caller: str, argument: str) -> Representation:
    """The representation of a type, with the layer named in the message.

    Raises:
        TypeError: If ``type_`` is neither a representation nor a field type.
    """
    try:
        return as_representation(type_, argument)
    except TypeError as error:
        hint = "; signature.field_type(D) is a type" if isinstance(type_, Signature) else ""
        raise TypeError(f"{caller}: {error}{hint}") from None


def on_channels(function: Callable[[Array], Array], x: Array, type_: Any) -> Array:
    """Applies a function of the last axis to the channel axis, wherever the type puts it."""
    axis = channel_axis(type_)
    if axis == -1:
        return function(x)
    return jnp.moveaxis(function(jnp.moveaxis(x, axis, -1)), -1, axis)
