"""Least squares irrep by irrep, from second moments that are summed chunk by chunk.

In the coordinates of irreps the constrained problem splits. With ``F[(n, a), (i, s)] = (Psi_s
xh_n[i])_a`` and ``T[(n, a), o] = (yh_n[o])_a`` an ordinary least-squares problem with ``N d`` rows,
``S m_in`` columns and ``m_out`` right-hand sides gives the coefficients of one irrep. ``F^T F`` and
``F^T T`` are sums over samples. Summed over chunks that fit into a cache, they take a quarter of
the time of products of the whole (10,000 samples of 480 numbers, CPU), and memory for a chunk.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..hom import HIGHEST, MULTIPLICATION, Block, HomBasis, to_blocks

#: Numbers of a chunk of inputs and outputs: 4 MB in float32.
CHUNK = 2**20

#: Condition number of ``F^T F`` up to which normal equations lose at most one digit.
WELL_CONDITIONED = 10.0

#: From irrep name to ``(..., columns, out)``.
Solutions = dict[str, Array]


# ---- solvers -------------------------------------------------------------------------------------


# Compiled as wholes: outside of `jit` each branch would be compiled anew in every call.
@functools.partial(jax.jit, static_argnames=("basis", "rcond"))
def least_norm(
    basis: HomBasis,
    x: Float[Array, "*batch n_in"],
    y: Float[Array, "*batch n_out"],
    rcond: float | None,
) -> Solutions:
    """Least squares of least norm: from second moments where that is safe, else by QR and SVD.

    The error of normal equations grows with the condition number of ``F^T F``, that of QR with its
    root. Below `WELL_CONDITIONED` the two do not differ much; up to ``eps^-1/2`` one step of
    refinement makes up for it (Bjorck, *Numerical methods for least squares problems*, section
    6.6.5). Only matrix products have the length of the data, so both are several times faster than
    an orthogonal factorisation.

    Args:
        basis: The Hom space.
        x: ``(..., N, n_in)``.
        y: ``(..., N, n_out)``.
        rcond: As in `lstsq`.
    """
    # With few rows the Gram matrix is singular or nearly so.
    tall = [b for b in basis.blocks if x.shape[-2] * b.size >= 2 * _columns(b)]
    wide = [b for b in basis.blocks if b not in tall]
    found = _by_svd(basis, wide, x, y, rcond)
    if not tall:
        return found
    moments = _moments(basis, tall, x, y)
    condition = _worst_condition([gram for gram, _ in moments.values()])
    limit = float(jnp.finfo(x.dtype).eps) ** -0.5
    # NaN compares as false, which means SVD.
    way = jnp.where(condition < WELL_CONDITIONED, 0, jnp.where(condition < limit, 1, 2))
    solved = jax.lax.switch(
        way,
        [
            lambda x, y, moments: _by_cholesky(moments),
            lambda x, y, moments: _corrected_seminormal(basis, tall, x, y, moments),
            lambda x, y, moments: _by_svd(basis, tall, x, y, rcond),
        ],
        x,
        y,
        moments,
    )
    return found | solved


def _worst_condition(grams: list[Array]) -> Float[Array, ""]:
    """The largest condition number; scales of columns do no harm, so diagonals are made 1 first."""
    found = []
    for gram in grams:
        gram = jax.lax.stop_gradient(gram)
        scale = jnp.sqrt(jnp.diagonal(gram, axis1=-2, axis2=-1))
        values = jnp.linalg.eigvalsh(gram / (scale[..., :, None] * scale[..., None, :]))
        ratio = jnp.where(values[..., 0] > 0, values[..., -1] / values[..., 0], jnp.inf)
        found.append(jnp.max(ratio))
    return jnp.max(jnp.stack(found))


def _by_cholesky(moments: Moments) -> Solutions:
    return {
        name: _cholesky_solve(jnp.linalg.cholesky(gram), moved)
        for name, (gram, moved) in moments.items()
    }


def _corrected_seminormal(
    basis: HomBasis, blocks: list[Block], x: Array, y: Array, moments: Moments
) -> Solutions:
    """Normal equations and one step of refinement."""
    first = _by_cholesky(moments)
    rest = _residual_moments(basis, blocks, x, y, first)
    step = _by_cholesky({name: (moments[name][0], rest[name]) for name in rest})
    return {name: first[name] + step[name] for name in first}


@functools.partial(jax.jit, static_argnames=("basis", "rcond"))
def normal_equations(
    basis: HomBasis,
    x: Float[Array, "*batch n_in"],
    y: Float[Array, "*batch n_out"],
    ridge: Array | float | None,
    rcond: float | None,
) -> Solutions:
    """``(F^T F + ridge d I)^+ F^T T``; by Cholesky, unless ``ridge`` is None, which means 0."""
    found = {}
    moments = _moments(basis, basis.blocks, x, y)
    for block in basis.blocks:
        gram, moved = moments[block.name]
        if ridge is None:
            rows = x.shape[-2] * block.size
            # A null space is exact up to rounding of the Gram matrix, not of its root.
            inverse = jnp.linalg.pinv(gram, rtol=_cutoff(rcond, gram, rows), hermitian=True)
            found[block.name] = jnp.matmul(inverse, moved, precision=HIGHEST)
        else:
            shifted = gram + ridge * block.size * jnp.eye(gram.shape[-1], dtype=gram.dtype)
            found[block.name] = _cholesky_solve(jnp.linalg.cholesky(shifted), moved)
    return found


def _by_svd(
    basis: HomBasis, blocks: list[Block], x: Array, y: Array, rcond: float | None
) -> Solutions:
    """QR first, so that the SVD is of a small square matrix."""
    if not blocks:
        return {}
    found = {}
    xh, yh = to_blocks(basis.in_rep, x), to_blocks(basis.out_rep, y)
    for block in blocks:
        features = _features(block, xh[block.name])
        targets = _targets(block, yh[block.name])
        cutoff = _cutoff(rcond, features, features.shape[-2])
        if features.shape[-2] > features.shape[-1]:
            q, features = jnp.linalg.qr(features)
            targets = jnp.matmul(_transposed(q), targets, precision=HIGHEST)
        left, values, right = jnp.linalg.svd(features, full_matrices=False)
        keep = values > cutoff * values[..., :1]
        inverse = jnp.where(keep, 1 / jnp.where(keep, values, 1.0), 0.0)
        moved = jnp.matmul(_transposed(left), targets, precision=HIGHEST)
        scaled = inverse[..., :, None] * moved
        found[block.name] = jnp.matmul(_transposed(right), scaled, precision=HIGHEST)
    return found


def _cutoff(rcond: float | None, like: Array, rows: int) -> float:
    if rcond is not None:
        return rcond
    return float(jnp.finfo(like.dtype).eps) * max(rows, like.shape[-1])


def _cholesky_solve(factor: Array, right: Array) -> Array:
    leading = jnp.broadcast_shapes(factor.shape[:-2], right.shape[:-2])
    factor = jnp.broadcast_to(factor, leading + factor.shape[-2:])
    right = jnp.broadcast_to(right, leading + right.shape[-2:])
    half = jax.scipy.linalg.solve_triangular(factor, right, lower=True)
    return jax.scipy.linalg.solve_triangular(factor, half, lower=True, trans=1)


# ---- the problem of one irrep --------------------------------------------------------------------


def _columns(block: Block) -> int:
    return block.in_multiplicity * block.endomorphism_dimension


def _features(block: Block, xh: Float[Array, "*batch q ms"]) -> Float[Array, "*b rows columns"]:
    """``F``, whose columns are ``Psi_s xh[i]``, with the index of samples first among rows."""
    algebra = block.endomorphism_dimension
    if algebra > 1:
        units = MULTIPLICATION[algebra].astype(xh.dtype)
        numbers = xh.reshape(*xh.shape[:-1], -1, algebra)
        mixed = jnp.einsum("sta,...ia->...tis", units, numbers, precision=HIGHEST)
        xh = mixed.reshape(*mixed.shape[:-4], -1, xh.shape[-1])
    return xh.reshape(*xh.shape[:-3], -1, xh.shape[-1])


def _targets(block: Block, yh: Float[Array, "*batch q ms"]) -> Float[Array, "*b rows out"]:
    """``T``, with rows as in `_features`."""
    algebra = block.endomorphism_dimension
    if algebra > 1:
        numbers = jnp.swapaxes(yh.reshape(*yh.shape[:-1], -1, algebra), -1, -2)
        yh = numbers.reshape(*numbers.shape[:-3], -1, numbers.shape[-1])
    return yh.reshape(*yh.shape[:-3], -1, yh.shape[-1])


def _transposed(a: Array) -> Array:
    return jnp.swapaxes(a, -1, -2)


# ---- sums over samples ---------------------------------------------------------------------------

#: From irrep name to ``F^T F`` and ``F^T T``.
Moments = dict[str, tuple[Array, Array]]


def _moments(basis: HomBasis, blocks: Sequence[Block], x: Array, y: Array) -> Moments:
    def of(x: Array, y: Array) -> Moments:
        xh, yh = to_blocks(basis.in_rep, x), to_blocks(basis.out_rep, y)
        found = {}
        for block in blocks:
            features = _features(block, xh[block.name])
            targets = _targets(block, yh[block.name])
            found[block.name] = (_product(features, features), _product(features, targets))
        return found

    return _summed(of, x, y)


def _residual_moments(
    basis: HomBasis, blocks: list[Block], x: Array, y: Array, thetas: Solutions
) -> Solutions:
    """``F^T (T - F theta)``."""

    def of(x: Array, y: Array) -> Solutions:
        xh, yh = to_blocks(basis.in_rep, x), to_blocks(basis.out_rep, y)
        found = {}
        for block in blocks:
            features = _features(block, xh[block.name])
            fitted = jnp.matmul(features, thetas[block.name], precision=HIGHEST)
            found[block.name] = _product(features, _targets(block, yh[block.name]) - fitted)
        return found

    return _summed(of, x, y)


def _product(left: Array, right: Array) -> Array:
    return jnp.einsum("...ni,...no->...io", left, right, precision=HIGHEST)


def _summed(function: Callable[[Array, Array], Any], x: Array, y: Array) -> Any:
    """The sum of a function of samples over chunks of them."""
    chunk = max(1, CHUNK // (x.shape[-1] + y.shape[-1]))
    count = x.shape[-2] // chunk
    if count < 2:
        return function(x, y)

    def add(total: object, start: Array) -> tuple[Any, None]:
        # Not chunks as the loop's `xs`: that would copy the samples first.
        pair = (jax.lax.dynamic_slice_in_dim(a, start, chunk, axis=-2) for a in (x, y))
        return jax.tree.map(jnp.add, total, function(*pair)), None

    whole = count * chunk
    rest = function(x[..., whole:, :], y[..., whole:, :])
    starts = jnp.asarray(chunk * np.arange(count, dtype=np.int32))
    return jax.lax.scan(add, rest, starts)[0]
