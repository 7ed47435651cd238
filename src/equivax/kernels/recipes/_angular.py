"""Angular functions: what they are on the taps, and how the group mixes them.

Of degree f in any dimension: ``h_f(x) = Y_f(x / |x|)`` with the solid harmonics ``Y_f``, so that
``h_f(A p) = D_f(A) h_f(p)``. In the plane ``D_f = R(f phi) diag(1, det)`` where ``A = R(phi)
diag(1, det)``; in space ``D_f(A)`` is the irrep of O(3) of degree f and parity ``(-1)^f``. A kernel
is equivariant iff its angular coefficients lie in ``Hom_G(D_f (x) rho_in, rho_out)``.
"""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Float

from ...groups import GroupElement, o3
from ...representations import Representation
from ...spaces import GSpace
from .._solid_harmonics import solid_harmonics

SAME_MATRIX = 1e-9
"""Distance of entries of two equal matrices: far above rounding."""

DIMENSIONS = (2, 3)
"""Dimensions of spaces that have harmonics here."""


def sample_harmonics(
    frequency: int, points: Float[np.ndarray, "taps d"]
) -> Float[np.ndarray, "y taps"]:
    """``h_f`` at points; at the origin 0 for ``f > 0``, where it has no limit."""
    if frequency == 0:
        return np.ones((1, len(points)))
    radius = np.sqrt((points**2).sum(axis=1, keepdims=True))
    return solid_harmonics(points / np.where(radius == 0, 1.0, radius), frequency).T


def _matrices(frequency: int, action: Float[np.ndarray, "N d d"]) -> Float[np.ndarray, "N y y"]:
    """``D_f`` from the matrices that move the points; on a line ``h_1(x) = x``."""
    if action.shape[-1] == 1:
        return action**frequency
    if action.shape[-1] == 3:
        return o3().irrep(frequency % 2, frequency).evaluate(o3().coordinates_of(list(action)))
    power = (action[:, 0, 0] + 1j * action[:, 1, 0]) ** frequency
    sign = np.sign(np.linalg.det(action))
    rows = [[power.real, -power.imag * sign], [power.imag, power.real * sign]]
    return np.moveaxis(np.array(rows), -1, 0)


@functools.lru_cache(maxsize=1024)
def harmonic_representation(space: GSpace, frequency: int) -> Representation:
    """How the group acts on the harmonics of one frequency."""
    group = space.group
    if frequency == 0:
        return group.trivial
    name = f"h{frequency}"
    if group.order is not None:
        action = space.element_matrices
        return Representation.from_matrices(group, _matrices(frequency, action), name)

    # Where all of SO(3) or O(3) acts, it is an irrep: found by looking, not by integrals.
    wanted = _matrices(frequency, space.element_matrices)
    for irrep in group.irreps(frequency):
        if irrep.size == wanted.shape[-1]:
            found = irrep.evaluate(group.testing_coordinates)
            if np.abs(found - wanted).max() < SAME_MATRIX:
                return irrep

    def matrix(g: GroupElement) -> np.ndarray:
        return _matrices(frequency, space.matrix(g)[None])[0]

    return Representation.from_matrices(group, matrix, name)
