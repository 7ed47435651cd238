"""`Rest`: what a relaxed layer adds to its strict one, orthogonal to all that commutes."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Float

from ...hom import trivial_count
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
        weights: The parameters of the dense array: an array, a dictionary of coefficients, or None
            where the layer is only a bias.
        bias_coeffs: The parameters of the bias, or None.
    """

    weights: Array | dict[str, Array] | None
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
        raw = self.raw
        if raw is None or self.strict_basis is None:
            return None
        return raw - projected(self.strict_basis, raw, self.parts)

    @property
    def bias(self) -> Float[Array, " out"] | None:
        """``r - P(r)``, which is added to the output."""
        if self.bias_coeffs is None:
            return None
        raw = self.bias_coeffs
        if self.rep is not None:
            raw = invariant_bias(self.rep, raw)
        if trivial_count(self.strict_rep) == 0:
            return raw
        found = bias_coefficients("Relaxed", self.strict_rep, raw)
        return raw - invariant_bias(self.strict_rep, found)
