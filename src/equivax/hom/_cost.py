"""Which way of applying a commuting map is cheaper, from static shapes alone.

The cost of a training step is counted in multiply-adds of a large product. Changes of basis and
block products of the spectral way are bound by memory: every number of every row costs some forty
multiply-adds beyond the arithmetic. The dense way pays for every entry of the matrix it
synthesises. The constants were fitted to timings on CPU (``benchmarks/linear.py --grid``) and
are a choice of speed, never of result: both ways agree to rounding.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import DTypeLike

from ._layout import Layout, Side

#: Price of carrying one number of a row into or out of spectral coordinates.
CARRY = 45.0
#: Price of one entry of a synthesised matrix, beyond the arithmetic.
ENTRY = 100.0
#: Price of one entry of the weights of a batch of irreps.
WEIGHT = 80.0


def prefers_spectral(layout: Layout, rows: int, dtype: DTypeLike) -> bool:
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
    cost = rows * (_carried(layout.in_side) + _carried(layout.out_side))
    for index, batch in enumerate(layout.batches):
        m_in = sum(run.count * run.multiplicities[index] for run in layout.in_side.runs)
        m_out = sum(run.count * run.multiplicities[index] for run in layout.out_side.runs)
        weights = len(batch.irreps) * batch.algebra**2 * m_in * m_out
        cost += (rows * batch.quotient + WEIGHT) * weights
    return cost


def _carried(side: Side) -> float:
    """Per row: the change of basis, and moving what it gives."""
    return sum(
        run.count * run.basis.shape[1] * (CARRY + (0 if run.is_identity else run.size))
        for run in side.runs
    )


def dense_cost(layout: Layout, rows: int) -> float:
    """Cost of the synthesis and one dense product."""
    entries = layout.out_side.size * layout.in_side.size
    basis_change = sum(run.count * run.basis.size for run in layout.out_side.runs)
    return float((rows + ENTRY) * entries + basis_change * layout.in_side.size)
