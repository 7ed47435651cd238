"""Groups, and the types of each: representations by what is special about them."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import equivax as evx
from equivax import groups
from equivax.representations import Representation
from equivax.representations._summand import Summand

# ---- groups ------------------------------------------------------------------------------------

SHEAR = np.array([[1.0, 0.4], [0.0, 1.3]])


def sheared_triangle() -> groups.FiniteGroup:
    """A user's group: the symmetry of a triangle, in coordinates that are not orthogonal."""
    turn = np.array([[-0.5, -np.sqrt(0.75)], [np.sqrt(0.75), -0.5]])
    flip = np.diag([1.0, -1.0])
    inverse = np.linalg.inv(SHEAR)
    return groups.from_generators([SHEAR @ turn @ inverse, SHEAR @ flip @ inverse], "sheared")


GROUPS: dict[str, Callable[[], Any]] = {
    "C1": lambda: groups.cyclic(1),
    "C4": lambda: groups.cyclic(4),
    "C8": lambda: groups.cyclic(8),
    "D3": lambda: groups.dihedral(3),
    "D4": lambda: groups.dihedral(4),
    "klein": groups.klein,
    "Q8": groups.quaternion,
    "C3xC3": lambda: groups.direct_product(groups.cyclic(3), groups.cyclic(3)),
    "C4xD3": lambda: groups.direct_product(groups.cyclic(4), groups.dihedral(3)),
    "octahedral": groups.octahedral,
    "icosahedral": groups.icosahedral,
    "sheared": sheared_triangle,
    "SO2": groups.so2,
    "O2": groups.o2,
    "SO3": groups.so3,
}

# ---- types -------------------------------------------------------------------------------------


def random_orthogonal(size: int, seed: int) -> np.ndarray:
    """A Haar-distributed orthogonal matrix."""
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))
    return q * np.sign(np.diag(r))


def from_irreps(parts: list[Representation], basis: np.ndarray, name: str) -> Representation:
    """One summand ``Q (psi_1 + psi_2 + ...) Q^T`` with exactly the given ``Q``."""
    irreps = tuple(i for part in parts for i in part.irreps)
    return Representation(parts[0].group, [(Summand(parts[0].group, irreps, basis, name), 1)])


def turned(parts: list[Representation], seed: int) -> Representation:
    """`from_irreps` in a random orthogonal basis."""
    size = sum(part.size for part in parts)
    return from_irreps(parts, random_orthogonal(size, seed), f"turned{seed}")


@functools.cache
def types(group_name: str) -> dict[str, Representation]:
    """The types of a group, by what is special about them."""
    return fresh_types(group_name)


def fresh_types(group_name: str) -> dict[str, Representation]:
    """`types`, built anew: equal values, other objects."""
    G = GROUPS[group_name]()
    finite = G.order is not None
    irreps = G.irreps(None if finite else 2)
    trivial, last, middle = irreps[0], irreps[-1], irreps[len(irreps) // 2]
    table = {
        "interleaved": last + 2 * trivial + middle + 2 * last + trivial,
        "turned": turned([last, trivial, middle, last, trivial], 1),
        "one kind": turned([last, last], 2),
        "two trivial": turned([trivial, trivial], 3),
        "defining": G.defining,
    }
    mixed = evx.direct_sum([last, trivial, middle])
    Q = random_orthogonal(mixed.size, 4)
    table["measured"] = Representation.from_matrices(G, lambda g: Q @ mixed(g) @ Q.T, "measured")
    if len(irreps) > 1:
        table["no trivial"] = middle + 2 * last + middle
    if finite:
        table["regular"] = G.regular
    if finite and G.order <= 12:
        table["regulars"] = trivial + 2 * G.regular + last + G.regular
    if group_name == "sheared":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it is not orthogonal, on purpose
            table["sheared"] = Representation.from_matrices(G, G.given_matrices, "sheared")
    return table


def partner(table: dict[str, Representation], type_name: str) -> Representation:
    """Another type of the same group that some map reaches: the output of two-sided layers."""
    names = list(table)
    start = names.index(type_name)
    for name in names[start + 1 :] + names[: start + 1]:
        if set(table[name].irreps) & set(table[type_name].irreps):
            return table[name]
    raise AssertionError("a type reaches itself")


# ---- where laws run over types ---

#: Every type of every group, by label.
TYPES = [(group, type_) for group in GROUPS for type_ in types(group)]

#: Where every law runs that runs over types, one of each thing that can go wrong: copies mixed in a
#: random basis for irreps of every kind, summands in runs, permutations with signs and without, no
#: trivial irrep, a change of basis that was measured, a user's group in coordinates that are not
#: orthogonal. The others are slow.
QUICK_TYPES = {
    ("C3xC3", "turned"),
    ("D3", "regulars"),
    ("D4", "regular"),
    ("O2", "measured"),
    ("Q8", "turned"),
    ("SO2", "no trivial"),
    ("SO3", "interleaved"),
    ("klein", "interleaved"),
    ("sheared", "sheared"),
}

#: What can go wrong in statistics: a basis that mixes copies, trivial copies in a
#: turned basis, none, one kind of irrep, fields in runs.
STATISTICS_TYPES = [
    (group, type_)
    for group, type_ in TYPES
    if type_ in ("turned", "two trivial", "no trivial", "one kind", "regulars", "sheared")
    # One group of each kind: statistics see irreps and their types, not how elements multiply.
    and group in ("C1", "D3", "Q8", "C3xC3", "icosahedral", "SO2", "SO3", "sheared")
]

#: Of these, one of each thing.
QUICK_STATISTICS_TYPES = {
    ("C3xC3", "turned"),
    ("D3", "regulars"),
    ("D3", "two trivial"),
    ("Q8", "one kind"),
    ("SO2", "no trivial"),
    ("SO3", "turned"),
    ("sheared", "sheared"),
}

#: What can go wrong in maps: copies that are mixed, apart or missing, and summands in runs.
MAP_TYPES = [
    (group, type_)
    for group, type_ in TYPES
    if type_ in ("turned", "interleaved", "no trivial", "regulars", "measured", "sheared")
    or (group, type_) == ("D4", "regular")  # a permutation
]
