"""`TypedFunction`: a callable of the user's that declares its types, as a layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, PRNGKeyArray, PyTree

from ...fields import GeometricTensor, Type
from ...representations import as_representation
from .._core._module import AbstractContainer, Layer, channel_axis
from .._core._stateful import is_stateful, step
from ._export import export


class TypedFunction(AbstractContainer):
    """A callable with attributes ``in_type`` and ``out_type``, taken at its word.

    Nothing checks that it is equivariant (`testing.assert_equivariant` does); the channels of its
    output are checked. Parameters of a callable that is an `equinox.Module` stay trainable.

    Shapes: those of the callable, which gets an array.
    """

    module: PyTree
    function: object = eqx.field(static=True)
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)

    def __init__(self, function: Any) -> None:
        """Reads the types.

        Args:
            function: A callable that declares ``in_type`` and ``out_type``. It gets ``key=`` if its
                signature names it, and the state if it is a stateful `equinox.nn.StatefulLayer`.

        Raises:
            TypeError: If it is not callable, does not declare types, or is neither a pytree nor
                hashable.
        """
        name = getattr(function, "__name__", type(function).__name__)
        if not declares_types(function):
            raise TypeError(
                f"TypedFunction: function: expected a callable with in_type and out_type, got "
                f"{name}"
            )
        is_tree = not jax.tree_util.all_leaves([function])
        if not is_tree:
            try:
                hash(function)
            except TypeError:
                raise TypeError(
                    f"TypedFunction: function: expected an equinox.Module or something hashable, "
                    f"got {name}"
                ) from None
        self.module = function if is_tree else None
        self.function = None if is_tree else function
        self.in_type = function.in_type
        self.out_type = function.out_type

    @property
    def wrapped(self) -> Any:
        """The callable."""
        return self.function if self.module is None else self.module

    def is_stateful(self) -> bool:
        """Whether the callable takes the state."""
        return is_stateful(self.wrapped)

    def _forward(
        self, x: Array, state: eqx.nn.State | None, key: PRNGKeyArray | None
    ) -> tuple[Array, eqx.nn.State | None]:
        if _takes_key(self.wrapped):
            y, state = step(self.wrapped, (x,), state, key)
        elif self.is_stateful():
            y, state = self.wrapped(x, state)
        else:
            y = self.wrapped(x)
        name = getattr(self.wrapped, "__name__", type(self.wrapped).__name__)
        if isinstance(y, GeometricTensor):
            if y.type != self.out_type:
                raise ValueError(f"{name}: declares {self.out_type!r}, but gave {y.type!r}")
            y = y.array
        axis, size = channel_axis(self.out_type), as_representation(self.out_type, "out_type").size
        if y.ndim < -axis or y.shape[axis] != size:
            raise ValueError(
                f"{name}: declares {self.out_type!r}, which has {size} channels on axis {axis}, "
                f"but gave shape {y.shape}"
            )
        return y, state

    def export(self, state: eqx.nn.State | None = None) -> Any:
        """The callable, with equivariant layers inside it exported."""
        plain = export(self.wrapped, state)
        return plain if _takes_key(self.wrapped) else eqx.nn.Lambda(plain)


def declares_types(function: object) -> bool:
    """Whether something is callable and has ``in_type`` and ``out_type`` that are types."""
    if isinstance(function, type) or not callable(function):
        return False
    try:
        as_representation(getattr(function, "in_type", None), "in_type")
        as_representation(getattr(function, "out_type", None), "out_type")
    except TypeError:
        return False
    return True


def as_layer(value: object, where: str) -> Layer:
    """An equivariant layer as it is, a callable that declares its types wrapped.

    Raises:
        TypeError: For anything else; ``where`` names the container and the position.
    """
    if isinstance(value, Layer):
        return value
    if declares_types(value):
        return TypedFunction(value)
    raise TypeError(
        f"{where}: expected an equivariant layer, got {type(value).__name__}; wrap a pointwise "
        "function in PointwiseNonlinearity, or declare in_type and out_type on a callable"
    )


def _takes_key(function: Callable[..., Any]) -> bool:
    try:
        return "key" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # built in, without a signature
        return False
