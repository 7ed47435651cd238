"""Invariant functions of a vector: norms of irrep copies, and all quadratic invariants."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...fields import Type
from ...hom import HIGHEST, hom_basis, irrep_names, scatter_copies, to_irreps, trivial_count
from ...linalg import irrep_norms
from ...representations import Representation, trivial
from .._core._channels import type_like
from .._core._module import AbstractModule, on_channels, representation_of
from .._core._plain import plain_function, plain_linear, plain_on_channels

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

    def _forward(self, x: Float[Array, "..."], key: Any = None) -> Float[Array, "..."]:
        rep = self._rep
        basis = hom_basis(rep, self.out_type)
        (block,) = basis.blocks
        coeffs = {block.name: jnp.eye(block.in_multiplicity, dtype=x.dtype)[..., None]}
        return on_channels(lambda v: basis.apply(coeffs, v, mode="auto"), x, self.in_type)

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
            in_type: Any vector type.
            trivial: ``"norm"``, or ``"value"`` to pass trivial copies unchanged, with their sign.
            eps: If positive, ``sqrt(|xh_i|^2 + eps^2) - eps``, smooth at 0.

        Raises:
            ValueError: For an unknown option or a negative ``eps``.
        """
        rep = representation_of(in_type, "IrrepNormPool", "in_type")
        if trivial not in TRIVIAL_OPTIONS:
            raise ValueError(
                f"IrrepNormPool: trivial: expected one of {', '.join(TRIVIAL_OPTIONS)}, got "
                f"{trivial!r}"
            )
        if not eps >= 0:
            raise ValueError(f"IrrepNormPool: eps: expected a number >= 0, got {eps}")
        self.in_type = in_type
        self.out_type = type_like(in_type, len(rep.irreps) * _trivial(rep))
        self.trivial = trivial
        self.eps = float(eps)

    def _forward(self, x: Float[Array, "..."], key: Any = None) -> Float[Array, "..."]:
        rep = self._rep

        def act(v: Array) -> Array:
            norms = irrep_norms(v, rep, eps=self.eps)
            if self.trivial == "norm" or trivial_count(rep) == 0:
                return norms
            coordinates = to_irreps(rep, v)
            name = irrep_names(rep)[0]
            values = {
                n: c[..., 0] if n == name else jnp.zeros(c.shape[:-1], c.dtype)
                for n, c in coordinates.items()
            }
            return jnp.where(_is_trivial_copy(rep), scatter_copies(rep, values), norms)

        return on_channels(act, x, self.in_type)

    def export(self) -> eqx.nn.Lambda:
        """A plain function with the change of basis as a constant."""
        rep = self._rep
        sizes = [rep.group.irrep_data(i).size for i in rep.irreps]
        members = np.zeros((rep.size, len(sizes)))
        members[np.arange(rep.size), np.repeat(np.arange(len(sizes)), sizes)] = 1.0
        keep = self.trivial == "value"
        function = plain_function(
            _norm_pool,
            jnp.asarray(rep.change_of_basis, jnp.result_type(float)),
            jnp.asarray(members, jnp.result_type(float)),
            jnp.asarray(_is_trivial_copy(rep) & keep),
            self.eps,
        )
        return eqx.nn.Lambda(plain_on_channels(function, self.in_type))


def _norm_pool(columns, members, keep, eps, x):
    coordinates = jnp.matmul(x, columns, precision="highest")
    squares = jnp.matmul(coordinates**2, members, precision="highest")
    values = jnp.matmul(coordinates, members, precision="highest")
    positive = squares + eps**2 > 0
    norms = jnp.where(positive, jnp.sqrt(jnp.where(positive, squares + eps**2, 1.0)), 0.0) - eps
    return jnp.where(keep, values, norms)


def _trivial(rep: Representation) -> Representation:
    return trivial(rep.group)


def _is_trivial_copy(rep: Representation) -> np.ndarray:
    identity = trivial(rep.group).irreps[0]
    return np.array([i == identity for i in rep.irreps])


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
            in_type: Any vector type.
        """
        rep = representation_of(in_type, "QuadraticPool", "in_type")
        self.in_type = in_type
        count = trivial_count(rep)
        for irrep, m in rep.multiplicities.items():
            algebra = rep.group.irrep_data(irrep).endomorphism_dimension
            count += m + algebra * m * (m - 1) // 2
        self.out_type = type_like(in_type, count * _trivial(rep))

    def _forward(self, x: Float[Array, "..."], key: Any = None) -> Float[Array, "..."]:
        rep = self._rep

        def act(v: Array) -> Array:
            pieces = []
            coordinates = to_irreps(rep, v)
            if trivial_count(rep):
                pieces.append(coordinates[irrep_names(rep)[0]][..., 0])
            for irrep, c in zip(rep.multiplicities, coordinates.values(), strict=True):
                psi = rep.group.irrep_data(irrep).endomorphism_basis.astype(v.dtype)
                first, second, unit = _pairs(c.shape[-2], len(psi))
                products = jnp.einsum("...ia,sab,...jb->...ijs", c, psi, c, precision=HIGHEST)
                pieces.append(products[..., first, second, unit])
            return jnp.concatenate(pieces, axis=-1)

        return on_channels(act, x, self.in_type)

    def export(self) -> eqx.nn.Lambda:
        """A plain function: linear invariants and ``x^T A_k x`` with constant matrices."""
        rep = self._rep
        columns = np.asarray(rep.change_of_basis)
        blocks = {i: c for i, _, c in rep.isotypic_blocks}
        left, right = [], []
        for irrep in rep.multiplicities:
            psi = rep.group.irrep_data(irrep).endomorphism_basis
            copies = columns[:, blocks[irrep]]  # (n, m, d)
            first, second, unit = _pairs(copies.shape[1], len(psi))
            left.append(np.einsum("nka,kab->knb", copies[:, first], psi[unit]))
            right.append(copies[:, second].transpose(1, 0, 2))
        dtype = jnp.result_type(float)
        linear = columns[
            :, np.concatenate([[], *(blocks[i].ravel() for i in _identity(rep))]).astype(int)
        ]
        pairs = [
            (jnp.asarray(a, dtype), jnp.asarray(b, dtype)) for a, b in zip(left, right, strict=True)
        ]
        function = plain_function(_quadratic_pool, jnp.asarray(linear, dtype), pairs)
        return eqx.nn.Lambda(plain_on_channels(function, self.in_type))


def _quadratic_pool(linear, pairs, x):
    pieces = [jnp.matmul(x, linear, precision="highest")]
    for left, right in pairs:
        a = jnp.einsum("...n,knb->...kb", x, left, precision="highest")
        b = jnp.einsum("...n,knb->...kb", x, right, precision="highest")
        pieces.append(jnp.sum(a * b, axis=-1))
    return jnp.concatenate(pieces, axis=-1)


def _identity(rep: Representation) -> list[Any]:
    identity = trivial(rep.group).irreps[0]
    return [identity] if identity in rep.multiplicities else []


def _pairs(count: int, algebra: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices ``(i, j, s)`` with ``i < j`` and every ``s``, or ``i = j`` and ``s = 0``."""
    first, second = np.triu_indices(count)
    times = np.where(first < second, algebra, 1)
    unit = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
    return np.repeat(first, times), np.repeat(second, times), unit
