"""The symmetric square: how products ``x_i x_j`` of the entries of one vector turn."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arguments import type_of
from .._numerics import freeze
from ..groups import Group
from ._decomposition import decompose
from ._irrep_algebra import clebsch_gordan
from ._representation import Representation
from ._summand import Summand


def symmetric_square(rep: Representation) -> Representation:
    """How ``x (x) x`` turns, in the coordinates ``x_i^2`` and ``sqrt(2) x_i x_j`` for ``i < j``.

    The subrepresentation of ``rho (x) rho`` on symmetric tensors, of size ``n (n + 1) / 2``. Pairs
    are in the order of `numpy.triu_indices`; coordinates are orthonormal.

    Args:
        rep: A representation; its summands are taken together.

    Returns:
        A representation of one summand.
    """
    type_of(rep, "symmetric_square", "rep", Representation)
    return Representation(rep.group, [(_square(rep.fused().data[0][0]), 1)])


def symmetric_pairs(
    size: int,
) -> tuple[np.ndarray, np.ndarray, Float[np.ndarray, " pairs"]]:
    """Indices ``i <= j`` and factors: coordinate ``factor x_i x_j`` for each pair."""
    first, second = np.triu_indices(size)
    return first, second, np.where(first == second, 1.0, np.sqrt(2.0))


def _symmetric(tensors: np.ndarray, size: int) -> np.ndarray:
    """Coordinates of the symmetric part of columns in ``R^n (x) R^n``."""
    first, second, factors = symmetric_pairs(size)
    cells = tensors.reshape(size, size, -1)
    return (cells[first, second] + cells[second, first]) * (factors / 2)[:, None]


@functools.lru_cache(maxsize=256)
def _square(summand: Summand) -> Summand:
    """``Sym^2(sum of psi)``: squares of the summands, and products of each two of them."""
    group, size, basis = summand.group, summand.size, summand.change_of_basis
    columns, irreps = [], []
    parts = list(zip(summand.irreps, summand.columns, strict=True))
    for a, (i, c) in enumerate(parts):
        ids, small = _irrep_square(group, i)
        first, second, factors = symmetric_pairs(basis[:, c].shape[1])
        pairs = np.einsum("xp,yp->xyp", basis[:, c][:, first], basis[:, c][:, second])
        # factor (e_i e_j + e_j e_i) / 2 times factor gives unit tensors; `_symmetric` averages.
        columns.append(_symmetric(pairs.reshape(size**2, -1) * factors, size) @ small)
        irreps += ids
        for j, e in parts[a + 1 :]:
            ids, small = clebsch_gordan(group, i, j)
            pair = np.kron(basis[:, c], basis[:, e])
            columns.append(np.sqrt(2.0) * _symmetric(pair @ small, size))
            irreps += ids
    root = summand.orthogonalizer
    if root is not None:
        first, second, factors = symmetric_pairs(size)
        products = np.kron(root, root).reshape(size, size, size, size)
        cells = (
            products[first, second][:, first, second] + products[first, second][:, second, first]
        )
        root = cells * np.where(first == second, 0.5, 1.0) * factors[:, None] / factors
    name = f"symmetric_square({summand.name})"
    return Summand(group, tuple(irreps), np.concatenate(columns, axis=1), name, root)


@functools.cache
def _irrep_square(
    group: Group, id: tuple[Any, ...]
) -> tuple[tuple[Any, ...], Float[np.ndarray, "n n"]]:
    """Decomposition of the symmetric square of an irrep."""
    data = group.irrep_data(id)
    first, second, factors = symmetric_pairs(data.size)

    def evaluate(coordinates: np.ndarray) -> np.ndarray:
        m = data.matrices(coordinates)
        left = m[:, first[:, None], first] * m[:, second[:, None], second]
        right = m[:, first[:, None], second] * m[:, second[:, None], first]
        return (left + right) * (factors[:, None] * factors / 2)

    irreps, columns = decompose(group, evaluate, 2 * data.frequency)
    return irreps, freeze(columns)
