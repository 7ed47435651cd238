"""`symmetry_report`: which symmetries the weights of a model have, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

import jax
import numpy as np
from jaxtyping import Array, PyTree

from .._arguments import is_several, is_traced, real_array, refuse
from ..fields import FieldType, Type
from ..groups import Group, GroupElement
from ..nn import Conv, ConvContract, ConvTranspose, Diffop, InvariantBias, Linear, Relaxed
from ..nn.authoring import channel_axis, representation_of
from ..nn.convolution import types_of_one_group
from ..nn.relaxed import typed_layers
from ..representations import Representation, as_representation, check_same_group
from ..stats import Averages, SymmetryReport, SymmetryRow, averages_over, chosen
from ._action import act

CALLER = "symmetry_report"
DenseLayer: TypeAlias = (
    Linear | Conv | ConvTranspose | Diffop | ConvContract | InvariantBias | Relaxed
)
"""Layers whose weights are looked at."""


class _Part(NamedTuple):
    """Dense arrays between two types: one, or one for every part of the channels."""

    name: str
    arrays: np.ndarray  # (parts, out, in, *kernel)
    in_type: Type
    out_type: Type


def symmetry_report(model: PyTree, *types: object, subgroups: object = None) -> SymmetryReport:
    """How much of the weights commutes with each subgroup: ``|P_H W|^2 / |W|^2``.

    A share of 1 means that the layer commutes with H. Random weights have a share too, that of the
    dimensions: a share means something where it is above the baseline. Weights of convolutions are
    turned on their grid, so only elements that map the grid to itself are asked about.

    Args:
        model: A dense array ``(out, in, *kernel)``; or a model: its linear layers and
            convolutions are looked at, relaxed ones too, or its plain ones if types are given.
        *types: Of an array or of plain layers: ``in_type, out_type``; of several layers one type
            more than there are layers, in the order of the tree, or a pair for each (None leaves
            a layer out). One list of these will do.
        subgroups: What to ask about: subgroups, or what ``group.subgroup`` takes; by default all
            subgroups of a finite group up to conjugation. Of conjugate ones the row is that of the
            largest share.

    Returns:
        A `SymmetryReport`: rows for all weights together, and in ``parts`` those of every layer,
        with its bias as a part of its own. Prints as a table.

    Raises:
        ValueError: If there are no weights other than zero, sizes do not fit, groups differ, or
            the group is infinite and no list is given.
        TypeError: If something is no type.

    Examples:
        >>> import equivax as evx, numpy as np
        >>> G = evx.groups.dihedral(4)
        >>> turn = np.array([[0.0, -1.0], [1.0, 0.0]])  # commutes with turns, not with mirrors
        >>> evx.testing.symmetry_report(turn, G.irrep(1, 1))
        subgroup           order  share  baseline
        C1                     1  1.000     1.000
        C2 (0, 2)              2  1.000     1.000
        D1 (1, 0)              2  0.000     0.500
        D1 (1, 1)              2  0.000     0.500
        C4 (0, 1)              4  1.000     0.500
        D2 (0, 2), (1, 0)      4  0.000     0.500
        D2 (0, 2), (1, 1)      4  0.000     0.500
        D4                     8  0.000     0.250
    """
    parts = [part for part in _parts(model, types) if np.any(part.arrays)]
    if not parts:
        refuse(ValueError, CALLER, "model", "weights that are not all zero, with types", model)
    group = as_representation(parts[0].out_type, "types").group
    for part in parts:
        for type_ in (part.in_type, part.out_type):
            check_same_group(CALLER, as_representation(type_, "types"), group.trivial)
    degree = max(_frequency(part.in_type) + _frequency(part.out_type) for part in parts)
    averages = averages_over(CALLER, group, subgroups, degree, _exact(parts, group))
    elements = group.elements_at(averages.coordinates)
    found = {part.name: _shares(part, averages, elements) for part in parts}
    norms = np.array([float((part.arrays**2).sum()) for part in parts])
    weights = norms / norms.sum()
    shares, baselines = np.tensordot(weights, [found[part.name] for part in parts], 1)
    best = chosen(averages.classes, [round(float(share), 9) for share in shares])

    def rows(shares: np.ndarray, baselines: np.ndarray) -> tuple[SymmetryRow, ...]:
        pairs = np.clip(shares, 0, 1), np.clip(baselines, 0, 1)
        return tuple(
            SymmetryRow(averages.subgroups[i], *(float(each[i]) for each in pairs)) for i in best
        )

    named = {name: rows(*pair) for name, pair in found.items()} if len(parts) > 1 else {}
    return SymmetryReport(rows(shares, baselines), named)


# ---- what is looked at ---------------------------------------------------------------------------


def _parts(model: PyTree, types: tuple[object, ...]) -> Iterator[_Part]:
    if is_traced(model):
        refuse(TypeError, CALLER, "model", "weights outside of jit", model)
    if isinstance(model, (np.ndarray, jax.Array, list)) and not _holds_layers(model):
        array = real_array(model, CALLER, "model").astype(np.float64)
        listed = list(types[0] if len(types) == 1 and is_several(types[0]) else types)
        if len(listed) not in (1, 2):
            refuse(ValueError, CALLER, "types", "in_type and out_type", types)
        yield _checked("weight", array, listed[0], listed[-1])
        return
    if types:
        for path, layer, pair in typed_layers(CALLER, model, types):
            if pair is not None:
                weight, bias = layer.weight, layer.bias
                yield from _layer(path, weight, bias, *pair, getattr(layer, "groups", 1))
        return
    nodes = jax.tree_util.tree_leaves_with_path(model, is_leaf=lambda n: isinstance(n, DenseLayer))
    for path, node in nodes:
        if isinstance(node, DenseLayer):
            name = jax.tree_util.keystr(path).removeprefix(".")
            strict = node.strict if isinstance(node, Relaxed) else node
            groups = getattr(strict, "groups", 1)
            dense = _dense(node)
            bias = None if isinstance(node.bias, Mapping) else node.bias
            yield from _layer(name, dense, bias, node.in_type, node.out_type, groups)


def _holds_layers(model: object) -> bool:
    return isinstance(model, list) and not all(isinstance(row, (list, float, int)) for row in model)


def _dense(layer: DenseLayer) -> Array | None:
    if isinstance(layer, Relaxed):
        return layer.dense
    if isinstance(layer, InvariantBias):
        return None
    return layer.weight if isinstance(layer, Linear) else layer.kernel


def _layer(
    name: str,
    weight: Array | None,
    bias: Array | None,
    in_type: Type,
    out_type: Type,
    groups: int,
) -> Iterator[_Part]:
    if weight is not None:
        array = np.asarray(weight, np.float64)
        if groups > 1 and isinstance(in_type, FieldType) and isinstance(out_type, FieldType):
            ends = types_of_one_group(CALLER, in_type, out_type, groups)
            yield _Part(name, array.reshape(groups, -1, *array.shape[1:]), *ends)
        else:
            yield _Part(name, array[None], in_type, out_type)
    if bias is not None:
        vector = np.asarray(bias, np.float64).reshape(1, -1, 1)
        rep = as_representation(out_type, "types")
        yield _Part(f"{name}.bias".removeprefix("."), vector, rep.group.trivial, rep)


def _checked(name: str, array: np.ndarray, in_type: object, out_type: object) -> _Part:
    source = representation_of(in_type, CALLER, "types")
    target = representation_of(out_type, CALLER, "types")
    check_same_group(CALLER, source, target)
    dim = -1 - channel_axis(in_type)
    if array.ndim != 2 + dim or array.shape[:2] != (target.size, source.size):
        shape = ", ".join(map(str, (target.size, source.size, *["_"] * dim)))
        raise ValueError(
            f"{CALLER}: model: expected a dense array ({shape}) for {out_type!r} and {in_type!r}, "
            f"got {array.shape}"
        )
    if -1 - channel_axis(out_type) != dim:
        raise ValueError(
            f"{CALLER}: types: expected two types on one space, got {in_type!r} and {out_type!r}"
        )
    return _Part(name, array[None], in_type, out_type)  # pyright: ignore[reportArgumentType]


def _frequency(type_: Type) -> int:
    rep = as_representation(type_, "types")
    return max(rep.group.irrep_data(i).frequency for i in rep.irreps)


# ---- how elements move weights -------------------------------------------------------------------


def _exact(parts: list[_Part], group: Group) -> Callable[[np.ndarray], np.ndarray] | None:
    """Which elements map all kernels to kernels; None if there are only matrices."""
    convolutions = [part for part in parts if part.arrays.ndim > 3]
    if not convolutions:
        return None

    def acts(element: GroupElement) -> bool:
        for part in convolutions:
            kernel = part.arrays.shape[3:]
            moved = part.in_type.space.grid_action(element)  # pyright: ignore
            if moved is None or tuple(kernel[a] for a in moved.axes) != kernel:
                return False
        return True

    return lambda coordinates: np.array([acts(g) for g in group.elements_at(coordinates)])


def _shares(
    part: _Part, averages: Averages, elements: tuple[GroupElement, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """For every subgroup the share of the weights, and that of random ones."""
    source, target = (as_representation(t, "types") for t in (part.in_type, part.out_type))
    matrices = source.evaluate(averages.coordinates)
    kernel = part.arrays.shape[3:]
    scalars: Type = source.group.trivial
    if isinstance(part.in_type, FieldType) and kernel:
        scalars = FieldType(part.in_type.space, source.group.trivial)
    taps = np.arange(np.prod(kernel, dtype=int), dtype=float).reshape(1, *kernel)
    products, fixed = [], []
    columns = np.moveaxis(part.arrays, 2, 1)  # (parts, in, out, *kernel)
    for g, into in zip(elements, matrices, strict=True):
        moved = act(part.out_type, columns, g) if kernel else _turned(target, columns, g)
        products.append(np.vdot(columns, np.einsum("ij,pj...->pi...", into, moved)))
        fixed.append((act(scalars, taps, g) == taps).sum() if kernel else 1)
    traces = np.trace(matrices, axis1=1, axis2=2) * np.array(fixed)
    traces = traces * np.trace(target.evaluate(averages.coordinates), axis1=1, axis2=2)
    norm = float((part.arrays**2).sum())
    return averages.of(np.array(products)) / norm, averages.of(traces) / part.arrays[0].size


def _turned(rep: Representation, columns: np.ndarray, g: GroupElement) -> np.ndarray:
    return columns @ rep(g).T
