"""`Rest`: what a relaxed layer adds to its strict one, orthogonal to all that commutes."""

from __future__ import annotations

from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...hom import trivial_count, widened
from ...representations import Representation
from .._core._biases import bias_coefficients, invariant_bias
from .._core._printing import parameters
from ._bases import Basis, expanded, projected


class Rest(eqx.Module):
    """``R - P(R)`` and ``r - P(r)``: a dense array and a bias without the parts that commute.

    ``R`` and ``r`` are the parameters: arrays without any structure, or coefficients of those that
    commute with a subgroup. ``P`` is the orthogonal projection on what commutes with the whole
    group, so that moving along it changes nothing. Made by `Relaxed`.

    Attributes:
        weights: The parameters of the dense array: an array, coefficients by name, or None
            where the layer is only a bias.
        bias_coeffs: The parameters of the bias, or None.
    """

    weights: Array | Mapping[str, Array] | None
    bias_coeffs: Array | None
    strict_basis: Basis | None = eqx.field(static=True)
    basis: Basis | None = eqx.field(static=True)
    parts: int = eqx.field(static=True)
    strict_rep: Representation = eqx.field(static=True)
    rep: Representation | None = eqx.field(static=True)

    def __repr__(self) -> str:
        return f"Rest({parameters(self):,} parameters)"

    @property
    def raw(self) -> Float[Array, "out in *kernel"] | None:
        """``R``."""
        if self.basis is None or self.weights is None:
            return self.weights  # pyright: ignore[reportReturnType]
        return expanded(self.basis, self.weights, self.parts)  # pyright: ignore

    @property
    def dense(self) -> Float[Array, "out in *kernel"] | None:
        """``R - P(R)``, which is added to the weight or kernel of the strict layer."""
        found = self._split_dense()
        return None if found is None else found[0] - found[1]

    @property
    def bias(self) -> Float[Array, " out"] | None:
        """``r - P(r)``, which is added to the output."""
        found = self._split_bias()
        return None if found is None else found[0] - found[1]

    @property
    def square(self) -> Float[Array, ""]:
        """``|R - P(R)|^2 + |r - P(r)|^2``."""
        found = [split for split in (self._split_dense(), self._split_bias()) if split is not None]
        squares = [square_outside(raw, nearest) for raw, nearest in found]
        return jnp.sum(jnp.stack(squares)) if squares else jnp.zeros(())

    def _split_dense(self) -> tuple[Array, Array] | None:
        """``R`` and ``P(R)``."""
        raw = self.raw
        if raw is None or self.strict_basis is None:
            return None
        return raw, projected(self.strict_basis, raw, self.parts)

    def _split_bias(self) -> tuple[Array, Array] | None:
        """``r`` and ``P(r)``."""
        if self.bias_coeffs is None:
            return None
        raw = self.bias_coeffs
        if self.rep is not None:
            raw = invariant_bias(self.rep, raw)
        if trivial_count(self.strict_rep) == 0:
            return raw, jnp.zeros_like(raw)
        found = bias_coefficients("Relaxed", self.strict_rep, raw)
        return raw, invariant_bias(self.strict_rep, found)


@jax.custom_jvp
def square_outside(array: Array, nearest: Array) -> Float[Array, ""]:
    """``|A - P(A)|^2`` of an array and its orthogonal projection, at least in float32."""
    return jnp.sum(widened(array - nearest) ** 2)


@square_outside.defjvp
def _square_outside_moves(
    values: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    # A - P(A) is orthogonal to every P(dA), so the derivative is 2 <A - P(A), dA>: without this
    # rule the gradient would project once more, which is half of what a penalty costs.
    array, nearest = values
    along = 2 * jnp.sum(widened(array - nearest) * widened(tangents[0]))
    return square_outside(array, nearest), along
