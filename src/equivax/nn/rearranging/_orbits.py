"""Channels that never mix: a summand as a sum of smaller ones, after a permutation of channels.

Blocks are the connected components of channels under the union of the supports of ``rho(g)``. A
block on which the group permutes the channels is one orbit; channel ``s b`` for the coset
representatives ``s`` of the stabiliser of its first channel ``b``, in the order of
``quotient(stabiliser)``, makes it equal to that representation.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from ...groups import FiniteGroup
from ...representations import (
    Representation,
    Summand,
    decompose,
    direct_sum,
    irrep,
    quotient,
    regular,
    trivial,
)

_MIXES = 1e-9
"""Entry above which two channels mix: far above rounding; true zeros come out below 1e-14."""


@dataclasses.dataclass(frozen=True)
class Split:
    """A summand in blocks.

    Attributes:
        channels: Old channel for every new one.
        parts: The representation of the blocks, in order.
    """

    channels: tuple[int, ...]
    parts: Representation


@functools.lru_cache(maxsize=1024)
def split(summand: Summand) -> Split:
    """The finest blocks of a summand, in the order of their smallest channels."""
    group = summand.group
    elements = group.testing_elements if group.order is None else group.generators
    coordinates = np.asarray([g.coordinates for g in elements])
    matrices = summand.evaluate(coordinates) if elements else np.eye(summand.size)[None]
    support = np.abs(matrices).max(axis=0)
    if summand.orthogonalizer is not None:
        support = np.maximum(support, np.abs(summand.orthogonalizer))
    blocks = _components(support > _MIXES)
    channels: list[int] = []
    parts: list[Representation] = []
    for number, block in enumerate(blocks):
        own = matrices[np.ix_(np.arange(len(matrices)), block, block)]
        found = _orbit(summand, own, block)
        if found is None and len(blocks) == 1:
            found = block, Representation(group, [(summand, 1)])
        if found is None:
            found = block, _part(summand, block, number)
        channels += found[0].tolist()
        parts.append(found[1])
    return Split(tuple(channels), direct_sum(parts))


def _components(mixes: np.ndarray) -> list[np.ndarray]:
    """Connected components, each sorted, by smallest member."""
    label = np.arange(len(mixes))
    linked = mixes | mixes.T | np.eye(len(mixes), dtype=bool)
    while True:
        lowest = np.where(linked, label[None, :], len(mixes)).min(axis=1)
        if np.array_equal(lowest, label):
            return [np.flatnonzero(label == i) for i in np.unique(label)]
        label = lowest


def _orbit(
    summand: Summand, matrices: np.ndarray, block: np.ndarray
) -> tuple[np.ndarray, Representation] | None:
    """Channels in coset order and the quotient, for a block that is permuted; else None."""
    group = summand.group
    if summand.orthogonalizer is not None:
        return None
    rounded = np.rint(matrices)
    if np.abs(matrices - rounded).max() > _MIXES or (rounded < 0).any():
        return None
    if len(block) == 1:
        return block, trivial(group)
    if not isinstance(group, FiniteGroup):
        return None  # a connected group permutes nothing; O(2) and O(3) may swap two channels
    first = summand.evaluate(group.element_coordinates)[:, block, block[0]]
    position = np.argmax(first, axis=1)  # where each element takes the first channel
    stabilizer = np.flatnonzero(position == 0)
    if len(stabilizer) == 1:
        return block[position], regular(group)
    subgroup = group.subgroup([group.elements[i] for i in stabilizer])
    starts = [int(s.coordinates[0]) for s in subgroup.coset_representatives]
    return block[position[starts]], quotient(group, subgroup)


def _part(summand: Summand, block: np.ndarray, number: int) -> Representation:
    """The summand on some channels that do not mix with the others."""
    group = summand.group

    def evaluate(coordinates: np.ndarray) -> np.ndarray:
        return summand.evaluate(coordinates)[:, block[:, None], block[None, :]]

    frequency = max((group.irrep_data(i).frequency for i in summand.irreps), default=0)
    irreps, columns = decompose(group, evaluate, frequency)
    if len(irreps) == 1 and np.abs(columns - np.eye(len(block))).max() < _MIXES:
        return irrep(group, irreps[0])
    root = summand.orthogonalizer
    if root is not None:
        root = root[block[:, None], block[None, :]]
    part = Summand(group, irreps, columns, f"{summand.name}[{number}]", root)
    return Representation(group, [(part, 1)])
