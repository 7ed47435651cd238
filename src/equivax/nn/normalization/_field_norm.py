"""`FieldNorm`: every field of every example and point is normalised by itself."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...fields import Type
from ...hom import at_least_float32, invariant_vector, trivial_count
from ...representations import Representation, Summand
from .._core._channels import field_index, field_sizes, spread
from .._core._fibres import Fibre, fibre_plan, turned
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_layer
from ._checks import checked_eps


class FieldNorm(AbstractModule):
    """``y = w (x - P x) / sqrt(mean (x - P x)^2 + eps) + T beta``, field by field.

    ``P`` projects on the invariant vectors of a field and ``T`` are their unit vectors; the mean
    is over the channels of the field, at one point of one example (Cesa, Lang and Weiler 2022, in
    escnn). ``w`` is one per field, ``beta`` one per trivial irrep.

    Law: ``f(rho(g) x) = rho(g) f(x)``. Invariant fields become ``beta``; a warning says so.

    Shapes: ``(..., C, *spatial)``, unchanged. Statistics are taken in at least float32.
    """

    weight: Float[Array, " fields"] | None
    bias: Float[Array, " trivial"] | None
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    eps: float = eqx.field(static=True)

    def __init__(
        self, in_type: Type, *, eps: float = 1e-5, affine: bool = True, dtype: Any = None
    ) -> None:
        """Starts with scales 1 and biases 0.

        Args:
            in_type: Any type; fields that are not invariant, to keep anything of them.
            eps: Added to the mean square, positive.
            affine: Whether to learn scales and biases.
            dtype: Of the parameters; JAX's default float if None.

        Raises:
            ValueError: If ``eps`` is not positive.
            TypeError: If ``in_type`` is no type.
        """
        rep = representation_of(in_type, "FieldNorm", "in_type")
        self.eps = checked_eps("FieldNorm", eps)
        index, lost = 0, []
        for field, count in rep.runs:
            if field.is_trivial:
                lost.append(f"{index} ({field.name})")
            index += count
        if lost:
            _warn_lost(rep, tuple(lost))
        dtype = jnp.result_type(float) if dtype is None else dtype
        trivial = trivial_count(rep)
        self.weight = jnp.ones((len(field_sizes(rep)),), dtype) if affine else None
        self.bias = jnp.zeros((trivial,), dtype) if affine and trivial else None
        self.in_type = in_type
        self.out_type = in_type

    def _forward(self, x: Float[Array, "..."], key: Any = None) -> Float[Array, "..."]:
        rep = self._rep
        plan, axis = fibre_plan(rep), channel_axis(self.in_type)
        wide = x.astype(at_least_float32(x.dtype))
        pieces = []
        for fibre, z in zip(plan.fibres, plan.split(wide, axis), strict=True):
            z = _without_invariants(fibre, z)
            y = z / jnp.sqrt(jnp.mean(z * z, axis=2, keepdims=True) + self.eps)
            if self.weight is not None:
                y = y * self.weight.astype(z.dtype)[fibre.fields][:, None, None]
            pieces.append(y)
        y = plan.join(pieces, wide, axis)
        if self.bias is not None:
            shift = invariant_vector(rep, self.bias.astype(wide.dtype))
            y = y + shift.reshape(-1, *(1,) * (-1 - axis))
        return y.astype(x.dtype)

    def export(self) -> eqx.nn.Lambda:
        """A plain function with constant matrices."""
        rep = self._rep
        dtype = jnp.result_type(float) if self.weight is None else self.weight.dtype
        residual = np.zeros((rep.size, rep.size))
        for fibre in fibre_plan(rep).fibres:
            index = fibre.channels
            residual[index[:, :, None], index[:, None, :]] = invariant_residual(fibre.summand)
        number = field_index(rep)
        same = number[:, None] == number[None, :]
        weight = jnp.ones((rep.size,), dtype)
        if self.weight is not None:
            weight = spread(rep, self.weight)
        shift = jnp.zeros((rep.size,), dtype)
        if self.bias is not None:
            shift = invariant_vector(rep, self.bias)
        return plain_layer(
            _field_norm,
            jnp.asarray(residual, dtype),
            jnp.asarray(same / same.sum(axis=0), dtype),
            weight,
            shift,
            self.eps,
            channel_axis(self.in_type),
        )


def _field_norm(residual, pooling, weight, shift, eps, axis, x):
    v = jnp.moveaxis(x, axis, -1)
    v = jnp.matmul(v, residual.astype(v.dtype), precision="highest")
    square = jnp.matmul(v * v, pooling.astype(v.dtype), precision="highest")
    y = v / jnp.sqrt(square + eps) * weight.astype(v.dtype) + shift.astype(v.dtype)
    return jnp.moveaxis(y, -1, axis)


def _without_invariants(fibre: Fibre, z: Array) -> Array:
    """``x - P x`` of equal fields."""
    if not len(fibre.trivial):
        return z
    residual = invariant_residual(fibre.summand)
    if not residual.any():
        return jnp.zeros_like(z)
    constant = np.eye(len(residual)) - 1 / len(residual)
    if np.abs(residual - constant).max() < 1e-12:  # P is the mean over the channels
        return z - jnp.mean(z, axis=2, keepdims=True)
    return turned(residual, z)


@functools.lru_cache(maxsize=512)
def invariant_residual(summand: Summand) -> np.ndarray:
    """``I - P``, symmetric; exactly zero on invariant fields."""
    identity = summand.group.irrep_ids(0)[0]
    columns = summand.change_of_basis[:, summand.columns_of(identity).reshape(-1)]
    if columns.shape[1] == summand.size:
        return np.zeros((summand.size, summand.size))
    return np.eye(summand.size) - columns @ columns.T


@functools.lru_cache(maxsize=4096)
def _warn_lost(rep: Representation, lost: tuple[str, ...]) -> None:
    """Warns once per type."""
    warnings.warn(
        f"FieldNorm: in_type {rep!r}: invariant fields keep nothing but a bias: field "
        f"{', '.join(lost[:3])}{' and others' if len(lost) > 3 else ''}; nn.LayerNorm and the "
        "batch norms keep them",
        UserWarning,
        stacklevel=4,
    )
