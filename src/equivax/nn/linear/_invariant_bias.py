"""`InvariantBias`: addition of an invariant vector."""

from __future__ import annotations

import equinox as eqx
import jax
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Shaped

from ..._arguments import arrays, choice
from ...fields import IrrepTensor, Type
from ...hom import with_invariant
from .._core._biases import (
    BIAS_SCHEMES,
    bias_coefficients,
    initial_bias,
    invariant_bias,
    shifted,
    total,
)
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_layer


class InvariantBias(AbstractModule):
    """``y = x + b`` with ``b`` invariant: an element of ``Hom_G(1, rho)``.

    Law: ``f(rho(g) x) = rho(g) f(x)``. Without trivial irreps it is the identity and has no leaf.

    Shapes: ``(..., n) -> (..., n)``.
    """

    coeffs: Float[Array, " m0"] | None
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        *,
        bias_init: str = "zeros",
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray | None = None,
    ) -> None:
        """Starts at zero, or as `equinox.nn.Linear` does.

        Args:
            in_type: A `Representation` or a field type.
            bias_init: ``"zeros"`` or ``"equinox"`` (needs ``key``).
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            TypeError: If a key is needed and missing, or ``in_type`` is no type.
        """
        rep = representation_of(in_type, "InvariantBias", "in_type")
        choice(bias_init, "InvariantBias", "bias_init", BIAS_SCHEMES)
        if bias_init != "zeros" and key is None:
            raise TypeError(f"InvariantBias: key: bias_init={bias_init!r} draws numbers, pass key=")
        key = jax.random.key(0) if key is None else arrays.key(key, "InvariantBias")
        self.coeffs = initial_bias("InvariantBias", rep, bias_init, rep.size, dtype, key)
        self.in_type = in_type
        self.out_type = in_type

    @property
    def bias(self) -> Float[Array, " n"] | None:
        """The invariant vector, or None."""
        if self.coeffs is None:
            return None
        return invariant_bias(self._rep, self.coeffs)

    def with_bias(self, vector: Shaped[ArrayLike, " n"]) -> InvariantBias:
        """This layer with the projection of a dense vector on the invariants as its bias.

        Raises:
            ValueError: If the type has no trivial irrep.
        """
        if self.coeffs is None:
            raise ValueError(
                f"InvariantBias: with_bias: {self.in_type!r} has no trivial irrep, so no vector "
                "is invariant"
            )
        rep = self._rep
        new = bias_coefficients("InvariantBias", rep, vector).astype(self.coeffs.dtype)
        return eqx.tree_at(lambda tree: tree.coeffs, self, new)

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        bias = self.bias
        if bias is None:
            return x
        return shifted(bias, channel_axis(self.in_type), x)

    def _forward_irreps(self, x: IrrepTensor, key: PRNGKeyArray | None = None) -> IrrepTensor:
        return IrrepTensor(with_invariant(self._rep, self.coeffs, x.blocks), self.out_type)

    def _applied(self, weight: None, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The layer: there is no weight to replace."""
        return self._forward(x)

    def export(self) -> eqx.nn.Lambda | eqx.nn.Identity:
        """Addition of a constant, or `equinox.nn.Identity`."""
        return self._exported(None, None)

    def _exported(self, weight: None, shift: Array | None) -> eqx.nn.Lambda | eqx.nn.Identity:
        """The export with something added to the bias."""
        bias = total(self.bias, shift)
        if bias is None:
            return eqx.nn.Identity()
        return plain_layer(shifted, bias, channel_axis(self.in_type))
