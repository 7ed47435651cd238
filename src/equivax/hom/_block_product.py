"""Products of many rows with few matrices, that stay one large product under `vmap`.

Users apply a layer to one example and `vmap` it. A plain `dot_general` then has the batch as a
second row axis, and the gradient in the matrix contracts two axes at once, for which XLA on CPU
first copies an operand to a transposed layout (measured: a third of a training step). The two
primitives here, ``rows_times`` and ``rows_outer``, take any number of row axes, grow by one under
`vmap`, and merge them when they are lowered. They are each other's derivatives.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.lax import PrecisionLike
from jaxtyping import Array, Float

from ._devices import varying_alike

Pair = tuple[Array, Array]
Axes = tuple[Any, Any]
"""Batch axes of two arrays under `vmap`: an integer, or None where there is none."""

rows_times_p = Primitive("rows_times")
rows_outer_p = Primitive("rows_outer")


def rows_times(
    z: Float[Array, "irreps *rows in"],
    weight: Float[Array, "irreps out in"],
    precision: PrecisionLike = None,
) -> Float[Array, "irreps *rows out"]:
    """``y[c, ..., o] = sum_i z[c, ..., i] weight[c, o, i]``.

    Args:
        z: Rows, per irrep.
        weight: One matrix per irrep.
        precision: As in `jax.lax.dot`.
    """
    return rows_times_p.bind(*varying_alike(z, weight), precision=precision)


def _merged(z: Array) -> Array:
    return z.reshape(z.shape[0], math.prod(z.shape[1:-1]), z.shape[-1])


def _rows_times(z: Array, weight: Array, *, precision: PrecisionLike) -> Array:
    flat = _merged(z)
    if z.shape[0] == 1:  # a plain product is faster than a batch of one
        y = jnp.einsum("bi,oi->bo", flat[0], weight[0], precision=precision)
    else:
        y = jnp.einsum("cbi,coi->cbo", flat, weight, precision=precision)
    return y.reshape(*z.shape[:-1], weight.shape[1])


def _rows_outer(a: Array, b: Array, *, precision: PrecisionLike) -> Array:
    """``w[c, o, i] = sum over rows of a[c, ..., o] b[c, ..., i]``."""
    flat_a, flat_b = _merged(a), _merged(b)
    if a.shape[0] == 1:
        w = jnp.einsum("bo,bi->oi", flat_a[0], flat_b[0], precision=precision)
        return w.reshape(1, *w.shape)
    return jnp.einsum("cbo,cbi->coi", flat_a, flat_b, precision=precision)


def _times_shape(z: ShapedArray, weight: ShapedArray, *, precision: PrecisionLike) -> ShapedArray:
    return z.update(shape=(*z.shape[:-1], weight.shape[1]))


def _outer_shape(a: ShapedArray, b: ShapedArray, *, precision: PrecisionLike) -> ShapedArray:
    return a.update(shape=(a.shape[0], a.shape[-1], b.shape[-1]))


def _times_batched(args: Pair, axes: Axes, *, precision: PrecisionLike) -> tuple[Array, int]:
    (z, weight), (z_axis, weight_axis) = args, axes
    if weight_axis is None:  # one set of matrices: the batch is one more row axis
        z = jnp.moveaxis(z, z_axis, 1)
        return rows_times_p.bind(z, weight, precision=precision), 1
    count = weight.shape[weight_axis]
    weight = jnp.moveaxis(weight, weight_axis, 0)
    z = _leading(z, z_axis, count)
    y = rows_times_p.bind(_folded(z), _folded(weight), precision=precision)
    return y.reshape(count, -1, *y.shape[1:]), 0


def _outer_batched(args: Pair, axes: Axes, *, precision: PrecisionLike) -> tuple[Array, int]:
    (a, b), (a_axis, b_axis) = args, axes
    count = a.shape[a_axis] if a_axis is not None else b.shape[b_axis]
    a, b = _leading(a, a_axis, count), _leading(b, b_axis, count)
    w = rows_outer_p.bind(_folded(a), _folded(b), precision=precision)
    return w.reshape(count, -1, *w.shape[1:]), 0


def _leading(x: Array, axis: int | None, count: int) -> Array:
    if axis is None:
        return jnp.broadcast_to(x, (count, *x.shape))
    return jnp.moveaxis(x, axis, 0)


def _folded(x: Array) -> Array:
    """A mapped axis of matrices joins the axis of irreps."""
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def _swapped(weight: Array) -> Array:
    return jnp.swapaxes(weight, -1, -2)


ad.defbilinear(
    rows_times_p,
    lambda ct, z, weight, *, precision: rows_times_p.bind(
        ct, _swapped(weight), precision=precision
    ),
    lambda ct, z, weight, *, precision: rows_outer_p.bind(ct, z, precision=precision),
)
ad.defbilinear(
    rows_outer_p,
    lambda ct, a, b, *, precision: rows_times_p.bind(b, ct, precision=precision),
    lambda ct, a, b, *, precision: rows_times_p.bind(a, _swapped(ct), precision=precision),
)
for primitive, function, shape, batched in (
    (rows_times_p, _rows_times, _times_shape, _times_batched),
    (rows_outer_p, _rows_outer, _outer_shape, _outer_batched),
):
    primitive.def_impl(function)
    primitive.def_abstract_eval(shape)
    batching.primitive_batchers[primitive] = batched
    mlir.register_lowering(primitive, mlir.lower_fun(function, multiple_results=False))
