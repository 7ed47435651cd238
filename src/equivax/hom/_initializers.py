"""Initial coefficients: the usual schemes with the fans of a block.

For isotropic input of second moment ``v``, output copies of an irrep have second moment
``S m_in kappa Var(theta) v`` and gradients the same with ``m_out``, where ``S`` is the dimension
of the endomorphism algebra and ``kappa`` the number of kernel taps. So a block has
``fan_in = S m_in kappa`` and ``fan_out = S m_out kappa`` (Glorot and Bengio 2010; He et al. 2015).
"""

from __future__ import annotations

import functools
import inspect
import math
import zlib
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, UInt

from .._arguments import is_traced
from ._dtypes import widened
from ._layout import MULTIPLICATION

Scheme = str | Callable[..., Array]
"""What ``init=`` takes: one of `SCHEMES`, or ``(key, shape, dtype, fan_in, fan_out) -> array``."""

SCHEMES: dict[str, tuple[str, float, str]] = {
    "xavier_normal": ("normal", 2.0, "fan_avg"),
    "xavier_uniform": ("uniform", 6.0, "fan_avg"),
    "he_normal": ("normal", 2.0, "fan_in"),
    "he_uniform": ("uniform", 6.0, "fan_in"),
    "kaiming_normal": ("normal", 2.0, "fan_in"),
    "kaiming_uniform": ("uniform", 6.0, "fan_in"),
    "lecun_normal": ("normal", 1.0, "fan_in"),
    "lecun_uniform": ("uniform", 3.0, "fan_in"),
    "small_normal": ("normal", 0.02, "fan_in"),
    "equinox": ("uniform", 1.0, "fan_in"),
    "orthogonal": ("orthogonal", 1.0, ""),
    "identity": ("identity", 1.0, ""),
    "zeros": ("zeros", 1.0, ""),
}
"""Names, as accepted by ``init=``, with what they draw.

``"small_normal"`` is a tenth of ``"he_normal"``: for layers whose output should start near zero.
"""


#: Numbers drawn from one key.
CHUNK = 1024
#: Chunks drawn by one call.
PIECE = 64


def check_scheme(scheme: Scheme) -> None:
    """Refuses an unknown scheme.

    Raises:
        ValueError: Listing the schemes.
    """
    if not _draws(scheme) and not (isinstance(scheme, str) and scheme in SCHEMES):
        raise ValueError(
            f"scheme: expected one of {', '.join(SCHEMES)} or a callable "
            f"(key, shape, dtype, fan_in, fan_out), got {scheme!r}"
        )


def _draws(scheme: object) -> bool:
    """Whether something is a function of five arguments."""
    if not callable(scheme) or isinstance(scheme, type):
        return False
    try:
        inspect.signature(scheme).bind(*range(5))
    except TypeError:
        return False
    except ValueError:  # what is written in C may have no signature
        return True
    return True


def draw(
    key: PRNGKeyArray,
    blocks: tuple[tuple[str, int, int, int], ...],
    scheme: Scheme,
    dtype: DTypeLike,
    taps: int = 1,
) -> dict[str, Float[Array, "out in s"]]:
    """Draws the coefficients of all blocks.

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
    if not isinstance(scheme, str):
        return {
            name: scheme(
                jax.random.fold_in(key, zlib.crc32(name.encode())),
                (m_out, m_in, s),
                dtype,
                s * m_in * taps,
                s * m_out * taps,
            )
            for name, m_out, m_in, s in blocks
        }
    kind = SCHEMES[scheme][0]
    pieces: tuple[Array, ...] = ()
    if kind in ("normal", "uniform", "orthogonal"):
        pieces = _pieces(key, blocks, "uniform" if kind == "uniform" else "normal", dtype)
    return _assembled(pieces, blocks, scheme, dtype, taps)


def standard_normal(
    key: PRNGKeyArray,
    shapes: Mapping[str, tuple[int, ...]],
    dtype: DTypeLike,
    deviations: Mapping[str, Float[np.ndarray, "..."]] | None = None,
) -> dict[str, Float[Array, "..."]]:
    """Independent standard normal numbers, drawn like those of `draw`.

    They are cut and scaled on the host where that is possible: as programs, these steps would be
    compiled for every shape of a network, which takes longer than all else.

    Args:
        key: A JAX key.
        shapes: Name to shape; the name seeds the numbers.
        dtype: Of the numbers.
        deviations: Name to standard deviations other than 1, which broadcast against the shape.
    """
    blocks = tuple((name, math.prod(shape), 1, 1) for name, shape in shapes.items())
    pieces = _pieces(key, blocks, "normal", dtype)
    on_host = all(map(_is_at_hand, pieces))
    if on_host:
        pieces = tuple(map(np.asarray, pieces))
    chunks = (np if on_host else jnp).concatenate(pieces)
    found, start = {}, 0
    for (name, size, *_), count in zip(blocks, _chunk_counts(blocks), strict=True):
        numbers = chunks[start : start + count].reshape(-1)[:size].reshape(shapes[name])
        if deviations is not None:
            numbers = numbers * np.asarray(deviations[name], dtype)
        found[name] = jnp.asarray(numbers)
        start += count
    return found


def _is_at_hand(array: Array) -> bool:
    """Whether an array can go to the host and back: not traced, and on no device of its own."""
    return not is_traced(array) and not array.committed


def _chunk_counts(blocks: tuple[tuple[str, int, int, int], ...]) -> list[int]:
    return [-(-m_out * m_in * s // CHUNK) for _, m_out, m_in, s in blocks]


def _pieces(
    key: PRNGKeyArray, blocks: tuple[tuple[str, int, int, int], ...], kind: str, dtype: DTypeLike
) -> tuple[Array, ...]:
    """Standard normal or uniform (-1, 1) numbers, chunk after chunk, in pieces of one size.

    A block takes whole chunks, each with a key made of the block's name and the chunk's number, so
    a draw does not depend on the other blocks. And every piece comes from one compiled program,
    whatever the layer: compiling a generator per shape would make building a network slow.
    """
    labels = [
        zlib.crc32(f"{name}/{chunk}".encode())
        for (name, *_), count in zip(blocks, _chunk_counts(blocks), strict=True)
        for chunk in range(count)
    ]
    padded = np.zeros(-(-len(labels) // PIECE) * PIECE, dtype=np.uint32)
    padded[: len(labels)] = labels
    return tuple(_piece(key, part, kind, dtype) for part in padded.reshape(-1, PIECE))


@functools.partial(jax.jit, static_argnums=(2, 3))
def _piece(
    key: PRNGKeyArray, labels: UInt[ArrayLike, " chunks"], kind: str, dtype: DTypeLike
) -> Float[Array, "chunks numbers"]:
    keys = jax.vmap(lambda label: jax.random.fold_in(key, label))(jnp.asarray(labels))
    if kind == "uniform":
        return jax.vmap(lambda k: jax.random.uniform(k, (CHUNK,), dtype, -1.0, 1.0))(keys)
    return jax.vmap(lambda k: jax.random.normal(k, (CHUNK,), dtype))(keys)


@functools.partial(jax.jit, static_argnums=(1, 2, 3, 4))
def _assembled(
    pieces: tuple[Array, ...],
    blocks: tuple[tuple[str, int, int, int], ...],
    scheme: str,
    dtype: DTypeLike,
    taps: int,
) -> dict[str, Float[Array, "out in s"]]:
    """Cuts the numbers into blocks and scales them."""
    kind, numerator, mode = SCHEMES[scheme]
    chunks = jnp.concatenate(pieces) if pieces else jnp.zeros((0, CHUNK), dtype)
    found, start = {}, 0
    for (name, m_out, m_in, s), count in zip(blocks, _chunk_counts(blocks), strict=True):
        shape = (m_out, m_in, s)
        if kind == "zeros":
            found[name] = jnp.zeros(shape, dtype)
            continue
        if kind == "identity":
            unit = jnp.eye(m_out, m_in, dtype=dtype)
            found[name] = jnp.zeros(shape, dtype).at[..., 0].set(unit)
            continue
        sample = chunks[start : start + count].reshape(-1)[: m_out * m_in * s].reshape(shape)
        start += count
        if kind == "orthogonal":
            found[name] = _semi_unitary(sample)
            continue
        fan = s * taps * (m_in + m_out if mode == "fan_avg" else m_in)
        found[name] = math.sqrt(numerator / fan) * sample
    return found


def _semi_unitary(gaussian: Float[Array, "out in s"]) -> Float[Array, "out in s"]:
    """Haar-distributed semi-unitary matrix over R, C or H: polar factor of a Gaussian block."""
    m_out, m_in, algebra = gaussian.shape
    wide = widened(gaussian)
    units = jnp.asarray(MULTIPLICATION[algebra], wide.dtype)
    real = jnp.einsum("ois,spt->opit", wide, units, precision=jax.lax.Precision.HIGHEST)
    left, _, right = jnp.linalg.svd(
        real.reshape(m_out * algebra, m_in * algebra), full_matrices=False
    )
    polar = jnp.matmul(left, right, precision=jax.lax.Precision.HIGHEST)
    # The first column of the matrix of a number holds its components.
    first = polar.reshape(m_out, algebra, m_in, algebra)[..., 0]
    return first.transpose(0, 2, 1).astype(gaussian.dtype)
