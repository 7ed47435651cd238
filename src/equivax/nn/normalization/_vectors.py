"""The layer norm of vectors: centre along the invariant part of the ones, and divide.

`layer_normed` takes vectors to coordinates of irreps and back by functions that it is given: a
layer turns field by field, and its export has a matrix.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...fields import IrrepTensor
from ...hom import from_irreps, irrep_plan, reordered, to_irreps, trivial_name, widened
from ...linalg import invariant_projector
from ...representations import Representation, trivial
from .._core._irrep_wise import mean_square
from .._core._plain import plain_function
from ._rounding import above_rounding, denoised

POOLS = ("all", "type", "copy")


def layer_normed(there, back, direction, spectral, per_copy, eps, x):
    """Vectors ``(..., n)``, centred and divided by root mean squares.

    Args:
        there: ``x -> [(..., copies, size), ...]``, one array per kind of irrep, the trivial one
            first if ``spectral`` is not None; None for one mean square of the whole vector.
        back: The inverse, or None.
        direction: The unit vector ``(n,)`` that is removed, or None.
        spectral: The same in the coordinates ``(copies, 1)`` of trivial irreps, or None.
        per_copy: Whether every copy has a mean square of its own.
        eps: Added to the mean squares.
        x: Computed in at least float32.
    """
    wide = widened(x)
    level = jnp.mean(wide * wide, axis=-1, keepdims=True)
    if direction is not None:
        unit = direction.astype(wide.dtype)
        for _ in range(2):  # the first time leaves rounding of the mean
            wide = wide - jnp.sum(wide * unit, axis=-1, keepdims=True) * unit
    if there is None:
        square = jnp.mean(wide * wide, axis=-1, keepdims=True)
        wide = denoised(wide, above_rounding(square, level))
        return (wide / jnp.sqrt(square + eps)).astype(x.dtype)
    parts = there(wide)
    if spectral is not None:
        # What is zero by theory is zero: a remainder would be divided by sqrt(eps).
        first, unit = parts[0], spectral.astype(wide.dtype)
        along = jnp.sum(first * unit, axis=(-2, -1), keepdims=True)
        parts[0] = jnp.zeros_like(first) if first.shape[-2] == 1 else first - along * unit
    axes, normed = (-1,) if per_copy else (-2, -1), []
    for part in parts:
        square = jnp.mean(part * part, axis=axes, keepdims=True)
        part = denoised(part, above_rounding(square, level[..., None]))
        normed.append(part / jnp.sqrt(square + eps))
    return back(normed).astype(x.dtype)


def in_layer(rep: Representation, pool: str, center: bool, eps: float) -> Callable[[Array], Array]:
    """`layer_normed` with the fast ways to coordinates and back."""
    if pool == "all":
        return functools.partial(layer_normed, None, None, *_directions(rep, pool, center), 0, eps)
    order = _kinds(rep)

    def there(x: Array) -> list[Array]:
        coordinates = to_irreps(rep, x)
        return [coordinates[name] for name in order]

    def back(parts: list[Array]) -> Array:
        return from_irreps(rep, dict(zip(order, parts, strict=True)))

    directions = _directions(rep, pool, center)
    return functools.partial(layer_normed, there, back, *directions, pool == "copy", eps)


def irreps_normed(
    rep: Representation, pool: str, center: bool, eps: float, x: IrrepTensor
) -> dict[str, Array]:
    """`layer_normed` on vectors that are in coordinates of irreps already."""
    blocks = {name: widened(block) for name, block in x.blocks.items()}
    level = mean_square(x)[..., None, None]
    unit = _directions(rep, "type", center)[1]
    if unit is not None:
        name = trivial_name(rep)
        first, space = blocks[name], irrep_plan(rep).spaces[name]
        direction = reordered(jnp.asarray(unit[:, 0], first.dtype), space, -1)
        for _ in range(2):  # the first time leaves rounding of the mean
            first = first - jnp.sum(first * direction, axis=-1, keepdims=True) * direction
        # What is zero by theory is zero: a remainder would be divided by sqrt(eps).
        blocks[name] = jnp.zeros_like(first) if first.shape[-1] == 1 else first
    if pool == "all":
        total = [jnp.sum(block * block, axis=(-2, -1), keepdims=True) for block in blocks.values()]
        square = sum(total[1:], total[0]) / rep.size
        squares = dict.fromkeys(blocks, square)
    else:
        axes = -2 if pool == "copy" else (-2, -1)
        squares = {
            name: jnp.mean(block * block, axis=axes, keepdims=True)
            for name, block in blocks.items()
        }
    found = {}
    for name, block in blocks.items():
        block = denoised(block, above_rounding(squares[name], level))
        found[name] = (block / jnp.sqrt(squares[name] + eps)).astype(x.dtype)
    return found


def plain(rep: Representation, pool: str, center: bool, eps: float) -> jax.tree_util.Partial:
    """`layer_normed` without need of equivax: coordinates by one matrix."""
    directions = [None if d is None else jnp.asarray(d) for d in _directions(rep, pool, center)]
    if pool == "all":
        return plain_function(layer_normed, None, None, *directions, False, eps)
    sizes = [rep.group.irrep_data(irrep).size for irrep in rep.irreps]
    starts = np.cumsum(sizes) - sizes
    names = [rep.group.irrep_data(irrep).name for irrep in rep.irreps]
    order, shapes = [], []
    for kind in _kinds(rep):
        copies = [i for i, name in enumerate(names) if name == kind]
        order += [np.arange(starts[i], starts[i] + sizes[i]) for i in copies]
        shapes.append((len(copies), sizes[copies[0]]))
    columns = jnp.asarray(rep.change_of_basis[:, np.concatenate(order)])
    there, back = plain_function(split, columns, tuple(shapes)), plain_function(joined, columns)
    return plain_function(layer_normed, there, back, *directions, pool == "copy", eps)


def split(columns, shapes, x):
    """The coordinates of x along columns, as arrays of given last axes."""
    moved, parts, start = jnp.matmul(x, columns.astype(x.dtype), precision="highest"), [], 0
    for copies, size in shapes:
        part = moved[..., start : start + copies * size]
        parts.append(part.reshape(*x.shape[:-1], copies, size))
        start += copies * size
    return parts


def joined(columns, parts):
    """The inverse of `split`."""
    flat = [part.reshape(*part.shape[:-2], part.shape[-2] * part.shape[-1]) for part in parts]
    moved = jnp.concatenate(flat, axis=-1)
    return jnp.matmul(moved, columns.T.astype(moved.dtype), precision="highest")


def _kinds(rep: Representation) -> list[str]:
    """Names of the irreps, the trivial one first."""
    identity = trivial(rep.group).irreps[0]
    kinds = sorted(rep.multiplicities, key=lambda irrep: irrep != identity)
    return [rep.group.irrep_data(irrep).name for irrep in kinds]


def _directions(
    rep: Representation, pool: str, center: bool
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The unit vector that is removed, and its coordinates along trivial irreps; or None."""
    unit = ones_direction(rep)
    if not center or not unit.any():
        return None, None
    if pool == "all":
        return unit, None
    identity = trivial(rep.group).irreps[0]
    pieces, start = [], 0
    for summand, count in rep.data:
        columns = summand.change_of_basis[:, summand.columns_of(identity).reshape(-1)]
        stop = start + count * summand.size
        pieces.append((unit[start:stop].reshape(count, -1) @ columns).reshape(-1, 1))
        start = stop
    spectral = np.concatenate(pieces)
    return unit, np.where(np.abs(spectral) < 1e-12, 0.0, spectral)


def ones_direction(rep: Representation) -> Float[np.ndarray, " n"]:
    """The unit vector along ``P 1``, or zero if no part of the all-ones vector is invariant."""
    invariant = invariant_projector(rep) @ np.ones(rep.size)
    length = np.linalg.norm(invariant)
    return invariant / length if length > 1e-9 else np.zeros(rep.size)
