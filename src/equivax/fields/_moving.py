"""How a group element moves an array: ``(g f)(x) = rho(g) f(A(g)^-1 x)``.

Element and shape are static, so which cell comes from where is settled on the host in float64;
what runs in JAX is a transpose, or a weighted sum of gathers. Differentiable, and on the device.
"""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._arguments import is_integer
from ..groups import GroupElement
from ..representations import Representation
from ..spaces import GSpace, SignedPermutation, center, index_matrix

ORDERS = (0, 1, 3)


def turn_fibers(
    rep: Representation, x: Float[Array, "..."], g: GroupElement, axis: int
) -> Float[Array, "..."]:
    """``rho(g)`` on one axis of an array, summand by summand.

    Args:
        rep: The representation.
        x: An array with ``rep.size`` entries along ``axis``.
        g: An element of the group.
        axis: The channel axis.
    """
    x = jnp.moveaxis(x, axis, -1)
    pieces, start = [], 0
    for unit, count in rep.runs:
        stop = start + count * unit.size
        matrix = jnp.asarray(unit(g), x.dtype)
        block = x[..., start:stop].reshape(*x.shape[:-1], count, unit.size)
        moved = jnp.matmul(block, matrix.T, precision=jax.lax.Precision.HIGHEST)
        pieces.append(moved.reshape(*x.shape[:-1], stop - start))
        start = stop
    return jnp.moveaxis(jnp.concatenate(pieces, axis=-1), -1, axis)


def move_points(
    space: GSpace, x: Float[Array, "..."], g: GroupElement, order: int = 1
) -> Float[Array, "..."]:
    """``f(A(g)^-1 x)`` on the last d axes, channels untouched.

    Exact (a transpose and reversals) where ``A(g)`` is a signed permutation; else interpolated,
    with zeros outside.

    Args:
        space: The space, of dimension d.
        x: An array with at least d axes.
        g: An element of the group.
        order: 0 nearest cell, 1 linear, 3 cubic convolution (Keys 1981, a = -1/2).

    Raises:
        ValueError: For another order.
    """
    if not is_integer(order) or order not in ORDERS:
        raise ValueError(f"order: expected 0 (nearest), 1 (linear) or 3 (cubic), got {order!r}")
    exact = space.grid_action(g)
    if exact is not None:
        return _permuted(x, exact)
    dim = space.dim
    shape = x.shape[x.ndim - dim :]
    indices, weights = _neighbours(space.matrix(g), shape, order)
    flat = x.reshape(*x.shape[: x.ndim - dim], -1)
    flat = jnp.concatenate([flat, jnp.zeros_like(flat[..., :1])], axis=-1)  # the world outside
    found = jnp.zeros_like(flat[..., :-1])
    for index, weight in zip(indices, weights, strict=True):
        found = found + flat[..., index] * jnp.asarray(weight, x.dtype)
    return found.reshape(x.shape)


def _permuted(x: Array, exact: SignedPermutation) -> Array:
    lead = x.ndim - len(exact.axes)
    axes = (*range(lead), *(lead + axis for axis in exact.axes))
    return jnp.flip(jnp.transpose(x, axes), [lead + axis for axis in exact.reverse])


def _neighbours(
    action: np.ndarray, shape: tuple[int, ...], order: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """For every cell of the result, the cells it is made of and their weights.

    Cells outside the array get the index one past the end.
    """
    dim = len(shape)
    frame = index_matrix(dim)
    middle = center(shape)
    cells = np.indices(shape).reshape(dim, -1).T - middle
    source = cells @ (frame.T @ action.T @ frame).T + middle  # A^-1 = A^T
    if order == 0:
        base, offsets = np.floor(source + 0.5).astype(np.int64), (0,)
    else:
        base = np.floor(source).astype(np.int64)
        offsets = (0, 1) if order == 1 else (-1, 0, 1, 2)
    indices, weights = [], []
    for offset in itertools.product(offsets, repeat=dim):
        at = base + np.array(offset, np.int64)
        outside = np.any((at < 0) | (at >= np.array(shape)), axis=1)
        flat = np.ravel_multi_index(tuple(np.clip(at, 0, np.array(shape) - 1).T), shape)
        indices.append(np.where(outside, np.prod(shape, dtype=np.int64), flat).astype(np.int32))
        weights.append(np.prod(_kernel(np.abs(source - at), order), axis=1))
    return indices, weights


def _kernel(distance: np.ndarray, order: int) -> np.ndarray:
    """Weight of a neighbour along one axis, by distance."""
    if order == 0:
        return np.ones_like(distance)
    if order == 1:
        return np.clip(1.0 - distance, 0.0, None)
    near = (1.5 * distance - 2.5) * distance**2 + 1.0
    far = ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0
    return np.where(distance <= 1.0, near, np.where(distance < 2.0, far, 0.0))
