"""`NormNonlinearity`: a function of the length of each field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._fields import field_index, field_sizes, field_sums, safe_norms, spread
from .._module import AbstractModule, channel_axis, on_channels, representation_of
from .._plain import plain_callable, plain_layer

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
    in_type: Any = eqx.field(static=True)
    out_type: Any = eqx.field(static=True)
    function: Callable[[Array], Array] = eqx.field(static=True)

    def __init__(
        self,
        in_type: Any,
        function: Callable[[Array], Array] = jax.nn.relu,
        *,
        use_bias: bool = True,
        initial_bias: float = 1.0,
        dtype: Any = None,
    ) -> None:
        """Starts with the same bias for every field.

        Args:
            in_type: Any type.
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
        if not callable(function):
            raise TypeError(
                f"NormNonlinearity: function: expected a callable such as jax.nn.relu, got "
                f"{function!r}"
            )
        if use_bias and function is squash:
            raise ValueError(
                "NormNonlinearity: use_bias: squash takes norms, which a bias would make "
                "negative; pass use_bias=False"
            )
        if not 0 < initial_bias < np.inf:
            raise ValueError(
                "NormNonlinearity: initial_bias: expected a finite positive number, got "
                f"{initial_bias}"
            )
        dtype = jnp.result_type(float) if dtype is None else dtype
        self.log_bias = (
            jnp.full((len(field_sizes(rep)),), np.log(initial_bias), dtype) if use_bias else None
        )
        self.in_type = in_type
        self.out_type = in_type
        self.function = function

    def _forward(self, x: Float[Array, "..."], key: Any = None) -> Float[Array, "..."]:
        rep = representation_of(self.in_type, "NormNonlinearity", "in_type")

        def act(v: Array) -> Array:
            norms = safe_norms(field_sums(rep, v * v), SMALLEST_NORM**2)
            shifted = norms if self.log_bias is None else norms - jnp.exp(self.log_bias)
            positive = norms > 0
            factor = jnp.where(
                positive, self.function(shifted) / jnp.where(positive, norms, 1.0), 0.0
            )
            return v * spread(rep, factor)

        return on_channels(act, x, self.in_type)

    def export(self) -> eqx.nn.Lambda:
        """A plain function with the biases as constants."""
        rep = representation_of(self.in_type, "NormNonlinearity", "in_type")
        index = jnp.asarray(field_index(rep))
        count = len(field_sizes(rep))
        bias = 0.0 if self.log_bias is None else jnp.exp(self.log_bias)
        axis = channel_axis(self.in_type)
        function = jax.tree_util.Partial(plain_callable(self.function))
        ones = jnp.zeros((count, rep.size)).at[index, jnp.arange(rep.size)].set(1.0)
        return plain_layer(_norm_nonlinearity, function, bias, ones, axis, SMALLEST_NORM**2)


def _norm_nonlinearity(function, bias, members, axis, threshold, x):
    v = jnp.moveaxis(x, axis, -1)
    squares = jnp.matmul(v * v, members.T.astype(v.dtype), precision="highest")
    positive = squares > threshold
    norms = jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1.0)), 0.0)
    factor = jnp.where(positive, function(norms - bias) / jnp.where(positive, norms, 1.0), 0.0)
    scale = jnp.matmul(factor, members.astype(v.dtype), precision="highest")
    return jnp.moveaxis(v * scale, -1, axis)
