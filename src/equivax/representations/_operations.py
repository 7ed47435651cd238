"""What is computed summand by summand: tensor products, restriction, permutation tests."""

from __future__ import annotations

import functools

import numpy as np

from ..groups import Subgroup
from ._irrep_algebra import clebsch_gordan, restricted_irrep
from ._summand import Summand

#: Entries of matrices that are permutations must be 0, 1 or -1 to this accuracy.
PERMUTATION_TOLERANCE = 1e-9


def block_diagonal(blocks: list[tuple[np.ndarray, int]]) -> np.ndarray:
    """Block diagonal matrices from pairs ``(block (..., k, k), copies)``, leading axes kept."""
    size = sum(block.shape[-1] * count for block, count in blocks)
    dense = np.zeros((*blocks[0][0].shape[:-2], size, size))
    start = 0
    for block, count in blocks:
        for _ in range(count):
            stop = start + block.shape[-1]
            dense[..., start:stop, start:stop] = block
            start = stop
    return dense


@functools.lru_cache(maxsize=256)
def tensor_summand(a: Summand, b: Summand) -> Summand:
    """Kronecker product of two summands, assembled from products of irreps."""
    columns, irreps = [], []
    for i, c in zip(a.irreps, a.columns, strict=True):
        for j, e in zip(b.irreps, b.columns, strict=True):
            pair = np.kron(a.change_of_basis[:, c], b.change_of_basis[:, e])
            ids, small = clebsch_gordan(a.group, i, j)
            columns.append(pair @ small)
            irreps += ids
    root = None
    if a.orthogonalizer is not None or b.orthogonalizer is not None:
        root = np.kron(_root(a), _root(b))
    basis = np.concatenate(columns, axis=1)
    return Summand(a.group, tuple(irreps), basis, f"({a.name} @ {b.name})", root)


def _root(summand: Summand) -> np.ndarray:
    """The matrix by which the user's vectors enter, the identity if they enter as they are."""
    return np.eye(summand.size) if summand.orthogonalizer is None else summand.orthogonalizer


@functools.lru_cache(maxsize=256)
def restricted_summand(summand: Summand, subgroup: Subgroup) -> Summand:
    """A summand seen by a subgroup."""
    columns, irreps = [], []
    for i, c in zip(summand.irreps, summand.columns, strict=True):
        ids, small = restricted_irrep(subgroup, i)
        columns.append(summand.change_of_basis[:, c] @ small)
        irreps += ids
    basis, name = np.concatenate(columns, axis=1), f"{summand.name}|{subgroup.group.name}"
    return Summand(subgroup.group, tuple(irreps), basis, name, summand.orthogonalizer)


@functools.lru_cache(maxsize=1024)
def is_permutation(summand: Summand, *, signed: bool) -> bool:
    """Whether the matrices of a summand are (signed) permutations, on enough elements."""
    group = summand.group
    if group.order is None and any(group.irrep_data(i).frequency for i in summand.irreps):
        # Whatever turns continuously is no permutation, though it may look like one on a sample:
        # SO(2) turning 13 times as fast, say, at multiples of 360/52 degrees.
        return False
    elements = group.testing_elements if group.order is None else group.generators
    if not elements:
        return True
    matrices = summand.evaluate(np.asarray([g.coordinates for g in elements]))
    rounded = np.round(np.abs(matrices) if signed else matrices)
    near = np.abs((np.abs(matrices) if signed else matrices) - rounded).max()
    return bool(
        near < PERMUTATION_TOLERANCE
        and (rounded >= 0).all()
        and (rounded.sum(axis=1) == 1).all()
        and (rounded.sum(axis=2) == 1).all()
    )
