"""Sums of a few arrays in place of a product with a small matrix, and where XLA must stop fusing.

A product with a matrix of a few columns leaves most of a GPU idle. Sums of arrays are one pass
through memory, if all of them are made in one kernel and nothing else is.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Array


def weighted_sum(weights: np.ndarray, arrays: Sequence[Array]) -> Array:
    """A sum of arrays with weights; those that are zero up to rounding are left out."""
    dtype = arrays[0].dtype
    terms = [
        array * np.asarray(weight, dtype)
        for weight, array in zip(weights, arrays, strict=True)
        if abs(weight) > 1e-14
    ]
    return sum(terms[1:], terms[0])


@jax.custom_jvp
def materialized(*arrays: Array) -> tuple[Array, ...]:
    """The arrays, in memory: what joins them reads them, instead of what they are made of.

    XLA would join sums with what they are sums of, and make each once for every array that reads
    it, or in float32.
    """
    return tuple(jax.lax.optimization_barrier(arrays))


@materialized.defjvp
def _materialized_jvp(
    primals: tuple[Array, ...], tangents: tuple[Array, ...]
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    return materialized(*primals), tangents


@jax.custom_jvp
def materialized_backwards(*arrays: Array) -> tuple[Array, ...]:
    """The arrays, whose cotangents are made in memory; see `materialized`."""
    return arrays


@materialized_backwards.defjvp
def _materialized_backwards_jvp(
    primals: tuple[Array, ...], tangents: tuple[Array, ...]
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    return primals, tuple(jax.lax.optimization_barrier(tangents))
