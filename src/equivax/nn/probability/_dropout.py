"""`FieldDropout`: whole fields are kept or dropped. `PointwiseDropout`: single channels."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import flag, number
from ...fields import IrrepTensor, Type
from .._core._admission import check_fields
from .._core._channels import field_sizes, spread
from .._core._irrep_wise import Parts, kind_by_kind, of_fields
from .._core._module import AbstractModule, channel_axis, representation_of


class FieldDropout(AbstractModule):
    """Every field is zeroed with probability ``p``, or kept and divided by ``1 - p``.

    One draw per example, field and position, so that ``f(rho(g) x) = rho(g) f(x)`` holds exactly
    for a fixed key where only fibres turn; dropping single channels would break it. An element that
    moves positions moves the mask too, which has the same distribution. With
    ``broadcast_spatial=True`` there is one draw per example and field: whole feature maps are
    dropped, exactly equivariant for a fixed key. Identity if ``inference``.

    Shapes: unchanged.
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    p: float = eqx.field(static=True)
    broadcast_spatial: bool = eqx.field(static=True)
    inference: bool

    def __init__(
        self,
        in_type: Type,
        p: float | int = 0.5,
        *,
        broadcast_spatial: bool = False,
        inference: bool = False,
    ) -> None:
        """Stores the rate.

        Args:
            in_type: A type of any fields.
            p: Probability to drop a field, in [0, 1].
            broadcast_spatial: Whether all positions of a field share one draw.
            inference: Whether the layer is the identity; `equinox.nn.inference_mode` sets it.

        Raises:
            ValueError: If ``p`` is not in [0, 1].
            TypeError: If ``in_type`` is no type, or ``p`` no number.
        """
        representation_of(in_type, "FieldDropout", "in_type")
        self.in_type = in_type
        self.out_type = in_type
        self.p = number(p, "FieldDropout", "p", 0, 1)
        self.broadcast_spatial = flag(broadcast_spatial, "FieldDropout", "broadcast_spatial")
        self.inference = flag(inference, "FieldDropout", "inference")

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        if self.inference or self.p == 0:
            return x
        if key is None:
            raise _no_key("FieldDropout")
        if self.p == 1:
            return jnp.zeros_like(x)
        rep = self._rep
        axis = x.ndim + channel_axis(self.in_type)
        spatial = x.shape[axis + 1 :]
        if self.broadcast_spatial:
            spatial = (1,) * len(spatial)
        shape = (*x.shape[:axis], len(field_sizes(rep)), *spatial)
        keep = jax.random.bernoulli(key, _keep_rate(self.p), shape)
        mask = spread(rep, keep, channel_axis(self.in_type))
        return jnp.where(mask, x / (1 - self.p), jnp.zeros_like(x))

    def _forward_irreps(self, x: IrrepTensor, key: PRNGKeyArray | None = None) -> IrrepTensor:
        if self.inference or self.p == 0:
            return x
        if key is None:
            raise _no_key("FieldDropout")
        if self.p == 1:
            return x.map(jnp.zeros_like)
        rep = self._rep
        keep = jax.random.bernoulli(
            key, _keep_rate(self.p), (*x.batch_shape, len(field_sizes(rep)))
        )

        def new(parts: Parts, mask: Array) -> Parts:
            kept = mask[..., None, None, :]
            return {
                n: jnp.where(kept, p / (1 - self.p), jnp.zeros_like(p)) for n, p in parts.items()
            }

        return IrrepTensor(kind_by_kind(x, new, of_fields(rep, keep)), self.out_type)

    def export(self) -> eqx.nn.Identity:
        """`equinox.nn.Identity`, the layer at inference: Equinox's dropout acts per channel."""
        return eqx.nn.Identity()


class PointwiseDropout(AbstractModule):
    """Every entry is zeroed with probability ``p``, or kept and divided by ``1 - p``.

    For fields whose channels the group permutes, also with signs. Equivariant in distribution
    only: for a fixed key ``f(rho(g) x)`` uses another mask than ``rho(g) f(x)``; `FieldDropout` is
    exact. Identity if ``inference``.

    Shapes: unchanged.
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    p: float = eqx.field(static=True)
    inference: bool

    def __init__(self, in_type: Type, p: float | int = 0.5, *, inference: bool = False) -> None:
        """Checks the type and stores the rate.

        Args:
            in_type: A type whose fields are permutation representations, with or without signs.
            p: Probability to drop an entry, in [0, 1].
            inference: Whether the layer is the identity; `equinox.nn.inference_mode` sets it.

        Raises:
            ValueError: If a field is no signed permutation, or ``p`` is not in [0, 1].
            TypeError: If ``in_type`` is no type, or ``p`` no number.
        """
        rep = representation_of(in_type, "PointwiseDropout", "in_type")
        check_fields(
            "PointwiseDropout",
            rep,
            lambda field: field.is_signed_permutation,
            "has channels that the group does not permute, so dropping single ones changes the "
            "distribution",
            "use FieldDropout, which takes any field",
        )
        self.in_type = in_type
        self.out_type = in_type
        self.p = number(p, "PointwiseDropout", "p", 0, 1)
        self.inference = flag(inference, "PointwiseDropout", "inference")

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        if self.inference or self.p == 0:
            return x
        if key is None:
            raise _no_key("PointwiseDropout")
        if self.p == 1:
            return jnp.zeros_like(x)
        keep = jax.random.bernoulli(key, _keep_rate(self.p), x.shape)
        return jnp.where(keep, x / (1 - self.p), jnp.zeros_like(x))

    def export(self) -> eqx.nn.Dropout:
        """`equinox.nn.Dropout` of the same rate."""
        return eqx.nn.Dropout(self.p, inference=self.inference)


def _keep_rate(p: float) -> Array:
    # A float32 rate: the mask of a key does not depend on JAX's x64 flag.
    return jnp.float32(1 - p)


def _no_key(caller: str) -> ValueError:
    return ValueError(
        f"{caller}: key: needed in training; pass key=, or use equinox.nn.inference_mode"
    )
