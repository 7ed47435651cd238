"""`save` and `load`: a model in one file, which says what its numbers mean.

The first line is a header in JSON: format, versions, hyperparameters, and every layer and array
with a digest of what it means. Behind it are the leaves in NumPy's format, and a last line with
the digest of all bytes before it. Nothing is pickled, so a file holds no code.
"""

from __future__ import annotations

import datetime
import functools
import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import PyTree

from ..hom import at_least_float32
from ._comparing import SWITCH, compare, has_64_bits
from ._files import Digested, checked_digest, checked_path, opened, replacing
from ._fingerprint import combined, described
from ._header import Header, checked_line, read_header, versions
from ._hyperparameters import encoded
from ._leaves import (
    StoredArray,
    as_leaf,
    as_stored,
    cast,
    checked_leaf,
    is_key,
    is_stored,
    named_leaves,
    read_array,
    write_leaf,
)
from ._views import as_built, as_told


def save(
    path: str | os.PathLike[str],
    model: PyTree,
    state: eqx.nn.State | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    *,
    make: Callable[..., Any] | None = None,
) -> None:
    """Writes a model to one file, for `load`.

    The file is written beside its place, flushed to the disk and moved there in one step: at any
    interruption the old file or the new one is there, whole, and writers of one path do not
    disturb each other. A symbolic link stays, and what it leads to is replaced; the mode of an old
    file is kept.

    Args:
        path: Of the file.
        model: A layer, or any pytree whose leaves are arrays, PRNG keys and numbers; other leaves,
            such as functions, are not stored.
        state: The running statistics, if it has any.
        hyperparameters: What `load` gives to the function that builds the model, by name: whatever
            JSON holds (tuples come back as lists), numbers of NumPy (as Python's), and activations
            such as `jax.nn.relu`, by their names.
        make: The function that builds the model. Its name is stored for `describe`, and it must
            take the hyperparameters.

    Raises:
        TypeError: If the path, the state or the hyperparameters are of another kind.
        ValueError: If a hyperparameter is no JSON, the state is missing, or a leaf has no numbers,
            as under ``jit``.
        OSError: If the file cannot be written; an old file is as it was.
    """
    where = checked_path("save", path)
    if state is not None and not isinstance(state, eqx.nn.State):
        raise TypeError(
            f"save: state: expected an equinox.nn.State or None, got {type(state).__name__}"
        )
    if state is None and _has_statistics(model):
        raise ValueError(
            "save: state: needed, since a layer has running statistics; give the state that the "
            "model was last called with"
        )
    options = encoded(hyperparameters)
    if make is not None:
        _check_builds("save", make)
        _arguments("save", make, options)
    leaves = named_leaves(model, state)
    stored = [checked_leaf(name, leaf) for name, leaf in leaves]
    count = len(stored) - len(named_leaves(None, state))
    listed = described(model)
    line = checked_line(
        Header(
            versions=versions(),
            saved=datetime.datetime.now(datetime.UTC).replace(microsecond=0),
            model=type(model).__qualname__,
            make=None if make is None else _name(make),
            fingerprint=combined(listed),
            hyperparameters=options,
            parts=tuple(listed),
            leaves=tuple(stored[:count]),
            state=None if state is None else tuple(stored[count:]),
        )
    )
    with replacing("save", where) as file:
        digested = Digested(file)
        digested.write(line)
        for _, leaf in leaves:
            write_leaf(digested, leaf)
        digested.close_with_digest()


def load(
    path: str | os.PathLike[str], make: Callable[..., Any], *, dtype: DTypeLike | None = None
) -> Any:
    """Reads a model that `save` wrote.

    The digest of the file and every field of its header are checked before ``make`` is called.

    Args:
        path: Of the file.
        make: Builds the model, ``make(**hyperparameters)``; if it takes ``key``, it gets one. It is
            run abstractly: no parameter is drawn. For a file with a state it may be the bare
            function or what `equinox.nn.make_with_state` makes of it.
        dtype: Of the floating arrays of the loaded model, whatever the file and ``make`` say:
            float32, say, for a file of float64. Statistics have at least float32, and integers
            what ``make`` builds. If None nothing is cast, and dtypes must agree.

    Returns:
        The model, or ``(model, state)`` if a state was saved.

    Raises:
        ValueError: If the file is no such file, damaged or cut short, or the model that ``make``
            builds differs in types, bases, shapes or dtypes; the message names the first
            difference.
        TypeError: If the path is no path, ``make`` cannot be called with the hyperparameters, or
            ``dtype`` is none of floating numbers.
        FileNotFoundError: If there is no file.
    """
    where = checked_path("load", path)
    _check_builds("load", make)
    dtype = None if dtype is None else _floating(dtype)
    with opened("load", where) as file:
        end, digest = checked_digest("load", file, where)
        header = read_header("load", file, where, end, digest is not None)
        model, state = _skeleton(make, header)
        compare(header, model, state, dtype)
        return _filled(file, where, end, header, (model, state), dtype)


def _floating(dtype: DTypeLike) -> np.dtype[Any]:
    try:
        found = jnp.dtype(dtype)
    except (TypeError, ValueError):
        found = None
    if found is None or not jnp.issubdtype(found, jnp.floating):
        raise TypeError(f"load: dtype: expected one of floating numbers or None, got {dtype!r}")
    if found.itemsize == 8 and not has_64_bits():
        raise ValueError(f"load: dtype: {found} needs 64-bit types; {SWITCH}")
    return found


def _has_statistics(tree: PyTree) -> bool:
    def index(node: PyTree) -> bool:
        return isinstance(node, eqx.nn.StateIndex)

    return any(map(index, jax.tree.leaves(tree, is_leaf=index)))


# ---- the function that builds ------------------------------------------------------------------


def _check_builds(caller: str, make: object) -> None:
    if not callable(make):
        raise TypeError(
            f"{caller}: make: expected a function that builds the model, got {type(make).__name__}"
        )


def _name(make: Callable[..., Any]) -> str:
    """``package.module.function``, or the name of the class of a callable."""
    while isinstance(make, functools.partial):
        make = make.func
    make = inspect.unwrap(make)
    named = make if hasattr(make, "__qualname__") else type(make)
    return f"{named.__module__}.{named.__qualname__}"


def _arguments(caller: str, make: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """What ``make`` is called with: hyperparameters, and a key if it takes one."""
    try:
        signature = inspect.signature(make)
    except ValueError:
        raise TypeError(f"make: expected a function with a signature, got {make!r}") from None
    taken = signature.parameters
    found = dict(options)
    takes_key = "key" in taken or any(p.kind is p.VAR_KEYWORD for p in taken.values())
    if takes_key and "key" not in found:
        found["key"] = jax.random.key(0)
    try:
        signature.bind(**found)
    except TypeError as error:
        raise TypeError(
            f"{caller}: make: cannot be called with the hyperparameters "
            f"{'of the file, ' if caller == 'load' else ''}{list(options)}: {error}"
        ) from None
    return found


def _skeleton(make: Callable[..., Any], header: Header) -> tuple[Any, Any]:
    """The model and state that ``make`` builds, with shapes instead of JAX's arrays."""
    options = _arguments("load", make, header.hyperparameters)
    if header.state is None:
        return _abstractly(lambda: make(**options)), None

    def build() -> Any:
        made = make(**options)
        paired = isinstance(made, tuple) and len(made) == 2 and isinstance(made[1], eqx.nn.State)
        return made if paired else eqx.nn.make_with_state(lambda: made)()

    return _abstractly(build)


def _abstractly(build: Callable[[], Any]) -> Any:
    """What ``build`` builds; NumPy's arrays stay, which `equinox.filter_eval_shape` would turn."""
    found: dict[str, Any] = {}

    def run() -> dict[int, jax.Array]:
        leaves, found["structure"] = jax.tree.flatten(build())
        traced = {i: leaf for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)}
        found["leaves"] = [None if i in traced else leaf for i, leaf in enumerate(leaves)]
        return traced

    shapes = jax.eval_shape(run)
    leaves = [shapes.get(i, leaf) for i, leaf in enumerate(found["leaves"])]
    return jax.tree.unflatten(found["structure"], leaves)


# ---- reading -----------------------------------------------------------------------------------


def _filled(
    file: IO[bytes],
    where: Path,
    end: int,
    header: Header,
    like: tuple[Any, Any],
    dtype: DTypeLike | None,
) -> Any:
    """The built model and state with the numbers of the file."""
    leaves, structure = jax.tree.flatten(as_told(like, header.format_version))
    places = [i for i, leaf in enumerate(leaves) if is_stored(leaf)]
    arrays = [*header.leaves, *(header.state or ())]
    damaged = f"load: path: {where} ends early or is damaged"
    if len(places) != len(arrays):
        raise ValueError(f"{damaged}: expected {len(places)} arrays, got {len(arrays)}")
    for number, (place, stored) in enumerate(zip(places, arrays, strict=True)):
        leaf = leaves[place]
        target = _target(leaf, dtype, in_state=number >= len(header.leaves))
        try:
            _check_fits(stored, as_stored(stored.name, leaf), exactly=target is None)
            array = read_array(file, stored)
        except ValueError as error:
            raise ValueError(f"{damaged}: {error}") from None
        if target is not None:
            array = cast(array, target, stored.name)
        try:
            leaves[place] = as_leaf(array, stored, leaf)
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"{damaged}: {error}") from None
    if file.tell() != end:
        raise ValueError(f"load: path: {where} goes on behind the last array: it is damaged")
    filled = jax.tree.unflatten(structure, leaves)
    model, state = as_built(filled, like, header.format_version)
    return model if state is None else (model, state)


def _check_fits(stored: StoredArray, like: StoredArray, exactly: bool) -> None:
    dtypes = (stored.dtype, like.dtype) if exactly and not stored.is_key else ("", "")
    if dtypes[0] != dtypes[1] or stored.shape != like.shape or stored.is_key != like.is_key:
        raise ValueError(f"expected {like.text} at {stored.name}, got {stored.text}")


def _target(leaf: PyTree, dtype: DTypeLike | None, in_state: bool) -> Any:
    """What an array is cast to where ``dtype`` is asked for; None for numbers and keys."""
    if dtype is None or is_key(leaf) or not hasattr(leaf, "dtype"):
        return None
    if jnp.issubdtype(leaf.dtype, jnp.floating):
        return at_least_float32(dtype) if in_state else dtype
    if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
        return jnp.complex128 if jnp.dtype(dtype).itemsize == 8 else jnp.complex64
    return leaf.dtype
