"""What transformers are made of: checked options, residual branches, attention made plain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import jax
from jax.typing import DTypeLike
from jaxtyping import Array, PRNGKeyArray

from .._arguments import arrays, flag, integer, is_integer, number, refuse, shown
from ..fields import FieldType, IrrepTensor, Type
from ..hom import Machine
from ..nn import (
    AbstractModule,
    AbstractPositions,
    FieldDropout,
    Layer,
    MultiheadAttention,
)
from ..nn.attention import plain_attention as attention_of_one
from ..nn.authoring import Ways, parameter_dtype, plain_function, representation_of
from ..representations import Representation
from ._choices import MOST
from ._mlp import LAST_INIT, MLP, Activation

Tokens = Array | IrrepTensor
Norm = Callable[[Type], Layer]

#: Width of the hidden layer of the small network, in widths of the type.
WIDER = 4


class TransformerParts:
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
        self.hidden = hidden_type(caller, rep, feedforward)
        self.activation = activation
        self.rate = number(dropout, caller, "dropout", 0, below=1)
        self.options: dict[str, Any] = {
            "use_bias": flag(use_bias, caller, "use_bias"),
            "mode": mode,
            "dtype": parameter_dtype(dtype, caller),
        }
        self._norm = norm

    def attention(
        self,
        num_heads: int,
        kv_type: Type,
        head_type: Type | None,
        positions: AbstractPositions | None,
        implementation: str | None,
        key: PRNGKeyArray,
        inference: bool = False,
    ) -> MultiheadAttention:
        return MultiheadAttention(
            self.type,
            num_heads,
            kv_type=kv_type,
            head_type=head_type,
            dropout=self.rate,
            positions=positions,
            output_init=LAST_INIT,
            implementation=implementation,
            inference=inference,
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
        return checked_norm(self.caller, self._norm, self.type, self.options["dtype"])

    def dropout(self, inference: bool = False) -> FieldDropout:
        return FieldDropout(self.type, self.rate, inference=inference)


def checked_norm(caller: str, norm: object, type_: Type, dtype: DTypeLike) -> Layer:
    """The norm of a type.

    Args:
        caller: The network.
        norm: From a type to a layer.
        type_: The type.
        dtype: Of the network: what the norm has in JAX's default float it has in this, or one norm
            would carry a whole network of 16 bits in 32.

    Raises:
        TypeError: If ``norm`` makes no layer that keeps the type.
    """
    takes = f"a layer class such as nn.RMSNorm, which makes a layer that keeps {type_!r}"
    if not callable(norm):
        refuse(TypeError, caller, "norm", takes, norm)
    try:
        layer = cast(Norm, norm)(type_)
    except Exception as error:  # of the user's function
        text = str(error).strip().partition("\n")[0]
        raise TypeError(
            f"{caller}: norm: expected {takes}, got {shown(norm)}, which fails: "
            f"{type(error).__name__}: {text}"
        ) from error
    if not isinstance(layer, AbstractModule) or layer.out_type != type_:
        refuse(TypeError, caller, "norm", takes, layer)
    usual = parameter_dtype(None, caller)
    return jax.tree.map(
        lambda leaf: leaf.astype(dtype) if getattr(leaf, "dtype", None) == usual else leaf, layer
    )


def hidden_type(caller: str, rep: Representation, feedforward: object) -> int | Type:
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


def keys_of_layers(caller: str, depth: int, key: PRNGKeyArray) -> list[PRNGKeyArray]:
    """One key for each layer."""
    count, key = integer(depth, caller, "depth", 1, MOST), arrays.key(key, caller)
    return [jax.random.fold_in(key, layer) for layer in range(count)]


def costs_in_a_row(layers: Sequence[AbstractModule | Layer], rows: int, prices: Machine) -> Ways:
    """What layers cost in a row, all on arrays or all irrep by irrep."""
    ways = [layer.costs_of_ways(rows, prices) for layer in layers]
    return Ways(sum(own.arrays for own in ways), sum(own.irreps for own in ways))


def plain_attention(attention: MultiheadAttention) -> Callable[..., Any]:
    """``(q, k, v, mask, positions)``, plain."""
    by_equinox = attention.positions is None
    function = plain_attention_by_equinox if by_equinox else plain_attention_with_positions
    return plain_function(function, attention.export())


# ---- formulas ------------------------------------------------------------------------------------


def added(norm_first, norms, branches, x):
    """``x + f(n(x))`` for each branch ``f`` with its norm ``n``, or ``n(x + f(x))``."""
    for norm, branch in zip(norms, branches, strict=True):
        x = x + branch(norm(x)) if norm_first else norm(x + branch(x))
    return x


def plain_attention_by_equinox(layer, q, k, v, mask, positions):
    """An `equinox.nn.MultiheadAttention`, which knows no positions, at inference."""
    if mask is None or mask.dtype == bool:
        return layer(q, k, v, mask=mask, inference=True)
    # It would take numbers for booleans.
    parts = layer.query_proj, layer.key_proj, layer.value_proj, layer.output_proj
    return attention_of_one(parts, layer.num_heads, (None, None, None), q, k, v, mask)


def plain_attention_with_positions(layer, q, k, v, mask, positions):
    """Attention with positions."""
    return layer(q, k, v, mask=mask, positions=positions)
