"""`PointNetwork`: convolutions on points, in turn, and the mean over the cloud."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, PRNGKeyArray

from .._arguments import arrays, choice, integer, refuse
from ..fields import FieldType
from ..nn import (
    AbstractPointLayer,
    GatedNonlinearity,
    Linear,
    PointConv,
    PointwiseNonlinearity,
    RMSNorm,
)
from ..nn.authoring import check_elementwise, plain_function
from ..nn.points import PointInputs, checked_space
from ..representations import trivial
from ._mlp import MLP

_NAME = "PointNetwork"
#: Blocks beyond which nobody waits.
MOST_BLOCKS = 1000


class PointBlock(AbstractPointLayer):
    """What neighbours say and what a point knows itself, normalised, through a nonlinearity.

    A `PointConv` plus a `Linear` of the point, `RMSNorm`, then a function of single channels where
    the group permutes them and gates elsewhere; with a residual connection if the type stays.

    Law: that of `PointConv`.

    Shapes: ``(N, c_in) -> (N, c_out)``.
    """

    conv: PointConv
    own: Linear
    norm: RMSNorm
    act: PointwiseNonlinearity | GatedNonlinearity
    in_type: FieldType = eqx.field(static=True)
    out_type: FieldType = eqx.field(static=True)

    def __init__(
        self,
        in_type: FieldType,
        out_type: FieldType,
        *,
        width: float | int,
        rings: int = 3,
        aggregate: str = "mean",
        frequency_cutoff: float | int = 3.0,
        cutoff: float | int | None = None,
        activation: Callable[[Array], Array] = jax.nn.silu,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draws the parameters.

        Args:
            in_type: Type of the input.
            out_type: Type of the output, on the same space.
            width: Of `PointConv`, as the next four.
            rings: Likewise.
            aggregate: Likewise.
            frequency_cutoff: Likewise.
            cutoff: Likewise.
            activation: Function of single channels, for types that the group permutes; others have
                gates.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If the types or an option do not fit.
            TypeError: If a type is no `FieldType`.
        """
        name = type(self).__name__
        check_elementwise(name, activation, argument="activation", example="jax.nn.silu")
        checked_space(name, "in_type", in_type)
        rep = checked_space(name, "out_type", out_type).representation
        if rep.is_permutation:
            self.act = PointwiseNonlinearity(rep, activation)
            between = out_type
        else:
            self.act = GatedNonlinearity.for_fields(rep)
            gates = FieldType(out_type.space, len(out_type) * trivial(rep.group))
            between = gates + out_type
        first, second = jax.random.split(arrays.key(key, name))
        self.conv = PointConv(
            in_type,
            between,
            width=width,
            rings=rings,
            aggregate=aggregate,
            frequency_cutoff=frequency_cutoff,
            cutoff=cutoff,
            warn_unused=False,
            dtype=dtype,
            key=first,
        )
        inner = between.representation
        self.own = Linear(
            in_type.representation,
            inner,
            use_bias=False,
            warn_unused=False,
            dtype=dtype,
            key=second,
        )
        self.norm = RMSNorm(inner, dtype=dtype)
        self.in_type = in_type
        self.out_type = out_type

    def _forward(self, x: PointInputs, key: PRNGKeyArray | None, **options: object) -> Array:
        sums = self.conv(*x) + self.own(x.x)
        y = self.act(self.norm(sums))
        return x.x + y if self.in_type == self.out_type else y

    def export(self) -> jax.tree_util.Partial:
        """A plain function ``(x, positions, senders, receivers)`` of one point cloud."""
        parts = tuple(part.export() for part in (self.conv, self.own, self.norm, self.act))
        return plain_function(
            plain_residual_block if self.in_type == self.out_type else plain_block, parts
        )


def plain_block(parts, x, positions, senders, receivers, key=None):
    """A block of exported layers, on one point cloud."""
    conv, own, norm, act = parts
    sums = conv(x, positions, senders, receivers) + jax.vmap(own)(x)
    return jax.vmap(lambda v: act(norm(v)))(sums)


def plain_residual_block(parts, x, positions, senders, receivers, key=None):
    return x + plain_block(parts, x, positions, senders, receivers)


class PointNetwork(AbstractPointLayer):
    """Blocks of convolutions on points, the mean over the cloud, and an `MLP`.

    Law: the output is turned with the cloud, and is invariant if ``out_type`` is; it does not see
    shifts, nor the order of points and edges.

    Shapes: ``(N, c_in) -> (c_out,)``, or ``(N, c_out)`` with ``pool="none"``; leading axes are
    batch axes.

    Examples:
        >>> import equivax as evx, jax
        >>> space = evx.spaces.rot_on_r3()
        >>> scalars = evx.FieldType(space, space.trivial)
        >>> hidden = evx.FieldType(space, 8 * space.trivial + 4 * space.irrep(1))
        >>> classes = evx.FieldType(space, 3 * space.trivial)
        >>> make = evx.models.PointNetwork
        >>> network = make(scalars, classes, hidden, width=1.5, key=jax.random.key(0))
        >>> places = jax.random.normal(jax.random.key(1), (10, 3))
        >>> edges = evx.nn.radius_edges(places, 1.5, max_edges=60)
        >>> network(jax.numpy.ones((10, 1)), places, *edges).shape
        (3,)
    """

    blocks: tuple[PointBlock, ...]
    head: MLP
    in_type: FieldType = eqx.field(static=True)
    out_type: FieldType = eqx.field(static=True)
    pool: str = eqx.field(static=True)

    def __init__(
        self,
        in_type: FieldType,
        out_type: FieldType,
        hidden: FieldType,
        *,
        width: float | int,
        depth: int = 3,
        rings: int = 3,
        aggregate: str = "mean",
        frequency_cutoff: float | int = 3.0,
        cutoff: float | int | None = None,
        activation: Callable[[Array], Array] = jax.nn.silu,
        pool: str = "mean",
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draws the parameters.

        Args:
            in_type: Type of the input; of points that are all alike one scalar, a 1.
            out_type: Type of the output, on the same space: as many trivial fields as classes,
                vectors for forces.
            hidden: Type of the hidden fields; for a continuous group scalars and irreps.
            width: Of `nn.PointConv`.
            depth: Number of blocks.
            rings: Of `nn.PointConv`, as the next three.
            aggregate: Likewise.
            frequency_cutoff: Likewise.
            cutoff: Likewise.
            activation: Function of single channels, where the group permutes hidden ones; others
                have gates.
            pool: ``"mean"`` or ``"sum"`` over the points, or ``"none"`` for an output at each.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If the types or an option do not fit.
            TypeError: If a type is no `FieldType`.
        """
        for argument, given in (("in_type", in_type), ("out_type", out_type), ("hidden", hidden)):
            if checked_space(_NAME, argument, given).space != in_type.space:
                takes = f"fields on {in_type.space!r}, where in_type lives"
                refuse(ValueError, _NAME, argument, takes, given)
        depth = integer(depth, _NAME, "depth", 1, MOST_BLOCKS)
        *keys, last = jax.random.split(arrays.key(key, _NAME), depth + 1)
        self.pool = choice(pool, _NAME, "pool", POOLS)
        types = [in_type, *[hidden] * depth]
        self.blocks = tuple(
            PointBlock(
                source,
                hidden,
                width=width,
                rings=rings,
                aggregate=aggregate,
                frequency_cutoff=frequency_cutoff,
                cutoff=cutoff,
                activation=activation,
                dtype=dtype,
                key=own,
            )
            for source, own in zip(types[:-1], keys, strict=True)
        )
        inner = hidden.representation
        self.head = MLP(
            inner,
            out_type.representation,
            [inner],
            activation=activation if inner.is_permutation else GatedNonlinearity,
            dtype=dtype,
            key=last,
        )
        self.in_type = in_type
        self.out_type = out_type

    def _forward(
        self, x: PointInputs, key: PRNGKeyArray | None, mask: object = None, **options: object
    ) -> Array:
        """The formula; ``mask`` ``(..., N)`` is False at points that are padding."""
        for block in self.blocks:
            x = x._replace(x=block(*x))
        pooled = x.x
        pool = POOLS[self.pool]
        if pool is not None:
            own = None if mask is None else arrays.array(mask, _NAME, "mask")
            if own is not None and (
                own.dtype != jnp.bool_ or own.shape[-1:] != pooled.shape[-2:-1]
            ):
                refuse(ValueError, _NAME, "mask", f"booleans (..., {pooled.shape[-2]})", mask)
            pooled = pool(pooled, own)
        return self.head(pooled)

    def export(self) -> jax.tree_util.Partial:
        """A plain function ``(x, positions, senders, receivers, mask=None)`` of one cloud."""
        blocks = tuple(block.export() for block in self.blocks)
        return plain_function(plain_network, blocks, self.head.export(), POOLS[self.pool])


def sum_of_points(x, mask=None):
    """Over the points that are there."""
    return (x if mask is None else jnp.where(mask[..., None], x, 0)).sum(axis=-2)


def mean_of_points(x, mask=None):
    """Over the points that are there; 0 if there are none."""
    there = jnp.ones(x.shape[:-1], x.dtype) if mask is None else mask.astype(x.dtype)
    return sum_of_points(x, mask) / jnp.maximum(there.sum(axis=-1), 1)[..., None]


POOLS: dict[str, Callable[..., Array] | None] = {
    "mean": mean_of_points,
    "sum": sum_of_points,
    "none": None,
}


def plain_network(blocks, head, pool, x, positions, senders, receivers, mask=None, key=None):
    """A network of exported blocks, on one point cloud."""
    for block in blocks:
        x = block(x, positions, senders, receivers)
    return jax.vmap(head)(x) if pool is None else head(pool(x, mask))
