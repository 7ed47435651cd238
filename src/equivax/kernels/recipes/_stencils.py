"""Partial derivatives as stencils: numbers on the taps of a kernel, correlated with an image.

On the taps ``t_j = j - (k - 1) / 2`` of an axis, ``w`` stands for ``d^n/dt^n`` at the origin.

*Finite differences* are exact for polynomials of a degree below k,
``sum_j w_j t_j^i = n! [i = n]``. *Gaussian* derivatives ``(-1)^n G_s^(n)(t_j)`` differentiate the
image smoothed by ``G_s``. Both are outer products over the axes. *Radial basis functions* solve
``Phi w = (D phi)(0 - x_j)``: the stencil is exact for the functions ``phi(|x - x_j|)``.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from ..._arguments import integer, is_several, several
from ..._numerics import freeze
from ...spaces import GSpace
from ._arguments import as_integer, check_space, kernel_shape, positive
from ._spacing import Spacing, checked_spacing, relative_spacing, spaced_points

METHODS = ("finite_difference", "gaussian", "rbf")
"""Ways to make a stencil of a derivative."""

RADIAL = ("gaussian", "polyharmonic")
"""Functions ``phi`` of method "rbf": ``exp(-r^2 / (2 shape^2))`` and ``r^shape``."""

SOLVABLE = 1e-12
"""Smallest singular value of ``Phi``, relative to the largest, that leaves three digits."""


MOST_WIDTH = 1e6
"""Widest smoothing, in taps: beyond, its powers leave the floating numbers."""

MOST_TAPS = 201
"""Most taps of a stencil along an axis: exact weights grow beyond floating numbers."""


def finite_difference_weights(size: int, order: int) -> tuple[Fraction, ...]:
    """Exact weights of a derivative at the middle of equally spaced taps.

    ``order!`` times the coefficient of ``t^order`` of the Lagrange polynomials; an even number of
    taps has none in the middle, so that order 0 interpolates.

    Args:
        size: Number of taps, ``t_j = j - (size - 1) / 2``.
        order: Of the derivative, below ``size``.

    Returns:
        One fraction per tap, in ascending order of ``t``.

    Raises:
        ValueError: If the taps carry no derivative of that order.

    References:
        Fornberg, *Generation of finite difference formulas on arbitrarily spaced grids*, 1988.

    Examples:
        >>> import equivax as evx
        >>> [str(w) for w in evx.kernels.finite_difference_weights(3, 1)]
        ['-1/2', '0', '1/2']
    """
    caller = "finite_difference_weights"
    size, order = integer(size, caller, "size", 1, MOST_TAPS), integer(order, caller, "order")
    if not 0 <= order < size:
        raise ValueError(
            f"finite_difference_weights: order: expected 0..{size - 1} for {size} taps, got {order}"
        )
    return _exact_weights(size, order)


@functools.lru_cache(maxsize=1024)
def _exact_weights(size: int, order: int) -> tuple[Fraction, ...]:
    taps = [Fraction(2 * j - size + 1, 2) for j in range(size)]
    weights = []
    for j, tap in enumerate(taps):
        lagrange = [Fraction(1)]  # coefficients, ascending
        for m, other in enumerate(taps):
            if m != j:
                shifted = [Fraction(0), *lagrange]
                scaled = [-other * c for c in lagrange] + [Fraction(0)]
                lagrange = [(a + b) / (tap - other) for a, b in zip(shifted, scaled, strict=True)]
        weights.append(math.factorial(order) * lagrange[order])
    return tuple(weights)


@dataclasses.dataclass(frozen=True)
class Discretization:
    """How derivatives become stencils.

    Attributes:
        method: One of `METHODS`.
        smoothing: Standard deviation in taps of method "gaussian".
        phi: One of `RADIAL`, of method "rbf".
        shape: Its width in taps, or its odd exponent.
    """

    method: str = "finite_difference"
    smoothing: float | None = None
    phi: str | None = None
    shape: float | None = None

    def __str__(self) -> str:
        if self.method == "gaussian":
            return f"gaussian, smoothing {self.smoothing:.4g}"
        if self.method == "rbf":
            return f"rbf, phi {self.phi} with shape {self.shape:.4g}"
        return self.method


# ---- options ---------------------------------------------------------------------------------


def check_method(caller: str, method: object, smoothing: object, phi: object, shape: object) -> str:
    """The method, and a refusal of options that are out of range or belong to another."""
    if method is None:
        method = "finite_difference" if smoothing is None else "gaussian"
    if not isinstance(method, str) or method not in METHODS:
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
    if phi is not None and not (isinstance(phi, str) and phi in RADIAL):
        raise ValueError(f"{caller}: phi: expected one of {', '.join(RADIAL)}, got {phi!r}")
    for name, value in (("smoothing", smoothing), ("shape", shape)):
        if value is not None and positive(caller, name, value) > MOST_WIDTH:
            raise ValueError(f"{caller}: {name}: expected at most {MOST_WIDTH:g}, got {value!r}")
    return method


def discretization(
    caller: str,
    dim: int,
    size: int,
    order: int,
    method: str | None,
    smoothing: float | int | None,
    phi: str | None,
    shape: float | int | None,
) -> Discretization:
    """How derivatives up to an order become stencils, from the options of `Differential`."""
    method = check_method(caller, method, smoothing, phi, shape)
    if method == "gaussian":
        return Discretization(method, smoothing=float(size / 4 if smoothing is None else smoothing))
    if method == "finite_difference":
        return Discretization(method)
    phi = RADIAL[0] if phi is None else phi
    value = 1.0 if shape is None else float(shape)
    if phi == "polyharmonic":
        least = order + 1 + order % 2
        value = float(least) if shape is None else value
        if value % 2 != 1 or value < least:
            raise ValueError(
                f"{caller}: shape: expected an odd exponent >= {least}, so that derivatives of "
                f"order {order} are continuous, got {shape!r}"
            )
    how = Discretization(method, phi=phi, shape=value)
    if radial_condition(how, size, dim) < SOLVABLE:
        raise ValueError(
            f"{caller}: shape: {how} leaves no digit on {size} taps per axis, whose functions are "
            "nearly dependent; use a smaller shape or kernel_size"
        )
    return how


def one_size(caller: str, space: GSpace, kernel_size: object) -> int:
    """Taps per axis, equal for all axes."""
    kernel = kernel_shape(caller, space, kernel_size)
    if len(set(kernel)) > 1:
        raise ValueError(f"{caller}: kernel_size: expected equal sizes, got {kernel}")
    return kernel[0]


# ---- weights ---------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def stencil_of(
    how: Discretization, size: int, orders: tuple[int, ...], spacing: Spacing | None = None
) -> Float[np.ndarray, "*kernel"]:
    """The stencil of a partial derivative.

    Args:
        how: The method.
        size: Taps per axis.
        orders: Of the derivatives along x, y, ...
        spacing: Distance of taps per axis of the array, in the unit of the widths of ``how``.

    Returns:
        One axis per coordinate, in the order of arrays: the last runs along x, the others against
        their coordinates.
    """
    if how.method == "rbf":
        return freeze(_radial_stencil(how, size, orders, spacing))
    stencil = np.ones(())
    steps = (1.0,) * len(orders) if spacing is None else spacing
    for axis, (order, step) in enumerate(zip(reversed(orders), steps, strict=True)):
        if how.method == "gaussian":
            weights = _gaussian_weights(size, order, float(how.smoothing or 0.0) / step)
        else:
            weights = np.array([float(w) for w in finite_difference_weights(size, order)])
        weights = weights / step**order
        stencil = np.multiply.outer(stencil, weights if axis == len(orders) - 1 else weights[::-1])
    return freeze(stencil)


def derivative_stencil(
    space: GSpace,
    orders: Sequence[int],
    kernel_size: int,
    *,
    method: str | None = None,
    smoothing: float | int | None = None,
    phi: str | None = None,
    shape: float | int | None = None,
    spacing: float | int | Sequence[float | int] | np.ndarray = 1.0,
) -> Float[np.ndarray, "*kernel"]:
    """The stencil of one partial derivative, in physical units.

    Correlated with an image it gives ``d^a f / dx^a_1 dy^a_2`` at every pixel. Sums of stencils are
    kernels that ``with_kernel`` takes, for known operators such as a Laplacian.

    Args:
        space: A line, a plane or space; its dimension counts.
        orders: Of the derivatives along x, y, ...
        kernel_size: Taps per axis, more than each order.
        method: As in `Differential`.
        smoothing: As there.
        phi: As there.
        shape: As there.
        spacing: Distance of neighbouring taps: the size of a pixel times the dilation. One number,
            or one per axis of the array: ``(y, x)``, ``(z, y, x)``; widths are then in units of
            the finest.

    Returns:
        Float64, one axis per coordinate: ``(k,)``, ``(k, k)`` with rows against y, ...

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
    size = one_size(caller, space, kernel_size)
    orders = tuple(several(orders, caller, "orders", f"{space.dim} integers", 0))
    whole = [-1 if (n := as_integer(order)) is None else n for order in orders]
    if len(orders) != space.dim or not all(0 <= n < size for n in whole):
        raise ValueError(
            f"{caller}: orders: expected {space.dim} integers in 0..{size - 1}, got {orders}"
        )
    how = discretization(caller, space.dim, size, sum(whole), method, smoothing, phi, shape)
    several_given = is_several(spacing)
    ratios = relative_spacing(caller, space, spacing) if several_given else None
    finest = min(checked_spacing(caller, spacing)) if several_given else spacing
    scale = positive(caller, "spacing", finest) ** sum(whole)
    return stencil_of(how, size, tuple(whole), ratios) / scale


def _gaussian_weights(size: int, order: int, width: float) -> Float[np.ndarray, " taps"]:
    """``(-1)^n G^(n)(t) = He_n(t / s) G(t) / s^n``."""
    t = (np.arange(size) - (size - 1) / 2) / width
    hermite = np.polynomial.hermite_e.hermeval(t, np.eye(order + 1)[order])
    return hermite * np.exp(-(t**2) / 2) / (math.sqrt(2 * math.pi) * width ** (order + 1))


def _radial_stencil(
    how: Discretization, size: int, orders: tuple[int, ...], spacing: Spacing | None
) -> Float[np.ndarray, "*kernel"]:
    """Solved for descending orders; made symmetric, since ``Phi`` magnifies rounding errors."""
    dim = len(orders)
    steps = (1.0,) * dim if spacing is None else spacing[::-1]  # along x, y, ...
    sort = sorted(range(dim), key=lambda c: -orders[c])
    alpha, along = tuple(orders[c] for c in sort), tuple(steps[c] for c in sort)
    points = spaced_points((size,) * dim, along[::-1])
    matrix = _radial_derivative(how, points[:, None] - points[None], (0,) * dim)
    flat = np.linalg.solve(matrix, _radial_derivative(how, -points, alpha))
    others = tuple(range(1, dim))  # coordinates that run against their axes
    found = np.flip(flat.reshape((size,) * dim).transpose(), others)
    for axis, order in enumerate(alpha):
        found = (found + (-1) ** order * np.flip(found, axis)) / 2
    kinds = list(zip(alpha, along, strict=True))
    alike = [p for p in itertools.permutations(range(dim)) if [kinds[c] for c in p] == kinds]
    found = np.mean([found.transpose(p) for p in alike], axis=0)
    return np.flip(found.transpose(np.argsort(sort)), others).transpose()


def radial_condition(how: Discretization, size: int, dim: int) -> float:
    """Smallest singular value of ``Phi`` relative to the largest."""
    points = spaced_points((size,) * dim, None)
    matrix = _radial_derivative(how, points[:, None] - points[None], (0,) * dim)
    values = np.abs(np.linalg.eigvalsh(matrix))
    return float(values.min() / max(values.max(), np.finfo(np.float64).tiny))


def _radial_derivative(
    how: Discretization, points: Float[np.ndarray, "*shape d"], orders: tuple[int, ...]
) -> Float[np.ndarray, "*shape"]:
    """A partial derivative of ``phi(|x|)``."""
    shape = float(how.shape or 0.0)
    if how.phi == "gaussian":
        result = np.exp(-(points**2).sum(axis=-1) / (2 * shape**2))
        for axis, order in enumerate(orders):
            unit = np.eye(order + 1)[order]
            hermite = np.polynomial.hermite_e.hermeval(points[..., axis] / shape, unit)
            result = result * hermite * (-1 / shape) ** order
        return result
    # r^m = u^(m/2) with u = |x|^2: terms P(x) u^(m/2 - j), by j; P as monomials.
    terms: dict[int, dict[tuple[int, ...], float]] = {0: {(0,) * len(orders): 1.0}}
    for axis, order in enumerate(orders):
        for _ in range(order):
            terms = _differentiated(terms, axis, shape / 2)
    squares = (points**2).sum(axis=-1)
    away = squares > 0
    safe = np.where(away, squares, 1.0)
    result = np.zeros(squares.shape)
    for j, polynomial in terms.items():
        values = sum(c * (points ** np.array(a)).prod(axis=-1) for a, c in polynomial.items())
        result = result + np.where(away, values * safe ** (shape / 2 - j), 0.0)
    return result  # at the origin 0: derivatives of an order below m are continuous


def _differentiated(
    terms: dict[int, dict[tuple[int, ...], float]], axis: int, power: float
) -> dict[int, dict[tuple[int, ...], float]]:
    """``d (P u^e) = P' u^e + 2 e x P u^(e - 1)``."""
    found: dict[int, dict[tuple[int, ...], float]] = {}

    def add(j: int, monomial: Sequence[int], value: float) -> None:
        polynomial = found.setdefault(j, {})
        key = tuple(monomial)
        polynomial[key] = polynomial.get(key, 0.0) + value

    for j, polynomial in terms.items():
        for monomial, value in polynomial.items():
            lower, higher = list(monomial), list(monomial)
            if monomial[axis]:
                lower[axis] -= 1
                add(j, lower, value * monomial[axis])
            higher[axis] += 1
            add(j + 1, higher, 2 * (power - j) * value)
    return found
