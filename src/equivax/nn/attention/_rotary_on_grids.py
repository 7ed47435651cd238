"""`RotaryGridPositions`: rotary positions on a grid, with frequencies that the group moves.

Rotary positions turn a plane by the angle ``w . t`` at the cell ``t`` (Su et al. 2021). Where the
group permutes channels, a pair of equal fields has one plane for each channel, and the frequency of
channel ``g c`` is that of channel ``c``, moved by ``g``: then ``(A w) . (A t) = w . t``, and what
positions do commutes with the group.
"""

from __future__ import annotations

import functools
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._arguments import integer, number
from ..._windows import Integers
from ...fields import Type
from ...hom import HIGHEST, at_least_float32, irrep_plan
from ...representations import Representation, Summand, axis_images, check_same_group
from ...spaces import GSpace, axis_matrices, center
from .._core._admission import MOST_CHANNELS
from .._core._cells import check_sides, check_space
from .._core._channels import take_channels
from .._core._module import representation_of
from .._core._plain import plain_function
from ._heads import row_basis
from ._on_grids import cells_of, check_cells
from ._positions import AbstractPositions, Plain, check_vectors

SOME = 1e-9
"""Lengths of directions below this are none."""


def turned_by_cells(cos, sin, partner, basis, extra, rows, at):
    """Rotates heads ``(..., T, heads, n)`` by angles per cell and channel.

    ``partner`` is the other channel of the plane of every channel; ``basis`` leads from rows to
    channels, None where rows are channels.
    """
    wide = at_least_float32(rows.dtype)
    cell, none = cells_of(cos.shape[0], extra, at)
    cos, sin = (jnp.take(jnp.asarray(z, wide), cell, axis=0, mode="clip") for z in (cos, sin))
    cos = jnp.where(none[..., None], 1, cos)[..., None, :]
    sin = jnp.where(none[..., None], 0, sin)[..., None, :]
    z = rows.astype(wide)
    if basis is not None:
        z = jnp.matmul(z, jnp.asarray(basis, wide).T, precision=HIGHEST)
    z = z * cos + take_channels(z, partner) * sin
    if basis is not None:
        z = jnp.matmul(z, jnp.asarray(basis, wide), precision=HIGHEST)
    return z.astype(rows.dtype)


class RotaryGridPositions(AbstractPositions):
    """Turns pairs of equal fields of queries and keys by angles linear in the cell.

    In pair ``j`` of regular fields the channel of the element ``g`` turns with the frequency
    ``g w_j``, so that turning the image permutes frequencies as it permutes channels. ``w_j`` is
    ``base^(-j / r)`` along one axis of the grid after the other. Quotient fields have what their
    stabiliser leaves of ``w_j``, along axes of which it leaves some; fields that are not permuted,
    and one without a partner, stay as they are. Nothing is learned. Logits depend on offsets only.

    Law: with tokens moved to their cells, ``f(rho(g) x) = rho(g) f(x)``.

    Examples:
        >>> import equivax as evx, jax
        >>> space = evx.spaces.flip_rot_on_r2(4)
        >>> head = 2 * space.regular
        >>> where = evx.nn.RotaryGridPositions(head, space, 5)
        >>> layer = evx.nn.MultiheadAttention(head, 1, positions=where, key=jax.random.key(0))
        >>> layer(jax.numpy.ones((25, 16))).shape
        (25, 16)
    """

    head_type: Type = eqx.field(static=True)
    space: GSpace = eqx.field(static=True)
    grid: tuple[int, ...] = eqx.field(static=True)
    base: float = eqx.field(static=True)
    extra: int = eqx.field(static=True)

    def __init__(
        self,
        head_type: Type,
        space: GSpace,
        grid: Integers,
        *,
        base: float | int = 100.0,
        extra: int = 0,
    ) -> None:
        """Finds what can turn.

        Args:
            head_type: Type of one head, as that of `MultiheadAttention`.
            space: How the group, a finite one that turns and mirrors axes, moves cells.
            grid: Cells along every axis, equal on axes that the group exchanges.
            base: The slowest pair turns by about ``1 / base`` from cell to cell, the fastest by 1.
            extra: Number of tokens in front that have no place.

        Raises:
            ValueError: If the group does not map the grid to itself, or is another one, or no
                fields can turn.
            TypeError: If an argument is of another kind.
        """
        name = "RotaryGridPositions"
        rep = representation_of(head_type, name, "head_type")
        check_vectors(name, "head_type", head_type)
        self.space = check_space(name, "space", space)
        check_same_group(name, space.trivial, rep)
        self.grid = check_sides(name, "grid", space, grid)
        self.base = number(base, name, "base", above=1)
        self.extra = integer(extra, name, "extra", 0, MOST_CHANNELS)
        if not _frequencies(rep, space, self.base)[0].any():
            raise ValueError(
                f"{name}: head_type: expected two equal fields whose channels the group permutes "
                f"as it moves directions, such as two regular ones, got {head_type!r}; use "
                "RelativeGridPositions, or another head_type"
            )
        self.head_type = head_type

    @property
    def _head(self) -> Representation:
        return representation_of(self.head_type, "RotaryGridPositions", "head_type")

    def check_fits(
        self, caller: str, in_type: Type, kv_type: Type, head: Representation, num_heads: int
    ) -> None:
        """Refuses heads of another type."""
        if self._head != head:
            raise ValueError(
                f"{caller}: positions: expected RotaryGridPositions of head_type {head!r}, got "
                f"those of {self.head_type!r}"
            )

    def check_count(self, caller: str, argument: str, count: int) -> None:
        """See `AbstractPositions`: there are as many tokens as cells, behind those in front."""
        check_cells(caller, argument, count, self.grid, self.extra)

    def _constants(self, irrep_wise: bool) -> tuple[Any, ...]:
        frequencies, partner = _frequencies(self._head, self.space, self.base)
        cells = np.indices(self.grid).reshape(len(self.grid), -1).T - center(self.grid)
        angles = cells @ frequencies.T
        basis = row_basis(self._head) if irrep_wise else None
        return np.cos(angles), np.sin(angles), partner, basis, self.extra

    def on_heads(
        self, rows: Float[Array, "*batch T heads n"], at: Array, *, irrep_wise: bool
    ) -> Float[Array, "*batch T heads n"]:
        """See `AbstractPositions`."""
        function = functools.partial(turned_by_cells, *self._constants(irrep_wise))
        return function(rows, at)

    def plain(self) -> tuple[Plain, Plain, Plain]:
        """See `AbstractPositions`."""
        return None, plain_function(turned_by_cells, *self._constants(irrep_wise=False)), None


@functools.lru_cache(maxsize=256)
def _frequencies(
    rep: Representation, space: GSpace, base: float
) -> tuple[Float[np.ndarray, "n d"], np.ndarray]:
    """The frequency of every channel, with the sign of the turn, and its partner in the plane."""
    plan, dim = irrep_plan(rep), space.dim
    channels = np.arange(rep.size) if plan.gather is None else plan.gather
    frequencies, partner = np.zeros((rep.size, dim)), np.arange(rep.size)
    fields = []
    for kind in plan.kinds:
        length = kind.count * kind.summand.size
        own = channels[kind.start : kind.start + length].reshape(kind.count, kind.summand.size)
        unit = Representation(rep.group, [(kind.summand, 1)])
        if unit.is_permutation:
            turns = _directions(kind.summand, space)
            fields += [(turns, own[i], own[i + 1]) for i in range(0, kind.count - 1, 2)]
    steps = max(1, -(-len(fields) // dim))
    for number_, (turns, first, second) in enumerate(fields):
        left = np.flatnonzero(np.abs(turns).max(axis=(0, 1)) > SOME)  # axes, by the stabiliser
        if not len(left):
            continue
        axis, step = left[number_ % len(left)], number_ // dim
        found = base ** (-step / steps) * turns[:, :, axis]
        frequencies[first], frequencies[second] = -found, found
        partner[first], partner[second] = second, first
    return frequencies, partner.astype(np.int32)


@functools.lru_cache(maxsize=256)
def _directions(field: Summand, space: GSpace) -> Float[np.ndarray, "n d d"]:
    """Per channel of a field: the matrix that moves a direction there from the channel it is of."""
    moved = axis_images(field)  # [g, c]: where g moves channel c
    matrices = axis_matrices(space).astype(np.float64)
    found = np.zeros((field.size, space.dim, space.dim))
    seen = np.zeros(field.size, bool)
    for channel in range(field.size):
        if seen[channel]:
            continue
        kept = matrices[moved[:, channel] == channel].mean(axis=0)
        for g, to in enumerate(moved[:, channel]):
            found[to], seen[to] = matrices[g] @ kept, True
    return found
