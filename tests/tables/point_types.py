"""Spaces of points, and the types of fields at points of each."""

import functools
from collections.abc import Callable

from equivax import FieldType, spaces

SPACES: dict[str, Callable[[], spaces.GSpace]] = {
    "D6 on R2": lambda: spaces.flip_rot_on_r2(6),
    "SO2 on R2": lambda: spaces.rot_on_r2(-1),
    "SO3 on R3": spaces.rot_on_r3,
    "O3 on R3": spaces.flip_rot_on_r3,
    "octahedral on R3": spaces.octahedral_on_r3,
}


def fresh_types(space_name: str) -> dict[str, FieldType]:
    """Types of a space by what is special about them, built anew."""
    space = SPACES[space_name]()
    irreps = space.group.irreps(None if space.group.order is not None else 2)
    trivial, last, middle = irreps[0], irreps[-1], irreps[len(irreps) // 2]
    table = {
        "irreps": FieldType(space, [last, trivial, middle, trivial]),
        "vectors": FieldType(space, [space.vector, 2 * space.trivial]),
        "fused": FieldType(space, [(trivial + space.vector + last).fused(), trivial]),
    }
    if space.group.order is not None:
        table["regular"] = FieldType(space, [space.regular, space.trivial])
    return table


@functools.cache
def types(space_name: str) -> dict[str, FieldType]:
    """`fresh_types`, once."""
    return fresh_types(space_name)


def partner(table: dict[str, FieldType], type_name: str) -> FieldType:
    """Another type on the same space: the output of layers with two types."""
    names = list(table)
    return table[names[(names.index(type_name) + 1) % len(names)]]
