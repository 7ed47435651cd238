"""Spaces of dimension 0 and 1."""

from __future__ import annotations

from ..groups import Group, dihedral
from ._gspace import GSpace


def no_base_space(group: Group) -> GSpace:
    """A single point: plain vectors on which the group acts, arrays ``(..., C)``."""
    return GSpace(group)


def on_r1(group: Group) -> GSpace:
    """A line, say time, that the group leaves alone: it turns channels of ``(..., C, T)``."""
    if not isinstance(group, Group):
        raise TypeError(f"on_r1: group: expected a group, got {type(group).__name__}")
    return GSpace(group, group.trivial)


def flip_on_r1() -> GSpace:
    """A line with its reflection ``x -> -x``: the group of one mirror, ``dihedral(1)``."""
    mirror = dihedral(1)
    return GSpace(mirror, mirror.irrep(1, 0))
