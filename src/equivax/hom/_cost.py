"""Which way of applying a commuting map is cheaper, from static shapes alone.

A model of three terms per way: multiply-adds, memory moved, and a fixed price per operation.
Only their ratios matter. They were fitted to timings on CPU (see ``benchmarks/linear.py``) and are
a choice of speed, never of result: both ways agree to rounding.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from ._layout import Layout


def prefers_spectral(layout: Layout, rows: int, dtype: Any) -> bool:
    """Whether the block-wise product is expected to be faster than synthesis and one product.

    Args:
        layout: Plan of the Hom space.
        rows: Number of vectors it is applied to.
        dtype: Of the computation; 16-bit types go dense, where matrix units take them.
    """
    if jnp.dtype(dtype).itemsize < 4:
        return False
    return spectral_cost(layout, rows) < dense_cost(layout, rows)


def spectral_cost(layout: Layout, rows: int) -> float:
    """Cost of `apply_spectral`."""
    work, moved, steps = 0.0, 0.0, 0
    for side in (layout.in_side, layout.out_side):
        for run in side.runs:
            width = run.basis.shape[1] * run.count
            if not run.is_identity:
                work += rows * width * run.size
                steps += 1
            moved += rows * width
            steps += 1
    for batch, m_in, m_out in _multiplicities(layout):
        count = len(batch.irreps) * batch.algebra**2 * m_in * m_out
        work += rows * batch.quotient * count
        moved += count
        steps += 2
    return work + MOVE * moved + STEP * steps


def dense_cost(layout: Layout, rows: int) -> float:
    """Cost of the synthesis and one dense product."""
    out_size, in_size = layout.out_side.size, layout.in_side.size
    work = float(rows * out_size * in_size)
    steps = 2
    for out_run in layout.out_side.runs:
        work += out_run.count * out_run.basis.size * in_size
        steps += 1
        for in_run in layout.in_side.runs:
            for b, batch in enumerate(layout.batches):
                inner = batch.width(in_run.multiplicities[b]) * in_run.size
                outer = out_run.multiplicities[b] * batch.algebra
                work += out_run.count * in_run.count * inner * outer
                steps += 1
    return work + MOVE * out_size * in_size + STEP * steps


def _multiplicities(layout: Layout) -> list[tuple[Any, int, int]]:
    return [
        (
            batch,
            sum(
                r.count * m
                for r, m in zip(layout.in_side.runs, batch.in_multiplicities, strict=True)
            ),
            sum(
                r.count * m
                for r, m in zip(layout.out_side.runs, batch.out_multiplicities, strict=True)
            ),
        )
        for batch in layout.batches
    ]


#: Price of moving one number, in multiply-adds.
MOVE = 40.0
#: Price of one operation, in multiply-adds.
STEP = 2.0e5
