"""Homogeneous polynomials in derivatives: harmonic ones times powers of the Laplacian.

A polynomial ``P`` in ``xi`` stands for the operator ``P(d/dx)``. Every homogeneous polynomial is a
sum of ``h_f |xi|^(2p)`` with harmonic ``h_f`` of degree f, and the group mixes the ``h_f`` of one
degree: ``h_f(A xi) = D_f(A) h_f(xi)`` with the ``D_f`` of `harmonic_representation`.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

Polynomials = dict[tuple[int, ...], Float[np.ndarray, " y"]]
"""Several polynomials at once: exponents of (x, y, ...) to their coefficients."""

DIMENSIONS = (1, 2)
"""Dimensions whose harmonic polynomials are known here."""


def harmonic_polynomials(dim: int, degree: int) -> Polynomials:
    """A basis of the harmonic polynomials of a degree.

    On a line 1 and x; on a plane the real and the imaginary part of ``(x + i y)^f``.

    Args:
        dim: Dimension, one of `DIMENSIONS`.
        degree: ``f``.

    Returns:
        The polynomials, without any if there is none: on a line from degree 2 on.
    """
    if dim == 1:
        return {(degree,): np.ones(1)} if degree < 2 else {}
    if degree == 0:
        return {(0, 0): np.ones(1)}
    found = {}
    for j in range(degree + 1):
        power = 1j**j  # exact in Python: a unit
        value = math.comb(degree, j) * power
        found[degree - j, j] = np.array([value.real, value.imag])
    return found


def times_laplacian(polynomials: Polynomials, power: int) -> Polynomials:
    """Polynomials times ``|xi|^(2 power)``."""
    for _ in range(power):
        found: Polynomials = {}
        for monomial, value in polynomials.items():
            for axis in range(len(monomial)):
                raised = tuple(n + 2 * (c == axis) for c, n in enumerate(monomial))
                found[raised] = found.get(raised, 0.0) + value
        polynomials = found
    return polynomials
