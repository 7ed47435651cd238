"""`EquivariantMultivariateNormal`: maps parameters to a Gaussian whose covariance commutes.

The mean turns as the variable does and the parameters ``eta`` of the covariance are invariant. In
block ``k`` the covariance is ``Lambda Lambda^T``; `MultivariateNormal` does the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Shaped

from ..._arguments import choice, number, refuse
from ...fields import Type
from ...hom import (
    HIGHEST,
    Block,
    gather_copies,
    hom_basis,
    is_concrete,
    scatter_copies,
    widened,
)
from ...representations import Representation, trivial
from ...stats import mean, moment_coefficients, spectral_var
from .._core._channels import take_channels
from .._core._module import AbstractModule, abstract_shape, representation_of
from .._core._plain import plain_function
from ._gaussian import (
    MultivariateNormal,
    components,
    dense_covariance,
    floating,
    real_matrix,
    unit_frames,
)

COVARIANCES = ("diagonal", "full", "type")

#: Relative distance from commuting and from symmetry above which a given covariance is refused.
COMMUTING_TOLERANCE = 1e-4


class EquivariantMultivariateNormal(AbstractModule):
    """Maps ``u = (mu, eta)`` to ``N(mu, Sigma(eta))`` with ``Sigma`` commuting with the group.

    The mean turns as the variable does, ``eta`` is invariant, so the density is invariant:
    ``p(rho(g) y | rho_in(g) u) = p(y | u)``. No leaves.

    Shapes: ``(..., n + num_dof)`` to a `MultivariateNormal` on ``(..., n)``.
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    kind: str = eqx.field(static=True)
    min_var: float = eqx.field(static=True)

    def __init__(
        self, out_type: Type, *, covariance: str = "diagonal", min_var: float = 0.0
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
        name = "EquivariantMultivariateNormal"
        self.kind = choice(covariance, name, "covariance", COVARIANCES)
        self.min_var = number(min_var, name, "min_var", 0)
        self.out_type = out_type
        self.in_type = rep + self.num_dof * trivial(rep.group)

    @property
    def _out_rep(self) -> Representation:
        return representation_of(self.out_type, "EquivariantMultivariateNormal", "out_type")

    @property
    def num_dof(self) -> int:
        """Degrees of freedom of the covariance, the size of ``eta``."""
        if self.kind == "diagonal":
            return len(self._out_rep.irreps)
        if self.kind == "type":
            return len(self._blocks)
        return sum(_full_dof(block) for block in self._blocks)

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> MultivariateNormal:
        size = self._out_rep.size
        wide = widened(x)
        found = block_factors(*self._constants(), wide[..., size:])
        names = [block.name for block in self._blocks]
        factors = dict(zip(names, found, strict=True))
        return MultivariateNormal(wide[..., :size], factors, self.out_type, self.kind == "full")

    @property
    def _blocks(self) -> tuple[Block, ...]:
        return hom_basis(self._out_rep, self._out_rep).blocks

    def _constants(self) -> tuple[bool, list[tuple[int, int, np.ndarray]], float]:
        """Whether factors are triangular, per irrep copies, algebra and parameters; the floor."""
        rep, blocks, start = self._out_rep, [], 0
        for index, block in enumerate(self._blocks):
            m, s = block.in_multiplicity, block.endomorphism_dimension
            places = np.arange(start, start + _full_dof(block))
            start += _full_dof(block)
            if self.kind == "type":
                places = np.full(m, index)
            elif self.kind == "diagonal":
                places = np.flatnonzero([irrep == block.id for irrep in rep.irreps])
            blocks.append((m, s, places))
        return self.kind == "full", blocks, self.min_var

    def evaluate_output_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of the mean.

        Args:
            shape: Of the input.
        """
        return abstract_shape(lambda x: self(x).mean, shape)

    def dof_from_covariance(self, covariance: Shaped[ArrayLike, "n n"]) -> Float[Array, " dof"]:
        """``eta`` of a covariance matrix: the inverse of ``eta -> Sigma``.

        Args:
            covariance: ``(n, n)``, symmetric, commuting with the group, larger than ``min_var``.

        Returns:
            ``(num_dof,)``.

        Raises:
            ValueError: If it has the wrong shape, does not commute (names by how much) or is not
                positive definite; for ``"diagonal"`` and ``"type"`` also if it is more general.
            TypeError: If it is not of floating numbers.
        """
        rep = self._out_rep
        sigma = floating("dof_from_covariance", "covariance", covariance)
        if not is_concrete(sigma):
            refuse(TypeError, "dof_from_covariance", "covariance", "known numbers", sigma)
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
        found = {block.name: self._block_dof(block, coeffs[block.name]) for block in basis.blocks}
        if self.kind == "diagonal":
            return scatter_copies(rep, found)
        return jnp.concatenate([found[block.name] for block in basis.blocks])

    def _block_dof(self, block: Block, theta: Array) -> Array:
        """The degrees of freedom of one irrep from the coefficients of the covariance."""
        square = real_matrix(theta)
        square = square - self.min_var * jnp.eye(len(square), dtype=square.dtype)
        factor = jnp.linalg.cholesky(square)
        if not bool(jnp.isfinite(factor).all()):
            least = "positive definite" if self.min_var == 0 else f"above min_var={self.min_var}"
            raise ValueError(f"dof_from_covariance: covariance: not {least} on {block.name}")
        theta = components(factor, block.endomorphism_dimension)
        logs = jnp.log(jnp.diagonal(theta[..., 0]))
        lower = theta[np.tril_indices(block.in_multiplicity, -1)]
        if self.kind == "full":
            return jnp.concatenate([logs, lower.reshape(-1)])
        spread = float(jnp.abs(lower).max(initial=0.0) / jnp.exp(logs).max())
        if self.kind == "type":
            spread += float(jnp.abs(logs - logs[0]).max())
            logs = logs[:1]
        if spread > COMMUTING_TOLERANCE:
            raise ValueError(
                f"dof_from_covariance: covariance: more general on {block.name} than "
                f"covariance={self.kind!r} can hold; use 'full'"
            )
        return 2 * logs

    def fit(self, y: Shaped[ArrayLike, "N n"]) -> MultivariateNormal:
        """The maximum-likelihood distribution of samples, in closed form.

        Args:
            y: ``(N, n)``.

        Returns:
            Mean ``P ybar`` and covariance ``Pi(S)``, restricted to what ``covariance`` allows, with
            no variance below ``min_var``.

        Raises:
            ValueError: If the shape does not fit, or the samples are too few or too equal for a
                covariance that can be inverted.
            TypeError: If ``y`` is not of floating numbers.
        """
        rep, y = self._out_rep, floating("fit", "y", y)
        if y.ndim != 2 or y.shape[-1] != rep.size:
            raise ValueError(f"fit: y: expected (N, {rep.size}), got {y.shape}")
        center = mean(y, rep)
        if self.kind == "full":
            basis = hom_basis(rep, rep)
            share = jnp.full((y.shape[0],), 1 / y.shape[0], y.dtype)
            coeffs = moment_coefficients(basis, y, y, share, estimator="ml", centered=True)
            factors = {name: self._floored_cholesky(real_matrix(c)) for name, c in coeffs.items()}
        else:
            variances = gather_copies(rep, spectral_var(y, rep, estimator="ml"))
            factors = {}
            for block in hom_basis(rep, rep).blocks:
                v = variances[block.name]
                v = v if self.kind == "diagonal" else jnp.broadcast_to(v.mean(), v.shape)
                scale = jnp.sqrt(jnp.maximum(v, self.min_var))
                factors[block.name] = jnp.repeat(scale, block.endomorphism_dimension)
        fitted = MultivariateNormal(center, factors, self.out_type, self.kind == "full")
        for name, factor in factors.items():
            diagonal = jnp.diagonal(factor) if self.kind == "full" else factor
            if is_concrete(diagonal) and not bool((diagonal > 0).all()):
                raise ValueError(
                    f"fit: y: {y.shape[0]} samples give a singular covariance on {name}; give more "
                    "samples or a positive min_var"
                )
        return fitted

    def _floored_cholesky(self, square: Array) -> Array:
        """Cholesky factor after raising eigenvalues to ``min_var``, the optimum above it."""
        if self.min_var > 0:
            values, vectors = jnp.linalg.eigh(square)
            scaled = vectors * jnp.sqrt(jnp.maximum(values, self.min_var))
            square = jnp.matmul(scaled, scaled.T, precision=HIGHEST)
        return jnp.linalg.cholesky(square)

    def export(self) -> jax.tree_util.Partial:
        """A plain function from ``u`` to the mean and the dense covariance."""
        return plain_function(mean_and_covariance, *self._constants(), unit_frames(self._out_rep))


def block_factors(
    is_full: bool,
    blocks: Sequence[tuple[int, int, np.ndarray | Array]],
    min_var: float,
    eta: Float[Array, "*batch dof"],
) -> list[Float[Array, "..."]]:
    """The Cholesky factor of every irrep, or its diagonal.

    Args:
        is_full: Whether the factors are triangular.
        blocks: Per irrep its copies, the dimension of its algebra, and the places of its
            parameters.
        min_var: As in `EquivariantMultivariateNormal`.
        eta: The parameters.
    """
    factors = []
    for m, s, places in blocks:
        own = take_channels(eta, places)
        if is_full:
            factors.append(_cholesky(m, s, min_var, own))
        else:
            factors.append(jnp.repeat(jnp.sqrt(min_var + jnp.exp(own)), s, axis=-1))
    return factors


def _cholesky(m: int, s: int, min_var: float, eta: Array) -> Array:
    """The factor of one irrep: the log-diagonal first, then the entries below it row by row."""
    rows, columns = np.tril_indices(m, -1)
    lower = eta[..., m:].reshape(*eta.shape[:-1], len(rows), s)
    theta = jnp.zeros((*eta.shape[:-1], m, m, s), eta.dtype)
    theta = theta.at[..., rows, columns, :].set(lower)
    diagonal = np.arange(m)
    theta = theta.at[..., diagonal, diagonal, 0].set(jnp.exp(eta[..., :m]))
    factor = real_matrix(theta)
    if min_var == 0:
        return factor
    square = jnp.matmul(factor, jnp.swapaxes(factor, -1, -2), precision=HIGHEST)
    return jnp.linalg.cholesky(square + min_var * jnp.eye(m * s, dtype=eta.dtype))


def mean_and_covariance(
    is_full: bool,
    blocks: Sequence[tuple[int, int, np.ndarray | Array]],
    min_var: float,
    frames: Sequence[Float[Array, "n _ _"]],
    u: Float[Array, "*batch parameters"],
) -> tuple[Float[Array, "*batch n"], Float[Array, "*batch n n"]]:
    """Mean and dense covariance; ``frames`` are unit vectors in the coordinates of each irrep."""
    size = frames[0].shape[0]
    factors = block_factors(is_full, blocks, min_var, u[..., size:])
    return u[..., :size], dense_covariance(is_full, frames, factors)


def _full_dof(block: Block) -> int:
    m = block.in_multiplicity
    return m + block.endomorphism_dimension * m * (m - 1) // 2
