"""The U-Net (Ronneberger, Fischer and Brox 2015) on tensor images."""

from __future__ import annotations

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from ..images import MultiImage, Signature
from ..nn import AbstractModule, NormMaxPool, PointwiseMaxPool
from ..nn._core._plain import plain_layer
from ..spaces import GSpace
from ._choices import checked_counts, checked_odd
from ._conv_block import Activation, ConvBlock, space_of
from ._on_images import AbstractImageModel


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
        in_signature: Any,
        out_signature: Any,
        *,
        D: int = 2,
        group: Any = None,
        width: int = 16,
        mid_signature: Any = None,
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
        self.in_signature, self.out_signature = Signature(in_signature), Signature(out_signature)
        self.equivariant = bool(equivariant)
        self.space = space_of(D, group, self.equivariant, name)
        checked_counts(name, kernel_size=kernel_size, num_conv=num_conv)
        if num_downsamples != 0:
            checked_counts(name, num_downsamples=num_downsamples)
        checked_odd(name, kernel_size)
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
                below, level, 2, input_dilation=2, padding=1, activation=None, key=next(keys),
                **common,
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
        x, skips = x if self.equivariant else x.to_scalar(), []
        for level, blocks in enumerate(self.down):
            x = _chain(blocks, x)
            if level < len(self.pools):
                skips.append(x)
                x = self.pools[level](x)
        for level in reversed(range(len(self.ups))):
            # On the grid of the skip, whose metric is known, not made from a coarser one.
            up, skip = self.ups[level](x), skips[level]
            x = _chain(self.merges[level], skip.with_array(up.array, up.signature).concat(skip))
        x = self.head(x)
        return x if self.equivariant else x.from_scalar(self.out_signature)

    def export(self, is_torus: Any = True) -> eqx.nn.Lambda:
        """A layer that holds the exported parts; it takes one example.

        Args:
            is_torus: Which axes are periodic: what images know and arrays do not.
        """

        def plain(blocks: tuple[ConvBlock, ...]) -> tuple[Any, ...]:
            return tuple(block.export(is_torus) for block in blocks)

        return plain_layer(
            _unet,
            tuple(plain(blocks) for blocks in self.down),
            tuple(pool.export() for pool in self.pools),
            plain(self.ups),
            tuple(jnp.asarray(_beside(up.out_signature, self.space.dim)) for up in self.ups),
            tuple(plain(blocks) for blocks in self.merges),
            self.head.export(is_torus),
        )


def middle(
    first: Signature, last: Signature, width: Any, mid_signature: Any, caller: str
) -> Signature:
    """Types and channels inside a network.

    Raises:
        ValueError: If a number is not positive.
        TypeError: If the width is no integer.
    """
    if mid_signature is not None:
        return Signature(mid_signature)
    checked_counts(caller, width=width)
    return first.union(last, width)


def _chain(blocks: tuple[ConvBlock, ...], x: MultiImage) -> MultiImage:
    for block in blocks:
        x = block(x)
    return x


def _beside(signature: Signature, D: int) -> np.ndarray:
    """Where the channels of two images, one after the other, go when types are joined."""
    size = signature.size(D)
    places = (np.arange(p.start, p.stop) for p in signature.slices(D).values())
    return np.concatenate([np.concatenate([p, size + p]) for p in places]).astype(np.int32)


def _unet(down, pools, ups, orders, merges, head, x):
    skips = []
    for level, blocks in enumerate(down):
        for block in blocks:
            x = block(x)
        if level < len(pools):
            skips.append(x)
            x = pools[level](x)
    for level in range(len(ups) - 1, -1, -1):
        x = jnp.concatenate([ups[level](x), skips[level]])[orders[level]]
        for block in merges[level]:
            x = block(x)
    return head(x)
