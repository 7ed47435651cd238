"""`RMSNorm`: a vector divided by the root of its mean square."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import flag, number
from ...fields import IrrepTensor, Type
from ...hom import Machine, widened
from .._core._admission import parameter_dtype
from .._core._irrep_wise import mean_square
from .._core._module import AbstractModule, on_channels, representation_of
from .._core._plain import plain_function, plain_on_channels
from .._core._ways import Ways
from ..linear import Affine


def rms_normed(eps, x):
    """``x / sqrt(mean(x^2) + eps)`` over the last axis, in at least float32."""
    wide = widened(x)
    y = wide / jnp.sqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + eps)
    return y.astype(x.dtype)


class RMSNorm(AbstractModule):
    """``y = D x / sqrt(mean(x^2) + eps)`` with one learned scale per irrep copy.

    Law: ``f(rho(g) x) = rho(g) f(x)`` in any orthogonal basis (Zhang and Sennrich 2019).

    Shapes: unchanged. Statistics are taken in at least float32.
    """

    affine: Affine | None
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    eps: float = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        *,
        eps: float = 1e-6,
        affine: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:
        """Starts with scales 1.

        Args:
            in_type: A type of any fields.
            eps: Added to the mean square, positive.
            affine: Whether to learn one scale per irrep copy.
            dtype: Of the parameters; JAX's default float if None.

        Raises:
            ValueError: If ``eps`` is not positive.
        """
        representation_of(in_type, "RMSNorm", "in_type")
        dtype = parameter_dtype(dtype, "RMSNorm")
        self.affine = (
            Affine(in_type, use_bias=False, dtype=dtype)
            if flag(affine, "RMSNorm", "affine")
            else None
        )
        self.in_type = in_type
        self.out_type = in_type
        self.eps = number(eps, "RMSNorm", "eps", above=0)

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        y = on_channels(lambda v: rms_normed(self.eps, v), x, self.in_type)
        return y if self.affine is None else self.affine(y)

    def _forward_irreps(self, x: IrrepTensor, key: PRNGKeyArray | None = None) -> IrrepTensor:
        inverse = jax.lax.rsqrt(mean_square(x) + self.eps)[..., None, None]
        y = x.map(lambda block: (widened(block) * inverse).astype(block.dtype))
        return y if self.affine is None else self.affine(y)

    def costs_of_ways(self, rows: int, prices: Machine) -> Ways:
        """See `AbstractLayer`: those of the scales."""
        return Ways(0.0, 0.0) if self.affine is None else self.affine.costs_of_ways(rows, prices)

    def export(self) -> eqx.nn.Sequential:
        """A plain function, and `equinox.nn.Linear` for the scales."""
        function = plain_function(rms_normed, self.eps)
        plain = eqx.nn.Lambda(plain_on_channels(function, self.in_type))
        return eqx.nn.Sequential([plain] if self.affine is None else [plain, self.affine.export()])
