"""Symmetric groups with Young's orthogonal form, and the groups of signed permutations."""

import itertools
import math
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Float, Int

from .._arguments import integer
from ._closure import spell, word_levels
from ._finite import FiniteGroup, IrrepTable, Values
from ._interning import interned
from ._irrep import IrrepId
from ._matrix_values import matrix_values


def symmetric(n: SupportsIndex) -> FiniteGroup:
    """The group S_n of permutations of n points.

    Elements are tuples p with p[i] the image of i, in lexicographic order; (p q)[i] =
    p[q[i]]. The generators are the transpositions of neighbours. Irreps have the
    partitions of n as ids, (n,) (trivial) first, in reverse lexicographic order, in
    Young's orthogonal form (James and Kerber, section 3.4).

    Args:
        n: 1 to 6.
    """
    return _symmetric(integer(n, "symmetric", "n", 1, 6))


@interned
def _symmetric(n: int) -> FiniteGroup:
    permutations = _permutations(n)
    index_of = {tuple(p): i for i, p in enumerate(permutations.tolist())}
    table = _rank(permutations[:, permutations], permutations)
    swaps = np.tile(np.arange(n), (n - 1, 1))
    swaps[np.arange(n - 1), np.arange(n - 1)] += 1
    swaps[np.arange(n - 1), np.arange(1, n)] -= 1
    generators = _rank(swaps, permutations)

    def irreps() -> dict[IrrepId, IrrepTable]:
        levels = word_levels(table[:, generators])
        result: dict[IrrepId, IrrepTable] = {}
        for shape in _partitions(n, n):
            steps = _young_orthogonal(shape)
            result[shape] = IrrepTable(
                steps.shape[-1], 1, lambda steps=steps: spell(levels, steps, len(table))
            )
        return result

    def parse(value: Any) -> int | None:
        return index_of.get(tuple(int(i) for i in value))

    return FiniteGroup(
        f"S{n}",
        ("symmetric", n),
        (symmetric, (n,)),
        table,
        generators,
        defining=lambda: _permutation_matrices(permutations),
        irreps=irreps,
        values=Values(
            lambda i: tuple(permutations[i].tolist()), parse, f"a permutation of 0..{n - 1}"
        ),
    )


def hyperoctahedral(d: SupportsIndex) -> FiniteGroup:
    """The group of all signed permutation matrices of size d, of order 2^d d!.

    Elements are diag(signs) P, P e_j = e_p(j): the sign patterns vary slowly, in the
    binary order of their minus signs (first entry slowest), the permutations fast, in
    lexicographic order; so the first d! elements are the permutation matrices.

    Args:
        d: 1 to 4.
    """
    return _hyperoctahedral(integer(d, "hyperoctahedral", "d", 1, 4))


@interned
def _hyperoctahedral(d: int) -> FiniteGroup:
    permutations = _permutations(d)
    count = len(permutations)
    minus = np.array(list(itertools.product((0, 1), repeat=d)))
    minus, perm = np.repeat(minus, count, axis=0), np.tile(permutations, (2**d, 1))
    # diag(s) P diag(t) Q = diag(s * P t) P Q with (P t)[p(j)] = t[j].
    moved = np.zeros((len(perm), len(perm), d), dtype=np.int64)
    rows = np.arange(len(perm))
    moved[rows[:, None, None], rows[None, :, None], perm[:, None, :]] = minus[None]
    total = minus[:, None, :] ^ moved
    pattern = total @ (1 << np.arange(d)[::-1])
    table = pattern * count + _rank(perm[:, perm], permutations)
    matrices = (1.0 - 2.0 * minus)[:, :, None] * _permutation_matrices(perm) + 0.0
    # Sign of the first axis, and the transpositions of neighbours.
    swaps = [int(_symmetric(d).generator_indices[k]) for k in range(d - 1)]
    return FiniteGroup(
        f"hyperoctahedral({d})",
        ("hyperoctahedral", d),
        (hyperoctahedral, (d,)),
        table,
        [2 ** (d - 1) * count, *swaps],
        defining=lambda: matrices,
        values=matrix_values(matrices),
    )


def _permutations(n: int) -> Int[np.ndarray, "N n"]:
    return np.array(list(itertools.permutations(range(n))), dtype=np.int64).reshape(-1, n)


def _rank(items: np.ndarray, permutations: np.ndarray) -> np.ndarray:
    """Position of permutations (last axis) in the lexicographic list."""
    n = permutations.shape[1]
    place = n ** np.arange(n)[::-1]
    return np.searchsorted(permutations @ place, items @ place)


def _permutation_matrices(permutations: Int[np.ndarray, "N n"]) -> Float[np.ndarray, "N n n"]:
    """Matrices with P e_j = e_p(j)."""
    return np.eye(permutations.shape[1])[permutations].transpose(0, 2, 1).copy()


def _partitions(n: int, largest: int) -> list[tuple[int, ...]]:
    """Partitions of n into parts of at most a size, in reverse lexicographic order."""
    if n == 0:
        return [()]
    return [
        (part, *rest)
        for part in range(min(n, largest), 0, -1)
        for rest in _partitions(n - part, part)
    ]


def _young_orthogonal(shape: tuple[int, ...]) -> Float[np.ndarray, "k d d"]:
    """Matrices of the transpositions (i, i+1) on the standard tableaux of a shape.

    With r the axial distance from i to i+1, s_i has 1/r on the diagonal and
    sqrt(1 - 1/r^2) between a tableau and the one with i and i+1 exchanged.
    """
    n = sum(shape)
    tableaux = _row_words(shape)
    position = {word: k for k, word in enumerate(tableaux)}
    matrices = np.zeros((n - 1, len(tableaux), len(tableaux)))
    for k, word in enumerate(tableaux):
        column = [word[:i].count(word[i]) for i in range(n)]
        for i in range(n - 1):
            distance = (column[i + 1] - word[i + 1]) - (column[i] - word[i])
            matrices[i, k, k] = 1.0 / distance
            swapped = (*word[:i], word[i + 1], word[i], *word[i + 2 :])
            if abs(distance) > 1:
                other = position[swapped]
                matrices[i, other, k] = math.sqrt(1.0 - 1.0 / distance**2)
    return matrices


def _row_words(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Standard tableaux as words: entry i is the row that holds i; lexicographic order."""
    words: list[tuple[int, ...]] = [()]
    for _ in range(sum(shape)):
        words = [
            (*word, row)
            for word in words
            for row in range(len(shape))
            if word.count(row) < shape[row] and (row == 0 or word.count(row) < word.count(row - 1))
        ]
    return words
