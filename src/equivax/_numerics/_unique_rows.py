"""Rows that are equal up to rounding: `np.unique` with a tolerance.

Rounding before comparing fails for values that sit on the edge of a bin. Here rows are
sorted by one generic linear functional, consecutive rows with nearly the same value form
a cluster, and each cluster is checked row against row; while different rows share a cluster,
the next functional splits it.
"""

import numpy as np
from jaxtyping import Float, Int

from ._generic import generic_numbers

_ATTEMPTS = 16


def label_rows(rows: Float[np.ndarray, "n m"], tolerance: float) -> Int[np.ndarray, " n"]:
    """Label every row by the first row that equals it up to a tolerance.

    Args:
        rows: Array of shape ``(n, m)``.
        tolerance: Largest difference between entries of equal rows. Different rows must
            differ by clearly more.

    Returns:
        ``(n,)`` integers: ``label[i]`` is the smallest index of a row equal to row i.

    Raises:
        ValueError: If the rows do not fall into clusters.
    """
    count, width = rows.shape
    cluster = np.zeros(count, dtype=np.int64)
    for attempt in range(_ATTEMPTS):
        weights = generic_numbers(width, attempt)
        slack = tolerance * float(np.abs(weights).sum() + 1.0)
        keys = rows @ weights
        order = np.lexsort((keys, cluster))
        # Equal rows stay together under every functional; different ones part sooner or later.
        apart = (np.diff(keys[order]) > slack) | (np.diff(cluster[order]) > 0)
        cluster[order] = np.cumsum(np.concatenate([[0], apart]))[:count]
        first = np.full(int(cluster.max(initial=-1)) + 1, count, dtype=np.int64)
        np.minimum.at(first, cluster, np.arange(count))
        labels = first[cluster]
        if np.abs(rows - rows[labels]).max(initial=0.0) <= tolerance:
            return labels
    raise ValueError("rows: neither clearly equal nor clearly different at the tolerance")


def label_near(
    rows: Float[np.ndarray, "n m"], tolerance: float, known: int
) -> tuple[Int[np.ndarray, " n"], float]:
    """Label every row by the nearest row before it, if that is within a tolerance.

    For rows that were measured, whose differences fill the range up to the tolerance: every row is
    compared with all different ones before it.

    Args:
        rows: Array of shape ``(n, m)``.
        tolerance: Largest difference between entries of equal rows.
        known: Rows at the start that are known to be different, at least one.

    Returns:
        ``(n,)`` integers, as `label_rows`; and the smallest distance of a new row from the others.
    """
    labels = np.arange(len(rows))
    different = list(range(known))
    apart = np.inf
    for i in range(known, len(rows)):
        distances = np.abs(rows[different] - rows[i]).max(axis=1)
        if distances.min() <= tolerance:
            labels[i] = different[int(distances.argmin())]
        else:
            different.append(i)
            apart = min(apart, float(distances.min()))
    return labels, apart


def match_rows(
    known: Float[np.ndarray, "k m"], rows: Float[np.ndarray, "n m"], tolerance: float
) -> Int[np.ndarray, " n"]:
    """Index of the known row that equals each given row, or -1.

    Args:
        known: ``(k, m)`` pairwise different rows.
        rows: ``(n, m)`` rows to look up.
        tolerance: As in `label_rows`.

    Returns:
        ``(n,)`` integers in -1..k-1.
    """
    labels = label_rows(np.concatenate([known, rows]), tolerance)[len(known) :]
    return np.where(labels < len(known), labels, -1)
