"""The grid basis: orbits of taps under a group of signed permutations.

A kernel that is exactly equivariant on the grid is, per orbit, an element of
``Hom_G(permutations of the orbit (x) rho_in, rho_out)``: no band limit, nothing left out.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from ..._numerics import freeze
from ...groups import GroupElement
from ...representations import Representation
from ...spaces import GSpace, grid_points
from .._parts import BasisFilter, Part, times
from ._angular import DIMENSIONS
from ._arguments import check_filter, kernel_shape


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
    """Options of the grid basis: every kernel that symmetry allows, exact on the grid.

    For groups of quarter turns and reflections in the axes, and for all groups on lines and points
    that map the taps to themselves. A value: hashable, and checked when made.

    Attributes:
        basis_filter: Takes the attributes of an element (see `SteerableBasis.attributes`), returns
            whether to keep it. Bases are cached by its identity, so give one function, not a new
            lambda each time.
        caller: Who asks, for messages; not stored.

    Raises:
        TypeError: If ``basis_filter`` is no callable.

    Examples:
        >>> import equivax as evx
        >>> space = evx.spaces.flip_rot_on_r2(4)
        >>> rep, options = space.regular, evx.kernels.Grid()
        >>> evx.kernels.steerable_basis(space, rep, rep, 3, options).dim
        72
    """

    basis_filter: BasisFilter | None = None
    caller: dataclasses.InitVar[str] = "Grid"

    def __post_init__(self, caller: str) -> None:
        check_filter(caller, self.basis_filter)

    def recipe(
        self, caller: str, space: GSpace, kernel_size: int | Sequence[int] | None
    ) -> GridRecipe:
        """The parts of kernels of a size on a space.

        Args:
            caller: Who asks, for messages.
            space: What is acted on.
            kernel_size: Taps per axis, one integer or one per axis.

        Raises:
            ValueError: If the group does not map the taps to themselves.
        """
        kernel = kernel_shape(caller, space, kernel_size)
        if not space.preserves_grid:
            other = 'use basis="harmonic", or ' if space.dim in DIMENSIONS else ""
            raise ValueError(
                f'{caller}: basis: "grid" needs a group that maps the grid to itself, that is '
                f"quarter turns and reflections in the axes, got {space!r}; {other}restrict the "
                "space to such a subgroup"
            )
        if permutation_table(space, kernel) is None:
            raise ValueError(
                f"{caller}: kernel_size: expected equal sizes for axes that {space!r} exchanges, "
                f"got {kernel}"
            )
        return GridRecipe(kernel)


def refuse_rings(caller: str, space: GSpace, options: Mapping[str, object]) -> None:
    """Refuses options of rings and frequencies, where every tap is free."""
    for name in ("rings", "sigma", "frequency_cutoff", "maximum_offset", "spacing"):
        if options.get(name) is not None:
            raise ValueError(
                f"{caller}: {name}: belongs to the harmonic basis in two or more dimensions; "
                f"the grid basis on {space.domain} takes every tap, so leave it out, got "
                f"{options[name]!r}"
            )


# ---- recipe ----------------------------------------------------------------------------------


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

    @property
    def drops_dependent(self) -> bool:
        """Nothing to drop."""
        return False

    @property
    def spacing(self) -> None:
        """Taps count, not distances."""
        return None

    def parts(self, space: GSpace) -> tuple[Part, ...]:
        """One part per orbit."""
        return _parts(self, space)

    def offset(self, space: GSpace, part: Part, in_irrep: tuple, out_irrep: tuple) -> int | None:
        """None: taps have no frequency."""
        return None

    def allows(self, space: GSpace, part: Part, in_irrep: tuple, out_irrep: tuple) -> bool:
        """Always."""
        return True

    def __str__(self) -> str:
        return f"grid basis, kernel {times(self.kernel)}"


@functools.lru_cache(maxsize=256)
def _parts(recipe: GridRecipe, space: GSpace) -> tuple[Part, ...]:
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
        for number, orbit in enumerate(tap_orbits(space, recipe.kernel))
    )


# ---- orbits ----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class TapOrbit:
    """Taps that the group permutes among themselves.

    Attributes:
        taps: Indices into the raveled kernel, in the order of the axes of ``rep``.
        rep: The permutation representation of the orbit.
    """

    taps: np.ndarray
    rep: Representation


def tap_points(kernel: tuple[int, ...]) -> np.ndarray:
    """Coordinates of the taps ``(taps, d)``; one tap without coordinates if ``d`` is 0."""
    return grid_points(kernel) if kernel else np.zeros((1, 0))


def permutation_table(space: GSpace, kernel: tuple[int, ...]) -> np.ndarray | None:
    """``table[g, p]``: where an element sends a tap; None if some tap leaves the kernel.

    All elements of a finite group, the testing elements of another.
    """
    points = np.rint(2 * tap_points(kernel)).astype(np.int64)
    matrices = np.rint(space.element_matrices).astype(np.int64)
    return _find(points, np.einsum("gij,pj->gpi", matrices, points))


def _find(points: np.ndarray, moved: np.ndarray) -> np.ndarray | None:
    """Indices of the moved points among the points, in integers."""
    bound = int(np.abs(points).max(initial=0))
    if np.abs(moved).max(initial=0) > bound:
        return None
    radix = (2 * bound + 1) ** np.arange(points.shape[1], dtype=np.int64)
    codes, wanted = (points + bound) @ radix, (moved + bound) @ radix
    order = np.argsort(codes)
    at = np.minimum(np.searchsorted(codes[order], wanted), len(codes) - 1)
    found = order[at]
    return found if np.array_equal(codes[found], wanted) else None


def tap_orbits(space: GSpace, kernel: tuple[int, ...]) -> list[TapOrbit]:
    """All orbits, by distance from the centre, then by their first tap.

    Within an orbit the taps follow the group: with a base point that depends only on the
    stabilisers, orbits of one kind get equal representations, which are then solved once.
    """
    table = permutation_table(space, kernel)
    if table is None:
        raise ValueError(f"kernel: {space!r} does not map a kernel of {kernel} taps to itself")
    first = table.min(axis=0)
    squared = np.rint(4 * (tap_points(kernel) ** 2).sum(axis=1)).astype(np.int64)
    fixed = table == np.arange(table.shape[1])
    known: dict[bytes, Representation] = {}
    result = []
    for start in sorted(np.unique(first), key=lambda p: (squared[p], p)):
        members = np.flatnonzero(first == start)
        if len(members) == 1:
            result.append(TapOrbit(members, space.group.trivial))
            continue
        base = members[max(range(len(members)), key=lambda m: fixed[:, members[m]].tobytes())]
        images = table[:, base]
        _, when = np.unique(images, return_index=True)
        taps = images[np.sort(when)]
        places = np.full(table.shape[1], -1)
        places[taps] = np.arange(len(taps))
        permutations = places[table[:, taps]]
        kind = permutations.tobytes()
        if kind not in known:
            known[kind] = _permutation_representation(space, kernel, taps, permutations)
        result.append(TapOrbit(taps, known[kind]))
    return result


def _permutation_representation(
    space: GSpace, kernel: tuple[int, ...], taps: np.ndarray, permutations: np.ndarray
) -> Representation:
    """``e_j -> e_{p[j]}`` on the taps of an orbit."""
    group, size = space.group, len(taps)
    if group.order is not None:
        matrices = np.swapaxes(np.eye(size)[permutations], 1, 2)
        return Representation.from_matrices(group, matrices, f"orbit({size})")
    points = np.rint(2 * tap_points(kernel)[taps]).astype(np.int64)

    def matrix(g: GroupElement) -> np.ndarray:
        moved = points @ np.rint(space.matrix(g)).astype(np.int64).T
        return (moved[:, None] == points).all(axis=2).astype(np.float64).T

    return Representation.from_matrices(group, matrix, f"orbit({size})")
