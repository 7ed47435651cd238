"""Invariant functions of a vector: norms of irrep copies, and all quadratic invariants."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import choice, number
from ...fields import IrrepTensor, Type
from ...hom import (
    HIGHEST,
    hom_basis,
    irrep_plan,
    join_copies,
    ordered_back,
    split_kinds,
    trivial_count,
    trivial_name,
    widened,
)
from ...representations import Representation, trivial
from .._core._channels import (
    Runs,
    along,
    block_sums,
    on_last_axis,
    runs_of,
    safe_norms,
    take_channels,
    type_like,
)
from .._core._fibres import ByKind, KindPlan, by_kind, coordinates_plan, fibre_plan, maybe_turned
from .._core._module import AbstractModule, channel_axis, on_channels, representation_of
from .._core._plain import plain_function, plain_layer, plain_linear, plain_on_channels

TRIVIAL_OPTIONS = ("norm", "value")


class InvariantPool(AbstractModule):
    """The trivial coordinates ``Q[:, triv]^T x``: the mean over the orbit, in coordinates.

    Law: ``f(rho(g) x) = f(x)``. All linear invariants, and no others.

    Shapes: ``(..., n) -> (..., m_0)``, all trivial.
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)

    def __init__(self, in_type: Type) -> None:
        """Plans the pooling.

        Args:
            in_type: A vector type with trivial irreps.

        Raises:
            ValueError: If the type has no trivial irrep.
        """
        rep = representation_of(in_type, "InvariantPool", "in_type")
        if trivial_count(rep) == 0:
            raise ValueError(
                f"InvariantPool: in_type: {rep!r} has no trivial irrep, so nothing linear is "
                "invariant; use IrrepNormPool or QuadraticPool"
            )
        self.in_type = in_type
        self.out_type = type_like(in_type, trivial_count(rep) * _trivial(rep))

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        rep = self._rep
        basis = hom_basis(rep, self.out_type)
        (block,) = basis.blocks
        coeffs = {block.name: jnp.eye(block.in_multiplicity, dtype=x.dtype)[..., None]}
        return on_channels(lambda v: basis.apply(coeffs, v, mode="auto"), x, self.in_type)

    def _forward_irreps(self, x: IrrepTensor, key: PRNGKeyArray | None = None) -> IrrepTensor:
        name = trivial_name(self._rep)
        values = ordered_back(x.blocks[name], irrep_plan(self._rep).spaces[name], -1)
        return IrrepTensor({name: values}, self.out_type)

    def export(self) -> eqx.nn.Linear | eqx.nn.Conv:
        """`equinox.nn.Linear` with the invariant unit vectors as rows.

        For fields it is an `equinox.nn.Conv` with one tap.
        """
        rep = self._rep
        identity = trivial(rep.group).irreps[0]
        columns = {i: c for i, _, c in rep.isotypic_blocks}[identity].ravel()
        weight = jnp.asarray(rep.change_of_basis[:, columns].T, jnp.result_type(float))
        return plain_linear(weight, None, self.in_type)


class IrrepNormPool(AbstractModule):
    """``r_i = |xh_i|`` for every irrep copy of ``xh = Q^T x``.

    Law: ``f(rho(g) x) = f(x)``. Norms forget the sign of one-dimensional copies and the angles
    between copies; `QuadraticPool` keeps both kinds of angle.

    Shapes: ``(..., n) -> (..., len(rep.irreps))``, all trivial, in the order of ``rep.irreps``.
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    trivial: str = eqx.field(static=True)
    eps: float = eqx.field(static=True)

    def __init__(self, in_type: Type, *, trivial: str = "norm", eps: float = 0.0) -> None:
        """Plans the pooling.

        Args:
            in_type: A vector type.
            trivial: ``"norm"``, or ``"value"`` to pass trivial copies unchanged, with their sign.
            eps: If positive, ``sqrt(|xh_i|^2 + eps^2) - eps``, smooth at 0.

        Raises:
            ValueError: For an unknown option or a negative ``eps``.
        """
        rep = representation_of(in_type, "IrrepNormPool", "in_type")
        self.in_type = in_type
        self.out_type = type_like(in_type, len(rep.irreps) * _trivial(rep))
        self.trivial = choice(trivial, "IrrepNormPool", "trivial", TRIVIAL_OPTIONS)
        self.eps = number(eps, "IrrepNormPool", "eps", 0)

    def _constants(self) -> ByKind:
        rep, kinds, fields, copies = self._rep, [], [], []
        plan = fibre_plan(rep)
        for fibre in plan.fibres:
            summand = fibre.summand
            turn = None if summand.is_diagonal_basis else summand.change_of_basis.T
            sizes = [rep.group.irrep_data(i).size for i in summand.irreps]
            values = None
            if self.trivial == "value" and len(fibre.trivial):
                identity = trivial(rep.group).irreps[0]
                chosen = np.array([i == identity for i in summand.irreps])
                values = chosen, np.cumsum(sizes) - sizes
            runs = runs_of((size, 1) for size in sizes)
            kinds.append((len(fibre.fields), summand.size, turn, runs, values))
            fields.append(fibre.fields)
            copies.append(np.full(len(fibre.fields), len(sizes)))
        number = np.repeat(np.concatenate(fields), np.concatenate(copies))
        back = None if plan.gather is None else np.argsort(number, kind="stable")
        function = functools.partial(irrep_lengths, self.eps)
        return function, kinds, plan.gather, back, channel_axis(self.in_type)

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        return by_kind(*self._constants(), x)

    def _forward_irreps(self, x: IrrepTensor, key: PRNGKeyArray | None = None) -> IrrepTensor:
        rep, identity, found = self._rep, trivial_name(self._rep), []
        for parts in split_kinds(rep, x.blocks):
            lengths = {}
            for name, part in parts.items():
                wide = widened(part)
                if name == identity and self.trivial == "value":
                    lengths[name] = wide[..., 0, :, :]
                else:
                    lengths[name] = smooth_lengths(self.eps, jnp.sum(wide * wide, axis=-3))
            found.append(lengths)
        values = join_copies(rep, found).astype(x.dtype)
        return IrrepTensor({identity: values[..., None, :]}, self.out_type)

    def export(self) -> eqx.nn.Lambda:
        """A plain function with the changes of basis as constants."""
        return plain_layer(by_kind, *self._constants())


def irrep_lengths(
    eps: float,
    turn: np.ndarray | Array | None,
    runs: Runs,
    values: tuple[np.ndarray | Array, np.ndarray | Array] | None,
    z: Float[Array, "batch fields n points"],
) -> Float[Array, "batch fields copies points"]:
    """The length of every irrep copy of the fields of one kind, or the number itself.

    Args:
        eps: As in `IrrepNormPool`.
        turn: To the coordinates; None where the channels are.
        runs: The copies.
        values: Which copies are taken as they are, and where each starts; None for none.
        z: The fields.
    """
    coordinates = maybe_turned(turn, z)
    squares = block_sums(runs, coordinates * coordinates, -2)
    lengths = smooth_lengths(eps, squares)
    if values is None:
        return lengths
    chosen, places = values
    numbers = take_channels(coordinates, places, -2)
    return jnp.where(along(jnp.asarray(chosen), -2), numbers, lengths)


def smooth_lengths(eps: float, squares: Float[Array, "..."]) -> Float[Array, "..."]:
    """``sqrt(|z|^2 + eps^2) - eps``, or lengths whose gradient at 0 is 0."""
    return jnp.sqrt(squares + eps**2) - eps if eps > 0 else safe_norms(squares)


def _trivial(rep: Representation) -> Representation:
    return trivial(rep.group)


class QuadraticPool(AbstractModule):
    """All quadratic invariants: ``<xh_i, Psi_s xh_j>`` for copies ``i <= j`` of one irrep.

    Law: ``f(rho(g) x) = f(x)``. For ``i < j`` there are ``S`` numbers, for ``i = j`` the squared
    norm: ``m(m+1)/2``, ``m^2``, ``m(2m-1)`` numbers for types R, C, H. In front of them stand the
    ``m_0`` linear invariants, the trivial coordinates themselves.

    Shapes: ``(..., n) -> (..., m_0 + quadratic)``, all trivial: the trivial coordinates, then
    irreps in the group's order, in each the pairs ``(i, j)`` row by row with ``s`` fastest.
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)

    def __init__(self, in_type: Type) -> None:
        """Plans the pooling.

        Args:
            in_type: A vector type.
        """
        rep = representation_of(in_type, "QuadraticPool", "in_type")
        self.in_type = in_type
        count = trivial_count(rep)
        for irrep, m in rep.multiplicities.items():
            algebra = rep.group.irrep_data(irrep).endomorphism_dimension
            count += m + algebra * m * (m - 1) // 2
        self.out_type = type_like(in_type, count * _trivial(rep))

    def _constants(
        self,
    ) -> tuple[KindPlan, np.ndarray | None, list[tuple[np.ndarray, ...]]]:
        rep = self._rep
        identity, linear, blocks = trivial(rep.group).irreps[0], None, []
        for irrep, _, columns in rep.isotypic_blocks:
            if irrep == identity:
                linear = columns.ravel()
            psi = rep.group.irrep_data(irrep).endomorphism_basis
            blocks.append((columns.astype(np.int32), psi, *_pairs(len(columns), len(psi))))
        return coordinates_plan(rep), linear, blocks

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        function = functools.partial(quadratic_invariants, *self._constants())
        return on_last_axis(function, channel_axis(self.in_type), x)

    def export(self) -> eqx.nn.Lambda:
        """A plain function: linear invariants and products of coordinates."""
        function = plain_function(quadratic_invariants, *self._constants())
        return eqx.nn.Lambda(plain_on_channels(function, self.in_type))


def quadratic_invariants(
    plan: KindPlan,
    linear: np.ndarray | Array | None,
    blocks: Sequence[tuple[np.ndarray | Array, ...]],
    x: Float[Array, "*batch channels"],
) -> Float[Array, "*batch invariants"]:
    """The linear and the quadratic invariants.

    Args:
        plan: To the coordinates, see `coordinates_plan`.
        linear: The trivial coordinates; None for none.
        blocks: Per irrep its coordinates ``(m, d)``, what commutes with it ``(s, d, d)``, and the
            indices ``(i, j, s)`` of the products.
        x: ``(..., channels)``.
    """
    coordinates = by_kind(*plan, -1, x)
    pieces = [] if linear is None else [take_channels(coordinates, linear)]
    for columns, psi, first, second, unit in blocks:
        copies = jnp.take(coordinates, columns, axis=-1, mode="clip")
        psi = jnp.asarray(psi, x.dtype)
        products = jnp.einsum("...ia,sab,...jb->...ijs", copies, psi, copies, precision=HIGHEST)
        pieces.append(products[..., first, second, unit])
    return jnp.concatenate(pieces, axis=-1)


def _pairs(count: int, algebra: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices ``(i, j, s)`` with ``i < j`` and every ``s``, or ``i = j`` and ``s = 0``."""
    first, second = np.triu_indices(count)
    times = np.where(first < second, algebra, 1)
    unit = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
    # int32: an int64 index that JAX meets under both settings of x64 in one process is an error.
    pairs = np.repeat(first, times), np.repeat(second, times), unit
    first, second, unit = (index.astype(np.int32) for index in pairs)
    return first, second, unit
