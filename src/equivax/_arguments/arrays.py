"""Arguments of JAX: keys, types of numbers, arrays."""

from __future__ import annotations

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from ._checks import is_traced, refuse

#: Sizes of keys of the old kind, by their generators.
_OLD_KEYS = ((2,), (4,))

_PRECISIONS = (
    jax.lax.Precision,
    *(getattr(jax.lax, n) for n in ("DotAlgorithm", "DotAlgorithmPreset") if hasattr(jax.lax, n)),
)


def key(value: object, caller: str, argument: str = "key") -> PRNGKeyArray:
    """One key, of the new or of the old kind.

    Raises:
        TypeError: If it is no key.
        ValueError: If it is a batch of keys.
    """
    takes = "a key such as jax.random.key(0)"
    if not isinstance(value, (jax.Array, np.ndarray)):
        refuse(TypeError, caller, argument, takes, value)
    if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        if value.ndim:
            refuse(ValueError, caller, argument, f"one key, not {value.size}; use jax.vmap", value)
    elif value.dtype != np.uint32 or value.shape not in _OLD_KEYS:
        refuse(TypeError, caller, argument, takes, value)
    return cast(PRNGKeyArray, value)


def dtype(value: object, caller: str, argument: str = "dtype") -> np.dtype:
    """A type of real floating numbers.

    Raises:
        TypeError: If it is no type of numbers.
        ValueError: If its numbers are no real floating ones, which is all that trains.
    """
    takes = "a floating type such as jnp.float32"
    if value is None or isinstance(value, (bool, int, float)) or is_traced(value):
        refuse(TypeError, caller, argument, takes, value)
    try:
        found = jnp.dtype(cast(Any, value))  # what is no type raises
    except (TypeError, ValueError):
        refuse(TypeError, caller, argument, takes, value)
    if not jnp.issubdtype(found, jnp.floating):
        refuse(ValueError, caller, argument, takes, value)
    return found


def array(value: object, caller: str, argument: str) -> Array:
    """An array of numbers from what JAX takes for one: arrays, numbers, nested lists of numbers.

    Raises:
        TypeError: If it holds no numbers.
        ValueError: If it is ragged.
    """
    takes = "an array of numbers"
    if isinstance(value, jax.Array):
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            refuse(TypeError, caller, argument, takes, value)
        return value
    try:
        found: Any = np.asarray(value)
    except ValueError:
        refuse(ValueError, caller, argument, f"{takes}, of one length along each axis", value)
    except Exception:  # lists of traced values, which NumPy cannot hold
        try:
            return jnp.asarray(cast(Any, value))
        except TypeError:
            refuse(TypeError, caller, argument, takes, value)
    if found.dtype.kind not in "biufcV" or found.dtype.names is not None:
        refuse(TypeError, caller, argument, takes, value)
    return jnp.asarray(found)


def precision(value: object, caller: str, argument: str = "precision") -> jax.lax.PrecisionLike:
    """The precision of a product: None, a name or member of `jax.lax.Precision`, or two of them.

    Raises:
        TypeError: If it is something else.
        ValueError: If it is another word.
    """
    takes = "None, 'highest' or another precision of JAX, or two of them"
    if isinstance(value, (list, tuple)) and len(value) == 2:
        first, second = (precision(part, caller, argument) for part in value)
        return cast(jax.lax.PrecisionLike, (first, second))
    if value is None or isinstance(value, _PRECISIONS):
        return cast(jax.lax.PrecisionLike, value)
    if not isinstance(value, str):
        refuse(TypeError, caller, argument, takes, value)
    try:
        return jax.lax.Precision(value)
    except ValueError:
        refuse(ValueError, caller, argument, takes, value)


def host(value: object, caller: str, argument: str, takes: str) -> np.ndarray:
    """An array of NumPy from whatever can be one; the caller checks its shape and type.

    Raises:
        TypeError: If it is traced, or nothing to make an array of.
    """
    if is_traced(value):
        refuse(TypeError, caller, argument, takes, value)
    try:
        return np.asarray(value)
    except Exception:  # ragged lists, and what other libraries refuse
        refuse(TypeError, caller, argument, takes, value)


def broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether an array of a shape becomes one of the target by repetition alone."""
    try:
        return jnp.broadcast_shapes(shape, target) == target  # NumPy refuses symbolic sides
    except ValueError:
        return False
