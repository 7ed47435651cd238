"""What may stand for a representation in an argument, and the message when nothing can."""

from __future__ import annotations

import numbers
from typing import Any

from ..groups import Group, Irrep, told_apart
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
        one, other = told_apart(in_rep.group, out_rep.group)
        raise ValueError(
            f"{caller}: in_rep acts by {one} but out_rep acts by {other}; restrict one of them to "
            "a common group"
        )


def irrep_id(group: Group, value: Any, argument: str) -> Any:
    """The id of an irrep of a group, from its id, its label, or the irrep itself.

    Args:
        group: The group.
        value: A tuple, an integer, a label, a `groups.Irrep`, or an irreducible `Representation`.
        argument: Name of the argument, for the message.

    Raises:
        ValueError: If the group has no such irrep, or the value is a sum or of another group.
    """
    if isinstance(value, (Irrep, Representation)) and value.group is not group:
        one, other = told_apart(group, value.group)
        raise ValueError(f"{argument}: expected an irrep of {one}, got one of {other}")
    if isinstance(value, Irrep):
        return value.id
    if isinstance(value, Representation):
        if len(value.irreps) != 1:
            raise ValueError(f"{argument}: expected a single irrep, got {value!r}")
        return value.irreps[0]
    return group.irrep_data((value,) if isinstance(value, numbers.Integral) else value).id
