"""Real solid harmonics: homogeneous polynomials without Laplacian, which rotations mix by degree.

``|x|^l Y_l(x / |x|)`` as polynomials in the coordinates: 1 and x on a line, real and imaginary
part of ``(x + i y)^l`` on a plane, the real spherical harmonics in space. There, with
``rho^2 = x^2 + y^2``,

    Y_lm = sqrt(2 (l - m)! / (l + m)!) Re (x + i y)^m Q_lm    (m > 0; Im for -m; Q_l0 for 0),
    Q_lm = sum_k (-1)^k (l + m)! / (2^(2k + m) k! (k + m)! (l - m - 2k)!) rho^(2k) z^(l - m - 2k)

in the order ``m = -l .. l``. The squares sum to ``|x|^(2 l)`` in every dimension, and
``Y_l(R x) = D^l(R) Y_l(x)`` with the irreps ``(l,)`` of ``groups.so3()``.
"""

from __future__ import annotations

import functools
import math
from typing import TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._arguments import integer, refuse
from .._numerics import freeze
from ..hom import HIGHEST

Polynomials = dict[tuple[int, ...], Float[np.ndarray, " y"]]
"""Several polynomials at once: exponents of (x, y, ...) to their coefficients."""

DIMENSIONS = (1, 2, 3)
"""Dimensions whose harmonic polynomials are known here."""

MOST_DEGREE = 100
"""Highest degree: its coefficients leave half of the digits of a float64 number."""

A = TypeVar("A", np.ndarray, Array)


def harmonic_polynomials(dim: int, degree: int) -> Polynomials:
    """The solid harmonics of a degree as polynomials.

    Args:
        dim: Dimension, one of `DIMENSIONS`.
        degree: ``l``.

    Returns:
        The polynomials, without any if there is none: on a line from degree 2 on.
    """
    if dim == 1:
        return {(degree,): np.ones(1)} if degree < 2 else {}
    if degree == 0:
        return {(0,) * dim: np.ones(1)}
    if dim == 2:
        return {
            orders: np.array([value.real, value.imag])
            for orders, value in _circle(degree, 0).items()
        }
    found: Polynomials = {}
    for m in range(degree + 1):
        for k, factor in enumerate(_heights(degree, m)):
            for (a, b), value in _circle(m, k).items():
                row = found.setdefault((a, b, degree - m - 2 * k), np.zeros(2 * degree + 1))
                row[degree + m] += factor * value.real
                row[degree - m] += factor * value.imag
    return found


def _heights(degree: int, m: int) -> list[float]:
    """``Q_lm`` with its factor: coefficients of ``rho^(2k) z^(l - m - 2k)``."""
    scale, found = math.sqrt((2 if m else 1) / math.perm(degree + m, 2 * m)), []
    for k in range((degree - m) // 2 + 1):
        below = 2 ** (2 * k + m) * math.factorial(k) * math.factorial(k + m)
        factor = (-1) ** k * math.factorial(degree + m)
        found.append(scale * factor / (below * math.factorial(degree - m - 2 * k)))
    return found


def _circle(m: int, k: int) -> dict[tuple[int, int], complex]:
    """``(x + i y)^m (x^2 + y^2)^k``."""
    found: dict[tuple[int, int], complex] = {}
    for i in range(m + 1):
        for j in range(k + 1):
            orders = (m - i + 2 * j, i + 2 * (k - j))
            value = math.comb(m, i) * math.comb(k, j) * 1j**i  # exact in Python: a unit
            found[orders] = found.get(orders, 0) + value
    return found


def solid_harmonics(points: A, degree: int) -> A:
    """``|x|^l Y_l(x / |x|)`` at points of a line, a plane or space.

    Args:
        points: ``(..., d)``, of NumPy or of JAX.
        degree: ``l``.

    Returns:
        ``(..., n)`` of the same kind: on a plane 2 functions (1 for degree 0), in space
        ``2 l + 1``, whose squares sum to ``|x|^(2 l)``. Derivatives exist everywhere.

    Raises:
        ValueError: If the points have another dimension, or the degree is out of range.
        TypeError: If the points are no array, or the degree no integer.

    Examples:
        >>> import equivax as evx, numpy as np
        >>> evx.kernels.solid_harmonics(np.array([1.0, 2.0, 3.0]), 1)  # y, z, x
        array([2., 3., 1.])
    """
    caller = "solid_harmonics"
    if not isinstance(points, np.ndarray | Array):
        refuse(TypeError, caller, "points", "an array of NumPy or JAX", points)
    takes = "floating-point coordinates (..., d) with d = 1, 2 or 3"
    if points.ndim == 0 or points.shape[-1] not in DIMENSIONS:
        refuse(ValueError, caller, "points", takes, points)
    if not jnp.issubdtype(points.dtype, jnp.floating):
        refuse(TypeError, caller, "points", takes, points)
    degree = integer(degree, caller, "degree", 0, MOST_DEGREE)
    return polynomial_values(*harmonic_table(points.shape[-1], degree), points)  # pyright: ignore


def polynomial_values(orders, table, points):
    """Polynomials at points: columns of a table, over monomials of these orders; any checked."""
    if not orders:
        return points[..., :0]
    powers = [[points[..., axis] ** 0] for axis in range(points.shape[-1])]
    for axis, row in enumerate(powers):
        for _ in range(sum(orders[0])):
            row.append(row[-1] * points[..., axis])
    monomials = [
        math.prod(row[n] for row, n in zip(powers, order, strict=True)) for order in orders
    ]
    if isinstance(points, np.ndarray):
        return np.stack(monomials, axis=-1) @ table
    stacked = jnp.stack(monomials, axis=-1)
    return jnp.matmul(stacked, jnp.asarray(table, stacked.dtype), precision=HIGHEST)


def harmonic_values(dim, degrees, points):
    """The harmonics of several degrees at points of a plane or space, one degree after another.

    ``(x + i y)^m`` times ``Q_lm``, each of all degrees at once: few and large steps.
    """
    waves, monomials, heights = harmonic_factors(dim, degrees)
    x, y = points[..., 0], points[..., 1]
    circles = jnp.concatenate(complex_powers(x, y, len(waves) // 2), axis=-1)
    found = jnp.matmul(circles, jnp.asarray(waves, points.dtype), precision=HIGHEST)
    if dim == 2:
        return found
    z, squares = points[..., 2], x**2 + y**2
    values = jnp.stack([z**a * squares**k for a, k in monomials], axis=-1)
    return found * jnp.matmul(values, jnp.asarray(heights, points.dtype), precision=HIGHEST)


def complex_powers(x, y, count):
    """Real and imaginary parts of ``(x + i y)^m``, each ``(..., count)``, by doubling."""
    x, y = x[..., None], y[..., None]
    real, imag = jnp.ones_like(x), jnp.zeros_like(y)
    while real.shape[-1] < count:
        more = real * x - imag * y, real * y + imag * x
        real, imag = (
            jnp.concatenate(both, axis=-1) for both in zip((real, imag), more, strict=True)
        )
        x, y = x * x - y * y, 2 * x * y
    return real[..., :count], imag[..., :count]


@functools.lru_cache(maxsize=256)
def harmonic_factors(
    dim: int, degrees: tuple[int, ...]
) -> tuple[
    Float[np.ndarray, "waves functions"],
    tuple[tuple[int, int], ...],
    Float[np.ndarray, "monomials functions"],
]:
    """What `harmonic_values` multiplies with, one column per function.

    Args:
        dim: 2 or 3.
        degrees: In the order of the functions.

    Returns:
        Which of ``Re (x + i y)^m`` for m = 0, 1, ..., and then of the ``Im``, a function holds;
        exponents ``(a, k)`` of ``z^a rho^(2k)``, none on a plane; their coefficients in ``Q_lm``.
    """
    count, space = max(degrees) + 1, dim == 3
    columns = [
        (degree, m)
        for degree in degrees
        for m in (range(-degree, degree + 1) if space else dict.fromkeys((degree, -degree)))
    ]
    waves, heights = np.zeros((2 * count, len(columns))), {}
    for n, (degree, m) in enumerate(columns):
        waves[m if m >= 0 else count - m, n] = 1
        for k, factor in enumerate(_heights(degree, abs(m)) if space else ()):
            row = heights.setdefault((degree - abs(m) - 2 * k, k), np.zeros(len(columns)))
            row[n] = factor
    table = np.array([*heights.values()]).reshape(-1, len(columns))
    return freeze(waves), tuple(heights), freeze(table)


@functools.lru_cache(maxsize=256)
def harmonic_table(
    dim: int, degree: int
) -> tuple[tuple[tuple[int, ...], ...], Float[np.ndarray, "n y"]]:
    """The harmonics of a degree as `polynomial_values` takes them; none on a line beyond 1."""
    if dim == 1 and degree > 1:
        return (), freeze(np.zeros((0, 0)))
    polynomials = harmonic_polynomials(dim, degree)
    return tuple(polynomials), freeze(np.array([*polynomials.values()]))
