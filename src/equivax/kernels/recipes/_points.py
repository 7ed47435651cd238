"""Kernels on points: rings times harmonics, evaluated at offsets that are known at run time only.

Lengths are in units of the distance of two rings. With the soft length ``s = sqrt(|x|^2 + e^2)``
the functions are ``exp(-(s - i)^2 / (2 sigma_i^2)) Y_l(x / s)``, smooth everywhere, also where two
points coincide: there harmonics of a plain direction would have no derivative. The ring at 0 has
degree 0 only.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._numerics import freeze
from ...hom import HIGHEST
from ...spaces import GSpace
from .._parts import Part
from .._solid_harmonics import harmonic_factors, harmonic_values, solid_harmonics
from .._type_basis import TypeBasis, TypeOnSpace
from ._angular import harmonic_representation
from ._default_rings import INNER_WIDTH, OUTER_WIDTH

SOFT = 0.05
"""``e``: below this length directions fade out."""

SHELLS = 8
"""Samples of radii between two rings: the profiles are smooth, twice as many change no digit that
matters for a scale."""

Degrees = tuple[tuple[int, ...], ...]
"""Degrees of harmonics, ring after ring."""


@dataclasses.dataclass(frozen=True)
class PointRecipe:
    """Rings of equal distance times harmonics, on points of a ball instead of taps.

    The samples stand for an integral over directions and lengths: elements are scaled so that a
    neighbour at a random place of the ball, at any length alike, keeps the variance.

    Attributes:
        dim: Dimension of the space.
        width: Radius of the outermost ring.
        degrees: Of the harmonics of each ring.
    """

    dim: int
    width: float
    degrees: Degrees

    @property
    def kernel(self) -> tuple[int, ...]:
        """Number of samples, which take the place of taps."""
        return (len(_sample_points(self.dim, self.degrees)[0]),)

    @property
    def checks_rank(self) -> bool:
        """Gaussians at different radii are independent."""
        return False

    @property
    def remedy(self) -> str:
        """What to change if elements are dependent."""
        return "fewer rings"

    @property
    def drops_dependent(self) -> bool:
        """Nothing to drop."""
        return False

    @property
    def spacing(self) -> None:
        """There is no grid."""
        return None

    def parts(self, space: GSpace) -> tuple[Part, ...]:
        """Every ring with each of its degrees."""
        return _parts(self, space)

    def offset(self, space: GSpace, part: Part, in_irrep: tuple, out_irrep: tuple) -> int | None:
        """Not counted: a point cloud has no grid on which frequencies would alias."""
        return None

    def allows(self, space: GSpace, part: Part, in_irrep: tuple, out_irrep: tuple) -> bool:
        """All solutions are kept."""
        return True

    def __str__(self) -> str:
        highest = [max(ring, default=0) for ring in self.degrees]
        return f"{len(self.degrees)} rings up to width {self.width:.4g}, degrees up to {highest}"


def point_basis(
    in_type: TypeOnSpace,
    out_type: TypeOnSpace,
    *,
    width: float,
    rings: int,
    frequency_cutoff: float,
    warn_unused: bool,
    caller: str,
) -> TypeBasis:
    """The kernels on points between two types, with the harmonics that reach an output.

    Args:
        in_type: Type of the input.
        out_type: Type of the output, on the same space.
        width: Radius of the outermost ring.
        rings: Number of rings, at radii from 0 to ``width``.
        frequency_cutoff: Highest degree of the i-th ring, counted from 0, over i.
        warn_unused: Whether to warn of irreps that reach no output.
        caller: Who asks, for messages.
    """
    make = functools.partial(
        TypeBasis.from_recipe,
        in_type.space,
        in_type.representation,
        out_type.representation,
        warn_unused=warn_unused,
        caller=caller,
    )
    # 3 * (1 / 3) should mean 1.
    every = [range(math.floor(frequency_cutoff * ring + 1e-9) + 1) for ring in range(rings)]
    dim = in_type.space.dim
    whole = make(PointRecipe(dim, width, tuple(map(tuple, every))))
    used: set[tuple[int, int | None]] = set()
    for pair in whole.pairs:
        parts = pair.basis.parts
        used |= {(parts[n].ring, parts[n].frequency) for n in np.unique(pair.basis.data.part)}
    kept = tuple(tuple(f for f in ring if (n, f) in used) for n, ring in enumerate(every))
    return make(PointRecipe(dim, width, kept))


def point_functions(
    offsets: Float[Array, "*edges d"], width: float, degrees: Degrees
) -> Float[Array, "*edges functions"]:
    """The functions of a `PointRecipe` at offsets, ring after ring.

    Args:
        offsets: From the point where a kernel stands.
        width: As in the recipe.
        degrees: Likewise.
    """
    x = offsets / (width / max(len(degrees) - 1, 1))
    length = jnp.sqrt((x**2).sum(axis=-1, keepdims=True) + SOFT**2)
    dim, flat = x.shape[-1], tuple(degree for ring in degrees for degree in ring)
    angular = harmonic_values(dim, flat, x / length)
    radii = np.arange(len(degrees))
    sigmas = np.array([_width_of(ring, len(degrees)) for ring in radii], x.dtype)
    profiles = jnp.exp(-0.5 * ((length - radii.astype(x.dtype)) / sigmas) ** 2)
    # Every profile as often as its ring has functions.
    sizes = [harmonic_factors(dim, ring)[0].shape[1] if ring else 0 for ring in degrees]
    spread = np.repeat(np.eye(len(degrees)), sizes, axis=1).astype(x.dtype)
    return angular * jnp.matmul(profiles, spread, precision=HIGHEST)


def _width_of(ring, rings):
    """Of the Gaussian of a ring; narrower for the last of several, as on grids."""
    return OUTER_WIDTH if 0 < ring == rings - 1 else INNER_WIDTH


# ---- samples -------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def _parts(recipe: PointRecipe, space: GSpace) -> tuple[Part, ...]:
    degrees, (points, weights) = recipe.degrees, _sample_points(recipe.dim, recipe.degrees)
    soft = np.sqrt((points**2).sum(axis=1, keepdims=True) + SOFT**2)
    found = []
    for ring, own in enumerate(degrees):
        sigma = _width_of(ring, len(degrees))
        profile = np.sqrt(weights) * np.exp(-0.5 * ((soft[:, 0] - ring) / sigma) ** 2)
        for degree in own:
            part: dict[str, Any] = {"ring": ring, "radius": float(ring), "sigma": sigma}
            rep = harmonic_representation(space, degree)
            samples = freeze(profile * solid_harmonics(points / soft, degree).T)
            found.append(Part(**part, frequency=degree, rep=rep, samples=samples))
    return tuple(found)


@functools.lru_cache(maxsize=256)
def _sample_points(
    dim: int, degrees: Degrees
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
    """Points of the ball, in distances of rings, and weights that sum to 1."""
    directions, weights = _directions(dim, max(max(ring, default=0) for ring in degrees))
    count = SHELLS * max(len(degrees) - 1, 1)
    lengths = (np.arange(count) + 0.5) / SHELLS
    points = np.kron(lengths[:, None], directions)
    return freeze(points), freeze(np.tile(weights, count) / count)


def _directions(dim: int, degree: int) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
    """Directions and weights that integrate products of two harmonics of a degree exactly."""
    angles = 2 * math.pi * np.arange(2 * degree + 1) / (2 * degree + 1)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if dim == 2:
        return circle, np.full(len(angles), 1 / len(angles))
    z, weights = np.polynomial.legendre.leggauss(degree + 1)
    across = np.kron(np.sqrt(1 - z**2)[:, None], circle)
    up = np.repeat(z, len(angles))[:, None]
    return np.hstack([across, up]), np.repeat(weights / 2, len(angles)) / len(angles)
