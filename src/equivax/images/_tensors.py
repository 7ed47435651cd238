"""Tensor algebra, pixel by pixel: functions on arrays ``(..., *(D,)*k)``, tensor axes last.

Products and sums are elementwise, never matrix products, which some hardware rounds to 16 bits.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._arguments import integer, integers, is_several, refuse, several
from ._arguments import MOST_ORDER, as_real

MOST_DIMENSIONS = 10_000, 8
"""Of the delta and of the epsilon: more entries than 10^8 else."""

MOST_CONTRACTIONS = 10**6


def delta(D: int) -> Float[np.ndarray, "D D"]:
    """The Kronecker delta, the tensor of order 2 that every rotation and reflection preserves.

    Args:
        D: The dimension, at least 1.

    Raises:
        ValueError: If ``D`` is not a positive integer.
    """
    return np.eye(integer(D, "delta", "D", 1, MOST_DIMENSIONS[0]))


def levi_civita(D: int) -> Float[np.ndarray, "..."]:
    """The sign of a permutation, a tensor of order ``D`` and parity 1 that every ``g`` preserves.

    Args:
        D: The dimension, at least 1.

    Returns:
        An array ``(D,) * D`` of 0, 1 and -1.

    Raises:
        ValueError: If ``D`` is not a positive integer.
    """
    D = integer(D, "levi_civita", "D", 1, MOST_DIMENSIONS[1])
    found = np.zeros((D,) * D)
    for p in itertools.permutations(range(D)):
        inversions = sum(a > b for a, b in itertools.combinations(p, 2))
        found[p] = (-1) ** inversions
    return found


def contractions(k_from: int, k_to: int) -> list[tuple[tuple[int, int], ...]]:
    """All distinct sets of pairs whose contraction takes order ``k_from`` to ``k_to``.

    Args:
        k_from: Order before.
        k_to: Order after.

    Returns:
        Sets of ``(k_from - k_to) / 2`` disjoint pairs ``i < j``, each set ascending, in
        lexicographic order.

    Raises:
        ValueError: If the difference is negative or odd.
    """
    k_from = integer(k_from, "contractions", "k_from", 0, MOST_ORDER)
    k_to = integer(k_to, "contractions", "k_to", 0)
    count, rest = divmod(k_from - k_to, 2)
    if count < 0 or rest:
        raise ValueError(
            f"contractions: k_to: expected {k_from} less an even number, got {k_to}; each pair "
            "takes two axes away"
        )
    ways = math.comb(k_from, 2 * count) * math.prod(range(1, 2 * count, 2))
    if ways > MOST_CONTRACTIONS:
        refuse(ValueError, "contractions", "k_from", f"at most {MOST_CONTRACTIONS} sets", k_from)
    return list(_disjoint_pairs(tuple(range(k_from)), count))


def _disjoint_pairs(axes: tuple[int, ...], count: int) -> Iterator[tuple[tuple[int, int], ...]]:
    if not count:
        yield ()
    for n, i in enumerate(axes if count else ()):
        for j in axes[n + 1 :]:
            left = tuple(axis for axis in axes[n + 1 :] if axis != j)
            for others in _disjoint_pairs(left, count - 1):
                yield (i, j), *others


def as_axes(axes: object, k: int, caller: str, argument: str) -> tuple[int, ...]:
    """Different tensor axes ``0 .. k - 1``.

    Raises:
        ValueError: If one is repeated or out of range.
    """
    none = is_several(axes) and not len(axes)
    listed = () if none else integers(axes, caller, argument)
    if not all(0 <= a < k for a in listed) or len(set(listed)) != len(listed):
        takes = f"different tensor axes within 0 to {k - 1} of an image of order {k}"
        refuse(ValueError, caller, argument, takes, axes)
    return listed


def as_pairs(pairs: object, k: int, caller: str) -> tuple[tuple[int, int], ...]:
    """Disjoint pairs of tensor axes.

    Raises:
        ValueError: If something is no pair, repeated or out of range.
    """
    listed = several(pairs, caller, "pairs", "pairs of tensor axes", 0)
    if not all(is_several(pair) and len(pair) == 2 for pair in listed):
        refuse(ValueError, caller, "pairs", "pairs of tensor axes", pairs)
    axes = as_axes([axis for pair in listed for axis in pair], k, caller, "pairs")
    return tuple(zip(axes[::2], axes[1::2], strict=True))


def contract(x: Array, pairs: Sequence[tuple[int, int]], k: int) -> Array:
    """Sum over equal values of each pair of the last ``k`` axes."""
    names = list(range(x.ndim))
    first = x.ndim - k
    for a, b in pairs:
        names[first + b] = names[first + a]
    gone = {first + axis for pair in pairs for axis in pair}
    kept = [axis for axis in range(x.ndim) if axis not in gone]
    return jnp.einsum(x, names, kept)


def outer(a: Array, b: Array, k_a: int, k_b: int) -> Array:
    """``a_{i..} b_{j..}`` per pixel; the leading axes broadcast."""
    left = a.reshape(*a.shape, *[1] * k_b)
    lead = b.shape[: b.ndim - k_b]
    return left * b.reshape(*lead, *[1] * k_a, *b.shape[b.ndim - k_b :])


def levi_civita_contract(x: Array, axes: Sequence[int], D: int, k: int) -> Array:
    """``sum x_{..} eps_{axes.., l}`` with the free index of epsilon last.

    Only the ``D!`` entries of epsilon that are not zero are summed.
    """
    first = x.ndim - k
    moved = jnp.moveaxis(x, [first + a for a in axes], range(x.ndim - len(axes), x.ndim))
    columns: list[Any] = [None] * D
    for p in itertools.permutations(range(D)):
        term = moved[(..., *p[:-1])]
        sign = (-1) ** sum(a > b for a, b in itertools.combinations(p, 2))
        old = columns[p[-1]]
        signed = term if sign > 0 else -term
        columns[p[-1]] = signed if old is None else old + signed
    return jnp.stack(columns, axis=-1)


def squared_norm(x: Array, k: int) -> Array:
    """Sum of the squares of the components."""
    return jnp.sum(x * x, axis=tuple(range(x.ndim - k, x.ndim))) if k else x * x


def safe_norm(x: Array, k: int) -> Array:
    """Frobenius norm over the last ``k`` axes; its gradient at zero is zero."""
    return jnp.abs(x) if k == 0 else norm_over(x, tuple(range(-k, 0)))


def norm_over(x: Array, axes: tuple[int, ...]) -> Array:
    """Euclidean norm over some axes; its gradient at zero is zero.

    Entries are divided by the largest first, so that squares neither overflow nor vanish.
    """
    largest = jnp.max(jnp.abs(x), axis=axes, keepdims=True)
    zero = largest == 0
    scale = jax.lax.stop_gradient(jnp.where(zero, 1, largest))
    squares = jnp.sum((x / scale) ** 2, axis=axes)
    zero, scale = (jnp.reshape(a, squares.shape) for a in (zero, scale))
    return jnp.where(zero, 0, scale * jnp.sqrt(jnp.where(zero, 1, squares)))


# ---- metrics -----------------------------------------------------------------------------------


def inverse_metric(metric: Float[Array, "*lead D D"]) -> Float[Array, "*lead D D"]:
    """The inverse of symmetric matrices, in closed form: cofactors over the determinant.

    Args:
        metric: ``(..., D, D)``, D = 1, 2 or 3.

    Raises:
        ValueError: If it has another shape.
    """
    metric = as_real(metric, "inverse_metric", "metric")
    D = metric.shape[-1] if metric.ndim else 0
    if metric.shape[-2:] != (D, D) or D not in (1, 2, 3) or metric.dtype == bool:
        refuse(ValueError, "inverse_metric", "metric", "(..., D, D) with D = 1, 2 or 3", metric)
    if D == 1:
        return 1 / metric
    if D == 2:
        a, b, c = metric[..., 0, 0], metric[..., 0, 1], metric[..., 1, 1]
        rows = ((c, -b), (-b, a))
        determinant = a * c - b * b
    else:
        first, second, third = (metric[..., :, n] for n in range(3))
        cofactors = (jnp.cross(second, third), jnp.cross(third, first), jnp.cross(first, second))
        rows = tuple(tuple(row[..., n] for n in range(3)) for row in cofactors)
        determinant = jnp.sum(first * cofactors[0], axis=-1)
    adjugate = jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
    return adjugate / determinant[..., None, None]


def raise_lower(
    x: Array, metric: Array, given: Sequence[bool], wanted: Sequence[bool], D: int
) -> Array:
    """Changes upper axes to lower with ``g`` and lower to upper with its inverse.

    Args:
        x: ``(*lead, *spatial, *(D,)*k)``.
        metric: ``(*spatial, D, D)`` with leading axes that broadcast, lower axes.
        given: Flags of the axes of ``x``.
        wanted: Flags of the result.
        D: The dimension.
    """
    if tuple(given) == tuple(wanted):
        return x
    k = len(given)
    metric = metric.astype(x.dtype)
    shape = (*metric.shape[:-2], *[1] * (k - 1), D, D)
    lower = metric.reshape(shape)
    upper = inverse_metric(metric).reshape(shape) if any(given) else lower
    first = x.ndim - k
    for axis, (before, after) in enumerate(zip(given, wanted, strict=True)):
        if before != after:
            last = jnp.moveaxis(x, first + axis, -1)
            moved = jnp.sum((lower if after else upper) * last[..., None, :], axis=-1)
            x = jnp.moveaxis(moved, -1, first + axis)
    return x


# ---- pools -------------------------------------------------------------------------------------


def blocks_of(x: Array, side: int, start: int, D: int) -> Array:
    """Cuts D axes from ``start`` into windows; the axis of window cells comes after them."""
    lengths = x.shape[start : start + D]
    tail = x.shape[start + D :]
    cut = [n for length in lengths for n in (length // side, side)]
    x = x.reshape(*x.shape[:start], *cut, *tail)
    order = [*range(start), *range(start, start + 2 * D, 2), *range(start + 1, start + 2 * D, 2)]
    x = jnp.transpose(x, [*order, *range(start + 2 * D, x.ndim)])
    counts = [length // side for length in lengths]
    return x.reshape(*x.shape[:start], *counts, math.prod([side] * D), *tail)


def largest_of(windows: Array, k: int) -> Array:
    """The tensor of largest norm among those on the axis before the last ``k``; ties averaged.

    Squared norms within 32 machine epsilons of the largest tie: rounding differs from one
    orientation to the other. A window with a NaN gives NaN.
    """
    axis = windows.ndim - k - 1
    squares = squared_norm(windows, k)
    largest = jnp.max(squares, axis=axis, keepdims=True)
    tied = squares >= largest * (1 - 32 * float(jnp.finfo(windows.dtype).eps))
    tied = tied.astype(windows.dtype)
    weight = tied / jnp.sum(tied, axis=axis, keepdims=True)
    weight = jnp.where(jnp.isnan(largest), jnp.nan, weight)
    return jnp.sum(windows * weight.reshape(*weight.shape, *[1] * k), axis=axis)
