"""The batch norms: what each of them takes, and the `Statistics` that it measures."""

from __future__ import annotations

from typing import Unpack

import equinox as eqx

from ..._arguments import choice, flag, integer
from ...fields import Type
from ...representations import Representation
from .._core._module import representation_of
from ._batch import AbstractBatchNorm, BatchNormOptions, check_fields
from ._statistics import (
    Statistics,
    statistics_of_fields,
    statistics_of_irreps,
    statistics_of_permuted_fields,
)

VARIANCES = ("about_channel_means", "about_invariant_mean")
SCOPES = ("copy", "type")


class InnerBatchNorm(AbstractBatchNorm):
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
        self.per_orbit = flag(per_orbit, "InnerBatchNorm", "per_orbit")
        self._start(in_type, options, correction=0)

    @property
    def _statistics(self) -> Statistics:
        return statistics_of_permuted_fields(self._rep, self.per_orbit)


class NormBatchNorm(AbstractBatchNorm):
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
        self._start(in_type, options)

    @property
    def _statistics(self) -> Statistics:
        return statistics_of_fields(self._rep)


class InducedNormBatchNorm(AbstractBatchNorm):
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
        self._start(in_type, options)

    @property
    def _statistics(self) -> Statistics:
        return statistics_of_fields(self._rep, vectors=self.subfields)


class IIDBatchNorm(AbstractBatchNorm):
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
            in_type: A type of any fields.
            variance: ``"about_channel_means"`` for the mean of the variances of the channels;
                ``"about_invariant_mean"`` for that of squared distances from ``P mean``, which
                counts a mean of the data that is not invariant, too.
            **options: See `BatchNormOptions`.

        Raises:
            ValueError: For an option out of its range.
            TypeError: For an unknown option, or one of a wrong kind.
        """
        representation_of(in_type, "IIDBatchNorm", "in_type")
        self.variance = choice(variance, "IIDBatchNorm", "variance", VARIANCES)
        self._start(in_type, options)

    @property
    def _statistics(self) -> Statistics:
        return statistics_of_fields(
            self._rep, means=True, about_channel_means=self.variance == VARIANCES[0]
        )


class GNormBatchNorm(AbstractBatchNorm):
    """One mean per trivial coordinate and one variance per irrep copy, of each field.

    ``y = sum_k w_k P_k (x - T mu) / sqrt(v_k + eps) + T beta`` with ``P_k`` the projector on copy
    ``k`` of an irrep and ``T`` the invariant unit vectors (Weiler and Cesa 2019, section 2.6; Ioffe
    and Szegedy 2015). Variances and scales are in the order of ``rep.irreps``, means and biases in
    that of its trivial irreps.

    Law: ``f(rho(g) x) = rho(g) f(x)`` if the whole batch moves; at inference for every example.

    Shapes: ``(..., C, *spatial)``, unchanged; every axis but the channels and the points is batch.
    """

    per: str = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        *,
        per: str = "copy",
        correction: int = 0,
        **options: Unpack[BatchNormOptions],
    ) -> None:
        """Starts with scales 1 and biases 0.

        Args:
            in_type: A type of any fields.
            per: ``"copy"``, or ``"type"`` for one variance for all copies of an irrep in a field;
                that does not depend on the choice of copies, and is the same where none repeats.
            correction: 0 for the biased variance in training, 1 for ``N / (N - 1)`` times it.
            **options: See `BatchNormOptions`.

        Raises:
            ValueError: For an option out of its range.
            TypeError: For an unknown option, or one of a wrong kind.
        """
        representation_of(in_type, "GNormBatchNorm", "in_type")
        self.per = choice(per, "GNormBatchNorm", "per", SCOPES)
        correction = integer(correction, "GNormBatchNorm", "correction", 0, 1)
        self._start(in_type, options, correction=correction)

    @property
    def _statistics(self) -> Statistics:
        return statistics_of_irreps(self._rep, self.per)


def _check_no_invariants(caller: str, rep: Representation) -> None:
    check_fields(
        caller,
        rep,
        lambda field: not field.contains_trivial,
        "contains the trivial irrep, so its mean does not vanish",
        "nn.GNormBatchNorm takes any field and subtracts means",
    )
