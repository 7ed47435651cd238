"""The interfaces of equivariant layers: what every layer shares, and the three ways to call one.

Types at the border, arrays inside: the check of the input, the messages, the output shape and the
scope name in profiles are written here once, so that a layer reads as its formula.

`AbstractLayer` is the border: from what a user passes to an array, and back. A layer is one of
three siblings over it, which differ in how they are called: `AbstractModule` as ``x -> y``,
`AbstractStatefulModule` as ``(x, state) -> (y, state)``, `AbstractContainer` as either.
"""

from __future__ import annotations

import abc
import contextlib
import copy
import functools
import inspect
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, TypeAlias, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.export import is_symbolic_dim
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import arrays, is_integer, is_several, refuse
from ...fields import FieldType, GeometricTensor, IrrepTensor, Type
from ...hom import Machine
from ...images import MultiImage, Signature
from ...representations import Representation, as_representation
from ...spaces import GSpace
from ._activations import named, unnamed
from ._meshes import on_any_mesh
from ._printing import printed
from ._ways import Ways

Self = TypeVar("Self", bound="AbstractLayer")

_WHOLE_IMAGE = "x.astype(float)"

observer: ContextVar[Callable[[AbstractLayer, object], None] | None] = ContextVar(
    "observer", default=None
)
"""Hears of every call of a layer, with its output: how `summary` learns shapes."""


class AbstractLayer(eqx.Module):
    """What has two types, and ``f(rho_in(g) x) = rho_out(g) f(x)`` for all ``g``.

    Array leaves are trainable parameters and nothing else; types and options are static and
    hashable. Concrete layers are final: a variant wraps a layer, it does not subclass it.

    Attributes:
        in_type: Type of the input, as the user gave it; a tuple of types for several inputs.
        out_type: Type of the output.
    """

    # Every layer says which types it takes: any, fields only, or a tuple of types.
    in_type: eqx.AbstractVar[Any]
    out_type: eqx.AbstractVar[Any]

    @property
    def _rep(self) -> Representation:
        """The representation of ``in_type``."""
        return representation_of(self.in_type, type(self).__name__, "in_type")

    @abc.abstractmethod
    def evaluate_output_shape(self, shape: Sequence[Any]) -> tuple[int, ...]:
        """Shape of the output for an input shape."""

    def costs_of_ways(self, rows: int, prices: Machine) -> Ways:
        """What the layer costs on arrays and on an `IrrepTensor`, by which a chain chooses.

        Only differences count: layers whose two formulas cost alike say nothing.

        Args:
            rows: Number of vectors.
            prices: Of the machine.
        """
        own = getattr(type(self), "_forward_irreps", None)
        ways_of_arrays = (AbstractModule._forward_irreps, AbstractContainer._forward_irreps)
        by_arrays = own is None or own in ways_of_arrays
        return Ways() if by_arrays else Ways(0.0, 0.0)

    # ---- a layer as a value --------------------------------------------------------------------

    def __hash__(self) -> int:
        """Of the structure and the leaves: defined without arrays, as of a static half."""
        leaves, structure = jax.tree.flatten(self)
        return hash((structure, *leaves))

    def __deepcopy__(self: Self, memo: dict[int, Any]) -> Self:
        """New leaves in the same structure, so that a copy is not compiled again."""
        return jax.tree.map(lambda leaf: copy.deepcopy(leaf, memo), self)

    def __getstate__(self) -> dict[str, Any]:
        """The attributes, with activations of JAX, which do not pickle, by their names."""
        return {name: named(value) for name, value in vars(self).items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, unnamed(value))

    @contextlib.contextmanager
    def _scope(self) -> Iterator[None]:
        """Where the formula runs: under its name in profiles, and with broadcasting.

        Leading axes are batch axes, so ``(..., n) + (n,)`` is what a layer means, whatever
        `jax.numpy_rank_promotion` says of the user's own code.
        """
        name = f"equivax.{type(self).__name__}"
        with jax.named_scope(name), jax.numpy_rank_promotion("allow"):
            yield

    # ---- from what was passed to an array ------------------------------------------------------

    def _array(
        self,
        x: object,
        in_type: Type | None = None,
        whole: str = "x.astype(float)",
        named: str = "in_type",
    ) -> Array:
        """The checked array of an input, or the message; ``in_type`` is the layer's if None.

        ``whole`` is what makes floating numbers of the integers of ``x``; the layer knows the type
        as ``named``.
        """
        name = type(self).__name__
        expected = self.in_type if in_type is None else in_type
        if isinstance(x, MultiImage):
            return self._image_array(x)
        if isinstance(x, GeometricTensor):
            if x.type != expected:
                raise ValueError(f"{name}: x: expected fields of type {expected!r}, got {x.type!r}")
            x = x.array
        if isinstance(x, IrrepTensor):
            x = self._irreps(x, expected).array
        if not isinstance(x, (jax.Array, np.ndarray)):
            raise TypeError(f"{name}: x: expected an array, got {type(x).__name__}")
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise TypeError(
                f"{name}: x: expected floating numbers, got dtype {x.dtype}; cast with {whole}"
            )
        size, axis = expected.size, channel_axis(expected)
        if x.ndim < -axis or x.shape[axis] != size:
            shape = ", ".join(["...", str(size), *["_"] * (-1 - axis)])
            raise ValueError(f"{name}: expected ({shape}) for {named} {expected!r}, got {x.shape}")
        return jnp.asarray(x)

    def _irreps(self, x: IrrepTensor, in_type: Type | None = None) -> IrrepTensor:
        """The checked tensor of irreps, or the message; ``in_type`` is the layer's if None."""
        expected = self.in_type if in_type is None else in_type
        if x.type != expected:
            raise ValueError(
                f"{type(self).__name__}: x: expected vectors of type {expected!r}, got {x.type!r}"
            )
        return x

    def _tensor(self, x: object, in_type: Type) -> IrrepTensor:
        """An input as a checked tensor of irreps."""
        if isinstance(x, IrrepTensor):
            return self._irreps(x, in_type)
        return IrrepTensor.of(in_type, self._array(x, in_type))

    def _image_array(self, x: MultiImage) -> Array:
        """The dense array of an image whose type is ``in_type``."""
        space = self.in_type.space if isinstance(self.in_type, FieldType) else None
        if space is None or space.dim != x.D or x.field_type(space) != self.in_type:
            raise ValueError(
                f"{type(self).__name__}: x: expected an image of type {self.in_type!r}, got "
                f"{x!r}; signature.field_type(D, group) is the type of its channels"
            )
        return self._array(x.array, whole=_WHOLE_IMAGE)

    def _check_options(self, options: Mapping[str, object]) -> None:
        """Refuses options of a call that ``_forward`` does not name, if it names all."""
        if not options:
            return
        known = inspect.signature(type(self)._forward).parameters  # pyright: ignore
        if any(own.kind is own.VAR_KEYWORD for own in known.values()):
            return
        takes = [name for name in [*known][2:] if name not in ("state", "key")]
        for option in options:
            if option not in takes:
                raise TypeError(
                    f"{type(self).__name__}: unknown option {option!r}; beside key it takes "
                    f"{', '.join(takes) or 'none'}"
                )

    def _checked_key(self, key: object) -> PRNGKeyArray | None:
        """One key or None, whether the layer draws from it or not."""
        return None if key is None else arrays.key(key, type(self).__name__)

    def _check_state(self, state: object, takes: str) -> None:
        """Refuses what is no state."""
        if not isinstance(state, eqx.nn.State):
            raise TypeError(
                f"{type(self).__name__}: state: expected {takes}, got {type(state).__name__}; "
                "equinox.nn.make_with_state makes both"
            )

    # ---- and back ------------------------------------------------------------------------------

    def _value(self, y: object, given: tuple[object, ...]) -> Any:
        """The output as what the inputs were: an array, a tensor with its type, or an image.

        Distributions and moments know their types and stay what they are, as do fields on a grid
        that a layer makes of vectors.
        """
        hears = observer.get()
        if hears is not None:
            hears(self, y)
        if not isinstance(y, jax.Array):
            return y
        size, axis = self.out_type.size, channel_axis(self.out_type)
        if y.ndim < -axis or y.shape[axis] != size:
            raise ValueError(
                f"{type(self).__name__}: out_type: {self.out_type!r} has {size} channels on axis "
                f"{axis}, but the layer gave shape {y.shape}"
            )
        if isinstance(given[0], MultiImage):
            return self._to_image(y, given[0])
        if any(isinstance(x, GeometricTensor) for x in given):
            return GeometricTensor(y, self.out_type)
        if any(isinstance(x, IrrepTensor) for x in given) and channel_axis(self.out_type) == -1:
            return IrrepTensor.of(self.out_type, y)
        return y

    def _to_image(self, y: Array, x: MultiImage) -> MultiImage:
        """The output as an image on the torus of the input, with its metric."""
        signature = self._image_signature(x.signature)
        metric = None if x.metric is None else self._metric_on_output(x.metric, x)
        return MultiImage.from_array(y, signature, x.D, x.is_torus, metric)

    def _metric_on_output(self, metric: Array, x: MultiImage) -> Array:
        """The metric on the grid of the output; layers that change the grid override this."""
        return metric

    def _image_signature(self, signature: Signature) -> Signature:
        """Names of the output's channels: those of the input if the types are equal."""
        if self.out_type != self.in_type:
            raise ValueError(
                f"{type(self).__name__}: x: expected an array, since no signature names the "
                f"channels of out_type {self.out_type!r}; pass x.array"
            )
        return signature

    def __repr__(self) -> str:
        """Types and options on one line, with a line for every layer inside."""
        return printed(self)


class AbstractModule(AbstractLayer):
    """Interface of layers without running statistics, ``x -> y``."""

    @on_any_mesh
    def __call__(
        self, x: object, *others: object, key: PRNGKeyArray | None = None, **options: Any
    ) -> Any:
        """Applies the layer.

        Args:
            x: Array ``(..., n)`` for a vector type, ``(..., n, *spatial)`` for fields: one example,
                a batch, or under ``vmap``. Or a `GeometricTensor` or an `IrrepTensor` of
                ``in_type``, or a `MultiImage` whose signature has that type.
            *others: Further inputs of a layer whose ``in_type`` is a tuple of types.
            key: A JAX key, for layers with randomness; the others ignore it.
            **options: What the layer documents, such as ``scale=`` of `Affine`.

        Returns:
            Array ``(..., n_out, *spatial)``; a `GeometricTensor` or an `IrrepTensor` of
            ``out_type``, or a `MultiImage`, if ``x`` was one.

        Raises:
            ValueError: If the channel axis, or the type of a tensor, does not fit ``in_type``.
            TypeError: If ``x`` is no array of floating numbers, or the number of inputs is wrong.
        """
        several = isinstance(self.in_type, tuple)
        types = self.in_type if isinstance(self.in_type, tuple) else (self.in_type,)
        given = (x, *others)
        if len(given) != len(types):
            raise TypeError(
                f"{type(self).__name__}: expected {len(types)} inputs, one per type of in_type, "
                f"got {len(given)}"
            )
        key = self._checked_key(key)
        self._check_options(options)
        with self._scope():
            if isinstance(x, IrrepTensor):
                tensors = tuple(map(self._tensor, given, types))
                y = self._forward_irreps(tensors if several else tensors[0], key, **options)
                return self._value(y, given)
            if isinstance(x, MultiImage):
                options = self._image_options(x) | options
            arrays = tuple(self._array(*pair) for pair in zip(given, types, strict=True))
            y = self._forward(arrays if several else arrays[0], key, **options)
            return self._value(y, given)

    def _image_options(self, x: MultiImage) -> dict[str, Any]:
        """What ``_forward`` wants to know of a tensor image beside its array, as its options."""
        return {}

    @abc.abstractmethod
    def _forward(self, x: Any, key: PRNGKeyArray | None, **options: Any) -> Any:
        """The layer's formula on a checked array, or a tuple of them if ``in_type`` is one."""

    def _forward_irreps(self, x: Any, key: PRNGKeyArray | None, **options: Any) -> Any:
        """The formula on a checked tensor of irreps: by way of arrays, unless a layer has its own.

        Args:
            x: The tensor, or a tuple of them if ``in_type`` is one.
            key: As in the call.
            **options: Likewise.

        Returns:
            An `IrrepTensor` of ``out_type``, or the array, which is then turned into one.
        """
        array = tuple(part.array for part in x) if isinstance(x, tuple) else x.array
        return self._forward(array, key, **options)

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
        shapes: Any = [shape]
        if isinstance(self.in_type, tuple):
            shapes = shape if is_several(shape) else (shape,)
        options = self._shape_options()
        return abstract_shape(lambda *x: self(*x, key=jax.random.key(0), **options), *shapes)

    def _shape_options(self) -> dict[str, Any]:
        """Options without which the layer cannot be called."""
        return {}


class AbstractStatefulModule(AbstractLayer, eqx.nn.StatefulLayer):
    """Interface of layers with running statistics, ``(x, state) -> (y, state)``.

    The statistics live in `equinox.nn.State`; make the layer with `equinox.nn.make_with_state`.
    """

    @on_any_mesh
    def __call__(
        self, x: object, state: eqx.nn.State, *, key: PRNGKeyArray | None = None, **options: Any
    ) -> tuple[Any, eqx.nn.State]:
        """Applies the layer.

        Args:
            x: Array ``(..., n, *spatial)``, or a `GeometricTensor` or an `IrrepTensor` of
                ``in_type``, or a `MultiImage` whose signature has that type.
            state: The state of the model.
            key: A JAX key, for layers with randomness; the others ignore it.
            **options: What the layer documents.

        Returns:
            The output, as what the input was, and the new state.

        Raises:
            ValueError: If the channel axis, or the type of a tensor, does not fit ``in_type``.
            TypeError: If ``x`` is no array of floating numbers.
        """
        array, key = self._array(x), self._checked_key(key)
        self._check_options(options)
        self._check_state(state, "the equinox.nn.State of the model")
        with self._scope():
            y, state = self._forward(array, state, key, **options)
            return self._value(y, (x,)), state

    @abc.abstractmethod
    def _forward(
        self, x: Float[Array, "..."], state: eqx.nn.State, key: PRNGKeyArray | None, **options: Any
    ) -> tuple[Any, eqx.nn.State]:
        """The layer's formula on a checked array."""

    @abc.abstractmethod
    def export(self, state: eqx.nn.State) -> Any:
        """The layer at inference, with the running statistics of ``state``, as plain Equinox.

        Args:
            state: The state of the model.

        Returns:
            A module or callable for one example; use ``jax.vmap`` for batches.
        """

    def evaluate_output_shape(self, shape: Sequence[Any]) -> tuple[int, ...]:
        """Shape of the output for an input shape; layers with running statistics keep it.

        Args:
            shape: Of the input.

        Raises:
            ValueError: If the channel axis does not fit the input type.
        """
        return abstract_shape(self._array, shape)


class AbstractContainer(AbstractLayer, eqx.nn.StatefulLayer):
    """Interface of layers made of layers: called ``x -> y``, or ``(x, state) -> (y, state)``."""

    @abc.abstractmethod
    def is_stateful(self) -> bool:
        """Whether something inside has running statistics, so that the call takes the state."""

    @on_any_mesh
    def __call__(
        self, x: object, state: eqx.nn.State | None = None, *, key: PRNGKeyArray | None = None
    ) -> Any:
        """Applies the layers.

        Args:
            x: Array ``(..., n)`` for a vector type, ``(..., n, *spatial)`` for fields, or a
                `GeometricTensor` or an `IrrepTensor` of ``in_type``, or a `MultiImage` whose
                signature has that type.
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
        if state is not None:
            self._check_state(state, "an equinox.nn.State or None")
        key = self._checked_key(key)
        with self._scope():
            if isinstance(x, MultiImage):
                y, new_state = self._forward_image(x, state, key)
            elif isinstance(x, IrrepTensor):
                y, new_state = self._forward_irreps(self._irreps(x), state, key)
                y = self._value(y, (x,))
            else:
                y, new_state = self._forward(self._array(x), state, key)
                y = self._value(y, (x,))
        return y if state is None else (y, new_state)

    @abc.abstractmethod
    def _forward(
        self, x: Array, state: eqx.nn.State | None, key: PRNGKeyArray | None
    ) -> tuple[Any, eqx.nn.State | None]:
        """The layers in their order on a checked array."""

    def _forward_irreps(
        self, x: IrrepTensor, state: eqx.nn.State | None, key: PRNGKeyArray | None
    ) -> tuple[Any, eqx.nn.State | None]:
        """The layers on a tensor of irreps; containers whose layers should see it override this."""
        return self._forward(x.array, state, key)

    def _forward_image(
        self, x: MultiImage, state: eqx.nn.State | None, key: PRNGKeyArray | None
    ) -> tuple[MultiImage, eqx.nn.State | None]:
        """The layers on a tensor image; containers whose layers should see it override this."""
        y, state = self._forward(self._array(x), state, key)
        return self._value(y, (x,)), state

    @abc.abstractmethod
    def export(self, state: eqx.nn.State | None = None) -> Any:
        """The same function as plain Equinox, at inference where there are statistics."""

    def evaluate_output_shape(self, shape: Sequence[Any]) -> tuple[int, ...]:
        """Shape of the output for an input shape, by abstract evaluation of the layers.

        Args:
            shape: Of the input.
        """
        return abstract_shape(lambda x: self(x, key=jax.random.key(0)), shape)


def abstract_shape(function: Callable[..., Any], *shapes: object) -> tuple[int, ...]:
    """Shape of a function's value at arrays of given shapes, which is not computed.

    Raises:
        TypeError: If a shape is no sequence of sides: integers, or symbols of `jax.export`.
    """
    like = [jax.ShapeDtypeStruct(_sides(shape), jnp.result_type(float)) for shape in shapes]
    return jax.eval_shape(function, *like).shape


def _sides(shape: object) -> tuple[Any, ...]:
    sides: tuple[Any, ...] = tuple(shape) if is_several(shape) else (None,)
    if not all(is_symbolic_dim(n) or (is_integer(n) and operator.index(n) >= 0) for n in sides):
        refuse(TypeError, "evaluate_output_shape", "shape", "a sequence of integers >= 0", shape)
    return sides


@functools.lru_cache(maxsize=512)
def _channels_type(signature: Signature, space: GSpace) -> FieldType:
    return signature.field_type(space.dim, space)


class AbstractImageLayer(AbstractLayer):
    """Interface of layers whose types are signatures of tensor images, in an order of their own.

    Attributes:
        in_signature: Types of the input.
        out_signature: Types of the output.
        space: The group, with its action on the grid.
    """

    in_signature: eqx.AbstractVar[Signature]
    out_signature: eqx.AbstractVar[Signature]
    space: eqx.AbstractVar[GSpace]

    @property
    def in_type(self) -> FieldType:
        """Type of the input's dense channels."""
        return _channels_type(self.in_signature, self.space)

    @property
    def out_type(self) -> FieldType:
        """Type of the output's dense channels."""
        return _channels_type(self.out_signature, self.space)

    def _in_order(self, x: MultiImage) -> MultiImage:
        """The image with its types in the order of ``in_signature``."""
        name = type(self).__name__
        if self.space.dim != x.D:
            raise ValueError(f"{name}: x: expected images of dimension {self.space.dim}, got {x.D}")
        try:
            x = x if x.signature == self.in_signature else x.reorder(self.in_signature)
        except ValueError as error:
            raise ValueError(f"{name}: x: {error}") from None
        self._array(x.array, whole=_WHOLE_IMAGE)
        return x

    def _image_array(self, x: MultiImage) -> Array:
        return self._in_order(x).array

    def _image_signature(self, signature: Signature) -> Signature:
        return self.out_signature


Layer: TypeAlias = AbstractModule | AbstractStatefulModule | AbstractContainer
"""Any equivariant layer."""


def channel_axis(type_: object) -> int:
    """Axis of the channels, ``-1 - d`` for a base space of dimension ``d`` (0 for vectors)."""
    return -1 - type_.space.dim if isinstance(type_, FieldType) else -1


def representation_of(type_: object, caller: str, argument: str) -> Representation:
    """The representation of a type, with the layer named in the message.

    Raises:
        TypeError: If ``type_`` is neither a representation nor a field type.
    """
    try:
        return as_representation(type_, argument)
    except TypeError as error:
        hint = "; signature.field_type(D) is a type" if isinstance(type_, Signature) else ""
        raise TypeError(f"{caller}: {error}{hint}") from None


def on_channels(function: Callable[[Array], Array], x: Array, type_: Type) -> Array:
    """Applies a function of the last axis to the channel axis, wherever the type puts it."""
    axis = channel_axis(type_)
    if axis == -1:
        return function(x)
    return jnp.moveaxis(function(jnp.moveaxis(x, axis, -1)), -1, axis)


def check_no_leaf(caller: str, argument: str, weights: object) -> None:
    """Refuses what is no array in the place of coefficients: `equinox.tree_at` looks for leaves.

    Raises:
        TypeError: With the ways to change what is computed from them.
    """
    if not all(hasattr(leaf, "shape") for leaf in jax.tree.leaves(weights)):
        raise TypeError(
            f"{caller}: {argument}: is computed from layer.weights and no leaf, so tree_at, "
            f"WeightNorm and SpectralNorm cannot replace it; use layer.with_{argument}(array), or "
            "tree_at on layer.weights, which may be divided by any norm"
        )


def no_weight(caller: str) -> str:
    """What to use in the place of the leaf ``weight`` of a plain convolution."""
    return (
        f"{caller}: weight: there is no such leaf; use layer.kernel for the dense array, "
        "layer.with_kernel(array) to set it, and tree_at on layer.weights for the coefficients, "
        "which may be divided by any norm"
    )
