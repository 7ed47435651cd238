"""`SymmetryReport`: what is found out about every subgroup of a group, as rows and as a table."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from .._arguments import integer
from ..groups import Subgroup

LONGEST = 12
"""Characters of an element in the name of a subgroup; matrices are named by their number."""


@dataclasses.dataclass(frozen=True)
class SymmetryRow:
    """One subgroup.

    Attributes:
        subgroup: The subgroup; of several conjugate ones that with which the numbers agree best.
        share: Of the squared norm, how much commutes with it: 1 if all does.
        baseline: The share that random numbers of that shape have.
        p_value: Of the hypothesis that the data have this symmetry; None where nothing is tested.
        error: Squared error of the best map with this symmetry by cross-validation, where 1 is that
            of the mean; None where no map is fitted.
    """

    subgroup: Subgroup
    share: float | int
    baseline: float | int
    p_value: float | int | None = None
    error: float | int | None = None

    @property
    def label(self) -> str:
        """The group and its generators in the parent: ``D1 (1, 0)``."""
        inner, parent = self.subgroup.group, self.subgroup.parent
        if inner.order is None:
            return inner.name
        if inner.order == parent.order:
            return parent.name
        generators = [self.subgroup.embedding(g) for g in inner.generators]
        names = [str(g)[len(parent.name) + 1 : -1] for g in generators]
        if any(len(name) > LONGEST for name in names) and parent.order is not None:
            names = [f"#{g.index}" for g in generators]
        return " ".join([inner.name, ", ".join(names)]).strip()

    @property
    def order(self) -> float | int:
        """Number of elements, infinite for a Lie group."""
        return math.inf if self.subgroup.group.order is None else self.subgroup.group.order


@dataclasses.dataclass(frozen=True)
class SymmetryReport:
    """What was found, subgroup by subgroup; prints as a table.

    Attributes:
        rows: One row per subgroup, smaller ones first.
        parts: The same rows for parts of what was looked at: layers, or mean and covariance.
        level: Of the tests, or None where nothing is tested.
        free_error: As the ``error`` of a row, of the best map without any symmetry.
    """

    rows: tuple[SymmetryRow, ...]
    parts: Mapping[str, tuple[SymmetryRow, ...]] = dataclasses.field(default_factory=dict)
    level: float | int | None = None
    free_error: float | int | None = None

    @property
    def largest(self) -> Subgroup | None:
        """The largest subgroup that the data do not contradict; None where nothing is tested."""
        if self.level is None:
            return None
        kept = [row for row in self.rows if row.p_value is not None and row.p_value > self.level]
        return max(kept, key=lambda row: (row.order, row.p_value)).subgroup if kept else None

    def table(self, width: int = 100) -> str:
        """The rows as text, with the shares of as many parts as fit; a star marks `largest`.

        Args:
            width: Characters per line.
        """
        width = integer(width, "table", "width", 40)
        header = ["subgroup", "order", "share", "baseline"]
        if self.level is not None:
            header.append("p")
        if self.free_error is not None:
            header.append("error")
        lines = [[*header, *self.parts]]
        for number, row in enumerate(self.rows):
            order = "" if math.isinf(row.order) else str(row.order)
            cells = [row.label, order, f"{row.share:.3f}", f"{row.baseline:.3f}"]
            if row.p_value is not None:
                cells.append(f"{row.p_value:.3f}" + "*" * (row.subgroup == self.largest))
            if row.error is not None:
                cells.append(f"{row.error:.4f}")
            lines.append([*cells, *(f"{part[number].share:.3f}" for part in self.parts.values())])
        if self.free_error is not None:
            last = ["no symmetry"] + [""] * (len(lines[0]) - 1)
            last[header.index("error")] = f"{self.free_error:.4f}"
            lines.append(last)
        count, left = len(header), len(self.parts)
        while left and max(map(len, aligned(lines, count + left).split("\n"))) > width:
            left -= 1
        text = aligned(lines, count + left)
        if left < len(self.parts):
            text += f"\nand {len(self.parts) - left} more parts"
        return text

    def __repr__(self) -> str:
        return self.table()


def aligned(lines: Sequence[Sequence[str]], columns: int) -> str:
    """The first columns of some cells, the first to the left and the others to the right."""
    kept = [line[:columns] for line in lines]
    sizes = [max(map(len, column)) for column in zip(*kept, strict=True)]
    text = []
    for line in kept:
        cells = [cell.rjust(size) for cell, size in zip(line, sizes, strict=True)]
        text.append("  ".join([line[0].ljust(sizes[0]), *cells[1:]]).rstrip())
    return "\n".join(text)
