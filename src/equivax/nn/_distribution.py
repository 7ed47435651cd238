"""`EquivariantMultivariateNormal`: Gaussians whose mean turns and whose covariance commutes.

In block ``k`` the covariance is ``Lambda Lambda^T`` with ``Lambda = sum_s Lambda_s (x) Psi_s``,
``Lambda_0`` lower triangular with diagonal ``exp(eta)`` and the others strictly lower. Written
with real numbers that is the ordinary Cholesky factor, since its diagonal blocks are multiples of
the identity. So nothing of the size of the whole vector is ever factorised.
"""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Shaped

from ..hom import (
    HIGHEST,
    MULTIPLICATION,
    Block,
    at_least_float32,
    from_blocks,
    gather_copies,
    hom_basis,
    irrep_names,
    scatter_copies,
    to_blocks,
)
from ..representations import Representation, trivial
from ..stats import mean, moment_coefficients, spectral_var
from ._module import AbstractModule, representation_of
from ._plain import plain_function

COVARIANCES = ("diagonal", "full", "type")

#: Relative distance from commuting and from symmetry above which a given covariance is refused.
COMMUTING_TOLERANCE = 1e-4


class MultivariateNormal(eqx.Module):
    """``N(mean, Sigma)`` with a covariance that commutes with the group.

    Leading axes of the parameters are batch axes; they broadcast against those of the data.

    Attributes:
        mean: ``(..., n)``.
        factors: Per irrep the Cholesky factor in spectral coordinates ``(..., m S, m S)``, or its
            diagonal ``(..., m S)``.
        type: Type of the variable.
    """

    mean: Float[Array, "*batch n"]
    factors: dict[str, Float[Array, "..."]]
    type: Any = eqx.field(static=True)
    is_full: bool = eqx.field(static=True)

    @property
    def _rep(self) -> Representation:
        return representation_of(self.type, "MultivariateNormal", "type")

    @property
    def covariance(self) -> Float[Array, "*batch n n"]:
        """The dense covariance matrix, synthesised at every access."""
        basis = hom_basis(self._rep, self._rep)
        coeffs = {}
        for block in basis.blocks:
            factor = _as_matrix(self.factors[block.name], self.is_full)
            square = jnp.matmul(factor, jnp.swapaxes(factor, -1, -2), precision=HIGHEST)
            coeffs[block.name] = _components(square, block.endomorphism_dimension)
        return basis.synthesize(coeffs)

    def _log_det(self) -> Float[Array, "*batch"]:
        total = jnp.zeros((), self.mean.dtype)
        for block in hom_basis(self._rep, self._rep).blocks:
            factor = self.factors[block.name]
            diagonal = jnp.diagonal(factor, axis1=-2, axis2=-1) if self.is_full else factor
            quotient = block.size // block.endomorphism_dimension
            total = total + 2 * quotient * jnp.sum(jnp.log(diagonal), axis=-1)
        return total

    def mahalanobis(self, y: Shaped[ArrayLike, "..."]) -> Float[Array, "*batch"]:
        """``(y - mean)^T Sigma^-1 (y - mean)``.

        Args:
            y: ``(..., n)``.

        Raises:
            ValueError: If the last axis is not ``n``.
        """
        y = jnp.asarray(y)
        if y.ndim == 0 or y.shape[-1] != self._rep.size:
            raise ValueError(
                f"MultivariateNormal: y: expected (..., {self._rep.size}), got {y.shape}"
            )
        total = jnp.zeros((), self.mean.dtype)
        for name, block in to_blocks(self._rep, y - self.mean).items():
            factor = self.factors[name]
            whitened = _solve(factor, block) if self.is_full else block / factor[..., None, :]
            total = total + jnp.sum(whitened * whitened, axis=(-2, -1))
        return total

    def log_prob(self, y: Shaped[ArrayLike, "..."]) -> Float[Array, "*batch"]:
        """Log-density at ``y (..., n)``; invariant if mean and ``y`` move together."""
        constant = self._rep.size * math.log(2 * math.pi)
        return -0.5 * (self.mahalanobis(y) + self._log_det() + constant)

    def entropy(self) -> Float[Array, "*batch"]:
        """Differential entropy in nats."""
        return 0.5 * (self._rep.size * (1 + math.log(2 * math.pi)) + self._log_det())

    def sample(self, key: PRNGKeyArray, shape: tuple[int, ...] = ()) -> Float[Array, "*shape n"]:
        """Reparametrised samples ``mean + Q Lambda eps``.

        Args:
            key: A JAX key.
            shape: Sample axes in front of the batch axes.

        Returns:
            ``(*shape, ..., n)``.
        """
        blocks = hom_basis(self._rep, self._rep).blocks
        leading = np.broadcast_shapes(
            self.mean.shape[:-1],
            *(f.shape[: -2 if self.is_full else -1] for f in self.factors.values()),
        )
        noise = jax.random.normal(key, (*shape, *leading, self._rep.size), self.mean.dtype)
        drawn, start = {}, 0
        for block in blocks:
            width = block.in_multiplicity * block.endomorphism_dimension
            quotient = block.size // block.endomorphism_dimension
            stop = start + quotient * width
            z = noise[..., start:stop].reshape(*noise.shape[:-1], quotient, width)
            factor = self.factors[block.name]
            if self.is_full:
                drawn[block.name] = jnp.matmul(z, jnp.swapaxes(factor, -1, -2), precision=HIGHEST)
            else:
                drawn[block.name] = z * factor[..., None, :]
            start = stop
        return self.mean + from_blocks(self._rep, drawn)

    def kl(self, other: MultivariateNormal) -> Float[Array, "*batch"]:
        """Kullback-Leibler divergence ``KL(self || other)``.

        Raises:
            ValueError: If the types differ.
        """
        if self.type != other.type:
            raise ValueError(
                f"MultivariateNormal: kl: expected a distribution on {self.type!r}, got one on "
                f"{other.type!r}"
            )
        total = other.mahalanobis(self.mean) - self._rep.size
        total = total + other._log_det() - self._log_det()
        for block in hom_basis(self._rep, self._rep).blocks:
            mine = _as_matrix(self.factors[block.name], self.is_full)
            theirs = _as_matrix(other.factors[block.name], other.is_full)
            ratio = _triangular(theirs, mine)
            quotient = block.size // block.endomorphism_dimension
            total = total + quotient * jnp.sum(ratio * ratio, axis=(-2, -1))
        return 0.5 * total


class EquivariantMultivariateNormal(AbstractModule):
    """Maps ``u = (mu, eta)`` to ``N(mu, Sigma(eta))`` with ``Sigma`` commuting with the group.

    The mean turns as the variable does, ``eta`` is invariant, so the density is invariant:
    ``p(rho(g) y | rho_in(g) u) = p(y | u)``. No leaves.

    Shapes: ``(..., n + num_dof)`` to a `MultivariateNormal` on ``(..., n)``.
    """

    in_type: Any = eqx.field(static=True)
    out_type: Any = eqx.field(static=True)
    kind: str = eqx.field(static=True)
    min_var: float = eqx.field(static=True)

    def __init__(
        self, out_type: Any, *, covariance: str = "diagonal", min_var: float = 0.0
    ) -> None:
        """Plans the parameters.

        Args:
            out_type: Type of the variable, of size ``n``.
            covariance: ``"diagonal"`` (``eta`` is the log-variance of every irrep copy, in the
                order of ``rep.irreps``), ``"type"`` (of every kind of irrep, in the group's order),
                or ``"full"`` (all commuting covariances: per irrep the log-diagonal of the Cholesky
                factor, then its strictly lower entries row by row with S numbers each).
            min_var: Added to the variance of every irrep copy, not negative.

        Raises:
            ValueError: For an unknown covariance or a negative ``min_var``.
        """
        rep = representation_of(out_type, "EquivariantMultivariateNormal", "out_type")
        if covariance not in COVARIANCES:
            raise ValueError(
                "EquivariantMultivariateNormal: covariance: expected one of "
                f"{', '.join(COVARIANCES)}, got {covariance!r}"
            )
        if not min_var >= 0:
            raise ValueError(
                f"EquivariantMultivariateNormal: min_var: expected a number >= 0, got {min_var}"
            )
        self.kind = covariance
        self.min_var = float(min_var)
        self.out_type = out_type
        self.in_type = rep + self.num_dof * trivial(rep.group)

    @property
    def _rep(self) -> Representation:
        return representation_of(self.out_type, "EquivariantMultivariateNormal", "out_type")

    @property
    def num_dof(self) -> int:
        """Degrees of freedom of the covariance, the size of ``eta``."""
        if self.kind == "diagonal":
            return len(self._rep.irreps)
        blocks = hom_basis(self._rep, self._rep).blocks
        if self.kind == "type":
            return len(blocks)
        return sum(_full_dof(block) for block in blocks)

    def _forward(self, x: Float[Array, "..."], key: Any = None) -> MultivariateNormal:
        wide = x.astype(at_least_float32(x.dtype))
        return self._distribution(wide[..., : self._rep.size], wide[..., self._rep.size :])

    def _distribution(self, mu: Array, eta: Array) -> MultivariateNormal:
        blocks = hom_basis(self._rep, self._rep).blocks
        factors = {}
        if self.kind == "full":
            start = 0
            for block in blocks:
                stop = start + _full_dof(block)
                factors[block.name] = self._cholesky(block, eta[..., start:stop])
                start = stop
        else:
            if self.kind == "type":
                names = [block.name for block in blocks]
                logs = {n: eta[..., i : i + 1] for i, n in enumerate(names)}
            else:
                logs = gather_copies(self._rep, eta)
            for block in blocks:
                scale = jnp.sqrt(self.min_var + jnp.exp(logs[block.name]))
                shape = (*scale.shape[:-1], block.in_multiplicity)
                copies = jnp.broadcast_to(scale, shape)
                factors[block.name] = jnp.repeat(copies, block.endomorphism_dimension, axis=-1)
        return MultivariateNormal(mu, factors, self.out_type, self.kind == "full")

    def _cholesky(self, block: Block, eta: Array) -> Array:
        """The factor of one irrep from its degrees of freedom."""
        m, s = block.in_multiplicity, block.endomorphism_dimension
        rows, columns = np.tril_indices(m, -1)
        lower = eta[..., m:].reshape(*eta.shape[:-1], len(rows), s)
        theta = jnp.zeros((*eta.shape[:-1], m, m, s), eta.dtype)
        theta = theta.at[..., rows, columns, :].set(lower)
        diagonal = np.arange(m)
        theta = theta.at[..., diagonal, diagonal, 0].set(jnp.exp(eta[..., :m]))
        factor = _real(theta)
        if self.min_var == 0:
            return factor
        square = jnp.matmul(factor, jnp.swapaxes(factor, -1, -2), precision=HIGHEST)
        return jnp.linalg.cholesky(square + self.min_var * jnp.eye(m * s, dtype=eta.dtype))

    def _for_shape(self, x: Array) -> Array:
        return self(x).mean

    def dof_from_covariance(self, covariance: Shaped[ArrayLike, "n n"]) -> Float[Array, " dof"]:
        """``eta`` of a covariance matrix: the inverse of ``eta -> Sigma`` (with ``min_var = 0``).

        Args:
            covariance: ``(n, n)``, symmetric, positive definite, commuting with the group.

        Returns:
            ``(num_dof,)``.

        Raises:
            ValueError: If it has the wrong shape, does not commute (names by how much) or is not
                positive definite; for ``"diagonal"`` and ``"type"`` also if it is more general.
        """
        rep = self._rep
        sigma = jnp.asarray(covariance)
        if sigma.shape != (rep.size, rep.size):
            raise ValueError(
                f"dof_from_covariance: covariance: expected ({rep.size}, {rep.size}), got "
                f"{sigma.shape}"
            )
        basis = hom_basis(rep, rep)
        projected = basis.project((sigma + sigma.T) / 2)
        distance = float(jnp.abs(projected - sigma).max() / jnp.abs(sigma).max())
        if not distance <= COMMUTING_TOLERANCE:
            raise ValueError(
                "dof_from_covariance: covariance: expected a symmetric matrix that commutes with "
                f"{rep.group.name}, got one that misses it by {distance:.3g} of its size"
            )
        coeffs = basis.coefficients(projected)
        found: dict[str, Array] = {}
        for block in basis.blocks:
            s = block.endomorphism_dimension
            factor = jnp.linalg.cholesky(_real(coeffs[block.name]))
            if not bool(jnp.isfinite(factor).all()):
                raise ValueError(
                    f"dof_from_covariance: covariance: not positive definite on {block.name}"
                )
            theta = _components(factor, s)
            logs = jnp.log(jnp.diagonal(theta[..., 0]))
            rows, columns = np.tril_indices(block.in_multiplicity, -1)
            lower = theta[rows, columns]
            if self.kind == "full":
                found[block.name] = jnp.concatenate([logs, lower.reshape(-1)])
                continue
            spread = float(jnp.abs(lower).max(initial=0.0))
            if self.kind == "type":
                spread += float(jnp.abs(logs - logs[0]).max())
                logs = logs[:1]
            if spread > COMMUTING_TOLERANCE:
                raise ValueError(
                    f"dof_from_covariance: covariance: more general on {block.name} than "
                    f"covariance={self.kind!r} can hold; use 'full'"
                )
            found[block.name] = 2 * logs
        if self.kind == "diagonal":
            return scatter_copies(rep, found)
        return jnp.concatenate([found[block.name] for block in basis.blocks])

    def fit(self, y: Shaped[ArrayLike, "N n"]) -> MultivariateNormal:
        """The maximum-likelihood distribution of samples, in closed form.

        Args:
            y: ``(N, n)``.

        Returns:
            Mean ``P ybar`` and covariance ``Pi(S)``, restricted to what ``covariance`` allows.

        Raises:
            ValueError: If the shape does not fit.
        """
        y = jnp.asarray(y)
        rep = self._rep
        center = mean(y, rep)
        if self.kind != "full":
            variances = gather_copies(rep, spectral_var(y, rep, estimator="ml"))
            logs = {
                name: jnp.log(jnp.maximum(v - self.min_var, 0.0))
                if self.kind == "diagonal"
                else jnp.log(jnp.maximum(v.mean(keepdims=True) - self.min_var, 0.0))
                for name, v in variances.items()
            }
            if self.kind == "diagonal":
                return self._distribution(center, scatter_copies(rep, logs))
            ordered = [logs[name] for name in irrep_names(rep)]
            return self._distribution(center, jnp.concatenate(ordered))
        basis = hom_basis(rep, rep)
        share = jnp.full((y.shape[0],), 1 / y.shape[0], y.dtype)
        coeffs = moment_coefficients(basis, y, y, share, estimator="ml", centered=True)
        factors = {name: jnp.linalg.cholesky(_real(c)) for name, c in coeffs.items()}
        return MultivariateNormal(center, factors, self.out_type, True)

    def export(self) -> jax.tree_util.Partial:
        """A plain function from ``u`` to the mean and the dense covariance."""
        rep = self._rep
        if self.kind == "full":
            raise TypeError(
                "EquivariantMultivariateNormal: export: a full covariance has no plain layer; "
                "export the network that computes u and keep this one"
            )
        sizes = [rep.group.irrep_data(i).size for i in rep.irreps]
        kinds = list(rep.multiplicities)
        owners = range(len(sizes)) if self.kind == "diagonal" else map(kinds.index, rep.irreps)
        index = np.repeat(list(owners), sizes)
        columns = jnp.asarray(rep.change_of_basis, jnp.result_type(float))
        return plain_function(_plain_normal, columns, jnp.asarray(index), self.min_var)


def _plain_normal(columns, index, min_var, u):
    size = columns.shape[0]
    variance = (min_var + jnp.exp(u[..., size:]))[..., index]
    scaled = columns * variance[..., None, :]
    return u[..., :size], jnp.matmul(scaled, columns.T, precision="highest")


def _full_dof(block: Block) -> int:
    m = block.in_multiplicity
    return m + block.endomorphism_dimension * m * (m - 1) // 2


def _real(theta: Float[Array, "*batch m m s"]) -> Float[Array, "*batch ms ms"]:
    """A matrix over R, C or H with real numbers."""
    m, s = theta.shape[-2:]
    units = MULTIPLICATION[s].astype(theta.dtype)
    real = jnp.einsum("...ois,spt->...opit", theta, units, precision=HIGHEST)
    return real.reshape(*theta.shape[:-3], m * s, m * s)


def _components(real: Float[Array, "*batch ms ms"], algebra: int) -> Float[Array, "*batch m m s"]:
    """The inverse of `_real`: the first column of the matrix of a number holds its components."""
    m = real.shape[-1] // algebra
    split = real.reshape(*real.shape[:-2], m, algebra, m, algebra)[..., 0]
    return jnp.swapaxes(split, -1, -2)


def _as_matrix(factor: Array, is_full: bool) -> Array:
    return (
        factor if is_full else factor[..., :, None] * jnp.eye(factor.shape[-1], dtype=factor.dtype)
    )


def _triangular(factor: Array, right: Array) -> Array:
    """``factor^-1 right`` with leading axes broadcast."""
    leading = np.broadcast_shapes(factor.shape[:-2], right.shape[:-2])
    return jax.scipy.linalg.solve_triangular(
        jnp.broadcast_to(factor, leading + factor.shape[-2:]),
        jnp.broadcast_to(right, leading + right.shape[-2:]),
        lower=True,
    )


def _solve(factor: Array, rows: Float[Array, "*batch q ms"]) -> Float[Array, "*batch q ms"]:
    """``factor^-1 z`` for every row; one factor for all rows is one solve with many columns."""
    if factor.ndim == 2:
        flat = rows.reshape(-1, rows.shape[-1])
        solved = jax.scipy.linalg.solve_triangular(factor, flat.T, lower=True)
        return solved.T.reshape(rows.shape)
    return jnp.swapaxes(_triangular(factor, jnp.swapaxes(rows, -1, -2)), -1, -2)
