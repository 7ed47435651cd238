"""`MultivariateNormal`: a Gaussian whose covariance commutes with the group, block by block.

In block ``k`` the covariance is ``Lambda Lambda^T`` with ``Lambda = sum_s Lambda_s (x) Psi_s``,
``Lambda_0`` lower triangular with a positive diagonal and the others strictly lower. Written with
real numbers that is the ordinary Cholesky factor, since its diagonal blocks are multiples of the
identity. So nothing of the size of the whole vector is ever factorised.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Shaped

from ..._arguments import arrays, is_integer, is_several, refuse, type_of
from ...fields import Type
from ...hom import HIGHEST, MULTIPLICATION, from_blocks, hom_basis, to_blocks, widened
from ...representations import Representation
from .._core._module import representation_of


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
    type: Type = eqx.field(static=True)
    is_full: bool = eqx.field(static=True)

    @property
    def _rep(self) -> Representation:
        return representation_of(self.type, "MultivariateNormal", "type")

    @property
    def covariance(self) -> Float[Array, "*batch n n"]:
        """The dense covariance matrix, synthesised at every access."""
        blocks = hom_basis(self._rep, self._rep).blocks
        factors = [self.factors[block.name] for block in blocks]
        return dense_covariance(self.is_full, unit_frames(self._rep), factors)

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
            TypeError: If ``y`` is not of floating numbers.
        """
        y = floating("MultivariateNormal", "y", y).astype(self.mean.dtype)
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
        key = arrays.key(key, "MultivariateNormal")
        if not (
            is_several(shape)
            and all(is_integer(side) and operator.index(side) >= 0 for side in shape)
        ):
            refuse(TypeError, "MultivariateNormal", "shape", "a tuple of integers >= 0", shape)
        blocks = hom_basis(self._rep, self._rep).blocks
        leading = jnp.broadcast_shapes(
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
        type_of(other, "MultivariateNormal: kl", "other", MultivariateNormal)
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


def real_matrix(theta: Float[Array, "*batch m m s"]) -> Float[Array, "*batch ms ms"]:
    """A matrix over R, C or H with real numbers."""
    m, s = theta.shape[-2:]
    units = MULTIPLICATION[s].astype(theta.dtype)
    real = jnp.einsum("...ois,spt->...opit", theta, units, precision=HIGHEST)
    return real.reshape(*theta.shape[:-3], m * s, m * s)


def components(real: Float[Array, "*batch ms ms"], algebra: int) -> Float[Array, "*batch m m s"]:
    """The inverse of `real_matrix`: the first column of a number's matrix holds its components."""
    m = real.shape[-1] // algebra
    split = real.reshape(*real.shape[:-2], m, algebra, m, algebra)[..., 0]
    return jnp.swapaxes(split, -1, -2)


def unit_frames(rep: Representation) -> list[Float[Array, "n _ _"]]:
    """The unit vectors of the space in the coordinates of each irrep."""
    return list(to_blocks(rep, jnp.eye(rep.size, dtype=jnp.result_type(float))).values())


def dense_covariance(
    is_full: bool,
    frames: Sequence[Float[Array, "n _ _"]],
    factors: Sequence[Float[Array, "..."]],
) -> Float[Array, "*batch n n"]:
    """``sum_k Q_k (1 (x) Lambda_k Lambda_k^T) Q_k^T``.

    Args:
        is_full: Whether the factors are triangular, else their diagonals.
        frames: Of every irrep that is there, see `unit_frames`.
        factors: Of the same irreps.
    """
    parts = []
    for frame, factor in zip(frames, factors, strict=True):
        root = jnp.einsum(
            "nqa,...ab->...nqb",
            frame.astype(factor.dtype),
            _as_matrix(factor, is_full),
            precision=HIGHEST,
        )
        parts.append(jnp.einsum("...nqb,...pqb->...np", root, root, precision=HIGHEST))
    return functools.reduce(jnp.add, parts)


def _as_matrix(factor: Array, is_full: bool) -> Array:
    return (
        factor if is_full else factor[..., :, None] * jnp.eye(factor.shape[-1], dtype=factor.dtype)
    )


def _triangular(factor: Array, right: Array) -> Array:
    """``factor^-1 right`` with leading axes broadcast."""
    leading = jnp.broadcast_shapes(factor.shape[:-2], right.shape[:-2])
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


def floating(caller: str, name: str, value: ArrayLike) -> Array:
    """The value as an array of at least float32.

    Raises:
        TypeError: If it is not of floating numbers.
    """
    value = arrays.array(value, caller, name)
    if not jnp.issubdtype(value.dtype, jnp.floating):
        raise TypeError(f"{caller}: {name}: expected floating numbers, got dtype {value.dtype}")
    return widened(value)
