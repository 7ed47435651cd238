"""What the formulas of layers on an `IrrepTensor` share; sums are taken in at least float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...fields import IrrepTensor
from ...hom import HIGHEST, irrep_plan, join_kinds, split_fields, split_kinds
from ...representations import Representation, as_representation
from ._channels import widened

Parts = dict[str, Array]
"""Of the summands of one kind: irrep name to ``(..., d, copies within a summand, summands)``."""

#: Fields of at most so many channels are turned by sums of arrays, which fuse into one pass.
MOST_TERMS = 16


def kind_by_kind(x: IrrepTensor, function: Callable[..., Parts], *rest: Sequence[object]) -> Parts:
    """New blocks of the same type from a function of the summands of each kind.

    Args:
        x: The tensor.
        function: ``(parts, *own)`` to the new parts, where ``own`` are the kind's entries of
            ``rest``.
        rest: One entry per kind each.
    """
    rep = as_representation(x.type, "type")
    parts = split_kinds(rep, x.blocks)
    return join_kinds(rep, [function(*entries) for entries in zip(parts, *rest, strict=True)])


def squares_of(parts: Parts) -> Float[Array, "*batch fields"]:
    """The square of the length of each summand of a kind."""
    sums = [jnp.sum(jnp.square(widened(part)), axis=(-3, -2)) for part in parts.values()]
    return sum(sums[1:], sums[0])


def times_fields(parts: Parts, factor: Float[Array, "*batch fields"]) -> Parts:
    """Every summand of a kind times a number of its own, rounded once."""
    wide = factor[..., None, None, :]
    return {name: (widened(part) * wide).astype(part.dtype) for name, part in parts.items()}


def of_fields(rep: Representation, values: Array | None) -> list[Array | None]:
    """Per kind the numbers of its summands, see `split_fields`; None for none."""
    if values is None:
        return [None] * len(irrep_plan(rep).kinds)
    return [*split_fields(rep, values)]


def mean_square(x: IrrepTensor) -> Float[Array, "*batch"]:
    """``mean(x^2)`` of the vectors."""
    sums = [jnp.sum(jnp.square(widened(block)), axis=(-2, -1)) for block in x.blocks.values()]
    return sum(sums[1:], sums[0]) / x.type.size


def pointwise(function: Callable[[Array], Array], x: IrrepTensor) -> IrrepTensor:
    """A function of single channels, ``Q^T f(Q z)`` on the coordinates ``z`` of every field.

    Small fields are turned by sums of arrays ``(..., summands)``, one for each channel: XLA makes
    one pass through memory of it, forwards and backwards, since the derivative starts from ``z``
    again. Larger ones are turned by products. Computed in at least float32, rounded once.
    """
    rep = as_representation(x.type, "type")
    found = []
    for kind, parts in zip(irrep_plan(rep).kinds, split_kinds(rep, x.blocks), strict=True):
        if kind.is_identity:
            found.append({n: function(widened(p)).astype(p.dtype) for n, p in parts.items()})
            continue
        names = [(s.name, s.size, s.copies) for s in kind.segments]
        rows = [
            parts[name][..., component, copy, :]
            for name, size, copies in names
            for component in range(size)
            for copy in range(copies)
        ]
        new = on_channels_of_fields(function, kind.basis, rows)
        pieces, start = {}, 0
        for name, size, copies in names:
            stacked = jnp.stack(new[start : start + size * copies], axis=-2)
            pieces[name] = stacked.reshape(*stacked.shape[:-2], size, copies, kind.count)
            start += size * copies
        found.append(pieces)
    return IrrepTensor(join_kinds(rep, found), x.type)


def on_channels_of_fields(
    function: Callable[[Array], Array], basis: np.ndarray, rows: Sequence[Array]
) -> list[Array]:
    """``Q^T f(Q z)`` for coordinates that are arrays of one shape."""
    way = _by_sums if len(rows) <= MOST_TERMS else _by_products

    def formula(rows: Sequence[Array]) -> list[Array]:
        return way(function, basis, rows)

    # The derivative computes the channels again from the coordinates: nothing else is kept.
    return jax.checkpoint(formula, prevent_cse=False)(list(rows))


def _by_sums(
    function: Callable[[Array], Array], basis: np.ndarray, rows: Sequence[Array]
) -> list[Array]:
    wide = [widened(row) for row in rows]
    channels = [function(_combined(weights, wide)) for weights in basis]
    return [_combined(weights, channels).astype(rows[0].dtype) for weights in basis.T]


def _combined(weights: np.ndarray, arrays: Sequence[Array]) -> Array:
    """A sum of arrays with weights; those that are zero up to rounding are left out."""
    dtype = arrays[0].dtype
    terms = [
        array * np.asarray(weight, dtype)
        for weight, array in zip(weights, arrays, strict=True)
        if abs(weight) > 1e-14
    ]
    return sum(terms[1:], terms[0])


def _by_products(
    function: Callable[[Array], Array], basis: np.ndarray, rows: Sequence[Array]
) -> list[Array]:
    z = jnp.stack([widened(row) for row in rows])  # the coordinates in front: one large product
    turn = jnp.asarray(basis, z.dtype)
    y = function(jnp.einsum("cs,s...->c...", turn, z, precision=HIGHEST))
    y = jnp.einsum("cs,c...->s...", turn, y, precision=HIGHEST).astype(rows[0].dtype)
    return list(y)
