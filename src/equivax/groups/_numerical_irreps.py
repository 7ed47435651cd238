"""Irreps of any finite group from its Cayley table, canonical and reproducible.

The regular representation contains an irrep psi of dimension d exactly d / S times. Its
isotypic component is cut out by the character; a symmetric element X of the right group
algebra commutes with the left action, and the eigenspace of its largest eigenvalue there
is one copy of psi. A pivoted basis V of that eigenspace gives psi(g) = V^T L(g) V.
"""

import numpy as np
from jaxtyping import Float, Int

from .._numerics import clean, generic_numbers, pivoted_basis, range_basis
from ._characters import real_character_table
from ._finite import IrrepTable
from ._irrep import IrrepId

_CHUNK = 1 << 22
_ATTEMPTS = 24
_ROWS = 64
"""Rows a column of a basis of which matrices of an irrep are read: well conditioned."""
_WANTED_GAP = 0.1
"""Of the mean spacing of the multiplicity's eigenvalues; the best attempt is taken if none
has it. The eigenspace is then known to about 1e-14 / gap."""


def numerical_irreps(
    table: Int[np.ndarray, "n n"], inverses: Int[np.ndarray, " n"]
) -> dict[IrrepId, IrrepTable]:
    """Irrep tables with ids (0,), (1,), ... in the order of `real_character_table`.

    Args:
        table: Cayley table ``(n, n)``, identity 0.
        inverses: ``(n,)``.

    Returns:
        Matrices are built on demand, irrep by irrep.
    """
    characters = real_character_table(table, inverses)
    result: dict[IrrepId, IrrepTable] = {}
    for k, (size, endo) in enumerate(
        zip(characters.sizes.tolist(), characters.endomorphism_dimensions.tolist(), strict=True)
    ):
        values = characters.values[k][characters.classes]
        builder = _Builder(table, inverses, values, size, endo)
        result[(k,)] = IrrepTable(size, endo, builder, characters=values)
    return result


class _Builder:
    """Builds the matrices of one irrep when called."""

    def __init__(
        self, table: np.ndarray, inverses: np.ndarray, character: np.ndarray, size: int, endo: int
    ) -> None:
        self._table, self._inverses = table, inverses
        self._character, self._size, self._endo = character, size, endo

    def __call__(self) -> Float[np.ndarray, "n d d"]:
        if self._size == 1:
            return np.rint(self._character)[:, None, None]
        return self._compress(self._one_copy(self._isotypic()))

    def _isotypic(self) -> Float[np.ndarray, "n N"]:
        """Orthonormal basis of the isotypic component of the regular representation."""
        order = len(self._table)
        values = self._character * (self._size / (self._endo * order))
        diagonal = np.full(order, values[0])
        # Entry (a, b) of the projector is (d / S n) chi(a b^-1).
        return pivoted_basis(diagonal, lambda b: values[self._table[:, self._inverses[b]]])

    def _one_copy(self, isotypic: Float[np.ndarray, "n N"]) -> Float[np.ndarray, "n d"]:
        """Canonical basis of one copy of the irrep inside the isotypic component."""
        copies = self._size // self._endo
        if copies == 1:
            return range_basis(isotypic)
        best, best_gap = None, 0.0
        for attempt in range(_ATTEMPTS):
            numbers = generic_numbers(len(self._table), attempt)
            numbers = numbers + numbers[self._inverses]
            # Right convolution: entry (a, b) is c(a^-1 b), symmetric since c is.
            compressed = isotypic.T @ (numbers[self._table[self._inverses]] @ isotypic)
            values, vectors = np.linalg.eigh((compressed + compressed.T) / 2)
            top = values[-self._size :]
            spacing = (values[-1] - values[0]) / (copies - 1)
            gap = (top[0] - values[-self._size - 1]) / spacing
            if top[-1] - top[0] < 1e-6 * spacing and gap > best_gap:
                best, best_gap = vectors[:, -self._size :], gap
            if best_gap > _WANTED_GAP:
                break
        if best is None:
            raise ValueError("cayley_table: expected the multiplication table of a group")
        return range_basis(isotypic @ best)

    def _compress(self, basis: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d d"]:
        """psi(g) = V^T L(g) V with (L(g) V)[a] = V[g^-1 a], in chunks of elements.

        L(g) V = V psi(g) holds row by row, so in a large group a sample of rows is enough.
        """
        order, size = basis.shape
        rows = np.arange(order)
        if order > _ROWS * size:
            rows = np.sort(np.argsort(generic_numbers(order))[: _ROWS * size])
        left = basis[rows].T
        if len(rows) < order:
            left = np.linalg.solve(left @ left.T, left)
        result = np.empty((order, size, size))
        step = max(1, _CHUNK // (len(rows) * size))
        for start in range(0, order, step):
            g = np.arange(start, min(order, start + step))
            result[g] = left @ basis[self._table[np.ix_(self._inverses[g], rows)]]
        if len(rows) < order:  # one Newton step to the nearest orthogonal matrices
            result = 1.5 * result - 0.5 * result @ result.transpose(0, 2, 1) @ result
        return clean(result)
