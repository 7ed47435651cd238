"""Biases that all layers share: invariant ones from coefficients, their start, their sum."""

from __future__ import annotations

import zlib

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import arrays, choice
from ...hom import hom_basis, invariant_vector, trivial_count
from ...representations import Representation, trivial
from ._admission import parameter_dtype
from ._channels import along

BIAS_SCHEMES = ("zeros", "equinox")


def invariant_bias(rep: Representation, coeffs: Float[Array, " m0"]) -> Float[Array, " n"]:
    """``b = Q[:, triv] beta``."""
    return invariant_vector(rep, coeffs)


def total(bias: Float[Array, " n"] | None, shift: Array | None) -> Float[Array, " n"] | None:
    """The sum of two biases, each of which may be missing."""
    if bias is None or shift is None:
        return shift if bias is None else bias
    return bias + shift.astype(bias.dtype)


def bias_coefficients(caller: str, rep: Representation, vector: object) -> Float[Array, " m0"]:
    """Trivial coordinates of the projection of a vector on the invariants.

    Raises:
        ValueError: If the vector has the wrong size.
        TypeError: If it is not of floating numbers.
    """
    dense = arrays.array(vector, caller, "vector")
    if dense.shape != (rep.size,):
        raise ValueError(f"{caller}: vector: expected ({rep.size},), got {dense.shape}")
    if not jnp.issubdtype(dense.dtype, jnp.floating):
        raise TypeError(f"{caller}: vector: expected floating numbers, got dtype {dense.dtype}")
    basis = hom_basis(trivial(rep.group), rep)
    (found,) = basis.coefficients(dense[:, None]).values()
    return found[:, 0, 0]


def initial_bias(
    caller: str,
    rep: Representation,
    scheme: str,
    fan_in: int,
    dtype: DTypeLike | None,
    key: PRNGKeyArray,
) -> Float[Array, " m0"] | None:
    """Initial coefficients, or None if ``rep`` has no trivial irrep.

    Args:
        caller: The layer, for messages.
        rep: Type of the output.
        scheme: ``"zeros"``, or ``"equinox"``: the bias of each invariant direction is uniform
            with entries within ``1 / sqrt(fan_in)``, as in `equinox.nn.Linear`.
        fan_in: Input channels times kernel taps.
        dtype: Of the coefficients.
        key: A JAX key.

    Raises:
        ValueError: For an unknown scheme.
    """
    choice(scheme, caller, "bias_init", BIAS_SCHEMES)
    dtype = parameter_dtype(dtype, caller)
    count = trivial_count(rep)
    if count == 0:
        return None
    if scheme == "zeros":
        return jnp.zeros((count,), dtype)
    bound = jnp.asarray(fan_in**-0.5 / _largest_entries(rep), dtype)
    # A key of its own: weights take theirs from the names of irreps.
    key = jax.random.fold_in(key, zlib.crc32(b"invariant bias"))
    return bound * jax.random.uniform(key, (count,), dtype, -1.0, 1.0)


def _largest_entries(rep: Representation) -> np.ndarray:
    """Largest entry of each invariant unit vector, in the order of the trivial irreps."""
    identity = trivial(rep.group).irreps[0]
    found = []
    for summand, count in rep.data:
        columns = summand.columns_of(identity).reshape(-1)
        found.append(np.tile(np.abs(summand.change_of_basis[:, columns]).max(axis=0), count))
    return np.concatenate(found)


def shifted(bias: Float[Array, " n"], axis: int, x: Float[Array, "..."]) -> Float[Array, "..."]:
    """``x`` plus a constant vector along an axis."""
    return x + along(bias, axis)
