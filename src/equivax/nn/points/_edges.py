"""Which points are neighbours: edges of a static number."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from ..._arguments import arrays, flag, integer, number, refuse
from ._inputs import LENGTHS

#: Edges beyond which nobody looks at all pairs.
MOST_EDGES = 20_000_000


def radius_edges(
    positions: object,
    radius: float | int,
    max_edges: int,
    *,
    loops: bool = False,
    mask: object = None,
) -> tuple[Int[Array, " edges"], Int[Array, " edges"]]:
    """Edges between all points that are nearer to each other than a radius, both ways.

    Args:
        positions: ``(N, d)``; use `jax.vmap` for batches.
        radius: In the unit of the positions.
        max_edges: Number of edges that are returned, so that shapes are static. If there are
            fewer, -1 fills up, which layers on points leave out; of more the shortest are kept.
        loops: Whether a point is a neighbour of itself.
        mask: Booleans ``(N,)``, False for points that are padding and get no edges.

    Returns:
        ``senders`` and ``receivers``, the shortest edges first. All pairs are looked at: ``N^2``
        numbers, fine for some thousand points.

    Raises:
        ValueError: If a shape or number does not fit.
        TypeError: If the positions are no floating numbers.

    Examples:
        >>> import equivax as evx, jax.numpy as jnp
        >>> senders, receivers = evx.nn.radius_edges(jnp.array([[0.0, 0.0], [1.0, 0.0]]), 2.0, 3)
        >>> senders.tolist(), receivers.tolist()
        ([1, 0, -1], [0, 1, -1])
    """
    caller = "radius_edges"
    takes = "a floating array (N, d)"
    if not isinstance(positions, (jax.Array, np.ndarray)):
        refuse(TypeError, caller, "positions", takes, positions)
    if not jnp.issubdtype(positions.dtype, jnp.floating):
        refuse(TypeError, caller, "positions", takes, positions)
    if positions.ndim != 2:
        refuse(ValueError, caller, "positions", takes, positions)
    count = positions.shape[0]
    radius = number(radius, caller, "radius", *LENGTHS)
    kept = integer(max_edges, caller, "max_edges", 1, MOST_EDGES)
    places = jnp.asarray(positions)
    squares = ((places[:, None] - places[None, :]) ** 2).sum(axis=-1)
    near = squares < radius**2
    if not flag(loops, caller, "loops"):
        near &= ~np.eye(count, dtype=bool)
    if mask is not None:
        own = arrays.array(mask, caller, "mask")
        if own.shape != (count,) or own.dtype != jnp.bool_:
            refuse(ValueError, caller, "mask", f"{count} booleans", mask)
        near &= own[:, None] & own[None, :]
    lengths = jnp.where(near, squares, jnp.inf).reshape(-1)
    found = min(kept, count**2)
    negative, pairs = jax.lax.top_k(-jax.lax.stop_gradient(lengths), found)
    pairs = jnp.where(jnp.isfinite(negative), pairs, -1)
    pairs = jnp.pad(pairs, (0, kept - found), constant_values=-1).astype(jnp.int32)
    missing = pairs < 0
    receivers, senders = jnp.divmod(pairs, max(count, 1))
    return jnp.where(missing, -1, senders), jnp.where(missing, -1, receivers)
