"""Random representations, and the brute force that tests compare with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import HealthCheck, settings

from equivax import Representation, direct_sum, groups
from equivax.groups import Group, GroupElement
from equivax.representations._summand import Summand

#: Every run draws the same examples; the x64 fixture may span all of them.
settings.register_profile(
    "fixed",
    deadline=None,
    max_examples=25,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
laws = settings.get_profile("fixed")

#: Small groups with irreps of every type, and products in which types meet.
FINITE: dict[str, Group] = {
    "C1": groups.cyclic(1),
    "C2": groups.cyclic(2),
    "C5": groups.cyclic(5),
    "C6": groups.cyclic(6),
    "D1": groups.dihedral(1),
    "D3": groups.dihedral(3),
    "D4": groups.dihedral(4),
    "Q8": groups.quaternion(),
    "S4": groups.symmetric(4),
    "C3xC3": groups.direct_product(groups.cyclic(3), groups.cyclic(3)),
    "C4xQ8": groups.direct_product(groups.cyclic(4), groups.quaternion()),
}

LIE: dict[str, Group] = {"SO2": groups.so2(), "O2": groups.o2(), "SO3": groups.so3()}


def orthogonal(rng: np.random.Generator, size: int) -> np.ndarray:
    """A Haar-distributed orthogonal matrix."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    return q * np.sign(np.diag(r))


def represent(
    group: Group, irreps: Sequence[tuple], basis: np.ndarray, name: str = "given"
) -> Representation:
    """`rho(g) = Q (sum of irreps)(g) Q^T` as one summand."""
    return Representation(group, [(Summand(group, tuple(irreps), basis, name), 1)])


def in_random_basis(rep: Representation, seed: int) -> Representation:
    """An equivalent representation as one summand, in a random orthogonal basis."""
    q = orthogonal(np.random.default_rng(seed), rep.size)
    return represent(rep.group, rep.irreps, q @ rep.change_of_basis, f"turned {seed}")


def random_type(
    group: Group, rng: np.random.Generator, summands: int = 4, max_size: int = 24
) -> Representation:
    """Summands of random irreps in random bases, some repeated, in random order."""
    irreps = group.irreps(None if group.order is not None else 2)
    kinds = []
    for _ in range(int(rng.integers(1, 4))):
        chosen = direct_sum([irreps[i] for i in rng.integers(len(irreps), size=rng.integers(1, 4))])
        kinds.append(
            in_random_basis(chosen, int(rng.integers(2**31))) if rng.random() < 0.7 else chosen
        )
    parts = [kinds[i] for i in rng.integers(len(kinds), size=rng.integers(1, summands + 1))]
    while len(parts) > 1 and sum(p.size for p in parts) > max_size:
        parts.pop()
    return direct_sum(parts)


def mean_over_group(in_rep: Representation, out_rep: Representation, w: np.ndarray) -> np.ndarray:
    """`mean_g rho_out(g) W rho_in(g)^T`, term by term (finite groups)."""
    total = np.zeros_like(w)
    for a, b in zip(out_rep.matrices, in_rep.matrices, strict=True):
        total += a @ w @ b.T
    return total / len(in_rep.matrices)


def constraints(
    in_rep: Representation, out_rep: Representation, elements: Sequence[GroupElement]
) -> np.ndarray:
    """Rows that vanish on `W.ravel()` exactly if W commutes with the elements."""
    eye_in, eye_out = np.eye(in_rep.size), np.eye(out_rep.size)
    rows = [np.zeros((1, in_rep.size * out_rep.size))]
    # vec of rho_out W - W rho_in, row-major.
    rows += [np.kron(out_rep(g), eye_in) - np.kron(eye_out, in_rep(g).T) for g in elements]
    return np.concatenate(rows)


def dense_generators(group: Group) -> list[GroupElement]:
    """Elements that generate a dense subgroup: random ones, with a flip where there is one."""
    if group.order is not None:
        return list(group.generators)
    return [group.sample(seed) for seed in range(6)]
