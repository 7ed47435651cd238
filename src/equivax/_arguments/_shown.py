"""How a message shows what it got: short, whatever it was."""

from __future__ import annotations

import reprlib

import numpy as np

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlevel = 3
#: Arrays of more entries are shown by shape and type.
_ENTRIES = 9


def shown(value: object) -> str:
    """A value in a message: at most a line, and never the entries of a large array."""
    if is_traced(value):
        return f"a traced value of {_shape_and_type(value)}"
    if hasattr(value, "shape") and hasattr(value, "dtype") and not isinstance(value, np.generic):
        if _entries(value) > _ENTRIES:
            return f"an array of {_shape_and_type(value)}"
        return " ".join(repr(value).split())
    try:
        return " ".join(_SHORT.repr(value).split())
    except Exception:  # a repr that fails is the user's, and the message is ours
        return f"an object of type {type(value).__name__}"


def is_traced(value: object) -> bool:
    """Whether JAX is tracing a value, which therefore has no number yet."""
    return any(base.__name__ == "Tracer" for base in type(value).__mro__)


def _entries(value: object) -> int:
    shape = getattr(value, "shape", ())
    return int(np.prod(shape)) if isinstance(shape, tuple) else _ENTRIES + 1


def _shape_and_type(value: object) -> str:
    return f"shape {getattr(value, 'shape', ())} and type {getattr(value, 'dtype', None)}"
