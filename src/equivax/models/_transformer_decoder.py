"""Transformers that decode: like those that encode, with attention to a memory in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jax.typing import DTypeLike
from jaxtyping import Array, PRNGKeyArray

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


class TransformerDecoderLayer(AbstractModule):
    """Like `TransformerEncoderLayer`, with attention to other tokens, a memory, in between.

    Law: ``f(rho(g) x, rho'(g) m) = rho(g) f(x, m)``.

    Shapes: ``(..., T, n), (..., S, n_memory) -> (..., T, n)``.

    Examples:
        >>> import equivax as evx, jax
        >>> rep = 4 * evx.groups.dihedral(4).regular
        >>> layer = evx.models.TransformerDecoderLayer(rep, 2, key=jax.random.key(0))
        >>> x, memory = jax.numpy.ones((3, 10, 32)), jax.numpy.ones((3, 7, 32))
        >>> layer(x, memory, mask="causal").shape
        (3, 10, 32)
    """

    attention_norm: Layer
    attention: MultiheadAttention
    cross_norm: Layer
    cross_attention: MultiheadAttention
    feedforward_norm: Layer
    feedforward: MLP
    dropout: FieldDropout
    in_type: tuple[Type, Type] = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    norm_first: bool = eqx.field(static=True)
    mode: str = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        num_heads: int,
        *,
        memory_type: Type | None = None,
        head_type: Type | None = None,
        feedforward: int | Type | None = None,
        activation: Activation = jax.nn.gelu,
        dropout: float | int = 0.0,
        norm_first: bool = True,
        norm: Norm = RMSNorm,
        positions: AbstractPositions | None = None,
        cross_positions: AbstractPositions | None = None,
        use_bias: bool = True,
        mode: str = "auto",
        implementation: str | None = None,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draws the parameters.

        Args:
            in_type: A `Representation` or a field type of vectors: one token.
            num_heads: Number of heads of both attentions.
            memory_type: Type of a token of the memory; default ``in_type``.
            head_type: As in `TransformerEncoderLayer`.
            feedforward: Likewise.
            activation: Likewise.
            dropout: Likewise.
            norm_first: Likewise.
            norm: Likewise.
            positions: Of the tokens, in attention to one another.
            cross_positions: Of tokens and memory, in attention to the memory.
            use_bias: Whether linear maps have invariant biases.
            mode: Of the linear maps, see `nn.Linear`.
            implementation: Of attention, see `nn.MultiheadAttention`.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: As `TransformerEncoderLayer`.
            TypeError: Likewise.
        """
        name = "TransformerDecoderLayer"
        parts = TransformerParts(
            name, in_type, feedforward, activation, dropout, norm, mode, use_bias, dtype
        )
        memory_type = in_type if memory_type is None else memory_type
        first, second, third = jax.random.split(arrays.key(key, name), 3)
        self.attention = parts.attention(
            num_heads, in_type, head_type, positions, implementation, first
        )
        self.cross_attention = parts.attention(
            num_heads, memory_type, head_type, cross_positions, implementation, second
        )
        self.feedforward = parts.network(third)
        self.attention_norm, self.cross_norm, self.feedforward_norm = (
            parts.norm() for _ in range(3)
        )
        self.dropout = parts.dropout()
        self.in_type = (in_type, memory_type)
        self.out_type = in_type
        self.norm_first = flag(norm_first, name, "norm_first")
        self.mode = mode

    def _forward(
        self,
        x: tuple[Array, Array],
        key: PRNGKeyArray | None,
        mask: object = None,
        memory_mask: object = None,
        positions: object = None,
        memory_positions: object = None,
    ) -> Tokens:
        (irrep_wise,) = ways_through((self,), x[0])
        both = [carried(*pair, irrep_wise) for pair in zip(self.in_type, x, strict=True)]
        options = mask, memory_mask, positions, memory_positions
        y = self._steps(both[0], both[1], key, *options)
        return carried(self.out_type, y, False)  # pyright: ignore[reportArgumentType]

    def _forward_irreps(
        self,
        x: tuple[IrrepTensor, IrrepTensor],
        key: PRNGKeyArray | None,
        mask: object = None,
        memory_mask: object = None,
        positions: object = None,
        memory_positions: object = None,
    ) -> Tokens:
        return self._steps(*x, key, mask, memory_mask, positions, memory_positions)

    def _steps(
        self,
        x: Tokens,
        memory: Tokens,
        key: PRNGKeyArray | None,
        mask: object,
        memory_mask: object,
        positions: object,
        memory_positions: object,
    ) -> Tokens:
        keys = split_keys(key, 6)
        norms = self.attention_norm, self.cross_norm, self.feedforward_norm
        both = None
        if self.cross_attention.positions is not None:
            both = (positions, memory_positions)
        elif memory_positions is not None:
            raise ValueError(
                "TransformerDecoderLayer: memory_positions: expected None, since the layer has no "
                "cross_positions"
            )
        own = positions if self.attention.positions is not None else None
        if positions is not None and own is None and both is None:
            raise ValueError(
                "TransformerDecoderLayer: positions: expected None, since the layer has neither "
                "positions nor cross_positions; give it some, such as "
                "positions=nn.RelativePositions(num_heads, max_offset)"
            )
        branches = (
            lambda v: self.attention(v, mask=mask, positions=own, key=keys[0]),
            lambda v: self.cross_attention(
                v, memory, mask=memory_mask, positions=both, key=keys[1]
            ),
            lambda v: self.feedforward(v, key=keys[2]),
        )
        dropped = [
            lambda v, branch=branch, key=key: self.dropout(branch(v), key=key)
            for branch, key in zip(branches, keys[3:], strict=True)
        ]
        return added(self.norm_first, norms, dropped, x)

    def costs_of_ways(self, rows: int, prices: Machine) -> Ways:
        """See `AbstractLayer`: those of the parts."""
        parts = (
            *(self.attention_norm, self.attention, self.cross_norm, self.cross_attention),
            *(self.feedforward_norm, self.feedforward),
        )
        return costs_in_a_row(parts, rows, prices)

    def export(self) -> Callable[..., Any]:
        """A plain function of the tokens of one example and those of its memory, at inference.

        It is called ``(x, memory, mask=None, memory_mask=None, positions=None,
        memory_positions=None, key=None)``, with arrays for masks.
        """
        norms = self.attention_norm, self.cross_norm, self.feedforward_norm
        return plain_function(
            plain_decoder_layer,
            self.norm_first,
            tuple(norm.export() for norm in norms),  # pyright: ignore[reportCallIssue]
            plain_attention(self.attention),
            plain_attention(self.cross_attention),
            self.feedforward.export(),
        )


def plain_decoder_layer(
    norm_first,
    norms,
    attention,
    cross_attention,
    feedforward,
    x,
    memory,
    mask=None,
    memory_mask=None,
    positions=None,
    memory_positions=None,
    key=None,
):
    """`TransformerDecoderLayer` on the tokens of one example."""
    branches = (
        lambda v: attention(v, v, v, mask, positions),
        lambda v: cross_attention(v, memory, memory, memory_mask, (positions, memory_positions)),
        lambda v: jax.vmap(feedforward)(v),
    )
    return added(norm_first, [jax.vmap(norm) for norm in norms], branches, x)


class TransformerDecoder(AbstractModule):
    """`TransformerDecoderLayer` after layer, all with one memory; see `TransformerEncoder`.

    Law: ``f(rho(g) x, rho'(g) m) = rho(g) f(x, m)``.

    Shapes: ``(..., T, n), (..., S, n_memory) -> (..., T, n)``.
    """

    layers: tuple[TransformerDecoderLayer, ...]
    norm: Layer | None
    in_type: tuple[Type, Type] = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        num_heads: int,
        depth: int,
        *,
        memory_type: Type | None = None,
        head_type: Type | None = None,
        feedforward: int | Type | None = None,
        activation: Activation = jax.nn.gelu,
        dropout: float | int = 0.0,
        norm_first: bool = True,
        norm: Norm = RMSNorm,
        positions: AbstractPositions | None = None,
        cross_positions: AbstractPositions | None = None,
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
            memory_type: As in `TransformerDecoderLayer`.
            head_type: Likewise.
            feedforward: Likewise.
            activation: Likewise.
            dropout: Likewise.
            norm_first: Likewise.
            norm: Likewise.
            positions: Likewise; every layer has its own copy of what is learned.
            cross_positions: Likewise.
            use_bias: Likewise.
            mode: Likewise.
            implementation: Likewise.
            dtype: Likewise.
            key: A JAX key.

        Raises:
            ValueError: As `TransformerEncoderLayer`.
            TypeError: Likewise.
        """
        name = "TransformerDecoder"
        keys = keys_of_layers(name, depth, key)
        options: dict[str, Any] = {
            "memory_type": memory_type,
            "head_type": head_type,
            "feedforward": feedforward,
            "activation": activation,
            "dropout": dropout,
            "norm_first": norm_first,
            "norm": norm,
            "positions": positions,
            "cross_positions": cross_positions,
            "use_bias": use_bias,
            "mode": mode,
            "implementation": implementation,
            "dtype": dtype,
        }
        self.layers = tuple(
            TransformerDecoderLayer(in_type, num_heads, key=own, **options) for own in keys
        )
        own = parameter_dtype(dtype, name)
        self.norm = checked_norm(name, norm, in_type, own) if norm_first else None
        self.in_type = self.layers[0].in_type
        self.out_type = in_type

    def _forward(self, x: tuple[Array, Array], key: PRNGKeyArray | None, **options: Any) -> Tokens:
        (irrep_wise,) = ways_through((self,), x[0])
        both = [carried(*pair, irrep_wise) for pair in zip(self.in_type, x, strict=True)]
        y = self._steps(both[0], both[1], key, options)
        return carried(self.out_type, y, False)  # pyright: ignore[reportArgumentType]

    def _forward_irreps(
        self, x: tuple[IrrepTensor, IrrepTensor], key: PRNGKeyArray | None, **options: Any
    ) -> Tokens:
        return self._steps(*x, key, options)

    def _steps(
        self, x: Tokens, memory: Tokens, key: PRNGKeyArray | None, options: dict[str, Any]
    ) -> Tokens:
        y = in_turn(self.layers, x, memory, key=key, **options)
        return y if self.norm is None else self.norm(y)

    def costs_of_ways(self, rows: int, prices: Machine) -> Ways:
        """See `AbstractLayer`: those of the layers."""
        return costs_in_a_row(self.layers, rows, prices)

    def export(self) -> Callable[..., Any]:
        """A plain function as that of `TransformerDecoderLayer`."""
        layers = tuple(layer.export() for layer in self.layers)
        norm = None if self.norm is None else self.norm.export()  # pyright: ignore[reportCallIssue]
        return plain_function(plain_decoder, layers, norm)


def plain_decoder(
    layers,
    norm,
    x,
    memory,
    mask=None,
    memory_mask=None,
    positions=None,
    memory_positions=None,
    key=None,
):
    """`TransformerDecoder` on the tokens of one example."""
    for layer in layers:
        x = layer(x, memory, mask, memory_mask, positions, memory_positions)
    return x if norm is None else jax.vmap(norm)(x)
