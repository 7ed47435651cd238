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
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..._numerics import freeze
from ...spaces import grid_points

METHODS = ("finite_difference", "gaussian", "rbf")
"""Ways to make a stencil of a derivative."""

RADIAL = ("gaussian", "polyharmonic")
"""Functions ``phi`` of method "rbf": ``exp(-r^2 / (2 shape^2))`` and ``r^shape``."""

SOLVABLE = 1e-12
"""Smallest singular value of ``Phi``, relative to the largest, that leaves three digits."""


class StencilSizes(NamedTuple):
    """Taps per axis, guaranteed accuracy, highest order of derivatives."""

    kernel_size: int
    accuracy: int
    maximum_order: int


def stencil_sizes(
    kernel_size: int | None = None,
    accuracy: int | None = None,
    maximum_order: int | None = None,
    caller: str = "stencil_sizes",
) -> StencilSizes:
    """Taps, accuracy and order of finite differences from at most two of them.

    k symmetric taps carry derivatives of order ``o <= k - 1``, of order o with an error of
    ``h^a``, where a is ``k - o`` rounded up to even: so ``k = o + a - [a even]``. From one number
    alone all orders follow, ``k = o + 1``.

    Args:
        kernel_size: Taps per axis, ``k``.
        accuracy: Order of the error for derivatives of the highest order, ``a``.
        maximum_order: Highest order of derivatives, ``o``.
        caller: Who asks, for messages.

    Returns:
        All three; the accuracy is the one that is reached, always even.

    Raises:
        ValueError: If all three or neither size nor order are given, one is too small, or the taps
            carry no derivative of that order.

    Examples:
        >>> import equivax as evx
        >>> evx.kernels.stencil_sizes(maximum_order=2, accuracy=4)
        StencilSizes(kernel_size=5, accuracy=4, maximum_order=2)
    """
    k, a, o = kernel_size, accuracy, maximum_order
    for name, value, least in (("kernel_size", k, 1), ("accuracy", a, 1), ("maximum_order", o, 0)):
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if value is not None and (not whole or value < least):
            raise ValueError(f"{caller}: {name}: expected an integer >= {least}, got {value!r}")
    gap = 1 if a is None else a - (a % 2 == 0)
    if k is not None and o is not None:
        if a is not None:
            raise ValueError(
                f"{caller}: accuracy: expected at most two of kernel_size, accuracy and "
                f"maximum_order, since two give the third, got {k}, {a}, {o}"
            )
    elif k is not None:
        o = k - gap
        if o < 0:
            raise ValueError(
                f"{caller}: accuracy: expected at most {k + k % 2} for {k} taps, got {a}"
            )
    elif o is not None:
        k = o + gap
    else:
        raise ValueError(
            f"{caller}: kernel_size: expected kernel_size or maximum_order, got neither"
        )
    if o > k - 1:
        raise ValueError(
            f"{caller}: maximum_order: expected at most {k - 1}, since {k} taps carry no higher "
            f"derivative, got {o}"
        )
    rest = k - o
    return StencilSizes(int(k), int(rest + rest % 2), int(o))


@functools.lru_cache(maxsize=1024)
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
    if not 0 <= order < size:
        raise ValueError(
            f"finite_difference_weights: order: expected 0..{size - 1} for {size} taps, got {order}"
        )
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


@functools.lru_cache(maxsize=4096)
def stencil_of(
    how: Discretization, size: int, orders: tuple[int, ...]
) -> Float[np.ndarray, "*kernel"]:
    """The stencil of a partial derivative.

    Args:
        how: The method.
        size: Taps per axis.
        orders: Of the derivatives along x, y, ...

    Returns:
        One axis per coordinate, in the order of arrays: the last runs along x, the others against
        their coordinates.
    """
    if how.method == "rbf":
        return freeze(_radial_stencil(how, size, orders))
    stencil = np.ones(())
    for axis, order in enumerate(reversed(orders)):
        if how.method == "gaussian":
            weights = _gaussian_weights(size, order, float(how.smoothing or 0.0))
        else:
            weights = np.array([float(w) for w in finite_difference_weights(size, order)])
        stencil = np.multiply.outer(stencil, weights if axis == len(orders) - 1 else weights[::-1])
    return freeze(stencil)


def _gaussian_weights(size: int, order: int, width: float) -> Float[np.ndarray, " taps"]:
    """``(-1)^n G^(n)(t) = He_n(t / s) G(t) / s^n``."""
    t = (np.arange(size) - (size - 1) / 2) / width
    hermite = np.polynomial.hermite_e.hermeval(t, np.eye(order + 1)[order])
    return hermite * np.exp(-(t**2) / 2) / (math.sqrt(2 * math.pi) * width ** (order + 1))


def _radial_stencil(
    how: Discretization, size: int, orders: tuple[int, ...]
) -> Float[np.ndarray, "*kernel"]:
    """Solved for descending orders; made symmetric, since ``Phi`` magnifies rounding errors."""
    dim = len(orders)
    points = grid_points((size,) * dim)
    matrix = _radial_derivative(how, points[:, None] - points[None], (0,) * dim)
    sort = sorted(range(dim), key=lambda c: -orders[c])
    alpha = tuple(orders[c] for c in sort)
    flat = np.linalg.solve(matrix, _radial_derivative(how, -points, alpha))
    others = tuple(range(1, dim))  # coordinates that run against their axes
    found = np.flip(flat.reshape((size,) * dim).transpose(), others)
    for axis, order in enumerate(alpha):
        found = (found + (-1) ** order * np.flip(found, axis)) / 2
    alike = [p for p in itertools.permutations(range(dim)) if tuple(alpha[c] for c in p) == alpha]
    found = np.mean([found.transpose(p) for p in alike], axis=0)
    return np.flip(found.transpose(np.argsort(sort)), others).transpose()


def radial_condition(how: Discretization, size: int, dim: int) -> float:
    """Smallest singular value of ``Phi`` relative to the largest."""
    points = grid_points((size,) * dim)
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
