"""Whitening: fields divided by the square root of their covariance, and the root's derivative.

A symmetric root turns along with the covariance, ``W(rho S rho^T) = rho W(S) rho^T``, so it
commutes with every orthogonal representation; a Cholesky factor does not. With ``A = S + eps I`` of
eigenvalues ``a_i`` the derivative of ``W = A^(-1/2)`` in a direction E is, in the eigenbasis,
``-E_ij / (sqrt(a_i) sqrt(a_j) (sqrt(a_i) + sqrt(a_j)))``: finite where eigenvalues are equal, which
the derivative of eigenvectors is not. It solves ``W dW + dW W = -W^2 E W^2``, and written as that
solve it can be differentiated again.

In directions without variance, such as those across a constant velocity, ``x - mean`` is what
rounding left, and W magnifies it by ``1 / sqrt(eps)``; some norms in a row make noise of it. So the
value is ``W D (x - mean)`` with ``D = S^2 (S^2 + floor^2 I)^(-1)`` and a floor at rounding level,
while derivatives are those of ``W (x - mean)``. D is a function of S, so the law holds.

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


def damped_root(damped, covariance, eps, floor):
    """``(S + eps I)^(-1/2) S^2 (S^2 + floor^2 I)^(-1)``, a value without derivatives.

    Not as a product of two matrices: in dead directions the root is large and its rounding stays.

    Args:
        damped: The function of this name.
        covariance: S, ``(..., n, n)`` with ``n > 1``.
        eps: Positive.
        floor: ``(...)``, the size of eigenvalues that are but rounding.
    """
    S, floor = jax.lax.stop_gradient((covariance, floor[..., None]))
    if S.shape[-1] > 2:
        values, vectors = jnp.linalg.eigh(S)
        scaled = vectors * damped(values, eps, floor)[..., None, :]
        return jnp.matmul(scaled, jnp.swapaxes(vectors, -1, -2), precision="highest")
    # S = mean I + radius T with T^2 = I.
    mean, half = 0.5 * (S[..., 0, 0] + S[..., 1, 1]), 0.5 * (S[..., 0, 0] - S[..., 1, 1])
    off = S[..., 0, 1]
    radius = jnp.hypot(half, off)
    pair = damped(jnp.stack([mean + radius, mean - radius], axis=-1), eps, floor)
    level, tilt = 0.5 * (pair[..., 0] + pair[..., 1]), 0.5 * (pair[..., 0] - pair[..., 1])
    tilt = tilt / jnp.maximum(radius, jnp.finfo(S.dtype).tiny)
    half, off = tilt * half, tilt * off
    rows = [[level + half, off], [off, level - half]]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


def damped(values, eps, floor):
    """``v^2 / (v^2 + floor^2)`` times ``1 / sqrt(v + eps)``, without derivatives."""
    values, floor = jax.lax.stop_gradient((values, floor))
    values = jnp.maximum(values, 0.0)
    ratio = floor / jnp.maximum(values, jnp.finfo(values.dtype).tiny)
    return 1.0 / (jnp.sqrt(values + eps) * (1.0 + ratio * ratio))


def applied(product, damped, root, x):
    """``product(damped, x)`` with the derivatives of ``product(root, x)``, of any order."""
    value = jax.custom_jvp(lambda damped, root, x: product(damped, x))
    value.defjvp(
        lambda primals, tangents: (
            value(*primals),
            product(tangents[1], primals[2]) + product(primals[1], tangents[2]),
        )
    )
    return value(damped, root, x)


def whitened(
    inverse_root, damped_root, damped, applied, groups, eps, projector, scale, bias, added, z
):
    """``scale y + bias`` or ``scale y + bias mean`` for the whitened fields y of one kind.

    Args:
        inverse_root: The function of this name, without its first two arguments.
        damped_root: The function of this name, without its first argument.
        damped: The function of this name.
        applied: The function of this name.
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
    centre = jnp.mean(own, axis=2, keepdims=True)
    x = x - centre
    level = jnp.sum(centre * centre, axis=3, keepdims=True)
    u = jnp.finfo(x.dtype).eps
    # Floors: rounding of S, whose trace is total, of S + eps, and of x: mean |x|^2 = total + level.
    if n == 1 or projector is None:
        variance = jnp.mean(x * x, axis=(2, 3, 4), keepdims=True)
        total = n * variance
        floor = u * (16.0 * total + eps) + (64.0 * u) ** 2 * (total + level)
        factors = damped(variance, eps, floor), 1.0 / jnp.sqrt(variance + eps)
        y = applied(jnp.multiply, *factors, x)
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
        total = jnp.trace(covariance, axis1=2, axis2=3)
        floor = u * (16.0 * total + eps) + (64.0 * u) ** 2 * (total + level.reshape(batch, groups))
        roots = damped_root(covariance, eps, floor), inverse_root(covariance, eps)
        shape = (batch, groups, fields // groups, n, n)
        y = applied(
            lambda matrix, x: jax.lax.dot_general(
                matrix, x, (((4,), (3,)), lead), precision="highest"
            ),
            *(jnp.broadcast_to(matrix[:, :, None], shape) for matrix in roots),
            x,
        )
    y = y.reshape(batch, fields, n, points)
    if scale is not None:
        y = y * scale.astype(y.dtype).reshape(-1, 1, 1)
    if bias is not None:
        column = bias.astype(y.dtype).reshape(-1, 1, 1)
        y = y + (column if added else column * own.reshape(batch, fields, n, 1))
    return y
