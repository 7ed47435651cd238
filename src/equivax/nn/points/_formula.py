"""The formula of convolutions on points: kernels at offsets, messages, sums at the receivers.

A kernel is a sum of fixed matrices, weighted with functions of the offset. So a receiver first adds
up the inputs of its neighbours, once for each function, and the matrices are applied to these sums:
once a point, and not once an edge. The edges are sorted by receiver and cut into rows of equal
length, so that the sums are one batched product: no array has edges times functions times channels,
in gradients neither.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from ...hom import HIGHEST, at_least_float32
from ...kernels import point_functions


def valid_edges(senders, receivers, count):
    """Whether both ends of an edge are points."""
    inside = (senders >= 0) & (senders < count)
    return inside & (receivers >= 0) & (receivers < count)


def smooth_cutoff(offsets, radius):
    """1 at offset 0, 0 from a radius on, smooth at both ends, ``(..., 1)``."""
    share = (offsets**2).sum(axis=-1, keepdims=True) / radius**2
    # (1 - s)^3 of the squared length: two derivatives vanish at the radius, all odd ones at 0.
    return jnp.maximum(1 - share, 0) ** 3


def point_conv(
    kernel,
    bias,
    x,
    positions,
    senders,
    receivers,
    key=None,
    *,
    width,
    degrees,
    cutoff,
    aggregate,
    precision,
):
    """Convolution on one point cloud.

    Args:
        kernel: ``(out, in, functions)``.
        bias: ``(out,)`` or None.
        x: ``(N, in)``.
        positions: ``(N, d)``.
        senders: ``(E,)``.
        receivers: ``(E,)``.
        key: Ignored; layers of Equinox take one.
        width: Of `point_functions`.
        degrees: Likewise.
        cutoff: Radius from which on there is nothing, or None.
        aggregate: ``"sum"`` or ``"mean"``.
        precision: Of the product with the kernel.
    """
    count, edges, wide = x.shape[0], senders.shape[0], at_least_float32(x.dtype)
    if count == 0 or edges == 0:
        y = jnp.zeros((count, kernel.shape[0]), x.dtype)
        return y if bias is None else y + bias.astype(x.dtype)
    valid = valid_edges(senders, receivers, count)
    place = jnp.where(valid, receivers, count)  # out of range: dropped, and last in order
    sources = jnp.where(valid, senders, count)[jnp.argsort(place)]
    neighbours = jax.ops.segment_sum(valid.astype(jnp.int32), place, count)
    starts = jnp.cumsum(neighbours) - neighbours

    length = -(-edges // count)  # of a row: as many as a point has on average
    sums = functools.partial(
        of_rows, kernel.astype(wide), x.astype(wide), positions, sources, length,
        width=width, degrees=degrees, cutoff=cutoff, precision=precision,
    )  # fmt: skip
    total = sums(positions, starts, neighbours)
    total = total + jax.lax.cond(
        jnp.any(neighbours > length),
        lambda: of_further_rows(sums, positions, starts, neighbours, length, edges // length),
        lambda: jnp.zeros_like(total),
    )
    if aggregate == "mean":
        total = total / jnp.maximum(neighbours, 1)[:, None].astype(wide)
    y = total.astype(x.dtype)
    return y if bias is None else y + bias.astype(x.dtype)


def of_further_rows(sums, positions, starts, neighbours, length, number):
    """What is left for points with more neighbours than fit in a row, ``(N, out)``.

    Args:
        sums: `of_rows` of all but the rows.
        positions: ``(N, d)``.
        starts: Where the edges of every point begin.
        neighbours: How many they are.
        length: Of the rows.
        number: Of further rows, at most: edges over length.
    """
    more = jnp.maximum(-(-neighbours // length) - 1, 0)
    points = jnp.arange(positions.shape[0], dtype=more.dtype)
    at = jnp.repeat(points, more, total_repeat_length=number)
    rows = jnp.arange(number, dtype=more.dtype) - (jnp.cumsum(more) - more)[at]
    done = length * (1 + rows)
    found = sums(positions[at], starts[at] + done, neighbours[at] - done)
    return jax.ops.segment_sum(found, at, len(points), indices_are_sorted=True)


def of_rows(
    kernel, x, positions, sources, length, centres, first, left,
    *, width, degrees, cutoff, precision,
):  # fmt: skip
    """What the kernel makes of rows of edges, ``(rows, out)``.

    Args:
        kernel: ``(out, in, functions)``.
        x: ``(N, in)``.
        positions: ``(N, d)``.
        sources: Senders of the sorted edges, N for none.
        length: Of the rows.
        centres: Positions of their receivers.
        first: Where they begin among the edges.
        left: How many edges are left to the receiver there; none if negative.
        width: Of `point_functions`.
        degrees: Likewise.
        cutoff: Radius from which on there is nothing, or None.
        precision: Of the product with the kernel.
    """
    slots = jnp.arange(length, dtype=left.dtype)
    there = slots < left[:, None]
    froms = sources.at[first[:, None] + slots].get(mode="clip")
    froms = jnp.where(there, froms, x.shape[0])
    inputs = x.at[froms].get(mode="fill", fill_value=0)
    offsets = positions.at[froms].get(mode="fill", fill_value=0) - centres[:, None]
    offsets = jnp.where(there[..., None], offsets, 0)
    offsets = offsets.astype(at_least_float32(offsets.dtype))
    values = point_functions(offsets, width, degrees)
    if cutoff is not None:
        values = values * smooth_cutoff(offsets, cutoff)
    values = values.astype(x.dtype)
    sums = jnp.einsum("nkc,nkf->ncf", inputs, values, precision=HIGHEST)
    return jnp.einsum("ncf,ocf->no", sums, kernel, precision=precision)
