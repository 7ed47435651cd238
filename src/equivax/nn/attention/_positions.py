"""Where tokens stand: what every kind of positions offers to attention, and two simple kinds.

Positions are numbers, ``(P,)`` for all examples or ``(B, P)``; a token at `jax.numpy.nan`, such as
padding or a token that sums up, has none and stays as it is.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import arrays, integer
from ...fields import IrrepTensor, Type
from ...hom import at_least_float32, invariant_vector, trivial_count, with_invariant
from ...representations import Representation
from .._core._admission import MOST_CHANNELS, parameter_dtype
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_function

Plain = Callable[..., Any] | None


class AbstractPositions(eqx.Module):
    """How positions enter attention: in the inputs of queries and keys, in heads, or in logits.

    What a kind of positions does not change it leaves alone: it overrides one of `on_inputs`,
    `on_heads` and `bias`.
    """

    @abc.abstractmethod
    def check_fits(
        self,
        caller: str,
        in_type: Type,
        kv_type: Type,
        head: Representation,
        num_heads: int,
    ) -> None:
        """Refuses attention that the positions are not made for.

        Args:
            caller: The layer.
            in_type: Type of the queries' input.
            kv_type: Type of the keys' input.
            head: Type of one head.
            num_heads: Number of heads.

        Raises:
            ValueError: With the way out.
        """

    def check_count(self, caller: str, argument: str, count: int) -> None:
        """Refuses a number of tokens that cannot stand at 0, 1, ..., where nothing else is given.

        Args:
            caller: The layer.
            argument: Name of its input.
            count: Number of tokens.

        Raises:
            ValueError: With the way out.
        """

    @abc.abstractmethod
    def plain(self) -> tuple[Plain, Plain, Plain]:
        """Plain functions that do what `on_inputs`, `on_heads` and `bias` do; None for nothing."""

    def on_inputs(self, x: Array | IrrepTensor, at: Array) -> Array | IrrepTensor:
        """Inputs ``(..., T, c)`` of queries or keys."""
        return x

    def on_heads(
        self, rows: Float[Array, "*batch T heads n"], at: Array, *, irrep_wise: bool
    ) -> Float[Array, "*batch T heads n"]:
        """Queries or keys, head by head.

        Args:
            rows: The heads.
            at: Positions ``(..., T)``.
            irrep_wise: Whether the rows are those of an `IrrepTensor`, see `split_heads`.
        """
        return rows

    def bias(self, q_at: Array, k_at: Array) -> Float[Array, "*batch heads T S"] | None:
        """What is added to the logits of queries at some positions with keys at others."""
        return None


def places(
    caller: str, positions: object, shape: tuple[int, ...], argument: str = "positions"
) -> Array:
    """Positions as floating numbers, by default 0, 1, ...

    Args:
        caller: The layer.
        positions: What the user gave, or None.
        shape: ``(..., T)``, batch axes and tokens.
        argument: Its name.

    Raises:
        ValueError: If the shape does not fit.
        TypeError: If it holds no real numbers.
    """
    if positions is None:
        return jnp.arange(shape[-1], dtype=jnp.float32)
    takes = f"numbers (P,) or (B, P) that broadcast to {shape}"
    found = arrays.array(positions, caller, argument)
    if found.dtype == bool or jnp.issubdtype(found.dtype, jnp.complexfloating):
        raise TypeError(f"{caller}: {argument}: expected {takes}, got dtype {found.dtype}")
    if found.shape[-1:] != shape[-1:] or not arrays.broadcasts(found.shape, shape):
        raise ValueError(f"{caller}: {argument}: expected {takes}, got shape {found.shape}")
    floating = jnp.issubdtype(found.dtype, jnp.floating)
    return found.astype(at_least_float32(found.dtype) if floating else jnp.float32)


def shifted_by_table(table, x, positions=None, key=None):
    """``x`` plus the rows of a table at the positions, which end where the table does."""
    at = jnp.arange(x.shape[-2], dtype=jnp.float32) if positions is None else positions
    none = jnp.isnan(at)
    index = jnp.clip(jnp.round(jnp.where(none, 0, at)).astype(jnp.int32), 0, table.shape[0] - 1)
    rows = jnp.where(none[..., None], 0, jnp.take(table, index, axis=0, mode="clip"))
    return x + rows.astype(x.dtype)


def biased_by_table(table, q_at, k_at):
    """One number per head and offset ``k - q``, ``(..., heads, T, S)``."""
    offset = k_at[..., None, :] - q_at[..., :, None]
    none, most = jnp.isnan(offset), (table.shape[-1] - 1) // 2
    index = jnp.clip(jnp.round(jnp.where(none, 0, offset)).astype(jnp.int32), -most, most) + most
    found = jnp.take(table, index, axis=1, mode="clip")
    return jnp.moveaxis(jnp.where(none, 0, found), 0, -3)


class AbsolutePositions(AbstractModule, AbstractPositions):
    """``x_p + e_p``: one learned invariant vector for each position (Vaswani et al. 2017).

    Law: ``f(rho(g) x) = rho(g) f(x)``, since ``e_p`` is invariant: it has one number per trivial
    irrep of the type. In `MultiheadAttention` it is added to the inputs of queries and keys; as a
    layer, to tokens.

    Shapes: ``(..., P, n) -> (..., P, n)``. Positions are rounded to whole numbers, and clipped to
    the table.
    """

    coeffs: Float[Array, "positions m0"]
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)

    def __init__(
        self, in_type: Type, max_length: int, *, dtype: DTypeLike | None = None, key: PRNGKeyArray
    ) -> None:
        """Draws the table, normal with deviation 0.02.

        Args:
            in_type: A `Representation` or a field type of vectors, with a trivial irrep.
            max_length: Number of positions.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If the type has no trivial irrep, so that no vector is invariant.
            TypeError: If ``in_type`` is no type.
        """
        name = "AbsolutePositions"
        rep = representation_of(in_type, name, "in_type")
        check_vectors(name, "in_type", in_type)
        length = integer(max_length, name, "max_length", 1, MOST_CHANNELS)
        if not trivial_count(rep):
            raise ValueError(
                f"{name}: in_type: expected a type with trivial irreps, got {in_type!r}, of which "
                "no vector is invariant; use RotaryPositions or RelativePositions"
            )
        dtype, key = parameter_dtype(dtype, name), arrays.key(key, name)
        self.coeffs = 0.02 * jax.random.normal(key, (length, trivial_count(rep)), dtype)
        self.in_type = in_type
        self.out_type = in_type

    @property
    def table(self) -> Float[Array, "positions n"]:
        """The vectors of all positions."""
        return invariant_vector(self._rep, self.coeffs)

    def check_fits(
        self, caller: str, in_type: Type, kv_type: Type, head: Representation, num_heads: int
    ) -> None:
        """Refuses inputs of another type."""
        for argument, type_ in (("type", in_type), ("kv_type", kv_type)):
            if self._rep != representation_of(type_, caller, argument):
                raise ValueError(
                    f"{caller}: positions: expected AbsolutePositions of {argument} {type_!r}, got "
                    f"those of {self.in_type!r}"
                )

    def on_inputs(self, x: Array | IrrepTensor, at: Array) -> Array | IrrepTensor:
        """See `AbstractPositions`."""
        if not isinstance(x, IrrepTensor):
            return shifted_by_table(self.table, x, at)
        empty = jnp.zeros((*x.batch_shape, self.coeffs.shape[-1]), x.dtype)
        rows = shifted_by_table(self.coeffs, empty, at)
        return IrrepTensor(with_invariant(self._rep, rows, x.blocks), x.type)

    def _forward(
        self, x: Float[Array, "*batch n"], key: PRNGKeyArray | None, positions: object = None
    ) -> Float[Array, "*batch n"]:
        return self._forward_either(x, positions)

    def _forward_irreps(
        self, x: IrrepTensor, key: PRNGKeyArray | None, positions: object = None
    ) -> IrrepTensor:
        return self._forward_either(x, positions)

    def _forward_either(self, x: Array | IrrepTensor, positions: object) -> Any:
        check_tokens("AbsolutePositions", "x", x.shape, self.in_type)
        return self.on_inputs(x, places("AbsolutePositions", positions, x.shape[:-1]))

    def plain(self) -> tuple[Plain, Plain, Plain]:
        """See `AbstractPositions`."""
        return self.export(), None, None

    def export(self) -> Callable[..., Any]:
        """A plain function ``(x, positions=None, key=None)`` of the tokens of one example."""
        return plain_function(shifted_by_table, self.table)


class RelativePositions(AbstractPositions):
    """One learned number per head and offset ``k - q``, added to the logits (Shaw et al. 2018).

    Logits are invariant, and so are these numbers: any group, any types. Offsets are rounded to
    whole numbers and clipped to ``[-max_offset, max_offset]``.
    """

    table: Float[Array, "heads offsets"]

    def __init__(self, num_heads: int, max_offset: int, *, dtype: DTypeLike | None = None) -> None:
        """Starts at zero.

        Args:
            num_heads: Number of heads.
            max_offset: Largest offset with a number of its own.
            dtype: Of the parameters; JAX's default float if None.
        """
        name = "RelativePositions"
        heads = integer(num_heads, name, "num_heads", 1, MOST_CHANNELS)
        most = integer(max_offset, name, "max_offset", 0, MOST_CHANNELS)
        self.table = jnp.zeros((heads, 2 * most + 1), parameter_dtype(dtype, name))

    def check_fits(
        self, caller: str, in_type: Type, kv_type: Type, head: Representation, num_heads: int
    ) -> None:
        """Refuses another number of heads."""
        if self.table.shape[0] != num_heads:
            raise ValueError(
                f"{caller}: positions: expected RelativePositions of {num_heads} heads, got those "
                f"of {self.table.shape[0]}"
            )

    def bias(self, q_at: Array, k_at: Array) -> Float[Array, "*batch heads T S"]:
        """See `AbstractPositions`."""
        return biased_by_table(self.table, q_at, k_at)

    def plain(self) -> tuple[Plain, Plain, Plain]:
        """See `AbstractPositions`."""
        return None, None, plain_function(biased_by_table, self.table)


def check_vectors(caller: str, argument: str, type_: Type) -> None:
    """Refuses fields on a line, plane or in space.

    Raises:
        ValueError: With the way out.
    """
    if channel_axis(type_) != -1:
        raise ValueError(
            f"{caller}: {argument}: expected a type of vectors, one for each token, got {type_!r}; "
            "make the points tokens, (..., P, n), of its representation"
        )


def check_tokens(caller: str, argument: str, shape: tuple[int, ...], type_: Type) -> None:
    """Refuses a vector without an axis of tokens.

    Raises:
        ValueError: With the shape.
    """
    if len(shape) < 2:
        raise ValueError(
            f"{caller}: {argument}: expected (..., tokens, {type_.size}), got {tuple(shape)}"
        )
