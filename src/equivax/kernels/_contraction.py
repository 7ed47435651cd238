"""Coefficients times basis in JAX: one product with a table, or with its factors if it is large.

The tables are constants. Each is made once per dtype as an array on the device, behind an
optimization barrier: XLA then neither folds it into other constants nor compiles it again.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..hom import HIGHEST
from ._tables import dense, factors, slots_of

LARGE_TABLE = 4_000_000
"""Entries of a dense table above which its factors are used: 16 MB in float32."""


def is_factored(basis: Any) -> bool:
    """Whether the dense table would be too large to keep."""
    return basis.dim * basis.out_rep.size * basis.in_rep.size * basis.taps > LARGE_TABLE


@functools.lru_cache(maxsize=512)
def _constants(basis: Any, dtype: Any, dual: bool) -> tuple[Array, ...]:
    """The tables as device arrays; cast on the host, so that float64 needs no x64."""
    tables = factors(basis, dual) if is_factored(basis) else (dense(basis, dual),)
    with jax.ensure_compile_time_eval():
        return tuple(jnp.asarray(table.astype(dtype)) for table in tables)


def contract(
    basis: Any, coeffs: Float[Array, "*leading dim"]
) -> Float[Array, "*leading out in taps"]:
    """``sum_n coeffs[n] K_n`` on the raveled taps.

    Args:
        basis: A `SteerableBasis`.
        coeffs: ``(..., dim)``, at least float32.

    Returns:
        ``(..., out, in, taps)``.
    """
    if basis.dim == 0:
        shape = (*coeffs.shape[:-1], basis.out_rep.size, basis.in_rep.size, basis.taps)
        return jnp.zeros(shape, coeffs.dtype)
    return _combine(basis, _barred(basis, coeffs.dtype, dual=False), coeffs)


def project_coefficients(
    basis: Any, kernel: Float[Array, "*leading out in taps"]
) -> Float[Array, "*leading dim"]:
    """Least-squares coefficients: the adjoint of `contract` with the dual kernels."""
    leading = kernel.shape[:-3]
    if basis.dim == 0:
        return jnp.zeros((*leading, 0), kernel.dtype)
    # Before the transposition: constants made inside it would be tracers of it.
    constants = _barred(basis, kernel.dtype, dual=True)
    like = jax.ShapeDtypeStruct((*leading, basis.dim), kernel.dtype)
    (coeffs,) = jax.linear_transpose(lambda c: _combine(basis, constants, c), like)(kernel)
    return coeffs


def _barred(basis: Any, dtype: Any, *, dual: bool) -> tuple[Array, ...]:
    return tuple(jax.lax.optimization_barrier(_constants(basis, dtype, dual)))


def _combine(
    basis: Any, constants: tuple[Array, ...], coeffs: Float[Array, "*leading dim"]
) -> Float[Array, "*leading out in taps"]:
    """Coefficients times the dense table, or times its factors."""
    out, into, taps = basis.out_rep.size, basis.in_rep.size, basis.taps
    leading = coeffs.shape[:-1]
    if not is_factored(basis):
        (table,) = constants
        full = jnp.matmul(coeffs, table.reshape(basis.dim, -1), precision=HIGHEST)
        return full.reshape(*leading, out, into, taps)
    small, q_out, q_in = constants
    flat = coeffs.reshape(-1, basis.dim)
    padded = flat.at[:, slots_of(basis)].get(mode="fill", fill_value=0, unique_indices=True)
    copies_out, copies_in, _, d_out, d_in, _ = small.shape
    moved = jnp.einsum("zoil,oilabt->zoaibt", padded, small, precision=HIGHEST)
    moved = moved.reshape(flat.shape[0], copies_out * d_out, copies_in * d_in, taps)
    half = jnp.einsum("xo,zoit->zxit", q_out, moved, precision=HIGHEST)
    full = jnp.einsum("yi,zxit->zxyt", q_in, half, precision=HIGHEST)
    return full.reshape(*leading, out, into, taps)
