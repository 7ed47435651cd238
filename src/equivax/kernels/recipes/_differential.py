"""The differential basis: operators that commute with a group, as kernels.

A matrix of operators ``P(d/dx)`` is equivariant iff ``P(A(g) xi) = rho_out(g) P(xi) rho_in(g)^-1``.
With ``P = sum C_{f,p} . h_f(xi) |xi|^(2 p)`` this says ``C_{f,p}`` in ``Hom_G(D_f (x) rho_in,
rho_out)``: the constraint of kernels, with derivatives in the place of rings and harmonics.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ..._numerics import freeze
from ...spaces import GSpace
from .._parts import BasisFilter, Part, times
from .._solid_harmonics import DIMENSIONS, harmonic_polynomials
from ._angular import harmonic_representation
from ._arguments import as_number, check_filter, non_negative
from ._offsets import offset
from ._polynomials import times_laplacian
from ._spacing import Spacing, checked_spacing, relative_spacing
from ._stencil_sizes import check_sizes, stencil_sizes
from ._stencils import Discretization, check_method, discretization, one_size, stencil_of

INDEPENDENT_SIZE = 11
"""Size up to which finite differences of all orders are well independent: the smallest singular
value of the unit elements is 0.3, 0.05, 3e-3, 2e-4, 1e-5 for 3, 5, 7, 9, 11 taps."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Differential:
    """Options of the differential basis: which derivatives, and how they become stencils.

    A value: hashable, and checked when made, as far as that is possible without a space and a
    kernel size.

    Attributes:
        accuracy: Order of the error of the derivatives of highest order; at most two of
            ``kernel_size``, this and the next, see `stencil_sizes`.
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
        spacing: Distances of neighbouring cells along the axes of arrays, such as ``(3.0, 1.0,
            1.0)`` where slices are thick: derivatives are those of space. Only ratios count;
            widths are in units of the finest.
        basis_filter: Takes the attributes of an element (see `SteerableBasis.attributes`), returns
            whether to keep it. Bases are cached by its identity.
        caller: Who asks, for messages; not stored.

    Raises:
        ValueError: If an option is out of range or does not fit the others.
        TypeError: If ``basis_filter`` is no callable.

    Examples:
        >>> import equivax as evx, jax
        >>> space = evx.spaces.flip_rot_on_r2(8)
        >>> scalars, vectors = (evx.FieldType(space, r) for r in (space.trivial, space.vector))
        >>> basis = evx.kernels.Differential(maximum_order=1, smoothing=1.0)
        >>> layer = evx.nn.Diffop(
        ...     scalars, vectors, kernel_size=5, basis=basis, key=jax.random.key(0)
        ... )
        >>> layer.kernel.shape
        (2, 1, 5, 5)
    """

    accuracy: int | None = None
    maximum_order: int | None = None
    maximum_power: int | None = None
    method: str | None = None
    smoothing: float | int | None = None
    phi: str | None = None
    shape: float | int | None = None
    angle_offset: float | int | None = None
    spacing: Sequence[float | int] | np.ndarray | None = None
    basis_filter: BasisFilter | None = None
    caller: dataclasses.InitVar[str] = "Differential"

    def __post_init__(self, caller: str) -> None:
        check_sizes(caller, None, self.accuracy, self.maximum_order)
        if self.maximum_power is not None:
            non_negative(caller, "maximum_power", self.maximum_power)
        check_method(caller, self.method, self.smoothing, self.phi, self.shape)
        if self.angle_offset is not None and as_number(self.angle_offset) is None:
            raise ValueError(
                f"{caller}: angle_offset: expected a finite angle in radians, got "
                f"{self.angle_offset!r}"
            )
        if self.spacing is not None:
            object.__setattr__(self, "spacing", checked_spacing(caller, self.spacing))
        check_filter(caller, self.basis_filter)

    def recipe(
        self, caller: str, space: GSpace, kernel_size: int | Sequence[int] | None = None
    ) -> DifferentialRecipe:
        """The derivatives that stencils of a size carry on a space.

        Args:
            caller: Who asks, for messages.
            space: A line, a plane or space.
            kernel_size: Taps per axis, or None if they follow from the options.

        Raises:
            ValueError: If size, space and options do not fit together.
        """
        if space.dim not in DIMENSIONS:
            raise ValueError(
                f"{caller}: space: expected a line, a plane or space, got {space!r} of dimension "
                f"{space.dim}"
            )
        size = None if kernel_size is None else one_size(caller, space, kernel_size)
        size, _, order = stencil_sizes(size, self.accuracy, self.maximum_order, caller)
        power = order // 2
        if self.maximum_power is not None:
            power = min(int(self.maximum_power), power)
        recipe = DifferentialRecipe(
            kernel=(size,) * space.dim,
            maximum_order=order,
            maximum_power=power,
            how=discretization(
                caller, space.dim, size, order, self.method, self.smoothing, self.phi, self.shape
            ),
            angle_offset=_angle(caller, space, self.angle_offset),
            spacing=relative_spacing(caller, space, self.spacing),
        )
        for order, _, samples in _samples(recipe):
            if not np.isfinite(samples).all():
                argument = "smoothing" if self.shape is None else "shape"
                raise ValueError(
                    f"{caller}: {argument}: expected a width that the taps can see, got "
                    f"{getattr(self, argument)!r}: a derivative of order {order} is zero on all "
                    f"{size} taps per axis"
                )
        return recipe


def _angle(caller: str, space: GSpace, given: object) -> float:
    if given is None:
        return 0.0
    angle = as_number(given)
    if space.dim != 2 or angle is None:
        raise ValueError(
            f"{caller}: angle_offset: expected a finite angle on a plane, or None, got {given!r} "
            f"on {space!r}"
        )
    turn = _turn(angle)
    actions = space.matrices(space.group.testing_coordinates)
    if np.abs(turn @ actions - actions @ turn).max() > 1e-9:
        raise ValueError(
            f"{caller}: angle_offset: {given!r} turns the operators away from the mirrors of "
            f"{space!r}; leave it out and turn the mirrors by the axis of the space"
        )
    return angle


# ---- recipe ----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class DifferentialRecipe:
    """Harmonic polynomials of derivatives times powers of the Laplacian, as stencils.

    Attributes:
        kernel: Taps per spatial axis, all equal.
        maximum_order: Highest order ``f + 2 p``.
        maximum_power: Highest power ``p`` of the Laplacian.
        how: The method that makes stencils, and its options.
        angle_offset: Angle by which the polynomials of a plane are turned.
        spacing: Distance of taps per axis, over the smallest; None if they are equal.
    """

    kernel: tuple[int, ...]
    maximum_order: int
    maximum_power: int
    how: Discretization
    angle_offset: float
    spacing: Spacing | None = dataclasses.field(default=None, metadata={"since": 2})

    @property
    def drops_dependent(self) -> bool:
        """Never: derivatives of one order are independent however far the taps."""
        return False

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
            f"differential operators, kernel {times(self.kernel)}, order up to "
            f"{self.maximum_order}, powers of the Laplacian up to {self.maximum_power}, {self.how}"
        )
        if self.spacing:
            text += f", spacing {' x '.join(f'{s:.4g}' for s in self.spacing)}"
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
            stencils = [
                stencil_of(recipe.how, size, orders, recipe.spacing).ravel()
                for orders in polynomials
            ]
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
