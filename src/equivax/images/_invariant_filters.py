"""Invariant filters: the tensor images that a group of signed permutations leaves alone.

The group permutes the pairs (pixel, component) up to signs, so every orbit of pairs is the support
of one filter with entries 0, 1 and -1, or of none if an element maps a pair to minus itself.
Complete, independent and orthogonal by construction; integers only (Gregory et al. 2024).
"""

from __future__ import annotations

import functools
import math

import numpy as np
from jaxtyping import Float

from .._arguments import choice, flag, integer, integers, number, refuse
from .._numerics import freeze, pivoted_columns
from ..groups import hyperoctahedral
from ..representations import Representation
from ..spaces import GSpace
from ._arguments import (
    MOST_CELLS,
    MOST_ORDER,
    as_dimension,
    as_parity,
    axis_space,
    group_matrices,
)
from ._signature import tensor_representation
from ._signed_axes import SignedAxes

NORMALIZATIONS = ("orthonormal", "unit", "pixel")


def invariant_filters(
    D: int,
    size: object,
    k: int,
    parity: int,
    group: object = None,
    *,
    normalize: str = "orthonormal",
    max_l1: float | int | None = None,
    merge_equal_l1: bool = False,
    split: str | None = None,
) -> Float[np.ndarray, "n *rest"]:
    """A basis of the filters ``F`` with ``det(g)^p g^(tensor k) F(g^-1 i) = F(i)`` for all ``g``.

    Orbits are ordered by their first pixel and component, in C order, whose entry is positive
    (unless ``split``). Source: Gregory et al. 2024, GeometricImageNet.

    Args:
        D: Number of spatial axes: 1, 2 or 3.
        size: Side of the filter, or one per axis; even sides are allowed.
        k: Order of the tensors.
        parity: 0, or 1 for pseudotensors.
        group: A group of signed permutation matrices; all of them if None.
        normalize: ``"orthonormal"``, ``"unit"`` (largest entry 1) or ``"pixel"`` (largest norm of a
            pixel's tensor 1).
        max_l1: Keeps filters on pixels within this L1 distance of the centre, in pixels.
        merge_equal_l1: Sums the filters on pixels of equal L1 distance (order 0 only).
        split: ``"irreps"`` makes every filter an element of one isotypic part of the tensors.

    Returns:
        Read-only float64 array ``(n, *size, *(D,)*k)``; n may be 0.

    Raises:
        ValueError: If the group is not of signed permutations or does not preserve the sizes, the
            order is negative, or an option is unknown.
    """
    name = "invariant_filters"
    D = as_dimension(D, name)
    k, parity = integer(k, name, "k", 0, MOST_ORDER), as_parity(parity, name)
    sizes = filter_size(size, D, name)
    normalize = choice(normalize, name, "normalize", NORMALIZATIONS)
    split = None if split is None else choice(split, name, "split", ["irreps"])
    max_l1 = None if max_l1 is None else number(max_l1, name, "max_l1", 0)
    if flag(merge_equal_l1, name, "merge_equal_l1") and k:
        raise ValueError(
            f"{name}: merge_equal_l1: expected filters of order 0, whose sum has a meaning, got "
            f"order {k}"
        )
    matrices = _all_matrices(D) if group is None else group_matrices(group, D, name)
    check_sizes(matrices, sizes, group, name)
    order, count = len(matrices), math.prod(sizes) * D**k
    if count * max(order, count // order) > MOST_CELLS:  # of the orbits, or of the filters
        takes = f"at most {MOST_CELLS} numbers in all filters of order {k}"
        refuse(ValueError, name, "size", takes, size)
    points, signs = _orbits(matrices, sizes, k, parity)
    filters = _from_orbits(points, signs)
    distances = _l1(sizes)
    if max_l1 is not None:
        far = np.repeat(distances > max_l1 + 1e-9, D**k)
        filters = filters[~filters[:, far].any(axis=1)]
    if merge_equal_l1 and len(filters):
        of_filter = distances[np.abs(filters).argmax(axis=1)]
        filters = np.stack([filters[of_filter == d].sum(axis=0) for d in np.unique(of_filter)])
    if split is not None:
        filters = _split(filters, axis_space(group, D, name), k, parity)
    shaped = filters.reshape(len(filters), *sizes, *(D,) * k)
    return freeze(_normalized(shaped, normalize, D))


def filter_size(size: object, D: int, caller: str, argument: str = "size") -> tuple[int, ...]:
    """One positive side per axis.

    Raises:
        TypeError: If something is no integer.
        ValueError: If one is not positive, or there are not D.
    """
    return integers(size, caller, argument, 1, count=D)


def check_sizes(matrices: np.ndarray, sizes: tuple[int, ...], group: object, caller: str) -> None:
    """Refuses sizes that the group does not preserve.

    Raises:
        ValueError: Naming the axes that it exchanges.
    """
    moved = np.abs(matrices) @ np.array(sizes)
    if not (moved == np.array(sizes)).all():
        who = "all signed permutations" if group is None else f"{group!r}"
        raise ValueError(
            f"{caller}: size: expected equal sides for axes that the group exchanges, got {sizes} "
            f"with {who}"
        )


@functools.cache
def _all_matrices(D: int) -> np.ndarray:
    return group_matrices(hyperoctahedral(D), D, "invariant_filters")


def _l1(sizes: tuple[int, ...]) -> np.ndarray:
    """L1 distance of every pixel from the centre."""
    index = np.indices(sizes).reshape(len(sizes), -1).T
    return np.abs(index - (np.array(sizes) - 1) / 2).sum(axis=1)


def _orbits(
    matrices: np.ndarray, sizes: tuple[int, ...], k: int, parity: int
) -> tuple[np.ndarray, np.ndarray]:
    """Where every element sends each point (pixel, component), and the sign it gets.

    Returns:
        Two arrays ``(|G|, points)``.
    """
    D, sides = len(sizes), np.array(sizes)
    doubled = 2 * np.indices(sizes).reshape(D, -1) - (sides - 1)[:, None]
    moved = (matrices @ doubled + (sides - 1)[:, None]) // 2
    pixels = np.asarray(np.ravel_multi_index(tuple(np.moveaxis(moved, 1, 0)), sizes))
    source, signs = zip(
        *(SignedAxes.of(g, D, "invariant_filters").components(k, parity) for g in matrices),
        strict=True,
    )
    # out[c] = s[c] in[source[c]], so component source[c] goes to c with the sign s[c].
    goes_to = np.argsort(np.stack(source), axis=1)
    gets = np.take_along_axis(np.stack(signs), goes_to, axis=1)
    points = pixels[:, :, None] * D**k + goes_to[:, None, :]
    shape = (len(matrices), math.prod(sizes) * D**k)
    return points.reshape(shape), np.broadcast_to(gets[:, None, :], points.shape).reshape(shape)


def _from_orbits(points: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """One filter of 0, 1, -1 per orbit that no element maps to minus itself."""
    count = points.shape[1]
    reflected = ((points == np.arange(count)) & (signs < 0)).any(axis=0)
    first = np.flatnonzero((points.min(axis=0) == np.arange(count)) & ~reflected)
    filters = np.zeros((len(first), count))
    filters[np.arange(len(first))[:, None], points[:, first].T] = signs[:, first].T
    return filters


def _split(filters: np.ndarray, space: GSpace, k: int, parity: int) -> np.ndarray:
    """A basis of the same span, adapted to the isotypic parts of the tensors, orbit by orbit."""
    rep: Representation = tensor_representation(space, k, parity)
    size, basis = rep.size, rep.change_of_basis
    parts = [basis[:, c.ravel()] @ basis[:, c.ravel()].T for _, _, c in rep.isotypic_blocks]
    shaped = filters.reshape(len(filters), filters.shape[1] // size, size)
    pixel = (np.abs(shaped).max(axis=2, initial=0) > 0).argmax(axis=1)  # the first of the orbit
    found = []
    for first in np.unique(pixel):
        units = shaped[pixel == first]
        units = units / np.sqrt((units**2).sum(axis=(1, 2), keepdims=True))
        for part in parts:
            projector = np.einsum("npa,ab,mpb->nm", units, part, units)
            found.append(np.tensordot(pivoted_columns(projector).T, units, axes=1))
    return np.concatenate(found).reshape(-1, filters.shape[1]) if found else filters


def _normalized(filters: np.ndarray, normalize: str, D: int) -> np.ndarray:
    if not len(filters):
        return filters
    axes = tuple(range(1, filters.ndim))
    if normalize == "orthonormal":
        return filters / np.sqrt((filters**2).sum(axis=axes, keepdims=True))
    if normalize == "unit":
        return filters / np.abs(filters).max(axis=axes, keepdims=True)
    tensors = filters.reshape(*filters.shape[: 1 + D], -1)
    largest = np.sqrt((tensors**2).sum(axis=-1)).reshape(len(filters), -1).max(axis=1)
    return filters / largest.reshape(-1, *[1] * len(axes))
