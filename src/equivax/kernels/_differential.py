"""Differential operators that commute with a group, as kernels.

A matrix of operators ``P(d/dx)`` is equivariant iff ``P(A(g) xi) = rho_out(g) P(xi) rho_in(g)^-1``.
With ``P = sum C_{f,p} . h_f(xi) |xi|^(2 p)`` this says ``C_{f,p}`` in ``Hom_G(D_f (x) rho_in,
rho_out)``: the constraint of kernels, with derivatives in the place of rings and harmonics.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from .._numerics import freeze
from ..representations import as_representation, check_same_group
from ..spaces import GSpace
from ._factory import check_group, check_space
from ._parts import Part
from ._steerable_basis import BasisFilter, SteerableBasis, pair_basis
from .recipes._harmonics import harmonic_representation
from .recipes._offsets import offset
from .recipes._options import kernel_shape
from .recipes._polynomials import DIMENSIONS, harmonic_polynomials, times_laplacian
from .recipes._stencils import (
    METHODS,
    RADIAL,
    SOLVABLE,
    Discretization,
    radial_condition,
    stencil_of,
    stencil_sizes,
)

INDEPENDENT_SIZE = 11
"""Size up to which finite differences of all orders are well independent: the smallest singular
value of the unit elements is 0.3, 0.05, 3e-3, 2e-4, 1e-5 for 3, 5, 7, 9, 11 taps."""


@dataclasses.dataclass(frozen=True)
class DifferentialRecipe:
    """Harmonic polynomials of derivatives times powers of the Laplacian, as stencils.

    Attributes:
        kernel: Taps per spatial axis, all equal.
        maximum_order: Highest order ``f + 2 p``.
        maximum_power: Highest power ``p`` of the Laplacian.
        how: The method that makes stencils, and its options.
        angle_offset: Angle by which the polynomials of a plane are turned.
    """

    kernel: tuple[int, ...]
    maximum_order: int
    maximum_power: int
    how: Discretization
    angle_offset: float

    @property
    def checks_rank(self) -> bool:
        """All but finite differences of moderate size."""
        return self.how.method != "finite_difference" or self.kernel[0] > INDEPENDENT_SIZE

    @property
    def remedy(self) -> str:
        """What to change if elements are dependent."""
        options = {"gaussian": ", another smoothing", "rbf": ", another shape"}
        return f"a lower maximum_order{options.get(self.how.method, '')}"

    def parts(self, space: GSpace) -> tuple[Part, ...]:
        """Every order with every degree of harmonic polynomials that makes it."""
        return _parts(self, space)

    def offset(self, space: GSpace, part: Part, in_irrep: tuple, out_irrep: tuple) -> int | None:
        """Smallest ``|t|`` with ``f = +-m +- n + t N``; None on a line."""
        if space.dim != 2:
            return None
        return offset(space, part.frequency or 0, in_irrep, out_irrep)

    def allows(self, space: GSpace, part: Part, in_irrep: tuple, out_irrep: tuple) -> bool:
        """Always."""
        return True

    def __str__(self) -> str:
        text = (
            f"differential operators, kernel {' x '.join(map(str, self.kernel))}, order up to "
            f"{self.maximum_order}, powers of the Laplacian up to {self.maximum_power}, {self.how}"
        )
        return text + (f", angle_offset {self.angle_offset:.4g}" if self.angle_offset else "")


@functools.lru_cache(maxsize=256)
def _samples(
    recipe: DifferentialRecipe,
) -> tuple[tuple[int, int, Float[np.ndarray, "y taps"]], ...]:
    """Order, degree and stencils of every part; each with a mean square of 1 over its functions.

    Stencils of different orders differ by powers of the pixel; scaled, none is lost to rounding.
    """
    dim, size = len(recipe.kernel), recipe.kernel[0]
    found = []
    for order in range(recipe.maximum_order + 1):
        for degree in range(order % 2, order + 1, 2):
            power = (order - degree) // 2
            polynomials = times_laplacian(harmonic_polynomials(dim, degree), power)
            if power > recipe.maximum_power or not polynomials:
                continue
            values = np.stack(list(polynomials.values()), axis=1)
            stencils = [stencil_of(recipe.how, size, orders).ravel() for orders in polynomials]
            samples = values @ np.stack(stencils)
            if degree and recipe.angle_offset:
                samples = _turn(degree * recipe.angle_offset) @ samples
            norm = np.sqrt((samples**2).sum() / len(samples))
            with np.errstate(invalid="ignore", divide="ignore"):
                found.append((order, degree, freeze(samples / norm)))
    return tuple(found)


def _turn(angle: float) -> Float[np.ndarray, "2 2"]:
    """``h_f(R(a) xi) = R(f a) h_f(xi)``."""
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


@functools.lru_cache(maxsize=256)
def _parts(recipe: DifferentialRecipe, space: GSpace) -> tuple[Part, ...]:
    return tuple(
        Part(
            ring=order,
            radius=None if order else 0.0,
            sigma=recipe.how.smoothing,
            frequency=degree,
            rep=harmonic_representation(space, degree),
            samples=samples,
            order=order,
        )
        for order, degree, samples in _samples(recipe)
    )


# ---- options ---------------------------------------------------------------------------------


def differential_recipe(
    caller: str,
    space: GSpace,
    kernel_size: int | Sequence[int] | None = None,
    *,
    accuracy: int | None = None,
    maximum_order: int | None = None,
    maximum_power: int | None = None,
    method: str | None = None,
    smoothing: float | int | None = None,
    phi: str | None = None,
    shape: float | int | None = None,
    angle_offset: float | int | None = None,
) -> DifferentialRecipe:
    """A recipe from options, see `differential_basis`."""
    if space.dim not in DIMENSIONS:
        raise ValueError(
            f"{caller}: space: expected a line or a plane, got {space!r} of dimension {space.dim}"
        )
    size = None if kernel_size is None else _one_size(caller, space, kernel_size)
    size, _, order = stencil_sizes(size, accuracy, maximum_order, caller)
    if maximum_power is None:
        maximum_power = order // 2
    whole = isinstance(maximum_power, (int, np.integer)) and not isinstance(maximum_power, bool)
    if not whole or maximum_power < 0:
        raise ValueError(
            f"{caller}: maximum_power: expected a non-negative integer, got {maximum_power!r}"
        )
    recipe = DifferentialRecipe(
        kernel=(size,) * space.dim,
        maximum_order=order,
        maximum_power=min(int(maximum_power), order // 2),
        how=_discretization(caller, space.dim, size, order, method, smoothing, phi, shape),
        angle_offset=_angle(caller, space, angle_offset),
    )
    for order, _, samples in _samples(recipe):
        if not np.isfinite(samples).all():
            raise ValueError(
                f"{caller}: smoothing: expected a width that the taps can see, got {smoothing!r}: "
                f"a derivative of order {order} is zero on all {size} taps per axis"
            )
    return recipe


def _one_size(caller: str, space: GSpace, kernel_size: Any) -> int:
    kernel = kernel_shape(caller, space, kernel_size)
    if len(set(kernel)) > 1:
        raise ValueError(f"{caller}: kernel_size: expected equal sizes, got {kernel}")
    return kernel[0]


def _positive(caller: str, name: str, value: Any) -> float:
    real = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not real or not math.isfinite(value) or value <= 0:
        raise ValueError(f"{caller}: {name}: expected a positive number, got {value!r}")
    return float(value)


def _discretization(
    caller: str,
    dim: int,
    size: int,
    order: int,
    method: str | None,
    smoothing: Any,
    phi: str | None,
    shape: Any,
) -> Discretization:
    if method is None:
        method = "finite_difference" if smoothing is None else "gaussian"
    if method not in METHODS:
        raise ValueError(f"{caller}: method: expected one of {', '.join(METHODS)}, got {method!r}")
    if smoothing is not None and method != "gaussian":
        raise ValueError(
            f'{caller}: smoothing: belongs to method="gaussian", got {smoothing!r} with '
            f"method={method!r}"
        )
    for name, value in (("phi", phi), ("shape", shape)):
        if value is not None and method != "rbf":
            raise ValueError(
                f'{caller}: {name}: belongs to method="rbf", got {value!r} with method={method!r}'
            )
    if method == "gaussian":
        width = size / 4 if smoothing is None else _positive(caller, "smoothing", smoothing)
        return Discretization(method, smoothing=width)
    if method == "finite_difference":
        return Discretization(method)
    phi = RADIAL[0] if phi is None else phi
    if phi not in RADIAL:
        raise ValueError(f"{caller}: phi: expected one of {', '.join(RADIAL)}, got {phi!r}")
    if phi == "polyharmonic":
        least = order + 1 + order % 2
        value = least if shape is None else _positive(caller, "shape", shape)
        if value % 2 != 1 or value < least:
            raise ValueError(
                f"{caller}: shape: expected an odd exponent >= {least}, so that derivatives of "
                f"order {order} are continuous, got {shape!r}"
            )
    else:
        value = 1.0 if shape is None else _positive(caller, "shape", shape)
    how = Discretization(method, phi=phi, shape=float(value))
    if radial_condition(how, size, dim) < SOLVABLE:
        raise ValueError(
            f"{caller}: shape: {how} leaves no digit on {size} taps per axis, whose functions are "
            "nearly dependent; use a smaller shape or kernel_size"
        )
    return how


def _angle(caller: str, space: GSpace, angle: Any) -> float:
    if angle is None:
        return 0.0
    real = isinstance(angle, (int, float, np.number)) and not isinstance(angle, bool)
    if space.dim != 2 or not real or not math.isfinite(angle):
        raise ValueError(
            f"{caller}: angle_offset: expected a finite angle on a plane, or None, got {angle!r} "
            f"on {space!r}"
        )
    turn = _turn(float(angle))
    actions = space.matrices(space.group.testing_coordinates)
    if np.abs(turn @ actions - actions @ turn).max() > 1e-9:
        raise ValueError(
            f"{caller}: angle_offset: {angle!r} turns the operators away from the mirrors of "
            f"{space!r}; leave it out and turn the mirrors by the axis of the space"
        )
    return float(angle)


def differential_basis(
    space: GSpace,
    in_rep: Any,
    out_rep: Any,
    kernel_size: int | Sequence[int] | None = None,
    *,
    accuracy: int | None = None,
    maximum_order: int | None = None,
    maximum_power: int | None = None,
    method: str | None = None,
    smoothing: float | int | None = None,
    phi: str | None = None,
    shape: float | int | None = None,
    angle_offset: float | int | None = None,
    basis_filter: BasisFilter | None = None,
    allow_dependent: bool = False,
) -> SteerableBasis:
    """The differential operators between two representations that commute with a group.

    Matrices ``P`` of polynomials with ``P(A(g) xi) = rho_out(g) P(xi) rho_in(g)^-1``, as stencils
    of ``P(d/dx)``. With ``m_f = dim Hom_G(D_f (x) rho_in, rho_out)`` there are
    ``sum_f (min(P, floor((o - f) / 2)) + 1) m_f`` of order up to o.

    Args:
        space: A line or a plane with a group, see `equivax.spaces`.
        in_rep: A `Representation` of its group, or a type that has one.
        out_rep: Likewise.
        kernel_size: Taps per axis; at most two of this and the next two, see `stencil_sizes`.
        accuracy: Order of the error of the derivatives of highest order.
        maximum_order: Highest order o of derivatives.
        maximum_power: Highest power P of the Laplacian; by default ``floor(o / 2)``, all.
        method: ``"finite_difference"`` (default), ``"gaussian"`` (derivatives of the smoothed
            image; default if ``smoothing`` is given) or ``"rbf"`` (for experts).
        smoothing: Standard deviation in taps of "gaussian"; by default ``kernel_size / 4``.
        phi: Radial function of "rbf": ``"gaussian"`` (default) or ``"polyharmonic"``.
        shape: Its width in taps (default 1), or its odd exponent (default the smallest that is
            larger than o).
        angle_offset: Turns the polynomials, which changes the basis but not its span. Refused
            where it would break a mirror.
        basis_filter: Takes the attributes of an element (see `SteerableBasis.attributes`), returns
            whether to keep it. Bases are cached by its identity.
        allow_dependent: Accept stencils that are linearly dependent.

    Returns:
        A `SteerableBasis`, possibly empty; equal arguments give the same object. Each element is
        scaled like a kernel's, so the size of a pixel does not matter.

    Raises:
        ValueError: If the groups differ, an option is out of range or does not fit the others, or
            the elements are linearly dependent.
        TypeError: If an argument has the wrong type.

    References:
        Jenner and Weiler, *Steerable partial differential operators for equivariant neural
        networks*, 2022, arXiv:2106.10163.

    Examples:
        >>> import equivax as evx
        >>> space = evx.spaces.flip_rot_on_r2(-1)
        >>> gradient = evx.kernels.differential_basis(
        ...     space, space.trivial, space.irrep(1, 1), maximum_order=1, accuracy=2
        ... )
        >>> gradient.names()
        ('(trivial[0] -> irrep(1,1)[0]) order=1 f=1 #0',)
    """
    caller = "differential_basis"
    check_space(caller, space)
    in_rep = as_representation(in_rep, "in_rep")
    out_rep = as_representation(out_rep, "out_rep")
    check_same_group(caller, in_rep, out_rep)
    check_group(caller, space, in_rep)
    recipe = differential_recipe(
        caller,
        space,
        kernel_size,
        accuracy=accuracy,
        maximum_order=maximum_order,
        maximum_power=maximum_power,
        method=method,
        smoothing=smoothing,
        phi=phi,
        shape=shape,
        angle_offset=angle_offset,
    )
    return pair_basis(space, in_rep, out_rep, recipe, basis_filter, allow_dependent)


def derivative_stencil(
    space: GSpace,
    orders: Sequence[int],
    kernel_size: int,
    *,
    method: str | None = None,
    smoothing: float | int | None = None,
    phi: str | None = None,
    shape: float | int | None = None,
    spacing: float | int = 1.0,
) -> Float[np.ndarray, "*kernel"]:
    """The stencil of one partial derivative, in physical units.

    Correlated with an image it gives ``d^a f / dx^a_1 dy^a_2`` at every pixel. Sums of stencils are
    kernels that ``with_kernel`` takes, for known operators such as a Laplacian.

    Args:
        space: A line or a plane; its dimension counts.
        orders: Of the derivatives along x, y, ...
        kernel_size: Taps per axis, more than each order.
        method: As in `differential_basis`.
        smoothing: As there.
        phi: As there.
        shape: As there.
        spacing: Distance of neighbouring taps: the size of a pixel times the dilation.

    Returns:
        Float64, ``(k,)`` or ``(k, k)`` with rows against y.

    Raises:
        ValueError: If an option is out of range.

    Examples:
        >>> import equivax as evx
        >>> evx.kernels.derivative_stencil(evx.spaces.trivial_on_r2(), (0, 1), 3)
        array([[ 0. ,  0.5,  0. ],
               [ 0. ,  0. ,  0. ],
               [ 0. , -0.5,  0. ]])
    """
    caller = "derivative_stencil"
    check_space(caller, space)
    size = _one_size(caller, space, kernel_size)
    orders = tuple(orders)
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in orders)
    if len(orders) != space.dim or not whole or not all(0 <= n < size for n in orders):
        raise ValueError(
            f"{caller}: orders: expected {space.dim} integers in 0..{size - 1}, got {orders}"
        )
    how = _discretization(caller, space.dim, size, sum(orders), method, smoothing, phi, shape)
    scale = _positive(caller, "spacing", spacing) ** sum(orders)
    return stencil_of(how, size, tuple(map(int, orders))) / scale
