"""`VisionBlock`: attention and a small network behind norms, as vision transformers have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from .._arguments import arrays, flag, integer, number
from ..fields import IrrepTensor, Type
from ..hom import Machine
from ..nn import (
    AbstractModule,
    AbstractPositions,
    Affine,
    FieldDropout,
    Layer,
    MultiheadAttention,
    RMSNorm,
)
from ..nn.authoring import (
    Ways,
    carried,
    plain_function,
    representation_of,
    split_keys,
    ways_through,
)
from ._mlp import MLP, Activation
from ._transformer_parts import Norm, Tokens, TransformerParts, costs_in_a_row


class VisionBlock(AbstractModule):
    """``x + s f(n(x))`` for self-attention ``f``, then for a network of one hidden layer.

    ``n`` is a norm. ``s`` is one learned number per irrep copy (LayerScale, Touvron et al. 2021),
    or 1; in training whole branches of an example are dropped (stochastic depth, Huang et al.
    2016).

    Law: ``f(rho(g) x) = rho(g) f(x)``; with positions on a grid, ``g`` moves the tokens too.

    Shapes: ``(..., T, n) -> (..., T, n)``.

    Examples:
        >>> import equivax as evx, jax
        >>> rep = 4 * evx.groups.dihedral(4).regular
        >>> block = evx.models.VisionBlock(rep, 2, key=jax.random.key(0))
        >>> block(jax.numpy.ones((9, 32))).shape
        (9, 32)
    """

    norms: tuple[Layer, Layer]
    attention: MultiheadAttention
    feedforward: MLP
    scales: tuple[Affine, Affine] | None
    dropout: FieldDropout
    inference: bool
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    drop_path: float = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        num_heads: int,
        *,
        feedforward: int | None = None,
        activation: Activation = jax.nn.gelu,
        norm: Norm = RMSNorm,
        dropout: float | int = 0.0,
        drop_path: float | int = 0.0,
        layer_scale: float | int | None = None,
        positions: AbstractPositions | None = None,
        mode: str = "auto",
        inference: bool = False,
        implementation: str | None = None,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draws the parameters.

        Args:
            in_type: A `Representation` or a field type of vectors: one token.
            num_heads: Number of heads, see `nn.MultiheadAttention`.
            feedforward: Hidden channels of the network, rounded up to whole regular copies; four
                times the width if None.
            activation: As in `MLP`.
            norm: From a type to a layer: `nn.RMSNorm`, `nn.LayerNorm` or another.
            dropout: Probability to drop a weight of attention, and a field in and behind branches.
            drop_path: Probability to drop a branch of an example.
            layer_scale: What the numbers ``s`` start at, such as 1e-5; None for none.
            positions: Of the tokens, see `nn.MultiheadAttention`.
            mode: Of the linear maps, see `nn.Linear`.
            inference: Whether nothing is dropped; `equinox.nn.inference_mode` sets it.
            implementation: Of attention, see `nn.MultiheadAttention`.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If the group is infinite, or an option does not fit.
            TypeError: If an argument is of another kind.
        """
        name = "VisionBlock"
        rep = representation_of(in_type, name, "in_type")
        if rep.group.order is None:
            raise ValueError(
                f"{name}: in_type: expected a finite group, got {rep.group.name}; "
                "TransformerEncoderLayer takes head_type and feedforward as sums of irreps"
            )
        if feedforward is not None:
            feedforward = integer(feedforward, name, "feedforward", 1)
        parts = TransformerParts(
            name, in_type, feedforward, activation, dropout, norm, mode, True, dtype
        )
        first, second = jax.random.split(arrays.key(key, name))
        self.inference = flag(inference, name, "inference")
        self.attention = parts.attention(
            num_heads, in_type, None, positions, implementation, first, inference=self.inference
        )
        self.feedforward = parts.network(second)
        self.norms = parts.norm(), parts.norm()
        self.scales = None
        if layer_scale is not None:
            start = number(layer_scale, name, "layer_scale")
            one = Affine(in_type, use_bias=False, dtype=parts.options["dtype"])
            one, other = (  # arrays of their own, so that they can be donated
                jax.tree.map(lambda scale: jnp.full_like(scale, start), one) for _ in range(2)
            )
            self.scales = one, other
        self.dropout = parts.dropout(inference=self.inference)
        self.drop_path = number(drop_path, name, "drop_path", 0, below=1)
        self.in_type = in_type
        self.out_type = in_type

    def _forward(self, x: Float[Array, "*batch T n"], key: PRNGKeyArray | None) -> Tokens:
        (irrep_wise,) = ways_through((self,), x)
        y = self._steps(carried(self.in_type, x, irrep_wise), key)
        return carried(self.out_type, y, False)  # pyright: ignore[reportArgumentType]

    def _forward_irreps(self, x: IrrepTensor, key: PRNGKeyArray | None) -> Tokens:
        return self._steps(x, key)

    def _steps(self, x: Tokens, key: PRNGKeyArray | None) -> Tokens:
        dropping = bool(self.drop_path) and not self.inference
        if dropping and key is None:
            raise ValueError(
                "VisionBlock: key: needed in training; pass key=, or use equinox.nn.inference_mode"
            )
        branches = self.attention, self.feedforward
        scales = (None, None) if self.scales is None else self.scales
        for branch, norm, scale, own in zip(
            branches, self.norms, scales, split_keys(key, 2), strict=True
        ):
            keys = split_keys(own, 3)
            y = self.dropout(branch(norm(x), key=keys[0]), key=keys[1])
            y = y if scale is None else scale(y)
            if dropping and keys[2] is not None:
                shape = (*x.shape[:-2], 1, 1)
                keep = jax.random.bernoulli(keys[2], jnp.float32(1 - self.drop_path), shape)
                y = y * (keep.astype(y.dtype) / (1 - self.drop_path))
            x = x + y  # pyright: ignore[reportOperatorIssue]
        return x

    def costs_of_ways(self, rows: int, prices: Machine) -> Ways:
        """See `AbstractLayer`: those of the parts."""
        parts = (*self.norms, self.attention, self.feedforward, *(self.scales or ()))
        return costs_in_a_row(parts, rows, prices)

    def export(self) -> Callable[..., Any]:
        """A plain function ``(x, key=None)`` of the tokens of one example, at inference."""
        quiet = eqx.nn.inference_mode(self)
        norms = tuple(norm.export() for norm in quiet.norms)
        scales = None if quiet.scales is None else tuple(one.export() for one in quiet.scales)
        return plain_function(
            plain_block, norms, quiet.attention.export(), quiet.feedforward.export(), scales
        )


def plain_block(norms, attention, feedforward, scales, x, key=None):
    """`VisionBlock` on the tokens ``(T, n)`` of one example."""
    y = jax.vmap(norms[0])(x)
    y = attention(y, y, y)
    x = x + (y if scales is None else jax.vmap(scales[0])(y))
    y = jax.vmap(feedforward)(jax.vmap(norms[1])(x))
    return x + (y if scales is None else jax.vmap(scales[1])(y))
