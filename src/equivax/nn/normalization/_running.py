"""`RunningMoments`: exponentially weighted means and covariances, batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import arrays, flag, number
from ...fields import Type
from ...hom import HomBasis, at_least_float32, hom_basis, to_irreps, trivial_count
from ...representations import Representation, check_same_group, trivial
from ...stats import moment_coefficients
from .._core._admission import parameter_dtype
from .._core._module import AbstractStatefulModule, representation_of
from ._batch import AxisName, checked_axis_name, mean_over, updated
from ._moments import Moments, invariant_mean


class RunningMoments(AbstractStatefulModule):
    """Exponentially weighted moments of jointly invariant data, exact and without start-up bias.

    With ``a_t = a / (1 - (1 - a)^t)``, ``delta`` the batch mean minus the running mean and
    ``C_batch`` the maximum-likelihood covariance of the batch:
    ``C <- (1 - a_t) C + a_t C_batch + a_t (1 - a_t) delta delta^T``,
    ``mean <- mean + a_t delta``. This equals weighting every sample directly. Gradients flow
    through the current batch only.

    Call ``layer(x, state)``, or ``layer(x, state, y=y)`` with an output type.

    Law: the moments do not change if the batch moves.

    Shapes: ``x (..., n_in)``, ``y (..., n_out)``; all leading axes are samples.
    """

    running: eqx.nn.StateIndex
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    momentum: float = eqx.field(static=True)
    axis_name: AxisName = eqx.field(static=True)
    inference: bool

    def __init__(
        self,
        in_type: Type,
        out_type: Type | None = None,
        *,
        momentum: float = 0.1,
        axis_name: AxisName = None,
        inference: bool = False,
        dtype: DTypeLike | None = None,
    ) -> None:
        """Starts without data.

        Args:
            in_type: Type of ``x``.
            out_type: Type of ``y``; default that of ``x``.
            momentum: Weight of the newest batch, in (0, 1].
            axis_name: Named axes of ``vmap`` or ``pmap`` whose samples count as one batch.
            inference: Whether to return the running moments without an update.
            dtype: Of the statistics, float32 at least; JAX's default float if None.

        Raises:
            ValueError: If ``momentum`` is not in (0, 1] or the groups differ.
            TypeError: If an argument is no type.
        """
        name = "RunningMoments"
        out_type = in_type if out_type is None else out_type
        self.in_type = in_type
        self.out_type = out_type
        self.momentum = number(momentum, name, "momentum", maximum=1, above=0)
        self.axis_name = checked_axis_name(axis_name, name)
        self.inference = flag(inference, name, "inference")
        dtype = at_least_float32(parameter_dtype(dtype, name))
        check_same_group(name, *self._reps)
        means = tuple(jnp.zeros((trivial_count(rep),), dtype) for rep in self._reps)
        zeros = tuple(
            {block.name: jnp.zeros(block.shape, dtype) for block in basis.blocks}
            for basis in self._bases
        )
        self.running = eqx.nn.StateIndex((means, zeros, jnp.zeros((), jnp.int32)))

    @property
    def _reps(self) -> tuple[Representation, Representation]:
        return (
            self._rep,
            representation_of(self.out_type, "RunningMoments", "out_type"),
        )

    @property
    def _bases(self) -> tuple[HomBasis, HomBasis, HomBasis]:
        x, y = self._reps
        return hom_basis(x, x), hom_basis(y, y), hom_basis(x, y)

    def _forward(
        self,
        x: Float[Array, "..."],
        state: eqx.nn.State,
        key: PRNGKeyArray | None = None,
        *,
        y: Float[Array, "..."] | None = None,
    ) -> tuple[Moments, eqx.nn.State]:
        means, covariances, count = state.get(self.running)
        y = self._other(x, y)
        if not self.inference:
            means, covariances, count = self._updated(x, y, means, covariances, count)
            new = means, covariances, count
            state = updated("RunningMoments", state, self.running, new)
        return Moments(means, covariances, self.in_type, self.out_type), state

    def _other(self, x: Array, y: object) -> Array:
        """The checked samples of the output type; those of the input if None."""
        if y is None and self.in_type != self.out_type:
            raise ValueError("RunningMoments: y: expected an array of the output type, got None")
        array = x if y is None else arrays.array(y, "RunningMoments", "y")
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(
                f"RunningMoments: y: expected floating numbers, got dtype {array.dtype}"
            )
        shape = (*x.shape[:-1], self._reps[1].size)
        if array.shape != shape:
            raise ValueError(f"RunningMoments: y: expected {shape}, got {array.shape}")
        return array

    def _updated(self, x: Array, y: Array, means: Any, covariances: Any, count: Array) -> Any:
        source, target = self._reps
        dtype = means[0].dtype
        xs = x.reshape(-1, source.size).astype(dtype)
        ys = y.reshape(-1, target.size).astype(dtype)
        samples = xs.shape[0]
        if samples == 0:
            raise ValueError("RunningMoments: x: expected at least one sample, got none")
        share = jnp.full((samples,), 1 / jnp.asarray(samples, dtype), dtype)
        count = count + 1
        rate = self.momentum / (1 - (1 - self.momentum) ** count.astype(dtype))
        # Exactly 1 for the first batch: else its distance from the zeros at the start is counted.
        rate = jnp.where(count == 1, 1.0, rate).astype(dtype)
        # Centred here and not below, since the mean is that of all named axes.
        mean_x, xs = self._centred(source, xs)
        mean_y, ys = self._centred(target, ys)
        batch_means = mean_x, mean_y
        kept_means = jax.lax.stop_gradient(means)
        deltas = tuple(new - old for new, old in zip(batch_means, kept_means, strict=True))
        new_means = tuple(old + rate * delta for old, delta in zip(kept_means, deltas, strict=True))
        pairs = ((xs, xs, 0, 0), (ys, ys, 1, 1), (xs, ys, 0, 1))
        identity = trivial(source.group).irreps[0]
        new_covariances = []
        for basis, old, (left, right, i, o) in zip(self._bases, covariances, pairs, strict=True):
            batch = moment_coefficients(basis, left, right, share, estimator="ml", centered=False)
            new = {}
            for block in basis.blocks:
                kept = jax.lax.stop_gradient(old[block.name])
                value = (1 - rate) * kept + rate * mean_over(self.axis_name, batch[block.name])
                if block.id == identity:
                    cross = deltas[o][:, None] * deltas[i][None, :]
                    value = value + rate * (1 - rate) * cross[..., None]
                new[block.name] = value
            new_covariances.append(new)
        return new_means, tuple(new_covariances), count

    def _centred(self, rep: Representation, samples: Array) -> tuple[Array, Array]:
        """Trivial coordinates of the mean, and the samples without it.

        Twice: the first time leaves the rounding of a large mean.
        """
        total = jnp.zeros((trivial_count(rep),), samples.dtype)
        for _ in range(2):
            mean = mean_over(self.axis_name, _trivial_mean(rep, samples))
            samples = samples - invariant_mean(rep, mean)
            total = total + mean
        return total, samples

    def evaluate_output_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Moments are not an array.

        Raises:
            TypeError: Always.
        """
        raise TypeError("RunningMoments: evaluate_output_shape: the output is Moments, no array")

    def export(self, state: eqx.nn.State) -> NoReturn:
        """Statistics have no plain counterpart.

        Args:
            state: Where the statistics live.

        Raises:
            TypeError: Always; read the moments and use them instead.
        """
        raise TypeError(
            "RunningMoments: export: running statistics are not a layer of Equinox; export the "
            "layers that use them"
        )


def _trivial_mean(rep: Representation, samples: Float[Array, "N n"]) -> Float[Array, " m0"]:
    if trivial_count(rep) == 0:
        return jnp.zeros((0,), samples.dtype)
    name = rep.group.irrep_data(trivial(rep.group).irreps[0]).name
    return to_irreps(rep, samples)[name][..., 0].mean(axis=0)
