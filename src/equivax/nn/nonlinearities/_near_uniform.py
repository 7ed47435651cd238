"""Points that lie nearly evenly on SO(3), O(3) and the sphere, and that a cube's rotations permute.

Charges on a sphere (of unit vectors, or of unit quaternions) that repel each other, whole orbits at
a time: Thomson's problem with the symmetry of the cube. Layers that sample there commute exactly
with the rotations that map a cubic grid to itself.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from jaxtyping import Float

from ..._numerics import freeze
from ...groups import octahedral, so3

STEPS = 100
"""Steps of descent; further ones change the errors of layers by less than a tenth."""

PATIENCE = 3000
"""Steps times orbits: fewer steps for many points, which take long and start more evenly."""

DIGITS = 6
"""Digits that are kept, so that the points do not depend on the rounding of a machine."""


def near_uniform_rotations(points: int) -> Float[np.ndarray, "N 4"]:
    """Unit quaternions, at least so many, a multiple of 24.

    Args:
        points: How many.
    """
    cube = _cube()
    leaders = _spread(-(-points // len(cube)), 4)
    return so3().compose(np.repeat(cube, len(leaders), 0), np.tile(leaders, (len(cube), 1)))


def near_uniform_directions(points: int) -> Float[np.ndarray, "N 4"]:
    """Unit quaternions that take z to directions, at least so many, a multiple of 24.

    Args:
        points: How many.
    """
    cube = _cube()
    leaders = _spread(-(-points // len(cube)), 3)
    x, y, z = leaders.T  # the shortest way from z
    turns = np.stack([1 + z, -y, x, np.zeros_like(z)], axis=-1)
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    return so3().compose(np.repeat(cube, len(turns), 0), np.tile(turns, (len(cube), 1)))


def _cube() -> Float[np.ndarray, "24 4"]:
    group = octahedral()
    return so3().coordinates_of(list(group.defining_matrices(group.element_coordinates)))


@functools.lru_cache(maxsize=64)
def _spread(count: int, dim: int) -> Float[np.ndarray, "count dim"]:
    """One point of each orbit on the sphere of unit vectors, of quaternions if ``dim`` is 4."""
    images, orbits = _images(dim), np.random.default_rng(0).standard_normal((count, dim))
    area = 2 * math.pi ** (dim / 2) / math.gamma(dim / 2)
    reach = 0.3 * (area / (len(images) * count)) ** (1 / (dim - 1))  # of the distance between two
    at = best = orbits / np.linalg.norm(orbits, axis=1, keepdims=True)
    lowest, direction = math.inf, np.zeros_like(at)
    for _ in range(min(STEPS, max(20, PATIENCE // count))):
        away = at[:, None, None] - np.einsum("gij,kj->gki", images, at)
        squares = (away**2).sum(-1)
        itself = squares < 1e-12
        inverse = np.where(itself, 0.0, 1 / np.where(itself, 1.0, squares))
        energy = float((inverse ** (dim / 2 - 1)).sum())  # Coulomb's in this dimension
        if energy < lowest:
            lowest, best, reach = energy, at, 1.2 * reach
            force = np.einsum("kgl,kgli->ki", inverse ** (dim / 2), away)
            force -= (force * at).sum(1, keepdims=True) * at
            direction = force / np.linalg.norm(force, axis=1).max()
        else:
            reach /= 3
        at = best + reach * direction
        at /= np.linalg.norm(at, axis=1, keepdims=True)
    rounded = np.round(best, DIGITS)
    return freeze(rounded / np.linalg.norm(rounded, axis=1, keepdims=True))


def _images(dim: int) -> Float[np.ndarray, "images dim dim"]:
    """The matrices that move points, or quaternions up to their sign, by the turns of a cube."""
    if dim == 3:
        return octahedral().defining_matrices(octahedral().element_coordinates)
    w, x, y, z = _cube().T
    left = np.stack([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    left = np.moveaxis(left, -1, 0)
    return np.concatenate([left, -left])
