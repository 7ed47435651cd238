"""Homogeneous polynomials in derivatives: harmonic ones times powers of the Laplacian.

A polynomial ``P`` in ``xi`` stands for the operator ``P(d/dx)``. Every homogeneous polynomial is a
sum of ``h_f |xi|^(2p)`` with harmonic ``h_f`` of degree f, and the group mixes the ``h_f`` of one
degree: ``h_f(A xi) = D_f(A) h_f(xi)`` with the ``D_f`` of `harmonic_representation`.
"""

from __future__ import annotations

from .._solid_harmonics import Polynomials


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
