"""Golden numbers about vectors: loading them, and bringing their bases to ours.

`golden/README.md` says what the numbers are. The golden irreps and their endomorphisms stand in a
basis of their own; here they are matched to the library's by character and by the intertwiner.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from equivax import Representation, groups
from equivax.groups import Group
from equivax.representations._summand import Summand

FOLDER = Path(__file__).parent

#: The numbers were computed twice, in two ways, to 1e-11 or better.
ATOL = 1e-9

BY_NAME: dict[str, Any] = {
    "C2": lambda: groups.cyclic(2),
    "C3": lambda: groups.cyclic(3),
    "C4": lambda: groups.cyclic(4),
    "C8": lambda: groups.cyclic(8),
    "C2xC2": lambda: groups.direct_product(groups.cyclic(2), groups.cyclic(2)),
    "D3": lambda: groups.dihedral(3),
    "D4": lambda: groups.dihedral(4),
    "C3xC3": lambda: groups.direct_product(groups.cyclic(3), groups.cyclic(3)),
    "C4xD3": lambda: groups.direct_product(groups.cyclic(4), groups.dihedral(3)),
    "octahedral": groups.octahedral,
    "icosahedral": groups.icosahedral,
}

TYPES = {"R": "real", "C": "complex", "H": "quaternionic"}


@functools.cache
def facts() -> dict[str, Any]:
    """The metadata."""
    return json.loads((FOLDER / "vectors.json").read_text())


@functools.cache
def field_facts() -> dict[str, Any]:
    """Multiplicities and admissible representations."""
    return json.loads((FOLDER / "fields_representations.json").read_text())


@functools.cache
def _archive() -> Any:
    return np.load(FOLDER / "vectors.npz")


@functools.cache
def array(key: str) -> np.ndarray:
    """One array, read-only."""
    value = _archive()[key]
    value.setflags(write=False)
    return value


@functools.cache
def has(key: str) -> bool:
    return key in _archive().files


GROUPS = tuple(BY_NAME)
REPS = tuple(facts()["reps"])
CASES = tuple(facts()["cases"])


@dataclass(frozen=True)
class Match:
    """A golden group and ours.

    Attributes:
        name: The golden name.
        group: Ours.
        index: `(n,)`, for each of our elements its position among the golden ones.
        ids: Golden irrep name to our id.
        intertwiners: Golden irrep name to the orthogonal T with `ours(g) T = T golden(g)`.
    """

    name: str
    group: Group
    index: np.ndarray
    ids: dict[str, tuple]
    intertwiners: dict[str, np.ndarray]

    def golden_irrep(self, irrep: str) -> np.ndarray:
        """Golden irrep matrices in the order of our elements."""
        return array(f"G/{self.name}/irrep/{irrep}")[self.index]

    def unit_rotation(self, irrep: str) -> np.ndarray:
        """`R` with `T Psi_s T^T = sum_t R[s, t] ours_t`, orthogonal `(S, S)`."""
        golden = array(f"G/{self.name}/endo/{irrep}")
        t = self.intertwiners[irrep]
        ours = self.group.irrep(*self.ids[irrep]).endomorphism_basis
        return np.einsum("sab,tab->st", t @ golden @ t.T, ours) / len(t)


@functools.cache
def match(name: str) -> Match:
    """The golden group built by name."""
    return match_group(name, BY_NAME[name]())


@functools.cache
def match_generated(name: str) -> Match:
    """The golden group built from its generators' matrices."""
    mats = array(f"G/{name}/mats")
    generators = facts()["groups"][name]["generators"]
    return match_group(name, groups.from_generators([mats[i] for i in generators]))


def match_group(name: str, group: Group) -> Match:
    """Finds every element by its faithful matrix and every irrep by its character."""
    mats = array(f"G/{name}/mats")
    ours = group.defining.matrices
    distance = np.abs(ours[:, None] - mats[None]).max(axis=(2, 3))
    index = distance.argmin(axis=1)
    assert distance.min(axis=1).max() < ATOL, f"{group}: another faithful matrix than golden {name}"
    assert sorted(index) == list(range(len(mats)))
    ids, intertwiners = {}, {}
    for record in facts()["groups"][name]["irreps"]:
        golden = array(f"G/{name}/irrep/{record['name']}")[index]
        character = np.trace(golden, axis1=1, axis2=2)
        (found,) = [
            irrep
            for irrep in group.irreps()
            if np.abs(np.trace(irrep.matrices, axis1=1, axis2=2) - character).max() < ATOL
        ]
        ids[record["name"]] = found.irreps[0]
        intertwiners[record["name"]] = _intertwiner(found.matrices, golden)
    return Match(name, group, index, ids, intertwiners)


def _intertwiner(ours: np.ndarray, golden: np.ndarray) -> np.ndarray:
    """Orthogonal T with `ours(g) T = T golden(g)`: the average of a unit matrix, normalised."""
    size = ours.shape[1]
    averages = np.einsum("gia,gjb->abij", ours, golden) / len(ours)
    best = averages.reshape(size * size, size, size)
    best = best[np.linalg.norm(best, axis=(1, 2)).argmax()]
    return best * np.sqrt(size) / np.linalg.norm(best)


def matrices(rep_name: str, index: np.ndarray) -> np.ndarray:
    """Golden matrices `(n, D, D)` of "group/rep", rows in the order of `index`."""
    record = facts()["reps"][rep_name]
    if record["kind"] == "dense":
        return array(f"R/{rep_name}/rho")[index]
    perm = array(f"R/{rep_name}/perm")[index]
    return np.eye(record["size"])[perm].transpose(0, 2, 1)


@functools.cache
def from_golden_matrices(rep_name: str) -> Representation:
    """Our decomposition of the golden matrices (a basis of its own)."""
    m = match(rep_name.split("/")[0])
    return Representation.from_matrices(m.group, matrices(rep_name, m.index), rep_name)


@functools.cache
def with_golden_basis(rep_name: str) -> Representation:
    """The golden irreps and Q: copies are those of the golden file, in its order."""
    m = match(rep_name.split("/")[0])
    names = facts()["reps"][rep_name]["irreps"]
    turned = np.zeros((facts()["reps"][rep_name]["size"],) * 2)
    start = 0
    for irrep in names:
        t = m.intertwiners[irrep]
        stop = start + len(t)
        turned[start:stop, start:stop] = t.T
        start = stop
    q = array(f"R/{rep_name}/Q") @ turned
    return represent(m.group, [m.ids[i] for i in names], q, rep_name)


def represent(group: Group, irreps: Any, basis: np.ndarray, name: str = "given") -> Representation:
    """`rho(g) = Q (sum of irreps)(g) Q^T` as one summand, from irreps and an orthogonal Q."""
    return Representation(group, [(Summand(group, tuple(irreps), basis, name), 1)])
