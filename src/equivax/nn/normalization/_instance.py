"""`InstanceNorm`: every field of every example is normalised by its own mean over space."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...fields import Type
from ...hom import at_least_float32, invariant_vector, trivial_count
from .._core._channels import field_index, field_sizes, spread
from .._core._fibres import fibre_plan, turned
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_layer
from ._checks import checked_eps
from ._field_norm import invariant_residual


class InstanceNorm(AbstractModule):
    """``y = w (x - P m) / sqrt(v + eps) + T beta``, per example and field, over its points.

    ``m`` is the mean over the points of one example, ``P`` projects on the invariant vectors of
    the field and ``T`` are their unit vectors: a mean that turns is left in. ``v`` is the mean of
    ``|x - P m|^2 / size`` over the points: one variance per field (Ulyanov, Vedaldi and Lempitsky
    2016, with the statistics of Weiler and Cesa 2019). ``w`` is one per field, ``beta`` one per
    trivial irrep.

    Law: ``f(rho(g) x) = rho(g) f(x)``, and the same when the points move. It is alike in training
    and at inference. On trivial fields it is the usual instance norm; without spatial axes the mean
    is over one point, as in `FieldNorm`.

    Shapes: ``(..., C, *spatial)``, unchanged. Statistics are taken in at least float32.

    Examples:
        >>> import equivax as evx
        >>> space = evx.spaces.rot_on_r2(-1)
        >>> layer = evx.nn.InstanceNorm(evx.FieldType(space, [space.trivial, space.irrep(1)]))
        >>> layer.weight.shape, layer.bias.shape
        ((2,), (1,))
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
            in_type: Any type.
            eps: Added to the variance, positive.
            affine: Whether to learn scales and biases.
            dtype: Of the parameters; JAX's default float if None.

        Raises:
            ValueError: If ``eps`` is not positive.
            TypeError: If ``in_type`` is no type, or ``affine`` no bool.
        """
        rep = representation_of(in_type, "InstanceNorm", "in_type")
        self.eps = checked_eps("InstanceNorm", eps)
        if not isinstance(affine, bool):
            raise TypeError(f"InstanceNorm: affine: expected True or False, got {affine!r}")
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
            if len(fibre.trivial):
                mean = jnp.mean(z, axis=3, keepdims=True)
                invariant = np.eye(fibre.summand.size) - invariant_residual(fibre.summand)
                z = z - turned(invariant, mean)
            y = z / jnp.sqrt(jnp.mean(z * z, axis=(2, 3), keepdims=True) + self.eps)
            if self.weight is not None:
                y = y * self.weight.astype(z.dtype)[fibre.fields][:, None, None]
            pieces.append(y)
        y = plan.join(pieces, wide, axis)
        if self.bias is not None:
            shift = invariant_vector(rep, self.bias.astype(wide.dtype))
            y = y + shift.reshape(-1, *(1,) * (-1 - axis))
        return y.astype(x.dtype)

    def export(self) -> eqx.nn.Lambda:
        """A plain function; its matrices meet means and variances, not activations."""
        rep = self._rep
        dtype = jnp.result_type(float) if self.weight is None else self.weight.dtype
        invariant = np.zeros((rep.size, rep.size))
        for fibre in fibre_plan(rep).fibres:
            index = fibre.channels
            kept = np.eye(fibre.summand.size) - invariant_residual(fibre.summand)
            invariant[index[:, :, None], index[:, None, :]] = kept
        number = field_index(rep)
        same = number[:, None] == number[None, :]
        ones = jnp.ones((rep.size,), dtype)
        return plain_layer(
            _instance_norm,
            jnp.asarray(invariant, dtype),
            jnp.asarray(same / same.sum(axis=0), dtype),
            ones if self.weight is None else spread(rep, self.weight),
            0 * ones if self.bias is None else invariant_vector(rep, self.bias),
            self.eps,
        )


def _instance_norm(invariant, pooling, weight, shift, eps, x):
    ones = (1,) * (x.ndim - 1)
    flat = x.reshape(x.shape[0], -1)
    mean = jnp.matmul(invariant.astype(x.dtype), jnp.mean(flat, axis=1), precision="highest")
    z = x - mean.reshape(-1, *ones)
    squares = jnp.mean((z * z).reshape(x.shape[0], -1), axis=1)
    variance = jnp.matmul(pooling.astype(x.dtype), squares, precision="highest")
    scale = weight.astype(x.dtype) / jnp.sqrt(variance + eps)
    return z * scale.reshape(-1, *ones) + shift.astype(x.dtype).reshape(-1, *ones)
