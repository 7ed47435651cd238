"""`ConvBlock`: convolution, norm, activation on tensor images, and its plain twin.

The plain twin takes every component for a scalar channel: the same widths and the same graph with
`equinox.nn.Conv` in the place of invariant filters. It is what a comparison needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, PRNGKeyArray

from .._arguments import arrays, choice, flag, integers, is_flag, refuse
from .._windows import Integers, ModeLike, PaddingLike, Windows, make_windows, one_of
from ..images import MultiImage, Signature, as_dimension, as_flags, axis_space
from ..nn import (
    AbstractModule,
    ConvContract,
    LayerNorm,
    PointwiseNonlinearity,
    Relaxed,
    VectorNeuron,
)
from ..nn.authoring import check_elementwise, checked_signature, exported_chain, split_keys
from ..nn.convolution._formula import convolved, exported_convolution
from ..spaces import GSpace, hyperoctahedral_on
from ._choices import MOST_TAPS
from ._on_images import AbstractImageModel

Activation = Callable[[Array], Array]

#: Words for biases of `nn.ConvContract`; the plain twin has one for every channel.
BIAS_MODES = ("auto", "mean", "scalar")


class ConvBlock(AbstractImageModel):
    """Convolution, whitening norm, vector neuron; or norm, vector neuron, convolution.

    Law: ``f(g x) = g f(x)`` for signed permutations of the axes, where the stride fits.

    Shapes: as `nn.ConvContract`.

    Examples:
        >>> import equivax as evx, jax
        >>> scalar, fields = (((0, 0), 1),), (((0, 0), 4), ((1, 0), 4))
        >>> block = evx.models.ConvBlock(scalar, fields, norm="layer", key=jax.random.key(0))
        >>> block.out_signature.size(2)
        12
    """

    layers: tuple[AbstractModule, ...]
    in_signature: Signature = eqx.field(static=True)
    out_signature: Signature = eqx.field(static=True)
    space: GSpace = eqx.field(static=True)
    equivariant: bool = eqx.field(static=True)

    def __init__(
        self,
        in_signature: object,
        out_signature: object,
        kernel_size: int | tuple[int, ...] = 3,
        *,
        D: int = 2,
        group: object = None,
        norm: str | None = None,
        activation: Activation | None = jax.nn.gelu,
        preactivation: bool = False,
        equivariant: bool = True,
        key: PRNGKeyArray,
        **options: Any,
    ) -> None:
        """Draws the parameters.

        Args:
            in_signature: Types of the input: a `Signature`, or what it accepts.
            out_signature: Types of the output.
            kernel_size: Taps per axis.
            D: Number of spatial axes.
            group: A group of signed permutations of the axes; all of them if None.
            norm: ``"layer"`` (`nn.LayerNorm`) or None.
            activation: Of `nn.VectorNeuron`, a function of numbers; None for none.
            preactivation: Norm and activation come first, on the types of the input.
            equivariant: False makes the plain twin.
            key: A JAX key.
            **options: Of the convolution, as in `nn.ConvContract`: ``use_bias``, ``stride``,
                ``padding``, ``padding_mode``, ``dilation``, ``input_dilation``; of an equivariant
                one also what else that takes.

        Raises:
            ValueError: If the norm is unknown, or an argument does not fit.
        """
        name = "ConvBlock"
        if norm is not None and not (isinstance(norm, str) and norm == "layer"):
            error = ValueError if isinstance(norm, str) else TypeError
            refuse(error, name, "norm", "'layer' or None", norm)
        preactivation = flag(preactivation, name, "preactivation")
        if activation is not None:
            check_elementwise(name, activation, "activation", "jax.nn.gelu")
        self.in_signature = checked_signature(in_signature, name, "in_signature")
        self.out_signature = checked_signature(out_signature, name, "out_signature")
        self.equivariant = flag(equivariant, name, "equivariant")
        self.space = space_of(D, group, self.equivariant, "ConvBlock")
        integers(kernel_size, name, "kernel_size", 1, MOST_TAPS)
        for argument in ("in_signature", "out_signature"):
            if not getattr(self, argument).size(self.space.dim):
                raise ValueError(f"{name}: {argument}: expected at least one channel")
        first, second = jax.random.split(arrays.key(key, name))
        source = self._inside(self.in_signature)
        target = self._inside(self.out_signature)
        kind = ConvContract if self.equivariant else _PlainConv
        settings: dict[str, Any] = {"D": self.space.dim}
        if self.equivariant:
            settings["group"] = self.space
        conv = kind(source, target, kernel_size, key=first, **settings, **options)
        type_ = (source if preactivation else target).field_type(self.space.dim, self.space)
        others: list[AbstractModule] = [] if norm is None else [LayerNorm(type_)]
        if activation is not None and self.equivariant:
            others.append(VectorNeuron(type_, activation=activation, key=second))
        elif activation is not None:
            others.append(PointwiseNonlinearity(type_, activation))
        self.layers = (*others, conv) if preactivation else (conv, *others)

    def _inside(self, signature: Signature) -> Signature:
        return signature if self.equivariant else signature.scalars(self.space.dim)

    def _image(self, x: MultiImage, key: PRNGKeyArray | None) -> MultiImage:
        x = x if self.equivariant else x.to_scalar()
        for layer, own in zip(self.layers, split_keys(key, len(self.layers)), strict=True):
            x = layer(x, key=own)
        return x if self.equivariant else x.from_scalar(self.out_signature)

    def export(self, is_torus: object = True) -> eqx.nn.Sequential:
        """`equinox.nn.Sequential` of plain layers; it takes one example.

        Args:
            is_torus: Which axes are periodic: what images know and arrays do not.
        """
        return eqx.nn.Sequential([_exported(layer, is_torus) for layer in self.layers])


def _exported(layer: AbstractModule, is_torus: object) -> Any:
    if isinstance(layer, (ConvContract, Relaxed, _PlainConv)):
        plain = layer.export(is_torus)
        return plain if isinstance(plain, eqx.Module) else eqx.nn.Lambda(plain)
    return exported_chain([layer], None)[0]


def space_of(D: int, group: object, equivariant: bool, caller: str) -> GSpace:
    """The space of a network: that of the group, or of the identity alone.

    Raises:
        ValueError: If the group does not act on D axes, or a plain network is given one.
    """
    if equivariant:
        return axis_space(group, D, caller)
    if group is not None:
        raise ValueError(
            f"{caller}: group: expected None with equivariant=False, which commutes with nothing, "
            f"got {group!r}"
        )
    return identity_on(as_dimension(D, caller))


def identity_on(D: int) -> GSpace:
    """The grid with nothing but the identity acting."""
    space = hyperoctahedral_on(D)
    return space.restrict([space.group.identity])


class _PlainConv(AbstractImageModel):
    """`equinox.nn.Conv` on the scalars of an image, with the padding of `nn.ConvContract`."""

    conv: eqx.nn.Conv
    in_signature: Signature = eqx.field(static=True)
    out_signature: Signature = eqx.field(static=True)
    space: GSpace = eqx.field(static=True)
    windows: Windows = eqx.field(static=True)

    def __init__(
        self,
        in_signature: Signature,
        out_signature: Signature,
        kernel_size: Integers,
        *,
        D: int,
        use_bias: object = "auto",
        stride: Integers = 1,
        padding: PaddingLike | None = "same",
        padding_mode: ModeLike | None = None,
        dilation: Integers = 1,
        input_dilation: Integers = 1,
        lhs_dilation: Integers | None = None,
        rhs_dilation: Integers | None = None,
        key: PRNGKeyArray,
    ) -> None:
        name = "ConvBlock"
        if not (use_bias is None or is_flag(use_bias)):
            choice(use_bias, name, "use_bias", BIAS_MODES)
        self.in_signature, self.out_signature = in_signature, out_signature
        self.space = identity_on(as_dimension(D, name))
        self.windows = make_windows(
            name,
            D,
            kernel_size,
            stride=stride,
            padding=padding,
            padding_mode=padding_mode,
            dilation=one_of(name, "dilation", dilation, "rhs_dilation", rhs_dilation),
            input_dilation=one_of(
                name, "input_dilation", input_dilation, "lhs_dilation", lhs_dilation
            ),
            images=True,
        )
        self.conv = eqx.nn.Conv(
            D,
            in_signature.size(D),
            out_signature.size(D),
            self.windows.kernel_size,
            use_bias=use_bias is not None and bool(use_bias),
            key=key,
        )

    @property
    def _bias(self) -> Array | None:
        return None if self.conv.bias is None else self.conv.bias.ravel()

    def _image(self, x: MultiImage, key: PRNGKeyArray | None) -> MultiImage:
        windows = self.windows.on("ConvBlock", x.spatial, x.is_torus)
        y = convolved(self.conv.weight, self._bias, x.array, **windows.settings)
        return MultiImage.from_array(y, self.out_signature, x.D, x.is_torus)

    def export(self, is_torus: object = True) -> Any:
        """The convolution inside, with its padding."""
        flags = as_flags(is_torus, self.space.dim, "ConvBlock", "is_torus")
        return exported_convolution(self.conv.weight, self._bias, self.windows.filled(flags))
