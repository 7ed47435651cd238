"""Invariant vectors: elements of ``Hom_G(1, rho)``, field by field."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..representations import Representation, trivial
from ._synthesis import HIGHEST


def trivial_count(rep: Representation) -> int:
    """How many trivial irreps ``rep`` contains: the dimension of its invariant subspace."""
    return rep.multiplicities.get(trivial(rep.group).irreps[0], 0)


def invariant_vector(
    rep: Representation, coeffs: Float[Array, "*batch m0"]
) -> Float[Array, "*batch n"]:
    """``Q[:, triv] beta``: the invariant vector with given trivial coordinates.

    Args:
        rep: A representation with ``m0 = trivial_count(rep)``.
        coeffs: ``(..., m0)`` in the order in which trivial irreps occur in ``rep.irreps``.

    Returns:
        ``(..., n)``.
    """
    coeffs = jnp.asarray(coeffs)
    identity = trivial(rep.group).irreps[0]
    pieces, start = [], 0
    for summand, count in rep.data:
        columns = summand.change_of_basis[:, summand.columns_of(identity).reshape(-1)]
        stop = start + count * columns.shape[1]
        part = coeffs[..., start:stop].reshape(*coeffs.shape[:-1], count, columns.shape[1])
        fields = jnp.matmul(part, columns.T.astype(coeffs.dtype), precision=HIGHEST)
        pieces.append(fields.reshape(*coeffs.shape[:-1], count * summand.size))
        start = stop
    return pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, axis=-1)
