"""Initial coefficients: the usual schemes with the fans of a block.

For isotropic input of second moment ``v``, output copies of an irrep have second moment
``S m_in kappa Var(theta) v`` and gradients the same with ``m_out``, where ``S`` is the dimension
of the endomorphism algebra and ``kappa`` the number of kernel taps. So a block has
``fan_in = S m_in kappa`` and ``fan_out = S m_out kappa`` (Glorot and Bengio 2010; He et al. 2015).
"""

from __future__ import annotations

import functools
import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ._dtypes import at_least_float32
from ._layout import MULTIPLICATION

Scheme = str | Callable[..., Array]

#: Names, as accepted by ``init=``, with what they draw.
SCHEMES: dict[str, tuple[str, float, str]] = {
    "xavier_normal": ("normal", 2.0, "fan_avg"),
    "xavier_uniform": ("uniform", 6.0, "fan_avg"),
    "he_normal": ("normal", 2.0, "fan_in"),
    "he_uniform": ("uniform", 6.0, "fan_in"),
    "kaiming_normal": ("normal", 2.0, "fan_in"),
    "kaiming_uniform": ("uniform", 6.0, "fan_in"),
    "lecun_normal": ("normal", 1.0, "fan_in"),
    "lecun_uniform": ("uniform", 3.0, "fan_in"),
    "equinox": ("uniform", 1.0, "fan_in"),
    "orthogonal": ("orthogonal", 1.0, ""),
    "identity": ("identity", 1.0, ""),
    "zeros": ("zeros", 1.0, ""),
}


#: Numbers drawn from one key.
CHUNK = 1024


def check_scheme(scheme: Scheme) -> None:
    """Refuses an unknown scheme.

    Raises:
        ValueError: Listing the schemes.
    """
    if not callable(scheme) and scheme not in SCHEMES:
        raise ValueError(
            f"scheme: expected one of {', '.join(SCHEMES)} or a callable "
            f"(key, shape, dtype, fan_in, fan_out), got {scheme!r}"
        )


@functools.partial(jax.jit, static_argnames=("blocks", "scheme", "dtype", "taps"))
def draw(
    key: PRNGKeyArray,
    blocks: tuple[tuple[str, int, int, int], ...],
    scheme: Scheme,
    dtype: Any,
    taps: int = 1,
) -> dict[str, Float[Array, "out in s"]]:
    """Draws the coefficients of all blocks in one compiled call.

    Args:
        key: A JAX key; each block's key is derived from its name, so that another irrep in the
            type does not change the draw of the others.
        blocks: Per irrep ``(name, m_out, m_in, S)``.
        scheme: A key of `SCHEMES` or a callable ``(key, shape, dtype, fan_in, fan_out)``.
        dtype: Of the coefficients.
        taps: Number of kernel taps ``kappa``; 1 for linear layers.

    Returns:
        Name to array ``(m_out, m_in, S)``.
    """
    fans = [(s * m_in * taps, s * m_out * taps) for _, m_out, m_in, s in blocks]
    shapes = [(m_out, m_in, s) for _, m_out, m_in, s in blocks]
    names = [name for name, *_ in blocks]
    if not isinstance(scheme, str):
        return {
            name: scheme(_named_key(key, name), shape, dtype, *fan)
            for name, shape, fan in zip(names, shapes, fans, strict=True)
        }
    kind, numerator, mode = SCHEMES[scheme]
    if kind == "zeros":
        return {name: jnp.zeros(shape, dtype) for name, shape in zip(names, shapes, strict=True)}
    if kind == "identity":
        return {
            name: jnp.zeros(shape, dtype).at[..., 0].set(jnp.eye(*shape[:2], dtype=dtype))
            for name, shape in zip(names, shapes, strict=True)
        }
    drawn = _samples(key, names, shapes, "uniform" if kind == "uniform" else "normal", dtype)
    if kind == "orthogonal":
        return {name: _semi_unitary(x) for name, x in zip(names, drawn, strict=True)}
    scales = [math.sqrt(numerator / (sum(fan) if mode == "fan_avg" else fan[0])) for fan in fans]
    return {name: scale * x for name, scale, x in zip(names, scales, drawn, strict=True)}


def _named_key(key: PRNGKeyArray, name: str) -> PRNGKeyArray:
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def _samples(
    key: PRNGKeyArray,
    names: Sequence[str],
    shapes: Sequence[tuple[int, int, int]],
    kind: str,
    dtype: Any,
) -> list[Float[Array, "out in s"]]:
    """Standard normal or uniform (-1, 1) arrays, all by one random number kernel.

    A block takes whole chunks, each with a key made of the block's name and the chunk's number. So
    a draw does not depend on the other blocks, and the program compiles in the time of one kernel
    instead of one per irrep.
    """
    if not names:
        return []
    counts = [-(-math.prod(shape) // CHUNK) for shape in shapes]
    name_hashes = np.repeat(
        np.array([zlib.crc32(name.encode()) for name in names], dtype=np.uint32), counts
    )
    numbers = np.concatenate([np.arange(count, dtype=np.uint32) for count in counts])
    fold = jax.vmap(lambda h, n: jax.random.fold_in(jax.random.fold_in(key, h), n))
    keys = fold(jnp.asarray(name_hashes), jnp.asarray(numbers))
    if kind == "uniform":
        chunks = jax.vmap(lambda k: jax.random.uniform(k, (CHUNK,), dtype, -1.0, 1.0))(keys)
    else:
        chunks = jax.vmap(lambda k: jax.random.normal(k, (CHUNK,), dtype))(keys)
    ends = np.cumsum(counts)
    return [
        chunks[end - count : end].reshape(-1)[: math.prod(shape)].reshape(shape)
        for end, count, shape in zip(ends, counts, shapes, strict=True)
    ]


def _semi_unitary(gaussian: Float[Array, "out in s"]) -> Float[Array, "out in s"]:
    """Haar-distributed semi-unitary matrix over R, C or H: polar factor of a Gaussian block."""
    m_out, m_in, algebra = gaussian.shape
    wide = gaussian.astype(at_least_float32(gaussian.dtype))
    units = jnp.asarray(MULTIPLICATION[algebra], wide.dtype)
    real = jnp.einsum("ois,spt->opit", wide, units, precision=jax.lax.Precision.HIGHEST)
    left, _, right = jnp.linalg.svd(
        real.reshape(m_out * algebra, m_in * algebra), full_matrices=False
    )
    polar = jnp.matmul(left, right, precision=jax.lax.Precision.HIGHEST)
    # The first column of the matrix of a number holds its components.
    first = polar.reshape(m_out, algebra, m_in, algebra)[..., 0]
    return first.transpose(0, 2, 1).astype(gaussian.dtype)
