"""All subgroups of a small finite group, those that are conjugate side by side."""

from __future__ import annotations

import numpy as np

from ._finite import FiniteGroup
from ._subgroup import Subgroup
from ._subgroup_spec import subgroup

MOST_ORDER = 200
"""Beyond this order subgroups may be too many to list."""


def subgroup_classes(parent: FiniteGroup) -> tuple[tuple[Subgroup, ...], ...]:
    """The conjugacy classes of subgroups; see `FiniteGroup.subgroup_classes`."""
    if parent.order > MOST_ORDER:
        raise ValueError(
            f"subgroup_classes: expected a group of order at most {MOST_ORDER}, got {parent} of "
            f"order {parent.order}; name the subgroups that matter"
        )
    table, inverses = parent.cayley_table, parent.inverses
    conjugate = table[table, inverses[:, None]]  # g h g^-1 at [g, h]
    cyclic = {_generated(table, [g]): g for g in range(parent.order - 1, 0, -1)}
    found: dict[bytes, tuple[int, list[int]]] = {}
    classes: list[list[list[int]]] = []
    open_: list[list[int]] = [[]]
    while open_:
        generators = open_.pop()
        members = _generated(table, generators)
        if members in found:
            continue
        classes.append([])
        for g in range(parent.order):
            moved = conjugate[g, generators].tolist() if generators else []
            key = _generated(table, moved)
            if key not in found:
                found[key] = (len(classes) - 1, moved)
                classes[-1].append(moved)
        inside = np.frombuffer(members, bool)
        open_ += [[*generators, g] for g in cyclic.values() if not inside[g]]
    made = [tuple(_subgroup(parent, g) for g in sorted(each)) for each in classes]
    return tuple(sorted(made, key=_place))


def _generated(table: np.ndarray, generators: list[int]) -> bytes:
    """The elements that some generate, as a mask."""
    mask = np.zeros(len(table), bool)
    mask[0] = True
    new = np.array([0])
    while len(new) and generators:
        reached = np.unique(table[new[:, None], np.array(generators)])
        new = reached[~mask[reached]]
        mask[new] = True
    return mask.tobytes()


def _subgroup(parent: FiniteGroup, generators: list[int]) -> Subgroup:
    elements = parent.elements_at(np.array(generators, np.int64).reshape(-1, 1))
    return subgroup(parent, list(elements))


def _place(each: tuple[Subgroup, ...]) -> tuple[int, bytes]:
    first = each[0]
    elements = np.sort(first.embed(first.group.element_coordinates)[:, 0])  # pyright: ignore
    return len(elements), elements.tobytes()
