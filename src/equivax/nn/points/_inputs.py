"""`AbstractPointLayer`: what is called with fields at points, where these are, and edges."""

from __future__ import annotations

import abc
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ..._arguments import refuse
from ...fields import FieldType, IrrepTensor
from .._core._meshes import on_any_mesh
from .._core._module import AbstractModule, abstract_shape, observer

DIMENSIONS = (2, 3)

#: Smallest and largest radius, in the unit of the positions: squares must be numbers.
LENGTHS = (1e-12, 1e12)


class PointInputs(NamedTuple):
    """The inputs of a layer on points, checked.

    Attributes:
        x: Fields at the points.
        positions: Of the points.
        senders: Point that an edge comes from.
        receivers: Point that it leads to.
    """

    x: Float[Array, "*batch N c"]
    positions: Float[Array, "*batch N d"]
    senders: Int[Array, "*batch E"]
    receivers: Int[Array, "*batch E"]


class AbstractPointLayer(AbstractModule):
    """Interface of layers on points, ``(x, positions, senders, receivers) -> y``.

    Types are those of fields on a plane or in space, whose group moves positions too. Channels are
    the last axis, so ``type.representation`` is the type for layers that act point by point.
    """

    in_type: eqx.AbstractVar[FieldType]
    out_type: eqx.AbstractVar[FieldType]

    @on_any_mesh
    def __call__(
        self,
        x: object,
        positions: object,
        senders: object,
        receivers: object,
        *,
        key: PRNGKeyArray | None = None,
        **options: object,
    ) -> Any:
        """Applies the layer.

        Args:
            x: Fields ``(..., N, c)``: an array, or an `IrrepTensor` of
                ``in_type.representation``.
            positions: ``(..., N, d)``.
            senders: For every edge the number of the point that it comes from, ``(..., E)``. An
                edge with a number that no point has, such as -1, is padding and counts for nothing.
            receivers: The point that it leads to, likewise.
            key: A JAX key, for layers with randomness; the others ignore it.
            **options: What the layer documents.

        Returns:
            ``(..., N, c_out)``, as what ``x`` was.

        Raises:
            ValueError: If a shape does not fit.
            TypeError: If something is no array, or of the wrong kind of numbers, or an option is
                not known.
        """
        self._check_options(options)
        key = self._checked_key(key)
        with self._scope():
            inputs = self._inputs(x, positions, senders, receivers)
            y = self._forward(inputs, key, **options)
            hears = observer.get()
            if hears is not None:
                hears(self, y)
            if isinstance(x, IrrepTensor):
                return IrrepTensor.of(self.out_type.representation, y)
            return y

    def _check_options(self, options: Mapping[str, object]) -> None:
        _, _, _, *known = inspect.signature(type(self)._forward).parameters  # behind self, x, key
        known.remove("options")
        for option in options:
            if option not in known:
                raise TypeError(
                    f"{type(self).__name__}: unknown option {option!r}; beside key it takes "
                    f"{', '.join(known) or 'none'}"
                )

    @abc.abstractmethod
    def _forward(self, x: PointInputs, key: PRNGKeyArray | None, **options: object) -> Array:
        """The formula on checked inputs."""

    def evaluate_output_shape(self, shape: Sequence[Any]) -> tuple[int, ...]:
        """Shape of the output for a shape ``(..., N, c)`` of ``x``."""

        def on(x: Array) -> Array:
            if x.ndim < 2:
                refuse(ValueError, type(self).__name__, "shape", "(..., N, c)", x.shape)
            places = jnp.zeros((*x.shape[:-1], self.in_type.space.dim), x.dtype)
            none = jnp.zeros((*x.shape[:-2], 0), jnp.int32)
            return self(x, places, none, none, key=jax.random.key(0))

        return abstract_shape(on, shape)

    def _inputs(
        self, x: object, positions: object, senders: object, receivers: object
    ) -> PointInputs:
        name, space = type(self).__name__, self.in_type.space
        fields = self._array(x, self.in_type.representation)
        if fields.ndim < 2:
            refuse(ValueError, name, "x", f"(..., N, {self.in_type.size})", x)
        places = checked_positions(positions, name, space.dim)
        if places.shape[-2] != fields.shape[-2]:
            raise ValueError(
                f"{name}: positions: expected those of the {fields.shape[-2]} points of x, got "
                f"shape {places.shape}"
            )
        ends = [
            checked_indices(end, name, argument)
            for end, argument in ((senders, "senders"), (receivers, "receivers"))
        ]
        if ends[0].shape != ends[1].shape:
            raise ValueError(
                f"{name}: receivers: expected as many as senders, {ends[0].shape}, got "
                f"{ends[1].shape}"
            )
        batches = [fields.shape[:-2], places.shape[:-2], ends[0].shape[:-1]]
        try:
            jnp.broadcast_shapes(*batches)
        except ValueError:
            raise ValueError(
                f"{name}: expected batch axes that broadcast, got {batches[0]} of x, {batches[1]} "
                f"of positions, {batches[2]} of edges"
            ) from None
        return PointInputs(fields, places, *ends)


def checked_space(caller: str, argument: str, type_: object) -> FieldType:
    """A type of fields on a plane or in space.

    Raises:
        TypeError: If it is no field type.
        ValueError: If its space has another dimension.
    """
    if not isinstance(type_, FieldType):
        takes = "a FieldType on a plane or in space; FieldType(space, reps) makes one"
        refuse(TypeError, caller, argument, takes, type_)
    if type_.space.dim not in DIMENSIONS:
        raise ValueError(
            f"{caller}: {argument}: expected fields on a plane or in space, got some on "
            f"{type_.space!r}"
        )
    return type_


def checked_positions(value: object, caller: str, dim: int) -> Float[Array, "*batch N d"]:
    """Positions of points.

    Raises:
        TypeError: If they are no array of floating numbers.
        ValueError: If the shape does not fit.
    """
    takes = f"a floating array (..., N, {dim})"
    if not isinstance(value, (jax.Array, np.ndarray)):
        refuse(TypeError, caller, "positions", takes, value)
    if not jnp.issubdtype(value.dtype, jnp.floating):
        refuse(TypeError, caller, "positions", takes, value)
    if value.ndim < 2 or value.shape[-1] != dim:
        refuse(ValueError, caller, "positions", takes, value)
    return jnp.asarray(value)


def checked_indices(value: object, caller: str, argument: str) -> Int[Array, "*batch E"]:
    """Numbers of points.

    Raises:
        TypeError: If they are no array of integers.
        ValueError: If it has no axis of edges.
    """
    takes = "an array of integers (..., E), one for each edge"
    if not isinstance(value, (jax.Array, np.ndarray)):
        refuse(TypeError, caller, argument, takes, value)
    if not jnp.issubdtype(value.dtype, jnp.integer):
        refuse(TypeError, caller, argument, takes, value)
    if value.ndim == 0:
        refuse(ValueError, caller, argument, takes, value)
    return jnp.asarray(value)
