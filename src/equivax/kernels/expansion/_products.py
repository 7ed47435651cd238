"""Coefficients times basis in JAX: one product with a table, or ring by ring with its factors.

*Dense*: ``K = theta T`` with the elements on the taps, ``T`` of ``dim out in taps`` entries.
*Factored*: per ring ``U_r = theta_r H_r`` with the angular coefficients, then ``K = U S`` with the
samples of all functions: fewer operations, since a ring has fewer functions than there are taps.
Both give the same kernel to rounding.

The tables are constants. Each is made once per dtype, on the host, since an array of JAX would lie
on the devices of whoever came first; behind an optimization barrier XLA neither folds it into other
constants nor compiles it again.
"""

from __future__ import annotations

import functools
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...hom import HIGHEST, shape_like
from ...spaces import GSpace
from .._parts import Recipe, ring_layout
from ._tables import Expandable, angular, dense, inverse_gram, ring_counts, samples

LARGE_TABLE = 4_000_000
"""Entries above which a dense table is never made: 16 MB in float32."""

SMALL_WORK = 20_000_000
"""Multiply-adds of a dense expansion below which fewer operations do not pay: about 1 ms."""

WORTHWHILE = 2.0
"""How much less work the factors must be, since they take more and smaller products."""


@functools.lru_cache(maxsize=4096)
def _work(basis: Expandable) -> tuple[int, int]:
    """Multiply-adds for one pair of fields: (dense, factored)."""
    channels, widths = basis.out_rep.size * basis.in_rep.size, ring_layout(basis.parts).widths
    rings = sum(n * w for n, w in zip(ring_counts(basis), widths, strict=True))
    return basis.dim * channels * basis.taps, channels * (rings + sum(widths) * basis.taps)


def prefers_factors(bases: tuple[tuple[Expandable, int], ...]) -> bool:
    """Whether to expand pairs ``(basis, pairs of fields)`` by their factors."""
    work = [_work(basis) for basis, _ in bases]
    if max(entries for entries, _ in work) > LARGE_TABLE:
        return True
    whole, factored = (
        sum(n * w[k] for (_, n), w in zip(bases, work, strict=True)) for k in range(2)
    )
    return whole > SMALL_WORK and whole > WORTHWHILE * factored


# ---- constants -------------------------------------------------------------------------------

Tables: TypeAlias = tuple[np.ndarray, ...]


def _cast(tables: list[np.ndarray], dtype: np.dtype) -> Tables:
    """On the host, so that float64 tables need no x64."""
    return tuple(table.astype(dtype) for table in tables)


@functools.lru_cache(maxsize=256)
def _element_tables(basis: Expandable, dtype: np.dtype, factored: bool) -> Tables:
    if not factored:
        return _cast([dense(basis).reshape(basis.dim, -1)], dtype)
    return _cast([h.reshape(len(h), h[:1].size) for h in angular(basis) if len(h)], dtype)


@functools.lru_cache(maxsize=64)
def _gram_table(basis: Expandable, dtype: np.dtype) -> Tables:
    return _cast([inverse_gram(basis)], dtype)


@functools.lru_cache(maxsize=64)
def _sample_table(space: GSpace, recipe: Recipe, dtype: np.dtype) -> Tables:
    return _cast([samples(recipe.parts(space))], dtype)


def _barred(constants: Tables) -> tuple[Array, ...]:
    return tuple(jax.lax.optimization_barrier(constants))


# ---- products --------------------------------------------------------------------------------


def contract(
    basis: Expandable, coeffs: Float[Array, "*leading dim"], factored: bool
) -> Float[Array, "*leading out in width"]:
    """``sum_n coeffs[n] K_n``, on the taps or, if factored, on the functions of all parts.

    Args:
        basis: The basis.
        coeffs: ``(..., dim)``, at least float32.
        factored: Whether `sampled` follows.

    Returns:
        ``(..., out, in, taps)`` or ``(..., out, in, functions)``.
    """
    if basis.dim == 0:
        return _combine(basis, (), coeffs, factored)
    return _combine(
        basis, _barred(_element_tables(basis, coeffs.dtype, factored)), coeffs, factored
    )


def sampled(
    basis: Expandable, kernel: Float[Array, "*leading functions"], factored: bool
) -> Float[Array, "*leading taps"]:
    """The functions on the taps: the second step of a factored expansion.

    The parts are those of the recipe, so one product serves all pairs of kinds.
    """
    if not factored:
        return kernel
    (table,) = _barred(_sample_table(basis.space, basis.recipe, kernel.dtype))
    return jnp.matmul(kernel, table, precision=HIGHEST)


def unsampled(
    basis: Expandable, kernel: Float[Array, "*leading taps"], factored: bool
) -> Float[Array, "*leading functions"]:
    """The transpose of `sampled`."""
    if not factored:
        return kernel
    (table,) = _barred(_sample_table(basis.space, basis.recipe, kernel.dtype))
    return jnp.matmul(kernel, table.T, precision=HIGHEST)


def project_coefficients(
    basis: Expandable, kernel: Float[Array, "*leading out in width"], factored: bool
) -> Float[Array, "*leading dim"]:
    """Least-squares coefficients: inner products with the elements, times the inverse Gram matrix.

    The inner products are the adjoint of `contract`.

    Args:
        basis: The basis.
        kernel: On the taps or, if factored, after `unsampled`.
        factored: Which.

    Returns:
        ``(..., dim)``.
    """
    leading = kernel.shape[:-3]
    if basis.dim == 0:
        return jnp.zeros((*leading, 0), kernel.dtype)
    # Before the transposition: constants made inside it would be tracers of it.
    tables = _barred(_element_tables(basis, kernel.dtype, factored))
    (inverse,) = _barred(_gram_table(basis, kernel.dtype))
    like = shape_like((*leading, basis.dim), kernel)
    (inner,) = jax.linear_transpose(lambda c: _combine(basis, tables, c, factored), like)(kernel)
    return jnp.matmul(inner, inverse, precision=HIGHEST)


def _combine(
    basis: Expandable,
    tables: tuple[Array, ...],
    coeffs: Float[Array, "*leading dim"],
    factored: bool,
) -> Float[Array, "*leading out in width"]:
    """Coefficients times the tables."""
    leading, channels = coeffs.shape[:-1], (basis.out_rep.size, basis.in_rep.size)
    widths = ring_layout(basis.parts).widths
    if basis.dim == 0:
        width = sum(widths) if factored else basis.taps
        return jnp.zeros((*leading, *channels, width), coeffs.dtype)
    if not factored:
        full = jnp.matmul(coeffs, tables[0], precision=HIGHEST)
        return full.reshape(*leading, *channels, basis.taps)
    counts = ring_counts(basis)
    pieces = iter(jax.lax.split(coeffs, [n for n in counts if n], axis=coeffs.ndim - 1))
    found, remaining = [], iter(tables)
    for count, width in zip(counts, widths, strict=True):
        if count:
            ring = jnp.matmul(next(pieces), next(remaining), precision=HIGHEST)
            found.append(ring.reshape(*leading, *channels, width))
        else:
            found.append(jnp.zeros((*leading, *channels, width), coeffs.dtype))
    return found[0] if len(found) == 1 else jnp.concatenate(found, axis=-1)
