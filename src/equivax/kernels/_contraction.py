"""Coefficients times basis in JAX: one product with a table, or with its factors if it is large.

The tables are constants. Each is made once per dtype as an array on the device, behind an
optimization barrier: XLA then neither folds it into other constants nor compiles it again.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..hom import HIGHEST

LARGE_TABLE = 4_000_000
"""Entries of a dense table above which its factors are used: 16 MB in float32."""


def is_factored(basis: Any) -> bool:
    """Whether the dense table would be too large to keep."""
    return basis.dim * basis.out_rep.size * basis.in_rep.size * basis.taps > LARGE_TABLE


@functools.lru_cache(maxsize=512)
def _constants(basis: Any, dtype: Any, dual: bool) -> tuple[Array, ...]:
    """The tables as device arrays; cast on the host, so that float64 needs no x64."""
    tables = factors(basis, dual) if is_factored(basis) else (basis.dense(dual),)
    with jax.ensure_compile_time_eval():
        return tuple(jnp.asarray(table.astype(dtype)) for table in tables)


def contract(
    basis: Any, coeffs: Float[Array, "*leading dim"], dual: bool = False
) -> Float[Array, "*leading out in taps"]:
    """``sum_n coeffs[n] K_n`` on the raveled taps.

    Args:
        basis: A `SteerableBasis`.
        coeffs: ``(..., dim)``, at least float32.
        dual: Whether to use the kernels dual to the elements.

    Returns:
        ``(..., out, in, taps)``.
    """
    out, into, taps = basis.out_rep.size, basis.in_rep.size, basis.taps
    leading = coeffs.shape[:-1]
    if basis.dim == 0:
        return jnp.zeros((*leading, out, into, taps), coeffs.dtype)
    constants = jax.lax.optimization_barrier(_constants(basis, coeffs.dtype, dual))
    if not is_factored(basis):
        (table,) = constants
        full = jnp.matmul(coeffs, table.reshape(basis.dim, -1), precision=HIGHEST)
        return full.reshape(*leading, out, into, taps)
    small, q_out, q_in = constants
    slots = _slots(basis)
    flat = coeffs.reshape(-1, basis.dim)
    padded = flat.at[:, slots].get(mode="fill", fill_value=0, unique_indices=True)
    n = flat.shape[0]
    copies_out, copies_in, _, d_out, d_in, _ = small.shape
    moved = jnp.einsum("zoil,oilabt->zoaibt", padded, small, precision=HIGHEST)
    moved = moved.reshape(n, copies_out * d_out, copies_in * d_in, taps)
    half = jnp.einsum("xo,zoit->zxit", q_out, moved, precision=HIGHEST)
    full = jnp.einsum("yi,zxit->zxyt", q_in, half, precision=HIGHEST)
    return full.reshape(*leading, out, into, taps)


def project_coefficients(
    basis: Any, kernel: Float[Array, "*leading out in taps"]
) -> Float[Array, "*leading dim"]:
    """Least-squares coefficients: the adjoint of `contract` with the dual kernels."""
    leading = kernel.shape[:-3]
    if basis.dim == 0:
        return jnp.zeros((*leading, 0), kernel.dtype)
    like = jax.ShapeDtypeStruct((*leading, basis.dim), kernel.dtype)
    (coeffs,) = jax.linear_transpose(lambda c: contract(basis, c, dual=True), like)(kernel)
    return coeffs


# ---- factors ---------------------------------------------------------------------------------


@functools.lru_cache(maxsize=512)
def _slots(basis: Any) -> np.ndarray:
    """Which element stands at ``(out copy, in copy, place)``; ``dim`` and above where none does.

    Empty places have indices of their own, so that no two are equal and the gradient of the gather
    is a scatter without collisions.
    """
    data = basis.data
    shape = (len(basis.out_rep.irreps), len(basis.in_rep.irreps))
    places = _places(basis)
    slots = np.arange(shape[0] * shape[1] * (int(places.max()) + 1)).reshape(*shape, -1) + len(data)
    slots[data.out_index, data.in_index, places] = np.arange(len(data))
    return slots


def _places(basis: Any) -> np.ndarray:
    """Running number of each element among those of its pair of copies, by row."""
    data = basis.data
    order = np.lexsort((data.row, data.in_index, data.out_index))
    pair = data.out_index[order] * len(basis.in_rep.irreps) + data.in_index[order]
    first = np.searchsorted(pair, pair)
    places = np.empty(len(data), dtype=np.int64)
    places[order] = np.arange(len(data)) - first
    return places


def factors(basis: Any, dual: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tables between copies of irreps, padded to one size, and the changes of basis apart.

    Returns:
        ``(out copies, in copies, places, d, d', taps)``, and per side ``(size, copies * d)``.
    """
    copies = (len(basis.out_rep.irreps), len(basis.in_rep.irreps))
    sizes = [_largest(basis.out_rep), _largest(basis.in_rep)]
    places = int(_places(basis).max()) + 1
    small = np.zeros((*copies, places, *sizes, basis.taps))
    for _, _, table, pairs, _ in basis.tables(dual):
        n, a, b, _ = table.shape
        small[pairs[:, 1], pairs[:, 0], :n, :a, :b] = table
    return small, _padded(basis.out_rep, sizes[0]), _padded(basis.in_rep, sizes[1])


def _largest(rep: Any) -> int:
    return max(rep.group.irrep_data(irrep).size for irrep in rep.multiplicities)


def _padded(rep: Any, size: int) -> np.ndarray:
    """The change of basis with every irrep padded to ``size`` columns."""
    basis, start = rep.change_of_basis, 0
    padded = np.zeros((rep.size, len(rep.irreps), size))
    for position, irrep in enumerate(rep.irreps):
        stop = start + rep.group.irrep_data(irrep).size
        padded[:, position, : stop - start] = basis[:, start:stop]
        start = stop
    return padded.reshape(rep.size, -1)
