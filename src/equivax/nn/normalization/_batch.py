"""`GNormBatchNorm`: batch normalisation in the coordinates of irreps, for any type."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...hom import (
    at_least_float32,
    from_irreps,
    gather_copies,
    invariant_vector,
    irrep_names,
    scatter_copies,
    to_irreps,
    trivial_count,
)
from ...representations import Representation
from .._affine import Affine
from .._module import AbstractStatefulModule, channel_axis, representation_of
from .._plain import plain_linear
from ._layer import checked_eps

MODES = ("batch", "ema")

AxisName = Hashable | Sequence[Hashable] | None


def mean_over(axis_name: AxisName, x: Array) -> Array:
    """The mean over named axes of ``vmap`` or ``pmap``, if there are any."""
    return x if axis_name is None else jax.lax.pmean(x, axis_name)  # pyright: ignore[reportArgumentType]


class GNormBatchNorm(AbstractStatefulModule):
    """One mean per trivial coordinate and one variance per irrep copy, over the batch.

    ``y = sum_k w_k P_k (x - T mu) / sqrt(v_k + eps) + T beta`` with ``P_k`` the projector on copy
    ``k`` and ``T`` the invariant unit vectors (Weiler and Cesa 2019; Ioffe and Szegedy 2015).
    In training it divides by the statistics of the batch, and gradients flow through them; at
    inference by running ones, which live in `equinox.nn.State`.

    Law: ``f(rho(g) x) = rho(g) f(x)`` if the whole batch moves; at inference for every example.

    Shapes: ``(..., n) -> (..., n)``; every axis but the channels is a batch axis.
    """

    affine: Affine | None
    running: eqx.nn.StateIndex
    in_type: Any = eqx.field(static=True)
    out_type: Any = eqx.field(static=True)
    eps: float = eqx.field(static=True)
    momentum: float | None = eqx.field(static=True)
    axis_name: AxisName = eqx.field(static=True)
    mode: str = eqx.field(static=True)
    correction: int = eqx.field(static=True)
    inference: bool

    def __init__(
        self,
        in_type: Any,
        *,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        axis_name: AxisName = None,
        mode: str = "batch",
        correction: int = 0,
        inference: bool = False,
        dtype: Any = None,
    ) -> None:
        """Starts with scales 1, biases 0, running mean 0 and running variance 1.

        Args:
            in_type: Any type.
            eps: Added to the variance, positive.
            momentum: Weight of the new statistic (Equinox's own 0.99 is that of the old one); None
                for the plain average over all batches.
            affine: Whether to learn one scale per irrep copy and an invariant bias.
            axis_name: Named axes of ``vmap`` or ``pmap`` to average over too.
            mode: ``"batch"``, or ``"ema"`` to divide by the just updated running statistics.
            correction: 0 for the biased variance in training, 1 for ``N / (N - 1)`` times it.
            inference: Whether to use running statistics; `equinox.nn.inference_mode` sets it.
            dtype: Of the parameters; JAX's default float if None.

        Raises:
            ValueError: For an unknown option.
        """
        rep = representation_of(in_type, "GNormBatchNorm", "in_type")
        if mode not in MODES:
            raise ValueError(f"GNormBatchNorm: mode: expected 'batch' or 'ema', got {mode!r}")
        if momentum is not None and not 0 < momentum <= 1:
            raise ValueError(
                f"GNormBatchNorm: momentum: expected in (0, 1] or None, got {momentum}"
            )
        if correction not in (0, 1):
            raise ValueError(f"GNormBatchNorm: correction: expected 0 or 1, got {correction}")
        self.eps = checked_eps("GNormBatchNorm", eps)
        self.affine = Affine(in_type, dtype=dtype) if affine else None
        kind = at_least_float32(jnp.result_type(float) if dtype is None else dtype)
        self.running = eqx.nn.StateIndex(
            (
                jnp.zeros((trivial_count(rep),), kind),
                jnp.ones((len(rep.irreps),), kind),
                jnp.zeros((), jnp.int32),
            )
        )
        self.in_type = in_type
        self.out_type = in_type
        self.momentum = momentum
        self.axis_name = axis_name
        self.mode = mode
        self.correction = correction
        self.inference = inference

    def _forward(
        self, x: Float[Array, "..."], state: eqx.nn.State, key: Any = None
    ) -> tuple[Float[Array, "..."], eqx.nn.State]:
        rep = representation_of(self.in_type, "GNormBatchNorm", "in_type")
        axis = channel_axis(self.in_type)
        moved = jnp.moveaxis(x, axis, -1)
        coordinates = to_irreps(rep, moved.astype(at_least_float32(x.dtype)))
        mean, variance, count = state.get(self.running)
        if not self.inference:
            batch_mean, batch_variance, size = self._statistics(rep, coordinates)
            unbiased = batch_variance * (size / jnp.maximum(size - 1, 1))
            count = count + 1
            weight = (1 / count).astype(mean.dtype) if self.momentum is None else self.momentum
            mean = (1 - weight) * mean + weight * batch_mean.astype(mean.dtype)
            variance = (1 - weight) * variance + weight * unbiased.astype(variance.dtype)
            frozen = jax.lax.stop_gradient((mean, variance, count))
            state = state.set(self.running, frozen)
            if self.mode == "batch":
                mean = batch_mean
                variance = unbiased if self.correction else batch_variance
        normed = self._normed(rep, coordinates, mean, variance)
        y = jnp.moveaxis(from_irreps(rep, normed).astype(x.dtype), -1, axis)
        return (y if self.affine is None else self.affine(y)), state

    def _statistics(
        self, rep: Representation, coordinates: dict[str, Array]
    ) -> tuple[Array, Array, Array]:
        """Trivial means, variances per copy (two passes) and the number of vectors."""
        names, dtype = irrep_names(rep), next(iter(coordinates.values())).dtype
        lead = next(iter(coordinates.values())).ndim - 2
        axes = tuple(range(lead))
        if not all(next(iter(coordinates.values())).shape[:lead]):
            raise ValueError("GNormBatchNorm: x: expected at least one vector to average, got none")
        size = jnp.asarray(math.prod(next(iter(coordinates.values())).shape[:lead]), dtype)

        def average(v: Array) -> Array:
            return mean_over(self.axis_name, jnp.mean(v, axis=axes))

        if self.axis_name is not None:
            size = jax.lax.psum(size, self.axis_name)  # pyright: ignore
        means = jnp.zeros((0,), dtype)
        squares = {}
        for index, name in enumerate(names):
            v = coordinates[name]
            if index == 0 and trivial_count(rep):
                means = average(v[..., 0])
                v = v - means[:, None]
            squares[name] = average(jnp.mean(v * v, axis=-1))
        return means, scatter_copies(rep, squares), size

    def _normed(
        self, rep: Representation, coordinates: dict[str, Array], mean: Array, variance: Array
    ) -> dict[str, Array]:
        spread = gather_copies(rep, variance)
        normed = {}
        for index, name in enumerate(irrep_names(rep)):
            v = coordinates[name]
            if index == 0 and trivial_count(rep):
                v = v - mean.astype(v.dtype)[:, None]
            normed[name] = v / jnp.sqrt(spread[name].astype(v.dtype) + self.eps)[:, None]
        return normed

    def export(self, state: eqx.nn.State) -> eqx.nn.Linear:
        """The layer at inference as `equinox.nn.Linear`, with the running statistics folded in.

        Args:
            state: Where the running statistics live.
        """
        rep = representation_of(self.in_type, "GNormBatchNorm", "in_type")
        mean, variance, _ = state.get(self.running)
        scale = 1 / jnp.sqrt(variance + self.eps)
        bias = jnp.zeros((rep.size,), variance.dtype)
        shift = invariant_vector(rep, mean) if trivial_count(rep) else bias
        if self.affine is not None and self.affine.scale is not None:
            scale = scale * self.affine.scale
            if self.affine.bias is not None:
                bias = invariant_vector(rep, self.affine.bias)
        columns = jnp.asarray(rep.change_of_basis, scale.dtype)
        sizes = [rep.group.irrep_data(i).size for i in rep.irreps]
        repeated = jnp.repeat(scale, jnp.asarray(sizes), total_repeat_length=rep.size)
        highest = jax.lax.Precision.HIGHEST
        weight = jnp.matmul(columns * repeated, columns.T, precision=highest)
        return plain_linear(weight, bias - jnp.matmul(weight, shift, precision=highest))
