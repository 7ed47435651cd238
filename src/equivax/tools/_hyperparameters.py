"""Hyperparameters as JSON and back: what comes out is what went in, or it does not go in.

Tuples come back as lists and the names in nested dicts as strings: that much JSON changes. Of
functions only those with a name in a table are stored, by that name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..nn import squash
from ..nn._core._activations import ACTIVATIONS
from ..nn._core._printing import clipped

FUNCTION = "equivax.function"
"""The only name in the dict that stands for a function."""

DEEPEST = 32
"""Lists and dicts inside each other."""

FUNCTIONS: dict[str, Callable[..., Any]] = {**ACTIVATIONS, "equivax.nn.squash": squash}


def encoded(hyperparameters: object) -> dict[str, Any]:
    """Hyperparameters as JSON holds them.

    Raises:
        TypeError: If they are no mapping from names.
        ValueError: If a value cannot be stored.
    """
    if hyperparameters is None:
        return {}
    if not isinstance(hyperparameters, Mapping):
        raise TypeError(
            "save: hyperparameters: expected a mapping from names to values, got "
            f"{type(hyperparameters).__name__}"
        )
    for name in hyperparameters:
        if not isinstance(name, str):
            raise TypeError(f"save: hyperparameters: expected names as strings, got {name!r}")
    return {name: _encoded(value, name, 1) for name, value in hyperparameters.items()}


def _encoded(value: object, name: str, depth: int) -> Any:
    if depth > DEEPEST:
        raise _refused(name, f"more than {DEEPEST} lists and dicts inside each other")
    if isinstance(value, (np.bool_, np.integer, np.floating)):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _refused(name, f"the float {value}")
        return value
    if isinstance(value, (tuple, list)):
        return [_encoded(entry, name, depth + 1) for entry in value]
    if isinstance(value, Mapping):
        return _encoded_dict(value, name, depth)
    known = next((n for n, function in FUNCTIONS.items() if function is value), None)
    if known is not None:
        return {FUNCTION: known}
    raise _refused(name, _told(value))


def _encoded_dict(value: Mapping[Any, Any], name: str, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, entry in value.items():
        if not isinstance(key, (str, int, float, type(None))) or key == FUNCTION:
            raise _refused(name, f"a dict with the name {key!r}")
        text = key if isinstance(key, str) else json.dumps(key)
        if text in found:
            raise _refused(name, f"a dict where two names become {text!r} in JSON")
        found[text] = _encoded(entry, name, depth + 1)
    return found


def _told(value: object) -> str:
    kind = type(value).__name__
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return "a PRNG key; load gives a key to a function that takes key="
    if isinstance(value, (np.ndarray, jax.Array)):
        return f"{kind}; give array.tolist()"
    if callable(value):
        return f"{kind} {getattr(value, '__name__', '')}; activations of jax.nn go by their names"
    return kind


def _refused(name: str, got: str) -> ValueError:
    return ValueError(
        "save: hyperparameters: expected what JSON holds (finite numbers, strings, lists, dicts) "
        f"for {name!r}, got {got}"
    )


def decoded(value: object) -> Any:
    """What `encoded` was given.

    Raises:
        ValueError: If it names a function that this version does not know.
    """
    if isinstance(value, list):
        return [decoded(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if FUNCTION not in value:
        return {name: decoded(entry) for name, entry in value.items()}
    known = value[FUNCTION]
    if len(value) > 1 or not isinstance(known, str) or known not in FUNCTIONS:
        name = clipped(ascii(known), 80)
        raise ValueError(f"header: hyperparameters: this equivax knows no function {name}")
    return FUNCTIONS[known]
