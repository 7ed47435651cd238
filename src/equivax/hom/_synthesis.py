"""Coefficients to matrices, and the product with a vector that never forms the matrix.

Both start from the same batched weights: in spectral coordinates a commuting map is, for every
irrep, a matrix over R, C or H written with real numbers. Changes of basis and synthesis run at
the highest precision whatever the layer asks for: they are small, and rounding them to TF32 or
bfloat16 would break equivariance at 1e-3.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._block_product import rows_times
from ._layout import MULTIPLICATION, Layout, Run, Side, element_table, has_table

HIGHEST = jax.lax.Precision.HIGHEST
"""Precision of changes of basis and of synthesis, whatever that of the large products is."""

Stacks = Sequence[Array]
"""Coefficients ``(irreps, m_out, m_in, S)``, one array for each of ``Layout.stacks``."""


@functools.cache
def number_table(algebra: int) -> list[list[tuple[int, bool]]]:
    """Which unit, and whether with positive sign, stands at each entry of a number's matrix."""
    units = MULTIPLICATION[algebra]
    index, sign = np.abs(units).argmax(axis=0), units.sum(axis=0)
    size = range(algebra)
    return [[(int(index[p, t]), bool(sign[p, t] > 0)) for t in size] for p in size]


def real_weight(theta: Float[Array, "irreps out in s"]) -> Float[Array, "irreps out_s in_s"]:
    """Matrices over R, C or H as real ones."""
    algebra = theta.shape[-1]
    if algebra == 1:
        return theta.reshape(theta.shape[:-1])
    # Every entry of the multiplication table holds one unit up to sign, so this is exact. Stacks of
    # slices, because the gradient of a gather would be a scatter, which is slow on CPU.
    parts = [theta[..., s] for s in range(algebra)]
    rows = [
        jnp.stack([parts[u] if positive else -parts[u] for u, positive in row], axis=-1)
        for row in number_table(algebra)
    ]
    real = jnp.stack(rows, axis=2)  # (c, o, S, i, S)
    c, o, s, i, _ = real.shape
    return real.reshape(c, o * s, i * s)


def _thetas(layout: Layout, stacks: Stacks) -> list[Array]:
    """The coefficients of all batches ``(irreps, m_out, m_in, S)``, copies in layout order."""
    found: dict[int, Array] = {}
    for members, stack in zip(layout.stacks, stacks, strict=True):
        counts = [len(layout.batches[i].irreps) for i in members]
        # The transpose of a split is one concatenation, that of slices a sum of padded arrays.
        parts = jax.lax.split(stack, counts) if len(counts) > 1 else [stack]
        found.update(zip(members, parts, strict=True))
    orders = zip(layout.in_side.copy_orders, layout.out_side.copy_orders, strict=True)
    for number, (in_order, out_order) in enumerate(orders):
        if out_order is not None:
            found[number] = found[number][:, out_order]
        if in_order is not None:
            found[number] = found[number][:, :, in_order]
    return [found[number] for number in range(len(layout.batches))]


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
    stacks: Stacks,
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
        rows_times(z, real_weight(theta), precision)
        for z, theta in zip(spectral, _thetas(layout, stacks), strict=True)
    ]
    y = from_spectral(layout, layout.out_side, products, rows, x.dtype)
    return y.reshape(*leading, layout.out_side.size)


def synthesize(layout: Layout, stacks: Stacks, dtype: jnp.dtype) -> Float[Array, "out in"]:
    """The dense matrix ``W = Q_out [sum_s Theta_s (x) Psi_s] Q_in^T``."""
    thetas = _thetas(layout, stacks)
    rows, out_offsets = [], [0] * len(thetas)
    for out_run in layout.out_side.runs:
        blocks, in_offsets = [], [0] * len(thetas)
        for in_run in layout.in_side.runs:
            blocks.append(_block(layout, thetas, out_run, in_run, out_offsets, in_offsets, dtype))
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
    """Offsets count copies."""
    for index, multiplicity in enumerate(run.multiplicities):
        offsets[index] += run.count * multiplicity


def _block(
    layout: Layout,
    thetas: list[Array],
    out_run: Run,
    in_run: Run,
    out_offsets: list[int],
    in_offsets: list[int],
    dtype: jnp.dtype,
) -> Float[Array, "out in"]:
    """The part of the matrix between two runs of equal summands."""
    parts: list[Array | None] = []
    for index, theta in enumerate(thetas):
        m_out, m_in = out_run.multiplicities[index], in_run.multiplicities[index]
        if not m_out or not m_in:
            parts.append(None)
            continue
        o, i = out_offsets[index], in_offsets[index]
        theta = theta[:, o : o + out_run.count * m_out, i : i + in_run.count * m_in]
        shape = (len(theta), out_run.count, m_out, in_run.count, m_in, theta.shape[-1])
        parts.append(theta.reshape(shape))
    if all(part is None for part in parts):
        return jnp.zeros((out_run.count * out_run.size, in_run.count * in_run.size), dtype)
    if has_table(layout, out_run, in_run):
        return _by_table(layout, parts, out_run, in_run)
    return _by_factors(layout, parts, out_run, in_run)


def _by_table(
    layout: Layout, parts: list[Array | None], out_run: Run, in_run: Run
) -> Float[Array, "out in"]:
    """All coefficients of two summands times one table: one product, in few operations."""
    counts = (out_run.count, in_run.count)
    flat = [
        part.transpose(0, 2, 4, 5, 1, 3).reshape(-1, math.prod(counts))
        for part in parts
        if part is not None
    ]
    joined = flat[0] if len(flat) == 1 else jnp.concatenate(flat)
    table = element_table(layout, out_run, in_run).astype(joined.dtype)
    full = jnp.einsum("ef,en->fn", joined, table, precision=HIGHEST)
    full = full.reshape(*counts, out_run.size, in_run.size)
    return full.transpose(0, 2, 1, 3).reshape(counts[0] * out_run.size, counts[1] * in_run.size)


def _by_factors(
    layout: Layout, parts: list[Array | None], out_run: Run, in_run: Run
) -> Float[Array, "out in"]:
    """One basis after the other, for summands whose table would be large."""
    moved, out_columns = [], []
    out_at, in_at = 0, 0
    for index, (batch, part) in enumerate(zip(layout.batches, parts, strict=True)):
        out_width = batch.width(out_run.multiplicities[index])
        in_width = batch.width(in_run.multiplicities[index])
        out_segment = slice(out_at, out_at + out_width)
        in_segment = slice(in_at, in_at + in_width)
        out_at, in_at = out_at + out_width, in_at + in_width
        if part is None:
            continue
        c, y, m_out, x, m_in, s = part.shape
        weight = real_weight(part.reshape(c, y * m_out, x * m_in, s))
        weight = weight.reshape(c, y, m_out * s, x, m_in * s)
        basis = in_run.basis[:, in_segment].reshape(in_run.size, c, batch.quotient, m_in * s)
        half = jnp.einsum(
            "cyoxi,ncqi->cqoyxn", weight, basis.astype(weight.dtype), precision=HIGHEST
        )
        moved.append(half.reshape(c * batch.quotient * m_out * s, -1))
        out_columns.append(out_run.basis[:, out_segment])
    stacked = moved[0] if len(moved) == 1 else jnp.concatenate(moved, axis=0)
    columns = np.concatenate(out_columns, axis=1).astype(stacked.dtype)
    full = jnp.matmul(columns, stacked, precision=HIGHEST)
    shape = (out_run.count * out_run.size, in_run.count * in_run.size)
    full = full.reshape(out_run.size, out_run.count, shape[1])
    return full.transpose(1, 0, 2).reshape(shape)
