"""Projections of dense weights: for networks whose layers are not made by equivax."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Shaped

from ..._arguments import arrays, flag
from ...fields import Type
from ...hom import hom_basis, invariant_vector, trivial_count
from .._core._biases import bias_coefficients
from .._core._module import representation_of
from ._linear import Linear, checked_basis


class CommutingConstraint(eqx.Module):
    """``Pi(W) = mean_g rho_out(g) W rho_in(g)^T``, the projection of a matrix on Hom_G.

    Linear, idempotent, self-adjoint (so the gradient through it is the projected gradient) and
    non-expansive. No leaves, no state, no cache.

    Shapes: ``(..., out, in) -> (..., out, in)``.
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)

    def __init__(self, in_rep: Type, out_rep: Type) -> None:
        """Plans the projection.

        Args:
            in_rep: A `Representation` or a field type.
            out_rep: Likewise, of the same group.

        Raises:
            ValueError: If the groups differ.
            TypeError: If an argument is no type.
        """
        representation_of(in_rep, "CommutingConstraint", "in_rep")
        representation_of(out_rep, "CommutingConstraint", "out_rep")
        hom_basis(in_rep, out_rep)
        self.in_type = in_rep
        self.out_type = out_rep

    def __call__(self, matrix: Shaped[ArrayLike, "..."]) -> Float[Array, "..."]:
        """Projects ``(..., out, in)``.

        Raises:
            ValueError: If the last two axes are not ``(out, in)``.
            TypeError: If the matrix is not of floating numbers.
        """
        return hom_basis(self.in_type, self.out_type).project(
            arrays.array(matrix, "CommutingConstraint", "matrix")
        )


class InvariantConstraint(eqx.Module):
    """``P v = mean_g rho(g) v``, the projection of a vector on the invariants.

    Shapes: ``(..., n) -> (..., n)``. No leaves.
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)

    def __init__(self, rep: Type) -> None:
        """Plans the projection.

        Args:
            rep: A `Representation` or a field type.

        Raises:
            TypeError: If ``rep`` is no type.
        """
        representation_of(rep, "InvariantConstraint", "rep")
        self.in_type = rep
        self.out_type = rep

    def __call__(self, vector: Shaped[ArrayLike, "..."]) -> Float[Array, "..."]:
        """Projects ``(..., n)``.

        Raises:
            ValueError: If the last axis is not ``n``.
            TypeError: If the vector is not of floating numbers.
        """
        rep = representation_of(self.in_type, "InvariantConstraint", "rep")
        vector = arrays.array(vector, "InvariantConstraint", "vector")
        if vector.ndim == 0 or vector.shape[-1] != rep.size:
            raise ValueError(
                f"InvariantConstraint: vector: expected (..., {rep.size}), got {vector.shape}"
            )
        if not jnp.issubdtype(vector.dtype, jnp.floating):
            raise TypeError(
                f"InvariantConstraint: vector: expected floating numbers, got dtype {vector.dtype}"
            )
        if trivial_count(rep) == 0:
            return jnp.zeros_like(vector)
        flat = vector.reshape(-1, rep.size)
        coeffs = jax.vmap(lambda v: bias_coefficients("InvariantConstraint", rep, v))(flat)
        return invariant_vector(rep, coeffs).reshape(vector.shape)


def impose_equivariance(
    linear: eqx.nn.Linear, in_rep: Type, out_rep: Type, *, preserve_scale: bool = False
) -> Linear:
    """The equivariant layer nearest to a dense one; from then on it trains inside Hom_G.

    Args:
        linear: An `equinox.nn.Linear` of matching sizes.
        in_rep: A `Representation` or a field type.
        out_rep: Likewise, of the same group.
        preserve_scale: Multiply the weight by ``sqrt(n_out n_in / dim Hom)``, the factor by which
            the projection shrinks independent weights, so that outputs keep their variance.

    Returns:
        A `Linear` with the projected weight and the projected bias.

    Raises:
        ValueError: If sizes or groups differ, or no linear map but zero commutes.
        TypeError: If ``linear`` is not an `equinox.nn.Linear`.
    """
    if not isinstance(linear, eqx.nn.Linear):
        raise TypeError(
            "impose_equivariance: linear: expected an equinox.nn.Linear, got "
            f"{type(linear).__name__}"
        )
    preserve_scale = flag(preserve_scale, "impose_equivariance", "preserve_scale")
    source = representation_of(in_rep, "impose_equivariance", "in_rep")
    target = representation_of(out_rep, "impose_equivariance", "out_rep")
    if linear.weight.shape != (target.size, source.size):
        raise ValueError(
            f"impose_equivariance: linear: expected a weight ({target.size}, {source.size}) for "
            f"out_rep {target!r} and in_rep {source!r}, got {linear.weight.shape}"
        )
    basis = checked_basis("impose_equivariance", source, target)
    layer = Linear(
        in_rep,
        out_rep,
        use_bias=linear.bias is not None,
        init="zeros",
        warn_unused=False,
        dtype=linear.weight.dtype,
        key=jax.random.key(0),
    )
    factor = math.sqrt(target.size * source.size / basis.dim) if preserve_scale else 1.0
    layer = layer.with_weight(factor * linear.weight)
    if linear.bias is not None and layer.bias_coeffs is not None:
        layer = layer.with_bias(linear.bias)
    return layer
