"""The largest squared norm per field, as `NormMaxPool` asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ...representations import Representation
from ._channels import Runs, per_block, widened


def whole_fields(rep: Representation) -> Runs:
    """Every field is one vector."""
    return tuple((1, summand.size, count) for summand, count in rep.data)


def field_blocks(shapes: Runs) -> tuple[Runs, None]:
    """Plan of `pool_fields`."""
    return shapes, None


plain_blocks = field_blocks


def pool_fields(
    reduce: Callable[[Array, int], Array],
    blocks: Runs,
    order: Any,
    axis: int,
    x: Float[Array, "..."],
) -> Float[Array, "..."]:
    """Applies a reduction to every field, see `per_block`."""
    return per_block(reduce, blocks, axis, x)


def squared_length(part: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
    """Largest squared norm of the subfields, in at least float32."""
    part = widened(part)
    return jnp.max(jnp.sum(part * part, axis=axis), axis=axis)
