"""`Mask`: a smooth disc, so that turning a square image loses nothing at its corners."""

from __future__ import annotations

import functools

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import choice, integer, number
from ..._numerics import freeze
from ...fields import Type
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_layer

PROFILES = ("squared", "radial")

#: Cells along an axis beyond which no mask is made.
MOST_CELLS = 10_000


class Mask(AbstractModule):
    """``y(p) = m(|p|) x(p)``: one inside a ball around the middle, falling off outside.

    With ``c = (S - 1) / 2``, ``R = c (1 - margin / 100)`` and ``r = |p|`` in pixels, ``m = 1``
    for ``r <= R``, else ``exp((R^2 - r^2) / sigma^2)``, so that the edge is about
    ``sigma^2 / (2 R)`` pixels wide: sharper for larger images. ``profile="radial"`` falls off as
    ``exp(-(r - R)^2 / (2 sigma^2))`` instead: ``sigma`` pixels for every size.

    Law: commutes with every element that maps the grid to itself, and with turning fibres.

    Shapes: unchanged; every spatial axis must be ``S`` long.
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    S: int = eqx.field(static=True)
    margin: float = eqx.field(static=True)
    sigma: float = eqx.field(static=True)
    profile: str = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        S: int,
        margin: float | int = 0.0,
        sigma: float | int = 2.0,
        *,
        profile: str = "squared",
    ) -> None:
        """Stores the numbers of the mask.

        Args:
            in_type: Fields on a line, a plane or in space.
            S: Length of every spatial axis.
            margin: By how many percent the ball is smaller than the largest that fits, 0 to 100.
            sigma: How smooth the edge is, positive.
            profile: ``"squared"`` (as e2cnn) or ``"radial"``.

        Raises:
            ValueError: If a number is out of range, or the fields live on a point.
            TypeError: If ``in_type`` is no type or ``S`` no integer.
        """
        representation_of(in_type, "Mask", "in_type")
        if channel_axis(in_type) == -1:
            raise ValueError(
                f"Mask: in_type: expected fields on a line, a plane or in space, got {in_type!r}, "
                "which has no spatial axes"
            )
        self.in_type = in_type
        self.out_type = in_type
        self.S = integer(S, "Mask", "S", 1, MOST_CELLS)
        self.margin = number(margin, "Mask", "margin", 0, 100)
        self.sigma = number(sigma, "Mask", "sigma", above=0)
        self.profile = choice(profile, "Mask", "profile", PROFILES)

    @property
    def mask(self) -> Float[np.ndarray, "..."]:
        """The factors ``(S, ...)``, one axis per spatial axis, NumPy float64."""
        dim = -1 - channel_axis(self.in_type)
        return _mask(dim, self.S, self.margin, self.sigma, self.profile)

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        mask = self.mask
        if x.shape[x.ndim - mask.ndim :] != mask.shape:
            raise ValueError(
                f"Mask: x: expected spatial axes {mask.shape}, got {x.shape[x.ndim - mask.ndim :]}"
            )
        return multiplied(mask, x)

    def export(self) -> eqx.nn.Lambda:
        """`equinox.nn.Lambda` of the product."""
        return plain_layer(multiplied, self.mask)


def multiplied(factors: np.ndarray | Array, x: Float[Array, "..."]) -> Float[Array, "..."]:
    """``x`` times constants."""
    return x * jnp.asarray(factors, x.dtype)


@functools.lru_cache(maxsize=64)
def _mask(
    dim: int, size: int, margin: float, sigma: float, profile: str
) -> Float[np.ndarray, "..."]:
    middle = (size - 1) / 2
    along = (np.arange(size) - middle) ** 2
    squares = functools.reduce(np.add.outer, [along] * dim)
    radius = middle * (1 - margin / 100)
    if profile == "squared":
        exponent = (radius**2 - squares) / sigma**2
    else:
        exponent = -((np.sqrt(squares) - radius) ** 2) / (2 * sigma**2)
    inside = squares <= radius**2
    return freeze(np.where(inside, 1.0, np.exp(np.where(inside, 0.0, exponent))))
