"""All images of an orbit at once: ``g x`` for every g on one batch axis, and the way back.

The elements are rows of three tables (where pixels and channels come from, and signs), so a group
costs two gathers and no loop, and nothing is ever multiplied by anything but 1 or -1.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._numerics import freeze_indices
from ..spaces import GSpace, axis_matrices
from ._dense_channels import channel_action
from ._multi_image import MultiImage
from ._signature import Signature
from ._signed_axes import SignedAxes

METRIC = Signature(((((True, True), 0), 1),))
Tables = tuple[np.ndarray, np.ndarray, np.ndarray]


def orbit(x: MultiImage, space: GSpace, caller: str) -> MultiImage:
    """``g x`` for every element of a group, along a new first batch axis.

    Raises:
        ValueError: If the group changes the sides of the grid, or which axes are periodic.
    """
    for g in axis_matrices(space):
        source = SignedAxes.of(g, x.D, caller).source
        moved = tuple(x.spatial[s] for s in source), tuple(x.is_torus[s] for s in source)
        if moved != (x.spatial, x.is_torus):
            raise ValueError(
                f"{caller}: x: expected sides and torus flags that {space!r} preserves, got sides "
                f"{x.spatial} and flags {x.is_torus}"
            )
    array = _each(x.array, orbit_tables(x.signature, x.spatial, space, False), x.D, None)
    metric = x.metric
    if metric is not None:
        own, inner = metric.shape[: -2 - x.D], (*x.spatial, x.D, x.D)
        dense = jnp.moveaxis(metric.reshape(*own, *x.spatial, x.D**2), -1, -1 - x.D)
        turned = _each(dense, orbit_tables(METRIC, x.spatial, space, False), x.D, None)
        back = jnp.moveaxis(turned, -1 - x.D, -1)
        many = back.reshape(len(back), *(own or (1,) * len(x.batch)), *inner)
        metric = jnp.broadcast_to(many, (len(back), *x.batch, *inner))
    return MultiImage.from_array(array, x.signature, x.D, x.is_torus, metric)


def from_orbit(y: MultiImage, space: GSpace) -> Array:
    """The mean of ``g^-1 y_g`` over the first batch axis, as a dense array."""
    tables = orbit_tables(y.signature, y.spatial, space, True)
    return jnp.mean(_each(y.array, tables, y.D, 0), axis=0)


@functools.lru_cache(maxsize=256)
def orbit_tables(
    signature: Signature, sides: tuple[int, ...], space: GSpace, inverse: bool
) -> Tables:
    """For every element where pixels come from ``(N, P)``, where channels ``(N, C)``, and signs.

    Args:
        signature: Of the channels.
        sides: Of the grid; the group must preserve them.
        space: The group.
        inverse: Whether the elements are inverted.
    """
    D = len(sides)
    pixels, sources, signs = [], [], []
    for matrix in axis_matrices(space):
        own = matrix.T if inverse else matrix
        pixels.append(pixel_sources(np.asarray(own, np.int64), sides))
        source, sign = channel_action(signature, D, SignedAxes.of(own, D, "orbit"))
        sources.append(source)
        signs.append(sign)
    rows = (freeze_indices(np.stack(a)) for a in (pixels, sources, signs))
    return tuple(rows)  # pyright: ignore[reportReturnType]


def pixel_sources(matrix: np.ndarray | Array, sides: tuple[int, ...]) -> np.ndarray | Array:
    """For every pixel of a moved image, in row-major order, which one it was.

    Args:
        matrix: A signed permutation of integers, of NumPy or JAX.
        sides: Of the grid; the matrix must preserve them.

    Returns:
        ``(P,)``, of the library of ``matrix``.
    """
    last = np.asarray(sides, matrix.dtype)[:, None] - 1
    centred = 2 * np.indices(sides, matrix.dtype).reshape(len(sides), -1) - last
    place = (matrix.T @ centred + last) // 2
    strides = np.cumprod((1, *sides[:0:-1]))[::-1].astype(matrix.dtype)
    return strides @ place


def moved(v: Array, pixels: np.ndarray | Array, source: Array, sign: Array) -> Array:
    """``(..., C, P)`` moved by one element: a row of every table of `orbit_tables`."""
    turned = jnp.take(jnp.take(v, pixels, axis=-1), source, axis=-2)
    return jnp.where(sign[:, None] < 0, -turned, turned)


def _each(x: Array, tables: Tables, D: int, axis: int | None) -> Array:
    """Moves one array by every element, or the entries of an axis by one element each."""
    first = x.ndim - D
    flat = x.reshape(*x.shape[:first], math.prod(x.shape[first:]))
    out = jax.vmap(moved, in_axes=(axis, 0, 0, 0))(
        flat, *(jnp.asarray(a, jnp.int32) for a in tables)
    )
    return out.reshape(*out.shape[:-1], *x.shape[first:])
