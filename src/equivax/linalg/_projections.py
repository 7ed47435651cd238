"""Orthogonal projectors that belong to a representation."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ..representations import as_representation, irrep_id, trivial


def isotypic_projector(rep: object, irrep: object) -> Float[np.ndarray, "n n"]:
    """Orthogonal projector on all copies of one irrep, ``sum_i Q_i Q_i^T``.

    Args:
        rep: A representation of size ``n``.
        irrep: An irrep of its group: its id, its label, or the irrep itself.

    Returns:
        ``(n, n)`` NumPy float64, zero if the irrep does not occur.

    Raises:
        ValueError: If the group has no such irrep, or ``irrep`` is a sum of several.
    """
    rep = as_representation(rep, "rep")
    id = irrep_id(rep.group, irrep, "isotypic_projector: irrep")
    projector = np.zeros((rep.size, rep.size))
    start = 0
    for summand, count in rep.data:
        columns = summand.change_of_basis[:, summand.columns_of(id).reshape(-1)]
        block = columns @ columns.T
        for _ in range(count):
            stop = start + summand.size
            projector[start:stop, start:stop] = block
            start = stop
    return projector


def invariant_projector(rep: object) -> Float[np.ndarray, "n n"]:
    """``P = mean_g rho(g) = Q[:, triv] Q[:, triv]^T``, the projector on the invariant vectors.

    Args:
        rep: A representation of size ``n``.

    Returns:
        ``(n, n)`` NumPy float64, symmetric and idempotent; zero without trivial irreps.
    """
    rep = as_representation(rep, "rep")
    return isotypic_projector(rep, trivial(rep.group).irreps[0])
