"""Coefficients to matrices, and the product with a vector that never forms the matrix.

Both start from the same batched weights: in spectral coordinates a commuting map is, for every
irrep, a matrix over R, C or H written with real numbers. Changes of basis and synthesis run at
the highest precision whatever the layer asks for: they are small, and rounding them to TF32 or
bfloat16 would break equivariance at 1e-3.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._block_product import rows_times
from ._layout import MULTIPLICATION, Batch, Layout, Run, Side

HIGHEST = jax.lax.Precision.HIGHEST
"""Precision of changes of basis and of synthesis, whatever that of the large products is."""


@functools.cache
def number_table(algebra: int) -> list[list[tuple[int, bool]]]:
    """Which unit, and whether with positive sign, stands at each entry of a number's matrix."""
    units = MULTIPLICATION[algebra]
    index, sign = np.abs(units).argmax(axis=0), units.sum(axis=0)
    size = range(algebra)
    return [[(int(index[p, t]), bool(sign[p, t] > 0)) for t in size] for p in size]


def batch_weight(
    batch: Batch,
    coefficients: Mapping[str, Array],
    in_order: np.ndarray | None,
    out_order: np.ndarray | None,
) -> Float[Array, "irreps out in"]:
    """The weights of a batch as real matrices ``(irreps, m_out S, m_in S)`` in layout order."""
    if len(batch.names) == 1:
        theta = coefficients[batch.names[0]]
        theta = theta.reshape(1, *theta.shape)
    else:
        theta = jnp.stack([coefficients[name] for name in batch.names])
    if out_order is not None:
        theta = theta[:, out_order]
    if in_order is not None:
        theta = theta[:, :, in_order]
    if batch.algebra == 1:
        return theta.reshape(theta.shape[:-1])
    table = number_table(batch.algebra)
    # Every entry of the multiplication table holds one unit up to sign, so this is exact. Stacks of
    # slices, because the gradient of a gather would be a scatter, which is slow on CPU.
    parts = [theta[..., s] for s in range(batch.algebra)]
    rows = [
        jnp.stack([parts[u] if positive else -parts[u] for u, positive in row], axis=-1)
        for row in table
    ]
    real = jnp.stack(rows, axis=2)  # (c, o, S, i, S)
    c, o, s, i, _ = real.shape
    return real.reshape(c, o * s, i * s)


def _weights(layout: Layout, coefficients: Mapping[str, Array]) -> list[Array]:
    return [
        batch_weight(batch, coefficients, in_order, out_order)
        for batch, in_order, out_order in zip(
            layout.batches, layout.in_side.copy_orders, layout.out_side.copy_orders, strict=True
        )
    ]


def to_spectral(layout: Layout, side: Side, x: Float[Array, "batch n"]) -> list[Array]:
    """Spectral coordinates, per batch ``(irreps, batch * q, copies * S)``."""
    if side.gather is not None:
        x = x[:, side.gather]
    pieces: list[list[Array]] = [[] for _ in layout.batches]
    for run in side.runs:
        if run.basis.shape[1] == 0:
            continue
        z = x[:, run.start : run.stop].reshape(-1, run.size)
        if not run.is_identity:
            z = jnp.matmul(z, run.basis.astype(x.dtype), precision=HIGHEST)
        z = z.reshape(x.shape[0], run.count, run.basis.shape[1])
        present = [i for i, m in enumerate(run.multiplicities) if m]
        widths = [layout.batches[i].width(run.multiplicities[i]) for i in present]
        # The transpose of a split is one concatenation, that of slices a sum of padded arrays.
        for index, part in zip(present, jax.lax.split(z, widths, axis=2), strict=True):
            batch = layout.batches[index]
            inner = run.multiplicities[index] * batch.algebra
            split = part.reshape(
                x.shape[0], run.count, len(batch.irreps), batch.quotient, inner
            ).transpose(2, 0, 3, 1, 4)
            rows = x.shape[0] * batch.quotient
            pieces[index].append(split.reshape(len(batch.irreps), rows, run.count * inner))
    return [p[0] if len(p) == 1 else jnp.concatenate(p, axis=-1) for p in pieces]


def from_spectral(
    layout: Layout, side: Side, spectral: list[Array], batch_size: int, dtype: jnp.dtype
) -> Float[Array, "batch n"]:
    """The inverse of `to_spectral`: zeros where an irrep is not reached."""
    outputs, offsets = [], [0] * len(spectral)
    for run in side.runs:
        segments = []
        for index, (batch, multiplicity) in enumerate(
            zip(layout.batches, run.multiplicities, strict=True)
        ):
            if multiplicity == 0:
                continue
            inner = multiplicity * batch.algebra
            stop = offsets[index] + run.count * inner
            part = spectral[index][:, :, offsets[index] : stop].reshape(
                len(batch.irreps), batch_size, batch.quotient, run.count, inner
            )
            width = batch.width(multiplicity)
            segments.append(part.transpose(1, 3, 0, 2, 4).reshape(batch_size, run.count, width))
            offsets[index] = stop
        if not segments:
            outputs.append(jnp.zeros((batch_size, run.count * run.size), dtype))
            continue
        y = segments[0] if len(segments) == 1 else jnp.concatenate(segments, axis=-1)
        if not run.is_identity:
            y = y.reshape(batch_size * run.count, run.basis.shape[1])
            y = jnp.matmul(y, run.basis.T.astype(dtype), precision=HIGHEST)
        outputs.append(y.reshape(batch_size, run.count * run.size))
    y = outputs[0] if len(outputs) == 1 else jnp.concatenate(outputs, axis=-1)
    return y if side.scatter is None else y[:, side.scatter]


def apply_spectral(
    layout: Layout,
    coefficients: Mapping[str, Array],
    x: Float[Array, "*batch in"],
    precision: jax.lax.PrecisionLike = None,
) -> Float[Array, "*batch out"]:
    """``W x`` block by block: change basis, multiply per irrep, change back.

    Per example this takes ``sum m_out m_in S d`` multiply-adds and two changes of basis by small
    matrices, instead of ``n_out n_in``.
    """
    leading = x.shape[:-1]
    rows = math.prod(leading)
    spectral = to_spectral(layout, layout.in_side, x.reshape(rows, x.shape[-1]))
    products = [
        rows_times(z, weight, precision)
        for z, weight in zip(spectral, _weights(layout, coefficients), strict=True)
    ]
    y = from_spectral(layout, layout.out_side, products, rows, x.dtype)
    return y.reshape(*leading, layout.out_side.size)


def synthesize(
    layout: Layout, coefficients: Mapping[str, Array], dtype: jnp.dtype
) -> Float[Array, "out in"]:
    """The dense matrix ``W = Q_out [sum_s Theta_s (x) Psi_s] Q_in^T``."""
    weights = _weights(layout, coefficients)
    rows, out_offsets = [], [0] * len(weights)
    for out_run in layout.out_side.runs:
        blocks, in_offsets = [], [0] * len(weights)
        for in_run in layout.in_side.runs:
            blocks.append(_block(layout, weights, out_run, in_run, out_offsets, in_offsets, dtype))
            _advance(layout, in_run, in_offsets)
        rows.append(blocks[0] if len(blocks) == 1 else jnp.concatenate(blocks, axis=1))
        _advance(layout, out_run, out_offsets)
    matrix = rows[0] if len(rows) == 1 else jnp.concatenate(rows, axis=0)
    if layout.out_side.scatter is not None:
        matrix = matrix[layout.out_side.scatter]
    if layout.in_side.scatter is not None:
        matrix = matrix[:, layout.in_side.scatter]
    return matrix


def _advance(layout: Layout, run: Run, offsets: list[int]) -> None:
    for index, (batch, multiplicity) in enumerate(
        zip(layout.batches, run.multiplicities, strict=True)
    ):
        offsets[index] += run.count * multiplicity * batch.algebra


def _block(
    layout: Layout,
    weights: list[Array],
    out_run: Run,
    in_run: Run,
    out_offsets: list[int],
    in_offsets: list[int],
    dtype: jnp.dtype,
) -> Float[Array, "out in"]:
    """The part of the matrix between two runs of equal summands."""
    shape = (out_run.count * out_run.size, in_run.count * in_run.size)
    moved, out_columns = [], []
    out_at, in_at = 0, 0
    for index, batch in enumerate(layout.batches):
        out_inner = out_run.multiplicities[index] * batch.algebra
        in_inner = in_run.multiplicities[index] * batch.algebra
        out_width = batch.width(out_run.multiplicities[index])
        in_width = batch.width(in_run.multiplicities[index])
        out_segment = slice(out_at, out_at + out_width)
        in_segment = slice(in_at, in_at + in_width)
        out_at, in_at = out_at + out_width, in_at + in_width
        if not out_inner or not in_inner:
            continue
        c, o, i = len(batch.irreps), out_offsets[index], in_offsets[index]
        weight = weights[index][
            :, o : o + out_run.count * out_inner, i : i + in_run.count * in_inner
        ].reshape(c, out_run.count, out_inner, in_run.count, in_inner)
        basis = in_run.basis[:, in_segment].reshape(in_run.size, c, batch.quotient, in_inner)
        half = jnp.einsum(
            "cxyim,ncqm->cqyxin", weight, basis.astype(weight.dtype), precision=HIGHEST
        )
        moved.append(half.reshape(c * batch.quotient * out_inner, -1))
        out_columns.append(out_run.basis[:, out_segment])
    if not moved:
        return jnp.zeros(shape, dtype)
    stacked = moved[0] if len(moved) == 1 else jnp.concatenate(moved, axis=0)
    columns = np.concatenate(out_columns, axis=1).astype(stacked.dtype)
    full = jnp.matmul(columns, stacked, precision=HIGHEST)
    full = full.reshape(out_run.size, out_run.count, shape[1])
    return full.transpose(1, 0, 2).reshape(shape)
