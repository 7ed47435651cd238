"""Tables of the elements on the host: on the taps, or on the functions of each ring."""

from __future__ import annotations

import functools
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
