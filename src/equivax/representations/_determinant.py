"""Determinants of representations, and axial vectors: what mirrors turn the other way."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from ..groups import Group
from ._operations import tensor_summand
from ._summand import Summand


def determinant_summand(group: Group, runs: Sequence[tuple[Summand, int]]) -> Summand:
    """``det rho(g)`` of a direct sum, as an irrep of size 1."""
    at = group.testing_coordinates if group.order is None else group.generator_coordinates
    signs = np.ones(len(at))
    for summand, count in runs:
        signs = signs * np.sign(np.linalg.det(summand.evaluate(at))) ** count
    # A sign that depends continuously on g is constant near the identity: frequency 0.
    for id in group.irrep_ids(0):
        irrep = group.irrep_data(id)
        if irrep.size == 1 and np.allclose(irrep.matrices(at)[:, 0, 0], signs, atol=1e-6):
            return Summand(group, (irrep.id,), np.eye(1), irrep.name)
    raise AssertionError(f"determinant: {group.name} has no irrep with these signs")


@functools.lru_cache(maxsize=256)
def pseudo_summand(summand: Summand) -> Summand:
    """``det rho(g) rho(g)``; the summand itself where the determinant is 1 throughout."""
    determinant = determinant_summand(summand.group, [(summand, 1)])
    if determinant.irreps[0] == summand.group.irrep_ids(0)[0]:
        return summand
    return tensor_summand(summand, determinant).renamed(f"pseudo({summand.name})")
