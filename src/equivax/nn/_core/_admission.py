"""What the nonlinearities ask of a type and of a function, and the sentences that refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

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


def check_function(caller: str, function: Any, example: str = "jax.nn.relu") -> None:
    """Refuses what is no elementwise callable.

    Raises:
        TypeError: If ``function`` is not callable, or is a class.
    """
    if not callable(function) or isinstance(function, type):
        raise TypeError(
            f"{caller}: function: expected a callable such as {example}, got {function!r}"
        )


def check_pointwise(caller: str, in_type: Type, *, odd: bool) -> None:
    """Refuses a type with a field that does not commute with pointwise functions.

    Raises:
        ValueError: Naming the first such field.
    """
    rep = representation_of(in_type, caller, "in_type")
    for index, field, _ in numbered_runs(rep):
        if field.is_permutation or (odd and field.is_signed_permutation):
            continue
        hint = (
            "odd=True with an odd function such as jnp.tanh, ConcatenatedNonlinearity, "
            "NormNonlinearity"
            if field.is_signed_permutation
            else "NormNonlinearity"
        )
        raise ValueError(
            f"{caller}: in_type {rep!r}: field {index} ({field.name}) is not permuted by "
            f"{rep.group.name}, so a pointwise function is not equivariant; use {hint} or "
            "GatedNonlinearity"
        )


def check_odd(function: Callable[..., Any]) -> None:
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
