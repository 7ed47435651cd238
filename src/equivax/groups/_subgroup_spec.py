"""The ways to name a subgroup, and the subgroup each of them means."""

import operator
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .._arguments import is_integer, is_number
from .._numerics._rotations import TWO_PI, axis_quaternions, wrap_angles
from .._numerics._tolerances import SAME_MATRIX
from ._circle import o2, so2
from ._closure import TooLargeError, close_matrices, word_levels
from ._element import GroupElement
from ._finite import FiniteGroup
from ._group import Group
from ._interning import size
from ._planar import cyclic, dihedral
from ._polyhedral import (
    full_icosahedral,
    full_octahedral,
    full_tetrahedral,
    icosahedral,
    octahedral,
    tetrahedral,
)
from ._recognize import recognize
from ._sphere import so3
from ._subgroup import Subgroup

_POLYHEDRAL: dict[str, Callable[[], FiniteGroup]] = {
    factory.__name__: factory
    for factory in (
        tetrahedral, octahedral, icosahedral,
        full_tetrahedral, full_octahedral, full_icosahedral,
    )
}  # fmt: skip
_MAX_ORDER = 5000


def subgroup(parent: Group, spec: object) -> Subgroup:
    """The subgroup of a group that a specification means; see `Group.subgroup`."""
    if isinstance(spec, Subgroup):
        if spec.parent is not parent:
            raise ValueError(
                f"subgroup: spec: expected a subgroup of {parent}, got one of {spec.parent}"
            )
        return spec
    if isinstance(spec, str):
        return _by_name(parent, spec)
    if isinstance(spec, Group):
        return _by_group(parent, spec)
    if isinstance(spec, GroupElement):
        return _generated(parent, parent.coordinates_of([spec]))
    found = _by_peer_id(parent, spec)
    if found is not None:
        return found
    if isinstance(spec, tuple) and len(spec) == 2 and isinstance(spec[0], Group):
        return _by_homomorphism(parent, spec[0], spec[1])
    if isinstance(spec, list | tuple | np.ndarray):
        return _generated(parent, parent.coordinates_of(spec))
    raise TypeError(
        f"subgroup: spec: expected a list of generators of {parent}, a name, an id, a pair "
        f"(H, images) or a Subgroup, got {spec!r}"
    )


# Names.


def _by_name(parent: Group, name: str) -> Subgroup:
    if name == "trivial":
        return Subgroup(parent, cyclic(1), images=parent._identity_coordinates()[None])
    if name in ("all", parent.name):
        return _whole(parent)
    kind = parent.kind
    if name == "so2" and kind in _CIRCLES:
        return _circle(parent)
    if name in ("so3", "rotations") and kind == "o3":
        return _sphere(parent)
    if name == "rotations":
        if kind in ("cyclic", "so2", "so3"):
            return _whole(parent)
        if kind == "o2":
            return _circle(parent)
        if kind == "dihedral":
            return _dihedral_part(parent, None, parent.family[1])
        return _determinant_one(parent)
    if name in _POLYHEDRAL:
        return _by_matrices(parent, _POLYHEDRAL[name]())
    raise ValueError(
        f"subgroup: {parent} has no subgroup named {name!r}; names are 'trivial', 'all', "
        "'rotations', 'so2', 'so3' and those of the polyhedral groups, where they apply"
    )


def _whole(parent: Group) -> Subgroup:
    if isinstance(parent, FiniteGroup):
        return Subgroup(parent, parent, images=parent.element_coordinates)
    return Subgroup(
        parent,
        parent,
        family="all",
        embed=lambda x: x,
        locate=lambda x: (np.ones(len(x), dtype=bool), x),
        representatives=parent._identity_coordinates()[None],
    )


def _about_z(angles: np.ndarray) -> np.ndarray:
    return axis_quaternions(2, angles)


def _z_angle(quaternions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    w, x, y, z = quaternions.T
    return np.hypot(x, y) < 1e-9, wrap_angles(2 * np.arctan2(z, w))[:, None]


_CIRCLES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "so2": (lambda x: x, lambda x: (np.ones(len(x), dtype=bool), x)),
    "o2": (
        lambda x: np.concatenate([np.zeros_like(x), x], -1),
        lambda x: (x[:, 0] < 0.5, x[:, 1:]),
    ),
    "so3": (lambda x: _about_z(x[:, 0]), _z_angle),
    "o3": (
        lambda x: np.concatenate([np.zeros_like(x), _about_z(x[:, 0])], -1),
        lambda x: ((x[:, 0] < 0.5) & _z_angle(x[:, 1:])[0], _z_angle(x[:, 1:])[1]),
    ),
}


def _circle(parent: Group) -> Subgroup:
    """SO(2): the rotations of the plane, or of space about z."""
    if parent.family == ("so2",):
        return _whole(parent)
    embed, locate = _CIRCLES[parent.kind]
    cosets = np.array([[0.0, 0.0], [1.0, 0.0]]) if parent is o2() else None
    return Subgroup(parent, so2(), family="so2", embed=embed, locate=locate, representatives=cosets)


def _sphere(parent: Group) -> Subgroup:
    """SO(3) in O(3)."""
    return Subgroup(
        parent,
        so3(),
        family="so3",
        embed=lambda x: np.concatenate([np.zeros((len(x), 1)), x], -1),
        locate=lambda x: (x[:, 0] < 0.5, x[:, 1:]),
        representatives=np.array([[0.0, 1, 0, 0, 0], [1.0, 1, 0, 0, 0]]),
    )


def _determinant_one(parent: Group) -> Subgroup:
    """The elements of a group of matrices that keep the orientation."""
    base = parent.kind.removeprefix("full_")
    if base in _POLYHEDRAL:
        return _by_matrices(parent, _POLYHEDRAL[base]())
    if parent.family == ("hyperoctahedral", 3):
        return _by_matrices(parent, octahedral())
    if not isinstance(parent, FiniteGroup) or parent.kind not in (
        "hyperoctahedral",
        "from_generators",
    ):
        raise ValueError(f"subgroup: 'rotations' has no meaning for {parent}")
    matrices = parent.defining_matrices(parent.element_coordinates)
    proper = np.linalg.det(matrices) > 0
    # Few generators: each is the first proper element that the ones before do not reach.
    generators: list[int] = []
    missing = proper.copy()
    missing[0] = False
    while missing.any():
        generators.append(int(np.argmax(missing)))
        for new, _, _ in word_levels(parent.cayley_table[:, generators]):
            missing[new] = False
    return _generated(parent, np.array(generators, dtype=np.int64).reshape(-1, 1))


def _by_matrices(parent: Group, group: FiniteGroup) -> Subgroup:
    """A polyhedral group inside a group of matrices on xyz: equal matrices, equal elements."""
    matrices = group.standard_matrices(group.element_coordinates)
    try:
        images = parent.coordinates_of(list(matrices))
    except ValueError:
        raise ValueError(f"subgroup: {group} is no subgroup of {parent}") from None
    return Subgroup(parent, group, images=images)


def _by_group(parent: Group, group: Group) -> Subgroup:
    """A group in its usual place: rotations, the mirror f, SO(2) about z, equal matrices."""
    if group is parent:
        return _whole(parent)
    kind, order = parent.kind, group.order
    if group is so2() and kind in _CIRCLES:
        return _circle(parent)
    if group is so3() and kind == "o3":
        return _sphere(parent)
    if order is not None and kind in ("cyclic", "so2") and group.kind == "cyclic":
        return _cyclic_part(parent, order)
    if kind in ("dihedral", "o2") and group.kind in ("cyclic", "dihedral"):
        rotations = group.kind == "cyclic"
        part = _dihedral_part if kind == "dihedral" else _o2_part
        return part(parent, None if rotations else 0, group.family[1])
    if isinstance(group, FiniteGroup):
        return _by_matrices(parent, group)
    raise ValueError(f"subgroup: {group} has no usual place in {parent}; give its generators")


# The ids that e2cnn and escnn use.


def _by_peer_id(parent: Group, spec: object) -> Subgroup | None:
    """The subgroup with a peer's id, or None if the specification is no such id."""
    kind = parent.kind
    if kind in ("cyclic", "so2") and is_integer(spec):
        return _cyclic_part(parent, operator.index(spec))
    if not isinstance(spec, tuple) or len(spec) != 2:
        return None
    if not is_integer(spec[1]) or isinstance(spec[0], Group):
        return None
    mirror, order = spec[0], int(spec[1])
    if kind == "o3" and mirror is None and order == -1:
        return _sphere(parent)
    if not (mirror is None or (is_number(mirror) and np.isfinite(mirror))):
        return None
    if kind == "dihedral":
        return _dihedral_part(parent, mirror, order)
    if kind == "o2":
        return _o2_part(parent, mirror, order)
    return None


def _divisor(parent: Group, n: int, m: int) -> None:
    if m < 1 or n % m:
        raise ValueError(
            f"subgroup: expected rotations whose order divides {n} in {parent}, got order {m}"
        )


def _cyclic_part(parent: Group, m: int) -> Subgroup:
    if isinstance(parent, FiniteGroup):
        _divisor(parent, parent.order, m)
        images = np.arange(m) * (parent.order // m)
    else:
        if m == -1:
            return _whole(parent)
        if m < 1:
            raise ValueError(f"subgroup: expected an order >= 1 in {parent}, got {m}")
        images = TWO_PI * np.arange(size(m, "subgroup", "spec")) / m
    return Subgroup(parent, cyclic(m), images=images[:, None])


def _dihedral_part(parent: Group, mirror: int | float | np.number | None, m: int) -> Subgroup:
    """(None, m): the rotations r^(n/m); (k, m): those and the mirror r^k f."""
    n = parent.family[1]
    _divisor(parent, n, m)
    turns = np.arange(m) * (n // m)
    if mirror is None:
        return Subgroup(parent, cyclic(m), images=turns[:, None])
    if mirror != int(mirror) or not 0 <= mirror < n // m:
        raise ValueError(
            f"subgroup: expected a mirror k that is an integer in 0..{n // m - 1} of {parent}, got "
            f"({mirror}, {m})"
        )
    images = np.concatenate([turns, n + (turns + int(mirror)) % n])
    return Subgroup(parent, dihedral(m), images=images[:, None])


def _o2_part(parent: Group, mirror: int | float | np.number | None, m: int) -> Subgroup:
    """(None, m): m rotations, m = -1: SO(2); (theta, m): those and the mirror r_theta f."""
    if m == -1:
        if mirror is None:
            return _circle(parent)
        if mirror == 0:
            return _whole(parent)
    if m < 1:
        raise ValueError(f"subgroup: expected an order >= 1 or -1 in {parent}, got ({mirror}, {m})")
    turns = TWO_PI * np.arange(size(m, "subgroup", "spec")) / m
    rotations = np.stack([np.zeros(m), turns], -1)
    if mirror is None:
        return Subgroup(parent, cyclic(m), images=rotations)
    flips = np.stack([np.ones(m), wrap_angles(turns + float(mirror))], -1)
    return Subgroup(parent, dihedral(m), images=np.concatenate([rotations, flips]))


# Generators and homomorphisms.


def _generated(parent: Group, generators: np.ndarray) -> Subgroup:
    """The subgroup that elements generate; a Lie group's must generate a finite one."""
    if len(generators) == 0:
        return _by_name(parent, "trivial")
    if isinstance(parent, FiniteGroup):
        right = parent.cayley_table[:, parent.indices(generators)]
        reached = [np.zeros(1, dtype=np.int64), *(new for new, _, _ in word_levels(right))]
        # The parent's order, not that of discovery: one subgroup, one description.
        members = np.sort(np.concatenate(reached))
        table = np.searchsorted(members, parent.cayley_table[np.ix_(members, members)])
        coordinates = members[:, None]
        own = np.searchsorted(members, parent.indices(generators)).tolist()
    else:
        matrices = parent.defining_matrices(generators)
        try:
            closure = close_matrices(matrices, _MAX_ORDER, SAME_MATRIX)
        except TooLargeError:
            raise ValueError(
                f"subgroup: the elements of {parent} generate more than {_MAX_ORDER} elements; "
                "a closed infinite subgroup has a name, such as 'so2'"
            ) from None
        table, own = closure.cayley_table, closure.generators.tolist()
        coordinates = np.zeros((len(table), parent.coordinate_size))
        coordinates[0] = parent._identity_coordinates()
        for new, before, generator in closure.levels:
            coordinates[new] = parent.compose(coordinates[before], generators[generator])
    # Every finite subgroup in the plane has a peer's id: equal subgroups, equal descriptions.
    kind = parent.kind
    if kind in ("cyclic", "so2"):
        return _cyclic_part(parent, len(coordinates))
    if kind == "dihedral":
        flip, turn = np.divmod(coordinates[:, 0], parent.family[1])
        mirror = int(turn[flip == 1].min()) if flip.any() else None
        return _dihedral_part(parent, mirror, int((flip == 0).sum()))
    if kind == "o2":
        flip, angle = coordinates.T
        mirror = float(angle[flip > 0.5].min()) if flip.any() else None
        return _o2_part(parent, mirror, int((flip < 0.5).sum()))
    group, order = recognize(table, own)
    return Subgroup(parent, group, images=coordinates[order])


def _by_homomorphism(parent: Group, group: Group, images: Iterable[object]) -> Subgroup:
    """H with the images of its generators, checked to be an injective homomorphism."""
    if not isinstance(group, FiniteGroup):
        raise ValueError(f"subgroup: {group} is infinite and cannot be given by images")
    steps = parent.coordinates_of(images)
    if len(steps) != len(group.generators):
        raise ValueError(
            f"subgroup: images: expected {len(group.generators)} elements, one per generator of "
            f"{group}, got {len(steps)}"
        )
    table = np.tile(parent._identity_coordinates(), (group.order, 1))
    for new, before, generator in group.words:
        table[new] = parent.compose(table[before], steps[generator])
    matrices = parent.defining_matrices(table)
    for generator, step in zip(group.generator_indices, steps, strict=True):
        moved = parent.defining_matrices(parent.compose(table, step[None]))
        if np.abs(moved - matrices[group.cayley_table[:, generator]]).max() > SAME_MATRIX:
            raise ValueError(f"subgroup: images: expected a homomorphism from {group}")
    distance = np.abs(matrices[1:] - matrices[0]).reshape(group.order - 1, -1).max(axis=1)
    if distance.min(initial=1.0) < SAME_MATRIX:
        raise ValueError(f"subgroup: images map {group} to {parent}, but not injectively")
    return Subgroup(parent, group, images=table)
