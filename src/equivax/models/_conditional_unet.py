"""`ConditionalUNet1D`: a U-Net over time, steered by what was seen (control policies)."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from .._arguments import arrays, integer, integers
from ..fields import FieldType, Type
from ..hom import at_least_float32
from ..nn import (
    AbstractModule,
    Affine,
    Conv,
    ConvTranspose,
    Layer,
    Linear,
    PointwiseMaxPool,
    RMSNorm,
)
from ..nn.attention import check_vectors
from ..nn.authoring import plain_function, representation_of
from ..representations import Representation, check_same_group, trivial
from ..spaces import on_r1
from ._choices import MOST
from ._in_time import InTime, checked_downsample, in_one_row, max_pool, other_axis_last
from ._mlp import HIDDEN_INIT, LAST_INIT, MLP, Activation, InvariantMLP
from ._step_waves import checked_step, checked_step_size, step_waves
from ._u_shape import u_shaped

_NAME = "ConditionalUNet1D"


class _FilmBlock(eqx.Module):
    """Two convolutions in time, with what invariant numbers make of the field in between.

    ``y + shortcut(x)``, where ``y`` is convolution, norm, nonlinearity, modulation (Perez et al.
    2018), convolution, norm, nonlinearity. The map from numbers to scales starts at zero, and so
    the modulation as the identity.
    """

    first: Conv
    second: Conv
    norms: tuple[RMSNorm, RMSNorm]
    activations: tuple[Layer, Layer]
    affine: Affine
    film: Linear
    shortcut: Conv | None

    def __init__(
        self,
        source: FieldType,
        width: FieldType,
        numbers: Representation,
        activation: Activation,
        time: InTime,
        key: PRNGKeyArray,
    ) -> None:
        keys = jax.random.split(key, 4)
        self.activations = time.activation(activation, width), time.activation(activation, width)
        inner = self.activations[0].in_type
        self.first = time.conv(source, inner, keys[0])
        self.second = time.conv(width, inner, keys[1])
        self.norms = RMSNorm(inner, dtype=time.dtype), RMSNorm(inner, dtype=time.dtype)
        self.affine = Affine(width, learnable=False, residual=True)
        count = self.affine.num_scale + self.affine.num_bias
        unit = trivial(width.group)
        self.film = Linear(
            *(numbers, count * unit), init="zeros", dtype=time.dtype, warn_unused=False, key=keys[2]
        )
        self.shortcut = None if source == width else time.conv(source, width, keys[3], taps=1)

    def __call__(self, numbers: Array, x: Array) -> Array:
        """The block at numbers ``(..., f)``, on fields ``(..., c, T)``."""

        def modulate(y: Array, scale: Array, bias: Array | None) -> Array:
            return self.affine(y, scale=scale, bias=bias)

        return film_block(
            *(self.first, self.second, self.norms, self.activations, modulate),
            *(self.affine.num_scale, self.film, self.shortcut, numbers, x),
        )

    def export(self) -> Callable[..., Any]:
        """A plain function ``(numbers, x)`` of one example."""
        return plain_function(
            film_block,
            *(self.first.export(), self.second.export()),
            tuple(norm.export() for norm in self.norms),
            tuple(act.export() for act in self.activations),  # pyright: ignore[reportCallIssue]
            *(self.affine.export(), self.affine.num_scale, self.film.export()),
            None if self.shortcut is None else self.shortcut.export(),
        )


class ConditionalUNet1D(AbstractModule):
    """Tokens, given other tokens and a step, by convolutions in time: ``f(x, z, k)``.

    Called as `ConditionalTransformer` is. ``x`` goes down and up a U-Net over time (Janner et al.
    2022, Chi et al. 2023), two blocks on each level. What was seen, ``z``, becomes invariant
    numbers by an `InvariantMLP`, beside numbers of the step; both say how much of every irrep there
    is in every block. Invariant numbers keep their sign, and a new network is not steered at all.

    Law: ``f(rho_x(g) x, rho_z(g) z, k) = rho(g) f(x, z, k)``.

    Shapes: ``(..., T, n), (..., S, n_z) -> (..., T, n_out)``, for any T, and S as the network was
    made for.

    Examples:
        >>> import equivax as evx, jax, jax.numpy as jnp
        >>> G = evx.groups.dihedral(4)
        >>> act, see = G.irrep(1, 1), G.irrep(1, 1) + G.trivial
        >>> options = dict(channels=(16, 32), features=16, key=jax.random.key(0))
        >>> policy = evx.models.ConditionalUNet1D(act, see, 3, **options)
        >>> policy(jnp.ones((5, 8, 2)), jnp.ones((5, 3, 3)), step=jnp.arange(5)).shape
        (5, 8, 2)
    """

    step_net: MLP
    condition_net: InvariantMLP
    down: tuple[tuple[_FilmBlock, _FilmBlock], ...]
    pools: tuple[Conv | PointwiseMaxPool, ...]
    ups: tuple[ConvTranspose, ...]
    merges: tuple[tuple[_FilmBlock, _FilmBlock], ...]
    head: Conv
    in_type: tuple[Type, Type] = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    condition_length: int = eqx.field(static=True)
    step_size: int = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        condition_type: Type,
        condition_length: int = 1,
        *,
        out_type: Type | None = None,
        channels: Sequence[int] = (256, 512, 1024),
        features: int = 256,
        unit: Representation | None = None,
        kernel_size: int = 3,
        activation: Activation = jax.nn.mish,
        downsample: str = "conv",
        pool: str | Layer = "norm",
        step_size: int = 256,
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draws the parameters.

        Args:
            in_type: A `Representation` or a field type of vectors: one token of ``x``.
            condition_type: Likewise, of ``z``.
            condition_length: Number of tokens of ``z``.
            out_type: Of the output; default ``in_type``.
            channels: Per level, the finest first, rounded up to whole copies of ``unit``.
            features: Number of invariant numbers of the step, and as many of the condition.
            unit: What is copied: the regular representation by default; needed for infinite groups.
            kernel_size: Taps of the convolutions, odd.
            activation: As in `MLP`.
            downsample: ``"conv"``, a stride of 2, or ``"max"``, maxima in time, where the group
                permutes channels.
            pool: How `InvariantMLP` makes invariants of the condition.
            step_size: Number of sines and cosines of the step, even.
            use_bias: Whether linear maps have invariant biases.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If groups differ, the group is infinite and ``unit`` missing, maxima do not
                fit, or an option is out of range.
            TypeError: If an argument is of another kind.
        """
        rep = representation_of(in_type, _NAME, "in_type")
        out_type = in_type if out_type is None else out_type
        types = {"in_type": in_type, "condition_type": condition_type, "out_type": out_type}
        for argument, type_ in types.items():
            other = representation_of(type_, _NAME, argument)
            check_vectors(_NAME, argument, type_)
            check_same_group(_NAME, rep, other)
        self.condition_length = integer(condition_length, _NAME, "condition_length", 1, MOST)
        count = integer(features, _NAME, "features", 1, MOST)
        self.step_size = checked_step_size(_NAME, step_size)
        time = InTime.checked(_NAME, kernel_size, use_bias, dtype)
        widths = time.widths(rep, list(integers(channels, _NAME, "channels", 1, MOST)), unit)
        way = checked_downsample(_NAME, downsample, widths)
        keys = iter(jax.random.split(arrays.key(key, _NAME), 6 * len(widths) + 3))
        one = trivial(rep.group)
        self.step_net = MLP(
            *(self.step_size * one, count * one, [4 * count * one]),
            activation=jax.nn.mish,
            init=HIDDEN_INIT,
            dtype=dtype,
            key=next(keys),
        )
        seen = self.condition_length * representation_of(condition_type, _NAME, "condition_type")
        self.condition_net = InvariantMLP(
            *(seen, count, [count]),
            hidden_rep=unit,
            activation=activation,
            pool=pool,
            init=HIDDEN_INIT,
            use_bias=use_bias,
            dtype=dtype,
            key=next(keys),
        )

        def blocks(source: FieldType, width: FieldType) -> tuple[_FilmBlock, _FilmBlock]:
            options = 2 * count * one, activation, time
            return (
                _FilmBlock(source, width, *options, next(keys)),
                _FilmBlock(width, width, *options, next(keys)),
            )

        line = on_r1(rep.group)
        sources = [FieldType(line, rep), *widths[:-1]]
        self.down = tuple(blocks(*pair) for pair in zip(sources, widths, strict=True))
        self.pools = tuple(
            time.conv(width, width, next(keys), stride=2) if way == "conv" else max_pool(width)
            for width in widths[:-1]
        )
        self.ups = tuple(
            ConvTranspose(coarse, fine, 4, stride=2, padding=1, key=next(keys), **time.options)
            for fine, coarse in itertools.pairwise(widths)
        )
        self.merges = tuple(blocks(width + width, width) for width in widths[:-1])
        target = FieldType(line, representation_of(out_type, _NAME, "out_type"))
        self.head = time.conv(widths[0], target, next(keys), taps=1, init=LAST_INIT)
        self.in_type = (in_type, condition_type)
        self.out_type = out_type

    def _forward(
        self, x: tuple[Array, Array], key: PRNGKeyArray | None, step: object = None
    ) -> Float[Array, "*batch T n"]:
        tokens, condition = x
        if tokens.ndim < 2:
            takes = f"tokens (..., T, {tokens.shape[-1]})"
            raise ValueError(f"{_NAME}: x: expected {takes}, got shape {tokens.shape}")
        if condition.shape[-2:-1] != (self.condition_length,):
            takes = f"(..., {self.condition_length}, {condition.shape[-1]})"
            raise ValueError(
                f"{_NAME}: condition: expected {takes}, as condition_length says, got shape "
                f"{condition.shape}"
            )
        step = checked_step(_NAME, step, tokens.shape[:-2], tokens.dtype)
        return steered(
            *(self.step_size, self.step_net, self.condition_net, self.down, self.pools),
            *(self.ups, self.merges, self.head, tokens, condition, step),
        )

    def _shape_options(self) -> dict[str, Any]:
        return {"step": 0.0}

    def export(self) -> Callable[..., Any]:
        """A plain function ``(x, condition, step, key=None)`` of the tokens of one example."""
        return plain_function(
            plain_unet,
            self.step_size,
            *(self.step_net.export(), self.condition_net.export()),
            *(tuple(tuple(b.export() for b in pair) for pair in self.down),),
            *(tuple(layer.export() for layer in layers) for layers in (self.pools, self.ups)),
            *(tuple(tuple(b.export() for b in pair) for pair in self.merges),),
            self.head.export(),
        )


# ---- formulas ------------------------------------------------------------------------------------


def film_block(first, second, norms, activations, modulate, scales, film, shortcut, numbers, x):
    """`_FilmBlock` at ``numbers (..., f)`` on ``x (..., c, T)``."""
    y = activations[0](norms[0](first(x)))
    found = film(numbers)[..., None, :]  # the same at all times
    bias = found[..., scales:] if found.shape[-1] > scales else None
    y = modulate(y, found[..., :scales], bias)
    y = activations[1](norms[1](second(y)))
    return y + (x if shortcut is None else shortcut(x))


def film_blocks(blocks, numbers, x, key=None):
    """Blocks in turn, all at the same numbers."""
    for block in blocks:
        x = block(numbers, x)
    return x


def as_it_is(x, skip):
    """What the transposed convolution enlarges."""
    return x


def joined(x, skip):
    """The channels of both, on the times of the skip, of which the last may be one too many."""
    x = x[..., : skip.shape[-1]]
    batch = jnp.broadcast_shapes(x.shape[:-2], skip.shape[:-2])
    both = [jnp.broadcast_to(part, (*batch, *part.shape[-2:])) for part in (skip, x)]
    return jnp.concatenate(both, axis=-2)


def steered(step_size, step_net, condition_net, down, pools, ups, merges, head, x, condition, step):
    """`ConditionalUNet1D` on ``x (..., T, n)``."""
    waves = step_waves(step_size, step).astype(x.dtype)
    numbers = [step_net(waves), condition_net(in_one_row(condition))]
    batch = jnp.broadcast_shapes(*(part.shape[:-1] for part in numbers))
    numbers = [jnp.broadcast_to(part, (*batch, part.shape[-1])) for part in numbers]
    numbers = jax.nn.mish(jnp.concatenate(numbers, axis=-1))
    y, _ = u_shaped(
        [functools.partial(film_blocks, blocks, numbers) for blocks in down],
        pools,
        as_it_is,
        ups,
        [joined] * len(ups),
        [functools.partial(film_blocks, blocks, numbers) for blocks in merges],
        head,
        other_axis_last(x),
        None,
        None,
    )
    return other_axis_last(y)


def plain_unet(
    step_size,
    step_net,
    condition_net,
    down,
    pools,
    ups,
    merges,
    head,
    x,
    condition,
    step,
    key=None,
):
    """`ConditionalUNet1D` on the tokens of one example."""
    step = jnp.asarray(step, at_least_float32(x.dtype))
    parts = step_net, condition_net, down, pools, ups, merges, head
    return steered(step_size, *parts, x, condition, step)
