"""An affine map of the channels at every point, as a layer of Equinox."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...representations import Representation
from .._core._plain import plain_linear


def plain_map(
    scale: Float[Array, "*matrix n"], shift: Float[Array, " n"], dim: int, rep: Representation
) -> eqx.nn.Linear | eqx.nn.Conv:
    """``y = scale x + shift`` as `equinox.nn.Linear`, or as a convolution of size 1 in groups.

    Args:
        scale: ``(C,)``, or ``(C, C)`` with one block per field.
        shift: ``(C,)``.
        dim: Number of spatial axes; 0 gives a linear layer.
        rep: The fields.
    """
    channels = len(shift)
    if dim == 0:
        return plain_linear(jnp.diag(scale) if scale.ndim == 1 else scale, shift)
    groups = channels if scale.ndim == 1 else block_count(rep)
    width = channels // groups
    if scale.ndim == 1:
        weight = scale
    else:
        cells = scale.reshape(groups, width, groups, width)
        weight = jnp.stack([cells[i, :, i] for i in range(groups)])
    layer = eqx.filter_eval_shape(
        eqx.nn.Conv,
        dim,
        channels,
        channels,
        kernel_size=1,
        groups=groups,
        dtype=scale.dtype,
        key=jax.random.key(0),
    )
    ones = (1,) * dim
    return eqx.tree_at(
        lambda tree: (tree.weight, tree.bias),
        layer,
        (weight.reshape(channels, width, *ones), shift.reshape(channels, *ones)),
    )


def block_count(rep: Representation) -> int:
    """The largest number of equal blocks of channels that cut no field."""
    sizes = [summand.size for summand, count in rep.data for _ in range(count)]
    ends = set(np.cumsum(sizes).tolist())
    largest = max(sizes)
    return next(
        rep.size // width
        for width in range(largest, rep.size + 1)
        if rep.size % width == 0 and all(stop in ends for stop in range(width, rep.size, width))
    )
