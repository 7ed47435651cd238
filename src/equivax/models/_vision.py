"""`VisionTransformer`: patches of an image as tokens that look at one another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from .._arguments import arrays, choice, integer, integers, number, refuse
from .._windows import Integers
from ..fields import FieldType
from ..hom import invariant_vector, trivial_count
from ..images import MultiImage, Signature
from ..nn import (
    AbsoluteGridPositions,
    AbstractModule,
    IrrepNormPool,
    Layer,
    PatchEmbed,
    PatchUnembed,
    RelativeGridPositions,
    RMSNorm,
    RotaryGridPositions,
)
from ..nn.authoring import (
    carried,
    in_turn,
    parameter_dtype,
    plain_function,
    split_keys,
    ways_through,
)
from ..representations import Representation, regular
from ..spaces import GSpace, no_base_space
from ._choices import MOST, MOST_CLASSES, checked_unit
from ._mlp import Activation
from ._transformer_parts import Norm, checked_norm
from ._vision_block import VisionBlock

SIZES = {
    "Ti": {"width": 192, "depth": 12, "heads": 3},
    "S": {"width": 384, "depth": 12, "heads": 6},
    "B": {"width": 768, "depth": 12, "heads": 12},
    "L": {"width": 1024, "depth": 24, "heads": 16},
    "H": {"width": 1280, "depth": 32, "heads": 16},
}
"""Of ViTs (Dosovitskiy et al. 2021, Touvron et al. 2021)."""

POSITIONS = ("absolute", "relative", "rotary")
POOLS = ("mean", "cls")


def vision_size(name: str) -> dict[str, int]:
    """Width, depth and heads of the vision transformers that are known by a letter.

    Args:
        name: ``"Ti"``, ``"S"``, ``"B"``, ``"L"`` or ``"H"``.

    Returns:
        What `VisionTransformer` takes: ``VisionTransformer(..., **vision_size("S"))``.

    Raises:
        ValueError: For another name.
    """
    return dict(SIZES[choice(name, "vision_size", "name", tuple(SIZES))])


class VisionTransformer(AbstractModule):
    """A transformer on the patches of an image, for every finite group that moves its axes.

    Patches become tokens (`nn.PatchEmbed`), which know where they stand, go through blocks
    (`VisionBlock`) and a norm, and become logits, or fields again (`nn.PatchUnembed`). Tokens are
    copies of ``unit``, so the octic transformer is that of fields on ``flip_rot_on_r2(4)``; with
    the trivial group it is the plain one.

    Law: logits do not change under the group, and fields turn: ``f(g x) = g f(x)``, exactly, for
    grids of tokens of odd and even sides. With ``break_after=k`` that holds of the tokens behind
    the first ``k`` blocks, see `features`; the rest is plain.

    Shapes: ``(..., c, *size) -> (..., classes)``, or ``(..., c_out, *size)`` with ``out_type``.

    Examples:
        >>> import equivax as evx, jax, jax.numpy as jnp
        >>> space = evx.spaces.flip_rot_on_r2(4)
        >>> rgb = evx.FieldType(space, 3 * space.trivial)
        >>> options = dict(patch=4, size=16, width=32, depth=2, heads=2, key=jax.random.key(0))
        >>> evx.models.VisionTransformer(rgb, 10, **options)(jnp.ones((5, 3, 16, 16))).shape
        (5, 10)
    """

    embed: PatchEmbed
    absolute: AbsoluteGridPositions | None
    front: Float[Array, "extra m0"] | None
    blocks: tuple[VisionBlock, ...]
    norm: Layer
    pooling: IrrepNormPool | None
    readout: eqx.nn.Linear | None
    unembed: PatchUnembed | None
    in_type: FieldType = eqx.field(static=True)
    out_type: FieldType = eqx.field(static=True)
    out_signature: Signature | None = eqx.field(static=True)
    size: tuple[int, ...] = eqx.field(static=True)
    break_after: int | None = eqx.field(static=True)
    pool: str = eqx.field(static=True)

    def __init__(
        self,
        in_type: object,
        classes: int | None = None,
        *,
        out_type: object = None,
        patch: Integers,
        size: Integers,
        width: int,
        depth: int,
        heads: int,
        unit: Representation | None = None,
        break_after: int | None = None,
        pool: str = "mean",
        positions: str | None = "absolute",
        registers: int = 0,
        feedforward: int | None = None,
        activation: Activation = jax.nn.gelu,
        norm: Norm = RMSNorm,
        dropout: float | int = 0.0,
        drop_path: float | int = 0.0,
        layer_scale: float | int | None = None,
        mode: str = "auto",
        implementation: str | None = None,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draws the parameters.

        Args:
            in_type: Fields on a line, plane or volume whose group turns and mirrors its axes; or
                the `Signature` of tensor images, for all signed permutations of the axes.
            classes: Number of logits; None with ``out_type``.
            out_type: Fields on the same space, or a signature, for an output on the grid.
            patch: Pixels of a patch along every axis.
            size: Pixels of the image along every axis, multiples of the patch.
            width: Channels of a token: as many copies of ``unit`` as fit, at least one.
            depth: Number of blocks.
            heads: Number of heads; `vision_size` has the numbers of well-known sizes.
            unit: What is copied: the regular representation by default.
            break_after: Number of blocks that keep the symmetry; behind them channels are read as
                plain ones. None keeps it to the end.
            pool: ``"mean"`` of the patches, or ``"cls"``, a token that sums up.
            positions: ``"absolute"``, ``"relative"`` or ``"rotary"``, or None for a set of patches.
            registers: Further tokens without a place.
            feedforward: As in `VisionBlock`.
            activation: Likewise.
            norm: Likewise.
            dropout: Likewise.
            drop_path: Probability to drop a branch of the last block; it grows from block to block.
            layer_scale: As in `VisionBlock`.
            mode: Of the linear maps, see `nn.Linear`.
            implementation: Of attention, see `nn.MultiheadAttention`.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If the group does not map patches or the grid to themselves, or an argument
                does not fit.
            TypeError: If an argument is of another kind.
        """
        name = "VisionTransformer"
        dim = len(size) if isinstance(size, (tuple, list)) else 2
        fields = _fields(name, "in_type", in_type, dim)
        if (classes is None) == (out_type is None):
            raise ValueError(
                f"{name}: classes: expected either a number of classes or out_type, got "
                f"{'both' if classes is not None else 'neither'}"
            )
        self.pool = choice(pool, name, "pool", POOLS)
        if positions is not None:
            choice(positions, name, "positions", POSITIONS)
        dtype, key = parameter_dtype(dtype, name), arrays.key(key, name)
        depth = integer(depth, name, "depth", 1, MOST)
        if break_after is not None:
            break_after = integer(break_after, name, "break_after", 0, depth)
        space = fields.space
        unit = checked_unit(name, space, unit)
        rep = FieldType.for_channels(
            no_base_space(space.group), unit, integer(width, name, "width", 1, MOST)
        ).representation
        keys = iter(jax.random.split(key, depth + 4))
        options: dict[str, Any] = {"mode": mode, "dtype": dtype}
        self.embed = PatchEmbed(fields, rep, patch, key=next(keys), **options)
        self.size, grid = _checked_size(name, size, self.embed.patch)
        self.absolute = None
        if positions == "absolute":
            self.absolute = AbsoluteGridPositions(rep, space, grid, dtype=dtype, key=next(keys))
        extra = integer(registers, name, "registers", 0, MOST) + (pool == "cls")
        self.front = None
        if extra:
            if not trivial_count(rep):
                raise ValueError(
                    f"{name}: unit: expected a type with trivial irreps for tokens without a "
                    f"place, got {unit!r}; use pool='mean' and registers=0"
                )
            self.front = 0.02 * jax.random.normal(next(keys), (extra, trivial_count(rep)), dtype)
        rate, blocks = number(drop_path, name, "drop_path", 0, below=1), []
        plain_rep, plain_space = _without_symmetry(rep, space)
        for index in range(depth):
            plain = break_after is not None and index >= break_after
            own_rep, own_space = (plain_rep, plain_space) if plain else (rep, space)
            where = _positions(positions, own_rep, own_space, grid, heads, extra, dtype)
            blocks.append(
                VisionBlock(
                    own_rep,
                    heads,
                    feedforward=feedforward,
                    activation=activation,
                    norm=norm,
                    dropout=dropout,
                    drop_path=rate * index / max(1, depth - 1),
                    layer_scale=layer_scale,
                    positions=where,
                    implementation=implementation,
                    key=next(keys),
                    **options,
                )
            )
        self.blocks = tuple(blocks)
        last = rep if break_after is None else plain_rep
        self.norm = checked_norm(name, norm, last, dtype)
        self.pooling, self.readout, self.unembed = None, None, None
        self.out_signature = out_type if isinstance(out_type, Signature) else None
        if classes is not None:
            classes = integer(classes, name, "classes", 1, MOST_CLASSES)
            self.pooling = IrrepNormPool(last, trivial="value")
            count = self.pooling.out_type.size
            self.readout = eqx.nn.Linear(count, classes, dtype=dtype, key=next(keys))
            self.out_type = FieldType(no_base_space(space.group), classes * space.trivial)
        else:
            self.out_type = _fields(name, "out_type", out_type, dim)
            if self.out_type.space != space:
                raise ValueError(
                    f"{name}: out_type: expected fields on {space!r}, got {self.out_type!r}"
                )
            target = self.out_type
            if break_after is not None:
                target = FieldType(plain_space, target.size * plain_space.trivial)
            self.unembed = PatchUnembed(last, target, patch, key=next(keys), **options)
        self.in_type = fields
        self.break_after = break_after

    # ---- calls -----------------------------------------------------------------------------------

    def features(
        self, x: object, *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch tokens n"]:
        """The tokens behind the last block that keeps the symmetry, those without a place first.

        Args:
            x: As in the call.
            key: Likewise.
        """
        with self._scope():
            return self._tokens(self._array(x), split_keys(self._checked_key(key), 2)[0])

    @property
    def _kept(self) -> int:
        return len(self.blocks) if self.break_after is None else self.break_after

    def _tokens(self, x: Array, key: PRNGKeyArray | None) -> Array:
        """Tokens behind the blocks that keep the symmetry."""
        sides = x.shape[x.ndim - len(self.size) :]
        if sides != self.size:
            raise ValueError(f"VisionTransformer: x: expected sides {self.size}, got {sides}")
        y = self.embed(x)
        table = None if self.absolute is None else self.absolute.table
        y = placed(table, self._front_vectors, y)
        return _through(self.blocks[: self._kept], y, key)

    @property
    def _front_vectors(self) -> Array | None:
        """The tokens without a place."""
        if self.front is None:
            return None
        return invariant_vector(self.embed.linear.basis.out_rep, self.front)

    def _forward(self, x: Float[Array, "..."], key: PRNGKeyArray | None) -> Array:
        extra = 0 if self.front is None else len(self.front)
        first, second = split_keys(key, 2)
        y = _through(self.blocks[self._kept :], self._tokens(x, first), second)
        if self.unembed is not None:
            return self.unembed(self.norm(y[..., extra:, :]), grid=self._grid)
        y = pooled(self.pool, extra, self.norm(y))
        return read(self.readout.weight, self.readout.bias, self.pooling(y))  # pyright: ignore

    @property
    def _grid(self) -> tuple[int, ...]:
        return tuple(n // p for n, p in zip(self.size, self.embed.patch, strict=True))

    def _to_image(self, y: Array, x: MultiImage) -> Any:
        """An image if the output is one; logits of an image are an array."""
        return y if self.readout is not None else super()._to_image(y, x)

    def _image_signature(self, signature: Signature) -> Signature:
        if self.out_signature is not None:
            return self.out_signature
        return super()._image_signature(signature)

    def export(self) -> Callable[..., Any]:
        """A plain function ``(x, key=None)`` of one image, made of layers of Equinox."""
        table = None if self.absolute is None else self.absolute.table
        head: tuple[Any, ...] = (None, None)
        if self.readout is not None and self.pooling is not None:
            head = self.pooling.export(), self.readout
        unembed = None if self.unembed is None else self.unembed.export()
        return plain_function(
            plain_vision,
            self.embed.export(),
            table,
            self._front_vectors,
            tuple(block.export() for block in self.blocks),
            self.norm.export(),  # pyright: ignore[reportCallIssue]
            head,
            unembed,
            self._grid,
            self.pool,
        )


def _through(blocks: tuple[VisionBlock, ...], x: Array, key: PRNGKeyArray | None) -> Array:
    """Tokens behind blocks of one type, irrep by irrep where that is faster."""
    if not blocks:
        return x
    irrep_wise = all(ways_through(blocks, x))
    y = in_turn(blocks, carried(blocks[0].in_type, x, irrep_wise), key=key)
    return carried(blocks[0].out_type, y, False)  # pyright: ignore[reportReturnType]


# ---- formulas ------------------------------------------------------------------------------------


def placed(table, front, x):
    """Patches with the vectors of their places added, behind tokens without a place."""
    if table is not None:
        x = x + table.astype(x.dtype)
    if front is None:
        return x
    front = jnp.broadcast_to(front.astype(x.dtype), (*x.shape[:-2], *front.shape))
    return jnp.concatenate([front, x], axis=-2)


def pooled(pool, extra, x):
    """One vector of all tokens: that of the first, or the mean of the patches."""
    return x[..., 0, :] if pool == "cls" else x[..., extra:, :].mean(axis=-2)


def read(weight, bias, x):
    """A plain linear map of the last axis."""
    return jnp.matmul(x, weight.T.astype(x.dtype)) + bias.astype(x.dtype)


def plain_vision(embed, table, front, blocks, norm, head, unembed, grid, pool, x, key=None):
    """`VisionTransformer` on one image, of plain layers."""
    x = placed(table, front, embed(x))
    for block in blocks:
        x = block(x)
    x, extra = jax.vmap(norm)(x), 0 if front is None else front.shape[0]
    if unembed is not None:
        return unembed(x[extra:], grid=grid)
    pooling, readout = head
    return readout(pooling(pooled(pool, extra, x)))


# ---- arguments -----------------------------------------------------------------------------------


def _fields(caller: str, argument: str, type_: object, dim: int) -> FieldType:
    """A field type, also of a signature.

    Raises:
        TypeError: If it is neither.
    """
    if isinstance(type_, Signature):
        return type_.field_type(dim)
    if not isinstance(type_, FieldType):
        refuse(TypeError, caller, argument, "a FieldType or a Signature", type_)
    return type_


def _checked_size(
    caller: str, size: object, patch: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Pixels and patches along every axis.

    Raises:
        ValueError: If patches do not cover the image.
        TypeError: If sides are no integers.
    """
    sides = integers(size, caller, "size", 1, count=len(patch))
    if any(side % p for side, p in zip(sides, patch, strict=True)):
        raise ValueError(
            f"{caller}: size: expected multiples of the patch {patch}, got {sides}; pad the images"
        )
    return sides, tuple(side // p for side, p in zip(sides, patch, strict=True))


def _without_symmetry(rep: Representation, space: GSpace) -> tuple[Representation, GSpace]:
    """The same channels and axes, with nothing that acts on them."""
    alone = space.restrict([space.group.identity])
    return rep.size * alone.trivial, alone


def _positions(
    kind: str | None,
    rep: Representation,
    space: GSpace,
    grid: tuple[int, ...],
    heads: object,
    extra: int,
    dtype: DTypeLike | None,
) -> RelativeGridPositions | RotaryGridPositions | None:
    """What a block has to know of places."""
    name = "VisionTransformer"
    count = integer(heads, name, "heads", 1, MOST)
    if kind == "relative":
        return RelativeGridPositions(count, space, grid, extra=extra, dtype=dtype)
    if kind == "rotary":
        unit = regular(rep.group)
        fields = max(1, rep.size // (count * unit.size))
        if fields < 2:  # nothing to turn among each other
            least = 2 * count * unit.size
            raise ValueError(
                f"{name}: positions: expected a width of {least} or more for positions='rotary' "
                f"with heads={count}, two regular fields a head, got {rep.size}; use "
                "positions='relative', or fewer heads"
            )
        head = fields * unit
        return RotaryGridPositions(head, space, grid, extra=extra)
    return None
