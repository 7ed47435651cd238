"""Transformers that encode (Vaswani et al. 2017): one layer, and a stack of them.

A layer adds to every token what attention and a small network make of it. Residual branches are
equivariant, so is their sum; between them tokens are divided by their length. All stays irrep by
irrep where that is faster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from .._arguments import arrays, flag
from ..fields import IrrepTensor, Type
from ..hom import Machine
from ..nn import (
    AbstractModule,
    AbstractPositions,
    FieldDropout,
    Layer,
    MultiheadAttention,
    RMSNorm,
)
from ..nn.authoring import (
    Ways,
    carried,
    in_turn,
    parameter_dtype,
    plain_function,
    split_keys,
    ways_through,
)
from ._mlp import MLP, Activation
from ._transformer_parts import (
    Norm,
    Tokens,
    TransformerParts,
    added,
    checked_norm,
    costs_in_a_row,
    keys_of_layers,
    plain_attention,
)


class TransformerEncoderLayer(AbstractModule):
    """``x + f(n(x))`` for self-attention ``f``, then for a network of one hidden layer.

    Or, with ``norm_first=False``, ``n(x + f(x))``, as in the first transformers. The hidden layer
    consists of regular copies, on which a function of single channels acts.

    Law: ``f(rho(g) x) = rho(g) f(x)``.

    Shapes: ``(..., T, n) -> (..., T, n)``.

    Examples:
        >>> import equivax as evx, jax
        >>> rep = 4 * evx.groups.dihedral(4).regular
        >>> layer = evx.models.TransformerEncoderLayer(rep, 2, key=jax.random.key(0))
        >>> layer(jax.numpy.ones((3, 10, 32)), mask="causal").shape
        (3, 10, 32)
    """

    attention_norm: Layer
    attention: MultiheadAttention
    feedforward_norm: Layer
    feedforward: MLP
    dropout: FieldDropout
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    norm_first: bool = eqx.field(static=True)
    mode: str = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        num_heads: int,
        *,
        head_type: Type | None = None,
        feedforward: int | Type | None = None,
        activation: Activation = jax.nn.gelu,
        dropout: float | int = 0.0,
        norm_first: bool = True,
        norm: Norm = RMSNorm,
        positions: AbstractPositions | None = None,
        use_bias: bool = True,
        mode: str = "auto",
        implementation: str | None = None,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draws the parameters.

        Args:
            in_type: A `Representation` or a field type of vectors: one token.
            num_heads: Number of heads.
            head_type: Type of a head, see `nn.MultiheadAttention`.
            feedforward: Hidden channels, rounded up to whole regular copies, or their type; default
                four times the width of ``in_type``.
            activation: As in `MLP`; for types that the group does not permute a class such as
                `nn.NormNonlinearity`.
            dropout: Probability to drop a weight of attention, and a field behind attention, in the
                hidden layer and behind it.
            norm_first: Whether branches are normalised, or sums.
            norm: From a type to a layer: `nn.RMSNorm`, `nn.LayerNorm` or another.
            positions: Of the tokens, see `nn.MultiheadAttention`.
            use_bias: Whether linear maps have invariant biases.
            mode: Of the linear maps, see `nn.Linear`.
            implementation: Of attention, see `nn.MultiheadAttention`.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If the group is infinite and a type missing, or an option does not fit.
            TypeError: If an argument is of another kind.
        """
        name = "TransformerEncoderLayer"
        parts = TransformerParts(
            name, in_type, feedforward, activation, dropout, norm, mode, use_bias, dtype
        )
        first, second = jax.random.split(arrays.key(key, name))
        self.attention = parts.attention(
            num_heads, in_type, head_type, positions, implementation, first
        )
        self.feedforward = parts.network(second)
        self.attention_norm, self.feedforward_norm = parts.norm(), parts.norm()
        self.dropout = parts.dropout()
        self.in_type = in_type
        self.out_type = in_type
        self.norm_first = flag(norm_first, name, "norm_first")
        self.mode = mode

    def _forward(
        self,
        x: Float[Array, "*batch T n"],
        key: PRNGKeyArray | None,
        mask: object = None,
        positions: object = None,
    ) -> Tokens:
        (irrep_wise,) = ways_through((self,), x)
        y = self._steps(carried(self.in_type, x, irrep_wise), key, mask, positions)
        return carried(self.out_type, y, False)  # pyright: ignore[reportArgumentType]

    def _forward_irreps(
        self,
        x: IrrepTensor,
        key: PRNGKeyArray | None,
        mask: object = None,
        positions: object = None,
    ) -> Tokens:
        return self._steps(x, key, mask, positions)

    def _steps(
        self, x: Tokens, key: PRNGKeyArray | None, mask: object, positions: object
    ) -> Tokens:
        first, second, third, fourth = split_keys(key, 4)
        norms = self.attention_norm, self.feedforward_norm
        branches = (
            lambda v: self.dropout(
                self.attention(v, mask=mask, positions=positions, key=first), key=second
            ),
            lambda v: self.dropout(self.feedforward(v, key=third), key=fourth),
        )
        return added(self.norm_first, norms, branches, x)

    def costs_of_ways(self, rows: int, prices: Machine) -> Ways:
        """See `AbstractLayer`: those of the parts."""
        parts = (self.attention_norm, self.attention, self.feedforward_norm, self.feedforward)
        return costs_in_a_row(parts, rows, prices)

    def export(self) -> Callable[..., Any]:
        """A plain function ``(x, mask=None, positions=None, key=None)``, at inference.

        It takes the tokens of one example and arrays for masks.
        """
        norms = self.attention_norm.export(), self.feedforward_norm.export()  # pyright: ignore[reportCallIssue]
        return plain_function(
            plain_encoder_layer,
            self.norm_first,
            norms,
            plain_attention(self.attention),
            self.feedforward.export(),
        )


def plain_encoder_layer(
    norm_first, norms, attention, feedforward, x, mask=None, positions=None, key=None
):
    """`TransformerEncoderLayer` on the tokens of one example."""
    branches = (
        lambda v: attention(v, v, v, mask, positions),
        lambda v: jax.vmap(feedforward)(v),
    )
    return added(norm_first, [jax.vmap(norm) for norm in norms], branches, x)


class TransformerEncoder(AbstractModule):
    """`TransformerEncoderLayer` after layer, and a norm where layers normalise their branches.

    Every layer is drawn by itself; all are traced once. Features stay irrep by irrep from the first
    to the last where that is faster.

    Law: ``f(rho(g) x) = rho(g) f(x)``.

    Shapes: ``(..., T, n) -> (..., T, n)``.
    """

    layers: tuple[TransformerEncoderLayer, ...]
    norm: Layer | None
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        num_heads: int,
        depth: int,
        *,
        head_type: Type | None = None,
        feedforward: int | Type | None = None,
        activation: Activation = jax.nn.gelu,
        dropout: float | int = 0.0,
        norm_first: bool = True,
        norm: Norm = RMSNorm,
        positions: AbstractPositions | None = None,
        use_bias: bool = True,
        mode: str = "auto",
        implementation: str | None = None,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draws the parameters.

        Args:
            in_type: A `Representation` or a field type of vectors: one token.
            num_heads: Number of heads.
            depth: Number of layers.
            head_type: As in `TransformerEncoderLayer`.
            feedforward: Likewise.
            activation: Likewise.
            dropout: Likewise.
            norm_first: Likewise.
            norm: Likewise.
            positions: Likewise; every layer has its own copy of what is learned.
            use_bias: Likewise.
            mode: Likewise.
            implementation: Likewise.
            dtype: Likewise.
            key: A JAX key.

        Raises:
            ValueError: As `TransformerEncoderLayer`.
            TypeError: Likewise.
        """
        name = "TransformerEncoder"
        keys = keys_of_layers(name, depth, key)
        options: dict[str, Any] = {
            "head_type": head_type,
            "feedforward": feedforward,
            "activation": activation,
            "dropout": dropout,
            "norm_first": norm_first,
            "norm": norm,
            "positions": positions,
            "use_bias": use_bias,
            "mode": mode,
            "implementation": implementation,
            "dtype": dtype,
        }
        self.layers = tuple(
            TransformerEncoderLayer(in_type, num_heads, key=own, **options) for own in keys
        )
        own = parameter_dtype(dtype, name)
        self.norm = checked_norm(name, norm, in_type, own) if norm_first else None
        self.in_type = in_type
        self.out_type = in_type

    def _forward(
        self,
        x: Float[Array, "*batch T n"],
        key: PRNGKeyArray | None,
        mask: object = None,
        positions: object = None,
    ) -> Tokens:
        (irrep_wise,) = ways_through((self,), x)
        y = self._steps(carried(self.in_type, x, irrep_wise), key, mask, positions)
        return carried(self.out_type, y, False)  # pyright: ignore[reportArgumentType]

    def _forward_irreps(
        self,
        x: IrrepTensor,
        key: PRNGKeyArray | None,
        mask: object = None,
        positions: object = None,
    ) -> Tokens:
        return self._steps(x, key, mask, positions)

    def _steps(
        self, x: Tokens, key: PRNGKeyArray | None, mask: object, positions: object
    ) -> Tokens:
        y = in_turn(self.layers, x, key=key, mask=mask, positions=positions)
        return y if self.norm is None else self.norm(y)

    def costs_of_ways(self, rows: int, prices: Machine) -> Ways:
        """See `AbstractLayer`: those of the layers."""
        return costs_in_a_row(self.layers, rows, prices)

    def export(self) -> Callable[..., Any]:
        """A plain function as that of `TransformerEncoderLayer`."""
        layers = tuple(layer.export() for layer in self.layers)
        norm = None if self.norm is None else self.norm.export()  # pyright: ignore[reportCallIssue]
        return plain_function(plain_encoder, layers, norm)


def plain_encoder(layers, norm, x, mask=None, positions=None, key=None):
    """`TransformerEncoder` on the tokens of one example."""
    for layer in layers:
        x = layer(x, mask, positions)
    return x if norm is None else jax.vmap(norm)(x)
