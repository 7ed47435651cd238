"""Scaled dot-product attention (Vaswani et al. 2017): the formula, with and without its weights.

Arrays have tokens, heads and channels last, ``(..., T, H, n)``; weights are ``(..., H, T, S)``.
The group acts on channels by an orthogonal matrix, the same one for queries and keys, so that their
products, and with them the weights, are invariant.
"""

from __future__ import annotations

import functools
import math
from typing import Literal, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ...hom import at_least_float32

#: What a masked logit is, as a share of the largest float32: rows without any key stay finite, and
#: weigh all keys alike.
LOWEST = -0.7 * 3.4028234663852886e38


def wide_product(subscripts, a, b, wide):
    """`jnp.einsum`, with sums that are kept in a wider type than the factors'.

    Its derivatives are products of the factors' type, rounded to it: JAX would widen the factors
    and multiply, and keep, twice as many bits.
    """
    product = functools.partial(jnp.einsum, subscripts)
    if a.dtype == b.dtype == wide:
        return product(a, b)
    found = jax.custom_jvp(lambda a, b: product(a, b, preferred_element_type=wide))
    found.defjvps(
        lambda slope, y, a, b: product(slope, b).astype(wide),
        lambda slope, y, a, b: product(a, slope).astype(wide),
    )
    return found(a, b)


def logits_of(q, k, mask=None, bias=None):
    """``q k / sqrt(n)``, masked and shifted, ``(..., H, T, S)``, in at least float32."""
    wide, scale = at_least_float32(q.dtype), 1 / math.sqrt(q.shape[-1])
    # There are fewer queries than logits; but 16 bits would be rounded once more.
    early = q.dtype == wide
    q = q * scale if early else q
    logits = wide_product("...thn,...shn->...hts", q, k, wide)
    logits = logits if early else logits * scale
    if bias is not None:
        logits = logits + jnp.maximum(bias.astype(wide), LOWEST)
    return logits if mask is None else jnp.where(mask, logits, LOWEST)


def averaged(weights, v):
    """``sum_s w_s v_s``, ``(..., T, H, n)``."""
    return jnp.einsum("...hts,...shn->...thn", weights.astype(v.dtype), v)


def attended(q, k, v, mask=None, bias=None):
    """Values, averaged with the softmax of the logits.

    Sums of exponentials divide averages, not weights: there are fewer of them, and the derivative
    needs no sum over all weights.
    """
    logits = logits_of(q, k, mask, bias)
    # The largest logit cancels.
    weights = jnp.exp(logits - jax.lax.stop_gradient(logits.max(axis=-1, keepdims=True)))
    total = weights.sum(axis=-1, keepdims=True)
    sums = wide_product("...hts,...shn->...htn", weights.astype(v.dtype), v, total.dtype)
    return jnp.moveaxis((sums / total).astype(v.dtype), -3, -2)


def attended_by_jax(
    q: Float[Array, "*batch T H n"],
    k: Float[Array, "*batch S H n"],
    v: Float[Array, "*batch S H n"],
    mask: Bool[Array, "..."] | None,
    bias: Float[Array, "..."] | None,
    implementation: str,
) -> Float[Array, "*batch T H n"]:
    """The same by `jax.nn.dot_product_attention`, which has kernels for some accelerators.

    It takes one batch axis, and its softmax is one of float32.
    """
    batch = jnp.broadcast_shapes(q.shape[:-3], k.shape[:-3], v.shape[:-3])
    q, k, v = (jnp.broadcast_to(z, (*batch, *z.shape[-3:])) for z in (q, k, v))
    q, k, v = (z.reshape(math.prod(batch), *z.shape[-3:]) for z in (q, k, v))
    bias = None if bias is None else jnp.maximum(bias.astype(jnp.float32), LOWEST)
    mask, bias = (None if z is None else _on_one_batch_axis(z, batch) for z in (mask, bias))
    # For 16 bits JAX promotes types by itself.
    with jax.numpy_dtype_promotion("standard"):
        own = cast(Literal["xla", "cudnn"], implementation)
        y = jax.nn.dot_product_attention(q, k, v, bias, mask, implementation=own)
    return y.reshape(*batch, *y.shape[1:])


def _on_one_batch_axis(z: Array, batch: tuple[int, ...]) -> Array:
    """With its batch axes as one, which is 1 long where all examples are alike."""
    inner = (1,) * (3 - z.ndim) + z.shape[-3:]
    if all(length == 1 for length in z.shape[:-3]):
        return z.reshape(1, *inner)
    return jnp.broadcast_to(z, (*batch, *inner)).reshape(math.prod(batch), *inner)
