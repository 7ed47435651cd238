"""`RotaryPositions`: angles that grow with the position, in planes that the group maps alike.

Two equal copies ``V + V`` are ``R^2 (x) V``, and a rotation of the plane ``R^2`` commutes with the
group. What a rotation by ``p w`` does to queries and one by ``q w`` to keys depends in their
products on ``p - q`` alone (Su et al. 2021).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import number
from ...fields import IrrepTensor, Type
from ...hom import HIGHEST, at_least_float32, irrep_plan
from ...representations import Representation
from .._core._module import AbstractModule, representation_of
from .._core._plain import plain_function
from ._heads import join_heads, row_basis, split_heads
from ._positions import AbstractPositions, Plain, check_tokens, check_vectors, places


def turned_pairs(frequencies, split, rows, at):
    """Rotates heads ``(..., T, heads, n)``, in which pairs stand as ``split``: ``(u, p, 2, w)``."""
    wide = at_least_float32(rows.dtype)
    angles = jnp.where(jnp.isnan(at), 0, at)[..., None].astype(wide) * frequencies.astype(wide)
    angles = angles[..., None, None, :, None]
    z = rows.astype(wide).reshape(*rows.shape[:-1], *split)
    a, b = z[..., 0, :], z[..., 1, :]
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    y = jnp.stack([a * cos - b * sin, a * sin + b * cos], axis=-2)
    return y.reshape(rows.shape).astype(rows.dtype)


def turned_planes(frequencies, basis, rows, at):
    """Likewise in planes that are spanned by the columns ``i`` and ``m + i`` of a basis."""
    wide = at_least_float32(rows.dtype)
    angles = jnp.where(jnp.isnan(at), 0, at)[..., None].astype(wide) * frequencies.astype(wide)
    cos, sin = jnp.cos(angles)[..., None, :], jnp.sin(angles)[..., None, :]
    turn, many = basis.astype(wide), frequencies.shape[0]
    z = jnp.matmul(rows.astype(wide), turn, precision=HIGHEST)
    a, b, rest = z[..., :many], z[..., many : 2 * many], z[..., 2 * many :]
    y = jnp.concatenate([a * cos - b * sin, a * sin + b * cos, rest], axis=-1)
    return jnp.matmul(y, turn.T, precision=HIGHEST).astype(rows.dtype)


def turned_tokens(function, constants, x, positions=None, key=None):
    """Tokens ``(..., P, n)`` as those of one head."""
    at = jnp.arange(x.shape[-2], dtype=jnp.float32) if positions is None else positions
    return function(*constants, x[..., None, :], at)[..., 0, :]


@dataclasses.dataclass(frozen=True, eq=False)
class Planes:
    """Planes in a type that rotations turn.

    Attributes:
        count: How many planes have a frequency of their own, planes of a pair being one.
        frequencies: The number of the frequency of each plane.
        basis: Orthonormal columns: first vectors, second vectors, the rest.
        pairs: Pairs of equal fields, if they are all that there is; else None.
    """

    count: int
    frequencies: np.ndarray
    basis: Float[np.ndarray, "n n"]
    pairs: int | None


@functools.lru_cache(maxsize=256)
def planes_of(rep: Representation) -> Planes:
    """Pairs of equal fields; of one that is left alone pairs of equal irreps; else ``Psi_1``."""
    plan, unit = irrep_plan(rep), np.eye(rep.size)
    channels = np.arange(rep.size) if plan.gather is None else plan.gather
    groups: list[tuple[np.ndarray, np.ndarray]] = []
    rest: list[np.ndarray] = []
    for kind in plan.kinds:
        length = kind.count * kind.summand.size
        own = channels[kind.start : kind.start + length].reshape(kind.count, kind.summand.size)
        groups += [(unit[:, own[i]], unit[:, own[i + 1]]) for i in range(0, kind.count - 1, 2)]
        if kind.count % 2 == 0:
            continue
        start = 0
        for segment in kind.segments:
            stop = start + segment.size * segment.copies
            columns = unit[:, own[-1]] @ kind.basis[:, start:stop]
            columns = columns.reshape(rep.size, segment.size, segment.copies)
            start = stop
            pairs = range(0, segment.copies - 1, 2)
            groups += [(columns[..., i], columns[..., i + 1]) for i in pairs]
            if segment.copies % 2 and plan.spaces[segment.name].algebra > 1:
                groups.append((columns[:, 0::2, -1], columns[:, 1::2, -1]))
            elif segment.copies % 2:
                rest.append(columns[..., -1])
    lengths = [first.shape[1] for first, _ in groups]
    none = [np.zeros((rep.size, 0))]
    firsts, seconds = ([pair[i] for pair in groups] for i in (0, 1))
    basis = np.concatenate([*none, *firsts, *seconds, *rest], axis=1)
    single = len(plan.kinds) == 1 and plan.kinds[0].count % 2 == 0
    return Planes(
        len(groups),
        np.repeat(np.arange(len(groups)), lengths),
        basis,
        len(groups) if single else None,
    )


class RotaryPositions(AbstractModule, AbstractPositions):
    """Turns pairs of equal fields, the pair ``j`` at position ``p`` by ``p base^(-j / r)``.

    A field that is left alone is split into irreps: equal ones are paired, a single complex or
    quaternionic one turns within itself, by ``exp(p w Psi_1)``, a single real one stays. ``r`` is
    the number of all these. Nothing is learned.

    Law: ``f(rho(g) x) = rho(g) f(x)`` for all positions; products of two vectors depend on the
    difference of their positions only.

    Shapes: ``(..., P, n) -> (..., P, n)``.

    Examples:
        >>> import equivax as evx, jax
        >>> R = evx.groups.dihedral(4).regular
        >>> turn = evx.nn.RotaryPositions(4 * R)
        >>> turn(jax.numpy.ones((10, 32))).shape
        (10, 32)
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    base: float = eqx.field(static=True)

    def __init__(self, head_type: Type, *, base: float | int = 10000.0) -> None:
        """Finds what can turn.

        Args:
            head_type: Type of one head, as that of `MultiheadAttention`.
            base: The slowest pair turns about ``1 / base`` in a step, the fastest by 1.

        Raises:
            ValueError: If nothing in the type can turn, or ``base`` is not above 1.
            TypeError: If ``head_type`` is no type.
        """
        name = "RotaryPositions"
        rep = representation_of(head_type, name, "head_type")
        check_vectors(name, "head_type", head_type)
        self.base = number(base, name, "base", above=1)
        if not planes_of(rep).count:
            raise ValueError(
                f"{name}: head_type: expected two equal fields or irreps, or one with complex "
                f"endomorphisms, got {head_type!r}; use RelativePositions, or a head_type with two "
                "copies of this"
            )
        self.in_type = head_type
        self.out_type = head_type

    def check_fits(
        self, caller: str, in_type: Type, kv_type: Type, head: Representation, num_heads: int
    ) -> None:
        """Refuses heads of another type."""
        if self._rep != head:
            raise ValueError(
                f"{caller}: positions: expected RotaryPositions of head_type {head!r}, got those "
                f"of {self.in_type!r}"
            )

    def _constants(self, irrep_wise: bool) -> tuple[Callable[..., Array], tuple[object, ...]]:
        """The formula, and its first arguments."""
        planes = planes_of(self._rep)
        frequencies = self.base ** (-np.arange(planes.count) / planes.count)
        if planes.pairs is not None:
            size = self._rep.size // (2 * planes.pairs)
            split = (size, planes.pairs, 2, 1) if irrep_wise else (1, planes.pairs, 2, size)
            return turned_pairs, (frequencies, split)
        basis = row_basis(self._rep).T @ planes.basis if irrep_wise else planes.basis
        return turned_planes, (frequencies[planes.frequencies], basis)

    def on_heads(
        self, rows: Float[Array, "*batch T heads n"], at: Array, *, irrep_wise: bool
    ) -> Float[Array, "*batch T heads n"]:
        """See `AbstractPositions`."""
        function, constants = self._constants(irrep_wise)
        return function(*constants, rows, at)

    def _forward(
        self, x: Float[Array, "*batch n"], key: PRNGKeyArray | None, positions: object = None
    ) -> Float[Array, "*batch n"]:
        return self._turned(x, positions, irrep_wise=False)

    def _forward_irreps(
        self, x: IrrepTensor, key: PRNGKeyArray | None, positions: object = None
    ) -> IrrepTensor:
        rows = split_heads(self._rep, 1, x)[..., 0, :]
        rows = self._turned(rows, positions, irrep_wise=True)[..., None, :]
        y = join_heads(self._rep, rows, irrep_wise=True)
        return IrrepTensor(y.blocks, self.out_type)  # pyright: ignore[reportAttributeAccessIssue]

    def _turned(self, rows: Array, positions: object, *, irrep_wise: bool) -> Array:
        check_tokens("RotaryPositions", "x", rows.shape, self.in_type)
        at = places("RotaryPositions", positions, rows.shape[:-1])
        return turned_tokens(*self._constants(irrep_wise), rows, at)

    def plain(self) -> tuple[Plain, Plain, Plain]:
        """See `AbstractPositions`."""
        function, constants = self._constants(irrep_wise=False)
        return None, plain_function(function, *constants), None

    def export(self) -> Callable[..., Array]:
        """A plain function ``(x, positions=None, key=None)`` of the tokens of one example."""
        return plain_function(turned_tokens, self.plain()[1], ())
