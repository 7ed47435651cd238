"""`ConditionalTransformer`: what to do, token by token, given what was seen (control policies)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, PRNGKeyArray

from .._arguments import arrays, flag, integer, refuse
from ..fields import IrrepTensor, Type
from ..hom import Machine, at_least_float32, trivial_count
from ..nn import (
    AbsolutePositions,
    AbstractModule,
    AbstractPositions,
    Linear,
    RelativePositions,
    RMSNorm,
)
from ..nn.attention import check_vectors, places
from ..nn.authoring import (
    Ways,
    carried,
    plain_function,
    representation_of,
    split_keys,
    ways_through,
)
from ..representations import check_same_group, trivial
from ._choices import MOST
from ._mlp import HIDDEN_INIT, LAST_INIT, MLP, Activation, layer_type
from ._step_waves import checked_step, checked_step_size, step_waves
from ._transformer_decoder import TransformerDecoder
from ._transformer_encoder import TransformerEncoder
from ._transformer_parts import Norm, Tokens, TransformerParts, costs_in_a_row

_NAME = "ConditionalTransformer"

#: Of ``positions="relative"``: offsets beyond share a number.
MOST_OFFSET = 32


class ConditionalTransformer(AbstractModule):
    """Tokens, given other tokens and a step: ``f(x, z, k)``, as policies by diffusion or flow need.

    ``x`` are the tokens to come, such as actions; ``z`` what was seen, oldest first; ``k`` the step
    of the diffusion, or the time of the flow. Both kinds of tokens become copies of the regular
    representation. The step is an invariant, and one more token in front of the condition. An
    encoder makes a memory of these, at which a decoder looks (Chi et al. 2023).

    The last token of the condition and the first of ``x`` stand at time 0; the step stands nowhere.

    Law: ``f(rho_x(g) x, rho_z(g) z, k) = rho(g) f(x, z, k)``.

    Shapes: ``(..., T, n), (..., S, n_z) -> (..., T, n_out)``.

    Examples:
        >>> import equivax as evx, jax, jax.numpy as jnp
        >>> G = evx.groups.dihedral(4)
        >>> act, see = G.irrep(1, 1), G.irrep(1, 1) + G.trivial
        >>> options = dict(hidden=32, depth=2, num_heads=2, key=jax.random.key(0))
        >>> policy = evx.models.ConditionalTransformer(act, see, **options)
        >>> policy(jnp.ones((5, 8, 2)), jnp.ones((5, 3, 3)), step=jnp.arange(5)).shape
        (5, 8, 2)
    """

    embed: Linear
    condition_embed: Linear
    step_embed: Linear
    encoder: TransformerEncoder | MLP
    decoder: TransformerDecoder
    head: Linear
    in_type: tuple[Type, Type] = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    step_size: int = eqx.field(static=True)
    causal: bool = eqx.field(static=True)
    has_positions: bool = eqx.field(static=True)
    mode: str = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        condition_type: Type,
        *,
        hidden: int | Type,
        num_heads: int,
        depth: int,
        condition_depth: int = 0,
        out_type: Type | None = None,
        head_type: Type | None = None,
        feedforward: int | Type | None = None,
        activation: Activation = jax.nn.gelu,
        dropout: float | int = 0.0,
        norm_first: bool = True,
        norm: Norm = RMSNorm,
        positions: str | AbstractPositions | None = "relative",
        causal: bool = False,
        step_size: int = 256,
        use_bias: bool = True,
        mode: str = "auto",
        implementation: str | None = None,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draws the parameters.

        Args:
            in_type: A `Representation` or a field type of vectors: one token of ``x``.
            condition_type: Likewise, of ``z``.
            hidden: Channels of a token inside, rounded up to whole regular copies, or a type with
                trivial irreps.
            num_heads: Number of heads.
            depth: Number of layers of the decoder.
            condition_depth: Number of layers of the encoder; with 0 every token of the condition
                goes through a network of one hidden layer by itself.
            out_type: Of the output; default ``in_type``.
            head_type: As in `TransformerEncoderLayer`.
            feedforward: Likewise.
            activation: Likewise.
            dropout: Likewise.
            norm_first: Likewise.
            norm: Likewise.
            positions: How attention knows of times: ``"relative"``, a number per head and offset;
                `nn.RelativePositions` or `nn.RotaryPositions` of another size; None for sets.
            causal: Whether a token sees only what is not later than itself, in all attention.
            step_size: Number of sines and cosines of the step, even.
            use_bias: Whether linear maps have invariant biases.
            mode: Of the linear maps, see `nn.Linear`.
            implementation: Of attention, see `nn.MultiheadAttention`.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If groups differ, the group is infinite and a type missing, or an option
                does not fit.
            TypeError: If an argument is of another kind.
        """
        rep = representation_of(in_type, _NAME, "in_type")
        out_type = in_type if out_type is None else out_type
        way_out = (
            "give types for hidden, head_type and feedforward, such as sums of irreps, with "
            "activation=nn.NormNonlinearity or nn.GatedNonlinearity"
        )
        inside = layer_type(_NAME, rep, hidden, None, way_out=way_out)
        inner = representation_of(inside, _NAME, "hidden")
        others = (condition_type, "condition_type"), (out_type, "out_type"), (inside, "hidden")
        for type_, argument in ((in_type, "in_type"), *others):
            check_vectors(_NAME, argument, type_)
            check_same_group(_NAME, rep, representation_of(type_, _NAME, argument))
        if not trivial_count(inner):
            takes = "a type with trivial irreps, which say the step"
            refuse(ValueError, _NAME, "hidden", takes, hidden)
        layers = integer(condition_depth, _NAME, "condition_depth", 0, MOST)
        parts = TransformerParts(
            _NAME, inside, feedforward, activation, dropout, norm, mode, use_bias, dtype
        )
        keys = jax.random.split(arrays.key(key, _NAME), 6)
        where = _checked_positions(positions, num_heads, dtype)
        linear: dict[str, Any] = {**parts.options, "warn_unused": False}
        self.step_size = checked_step_size(_NAME, step_size)
        waves = self.step_size * trivial(rep.group)
        self.embed = Linear(in_type, inside, key=keys[0], **linear)
        self.condition_embed = Linear(condition_type, inside, key=keys[1], **linear)
        self.step_embed = Linear(waves, inside, key=keys[2], **linear)
        options: dict[str, Any] = {
            "head_type": head_type,
            "feedforward": feedforward,
            "activation": activation,
            "dropout": dropout,
            "norm_first": norm_first,
            "norm": norm,
            "positions": where,
            "implementation": implementation,
            **parts.options,
        }
        if layers:
            self.encoder = TransformerEncoder(inside, num_heads, layers, key=keys[3], **options)
        else:
            self.encoder = MLP(
                *(inside, inside, [parts.hidden]),
                activation=activation,
                dropout=parts.rate,
                init=HIDDEN_INIT,
                key=keys[3],
                **parts.options,
            )
        self.decoder = TransformerDecoder(
            inside, num_heads, depth, cross_positions=where, key=keys[4], **options
        )
        self.head = Linear(inside, out_type, init=LAST_INIT, key=keys[5], **linear)
        self.in_type = (in_type, condition_type)
        self.out_type = out_type
        self.causal = flag(causal, _NAME, "causal")
        self.has_positions = where is not None
        self.mode = mode

    def _forward(self, x: tuple[Array, Array], key: PRNGKeyArray | None, **options: Any) -> Tokens:
        (irrep_wise,) = ways_through((self,), x[0])
        both = [carried(*pair, irrep_wise) for pair in zip(self.in_type, x, strict=True)]
        y = self._steps(both[0], both[1], key, **options)
        return carried(self.out_type, y, False)  # pyright: ignore[reportArgumentType]

    def _forward_irreps(
        self, x: tuple[IrrepTensor, IrrepTensor], key: PRNGKeyArray | None, **options: Any
    ) -> Tokens:
        return self._steps(*x, key, **options)

    def _steps(
        self,
        x: Tokens,
        condition: Tokens,
        key: PRNGKeyArray | None,
        *,
        step: object = None,
        mask: object = None,
        condition_mask: object = None,
        positions: object = None,
        condition_positions: object = None,
    ) -> Tokens:
        """The formula.

        Args:
            x: The tokens.
            condition: What was seen.
            key: For dropout.
            step: A number, or one for each example.
            mask: Booleans ``(..., T)``: which tokens are there; None for all.
            condition_mask: Likewise ``(..., S)``, of the condition.
            positions: Times of the tokens ``(T,)`` or ``(B, T)``; default 0, 1, ...
            condition_positions: Likewise of the condition, default ..., -1, 0.
        """
        first, second = split_keys(key, 2)
        shape, seen_shape = x.shape[:-1], condition.shape[:-1]
        if min(len(shape), len(seen_shape)) < 1:
            argument, short = ("x", x) if not shape else ("condition", condition)
            takes = f"tokens (..., {'T' if argument == 'x' else 'S'}, {short.shape[-1]})"
            raise ValueError(f"{_NAME}: {argument}: expected {takes}, got shape {short.shape}")
        at = places(_NAME, positions, shape)
        if condition_positions is None:
            memory_at = times_before(seen_shape[-1], at)
        else:
            memory_at = places(_NAME, condition_positions, seen_shape, "condition_positions")
        there = _checked_mask("mask", mask, shape)
        memory_there = _checked_mask("condition_mask", condition_mask, seen_shape)
        waves = step_waves(self.step_size, checked_step(_NAME, step, shape[:-1], x.dtype))
        waves = waves.astype(x.dtype)[..., None, :]
        token = self.step_embed(carried(self.step_embed.in_type, waves, isinstance(x, IrrepTensor)))
        memory = _behind(token, self.condition_embed(condition))

        def with_heads(seen: Array | None) -> Array | None:
            return None if seen is None else seen[..., None, :, :]

        def encode(memory: Tokens, seen: Array | None, at: Array) -> Tokens:
            if isinstance(self.encoder, MLP):
                return self.encoder(memory, key=first)
            where = at if self.has_positions else None
            return self.encoder(memory, mask=with_heads(seen), positions=where, key=first)

        def decode(
            x: Tokens, memory: Tokens, seen: Array | None, cross: Array | None, *at: Array
        ) -> Tokens:
            where = at if self.has_positions else (None, None)
            return self.decoder(
                x,
                memory,
                mask=with_heads(seen),
                memory_mask=with_heads(cross),
                positions=where[0],
                memory_positions=where[1],
                key=second,
            )

        return conditioned(
            *(self.causal, encode, decode, self.head, self.embed(x), memory),
            *(at, memory_at, there, memory_there),
        )

    def _shape_options(self) -> dict[str, Any]:
        return {"step": 0.0}

    def costs_of_ways(self, rows: int, prices: Machine) -> Ways:
        """See `AbstractLayer`: those of the parts that ``x`` goes through."""
        return costs_in_a_row((self.embed, self.decoder, self.head), rows, prices)

    def export(self) -> Callable[..., Any]:
        """A plain function of the tokens of one example, at inference.

        It is called ``(x, condition, step, mask=None, condition_mask=None, positions=None,
        condition_positions=None, key=None)``, with arrays for masks.
        """
        alone = isinstance(self.encoder, MLP)
        encode = plain_function(plain_encode, alone, self.encoder.export())
        layers = self.embed, self.condition_embed, self.step_embed, self.head
        return plain_function(
            plain_conditional,
            *(self.causal, self.step_size, tuple(layer.export() for layer in layers)),
            *(encode, self.decoder.export()),
        )


# ---- arguments -----------------------------------------------------------------------------------


def _checked_positions(
    positions: object, num_heads: int, dtype: DTypeLike | None
) -> AbstractPositions | None:
    takes = "'relative', nn.RelativePositions, nn.RotaryPositions or None"
    if positions is None:
        return None
    if isinstance(positions, str):
        if positions != "relative":
            refuse(ValueError, _NAME, "positions", takes, positions)
        return RelativePositions(num_heads, MOST_OFFSET, dtype=dtype)
    if not isinstance(positions, AbstractPositions):
        refuse(TypeError, _NAME, "positions", takes, positions)
    if isinstance(positions, AbsolutePositions):
        takes += ", since times before 0 have no place in a table"
        refuse(ValueError, _NAME, "positions", takes, positions)
    return positions


def _checked_mask(
    argument: str, mask: object, shape: tuple[int, ...]
) -> Bool[Array, "*batch tokens"] | None:
    """Which tokens are there.

    Raises:
        TypeError: If it holds no booleans.
        ValueError: If it does not fit the tokens.
    """
    if mask is None:
        return None
    takes = f"booleans that broadcast to {shape}, True for tokens that are there"
    if isinstance(mask, str):
        refuse(TypeError, _NAME, argument, f"{takes}, or causal=True of the model", mask)
    found = arrays.array(mask, _NAME, argument)
    if found.dtype != bool:
        refuse(TypeError, _NAME, argument, takes, mask)
    if found.shape[-1:] != shape[-1:] or not arrays.broadcasts(found.shape, shape):
        raise ValueError(f"{_NAME}: {argument}: expected {takes}, got shape {found.shape}")
    return found


def _behind(token: Tokens, tokens: Tokens) -> Tokens:
    """Tokens with one in front."""
    if not isinstance(token, IrrepTensor) or not isinstance(tokens, IrrepTensor):
        return behind(token, tokens)
    blocks = {name: behind(own, tokens.blocks[name], -3) for name, own in token.blocks.items()}
    return IrrepTensor(blocks, tokens.type)


# ---- formulas ------------------------------------------------------------------------------------


def behind(token, tokens, axis=-2):
    """Tokens with one in front; batch axes of either are those of both."""
    batch = jnp.broadcast_shapes(token.shape[:axis], tokens.shape[:axis])
    both = [jnp.broadcast_to(part, (*batch, *part.shape[axis:])) for part in (token, tokens)]
    return jnp.concatenate(both, axis=axis)


def times_before(count, like):
    """``1 - count, ..., -1, 0``: what was seen, up to now."""
    return jnp.arange(1 - count, 1, dtype=like.dtype)


def seen_by(causal, q_at, k_at, there):
    """Which tokens each token may see, ``(..., T, S)``; None for all.

    Without a time are tokens that all may see, and that see only their like.
    """
    seen = None
    if causal:
        timeless = jnp.isnan(k_at)[..., None, :]
        seen = timeless | (k_at[..., None, :] <= q_at[..., :, None])
    if there is not None:
        shape = *there.shape[:-1], q_at.shape[-1], there.shape[-1]
        there = jnp.broadcast_to(there[..., None, :], shape)
        seen = there if seen is None else seen & there
    return seen


def conditioned(causal, encode, decode, head, x, memory, at, memory_at, there, memory_there):
    """Embedded tokens, given an embedded condition behind the step, which is there, timeless."""
    before = jnp.full((*memory_at.shape[:-1], 1), jnp.nan, memory_at.dtype)
    memory_at = jnp.concatenate([before, memory_at], axis=-1).astype(at.dtype)
    if memory_there is not None:
        first = jnp.ones((*memory_there.shape[:-1], 1), bool)
        memory_there = jnp.concatenate([first, memory_there], axis=-1)
    memory = encode(memory, seen_by(causal, memory_at, memory_at, memory_there), memory_at)
    seen = seen_by(causal, at, at, there), seen_by(causal, at, memory_at, memory_there)
    return head(decode(x, memory, *seen, at, memory_at))


def plain_encode(alone, encoder, memory, seen, at):
    """The memory of one example."""
    return jax.vmap(encoder)(memory) if alone else encoder(memory, seen, at)


def plain_conditional(
    causal,
    step_size,
    layers,
    encode,
    decode,
    x,
    condition,
    step,
    mask=None,
    condition_mask=None,
    positions=None,
    condition_positions=None,
    key=None,
):
    """`ConditionalTransformer` on the tokens of one example."""
    embed, condition_embed, step_embed, head = layers
    step = jnp.asarray(step, at_least_float32(x.dtype))
    waves = step_waves(step_size, step).astype(x.dtype)
    memory = behind(step_embed(waves)[None], jax.vmap(condition_embed)(condition))
    at = jnp.arange(x.shape[0], dtype=jnp.float32) if positions is None else positions
    if condition_positions is None:
        condition_positions = times_before(condition.shape[0], at)
    return conditioned(
        *(causal, encode, decode, jax.vmap(head), jax.vmap(embed)(x), memory),
        *(at, condition_positions, mask, condition_mask),
    )
