"""Series of vectors: tokens on the last axis but one, and fields on a line for convolutions."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from .._arguments import choice, flag, integer
from ..fields import FieldType
from ..nn import Conv, Layer, PointwiseMaxPool
from ..nn.authoring import parameter_dtype, representation_of
from ..representations import Representation
from ..spaces import on_r1
from ._choices import MOST_TAPS, checked_odd
from ._mlp import Activation, activation_layer, layer_type

DOWNSAMPLE = ("conv", "max")


class InTime(NamedTuple):
    """What the convolutions of a network in time share.

    Attributes:
        caller: The network.
        kernel_size: Taps, odd.
        use_bias: Whether there are invariant biases.
        dtype: Of the parameters.
    """

    caller: str
    kernel_size: int
    use_bias: bool
    dtype: DTypeLike | None

    @classmethod
    def checked(
        cls, caller: str, kernel_size: object, use_bias: object, dtype: DTypeLike | None
    ) -> InTime:
        """From what a user gave.

        Raises:
            ValueError: If the size is even or out of range.
            TypeError: If an argument is of another kind.
        """
        taps = checked_odd(caller, integer(kernel_size, caller, "kernel_size", 1, MOST_TAPS))
        return cls(caller, taps, flag(use_bias, caller, "use_bias"), parameter_dtype(dtype, caller))

    @property
    def options(self) -> dict[str, Any]:
        """Of any convolution; the group leaves time alone, so that every stride is exact."""
        return {
            "use_bias": self.use_bias,
            "warn_unused": False,
            "grid_check": "off",
            "dtype": self.dtype,
        }

    def conv(
        self,
        source: FieldType,
        target: FieldType,
        key: PRNGKeyArray,
        *,
        taps: int | None = None,
        stride: int = 1,
        init: str = "generalized_he",
    ) -> Conv:
        """A convolution that keeps the length, up to the stride: ``ceil(L / stride)``."""
        size = self.kernel_size if taps is None else taps
        return Conv(
            *(source, target, size),
            stride=stride,
            padding=size // 2,
            init=init,
            key=key,
            **self.options,
        )

    def widths(
        self, rep: Representation, channels: list[int], unit: Representation | None
    ) -> list[FieldType]:
        """Types of that many channels, rounded up to whole copies of a unit."""
        if unit is None and rep.group.order is None:
            raise ValueError(
                f"{self.caller}: unit: {rep.group.name} is infinite and has no regular "
                "representation; give unit, a sum of irreps, with activation=nn.NormNonlinearity "
                "or nn.GatedNonlinearity"
            )
        if unit is not None:
            representation_of(unit, self.caller, "unit")
        types = [layer_type(self.caller, rep, width, unit) for width in channels]
        reps = [representation_of(own, self.caller, "unit") for own in types]
        return [FieldType(on_r1(rep.group), own) for own in reps]

    def activation(self, activation: Activation, type_: FieldType) -> Layer:
        return activation_layer(self.caller, activation, type_)


def checked_downsample(caller: str, downsample: object, widths: list[FieldType]) -> str:
    """How series become shorter.

    Raises:
        ValueError: If it is unknown, or maxima do not commute with the group.
    """
    way = choice(downsample, caller, "downsample", DOWNSAMPLE)
    for type_ in widths if way == "max" else ():
        if not type_.representation.is_permutation:
            raise ValueError(
                f"{caller}: downsample: expected 'conv' for {type_!r}, got 'max': maxima commute "
                "with the group where it permutes channels only"
            )
    return way


def max_pool(type_: FieldType) -> PointwiseMaxPool:
    """Maxima of three in a row, every second one: of as many as a convolution leaves."""
    return PointwiseMaxPool(type_, 3, stride=2, padding=1, grid_check="off")


# ---- formulas ------------------------------------------------------------------------------------


def other_axis_last(x: Float[Array, "*batch a b"]) -> Float[Array, "*batch b a"]:
    """From tokens to fields on a line, and back."""
    return jnp.swapaxes(x, -1, -2)


def in_one_row(x: Float[Array, "*batch tokens n"]) -> Float[Array, "*batch all"]:
    """All tokens as one vector, token by token."""
    return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])
