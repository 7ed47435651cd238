"""The activations that JAX names, so that a file can name them too.

Most of them are objects of JAX's own (jitted functions, functions with a derivative), which
pickle by a name that leads to something else. A table needs no pickle: a name in it means one
function, in every process, and no name leads anywhere else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

_OF_JAX_NN = (
    *("relu", "relu6", "gelu", "silu", "swish", "mish", "elu", "celu", "selu", "leaky_relu"),
    *("sigmoid", "log_sigmoid", "softplus", "soft_sign", "squareplus", "sparse_plus"),
    *("hard_tanh", "hard_sigmoid", "hard_silu", "hard_swish", "sparse_sigmoid", "identity"),
)
_OF_JAX_NUMPY = ("tanh", "arctan", "abs")

ACTIVATIONS: dict[str, Callable[..., Any]] = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module, names in ((jax.nn, _OF_JAX_NN), (jnp, _OF_JAX_NUMPY))
    for name in names
    if hasattr(module, name)  # older releases have fewer
}
"""Public name to function; of two names of one function the first is its name."""


def activation_name(function: object) -> str | None:
    """The name of a function in the table, or None."""
    return next((name for name, known in ACTIVATIONS.items() if known is function), None)


@dataclasses.dataclass(frozen=True)
class Named:
    """A function of the table, as it stands in a pickle."""

    name: str


def named(value: object) -> Any:
    """A value with functions of the table by their names, inside tuples too."""
    if type(value) is tuple:
        return tuple(map(named, value))
    name = activation_name(value) if callable(value) else None
    return value if name is None else Named(name)


def unnamed(value: object) -> Any:
    """The inverse of `named`."""
    if type(value) is tuple:
        return tuple(map(unnamed, value))
    return ACTIVATIONS[value.name] if isinstance(value, Named) else value
