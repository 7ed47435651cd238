"""Batch norms with one variance per field: every field is scaled as a whole.

Averages over batch and points leave one number per channel; only those are pooled over the
channels of a field, so activations are never rearranged.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from typing import Any, Unpack

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.sparse.csgraph import connected_components

from ...fields import Type
from ...hom import invariant_vector, trivial_count
from ...representations import Representation
from .._core._channels import field_sizes
from .._core._module import channel_axis, representation_of
from ._batch import AbstractBatchNorm, BatchNormOptions, check_fields

VARIANCES = ("about_channel_means", "about_invariant_mean")


@dataclasses.dataclass(frozen=True, eq=False)
class Pools:
    """Which channels share a statistic.

    Attributes:
        index: For each channel, the number of its pool.
        sizes: Number of channels of each pool.
        width: The size of all pools, if they are equal and contiguous.
    """

    index: np.ndarray
    sizes: np.ndarray
    width: int | None

    def mean(self, values: Float[Array, " n"]) -> Float[Array, " pools"]:
        """The average over each pool."""
        if self.width is not None:
            return values.reshape(-1, self.width).mean(axis=-1)
        sums = jax.ops.segment_sum(values, self.index, len(self.sizes))
        return sums / jnp.asarray(self.sizes, values.dtype)

    def spread(self, values: Float[Array, " pools"]) -> Float[Array, " n"]:
        """The value of each pool at its channels."""
        if self.width is not None:
            return jnp.repeat(values, self.width, total_repeat_length=len(self.index))
        return values[self.index]


@functools.lru_cache(maxsize=1024)
def channel_pools(rep: Representation, per_orbit: bool = False) -> Pools:
    """One pool per field, or per orbit of channels."""
    pieces, start = [], 0
    for summand, count in rep.data:
        local = _orbits(summand) if per_orbit else np.zeros(summand.size, np.int64)
        number = int(local.max()) + 1
        copies = start + number * np.arange(count)
        pieces.append((copies[:, None] + local).reshape(-1))
        start += number * count
    index = np.concatenate(pieces).astype(np.int32)
    sizes = np.bincount(index)
    equal = (sizes == sizes[0]).all() and (np.diff(index) >= 0).all()
    for array in (index, sizes):
        array.setflags(write=False)
    return Pools(index, sizes, int(sizes[0]) if equal else None)


def _orbits(summand: Any) -> np.ndarray:
    """Number of the orbit of each channel of a permutation representation."""
    group = summand.group
    elements = group.testing_elements if group.order is None else group.generators
    if not elements:
        return np.arange(summand.size)
    matrices = summand.evaluate(np.asarray([g.coordinates for g in elements]))
    labels = connected_components(np.abs(matrices).sum(axis=0) > 0.5, directed=False)[1]
    first = {label: i for i, label in enumerate(dict.fromkeys(labels.tolist()))}
    return np.array([first[label] for label in labels.tolist()])


class AbstractPooledBatchNorm(AbstractBatchNorm):
    """Interface of batch norms that scale whole fields."""

    @property
    @abc.abstractmethod
    def _pools(self) -> Pools:
        """Which channels share a variance."""

    @abc.abstractmethod
    def _means(self, channel_means: Array) -> Array:
        """Means that are kept, from those of the channels."""

    @abc.abstractmethod
    def _invariant(self, coefficients: Array) -> Array:
        """The invariant vector ``(C,)`` of means, or of biases."""

    @property
    def _means_are_kept(self) -> bool:
        return True

    @property
    def _about_channel_means(self) -> bool:
        return False

    def _coordinates(self, x: Array) -> Array:
        return x

    def _statistics(self, values: Array) -> tuple[Array, Array]:
        channels = values.ndim + channel_axis(self.in_type)
        axes = tuple(i for i in range(values.ndim) if i != channels)
        if self._means_are_kept:
            channel_means = self._average(values, axes)
            mean = self._means(channel_means)
            centre = channel_means if self._about_channel_means else self._invariant(mean)
            values = values - self._at_channels(centre)
        else:
            mean = jnp.zeros((0,), values.dtype)
        return mean, self._pools.mean(self._average(values * values, axes))

    def _normalised(self, values: Array, mean: Array, variance: Array, x: Array) -> Array:
        return self._applied(values, mean, variance)

    def _applied(self, x: Array, mean: Array, variance: Array) -> Array:
        if self._means_are_kept:
            x = x - self._at_channels(self._invariant(mean))
        y = x * self._at_channels(self._pools.spread(self._factor(variance)))
        if self.bias is None:
            return y
        return y + self._at_channels(self._invariant(self.bias.astype(x.dtype)))

    def _affine_map(self, mean: Array, variance: Array) -> tuple[Array, Array]:
        scale = self._pools.spread(self._factor(variance))
        shift = jnp.zeros_like(scale)
        if self._means_are_kept:
            shift = shift - scale * self._invariant(mean)
        if self.bias is not None:
            shift = shift + self._invariant(self.bias.astype(scale.dtype))
        return scale, shift

    def _at_channels(self, values: Array) -> Array:
        """``(C,)`` as ``(C, 1, ...)``, to meet arrays with spatial axes."""
        return values.reshape(-1, *(1,) * (-1 - channel_axis(self.in_type)))


class InnerBatchNorm(AbstractPooledBatchNorm):
    """One mean and one variance per field of permuted channels (Cohen and Welling 2016).

    ``y = w (x - mean) / sqrt(variance + eps) + b`` with statistics over batch, points and the
    channels of a field; ``w`` and ``b`` one per field. Training divides by the biased variance.

    Law: ``f(rho(g) x) = rho(g) f(x)`` if the whole batch moves; at inference for every example.

    Shapes: ``(..., C, *spatial)``, unchanged; every axis but the channels and the points is batch.

    Examples:
        >>> import equinox as eqx, equivax as evx, jax.numpy as jnp
        >>> space = evx.spaces.rot_on_r2(4)
        >>> type_ = evx.FieldType(space, 2 * space.regular)
        >>> layer, state = eqx.nn.make_with_state(evx.nn.InnerBatchNorm)(type_)
        >>> y, state = layer(jnp.ones((16, 8, 5, 5)), state)
        >>> y.shape
        (16, 8, 5, 5)
    """

    per_orbit: bool = eqx.field(static=True)

    def __init__(
        self, in_type: Type, *, per_orbit: bool = False, **options: Unpack[BatchNormOptions]
    ) -> None:
        """Starts with scales 1 and biases 0.

        Args:
            in_type: A type whose fields are permutation representations.
            per_orbit: Whether each orbit of channels has statistics, a scale and a bias of its
                own; that matters in fields that are sums of permutation representations.
            **options: See `BatchNormOptions`.

        Raises:
            ValueError: If a field is not a permutation representation, or for an option out of
                its range.
            TypeError: For an unknown option, or one of a wrong kind.
        """
        rep = representation_of(in_type, "InnerBatchNorm", "in_type")
        check_fields(
            "InnerBatchNorm",
            rep,
            lambda field: field.is_permutation,
            f"is not permuted by {rep.group.name}, so its channels share no mean",
            "nn.GNormBatchNorm and nn.IIDBatchNorm take any field",
        )
        if not isinstance(per_orbit, bool):
            raise TypeError(f"InnerBatchNorm: per_orbit: expected True or False, got {per_orbit!r}")
        self.per_orbit = per_orbit
        n = len(channel_pools(rep, per_orbit).sizes)
        self._start(in_type, means=n, variances=n, biases=n, correction=0, options=options)

    @property
    def _pools(self) -> Pools:
        return channel_pools(self._rep, self.per_orbit)

    @property
    def _multiplicity(self) -> Any:
        return self._pools.sizes

    def _means(self, channel_means: Array) -> Array:
        return self._pools.mean(channel_means)

    def _invariant(self, coefficients: Array) -> Array:
        return self._pools.spread(coefficients)


class NormBatchNorm(AbstractPooledBatchNorm):
    """Divides each field by its root mean square norm; no mean is taken (Worrall et al. 2017).

    ``y = w x / sqrt(v + eps)`` with ``v = mean |x|^2 / size`` times ``N / (N - 1)``, ``N`` the
    number of points of the batch; ``w`` one per field. For fields without invariant vectors, whose
    mean vanishes for symmetric data.

    Law: ``f(rho(g) x) = rho(g) f(x)`` if the whole batch moves; at inference for every example.

    Shapes: ``(..., C, *spatial)``, unchanged.
    """

    def __init__(self, in_type: Type, **options: Unpack[BatchNormOptions]) -> None:
        """Starts with scales 1.

        Args:
            in_type: A type whose fields contain no trivial irrep.
            **options: See `BatchNormOptions`.

        Raises:
            ValueError: If a field contains the trivial irrep, or for an option out of its range.
            TypeError: For an unknown option, or one of a wrong kind.
        """
        rep = representation_of(in_type, "NormBatchNorm", "in_type")
        _check_no_invariants("NormBatchNorm", rep)
        fields = len(field_sizes(rep))
        self._start(in_type, means=0, variances=fields, biases=0, correction=1, options=options)

    @property
    def _pools(self) -> Pools:
        return channel_pools(self._rep)

    @property
    def _means_are_kept(self) -> bool:
        return False

    def _means(self, channel_means: Array) -> Array:
        return channel_means[:0]

    def _invariant(self, coefficients: Array) -> Array:
        return jnp.zeros((self._rep.size,), coefficients.dtype)


class InducedNormBatchNorm(AbstractPooledBatchNorm):
    """`NormBatchNorm` of induced fields, whose subfields are permuted and turned inside.

    ``v`` is the mean over batch, points and subfields of ``|sub|^2 / size of sub`` times
    ``N / (N - 1)``, ``N`` the number of all these subfields (Weiler and Cesa 2019, section 2.6).

    Law: ``f(rho(g) x) = rho(g) f(x)`` if the whole batch moves; at inference for every example.

    Shapes: ``(..., C, *spatial)``, unchanged.
    """

    subfields: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, in_type: Type, **options: Unpack[BatchNormOptions]) -> None:
        """Starts with scales 1.

        Args:
            in_type: A type whose fields are made by ``induced`` and contain no trivial irrep.
            **options: See `BatchNormOptions`.

        Raises:
            ValueError: If a field is not induced or contains the trivial irrep, or for an option
                out of its range.
            TypeError: For an unknown option, or one of a wrong kind.
        """
        rep = representation_of(in_type, "InducedNormBatchNorm", "in_type")
        check_fields(
            "InducedNormBatchNorm",
            rep,
            lambda field: field.induced_from is not None,
            "is not an induced representation, so it has no subfields",
            "nn.NormBatchNorm takes fields of any kind without trivial irreps",
        )
        _check_no_invariants("InducedNormBatchNorm", rep)
        counts = [(s.size // s.induced_from[1].size, n) for s, n in rep.data if s.induced_from]
        self.subfields = tuple(k for k, n in counts for _ in range(n))
        fields = len(self.subfields)
        self._start(in_type, means=0, variances=fields, biases=0, correction=1, options=options)

    @property
    def _pools(self) -> Pools:
        return channel_pools(self._rep)

    @property
    def _multiplicity(self) -> Any:
        return np.asarray(self.subfields)

    @property
    def _means_are_kept(self) -> bool:
        return False

    def _means(self, channel_means: Array) -> Array:
        return channel_means[:0]

    def _invariant(self, coefficients: Array) -> Array:
        return jnp.zeros((self._rep.size,), coefficients.dtype)


class IIDBatchNorm(AbstractPooledBatchNorm):
    """One invariant mean and one variance per field, as if its channels were alike.

    ``y = w (x - P mean) / sqrt(v + eps) + T beta`` with ``P`` the projector on invariant vectors,
    ``T`` their unit vectors and ``v`` the trace of the unbiased covariance over the size (Cesa,
    Lang and Weiler 2022); ``w`` one per field, ``beta`` one per trivial irrep.

    Law: ``f(rho(g) x) = rho(g) f(x)`` if the whole batch moves; at inference for every example.

    Shapes: ``(..., C, *spatial)``, unchanged.
    """

    variance: str = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        *,
        variance: str = "about_channel_means",
        **options: Unpack[BatchNormOptions],
    ) -> None:
        """Starts with scales 1 and biases 0.

        Args:
            in_type: Any type.
            variance: ``"about_channel_means"`` for the mean of the variances of the channels;
                ``"about_invariant_mean"`` for that of squared distances from ``P mean``, which
                counts a mean of the data that is not invariant, too.
            **options: See `BatchNormOptions`.

        Raises:
            ValueError: For an option out of its range.
            TypeError: For an unknown option, or one of a wrong kind.
        """
        rep = representation_of(in_type, "IIDBatchNorm", "in_type")
        if variance not in VARIANCES:
            raise ValueError(
                f"IIDBatchNorm: variance: expected one of {', '.join(VARIANCES)}, got {variance!r}"
            )
        self.variance = variance
        fields, trivial = len(field_sizes(rep)), trivial_count(rep)
        self._start(
            in_type,
            means=trivial,
            variances=fields,
            biases=trivial,
            correction=1,
            options=options,
        )

    @property
    def _pools(self) -> Pools:
        return channel_pools(self._rep)

    @property
    def _about_channel_means(self) -> bool:
        return self.variance == "about_channel_means"

    def _means(self, channel_means: Array) -> Array:
        # Columns of T are orthonormal: the coordinates of a vector are the transpose of T.
        like = jax.ShapeDtypeStruct((trivial_count(self._rep),), channel_means.dtype)
        return jax.linear_transpose(self._invariant, like)(channel_means)[0]

    def _invariant(self, coefficients: Array) -> Array:
        return invariant_vector(self._rep, coefficients)


def _check_no_invariants(caller: str, rep: Representation) -> None:
    check_fields(
        caller,
        rep,
        lambda field: not field.contains_trivial,
        "contains the trivial irrep, so its mean does not vanish",
        "nn.GNormBatchNorm takes any field and subtracts means",
    )
