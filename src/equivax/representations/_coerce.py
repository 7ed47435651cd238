"""What may stand for a representation in an argument, and the message when nothing can."""

from __future__ import annotations

from ._representation import Representation


def as_representation(value: object, argument: str) -> Representation:
    """The representation behind a `Representation` or a type that has one.

    Args:
        value: A `Representation`, or an object with a ``representation`` attribute that is one
            (a field type).
        argument: Name of the argument, for the message.

    Raises:
        TypeError: For anything else.
    """
    if isinstance(value, Representation):
        return value
    inner = getattr(value, "representation", None)
    if isinstance(inner, Representation):
        return inner
    raise TypeError(
        f"{argument}: expected a Representation or a field type, got {type(value).__name__}; "
        "group.regular, group.irrep(1) or Representation.from_matrices make one"
    )


def check_same_group(caller: str, in_rep: Representation, out_rep: Representation) -> None:
    """Refuses representations of two different groups.

    Raises:
        ValueError: Naming both groups.
    """
    if in_rep.group is not out_rep.group:
        raise ValueError(
            f"{caller}: in_rep acts by {in_rep.group.name} but out_rep acts by "
            f"{out_rep.group.name}; restrict one of them to a common group"
        )
