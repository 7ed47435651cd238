"""Networks on tensor images that keep the grid: residual ones, dilated ones, plain chains."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
from jaxtyping import PRNGKeyArray

from .._arguments import arrays, flag, integer, integers
from ..images import MultiImage, Signature
from ..nn.authoring import checked_signature, plain_layer
from ..spaces import GSpace
from ._choices import MOST, checked_odd
from ._conv_block import Activation, ConvBlock, space_of
from ._on_images import AbstractImageModel
from ._tensor_unet import middle


class AbstractResidualImages(AbstractImageModel):
    """Interface of networks that encode, run residual chains of blocks, and decode.

    Attributes:
        encoder: First blocks.
        chains: Each gives ``x + block_n(... block_1(x))``.
        decoder: Last blocks.
        equivariant: False for the plain twin.
    """

    encoder: eqx.AbstractVar[tuple[ConvBlock, ...]]
    chains: eqx.AbstractVar[tuple[tuple[ConvBlock, ...], ...]]
    decoder: eqx.AbstractVar[tuple[ConvBlock, ...]]
    equivariant: eqx.AbstractVar[bool]

    @abc.abstractmethod
    def __init__(self, in_signature: object, out_signature: object, **options: Any) -> None:
        """Builds the blocks."""

    def _image(self, x: MultiImage, key: PRNGKeyArray | None) -> MultiImage:
        x = x if self.equivariant else x.to_scalar()
        x = chained(self.encoder, self.chains, self.decoder, x)
        return x if self.equivariant else x.from_scalar(self.out_signature)

    def export(self, is_torus: object = True) -> eqx.nn.Lambda:
        """A layer that holds the exported blocks; it takes one example.

        Args:
            is_torus: Which axes are periodic: what images know and arrays do not.
        """

        def plain(blocks: tuple[ConvBlock, ...]) -> tuple[Any, ...]:
            return tuple(block.export(is_torus) for block in blocks)

        chains = tuple(plain(chain) for chain in self.chains)
        return plain_layer(chained, plain(self.encoder), chains, plain(self.decoder))


class Series(AbstractResidualImages):
    """A chain of convolutions on tensor images: ``depth`` blocks, the last one without activation.

    The simplest network on a grid: from the input's types to those inside, on and on, to the
    output's.

    Law: ``f(g x) = g f(x)`` for signed permutations of the axes, exactly.

    Shapes: ``(..., C_in, *sides) -> (..., C_out, *sides)``, any sides.

    Examples:
        >>> import equivax as evx, jax
        >>> scalar, vector = (((0, 0), 1),), (((1, 0), 1),)
        >>> model = evx.models.Series(scalar, vector, depth=3, width=4, key=jax.random.key(0))
        >>> len(model.encoder), len(model.decoder)
        (2, 1)
    """

    encoder: tuple[ConvBlock, ...]
    chains: tuple[tuple[ConvBlock, ...], ...]
    decoder: tuple[ConvBlock, ...]
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
        depth: int = 4,
        width: int = 16,
        mid_signature: object = None,
        kernel_size: int = 3,
        norm: str | None = None,
        activation: Activation = jax.nn.gelu,
        equivariant: bool = True,
        key: PRNGKeyArray,
        **options: Any,
    ) -> None:
        """Builds the blocks.

        Args:
            in_signature: Types of the input: a `Signature`, or what it accepts.
            out_signature: Types of the output.
            D: Number of spatial axes.
            group: A group of signed permutations of the axes; all of them if None.
            depth: Number of convolutions.
            width: Channels of every type inside.
            mid_signature: Types and channels inside, in the place of ``width``; if None all types
                of input and output.
            kernel_size: Of all convolutions, odd.
            norm: ``"layer"`` or None.
            activation: Of `nn.VectorNeuron`, a function of numbers.
            equivariant: False makes the plain twin, with as many dense channels.
            key: A JAX key.
            **options: Of all convolutions, as in `ConvBlock`; and its ``convention``.

        Raises:
            ValueError: If a number does not fit, or a type cannot be reached.
            TypeError: If a number is no integer.
        """
        name = "Series"
        self.in_signature = checked_signature(in_signature, name, "in_signature")
        self.out_signature = checked_signature(out_signature, name, "out_signature")
        self.equivariant = flag(equivariant, name, "equivariant")
        self.space = space_of(D, group, self.equivariant, name)
        kernel_size, depth = checked_odd(name, kernel_size), integer(depth, name, "depth", 1, MOST)
        key = arrays.key(key, name)
        mid = middle(self.in_signature, self.out_signature, width, mid_signature, name)
        types = [self.in_signature, *[mid] * (depth - 1), self.out_signature]
        if not self.equivariant:
            types = [s.scalars(self.space.dim) for s in types]
        settings: dict[str, Any] = {"D": D, "group": _group(self), "equivariant": self.equivariant}
        inner = {"norm": norm, "activation": activation}
        *keys, last_key = jax.random.split(key, depth)
        self.encoder = tuple(
            ConvBlock(source, target, kernel_size, key=own, **settings, **inner, **options)
            for source, target, own in zip(types, types[1:], keys, strict=False)
        )
        self.chains = ()
        settings |= {"activation": None, "key": last_key}
        self.decoder = (ConvBlock(types[-2], types[-1], kernel_size, **settings, **options),)


class TensorResNet(AbstractResidualImages):
    """A residual network from tensor images to tensor images on the same grid.

    Two blocks, ``num_blocks`` residual chains of ``num_conv`` blocks with norm and activation
    before the convolution (He et al. 2016), two blocks of which the last is a convolution.

    Law: ``f(g x) = g f(x)`` for signed permutations of the axes, exactly.

    Shapes: ``(..., C_in, *sides) -> (..., C_out, *sides)``, any sides.
    """

    encoder: tuple[ConvBlock, ...]
    chains: tuple[tuple[ConvBlock, ...], ...]
    decoder: tuple[ConvBlock, ...]
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
        num_blocks: int = 8,
        num_conv: int = 2,
        norm: str | None = "layer",
        activation: Activation = jax.nn.gelu,
        equivariant: bool = True,
        key: PRNGKeyArray,
        **options: Any,
    ) -> None:
        """Builds the blocks.

        Args:
            in_signature: Types of the input: a `Signature`, or what it accepts.
            out_signature: Types of the output.
            D: Number of spatial axes.
            group: A group of signed permutations of the axes; all of them if None.
            width: Channels of every type inside.
            mid_signature: Types and channels inside, in the place of ``width``; if None all types
                of input and output.
            kernel_size: Of all convolutions, odd.
            num_blocks: Residual chains.
            num_conv: Blocks per chain.
            norm: ``"layer"`` or None.
            activation: Of `nn.VectorNeuron`, a function of numbers.
            equivariant: False makes the plain twin, with as many dense channels.
            key: A JAX key.
            **options: Of all convolutions, as in `ConvBlock`; and its ``convention``.

        Raises:
            ValueError: If a number does not fit, or a type cannot be reached.
            TypeError: If a number is no integer.
        """
        name = "TensorResNet"
        self.in_signature = checked_signature(in_signature, name, "in_signature")
        self.out_signature = checked_signature(out_signature, name, "out_signature")
        self.equivariant = flag(equivariant, name, "equivariant")
        self.space = space_of(D, group, self.equivariant, name)
        kernel_size, key = checked_odd(name, kernel_size), arrays.key(key, name)
        num_blocks = integer(num_blocks, name, "num_blocks", 1, MOST)
        num_conv = integer(num_conv, name, "num_conv", 1, MOST)
        mid = middle(self.in_signature, self.out_signature, width, mid_signature, name)
        keys = iter(jax.random.split(key, 4 + num_blocks * num_conv))
        settings = {"D": D, "equivariant": self.equivariant, "activation": activation, **options}
        self.encoder, mid, self.decoder = _ends(self, mid, kernel_size, keys, settings)
        settings |= {"group": _group(self), "norm": norm, "preactivation": True}
        self.chains = tuple(
            tuple(
                ConvBlock(mid, mid, kernel_size, key=next(keys), **settings)
                for _ in range(num_conv)
            )
            for _ in range(num_blocks)
        )


class DilResNet(AbstractResidualImages):
    """The dilated residual network (Stachenfeld et al. 2022) on tensor images.

    Two blocks, ``num_blocks`` residual chains of blocks whose convolutions have the dilations 1, 2,
    4, 8, 4, 2, 1, two blocks of which the last is a convolution.

    Law: ``f(g x) = g f(x)`` for signed permutations of the axes, exactly.

    Shapes: ``(..., C_in, *sides) -> (..., C_out, *sides)``, any sides.
    """

    encoder: tuple[ConvBlock, ...]
    chains: tuple[tuple[ConvBlock, ...], ...]
    decoder: tuple[ConvBlock, ...]
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
        num_blocks: int = 4,
        dilations: Sequence[int] = (1, 2, 4, 8, 4, 2, 1),
        norm: str | None = None,
        activation: Activation = jax.nn.relu,
        equivariant: bool = True,
        key: PRNGKeyArray,
        **options: Any,
    ) -> None:
        """Builds the blocks.

        Args:
            in_signature: Types of the input: a `Signature`, or what it accepts.
            out_signature: Types of the output.
            D: Number of spatial axes.
            group: A group of signed permutations of the axes; all of them if None.
            width: Channels of every type inside.
            mid_signature: Types and channels inside, in the place of ``width``; if None all types
                of input and output.
            kernel_size: Of all convolutions, odd.
            num_blocks: Residual chains.
            dilations: Of the blocks of a chain.
            norm: ``"layer"`` or None.
            activation: Of `nn.VectorNeuron`, a function of numbers.
            equivariant: False makes the plain twin, with as many dense channels.
            key: A JAX key.
            **options: Of all convolutions, as in `ConvBlock`; and its ``convention``.

        Raises:
            ValueError: If a number does not fit, or a type cannot be reached.
            TypeError: If a number is no integer.
        """
        name = "DilResNet"
        self.in_signature = checked_signature(in_signature, name, "in_signature")
        self.out_signature = checked_signature(out_signature, name, "out_signature")
        self.equivariant = flag(equivariant, name, "equivariant")
        self.space = space_of(D, group, self.equivariant, name)
        kernel_size, key = checked_odd(name, kernel_size), arrays.key(key, name)
        num_blocks = integer(num_blocks, name, "num_blocks", 1, MOST)
        dilations = integers(dilations, name, "dilations", 1)
        mid = middle(self.in_signature, self.out_signature, width, mid_signature, name)
        keys = iter(jax.random.split(key, 4 + num_blocks * len(dilations)))
        settings = {"D": D, "equivariant": self.equivariant, "activation": activation, **options}
        settings["norm"] = norm
        self.encoder, mid, self.decoder = _ends(self, mid, kernel_size, keys, settings)
        settings["group"] = _group(self)
        self.chains = tuple(
            tuple(
                ConvBlock(mid, mid, kernel_size, dilation=n, key=next(keys), **settings)
                for n in dilations
            )
            for _ in range(num_blocks)
        )


def _group(model: AbstractResidualImages) -> GSpace | None:
    return model.space if model.equivariant else None


def _ends(
    model: AbstractResidualImages,
    mid: Signature,
    kernel_size: int,
    keys: Iterator[Any],
    settings: dict[str, Any],
) -> tuple[tuple[ConvBlock, ...], Signature, tuple[ConvBlock, ...]]:
    """Two blocks in, the types between, two blocks out; the last one without activation."""
    start, end, D = model.in_signature, model.out_signature, model.space.dim
    if not model.equivariant:
        start, mid, end = (s.scalars(D) for s in (start, mid, end))
    settings = {**settings, "group": _group(model)}
    last = {**settings, "activation": None, "norm": None}
    encoder = (
        ConvBlock(start, mid, kernel_size, key=next(keys), **settings),
        ConvBlock(mid, mid, kernel_size, key=next(keys), **settings),
    )
    decoder = (
        ConvBlock(mid, mid, kernel_size, key=next(keys), **settings),
        ConvBlock(mid, end, kernel_size, key=next(keys), **last),
    )
    return encoder, mid, decoder


def chained(
    encoder: Sequence[Callable[..., Any]],
    chains: Sequence[Sequence[Callable[..., Any]]],
    decoder: Sequence[Callable[..., Any]],
    x: Any,
) -> Any:
    """The network on images, or on the arrays of one example."""
    for block in encoder:
        x = block(x)
    for chain in chains:
        y = x
        for block in chain:
            y = block(y)
        x = x + y
    for block in decoder:
        x = block(x)
    return x
