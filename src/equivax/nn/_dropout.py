"""`FieldDropout`: whole fields are kept or dropped."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ._fields import field_index, field_sizes
from ._module import AbstractModule, on_channels, representation_of


class FieldDropout(AbstractModule):
    """Every field is zeroed with probability ``p``, or kept and divided by ``1 - p``.

    One draw per example and field, so that ``f(rho(g) x) = rho(g) f(x)`` holds exactly for a fixed
    key; dropping single channels would break it. Identity if ``inference``.

    Shapes: unchanged.
    """

    in_type: Any = eqx.field(static=True)
    out_type: Any = eqx.field(static=True)
    p: float = eqx.field(static=True)
    inference: bool

    def __init__(self, in_type: Any, p: float = 0.5, *, inference: bool = False) -> None:
        """Stores the rate.

        Args:
            in_type: Any type.
            p: Probability to drop a field, in [0, 1].
            inference: Whether the layer is the identity; `equinox.nn.inference_mode` sets it.

        Raises:
            ValueError: If ``p`` is not in [0, 1].
        """
        representation_of(in_type, "FieldDropout", "in_type")
        if not 0 <= p <= 1:
            raise ValueError(f"FieldDropout: p: expected a probability in [0, 1], got {p}")
        self.in_type = in_type
        self.out_type = in_type
        self.p = float(p)
        self.inference = inference

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        if self.inference or self.p == 0:
            return x
        if key is None:
            raise ValueError(
                "FieldDropout: key: needed in training; pass key=, or set inference=True"
            )
        if self.p == 1:
            return jnp.zeros_like(x)
        rep = representation_of(self.in_type, "FieldDropout", "in_type")

        def act(v: Array) -> Array:
            shape = (*v.shape[:-1], len(field_sizes(rep)))
            # A float32 rate: the mask of a key does not depend on JAX's x64 flag.
            keep = jax.random.bernoulli(key, jnp.float32(1 - self.p), shape)
            return jnp.where(keep[..., field_index(rep)], v / (1 - self.p), 0.0)

        return on_channels(act, x, self.in_type)

    def _for_shape(self, x: Array) -> Array:
        return self(x, key=jax.random.key(0))

    def export(self) -> eqx.nn.Identity:
        """`equinox.nn.Identity`, the layer at inference: Equinox's dropout acts per channel."""
        return eqx.nn.Identity()
