"""Whitening: fields divided by the square root of their covariance, accurately.

A symmetric root turns along with the covariance, ``W(rho S rho^T) = rho W(S) rho^T``, so it
commutes with every orthogonal representation; a Cholesky factor does not.

Where one direction is r times as strong as another, second moments lose ``u r^2`` of the weak one,
u the rounding of a number. So x is turned to the principal axes of a first covariance, and second
moments are taken again: of numbers that are small where x is, they lose ``u r`` as x itself does. A
turn that is held constant changes neither the formula nor its derivatives.

With ``A = S + eps I`` of eigenvalues ``a_i`` the derivative of ``W = A^(-1/2)`` in a direction E
is, in the eigenbasis, ``-E_ij / (sqrt(a_i) sqrt(a_j) (sqrt(a_i) + sqrt(a_j)))``: finite where
eigenvalues are equal, which the derivative of eigenvectors is not. It solves
``W dW + dW W = -W^2 E W^2``, and written as that solve it can be differentiated again.

The functions take arrays and plain values: layers call them, and exports hold copies.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ._rounding import LEFT, above_rounding, denoised, rounding_of

#: Size of fields up to which products with their matrices are sums, off CPU.
LARGEST_FUSED = 4

#: How the halves of four rows are turned over so that all pairs of rows meet once.
FLIPS = ((-1,), (-2,), (-2, -1))


def whitened(groups, eps, whiten, left, basis, rows, scale, bias, added, z):
    """``scale y + bias`` or ``scale y + bias mean`` for the whitened fields y of one kind.

    Args:
        groups: Number of groups, neighbouring fields each.
        eps: Added to the covariance.
        whiten: ``"full"``, ``"isotypic"`` or ``"rms"``.
        left: Variance that the layers before may have left, ``(batch, 1, 1, 1)``.
        basis: For ``"isotypic"``, as in `whitened_by_rows`.
        rows: Likewise.
        scale: One number per field, or None.
        bias: Likewise.
        added: Whether the bias is added as it is, and not times the mean of the field.
        z: ``(batch, fields, n, points)``.
    """
    batch, fields, n, points = z.shape
    x = z.reshape(batch, groups, fields // groups, n, points)
    # From one point on: the difference of numbers that are nearly equal is exact.
    reference = jax.lax.stop_gradient(x[:, :, :1, :, :1])
    x = x - reference
    own = jnp.mean(x, axis=4, keepdims=True)
    centre = jnp.mean(own, axis=2, keepdims=True)
    x = x - centre
    mean = reference + centre
    if n == 1 or whiten == "rms":
        y = divided(eps, left, mean, x)
    elif whiten == "full":
        y = whitened_fully(eps, left, mean, x)
    else:
        y = whitened_by_rows(eps, left, basis, rows, mean, x)
    y = y.reshape(batch, fields, n, points)
    if scale is not None:
        y = y * scale.astype(y.dtype).reshape(-1, 1, 1)
    if bias is not None:
        column = bias.astype(y.dtype).reshape(-1, 1, 1)
        own = (own + reference).reshape(batch, fields, n, 1)
        y = y + (column if added else column * own)
    return y


def divided(eps, left, mean, x):
    """``x / sqrt(tr S / n + eps)`` for centred x ``(batch, groups, fields, n, points)``."""
    variance = jnp.mean(x * x, axis=(2, 3, 4), keepdims=True)
    level = variance + jnp.mean(mean * mean, axis=3, keepdims=True)
    alive = above_rounding(variance, level, left[..., None])
    return denoised(x, alive) / jnp.sqrt(denoised(variance, alive) + eps)


def whitened_by_rows(eps, left, basis, rows, mean, x):
    """``(S + eps I)^(-1/2) x`` with S projected on what commutes with a field.

    Args:
        eps: Positive.
        left: As in `whitened`.
        basis: Columns of coordinates, of the irreps, in which matrices that commute are exactly
            zero between irreps of different kinds; None for the identity.
        rows: Orthonormal rows ``(rank, n^2)`` that span those matrices, in these coordinates.
        mean: What was subtracted from x.
        x: Centred, ``(batch, groups, fields, n, points)``.
    """
    lead = (*x.shape[:2], x.shape[3], x.shape[3])
    axes = jnp.broadcast_to(jnp.eye(x.shape[3]) if basis is None else basis, lead).astype(x.dtype)
    y = x if basis is None else product(transposed(axes), x)
    rows = rows.astype(x.dtype)
    flat = second_moments(y).reshape(*lead[:2], rows.shape[1])
    flat = jnp.matmul(flat, rows.T, precision="highest")
    moments = jnp.matmul(flat, rows, precision="highest").reshape(lead)
    y, moments = without_rounding(left, mean, y, moments)
    return product(small_product(axes, inverse_root(moments, eps)), y)


def whitened_fully(eps, left, mean, x):
    """``(S + eps I)^(-1/2) x`` for centred x ``(batch, groups, fields, n, points)``."""
    _, axes = principal_axes(second_moments(jax.lax.stop_gradient(x)), 3)
    y = product(transposed(axes), x)
    moments = second_moments(y)
    y, moments = without_rounding(left, mean, y, moments)
    return product(small_product(axes, inverse_root(moments, eps)), y)


def without_rounding(left, mean, y, moments):
    """Y and its second moments, with zeros in coordinates that are nothing but rounding."""
    variances = diagonal(moments)
    level = jnp.sum(variances, axis=-1) + jnp.sum(mean * mean, axis=(2, 3, 4))
    across = rounding_of(jnp.max(variances, axis=-1, keepdims=True), LEFT)
    left = jnp.maximum(across, left[..., 0])
    alive = above_rounding(variances, level[..., None], left)
    pairs = alive[..., None, :] & alive[..., :, None]
    return denoised(y, alive[:, :, None, :, None]), denoised(moments, pairs)


def second_moments(x):
    """``mean x x^T`` over fields and points: ``(batch, groups, n, n)``."""
    if fuses(x.shape[3]):
        return jnp.mean(x[:, :, :, :, None] * x[:, :, :, None], axis=(2, 5))
    lead = ((0, 1, 2), (0, 1, 2))
    # One small product per field, averaged afterwards: no activation is moved.
    gram = jax.lax.dot_general(x, x, (((4,), (4,)), lead), precision="highest")
    return jnp.mean(gram, axis=2) / x.shape[4]


def product(matrix, x):
    """A matrix ``(batch, groups, n, n)`` times all fields at all points."""
    if fuses(x.shape[3]):
        return jnp.sum(matrix[:, :, None, :, :, None] * x[:, :, :, None], axis=4)
    repeated = jnp.broadcast_to(matrix[:, :, None], (*x.shape[:4], x.shape[3]))
    lead = ((0, 1, 2), (0, 1, 2))
    return jax.lax.dot_general(repeated, x, (((4,), (3,)), lead), precision="highest")


def fuses(n):
    """Whether sums of n numbers are written out, which compilers for accelerators fuse."""
    return n <= LARGEST_FUSED and jax.default_backend() != "cpu"


def transposed(matrix):
    """Rows for columns."""
    return jnp.swapaxes(matrix, -1, -2)


def inverse_root(S, eps):
    """``(S + eps I)^(-1/2)`` for symmetric positive semidefinite S ``(..., n, n)``.

    Closed forms for n = 1 and 2, principal axes from n = 3 on. Finite with all its derivatives,
    also at zero and at equal eigenvalues. However small entries are, they are as accurate as those
    of S, if its rows and columns can be scaled to a well-conditioned matrix.
    """
    n = S.shape[-1]
    if n == 1:
        return 1.0 / jnp.sqrt(S + eps)
    if n == 2:
        root = jax.custom_jvp(lambda S: root_of_two(S, eps))
        root.defjvp(lambda primals, tangents: slope_of_two(root, *primals, *tangents))
        return root(S)
    root = jax.custom_jvp(lambda S: eigen(S, eps))
    root.defjvp(lambda primals, tangents: slope(root, *primals, *tangents))
    return root(S)[0]


def root_of_two(S, eps):
    """`inverse_root` of ``(..., 2, 2)``: with ``s^2 = det A``, ``(adj A + s I) / (s t)``.

    Of slices that broadcast: entries that are cut out and stacked again take a kernel each.
    """
    eye, signs = np.eye(2, dtype=S.dtype), np.array([[1, -1], [-1, 1]], S.dtype)
    # Of A / size, whose trace is two: no product over- or underflows.
    size = 0.5 * trace_of_two(S) + eps
    small, shift = S / size, eps / size
    det = jnp.maximum(det_of_two(small), 0.0)  # below 0 by rounding if of rank one
    s = jnp.sqrt(det + shift * (2.0 - shift))
    adjugate = jnp.flip(small, (-2, -1)) * signs
    return (adjugate + (s + shift) * eye) / (s * jnp.sqrt(2.0 * (1.0 + s) * size))


def slope_of_two(root, S, E):
    """What `root_of_two` gives at S and its derivative ``-W (W E W + det(W) E) W / (2 tr W)``.

    It solves ``W dW + dW W = -W^2 E W^2``, for any two by two matrices. No term takes digits from
    another, however different the entries of W are.
    """
    W = root(S)
    E = 0.5 * (E + transposed(E))
    inner = between(W, E, W) + det_of_two(W) * E
    return W, between(W, inner, W) / (-2.0 * trace_of_two(W))


def det_of_two(A):
    """Determinants of ``(..., 2, 2)``, as matrices ``(..., 1, 1)``."""
    a, b, c, d = (entry(A, i, j) for i in range(2) for j in range(2))
    return a * d - b * c


def trace_of_two(A):
    """Traces of ``(..., 2, 2)``, as matrices ``(..., 1, 1)``."""
    return entry(A, 0, 0) + entry(A, 1, 1)


def entry(A, i, j):
    """An entry of matrices, as matrices ``(..., 1, 1)``."""
    return A[..., i : i + 1, j : j + 1]


def small_product(A, B):
    """A product of small matrices."""
    n = A.shape[-1]
    if fuses(n):
        # Slices that broadcast: compilers fuse them with what comes before and after.
        return sum(A[..., :, k : k + 1] * B[..., k : k + 1, :] for k in range(n))
    return jnp.matmul(A, B, precision="highest")


def diagonal(A):
    """The diagonals of matrices, ``(..., n)``."""
    n = A.shape[-1]
    flat = A.reshape(*A.shape[:-2], n * n)
    return jax.lax.slice_in_dim(flat, 0, n * n, n + 1, axis=-1)


def eigen(S, eps):
    """``(S + eps I)^(-1/2)``, its eigenvalues ``(..., n)`` and eigenvectors, by columns."""
    # Convergence is quadratic at the end: double precision takes two sweeps more.
    values, vectors = principal_axes(S, 4 if S.dtype == jnp.float32 else 6)
    values = 1.0 / jnp.sqrt(jnp.maximum(values, 0.0) + eps)
    root = small_product(vectors * values[..., None, :], transposed(vectors))
    return root, values, vectors


def slope(root, S, E):
    """What `eigen` gives at S and its derivative in the direction E; eigenvectors as constants."""
    W, d, vectors = root(S)
    # The solution depends on S through the equation.
    back, d = transposed(vectors), jax.lax.stop_gradient(d)
    sums = d[..., :, None] + d[..., None, :]
    squared = small_product(W, W)
    E = -0.5 * (E + transposed(E))
    tangent = jax.lax.custom_linear_solve(
        lambda X: small_product(X, W) + small_product(W, X),
        between(squared, E, squared),
        lambda _, B: between(vectors, between(back, B, vectors) / sums, back),
        symmetric=True,
    )
    return (W, d, vectors), (tangent, jnp.zeros_like(d), jnp.zeros_like(vectors))


def between(A, B, C):
    """The product of three small matrices."""
    return small_product(small_product(A, B), C)


def principal_axes(S, sweeps):
    """Eigenvalues ``(..., n)`` and eigenvectors, by columns, of S ``(..., n, n)``; constants.

    By Jacobi's rotations, n / 2 disjoint ones at a time, the rows moved on like players of a
    tournament until all pairs have met. Other ways lose eigenvalues below the rounding of the
    largest one; these keep the accuracy of the entries (Demmel and Veselic 1992).

    Args:
        S: Symmetric.
        sweeps: How often all pairs of up to four rows meet; those of more meet once more.
    """
    S = jax.lax.stop_gradient(S)
    n = S.shape[-1]
    if n == 2:
        return axes_of_two(S)
    sweeps = sweeps + (n > 4)
    size = n + n % 2
    if size > n:
        S = jnp.pad(S, [(0, 0)] * (S.ndim - 2) + [(0, size - n)] * 2)
    # Zeros like S are spread over devices as S is, which a loop asks of what it carries.
    axes = jnp.zeros_like(S) + jnp.broadcast_to(jnp.eye(size, dtype=S.dtype), S.shape)
    if size == 4 and fuses(n):
        for flips in sweeps * FLIPS:  # rounds of a loop would copy what they carry
            S, axes = meeting_of_four(flips, S, axes)
    else:
        rounds = sweeps * (size - 1)
        S, axes = jax.lax.fori_loop(0, rounds, lambda _, pair: meeting(*pair), (S, axes))
    return diagonal(S)[..., :n], axes[..., :n, :n]


def axes_of_two(S):
    """`principal_axes` of ``(..., 2, 2)``, by the one rotation that there is."""
    a, b, d = S[..., 0, 0], S[..., 0, 1], S[..., 1, 1]
    t, c = angle(0.5 * (d - a), b)
    c, s = c[..., None, None], (t * c)[..., None, None]
    axes = c * np.eye(2, dtype=S.dtype) + s * np.array([[0, 1], [-1, 0]], S.dtype)
    return jnp.stack([a - t * b, d + t * b], axis=-1), axes


def angle(gap, b):
    """Tangent and cosine of the turn that takes b to zero; gap is half of what it lies between."""
    t = b / jnp.where(b == 0, 1.0, gap + jnp.where(gap < 0, -1.0, 1.0) * jnp.hypot(gap, b))
    return t, 1.0 / jnp.sqrt(1.0 + t * t)


def meeting(S, axes):
    """One round of `principal_axes`: every row and its opposite number are turned apart."""
    half = S.shape[-1] // 2
    variances, b = diagonal(S), diagonal(S[..., :half, half:])
    gap = 0.5 * (variances[..., half:] - variances[..., :half])
    t, c = angle(gap, b)
    c, s = c[..., None, :], (t * c)[..., None, :]
    S = turned_apart(jnp.swapaxes(turned_apart(S, c, s), -1, -2), c, s)
    return S, turned_apart(axes, c, s)


def turned_apart(A, c, s):
    """Columns turned with their opposite numbers, and moved on by a seat."""
    size = A.shape[-1]
    half = size // 2
    left, right = A[..., :half], A[..., half:]
    A = jnp.concatenate([c * left - s * right, s * left + c * right], axis=-1)
    seats = [0, half, *range(1, half - 1), *range(half + 1, size), half - 1]
    return jnp.stack([A[..., i] for i in seats], axis=-1)


def meeting_of_four(flips, S, axes):
    """`meeting` of rows with those where a flip takes them: nothing is cut up, so few kernels."""
    partner = np.flip(np.arange(4).reshape(2, 2), flips).reshape(-1)
    side = np.sign(partner - np.arange(4)).astype(S.dtype)
    variances, b = diagonal(S), diagonal(flipped(S, flips))
    # The same numbers for both of a pair, to the last digit: else they are not turned, but bent.
    b = 0.5 * (b + flipped(b, flips))
    gap = 0.5 * side * (flipped(variances, flips) - variances)
    t, c = angle(gap, b)
    s = side * t * c
    S = moved_apart(jnp.swapaxes(moved_apart(S, c, s, flips), -1, -2), c, s, flips)
    return S, moved_apart(axes, c, s, flips)


def moved_apart(A, c, s, flips):
    """Columns turned with their partners."""
    return c[..., None, :] * A - s[..., None, :] * flipped(A, flips)


def flipped(A, flips):
    """The last axis, of four, as two by two with some axes reversed."""
    return jnp.flip(A.reshape(*A.shape[:-1], 2, 2), flips).reshape(A.shape)
