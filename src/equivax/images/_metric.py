"""What a metric does: it raises and lowers the tensor axes of dense channels, and moves itself."""

from __future__ import annotations

from typing import TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..hom import is_concrete
from . import _tensors as tensors
from ._arguments import TensorType, as_real
from ._dense_channels import to_block, to_dense
from ._geometric_image import GeometricImage
from ._signature import Signature
from ._signed_axes import SignedAxes, turn_axis, turn_grid

SYMMETRIC = 1e-2
"""Relative: metrics of 16 bits, and sums in another order, are symmetric to their rounding."""


def as_metric(metric: object, array: Array, D: int) -> Array | None:
    """The metric of a dense array ``(..., C, *spatial)``, from an array or an image.

    Raises:
        ValueError: If its shape does not fit, or it is not symmetric and positive definite.
    """
    if isinstance(metric, GeometricImage):
        metric = metric.data
    if metric is None:
        return None
    found = as_real(metric, "MultiImage", "metric")
    batch, inner = array.shape[: array.ndim - D - 1], (*array.shape[array.ndim - D :], D, D)
    if found.shape not in (inner, (*batch, *inner)):
        raise ValueError(
            f"MultiImage: metric: expected shape {inner}, or that after the batch axes {batch}, "
            f"got {found.shape}"
        )
    if is_concrete(found) and not _is_metric(np.asarray(found, np.float64)):
        raise ValueError(
            "MultiImage: metric: expected symmetric positive definite matrices at every pixel, got "
            "others; 0.5 * (g + g^T) is symmetric, and adding a multiple of the unit matrix makes "
            "it definite"
        )
    return found


def _is_metric(matrices: np.ndarray) -> bool:
    size = np.abs(matrices).max(initial=0.0, axis=(-1, -2), keepdims=True)
    symmetric = np.abs(matrices - np.swapaxes(matrices, -1, -2)) <= SYMMETRIC * size
    if not np.isfinite(matrices).all() or not symmetric.all():
        return False
    minors = [np.linalg.det(matrices[..., :n, :n]) for n in range(1, matrices.shape[-1] + 1)]
    return all((minor > 0).all() for minor in minors)


def is_per_example(metric: Array | None, D: int) -> TypeGuard[Array]:
    """Whether every example has a metric of its own."""
    return metric is not None and metric.ndim > D + 2


def turn_metric(metric: Array, g: SignedAxes) -> Array:
    """Moves a metric ``(..., *spatial, D, D)``: its grid and its two axes."""
    D = len(g.source)
    turned = turn_grid(metric, g, metric.ndim - 2 - D)
    flat = turned.reshape(*turned.shape[:-2], D**2)
    return turn_axis(flat, *g.components(2, 0), axis=-1).reshape(turned.shape)


def _for_channels(metric: Array, D: int, axis: int) -> Array:
    """One metric for all channels."""
    return jnp.expand_dims(metric, axis) if is_per_example(metric, D) else metric


def uniform(signature: Signature, flag: bool) -> Signature:
    """The same orders and parities, all axes lower or all upper."""
    found: dict[TensorType, int] = {}
    for (flags, parity), channels in signature:
        key = ((flag,) * len(flags), parity)
        found[key] = found.get(key, 0) + channels
    return Signature(found)


def change_flags(
    array: Array, signature: Signature, wanted: Signature, metric: Array, D: int
) -> Array:
    """Dense channels with axes raised and lowered.

    Fields are matched in order within equal order and parity.

    Args:
        array: ``(..., C, *spatial)``.
        signature: Flags of the array.
        wanted: Flags of the result.
        metric: ``(*spatial, D, D)``, maybe after batch axes.
        D: The dimension.

    Raises:
        ValueError: If the numbers of channels do not agree.
    """
    axis = array.ndim - D - 1
    flat = [uniform(s, False) for s in (signature, wanted)]
    if dict(flat[0]) != dict(flat[1]):
        raise ValueError(
            f"raise_lower: signature: expected as many channels per order and parity as "
            f"{signature!r}, got {wanted!r}"
        )
    metric = _for_channels(metric, D, axis)
    queues: dict[tuple[int, int], list[tuple[tuple[bool, ...], int]]] = {}
    for (flags, parity), place in signature.slices(D).items():
        size = D ** len(flags)
        starts = range(place.start, place.stop, size)
        queues.setdefault((len(flags), parity), []).extend((flags, start) for start in starts)
    parts = []
    for (flags, parity), channels in wanted:
        queue = queues.get((len(flags), parity), [])
        taken, queue[:] = queue[:channels], queue[channels:]
        k, size = len(flags), D ** len(flags)
        for before in dict.fromkeys(given for given, _ in taken):
            starts = [start for given, start in taken if given == before]
            dense = jax.lax.slice_in_dim(array, starts[0], starts[-1] + size, axis=axis)
            if before != flags:
                block = tensors.raise_lower(to_block(dense, k, D), metric, before, flags, D)
                dense = to_dense(block, k, D)
            parts.append(dense)
    return jnp.concatenate(parts, axis=axis)


def flat_metric_axes(
    array: Array, signature: Signature, metric: Array, D: int, *, lower: bool
) -> Array:
    """Dense channels with all axes lowered, or raised from there to the flags of a signature.

    The order of the channels stays, also where types differ in flags only.

    Args:
        array: ``(..., C, *spatial)``.
        signature: Flags before lowering, or after raising.
        metric: ``(*spatial, D, D)``, maybe after batch axes.
        D: The dimension.
        lower: Whether to lower.
    """
    axis = array.ndim - D - 1
    metric = _for_channels(metric, D, axis)
    parts = []
    for (flags, _), place in signature.slices(D).items():
        dense = jax.lax.slice_in_dim(array, place.start, place.stop, axis=axis)
        down = (True,) * len(flags)
        if flags != down:
            given, wanted = (flags, down) if lower else (down, flags)
            block = to_block(dense, len(flags), D)
            block = tensors.raise_lower(block, metric, given, wanted, D)
            dense = to_dense(block, len(flags), D)
        parts.append(dense)
    return jnp.concatenate(parts, axis=axis)
