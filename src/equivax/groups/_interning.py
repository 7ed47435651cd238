"""Factories that return the same object for the same arguments, from any thread."""

import functools
import operator
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])
# One lock for all factories: factories call factories, and two locks could be taken in
# opposite orders by two threads.
_LOCK = threading.RLock()


def interned(function: F) -> F:
    """`functools.cache` that two threads cannot fill twice for one key.

    Groups compare by identity, so a second object for the same arguments would be another
    group.
    """
    cached = functools.cache(function)

    @functools.wraps(function)
    def locked(*args: object) -> Any:
        with _LOCK:
            return cached(*args)

    return cast(F, locked)


def checked_integer(value: object, name: str, minimum: int, maximum: int | None = None) -> int:
    """An argument as int.

    Raises:
        TypeError: If it is not an integer.
        ValueError: If it is out of range.
    """
    try:
        number = operator.index(cast(Any, value))
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {value!r}") from None
    if number < minimum or (maximum is not None and number > maximum):
        bound = f">= {minimum}" if maximum is None else f"in {minimum}..{maximum}"
        raise ValueError(f"{name}: expected an integer {bound}, got {number}")
    return number
