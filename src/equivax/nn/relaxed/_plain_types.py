"""Types of plain layers: the linear maps of a plain Equinox model, each between two types."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
from jaxtyping import Array, PyTree

from ..._arguments import is_several, refuse
from ...fields import FieldType, Type
from ...hom import HomBasis, hom_basis
from ...kernels import TypeBasis
from ...representations import Representation, as_representation, check_same_group
from .._core._module import channel_axis, representation_of
from ..convolution import types_of_one_group
from ._bases import projected

Plain: TypeAlias = eqx.nn.Linear | eqx.nn.Conv
"""Plain layers that are a dense array and a bias."""

TAKES = "one type more than there are plain linear layers, or a pair of types (or None) for each"


class TypedLayer(NamedTuple):
    """One plain layer of a model.

    Attributes:
        path: Where it stands.
        layer: The layer.
        types: Of its input and output; None if it is to be left out.
    """

    path: str
    layer: Plain
    types: tuple[Type, Type] | None


def is_plain(node: object) -> bool:
    """Whether a node is a plain layer with a dense array."""
    return isinstance(node, Plain)


def typed_layers(caller: str, model: PyTree, types: tuple[object, ...]) -> list[TypedLayer]:
    """The plain linear layers of a model in the order of its tree, with their types.

    Args:
        caller: Who asks, for messages.
        model: Any pytree.
        types: The types between the layers, ``n + 1`` of them for a chain of n layers, or a pair
            per layer; also as one list.

    Raises:
        ValueError: If their number or a size does not fit.
        TypeError: If something is no type.
    """
    found = jax.tree_util.tree_leaves_with_path(model, is_leaf=is_plain)
    plain = [
        (jax.tree_util.keystr(path).removeprefix("."), node)
        for path, node in found
        if is_plain(node)
    ]
    if len(types) == 1 and is_several(types[0]):
        types = tuple(types[0])
    pairs: list[Any] = list(types)
    if types and not any(entry is None or is_several(entry) for entry in types):
        pairs = list(itertools.pairwise(types))
    if not plain:
        refuse(ValueError, caller, "model", "a pytree with plain linear layers in it", model)
    if len(pairs) != len(plain):
        refuse(ValueError, caller, "types", f"{TAKES}, {len(plain)} here", types)
    return [
        TypedLayer(path, node, _checked(caller, path, node, pair))
        for (path, node), pair in zip(plain, pairs, strict=True)
    ]


def _checked(caller: str, path: str, layer: Plain, pair: object) -> tuple[Type, Type] | None:
    if pair is None:
        return None
    if not is_several(pair) or len(pair) != 2:
        refuse(TypeError, caller, "types", TAKES, pair)
    dim = layer.weight.ndim - 2
    for type_ in pair:
        representation_of(type_, caller, "types")
        if -1 - channel_axis(type_) != dim:
            where = f"on a space of dimension {dim}" if dim else "of vectors"
            raise ValueError(
                f"{caller}: types: expected a type {where} for {_named(path, layer)}, got {type_!r}"
            )
    source, target = (as_representation(type_, "types") for type_ in pair)
    check_same_group(caller, source, target)
    groups = layer.groups if isinstance(layer, eqx.nn.Conv) else 1
    expected = (layer.weight.shape[0], groups * layer.weight.shape[1])
    if (target.size, source.size) != expected:
        raise ValueError(
            f"{caller}: types: expected {expected[1]} channels to {expected[0]} for "
            f"{_named(path, layer)}, got {pair[0]!r} to {pair[1]!r} of {source.size} to "
            f"{target.size}"
        )
    return pair[0], pair[1]


def _named(path: str, layer: Plain) -> str:
    return f"{path} {type(layer).__name__}".strip()


# ---- their projections ---------------------------------------------------------------------------


def nearest(layer: Plain, types: tuple[Type, Type]) -> tuple[Array, Array | None]:
    """The dense array and the bias nearest to those of a layer among those that commute."""
    in_type, out_type = types
    if isinstance(in_type, FieldType) and isinstance(out_type, FieldType) and in_type.space.dim:
        groups = layer.groups if isinstance(layer, eqx.nn.Conv) else 1
        parts = types_of_one_group("nearest", in_type, out_type, groups)
        dense = projected(kernels_between(*parts, layer.weight.shape[2:]), layer.weight, groups)
    else:
        dense = hom_basis(in_type, out_type).project(layer.weight)
    if layer.bias is None:
        return dense, None
    return dense, invariant_part(as_representation(out_type, "types"))(layer.bias.reshape(-1))


def kernels_between(in_type: FieldType, out_type: FieldType, kernel: tuple[int, ...]) -> TypeBasis:
    """All kernels that commute, if the group maps the grid to itself; else band-limited ones."""
    kind = "grid" if in_type.space.preserves_grid else "harmonic"
    return TypeBasis(in_type, out_type, kernel, kind, warn_unused=False, caller="Conv")


def invariant_part(rep: Representation) -> Callable[[Array], Array]:
    """The projection of vectors on the invariants."""
    basis: HomBasis = hom_basis(rep.group.trivial, rep)
    return lambda vector: basis.project(vector[:, None])[:, 0]
