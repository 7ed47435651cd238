"""`Affine`: one scale per irrep copy and an invariant bias, learnable or given from outside."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...fields import Type
from ...hom import (
    from_irreps,
    gather_copies,
    invariant_vector,
    irrep_names,
    to_irreps,
    trivial_count,
)
from ...representations import Representation
from .._core._module import AbstractModule, on_channels, representation_of
from .._core._plain import plain_function, plain_linear, plain_on_channels

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
        dtype: Any = None,
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
            ValueError: For an unknown ``per``.
            TypeError: If ``in_type`` is no type.
        """
        rep = representation_of(in_type, "Affine", "in_type")
        if per not in SCOPES:
            raise ValueError(f"Affine: per: expected one of {', '.join(SCOPES)}, got {per!r}")
        self.in_type = in_type
        self.out_type = in_type
        self.learnable = learnable
        self.residual = residual
        self.per = per
        dtype = jnp.result_type(float) if dtype is None else dtype
        self.scale = None
        self.bias = None
        if learnable:
            self.scale = (jnp.zeros if residual else jnp.ones)((self.num_scale,), dtype)
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
        self, x: Float[Array, "..."], key: Any = None, *, scale: Any = None, bias: Any = None
    ) -> Float[Array, "..."]:
        if self.learnable:
            if scale is not None or bias is not None:
                raise ValueError(
                    "Affine: scale and bias are parameters of this layer; learnable=False takes "
                    "them at the call"
                )
            scale, bias = self.scale, self.bias
        elif scale is None:
            raise ValueError("Affine: scale: expected an array, since learnable=False, got None")
        scale = self._invariant("scale", scale, self.num_scale)
        if bias is not None:
            if self.num_bias == 0:
                raise ValueError(
                    f"Affine: bias: {self.in_type!r} has no trivial irrep, so no bias is "
                    "invariant; pass bias=None"
                )
            bias = self._invariant("bias", bias, self.num_bias)
        dtype = jnp.result_type(x.dtype, scale.dtype)
        factor = (1 + scale if self.residual else scale).astype(dtype)

        def act(v: Array) -> Array:
            y = _scaled(self._rep, v.astype(dtype), factor, self.per)
            return y if bias is None else y + invariant_vector(self._rep, bias).astype(dtype)

        return on_channels(act, x, self.in_type)

    def _shape_options(self) -> dict[str, Any]:
        return {} if self.learnable else {"scale": jnp.ones((self.num_scale,))}

    def _invariant(self, name: str, value: Any, size: int) -> Array:
        value = jnp.asarray(value)
        if value.ndim == 0 or value.shape[-1] != size:
            raise ValueError(f"Affine: {name}: expected (..., {size}), got {value.shape}")
        return value

    def export(self) -> Any:
        """`equinox.nn.Linear` if learnable, else a plain callable ``(x, scale, bias=None)``.

        For fields it is an `equinox.nn.Conv` with one tap.
        """
        rep = self._rep
        if self.learnable:
            assert self.scale is not None
            factor = 1 + self.scale if self.residual else self.scale
            eye = jnp.eye(rep.size, dtype=self.scale.dtype)
            weight = _scaled(rep, eye, factor, self.per).T
            dense_bias = None if self.bias is None else invariant_vector(rep, self.bias)
            return plain_linear(weight, dense_bias, self.in_type)
        columns = np.asarray(rep.change_of_basis)
        if self.per == "field":
            columns = np.eye(rep.size)
        repeat = np.zeros((self.num_scale, rep.size))
        for index, channel in enumerate(_channel_scales(rep, self.per)):
            repeat[channel, index] = 1.0
        bias_basis = np.zeros((0, rep.size))
        if self.num_bias:
            eye = jnp.eye(self.num_bias, dtype=jnp.result_type(float))
            bias_basis = np.asarray(invariant_vector(rep, eye))
        arrays = [jnp.asarray(a, jnp.result_type(float)) for a in (columns, repeat, bias_basis)]
        film = plain_function(_film, float(self.residual), *arrays)
        return plain_on_channels(film, self.in_type)


def _scaled(
    rep: Representation,
    x: Float[Array, "*batch n"],
    scale: Float[Array, "*scales count"],
    per: str,
) -> Float[Array, "*out n"]:
    """``Q D Q^T x`` through the small changes of basis of the summands."""
    if per == "field":
        return x * scale[..., _channel_scales(rep, per)]
    leading = jnp.broadcast_shapes(x.shape[:-1], scale.shape[:-1])
    coordinates = to_irreps(rep, x)
    if per == "type":
        factors = {n: scale[..., i : i + 1] for i, n in enumerate(irrep_names(rep))}
    else:
        factors = gather_copies(rep, scale)
    scaled = {n: coordinates[n] * factors[n][..., None] for n in coordinates}
    scaled = {n: jnp.broadcast_to(v, leading + v.shape[-2:]) for n, v in scaled.items()}
    return from_irreps(rep, scaled)


def _channel_scales(rep: Representation, per: str) -> np.ndarray:
    """Which scale belongs to each channel (``"field"``) or spectral coordinate."""
    if per == "field":
        sizes = [summand.size for summand, count in rep.data for _ in range(count)]
        return np.repeat(np.arange(len(sizes)), sizes)
    sizes = [rep.group.irrep_data(i).size for i in rep.irreps]
    if per == "irrep":
        return np.repeat(np.arange(len(sizes)), sizes)
    kinds = list(rep.multiplicities)
    return np.repeat([kinds.index(i) for i in rep.irreps], sizes)


def _film(residual, columns, repeat, bias_basis, x, scale, bias=None):
    factor = jnp.matmul(residual + scale, repeat, precision="highest")
    moved = jnp.matmul(x, columns, precision="highest") * factor
    y = jnp.matmul(moved, columns.T, precision="highest")
    if bias is None:
        return y
    return y + jnp.matmul(bias, bias_basis, precision="highest")
