"""Coefficients times basis in JAX: one product with a table, or with its factors.

*Dense*: ``K = theta T`` with the elements on the taps, ``T`` of ``dim out in taps`` entries.
*Rings*: per ring ``U_r = theta_r H_r`` with the angular coefficients, then ``K = U S`` with the
samples of all functions: fewer operations, since a ring has fewer functions than there are taps.
*Irreps*: ``U = Q_out (theta A) Q_in^T`` with the angular coefficients ``A`` between irreps, which
all copies share, then ``K = U S``. Tables are smallest: of regular fields by the square of a field.
All give the same kernel to rounding.

The tables are constants. Each is made once per dtype, on the host, since an array of JAX would lie
on the devices of whoever came first; behind an optimization barrier XLA neither folds it into other
constants nor compiles it again.
"""

from __future__ import annotations

import functools
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...hom import HIGHEST, shape_like
from ...spaces import GSpace
from .._parts import Recipe, ring_layout
from ._tables import (
    Expandable,
    alike,
    angular,
    between_irreps,
    coefficient_places,
    coordinates,
    dense,
    inverse_gram,
    irrep_entries,
    ring_counts,
    samples,
)

Form: TypeAlias = Literal["dense", "rings", "irreps"]
"""How a basis is expanded."""

LARGE_TABLE = 250_000
"""Entries of all tables above which a smaller form is taken: 1 MB in float32."""

SMALL_WORK = 20_000_000
"""Multiply-adds of a dense expansion below which fewer operations do not pay: about 1 ms."""

WORTHWHILE = 2.0
"""How much less work the factors must be, since they take more and smaller products."""


@functools.lru_cache(maxsize=4096)
def _costs(basis: Expandable) -> dict[Form, tuple[int, int]]:
    """Per form the entries of its tables, and the multiply-adds for one pair of fields."""
    channels, widths = basis.out_rep.size * basis.in_rep.size, ring_layout(basis.parts).widths
    table = basis.dim * channels * basis.taps
    rings = channels * sum(n * w for n, w in zip(ring_counts(basis), widths, strict=True))
    entries, work = irrep_entries(basis)
    sampling = channels * sum(widths) * basis.taps
    return {
        "dense": (table, table),
        "rings": (rings, rings + sampling),
        "irreps": (entries, work + sampling),
    }


def best_form(bases: tuple[tuple[Expandable, int], ...]) -> Form:
    """How to expand pairs ``(basis, pairs of fields)``: by few products, and no large table."""
    costs = [(_costs(basis), n) for basis, n in bases]
    entries = {form: sum(c[form][0] for c, _ in costs) for form in costs[0][0]}
    work = {form: sum(n * c[form][1] for c, n in costs) for form in costs[0][0]}
    pays = work["dense"] > SMALL_WORK and work["dense"] > WORTHWHILE * work["rings"]
    if entries["dense"] <= LARGE_TABLE and not pays:
        return "dense"
    if entries["rings"] <= max(LARGE_TABLE, entries["irreps"]):
        return "rings"
    return "irreps"


# ---- constants -------------------------------------------------------------------------------

Tables: TypeAlias = tuple[np.ndarray, ...]


def _cast(tables: list[np.ndarray], dtype: np.dtype) -> Tables:
    """On the host, so that float64 tables need no x64."""
    return tuple(table.astype(dtype) for table in tables)


@functools.lru_cache(maxsize=256)
def _element_tables(basis: Expandable, dtype: np.dtype, form: Form) -> Tables:
    if form == "dense":
        return _cast([dense(basis).reshape(basis.dim, -1)], dtype)
    if form == "irreps":
        turns = [coordinates(rep) for rep in (basis.out_rep, basis.in_rep)]
        return _cast([*between_irreps(basis), *(q for q in turns if q is not None)], dtype)
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
    basis: Expandable, coeffs: Float[Array, "*leading dim"], form: Form
) -> Float[Array, "*leading out in width"]:
    """``sum_n coeffs[n] K_n``, on the taps if dense, else on the functions of all parts.

    Args:
        basis: The basis.
        coeffs: ``(..., dim)``, at least float32.
        form: The same as for `sampled`, which follows.

    Returns:
        ``(..., out, in, taps)`` or ``(..., out, in, functions)``.
    """
    if basis.dim == 0:
        return _combine(basis, (), coeffs, form)
    return _combine(basis, _barred(_element_tables(basis, coeffs.dtype, form)), coeffs, form)


def sampled(
    basis: Expandable, kernel: Float[Array, "*leading functions"], form: Form
) -> Float[Array, "*leading taps"]:
    """The functions on the taps: the second step of an expansion by factors.

    The parts are those of the recipe, so one product serves all pairs of kinds.
    """
    if form == "dense":
        return kernel
    (table,) = _barred(_sample_table(basis.space, basis.recipe, kernel.dtype))
    return jnp.matmul(kernel, table, precision=HIGHEST)


def unsampled(
    basis: Expandable, kernel: Float[Array, "*leading taps"], form: Form
) -> Float[Array, "*leading functions"]:
    """The transpose of `sampled`."""
    if form == "dense":
        return kernel
    (table,) = _barred(_sample_table(basis.space, basis.recipe, kernel.dtype))
    return jnp.matmul(kernel, table.T, precision=HIGHEST)


def in_coordinates(
    basis: Expandable, coeffs: Float[Array, "outs ins dim"]
) -> Float[Array, "outs ins out in functions"]:
    """``Q_out^T (sum_n coeffs[n] K_n) Q_in`` on the functions of all parts, see `coordinates`."""
    return _irrep_blocks(basis, _barred(_element_tables(basis, coeffs.dtype, "irreps")), coeffs)


def project_coefficients(
    basis: Expandable, kernel: Float[Array, "*leading out in width"], form: Form
) -> Float[Array, "*leading dim"]:
    """Least-squares coefficients: inner products with the elements, times the inverse Gram matrix.

    The inner products are the adjoint of `contract`.

    Args:
        basis: The basis.
        kernel: On the taps if dense, else after `unsampled`.
        form: Which.

    Returns:
        ``(..., dim)``.
    """
    leading = kernel.shape[:-3]
    if basis.dim == 0:
        return jnp.zeros((*leading, 0), kernel.dtype)
    # Before the transposition: constants made inside it would be tracers of it.
    tables = _barred(_element_tables(basis, kernel.dtype, form))
    (inverse,) = _barred(_gram_table(basis, kernel.dtype))
    like = shape_like((*leading, basis.dim), kernel)
    (inner,) = jax.linear_transpose(lambda c: _combine(basis, tables, c, form), like)(kernel)
    return jnp.matmul(inner, inverse, precision=HIGHEST)


def _combine(
    basis: Expandable,
    tables: tuple[Array, ...],
    coeffs: Float[Array, "*leading dim"],
    form: Form,
) -> Float[Array, "*leading out in width"]:
    """Coefficients times the tables."""
    leading, channels = coeffs.shape[:-1], (basis.out_rep.size, basis.in_rep.size)
    widths = ring_layout(basis.parts).widths
    if basis.dim == 0:
        width = basis.taps if form == "dense" else sum(widths)
        return jnp.zeros((*leading, *channels, width), coeffs.dtype)
    if form == "dense":
        full = jnp.matmul(coeffs, tables[0], precision=HIGHEST)
        return full.reshape(*leading, *channels, basis.taps)
    if form == "irreps":
        return _between_irreps(basis, tables, coeffs)
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


def _between_irreps(
    basis: Expandable, tables: tuple[Array, ...], coeffs: Float[Array, "*leading dim"]
) -> Float[Array, "*leading out in functions"]:
    """The form ``"irreps"``: kernels between irreps, then both changes of basis."""
    kernel = _irrep_blocks(basis, tables, coeffs.reshape(-1, basis.dim))
    turns = iter(tables[len(alike(basis.out_rep)) * len(alike(basis.in_rep)) :])
    for axis, rep in enumerate((basis.out_rep, basis.in_rep)):
        if coordinates(rep) is not None:
            spec = ("xa,zabf->zxbf", "yb,zabf->zayf")[axis]
            kernel = jnp.einsum(spec, next(turns), kernel, precision=HIGHEST)
    return kernel.reshape(*coeffs.shape[:-1], *kernel.shape[1:])


def _irrep_blocks(
    basis: Expandable, tables: tuple[Array, ...], coeffs: Float[Array, "*leading dim"]
) -> Float[Array, "*leading out in functions"]:
    """Kernels between irreps, side by side."""
    places = coefficient_places(basis)
    flat = coeffs.reshape(-1, basis.dim)
    # Few numbers, each at one place: the gradient of this gather adds nothing up.
    index = np.concatenate([p.reshape(-1) for p in places])
    spread = flat
    if not np.array_equal(index, np.arange(basis.dim)):
        spread = jnp.take(flat, index, axis=1, mode="fill", fill_value=0, unique_indices=True)
    pieces = iter(jax.lax.split(spread, [p.size for p in places], axis=1))
    remaining, count, rows = iter(tables), len(flat), []
    for outs in alike(basis.out_rep):
        row = []
        for ins in alike(basis.in_rep):
            (t, m), (u, n) = outs.copies.shape, ins.copies.shape
            theta = next(pieces).reshape(count, t, u, m * n, -1)
            block = jnp.einsum("ztumr,turw->ztumw", theta, next(remaining), precision=HIGHEST)
            block = block.reshape(count, t, u, m, n, outs.size, ins.size, -1)
            block = block.transpose(0, 1, 3, 5, 2, 4, 6, 7)
            row.append(block.reshape(count, t * m * outs.size, u * n * ins.size, -1))
        rows.append(row[0] if len(row) == 1 else jnp.concatenate(row, axis=2))
    kernel = rows[0] if len(rows) == 1 else jnp.concatenate(rows, axis=1)
    return kernel.reshape(*coeffs.shape[:-1], *kernel.shape[1:])
