"""How layers print: one line for a layer, one line per layer for what is made of layers."""

from __future__ import annotations

import functools
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from ...fields import FieldType, Type
from ...representations import as_representation

LONGEST = 60
"""Characters of a representation's name before it is cut."""

SCREEN = 50
"""Lines of a printed model."""

DEEPEST = 10
"""Levels of layers inside layers that are printed at most."""


def clipped(text: str, width: int) -> str:
    """The text, or its start and end with dots between if it is longer than ``width``."""
    if len(text) <= width:
        return text
    tail = max(0, (width - 1) // 3)
    return text[: width - 1 - tail] + "…" + (text[-tail:] if tail else "")


def place(type_: Type | tuple[Type, ...]) -> str:
    """Who acts, and where: ``C8 on R2``, or ``C8`` for vectors."""
    if isinstance(type_, tuple):
        return place(type_[0])
    return repr(type_.space) if isinstance(type_, FieldType) else type_.group.name


def fields(type_: Type | tuple[Type, ...]) -> str:
    """The fields of a type without its place: ``3 x regular``."""
    if isinstance(type_, tuple):
        return ", ".join(fields(one) for one in type_)
    return as_representation(type_, "type").name


def border(
    in_type: Type | tuple[Type, ...],
    out_type: Type | tuple[Type, ...],
    around: str = "",
    width: int | None = LONGEST,
) -> str:
    """``place: in -> out`` on one line; the place only where it is not ``around``."""

    def cut(type_: Type | tuple[Type, ...]) -> str:
        return fields(type_) if width is None else clipped(fields(type_), width)

    here, there = place(in_type), place(out_type)
    text = cut(in_type) if here == around else f"{here}: {cut(in_type)}"
    if here != there:
        return f"{text} -> {there}: {cut(out_type)}"
    return text if in_type == out_type else f"{text} -> {cut(out_type)}"


# ---- the tree of layers ------------------------------------------------------------------------


def parts(node: PyTree) -> Iterator[tuple[str, Any]]:
    """What a module or pytree is made of: its own leaves and the modules right inside it.

    Names are those of Python, ``before`` or ``layers[0]``; the layers of a `Sequential` have
    their own names, or ``[0]``. Indices of states are no parts.
    """

    def below(child: object) -> bool:
        return child is not node and isinstance(child, eqx.Module)

    names = getattr(node, "names", None)
    bare = hasattr(node, "layers") and hasattr(type(node), "__getitem__")
    for path, child in jax.tree_util.tree_leaves_with_path(node, is_leaf=below):
        if isinstance(child, eqx.nn.StateIndex):
            continue
        if bare and len(path) == 2 and getattr(path[0], "name", "") == "layers":
            index = path[1].idx  # pyright: ignore[reportAttributeAccessIssue]
            yield (names[index] if names else f"[{index}]"), child
        else:
            yield "".join(map(_step, path)).removeprefix("."), child


def _step(key: object) -> str:
    name = getattr(key, "name", None)
    if name is not None:
        return f".{name}"
    inner = getattr(key, "idx", getattr(key, "key", None))
    return f"[{inner!r}]"


def parameters(node: PyTree) -> int:
    """Number of parameters: entries of the floating array leaves; statistics are none."""
    leaves = jax.tree.leaves(node, is_leaf=lambda leaf: isinstance(leaf, eqx.nn.StateIndex))
    return sum(int(np.prod(leaf.shape)) for leaf in leaves if is_parameter(leaf))


def is_parameter(leaf: PyTree) -> bool:
    """Whether a leaf is a floating array, or the shape of one."""
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
        return False
    return bool(jax.numpy.issubdtype(leaf.dtype, jax.numpy.inexact))


# ---- lines -------------------------------------------------------------------------------------


def printed(layer: PyTree) -> str:
    """A layer as text: as many levels of layers inside as fit on a screen."""
    text = _printed(layer, "", 0)
    for depth in range(1, DEEPEST):
        deeper = _printed(layer, "", depth)
        if deeper.count("\n") >= SCREEN:
            break
        text = deeper
    return text


def _printed(layer: PyTree, around: str, depth: int) -> str:
    inner = [(name, part) for name, part in parts(layer) if isinstance(part, eqx.Module)]
    pieces = []
    if hasattr(layer, "in_type") and hasattr(layer, "out_type"):
        pieces.append(border(layer.in_type, layer.out_type, around))
        around = place(layer.in_type)
    kernel = None if inner else getattr(getattr(layer, "basis", None), "kernel", None)
    if kernel:
        pieces.append("kernel " + " x ".join(map(str, kernel)))
    pieces += _options(layer)
    count = parameters(layer)
    if count:
        pieces.append(f"{count:,} parameters")
    head = f"{type(layer).__name__}({', '.join(pieces)}"
    if not inner or depth == 0:
        return head + ")"
    lines = []
    for name, part in inner:
        text = _printed(part, around, depth - 1) if is_layer(part) else _foreign(part)
        lines.append(f"{name} {text}" if name.startswith("[") else f"{name}: {text}")
    return head + "\n" + textwrap.indent("\n".join(lines), "  ") + "\n)"


def is_layer(node: PyTree) -> bool:
    """Whether a module has types at its border, or is a list of such."""
    return hasattr(node, "in_type") or (hasattr(node, "layers") and hasattr(node, "insert"))


def _foreign(part: object) -> str:
    kind, count = type(part).__name__, parameters(part)
    return f"{kind}({count:,} parameters)" if count else f"{kind}()"


def _options(layer: PyTree) -> Iterator[str]:
    """Arguments that differ from their defaults, as far as the layer keeps them by name."""
    windows = getattr(layer, "windows", None)
    stored = {**(vars(windows) if hasattr(windows, "__dict__") else {}), **vars(layer)}
    if hasattr(layer, "basis"):
        stored.pop("kernel_size", None)  # the line says it already
    for name, default in _defaults(type(layer)).items():
        if name not in stored:
            continue
        text = _shown(stored[name], default)
        if text is not None:
            yield f"{name}={text}"


@functools.cache
def _defaults(cls: type) -> dict[str, Any]:
    found = inspect.signature(cls).parameters.values()
    hidden = ("in_type", "out_type", "key")
    named = (p for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
    return {p.name: p.default for p in named if p.name not in hidden}


def _shown(value: object, default: object) -> str | None:
    """The value of an option, or None if it is the default or nothing short to say."""
    if value is default or value is None:
        return None
    if isinstance(value, tuple) and _is_plain(value):
        singles = tuple(_single(entry) for entry in value)
        value = _single(singles)
        if len(repr(value)) > LONGEST:
            return None
    if _is_plain(value):
        return None if value == default else repr(value)
    if isinstance(value, Callable) and not isinstance(value, (type, eqx.Module)):
        return getattr(value, "__name__", None)
    return None


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple):
        return all(_is_plain(entry) for entry in value)
    return isinstance(value, (bool, int, float, str))


def _single(entry: object) -> Any:
    """``3`` for ``(3, 3)``."""
    if isinstance(entry, tuple) and entry and all(other == entry[0] for other in entry):
        return entry[0]  # pyright: ignore[reportGeneralTypeIssues]
    return entry
