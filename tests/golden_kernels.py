"""Golden numbers of steerable kernels, and the objects that they are about."""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

from equivax import Representation, groups, spaces
from equivax.groups import Subgroup


@dataclasses.dataclass(frozen=True)
class Type:
    """What `TypeBasis` asks of a field type."""

    space: spaces.GSpace
    representation: Representation


FOLDER = Path(__file__).parent / "golden"


@functools.cache
def facts() -> dict[str, Any]:
    return json.loads((FOLDER / "kernels.json").read_text())


@functools.cache
def arrays() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "kernels.npz") as stored:
        return dict(stored)


def space_named(name: str) -> spaces.GSpace:
    """The plane with a golden group; the mirror is the vertical line."""
    if name in ("SO2", "O2"):
        return spaces.rot_on_r2(-1) if name == "SO2" else spaces.flip_rot_on_r2(-1)
    if name == "D1":
        return spaces.flip_on_r2()
    build = spaces.rot_on_r2 if name[0] == "C" else spaces.flip_rot_on_r2
    return build(int(name[1:]))


@functools.cache
def rep_named(name: str, text: str) -> Representation:
    """A golden representation of a planar group."""
    group = space_named(name).group
    kind, *rest = text.split(":")
    if kind in ("trivial", "regular"):
        return getattr(group, kind)
    if kind == "sign":
        return group.irrep(1, 0)
    if kind == "irrep":
        ids = tuple(map(int, rest[0].split(",")))
        return group.irrep(*ids)
    inner = _subgroup(name, rest[0])
    if kind == "quotient":
        return group.quotient(inner)
    inner_id = f"{rest[1]},0" if inner.group is groups.dihedral(1) else rest[1]
    return group.induced(inner, inner.group.irrep(*map(int, inner_id.split(","))))


def _subgroup(name: str, text: str) -> Subgroup:
    """`rot<m>`, `flip<k>rot<m>`, `so2`."""
    group = space_named(name).group
    if text == "so2":
        return group.subgroup("so2")
    flip, _, turns = text.partition("rot")
    if flip:
        return group.subgroup((int(flip.removeprefix("flip")), int(turns)))
    return group.subgroup(int(turns) if name[0] in "CS" else (None, int(turns)))
