"""Representations that permute axes, up to signs: orbits, stabilisers, what they are induced from.

A transitive permutation of axes is the permutation of the cosets ``G / H`` of the stabiliser
``H`` of one axis, so orbits are recognised as quotients, whoever wrote the matrices.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from .._arguments import flag, type_of
from ..groups import FiniteGroup, Group, GroupElement, Subgroup
from ._builders import quotient, regular, trivial
from ._operations import is_permutation
from ._representation import Representation
from ._summand import Summand


@dataclasses.dataclass(frozen=True)
class InducedStructure:
    """Subfields that the group permutes: one per left coset of a subgroup, in coset order.

    Attributes:
        subgroup: ``H``, with its cosets.
        size: Channels of a subfield.
        starts: First channel of the subfield of each coset; a subfield is contiguous.
    """

    subgroup: Subgroup
    size: int
    starts: tuple[int, ...]

    def same_cosets(self, other: InducedStructure) -> bool:
        """Whether both have the same subgroup, as a set, and so the same cosets in order."""
        a, b = self.subgroup, other.subgroup
        if a == b:
            return True
        if a.parent is not b.parent or a.group.order != b.group.order:
            return False
        if isinstance(a.parent, FiniteGroup):
            return bool(np.array_equal(a.coset_labels, b.coset_labels))
        # Subgroups of finite index hold the identity component, so they differ on whole
        # components, and the testing elements meet every component.
        points = a.parent.testing_coordinates
        return bool(np.array_equal(a.locate(points)[0], b.locate(points)[0]))


@dataclasses.dataclass(frozen=True)
class Orbit:
    """One orbit of a permutation of points: ``points[i]`` is the place of the ``i``-th coset."""

    subgroup: Subgroup
    points: tuple[int, ...]

    @functools.cached_property
    def representation(self) -> Representation:
        """The permutation of the cosets: trivial, regular, or a quotient."""
        group = self.subgroup.parent
        if len(self.points) == 1:
            return trivial(group)
        if len(self.points) == group.order:
            return regular(group)
        return quotient(group, self.subgroup)


def induced_structure(field: Representation, *, remembered: bool = True) -> InducedStructure | None:
    """The subgroup, cosets and subfields of an induced representation.

    Remembered from the construction, or read off a permutation representation with one orbit,
    whose subfields are single channels.

    Args:
        field: A representation of one summand.
        remembered: Whether the construction counts; else the channels alone are looked at, so
            that equal representations have equal structures.

    Returns:
        The structure, or None if the field has none.
    """
    if len(field.data) != 1 or field.data[0][1] != 1:
        return None
    summand = field.data[0][0]
    # Equality of summands leaves out what they remember, so it is part of the key.
    return _structure(summand, summand.induced_from if remembered else None)


@functools.lru_cache(maxsize=1024)
def _structure(
    summand: Summand, induced_from: tuple[Subgroup, Representation] | None
) -> InducedStructure | None:
    if induced_from is not None:
        subgroup, sigma = induced_from
        starts = tuple(range(0, summand.size, sigma.size))
        return InducedStructure(subgroup, sigma.size, starts)
    if not is_permutation(summand, signed=False):
        return None
    found = orbits(summand.group, axis_images(summand))
    if found is None or len(found) != 1:
        return None
    return InducedStructure(found[0].subgroup, 1, found[0].points)


def axis_images(summand: Summand, *, signed: bool = False) -> np.ndarray:
    """Where each group element takes each axis of a (signed) permutation representation.

    Args:
        summand: What `is_permutation` accepts.
        signed: Whether the points are the axes' two ends, ``2 j`` for ``+e_j`` and ``2 j + 1``
            for ``-e_j``, instead of the axes.

    Returns:
        Integers ``(elements, points)``: all elements of a finite group in order, the testing
        elements of a Lie group.
    """
    group = summand.group
    if not isinstance(group, FiniteGroup):
        return _images(summand, group.testing_coordinates, signed)
    generators = _images(summand, group.generator_coordinates, signed)
    points = summand.size * (2 if signed else 1)
    images = np.zeros((group.order, points), dtype=np.int64)
    images[0] = np.arange(points)
    for new, parent, generator in group.words:
        images[new] = np.take_along_axis(images[parent], generators[generator], axis=1)
    return images


def _images(summand: Summand, coordinates: np.ndarray, signed: bool) -> np.ndarray:
    if len(coordinates) == 0:
        return np.zeros((0, summand.size * (2 if signed else 1)), dtype=np.int64)
    matrices = summand.evaluate(np.asarray(coordinates))
    axes = np.abs(matrices).argmax(axis=1)
    if not signed:
        return axes
    negative = np.take_along_axis(matrices, axes[:, None, :], axis=1)[:, 0, :] < 0
    ends = np.stack([2 * axes + negative, 2 * axes + ~negative], axis=-1)
    return ends.reshape(len(axes), -1)


def orbits(group: Group, images: np.ndarray) -> tuple[Orbit, ...] | None:
    """The orbits of a permutation of points, in the order of their first points.

    Args:
        group: The group.
        images: As `axis_images` returns them.

    Returns:
        The orbits, or None if a stabiliser in a Lie group has no name here.
    """
    first = images.min(axis=0)
    found = []
    for base in np.unique(first):
        size = int((first == base).sum())
        subgroup = _stabiliser(group, images[:, base] == base, size)
        if subgroup is None:
            return None
        if isinstance(group, FiniteGroup):
            elements = group.indices(group.coordinates_of(subgroup.coset_representatives))
            points = images[elements, base]
        else:  # at most two points: the base, and where the other component takes it
            points = np.sort(np.flatnonzero(first == base))
        found.append(Orbit(subgroup, tuple(points.tolist())))
    return tuple(found)


def _stabiliser(group: Group, fixing: np.ndarray, size: int) -> Subgroup | None:
    if size == 1:
        return group.subgroup("all")
    if isinstance(group, FiniteGroup):
        if size == group.order:
            return group.subgroup("trivial")
        return group.subgroup(list(group.elements_at(np.flatnonzero(fixing)[:, None])))
    if size == 2 and group.kind in ("o2", "o3"):
        # A closed subgroup of index two holds the identity component.
        return group.subgroup("so2" if group.kind == "o2" else "so3")
    return None


def doubled(
    field: Representation, *, interleaved: bool = False
) -> tuple[Representation, tuple[int, ...]]:
    """How the group permutes the ends ``+e_j, -e_j`` of the axes of a signed permutation.

    The matrix has the 2 x 2 identity for every 1 and the exchange matrix for every -1. Where the
    ends form one orbit, they are put in coset order, so that the result **is** the regular or a
    quotient representation; elsewhere they are interleaved.

    Args:
        field: A signed permutation representation of one summand.
        interleaved: Keep ``+e_0, -e_0, +e_1, ...`` in any case.

    Returns:
        The permutation representation, of one summand, and the end ``2 j + sign`` that each of
        its axes is.
    """
    type_of(field, "doubled", "field", Representation)
    return _doubled(field.data[0][0], flag(interleaved, "doubled", "interleaved"))


@functools.lru_cache(maxsize=1024)
def _doubled(summand: Summand, interleaved: bool) -> tuple[Representation, tuple[int, ...]]:
    group, size = summand.group, 2 * summand.size
    found = orbits(group, axis_images(summand, signed=True))
    name = f"doubled({summand.name})"
    if found is None:
        rep = Representation.from_matrices(group, lambda g: _spread_signs(summand, g), name)
        return rep, tuple(range(size))
    if len(found) == 1 and (not interleaved or found[0].points == tuple(range(size))):
        return found[0].representation, found[0].points
    columns, irreps, start = np.zeros((size, size)), [], 0
    for orbit in found:
        stop = start + len(orbit.points)
        columns[list(orbit.points), start:stop] = orbit.representation.change_of_basis
        irreps += orbit.representation.irreps
        start = stop
    made = Summand(group, tuple(irreps), columns, name)
    return Representation(group, [(made, 1)]), tuple(range(size))


def _spread_signs(summand: Summand, g: GroupElement) -> np.ndarray:
    """The matrix of `doubled` for one element, from that of the signed permutation."""
    matrix = summand.evaluate(np.asarray([g.coordinates]))[0].round()
    exchange = np.array([[0.0, 1.0], [1.0, 0.0]])
    return np.kron(np.maximum(matrix, 0), np.eye(2)) + np.kron(np.maximum(-matrix, 0), exchange)
