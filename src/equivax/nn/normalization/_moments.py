"""`Moments`: invariant means and commuting covariances, kept as coefficients of Hom_G."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...fields import Type
from ...hom import hom_basis, invariant_vector, trivial_count
from ...representations import Representation, as_representation


class Moments(eqx.Module):
    """Invariant means and commuting covariances, kept as coefficients.

    Attributes:
        mean_coeffs: Trivial coordinates of the means of ``x`` and ``y``.
        cov_coeffs: Coefficients of the covariances ``xx``, ``yy`` and ``yx``.
        in_type: Type of ``x``.
        out_type: Type of ``y``.
    """

    mean_coeffs: tuple[Array, Array]
    cov_coeffs: tuple[dict[str, Array], dict[str, Array], dict[str, Array]]
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)

    @property
    def mean_x(self) -> Float[Array, " n_in"]:
        """``E X``."""
        return invariant_mean(as_representation(self.in_type, "in_type"), self.mean_coeffs[0])

    @property
    def mean_y(self) -> Float[Array, " n_out"]:
        """``E Y``."""
        return invariant_mean(as_representation(self.out_type, "out_type"), self.mean_coeffs[1])

    @property
    def cov_xx(self) -> Float[Array, "n_in n_in"]:
        """``Cov(X, X)``."""
        return hom_basis(self.in_type, self.in_type).synthesize(self.cov_coeffs[0])

    @property
    def cov_yy(self) -> Float[Array, "n_out n_out"]:
        """``Cov(Y, Y)``."""
        return hom_basis(self.out_type, self.out_type).synthesize(self.cov_coeffs[1])

    @property
    def cov_yx(self) -> Float[Array, "n_out n_in"]:
        """``Cov(Y, X)``."""
        return hom_basis(self.in_type, self.out_type).synthesize(self.cov_coeffs[2])


def invariant_mean(rep: Representation, coeffs: Float[Array, " m0"]) -> Float[Array, " n"]:
    """The invariant vector with given trivial coordinates; zero if there are none."""
    if trivial_count(rep) == 0:
        return jnp.zeros((rep.size,), coeffs.dtype)
    return invariant_vector(rep, coeffs)
