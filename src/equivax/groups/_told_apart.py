"""How messages name two groups that must not be taken for one another."""

import numpy as np

from ._group import Group

_LONGEST = 60
"""Characters of a generator that a message can bear."""


def told_apart(one: Group, other: Group) -> tuple[str, str]:
    """The names of two groups, with what differs if the names do not.

    Args:
        one: A group.
        other: Another group.

    Returns:
        A text for each, such as ``"robot (order 2)"`` and ``"robot (order 4)"``.
    """
    if one.name != other.name:
        return one.name, other.name
    if one.order != other.order:
        return f"{one.name} (order {one.order})", f"{other.name} (order {other.order})"
    for first, second in zip(_generators(one), _generators(other), strict=False):
        if first != second and max(len(first), len(second)) <= _LONGEST:
            return f"{one.name} (generator {first})", f"{other.name} (generator {second})"
    return one.name, f"another {other.name}, made from other generators"


def _generators(group: Group) -> list[str]:
    if group.order is None:
        return []
    matrices = group.defining_matrices(group.generator_coordinates)
    return [str(np.round(matrix, 4).tolist()) for matrix in matrices]
