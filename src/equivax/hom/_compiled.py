"""Synthesis, projection and application as compiled functions of a static basis.

Called eagerly they cost one compilation instead of one per small operation, and inside a traced
model equal layers share their lowering. A basis is anything hashable with ``layout`` and
``blocks``.
"""

from __future__ import annotations

import functools
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._block import Block
from ._devices import shape_like
from ._layout import Layout
from ._synthesis import apply_spectral, synthesize


@runtime_checkable
class LayoutAndBlocks(Protocol):
    """What the functions below use of a basis."""

    @property
    def layout(self) -> Layout: ...

    @property
    def blocks(self) -> tuple[Block, ...]: ...


@functools.partial(jax.jit, static_argnums=(0, 2, 3))
def compiled_synthesize(
    basis: LayoutAndBlocks, arrays: dict[str, Array], leading: tuple[int, ...], dtype: jnp.dtype
) -> Float[Array, "*leading out in"]:
    if not leading or not arrays:
        matrix = synthesize(basis.layout, arrays, dtype)
        return jnp.broadcast_to(matrix, leading + matrix.shape)
    flat = {n: a.reshape(-1, *a.shape[len(leading) :]) for n, a in arrays.items()}
    matrix = jax.vmap(lambda c: synthesize(basis.layout, c, dtype))(flat)
    return matrix.reshape(*leading, *matrix.shape[1:])


@functools.partial(jax.jit, static_argnums=0)
def compiled_coefficients(
    basis: LayoutAndBlocks, matrix: Float[Array, "*leading out in"]
) -> dict[str, Array]:
    like = {b.name: shape_like(b.shape, matrix) for b in basis.blocks}

    # Basis elements are orthogonal with squared norm d, so the coefficients of a projection are
    # the adjoint of the synthesis divided by d.
    def adjoint(w: Array) -> dict[str, Array]:
        (dual,) = jax.linear_transpose(lambda c: synthesize(basis.layout, c, w.dtype), like)(w)
        return {b.name: dual[b.name] / b.size for b in basis.blocks}

    leading = matrix.shape[:-2]
    flat = matrix.reshape(-1, *matrix.shape[-2:])
    found = jax.vmap(adjoint)(flat) if leading else adjoint(flat[0])
    return {b.name: found[b.name].reshape(leading + b.shape) for b in basis.blocks}


@functools.partial(jax.jit, static_argnums=(0, 3))
def compiled_apply(
    basis: LayoutAndBlocks, arrays: dict[str, Array], x: Array, precision: jax.lax.PrecisionLike
) -> Array:
    return apply_spectral(basis.layout, arrays, x, precision)
