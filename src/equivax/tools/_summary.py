"""`summary`: a model as a table, one line per layer."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from .._arguments import integer
from ..nn._core._module import observer
from ..nn._core._printing import (
    border,
    clipped,
    is_layer,
    is_parameter,
    parameters,
    parts,
    place,
)
from ..nn._core._stateful import is_stateful

ROWS = 40
"""Rows of a table whose depth is not given."""


@dataclasses.dataclass(frozen=True)
class _Row:
    path: tuple[str, ...]
    node: PyTree
    types: str
    parameters: int
    dim: int | None
    lost: tuple[str, ...]


def summary(
    model: PyTree,
    in_shape: Sequence[Any] | None = None,
    *,
    state: eqx.nn.State | None = None,
    depth: int | None = None,
    width: int = 100,
) -> str:
    """A table of the layers of a model: types, parameters, dimension of the basis, irreps lost.

    For a linear layer the dimension is that of ``Hom_G(rho_in, rho_out)``, for a convolution that
    of its space of kernels; irreps of the input that reach no output are lost. Parameters are the
    entries of floating array leaves, statistics not among them. Shapes are found by abstract
    evaluation: nothing is computed.

    Args:
        model: A layer, or any pytree that contains layers, such as a module of yours.
        in_shape: Shape of an input, with or without batch axes, as the model takes it; a sequence
            of shapes for a model of several inputs. Adds the shape of every output.
        state: The state of the model, if a layer has running statistics and ``in_shape`` is given.
        depth: Levels of layers inside layers to show; by default as many as fit on a screen.
        width: Characters per line; types that are longer lose their middle.

    Returns:
        The text, for ``print``.

    Raises:
        ValueError: If there is no layer in the model, a number is out of range, the state is
            missing, or the shape does not fit the model.
        TypeError: If an argument is of another kind, or ``model`` cannot be called on a shape.

    Examples:
        >>> import equivax as evx, jax
        >>> G = evx.groups.cyclic(4)
        >>> model = evx.models.MLP(G.regular, G.regular, [8], key=jax.random.key(0))
        >>> print(evx.summary(model, (4,)))
        MLP of C4: regular
        layer                        types                   parameters  dim  output
        layers: Sequential           regular                         19       (4,)
          [0] Linear                 regular -> 2 x regular          10    8  (8,)
          [1] PointwiseNonlinearity  2 x regular                              (8,)
          [2] Linear                 2 x regular -> regular           9    8  (4,)
        total                                                        19
    """
    width = integer(width, "summary", "width", 60)
    if depth is not None:
        depth = integer(depth, "summary", "depth", 1)
    if state is not None and not isinstance(state, eqx.nn.State):
        raise TypeError(
            f"summary: state: expected an equinox.nn.State or None, got {type(state).__name__}"
        )
    levels = _levels(model)
    everything = levels[-1]
    if not any(is_layer(row.node) for row in everything) and not is_layer(model):
        raise ValueError(
            f"summary: model: expected a pytree with equivariant layers in it, got "
            f"{clipped(type(model).__name__, 40)} without any"
        )
    shapes = {} if in_shape is None else _shapes(model, in_shape, state)
    fitting = [rows for rows in levels if len(rows) <= ROWS] or levels[:1]
    rows = fitting[-1] if depth is None else levels[min(depth, len(levels)) - 1]
    return _table(model, rows, shapes, in_shape is not None, width)


# ---- rows --------------------------------------------------------------------------------------


def _levels(model: PyTree) -> list[list[_Row]]:
    """Rows of the first level, of the first two, and so on."""
    top = place(model.in_type) if hasattr(model, "in_type") else ""
    rows = _rows(model, (), top)
    if not rows and hasattr(model, "in_type"):  # a single layer
        rows = [_row(("",), model, top)]
    deepest = max((len(row.path) for row in rows), default=1)
    return [[row for row in rows if len(row.path) <= n] for n in range(1, deepest + 1)]


def _rows(node: PyTree, path: tuple[str, ...], around: str) -> list[_Row]:
    found = []
    for name, part in parts(node):
        here = (*path, name)
        if not isinstance(part, eqx.Module):
            continue
        inner = _rows(part, here, around)
        if inner and not any(is_layer(row.node) for row in inner) and not is_layer(part):
            inner = []  # the insides of a plain module
        if inner or is_layer(part) or parameters(part):
            found += [_row(here, part, around), *inner]
    return found


def _row(path: tuple[str, ...], node: PyTree, around: str) -> _Row:
    basis = getattr(node, "basis", None)
    dim = getattr(basis, "dim", None)
    return _Row(
        path,
        node,
        border(node.in_type, node.out_type, around, None) if hasattr(node, "in_type") else "",
        parameters(node),
        None if dim is None else dim * getattr(node, "groups", 1),
        tuple(getattr(basis, "unused_in", ())),
    )


# ---- shapes ------------------------------------------------------------------------------------


def _shapes(
    model: PyTree, in_shape: Sequence[Any], state: eqx.nn.State | None
) -> dict[tuple[str, ...], str]:
    """Path of a layer to the shape of its output, ``""`` for layers that are not called."""
    if not callable(model):
        raise TypeError(
            f"summary: in_shape: {type(model).__name__} cannot be called, so its layers have no "
            "output shapes; give its parts one by one, or no in_shape"
        )
    inputs = _inputs(in_shape)
    stateful = _has_statistics(model)
    if stateful and state is None:
        raise ValueError(
            "summary: state: needed for output shapes, since a layer has running statistics; give "
            "the state that equinox.nn.make_with_state returned"
        )
    options: dict[str, Any] = {}
    if "key" in inspect.signature(model.__call__).parameters:
        options["key"] = jax.random.key(0)
    found: dict[tuple[str, ...], str] = {}

    def run(model: PyTree, state: PyTree, *inputs: PyTree) -> Any:
        names = {id(row.node): row.path for row in _rows(model, (), "")}
        names[id(model)] = ("",)

        def hear(layer: PyTree, output: PyTree) -> None:
            if id(layer) in names:
                found[names[id(layer)]] = _shape_of(output)

        token = observer.set(hear)
        try:
            if stateful:
                return model(*inputs, state, **options)[0]
            return model(*inputs, **options)
        finally:
            observer.reset(token)

    try:
        eqx.filter_eval_shape(run, model, state, *inputs)
    except (TypeError, ValueError) as error:
        raise type(error)(f"summary: in_shape: {tuple(in_shape)} does not fit: {error}") from error
    return found


def _has_statistics(model: PyTree) -> bool:
    return is_stateful(model) or any(
        isinstance(leaf, eqx.nn.StateIndex)
        for leaf in jax.tree.leaves(model, is_leaf=lambda n: isinstance(n, eqx.nn.StateIndex))
    )


def _inputs(in_shape: object) -> list[jax.ShapeDtypeStruct]:
    message = f"summary: in_shape: expected a shape such as (1, 33, 33), got {in_shape!r}"
    if isinstance(in_shape, (str, bytes)) or not isinstance(in_shape, Sequence):
        raise TypeError(message)
    nested = len(in_shape) > 0 and all(isinstance(n, Sequence) for n in in_shape)
    shapes = list(in_shape) if nested else [in_shape]
    for shape in shapes:
        for n in shape:
            if isinstance(n, bool) or not isinstance(n, int):
                raise TypeError(message)
            if n < 0:
                raise ValueError(message)
    return [jax.ShapeDtypeStruct(tuple(shape), jnp.result_type(float)) for shape in shapes]


def _shape_of(output: PyTree) -> str:
    shapes = [str(tuple(leaf.shape)) for leaf in jax.tree.leaves(output) if is_parameter(leaf)]
    return ", ".join(shapes)


# ---- text --------------------------------------------------------------------------------------


def _table(
    model: PyTree, rows: list[_Row], shapes: dict[Any, str], with_shapes: bool, width: int
) -> str:
    title = type(model).__name__
    if hasattr(model, "in_type"):
        title += f" of {border(model.in_type, model.out_type)}"
    header = ["layer", "types", "parameters", "dim", "lost", "output"]
    lines = [header, *(_cells(row, shapes) for row in rows)]
    lines.append(["total", "", f"{parameters(model):,}", "", "", ""])
    kept = [0, 1, 2, 3]
    kept += [4] * any(row.lost for row in rows) + [5] * with_shapes
    sizes = {c: max(len(line[c]) for line in lines) for c in kept}
    sizes[0] = min(sizes[0], width // 3)
    if 4 in sizes:
        sizes[4] = min(sizes[4], width // 5)
    room = width - sum(size + 2 for c, size in sizes.items() if c != 1)
    sizes[1] = min(sizes[1], max(room, len("types")))
    text = [clipped(title, width)]
    for line in lines:
        cells = []
        for c in kept:
            cell = clipped(line[c], sizes[c])
            cells.append(cell.rjust(sizes[c]) if c in (2, 3) else cell.ljust(sizes[c]))
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)


def _cells(row: _Row, shapes: dict[Any, str]) -> list[str]:
    name, kind = row.path[-1], type(row.node).__name__
    label = kind if not name else f"{name} {kind}" if name.startswith("[") else f"{name}: {kind}"
    return [
        "  " * (len(row.path) - 1) + label,
        row.types,
        f"{row.parameters:,}" if row.parameters else "",
        "" if row.dim is None else f"{row.dim:,}",
        ", ".join(row.lost),
        shapes.get(row.path, ""),
    ]
