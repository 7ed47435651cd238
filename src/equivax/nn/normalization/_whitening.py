"""Whitening: fields divided by the square root of their covariance, and the root's derivative.

A symmetric root turns along with the covariance, ``W(rho S rho^T) = rho W(S) rho^T``, so it
commutes with every orthogonal representation; a Cholesky factor does not. With ``A = S + eps I`` of
eigenvalues ``a_i`` the derivative of ``W = A^(-1/2)`` in a direction E is, in the eigenbasis,
``-E_ij / (sqrt(a_i) sqrt(a_j) (sqrt(a_i) + sqrt(a_j)))``: finite where eigenvalues are equal, which
the derivative of eigenvectors is not. It solves ``W dW + dW W = -W^2 E W^2``, and written as that
solve it can be differentiated again.

The functions use ``jax`` and ``jnp`` only: the layers call them and their exports hold copies.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def inverse_root(eigen, slope, covariance, eps):
    """``(S + eps I)^(-1/2)`` for symmetric positive semidefinite S ``(..., n, n)``.

    Closed forms for n = 1 and 2 (exact under signed permutations), eigenvectors from n = 3 on.
    Finite with all its derivatives, also at zero and at equal eigenvalues.

    Args:
        eigen: The function of this name.
        slope: The function of this name.
        covariance: S.
        eps: Positive.
    """
    n = covariance.shape[-1]
    if n == 1:
        return 1.0 / jnp.sqrt(covariance + eps)
    if n == 2:
        # Of A / size, whose entries are of order one: no product over- or underflows.
        size = 0.5 * (covariance[..., 0, 0] + covariance[..., 1, 1]) + eps
        small = covariance / size[..., None, None]
        a, b, d = small[..., 0, 0], small[..., 0, 1], small[..., 1, 1]
        shift = eps / size
        det = a * d - b * b  # below 0 by rounding if S has rank one
        det = det + jax.lax.stop_gradient(jnp.maximum(-det, 0.0))
        s = jnp.sqrt(det + shift * (a + d) + shift * shift)
        t = jnp.sqrt(a + d + 2.0 * shift + 2.0 * s)
        off = jnp.stack([jnp.stack([d, -b], axis=-1), jnp.stack([-b, a], axis=-1)], axis=-2)
        diagonal = (s + shift)[..., None, None] * jnp.eye(2, dtype=small.dtype)
        return (off + diagonal) / (s * t * jnp.sqrt(size))[..., None, None]
    root = jax.custom_jvp(lambda S: eigen(S, eps)[0])
    root.defjvp(lambda primals, tangents: slope(root, eigen, eps, *primals, *tangents))
    return root(covariance)


def eigen(S, eps):
    """``(S + eps I)^(-1/2)``, its eigenvalues ``(..., n)`` and eigenvectors, by columns."""
    values, vectors = jnp.linalg.eigh(S)
    values = 1.0 / jnp.sqrt(jnp.maximum(values, 0.0) + eps)
    scaled = vectors * values[..., None, :]
    root = jnp.matmul(scaled, jnp.swapaxes(vectors, -1, -2), precision="highest")
    return root, values, vectors


def slope(root, eigen, eps, S, E):
    """The root at S and its derivative in the direction E."""
    W = root(S)
    # As constants: the solution depends on S through the equation.
    _, d, vectors = eigen(jax.lax.stop_gradient(S), eps)
    back = jnp.swapaxes(vectors, -1, -2)
    sums = d[..., :, None] + d[..., None, :]
    with jax.default_matmul_precision("highest"):
        squared = W @ W
        tangent = jax.lax.custom_linear_solve(
            lambda X: X @ W + W @ X,
            -0.5 * squared @ (E + jnp.swapaxes(E, -1, -2)) @ squared,
            lambda _, B: vectors @ ((back @ B @ vectors) / sums) @ back,
            symmetric=True,
        )
    return W, tangent


def whitened(inverse_root, groups, eps, projector, scale, bias, added, z):
    """``scale y + bias`` or ``scale y + bias mean`` for the whitened fields y of one kind.

    Args:
        inverse_root: The function of this name, without its first two arguments.
        groups: Number of groups, neighbouring fields each.
        eps: Added to the covariance.
        projector: None for one number per group; else orthonormal rows ``(rank, n^2)`` on whose
            span the covariance is projected, none of them for no projection.
        scale: One number per field, or None.
        bias: Likewise.
        added: Whether the bias is added as it is, and not times the mean of the field.
        z: ``(batch, fields, n, points)``.
    """
    batch, fields, n, points = z.shape
    x = z.reshape(batch, groups, fields // groups, n, points)
    own = jnp.mean(x, axis=4, keepdims=True)
    x = x - jnp.mean(own, axis=2, keepdims=True)
    if n == 1 or projector is None:
        y = x / jnp.sqrt(jnp.mean(x * x, axis=(2, 3, 4), keepdims=True) + eps)
    else:
        # One small product per field, averaged afterwards: no activation is moved.
        lead = ((0, 1, 2), (0, 1, 2))
        gram = jax.lax.dot_general(x, x, (((4,), (4,)), lead), precision="highest")
        covariance = jnp.mean(gram, axis=2) / points
        if projector.shape[0]:
            rows = projector.astype(x.dtype)
            flat = covariance.reshape(batch, groups, n * n)
            flat = jnp.matmul(flat, rows.T, precision="highest")
            flat = jnp.matmul(flat, rows, precision="highest")
            covariance = flat.reshape(batch, groups, n, n)
        root = inverse_root(covariance, eps)[:, :, None]
        root = jnp.broadcast_to(root, (batch, groups, fields // groups, n, n))
        y = jax.lax.dot_general(root, x, (((4,), (3,)), lead), precision="highest")
    y = y.reshape(batch, fields, n, points)
    if scale is not None:
        y = y * scale.astype(y.dtype).reshape(-1, 1, 1)
    if bias is not None:
        column = bias.astype(y.dtype).reshape(-1, 1, 1)
        y = y + (column if added else column * own.reshape(batch, fields, n, 1))
    return y
