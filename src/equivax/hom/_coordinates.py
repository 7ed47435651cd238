"""Vectors in the coordinates of irreps: ``xh = Q^T x``, copy by copy, and back."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..representations import Representation
from ._basis import hom_basis
from ._layout import algebra_basis
from ._synthesis import HIGHEST, from_spectral, to_spectral


def to_irreps(
    rep: Representation, x: Float[Array, "*batch n"]
) -> dict[str, Float[Array, "*batch m d"]]:
    """Spectral coordinates of vectors.

    Args:
        rep: The representation that acts on the last axis.
        x: ``(..., n)``.

    Returns:
        Irrep name to ``(..., m, d)``: copies in the order of ``rep.irreps``, coordinates in the
        irrep's own basis, irreps in the group's order. Changes of basis run at the highest
        precision.

    Raises:
        TypeError: If ``x`` is not of floating numbers.
    """
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"x: expected floating numbers, got dtype {x.dtype}")
    found = _to_irreps(rep, x)  # jit returns dicts sorted by key
    return {name: found[name] for name in irrep_names(rep)}


@functools.partial(jax.jit, static_argnums=0)
def _to_irreps(rep: Representation, x: Float[Array, "*batch n"]) -> dict[str, Array]:
    layout = hom_basis(rep, rep).layout
    leading, rows = x.shape[:-1], math.prod(x.shape[:-1])
    pieces = to_spectral(layout, layout.in_side, x.reshape(rows, rep.size))
    found: dict[str, Array] = {}
    for batch, order, piece in zip(layout.batches, layout.in_side.copy_orders, pieces, strict=True):
        count, q, s = len(batch.irreps), batch.quotient, batch.algebra
        copies = piece.shape[-1] // s
        split = piece.reshape(count, rows, q, copies, s).transpose(0, 1, 3, 2, 4)
        split = split.reshape(count, rows, copies, q * s)
        if order is not None:
            split = split[:, :, np.argsort(order)]
        for index, (irrep, name) in enumerate(zip(batch.irreps, batch.names, strict=True)):
            moved = _rotate(rep, irrep, split[index], inverse=False)
            found[name] = moved.reshape(*leading, *moved.shape[1:])
    return found


@functools.partial(jax.jit, static_argnums=0)
def from_irreps(
    rep: Representation, coordinates: Mapping[str, Float[Array, "*batch m d"]]
) -> Float[Array, "*batch n"]:
    """The inverse of `to_irreps`."""
    layout = hom_basis(rep, rep).layout
    first = next(iter(coordinates.values()))
    leading, rows = first.shape[:-2], math.prod(first.shape[:-2])
    pieces = []
    for batch, order in zip(layout.batches, layout.in_side.copy_orders, strict=True):
        count, q, s = len(batch.irreps), batch.quotient, batch.algebra
        stacked = jnp.stack(
            [
                _rotate(
                    rep, i, coordinates[n].reshape(rows, *coordinates[n].shape[-2:]), inverse=True
                )
                for i, n in zip(batch.irreps, batch.names, strict=True)
            ]
        )
        if order is not None:
            stacked = stacked[:, :, order]
        copies = stacked.shape[2]
        split = stacked.reshape(count, rows, copies, q, s).transpose(0, 1, 3, 2, 4)
        pieces.append(split.reshape(count, rows * q, copies * s))
    y = from_spectral(layout, layout.in_side, pieces, rows, first.dtype)
    return y.reshape(*leading, rep.size)


def irrep_names(rep: Representation) -> tuple[str, ...]:
    """Names of the irreps that occur, in the group's order."""
    return tuple(rep.group.irrep_data(i).name for i in rep.multiplicities)


def _rotate(rep: Representation, irrep: Any, x: Array, *, inverse: bool) -> Array:
    """Between the irrep's own basis and the one in which its endomorphisms are standard."""
    basis = algebra_basis(rep.group, irrep)
    if np.array_equal(basis, np.eye(len(basis))):
        return x
    matrix = (basis if inverse else basis.T).astype(x.dtype)
    return jnp.matmul(x, matrix, precision=HIGHEST)


def scatter_copies(
    rep: Representation, values: Mapping[str, Float[Array, "*batch m"]]
) -> Float[Array, "*batch copies"]:
    """One value per irrep copy, put into the order of ``rep.irreps``."""
    position = np.concatenate([np.flatnonzero(_positions(rep, i)) for i in rep.multiplicities])
    joined = jnp.concatenate([values[name] for name in irrep_names(rep)], axis=-1)
    if np.array_equal(position, np.arange(len(position))):
        return joined
    return joined[..., np.argsort(position)]


def gather_copies(
    rep: Representation, values: Float[Array, "*batch copies"]
) -> dict[str, Float[Array, "*batch m"]]:
    """The inverse of `scatter_copies`."""
    return {
        name: values[..., np.flatnonzero(_positions(rep, irrep))]
        for name, irrep in zip(irrep_names(rep), rep.multiplicities, strict=True)
    }


def _positions(rep: Representation, irrep: Any) -> np.ndarray:
    return np.array([i == irrep for i in rep.irreps])
