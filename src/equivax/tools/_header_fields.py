"""What a field of a header may be: types and sizes, tested without trusting anything."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from ..nn._core._printing import clipped
from ._hyperparameters import DEEPEST
from ._leaves import KEY

LONGEST_TEXT = 20_000
LARGEST_SIZE = 1 << 48
MOST_AXES = 64

DTYPES = re.compile(r"bool|(u?int|float|bfloat|complex)\d\w{0,20}", re.ASCII)


def field(found: dict[str, Any], name: str, fits: Callable[[Any], bool], expected: str) -> Any:
    """A field of a header.

    Raises:
        ValueError: If it is not there or does not fit.
    """
    if name not in found:
        raise ValueError(f"is damaged: header: {name}: expected {expected}, got nothing")
    if not fits(found[name]):
        raise ValueError(
            f"is damaged: header: {name}: expected {expected}, got {shown(found[name])}"
        )
    return found[name]


def shown(value: object) -> str:
    """A value from a stranger on one short line of ASCII."""
    if isinstance(value, (list, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    return clipped(ascii(value), 80)


def on_one_line(text: str) -> str:
    """Text of a file, which may hold anything, without what moves the cursor of a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def is_count(value: object) -> bool:
    """A number that counts something."""
    return type(value) is int and 0 <= value <= LARGEST_SIZE


def is_text(value: object) -> bool:
    """A string of a sensible length."""
    return isinstance(value, str) and len(value) <= LONGEST_TEXT


def is_texts(value: object) -> bool:
    """A list of such strings."""
    return isinstance(value, list) and all(map(is_text, value))


def is_date(value: object) -> bool:
    """A date and time in ISO format."""
    if not isinstance(value, str):
        return False
    try:
        datetime.datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def is_parts(value: object) -> bool:
    """``[[path, about, digest], ...]``."""
    return isinstance(value, list) and all(is_texts(part) and len(part) == 3 for part in value)


def is_leaves(value: object) -> bool:
    """A list of arrays."""
    return isinstance(value, list) and all(map(is_leaf, value))


def is_leaf(value: object) -> bool:
    """``[name, dtype, shape]`` of an array that a machine could hold."""
    if not isinstance(value, list) or len(value) != 3:
        return False
    name, dtype, shape = value
    if not is_text(name) or not is_text(dtype) or not isinstance(shape, list):
        return False
    if len(shape) > MOST_AXES or not all(map(is_count, shape)):
        return False
    return math.prod(shape) <= LARGEST_SIZE and (_is_key_name(dtype) or _is_dtype(dtype))


def _is_key_name(text: str) -> bool:
    return re.fullmatch(KEY + r" \w{1,40}", text) is not None


def _is_dtype(text: str) -> bool:
    if DTYPES.fullmatch(text) is None:
        return False
    try:
        return str(jnp.dtype(text)) == text
    except TypeError:
        return False


def is_values(value: object) -> bool:
    """A dict of JSON values, looked through without recursion."""
    if not isinstance(value, dict):
        return False
    level: list[Any] = [value]
    for _ in range(DEEPEST + 1):
        inner: list[Any] = []
        for entry in level:
            if isinstance(entry, dict):
                inner += entry.values()
            elif isinstance(entry, list):
                inner += entry
            elif isinstance(entry, float) and not math.isfinite(entry):
                return False
        level = inner
    return not level


def optional(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """The same check, which lets null pass."""
    return lambda value: value is None or fits(value)
