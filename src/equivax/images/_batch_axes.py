"""Static bookkeeping of batch axes and channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._arguments import arrays, is_integer, refuse
from ._arguments import as_factor, type_name
from ._signature import Signature

if TYPE_CHECKING:
    from ._multi_image import MultiImage


def as_batch_index(indices: object, batch: tuple[int, ...]) -> tuple[Any, ...]:
    """An index that touches batch axes only.

    Raises:
        IndexError: If an integer is out of range.
        ValueError: If there are too many entries.
        TypeError: If something is no index.
    """
    entries = [_as_entry(e) for e in (indices if isinstance(indices, tuple) else (indices,))]
    used = sum(_axes(e) for e in entries if e is not Ellipsis)
    if used > len(batch):
        raise ValueError(f"index: expected at most {len(batch)} batch axes, got {indices!r}")
    found, axis = [], 0
    for entry in entries:
        if entry is Ellipsis:
            missing = len(batch) - used
            found += [slice(None)] * missing
            axis, used = axis + missing, len(batch)
            continue
        if isinstance(entry, int) and not -batch[axis] <= entry < batch[axis]:
            raise IndexError(f"index: expected one of {batch[axis]} examples, got {entry}")
        found.append(entry)
        axis += _axes(entry)
    return tuple(found)


def _as_entry(entry: object) -> Any:
    """An entry of an index as arrays take it: an integer, an array, a slice, None or `...`."""
    takes = "integers, slices, or arrays of integers or booleans"
    if is_integer(entry):
        return int(entry)
    if isinstance(entry, slice):
        if not all(n is None or is_integer(n) for n in (entry.start, entry.stop, entry.step)):
            refuse(TypeError, "MultiImage", "index", takes, entry)
        return entry
    if isinstance(entry, list):
        found = arrays.host(entry, "MultiImage", "index", takes)
        entry = found if found.size else found.astype(np.int64)
    dtype = getattr(entry, "dtype", None)
    array = hasattr(entry, "ndim") and getattr(dtype, "kind", "") in ("b", "i", "u")
    if not (entry is None or entry is Ellipsis or array):
        refuse(TypeError, "MultiImage", "index", takes, entry)
    return entry


def _axes(entry: Any) -> int:
    if entry is None:
        return 0
    boolean = hasattr(entry, "dtype") and np.issubdtype(entry.dtype, np.bool_)
    return entry.ndim if boolean else 1


def as_split(
    signature: Signature, taken: Signature, D: int
) -> tuple[Signature, Signature, tuple[list[tuple[int, int]], list[tuple[int, int]]]]:
    """Where to cut so that the last channels of each type go.

    Returns:
        The signature of what goes and of what is left, and the channels of both, left first.

    Raises:
        ValueError: If there are fewer channels, or nothing is left.
    """
    left, rest, gone = [], [], []
    places = signature.slices(D)
    for type_, channels in taken:
        have = signature.channels(type_) if type_ in signature else 0
        if have < channels or type_ not in signature:
            raise ValueError(
                f"split: signature: expected at most {have} channels of {type_name(type_)}, got "
                f"{channels}"
            )
        stop = places[type_].stop
        gone.append((stop - channels * D ** len(type_[0]), stop))
    for type_, channels in signature:
        count = channels - (taken.channels(type_) if type_ in taken else 0)
        if count or type_ not in taken:
            left.append((type_, count))
            start = places[type_].start
            rest.append((start, start + count * D ** len(type_[0])))
    if not left or not gone:
        raise ValueError(f"split: signature: expected a part of {signature!r}, got {taken!r}")
    return taken, Signature(tuple(left)), (rest, gone)


def scalars(channels: int) -> Signature:
    """So many scalars."""
    return Signature((((0, 0), channels),))


def same_channels(given: Signature, wanted: Signature) -> Signature:
    """``wanted``, if it has the types of another signature in any order.

    Raises:
        ValueError: Naming the first type that is missing, or has other channels.
    """
    for type_ in dict.fromkeys([*wanted.types, *given.types]):
        expected, got = (s.channels(type_) if type_ in s else None for s in (wanted, given))
        if expected != got:
            raise ValueError(
                f"signature: expected {expected or 'no'} channels of {type_name(type_)}, got "
                f"{got or 'none'} ({wanted!r} and {given!r})"
            )
    return wanted


def as_batch_factor(image: MultiImage, value: object) -> Any:
    """A number, or an array with an axis for channels and pixels each.

    Raises:
        TypeError: If it is neither.
        ValueError: If it does not broadcast against the batch axes.
    """
    factor = as_factor(value, image.dtype, "MultiImage", "a number, an array or an image")
    if isinstance(factor, (int, float)):
        return factor
    if not arrays.broadcasts(factor.shape, image.batch):
        raise ValueError(
            f"MultiImage: expected an array that broadcasts against the batch axes {image.batch}, "
            f"got shape {factor.shape}"
        )
    return factor.reshape(*factor.shape, *[1] * (1 + image.D))
