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
from ._coefficients import Coefficients, Stacking, stacked, unstacked
from ._devices import shape_like
from ._layout import Layout
from ._synthesis import Stacks, apply_spectral, synthesize


@runtime_checkable
class LayoutAndBlocks(Protocol):
    """What the functions below use of a basis."""

    @property
    def layout(self) -> Layout: ...

    @property
    def blocks(self) -> tuple[Block, ...]: ...


@functools.partial(jax.jit, static_argnums=(0, 2, 3))
def compiled_synthesize(
    basis: LayoutAndBlocks, stacks: Stacks, leading: tuple[int, ...], dtype: jnp.dtype
) -> Float[Array, "*leading out in"]:
    if not leading or not stacks:
        matrix = synthesize(basis.layout, stacks, dtype)
        return jnp.broadcast_to(matrix, leading + matrix.shape)
    flat = [stack.reshape(-1, *stack.shape[len(leading) :]) for stack in stacks]
    matrix = jax.vmap(lambda c: synthesize(basis.layout, c, dtype))(flat)
    return matrix.reshape(*leading, *matrix.shape[1:])


@functools.partial(jax.jit, static_argnums=0)
def compiled_coefficients(
    basis: LayoutAndBlocks, matrix: Float[Array, "*leading out in"]
) -> dict[str, Array]:
    shapes = {block.name: block.shape for block in basis.blocks}
    stacking = basis.layout.stacking
    like = [shape_like((len(names), *shapes[names[0]]), matrix) for names in stacking.stacks]

    # Basis elements are orthogonal with squared norm d, so the coefficients of a projection are
    # the adjoint of the synthesis divided by d.
    def adjoint(w: Array) -> list[Array]:
        (dual,) = jax.linear_transpose(lambda c: synthesize(basis.layout, c, w.dtype), like)(w)
        return dual

    leading = matrix.shape[:-2]
    flat = matrix.reshape(-1, *matrix.shape[-2:])
    stacks = jax.vmap(adjoint)(flat) if leading else adjoint(flat[0])
    found = unstacked(Coefficients(tuple(stacks), stacking))
    return {b.name: (found[b.name] / b.size).reshape(leading + b.shape) for b in basis.blocks}


@functools.partial(jax.jit, static_argnums=(0, 3))
def compiled_apply(
    basis: LayoutAndBlocks, stacks: Stacks, x: Array, precision: jax.lax.PrecisionLike
) -> Array:
    return apply_spectral(basis.layout, stacks, x, precision)


@functools.partial(jax.jit, static_argnums=1)
def compiled_stacked(arrays: dict[str, Array], stacking: Stacking) -> Coefficients:
    return stacked(arrays, stacking)
