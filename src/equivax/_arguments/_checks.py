"""One check for each kind of argument: numbers, flags, words, functions, objects of one type."""

from __future__ import annotations

import math
import numbers
import operator
import reprlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, TypeGuard, TypeVar, cast

import numpy as np

# ---- numbers, flags and sequences ----------------------------------------------------------------


def is_flag(value: object) -> TypeGuard[bool]:
    """Whether a value is True or False, and not something that could pass for one."""
    return isinstance(value, (bool, np.bool_))


def is_integer(value: object) -> TypeGuard[int]:
    """Whether a value counts something: one integer, and no boolean."""
    if is_flag(value) or is_traced(value) or not hasattr(value, "__index__"):
        return False
    try:
        operator.index(cast(Any, value))  # arrays have __index__ whatever they hold
    except TypeError:
        return False
    return np.ndim(cast(Any, value)) == 0


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is one real number, finite or not, and no boolean."""
    if is_flag(value) or is_traced(value):
        return False
    return is_integer(value) or isinstance(value, numbers.Real) or _is_one_entry(value)


def is_several(value: object) -> TypeGuard[Sequence[Any]]:
    """Whether a value is a sequence, not one number or a word."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def several(value: object, caller: str, argument: str, takes: str, minimum: int = 1) -> list[Any]:
    """The entries of a list, tuple or array, whatever they are.

    Raises:
        TypeError: If it is no such thing: one entry, a word, a set.
        ValueError: If there are fewer than ``minimum``.
    """
    if not is_several(value):
        refuse(TypeError, caller, argument, takes, value)
    if len(value) < minimum:
        refuse(ValueError, caller, argument, takes, value)
    return list(value)


def flag(value: object, caller: str, argument: str) -> bool:
    """True or False.

    Raises:
        TypeError: If it is something else, however true that may be.
    """
    if not is_flag(value):
        refuse(TypeError, caller, argument, "True or False", value)
    return bool(value)


def integer(
    value: object,
    caller: str,
    argument: str,
    minimum: int | None = None,
    maximum: int | None = None,
) -> int:
    """One integer.

    Raises:
        TypeError: If it is no integer; a boolean is none.
        ValueError: If it is out of range.
    """
    takes = f"an integer{_range(minimum, maximum)}"
    if not is_integer(value):
        refuse(TypeError, caller, argument, takes, value)
    found = operator.index(value)
    if not _within(found, minimum, maximum):
        refuse(ValueError, caller, argument, takes, value)
    return found


def integers(
    value: object,
    caller: str,
    argument: str,
    minimum: int | None = None,
    maximum: int | None = None,
    *,
    count: int | None = None,
) -> tuple[int, ...]:
    """A sequence of integers; one integer stands for ``count`` of them, or for itself.

    Raises:
        TypeError: If something is no integer; a boolean is none.
        ValueError: If there are none, or not ``count``, or one is out of range.
    """
    many = "several" if count is None else str(count)
    takes = f"an integer{_range(minimum, maximum)}, or {many} of them"
    entries: list[Any] = list(value) if is_several(value) else [value] * (count or 1)
    if not all(map(is_integer, entries)):
        refuse(TypeError, caller, argument, takes, value)
    found = tuple(map(operator.index, entries))
    if (not found and count != 0) or count not in (None, len(found)):
        refuse(ValueError, caller, argument, takes, value)
    if not all(_within(entry, minimum, maximum) for entry in found):
        refuse(ValueError, caller, argument, takes, value)
    return found


def number(
    value: object,
    caller: str,
    argument: str,
    minimum: float | int | None = None,
    maximum: float | int | None = None,
    *,
    above: float | int | None = None,
    below: float | int | None = None,
) -> float:
    """One finite real number.

    Raises:
        TypeError: If it is no real number; a boolean is none.
        ValueError: If it is not finite, or out of range; ``above`` and ``below`` are excluded.
    """
    takes = f"a finite number{_interval(minimum, maximum, above, below)}"
    if not is_number(value):
        refuse(TypeError, caller, argument, takes, value)
    found = float(value)
    excluded = (above is not None and found <= above) or (below is not None and found >= below)
    if not math.isfinite(found) or excluded or not _within(found, minimum, maximum):
        refuse(ValueError, caller, argument, takes, value)
    return found


def refuse(
    error: type[Exception], caller: str, argument: str, takes: str, value: object
) -> NoReturn:
    """The one sentence."""
    hint = "; it must be known while the layer is built, outside of jit" if is_traced(value) else ""
    raise error(f"{caller}: {argument}: expected {takes}, got {shown(value)}{hint}")


def _is_one_entry(value: object) -> bool:
    """Whether a value is an array of one real number without axes, as `jnp.sqrt` gives it."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    return kind == "f" and getattr(value, "shape", None) == ()


def _within(value: float | int, minimum: float | int | None, maximum: float | int | None) -> bool:
    return (minimum is None or value >= minimum) and (maximum is None or value <= maximum)


def _range(minimum: float | int | None, maximum: float | int | None) -> str:
    if minimum is not None and maximum is not None:
        return f" in {minimum}..{maximum}"
    if minimum is not None:
        return f" >= {minimum}"
    return "" if maximum is None else f" <= {maximum}"


def _interval(
    minimum: float | int | None,
    maximum: float | int | None,
    above: float | int | None,
    below: float | int | None,
) -> str:
    low, high = (minimum if above is None else above), (maximum if below is None else below)
    if low is not None and high is not None:
        ends = "[" if above is None else "(", "]" if below is None else ")"
        return f" in {ends[0]}{low:g}, {high:g}{ends[1]}"
    if low is not None:
        return f" {'>=' if above is None else 'above'} {low:g}"
    return "" if high is None else f" {'<=' if below is None else 'below'} {high:g}"


# ---- words ---------------------------------------------------------------------------------------


def choice(value: object, caller: str, argument: str, options: Iterable[str]) -> str:
    """One of a few words.

    Raises:
        TypeError: If it is no text.
        ValueError: If it is another word.
    """
    words = list(options)
    takes = " or ".join(filter(None, [", ".join(map(repr, words[:-1])), repr(words[-1])]))
    if not isinstance(value, str):
        refuse(TypeError, caller, argument, takes, value)
    if value not in words:
        refuse(ValueError, caller, argument, takes, value)
    return value


def text(value: object, caller: str, argument: str) -> str:
    """A text that is not empty.

    Raises:
        TypeError: If it is no text.
        ValueError: If it is empty.
    """
    if not isinstance(value, str):
        refuse(TypeError, caller, argument, "a string", value)
    if not value:
        refuse(ValueError, caller, argument, "a string that is not empty", value)
    return value


# ---- functions and objects -----------------------------------------------------------------------

T = TypeVar("T")


def function(
    value: object, caller: str, argument: str, example: str = "jax.nn.relu"
) -> Callable[..., Any]:
    """Something that can be called; a class is refused, since calling it makes an object.

    Raises:
        TypeError: If it is no function.
    """
    if not callable(value) or isinstance(value, type):
        refuse(TypeError, caller, argument, f"a callable such as {example}", value)
    return value


def type_of(value: object, caller: str, argument: str, wanted: type[T], takes: str = "") -> T:
    """An object of one type, and not that type itself.

    Args:
        value: What the user gave.
        caller: The function or layer, for messages.
        argument: Its argument, for messages.
        wanted: The type.
        takes: How the message calls it, with its article; by default by its name.

    Raises:
        TypeError: If it is something else.
    """
    if not isinstance(value, wanted):
        name = wanted.__name__.removeprefix("Abstract")
        article = "an" if name[0] in "AEIOU" else "a"
        refuse(TypeError, caller, argument, takes or f"{article} {name}", value)
    return value


# ---- how a message shows what it got -------------------------------------------------------------

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
