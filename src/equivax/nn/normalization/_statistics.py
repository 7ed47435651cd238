"""What a batch norm measures: which means, and which variances of which channels.

Averages over batch and points leave one number per channel. The rest happens on those: a
`Statistics` says which means are kept, what squares are taken of, and which of them share a
variance.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.sparse.csgraph import connected_components

from ...hom import invariant_vector, shape_like, trivial_count
from ...representations import Representation, Summand
from .._core._channels import Repeated, along, counted, repeated, take_counted
from .._core._fibres import fibre_plan, turned


@dataclasses.dataclass(frozen=True, eq=False)
class Pools:
    """Which channels share a number.

    Attributes:
        count: How many there are.
        index: For each channel, the number of its pool.
        sizes: Number of channels of each pool of a field, and how many such fields, in runs.
        width: The size of all pools, if they are equal and contiguous.
    """

    count: int
    index: Repeated
    sizes: tuple[tuple[np.ndarray, int], ...]
    width: int | None

    def mean(self, values: Float[Array, " n"]) -> Float[Array, " pools"]:
        """The average over each pool."""
        if self.width is not None:
            return values.reshape(-1, self.width).mean(axis=-1)
        sums = jax.ops.segment_sum(values, counted(self.index), self.count)
        sizes = [jnp.tile(size.astype(values.dtype), count) for size, count in self.sizes]
        return sums / jnp.concatenate(sizes)

    def spread(self, values: Float[Array, " pools"]) -> Float[Array, " n"]:
        """The value of each pool at its channels."""
        if self.width is not None:
            return jnp.repeat(values, self.width, total_repeat_length=self.count * self.width)
        return take_counted(values, self.index)


@dataclasses.dataclass(frozen=True)
class Invariants:
    """Means as `Pools` are, of the trivial irreps of a type.

    Attributes:
        rep: The type.
    """

    rep: Representation

    @property
    def count(self) -> int:
        """How many there are."""
        return trivial_count(self.rep)

    def mean(self, values: Float[Array, " n"]) -> Float[Array, " trivial"]:
        """The trivial coordinates of a vector."""
        # Their unit vectors are orthonormal: the coordinates are the transpose of `spread`.
        like = shape_like((self.count,), values)
        return jax.linear_transpose(self.spread, like)(values)[0]

    def spread(self, values: Float[Array, " trivial"]) -> Float[Array, " n"]:
        """The invariant vector with given coordinates."""
        return invariant_vector(self.rep, values)


@dataclasses.dataclass(frozen=True, eq=False)
class Statistics:
    """What a batch norm takes of a batch.

    Attributes:
        rep: Its type.
        means: What is subtracted, and learned as a bias; None for nothing.
        variances: Which coordinates share a variance.
        vectors: How many vectors of one point of one example each variance is the average of;
            one number if they are all alike.
        about_channel_means: Whether variances are those about the mean of every channel, and not
            about the means that are subtracted.
        in_irreps: Whether coordinates are those of the irreps of a field, not its channels.
    """

    rep: Representation
    means: Pools | Invariants | None
    variances: Pools
    vectors: np.ndarray
    about_channel_means: bool = False
    in_irreps: bool = False

    @property
    def mean_count(self) -> int:
        """How many means are taken."""
        return 0 if self.means is None else self.means.count

    @property
    def is_diagonal(self) -> bool:
        """Whether channels are coordinates, so that scaling them turns nothing."""
        fibres = fibre_plan(self.rep).fibres
        return not self.in_irreps or all(fibre.basis is None for fibre in fibres)

    def taken(
        self, x: Float[Array, "..."], axis: int, average: Callable[..., Array]
    ) -> tuple[Array, Array, Array]:
        """Centred data, means and biased variances.

        Means are those of differences from a reference, one point averaged over the batch: large
        numbers that are nearly equal would lose their differences in the sum.

        Args:
            x: ``(..., C, *spatial)``, in at least float32.
            axis: Of the channels, negative.
            average: ``(values, axes)``, over some axes and the named ones.
        """
        channels = x.ndim + axis
        axes = tuple(i for i in range(x.ndim) if i != channels)
        centre = mean = jnp.zeros((0,), x.dtype)
        if self.means is not None:
            point = jax.lax.stop_gradient(x[(..., *(0,) * (-1 - axis))])
            reference = self.means.mean(average(point, axes[:channels]))
            x = x - along(self.means.spread(reference), axis)
            centre = average(x, axes)
            rest = self.means.mean(centre)
            mean = reference + rest
            centred = x - along(self.means.spread(rest), axis)
        else:
            centred = x
        spread = x - along(centre, axis) if self.about_channel_means else centred
        return centred, mean, self.variances.mean(self._squares(spread, axis, average))

    def _squares(self, x: Array, axis: int, average: Callable[..., Array]) -> Array:
        """Mean squares of the coordinates, ``(C,)``."""
        if self.is_diagonal:
            channels = x.ndim + axis
            return average(x * x, tuple(i for i in range(x.ndim) if i != channels))
        plan, squares = fibre_plan(self.rep), []
        for fibre, z in zip(plan.fibres, plan.split(x, axis), strict=True):
            z = z if fibre.basis is None else turned(fibre.basis.T, z)
            squares.append(average(z * z, (0, 3)).reshape(-1))
        joined = squares[0] if len(squares) == 1 else jnp.concatenate(squares)
        return joined if plan.scatter is None else joined[plan.scatter]

    def scaled(self, x: Array, factors: Float[Array, " variances"], axis: int) -> Array:
        """Every coordinate times the number of its variance."""
        if self.is_diagonal:
            return x * along(self.variances.spread(factors), axis)
        plan = fibre_plan(self.rep)
        pieces = [
            z * matrix[:, :, None] if matrix.ndim == 2 else turned(matrix, z)
            for matrix, z in zip(self._matrices(factors), plan.split(x, axis), strict=True)
        ]
        return plan.join(pieces, x, axis)

    def matrix(self, factors: Float[Array, " variances"]) -> Array:
        """What `scaled` multiplies by: ``(C,)``, or ``(C, C)`` where fields are turned."""
        if self.is_diagonal:
            return self.variances.spread(factors)
        dense = jnp.zeros((self.rep.size, self.rep.size), factors.dtype)
        fibres = fibre_plan(self.rep).fibres
        for fibre, matrix in zip(fibres, self._matrices(factors), strict=True):
            index = fibre.channels
            if matrix.ndim == 2:
                dense = dense.at[index, index].set(matrix)
            else:
                dense = dense.at[index[:, :, None], index[:, None, :]].set(matrix)
        return dense

    def _matrices(self, factors: Array) -> list[Array]:
        """Per kind of field ``(fields, size, size)``, or ``(fields, size)`` if diagonal."""
        scale, matrices = self.variances.spread(factors), []
        for fibre in fibre_plan(self.rep).fibres:
            diagonal = fibre.per_channel(scale)
            if fibre.basis is not None:
                basis = jnp.asarray(fibre.basis, scale.dtype)
                diagonal = jnp.matmul(basis * diagonal[:, None], basis.T, precision="highest")
            matrices.append(diagonal)
        return matrices


# ---- those of the batch norms --------------------------------------------------------------------


def statistics_of_fields(
    rep: Representation,
    *,
    means: bool = False,
    vectors: tuple[int, ...] | None = None,
    about_channel_means: bool = False,
) -> Statistics:
    """One variance per field.

    Args:
        rep: The type.
        means: Whether trivial irreps have means.
        vectors: Per field, of how many vectors it is made; one each if None.
        about_channel_means: As in `Statistics`.
    """
    pools = channel_pools(rep, _one)
    return Statistics(
        rep=rep,
        means=Invariants(rep) if means else None,
        variances=pools,
        vectors=np.ones(1) if vectors is None else np.asarray(vectors),
        about_channel_means=about_channel_means,
    )


def statistics_of_permuted_fields(rep: Representation, per_orbit: bool) -> Statistics:
    """One mean and one variance of the channels of a field, or of each orbit of channels."""
    pools = channel_pools(rep, _orbits if per_orbit else _one)
    channels = np.concatenate([np.tile(sizes, count) for sizes, count in pools.sizes])
    return Statistics(
        rep=rep, means=pools, variances=pools, vectors=channels[:1] if pools.width else channels
    )


def statistics_of_irreps(rep: Representation, per: str) -> Statistics:
    """One mean per trivial irrep, one variance per ``"copy"`` or ``"type"`` of irrep of a field."""
    pools = channel_pools(rep, _copies if per == "copy" else _kinds)
    return Statistics(rep, Invariants(rep), pools, np.ones(1), in_irreps=True)


@functools.lru_cache(maxsize=1024)
def channel_pools(rep: Representation, labels: Callable[[Summand], np.ndarray]) -> Pools:
    """The pools of the fields, one after the other.

    Args:
        rep: The type.
        labels: The number of the pool of each coordinate of a field, from 0 on.
    """
    rows, sizes = [], []
    for summand, count in rep.data:
        local = labels(summand)
        sizes.append((np.bincount(local), count))
        rows.append((local, len(sizes[-1][0]), count))
    widths = {int(size) for some, _ in sizes for size in some}
    equal = len(widths) == 1 and all((np.diff(row) >= 0).all() for row, _, _ in rows)
    total = sum(len(some) * count for some, count in sizes)
    return Pools(total, repeated(rows), tuple(sizes), widths.pop() if equal else None)


def _one(summand: Summand) -> np.ndarray:
    """A field is one pool."""
    return np.zeros(summand.size, np.int64)


def _orbits(summand: Summand) -> np.ndarray:
    """Number of the orbit of each channel of a permutation representation."""
    group = summand.group
    elements = group.testing_elements if group.order is None else group.generators
    if not elements:
        return np.arange(summand.size)
    matrices = summand.evaluate(np.asarray([g.coordinates for g in elements]))
    labels = connected_components(np.abs(matrices).sum(axis=0) > 0.5, directed=False)[1]
    first = {label: i for i, label in enumerate(dict.fromkeys(labels.tolist()))}
    return np.array([first[label] for label in labels.tolist()])


def _copies(summand: Summand) -> np.ndarray:
    """The number of the irrep copy of each coordinate."""
    return np.repeat(np.arange(len(summand.irreps)), _irrep_sizes(summand))


def _kinds(summand: Summand) -> np.ndarray:
    """The number of the kind of irrep of each coordinate."""
    kinds = list(dict.fromkeys(summand.irreps))
    return np.repeat([kinds.index(irrep) for irrep in summand.irreps], _irrep_sizes(summand))


def _irrep_sizes(summand: Summand) -> list[int]:
    return [summand.group.irrep_data(irrep).size for irrep in summand.irreps]
