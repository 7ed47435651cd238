"""Functions of single channels, for fields that the group permutes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._module import AbstractModule, representation_of
from .._plain import plain_callable, plain_layer

#: Points at which a function that claims to be odd is compared with its mirror image.
ODD_SAMPLES = np.linspace(0.05, 4.0, 32, dtype=np.float32)


class PointwiseNonlinearity(AbstractModule):
    """``y = function(x)`` on every channel.

    Law: ``f(rho(g) x) = rho(g) f(x)`` where ``rho`` permutes channels; for odd functions also
    where it permutes them with signs.

    Shapes: unchanged.
    """

    in_type: Any = eqx.field(static=True)
    out_type: Any = eqx.field(static=True)
    function: Callable[[Array], Array] = eqx.field(static=True)

    def __init__(
        self, in_type: Any, function: Callable[[Array], Array] = jax.nn.relu, *, odd: bool = False
    ) -> None:
        """Checks that the type admits the function.

        Args:
            in_type: A type whose fields are permutation representations.
            function: Elementwise, such as `jax.nn.gelu`.
            odd: The function is odd (checked by sampling), so signed permutations are admitted.

        Raises:
            ValueError: If a field is not a (signed) permutation, naming it and what to use
                instead, or if ``odd=True`` and the function is not odd.
            TypeError: If ``function`` is not callable or ``in_type`` is no type.
        """
        if not callable(function) or isinstance(function, type):
            raise TypeError(
                f"PointwiseNonlinearity: function: expected a callable such as jax.nn.relu, got "
                f"{function!r}"
            )
        if odd:
            _check_odd(function)
        check_pointwise("PointwiseNonlinearity", in_type, odd=odd)
        self.in_type = in_type
        self.out_type = in_type
        self.function = function

    def _forward(self, x: Float[Array, "..."], key: Any = None) -> Float[Array, "..."]:
        return self.function(x)

    def export(self) -> eqx.nn.Lambda:
        """`equinox.nn.Lambda` of the function."""
        return eqx.nn.Lambda(plain_callable(self.function))


class ReLU(AbstractModule):
    """``y = max(x, 0)`` on every channel of permutation fields. Shapes: unchanged."""

    in_type: Any = eqx.field(static=True)
    out_type: Any = eqx.field(static=True)

    def __init__(self, in_type: Any) -> None:
        """Checks the type.

        Args:
            in_type: A type whose fields are permutation representations.

        Raises:
            ValueError: If a field is not a permutation.
        """
        check_pointwise("ReLU", in_type, odd=False)
        self.in_type = in_type
        self.out_type = in_type

    def _forward(self, x: Float[Array, "..."], key: Any = None) -> Float[Array, "..."]:
        return jax.nn.relu(x)

    def export(self) -> eqx.nn.Lambda:
        """`equinox.nn.Lambda` of `jax.nn.relu`."""
        return eqx.nn.Lambda(jax.nn.relu)


class ELU(AbstractModule):
    """``y = x`` above 0, ``alpha (exp(x) - 1)`` below, on permutation fields. Shapes: unchanged."""

    in_type: Any = eqx.field(static=True)
    out_type: Any = eqx.field(static=True)
    alpha: float = eqx.field(static=True)

    def __init__(self, in_type: Any, alpha: float = 1.0) -> None:
        """Checks the type.

        Args:
            in_type: A type whose fields are permutation representations.
            alpha: Minus the limit at minus infinity.

        Raises:
            ValueError: If a field is not a permutation.
        """
        check_pointwise("ELU", in_type, odd=False)
        self.in_type = in_type
        self.out_type = in_type
        self.alpha = float(alpha)

    def _forward(self, x: Float[Array, "..."], key: Any = None) -> Float[Array, "..."]:
        return jax.nn.elu(x, self.alpha)

    def export(self) -> eqx.nn.Lambda:
        """`equinox.nn.Lambda` of `jax.nn.elu`."""
        return plain_layer(_elu, self.alpha)


def _elu(alpha, x):
    return jnp.where(x > 0, x, alpha * jnp.expm1(jnp.where(x > 0, 0.0, x)))


def check_pointwise(caller: str, in_type: Any, *, odd: bool) -> None:
    """Refuses a type with a field that does not commute with pointwise functions.

    Raises:
        ValueError: Naming the first such field.
    """
    rep = representation_of(in_type, caller, "in_type")
    for index, (field, _) in enumerate(rep.runs):
        if field.is_permutation or (odd and field.is_signed_permutation):
            continue
        hint = (
            "odd=True with an odd function such as jnp.tanh, NormNonlinearity"
            if field.is_signed_permutation
            else "NormNonlinearity"
        )
        raise ValueError(
            f"{caller}: in_type {rep!r}: field {field.name} (run {index}) is not permuted by "
            f"{rep.group.name}, so a pointwise function is not equivariant; use {hint} or "
            "GatedNonlinearity"
        )


def _check_odd(function: Callable[[Array], Array]) -> None:
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
