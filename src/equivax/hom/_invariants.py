"""Invariant vectors: elements of ``Hom_G(1, rho)``."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..representations import Representation, trivial
from ._basis import hom_basis


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
    basis = hom_basis(trivial(rep.group), rep)
    (block,) = basis.blocks
    column = basis.synthesize({block.name: jnp.asarray(coeffs)[..., :, None, None]})
    return column[..., 0]
