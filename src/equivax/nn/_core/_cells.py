"""Fields on the cells of a grid as one vector, ``grid (x) rho``: a sum over orbits of cells.

The group moves cells and turns channels. Cells that it moves to one another are a quotient of the
group, so an orbit of fields ``sigma`` is ``quotient(H) (x) sigma`` with ``H`` the stabiliser of one
of its cells, and orbits with equal stabilisers are equal summands.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..._arguments import integers, refuse
from ...fields import FieldType
from ...representations import Representation, direct_sum
from ...spaces import GSpace, axis_matrices, center
from ._channels import take_channels
from ._grid_rule import moved_axes

Runs = tuple[tuple[int, int, tuple[tuple[int, int], ...]], ...]
"""Per stabiliser: orbits, cells of one, and per run of equal fields their number and size."""

#: Cells of a patch, or of a grid of tokens, beyond which no table is made.
MOST_CELLS = 1_000_000


@dataclasses.dataclass(frozen=True, eq=False)
class CellFields:
    """``grid (x) rho``, and how vectors of it hold the channels of cells.

    Attributes:
        representation: The sum over orbits.
        runs: See `Runs`.
        listed: Cells, by their numbers in the raveled grid, orbit after orbit.
        order: The inverse: where every cell stands among those of orbits.
    """

    representation: Representation
    runs: Runs
    listed: Int[np.ndarray, " cells"]
    order: Int[np.ndarray, " cells"]

    def vector(self, x: Float[Array, "*batch cells channels"]) -> Float[Array, "*batch n"]:
        """The channels of all cells as a vector of ``representation``."""
        return from_cells(self.runs, self.listed, x)

    def channels(self, v: Float[Array, "*batch n"]) -> Float[Array, "*batch cells channels"]:
        """The inverse of `vector`."""
        return to_cells(self.runs, self.order, v)


@functools.lru_cache(maxsize=256)
def cell_fields(space: GSpace, sides: tuple[int, ...], rep: Representation) -> CellFields:
    """``grid (x) rho``.

    Args:
        space: Of a finite group that permutes the axes of an array, with signs.
        sides: Of a grid that the group maps to itself.
        rep: ``rho``.
    """
    kinds = orbits(space, sides)
    reps, runs = [], []
    for stabiliser, cells in kinds.items():
        elements = space.group.elements
        coset = space.group.quotient([elements[i] for i in stabiliser])
        reps += [len(cells) * count * (coset @ field) for field, count in rep.runs]
        runs.append((*cells.shape, tuple((count, field.size) for field, count in rep.runs)))
    listed = np.concatenate([cells.ravel() for cells in kinds.values()]).astype(np.int32)
    return CellFields(direct_sum(reps), tuple(runs), listed, np.argsort(listed).astype(np.int32))


@functools.lru_cache(maxsize=256)
def orbits(
    space: GSpace, sides: tuple[int, ...]
) -> dict[tuple[int, ...], Int[np.ndarray, "orbits cells"]]:
    """The cells of a grid by the stabiliser of the first cell of their orbit.

    In an orbit cells stand as the cosets of the stabiliser in `quotient`: in the order in which the
    elements of the group bring them about. Stabilisers are given by the numbers of their elements.
    """
    moved = moved_cells(space, sides)
    found: dict[tuple[int, ...], list[np.ndarray]] = {}
    seen = np.zeros(moved.shape[1], bool)
    for cell in range(moved.shape[1]):
        if seen[cell]:
            continue
        members = np.unique(moved[:, cell])
        seen[members] = True
        # Stabilisers of cells of one orbit are conjugate: the first stands for all.
        stabilisers = {tuple(np.flatnonzero(moved[:, c] == c).tolist()): c for c in members[::-1]}
        first = min(stabilisers)
        images = moved[:, stabilisers[first]]
        _, when = np.unique(images, return_index=True)
        found.setdefault(first, []).append(images[np.sort(when)])
    return {stabiliser: np.stack(found[stabiliser]) for stabiliser in sorted(found)}


def moved_cells(space: GSpace, sides: tuple[int, ...]) -> Int[np.ndarray, "order cells"]:
    """The number of the cell to which each element of the group moves each cell."""
    middle = center(sides)
    cells = np.indices(sides).reshape(len(sides), -1).T - middle
    moved = np.rint(cells @ np.swapaxes(axis_matrices(space), 1, 2) + middle).astype(np.int64)
    return np.asarray(np.ravel_multi_index(tuple(np.moveaxis(moved, -1, 0)), sides))


# ---- formulas ------------------------------------------------------------------------------------


def from_cells(
    runs: Runs, listed: Int[np.ndarray, " cells"], x: Float[Array, "*batch cells channels"]
) -> Float[Array, "*batch n"]:
    """Channels of all cells as a vector of ``grid (x) rho``."""
    lead, x = x.shape[:-2], take_channels(x, listed, -2)
    pieces, row = [], 0
    for orbits, cells, fields in runs:
        column = 0
        for count, size in fields:
            own = x[..., row : row + orbits * cells, column : column + count * size]
            own = own.reshape(*lead, orbits, cells, count, size)
            pieces.append(jnp.swapaxes(own, -2, -3).reshape(*lead, orbits * cells * count * size))
            column += count * size
        row += orbits * cells
    return pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, axis=-1)


def to_cells(
    runs: Runs, order: Int[np.ndarray, " cells"] | Array, v: Float[Array, "*batch n"]
) -> Float[Array, "*batch cells channels"]:
    """The inverse of `from_cells`."""
    lead, rows, start = v.shape[:-1], [], 0
    for orbits, cells, fields in runs:
        pieces = []
        for count, size in fields:
            stop = start + orbits * cells * count * size
            own = v[..., start:stop].reshape(*lead, orbits, count, cells, size)
            own = jnp.swapaxes(own, -2, -3)
            pieces.append(own.reshape(*lead, orbits * cells, count * size))
            start = stop
        rows.append(pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, axis=-1))
    x = rows[0] if len(rows) == 1 else jnp.concatenate(rows, axis=-2)
    return take_channels(x, order, -2)


# ---- checks --------------------------------------------------------------------------------------


def check_space(caller: str, argument: str, space: object) -> GSpace:
    """A space whose group moves the cells of a grid to one another.

    Raises:
        TypeError: If it is no space.
        ValueError: If it is a point, or the group does not map grids to themselves.
    """
    if not isinstance(space, GSpace):
        refuse(TypeError, caller, argument, "a GSpace, such as spaces.flip_rot_on_r2(4)", space)
    if space.dim == 0 or space.group.order is None or not space.preserves_grid:
        raise ValueError(
            f"{caller}: {argument}: expected a finite group that turns and mirrors the axes of a "
            f"grid, got {space!r}; restrict it, as type.restrict or space.restrict do, or use "
            "nn.Conv with a stride, which takes any group"
        )
    return space


def check_fields(caller: str, argument: str, type_: object) -> FieldType:
    """A type of fields on a grid whose cells the group moves to one another.

    Raises:
        TypeError: If it is no field type.
        ValueError: If it is one of fields on a point, or of a group that does not map grids to
            themselves.
    """
    if not isinstance(type_, FieldType):
        refuse(TypeError, caller, argument, "a FieldType on a line, plane or volume", type_)
    check_space(caller, argument, type_.space)
    return type_


def check_sides(caller: str, argument: str, space: GSpace, value: object) -> tuple[int, ...]:
    """Sides of a grid, one number or one per axis, that the group maps to itself.

    Raises:
        TypeError: If they are no integers.
        ValueError: If they are not positive, too many, or differ on axes that are exchanged.
    """
    sides = integers(value, caller, argument, 1, MOST_CELLS, count=space.dim)
    if math.prod(sides) > MOST_CELLS:
        refuse(ValueError, caller, argument, f"at most {MOST_CELLS} cells", value)
    for a, b in moved_axes(space)[1]:
        if sides[a] != sides[b]:
            raise ValueError(
                f"{caller}: {argument}: expected equal numbers for axes {a} and {b}, which "
                f"{space!r} exchanges, got {sides}; a subgroup that only mirrors takes any"
            )
    return sides
