"""Tensor products and restrictions of single irreps: small decompositions, computed once.

Whole representations are assembled from these by multiplying small matrices, so no large
Kronecker product is ever averaged over the group.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from jaxtyping import Float

from .._numerics import freeze
from ..groups import Group
from ..groups import Subgroup as Subgroup
from ._decomposition import decompose


@functools.cache
def clebsch_gordan(
    group: Group, first: tuple[Any, ...], second: tuple[Any, ...]
) -> tuple[tuple[Any, ...], Float[np.ndarray, "n n"]]:
    """Decomposition of ``psi_a (x) psi_b`` (Kronecker product, first index slow).

    Args:
        group: The group.
        first: Id of ``psi_a``.
        second: Id of ``psi_b``.

    Returns:
        ``(irreps, C)`` with ``kron(psi_a, psi_b) = C (sum of irreps) C^T``; ``C`` is read-only.
    """
    a, b = group.irrep_data(first), group.irrep_data(second)

    def evaluate(coordinates: np.ndarray) -> np.ndarray:
        left, right = a.matrices(coordinates), b.matrices(coordinates)
        product = np.einsum("eij,ekl->eikjl", left, right)
        return product.reshape(len(left), a.size * b.size, a.size * b.size)

    irreps, columns = decompose(group, evaluate, a.frequency + b.frequency)
    return irreps, freeze(columns)


@functools.cache
def restricted_irrep(
    subgroup: Subgroup, irrep: tuple[Any, ...]
) -> tuple[tuple[Any, ...], Float[np.ndarray, "d d"]]:
    """Decomposition of an irrep of the parent group seen by a subgroup.

    Args:
        subgroup: The subgroup with its embedding.
        irrep: Id of an irrep of the parent group.

    Returns:
        ``(irreps of the subgroup, R)`` with ``psi(h) = R (sum of irreps)(h) R^T``.
    """
    data = subgroup.parent.irrep_data(irrep)
    irreps, columns = decompose(
        subgroup.group, lambda h: data.matrices(subgroup.embed(h)), data.frequency
    )
    return irreps, freeze(columns)
