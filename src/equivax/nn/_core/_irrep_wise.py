"""What the formulas of layers on an `IrrepTensor` share; sums are taken in at least float32."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...fields import IrrepTensor
from ...hom import (
    HIGHEST,
    Kind,
    Machine,
    conversion_cost,
    irrep_plan,
    join_kinds,
    machine,
    materialized,
    materialized_backwards,
    parts_of_rows,
    rows_of_parts,
    split_fields,
    split_kinds,
    weighted_sum,
    widened,
)
from ...representations import Representation, as_representation
from ._ways import Ways

Parts = dict[str, Array]
"""Of the summands of one kind: irrep name to ``(..., d, copies within a summand, summands)``."""


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
    again. Larger ones are turned by products, and the derivative starts from the channels: either
    way one array is kept. Computed in at least float32, rounded once.
    """
    kinds = irrep_plan(as_representation(x.type, "type")).kinds
    turned = functools.partial(_turned, function)
    return IrrepTensor(kind_by_kind(x, lambda p, kind: turned(kind, p), kinds), x.type)


def pointwise_ways(rep: Representation, rows: int, prices: Machine) -> Ways:
    """What `pointwise` costs, against the function on arrays."""
    if not prices.irreps:
        return Ways(0.0, 0.0)
    numbers = rows * rep.size
    plan = irrep_plan(rep)
    turned = 0.0
    for kind in plan.kinds:
        own = rows * kind.count * kind.summand.size
        if kind.is_identity:
            turned += prices.pointwise * own
        elif kind.summand.size <= prices.terms:
            turned += (prices.turned + prices.term * kind.summand.size) * own
        else:
            turned += prices.pointwise * own + own / rep.size / rows * 2 * conversion_cost(
                rep, rows, prices
            )
    return Ways(prices.pointwise * numbers, turned)


def _turned(function: Callable[[Array], Array], kind: Kind, parts: Parts) -> Parts:
    """`pointwise` on the summands of one kind."""
    if kind.is_identity:
        again = jax.checkpoint(lambda part: function(widened(part)).astype(part.dtype))
        return {name: again(part) for name, part in parts.items()}
    prices = machine(next(iter(parts.values())).dtype)
    if kind.summand.size > prices.terms:
        return _by_products(jax.checkpoint(function), kind, parts)
    summand = kind.summand
    types = {summand.group.irrep_data(i).endomorphism_dimension for i in summand.irreps}
    if prices.apart and types == {1}:  # else products join components, see `irrep_product`
        # A barrier in front of the derivative would make blocks of what is an array of its own.
        one_by_one = functools.partial(_by_sums_of_components, function, kind)
        return jax.checkpoint(one_by_one, prevent_cse=False)(parts)
    return jax.checkpoint(functools.partial(_by_sums_of_parts, function, kind))(parts)


def _by_sums_of_parts(function: Callable[[Array], Array], kind: Kind, parts: Parts) -> Parts:
    rows = materialized_backwards(*rows_of_parts(kind, parts))
    return parts_of_rows(kind, materialized(*_by_sums(function, kind.basis, rows)))


def _by_sums_of_components(function: Callable[[Array], Array], kind: Kind, parts: Parts) -> Parts:
    """`_by_sums_of_parts` that takes and makes every component as an array of its own."""
    rows = []
    for segment in kind.segments:
        part = parts[segment.name]
        block = part.reshape(*part.shape[:-3], segment.size, segment.copies * kind.count)
        for component in jax.lax.split(block, (1,) * segment.size, axis=block.ndim - 2):
            rows += jnp.split(component.squeeze(-2), segment.copies, axis=-1)
    new, pieces = _by_sums(function, kind.basis, rows), {}
    for segment in kind.segments:
        own, new = new[: segment.size * segment.copies], new[segment.size * segment.copies :]
        joined = [
            jnp.concatenate(own[start : start + segment.copies], axis=-1)
            for start in range(0, len(own), segment.copies)
        ]
        stacked = jnp.stack(joined, axis=-2)
        pieces[segment.name] = stacked.reshape(parts[segment.name].shape)
    return pieces


def _by_sums(
    function: Callable[[Array], Array], basis: np.ndarray, rows: Sequence[Array]
) -> list[Array]:
    wide = [widened(row) for row in rows]
    channels = [function(weighted_sum(weights, wide)) for weights in basis]
    return [weighted_sum(weights, channels).astype(rows[0].dtype) for weights in basis.T]


def _by_products(function: Callable[[Array], Array], kind: Kind, parts: Parts) -> Parts:
    """With coordinates in front, ``(size, ..., summands)``: one large product each way."""
    flat = []
    for segment in kind.segments:
        part = parts[segment.name]
        rows = part.reshape(*part.shape[:-3], segment.size * segment.copies, kind.count)
        flat.append(jnp.moveaxis(rows, -2, 0))
    z = widened(jnp.concatenate(flat))
    turn = jnp.asarray(kind.basis, z.dtype)
    y = function(jnp.einsum("cs,s...->c...", turn, z, precision=HIGHEST))
    y = jnp.einsum("cs,c...->s...", turn, y, precision=HIGHEST).astype(flat[0].dtype)
    pieces, start = {}, 0
    for segment in kind.segments:
        stop = start + segment.size * segment.copies
        own = jnp.moveaxis(y[start:stop], 0, -2)
        shape = (*own.shape[:-2], segment.size, segment.copies, kind.count)
        pieces[segment.name] = own.reshape(shape)
        start = stop
    return pieces
