"""Invariant vectors: elements of ``Hom_G(1, rho)``, field by field."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..representations import Representation, trivial
from ._basis import hom_basis
from ._layout import Side
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
    side, leading = _side(rep), coeffs.shape[:-1]
    if trivial_count(rep) == 0:
        return jnp.zeros((*leading, rep.size), coeffs.dtype)
    if side.copy_orders[0] is not None:
        coeffs = _taken(coeffs, side.copy_orders[0])
    counts = [run.count * run.basis.shape[1] for run in side.runs]
    parts = jax.lax.split(coeffs, counts, axis=len(leading)) if len(counts) > 1 else [coeffs]
    pieces = []
    for run, part in zip(side.runs, parts, strict=True):
        if not run.is_identity:
            part = part.reshape(*leading, run.count, run.basis.shape[1])
            basis = run.basis.T.astype(coeffs.dtype)
            if len(basis) == 1:  # as a product, its derivative takes longer to compile
                part = part * basis.reshape((1,) * (part.ndim - 1) + (run.size,))
            else:
                part = jnp.matmul(part, basis, precision=HIGHEST)
            part = part.reshape(*leading, run.count * run.size)
        pieces.append(part)
    y = pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, axis=-1)
    return y if side.scatter is None else _taken(y, side.scatter)


@functools.lru_cache(maxsize=1024)
def _side(rep: Representation) -> Side:
    """Where the trivial irreps of equal summands stand."""
    return hom_basis(trivial(rep.group), rep).layout.out_side


def _taken(x: Array, order: np.ndarray) -> Array:
    return jnp.take(x, order, axis=-1, mode="clip", unique_indices=True)
