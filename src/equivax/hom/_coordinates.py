"""Vectors in the coordinates of irreps: ``xh = Q^T x``, copy by copy, and back."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..groups import IrrepId
from ..representations import Representation
from ._basis import hom_basis
from ._layout import algebra_basis
from ._synthesis import HIGHEST, from_spectral, to_spectral


def to_blocks(
    rep: Representation, x: Float[Array, "*batch n"]
) -> dict[str, Float[Array, "*batch q width"]]:
    """Spectral coordinates in the basis where endomorphisms act by the table of R, C or H.

    Args:
        rep: The representation that acts on the last axis.
        x: ``(..., n)``.

    Returns:
        Irrep name to ``(..., q, m S)`` with ``d = q S``: copies in the order of ``rep.irreps``, the
        component fastest, irreps in the group's order. Changes of basis run at the highest
        precision.

    Raises:
        TypeError: If ``x`` is not of floating numbers.
    """
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"x: expected floating numbers, got dtype {x.dtype}")
    found = _to_blocks(rep, x)  # jit returns dicts sorted by key
    return {name: found[name] for name in irrep_names(rep)}


@functools.partial(jax.jit, static_argnums=0)
def _to_blocks(rep: Representation, x: Float[Array, "*batch n"]) -> dict[str, Array]:
    layout = hom_basis(rep, rep).layout
    leading, rows = x.shape[:-1], math.prod(x.shape[:-1])
    pieces = to_spectral(layout, layout.in_side, x.reshape(rows, rep.size))
    found: dict[str, Array] = {}
    for batch, order, piece in zip(layout.batches, layout.in_side.copy_orders, pieces, strict=True):
        count, q, width = len(batch.irreps), batch.quotient, piece.shape[-1]
        split = piece.reshape(count, rows, q, width // batch.algebra, batch.algebra)
        if order is not None:
            split = split[:, :, :, np.argsort(order)]
        split = split.reshape(count, *leading, q, width)
        for index, name in enumerate(batch.names):
            found[name] = split[index]
    return found


@functools.partial(jax.jit, static_argnums=0)
def from_blocks(
    rep: Representation, blocks: Mapping[str, Float[Array, "*batch q width"]]
) -> Float[Array, "*batch n"]:
    """The inverse of `to_blocks`."""
    layout = hom_basis(rep, rep).layout
    first = next(iter(blocks.values()))
    leading, rows = first.shape[:-2], math.prod(first.shape[:-2])
    pieces = []
    for batch, order in zip(layout.batches, layout.in_side.copy_orders, strict=True):
        count, q, s = len(batch.irreps), batch.quotient, batch.algebra
        stacked = jnp.stack([blocks[name] for name in batch.names])
        width = stacked.shape[-1]
        if order is not None:
            stacked = stacked.reshape(count, rows, q, width // s, s)[:, :, :, order]
        pieces.append(stacked.reshape(count, rows * q, width))
    y = from_spectral(layout, layout.in_side, pieces, rows, first.dtype)
    return y.reshape(*leading, rep.size)


def to_irreps(
    rep: Representation, x: Float[Array, "*batch n"]
) -> dict[str, Float[Array, "*batch m d"]]:
    """Spectral coordinates of vectors, ``xh = Q^T x``, copy by copy.

    Args:
        rep: The representation that acts on the last axis.
        x: ``(..., n)``.

    Returns:
        Irrep name to ``(..., m, d)``: copies in the order of ``rep.irreps``, coordinates in the
        irrep's own basis, irreps in the group's order.

    Raises:
        TypeError: If ``x`` is not of floating numbers.
    """
    found = {}
    for (name, block), irrep in zip(to_blocks(rep, x).items(), rep.multiplicities, strict=True):
        data = rep.group.irrep_data(irrep)
        q, s = data.size // data.endomorphism_dimension, data.endomorphism_dimension
        copies = block.shape[-1] // s
        split = jnp.swapaxes(block.reshape(*block.shape[:-2], q, copies, s), -3, -2)
        split = split.reshape(*block.shape[:-2], copies, data.size)
        found[name] = _rotate(rep, irrep, split, inverse=False)
    return found


def from_irreps(
    rep: Representation, coordinates: Mapping[str, Float[Array, "*batch m d"]]
) -> Float[Array, "*batch n"]:
    """The inverse of `to_irreps`."""
    blocks = {}
    for name, irrep in zip(irrep_names(rep), rep.multiplicities, strict=True):
        data = rep.group.irrep_data(irrep)
        q, s = data.size // data.endomorphism_dimension, data.endomorphism_dimension
        moved = _rotate(rep, irrep, coordinates[name], inverse=True)
        split = jnp.swapaxes(moved.reshape(*moved.shape[:-1], q, s), -3, -2)
        blocks[name] = split.reshape(*moved.shape[:-2], q, moved.shape[-2] * s)
    return from_blocks(rep, blocks)


def irrep_names(rep: Representation) -> tuple[str, ...]:
    """Names of the irreps that occur, in the group's order."""
    return tuple(rep.group.irrep_data(i).name for i in rep.multiplicities)


def _rotate(rep: Representation, irrep: IrrepId, x: Array, *, inverse: bool) -> Array:
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


def _positions(rep: Representation, irrep: IrrepId) -> np.ndarray:
    return np.array([i == irrep for i in rep.irreps])
