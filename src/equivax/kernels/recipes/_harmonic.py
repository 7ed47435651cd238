"""The harmonic basis: rings times angular harmonics, band-limited kernels for any group.

A part is a ring ``exp(-(r - r_i)^2 / (2 sigma_i^2))`` times the harmonics of one frequency.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..._arguments import is_number, is_several
from ..._numerics import freeze
from ...spaces import GSpace, grid_points
from .._parts import BasisFilter, Part, times
from ._angular import DIMENSIONS, harmonic_representation, sample_harmonics
from ._arguments import as_number, check_filter, kernel_shape, non_negative
from ._default_rings import CUTOFFS, cutoff, default_radii, default_widths, warn_even_size
from ._grid import Grid, GridRecipe, refuse_rings
from ._offsets import offset
from ._spacing import Spacing, checked_spacing, relative_spacing, spaced_points, spaced_radii

Numbers = Sequence[float | int] | np.ndarray
FrequencyCutoff = str | float | int | Callable[[float], Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Harmonic:
    """Options of the harmonic basis: rings times angular harmonics, for any group.

    On lines and points there are no rings: every tap is free, as with `Grid`, and ``basis_filter``
    is the only option. A value: hashable, and checked when made, as far as that is possible
    without a space and a kernel size.

    Attributes:
        rings: Radii in taps, within ``[0, sqrt(d) (k - 1) / 2]`` in d dimensions; by default
            ``0, 1, ...``.
        sigma: Width of the rings, one number or one per ring; by default 0.6, and 0.4 for the
            outermost.
        frequency_cutoff: Highest frequency per ring: ``"default"``, ``"narrow"``, ``"flat"``, a
            number ``a`` for ``a r``, or a callable of the radius.
        maximum_offset: Finite groups on a plane: keep solutions with ``f = +-m +- n + t N``,
            ``|t|`` at most this.
        spacing: Distances of neighbouring cells along the axes of arrays, such as the sizes of
            voxels ``(3.0, 1.0, 1.0)`` of a scan with thick slices: kernels are the same functions
            of space, sampled where the taps lie. Only ratios count; radii and widths are then in
            units of the finest. Elements that the taps do not tell apart are left out.
        basis_filter: Takes the attributes of an element (see `SteerableBasis.attributes`), returns
            whether to keep it. Bases are cached by its identity, so give one function, not a new
            lambda each time.
        caller: Who asks, for messages; not stored.

    Raises:
        ValueError: If an option is out of range.
        TypeError: If ``basis_filter`` is no callable.

    Examples:
        >>> import equivax as evx, jax
        >>> fields = evx.FieldType((space := evx.spaces.rot_on_r2(8)), space.regular)
        >>> basis = evx.kernels.Harmonic(rings=[0, 1, 2], frequency_cutoff="narrow")
        >>> evx.nn.Conv(fields, fields, 5, basis=basis, key=jax.random.key(0)).kernel.shape
        (8, 8, 5, 5)
    """

    rings: Numbers | None = None
    sigma: float | int | Numbers | None = None
    frequency_cutoff: FrequencyCutoff | None = None
    maximum_offset: int | None = None
    spacing: Numbers | None = None
    basis_filter: BasisFilter | None = None
    caller: dataclasses.InitVar[str] = "Harmonic"

    def __post_init__(self, caller: str) -> None:
        count = None
        if self.rings is not None:
            radii = _radii(caller, self.rings)
            object.__setattr__(self, "rings", radii)  # hashable, whatever was given
            count = len(radii)
        if self.sigma is not None:
            object.__setattr__(self, "sigma", _widths(caller, self.sigma, count))
        if self.frequency_cutoff is not None:
            _check_cutoff(caller, self.frequency_cutoff)
        if self.maximum_offset is not None:
            value = non_negative(caller, "maximum_offset", self.maximum_offset, " or None")
            object.__setattr__(self, "maximum_offset", value)
        if self.spacing is not None:
            object.__setattr__(self, "spacing", checked_spacing(caller, self.spacing))
        check_filter(caller, self.basis_filter)

    def recipe(
        self, caller: str, space: GSpace, kernel_size: int | Sequence[int] | None
    ) -> HarmonicRecipe | GridRecipe:
        """The parts of kernels of a size on a space.

        Args:
            caller: Who asks, for messages.
            space: What is acted on.
            kernel_size: Taps per axis, one integer or one per axis.

        Raises:
            ValueError: If size, space and options do not fit together.
        """
        kernel = kernel_shape(caller, space, kernel_size)
        if space.dim < 2:
            refuse_rings(caller, space, vars(self))
            return Grid().recipe(caller, space, kernel)
        dim, pointwise = space.dim, set(kernel) == {1} and self.frequency_cutoff is None
        if dim not in DIMENSIONS and not pointwise:  # one tap has one function anywhere
            way = (
                'use basis="grid"'
                if space.preserves_grid
                else "restrict the space to a subgroup that maps the grid to itself, for which "
                'there is basis="grid"'
            )
            raise ValueError(
                f'{caller}: basis: "harmonic" is for planes and space, got {space!r}; {way}'
            )
        if self.maximum_offset is not None and dim != 2:
            raise ValueError(
                f"{caller}: maximum_offset: counts turns of a plane, got {self.maximum_offset!r} "
                f"on {space!r}; frequency_cutoff limits frequencies anywhere"
            )
        spacing, size = None, max(kernel)
        if self.spacing is not None:
            ratios = relative_spacing(caller, space, self.spacing)
            spacing = ratios if size > 1 else None  # one tap is nowhere else
        if spacing is None and len(set(kernel)) > 1:
            raise ValueError(
                f"{caller}: kernel_size: the harmonic basis expects equal sizes, got {kernel}; "
                'unequal ones are for axes of unequal spacing= or for basis="grid"'
            )
        radii = default_radii(size, dim) if spacing is None else spaced_radii(kernel, spacing)
        if self.rings is not None:
            furthest = math.sqrt((spaced_points(kernel, spacing) ** 2).sum(axis=1).max())
            radii = _radii(caller, self.rings, kernel, furthest)
        widths = default_widths(radii)
        if self.sigma is not None:
            found = _widths(caller, self.sigma, len(radii))
            widths = found if isinstance(found, tuple) else (found,) * len(radii)
        order = sorted(range(len(radii)), key=lambda i: (radii[i], widths[i]))
        radii, widths = tuple(radii[i] for i in order), tuple(widths[i] for i in order)
        policy = "default" if self.frequency_cutoff is None else self.frequency_cutoff
        if size % 2 == 0 and self.rings is None and spacing is None:
            warn_even_size(size)
        departs = any(x is not None for x in (self.rings, self.sigma, self.frequency_cutoff))
        return HarmonicRecipe(
            kernel=kernel,
            radii=radii,
            sigmas=widths,
            cutoffs=tuple(
                _highest(caller, policy, r, size, dim, bounded=spacing is not None) for r in radii
            ),
            maximum_offset=self.maximum_offset,
            spacing=spacing,
            # The default is independent (tests show the singular values); two taps are a narrow
            # fit.
            checks_rank=spacing is None and (departs or size == 2),
        )


def _numbers(values: object) -> tuple[float, ...] | None:
    """Finite real numbers, or None."""
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        return None
    try:
        if not is_several(values) or not all(map(is_number, values)):
            return None
        found = tuple(float(v) for v in values)
    except (TypeError, ValueError):
        return None
    return found if all(map(math.isfinite, found)) else None


def _radii(
    caller: str,
    rings: Numbers,
    kernel: tuple[int, ...] | None = None,
    largest: float = math.inf,
) -> tuple[float, ...]:
    """Radii that fit into a kernel, if its size is known."""
    found = _numbers(rings)
    if not found or not all(0 <= r <= largest * (1 + 1e-12) for r in found):
        bounds = ", 0 or more"
        if kernel is not None:
            bounds = f" between 0 and {largest:.4g} for kernel {times(kernel)}"
        raise ValueError(
            f"{caller}: rings: expected radii in taps{bounds}, got {_as_given(rings)!r}"
        )
    return found


#: Taps beyond which a ring is flat on any kernel, and its square may have no number.
MOST_WIDTH = 1e6


def _widths(
    caller: str, sigma: float | int | Numbers, count: int | None
) -> float | tuple[float, ...]:
    """One width, or one for each of a number of rings, if that is known."""
    one = not is_several(sigma)
    found = _numbers([sigma] if one else sigma)
    fits = found and (one or count is None or len(found) == count)
    if not found or not fits or min(found) <= 0 or max(found) > MOST_WIDTH:
        each = "each ring" if count is None else f"each of {count} rings"
        raise ValueError(
            f"{caller}: sigma: expected a positive width, or one for {each}, of at most "
            f"{MOST_WIDTH:g} taps, got "
            f"{_as_given(sigma)!r}"
        )
    return found[0] if one else found


def _as_given(values: object) -> object:
    """Numbers that are stored as a tuple as the list that they were, for messages."""
    return list(values) if isinstance(values, tuple) else values


def _check_cutoff(caller: str, policy: FrequencyCutoff) -> None:
    """Refuses what is a policy for no radius."""
    slope = as_number(policy)
    named = isinstance(policy, str) and policy in CUTOFFS
    if (
        (callable(policy) and not isinstance(policy, type))
        or named
        or (slope is not None and slope >= 0)
    ):
        return
    raise ValueError(f"{caller}: frequency_cutoff: {_CUTOFF_EXPECTED}, got {policy!r}")


_CUTOFF_EXPECTED = (
    f"expected one of {', '.join(CUTOFFS)}, a number a (for a r), or a callable from the radius "
    "to a frequency >= 0"
)


def _highest(
    caller: str, policy: FrequencyCutoff, radius: float, size: int, dim: int, *, bounded: bool
) -> int:
    """The cut-off of a ring by a policy's name, a slope or a callable.

    With ``bounded``, rings beyond the last whole one of a cube, where thick slices have taps, are
    treated as that one.
    """
    if isinstance(policy, str):
        return cutoff(policy, min(radius, float(size // 2)) if bounded else radius, size, dim)
    value = policy(radius) if callable(policy) else policy * radius
    try:
        highest = math.floor(value + 1e-9)  # 3 * (1 / 3) should mean 1
    except (TypeError, ValueError, OverflowError):
        highest = -1
    if highest < 0:
        raise ValueError(
            f"{caller}: frequency_cutoff: {_CUTOFF_EXPECTED}, got {policy!r} which gives "
            f"{value!r} at radius {radius:.4g}"
        )
    if highest > size**2:
        raise ValueError(
            f"{caller}: frequency_cutoff: expected frequencies of at most {size**2}, the number of "
            f"taps of kernel {size}, got {policy!r} which gives {value!r} at radius {radius:.4g}"
        )
    return highest


# ---- recipe ----------------------------------------------------------------------------------


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
        spacing: Distance of taps per axis, over the smallest; None if they are equal.
    """

    kernel: tuple[int, ...]
    radii: tuple[float, ...]
    sigmas: tuple[float, ...]
    cutoffs: tuple[int, ...]
    maximum_offset: int | None = None
    checks_rank: bool = False
    spacing: Spacing | None = dataclasses.field(default=None, metadata={"since": 2})

    @property
    def drops_dependent(self) -> bool:
        """Where slices are thick: few directions at some radii look like one frequency."""
        return self.spacing is not None

    @property
    def remedy(self) -> str:
        """What to change if elements are dependent."""
        return "fewer rings, narrower widths or lower frequencies"

    def parts(self, space: GSpace) -> tuple[Part, ...]:
        """Every ring with every frequency up to its cut-off."""
        return _parts(self, space)

    def offset(self, space: GSpace, part: Part, in_irrep: tuple, out_irrep: tuple) -> int | None:
        """Smallest ``|t|`` with ``f = +-m +- n + t N``; None in space."""
        if space.dim != 2:
            return None
        return offset(space, part.frequency or 0, in_irrep, out_irrep)

    def allows(self, space: GSpace, part: Part, in_irrep: tuple, out_irrep: tuple) -> bool:
        """Whether the offset is at most ``maximum_offset``."""
        if self.maximum_offset is None:
            return True
        found = self.offset(space, part, in_irrep, out_irrep)
        return found is None or found <= self.maximum_offset

    def __str__(self) -> str:
        text = (
            f"harmonic basis, kernel {times(self.kernel)}, rings {_listed(self.radii)}, sigma "
            f"{_listed(self.sigmas)}, highest frequencies {_listed(self.cutoffs)}"
        )
        if self.maximum_offset is not None:
            text += f", maximum_offset {self.maximum_offset}"
        return text + (f", spacing {_listed(self.spacing)}" if self.spacing else "")


def _listed(values: Sequence[float | int]) -> str:
    return "[" + ", ".join(f"{v:.4g}" for v in values) + "]"


@functools.lru_cache(maxsize=256)
def _parts(recipe: HarmonicRecipe, space: GSpace) -> tuple[Part, ...]:
    points = grid_points(recipe.kernel)
    if recipe.spacing is not None:
        points = spaced_points(recipe.kernel, recipe.spacing)
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
