"""What a model's parameters mean, as text that is the same in every process and on every machine.

A parameter is a coordinate in a basis, and the basis is made from the types. So a file of
parameters goes with: the places, shapes and dtypes of the arrays; the irreps and the changes of
basis of all types; the actions of the groups on points; and the recipes of the bases of kernels.
Names of representations and options that only choose an algorithm are left out.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import PyTree

from .._numerics import rounded_digest
from ..fields import FieldType
from ..groups import Group
from ..hom import HomBasis
from ..kernels import SteerableBasis, TypeBasis
from ..nn._core._printing import border, is_layer, parts
from ..representations import Representation, Summand
from ..spaces import GSpace
from ._views import VERSION, as_told

BASIS_VERSION = 1
"""Grows when order, sign or scale of a basis changes: older files then mean something else."""

RESOLUTION = 1e-6
"""Matrices are compared up to this: their rounding errors depend on the machine."""


SETTINGS = ("bias_mode", "num_heads", "base", "norm_first", "patch", "aggregate")
"""Options of layers that say what an array does: a bias is added or multiplies a mean, rows of a
projection are these heads or those. In files of version 1 of the format they are not told."""


class Part(NamedTuple):
    """One layer or array of a model.

    Attributes:
        path: Where it stands.
        about: What it is, for messages.
        digest: What its parameters mean, in hexadecimal.
    """

    path: str
    about: str
    digest: str


def fingerprint(model: PyTree) -> str:
    """A digest of the types and bases of a model and of the shapes and dtypes of its arrays.

    Equal for two models exactly if the arrays of one mean the same in the other: the values of the
    parameters take no part. Matrices are rounded to 1e-6, so that the digest does not depend on
    the machine.

    Args:
        model: A layer, or any pytree.

    Returns:
        32 hexadecimal digits.

    Examples:
        >>> import equivax as evx, jax
        >>> G = evx.groups.cyclic(4)
        >>> first = evx.nn.Linear(G.regular, G.regular, key=jax.random.key(0))
        >>> other = evx.nn.Linear(G.regular, G.regular, key=jax.random.key(1))
        >>> evx.tools.fingerprint(first) == evx.tools.fingerprint(other)
        True
        >>> wider = evx.nn.Linear(G.regular, 2 * G.regular, key=jax.random.key(0))
        >>> evx.tools.fingerprint(first) == evx.tools.fingerprint(wider)
        False
    """
    return combined(described(model))


def combined(listed: list[Part]) -> str:
    """The digest of a model from those of its parts."""
    return _hash(f"basis {BASIS_VERSION}", *(f"{part.path} {part.digest}" for part in listed))


def described(model: PyTree, *, version: int = VERSION) -> list[Part]:
    """Every array and every module of a model, in the order of the tree.

    Coefficients are told as `as_told` has them.

    Args:
        model: Any pytree.
        version: Of the format: in the first one `SETTINGS` take no part.
    """
    told = nodes(as_told(model, version))
    return [_part(path, node, version > 1) for path, node in told]


def nodes(node: PyTree, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every module and leaf of a model with its path, in the order of the tree."""
    if isinstance(node, eqx.Module):
        yield path, node
    for name, part in parts(node):
        here = f"{path}.{name}" if path and not name.startswith("[") else path + name
        if isinstance(part, eqx.Module):
            yield from nodes(part, here)
        else:
            yield here, part


def _part(path: str, node: PyTree, settings: bool) -> Part:
    if isinstance(node, eqx.Module):
        return _module(node, path, settings)
    if hasattr(node, "shape") and hasattr(node, "dtype"):
        return array_part(path, node.dtype, node.shape)
    return Part(path, f"a {type(node).__name__}", _hash(type(node).__name__))


def array_part(path: str, dtype: object, shape: Sequence[int]) -> Part:
    """An array as a part of a model."""
    text = f"{dtype}{list(shape)}"
    return Part(path, f"an array {text}", _hash(text))


def _module(node: eqx.Module, path: str, settings: bool) -> Part:
    kind = type(node).__name__
    static = [
        f"{f.name}={text}"
        for f in dataclasses.fields(node)  # pyright: ignore[reportArgumentType]
        if f.metadata.get("static") and (text := _meaning(getattr(node, f.name, None)))
    ]
    told = [f"{n}={getattr(node, n)}" for n in SETTINGS if settings and hasattr(node, n)]
    about = f"a {kind}"
    if is_layer(node) and hasattr(node, "in_type"):
        about += f" of {border(node.in_type, node.out_type)}"  # pyright: ignore
    basis = getattr(node, "basis", None)
    if isinstance(basis, TypeBasis):
        about += f" with {basis.recipe}"
    about = ", ".join([about, *told])
    return Part(path, about, _hash(kind, *static, *told))


# ---- values ------------------------------------------------------------------------------------


def _meaning(value: object) -> str:
    """A type, a basis, or a tuple that holds some, as text; ``""`` for anything else."""
    if isinstance(value, tuple):
        inner = [_meaning(entry) for entry in value]
        return f"({', '.join(inner)})" if any(inner) else ""
    if isinstance(value, FieldType):
        return f"fields({_space(value.space)}, {_representation(value.representation)})"
    if isinstance(value, Representation):
        return _representation(value)
    if isinstance(value, GSpace):
        return _space(value)
    if isinstance(value, TypeBasis):
        return _type_basis(value)
    if isinstance(value, SteerableBasis):
        return _steerable(value)
    if isinstance(value, HomBasis):
        return f"hom({_representation(value.in_rep)}, {_representation(value.out_rep)})"
    return ""


def _group(group: Group) -> str:
    return f"{group.name} of order {group.order}"


@functools.lru_cache(maxsize=4096)
def _space(space: GSpace) -> str:
    matrices = space.matrices(space.group.generator_coordinates)
    return f"space({_group(space.group)}, {space.dim}, {_rounded(matrices)})"


def _representation(rep: Representation) -> str:
    runs = "+".join(f"{count}*{_summand(summand)}" for summand, count in rep.data)
    return f"rep({_group(rep.group)}, {runs})"


@functools.lru_cache(maxsize=4096)
def _summand(summand: Summand) -> str:
    at_generators = summand.evaluate(summand.group.generator_coordinates)
    matrices = [summand.change_of_basis, at_generators]
    if summand.orthogonalizer is not None:
        matrices.append(summand.orthogonalizer)
    return f"{list(summand.irreps)}:{_rounded(*matrices)}"


@functools.lru_cache(maxsize=1024)
def _type_basis(basis: TypeBasis) -> str:
    pairs = [
        f"{pair.out_kind} {pair.in_kind} {pair.shape} {_steerable(pair.basis)}"
        for pair in basis.pairs
    ]
    reps = _representation(basis.in_rep), _representation(basis.out_rep)
    return f"kernels({_space(basis.space)}, {reps}, {_plain(basis.recipe)}, {_hash(*pairs)})"


@functools.lru_cache(maxsize=4096)
def _steerable(basis: SteerableBasis) -> str:
    """Which functions, and which elements of the basis are kept."""
    return _hash(_plain(basis.recipe), *basis.names())


def _plain(recipe: Any) -> str:
    """A recipe with all its options; floats to 9 digits.

    Options that came later ("since") take part where they are set, so that older files still fit.
    """
    values = {
        f.name: value
        for f in dataclasses.fields(recipe)
        if (value := getattr(recipe, f.name)) != f.default or "since" not in f.metadata
    }
    return f"{type(recipe).__name__}({', '.join(f'{n}={_value(v)}' for n, v in values.items())})"


def _value(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, np.ndarray):
        return _rounded(value)
    if dataclasses.is_dataclass(value):
        return _plain(value)
    if isinstance(value, (bool, int, str, type(None))):
        return repr(value)
    return getattr(value, "__qualname__", type(value).__qualname__)


_rounded = functools.partial(rounded_digest, resolution=RESOLUTION)


def _hash(*texts: str) -> str:
    state = hashlib.blake2b(digest_size=16)
    for text in texts:
        state.update(text.encode() + b"\0")
    return state.hexdigest()
