"""Other forms of a `MultiImage`: vectors, lists of images, series in time, raised and lowered."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from . import _tensors as tensors
from ._arguments import is_integer, type_name
from ._batch import as_split, scalars
from ._dense_channels import channel_action, to_block, to_dense
from ._geometric_image import GeometricImage
from ._signature import Signature
from ._signed_axes import SignedAxes, turn_axis, turn_grid


def own_metrics(image: Any) -> bool:
    """Whether every example has a metric of its own."""
    return image.metric is not None and image.metric.ndim > image.D + 2


def matched(image: Any, other: Any, sign: str) -> Array:
    """The array of another image with its types in the order of the first.

    Raises:
        ValueError: If grids, types, channels or metrics differ.
    """
    for what in ("D", "is_torus", "spatial"):
        if getattr(image, what) != getattr(other, what):
            raise ValueError(
                f"MultiImage: x {sign} y: expected equal {what}, got {getattr(image, what)} and "
                f"{getattr(other, what)}"
            )
    _check_metric(image.metric, other.metric, sign)
    return other.reorder(image.signature).array


def _check_metric(one: Array | None, two: Array | None, sign: str) -> None:
    """Refuses metrics that differ, as far as that can be known: traced ones have no values."""
    if one is two:
        return
    problem = one is None or two is None or one.shape != two.shape
    if not problem and not any(isinstance(m, Tracer) for m in (one, two)):
        problem = not np.array_equal(np.asarray(one), np.asarray(two))
    if problem:
        raise ValueError(f"MultiImage: x {sign} y: expected equal metrics, or none in both")


def concat(image: Any, other: Any, axis: int | None) -> Any:
    """Appends channels, or examples along a batch axis."""
    if axis is not None:
        axis = _batch_axis(image, axis)
        pair = [image.array, matched(image, other, "concat")]
        metric = image.metric
        if own_metrics(image):
            metric = jnp.concatenate([metric, other.metric], axis=axis)
        return image._with(jnp.concatenate(pair, axis=axis), metric=metric)
    for what in ("D", "is_torus", "spatial", "batch"):
        if getattr(image, what) != getattr(other, what):
            raise ValueError(
                f"MultiImage: concat: expected equal {what}, got {getattr(image, what)} and "
                f"{getattr(other, what)}"
            )
    _check_metric(image.metric, other.metric, "concat")
    signature = image.signature + other.signature
    parts = [
        one._dense(type_)
        for type_ in signature.types
        for one in (image, other)
        if type_ in one.signature
    ]
    return image._with(jnp.concatenate(parts, axis=len(image.batch)), signature)


def split(image: Any, signature: Signature) -> tuple[Any, Any]:
    """The inverse of `concat`."""
    taken, rest, cuts = as_split(image.signature, signature, image.D)
    axis = len(image.batch)
    left, gone = (
        [jax.lax.slice_in_dim(image.array, a, b, axis=axis) for a, b in places] for places in cuts
    )
    return (
        image._with(jnp.concatenate(left, axis=axis), rest),
        image._with(jnp.concatenate(gone, axis=axis), taken),
    )


def _batch_axis(image: Any, axis: Any) -> int:
    count = len(image.batch)
    if not is_integer(axis) or not -count <= axis < count:
        raise ValueError(f"axis: expected one of {count} batch axes, got {axis!r}")
    return operator.index(axis) % count


def _reshaped(image: Any, batch: tuple[int, ...]) -> Any:
    metric = image.metric
    if own_metrics(image):
        metric = metric.reshape(*batch, *metric.shape[metric.ndim - image.D - 2 :])
    array = image.array.reshape(*batch, *image.array.shape[len(image.batch) :])
    return image._with(array, metric=metric)


def expand(image: Any, axis: int, size: int) -> Any:
    """One batch axis into two."""
    axis, batch = _batch_axis(image, axis), image.batch
    if not is_integer(size) or size < 1 or batch[axis] % size:
        raise ValueError(f"expand: size: expected a divisor of {batch[axis]}, got {size!r}")
    return _reshaped(image, (*batch[:axis], size, batch[axis] // size, *batch[axis + 1 :]))


def merge(image: Any, axes: Sequence[int]) -> Any:
    """Neighbouring batch axes into one."""
    places = [_batch_axis(image, axis) for axis in axes]
    if not places or places != list(range(places[0], places[0] + len(places))):
        raise ValueError(f"merge: axes: expected neighbouring batch axes, got {axes!r}")
    first, last, batch = places[0], places[-1] + 1, image.batch
    return _reshaped(image, (*batch[:first], math.prod(batch[first:last]), *batch[last:]))


# ---- the group -----------------------------------------------------------------------------------


def transform(image: Any, g: SignedAxes) -> Any:
    """Moves data, metric and flags."""
    axis = len(image.batch)
    moved = turn_grid(image.array, g, axis + 1)
    array = turn_axis(moved, *channel_action(image.signature, image.D, g), axis=axis)
    metric = image.metric
    if metric is not None:
        turned = turn_grid(metric, g, metric.ndim - 2 - image.D)
        flat = turned.reshape(*turned.shape[:-2], image.D**2)
        metric = turn_axis(flat, *g.components(2, 0), axis=-1).reshape(turned.shape)
    return image._with(array, metric=metric, is_torus=g.flags(image.is_torus))


def translate(image: Any, shift: tuple[int, ...]) -> Any:
    """Rolls data and metric."""
    D, metric = image.D, image.metric
    if metric is not None:
        metric = jnp.roll(metric, shift, axis=tuple(range(-2 - D, -2)))
    return image._with(jnp.roll(image.array, shift, axis=tuple(range(-D, 0))), metric=metric)


# ---- lists and vectors ---------------------------------------------------------------------------


def stack(images: Sequence[Any], axis: int) -> Any:
    """Images of one signature along a new batch axis."""
    if not images:
        raise ValueError("stack: images: expected at least one, got none")
    first = images[0]
    arrays = [first.array, *(matched(first, image, "stack") for image in images[1:])]
    if any(a.shape != arrays[0].shape for a in arrays):
        raise ValueError(f"stack: images: expected equal shapes, got {[a.shape for a in arrays]}")
    count = len(first.batch) + 1
    if not is_integer(axis) or not -count <= axis < count:
        raise ValueError(f"stack: axis: expected a place among {first.batch}, got {axis!r}")
    metric = first.metric
    if own_metrics(first):
        metric = jnp.stack([image.metric for image in images], axis=axis % count)
    return first._with(jnp.stack(arrays, axis=axis % count), metric=metric)


def from_vector(vector: Array, like: Any) -> Any:
    """Cuts a vector into blocks."""
    if vector.shape != (like.array.size,):
        raise ValueError(
            f"from_vector: expected shape ({like.array.size},) for {like!r}, got {vector.shape}"
        )
    parts, start = [], 0
    for type_, block in like.blocks().items():
        piece = vector[start : start + block.size].reshape(block.shape)
        parts.append(to_dense(piece, len(type_[0]), like.D))
        start += block.size
    return like._with(jnp.concatenate(parts, axis=len(like.batch)))


def to_images(image: Any) -> list[GeometricImage]:
    """Every field of every example."""
    found = []
    for (flags, parity), block in image.blocks().items():
        rows = block.reshape(-1, *block.shape[len(image.batch) + 1 :])
        found += [GeometricImage(row, parity, image.D, image.is_torus, flags) for row in rows]
    return found


def blocks_of_images(
    images: Sequence[GeometricImage], batch: Any
) -> tuple[dict[Any, Array], GeometricImage]:
    """Stacks images by type."""
    if not images:
        raise ValueError("from_images: images: expected at least one, got none")
    lead = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,) if batch else ()
    if not all(is_integer(n) and n > 0 for n in lead):
        raise ValueError(f"from_images: batch: expected a number of examples, got {batch!r}")
    first, groups = images[0], {}
    for image in images:
        if (image.D, image.is_torus, image.spatial) != (first.D, first.is_torus, first.spatial):
            raise ValueError(f"from_images: images: expected one grid, got {first!r} and {image!r}")
        groups.setdefault(image.type, []).append(image.data)
    blocks = {}
    for type_, rows in groups.items():
        channels, rest = divmod(len(rows), math.prod(lead))
        if rest:
            raise ValueError(
                f"from_images: batch: expected a divisor of the {len(rows)} images of type "
                f"{type_name(type_)}, got {batch}"
            )
        blocks[type_] = jnp.stack(rows).reshape(*lead, channels, *rows[0].shape)
    return blocks, first


# ---- time --------------------------------------------------------------------------------------


def fold_time(image: Any) -> Any:
    """``(..., T, c)`` to ``(..., c T)`` for every type."""
    if not image.batch:
        raise ValueError("fold_time: expected a batch axis of time steps, got none")
    if own_metrics(image):
        raise ValueError("fold_time: metric: expected one for all time steps, got one for each")
    axis, parts = len(image.batch) - 1, []
    for type_, block in image.blocks().items():
        moved = jnp.swapaxes(block, axis, axis + 1)
        channels = block.shape[axis] * block.shape[axis + 1]
        merged = moved.reshape(*image.batch[:-1], channels, *block.shape[axis + 2 :])
        parts.append(to_dense(merged, len(type_[0]), image.D))
    signature = image.signature.scale(image.batch[-1])
    return image._with(jnp.concatenate(parts, axis=axis), signature)


def unfold_time(image: Any, steps: int) -> Any:
    """``(..., c T)`` to ``(..., T, c)`` for every type."""
    signature, axis, parts = _per_step(image, steps, "unfold_time"), len(image.batch), []
    if own_metrics(image):
        raise ValueError("unfold_time: metric: expected one for all examples, got one for each")
    for (type_, channels), block in zip(signature, image.blocks().values(), strict=True):
        cut = block.reshape(*image.batch, channels, steps, *block.shape[axis + 1 :])
        parts.append(to_dense(jnp.swapaxes(cut, axis, axis + 1), len(type_[0]), image.D))
    return image._with(jnp.concatenate(parts, axis=axis + 1), signature)


def _per_step(image: Any, steps: Any, caller: str) -> Signature:
    if not is_integer(steps) or steps < 1 or any(n % steps for _, n in image.signature):
        raise ValueError(
            f"{caller}: steps: expected a divisor of the channels of {image.signature!r}, got "
            f"{steps!r}"
        )
    return Signature(tuple((type_, n // steps) for type_, n in image.signature))


def component(image: Any, i: int, steps: int) -> Any:
    """One component of one field at all time steps."""
    total = _per_step(image, steps, "component").size(image.D)
    if not is_integer(i) or not 0 <= i < total:
        raise IndexError(f"component: i: expected one of {total} components, got {i!r}")
    start = 0
    for (flags, _), place in image.signature.slices(image.D).items():
        size = image.D ** len(flags)
        stop = start + (place.stop - place.start) // steps
        if start <= i < stop:
            field, within = divmod(i - start, size)
            start = place.start + field * steps * size + within
            break
        start = stop
    axis = len(image.batch)
    limit = start + (steps - 1) * size + 1
    found = jax.lax.slice_in_dim(image.array, start, limit, stride=size, axis=axis)
    return image._with(found, scalars(steps))


# ---- the metric --------------------------------------------------------------------------------


def uniform(signature: Signature, flag: bool) -> Signature:
    """The same orders and parities, all axes lower or all upper."""
    found: dict[Any, int] = {}
    for (flags, parity), channels in signature:
        key = ((flag,) * len(flags), parity)
        found[key] = found.get(key, 0) + channels
    return Signature(found)


def change_flags(image: Any, wanted: Signature) -> Array:
    """The dense array with axes raised and lowered.

    Fields are matched in order within equal order and parity.

    Raises:
        ValueError: If their channels do not agree.
    """
    D, axis = image.D, len(image.batch)
    flat = [uniform(s, False) for s in (image.signature, wanted)]
    if dict(flat[0]) != dict(flat[1]):
        raise ValueError(
            f"raise_lower: signature: expected as many channels per order and parity as "
            f"{image.signature!r}, got {wanted!r}"
        )
    metric = image.metric
    if own_metrics(image):
        metric = jnp.expand_dims(metric, axis)  # one for all channels
    queues: dict[tuple[int, int], list[tuple[tuple[bool, ...], int]]] = {}
    for (flags, parity), place in image.signature.slices(D).items():
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
            dense = jax.lax.slice_in_dim(image.array, starts[0], starts[-1] + size, axis=axis)
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
    if metric.ndim > D + 2:
        metric = jnp.expand_dims(metric, axis)
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
