"""Masks of attention: what users write, as one boolean array and one that is added."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..._arguments import arrays, refuse

TAKES = "'causal', an array of booleans (True: may be seen) or of floating numbers, or a tuple"


def masks_of(
    caller: str, mask: object, shape: tuple[int, ...]
) -> tuple[Array | None, Array | None]:
    """Which logits count, and what is added to them.

    Args:
        caller: The layer.
        mask: ``"causal"``, an array that broadcasts to the shape, or a tuple of these.
        shape: Of the logits, ``(..., heads, T, S)``.

    Raises:
        TypeError: If something is no mask.
        ValueError: If a mask does not fit.
    """
    seen: Array | None = None
    added: Array | None = None
    for one in mask if isinstance(mask, tuple) else (mask,):
        if one is None:
            continue
        found = _array(caller, one, shape)
        if found.dtype == bool:
            seen = found if seen is None else seen & found
        else:
            added = found if added is None else added + found
    return seen, added


def _array(caller: str, mask: object, shape: tuple[int, ...]) -> Array:
    if isinstance(mask, str):
        if mask != "causal":
            refuse(ValueError, caller, "mask", TAKES, mask)
        return jnp.asarray(np.tri(*shape[-2:], dtype=bool))
    if mask is None or isinstance(mask, (bool, int, float)):
        refuse(TypeError, caller, "mask", TAKES, mask)
    if isinstance(mask, list) and any(isinstance(one, str) for one in mask):
        refuse(TypeError, caller, "mask", TAKES, mask)
    found = arrays.array(mask, caller, "mask")
    if found.dtype != bool and not jnp.issubdtype(found.dtype, jnp.floating):
        refuse(TypeError, caller, "mask", TAKES, mask)
    if found.ndim == 0 or not arrays.broadcasts(found.shape, shape):
        raise ValueError(
            f"{caller}: mask: expected a shape that broadcasts to (..., heads, queries, keys) = "
            f"{shape}, got {found.shape}; one for each example is mask[:, None], one of keys is "
            "mask[:, None, None, :]"
        )
    return found
