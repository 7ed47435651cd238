"""`Affine`: one scale per irrep copy and an invariant bias, learnable or given from outside."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from ..._arguments import arrays, choice, flag
from ...fields import IrrepTensor, Type
from ...hom import (
    Machine,
    hom_basis,
    invariant_vector,
    irrep_names,
    join_kinds,
    split_copies,
    trivial_count,
    with_invariant,
)
from ...representations import Representation, trivial
from .._core._admission import parameter_dtype
from .._core._channels import Repeated, on_last_axis, repeated, take_counted
from .._core._fibres import KindPlan, by_kind, coordinates_plan, turned
from .._core._irrep_wise import kind_by_kind, of_fields, times_fields
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_function, plain_linear, plain_on_channels
from .._core._ways import Ways

SCOPES = ("irrep", "field", "type")


class Affine(AbstractModule):
    """``y = Q D Q^T x + Q[:, triv] beta`` with ``D`` constant on every irrep copy.

    Law: ``f(rho(g) x) = rho(g) f(x)``, also for given scales and biases if those are invariant.
    With ``learnable=False`` the layer has no leaf and modulates features by invariant conditions
    (FiLM, Perez et al. 2018): call it as ``layer(x, scale=..., bias=...)``.

    Shapes: ``(..., n) -> (..., n)``; ``scale (..., num_scale)`` and ``bias (..., num_bias)``, whose
    leading axes broadcast against those of ``x``.
    """

    scale: Float[Array, " num_scale"] | None
    bias: Float[Array, " num_bias"] | None
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    learnable: bool = eqx.field(static=True)
    residual: bool = eqx.field(static=True)
    per: str = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        *,
        use_bias: bool = True,
        learnable: bool = True,
        residual: bool = False,
        per: str = "irrep",
        dtype: DTypeLike | None = None,
    ) -> None:
        """Starts as the identity: scales 1 (0 if ``residual``), biases 0.

        Args:
            in_type: A `Representation` or a field type.
            use_bias: Whether a learnable layer has a bias (if the type has trivial irreps).
            learnable: Whether scale and bias are parameters or given at the call.
            residual: Use ``1 + scale``, so that a conditioner that starts at zero changes
                nothing.
            per: ``"irrep"`` (one scale per irrep copy, ordered as ``rep.irreps``), ``"field"``
                (per summand) or ``"type"`` (per kind of irrep, in the group's order).
            dtype: Of the parameters; JAX's default float if None.

        Raises:
            ValueError: For an unknown ``per``, or a ``dtype`` of no floating numbers.
            TypeError: If ``in_type`` is no type, or a flag no bool.
        """
        rep = representation_of(in_type, "Affine", "in_type")
        use_bias = flag(use_bias, "Affine", "use_bias")
        self.in_type = in_type
        self.out_type = in_type
        self.learnable = flag(learnable, "Affine", "learnable")
        self.residual = flag(residual, "Affine", "residual")
        self.per = choice(per, "Affine", "per", SCOPES)
        dtype = parameter_dtype(dtype, "Affine")
        self.scale = None
        self.bias = None
        if self.learnable:
            self.scale = (jnp.zeros if self.residual else jnp.ones)((self.num_scale,), dtype)
            if use_bias and trivial_count(rep):
                self.bias = jnp.zeros((self.num_bias,), dtype)

    @property
    def num_scale(self) -> int:
        """Number of scales."""
        if self.per == "irrep":
            return len(self._rep.irreps)
        if self.per == "field":
            return sum(count for _, count in self._rep.data)
        return len(self._rep.multiplicities)

    @property
    def num_bias(self) -> int:
        """Number of trivial irreps, hence of bias coefficients."""
        return trivial_count(self._rep)

    def _forward(
        self,
        x: Float[Array, "..."],
        key: PRNGKeyArray | None = None,
        *,
        scale: ArrayLike | None = None,
        bias: ArrayLike | None = None,
    ) -> Float[Array, "..."]:
        function = functools.partial(modulated, *self._constants())
        given = self._modulation(scale, bias)
        return on_last_axis(function, channel_axis(self.in_type), x, *given)

    def _forward_irreps(
        self,
        x: IrrepTensor,
        key: PRNGKeyArray | None = None,
        *,
        scale: ArrayLike | None = None,
        bias: ArrayLike | None = None,
    ) -> IrrepTensor:
        given, shift = self._modulation(scale, bias)
        rep, factor = self._rep, float(self.residual) + given
        x = x.astype(jnp.result_type(x.dtype, given.dtype))
        others = () if shift is None else shift.shape[:-1]
        leading = jnp.broadcast_shapes(x.batch_shape, given.shape[:-1], others)
        if leading != x.batch_shape:
            x = x.map(lambda block: jnp.broadcast_to(block, (*leading, *block.shape[-2:])))
        if self.per == "type":
            factors = [factor[..., i, None, None] for i in range(factor.shape[-1])]
            pairs = zip(irrep_names(rep), factors, strict=True)
            blocks = {name: x.blocks[name] * own.astype(x.dtype) for name, own in pairs}
        elif self.per == "field":
            blocks = kind_by_kind(x, times_fields, of_fields(rep, factor))
        else:
            own = join_kinds(rep, split_copies(rep, factor))
            blocks = {
                name: block * own[name].astype(x.dtype)[..., None, :]
                for name, block in x.blocks.items()
            }
        return IrrepTensor(with_invariant(rep, shift, blocks), self.out_type)

    def costs_of_ways(self, rows: int, prices: Machine) -> Ways:
        """See `AbstractLayer`: on arrays the layer turns to irreps and back.

        It does not part them, so that both turns cost what one conversion does (estimated).
        """
        if self.per == "field" or not prices.irreps:
            return Ways(0.0, 0.0)
        launches = prices.launch * len(self._rep.multiplicities)
        return Ways(rows * self._rep.size * prices.convert, launches)

    def _modulation(
        self, scale: ArrayLike | None, bias: ArrayLike | None
    ) -> tuple[Array, Array | None]:
        """Scale and bias, those of the layer or those of the call, checked."""
        if self.learnable:
            if scale is not None or bias is not None:
                raise ValueError(
                    "Affine: scale and bias are parameters of this layer; learnable=False takes "
                    "them at the call"
                )
            scale, bias = self.scale, self.bias
        if scale is None:
            raise ValueError("Affine: scale: expected an array, since learnable=False, got None")
        scale = self._invariant("scale", scale, self.num_scale)
        if bias is not None:
            if self.num_bias == 0:
                raise ValueError(
                    f"Affine: bias: {self.in_type!r} has no trivial irrep, so no bias is "
                    "invariant; pass bias=None"
                )
            bias = self._invariant("bias", bias, self.num_bias)
        return scale, bias

    def _constants(
        self,
    ) -> tuple[tuple[KindPlan, KindPlan] | None, Repeated, KindPlan, float]:
        rep = self._rep
        turns = None
        if self.per != "field":
            turns = coordinates_plan(rep), coordinates_plan(rep, inverse=True)
        return turns, _channel_scales(rep, self.per), _invariant(rep), float(self.residual)

    def _shape_options(self) -> dict[str, Any]:
        return {} if self.learnable else {"scale": jnp.ones((self.num_scale,))}

    def _invariant(self, name: str, value: ArrayLike, size: int) -> Array:
        value = arrays.array(value, "Affine", name)
        if not jnp.issubdtype(value.dtype, jnp.floating):
            raise TypeError(f"Affine: {name}: expected floating numbers, got dtype {value.dtype}")
        if value.ndim == 0 or value.shape[-1] != size:
            raise ValueError(f"Affine: {name}: expected (..., {size}), got {value.shape}")
        return value

    def export(self) -> eqx.nn.Linear | eqx.nn.Conv | Callable[..., Any]:
        """`equinox.nn.Linear` if learnable, else a plain callable ``(x, scale, bias=None)``.

        For fields it is an `equinox.nn.Conv` with one tap.
        """
        if self.scale is None:
            function = plain_function(modulated, *self._constants())
            return plain_on_channels(function, self.in_type)
        eye = jnp.eye(self._rep.size, dtype=self.scale.dtype)
        weight = modulated(*self._constants(), eye, self.scale).T
        bias = None if self.bias is None else invariant_vector(self._rep, self.bias)
        return plain_linear(weight, bias, self.in_type)


def modulated(
    turns: tuple[KindPlan, KindPlan] | None,
    scale_of: Repeated,
    invariant: KindPlan,
    residual: float,
    x: Float[Array, "*batch n"],
    scale: Float[Array, "*scales count"],
    bias: Float[Array, "*biases invariants"] | None = None,
) -> Float[Array, "*out n"]:
    """``Q D Q^T x + Q[:, triv] beta``.

    Args:
        turns: Plans of ``Q^T`` and of ``Q``, see `coordinates_plan`; None if ``D`` is constant on
            whole fields.
        scale_of: Which scale belongs to each channel or coordinate.
        invariant: The plan of ``Q[:, triv]``.
        residual: Added to the scales.
        x: ``(..., n)``.
        scale: ``(..., scales)``.
        bias: ``(..., biases)``, or None.
    """
    dtype = jnp.result_type(x.dtype, scale.dtype)
    factor = take_counted((residual + scale).astype(dtype), scale_of)
    y = x.astype(dtype)
    if turns is None:
        y = y * factor
    else:
        to, back = turns
        y = by_kind(*back, -1, by_kind(*to, -1, y) * factor)
    if bias is None:
        return y
    return y + by_kind(*invariant, -1, bias).astype(dtype)


def _invariant(rep: Representation) -> KindPlan:
    """``beta -> Q[:, triv] beta``, by kinds of fields."""
    side, kinds = hom_basis(trivial(rep.group), rep).layout.out_side, []
    for run in side.runs:
        kinds.append((run.count, run.basis.shape[1], run.basis))
    order = side.copy_orders[0] if side.copy_orders else None
    return turned, kinds, order, side.scatter


def _channel_scales(rep: Representation, per: str) -> Repeated:
    """Which scale belongs to each channel (``"field"``) or spectral coordinate."""
    kinds, rows = list(rep.multiplicities), []
    for summand, count in rep.data:
        sizes = [rep.group.irrep_data(i).size for i in summand.irreps]
        if per == "field":
            rows.append((np.zeros(summand.size), 1, count))
        elif per == "irrep":
            rows.append((np.repeat(np.arange(len(sizes)), sizes), len(sizes), count))
        else:
            rows.append((np.repeat([kinds.index(i) for i in summand.irreps], sizes), 0, count))
    return repeated(rows)
