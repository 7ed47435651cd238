"""Tables of sampled elements on the host: dense, or as factors with the changes of basis apart."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from jaxtyping import Float

from ._elements import Elements


def patterns(
    data: Elements, in_type: int, out_type: int, count: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Which elements are present between copies of two irreps.

    Args:
        data: The elements of a basis.
        in_type: Number of the input irrep.
        out_type: Number of the output irrep.
        count: Rows of their block.

    Returns:
        Pairs ``(kept, copies)``: a boolean per row of the block, and the ``(in_index, out_index)``
        of the copies ``(c, 2)`` where exactly these rows are present.
    """
    chosen = (data.in_type == in_type) & (data.out_type == out_type)
    pairs = np.stack([data.in_index[chosen], data.out_index[chosen]], axis=1)
    if not len(pairs):
        return []
    copies, inverse = np.unique(pairs, axis=0, return_inverse=True)
    flags = np.zeros((len(copies), count), dtype=bool)
    flags[inverse.reshape(-1), data.row[chosen]] = True
    if flags.all():  # the usual case, without a filter
        return [(flags[0], copies)]
    kinds, which = np.unique(flags, axis=0, return_inverse=True)
    return [(kept, copies[which.reshape(-1) == n]) for n, kept in enumerate(kinds)]


def _tables(basis: Any, dual: bool) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Per pattern: samples ``(n, d_out, d_in, taps)``, copies ``(c, 2)``, rows ``(n,)``."""
    found = []
    for (i, o), values in basis.solved.blocks.items():
        for kept, copies in patterns(basis.data, i, o, len(values)):
            table = values.duals(kept) if dual else values.samples
            found.append((table[kept], copies, np.flatnonzero(kept)))
    return found


def dense(basis: Any, dual: bool = False) -> Float[np.ndarray, "dim out in taps"]:
    """All elements of a basis on the raveled taps, or the kernels dual to them."""
    data = basis.data
    width = 1 + int(data.row.max(initial=0))
    shape = (len(basis.in_rep.irreps), len(basis.out_rep.irreps), width)
    where = np.zeros(shape, dtype=np.int64)
    where[data.in_index, data.out_index, data.row] = np.arange(len(data))
    result = np.zeros((len(data), basis.out_rep.size, basis.in_rep.size, basis.taps))
    columns_in, columns_out = _columns(basis.in_rep), _columns(basis.out_rep)
    for table, copies, rows in _tables(basis, dual):
        q_in = np.stack([columns_in[i] for i in copies[:, 0]])
        q_out = np.stack([columns_out[o] for o in copies[:, 1]])
        half = np.einsum("cxa,nabt->cnxbt", q_out, table, optimize=True)
        full = np.einsum("cnxbt,cyb->cnxyt", half, q_in, optimize=True)
        result[where[copies[:, :1], copies[:, 1:], rows]] = full
    return result


def _columns(rep: Any) -> list[np.ndarray]:
    """Columns of the change of basis, ``(size, d)`` per irrep."""
    sizes = [rep.group.irrep_data(irrep).size for irrep in rep.irreps]
    return np.split(rep.change_of_basis, np.cumsum(sizes)[:-1], axis=1)


@functools.lru_cache(maxsize=512)
def slots_of(basis: Any) -> np.ndarray:
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
    counts = (len(basis.out_rep.irreps), len(basis.in_rep.irreps))
    sizes = [_largest(basis.out_rep), _largest(basis.in_rep)]
    places = int(_places(basis).max()) + 1
    small = np.zeros((*counts, places, *sizes, basis.taps))
    for table, copies, _ in _tables(basis, dual):
        n, a, b, _ = table.shape
        small[copies[:, 1], copies[:, 0], :n, :a, :b] = table
    return small, _padded(basis.out_rep, sizes[0]), _padded(basis.in_rep, sizes[1])


def _largest(rep: Any) -> int:
    return max(rep.group.irrep_data(irrep).size for irrep in rep.multiplicities)


def _padded(rep: Any, size: int) -> np.ndarray:
    """The change of basis with every irrep padded to ``size`` columns."""
    padded = np.zeros((rep.size, len(rep.irreps), size))
    for position, columns in enumerate(_columns(rep)):
        padded[:, position, : columns.shape[1]] = columns
    return padded.reshape(rep.size, -1)
