"""`InstanceNorm`: every field of every example is normalised by its own mean over space."""

from __future__ import annotations

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import flag, number
from ...fields import Type
from ...hom import trivial_count
from .._core._admission import parameter_dtype
from .._core._channels import field_sizes
from .._core._fibres import constants, fibre_plan
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_function, plain_layer
from ._field_norm import field_kinds, scaled_and_shifted
from ._rounding import above_rounding, by_kind_above_rounding, denoised


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
        self,
        in_type: Type,
        *,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:
        """Starts with scales 1 and biases 0.

        Args:
            in_type: A type of any fields.
            eps: Added to the variance, positive.
            affine: Whether to learn scales and biases.
            dtype: Of the parameters; JAX's default float if None.

        Raises:
            ValueError: If ``eps`` is not positive.
            TypeError: If ``in_type`` is no type, or ``affine`` no bool.
        """
        rep = representation_of(in_type, "InstanceNorm", "in_type")
        self.eps = number(eps, "InstanceNorm", "eps", above=0)
        affine, dtype = (
            flag(affine, "InstanceNorm", "affine"),
            parameter_dtype(dtype, "InstanceNorm"),
        )
        trivial = trivial_count(rep)
        self.weight = jnp.ones((len(field_sizes(rep)),), dtype) if affine else None
        self.bias = jnp.zeros((trivial,), dtype) if affine and trivial else None
        self.in_type = in_type
        self.out_type = in_type

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        plan = fibre_plan(self._rep)
        kinds = field_kinds(plan, self._rep, self.weight, self.bias)
        function = functools.partial(instance_normed, self.eps)
        kinds, axis = constants(plan, kinds), channel_axis(self.in_type)
        return by_kind_above_rounding(function, self.eps, *kinds, axis, x)

    def export(self) -> eqx.nn.Lambda:
        """A plain function; its matrices meet means, not activations."""
        plan = fibre_plan(self._rep)
        kinds = field_kinds(plan, self._rep, self.weight, self.bias)
        function = plain_function(instance_normed, self.eps)
        kinds, axis = constants(plan, kinds), channel_axis(self.in_type)
        return plain_layer(by_kind_above_rounding, function, self.eps, *kinds, axis)


def instance_normed(eps, left, invariant, weight, shift, z):
    """``w (z - P m) / sqrt(mean (z - P m)^2 + eps) + shift`` with ``m`` the mean over points.

    Args:
        eps: Positive.
        left: Variance that the layers before may have left.
        invariant: Orthonormal columns of invariant vectors, ``(size, rank)``.
        weight: One per field, or None.
        shift: An invariant vector per field, ``(fields, size)``, or None.
        z: ``(batch, fields, size, points)``.
    """
    level = jnp.mean(jax.lax.stop_gradient(z[..., :1]) ** 2, axis=(2, 3), keepdims=True)
    if invariant.shape[1]:
        columns = jnp.asarray(invariant, z.dtype)
        projector = jnp.matmul(columns, columns.T, precision="highest")
        # From one point on: the difference of numbers that are nearly equal is exact.
        reference = jax.lax.stop_gradient(z[..., :1])
        z = z - jnp.matmul(projector, reference, precision="highest")
        rest = jnp.mean(z, axis=3, keepdims=True)
        z = z - jnp.matmul(projector, rest, precision="highest")
    variance = jnp.mean(z * z, axis=(2, 3), keepdims=True)
    z = denoised(z, above_rounding(variance, level + variance, left))
    y = z / jnp.sqrt(variance + eps)
    return scaled_and_shifted(weight, shift, y)
