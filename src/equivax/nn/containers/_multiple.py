"""`Multiple`: different layers on different fields."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from ..._arguments import integer
from ...fields import Type
from ...representations import as_representation, direct_sum
from .._core._channels import take_channels, type_like
from .._core._module import (
    AbstractContainer,
    Layer,
    abstract_shape,
    channel_axis,
    representation_of,
)
from .._core._plain import plain_steps
from .._core._select import (
    channels_of,
    field_names,
    number_of_fields,
    select_fields,
)
from .._core._stateful import exported, is_stateful, split_keys, step
from ._typed_function import as_layer


class Multiple(AbstractContainer):
    """Splits the fields by labels, applies one layer per label, puts the outputs side by side.

    Law: a direct sum of equivariant maps is equivariant. The outputs stand in the order of
    ``modules``. A layer of several types takes the fields of several labels (a gate and what it
    gates).

    Shapes: ``(..., n_in, *spatial) -> (..., n_out, *spatial')``.

    Examples:
        >>> import equivax as evx
        >>> G = evx.groups.cyclic(4)
        >>> relu, norm = evx.nn.ReLU(G.regular), evx.nn.NormNonlinearity(G.irrep(1))
        >>> layer = evx.nn.Multiple(G.irrep(1) + G.regular, ["v", "r"], {"r": relu, "v": norm})
        >>> layer.out_type
        C4: regular + irrep(1)
    """

    modules: tuple[Layer, ...]
    labels: tuple[Any, ...] = eqx.field(static=True)
    module_labels: tuple[tuple[Any, ...], ...] = eqx.field(static=True)
    chosen: tuple[tuple[tuple[int, ...], ...], ...] = eqx.field(static=True)
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        labels: object,
        modules: object,
        reshuffle: int = 0,
    ) -> None:
        """Gives every layer its fields.

        Args:
            in_type: A type of any fields.
            labels: One per field.
            modules: A mapping from labels to layers, or pairs ``(layer, label)``. A tuple of labels
                calls the layer with as many inputs, ``layer(x, y)``. It is not changed.
            reshuffle: 0 and 1: fields of a label keep their order; 2: they are sorted by size;
                3: and equal representations are brought together. Sorting is stable.

        Raises:
            ValueError: If a label has no layer or no field, a layer's type is not that of its
                fields, or the outputs live on different spaces.
            TypeError: If something is no type, no layer or no label.
        """
        representation_of(in_type, "Multiple", "in_type")
        count = number_of_fields(in_type)
        if isinstance(labels, (str, bytes)) or not isinstance(labels, (Sequence, np.ndarray)):
            raise TypeError(
                f"Multiple: labels: expected a sequence of {count} labels, one per field, got "
                f"{labels!r}"
            )
        if len(labels) != count:
            raise ValueError(
                f"Multiple: labels: expected {count}, one per field of {in_type!r}, got "
                f"{len(labels)}"
            )
        reshuffle = integer(reshuffle, "Multiple", "reshuffle", 0, 3)
        groups: dict[Any, list[int]] = {}
        for index, label in enumerate(labels):
            if not _is_hashable(label):
                raise TypeError(
                    f"Multiple: labels[{index}]: expected something hashable, got {label!r}"
                )
            groups.setdefault(label, []).append(index)
        for indices in groups.values():
            _sort(in_type, indices, reshuffle)
        pairs = _as_pairs(modules, groups)
        used = {label for _, chosen in pairs for label in chosen}
        for label, indices in groups.items():
            if label not in used:
                raise ValueError(
                    f"Multiple: modules: expected a layer for the label {label!r} of field "
                    f"{indices[0]} ({field_names(in_type)[indices[0]]}), got none"
                )
        self.labels = tuple(labels)
        self.in_type = in_type
        self.modules = tuple(layer for layer, _ in pairs)
        self.module_labels = tuple(chosen for _, chosen in pairs)
        self.chosen = tuple(tuple(tuple(groups[a]) for a in chosen) for _, chosen in pairs)
        for layer, chosen, indices in zip(
            self.modules, self.module_labels, self.chosen, strict=True
        ):
            types = tuple(select_fields(in_type, i) for i in indices)
            expected = types[0] if len(types) == 1 else types
            if layer.in_type != expected:
                raise ValueError(
                    f"Multiple: modules: {type(layer).__name__} of "
                    f"{', '.join(map(repr, chosen))} takes {layer.in_type!r}, but its fields are "
                    f"{expected!r}"
                )
        self.out_type = _joint_type(self.modules, self.module_labels)

    def is_stateful(self) -> bool:
        """Whether a layer has running statistics, so that the call takes the state."""
        return any(is_stateful(layer) for layer in self.modules)

    def _forward(
        self, x: Array, state: eqx.nn.State | None, key: PRNGKeyArray | None
    ) -> tuple[Array, eqx.nn.State | None]:
        axis = channel_axis(self.in_type)
        return side_by_side(self.modules, self._channels(), axis, x, state, key)

    def _channels(self) -> list[list[np.ndarray]]:
        return [[channels_of(self.in_type, i) for i in indices] for indices in self.chosen]

    def evaluate_output_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of the output for an input shape, from the layers.

        Raises:
            ValueError: If the shape does not fit, or spatial axes of the outputs differ.
        """
        abstract_shape(self._array, shape)
        axis, found = channel_axis(self.in_type), []
        for layer, channels in zip(self.modules, self._channels(), strict=True):
            pieces = [list(shape) for _ in channels]
            for piece, c in zip(pieces, channels, strict=True):
                piece[axis] = len(c)
            if len(pieces) == 1:
                found.append(layer.evaluate_output_shape(pieces[0]))
            else:
                likes = [jax.ShapeDtypeStruct(tuple(p), jnp.result_type(float)) for p in pieces]
                call = functools.partial(layer, key=jax.random.key(0))
                found.append(jax.eval_shape(call, *likes).shape)
        rest = {(*s[: len(s) + axis], *s[len(s) + axis + 1 :]) for s in found}
        if len(rest) > 1:
            raise ValueError(
                f"Multiple: modules: expected outputs with equal spatial axes, got {found}"
            )
        total = list(found[0])
        total[axis] = sum(s[axis] for s in found)
        return tuple(total)

    def export(self, state: eqx.nn.State | None = None) -> jax.tree_util.Partial:
        """A `jax.tree_util.Partial` that holds the exported layers, called ``(x, key=None)``.

        Args:
            state: The state of the model, if a layer has running statistics.
        """
        layers = tuple(
            exported(layer, state, f"the layer of {', '.join(map(repr, labels))}")
            for layer, labels in zip(self.modules, self.module_labels, strict=True)
        )
        axis = channel_axis(self.in_type)
        return plain_steps(side_by_side, layers, self._channels(), axis)


def side_by_side(
    layers: Sequence[Callable[..., Any]],
    channels: Sequence[Sequence[np.ndarray | Array]],
    axis: int,
    x: Array,
    state: eqx.nn.State | None,
    key: PRNGKeyArray | None,
) -> tuple[Array, eqx.nn.State | None]:
    """Every layer on its channels, one block for each of its inputs."""
    outputs = []
    for layer, own, k in zip(layers, channels, split_keys(key, len(layers)), strict=True):
        inputs = tuple(take_channels(x, block, axis) for block in own)
        y, state = step(layer, inputs, state, k)
        outputs.append(y)
    spatial = [y.shape[y.ndim + axis + 1 :] for y in outputs]
    if any(shape != spatial[0] for shape in spatial):
        raise ValueError(
            f"Multiple: modules: expected outputs with equal spatial axes, got {spatial}"
        )
    return jnp.concatenate(outputs, axis=axis), state


def _as_pairs(
    modules: object, groups: Mapping[Any, list[int]]
) -> list[tuple[Layer, tuple[Any, ...]]]:
    """``(layer, labels)`` in order, from a mapping or from pairs."""
    if isinstance(modules, Mapping):
        listed = [(layer, label) for label, layer in modules.items()]
    elif isinstance(modules, Sequence) and not isinstance(modules, (str, bytes)):
        listed = list(modules)
    else:
        raise TypeError(
            "Multiple: modules: expected a mapping from labels to layers, or pairs (layer, label), "
            f"got {type(modules).__name__}"
        )
    pairs = []
    for index, pair in enumerate(listed):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(
                f"Multiple: modules[{index}]: expected a pair (layer, label), got "
                f"{type(pair).__name__}"
            )
        layer, label = pair
        if _is_hashable(label) and label in groups:
            labels = (label,)  # a field may carry a tuple as its label
        else:
            labels = tuple(label) if isinstance(label, (tuple, list)) and label else (label,)
        for one in labels:
            if not _is_hashable(one) or one not in groups:
                raise ValueError(
                    f"Multiple: modules[{index}]: expected a label among "
                    f"{', '.join(map(repr, groups))}, got {one!r}"
                )
        pairs.append((as_layer(layer, f"Multiple: modules[{index}]"), labels))
    return pairs


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _sort(type_: Type, indices: list[int], reshuffle: int) -> None:
    """Sorts positions of fields in place: by size, then by first appearance of the field."""
    if reshuffle < 2:
        return
    fields = as_representation(type_, "in_type").summands
    first = {rep: i for i, rep in reversed(list(enumerate(fields)))}
    indices.sort(
        key=lambda i: (fields[i].size, first[fields[i]]) if reshuffle == 3 else fields[i].size
    )


def _joint_type(modules: Sequence[Layer], labels: Sequence[tuple[Any, ...]]) -> Type:
    """The outputs side by side."""
    first = modules[0].out_type
    for layer, own in zip(modules, labels, strict=True):
        type_ = layer.out_type
        if _place(type_) != _place(first):
            raise ValueError(
                f"Multiple: modules: expected outputs on one space, got {first!r} and, from the "
                f"layer of {', '.join(map(repr, own))}, {type_!r}"
            )
    reps = [as_representation(layer.out_type, "out_type") for layer in modules]
    return type_like(first, direct_sum(reps))


def _place(type_: Type) -> object:
    """The space of a type, or its group where it has none."""
    return getattr(type_, "space", None) or type_.group
