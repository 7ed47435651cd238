"""Words: one of a few, or any text."""

from __future__ import annotations

from collections.abc import Iterable

from ._numbers import refuse


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
