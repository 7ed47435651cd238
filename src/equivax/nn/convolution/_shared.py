"""What convolutions of fields share before they exist: their types, and their first weights."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import arrays, integer, is_integer, is_several, refuse
from ...fields import FieldType
from ...kernels import TypeBasis
from .._core._admission import parameter_dtype
from . import _initial as schemes

Weights = dict[str, Float[Array, "..."]]

#: Taps along an axis beyond which no kernel is made.
MOST_TAPS = 999


def checked_types(caller: str, in_type: FieldType, out_type: FieldType) -> None:
    """Refuses what is no pair of field types on one space of dimension 1 or more.

    Raises:
        TypeError: If one is no `FieldType`.
        ValueError: If the spaces differ, or are points.
    """
    for argument, value in (("in_type", in_type), ("out_type", out_type)):
        if not isinstance(value, FieldType):
            raise TypeError(
                f"{caller}: {argument}: expected a FieldType, got {type(value).__name__}; "
                "FieldType(space, reps) makes one"
            )
    if in_type.space != out_type.space:
        raise ValueError(
            f"{caller}: out_type: expected fields on {in_type.space!r}, where in_type lives, got "
            f"{out_type.space!r}"
        )
    if in_type.space.dim == 0:
        raise ValueError(
            f"{caller}: in_type: expected fields on a line or plane, got {in_type!r}; nn.Linear "
            "maps vectors"
        )


def check_taps(caller: str, kernel_size: object) -> None:
    """Refuses kernels that no memory holds; what is no size is refused elsewhere.

    Raises:
        ValueError: If a side is longer than `MOST_TAPS`.
    """
    sides = list(kernel_size) if is_several(kernel_size) else [kernel_size]
    if any(is_integer(side) and operator.index(side) > MOST_TAPS for side in sides):
        refuse(ValueError, caller, "kernel_size", f"at most {MOST_TAPS} taps", kernel_size)


def types_of_one_group(
    caller: str, in_type: FieldType, out_type: FieldType, groups: int
) -> tuple[FieldType, FieldType]:
    """The part of both types that one group of a grouped convolution maps.

    Raises:
        ValueError: If the fields do not come in ``groups`` equal parts.
    """
    groups = integer(groups, caller, "groups", 1)
    return (
        _part(caller, "in_type", in_type, groups),
        _part(caller, "out_type", out_type, groups),
    )


def _part(caller: str, argument: str, type_: FieldType, groups: int) -> FieldType:
    if groups == 1:
        return type_
    count, rest = divmod(len(type_), groups)
    if rest:
        raise ValueError(
            f"{caller}: groups: expected a divisor of the {len(type_)} fields of {argument}, got "
            f"{groups}"
        )
    part = type_.index_select(range(count))
    for index, rep in enumerate(type_.reps):
        if rep != part.reps[index % count]:
            raise ValueError(
                f"{caller}: groups: with {groups} groups, field {index} of {argument} must equal "
                f"field {index % count}, got {rep.name} and {part.reps[index % count].name}"
            )
    return part


def initial_weights(
    caller: str,
    basis: TypeBasis,
    init: str | Callable[..., Weights] | None,
    groups: int,
    dtype: DTypeLike | None,
    key: PRNGKeyArray,
) -> Weights:
    """Coefficients by a scheme; with groups, one draw per group on a leading axis.

    Raises:
        ValueError: For an unknown scheme, or a scheme that returns other shapes than the basis has.
    """
    scheme = schemes.resolve(caller, init, basis.space)
    dtype, key = parameter_dtype(dtype, caller), arrays.key(key, caller)

    def draw(key: PRNGKeyArray) -> Weights:
        try:
            drawn = scheme(basis, key)
        except TypeError as error:
            raise TypeError(f"{caller}: init: {error}") from error
        for name, shape in basis.shapes.items():
            got = drawn.get(name) if isinstance(drawn, Mapping) else None
            if got is None or not eqx.is_array_like(got) or jnp.shape(got) != shape:
                raise ValueError(
                    f"{caller}: init: expected a callable (basis, key) that returns an array "
                    f"{shape} for '{name}'"
                )
        return {name: jnp.asarray(drawn[name], dtype) for name in basis.shapes}

    if groups == 1:
        return draw(key)
    drawn = [draw(one) for one in jax.random.split(key, groups)]
    return {name: jnp.stack([one[name] for one in drawn]) for name in basis.shapes}
