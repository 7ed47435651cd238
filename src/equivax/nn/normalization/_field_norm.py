"""`FieldNorm`: every field of every example and point is normalised by itself."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import flag, number
from ...fields import IrrepTensor, Type
from ...hom import invariant_vector, trivial_count, trivial_name, with_invariant
from ...representations import Representation
from .._core._admission import parameter_dtype
from .._core._channels import field_sizes
from .._core._fibres import FibrePlan, by_kind, constants, fibre_plan
from .._core._irrep_wise import Parts, kind_by_kind, of_fields, squares_of, times_fields
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_function, plain_layer
from ._rounding import above_rounding, denoised


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
        self,
        in_type: Type,
        *,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:
        """Starts with scales 1 and biases 0.

        Args:
            in_type: A type of any fields; fields that are not invariant, to keep anything of them.
            eps: Added to the mean square, positive.
            affine: Whether to learn scales and biases.
            dtype: Of the parameters; JAX's default float if None.

        Raises:
            ValueError: If ``eps`` is not positive.
            TypeError: If ``in_type`` is no type.
        """
        rep = representation_of(in_type, "FieldNorm", "in_type")
        self.eps = number(eps, "FieldNorm", "eps", above=0)
        index, lost = 0, []
        for field, count in rep.runs:
            if field.is_trivial:
                lost.append(f"{index} ({field.name})")
            index += count
        if lost:
            _warn_lost(rep, tuple(lost))
        affine, dtype = flag(affine, "FieldNorm", "affine"), parameter_dtype(dtype, "FieldNorm")
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
        function = functools.partial(field_normed, self.eps)
        return by_kind(function, kinds, plan.gather, plan.scatter, channel_axis(self.in_type), x)

    def _forward_irreps(self, x: IrrepTensor, key: PRNGKeyArray | None = None) -> IrrepTensor:
        rep, name = self._rep, trivial_name(self._rep)

        def new(parts: Parts, weight: Array | None) -> Parts:
            size = sum(part.shape[-3] * part.shape[-2] for part in parts.values())
            level = squares_of(parts) / size
            rest = {n: jnp.zeros_like(p) if n == name else p for n, p in parts.items()}
            square = squares_of(rest) / size
            alive = above_rounding(square, level)[..., None, None, :]
            factor = 1.0 / jnp.sqrt(square + self.eps)
            if weight is not None:
                factor = factor * weight.astype(factor.dtype)
            return times_fields({n: denoised(p, alive) for n, p in rest.items()}, factor)

        blocks = kind_by_kind(x, new, of_fields(rep, self.weight))
        return IrrepTensor(with_invariant(rep, self.bias, blocks), self.out_type)

    def export(self) -> eqx.nn.Lambda:
        """A plain function with constant vectors."""
        plan = fibre_plan(self._rep)
        kinds = field_kinds(plan, self._rep, self.weight, self.bias)
        function = plain_function(field_normed, self.eps)
        return plain_layer(by_kind, function, *constants(plan, kinds), channel_axis(self.in_type))


def field_normed(eps, invariant, weight, shift, z):
    """``w (z - P z) / sqrt(mean (z - P z)^2 + eps) + shift``, at every point.

    Args:
        eps: Positive.
        invariant: Orthonormal columns of invariant vectors, ``(size, rank)``.
        weight: One per field, or None.
        shift: An invariant vector per field, ``(fields, size)``, or None.
        z: ``(batch, fields, size, points)``.
    """
    if invariant.shape[1] == z.shape[2]:
        z = jnp.zeros_like(z)  # exactly, and so are its gradients
    level = jnp.mean(z * z, axis=2, keepdims=True)
    columns = jnp.asarray(invariant, z.dtype)
    for i in 2 * list(range(columns.shape[1])):  # the first time leaves rounding of large means
        column = columns[:, i, None]
        z = z - column * jnp.sum(column * z, axis=2, keepdims=True)
    square = jnp.mean(z * z, axis=2, keepdims=True)
    z = denoised(z, above_rounding(square, level))
    y = z / jnp.sqrt(square + eps)
    return scaled_and_shifted(weight, shift, y)


def scaled_and_shifted(weight, shift, y):
    """``weight y + shift`` on ``(batch, fields, size, points)``; None for neither."""
    if weight is not None:
        y = y * weight.astype(y.dtype)[:, None, None]
    return y if shift is None else y + shift.astype(y.dtype)[:, :, None]


def field_kinds(
    plan: FibrePlan, rep: Representation, weight: Array | None, bias: Array | None
) -> list[tuple[Any, ...]]:
    """The kinds of `by_kind`: columns of invariant vectors, weights and shifts of their fields."""
    shift, kinds = None if bias is None else invariant_vector(rep, bias), []
    for fibre in plan.fibres:
        columns = fibre.summand.change_of_basis[:, fibre.trivial]
        own = None if weight is None else fibre.per_field(weight)
        shifts = None if shift is None or not len(fibre.trivial) else fibre.per_channel(shift)
        kinds.append((len(fibre.fields), fibre.summand.size, columns, own, shifts))
    return kinds


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
