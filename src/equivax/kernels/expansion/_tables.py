"""Tables of the elements on the host: on the taps, on functions of each ring, between irreps."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from ...representations import Representation
from ...spaces import GSpace
from .._elements import Elements, Solved
from .._parts import Part, Recipe, ring_layout


@runtime_checkable
class Expandable(Protocol):
    """What is asked of a basis that is expanded; hashable by value. `SteerableBasis` is one."""

    @property
    def space(self) -> GSpace:
        """What is acted on."""
        ...

    @property
    def in_rep(self) -> Representation:
        """Of the input."""
        ...

    @property
    def out_rep(self) -> Representation:
        """Of the output."""
        ...

    @property
    def recipe(self) -> Recipe:
        """Which functions on the taps."""
        ...

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts, ordered by ring."""
        ...

    @property
    def taps(self) -> int:
        """Number of taps."""
        ...

    @property
    def dim(self) -> int:
        """Number of elements."""
        ...

    @functools.cached_property
    def solved(self) -> Solved:
        """The kernels between irreps."""
        ...

    @functools.cached_property
    def data(self) -> Elements:
        """Which of them are elements."""
        ...


def patterns(
    data: Elements, in_type: int, out_type: int, count: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Which elements are present between copies of two irreps.

    Args:
        data: The elements of a basis.
        in_type: Number of the input irrep.
        out_type: Number of the output irrep.
        count: Rows of their kernels.

    Returns:
        Pairs ``(kept, copies)``: a boolean per row, and the ``(in_index, out_index)``
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


def dense(basis: Expandable) -> Float[np.ndarray, "dim out in taps"]:
    """All elements of a basis on the raveled taps."""
    return _conjugated(basis, "samples", basis.taps)


def angular(basis: Expandable) -> list[Float[np.ndarray, "n out in functions"]]:
    """Per ring, the coefficients of its elements on the ring's functions.

    With the samples of these functions the elements are ``angular . samples``: the same numbers as
    `dense` in much less room, since a ring has fewer functions than the kernel has taps.
    """
    layout = ring_layout(basis.parts)
    wide = _conjugated(basis, "angular", max(layout.widths))
    pieces = np.split(wide, np.cumsum(ring_counts(basis))[:-1])
    return [piece[..., :width] for piece, width in zip(pieces, layout.widths, strict=True)]


@dataclasses.dataclass(frozen=True, eq=False)
class Alike:
    """Irreps of a representation that are equally large and occur equally often.

    Attributes:
        types: Their numbers among the keys of ``rep.multiplicities``.
        copies: Where they stand in ``rep.irreps``, ``(types, copies)``.
        size: Of each.
    """

    types: tuple[int, ...]
    copies: np.ndarray
    size: int


@functools.lru_cache(maxsize=1024)
def alike(rep: Representation) -> tuple[Alike, ...]:
    """The irreps of a representation by size and multiplicity."""
    found: dict[tuple[int, int], list[tuple[int, np.ndarray]]] = {}
    for number, (irrep, count) in enumerate(rep.multiplicities.items()):
        where = np.flatnonzero([other == irrep for other in rep.irreps])
        key = (rep.group.irrep_data(irrep).size, count)
        found.setdefault(key, []).append((number, where))
    return tuple(
        Alike(tuple(n for n, _ in entries), np.stack([w for _, w in entries]), size)
        for (size, _), entries in found.items()
    )


def coordinates(rep: Representation) -> Float[np.ndarray, "size size"] | None:
    """Columns of the change of basis in the order of `alike`; None for the identity."""
    columns = _columns(rep)
    matrix = np.concatenate(
        [columns[n] for some in alike(rep) for n in some.copies.reshape(-1)], axis=1
    )
    return None if np.array_equal(matrix, np.eye(rep.size)) else matrix


def coefficient_places(basis: Expandable) -> list[np.ndarray]:
    """Which coefficient belongs to copies of irreps and a row of their kernels.

    Returns:
        Per output and input entry of `alike` ``(types out, types in, copies out, copies in,
        rows)``. Numbers from ``basis.dim`` on, each once, where no element is.
    """
    data, rows, found = basis.data, _rows(basis), []
    where = np.full((len(basis.in_rep.irreps), len(basis.out_rep.irreps), max(rows)), -1)
    where[data.in_index, data.out_index, data.row] = np.arange(len(data))
    free, counts = basis.dim, iter(rows)
    for outs in alike(basis.out_rep):
        for ins in alike(basis.in_rep):
            places = where[
                ins.copies[None, :, None, :], outs.copies[:, None, :, None], : next(counts)
            ].astype(np.int32)
            empty = places < 0
            places[empty] = np.arange(free, free + empty.sum())
            free += int(empty.sum())
            found.append(places)
    return found


def between_irreps(basis: Expandable) -> list[Float[np.ndarray, "outs ins rows numbers"]]:
    """The kernels between irreps on the functions of all rings, as `coefficient_places`.

    The last axis is ``(size out, size in, functions)``. Padded with zeros where irreps have fewer
    kernels than others; copies share them, so they take much less room than the elements.
    """
    layout, found, counts = ring_layout(basis.parts), [], iter(_rows(basis))
    starts, width = np.cumsum([0, *layout.widths]), sum(layout.widths)
    for outs in alike(basis.out_rep):
        for ins in alike(basis.in_rep):
            shape = (len(outs.types), len(ins.types), next(counts), outs.size, ins.size, width)
            table = np.zeros(shape)
            for a, o in enumerate(outs.types):
                for b, i in enumerate(ins.types):
                    values = basis.solved.kernels.get((i, o))
                    if values is None:
                        continue
                    for row, part in enumerate(values.part):
                        ring = layout.ring[part]
                        size = layout.widths[ring]
                        table[a, b, row, :, :, starts[ring] : starts[ring] + size] = values.angular[
                            row, :, :, :size
                        ]
            found.append(table.reshape(*shape[:3], math.prod(shape[3:])))
    return found


def _rows(basis: Expandable) -> list[int]:
    """Most kernels between two irreps, per output and input entry of `alike`."""
    kernels = basis.solved.kernels
    return [
        max(len(kernels.get((i, o), ())) for o in outs.types for i in ins.types)
        for outs in alike(basis.out_rep)
        for ins in alike(basis.in_rep)
    ]


def irrep_entries(basis: Expandable) -> tuple[int, int]:
    """Entries of the tables `between_irreps`, and multiply-adds with them for one pair of fields.

    The changes of basis that follow are among the latter.
    """
    sides, width = (basis.out_rep, basis.in_rep), sum(ring_layout(basis.parts).widths)
    pairs = [(outs, ins) for outs in alike(sides[0]) for ins in alike(sides[1])]
    entries = work = 0
    for (outs, ins), rows in zip(pairs, _rows(basis), strict=True):
        size = len(outs.types) * len(ins.types) * rows * outs.size * ins.size * width
        entries += size
        work += size * outs.copies.shape[1] * ins.copies.shape[1]
    turns = sum(0 if coordinates(rep) is None else rep.size for rep in sides)
    return entries, work + turns * sides[0].size * sides[1].size * width


def ring_counts(basis: Expandable) -> tuple[int, ...]:
    """Elements per ring; they come ring after ring."""
    layout = ring_layout(basis.parts)
    counts = np.bincount(layout.ring[basis.data.part], minlength=len(layout.widths))
    return tuple(counts.tolist())


def samples(parts: tuple[Part, ...]) -> Float[np.ndarray, "functions taps"]:
    """The functions of all parts on the taps, ring after ring."""
    return np.concatenate([part.samples for part in parts])


def inverse_gram(basis: Expandable) -> Float[np.ndarray, "dim dim"]:
    """Takes inner products with the elements to the coefficients of the projection."""
    result, where = np.zeros((basis.dim, basis.dim)), _where(basis)
    for (i, o), values in basis.solved.kernels.items():
        for kept, copies in patterns(basis.data, i, o, len(values)):
            slots = where[copies[:, :1], copies[:, 1:], np.flatnonzero(kept)]
            result[slots[:, :, None], slots[:, None, :]] = values.inverse_gram(kept)
    return result


def _where(basis: Expandable) -> np.ndarray:
    """Position of the element at (input copy, output copy, row)."""
    data = basis.data
    width = 1 + int(data.row.max(initial=0))
    where = np.zeros((len(basis.in_rep.irreps), len(basis.out_rep.irreps), width), dtype=np.int64)
    where[data.in_index, data.out_index, data.row] = np.arange(len(data))
    return where


def _conjugated(
    basis: Expandable, what: Literal["samples", "angular"], width: int
) -> Float[np.ndarray, "dim out in width"]:
    """A table of the kernels between irreps, brought to the bases of the representations."""
    result = np.zeros((basis.dim, basis.out_rep.size, basis.in_rep.size, width))
    where = _where(basis)
    columns_in, columns_out = _columns(basis.in_rep), _columns(basis.out_rep)
    for (i, o), values in basis.solved.kernels.items():
        for kept, copies in patterns(basis.data, i, o, len(values)):
            q_in = np.stack([columns_in[n] for n in copies[:, 0]])
            q_out = np.stack([columns_out[n] for n in copies[:, 1]])
            table = getattr(values, what)[kept]
            half = np.einsum("cxa,nabt->cnxbt", q_out, table, optimize=True)
            full = np.einsum("cnxbt,cyb->cnxyt", half, q_in, optimize=True)
            result[where[copies[:, :1], copies[:, 1:], np.flatnonzero(kept)]] = full
    return result


def _columns(rep: Representation) -> list[np.ndarray]:
    """Columns of the change of basis, ``(size, d)`` per irrep."""
    sizes = [rep.group.irrep_data(irrep).size for irrep in rep.irreps]
    return np.split(rep.change_of_basis, np.cumsum(sizes)[:-1], axis=1)
