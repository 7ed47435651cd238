"""Functions and objects of one type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ._numbers import refuse

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
