"""Which way of applying commuting maps is cheaper, from static shapes alone.

The cost of a training step is counted in multiply-adds of a large product, one for each of the
three products that the step makes of one. What is not arithmetic has a price for each number that
is moved, synthesised or started; the prices are those of a machine and a width of numbers, and
stand in one table. They are a choice of speed, never of result: all ways agree to rounding.
``benchmarks/linear.py --fit`` prints the row of the device that it runs on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from contextvars import ContextVar

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from .._arguments import choice
from ..representations import Representation
from ._layout import Layout, Side


@dataclasses.dataclass(frozen=True)
class Machine:
    """Prices in multiply-adds.

    Attributes:
        carry: One number of a row into or out of spectral coordinates.
        entry: One entry of a synthesised matrix, beyond the arithmetic.
        weight: One entry of the weights of a batch of irreps.
        number: One number of a row read or written by a product.
        convert: One number of a row between an array and an `IrrepTensor`.
        pointwise: One number of a row in a pointwise function on an array.
        turned: The same on an `IrrepTensor`, with the way to channels and back.
        term: What ``turned`` grows by with every channel of a field that is turned by sums.
        launch: One product, however small.
        terms: Fields of at most so many channels are turned by sums of arrays in pointwise
            functions. A GPU makes one kernel of it, which holds them in registers; a CPU one loop
            for each sum.
        narrow: Likewise between an array and an `IrrepTensor`. A product with a matrix of a few
            columns leaves most of a GPU idle.
        rows: What stands for the number of vectors where it is out of sight.
        spectral: Whether matrices may be applied irrep by irrep.
        irreps: Whether features may stay irrep by irrep.
        apart: Whether products and pointwise functions take the components of an irrep of real
            type one by one. A TPU keeps arrays in tiles of 8 x 128, of which an axis of two
            components fills a quarter, and turns whole blocks over to avoid that. The components
            of other types are joined in products, and best left in blocks.
    """

    carry: float
    entry: float
    weight: float
    number: float = 0.0
    convert: float = math.inf
    pointwise: float = 0.0
    turned: float = math.inf
    term: float = 0.0
    launch: float = 0.0
    terms: int = 4
    narrow: int = 0
    rows: int = 512
    spectral: bool = True
    irreps: bool = False
    apart: bool = False


#: By platform and width of numbers in bytes.
#:
#: - cpu: fitted to timings on two cores of an x86-64 server (``benchmarks/linear.py --grid``).
#:   16-bit numbers go dense, where matrix units take them.
#: - gpu: fitted to training steps measured on an H200 with jax 0.11
#:   (``benchmarks/accelerator.py``: Linear of widths 1,000 and 4,000, 8,192 rows; two layers with
#:   GELU of widths 512 to 1,536, 16,384 rows; groups of order 2 to 24). ``convert`` is estimated,
#:   not measured: a third more than the memory traffic of the kernels that XLA compiles for an
#:   H100, at 3.35 TB/s.
#: - tpu: estimated, not measured: what the compiler of a v5e expects of Linear of D4, width 1,024,
#:   4,096 rows, and of a block 1,280 - 5,120 - 1,280 of D4, 16,384 rows.
MACHINES = {
    ("cpu", 4): Machine(carry=45.0, entry=100.0, weight=80.0),
    ("cpu", 2): Machine(carry=45.0, entry=100.0, weight=80.0, spectral=False),
    ("gpu", 4): Machine(
        carry=1300.0, entry=1000.0, weight=80.0, number=220.0, convert=850.0, pointwise=370.0,
        turned=360.0, term=28.0, launch=1e9, terms=24, narrow=24, rows=8192, irreps=True,
    ),
    ("gpu", 2): Machine(
        carry=3400.0, entry=2000.0, weight=80.0, number=220.0, convert=1000.0, pointwise=370.0,
        turned=430.0, term=67.0, launch=2.5e9, terms=24, narrow=24, rows=8192, irreps=True,
    ),
    ("tpu", 4): Machine(
        carry=6300.0, entry=10000.0, weight=80.0, number=240.0, convert=900.0, pointwise=200.0,
        turned=1650.0, launch=1e8, terms=24, rows=8192, irreps=True, apart=True,
    ),
    ("tpu", 2): Machine(
        carry=7000.0, entry=11000.0, weight=80.0, number=240.0, convert=900.0, pointwise=200.0,
        turned=1650.0, launch=1e8, terms=24, rows=8192, irreps=True, apart=True,
    ),
}  # fmt: skip

_assumed: ContextVar[str | None] = ContextVar("assumed", default=None)


def assume_platform(platform: str) -> contextlib.AbstractContextManager[None]:
    """Choices as on another platform than `jax.default_backend`, for programs compiled for it.

    Args:
        platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``. What is compiled already stays as it is.

    Raises:
        ValueError: If the platform is unknown.
        TypeError: If it is no text.
    """
    known = sorted({name for name, _ in MACHINES})
    return _assuming(choice(platform, "assume_platform", "platform", known))


@contextlib.contextmanager
def _assuming(platform: str) -> Iterator[None]:
    token = _assumed.set(platform)
    try:
        yield
    finally:
        _assumed.reset(token)


def platform() -> str:
    """``"cpu"``, ``"gpu"`` or ``"tpu"``: what runs, or what is assumed to."""
    found = _assumed.get() or jax.default_backend()
    return found if found in ("cpu", "tpu") else "gpu"


def machine(dtype: DTypeLike) -> Machine:
    """The prices of the platform that runs, for a width of numbers."""
    return MACHINES[platform(), 2 if jnp.dtype(dtype).itemsize < 4 else 4]


def cheapest_mode(
    layout: Layout, in_rep: Representation, out_rep: Representation, rows: int, dtype: DTypeLike
) -> str:
    """The mode that is expected to be fastest from an array to an array.

    Args:
        layout: Plan of the Hom space.
        in_rep: Type of the input.
        out_rep: Type of the output.
        rows: Number of vectors it is applied to.
        dtype: Of the computation.
    """
    prices = machine(dtype)
    costs = {"dense": dense_cost(layout, rows, prices)}
    if prices.spectral:
        costs["spectral"] = spectral_cost(layout, rows, prices)
    if prices.irreps:
        ends = (conversion_cost(rep, rows, prices) for rep in (in_rep, out_rep))
        costs["irreps"] = irrep_wise_cost(layout, rows, prices) + sum(ends)
    return min(costs, key=costs.__getitem__)


def spectral_cost(layout: Layout, rows: int, prices: Machine) -> float:
    """Cost of `apply_spectral`."""
    carried = _carried(layout.in_side, prices) + _carried(layout.out_side, prices)
    cost = rows * carried + len(layout.batches) * prices.launch
    for index, batch in enumerate(layout.batches):
        m_in, m_out = _copies(layout.in_side, index), _copies(layout.out_side, index)
        weights = len(batch.irreps) * batch.algebra**2 * m_in * m_out
        cost += (rows * batch.quotient + prices.weight) * weights
    return cost


def dense_cost(layout: Layout, rows: int, prices: Machine) -> float:
    """Cost of the synthesis and one dense product."""
    out, into = layout.out_side.size, layout.in_side.size
    basis_change = sum(run.count * run.basis.size for run in layout.out_side.runs)
    moved = rows * prices.number * (out + into)
    synthesis = prices.entry * out * into + basis_change * into
    return float(max(rows * out * into, moved) + synthesis + prices.launch)


def irrep_wise_cost(layout: Layout, rows: int, prices: Machine) -> float:
    """Cost of a map from an `IrrepTensor` to another: products alone."""
    cost = 0.0
    for index, batch in enumerate(layout.batches):
        m_in, m_out = _copies(layout.in_side, index), _copies(layout.out_side, index)
        sides, q = batch.algebra * (m_in + m_out), batch.quotient
        weights = batch.algebra**2 * m_in * m_out
        own = max(rows * q * weights, rows * q * sides * prices.number)
        cost += len(batch.irreps) * (own + prices.weight * weights + prices.launch)
    return cost


def conversion_cost(rep: Representation, rows: int, prices: Machine) -> float:
    """Cost of an `IrrepTensor` made of an array, or the way back."""
    return rows * rep.size * prices.convert + prices.launch


def _copies(side: Side, index: int) -> int:
    return sum(run.count * run.multiplicities[index] for run in side.runs)


def _carried(side: Side, prices: Machine) -> float:
    """Per row: the change of basis, and moving what it gives."""
    return sum(
        run.count * run.basis.shape[1] * (prices.carry + (0 if run.is_identity else run.size))
        for run in side.runs
    )
