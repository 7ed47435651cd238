"""`TimeSeriesEncoder`: from a stretch of time to one vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from .._arguments import arrays, flag, integer, integers
from ..fields import FieldType, Type
from ..nn import AbstractModule, Layer, RMSNorm, Sequential
from ..nn.attention import check_vectors
from ..nn.authoring import plain_function, representation_of
from ..representations import Representation, check_same_group
from ..spaces import on_r1
from ._choices import MOST
from ._in_time import InTime, checked_downsample, in_one_row, max_pool, other_axis_last
from ._mlp import MLP, Activation, InvariantMLP

_NAME = "TimeSeriesEncoder"


class TimeSeriesEncoder(AbstractModule):
    """Convolutions that halve time, and a network that reads what is left of it.

    Each block is a convolution with a stride of 2, a norm and a nonlinearity: ``ceil(T / 2)`` times
    remain. These stand side by side in one vector, which an `MLP` reads, or an `InvariantMLP` if
    ``out_type`` is trivial.

    Law: ``f(rho(g) x) = rho_out(g) f(x)``.

    Shapes: ``(..., length, n) -> (..., n_out)``.

    Examples:
        >>> import equivax as evx, jax, jax.numpy as jnp
        >>> G = evx.groups.dihedral(4)
        >>> options = dict(channels=(16, 32), hidden=(32,), key=jax.random.key(0))
        >>> encoder = evx.models.TimeSeriesEncoder(G.regular, G.irrep(1, 1), 10, **options)
        >>> encoder(jnp.ones((5, 10, 8))).shape
        (5, 2)
    """

    blocks: Sequential
    head: MLP | InvariantMLP
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    length: int = eqx.field(static=True)
    append_last: bool = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        out_type: Type,
        length: int,
        *,
        channels: Sequence[int] = (64, 128, 256),
        hidden: Sequence[Any] = (128,),
        unit: Representation | None = None,
        kernel_size: int = 3,
        activation: Activation = jax.nn.relu,
        downsample: str = "conv",
        norm: bool = True,
        append_last: bool = False,
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draws the parameters.

        Args:
            in_type: A `Representation` or a field type of vectors: the series at one time.
            out_type: Likewise, of the output.
            length: Number of times.
            channels: Of each block, rounded up to whole copies of ``unit``.
            hidden: Hidden layers of the network at the end, see `MLP`.
            unit: What is copied: the regular representation by default; needed for infinite groups.
            kernel_size: Taps of the convolutions, odd.
            activation: As in `MLP`.
            downsample: ``"conv"``, a stride of 2, or ``"max"``, maxima in time behind the
                nonlinearity, where the group permutes channels.
            norm: Whether blocks have an `nn.RMSNorm`.
            append_last: Whether the network at the end also sees the last time as it was.
            use_bias: Whether linear maps have invariant biases.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If groups differ, the group is infinite and ``unit`` missing, maxima do not
                fit, or an option is out of range.
            TypeError: If an argument is of another kind.
        """
        rep = representation_of(in_type, _NAME, "in_type")
        target = representation_of(out_type, _NAME, "out_type")
        for argument, type_ in (("in_type", in_type), ("out_type", out_type)):
            check_vectors(_NAME, argument, type_)
        check_same_group(_NAME, rep, target)
        left = self.length = integer(length, _NAME, "length", 1, MOST)
        time = InTime.checked(_NAME, kernel_size, use_bias, dtype)
        widths = time.widths(rep, list(integers(channels, _NAME, "channels", 1, MOST)), unit)
        way = checked_downsample(_NAME, downsample, widths)
        normed = flag(norm, _NAME, "norm")
        *keys, last = jax.random.split(arrays.key(key, _NAME), len(widths) + 1)
        layers: list[Layer] = []
        source = FieldType(on_r1(rep.group), rep)
        for width, own in zip(widths, keys, strict=True):
            act = time.activation(activation, width)
            layers.append(time.conv(source, act.in_type, own, stride=2 if way == "conv" else 1))
            layers += [RMSNorm(act.in_type, dtype=dtype)] if normed else []
            layers += [act] if way == "conv" else [act, max_pool(width)]
            source, left = width, (left + 1) // 2
        self.blocks = Sequential(*layers)
        self.append_last = flag(append_last, _NAME, "append_last")
        features = left * source.representation
        if self.append_last:
            features = features + rep
        options: dict[str, Any] = {
            "hidden_rep": unit,
            "activation": activation,
            "use_bias": use_bias,
            "dtype": dtype,
            "key": last,
        }
        if target.is_trivial:
            self.head = InvariantMLP(features, target.size, hidden, **options)
        else:
            self.head = MLP(features, target, hidden, **options)
        self.in_type = in_type
        self.out_type = out_type

    def _forward(
        self, x: Float[Array, "*batch length n"], key: PRNGKeyArray | None
    ) -> Float[Array, "*batch n_out"]:
        if x.shape[-2:-1] != (self.length,):
            raise ValueError(
                f"{_NAME}: x: expected (..., {self.length}, {x.shape[-1]}), as length says, got "
                f"shape {x.shape}"
            )
        return encoded(self.blocks, self.head, self.append_last, x)

    def export(self) -> Callable[..., Any]:
        """A plain function ``(x, key=None)`` of one series."""
        return plain_function(encoded, self.blocks.export(), self.head.export(), self.append_last)


def encoded(blocks, head, append_last, x, key=None):
    """`TimeSeriesEncoder` on ``x (..., T, n)``."""
    y = in_one_row(other_axis_last(blocks(other_axis_last(x))))
    return head(jnp.concatenate([y, x[..., -1, :]], axis=-1) if append_last else y)
