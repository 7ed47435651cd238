"""The U-Net on tensor images."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from .._arguments import arrays, flag, integer
from ..images import MultiImage, Signature
from ..nn import AbstractModule, NormMaxPool, PointwiseMaxPool
from ..nn.authoring import checked_signature, plain_steps
from ..spaces import GSpace
from ._choices import MOST, checked_odd
from ._conv_block import Activation, ConvBlock, space_of
from ._on_images import AbstractImageModel
from ._u_shape import in_turn, u_shaped

#: Halvings of the grid beyond which no image is large enough.
MOST_LEVELS = 30


class TensorUNet(AbstractImageModel):
    """A U-Net from tensor images to tensor images on the same grid (Gregory et al. 2024).

    ``num_conv`` blocks at full size; ``num_downsamples`` times a `nn.NormMaxPool` of side 2 and
    blocks with twice the channels; on the way up a transposed convolution with filters of side 2
    doubles the side and halves the channels, the channels of the way down are appended type by
    type, and blocks follow; last a convolution.

    Law: ``f(g x) = g f(x)`` for signed permutations of the axes, exactly.

    Shapes: ``(..., C_in, *sides) -> (..., C_out, *sides)``; ``2^num_downsamples`` divides sides.

    Examples:
        >>> import equivax as evx, jax
        >>> flow = (((1, 0), 1),)
        >>> key = jax.random.key(0)
        >>> model = evx.models.TensorUNet(flow, flow, width=2, num_downsamples=1, key=key)
        >>> model(jax.numpy.ones((2, 8, 8))).shape
        (2, 8, 8)
    """

    down: tuple[tuple[ConvBlock, ...], ...]
    pools: tuple[AbstractModule, ...]
    ups: tuple[ConvBlock, ...]
    merges: tuple[tuple[ConvBlock, ...], ...]
    head: ConvBlock
    in_signature: Signature = eqx.field(static=True)
    out_signature: Signature = eqx.field(static=True)
    space: GSpace = eqx.field(static=True)
    equivariant: bool = eqx.field(static=True)

    def __init__(
        self,
        in_signature: object,
        out_signature: object,
        *,
        D: int = 2,
        group: object = None,
        width: int = 16,
        mid_signature: object = None,
        kernel_size: int = 3,
        num_conv: int = 2,
        num_downsamples: int = 4,
        norm: str | None = "layer",
        activation: Activation = jax.nn.gelu,
        equivariant: bool = True,
        key: PRNGKeyArray,
        **options: Any,
    ) -> None:
        """Builds the levels.

        Args:
            in_signature: Types of the input: a `Signature`, or what it accepts.
            out_signature: Types of the output.
            D: Number of spatial axes.
            group: A group of signed permutations of the axes; all of them if None.
            width: Channels of every type at full size.
            mid_signature: Types and channels at full size, in the place of ``width``; if None all
                types of input and output.
            kernel_size: Of all convolutions but the transposed ones, odd.
            num_conv: Blocks per level.
            num_downsamples: How often the grid is halved.
            norm: ``"layer"`` or None.
            activation: Of `nn.VectorNeuron`, a function of numbers.
            equivariant: False makes the plain twin: as many dense channels, all of them scalars,
                plain convolutions and functions, maxima of values.
            key: A JAX key.
            **options: Of all convolutions, as in `ConvBlock`.

        Raises:
            ValueError: If a number does not fit, or a type cannot be reached.
            TypeError: If a number is no integer.
        """
        name = "TensorUNet"
        self.in_signature = checked_signature(in_signature, name, "in_signature")
        self.out_signature = checked_signature(out_signature, name, "out_signature")
        self.equivariant = flag(equivariant, name, "equivariant")
        self.space = space_of(D, group, self.equivariant, name)
        kernel_size, key = checked_odd(name, kernel_size), arrays.key(key, name)
        num_conv = integer(num_conv, name, "num_conv", 1, MOST)
        num_downsamples = integer(num_downsamples, name, "num_downsamples", 0, MOST_LEVELS)
        mid = middle(self.in_signature, self.out_signature, width, mid_signature, name)
        start, end = self.in_signature, self.out_signature
        if not self.equivariant:
            start, mid, end = (s.scalars(D) for s in (start, mid, end))
        levels = [mid.scale(2**level) for level in range(num_downsamples + 1)]
        keys = iter(jax.random.split(key, 2 * (num_conv + 1) * len(levels)))
        common: dict[str, Any] = {"D": D, "equivariant": self.equivariant, **options}
        if self.equivariant:
            common["group"] = self.space

        def blocks(source: Signature, target: Signature) -> tuple[ConvBlock, ...]:
            sources = [source, *[target] * (num_conv - 1)]
            settings = {"norm": norm, "activation": activation, **common}
            return tuple(
                ConvBlock(s, target, kernel_size, key=next(keys), **settings) for s in sources
            )

        self.down = tuple(
            blocks(source, target)
            for source, target in zip([start, *levels[:-1]], levels, strict=True)
        )
        kind = NormMaxPool if self.equivariant else PointwiseMaxPool
        self.pools = tuple(kind(level.field_type(D, self.space), 2) for level in levels[:-1])
        self.ups = tuple(
            ConvBlock(
                below, level, 2, input_dilation=2, padding=1, padding_mode="torus", activation=None,
                key=next(keys), **common,
            )
            for level, below in itertools.pairwise(levels)
        )  # fmt: skip
        self.merges = tuple(blocks(level + level, level) for level in levels[:-1])
        self.head = ConvBlock(mid, end, kernel_size, activation=None, key=next(keys), **common)

    def _image(self, x: MultiImage, key: PRNGKeyArray | None) -> MultiImage:
        size = 2 ** len(self.pools)
        if any(side % size for side in x.spatial):
            raise ValueError(
                f"TensorUNet: x: expected sides that {size} divides, for {len(self.pools)} "
                f"downsamplings, got {x.spatial}"
            )
        x = x if self.equivariant else x.to_scalar()
        down, merges = (
            [partial(in_turn, blocks) for blocks in b] for b in (self.down, self.merges)
        )
        join = [_joined] * len(self.ups)
        parts = down, self.pools, unchanged, self.ups, join, merges, self.head
        x, _ = u_shaped(*parts, x, None, None)
        return x if self.equivariant else x.from_scalar(self.out_signature)

    def export(self, is_torus: object = True) -> eqx.nn.Lambda:
        """A layer that holds the exported parts; it takes one example.

        Args:
            is_torus: Which axes are periodic: what images know and arrays do not.
        """

        def plain(blocks: tuple[ConvBlock, ...]) -> list[Callable[..., Any]]:
            return [block.export(is_torus) for block in blocks]

        orders = [_beside(up.out_signature, self.space.dim) for up in self.ups]
        parts = (
            [partial(in_turn, plain(blocks)) for blocks in self.down],
            [pool.export() for pool in self.pools],
            unchanged,
            plain(self.ups),
            [partial(type_by_type, order) for order in orders],
            [partial(in_turn, plain(blocks)) for blocks in self.merges],
            self.head.export(is_torus),
        )
        return eqx.nn.Lambda(plain_steps(u_shaped, *parts))


def unchanged(x: object, skip: object) -> Any:
    """The blocks on the way up enlarge by themselves."""
    return x


def _joined(x: MultiImage, skip: MultiImage) -> MultiImage:
    """On the grid of the skip, whose metric is known, not made from a coarser one."""
    return skip.with_array(x.array, x.signature).concat(skip)


def type_by_type(order: np.ndarray | Array, x: Array, skip: Array) -> Array:
    """`MultiImage.concat` of the arrays of one example."""
    return jnp.concatenate([x, skip])[order]


def middle(
    first: Signature, last: Signature, width: int, mid_signature: object, caller: str
) -> Signature:
    """Types and channels inside a network.

    Raises:
        ValueError: If a number is not positive.
        TypeError: If the width is no integer.
    """
    width = integer(width, caller, "width", 1, MOST)
    if mid_signature is not None:
        return checked_signature(mid_signature, caller, "mid_signature")
    return first.union(last, width)


def _beside(signature: Signature, D: int) -> np.ndarray:
    """Where the channels of two images, one after the other, go when types are joined."""
    size = signature.size(D)
    places = (np.arange(p.start, p.stop) for p in signature.slices(D).values())
    return np.concatenate([np.concatenate([p, size + p]) for p in places]).astype(np.int32)
