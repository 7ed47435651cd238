"""Where tokens stand on a grid of cells that the group moves: two kinds of learned positions.

The group turns a token and moves it to another cell. What positions do must move along: a vector at
a cell turns into the one at the cell that it moves to, and what belongs to an offset belongs to all
offsets that the group makes of it. Tokens are the cells in the order of the raveled grid, behind
``extra`` tokens without a place, such as one that sums up.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ..._arguments import arrays, integer, refuse
from ..._windows import Integers
from ...fields import IrrepTensor, Type
from ...hom import invariant_vector, trivial_count
from ...representations import Representation, check_same_group
from ...spaces import GSpace
from .._core._admission import MOST_CHANNELS, parameter_dtype
from .._core._cells import CellFields, cell_fields, check_sides, check_space, orbits
from .._core._module import representation_of
from .._core._plain import plain_function
from ._positions import AbstractPositions, Plain, check_vectors


def cells_of(count, extra, at):
    """The numbers of the cells of tokens, and which tokens have none."""
    number = jnp.where(jnp.isnan(at), -1, jnp.round(at)).astype(jnp.int32) - extra
    return jnp.clip(number, 0, count - 1), (number < 0) | (number >= count)


def check_cells(caller: str, argument: str, count: int, grid: tuple[int, ...], extra: int) -> None:
    """Refuses tokens that are not all those of a grid: they would be taken for other cells.

    Raises:
        ValueError: With the way out.
    """
    tokens = extra + math.prod(grid)
    if count != tokens:
        raise ValueError(
            f"{caller}: {argument}: expected {tokens} tokens, {extra} without a place and those of "
            f"the grid {grid}, got {count}; make the positions with another grid or extra, or pass "
            "positions=, the number of each token among all"
        )


def shifted_by_cells(table, extra, x, at=None):
    """Tokens plus the vectors ``(cells, n)`` of their cells."""
    at = jnp.arange(x.shape[-2], dtype=jnp.float32) if at is None else at
    cell, none = cells_of(table.shape[0], extra, at)
    rows = jnp.take(table, cell, axis=0, mode="clip")
    return x + jnp.where(none[..., None], 0, rows).astype(x.dtype)


def biased_by_orbits(table, orbit_of, codes, extra, q_at, k_at):
    """One number per head and orbit of offsets, ``(..., heads, T, S)``.

    Cells have codes whose differences tell offsets apart: ``orbit_of[code - code + shift]``.
    """
    codes, orbit_of = jnp.asarray(codes), jnp.asarray(orbit_of)
    (q, q_none), (k, k_none) = (cells_of(codes.shape[0], extra, at) for at in (q_at, k_at))
    q, k = (jnp.take(codes, cell, mode="clip") for cell in (q, k))
    offset = k[..., None, :] - q[..., :, None] + orbit_of.shape[0] // 2
    found = jnp.take(table, jnp.take(orbit_of, offset, mode="clip"), axis=1, mode="clip")
    none = k_none[..., None, :] | q_none[..., :, None]
    return jnp.moveaxis(jnp.where(none, 0, found), 0, -3)


class AbsoluteGridPositions(AbstractPositions):
    """``x_t + e_t`` with vectors ``e`` that the group moves to one another, ``e_gt = rho(g) e_t``.

    The table is an invariant element of ``grid (x) rho``: one vector for each orbit of cells,
    unchanged by the elements that leave its cell in place. In `MultiheadAttention` it is added to
    the inputs of queries and keys; called, to tokens.

    Shapes: ``(..., extra + cells, n)``, unchanged.

    Examples:
        >>> import equivax as evx, jax, jax.numpy as jnp
        >>> space = evx.spaces.flip_rot_on_r2(4)
        >>> rep = 2 * space.regular
        >>> where = evx.nn.AbsoluteGridPositions(rep, space, 5, key=jax.random.key(0))
        >>> where(jnp.zeros((25, 16))).shape, where.coeffs.shape
        ((25, 16), (50,))
    """

    coeffs: Float[Array, " m0"]
    in_type: Type = eqx.field(static=True)
    space: GSpace = eqx.field(static=True)
    grid: tuple[int, ...] = eqx.field(static=True)
    extra: int = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        space: GSpace,
        grid: Integers,
        *,
        extra: int = 0,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draws the table, normal with deviation 0.02.

        Args:
            in_type: A `Representation` or a field type of vectors: one token.
            space: How the group, a finite one that turns and mirrors axes, moves cells.
            grid: Cells along every axis, equal on axes that the group exchanges.
            extra: Number of tokens in front that have no place.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If the group does not map the grid to itself, or is another one, or no
                vector is invariant.
            TypeError: If an argument is of another kind.
        """
        name = "AbsoluteGridPositions"
        rep = representation_of(in_type, name, "in_type")
        check_vectors(name, "in_type", in_type)
        self.space = check_space(name, "space", space)
        check_same_group(name, space.trivial, rep)
        self.grid = check_sides(name, "grid", space, grid)
        self.extra = integer(extra, name, "extra", 0, MOST_CHANNELS)
        self.in_type = in_type
        count = trivial_count(self._cells.representation)
        if not count:
            raise ValueError(
                f"{name}: in_type: expected a type with invariant vectors at some cell, got "
                f"{in_type!r}; use RotaryGridPositions or RelativeGridPositions"
            )
        dtype, key = parameter_dtype(dtype, name), arrays.key(key, name)
        self.coeffs = 0.02 * jax.random.normal(key, (count,), dtype)

    @property
    def _cells(self) -> CellFields:
        rep = representation_of(self.in_type, "AbsoluteGridPositions", "in_type")
        return cell_fields(self.space, self.grid, rep)

    @property
    def table(self) -> Float[Array, "cells n"]:
        """The vectors of all cells."""
        return self._cells.channels(invariant_vector(self._cells.representation, self.coeffs))

    def check_fits(
        self, caller: str, in_type: Type, kv_type: Type, head: Representation, num_heads: int
    ) -> None:
        """Refuses inputs of another type."""
        own = representation_of(self.in_type, caller, "positions")
        for argument, type_ in (("in_type", in_type), ("kv_type", kv_type)):
            if own != representation_of(type_, caller, argument):
                raise ValueError(
                    f"{caller}: positions: expected AbsoluteGridPositions of {argument} {type_!r}, "
                    f"got those of {self.in_type!r}"
                )

    def check_count(self, caller: str, argument: str, count: int) -> None:
        """See `AbstractPositions`: there are as many tokens as cells, behind those in front."""
        check_cells(caller, argument, count, self.grid, self.extra)

    def on_inputs(self, x: Array | IrrepTensor, at: Array) -> Array | IrrepTensor:
        """See `AbstractPositions`."""
        if not isinstance(x, IrrepTensor):
            return shifted_by_cells(self.table, self.extra, x, at)
        cell, none = cells_of(self.table.shape[0], self.extra, at)
        rows = jnp.take(self.table, cell, axis=0, mode="clip")
        rows = jnp.where(none[..., None], 0, rows).astype(x.dtype)
        return x + IrrepTensor(IrrepTensor.of(self.in_type, rows).blocks, x.type)

    def __call__(self, x: Array | IrrepTensor) -> Array | IrrepTensor:
        """Adds to tokens the vectors of their cells.

        Args:
            x: ``(..., extra + cells, n)``, or an `IrrepTensor` of that shape.
        """
        if not isinstance(x, IrrepTensor):
            x = arrays.array(x, "AbsoluteGridPositions", "x")
            if not jnp.issubdtype(x.dtype, jnp.floating):
                refuse(TypeError, "AbsoluteGridPositions", "x", "floating numbers", x.dtype)
        tokens = self.extra + int(np.prod(self.grid))
        if x.ndim < 2 or x.shape[-2:] != (tokens, self.in_type.size):
            raise ValueError(
                f"AbsoluteGridPositions: x: expected (..., {tokens}, {self.in_type.size}) for a "
                f"grid {self.grid} and {self.extra} tokens without a place, got {x.shape}"
            )
        return self.on_inputs(x, jnp.arange(tokens, dtype=jnp.float32))

    def plain(self) -> tuple[Plain, Plain, Plain]:
        """See `AbstractPositions`."""
        return self.export(), None, None

    def export(self) -> Callable[..., Any]:
        """A plain function ``(x, at=None)`` of tokens."""
        return plain_function(shifted_by_cells, self.table, self.extra)


class RelativeGridPositions(AbstractPositions):
    """One learned number per head and orbit of offsets between cells, added to the logits.

    Offsets that the group makes of one another have one number, so that logits stay invariant: for
    eight symmetries of a square about an eighth of the table of a Swin transformer (Liu et al.
    2021). Tokens without a place have none.

    Examples:
        >>> import equivax as evx
        >>> space = evx.spaces.flip_rot_on_r2(4)
        >>> evx.nn.RelativeGridPositions(3, space, 7).table.shape
        (3, 28)
    """

    table: Float[Array, "heads orbits"]
    space: GSpace = eqx.field(static=True)
    grid: tuple[int, ...] = eqx.field(static=True)
    extra: int = eqx.field(static=True)

    def __init__(
        self,
        num_heads: int,
        space: GSpace,
        grid: Integers,
        *,
        extra: int = 0,
        dtype: DTypeLike | None = None,
    ) -> None:
        """Starts at zero.

        Args:
            num_heads: Number of heads.
            space: How the group, a finite one that turns and mirrors axes, moves cells.
            grid: Cells along every axis, equal on axes that the group exchanges.
            extra: Number of tokens in front that have no place.
            dtype: Of the parameters; JAX's default float if None.

        Raises:
            ValueError: If the group does not map the grid to itself.
            TypeError: If an argument is of another kind.
        """
        name = "RelativeGridPositions"
        heads = integer(num_heads, name, "num_heads", 1, MOST_CHANNELS)
        self.space = check_space(name, "space", space)
        self.grid = check_sides(name, "grid", space, grid)
        self.extra = integer(extra, name, "extra", 0, MOST_CHANNELS)
        count = int(self._orbit_of.max()) + 1
        self.table = jnp.zeros((heads, count), parameter_dtype(dtype, name))

    @property
    def _offsets(self) -> tuple[int, ...]:
        """How many offsets there are along every axis."""
        return tuple(2 * side - 1 for side in self.grid)

    @property
    def _orbit_of(self) -> Int[np.ndarray, " offsets"]:
        return _orbit_of_offsets(self.space, self._offsets)

    def _constants(self) -> tuple[Any, ...]:
        cells = np.indices(self.grid).reshape(len(self.grid), -1)
        codes = np.ravel_multi_index(tuple(cells), self._offsets).astype(np.int32)
        return self.table, self._orbit_of, codes, self.extra

    def check_fits(
        self, caller: str, in_type: Type, kv_type: Type, head: Representation, num_heads: int
    ) -> None:
        """Refuses another number of heads, or another group."""
        check_same_group(caller, self.space.trivial, head)
        if self.table.shape[0] != num_heads:
            raise ValueError(
                f"{caller}: positions: expected RelativeGridPositions of {num_heads} heads, got "
                f"those of {self.table.shape[0]}"
            )

    def check_count(self, caller: str, argument: str, count: int) -> None:
        """See `AbstractPositions`: there are as many tokens as cells, behind those in front."""
        check_cells(caller, argument, count, self.grid, self.extra)

    def bias(self, q_at: Array, k_at: Array) -> Float[Array, "*batch heads T S"]:
        """See `AbstractPositions`."""
        function = functools.partial(biased_by_orbits, *self._constants())
        return function(q_at, k_at)

    def plain(self) -> tuple[Plain, Plain, Plain]:
        """See `AbstractPositions`."""
        return None, None, plain_function(biased_by_orbits, *self._constants())


@functools.lru_cache(maxsize=256)
def _orbit_of_offsets(space: GSpace, sides: tuple[int, ...]) -> Int[np.ndarray, " offsets"]:
    """The number of the orbit of every offset."""
    found = np.zeros(math.prod(sides), np.int32)
    kinds = orbits(space, sides).values()
    for number, members in enumerate(orbit for kind in kinds for orbit in kind):
        found[members] = number
    found.flags.writeable = False  # it is shared
    return found
