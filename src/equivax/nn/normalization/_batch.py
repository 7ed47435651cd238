"""What all batch norms share: running statistics, options, the map at inference, its export.

A batch norm says what it measures, as a value (`Statistics`). When statistics are taken, from which
axes, how they run and which of them are used is written here.
"""

from __future__ import annotations

import abc
import math
import warnings
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypedDict, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import choice, flag, is_flag, is_number, number, refuse
from ...fields import Type
from ...hom import at_least_float32, varying_axes, widened
from ...representations import Representation
from .._core._admission import parameter_dtype
from .._core._channels import along
from .._core._module import AbstractStatefulModule, channel_axis
from ._pointwise_map import plain_map
from ._statistics import Statistics

MODES = ("batch", "ema")

AxisName = Hashable | Sequence[Hashable] | None


def mean_over(axis_name: AxisName, x: Array) -> Array:
    """The mean over named axes of ``vmap`` or ``pmap``, if there are any."""
    return x if axis_name is None else jax.lax.pmean(x, axis_name)  # pyright: ignore[reportArgumentType]


def updated(name: str, state: eqx.nn.State, index: eqx.nn.StateIndex, new: object) -> eqx.nn.State:
    """The state with new statistics, which are those of all devices.

    Raises:
        ValueError: If they are those of one device of a `jax.shard_map`.
    """
    old = state.get(index)
    axes = sorted({*varying_axes(*jax.tree.leaves(new))} - {*varying_axes(*jax.tree.leaves(old))})
    if axes:
        raise ValueError(
            f"{name}: axis_name: every device of the axes {axes} of shard_map has other "
            f"statistics, but they share a state; build the layer with axis_name={axes[0]!r}"
        )
    return state.set(index, jax.lax.stop_gradient(new))


def checked_axis_name(value: object, caller: str) -> AxisName:
    """Named axes of ``vmap``, ``pmap`` or ``shard_map``.

    Raises:
        TypeError: If it is no name, nor a sequence of names.
        ValueError: If there is none in it.
    """
    if value is None:
        return None
    found = tuple(value) if isinstance(value, list) else value
    names = found if isinstance(found, tuple) else (found,)
    takes = "a name or a tuple of names"
    if not all(isinstance(name, str) or _is_label(name) for name in names):
        refuse(TypeError, caller, "axis_name", takes, value)
    if not names:
        refuse(ValueError, caller, "axis_name", takes, value)
    return found


def _is_label(value: object) -> bool:
    """Whether something that is no text can name an axis: JAX takes what is hashable."""
    try:
        hash(value)
    except TypeError:
        return False
    return not (value is None or is_flag(value) or is_number(value))


class BatchNormOptions(TypedDict, total=False):
    """What every batch norm takes by keyword.

    Attributes:
        eps: Added to the variance, positive; default 1e-5.
        momentum: Weight of the **new** statistic in the running one, default 0.1 (Equinox's own
            0.99 is the weight of the old one); None for the plain average over all batches.
        affine: Whether to learn scales (1 at the start) and, where an invariant vector exists and
            means are taken, biases (0 at the start); default True.
        axis_name: Named axes of ``vmap``, ``pmap`` or ``shard_map`` to average over too.
        mode: ``"batch"`` (default) divides in training by the statistics of the batch; ``"ema"`` by
            the just updated running ones.
        track_running_stats: With False there are no running statistics: those of the batch are used
            in training and at inference, and no state is written. Default True.
        inference: Whether to use running statistics; `equinox.nn.inference_mode` sets it.
        dtype: Of the parameters; JAX's default float if None. Statistics have at least float32.
    """

    eps: float
    momentum: float | None
    affine: bool
    axis_name: AxisName
    mode: str
    track_running_stats: bool
    inference: bool
    dtype: DTypeLike | None


class AbstractBatchNorm(AbstractStatefulModule):
    """Interface of batch norms, ``y = (x - mean) w / sqrt(variance + eps) + bias``.

    Statistics are taken over all batch axes, all points and named axes, in at least float32 and in
    two passes (the mean, then squared differences). Gradients flow through those of the batch.
    ``running`` holds ``(means, variances, number of batches)``: 0, 1 and 0 at the start; variances
    there are unbiased, with the factor ``N / (N - 1)`` (1 if ``N = 1``).

    Law: ``f(rho(g) x) = rho(g) f(x)`` if the whole batch moves; at inference for every example.

    Shapes: ``(..., C, *spatial)``, unchanged.

    Attributes:
        weight: One scale per variance, or None.
        bias: Invariant biases, or None.
        running: Where the running statistics live, or None.
        in_type: Type of the input.
        out_type: The same.
        eps: Added to the variance.
        momentum: Weight of the new statistic, or None.
        axis_name: Named axes to average over.
        mode: ``"batch"`` or ``"ema"``.
        correction: 1 if training divides by unbiased variances too.
        inference: Whether running statistics are used.
    """

    weight: Float[Array, " variances"] | None
    bias: Float[Array, " biases"] | None
    running: eqx.nn.StateIndex | None
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    eps: float = eqx.field(static=True)
    momentum: float | None = eqx.field(static=True)
    axis_name: AxisName = eqx.field(static=True)
    mode: str = eqx.field(static=True)
    correction: int = eqx.field(static=True)
    inference: bool

    @property
    @abc.abstractmethod
    def _statistics(self) -> Statistics:
        """What is measured: all that tells one batch norm from another."""

    # ---- construction ------------------------------------------------------------------------

    def _start(
        self,
        in_type: Type,
        options: BatchNormOptions,
        *,
        correction: int = 1,
    ) -> None:
        """Checks the options and sets all fields; called last by ``__init__``."""
        name = type(self).__name__
        known = tuple(BatchNormOptions.__annotations__)
        for option in options:
            if option not in known:
                raise TypeError(f"{name}: unknown option {option!r}; it takes {', '.join(known)}")
        momentum = options.get("momentum", 0.1)
        if momentum is not None:  # the weight of the new statistic
            momentum = number(momentum, name, "momentum", maximum=1, above=0)
        mode = choice(options.get("mode", "batch"), name, "mode", MODES)
        tracked = flag(options.get("track_running_stats", True), name, "track_running_stats")
        if mode == "ema" and not tracked:
            raise ValueError(
                f"{name}: mode: 'ema' divides by running statistics, got track_running_stats=False;"
                " use mode='batch'"
            )
        dtype = parameter_dtype(options.get("dtype"), name)
        affine = flag(options.get("affine", True), name, "affine")
        self.in_type = in_type
        self.out_type = in_type
        means, variances = self._statistics.mean_count, self._statistics.variances.count
        self.weight = jnp.ones((variances,), dtype) if affine else None
        self.bias = jnp.zeros((means,), dtype) if affine and means else None
        kind = at_least_float32(dtype)
        start = (jnp.zeros((means,), kind), jnp.ones((variances,), kind), jnp.zeros((), jnp.int32))
        self.running = eqx.nn.StateIndex(start) if tracked else None
        self.eps = number(options.get("eps", 1e-5), name, "eps", above=0)
        self.momentum = momentum
        self.axis_name = checked_axis_name(options.get("axis_name"), name)
        self.mode = mode
        self.correction = correction
        self.inference = flag(options.get("inference", False), name, "inference")

    # ---- the call ----------------------------------------------------------------------------

    def _forward(
        self, x: Float[Array, "..."], state: eqx.nn.State, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "..."], eqx.nn.State]:
        wide = widened(x)
        axis = channel_axis(self.in_type)
        if self.inference and self.running is not None:
            mean, variance, _ = (value.astype(wide.dtype) for value in self._stored(state))
            return self._normalised(self._without(wide, mean), variance).astype(x.dtype), state
        bessel = self._bessel(x)
        centred, mean, variance = self._statistics.taken(wide, axis, self._average)
        unbiased = variance * jnp.asarray(bessel, variance.dtype)
        if self.correction:
            variance = unbiased
        if self.running is not None and not self.inference:
            new = self._updated(*self._stored(state), mean, unbiased)
            state = updated(type(self).__name__, state, self.running, new)
            if self.mode == "ema":
                mean, variance = (value.astype(wide.dtype) for value in new[:2])
                centred = self._without(wide, mean)
        return self._normalised(centred, variance).astype(x.dtype), state

    def _without(self, x: Array, mean: Array) -> Array:
        """``x - mean``."""
        means = self._statistics.means
        return x if means is None else x - along(means.spread(mean), channel_axis(self.in_type))

    def _normalised(self, centred: Array, variance: Array) -> Array:
        """The output from ``x - mean``."""
        axis = channel_axis(self.in_type)
        y = self._statistics.scaled(centred, self._factors(variance), axis)
        return y if self.bias is None else y + along(self._shift(y.dtype), axis)

    def _shift(self, dtype: DTypeLike) -> Array:
        """The invariant vector of the biases, ``(C,)``."""
        means = self._statistics.means
        if self.bias is None or means is None:
            return jnp.zeros((self._rep.size,), dtype)
        return means.spread(self.bias.astype(dtype))

    def _updated(
        self, mean: Array, variance: Array, count: Array, new_mean: Array, new_variance: Array
    ) -> tuple[Array, Array, Array]:
        """Running statistics after one more batch."""
        kind = mean.dtype
        count = count + 1
        rate = 1 / count.astype(kind) if self.momentum is None else jnp.asarray(self.momentum, kind)
        return (
            (1 - rate) * mean + rate * new_mean.astype(kind),
            (1 - rate) * variance + rate * new_variance.astype(kind),
            count,
        )

    def _bessel(self, x: Array) -> np.ndarray | Array:
        """``N / (N - 1)`` for each variance, 1 where ``N = 1``.

        Raises:
            ValueError: If there is nothing to average.
        """
        axis = x.ndim + channel_axis(self.in_type)
        samples = math.prod(n for i, n in enumerate(x.shape) if i != axis)
        if samples == 0:
            raise ValueError(
                f"{type(self).__name__}: x: expected at least one example and one point to take "
                f"statistics of, got shape {x.shape}"
            )
        if self.axis_name is None:
            if samples == 1 and axis == 0 and self._statistics.means is not None:
                _warn_single(type(self).__name__)
        else:
            samples *= jax.lax.psum(1, cast(Any, self.axis_name))
        vectors = np.asarray(self._statistics.vectors, np.float64)
        if isinstance(samples, int):
            count = samples * vectors
            return count / np.maximum(count - 1, 1)
        # A batch of symbolic size (`jax.export`): its number is known when the program runs.
        wide = jnp.asarray(samples, jnp.float32) * jnp.asarray(vectors, jnp.float32)
        return wide / jnp.maximum(wide - 1, 1)

    def _average(self, values: Array, axes: tuple[int, ...]) -> Array:
        """The mean over some axes and the named ones."""
        return mean_over(self.axis_name, jnp.mean(values, axis=axes))

    def _stored(self, state: eqx.nn.State) -> tuple[Array, Array, Array]:
        name = type(self).__name__
        if self.running is None:
            raise ValueError(
                f"{name}: there are no running statistics, got track_running_stats=False; build it "
                "with track_running_stats=True"
            )
        self._check_state(state, "the equinox.nn.State of the model")
        return state.get(self.running)

    # ---- at inference ------------------------------------------------------------------------

    def inference_map(self, state: eqx.nn.State) -> tuple[Array, Array]:
        """The affine map of the layer at inference, to be folded into a linear layer before it.

        Args:
            state: Where the running statistics live.

        Returns:
            ``(scale, shift)`` with ``y = scale x + shift`` at every point: a scale ``(C,)`` for
            each channel, or a matrix ``(C, C)`` where fields are turned; and a shift ``(C,)``.

        Raises:
            ValueError: If there are no running statistics.
        """
        mean, variance, _ = self._stored(state)
        scale, shift = self._statistics.matrix(self._factors(variance)), self._shift(mean.dtype)
        if self._statistics.means is not None:
            # A matrix acts on invariant vectors as it does on any.
            centre = self._statistics.means.spread(mean)
            moved = (
                scale * centre
                if scale.ndim == 1
                else jnp.matmul(scale, centre, precision="highest")
            )
            shift = shift - moved
        return scale, shift

    def export(self, state: eqx.nn.State) -> eqx.nn.Linear | eqx.nn.Conv:
        """The layer at inference: `equinox.nn.Linear` for vectors, else a 1 x 1 convolution.

        The convolution has one group per channel, or the smallest blocks of channels that hold
        whole fields.

        Args:
            state: Where the running statistics live.

        Raises:
            ValueError: If there are no running statistics.
        """
        scale, shift = self.inference_map(state)
        return plain_map(scale, shift, -1 - channel_axis(self.in_type), self._rep)

    def _factors(self, variance: Array) -> Array:
        """``w / sqrt(v + eps)``, one number per variance."""
        factor = 1 / jnp.sqrt(variance + self.eps)
        return factor if self.weight is None else factor * self.weight.astype(variance.dtype)


def check_fields(
    caller: str,
    rep: Representation,
    admits: Callable[[Representation], bool],
    complaint: str,
    instead: str,
) -> None:
    """Refuses a type with a field that the layer does not take.

    Args:
        caller: Name of the layer.
        rep: Its type.
        admits: Whether a field is taken.
        complaint: What is wrong with a field that is not.
        instead: A layer that would do.

    Raises:
        ValueError: Naming the first such field.
    """
    index = 0
    for field, count in rep.runs:
        if not admits(field):
            raise ValueError(
                f"{caller}: in_type: field {index} ({field.name}) {complaint}; {instead}"
            )
        index += count


def _warn_single(name: str) -> None:
    warnings.warn(
        f"{name}: x: statistics of one vector, its own mean, so that nothing of invariant fields "
        f"is left; give x a batch axis, or under jax.vmap name that axis: nn.{name}(..., "
        "axis_name='batch') with jax.vmap(..., axis_name='batch')",
        UserWarning,
        stacklevel=4,
    )
