"""Transformers (Vaswani et al. 2017): encoder and decoder layers, and stacks of them.

A layer adds to every token what attention and a small network make of it. Residual branches are
equivariant, so is their sum; between them tokens are divided by their length. All stays irrep by
irrep where that is faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from .._arguments import arrays, flag, integer, is_integer, number, refuse, shown
from ..fields import FieldType, IrrepTensor, Type
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
    representation_of,
    split_keys,
    ways_through,
)
from ..representations import Representation
from ._choices import MOST
from ._mlp import LAST_INIT, MLP, Activation

Tokens = Array | IrrepTensor
Norm = Callable[[Type], Layer]

#: Width of the hidden layer of the small network, in widths of the type.
WIDER = 4


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
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If the group is infinite and a type missing, or an option does not fit.
            TypeError: If an argument is of another kind.
        """
        name = "TransformerEncoderLayer"
        parts = _Parts(name, in_type, feedforward, activation, dropout, norm, mode, use_bias, dtype)
        first, second = jax.random.split(arrays.key(key, name))
        self.attention = parts.attention(num_heads, in_type, head_type, positions, first)
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
        return _costs(parts, rows, prices)

    def export(self) -> Callable[..., Any]:
        """A plain function ``(x, mask=None, positions=None, key=None)``, at inference.

        It takes the tokens of one example and arrays for masks.
        """
        norms = self.attention_norm.export(), self.feedforward_norm.export()  # pyright: ignore[reportCallIssue]
        return plain_function(
            plain_encoder_layer,
            self.norm_first,
            norms,
            _plain_attention(self.attention),
            self.feedforward.export(),
        )


def added(norm_first, norms, branches, x):
    """``x + f(n(x))`` for each branch ``f`` with its norm ``n``, or ``n(x + f(x))``."""
    for norm, branch in zip(norms, branches, strict=True):
        x = x + branch(norm(x)) if norm_first else norm(x + branch(x))
    return x


def plain_encoder_layer(
    norm_first, norms, attention, feedforward, x, mask=None, positions=None, key=None
):
    """`TransformerEncoderLayer` on the tokens of one example."""
    branches = (
        lambda v: attention(v, v, v, mask, positions),
        lambda v: jax.vmap(feedforward)(v),
    )
    return added(norm_first, [jax.vmap(norm) for norm in norms], branches, x)


def plain_attention_by_equinox(layer, q, k, v, mask, positions):
    """An `equinox.nn.MultiheadAttention`, which knows no positions, at inference."""
    return layer(q, k, v, mask=mask, inference=True)


def plain_attention_with_positions(layer, q, k, v, mask, positions):
    """Attention with positions."""
    return layer(q, k, v, mask=mask, positions=positions)


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
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: As `TransformerEncoderLayer`.
            TypeError: Likewise.
        """
        name = "TransformerDecoderLayer"
        parts = _Parts(name, in_type, feedforward, activation, dropout, norm, mode, use_bias, dtype)
        memory_type = in_type if memory_type is None else memory_type
        first, second, third = jax.random.split(arrays.key(key, name), 3)
        self.attention = parts.attention(num_heads, in_type, head_type, positions, first)
        self.cross_attention = parts.attention(
            num_heads, memory_type, head_type, cross_positions, second
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
        return _costs(parts, rows, prices)

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
            _plain_attention(self.attention),
            _plain_attention(self.cross_attention),
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


# ---- stacks --------------------------------------------------------------------------------------


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
            dtype: Likewise.
            key: A JAX key.

        Raises:
            ValueError: As `TransformerEncoderLayer`.
            TypeError: Likewise.
        """
        name = "TransformerEncoder"
        keys = _keys(name, depth, key)
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
            "dtype": dtype,
        }
        self.layers = tuple(
            TransformerEncoderLayer(in_type, num_heads, key=own, **options) for own in keys
        )
        self.norm = norm(in_type) if norm_first else None
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
        return _costs(self.layers, rows, prices)

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
            dtype: Likewise.
            key: A JAX key.

        Raises:
            ValueError: As `TransformerEncoderLayer`.
            TypeError: Likewise.
        """
        name = "TransformerDecoder"
        keys = _keys(name, depth, key)
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
            "dtype": dtype,
        }
        self.layers = tuple(
            TransformerDecoderLayer(in_type, num_heads, key=own, **options) for own in keys
        )
        self.norm = norm(in_type) if norm_first else None
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
        return _costs(self.layers, rows, prices)

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


# ---- what they share -----------------------------------------------------------------------------


class _Parts:
    """Checked options of a layer, and what is made of them."""

    def __init__(
        self,
        caller: str,
        in_type: Type,
        feedforward: object,
        activation: Activation,
        dropout: float | int,
        norm: Norm,
        mode: str,
        use_bias: bool,
        dtype: DTypeLike | None,
    ) -> None:
        self.caller = caller
        self.type = in_type
        rep = representation_of(in_type, caller, "in_type")
        self.hidden = _hidden(caller, rep, feedforward)
        self.activation = activation
        self.rate = number(dropout, caller, "dropout", 0, below=1)
        self.options: dict[str, Any] = {
            "use_bias": flag(use_bias, caller, "use_bias"),
            "mode": mode,
            "dtype": parameter_dtype(dtype, caller),
        }
        if not callable(norm):
            refuse(TypeError, caller, "norm", "a layer class such as nn.RMSNorm", norm)
        self._norm = norm

    def attention(
        self,
        num_heads: int,
        kv_type: Type,
        head_type: Type | None,
        positions: AbstractPositions | None,
        key: PRNGKeyArray,
    ) -> MultiheadAttention:
        return MultiheadAttention(
            self.type,
            num_heads,
            kv_type=kv_type,
            head_type=head_type,
            dropout=self.rate,
            positions=positions,
            output_init=LAST_INIT,
            key=key,
            **self.options,
        )

    def network(self, key: PRNGKeyArray) -> MLP:
        return MLP(
            self.type,
            self.type,
            [self.hidden],
            activation=self.activation,
            dropout=self.rate,
            key=key,
            **self.options,
        )

    def norm(self) -> Layer:
        takes = f"a layer class such as nn.RMSNorm, which makes a layer that keeps {self.type!r}"
        try:
            layer = self._norm(self.type)
        except Exception as error:  # of the user's function
            text = str(error).strip().partition("\n")[0]
            raise TypeError(
                f"{self.caller}: norm: expected {takes}, got {shown(self._norm)}, which fails: "
                f"{type(error).__name__}: {text}"
            ) from error
        if not isinstance(layer, AbstractModule) or layer.out_type != self.type:
            refuse(TypeError, self.caller, "norm", takes, layer)
        return layer

    def dropout(self) -> FieldDropout:
        return FieldDropout(self.type, self.rate)


def _hidden(caller: str, rep: Representation, feedforward: object) -> int | Type:
    """Width or type of the hidden layer.

    Raises:
        ValueError: If the group is infinite, so that there are no regular copies.
        TypeError: If it is neither a width nor a type.
    """
    if isinstance(feedforward, (Representation, FieldType)):
        return feedforward
    if feedforward is not None and not is_integer(feedforward):
        refuse(TypeError, caller, "feedforward", "None, a width or a type", feedforward)
    if rep.group.order is None:
        raise ValueError(
            f"{caller}: feedforward: {rep.group.name} is infinite and has no regular "
            "representation; give a type, such as a sum of irreps, with "
            "activation=nn.NormNonlinearity or nn.GatedNonlinearity, and head_type"
        )
    if feedforward is None:
        return WIDER * rep.size
    return integer(feedforward, caller, "feedforward", 1)


def _keys(caller: str, depth: int, key: PRNGKeyArray) -> list[PRNGKeyArray]:
    """One key for each layer."""
    count, key = integer(depth, caller, "depth", 1, MOST), arrays.key(key, caller)
    return [jax.random.fold_in(key, layer) for layer in range(count)]


def _costs(layers: Sequence[AbstractModule | Layer], rows: int, prices: Machine) -> Ways:
    """What layers cost in a row, all on arrays or all irrep by irrep."""
    ways = [layer.costs_of_ways(rows, prices) for layer in layers]
    return Ways(sum(own.arrays for own in ways), sum(own.irreps for own in ways))


def _plain_attention(attention: MultiheadAttention) -> Callable[..., Any]:
    """``(q, k, v, mask, positions)``, plain."""
    by_equinox = attention.positions is None
    function = plain_attention_by_equinox if by_equinox else plain_attention_with_positions
    return plain_function(function, attention.export())
