"""What a kernel is made of before the channels enter: sampled functions that the group mixes.

A kernel is ``K(x) = sum_p C_p . Y_p(x)`` over parts p: samples ``Y_p`` on the taps, a
representation by which the group mixes them, and ``C_p`` in ``Hom_G(Y_p (x) rho_in, rho_out)``.
A recipe says which parts: rings times harmonics, or orbits of taps.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from .._numerics import freeze
from ..representations import Representation
from ..spaces import GSpace
from .recipes._harmonics import harmonic_representation, sample_harmonics
from .recipes._offsets import offset
from .recipes._orbits import orbits, tap_points


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """One family of functions on the taps.

    Attributes:
        ring: Number of the ring, orbit or order, by which elements are ordered first.
        radius: Distance from the centre, in taps; None for derivatives, 0 for those of order 0.
        sigma: Width of the ring, or None.
        frequency: Angular frequency, or None.
        rep: How the group mixes the functions.
        samples: The functions on the raveled taps.
        order: Of a derivative, or None.
    """

    ring: int
    radius: float | None
    sigma: float | None
    frequency: int | None
    rep: Representation
    samples: Float[np.ndarray, "y taps"]
    order: int | None = None

    @property
    def label(self) -> str:
        """How names of elements mention the part."""
        if self.order is not None:
            return f"order={self.order} f={self.frequency}"
        if self.frequency is None:
            return f"r={self.radius:.4g} orbit={self.ring}"
        return f"r={self.radius:.4g} f={self.frequency}"


@dataclasses.dataclass(frozen=True, eq=False)
class RingLayout:
    """Where the functions of each part stand, ring after ring.

    Attributes:
        ring: Ring of each part.
        offset: First function of each part within its ring.
        widths: Functions per ring.
    """

    ring: np.ndarray
    offset: np.ndarray
    widths: tuple[int, ...]


def ring_layout(parts: tuple[Part, ...]) -> RingLayout:
    """The layout of parts that are ordered by ring."""
    widths: dict[int, int] = {}
    offsets = []
    for part in parts:
        offsets.append(widths.get(part.ring, 0))
        widths[part.ring] = offsets[-1] + part.rep.size
    number = {ring: n for n, ring in enumerate(widths)}
    ring = np.array([number[part.ring] for part in parts])
    return RingLayout(ring, np.array(offsets), tuple(widths.values()))


@runtime_checkable
class Recipe(Protocol):
    """A hashable description of the parts of a kernel."""

    @property
    def kernel(self) -> tuple[int, ...]:
        """Taps per spatial axis."""
        ...

    @property
    def checks_rank(self) -> bool:
        """Whether elements may be linearly dependent, so that someone must look."""
        ...

    @property
    def remedy(self) -> str:
        """What to change if they are."""
        ...

    def parts(self, space: GSpace) -> tuple[Part, ...]:
        """All parts, ordered by ring, then frequency."""
        ...

    def offset(self, space: GSpace, part: Part, in_irrep: tuple, out_irrep: tuple) -> int | None:
        """How many turns of the group's frequencies a solution needs; None where undefined."""
        ...

    def allows(self, space: GSpace, part: Part, in_irrep: tuple, out_irrep: tuple) -> bool:
        """Whether the solutions of a part between two irreps are kept."""
        ...

    def __str__(self) -> str:
        """The options in one line, for messages."""
        ...


@dataclasses.dataclass(frozen=True)
class HarmonicRecipe:
    """Rings times angular harmonics: band-limited kernels for any group.

    Attributes:
        kernel: Taps per spatial axis, all equal.
        radii: Of the rings, ascending.
        sigmas: Widths of the Gaussian profiles.
        cutoffs: Highest frequency per ring.
        maximum_offset: See `allows`; None for no limit.
        checks_rank: Whether anything departs from the default policy.
    """

    kernel: tuple[int, ...]
    radii: tuple[float, ...]
    sigmas: tuple[float, ...]
    cutoffs: tuple[int, ...]
    maximum_offset: int | None = None
    checks_rank: bool = False

    @property
    def remedy(self) -> str:
        """What to change if elements are dependent."""
        return "fewer rings, narrower widths or lower frequencies"

    def parts(self, space: GSpace) -> tuple[Part, ...]:
        """Every ring with every frequency up to its cut-off."""
        return _harmonic_parts(self, space)

    def offset(self, space: GSpace, part: Part, in_irrep: tuple, out_irrep: tuple) -> int | None:
        """Smallest ``|t|`` with ``f = +-m +- n + t N``."""
        return offset(space, part.frequency or 0, in_irrep, out_irrep)

    def allows(self, space: GSpace, part: Part, in_irrep: tuple, out_irrep: tuple) -> bool:
        """Whether the offset is at most ``maximum_offset``."""
        if self.maximum_offset is None:
            return True
        found = self.offset(space, part, in_irrep, out_irrep)
        return found is None or found <= self.maximum_offset

    def __str__(self) -> str:
        text = (
            f"harmonic basis, kernel {_times(self.kernel)}, rings {_listed(self.radii)}, sigma "
            f"{_listed(self.sigmas)}, highest frequencies {_listed(self.cutoffs)}"
        )
        if self.maximum_offset is not None:
            text += f", maximum_offset {self.maximum_offset}"
        return text


@dataclasses.dataclass(frozen=True)
class GridRecipe:
    """Orbits of taps: every kernel that commutes exactly on the grid.

    Attributes:
        kernel: Taps per spatial axis.
    """

    kernel: tuple[int, ...]

    @property
    def checks_rank(self) -> bool:
        """Never: orbits are disjoint."""
        return False

    @property
    def remedy(self) -> str:
        """Nothing to mend."""
        return "another kernel_size"

    def parts(self, space: GSpace) -> tuple[Part, ...]:
        """One part per orbit."""
        return _grid_parts(self, space)

    def offset(self, space: GSpace, part: Part, in_irrep: tuple, out_irrep: tuple) -> int | None:
        """None: taps have no frequency."""
        return None

    def allows(self, space: GSpace, part: Part, in_irrep: tuple, out_irrep: tuple) -> bool:
        """Always."""
        return True

    def __str__(self) -> str:
        return f"grid basis, kernel {_times(self.kernel)}"


def _times(kernel: tuple[int, ...]) -> str:
    return " x ".join(map(str, kernel)) or "of one point"


def _listed(values: tuple[Any, ...]) -> str:
    return "[" + ", ".join(f"{v:.4g}" for v in values) + "]"


@functools.lru_cache(maxsize=256)
def _harmonic_parts(recipe: HarmonicRecipe, space: GSpace) -> tuple[Part, ...]:
    points = tap_points(recipe.kernel)
    distance = np.sqrt((points**2).sum(axis=1))
    rings = zip(recipe.radii, recipe.sigmas, recipe.cutoffs, strict=True)
    return tuple(
        Part(
            ring=ring,
            radius=radius,
            sigma=sigma,
            frequency=frequency,
            rep=harmonic_representation(space, frequency),
            samples=freeze(
                np.exp(-((distance - radius) ** 2) / (2 * sigma**2))
                * sample_harmonics(frequency, points)
            ),
        )
        for ring, (radius, sigma, highest) in enumerate(rings)
        for frequency in range(highest + 1)
    )


@functools.lru_cache(maxsize=256)
def _grid_parts(recipe: GridRecipe, space: GSpace) -> tuple[Part, ...]:
    points = tap_points(recipe.kernel)
    radii = np.sqrt((points**2).sum(axis=1))
    one_hot = np.eye(len(points))
    return tuple(
        Part(
            ring=number,
            radius=float(radii[orbit.taps[0]]),
            sigma=None,
            frequency=None,
            rep=orbit.rep,
            samples=freeze(one_hot[orbit.taps]),
        )
        for number, orbit in enumerate(orbits(space, recipe.kernel))
    )
