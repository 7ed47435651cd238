"""Which fields and functions a layer takes, and the sentences that refuse the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...fields import Type
from ...representations import InducedStructure, Representation, induced_structure
from ._module import representation_of

#: Points at which a function that claims to be odd is compared with its mirror image.
ODD_SAMPLES = np.linspace(0.05, 4.0, 32, dtype=np.float32)


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


def check_function(
    caller: str, function: object, example: str = "jax.nn.relu", argument: str = "function"
) -> None:
    """Refuses what is no elementwise callable.

    Raises:
        TypeError: If ``function`` is not callable, or is a class.
    """
    if not callable(function) or isinstance(function, type):
        raise TypeError(
            f"{caller}: {argument}: expected a callable such as {example}, got {function!r}"
        )


def check_odd(function: Callable[[Array], Array]) -> None:
    """Refuses a function with ``f(-x) != -f(x)`` at sampled points.

    Raises:
        ValueError: With the size of the difference.
    """
    with jax.ensure_compile_time_eval():  # layers are also built under `filter_eval_shape`
        points = jnp.asarray(ODD_SAMPLES)
        difference = np.abs(np.asarray(function(points) + function(-points)))
        at_zero = abs(float(function(jnp.zeros((), points.dtype))))
    if not (difference.max() < 1e-5 and at_zero < 1e-6):
        raise ValueError(
            f"PointwiseNonlinearity: function: odd=True needs f(-x) = -f(x), but "
            f"f(x) + f(-x) reaches {difference.max():.3g}; use an odd function such as jnp.tanh, "
            "NormNonlinearity or GatedNonlinearity"
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


def checked_eps(caller: str, eps: float) -> float:
    """What is added to variances.

    Raises:
        ValueError: If it is not positive and finite.
    """
    if not 0 < eps < math.inf:
        raise ValueError(f"{caller}: eps: expected a positive finite number, got {eps}")
    return float(eps)
