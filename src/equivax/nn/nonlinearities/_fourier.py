"""`FourierNonlinearity`: a function of samples, for fields that are Fourier coefficients."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import number
from ...fields import Type
from ...groups import Group, Subgroup
from ...representations import Representation
from .._core._admission import numbered_runs
from .._core._channels import type_like
from .._core._fibres import ByKind, Fibre, by_kind, fibre_plan, turned
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_layer
from .._core._probing import check_elementwise
from ._fourier_grid import FourierGrid, Transform, band, check_band, default_grid, transform

_NAME = "FourierNonlinearity"

#: More samples per coefficient have no use, and would fill the memory.
MOST_OVERSAMPLING = 1000


class FourierNonlinearity(AbstractModule):
    """``y = A^+ phi(A x)`` for every field: samples on a grid, a function, coefficients.

    A field holds the Fourier coefficients of a function on the group, ``A[j] = (rho(g_j) k)^T``
    are its values at ``g_1 .. g_n``, and ``A^+`` is least squares over the band (Cohen et al. 2018;
    Cesa, Lang and Weiler 2022). With ``subgroup=H`` the function lives on ``G / H``, such as the
    sphere ``SO(3) / SO(2)``.

    Law: ``f(rho(g) x) = rho(g) f(x)`` for every ``g`` that maps the grid to itself: always for a
    finite group, all of whose elements are taken; in SO(2) and O(2) for the angles of the grid,
    by default a multiple of 4, and the mirrors; in SO(3) and O(3) for the rotations of a cube. For
    other elements it holds up to an error that falls with ``oversampling`` and the smoothness of
    ``phi`` (see the guide on continuous groups).
    A regular field is taken as it is: there the layer equals `PointwiseNonlinearity`.

    Shapes: ``(..., C, *spatial) -> (..., C_out, *spatial)``; unchanged without ``out_irreps``.

    Examples:
        >>> import equivax as evx, jax
        >>> space = evx.spaces.rot_on_r2(-1)
        >>> field = evx.representations.band_limited(space.group, 3)
        >>> layer = evx.nn.FourierNonlinearity(evx.FieldType(space, 8 * field), jax.nn.elu)
        >>> layer.grid
        FourierGrid(SO(2), 16 points)
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    function: Callable[[Array], Array] = eqx.field(static=True)
    grid: FourierGrid = eqx.field(static=True)
    subgroup: Subgroup | None = eqx.field(static=True)
    out_irreps: tuple[Any, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        function: Callable[[Array], Array] = jax.nn.relu,
        *,
        grid: FourierGrid | None = None,
        oversampling: float | int | None = None,
        out_irreps: int | Iterable[Any] | None = None,
        subgroup: object = None,
    ) -> None:
        """Chooses the samples.

        Args:
            in_type: A type whose fields hold no irrep more often than the functions on the group
                (on the cosets) do: `representations.band_limited`, regular and quotient fields,
                single irreps.
            function: ``phi``, elementwise; smooth ones, such as `jax.nn.elu`, have a smaller error.
            grid: Where samples are taken. Default: all elements of a finite group; else as many
                as ``oversampling`` asks for.
            oversampling: Samples a turn over ``2 L + 1``, with ``L`` the largest frequency of input
                and output; rounded up to a multiple of 4 samples. Default 2. In space as many
                points as lie at that distance.
            out_irreps: The band of every output field, a frequency or ids of irreps; default: each
                field keeps its own.
            subgroup: ``H``, for functions on ``G / H``: a `Subgroup`, or whatever
                ``group.subgroup`` takes.

        Raises:
            ValueError: If a field is no band-limited function, the samples are too few, or an
                option is out of its range.
            TypeError: If ``function`` is not callable or ``in_type`` is no type.
        """
        check_elementwise(_NAME, function, example="jax.nn.elu")
        rep = representation_of(in_type, _NAME, "in_type")
        group = rep.group
        inner = _inner(group, subgroup)
        for index, field, _ in numbered_runs(rep):
            check_band(_NAME, index, field, inner)
        out = None if out_irreps is None else _band(group, out_irreps, inner)
        self.in_type = in_type
        self.function = function
        self.subgroup = inner
        self.out_irreps = None if out is None else out.irreps
        fields = sum(count for _, count in rep.data)
        self.out_type = in_type if out is None else type_like(in_type, fields * out)
        ids = {*rep.irreps, *(self.out_irreps or ())}
        highest = max(group.irrep_data(id).frequency for id in ids)
        self.grid = _grid(group, highest, grid, oversampling, inner)
        for index, field, _ in numbered_runs(rep):
            try:
                transform(field.data[0][0], self.out_irreps, self.grid, inner)
            except ValueError as error:
                option = "oversampling" if grid is None else "grid"
                raise ValueError(f"{_NAME}: {option}: field {index}: {error}") from None

    def _transforms(self) -> list[tuple[Fibre, Transform]]:
        return [
            (fibre, transform(fibre.summand, self.out_irreps, self.grid, self.subgroup))
            for fibre in fibre_plan(self._rep).fibres
        ]

    def _out_order(self) -> np.ndarray:
        """Where each output channel stands among the outputs kind by kind."""
        fields, sizes = [], []
        for fibre, matrices in self._transforms():
            fields.append(fibre.fields)
            sizes.append(np.full(len(fibre.fields), len(matrices.coefficients)))
        number, size = np.concatenate(fields), np.concatenate(sizes)
        return np.argsort(np.repeat(number, size), kind="stable").astype(np.int32)

    def _constants(self) -> ByKind:
        kinds = [
            (len(fibre.fields), fibre.summand.size, matrices.samples, matrices.coefficients)
            for fibre, matrices in self._transforms()
        ]
        function = functools.partial(through_samples, self.function)
        order = fibre_plan(self._rep).gather
        return function, kinds, order, self._out_order(), channel_axis(self.in_type)

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        return by_kind(*self._constants(), x)

    def export(self) -> eqx.nn.Lambda:
        """A plain function with the matrices of every kind of field as constants."""
        return plain_layer(by_kind, *self._constants())


def through_samples(
    function: Callable[[Array], Array],
    samples: Float[np.ndarray, "points size"] | Float[Array, "points size"],
    coefficients: Float[np.ndarray, "out points"] | Float[Array, "out points"],
    z: Float[Array, "batch fields size positions"],
) -> Float[Array, "batch fields out positions"]:
    """``A^+ phi(A z)`` for the fields of one kind."""
    return turned(coefficients, function(turned(samples, z)))


def _inner(group: Group, subgroup: object) -> Subgroup | None:
    if subgroup is None:
        return None
    try:
        return group.subgroup(subgroup)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{_NAME}: {error}") from None


def _band(group: Group, irreps: object, subgroup: Subgroup | None) -> Representation:
    try:
        return band(group, irreps, subgroup)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{_NAME}: out_irreps: {error}") from None


def _grid(
    group: Group, frequency: int, grid: object, oversampling: object, subgroup: Subgroup | None
) -> FourierGrid:
    if grid is not None:
        if oversampling is not None:
            raise ValueError(
                f"{_NAME}: oversampling: expected None beside grid={grid!r}, got {oversampling!r}"
            )
        if not isinstance(grid, FourierGrid):
            raise TypeError(
                f"{_NAME}: grid: expected a FourierGrid, as FourierGrid.uniform(group, points), "
                f"got {grid!r}"
            )
        if grid.group is not group:
            raise ValueError(f"{_NAME}: grid: expected elements of {group.name}, got {grid!r}")
        return grid
    if oversampling is None:
        return default_grid(group, frequency, 2.0, subgroup)
    factor = number(oversampling, _NAME, "oversampling", 1, MOST_OVERSAMPLING)
    if group.order is not None:
        raise ValueError(
            f"{_NAME}: oversampling: expected None for the finite group {group.name}, all of whose "
            f"elements are sampled, got {oversampling!r}"
        )
    return default_grid(group, frequency, factor, subgroup)
