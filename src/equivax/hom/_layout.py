"""Host-side plan of a Hom space: which irreps meet, and where their coordinates lie.

Summands that are equal are brought next to each other, so that a change of basis is one small
matrix applied to many rows. Within a summand the columns of ``Q`` are ordered so that the
coordinates of a *batch* of irreps (equal size, type and multiplicities everywhere) are one
contiguous segment ``(irrep, q, copy, s)``: an irrep of size ``d`` over an algebra of dimension
``S`` splits as ``d = q S``, and in that basis every endomorphism acts on the last factor by the
multiplication table of R, C or H.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
from jaxtyping import Float

from .._numerics import freeze
from ..groups import Group, IrrepId
from ..representations import Representation, Summand
from ._coefficients import Stacking

MULTIPLICATION: dict[int, np.ndarray] = {
    1: np.ones((1, 1, 1)),
    2: np.array([[[1, 0], [0, 1]], [[0, -1], [1, 0]]], dtype=np.float64),
    4: np.array(
        [
            [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
            [[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0]],
            [[0, 0, -1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, -1, 0, 0]],
            [[0, 0, 0, -1], [0, 0, -1, 0], [0, 1, 0, 0], [1, 0, 0, 0]],
        ],
        dtype=np.float64,
    ),
}
"""Multiplication of 1, i, j, k from the left: ``MULTIPLICATION[S][s]`` is that of the s-th unit."""


@functools.cache
def algebra_basis(group: Group, irrep: IrrepId) -> Float[np.ndarray, "d d"]:
    """Orthogonal ``U`` whose columns are ``Psi_s v_q``: there ``Psi_s = I_q (x) MULTIPLICATION``.

    Args:
        group: The group.
        irrep: Id of the irrep.

    Returns:
        Columns ordered ``(q, s)``; the identity for irreps of real type.

    Raises:
        AssertionError: If the stored endomorphisms do not multiply as R, C or H (a bug).
    """
    psi = group.irrep_data(irrep).endomorphism_basis
    size, algebra = psi.shape[1], len(psi)
    columns = np.zeros((size, 0))
    for candidate in np.eye(size):
        rest = candidate - columns @ (columns.T @ candidate)
        if np.linalg.norm(rest) > 0.5 and columns.shape[1] < size:
            start = rest / np.linalg.norm(rest)
            columns = np.concatenate([columns, (psi @ start).T], axis=1)
    while columns.shape[1] < size:  # no unit vector was far enough from the span
        residual = np.eye(size) - columns @ columns.T
        start = residual[:, int(np.argmax(np.linalg.norm(residual, axis=0)))]
        columns = np.concatenate([columns, (psi @ (start / np.linalg.norm(start))).T], axis=1)
    expected = np.kron(np.eye(size // algebra)[None], MULTIPLICATION[algebra])
    error = np.abs(columns.T @ psi @ columns - expected).max()
    assert error < 1e-9, f"endomorphisms of {irrep} of {group.name} miss their algebra by {error}"
    return freeze(columns)


@dataclasses.dataclass(frozen=True)
class Batch:
    """Irreps that go through one batched product: equal shape, equal multiplicities everywhere.

    Attributes:
        irreps: Ids, in the group's order.
        names: Their parameter names.
        quotient: ``q = d / S``.
        algebra: ``S``, the dimension of the endomorphism algebra.
        in_multiplicities: Copies of each irrep in one summand of each distinct input summand.
        out_multiplicities: The same for the output.
    """

    irreps: tuple[IrrepId, ...]
    names: tuple[str, ...]
    quotient: int
    algebra: int
    in_multiplicities: tuple[int, ...]
    out_multiplicities: tuple[int, ...]

    def width(self, multiplicity: int) -> int:
        """Coordinates of this batch in one summand with that many copies of each irrep."""
        return len(self.irreps) * self.quotient * multiplicity * self.algebra


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """Equal summands of one side, adjacent after the gather.

    Attributes:
        count: Number of summands.
        size: Channels of one summand.
        start: First channel of the run after the gather.
        multiplicities: Per batch, copies of each irrep in one summand.
        basis: ``(size, used)`` columns of ``Q``, segments in the order of the batches.
        is_identity: Whether ``basis`` is exactly the identity matrix.
    """

    count: int
    size: int
    start: int
    multiplicities: tuple[int, ...]
    basis: Float[np.ndarray, "size used"]
    is_identity: bool

    @property
    def stop(self) -> int:
        """One past the last channel of the run."""
        return self.start + self.count * self.size


@dataclasses.dataclass(frozen=True, eq=False)
class Side:
    """One side (input or output) of a Hom space.

    Attributes:
        size: Channels.
        runs: Distinct summands.
        gather: Channel order that makes equal summands adjacent, or None if they are.
        scatter: Its inverse, or None.
        copy_orders: Per batch, the position in the parameter array of each copy in layout order,
            or None where the two orders agree.
    """

    size: int
    runs: tuple[Run, ...]
    gather: np.ndarray | None
    scatter: np.ndarray | None
    copy_orders: tuple[np.ndarray | None, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """The whole plan: batches and both sides.

    Attributes:
        batches: Irreps that go through one product.
        in_side: The input.
        out_side: The output.
        stacks: The numbers of the batches whose coefficients are one array.
        stacking: The names of their irreps.
    """

    batches: tuple[Batch, ...]
    in_side: Side
    out_side: Side
    stacks: tuple[tuple[int, ...], ...]
    stacking: Stacking


def build_layout(in_rep: Representation, out_rep: Representation) -> Layout:
    """Plans the Hom space between two representations of one group."""
    group = in_rep.group
    in_distinct = tuple(dict.fromkeys(summand for summand, _ in in_rep.data))
    out_distinct = tuple(dict.fromkeys(summand for summand, _ in out_rep.data))
    grouped: dict[Any, list[Any]] = {}
    out_ids = out_rep.multiplicities
    for irrep in in_rep.multiplicities:
        if irrep in out_ids:
            data = group.irrep_data(irrep)
            key = (
                data.size // data.endomorphism_dimension,
                data.endomorphism_dimension,
                tuple(s.irreps.count(irrep) for s in in_distinct),
                tuple(s.irreps.count(irrep) for s in out_distinct),
            )
            grouped.setdefault(key, []).append(irrep)
    batches = tuple(
        Batch(tuple(ids), tuple(group.irrep_data(i).name for i in ids), *key)
        for key, ids in grouped.items()
    )
    in_side = _build_side(in_rep, in_distinct, batches, [b.in_multiplicities for b in batches])
    out_side = _build_side(out_rep, out_distinct, batches, [b.out_multiplicities for b in batches])
    stacks: dict[tuple[int, int, int], list[int]] = {}
    for number, batch in enumerate(batches):
        first = batch.irreps[0]
        shape = (out_ids[first], in_rep.multiplicities[first], batch.algebra)
        stacks.setdefault(shape, []).append(number)
    members = tuple(map(tuple, stacks.values()))
    stacking = Stacking(
        tuple(tuple(n for i in numbers for n in batches[i].names) for numbers in members),
        tuple(group.irrep_data(i).name for i in in_rep.multiplicities if i in out_ids),
    )
    return Layout(batches, in_side, out_side, members, stacking)


def _build_side(
    rep: Representation,
    distinct: tuple[Summand, ...],
    batches: tuple[Batch, ...],
    multiplicities: list[tuple[int, ...]],
) -> Side:
    # One entry per original run: which distinct summand, how many, first channel.
    kinds = np.array([distinct.index(summand) for summand, _ in rep.data])
    counts = np.array([count for _, count in rep.data])
    sizes = np.array([summand.size for summand in distinct])
    starts = np.concatenate([[0], np.cumsum(counts * sizes[kinds])])
    runs, channels, start = [], [], 0
    for kind, summand in enumerate(distinct):
        columns = _run_columns(rep.group, summand, batches)
        basis = freeze(np.concatenate([np.zeros((summand.size, 0)), *columns], axis=1))
        count = int(counts[kinds == kind].sum())
        runs.append(
            Run(
                count=count,
                size=summand.size,
                start=start,
                multiplicities=tuple(m[kind] for m in multiplicities),
                basis=basis,
                is_identity=np.array_equal(basis, np.eye(summand.size)),
            )
        )
        start += count * summand.size
        for original in np.flatnonzero(kinds == kind):
            channels.append(np.arange(starts[original], starts[original + 1]))
    # int32: an int64 index that JAX meets under both settings of x64 in one process is an error.
    gather = np.concatenate(channels).astype(np.int32)
    if len(rep.data) == len(distinct):  # every distinct summand is one run, already in order
        return Side(rep.size, tuple(runs), None, None, (None,) * len(batches))
    orders = tuple(_copy_order(kinds, counts, np.array(m)) for m in multiplicities)
    return Side(rep.size, tuple(runs), gather, np.argsort(gather).astype(np.int32), orders)


def _run_columns(group: Group, summand: Summand, batches: tuple[Batch, ...]) -> list[np.ndarray]:
    """Columns of ``Q`` per batch, ordered ``(irrep, q, copy, s)``."""
    pieces = []
    for batch in batches:
        for irrep in batch.irreps:
            copies = summand.columns_of(irrep)  # (m, d)
            if not len(copies):
                continue
            basis = algebra_basis(group, irrep)
            moved = summand.change_of_basis[:, copies] @ basis  # (n, m, d)
            split = moved.reshape(summand.size, len(copies), batch.quotient, batch.algebra)
            pieces.append(split.transpose(0, 2, 1, 3).reshape(summand.size, -1))
    return pieces


#: Entries of a table of elements. A regular representation of order 32 has as many.
LARGEST_TABLE = 1 << 15


def has_table(layout: Layout, out_run: Run, in_run: Run) -> bool:
    """Whether all elements between two summands are written out, from numbers on the host alone.

    The product with a table takes one multiply-add per entry and pair of summands, that with
    factors about as many for each used column of the change of basis, in several operations.
    """
    elements = sum(
        len(batch.irreps) * m_out * m_in * batch.algebra
        for batch, m_out, m_in in zip(
            layout.batches, out_run.multiplicities, in_run.multiplicities, strict=True
        )
    )
    columns = max(out_run.basis.shape[1], in_run.basis.shape[1])
    return elements <= 2 * columns and elements * out_run.size * in_run.size <= LARGEST_TABLE


@functools.lru_cache(maxsize=1024)
def element_table(
    layout: Layout, out_run: Run, in_run: Run
) -> Float[np.ndarray, "elements entries"]:
    """The elements of the basis between two summands, ``(batch, irrep, m_out, m_in, s)``."""
    found, out_at, in_at = [], 0, 0
    sizes = (out_run.size, in_run.size)
    for index, batch in enumerate(layout.batches):
        m_out, m_in = out_run.multiplicities[index], in_run.multiplicities[index]
        out_width, in_width = batch.width(m_out), batch.width(m_in)
        c, q, s = len(batch.irreps), batch.quotient, batch.algebra
        left = out_run.basis[:, out_at : out_at + out_width].reshape(sizes[0], c, q, m_out, s)
        right = in_run.basis[:, in_at : in_at + in_width].reshape(sizes[1], c, q, m_in, s)
        out_at, in_at = out_at + out_width, in_at + in_width
        units = MULTIPLICATION[s]
        elements = np.einsum("xcqop,spt,ycqit->coisxy", left, units, right, optimize=True)
        found.append(elements.reshape(-1, sizes[0] * sizes[1]))
    return freeze(np.concatenate(found))


def _copy_order(
    kinds: np.ndarray, counts: np.ndarray, multiplicity: np.ndarray
) -> np.ndarray | None:
    """Position in parameter order of each copy in layout order (grouped by distinct summand)."""
    copies = counts * multiplicity[kinds]
    starts = np.concatenate([[0], np.cumsum(copies)[:-1]])
    order = np.concatenate(
        [
            np.arange(starts[i], starts[i] + copies[i])
            for kind in range(len(multiplicity))
            for i in np.flatnonzero(kinds == kind)
        ]
    )
    return None if np.array_equal(order, np.arange(len(order))) else order.astype(np.int32)
