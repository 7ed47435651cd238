"""`PerType`: one layer for every tensor type of an image."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, PyTree

from ..._arguments import arrays, flag, function, shown
from ...fields import FieldType
from ...images import (
    MultiImage,
    Signature,
    TensorType,
    axis_space,
    to_block,
    to_dense,
    type_name,
)
from ...spaces import GSpace
from .._core._admission import checked_signature
from .._core._module import AbstractContainer, AbstractImageLayer, Layer
from .._core._plain import plain_function
from .._core._stateful import exported, is_stateful, split_keys, step
from ..nonlinearities import PointwiseNonlinearity
from ._export import export


class PerType(AbstractContainer, AbstractImageLayer):
    """One layer for every tensor type of an image, side by side.

    Law: the direct sum of equivariant maps is equivariant; ``check`` refuses others. Equivariant
    layers get an image of their type. Another callable gets one example of the block
    ``(c, *sides, *(D,)*k)`` and returns such a block; functions that are no modules act pointwise.
    Metric and torus flags are kept. With a layer inside that has running statistics the call is
    ``y, state = layer(x, state)``.

    Shapes: those of the layers, whose outputs must lie on one grid.

    Examples:
        >>> import equivax as evx, jax
        >>> signature = evx.images.Signature((((0, 0), 2), ((1, 0), 3)))
        >>> def norm(type_, channels, key):
        ...     own = evx.images.Signature(((type_, channels),))
        ...     return evx.nn.GroupNorm(own.field_type(2), channels)
        >>> layer = evx.nn.PerType(norm, signature, key=jax.random.key(0))
        >>> [module.groups for module in layer.modules]
        [2, 3]
    """

    modules: tuple[Any, ...]
    in_signature: Signature = eqx.field(static=True)
    out_signature: Signature = eqx.field(static=True)
    functions: tuple[Any, ...] = eqx.field(static=True)
    space: GSpace = eqx.field(static=True)
    share: bool = eqx.field(static=True)

    def __init__(
        self,
        make: Callable[[TensorType, int, PRNGKeyArray], Any],
        signature: object,
        *,
        D: int = 2,
        group: object = None,
        share: bool = False,
        check: bool = True,
        key: PRNGKeyArray,
    ) -> None:
        """Makes the layers.

        Args:
            make: ``(type, channels, key) -> layer``, called once per type with channels, with a key
                of its own; ``type`` is ``(flags, parity)``.
            signature: Types of the input: a `Signature`, or what it accepts.
            D: Number of spatial axes.
            group: A group of signed permutations of the axes; all of them if None.
            share: Whether to make one layer, of the first type, and apply it to all; then every
                type has as many channels.
            check: Whether to refuse what may not commute with the group: on a type other than
                scalars everything but an equivariant layer or an odd function.
            key: A JAX key.

        Raises:
            ValueError: If a type is at risk (names all such types), a layer has another type, the
                types to share a layer differ in channels, or there is none.
            TypeError: If something is not callable.
        """
        name = "PerType"
        make = function(make, name, "make", "lambda type_, channels, key: layer")
        share, check = flag(share, name, "share"), flag(check, name, "check")
        key = arrays.key(key, name)
        self.space = axis_space(group, D, name)
        self.in_signature = checked_signature(signature, name, "signature")
        self.share = share
        entries = [entry for entry in self.in_signature if entry[1]]
        if not entries:
            raise ValueError(f"{name}: signature: expected at least one channel")
        counts = {channels for _, channels in entries}
        if share and len(counts) > 1:
            raise ValueError(
                f"{name}: share: expected as many channels of every type, got {self.in_signature!r}"
            )
        made = [
            _made(make, entry, own)
            for entry, own in zip(
                entries[:1] if share else entries,
                jax.random.split(key, len(entries)),
                strict=False,
            )
        ]
        modules, functions, outs, risky = [], [], Signature(()), []
        for index, (type_, channels) in enumerate(entries):
            layer = made[0 if share else index]
            own = Signature(((type_, channels),))
            given = own.field_type(self.space.dim, self.space)
            if not callable(layer):
                raise TypeError(
                    f"{name}: make: expected a callable for {type_name(type_)}, got {layer!r}"
                )
            if isinstance(layer, Layer):
                outs = outs + _out_signature(layer, own, given)
                safe = True
            else:
                outs = outs + own
                safe = _is_safe(layer, given)
            if check and not safe:
                risky.append(type_name(type_))
            if index < len(made):
                tree = not jax.tree_util.all_leaves([layer])
                modules.append(layer if tree else None)
                functions.append(None if tree else layer)
        if risky:
            raise ValueError(
                f"{name}: make: expected an equivariant layer or an odd function for "
                f"{', '.join(risky)}, got what may not commute with the group (check=False to "
                "insist)"
            )
        self.modules, self.functions = tuple(modules), tuple(functions)
        self.out_signature = outs

    @property
    def layers(self) -> tuple[Any, ...]:
        """The layer of every type with channels, in order; one object if it is shared."""
        pairs = zip(self.modules, self.functions, strict=True)
        found = tuple(function if module is None else module for module, function in pairs)
        return found * sum(c > 0 for _, c in self.in_signature) if self.share else found

    def is_stateful(self) -> bool:
        """Whether a layer has running statistics, so that the call takes the state."""
        return any(is_stateful(layer) for layer in self.modules)

    def _forward(
        self, x: Array, state: eqx.nn.State | None, key: PRNGKeyArray | None
    ) -> tuple[Array, eqx.nn.State | None]:
        image = MultiImage.from_array(x, self.in_signature, self.space.dim)
        y, state = self._forward_image(image, state, key)
        return y.array, state

    def _forward_image(
        self, x: MultiImage, state: eqx.nn.State | None, key: PRNGKeyArray | None
    ) -> tuple[MultiImage, eqx.nn.State | None]:
        x = self._in_order(x)
        array, places = x.array, self.in_signature.slices(x.D)
        keys, pieces = split_keys(key, len(self.layers)), []
        entries = [entry for entry in self.in_signature if entry[1]]
        for layer, entry, own in zip(self.layers, entries, keys, strict=True):
            place = places[entry[0]]
            part = jax.lax.slice_in_dim(array, place.start, place.stop, axis=array.ndim - 1 - x.D)
            piece = MultiImage.from_array(part, (entry,), x.D, x.is_torus, x.metric)
            if isinstance(layer, Layer):
                y, state = step(layer, (piece,), state, own)
            else:
                y, state = _on_block(layer, piece, entry[0], state)
            pieces.append(y)
        out = pieces[0]
        for piece in pieces[1:]:
            out = out.concat(piece)
        return out, state

    def export(self, state: eqx.nn.State | None = None) -> Any:
        """A `jax.tree_util.Partial` that holds the exported layers, called ``(x, key=None)``.

        Args:
            state: The state of the model, if a layer has running statistics.

        Raises:
            ValueError: If the state is needed and missing.
        """
        D, layers, places = self.space.dim, [], []
        slices = self.in_signature.slices(D)
        entries = [entry for entry in self.in_signature if entry[1]]
        found: list[Any] = []  # the type of every channel that comes out, layer after layer
        for layer, entry in zip(self.layers, entries, strict=True):
            type_, own = entry[0], Signature((entry,))
            dense = isinstance(layer, Layer)
            out = _out_signature(layer, own, own.field_type(D, self.space)) if dense else own
            for kind, channels in out:
                found += [kind] * channels * D ** len(kind[0])
            where = f"the layer of {type_name(type_)}"
            layers.append(exported(layer, state, where) if dense else export(layer, state))
            place = slices[type_]
            places.append((place.start, place.stop, None if dense else len(type_[0])))
        order = [i for kind in self.out_signature.types for i, t in enumerate(found) if t == kind]
        return plain_function(_plain_per_type, layers, places, jnp.asarray(order), D)


def _made(make: Callable[..., Any], entry: tuple[TensorType, int], key: PRNGKeyArray) -> Any:
    try:
        return make(*entry, key)
    except TypeError as error:  # of the user's function, or of the way it is called
        raise TypeError(
            f"PerType: make: expected a function (type, channels, key), got {shown(make)}, which "
            f"raises TypeError: {error}"
        ) from error


def _out_signature(layer: Layer, own: Signature, given: FieldType) -> Signature:
    if layer.in_type != given:
        raise ValueError(
            f"PerType: make: expected a layer on {given!r} for {own.names[0]}, got one on "
            f"{layer.in_type!r}"
        )
    return getattr(layer, "out_signature", None) or layer._image_signature(own)


def _is_safe(layer: Callable[..., Any], given: FieldType) -> bool:
    """Whether a callable commutes with the group on fields of one type."""
    if given.representation.is_trivial:
        return True
    if isinstance(layer, eqx.Module):
        return False
    try:
        PointwiseNonlinearity(given, layer, odd=True)
    except (ValueError, TypeError):
        return False
    return True


def _on_block(
    layer: PyTree, x: MultiImage, type_: TensorType, state: eqx.nn.State | None
) -> tuple[MultiImage, eqx.nn.State | None]:
    """A callable of one example of a block, on all of them."""
    block = x[type_]
    flat = block.reshape(math.prod(x.batch), *block.shape[len(x.batch) :])
    if is_stateful(layer):
        if x.batch:
            raise ValueError(
                f"PerType: x: expected one example for {type(layer).__name__}, which has running "
                f"statistics and is no layer of equivax, got batch axes {x.batch}; use jax.vmap"
            )
        y, state = layer(block, state)
    else:
        y = jax.vmap(layer)(flat)
        y = y.reshape(*x.batch, *y.shape[1:])
    return MultiImage({type_: y}, x.D, x.is_torus, x.metric), state


def _plain_per_type(layers, places, order, D, x, key=None):
    keys = [None] * len(layers) if key is None else jax.random.split(key, len(layers))
    outputs = []
    for layer, (start, stop, k), own in zip(layers, places, keys, strict=True):
        part = x[start:stop]
        if k is None:
            outputs.append(layer(part, key=own))
            continue
        outputs.append(to_dense(layer(to_block(part, k, D)), k, D))
    return jnp.take(jnp.concatenate(outputs, axis=0), order, axis=0)
