"""A `MultiImage` in other shapes: parts, stacks, vectors, lists of images, series in time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._arguments import integer, integers, is_several, refuse, several, shown, type_of
from ._agreement import check_one_grid, matched
from ._arguments import TensorType, type_name
from ._batch_axes import as_split, scalars
from ._dense_channels import to_dense
from ._geometric_image import GeometricImage
from ._metric import is_per_example
from ._signature import Signature

if TYPE_CHECKING:
    from ._multi_image import MultiImage

T = TypeVar("T")


def concat(image: MultiImage, other: MultiImage, axis: int | None) -> MultiImage:
    """Appends channels, or examples along a batch axis."""
    if axis is not None:
        axis = _batch_axis(image, axis, "concat")
        pair = [image.array, matched(image, other, "concat")]
        metrics = [m for m in (image.metric, other.metric) if is_per_example(m, image.D)]
        metric = jnp.concatenate(metrics, axis=axis) if metrics else None
        return image.with_array(jnp.concatenate(pair, axis=axis), metric=metric)
    if image.batch != other.batch:
        raise ValueError(
            f"MultiImage: concat: expected equal batch, got {image.batch} and {other.batch}"
        )
    check_one_grid(image, other, "concat")
    signature = image.signature + other.signature
    parts = [
        one.dense(type_)
        for type_ in signature.types
        for one in (image, other)
        if type_ in one.signature
    ]
    return image.with_array(jnp.concatenate(parts, axis=len(image.batch)), signature)


def split(image: MultiImage, signature: Signature) -> tuple[MultiImage, MultiImage]:
    """The inverse of `concat`."""
    taken, rest, cuts = as_split(image.signature, signature, image.D)
    axis = len(image.batch)
    left, gone = (
        [jax.lax.slice_in_dim(image.array, a, b, axis=axis) for a, b in places] for places in cuts
    )
    return (
        image.with_array(jnp.concatenate(left, axis=axis), rest),
        image.with_array(jnp.concatenate(gone, axis=axis), taken),
    )


def _batch_axis(image: MultiImage, axis: object, caller: str) -> int:
    count, found = len(image.batch), integer(axis, caller, "axis")
    if not -count <= found < count:
        refuse(ValueError, caller, "axis", f"one of {count} batch axes", axis)
    return found % count


def _reshaped(image: MultiImage, batch: tuple[int, ...]) -> MultiImage:
    metric = image.metric
    if is_per_example(metric, image.D):
        metric = metric.reshape(*batch, *metric.shape[metric.ndim - image.D - 2 :])
    array = image.array.reshape(*batch, *image.array.shape[len(image.batch) :])
    return image.with_array(array, metric=metric)


def expand(image: MultiImage, axis: int, size: int) -> MultiImage:
    """One batch axis into two."""
    axis, batch = _batch_axis(image, axis, "expand"), image.batch
    size = integer(size, "expand", "size", 1)
    if batch[axis] % size:
        refuse(ValueError, "expand", "size", f"a divisor of {batch[axis]}", size)
    return _reshaped(image, (*batch[:axis], size, batch[axis] // size, *batch[axis + 1 :]))


def merge(image: MultiImage, axes: Sequence[int]) -> MultiImage:
    """Neighbouring batch axes into one."""
    places = [_batch_axis(image, axis, "merge") for axis in integers(axes, "merge", "axes")]
    if places != list(range(places[0], places[0] + len(places))):
        refuse(ValueError, "merge", "axes", "neighbouring batch axes", axes)
    first, last, batch = places[0], places[-1] + 1, image.batch
    return _reshaped(image, (*batch[:first], math.prod(batch[first:last]), *batch[last:]))


# ---- lists and vectors ---------------------------------------------------------------------------


def listed(images: object, caller: str, wanted: type[T]) -> list[T]:
    """Several images of a kind, at least one.

    Raises:
        TypeError: If it is no list of such.
        ValueError: If it is empty.
    """
    found = several(images, caller, "images", f"a list of at least one {wanted.__name__}")
    return [type_of(image, caller, "images", wanted) for image in found]


def stack(images: Sequence[MultiImage], axis: int) -> MultiImage:
    """Images of one signature along a new batch axis."""
    first = images[0]
    arrays = [first.array, *(matched(first, image, "stack") for image in images[1:])]
    if any(a.shape != arrays[0].shape for a in arrays):
        raise ValueError(f"stack: images: expected equal shapes, got {[a.shape for a in arrays]}")
    count, axis = len(first.batch) + 1, integer(axis, "stack", "axis")
    if not -count <= axis < count:
        refuse(ValueError, "stack", "axis", f"a place among {first.batch}", axis)
    metrics = [image.metric for image in images if is_per_example(image.metric, first.D)]
    metric = jnp.stack(metrics, axis=axis % count) if metrics else None
    return first.with_array(jnp.stack(arrays, axis=axis % count), metric=metric)


def from_vector(vector: Array, like: MultiImage) -> MultiImage:
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
    return like.with_array(jnp.concatenate(parts, axis=len(like.batch)))


def to_images(image: MultiImage) -> list[GeometricImage]:
    """Every field of every example."""
    found = []
    for (flags, parity), block in image.blocks().items():
        rows = block.reshape(-1, *block.shape[len(image.batch) + 1 :])
        found += [GeometricImage(row, parity, image.D, image.is_torus, flags) for row in rows]
    return found


def blocks_of_images(
    images: object, batch: object
) -> tuple[dict[TensorType, Array], GeometricImage]:
    """Stacks images by type."""
    images = listed(images, "from_images", GeometricImage)
    if is_several(batch):
        lead = integers(batch, "from_images", "batch", 1) if len(batch) else ()
    else:
        count = integer(batch, "from_images", "batch", 0)
        lead = (count,) if count else ()
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
                f"{type_name(type_)}, got {shown(batch)}"
            )
        blocks[type_] = jnp.stack(rows).reshape(*lead, channels, *rows[0].shape)
    return blocks, first


# ---- time --------------------------------------------------------------------------------------


def fold_time(image: MultiImage) -> MultiImage:
    """``(..., T, c)`` to ``(..., c T)`` for every type."""
    if not image.batch:
        raise ValueError("fold_time: expected a batch axis of time steps, got none")
    if is_per_example(image.metric, image.D):
        raise ValueError("fold_time: metric: expected one for all time steps, got one for each")
    axis, parts = len(image.batch) - 1, []
    for type_, block in image.blocks().items():
        moved = jnp.swapaxes(block, axis, axis + 1)
        channels = block.shape[axis] * block.shape[axis + 1]
        merged = moved.reshape(*image.batch[:-1], channels, *block.shape[axis + 2 :])
        parts.append(to_dense(merged, len(type_[0]), image.D))
    signature = image.signature.scale(image.batch[-1])
    return image.with_array(jnp.concatenate(parts, axis=axis), signature)


def unfold_time(image: MultiImage, steps: int) -> MultiImage:
    """``(..., c T)`` to ``(..., T, c)`` for every type."""
    steps, signature = _per_step(image, steps, "unfold_time")
    axis, parts = len(image.batch), []
    if is_per_example(image.metric, image.D):
        raise ValueError("unfold_time: metric: expected one for all examples, got one for each")
    for (type_, channels), block in zip(signature, image.blocks().values(), strict=True):
        cut = block.reshape(*image.batch, channels, steps, *block.shape[axis + 1 :])
        parts.append(to_dense(jnp.swapaxes(cut, axis, axis + 1), len(type_[0]), image.D))
    return image.with_array(jnp.concatenate(parts, axis=axis + 1), signature)


def _per_step(image: MultiImage, steps: object, caller: str) -> tuple[int, Signature]:
    """The number of steps, and what the channels of one are."""
    count = integer(steps, caller, "steps", 1)
    if any(n % count for _, n in image.signature):
        takes = f"a divisor of the channels of {image.signature!r}"
        refuse(ValueError, caller, "steps", takes, steps)
    return count, Signature(tuple((type_, n // count) for type_, n in image.signature))


def component(image: MultiImage, i: int, steps: int) -> MultiImage:
    """One component of one field at all time steps."""
    steps, signature = _per_step(image, steps, "component")
    i, total = integer(i, "component", "i"), signature.size(image.D)
    if not 0 <= i < total:
        refuse(IndexError, "component", "i", f"one of {total} components", i)
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
    return image.with_array(found, scalars(steps))
