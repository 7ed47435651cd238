"""The elements of a basis one by one: their order, what is known of them, their names."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
from jaxtyping import Float

from ..representations import Representation
from ..spaces import GSpace
from ._irrep_kernels import IrrepKernels, irrep_kernels
from ._parts import Recipe


@dataclasses.dataclass(frozen=True, eq=False)
class Elements:
    """What is known of every element of a basis: read-only arrays of one length.

    Attributes:
        in_index: Position of the input irrep in ``in_rep.irreps``.
        out_index: Position of the output irrep in ``out_rep.irreps``.
        in_type: Number of the input irrep's id among the keys of ``in_rep.multiplicities``.
        out_type: Likewise of the output.
        part: Number of the part, see `SteerableBasis.parts`.
        index: Number of the solution among those of one part and pair of irreps.
        row: Row among the kernels of the pair of irrep ids.
        radius: Of the ring or orbit; NaN where there is none.
        frequency: Angular frequency; -1 in a grid basis.
    """

    in_index: np.ndarray
    out_index: np.ndarray
    in_type: np.ndarray
    out_type: np.ndarray
    part: np.ndarray
    index: np.ndarray
    row: np.ndarray
    radius: Float[np.ndarray, " dim"]
    frequency: np.ndarray

    def __len__(self) -> int:
        return len(self.part)

    def take(self, chosen: np.ndarray) -> Elements:
        """Some of the elements, in the order given."""
        return Elements(*(_frozen(getattr(self, f.name)[chosen]) for f in dataclasses.fields(self)))


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


@dataclasses.dataclass(frozen=True, eq=False)
class Solved:
    """The kernels between the irreps of a pair of representations.

    Attributes:
        space: What is acted on.
        in_rep: Of the input.
        out_rep: Of the output.
        recipe: Which functions on the taps.
    """

    space: GSpace
    in_rep: Representation
    out_rep: Representation
    recipe: Recipe

    @functools.cached_property
    def irrep_types(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Distinct irrep ids of the input and of the output."""
        return tuple(self.in_rep.multiplicities), tuple(self.out_rep.multiplicities)

    @functools.cached_property
    def kernels(self) -> dict[tuple[int, int], IrrepKernels]:
        """By numbers of input and output irrep in `irrep_types`, those that are not empty."""
        in_ids, out_ids = self.irrep_types
        found = {
            (i, o): irrep_kernels(self.space, self.recipe, in_irrep, out_irrep)
            for i, in_irrep in enumerate(in_ids)
            for o, out_irrep in enumerate(out_ids)
        }
        return {pair: values for pair, values in found.items() if len(values)}


def enumerate_elements(solved: Solved) -> Elements:
    """Every element: by ring, input irrep, output irrep, frequency, part, solution."""
    positions = [
        [np.flatnonzero([i == irrep for i in rep.irreps]) for irrep in ids]
        for rep, ids in zip((solved.in_rep, solved.out_rep), solved.irrep_types, strict=True)
    ]
    pieces = [np.zeros((7, 0), dtype=np.int64)]
    for (i, o), values in solved.kernels.items():
        rows = np.arange(len(values))
        grid = np.meshgrid(positions[0][i], positions[1][o], rows, indexing="ij")
        at_in, at_out, row = (g.ravel() for g in grid)
        same = np.ones_like(row)
        pieces.append(
            np.stack([at_in, at_out, i * same, o * same, values.part[row], values.index[row], row])
        )
    at_in, at_out, in_type, out_type, part, index, row = np.concatenate(pieces, axis=1)
    parts = solved.recipe.parts(solved.space)
    ring = np.array([p.ring for p in parts])[part]
    radius = np.array([np.nan if p.radius is None else p.radius for p in parts])[part]
    frequency = np.array([-1 if p.frequency is None else p.frequency for p in parts])[part]
    order = np.lexsort((index, part, frequency, at_out, at_in, ring))
    found = Elements(at_in, at_out, in_type, out_type, part, index, row, radius, frequency)
    return found.take(order)


def attributes(solved: Solved, data: Elements) -> list[dict[str, Any]]:
    """What is known of each element as a dict, see `SteerableBasis.attributes`."""
    ids, parts = solved.irrep_types, solved.recipe.parts(solved.space)

    @functools.cache
    def offset(i: int, o: int, p: int) -> int | None:
        return solved.recipe.offset(solved.space, parts[p], ids[0][i], ids[1][o])

    return [
        {
            "in_irrep": ids[0][i],
            "out_irrep": ids[1][o],
            "in_index": at_in,
            "out_index": at_out,
            "radius": parts[p].radius,
            "sigma": parts[p].sigma,
            "frequency": parts[p].frequency,
            "offset": offset(i, o, p),
            "order": parts[p].order,
            "part": p,
            "index": k,
        }
        for i, at_in, o, at_out, p, k in _rows(data)
    ]


def names(solved: Solved, data: Elements) -> tuple[str, ...]:
    """Readable names such as ``(irrep(1)[3] -> irrep(0)[0]) r=1 f=2 #0``."""
    group, parts = solved.space.group, solved.recipe.parts(solved.space)
    called = [[group.irrep_data(irrep).name for irrep in side] for side in solved.irrep_types]
    labels = [part.label for part in parts]
    return tuple(
        f"({called[0][i]}[{at_in}] -> {called[1][o]}[{at_out}]) {labels[p]} #{k}"
        for i, at_in, o, at_out, p, k in _rows(data)
    )


def _rows(data: Elements) -> list[tuple[int, ...]]:
    columns = (data.in_type, data.in_index, data.out_type, data.out_index, data.part, data.index)
    return list(zip(*(c.tolist() for c in columns), strict=True))
