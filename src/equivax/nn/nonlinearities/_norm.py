"""`NormNonlinearity` and `InducedNormNonlinearity`: functions of the length of each field."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import flag, number
from ...fields import IrrepTensor, Type
from ...hom import widened
from ...representations import Representation
from .._core._admission import induced_or_refuse, numbered_runs, parameter_dtype
from .._core._channels import (
    MOST_SLICES,
    Runs,
    along,
    block_sums,
    field_sizes,
    runs_of,
    safe_norms,
    scale_blocks,
    whole_fields,
)
from .._core._irrep_wise import Parts, kind_by_kind, of_fields, squares_of, times_fields
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_layer
from .._core._probing import check_elementwise

#: Fields shorter than this are mapped to zero.
SMALLEST_NORM = 1e-10


def squash(t: Float[Array, "..."]) -> Float[Array, "..."]:
    """``t / (1 + t)``, for norms: with it ``y = v / (1 + |v|)`` (Sabour et al. 2017)."""
    return t / (1.0 + t)


class NormNonlinearity(AbstractModule):
    """``y = v phi(|v| - b) / |v|`` for every field ``v``, with one bias ``b = exp(beta)`` a field.

    Law: ``f(rho(g) x) = rho(g) f(x)`` for any orthogonal ``rho`` (Worrall et al. 2017, Weiler and
    Cesa 2019, section 2.6). Fields of length 0 stay 0 with gradient 0.

    Shapes: unchanged.
    """

    log_bias: Float[Array, " fields"] | None
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    function: Callable[[Array], Array] = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        function: Callable[[Array], Array] = jax.nn.relu,
        *,
        use_bias: bool = True,
        initial_bias: float = 1.0,
        dtype: DTypeLike | None = None,
    ) -> None:
        """Starts with the same bias for every field.

        Args:
            in_type: A type of any fields.
            function: ``phi``, of the norm: `jax.nn.relu`, `jax.nn.sigmoid`, `jax.nn.softplus`,
                `squash`.
            use_bias: Whether to subtract a learned bias, one per field in field order.
            initial_bias: ``b`` at the start, positive. With relu, 1.0 silences 39 % of
                two-vectors of unit variance; deep networks want less.
            dtype: Of the parameters; JAX's default float if None.

        Raises:
            ValueError: If ``initial_bias`` is not positive, or `squash` is used with a bias.
            TypeError: If ``function`` is not callable.
        """
        rep = representation_of(in_type, "NormNonlinearity", "in_type")
        self.log_bias = _log_bias("NormNonlinearity", rep, function, use_bias, initial_bias, dtype)
        self.in_type = in_type
        self.out_type = in_type
        self.function = function

    def _constants(self) -> tuple[Callable[[Array], Array], Runs, Array | None, int]:
        bias = None if self.log_bias is None else jnp.exp(self.log_bias)
        return self.function, whole_fields(self._rep), bias, channel_axis(self.in_type)

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        return by_length(*self._constants(), x)

    def _forward_irreps(self, x: IrrepTensor, key: PRNGKeyArray | None = None) -> IrrepTensor:
        biases = of_fields(self._rep, None if self.log_bias is None else jnp.exp(self.log_bias))

        def new(parts: Parts, bias: Array | None) -> Parts:
            norms = safe_norms(squares_of(parts), SMALLEST_NORM**2)
            return times_fields(parts, length_factor(self.function, norms, bias))

        return IrrepTensor(kind_by_kind(x, new, biases), self.out_type)

    def export(self) -> eqx.nn.Lambda:
        """A plain function with the biases as constants."""
        return plain_layer(by_length, *self._constants())


class InducedNormNonlinearity(AbstractModule):
    """``y = v phi(|v| - b) / |v|`` for every subfield ``v`` of induced fields, one ``b`` a field.

    Law: ``f(rho(g) x) = rho(g) f(x)``: the group permutes the subfields, one per coset, and
    turns them, which changes neither the set of lengths nor the common bias (Weiler and Cesa 2019,
    appendix B). A permutation representation with one orbit has subfields of one channel.

    Shapes: unchanged.
    """

    log_bias: Float[Array, " fields"] | None
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    function: Callable[[Array], Array] = eqx.field(static=True)
    subfield_sizes: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        function: Callable[[Array], Array] = jax.nn.relu,
        *,
        use_bias: bool = True,
        initial_bias: float = 1.0,
        dtype: DTypeLike | None = None,
    ) -> None:
        """Starts with the same bias for every field.

        Args:
            in_type: A type whose fields are induced from a subgroup: `GSpace.induced`,
                quotient, regular or trivial ones.
            function: ``phi``, of the norm, as for `NormNonlinearity`.
            use_bias: Whether to subtract a learned bias, one per field in field order, which its
                subfields share.
            initial_bias: ``b`` at the start, positive.
            dtype: Of the parameters; JAX's default float if None.

        Raises:
            ValueError: If a field is not induced, ``initial_bias`` is not positive, or `squash`
                is used with a bias.
            TypeError: If ``function`` is not callable.
        """
        rep = representation_of(in_type, "InducedNormNonlinearity", "in_type")
        self.log_bias = _log_bias(
            "InducedNormNonlinearity", rep, function, use_bias, initial_bias, dtype
        )
        self.subfield_sizes = tuple(
            size
            for index, field, count in numbered_runs(rep)
            for size in count * [induced_or_refuse("InducedNormNonlinearity", index, field).size]
        )
        self.in_type = in_type
        self.out_type = in_type
        self.function = function

    def _constants(self) -> tuple[Callable[[Array], Array], Runs, Array | None, int]:
        pairs = list(zip(field_sizes(self._rep), self.subfield_sizes, strict=True))
        subfields = runs_of((small, size // small) for size, small in pairs)
        bias = None
        if self.log_bias is not None:
            owner = np.repeat(np.arange(len(pairs)), [size // small for size, small in pairs])
            bias = jnp.exp(self.log_bias)[owner]
        return self.function, subfields, bias, channel_axis(self.in_type)

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        return by_length(*self._constants(), x)

    def export(self) -> eqx.nn.Lambda:
        """A plain function with the biases as constants."""
        return plain_layer(by_length, *self._constants())


def _log_bias(
    caller: str,
    rep: Representation,
    function: Callable[[Array], Array],
    use_bias: bool,
    initial_bias: float,
    dtype: DTypeLike | None,
) -> Float[Array, " fields"] | None:
    check_elementwise(caller, function)
    use_bias = flag(use_bias, caller, "use_bias")
    if use_bias and function is squash:
        raise ValueError(
            f"{caller}: use_bias: squash takes norms, which a bias would make negative; pass "
            "use_bias=False"
        )
    initial_bias = number(initial_bias, caller, "initial_bias", above=0)
    dtype = parameter_dtype(dtype, caller)
    if not use_bias:
        return None
    return jnp.full((len(field_sizes(rep)),), np.log(initial_bias), dtype)


def by_length(
    function: Callable[[Array], Array],
    runs: Runs,
    bias: Float[Array, " blocks"] | None,
    axis: int,
    x: Float[Array, "..."],
) -> Float[Array, "..."]:
    """``v phi(|v| - b) / |v|`` for blocks of channels, with one ``b`` for each."""
    if 1 < len(runs) <= MOST_SLICES and axis < -1 and jax.default_backend() != "cpu":
        # Apart: what is brought together for a common function takes a kernel of its own.
        at = list(itertools.accumulate(size * count for size, count in runs))[:-1]
        parts = jnp.split(x, at, axis)
        at = list(itertools.accumulate(count for _, count in runs))[:-1]
        biases = len(runs) * [None] if bias is None else jnp.split(bias, at)
        found = [
            by_length(function, (run,), b, axis, part)
            for run, b, part in zip(runs, biases, parts, strict=True)
        ]
        return jnp.concatenate(found, axis)
    wide = widened(x)
    norms = safe_norms(block_sums(runs, wide * wide, axis), SMALLEST_NORM**2)
    factor = length_factor(function, norms, None if bias is None else along(bias, axis))
    return scale_blocks(runs, x, factor.astype(x.dtype), axis)


def length_factor(
    function: Callable[[Array], Array],
    norms: Float[Array, "..."],
    bias: Float[Array, "..."] | None,
) -> Float[Array, "..."]:
    """``phi(|v| - b) / |v|``, 0 for what has length 0."""
    shifted = norms if bias is None else norms - bias.astype(norms.dtype)
    positive = norms > 0
    return jnp.where(positive, function(shifted) / jnp.where(positive, norms, 1.0), 0.0)
