"""Fields in the coordinates of their irreps, with the channels left where they are.

Equal fields are one array ``(batch, fields, size, points)``, a view of ``(..., C, *spatial)``: a
change of basis is then a batch of small products, and no activation is moved.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...hom import HIGHEST, widened
from ...representations import Representation, Summand, trivial
from ._channels import take_channels

#: On a GPU products with matrices of up to so many columns are sums, which the compiler fuses; on a
#: TPU they stay products, for it has units for these.
MOST_SUMMED = 8


@dataclasses.dataclass(frozen=True, eq=False)
class Fibre:
    """Equal fields, adjacent after the gather.

    Attributes:
        summand: Their representation.
        fields: Their numbers.
        start: First channel after the gather.
        channels: Where their channels are, ``(fields, size)``.
        basis: The change of basis; None where the channels serve as coordinates.
        trivial: Positions of the trivial coordinates.
    """

    summand: Summand
    fields: np.ndarray
    start: int
    channels: np.ndarray
    basis: np.ndarray | None
    trivial: np.ndarray

    @property
    def is_trivial(self) -> bool:
        """Whether the group leaves the fields alone, one channel each."""
        return self.summand.size == 1 and len(self.trivial) == 1

    def per_field(self, values: Float[Array, " all"]) -> Float[Array, " fields"]:
        """The numbers of these fields among one per field."""
        return take_channels(values, self.fields)

    def per_channel(self, values: Float[Array, " all"]) -> Float[Array, "fields size"]:
        """The numbers of their channels among one per channel."""
        return take_channels(values, self.channels.reshape(-1)).reshape(self.channels.shape)

    @property
    def stop(self) -> int:
        """One past the last channel after the gather."""
        return self.start + self.channels.size


@dataclasses.dataclass(frozen=True, eq=False)
class FibrePlan:
    """All fields of a type.

    Attributes:
        fibres: One entry per distinct field.
        gather: Channel order that makes equal fields adjacent, or None if they are.
        scatter: Its inverse.
    """

    fibres: tuple[Fibre, ...]
    gather: np.ndarray | None
    scatter: np.ndarray | None

    def split(self, x: Array, axis: int) -> list[Float[Array, "batch fields size points"]]:
        """Views of the fields of ``x``, whose channel axis is the negative number ``axis``."""
        if self.gather is not None:
            x = jnp.take(x, self.gather, axis=axis)
        place = x.ndim + axis
        batch, points = math.prod(x.shape[:place]), math.prod(x.shape[place + 1 :])
        flat = x.reshape(batch, x.shape[axis], points)
        parts = jax.lax.split(flat, [fibre.channels.size for fibre in self.fibres], axis=1)
        return [
            part.reshape(batch, *fibre.channels.shape, points)
            for fibre, part in zip(self.fibres, parts, strict=True)
        ]

    def join(self, pieces: Sequence[Array], like: Array, axis: int) -> Array:
        """The inverse of `split`."""
        flat = [
            piece.reshape(piece.shape[0], fibre.channels.size, piece.shape[-1])
            for fibre, piece in zip(self.fibres, pieces, strict=True)
        ]
        x = flat[0] if len(flat) == 1 else jnp.concatenate(flat, axis=1)
        x = x.reshape(like.shape)
        return x if self.scatter is None else jnp.take(x, self.scatter, axis=axis)


@functools.lru_cache(maxsize=512)
def fibre_plan(rep: Representation) -> FibrePlan:
    """The plan of a representation."""
    sizes = np.array([summand.size for summand, _ in rep.data])
    counts = np.array([count for _, count in rep.data])
    first_field = np.concatenate([[0], np.cumsum(counts)])
    first_channel = np.concatenate([[0], np.cumsum(counts * sizes)])
    identity = trivial(rep.group).irreps[0]
    distinct = tuple(dict.fromkeys(summand for summand, _ in rep.data))
    fibres, start = [], 0
    for summand in distinct:
        runs = [i for i, (other, _) in enumerate(rep.data) if other == summand]
        fields = np.concatenate([np.arange(first_field[i], first_field[i + 1]) for i in runs])
        channels = np.concatenate(
            [np.arange(first_channel[i], first_channel[i + 1]) for i in runs]
        ).reshape(len(fields), summand.size)
        plain = summand.is_diagonal_basis or (
            len(summand.irreps) == 1 and summand.irreps[0] != identity
        )
        fibres.append(
            Fibre(
                summand=summand,
                fields=fields.astype(np.int32),
                start=start,
                channels=channels.astype(np.int32),
                basis=None if plain else summand.change_of_basis,
                trivial=summand.columns_of(identity).reshape(-1).astype(np.int32),
            )
        )
        start += channels.size
    # int32: an int64 index that JAX meets under both settings of x64 in one process is an error.
    gather = np.concatenate([f.channels.reshape(-1) for f in fibres]).astype(np.int32)
    if len(rep.data) == len(distinct):
        return FibrePlan(tuple(fibres), None, None)
    return FibrePlan(tuple(fibres), gather, np.argsort(gather).astype(np.int32))


@functools.lru_cache(maxsize=512)
def kind_names(rep: Representation) -> tuple[str, ...]:
    """One name per distinct field, in the order of first appearance."""
    names: list[str] = []
    for fibre in fibre_plan(rep).fibres:
        name, number = fibre.summand.name, 2
        while name in names:
            name, number = f"{fibre.summand.name} ({number})", number + 1
        names.append(name)
    return tuple(names)


Indices: TypeAlias = np.ndarray | Array | None
"""Channels in an order, or None for all of them as they are."""

Kinds: TypeAlias = Sequence[Sequence[Any]]
"""Per distinct field: how many there are, their size, and what a function wants to know of them."""


def by_kind(
    function: Callable[..., Array],
    kinds: Kinds,
    order: Indices,
    back: Indices,
    axis: int,
    x: Float[Array, "..."],
) -> Float[Array, "..."]:
    """A function of the fields of each kind; it may change their size.

    Args:
        function: ``(*arguments, z) -> y`` on ``(batch, fields, size, points)``.
        kinds: Per kind its number of fields, their size, and the arguments, in order.
        order: Channels such that equal fields are neighbours, or None if they are.
        back: Likewise the channels of the output from those of the kinds, one after the other.
        axis: Of the channels, negative.
        x: ``(..., channels, *spatial)``; computed in at least float32.
    """
    wide = widened(x)
    if order is not None:
        wide = take_channels(wide, order, axis)
    place = wide.ndim + axis
    leading, spatial = wide.shape[:place], wide.shape[place + 1 :]
    batch, points = math.prod(leading), math.prod(spatial)
    flat = wide.reshape(batch, wide.shape[place], points)
    # The transpose of a split is one concatenation, that of slices a sum of padded arrays.
    parts, pieces = jax.lax.split(flat, [fields * size for fields, size, *_ in kinds], axis=1), []
    for (fields, size, *arguments), z in zip(kinds, parts, strict=True):
        y = function(*arguments, z.reshape(batch, fields, size, points))
        pieces.append(y.reshape(batch, y.shape[1] * y.shape[2], points))
    y = pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, axis=1)
    y = y.reshape(*leading, y.shape[1], *spatial)
    if back is not None:
        y = take_channels(y, back, axis)
    return y.astype(x.dtype)


KindPlan: TypeAlias = tuple[Callable[..., Array], Kinds, Indices, Indices]
"""All arguments of `by_kind` but the axis and the array."""

ByKind: TypeAlias = tuple[Callable[..., Array], Kinds, Indices, Indices, int]
"""All arguments of `by_kind` but the array."""


def constants(plan: FibrePlan, kinds: Kinds) -> tuple[Kinds, np.ndarray | None, np.ndarray | None]:
    """The kinds, order and way back of `by_kind` for fields that keep their sizes."""
    return kinds, plan.gather, plan.scatter


@functools.lru_cache(maxsize=512)
def coordinates_plan(rep: Representation, inverse: bool = False) -> KindPlan:
    """What `by_kind` needs for ``x -> Q^T x``, or for ``x -> Q x``: function, kinds, orders.

    Coordinates stand where the channels of their field stood, in the order of ``rep.irreps``.
    """
    plan, kinds = fibre_plan(rep), []
    for fibre in plan.fibres:
        matrix = fibre.summand.change_of_basis
        turn = None if fibre.summand.is_diagonal_basis else matrix if inverse else matrix.T
        kinds.append((len(fibre.fields), fibre.summand.size, turn))
    return maybe_turned, tuple(kinds), plan.gather, plan.scatter


def maybe_turned(
    matrix: np.ndarray | Array | None, z: Float[Array, "batch fields size points"]
) -> Float[Array, "batch fields size points"]:
    """`turned`, or ``z`` where there is no matrix."""
    return z if matrix is None else turned(matrix, z)


def turned(
    matrix: Float[Array, "*fields out size"] | Float[np.ndarray, "*fields out size"],
    z: Float[Array, "batch fields size points"],
) -> Float[Array, "batch fields out points"]:
    """A matrix, or one for each field, times every fibre; at the highest precision."""
    matrix = jnp.asarray(matrix, z.dtype)
    batch, fields, size, points = z.shape
    if 0 < size <= MOST_SUMMED and jax.default_backend() not in ("cpu", "tpu"):
        columns = [matrix[..., i : i + 1] * z[:, :, i : i + 1] for i in range(size)]
        return functools.reduce(jnp.add, columns)
    if points >= size:
        # Repeated over the batch the matrix is still small beside z, and the product then comes
        # out in the order of its input.
        repeated = jnp.broadcast_to(matrix, (batch, fields, *matrix.shape[-2:]))
        dimensions = (((3,), (2,)), ((0, 1), (0, 1)))
        return jax.lax.dot_general(repeated, z, dimensions, precision=HIGHEST)
    rows = jnp.swapaxes(z, -1, -2)
    spec = "bfps,cs->bfpc" if matrix.ndim == 2 else "bfps,fcs->bfpc"
    return jnp.swapaxes(jnp.einsum(spec, rows, matrix, precision=HIGHEST), -1, -2)
