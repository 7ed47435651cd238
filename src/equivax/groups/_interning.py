"""Factories that return the same object for the same arguments, from any thread."""

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

from .._arguments import integer

LARGEST = 5000
"""Most elements of a finite group made by number; its table of products has the square."""

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


def size(value: object, caller: str, argument: str) -> int:
    """How many elements a group shall have, or how many rotations.

    Raises:
        TypeError: If it is no integer.
        ValueError: If it is below 1, or so large that the table of products fills the memory.
    """
    number = integer(value, caller, argument, 1)
    if number > LARGEST:
        raise ValueError(
            f"{caller}: {argument}: expected at most {LARGEST}, since a finite group keeps the "
            f"table of its products, got {number}; all rotations are so2()"
        )
    return number
