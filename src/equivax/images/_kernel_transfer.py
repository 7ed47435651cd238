"""`transfer_kernel`: kernels of images of one dimension carried to another.

The restriction R sums a kernel over its last spatial axes and keeps the first components of every
tensor index: what a layer does to data that are constant along these axes and have no component
along them. R maps invariant kernels to invariant kernels, linearly, so a kernel for more dimensions
that does to such data what the smaller one does is a solution of ``R K' = K``.
"""

from __future__ import annotations

import functools
import math
import warnings

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._arguments import arrays, integer, refuse
from .._numerics import freeze
from ..hom import HIGHEST, at_least_float32
from ._arguments import MOST_ORDER, as_dimension, as_parity
from ._invariant_filters import invariant_filters

_EXACT = 1e-9
"""Largest part of a kernel that R may miss: far above rounding, far below what a kernel needs."""


class InexactTransferWarning(UserWarning):
    """Some kernels of the smaller dimension are no restriction of a larger one."""


def transfer_kernel(
    kernel: object,
    D_from: int,
    D_to: int,
    rule: object = "min_norm",
    *,
    order: int | None = None,
    parity: int = 0,
) -> Array:
    """The invariant kernel ``K'`` for ``D_to`` dimensions with ``R K' = K``.

    ``R`` sums over the new spatial axes and keeps the old tensor components. For fewer dimensions
    the result is ``R K``. All signed permutations are the group.

    Args:
        kernel: Tensor filters ``(*lead, *(M,)*D_from, *(D_from,)*k)``, invariant; of others the
            invariant part counts.
        D_from: Dimension of the kernel.
        D_to: Dimension wanted.
        rule: ``"min_norm"``, the solution of least Frobenius norm, or an array shaped like the
            result, to whose invariant part the solution is nearest.
        order: k; if None there are no axes in front, so the shape says it.
        parity: 0, or 1 for pseudotensor filters.

    Returns:
        Filters ``(*lead, *(M,)*D_to, *(D_to,)*k)``.

    Raises:
        ValueError: If the shape, a dimension or the rule does not fit.

    Warns:
        InexactTransferWarning: If ``R`` misses some kernels; the result is then that of least
            squares.
    """
    name = "transfer_kernel"
    D_from = as_dimension(D_from, name, "D_from")
    D_to = as_dimension(D_to, name, "D_to")
    kernel = arrays.array(kernel, name, "kernel")
    k = kernel.ndim - D_from
    k = k if order is None else integer(order, name, "order", 0, MOST_ORDER)
    if k < 0 or kernel.ndim < D_from + k:
        raise ValueError(
            f"{name}: kernel: expected {D_from} spatial and {k} tensor axes, got shape "
            f"{kernel.shape}"
        )
    first = kernel.ndim - D_from - k
    lead, sides = kernel.shape[:first], kernel.shape[first : first + D_from]
    if len(set(sides)) > 1 or kernel.shape[first + D_from :] != (D_from,) * k:
        raise ValueError(
            f"{name}: kernel: expected equal sides and then {k} axes of {D_from} components, got "
            f"shape {kernel.shape}"
        )
    size = sides[0]
    shape = (*lead, *(size,) * D_to, *(D_to,) * k)
    nearest = None
    if not isinstance(rule, str):
        nearest = arrays.array(rule, name, "rule")
        if nearest.shape != shape:
            refuse(ValueError, name, "rule", f"weights of shape {shape}", nearest)
    elif rule != "min_norm":
        refuse(ValueError, name, "rule", "'min_norm' or an array", rule)
    wide = at_least_float32(kernel.dtype)
    parity = as_parity(parity, name)
    old, new, forward, back, error = _maps(D_from, D_to, size, k, parity)
    if error > _EXACT:
        warnings.warn(
            f"{name}: kernel: not every filter of side {size}, order {k} and parity {parity} in "
            f"{D_from} dimensions is the restriction of one in {D_to}; the nearest is taken",
            InexactTransferWarning,
            stacklevel=2,
        )

    def times(x: Array, matrix: np.ndarray) -> Array:
        return jnp.matmul(x, jnp.asarray(matrix, wide), precision=HIGHEST)

    coefficients = times(kernel.reshape(*lead, -1).astype(wide), old.T)
    if nearest is None:
        found = times(coefficients, back.T)
    else:
        start = times(nearest.reshape(*lead, -1).astype(wide), new.T)
        found = start + times(coefficients - times(start, forward.T), back.T)
    return times(found, new).reshape(shape).astype(kernel.dtype)


@functools.lru_cache(maxsize=256)
def _maps(
    D_from: int, D_to: int, size: int, k: int, parity: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
    """Orthonormal bases in rows, the map of coefficients onto the old ones, and its inverse.

    For fewer dimensions the restriction is the inverse. The last number is how much R misses.
    """
    small, large = sorted((D_from, D_to))
    few, many = (invariant_filters(D, size, k, parity) for D in (small, large))
    kept = many.sum(axis=tuple(range(1 + small, 1 + large)))
    kept = kept[(Ellipsis, *(slice(small),) * k)]
    few, many, kept = (a.reshape(len(a), math.prod(a.shape[1:])) for a in (few, many, kept))
    forward = few @ kept.T
    back = np.linalg.pinv(forward, rcond=1e-10)
    error = 0.0
    if D_from > D_to:
        few, many, forward, back = many, few, back, forward
    else:
        error = np.abs(forward @ back - np.eye(len(few))).max(initial=0)
    return *(freeze(a) for a in (few, many, forward, back)), float(error)  # pyright: ignore
