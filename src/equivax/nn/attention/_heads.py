"""Heads: the copies of a type in a vector, each as one row of numbers, and back.

In an array the rows are there already. In an `IrrepTensor` the numbers of a head lie in the blocks
of all irreps; next to each other they are the coordinates of the head in an orthonormal basis, in
which products and averages are what they are in any other.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...fields import IrrepTensor
from ...hom import irrep_plan, join_kinds, split_kinds
from ...representations import Representation


def split_heads(
    head: Representation, count: int, x: Array | IrrepTensor
) -> Float[Array, "*batch heads n"]:
    """Rows of a vector of type ``count * head``."""
    if not isinstance(x, IrrepTensor):
        return x.reshape(*x.shape[:-1], count, head.size)
    rows = []
    for parts in split_kinds(count * head, x.blocks):
        found = []
        for part in parts.values():
            *batch, size, copies, fields = part.shape
            found.append(part.reshape(*batch, size * copies, count, fields // count))
        # Joined as they lie, then turned at once.
        own = found[0] if len(found) == 1 else jnp.concatenate(found, axis=-3)
        rows.append(jnp.moveaxis(own, -2, -3).reshape(*own.shape[:-3], count, -1))
    return rows[0] if len(rows) == 1 else jnp.concatenate(rows, axis=-1)


def join_heads(
    head: Representation, rows: Float[Array, "*batch heads n"], *, irrep_wise: bool
) -> Array | IrrepTensor:
    """The inverse of `split_heads`."""
    *batch, count, size = rows.shape
    if not irrep_wise:
        return rows.reshape(*batch, count * size)
    rep, found = count * head, []
    plan = irrep_plan(rep)
    widths = [
        segment.size * segment.copies * kind.count // count
        for kind in plan.kinds
        for segment in kind.segments
    ]
    # The transpose of a split is one concatenation, that of slices a sum of padded arrays.
    pieces = iter(jax.lax.split(rows, widths, axis=rows.ndim - 1))
    for kind in plan.kinds:
        parts = {}
        for segment, own in zip(kind.segments, pieces, strict=False):
            own = own.reshape(*batch, count, segment.size * segment.copies, kind.count // count)
            shape = (*batch, segment.size, segment.copies, kind.count)
            parts[segment.name] = jnp.moveaxis(own, -3, -2).reshape(shape)
        found.append(parts)
    return IrrepTensor(join_kinds(rep, found), rep)


def row_basis(head: Representation) -> Float[np.ndarray, "n n"]:
    """What turns the rows of an `IrrepTensor` into those of an array: ``array = basis @ row``."""
    plan, size = irrep_plan(head), head.size
    channels = np.arange(size) if plan.gather is None else plan.gather
    basis, start = np.zeros((size, size)), 0
    for kind in plan.kinds:
        length = kind.count * kind.summand.size
        own = channels[kind.start : kind.start + length].reshape(kind.count, kind.summand.size)
        for field, places in enumerate(own):
            columns = start + field + kind.count * np.arange(kind.summand.size)
            basis[np.ix_(places, columns)] = kind.basis
        start += length
    return basis
