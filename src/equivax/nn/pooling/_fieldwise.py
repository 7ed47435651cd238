"""Invariant maps on feature fields: one number per field, at every point.

Each takes a plain vector type as well. The peers export only a maximum over fields of one size;
here every one exports, for any mixture of sizes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ...fields import Type
from ...hom import widened
from ...representations import Representation, trivial
from .._core._admission import check_permuted, numbered_runs
from .._core._channels import (
    Runs,
    along,
    block_sums,
    per_block,
    safe_norms,
    type_like,
    whole_fields,
)
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_layer
from .._core._probing import check_symmetric

_VANISHES = 1e-9
"""Weights of an invariant functional below which a field counts as having none."""


class GroupPooling(AbstractModule):
    """``y = max_c x_c`` over the channels ``c`` of every field.

    Law: ``f(rho(g) x) = f(x)``, since ``rho`` permutes the channels of a field (Cohen and Welling
    2016, section 6.3). With ``reduce=jnp.mean`` any field that has an invariant is taken: ``y`` is
    the mean over the channels of the invariant part of ``x``, which for a permutation is the mean.

    Shapes: ``(..., C, *spatial) -> (..., fields, *spatial)``, all trivial, in order.

    Examples:
        >>> import equivax as evx
        >>> space = evx.spaces.rot_on_r2(4)
        >>> evx.nn.GroupPooling(evx.FieldType(space, 8 * space.regular)).out_type
        C4 on R2: 8 x trivial
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    reduce: Callable[..., Array] = eqx.field(static=True)

    def __init__(self, in_type: Type, reduce: Callable[..., Array] = jnp.max) -> None:
        """Checks that the type admits the reduction.

        Args:
            in_type: A type whose fields are permutation representations, of any sizes.
            reduce: ``(array, axis=) -> array``, indifferent to the order along the axis (checked
                on an example): `jax.numpy.max`, `jax.numpy.mean`, `jax.nn.logsumexp`.

        Raises:
            ValueError: If a field is not a permutation (for the mean: has no invariant), or
                ``reduce`` depends on the order.
            TypeError: If ``reduce`` is not callable or ``in_type`` is no type.
        """
        rep = representation_of(in_type, "GroupPooling", "in_type")
        if reduce is jnp.mean:
            _mean_weights(rep)
        else:
            check_symmetric("GroupPooling", reduce)
            reason = "no function of single channels is invariant"
            check_permuted("GroupPooling", rep, reason, "NormPool")
        self.in_type = in_type
        self.out_type = invariant_type(in_type, rep)
        self.reduce = reduce

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        formula, *constants = self._formula()
        return formula(*constants, x)

    def export(self) -> eqx.nn.Lambda:
        """A plain function, for fields of any sizes."""
        return plain_layer(*self._formula())

    def _formula(self) -> tuple[Callable[..., Array], object, Runs, int]:
        rep, axis = self._rep, channel_axis(self.in_type)
        if self.reduce is jnp.mean and not rep.is_permutation:
            return weighted_sums, _mean_weights(rep), whole_fields(rep), axis
        return per_block, functools.partial(reduced, self.reduce), whole_fields(rep), axis


def reduced(
    reduce: Callable[..., Array], part: Float[Array, "..."], axis: int
) -> Float[Array, "..."]:
    """A user's reduction, see `per_block`."""
    return largest(part, axis) if reduce is jnp.max else reduce(part, axis=axis)


def weighted_sums(
    weights: Float[np.ndarray, " channels"] | Float[Array, " channels"],
    runs: Runs,
    axis: int,
    x: Float[Array, "..."],
) -> Float[Array, "..."]:
    """Per field the sum of its channels times ``weights``, one per channel."""
    wide = widened(x)
    column = along(jnp.asarray(weights, wide.dtype), axis)
    return block_sums(runs, wide * column, axis).astype(x.dtype)


class NormPool(AbstractModule):
    """``y = |v|`` for every field ``v``; value and gradient 0 where the field is 0.

    Law: ``f(rho(g) x) = f(x)`` for any orthogonal ``rho`` (Weiler and Cesa 2019, section 2.6).

    Shapes: ``(..., C, *spatial) -> (..., fields, *spatial)``, all trivial, in order.
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)

    def __init__(self, in_type: Type) -> None:
        """Plans the pooling.

        Args:
            in_type: A type of any fields.

        Raises:
            TypeError: If ``in_type`` is no type.
        """
        rep = representation_of(in_type, "NormPool", "in_type")
        self.in_type = in_type
        self.out_type = invariant_type(in_type, rep)

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        return lengths(whole_fields(self._rep), channel_axis(self.in_type), x)

    def export(self) -> eqx.nn.Lambda:
        """A plain function."""
        return plain_layer(lengths, whole_fields(self._rep), channel_axis(self.in_type))


def lengths(runs: Runs, axis: int, x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The norm of every field; value and gradient 0 where it is 0."""
    wide = widened(x)
    return safe_norms(block_sums(runs, wide * wide, axis)).astype(x.dtype)


class InducedNormPool(AbstractModule):
    """``y = max_i |v_i|`` over the subfields ``v_i`` of every induced field.

    Law: ``f(rho(g) x) = f(x)``: the group turns the subfields and permutes them (Weiler and Cesa
    2019, section 2.6). Regular and quotient fields have subfields of one channel. Gradient 0 where
    the field is 0.

    Shapes: ``(..., C, *spatial) -> (..., fields, *spatial)``, all trivial, in order.
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    subfields: Runs = eqx.field(static=True)

    def __init__(self, in_type: Type) -> None:
        """Finds the subfields.

        Args:
            in_type: A type whose fields are induced, or permutation representations.

        Raises:
            ValueError: If a field is neither.
            TypeError: If ``in_type`` is no type.
        """
        rep = representation_of(in_type, "InducedNormPool", "in_type")
        self.in_type = in_type
        self.out_type = invariant_type(in_type, rep)
        self.subfields = _subfields(rep)

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        return per_block(longest, self.subfields, channel_axis(self.in_type), x)

    def export(self) -> eqx.nn.Lambda:
        """A plain function."""
        return plain_layer(per_block, longest, self.subfields, channel_axis(self.in_type))


def longest(part: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
    """Largest norm of subfields; value and gradient 0 where all are 0."""
    wide = widened(part)
    squares = largest(jnp.sum(wide * wide, axis=axis), axis)
    return safe_norms(squares).astype(part.dtype)


def largest(values: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
    """The maximum along an axis, whose gradient goes to all that are equal up to rounding.

    That of `jax.numpy.max` goes to all that are equal, divided by their number. Without its
    optimisations XLA computes them twice, with and without fused multiply-adds, so that there may
    be none, and the gradient is infinite.
    """
    found = jax.custom_jvp(lambda values: jnp.max(values, axis=axis))
    found.defjvp(lambda primals, tangents: slope_of_largest(axis, *primals, *tangents))
    return found(values)


def slope_of_largest(
    axis: int, values: Float[Array, "..."], tangents: Float[Array, "..."]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """The maximum and its derivative."""
    found = jnp.max(values, axis=axis, keepdims=True)
    near = found - 4 * float(jnp.finfo(values.dtype).eps) * jnp.abs(found)
    tied = (values >= near).astype(values.dtype)
    share = tied / jnp.maximum(jnp.sum(tied, axis=axis, keepdims=True), 1)
    return jnp.squeeze(found, axis=axis), jnp.sum(share * tangents, axis=axis)


def invariant_type(in_type: Type, rep: Representation) -> Type:
    """One trivial field for every field of a type."""
    return type_like(in_type, sum(n for _, n in rep.data) * trivial(rep.group))


def _subfields(rep: Representation) -> Runs:
    """Number and size of the subfields of every field, in runs."""
    runs = []
    for index, field, count in numbered_runs(rep):
        if field.induced_from is not None:
            size = field.induced_from[1].size
            runs.append((field.size // size, size, count))
        elif field.is_permutation:
            runs.append((field.size, 1, count))
        else:
            raise ValueError(
                f"InducedNormPool: in_type: field {index} ({field.name}) is neither induced from a "
                "subgroup nor a permutation representation, so it has no subfields that "
                f"{rep.group.name} permutes; use NormPool"
            )
    return tuple(runs)


@functools.lru_cache(maxsize=512)
def _mean_weights(rep: Representation) -> Float[np.ndarray, " size"]:
    """Per channel, its weight in the mean over the channels of the invariant part of its field.

    Raises:
        ValueError: If the invariants of a field are absent, or of mean 0.
    """
    identity = rep.group.irrep_ids(0)[0]
    weights, index = [], 0
    for summand, count in rep.data:
        chosen = summand.columns_of(identity).ravel()
        invariants = summand.change_of_basis[:, chosen]
        row = invariants @ invariants.sum(axis=0) / summand.size
        if np.abs(row).max(initial=0.0) < _VANISHES:
            raise ValueError(
                f"GroupPooling: in_type: field {index} ({summand.name}) has no invariant of mean "
                f"other than 0 under {rep.group.name}, so its mean over the group says nothing; "
                "use NormPool"
            )
        weights.append(np.tile(row, count))
        index += count
    joined = np.concatenate(weights)
    joined.setflags(write=False)
    return joined
