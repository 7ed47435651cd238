"""Conjugacy classes and the real character table of a finite group from its Cayley table.

Functions that are constant on real classes (C and its inverses) form a commutative algebra
under convolution. Its minimal idempotents are the irreps: up to scale, the eigenvectors of
convolution by one generic element are the functions chi / d.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from .._numerics import generic_numbers
from .._numerics._tolerances import RELATIVE_EIGENGAP

_CHUNK = 1 << 22
_ATTEMPTS = 24


@dataclasses.dataclass(frozen=True)
class CharacterTable:
    """Real irreducible characters.

    Attributes:
        classes: ``(n,)``, real class of each element.
        values: ``(K, K)``, character of irrep [row] on class [column].
        sizes: ``(K,)``, dimensions d.
        endomorphism_dimensions: ``(K,)``, each 1, 2 or 4.
    """

    classes: np.ndarray
    values: np.ndarray
    sizes: np.ndarray
    endomorphism_dimensions: np.ndarray


def conjugacy_labels(
    table: Int[np.ndarray, "n n"], inverses: Int[np.ndarray, " n"]
) -> Int[np.ndarray, " n"]:
    """Class of each element, classes numbered by their first element."""
    order = len(table)
    first = np.arange(order)
    step = max(1, _CHUNK // order)
    for start in range(0, order, step):
        h = np.arange(start, min(order, start + step))
        conjugates = table[table[h], inverses[h][:, None]]
        first = np.minimum(first, conjugates.min(axis=0))
    return np.unique(first, return_inverse=True)[1]


def real_character_table(
    table: Int[np.ndarray, "n n"], inverses: Int[np.ndarray, " n"]
) -> CharacterTable:
    """The real characters, trivial first, then by (d, S, minus the values on the elements).

    Args:
        table: Cayley table ``(n, n)``, identity 0.
        inverses: ``(n,)``.

    Raises:
        ValueError: If the table is not that of a group (its idempotents have no integer
            dimension).
    """
    conjugacy = conjugacy_labels(table, inverses)
    classes = np.unique(np.minimum(conjugacy, conjugacy[inverses]), return_inverse=True)[1]
    sizes = np.bincount(classes)
    count, order = len(sizes), len(table)
    members = np.unique(classes, return_index=True)[1]
    # arguments[i, h] is the class of h^-1 g_i, so convolution is a sum over h.
    arguments = classes[table[inverses][:, members].T]

    def convolve(z: np.ndarray) -> np.ndarray:
        """Matrix ``(K, K)`` of f -> z * f on class functions."""
        cells = arguments + count * np.arange(count)[:, None]
        weights = np.broadcast_to(z[classes], cells.shape)
        flat = np.bincount(cells.ravel(), weights=weights.ravel(), minlength=count * count)
        return flat.reshape(count, count)

    functions = _eigenfunctions(convolve, np.sqrt(sizes))
    share = sizes / order
    for k in range(count):
        # e = N f / n is an idempotent of the algebra, and idempotents are isolated: one step
        # e -> 3 e^2 - 2 e^3 takes the rounding of the eigenvectors away.
        e = functions[k] / (share @ functions[k] ** 2) / order
        shifted = e[arguments]
        square = shifted @ e[classes]
        e = 3 * square - 2 * (shifted @ square[classes])
        functions[k] = e / e[classes[0]]
    squares = classes[np.diagonal(table)]
    return _table(functions, share, classes, squares)


def _eigenfunctions(convolve, root: np.ndarray) -> np.ndarray:
    """``(K, K)``: one common eigenfunction a row, with value 1 at the identity (class 0)."""
    count = len(root)
    best, best_gap = None, -1.0
    for attempt in range(_ATTEMPTS):
        matrix = convolve(generic_numbers(count, attempt))
        symmetric = root[:, None] * matrix / root[None, :]
        values, vectors = np.linalg.eigh((symmetric + symmetric.T) / 2)
        spread = values[-1] - values[0]
        gap = np.diff(values).min() / spread * (count - 1) if count > 1 else np.inf
        if gap > best_gap:
            best, best_gap = vectors, gap
        if gap > RELATIVE_EIGENGAP / count:
            break
    if best is None:  # pragma: no cover - the loop always runs
        raise ValueError("no eigenfunctions")
    functions = best.T / root
    return functions / functions[:, :1]


def _table(
    functions: Float[np.ndarray, "K K"],
    share: Float[np.ndarray, " K"],
    classes: Int[np.ndarray, " n"],
    squares: Int[np.ndarray, " n"],
) -> CharacterTable:
    norm = 1.0 / (functions**2 @ share)  # d^2 / S
    indicator = functions[:, squares].mean(axis=1) * np.sqrt(norm)  # 1, 0 or -1
    endo = np.select([indicator > 0.5, indicator < -0.5], [1, 4], 2)
    dims = np.rint(np.sqrt(norm * endo)).astype(np.int64)
    if np.abs(dims**2 / endo - norm).max() > 1e-6 or abs(norm.sum() - len(classes)) > 1e-6:
        raise ValueError("cayley_table: expected the multiplication table of a group")
    values = dims[:, None] * functions
    rounded = np.rint(values[:, classes] * 1e6).astype(np.int64)
    trivial = (rounded == 10**6).all(axis=1)
    keys = [
        (not trivial[k], dims[k], endo[k], tuple((-rounded[k]).tolist())) for k in range(len(dims))
    ]
    order = sorted(range(len(dims)), key=lambda k: keys[k])
    return CharacterTable(classes, values[order], dims[order], endo[order])
