"""`save` and `load`: a model in one file, which says what its numbers mean.

The first line is a header in JSON: format, versions, hyperparameters, and every layer and array
with a digest of what it means. Behind it are the leaves, as `equinox.tree_serialise_leaves`
writes them: arrays in NumPy's format. Nothing is pickled, so a file holds no code.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import equinox as eqx
import jax

from ._fingerprint import BASIS_VERSION, Part, combined, described

FORMAT = "equivax model"
FORMAT_VERSION = 1
LONGEST_HEADER = 1 << 26


def save(
    path: str | os.PathLike[str],
    model: Any,
    state: eqx.nn.State | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
) -> None:
    """Writes a model to one file, for `load`.

    The file is written beside its place and moved there, so that an interrupted save leaves the
    old file as it was.

    Args:
        path: Of the file.
        model: A layer, or any pytree whose leaves are arrays and numbers.
        state: The running statistics, if it has any.
        hyperparameters: What `load` gives to the function that builds the model, by name: whatever
            JSON holds (tuples come back as lists).

    Raises:
        TypeError: If the path, the state or the hyperparameters are of another kind.
        ValueError: If a hyperparameter is no JSON, or the state is missing.
    """
    where = _path("save", path)
    if state is not None and not isinstance(state, eqx.nn.State):
        raise TypeError(
            f"save: state: expected an equinox.nn.State or None, got {type(state).__name__}"
        )
    if state is None and _has_statistics(model):
        raise ValueError(
            "save: state: needed, since a layer has running statistics; give the state that the "
            "model was last called with"
        )
    listed = described(model)
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "equivax": importlib.metadata.version("equivax"),
        "basis_version": BASIS_VERSION,
        "fingerprint": combined(listed),
        "hyperparameters": _json(hyperparameters),
        "parts": [list(part) for part in listed],
        "state": None if state is None else _shapes(state),
    }
    beside = where.with_name(where.name + ".part")
    try:
        with beside.open("wb") as file:
            file.write(json.dumps(header).encode() + b"\n")
            eqx.tree_serialise_leaves(file, (model, state))
        beside.replace(where)
    finally:
        beside.unlink(missing_ok=True)


def load(path: str | os.PathLike[str], make: Callable[..., Any]) -> Any:
    """Reads a model that `save` wrote.

    Args:
        path: Of the file.
        make: Builds the model, ``make(**hyperparameters)``; if it takes ``key``, it gets one. It is
            run abstractly: no parameter is drawn. For a file with a state it may be the bare
            function or what `equinox.nn.make_with_state` makes of it.

    Returns:
        The model, or ``(model, state)`` if a state was saved.

    Raises:
        ValueError: If the file is no such file or cut short, or the model that ``make`` builds
            differs in types, bases, shapes or dtypes; the message names the first difference.
        TypeError: If the path is no path, or ``make`` cannot be called with the hyperparameters.
        FileNotFoundError: If there is no file.
    """
    where = _path("load", path)
    if not callable(make):
        raise TypeError(
            f"load: make: expected a function that builds the model, got {type(make).__name__}"
        )
    with where.open("rb") as file:
        header = _header(file, where)
        model, state = _skeleton(make, header)
        _compare(header, model, state)
        try:
            model, state = eqx.tree_deserialise_leaves(file, (model, state))
        except (ValueError, EOFError, OSError, RuntimeError) as error:
            raise ValueError(
                f"load: path: {where} ends early or is damaged: {str(error).splitlines()[0]}"
            ) from error
        if file.read(1):
            raise ValueError(f"load: path: {where} goes on behind the last array: it is damaged")
    return model if state is None else (model, state)


def _path(caller: str, path: Any) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{caller}: path: expected a path, got {type(path).__name__}")
    return Path(path)


def _json(hyperparameters: Any) -> dict[str, Any]:
    if hyperparameters is None:
        return {}
    if not isinstance(hyperparameters, Mapping):
        raise TypeError(
            "save: hyperparameters: expected a mapping from names to values, got "
            f"{type(hyperparameters).__name__}"
        )
    for name, value in hyperparameters.items():
        if not isinstance(name, str):
            raise TypeError(f"save: hyperparameters: expected names as strings, got {name!r}")
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"save: hyperparameters: expected what JSON holds (numbers, strings, lists, "
                f"dicts) for {name!r}, got {type(value).__name__}: {error}"
            ) from None
    return dict(hyperparameters)


def _has_statistics(tree: Any) -> bool:
    def index(node: Any) -> bool:
        return isinstance(node, eqx.nn.StateIndex)

    return any(map(index, jax.tree.leaves(tree, is_leaf=index)))


def _shapes(state: Any) -> list[str]:
    leaves = jax.tree.leaves(state)
    return [f"{leaf.dtype}{list(leaf.shape)}" for leaf in leaves if hasattr(leaf, "shape")]


# ---- reading -----------------------------------------------------------------------------------


def _header(file: IO[bytes], where: Path) -> dict[str, Any]:
    line = file.readline(LONGEST_HEADER)
    try:
        header = json.loads(line)
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(f"load: path: expected a file that equivax.save wrote, got {where}")
    if header["format_version"] != FORMAT_VERSION:
        raise ValueError(
            f"load: path: {where} has version {header['format_version']} of the format (equivax "
            f"{header['equivax']}), this equivax reads version {FORMAT_VERSION}"
        )
    if header["basis_version"] != BASIS_VERSION:
        raise ValueError(
            f"load: path: {where} was written by equivax {header['equivax']} with version "
            f"{header['basis_version']} of the bases; this equivax has version {BASIS_VERSION}, "
            "where the same parameters mean another model"
        )
    return header


def _skeleton(make: Callable[..., Any], header: dict[str, Any]) -> tuple[Any, Any]:
    """The model and state that ``make`` builds, with shapes instead of arrays."""
    options = dict(header["hyperparameters"])
    signature = inspect.signature(make)
    taken = signature.parameters
    takes_key = "key" in taken or any(p.kind is p.VAR_KEYWORD for p in taken.values())
    if takes_key and "key" not in options:
        options["key"] = jax.random.key(0)
    try:
        signature.bind(**options)
    except TypeError as error:
        raise TypeError(
            f"load: make: cannot be called with the hyperparameters of the file, {list(options)}: "
            f"{error}"
        ) from None
    if header["state"] is None:
        return eqx.filter_eval_shape(lambda: make(**options)), None

    def build() -> Any:
        made = make(**options)
        paired = isinstance(made, tuple) and len(made) == 2 and isinstance(made[1], eqx.nn.State)
        return made if paired else eqx.nn.make_with_state(lambda: made)()

    return eqx.filter_eval_shape(build)


def _compare(header: dict[str, Any], model: Any, state: Any) -> None:
    listed = described(model)
    saved = [Part(*entry) for entry in header["parts"]]
    for index in range(max(len(saved), len(listed))):
        before = saved[index] if index < len(saved) else None
        now = listed[index] if index < len(listed) else None
        if before is not None and now is not None:
            if (before.path, before.digest) == (now.path, now.digest):
                continue
            if (before.path, before.about) == (now.path, now.about):
                now = now._replace(about=f"{now.about} in another basis")
        raise ValueError(f"load: make: expected {_told(before)}, as in the file, got {_told(now)}")
    if header["fingerprint"] != combined(listed):
        raise ValueError("load: path: the fingerprint is not that of the header: it is damaged")
    now = None if state is None else _shapes(state)
    if now != header["state"]:
        raise ValueError(
            f"load: make: expected a state of arrays {header['state']}, as in the file, got {now}"
        )


def _told(part: Part | None) -> str:
    if part is None:
        return "no further layer or array"
    return f"{part.about} at {part.path or 'the top'}"
