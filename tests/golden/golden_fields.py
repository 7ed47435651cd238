"""Golden numbers about feature fields: loading them, and building the types they name.

`golden/README.md` says what the numbers are. Module outputs come from a float32 library, so
compare at `ATOL`; `forward` is float64.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from equivax import FieldType, Representation, direct_sum, groups, spaces
from equivax.groups import Group, GroupElement, Subgroup

FOLDER = Path(__file__).parent

#: The numbers of `modules` are float32, of a few operations each.
ATOL = 2e-5


# ---- numbers -----------------------------------------------------------------------------------


@functools.cache
def facts() -> dict[str, Any]:
    """The metadata: `modules`, `forward`, `slicing`, `disentangle`, `diffop` and more."""
    return json.loads((FOLDER / "fields.json").read_text())


@functools.cache
def admissible() -> dict[str, Any]:
    """Facts about representations by `"group/representation"`."""
    return json.loads((FOLDER / "fields_representations.json").read_text())["admissible"]


@functools.cache
def _archive() -> Any:
    return np.load(FOLDER / "fields.npz")


@functools.cache
def array(key: str) -> np.ndarray:
    """One array, read-only."""
    value = _archive()[key]
    value.setflags(write=False)
    return value


@functools.cache
def _below(prefix: str) -> tuple[str, ...]:
    return tuple(name for name in _archive().files if name.startswith(prefix + "/"))


@dataclass(frozen=True)
class Entry:
    """One golden layer.

    Attributes:
        key: Its name, such as `"relu/C4"`.
        module: The class in `equivax.nn`.
        record: All that the metadata say.
        prefix: Where its arrays are.
    """

    key: str
    module: str
    record: dict[str, Any]
    prefix: str

    def __repr__(self) -> str:
        return self.key

    @property
    def group(self) -> str:
        return self.record["group"]

    @property
    def params(self) -> dict[str, Any]:
        """Arguments of the layer, and its parameters."""
        return self.record["params"]

    @property
    def space(self) -> spaces.GSpace:
        """The plane with the group."""
        return space(self.group)

    @property
    def in_type(self) -> FieldType:
        return field_type(self.group, self.record["in"])

    @property
    def out_type(self) -> FieldType:
        """Of entries that name it: all but the concatenated nonlinearities."""
        return field_type(self.group, self.record["out"])

    @property
    def names(self) -> tuple[str, ...]:
        """What `array` takes: `"x"`, `"y"`, `"kernel"`, `"x/train0"`, ..."""
        return tuple(name.removeprefix(self.prefix + "/") for name in _below(self.prefix))

    def array(self, name: str) -> np.ndarray:
        """An array of the entry."""
        return array(f"{self.prefix}/{name}")

    @property
    def x(self) -> np.ndarray:
        return self.array("x")

    @property
    def y(self) -> np.ndarray:
        return self.array("y")


def modules(name: str | None = None, prefix: str = "") -> list[Entry]:
    """Entries of a class (`"ReLU"`), of a key (`prefix="max_pool/"`), or all."""
    return [
        Entry(record["key"], record["module"], record, f"module/{record['key']}")
        for record in facts()["modules"]
        if name in (None, record["module"]) and record["key"].startswith(prefix)
    ]


def forward(name: str | None = None) -> list[Entry]:
    """Whole convolutions of a class (`"Conv"`, `"ConvTranspose"`) or all."""
    return [
        Entry(record["key"], record["module"], record, record["key"])
        for record in facts()["forward"]
        if name in (None, record["module"])
    ]


# ---- what the texts name -----------------------------------------------------------------------


def group(text: str) -> Group:
    """`C8`, `D4`, `SO2`, `O2`, `octahedral`, ..."""
    if text in ("SO2", "O2", "SO3", "O3"):
        return getattr(groups, text.lower())()
    if text[1:].isdigit():
        return (groups.cyclic if text[0] == "C" else groups.dihedral)(int(text[1:]))
    return getattr(groups, text)()


def space(text: str) -> spaces.GSpace:
    """The plane with the group of a name; `D1` is the mirror."""
    if text in ("SO2", "O2"):
        return spaces.rot_on_r2(-1) if text == "SO2" else spaces.flip_rot_on_r2(-1)
    order = int(text[1:])
    return spaces.rot_on_r2(order) if text[0] == "C" else spaces.flip_rot_on_r2(order)


def irrep_id(G: Group, text: str) -> tuple[int, ...]:
    """`1` or `1,2`; the mirror group's `0` and `1` are (0, 0) and (1, 0) here."""
    if G is groups.dihedral(1) and "," not in text:
        text += ",0"
    return G.irrep_data(tuple(int(part) for part in text.split(","))).id


def subgroup(G: Group, text: str) -> Subgroup:
    """`rot<m>`, `flip<k>rot<m>` or `so2`."""
    if text == "so2":
        return G.subgroup("so2")
    flip, _, turns = text.partition("rot")
    if flip:
        return G.subgroup((int(flip.removeprefix("flip")), int(turns)))
    if G.family[0] in ("cyclic", "so2"):
        return G.subgroup(int(turns))
    return G.subgroup((None, int(turns)))


def representation(G: Group | str, text: str) -> Representation:
    """`trivial`, `regular`, `irrep:1,2`, `quotient:rot2`, `induced:flip0rot2:1`, `a+b` (fused)."""
    G = group(G) if isinstance(G, str) else G
    if "+" in text:
        return direct_sum([representation(G, part) for part in text.split("+")]).fused(text)
    kind, *rest = text.split(":")
    if kind in ("trivial", "regular"):
        return getattr(G, kind)
    if kind == "sign":
        return G.irrep(1, 0)
    if kind == "irrep":
        return G.irrep(*irrep_id(G, rest[0]))
    if kind == "bandlimited_regular":
        parts = [
            irrep.size // len(irrep.endomorphism_basis) * irrep for irrep in G.irreps(int(rest[0]))
        ]
        return direct_sum(parts).fused(text)
    inner = subgroup(G, rest[0])
    if kind == "quotient":
        return G.quotient(inner)
    assert kind == "induced", text
    return G.induced(inner, inner.group.irrep(*irrep_id(inner.group, rest[1])))


@functools.cache
def _field_type(group_text: str, reps: tuple[str, ...]) -> FieldType:
    where = space(group_text)
    return FieldType(where, [representation(where.group, text) for text in reps])


def field_type(group_text: str, reps: Sequence[str]) -> FieldType:
    """Fields on the plane."""
    return _field_type(group_text, tuple(reps))


def element(G: Group, value: Any) -> GroupElement:
    """`a` of C_n and SO(2), `[b, a]` of D_n and O(2); `1` is the mirror of `D1`."""
    if G is groups.dihedral(1) and not isinstance(value, (list, tuple)):
        value = (value, 0)
    return G.element(tuple(value) if isinstance(value, list) else value)
