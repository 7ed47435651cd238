"""What a kernel is made of before the channels enter: sampled functions that the group mixes.

A kernel is ``K(x) = sum_p C_p . Y_p(x)`` over parts p: samples ``Y_p`` on the taps, a
representation by which the group mixes them, and ``C_p`` in ``Hom_G(Y_p (x) rho_in, rho_out)``.
A recipe says which parts: rings times harmonics, orbits of taps, or derivatives.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from ..representations import Representation
from ..spaces import GSpace

BasisFilter = Callable[[Mapping[str, Any]], bool]
"""Whether to keep an element of a basis, by its attributes."""


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

    @property
    def drops_dependent(self) -> bool:
        """Whether elements that earlier ones make up on the taps, or nearly, are left out."""
        ...

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """Distance of taps per axis, over the smallest; None if they are equal or do not count."""
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


def times(kernel: tuple[int, ...]) -> str:
    """``3 x 3``, for messages."""
    return " x ".join(map(str, kernel)) or "of one point"
