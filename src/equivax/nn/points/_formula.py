"""The formula of convolutions on points: kernels at offsets, messages, sums at the receivers.

A kernel is a sum of fixed matrices, weighted with functions of the offset. So a receiver first adds
up the inputs of its neighbours, once for each function, and the matrices are applied to these sums:
once a point, and not once an edge. No array has edges times both channels.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ...hom import at_least_float32
from ...kernels import point_functions


def valid_edges(senders, receivers, count):
    """Whether both ends of an edge are points."""
    inside = (senders >= 0) & (senders < count)
    return inside & (receivers >= 0) & (receivers < count)


def offsets_of(positions, senders, receivers, valid):
    """From receivers to senders; 0 for padding."""
    last = max(positions.shape[0] - 1, 0)
    ends = [positions[jnp.clip(end, 0, last)] for end in (senders, receivers)]
    return jnp.where(valid[:, None], ends[0] - ends[1], 0)


def smooth_cutoff(offsets, radius):
    """1 at offset 0, 0 from a radius on, smooth at both ends, ``(edges, 1)``."""
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
    count, wide = x.shape[0], at_least_float32(x.dtype)
    if count == 0 or senders.shape[0] == 0:
        y = jnp.zeros((count, kernel.shape[0]), x.dtype)
        return y if bias is None else y + bias.astype(x.dtype)
    valid = valid_edges(senders, receivers, count)
    offsets = offsets_of(positions, senders, receivers, valid)
    offsets = offsets.astype(at_least_float32(offsets.dtype))
    weights = jnp.where(valid[:, None], 1, 0).astype(offsets.dtype)
    if cutoff is not None:
        weights = weights * smooth_cutoff(offsets, cutoff)
    inputs = x.astype(wide)[jnp.clip(senders, 0, count - 1)]
    place = jnp.where(valid, receivers, count)  # out of range: dropped
    total, start = jnp.zeros((count, kernel.shape[0]), wide), 0
    for functions in point_functions(offsets, width, degrees):  # ring by ring: less memory
        values = (functions * weights).astype(wide)
        messages = values[:, :, None] * inputs[:, None, :]
        sums = jax.ops.segment_sum(messages, place, count)
        matrices = kernel[:, :, start : start + values.shape[-1]].astype(wide)
        total = total + jnp.einsum("nfc,ocf->no", sums, matrices, precision=precision)
        start += values.shape[-1]
    if aggregate == "mean":
        neighbours = jax.ops.segment_sum(valid.astype(wide), place, count)
        total = total / jnp.maximum(neighbours, 1)[:, None]
    y = total.astype(x.dtype)
    return y if bias is None else y + bias.astype(x.dtype)
