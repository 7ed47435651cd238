"""Lengths of irrep copies: the simplest invariants of a vector."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Shaped

from .._arguments import arrays, number
from ..hom import scatter_copies, to_irreps
from ..representations import as_representation


def irrep_norms(
    x: Shaped[ArrayLike, "..."], rep: object, *, eps: float = 0.0
) -> Float[Array, "*batch copies"]:
    """``r_i = |xh_i|``, the length of every irrep copy of ``xh = Q^T x``.

    Args:
        x: ``(..., n)``.
        rep: The representation of size ``n`` that acts on the last axis.
        eps: If positive, ``sqrt(|xh_i|^2 + eps^2) - eps``, which is smooth at 0.

    Returns:
        ``(..., len(rep.irreps))`` in the order of ``rep.irreps``; gradient 0 at a zero block.

    Raises:
        ValueError: If the last axis of ``x`` is not ``n``, or ``eps`` is negative.
        TypeError: If ``rep`` is no representation, or ``x`` is not of floating numbers.
    """
    rep = as_representation(rep, "rep")
    x = arrays.array(x, "irrep_norms", "x")
    if x.ndim == 0 or x.shape[-1] != rep.size:
        raise ValueError(f"x: expected (..., {rep.size}), got {x.shape}")
    eps = number(eps, "irrep_norms", "eps", 0)
    squares = {name: jnp.sum(v * v, axis=-1) for name, v in to_irreps(rep, x).items()}
    total = scatter_copies(rep, squares)
    if eps > 0:
        return jnp.sqrt(total + eps * eps) - eps
    positive = total > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, total, 1.0)), 0.0)
