"""Spaces, and the types of fields on each; among them the types of tensor images.

A recipe for a layer on tensor images is built from a field type, as every recipe is; `signature_of`
finds the signature, so that the same laws run over images and fields.
"""

import functools
from collections.abc import Callable

from equivax import FieldType, groups, spaces
from equivax.images import Signature

SIGNATURES = {
    "tensors": Signature((((0, 0), 2), ((1, 0), 1), ((2, 0), 1))),
    "pseudotensors": Signature((((1, 1), 2), ((0, 0), 1), ((2, 1), 1))),
}


def image_types() -> dict[str, FieldType]:
    """The types of the plane by name."""
    return {name: signature.field_type(2) for name, signature in SIGNATURES.items()}


def signature_of(type_: FieldType) -> Signature:
    """The signature with a type."""
    return next(s for s in SIGNATURES.values() if s.field_type(2) == type_)


SPACES: dict[str, Callable[[], spaces.GSpace]] = {
    "C1": spaces.trivial_on_r2,
    "C4": lambda: spaces.rot_on_r2(4),
    "C8": lambda: spaces.rot_on_r2(8),
    "D1": spaces.flip_on_r2,
    "D4": lambda: spaces.flip_rot_on_r2(4),
    "D6": lambda: spaces.flip_rot_on_r2(6),
    "SO2": lambda: spaces.rot_on_r2(-1),
    "O2": lambda: spaces.flip_rot_on_r2(-1),
    "B2": lambda: spaces.hyperoctahedral_on(2),
}


#: Space; the laws run on it in `test_volume_laws.py`, over the recipes of `volume_cases`.
VOLUMES: dict[str, Callable[[], spaces.GSpace]] = {
    "C1 in space": spaces.trivial_on_r3,
    "D4 in space": lambda: spaces.dihedral_on_r3(4),
    "O": spaces.octahedral_on_r3,
    "Oh": spaces.full_octahedral_on_r3,
    "I": spaces.icosahedral_on_r3,
    "SO3": spaces.rot_on_r3,
    "O3": spaces.flip_rot_on_r3,
}


def fresh_types(space_name: str) -> dict[str, FieldType]:
    """Types of a space by what is special about them, built anew."""
    if space_name == "B2":
        return image_types()
    space = (SPACES | VOLUMES)[space_name]()
    G = space.group
    irreps = G.irreps(None if G.order is not None else 2)
    trivial, last, middle = irreps[0], irreps[-1], irreps[len(irreps) // 2]
    table = {
        "trivial": FieldType(space, 3 * space.trivial),
        "irreps": FieldType(space, [last, trivial, middle, trivial, last]),
        "vector": FieldType(space, 2 * space.vector),
        "fused": FieldType(space, [(trivial + last + middle).fused(), trivial]),
    }
    if G.order is not None and space.dim == 3:  # one field of such a group is enough
        table["regular"] = FieldType(space, [space.regular])
        table["mixture"] = FieldType(space, [last, space.regular, trivial])
    elif G.order is not None:
        table["regular"] = FieldType(space, 2 * space.regular)
        table["mixture"] = FieldType(space, [last, space.regular, trivial, last, space.regular])
    if space_name in ("D4", "D6"):
        rotations = G.subgroup((None, G.order // 2))
        mirror = G.subgroup((0, 1))
        table["quotient"] = FieldType(
            space, [space.quotient(mirror), space.quotient(rotations), space.quotient(mirror)]
        )
        sigma = rotations.group.irrep(1)
        table["induced"] = FieldType(space, 2 * space.induced(rotations, sigma))
    if space_name in ("C4", "C8"):
        half = G.subgroup(2)
        table["quotient"] = FieldType(space, 2 * space.quotient(half) + space.trivial)
        table["induced"] = FieldType(space, 2 * space.induced(half, half.group.irrep(1)))
    if space_name in ("O", "Oh"):
        corner = G.subgroup([[[0, 0, 1], [1, 0, 0], [0, 1, 0]]])  # of the cube: x to y to z
        table["quotient"] = FieldType(space, [space.quotient(corner), space.trivial])
        sigma = corner.group.irrep(1)
        table["induced"] = FieldType(space, [space.induced(corner, sigma)])
    if space_name == "O2":
        circle = G.subgroup((None, -1))
        table["induced"] = FieldType(space, 2 * space.induced(circle, groups.so2().irrep(2)))
        table["quotient"] = FieldType(space, 2 * space.quotient(circle) + space.trivial)
    return table


@functools.cache
def types(space_name: str) -> dict[str, FieldType]:
    """`fresh_types`, once."""
    return fresh_types(space_name)


def partner(table: dict[str, FieldType], type_name: str) -> FieldType:
    """Another type on the same space: the output of layers with two types."""
    names = list(table)
    return table[names[(names.index(type_name) + 1) % len(names)]]


#: Every type of every space, by label.
TYPES = [(space, type_) for space in SPACES for type_ in types(space)]


#: Where every law runs that runs over types, one of each thing that can go wrong: fields of many
#: kinds in turn, several irreps in one field, orbits, induced fields, tensors, groups finite and
#: continuous, with mirrors and without. The others are slow.
QUICK_TYPES = {
    ("C4", "vector"),
    ("D4", "mixture"),
    ("D6", "induced"),
    ("D4", "quotient"),
    ("C8", "regular"),
    ("SO2", "irreps"),
    ("O2", "fused"),
    ("B2", "tensors"),
}
