"""Whether two images fit together: one grid, one metric, the same types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jax.core import Tracer
from jaxtyping import Array

if TYPE_CHECKING:
    from ._multi_image import MultiImage


def matched(image: MultiImage, other: MultiImage, sign: str) -> Array:
    """The array of another image with its types in the order of the first.

    Args:
        image: The first.
        other: The other.
        sign: What is done with them, for messages: ``"x + y"``.

    Raises:
        ValueError: If grids, types, channels or metrics differ.
    """
    check_one_grid(image, other, sign)
    return other.reorder(image.signature).array


def check_one_grid(image: MultiImage, other: MultiImage, sign: str) -> None:
    """Refuses images on different grids or with different metrics.

    Raises:
        ValueError: Naming what differs.
    """
    for what in ("D", "is_torus", "spatial"):
        if getattr(image, what) != getattr(other, what):
            raise ValueError(
                f"MultiImage: {sign}: expected equal {what}, got {getattr(image, what)} and "
                f"{getattr(other, what)}"
            )
    if not _same_metric(image.metric, other.metric):
        raise ValueError(f"MultiImage: {sign}: expected equal metrics, or none in both")


def _same_metric(one: Array | None, two: Array | None) -> bool:
    """As far as that can be known: traced metrics have no values."""
    if one is None or two is None:
        return one is two
    if one.shape != two.shape:
        return False
    if one is two or any(isinstance(metric, Tracer) for metric in (one, two)):
        return True
    return np.array_equal(np.asarray(one), np.asarray(two))
