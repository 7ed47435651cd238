"""Where a `FourierNonlinearity` takes samples, and the matrices to the samples and back."""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ..._arguments import integer, is_number, is_several, refuse, shown
from ..._numerics import digest, freeze, label_rows
from ...groups import Group, GroupElement, Subgroup, o3, so2, so3
from ...representations import (
    Representation,
    Summand,
    band_limited,
    point_vectors,
    sampled_functions,
)
from ._near_uniform import near_uniform_directions, near_uniform_rotations

#: Samples a turn come in multiples of this, so that quarter turns map the grid to itself.
TURN = 4

#: Samples a turn beyond which no grid is made.
MOST_POINTS = 10_000

_SAME_SAMPLE = 1e-9
"""Difference below which two samples are one: far above rounding."""
_BLIND = 1e-7
"""Smallest singular value, relative to the largest, of samples that determine coefficients."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class FourierGrid:
    """Elements of a group at which functions are sampled, with weights; hashable by value.

    Attributes:
        group: The group.
        coordinates: Of the elements, ``(points, p)``, read-only.
        weights: Positive, of sum 1, read-only.
    """

    group: Group
    coordinates: np.ndarray
    weights: Float[np.ndarray, " points"]

    @classmethod
    def uniform(cls, group: Group, points: int | None = None) -> FourierGrid:
        """All elements of a finite group; ``points`` equal steps a turn of a Lie group.

        For SO(2) these are ``points`` equal angles, for O(2) the same in either coset, for SO(3)
        the product grid of `Group.quadrature`. Functions of frequency below ``points / 2`` are
        determined by their samples.

        Args:
            group: The group.
            points: Samples a turn; None for a finite group.

        Raises:
            ValueError: If ``points`` is missing, not positive, or given for a finite group.
            TypeError: If an argument is of a wrong kind.
        """
        if not isinstance(group, Group):
            raise TypeError(f"FourierGrid: group: expected a group, got {type(group).__name__}")
        if group.order is not None:
            if points is not None:
                raise ValueError(
                    f"FourierGrid: points: expected None for the finite group {group.name}, all of "
                    f"whose elements are taken, got {points!r}"
                )
            return cls._make(group, *group.quadrature(0))
        count = integer(points, "FourierGrid", "points", 1, MOST_POINTS)
        return cls._make(group, *group.quadrature(count - 1))

    @classmethod
    def near_uniform(cls, group: Group, points: int, subgroup: object = None) -> FourierGrid:
        """Nearly even points on SO(3) or O(3), or on the sphere, that a cube's rotations permute.

        A layer is exact under all rotations that map a cubic grid to itself, and needs a third
        fewer samples than with `uniform` for the same error under the others.

        Args:
            group: ``so3()`` or ``o3()``.
            points: At least so many, rounded up to whole orbits of 24 (48 in O(3)).
            subgroup: ``"so2"`` for functions on the sphere; None for functions on the group.

        Raises:
            ValueError: If the group or the subgroup is another one, or ``points`` not positive.
            TypeError: If an argument is of a wrong kind.

        Examples:
            >>> import equivax as evx
            >>> evx.nn.FourierGrid.near_uniform(evx.groups.so3(), 40, subgroup="so2")
            FourierGrid(SO(3), 48 points)
        """
        if not isinstance(group, Group):
            raise TypeError(f"FourierGrid: group: expected a group, got {type(group).__name__}")
        if not _of_space(group):
            raise ValueError(f"FourierGrid: group: expected SO(3) or O(3), got {group}")
        inner = None if subgroup is None else group.subgroup(subgroup)
        if inner is not None and not _is_circle(inner):
            raise ValueError(
                f'FourierGrid: subgroup: expected None or "so2", the rotations about z, got '
                f"{subgroup!r}"
            )
        count = integer(points, "FourierGrid", "points", 1, MOST_POINTS)
        make = near_uniform_rotations if inner is None else near_uniform_directions
        if group is so3():
            return cls._even(group, make(count))
        turns = make(-(-count // 2))
        both = [np.insert(turns, 0, s, axis=1) for s in (0.0, 1.0)]  # and with the inversion
        return cls._even(group, np.concatenate(both))

    @classmethod
    def _even(cls, group: Group, coordinates: np.ndarray) -> FourierGrid:
        return cls._make(group, coordinates, np.ones(len(coordinates)))

    @classmethod
    def of(
        cls, group: Group, elements: Sequence[Any], weights: Sequence[float] | None = None
    ) -> FourierGrid:
        """A grid of given elements, such as those of a finite subgroup.

        The layer is exact under every element that maps the grid, with its weights, to itself.

        Args:
            group: The group.
            elements: Group elements, or their values.
            weights: Positive, in proportion to the volume around each element; equal if None.

        Raises:
            ValueError: If there is no element, or the weights do not fit.
        """
        if not isinstance(group, Group):
            raise TypeError(f"FourierGrid: group: expected a group, got {type(group).__name__}")
        if isinstance(elements, str) or not isinstance(elements, Sequence) or not len(elements):
            raise ValueError(
                f"FourierGrid: elements: expected at least one element of {group.name} in a list, "
                f"got {elements!r}"
            )
        coordinates = group.coordinates_of(elements)
        given = np.ones(len(coordinates))
        if weights is not None:
            if not (is_several(weights) and all(map(is_number, weights))):
                refuse(TypeError, "FourierGrid", "weights", "positive numbers in a list", weights)
            given = np.array([float(weight) for weight in weights])
        if given.shape != (len(coordinates),) or not np.all(np.isfinite(given) & (given > 0)):
            raise ValueError(
                f"FourierGrid: weights: expected {len(coordinates)} positive numbers, one an "
                f"element, got {shown(weights)}"
            )
        return cls._make(group, coordinates, given)

    @classmethod
    def _make(cls, group: Group, coordinates: np.ndarray, weights: np.ndarray) -> FourierGrid:
        kept = np.array(coordinates)
        kept.setflags(write=False)
        return cls(group, kept, freeze(weights / weights.sum()))

    @property
    def elements(self) -> tuple[GroupElement, ...]:
        """The elements."""
        return self.group.elements_at(self.coordinates)

    def __len__(self) -> int:
        return len(self.weights)

    @functools.cached_property
    def _key(self) -> tuple[Any, ...]:
        return (self.group, digest(self.coordinates, self.weights))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FourierGrid) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"FourierGrid({self.group.name}, {len(self)} points)"


def default_grid(
    group: Group, frequency: int, oversampling: float, subgroup: Subgroup | None = None
) -> FourierGrid:
    """At least ``oversampling (2 L + 1)`` samples a turn, a multiple of 4.

    On SO(3), O(3) and the sphere as many points as lie at that distance from each other.
    """
    if group.order is not None:
        return FourierGrid.uniform(group)
    turn = TURN * math.ceil(oversampling * (2 * frequency + 1) / TURN - 1e-9)
    if not _of_space(group):
        return FourierGrid.uniform(group, turn)
    both = 1 if group is so3() else 2
    if subgroup is not None and _is_circle(subgroup):
        return FourierGrid.near_uniform(group, both * math.ceil(turn**2 / math.pi), subgroup)
    return FourierGrid.near_uniform(group, both * math.ceil(turn**3 / math.pi))


def _of_space(group: Group) -> bool:
    return group is so3() or group is o3()


def _is_circle(subgroup: Subgroup) -> bool:
    """Whether its cosets are the directions of space, or each of them twice."""
    return subgroup.group is so2()


@dataclasses.dataclass(frozen=True, eq=False)
class Transform:
    """One field: to samples, and back.

    Attributes:
        samples: ``A``, ``(points, size)``.
        coefficients: The rows of its weighted pseudo-inverse, ``(out size, points)``.
    """

    samples: Float[np.ndarray, "points size"]
    coefficients: Float[np.ndarray, "out points"]


@functools.lru_cache(maxsize=512)
def transform(
    field: Summand,
    out_irreps: tuple[Any, ...] | None,
    grid: FourierGrid,
    subgroup: Subgroup | None,
) -> Transform:
    """Matrices of one field.

    Args:
        field: Of which no irrep occurs more often than among the functions.
        out_irreps: Ids of the coefficients of the output; None for those of the field.
        grid: Where samples are taken.
        subgroup: For functions on its cosets.

    Raises:
        ValueError: If the samples do not determine the coefficients.
    """
    group = field.group
    joint = list(field.irreps)
    for id in dict.fromkeys(out_irreps or ()):
        joint += [id] * ((out_irreps or ()).count(id) - joint.count(id))
    values = sampled_functions(group, joint, grid.coordinates, subgroup)
    # Equal rows are points that no function tells apart, such as those of one coset.
    labels = label_rows(values, _SAME_SAMPLE)
    kept, place = np.unique(labels, return_inverse=True)
    values, weights = values[kept], np.bincount(place.ravel(), grid.weights)
    # |k|, the norm of the vector whose orbit is sampled: the field's own irreps count.
    norm = math.sqrt(sum(group.irrep_data(id).size for id in field.irreps))
    root = np.sqrt(weights)[:, None]
    spectrum = np.linalg.svd(root * values, compute_uv=False)
    if len(values) < values.shape[1] or spectrum[-1] < _BLIND * spectrum[0]:
        raise ValueError(
            f"expected at least {values.shape[1]} samples that tell the {values.shape[1]} "
            f"coefficients of {field.name} apart, got {grid!r}, of which {len(values)} differ"
        )
    inverse = norm * np.linalg.pinv(root * values) * root.T
    values = values / norm
    samples = values[:, : field.size] @ field.change_of_basis.T
    if out_irreps is None:
        back = field.change_of_basis @ inverse[: field.size]
    else:
        back = inverse[_places(group, joint, out_irreps)]
    return Transform(freeze(samples), freeze(back))


def _places(group: Group, joint: list[Any], wanted: Sequence[Any]) -> np.ndarray:
    """Rows of the wanted irreps, copy by copy, among the joint ones."""
    starts: dict[Any, list[int]] = {}
    stop = 0
    for id in joint:
        starts.setdefault(id, []).append(stop)
        stop += group.irrep_data(id).size
    seen: dict[Any, int] = {}
    rows = []
    for id in wanted:
        number = seen.get(id, 0)
        seen[id] = number + 1
        rows.append(starts[id][number] + np.arange(group.irrep_data(id).size))
    return np.concatenate(rows)


def check_band(caller: str, index: int, field: Representation, subgroup: Subgroup | None) -> None:
    """Refuses a field with an irrep that occurs more often than among the functions.

    Raises:
        ValueError: Naming the irrep.
    """
    group = field.group
    where = group.name if subgroup is None else f"the cosets {group.name}/{subgroup.group.name}"
    for id, count in field.multiplicities.items():
        most = point_vectors(group, id, subgroup).shape[1]
        if count > most:
            raise ValueError(
                f"{caller}: in_type: field {index} ({field.name}) holds "
                f"{group.irrep_data(id).name} {count} times, but functions on {where} hold it "
                f"{most} times; representations.band_limited makes fields that fit"
            )


def band(group: Group, irreps: Any, subgroup: Subgroup | None) -> Representation:
    """The representation of a band: a frequency, or ids."""
    if isinstance(irreps, numbers.Integral) and not isinstance(irreps, bool):
        return band_limited(group, int(irreps), subgroup=subgroup)
    return band_limited(group, irreps=irreps, subgroup=subgroup)
