"""`SubgroupPooling`: from functions on a group, or on its cosets, to larger cosets."""

from __future__ import annotations

import functools
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ...fields import Type
from ...groups import Group, Subgroup
from ...representations import (
    InducedStructure,
    Representation,
    direct_sum,
    induced_structure,
    quotient,
    regular,
    trivial,
)
from .._core._admission import numbered_runs
from .._core._channels import Runs, per_block, runs_of, take_channels, type_like
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_layer
from .._core._probing import check_symmetric
from ._fieldwise import reduced

_NAME = "SubgroupPooling"


class SubgroupPooling(AbstractModule):
    """``y(g H) = max x(g' K)`` over the cosets ``g' K`` in ``g H``, for ``K <= H <= G``.

    Fields on ``G / K`` (regular ones if ``K = 1``) become fields on ``G / H``; with ``H = G`` it is
    `GroupPooling`, with ``H = K`` the identity (Cohen and Welling 2016, section 6.3).

    Law: ``f(rho(g) x) = rho(g) f(x)`` for all of ``G``, which permutes the cosets on both sides.

    Shapes: ``(..., C, *spatial) -> (..., C_out, *spatial)``; a field of ``[G : K]`` channels
    becomes one of ``[G : H]``.

    Examples:
        >>> import equivax as evx
        >>> space = evx.spaces.flip_rot_on_r2(4)
        >>> rotations = space.group.subgroup("rotations")
        >>> type_ = evx.FieldType(space, 8 * space.regular)
        >>> evx.nn.SubgroupPooling(type_, rotations).out_type
        D4 on R2: 8 x quotient(C4)
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    subgroup: Subgroup = eqx.field(static=True)
    reduce: Callable[..., Array] = eqx.field(static=True)

    def __init__(
        self, in_type: Type, subgroup: object, reduce: Callable[..., Array] = jnp.max
    ) -> None:
        """Finds the cosets of every field.

        Args:
            in_type: A type of regular and quotient fields.
            subgroup: ``H``: a `Subgroup`, or whatever ``group.subgroup`` takes; it contains the
                ``K`` of every field.
            reduce: ``(array, axis=) -> array``, indifferent to the order along the axis (checked
                on an example): `jax.numpy.max`, `jax.numpy.mean`, `jax.nn.logsumexp`.

        Raises:
            ValueError: If a field is not on cosets of a subgroup of ``H``, ``H`` has infinitely
                many cosets, or ``reduce`` depends on the order.
            TypeError: If ``reduce`` is not callable or ``in_type`` is no type.
        """
        rep = representation_of(in_type, _NAME, "in_type")
        check_symmetric(_NAME, reduce)
        outer = _outer(rep.group, subgroup)
        made = []
        for index, field, count in numbered_runs(rep):
            _field_plan(index, field, outer)
            made.append(count * _cosets(rep.group, outer))
        self.in_type = in_type
        self.out_type = type_like(in_type, direct_sum(made))
        self.subgroup = outer
        self.reduce = reduce

    def _constants(self) -> tuple[Callable[..., Array], np.ndarray, Runs, int]:
        plan = _plan(self._rep, self.subgroup)
        return functools.partial(reduced, self.reduce), *plan, channel_axis(self.in_type)

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        return over_cosets(*self._constants(), x)

    def export(self) -> eqx.nn.Lambda:
        """A plain function with the order of the channels as a constant."""
        return plain_layer(over_cosets, *self._constants())


def over_cosets(
    reduce: Callable[[Array, int], Array],
    channels: np.ndarray | Array,
    runs: Runs,
    axis: int,
    x: Float[Array, "..."],
) -> Float[Array, "..."]:
    """A reduction of blocks of channels in a given order, see `per_block`."""
    return per_block(reduce, runs, axis, take_channels(x, channels, axis))


def _outer(group: Group, subgroup: object) -> Subgroup:
    try:
        found = group.subgroup(subgroup)
        _ = found.index
    except (TypeError, ValueError) as error:
        raise type(error)(f"{_NAME}: subgroup: {error}") from None
    return found


def _cosets(group: Group, subgroup: Subgroup) -> Representation:
    """The permutation of the cosets under its shortest name."""
    if subgroup.index == 1:
        return trivial(group)
    return regular(group) if subgroup.index == group.order else quotient(group, subgroup)


@functools.lru_cache(maxsize=512)
def _plan(rep: Representation, outer: Subgroup) -> tuple[np.ndarray, Runs]:
    """Channels in the order of the larger cosets, and the blocks that are reduced."""
    pieces, runs, start = [], [], 0
    for index, field, count in numbered_runs(rep):
        local = _field_plan(index, field, outer)
        shifts = start + field.size * np.arange(count)
        pieces.append((shifts[:, None] + local.ravel()).ravel())
        runs.append((local.shape[1], count * len(local)))
        start += field.size * count
    channels = np.concatenate(pieces).astype(np.int32)
    channels.setflags(write=False)
    return channels, runs_of(runs)


def _field_plan(index: int, field: Representation, outer: Subgroup) -> np.ndarray:
    """The channels of every coset of ``H``, ``([G : H], [H : K])``.

    Raises:
        ValueError: If the field is not on the cosets of a subgroup of ``H``.
    """
    structure = induced_structure(field, remembered=False)
    if structure is None:
        raise ValueError(
            f"{_NAME}: in_type: field {index} ({field.name}) is not permuted by "
            f"{field.group.name} in one orbit; expected regular and quotient fields, as "
            "group.regular and group.quotient(K); nn.Disentangle(by='permutation') splits orbits, "
            "and nn.NormPool takes any field"
        )
    if not _contains(outer, structure.subgroup):
        raise ValueError(
            f"{_NAME}: subgroup: field {index} ({field.name}) is on the cosets of "
            f"{structure.subgroup!r}, which {outer!r} does not contain; expected a subgroup "
            f"between {structure.subgroup.group.name} and {field.group.name}"
        )
    return _members(structure, outer)


def _contains(outer: Subgroup, inner: Subgroup) -> bool:
    points = inner.group.testing_coordinates
    if inner.group.order is not None:
        points = inner.group.coordinates_of(inner.group.elements)
    return bool(outer.locate(inner.embed(points))[0].all())


def _members(structure: InducedStructure, outer: Subgroup) -> np.ndarray:
    group = outer.parent
    small = group.coordinates_of(structure.subgroup.coset_representatives)
    large = group.invert(group.coordinates_of(outer.coset_representatives))
    rows = []
    for inverse in large:  # s K lies in t H if t^-1 s is in H
        inside, _ = outer.locate(group.compose(inverse[None], small))
        rows.append(np.asarray(structure.starts)[inside])
    return np.stack(rows)
