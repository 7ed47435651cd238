"""The step of a diffusion or a flow, as numbers that a network can read."""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from .._arguments import arrays, integer
from ..hom import at_least_float32
from ._choices import MOST


def step_waves(size, step):
    """``sin(w_i k)`` and ``cos(w_i k)``, with ``size / 2`` frequencies from 1 to 1e-4."""
    half = size // 2
    rates = 1e4 ** (-jnp.arange(half, dtype=step.dtype) / max(1, half - 1))
    angles = step[..., None] * rates
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def checked_step_size(caller: str, step_size: object) -> int:
    """Number of waves.

    Raises:
        ValueError: If it is odd, since every frequency has a sine and a cosine.
    """
    size = integer(step_size, caller, "step_size", 2, MOST)
    if size % 2:
        raise ValueError(f"{caller}: step_size: expected an even number, got {size}")
    return size


def checked_step(
    caller: str, step: object, batch: tuple[int, ...], dtype: DTypeLike
) -> Float[Array, "*batch"]:
    """The step as real numbers that broadcast to the batch.

    Args:
        caller: The network.
        step: What the user gave.
        batch: Batch axes of the input.
        dtype: Of the input, which the step gets, but at least float32.

    Raises:
        ValueError: If it is missing, or the shape does not fit.
        TypeError: If it is no real number.
    """
    takes = f"a number, or an array that broadcasts to the batch axes {batch}"
    if step is None:
        raise ValueError(f"{caller}: step: expected {takes}, got None")
    found = arrays.array(step, caller, "step")
    if found.dtype == bool or jnp.issubdtype(found.dtype, jnp.complexfloating):
        raise TypeError(f"{caller}: step: expected {takes}, got dtype {found.dtype}")
    if not arrays.broadcasts(found.shape, batch):
        raise ValueError(f"{caller}: step: expected {takes}, got shape {found.shape}")
    return found.astype(at_least_float32(dtype))
