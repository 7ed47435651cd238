"""Which fields and types of numbers a layer takes, and the sentences that refuse the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from ..._arguments import arrays, refuse
from ...fields import Type
from ...hom import SCHEMES, Scheme
from ...images import Signature
from ...representations import InducedStructure, Representation, induced_structure
from ._module import representation_of

#: Channels of one type beyond which no layer is made.
MOST_CHANNELS = 1_000_000


def numbered_runs(rep: Representation) -> Iterator[tuple[int, Representation, int]]:
    """Runs of equal fields: the number of the first one, the field, how many there are."""
    index = 0
    for field, count in rep.runs:
        yield index, field, count
        index += count


def check_fields(
    caller: str,
    rep: Representation,
    admits: Callable[[Representation], bool],
    complaint: str,
    instead: str,
) -> None:
    """Refuses a type with a field that the layer does not take.

    Args:
        caller: Name of the layer.
        rep: Its type.
        admits: Whether a field is taken.
        complaint: What is wrong with a field that is not.
        instead: What would do.

    Raises:
        ValueError: Naming the first such field.
    """
    for index, field, _ in numbered_runs(rep):
        if not admits(field):
            raise ValueError(
                f"{caller}: in_type: field {index} ({field.name}) {complaint}; {instead}"
            )


def check_permuted(caller: str, rep: Representation, reason: str, instead: str) -> None:
    """Refuses a type with a field whose channels the group does not permute.

    Args:
        caller: Name of the layer.
        rep: Its type.
        reason: Why it matters.
        instead: Layers that take such fields.

    Raises:
        ValueError: Naming the first such field.
    """
    complaint = f"is not permuted by {rep.group.name}, so {reason}"
    check_fields(caller, rep, lambda field: field.is_permutation, complaint, f"use {instead}")


def check_pointwise(caller: str, in_type: Type, *, odd: bool) -> None:
    """Refuses a type with a field that does not commute with pointwise functions.

    Raises:
        ValueError: Naming the first such field.
    """
    rep = representation_of(in_type, caller, "in_type")

    def admits(field: Representation) -> bool:
        return field.is_permutation or (odd and field.is_signed_permutation)

    refused = [field for _, field, _ in numbered_runs(rep) if not admits(field)]
    signed = bool(refused) and refused[0].is_signed_permutation
    hint = "odd=True with an odd function such as jnp.tanh, ConcatenatedNonlinearity, "
    check_fields(
        caller,
        rep,
        admits,
        f"is not permuted by {rep.group.name}, so a pointwise function is not equivariant",
        f"use {hint if signed else ''}NormNonlinearity or GatedNonlinearity",
    )


def induced_or_refuse(caller: str, index: int, field: Representation) -> InducedStructure:
    """The induced structure of a field.

    Raises:
        ValueError: If it has none.
    """
    found = induced_structure(field)
    if found is None:
        what = (
            "permutes its channels in several orbits"
            if field.is_permutation
            else "is not known to be induced from a subgroup"
        )
        raise ValueError(
            f"{caller}: in_type: field {index} ({field.name}) {what}; expected an induced, "
            "quotient or regular field as one summand, such as group.induced(H, sigma); "
            "NormNonlinearity and GatedNonlinearity take any field"
        )
    return found


def parameter_dtype(dtype: object, caller: str) -> np.dtype:
    """The type of a layer's parameters; JAX's default float if None.

    Raises:
        TypeError: If it is no type of numbers.
        ValueError: If its numbers are no real floating ones.
    """
    return jnp.dtype(jnp.result_type(float)) if dtype is None else arrays.dtype(dtype, caller)


def checked_scheme(scheme: object, caller: str) -> Scheme:
    """How coefficients of a Hom space are drawn: one of `SCHEMES`, or a function.

    Raises:
        TypeError: If it is neither.
        ValueError: For an unknown name.
    """
    if isinstance(scheme, str):
        if scheme in SCHEMES:
            return scheme
    elif callable(scheme) and not isinstance(scheme, type):
        return cast(Callable[..., jax.Array], scheme)
    takes = f"one of {', '.join(SCHEMES)} or a callable (key, shape, dtype, fan_in, fan_out)"
    refuse(ValueError if isinstance(scheme, str) else TypeError, caller, "init", takes, scheme)


def checked_precision(precision: Any, caller: str) -> jax.lax.PrecisionLike:
    """The precision of products, as `jax.lax.dot` takes it.

    Raises:
        TypeError: If that takes no such thing.
        ValueError: If it knows no such name.
    """
    if precision is None:
        return None
    found = tuple(precision) if isinstance(precision, list) else precision
    try:
        hash(found)
        square = jax.ShapeDtypeStruct((1, 1), jnp.float32)
        jax.eval_shape(lambda x: jax.lax.dot(x, x, precision=found), square)
    except Exception:  # whatever JAX says of it
        error = ValueError if isinstance(precision, str) else TypeError
        refuse(error, caller, "precision", "None, 'highest' or what else jax.lax.dot takes", found)
    return found


def checked_signature(value: object, caller: str, argument: str) -> Signature:
    """The types of tensor images that a layer or network takes or gives.

    Raises:
        TypeError: If it is no signature.
        ValueError: If it is none, or has more channels than any machine holds.
    """
    found = Signature(value)
    if any(channels > MOST_CHANNELS for _, channels in found):
        refuse(ValueError, caller, argument, f"at most {MOST_CHANNELS} channels a type", found)
    return found
