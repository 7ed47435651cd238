"""`GNormBatchNorm`: batch normalisation in the coordinates of irreps, for any type."""

from __future__ import annotations

import dataclasses
import functools
from typing import Unpack

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...fields import Type
from ...hom import HIGHEST, trivial_count
from ...representations import Representation
from .._core._fibres import Fibre, fibre_plan, turned
from .._core._module import channel_axis, representation_of
from ._batch import AbstractBatchNorm, BatchNormOptions

SCOPES = ("copy", "type")


@dataclasses.dataclass(frozen=True, eq=False)
class Shares:
    """Where the statistics of equal fields stand.

    Attributes:
        fibre: The fields.
        pooling: ``(size, pools)``: averages coordinates over the pools.
        owner: For each coordinate the number of its pool.
        variances: Position of each variance, ``(fields, pools)``.
        means: Position of each mean, ``(fields, trivial coordinates)``.
    """

    fibre: Fibre
    pooling: np.ndarray
    owner: np.ndarray
    variances: np.ndarray
    means: np.ndarray


@functools.lru_cache(maxsize=512)
def statistics_plan(rep: Representation, per: str) -> tuple[Shares, ...]:
    """One entry per distinct field; positions run over the fields in their order."""
    fibres = fibre_plan(rep).fibres
    owners = [_pools(fibre, per) for fibre in fibres]
    fields = sum(len(fibre.fields) for fibre in fibres)
    pools, means = np.zeros(fields, int), np.zeros(fields, int)
    for fibre, owner in zip(fibres, owners, strict=True):
        pools[fibre.fields] = owner.max() + 1
        means[fibre.fields] = len(fibre.trivial)
    first_pool, first_mean = np.cumsum(pools) - pools, np.cumsum(means) - means
    shares = []
    for fibre, owner in zip(fibres, owners, strict=True):
        member = owner[:, None] == np.arange(owner.max() + 1)
        shares.append(
            Shares(
                fibre=fibre,
                pooling=member / member.sum(axis=0),
                owner=owner,
                variances=_table(first_pool[fibre.fields], int(owner.max()) + 1),
                means=_table(first_mean[fibre.fields], len(fibre.trivial)),
            )
        )
    return tuple(shares)


def _table(starts: np.ndarray, width: int) -> np.ndarray:
    """Rows of consecutive positions; int32, since JAX keeps int64 and int32 indices apart."""
    return (starts[:, None] + np.arange(width)).astype(np.int32)


def _pools(fibre: Fibre, per: str) -> np.ndarray:
    """For each coordinate of a field, the number of the irrep copy or kind that it belongs to."""
    irreps = fibre.summand.irreps
    kinds = list(dict.fromkeys(irreps))
    numbers = range(len(irreps)) if per == "copy" else [kinds.index(i) for i in irreps]
    sizes = [fibre.summand.group.irrep_data(i).size for i in irreps]
    return np.repeat(np.asarray(list(numbers)), sizes)


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
            in_type: Any type.
            per: ``"copy"``, or ``"type"`` for one variance for all copies of an irrep in a field;
                that does not depend on the choice of copies, and is the same where none repeats.
            correction: 0 for the biased variance in training, 1 for ``N / (N - 1)`` times it.
            **options: See `BatchNormOptions`.

        Raises:
            ValueError: For an option out of its range.
            TypeError: For an unknown option, or one of a wrong kind.
        """
        rep = representation_of(in_type, "GNormBatchNorm", "in_type")
        if per not in SCOPES:
            raise ValueError(f"GNormBatchNorm: per: expected 'copy' or 'type', got {per!r}")
        if correction not in (0, 1):
            raise ValueError(f"GNormBatchNorm: correction: expected 0 or 1, got {correction}")
        self.per = per
        trivial = trivial_count(rep)
        self._start(
            in_type,
            means=trivial,
            variances=sum(share.variances.size for share in statistics_plan(rep, per)),
            biases=trivial,
            correction=int(correction),
            options=options,
        )

    @property
    def _plan(self) -> tuple[Shares, ...]:
        return statistics_plan(self._rep, self.per)

    def _coordinates(self, x: Array) -> list[Array]:
        plan = fibre_plan(self._rep)
        pieces = plan.split(x, channel_axis(self.in_type))
        return [
            z if fibre.basis is None else turned(fibre.basis.T, z)
            for fibre, z in zip(plan.fibres, pieces, strict=True)
        ]

    def _statistics(self, values: list[Array]) -> tuple[Array, Array]:
        means, variances = [], []
        for share, z in zip(self._plan, values, strict=True):
            trivial = share.fibre.trivial
            if len(trivial):
                mean = self._average(z[:, :, trivial], (0, 3))
                z = z - _at_coordinates(mean, share)[:, :, None]
                means.append(mean.reshape(-1))
            squares = self._average(z * z, (0, 3))
            pooling = jnp.asarray(share.pooling, z.dtype)
            variances.append(jnp.matmul(squares, pooling, precision=HIGHEST).reshape(-1))
        shares = self._plan
        kept = [share for share in shares if len(share.fibre.trivial)]
        none = jnp.zeros((0,), values[0].dtype)
        return (
            _ordered(means, [s.means for s in kept]) if kept else none,
            _ordered(variances, [s.variances for s in shares]),
        )

    def _normalised(self, values: list[Array], mean: Array, variance: Array, x: Array) -> Array:
        factor = self._factor(variance)
        pieces = []
        for share, z in zip(self._plan, values, strict=True):
            if len(share.fibre.trivial):
                z = z - _at_coordinates(mean[share.means], share)[:, :, None]
            z = z * _spread(factor, share)[:, :, None]
            if self.bias is not None and len(share.fibre.trivial):
                bias = self.bias.astype(z.dtype)[share.means]
                z = z + _at_coordinates(bias, share)[:, :, None]
            pieces.append(z if share.fibre.basis is None else turned(share.fibre.basis, z))
        return fibre_plan(self._rep).join(pieces, x, channel_axis(self.in_type))

    def _applied(self, x: Array, mean: Array, variance: Array) -> Array:
        plan, axis = fibre_plan(self._rep), channel_axis(self.in_type)
        pieces = []
        for share, z in zip(self._plan, plan.split(x, axis), strict=True):
            matrix, shift = self._field_map(share, mean, variance)
            y = z * matrix[:, :, None] if share.fibre.basis is None else turned(matrix, z)
            pieces.append(y + shift[:, :, None] if len(share.fibre.trivial) else y)
        return plan.join(pieces, x, axis)

    def _field_map(self, share: Shares, mean: Array, variance: Array) -> tuple[Array, Array]:
        """``(fields, size, size)``, or ``(fields, size)`` where it is diagonal, and the shift."""
        scale = _spread(self._factor(variance), share)
        shift = jnp.zeros_like(scale)
        if len(share.fibre.trivial):
            shift = -scale * _at_coordinates(mean[share.means], share)
            if self.bias is not None:
                bias = self.bias.astype(scale.dtype)[share.means]
                shift = shift + _at_coordinates(bias, share)
        if share.fibre.basis is None:
            return scale, shift
        basis = jnp.asarray(share.fibre.basis, scale.dtype)
        matrix = jnp.matmul(basis * scale[:, None, :], basis.T, precision=HIGHEST)
        return matrix, jnp.matmul(shift, basis.T, precision=HIGHEST)

    def _affine_map(self, mean: Array, variance: Array) -> tuple[Array, Array]:
        maps = [self._field_map(share, mean, variance) for share in self._plan]
        channels = [share.fibre.channels for share in self._plan]
        size = self._rep.size
        shift = _ordered([m[1].reshape(-1) for m in maps], channels)
        if all(share.fibre.basis is None for share in self._plan):
            return _ordered([m[0].reshape(-1) for m in maps], channels), shift
        dense = jnp.zeros((size, size), shift.dtype)
        for (matrix, _), index in zip(maps, channels, strict=True):
            if matrix.ndim == 2:
                dense = dense.at[index, index].set(matrix)
            else:
                dense = dense.at[index[:, :, None], index[:, None, :]].set(matrix)
        return dense, shift


def _at_coordinates(values: Array, share: Shares) -> Array:
    """``(fields, trivial coordinates)`` as ``(fields, size)``, zero at the others."""
    place = np.zeros((values.shape[-1], share.fibre.summand.size))
    place[np.arange(values.shape[-1]), share.fibre.trivial] = 1.0
    return jnp.matmul(values, jnp.asarray(place, values.dtype), precision=HIGHEST)


def _spread(factor: Array, share: Shares) -> Array:
    """The number of each pool at its coordinates, ``(fields, size)``."""
    return factor[share.variances[:, share.owner]]


def _ordered(values: list[Array], positions: list[np.ndarray]) -> Array:
    """Pieces put to their positions in one vector."""
    joined = values[0] if len(values) == 1 else jnp.concatenate(values)
    order = np.concatenate([p.reshape(-1) for p in positions])
    if np.array_equal(order, np.arange(len(order))):
        return joined
    return joined[np.argsort(order).astype(np.int32)]
