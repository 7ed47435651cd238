"""Angular functions: what they are on the taps, and how the group mixes them.

Of frequency f in the plane: ``h_f = (cos f t, sin f t)`` with ``h_f(A p) = D_f(A) h_f(p)``,
``D_f = R(f phi) diag(1, det)`` where ``A = R(phi) diag(1, det)``. A kernel is equivariant iff its
angular coefficients lie in ``Hom_G(D_f (x) rho_in, rho_out)``.
"""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Float

from ...groups import GroupElement
from ...representations import Representation
from ...spaces import GSpace

DIMENSIONS = (2,)
"""Dimensions of spaces that have harmonics here."""


def sample_harmonics(
    frequency: int, points: Float[np.ndarray, "taps 2"]
) -> Float[np.ndarray, "y taps"]:
    """``h_f`` at points; at the origin 0 for ``f > 0``, where it has no limit."""
    if frequency == 0:
        return np.ones((1, len(points)))
    radius = np.hypot(points[:, 0], points[:, 1])
    at_origin = radius == 0
    unit = (points[:, 0] + 1j * points[:, 1]) / np.where(at_origin, 1.0, radius)
    power = np.asarray(unit**frequency)
    return np.where(at_origin, 0.0, np.stack([power.real, power.imag]))


def _matrices(frequency: int, action: Float[np.ndarray, "N d d"]) -> Float[np.ndarray, "N y y"]:
    """``D_f`` from the matrices that move the points; on a line ``h_1(x) = x``."""
    if action.shape[-1] == 1:
        return action**frequency
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

    def matrix(g: GroupElement) -> np.ndarray:
        return _matrices(frequency, space.matrix(g)[None])[0]

    return Representation.from_matrices(group, matrix, name)
