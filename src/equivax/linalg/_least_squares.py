"""Least squares over the maps that commute with the group: the true constrained optimum.

In the coordinates of irreps the problem splits. With ``F[(n, a), (i, s)] = (Psi_s xh_n[i])_a`` and
``T[(n, a), o] = (yh_n[o])_a`` an ordinary least-squares problem with ``N d`` rows, ``S m_in``
columns and ``m_out`` right-hand sides gives the coefficients of one irrep. It equals plain
least squares on the data augmented by the whole group.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Shaped

from ..hom import HIGHEST, HomBasis, hom_basis, is_concrete, to_irreps
from ..representations import as_representation, check_same_group

SOLVERS = ("svd", "normal")


def lstsq(
    x: Shaped[ArrayLike, "..."],
    y: Shaped[ArrayLike, "..."],
    in_rep: Any,
    out_rep: Any,
    *,
    ridge: float = 0.0,
    weights: Shaped[ArrayLike, "..."] | None = None,
    rcond: float | None = None,
    solver: str | None = None,
) -> Float[Array, "*batch out in"]:
    """``argmin over A in Hom_G of sum_n w_n |y_n - A x_n|^2 + ridge |A|_F^2``.

    Where the minimiser is not unique, the one of least Frobenius norm.

    Args:
        x: Inputs ``(..., N, n_in)``, samples in rows, leading batch axes allowed.
        y: Outputs ``(..., N, n_out)``.
        in_rep: Representation of the inputs.
        out_rep: Representation of the outputs, of the same group.
        ridge: Penalty on the squared Frobenius norm, not negative.
        weights: Sample weights ``(..., N)``, not negative.
        rcond: Singular values below ``rcond`` times the largest count as zero, per irrep; default
            machine epsilon times the larger side of the problem.
        solver: ``"svd"`` (accurate; default without ridge) or ``"normal"`` (from second moments;
            default with ridge, differentiable everywhere).

    Returns:
        ``(..., n_out, n_in)``, an element of Hom_G.

    Raises:
        ValueError: If shapes, groups, ``ridge``, ``weights`` or ``solver`` do not fit, or N is 0.
        TypeError: If an argument is no representation.
    """
    source, target = as_representation(in_rep, "in_rep"), as_representation(out_rep, "out_rep")
    check_same_group("lstsq", source, target)
    x, y = _samples("x", x, source.size), _samples("y", y, target.size)
    if x.shape[-2] != y.shape[-2]:
        raise ValueError(
            f"lstsq: x and y: expected the same number of samples, got {x.shape[-2]} and "
            f"{y.shape[-2]}"
        )
    if x.shape[-2] == 0:
        raise ValueError("lstsq: x: expected at least one sample, got none")
    dtype = jnp.result_type(x.dtype, y.dtype)
    x, y = x.astype(dtype), y.astype(dtype)
    if is_concrete(ridge) and not ridge >= 0:
        raise ValueError(f"lstsq: ridge: expected a number >= 0, got {ridge}")
    has_ridge = not is_concrete(ridge) or ridge > 0
    if solver is None:
        solver = "normal" if has_ridge else "svd"
    if solver not in SOLVERS or (solver == "svd" and has_ridge):
        raise ValueError(
            f"lstsq: solver: expected 'svd' (without ridge) or 'normal', got {solver!r} with "
            f"ridge {ridge}"
        )
    root = _root_weights(weights, x, dtype)
    basis = hom_basis(source, target)
    leading = np.broadcast_shapes(
        x.shape[:-2], y.shape[:-2], () if root is None else root.shape[:-1]
    )
    if not basis.blocks:
        return jnp.zeros((*leading, target.size, source.size), dtype)
    coeffs = _solve_blocks(basis, x, y, root, leading, ridge, rcond, solver)
    return basis.synthesize(coeffs)


def _solve_blocks(
    basis: HomBasis,
    x: Array,
    y: Array,
    root: Array | None,
    leading: tuple[int, ...],
    ridge: Any,
    rcond: float | None,
    solver: str,
) -> dict[str, Array]:
    xh, yh = to_irreps(basis.in_rep, x), to_irreps(basis.out_rep, y)
    count = x.shape[-2]
    coeffs = {}
    for block in basis.blocks:
        psi = basis.in_rep.group.irrep_data(block.id).endomorphism_basis.astype(x.dtype)
        features = jnp.einsum("sab,...nib->...nais", psi, xh[block.name], precision=HIGHEST)
        targets = jnp.moveaxis(yh[block.name], -1, -2)  # (..., n, a, o)
        if root is not None:
            features = features * root[..., None, None, None]
            targets = targets * root[..., None, None]
        rows, columns = count * block.size, block.in_multiplicity * block.endomorphism_dimension
        features = jnp.broadcast_to(features, leading + features.shape[-4:])
        targets = jnp.broadcast_to(targets, leading + targets.shape[-3:])
        features = features.reshape(*leading, rows, columns)
        targets = targets.reshape(*leading, rows, block.out_multiplicity)
        if solver == "svd":
            theta = _least_norm(features, targets, rcond)
        else:
            theta = _normal_equations(features, targets, ridge * block.size, rcond)
        theta = jnp.swapaxes(theta, -1, -2)
        coeffs[block.name] = theta.reshape(leading + block.shape)
    return coeffs


def _least_norm(
    features: Float[Array, "*batch rows columns"],
    targets: Float[Array, "*batch rows out"],
    rcond: float | None,
) -> Float[Array, "*batch columns out"]:
    """Least squares of least norm: by the Gram matrix where that is safe, else by QR and SVD."""
    rows, columns = features.shape[-2:]
    if rcond is None:
        rcond = float(jnp.finfo(features.dtype).eps) * max(rows, columns)
    if rows < 2 * columns:
        return _by_svd(features, targets, rcond)
    transposed = jnp.swapaxes(features, -1, -2)
    factor = jnp.linalg.cholesky(jnp.matmul(transposed, features, precision=HIGHEST))
    diagonal = jnp.abs(jnp.diagonal(factor, axis1=-2, axis2=-1))
    # The diagonal bounds the condition number from below; a NaN factor compares as unsafe.
    safe = jnp.all(
        diagonal.min(-1) > float(jnp.finfo(features.dtype).eps) ** 0.25 * diagonal.max(-1)
    )
    return jax.lax.cond(
        safe,
        lambda f, t: _corrected_seminormal(f, t, factor),
        lambda f, t: _by_svd(f, t, rcond),
        features,
        targets,
    )


def _corrected_seminormal(features: Array, targets: Array, factor: Array) -> Array:
    """Normal equations and one step of refinement, as accurate as QR for moderate conditioning.

    Bjorck, *Numerical methods for least squares problems*, section 6.6.5. Only matrix products have
    the length of the data, so it is several times faster than an orthogonal factorisation.
    """
    transposed = jnp.swapaxes(features, -1, -2)

    def solve(right: Array) -> Array:
        moved = jnp.matmul(transposed, right, precision=HIGHEST)
        return _cholesky_solve(factor, moved)

    theta = solve(targets)
    residual = targets - jnp.matmul(features, theta, precision=HIGHEST)
    return theta + solve(residual)


def _cholesky_solve(factor: Array, right: Array) -> Array:
    half = jax.scipy.linalg.solve_triangular(factor, right, lower=True)
    return jax.scipy.linalg.solve_triangular(factor, half, lower=True, trans=1)


def _by_svd(features: Array, targets: Array, rcond: float) -> Array:
    """QR first, so that the SVD is of a small square matrix."""
    if features.shape[-2] > features.shape[-1]:
        q, features = jnp.linalg.qr(features)
        targets = jnp.matmul(jnp.swapaxes(q, -1, -2), targets, precision=HIGHEST)
    left, values, right = jnp.linalg.svd(features, full_matrices=False)
    keep = values > rcond * values[..., :1]
    inverse = jnp.where(keep, 1 / jnp.where(keep, values, 1.0), 0.0)
    moved = jnp.matmul(jnp.swapaxes(left, -1, -2), targets, precision=HIGHEST)
    scaled = inverse[..., :, None] * moved
    return jnp.matmul(jnp.swapaxes(right, -1, -2), scaled, precision=HIGHEST)


def _normal_equations(
    features: Float[Array, "*batch rows columns"],
    targets: Float[Array, "*batch rows out"],
    ridge: Any,
    rcond: float | None,
) -> Float[Array, "*batch columns out"]:
    """``(F^T F + ridge I)^+ F^T T``; with a positive ridge by Cholesky."""
    transposed = jnp.swapaxes(features, -1, -2)
    gram = jnp.matmul(transposed, features, precision=HIGHEST)
    moved = jnp.matmul(transposed, targets, precision=HIGHEST)
    if is_concrete(ridge) and ridge == 0:
        columns = gram.shape[-1]
        if rcond is None:
            rcond = float(jnp.finfo(gram.dtype).eps) * max(features.shape[-2:])
        # A null space is exact up to rounding of the Gram matrix, not of its root.
        inverse = jnp.linalg.pinv(gram, rtol=rcond, hermitian=True)
        return jnp.matmul(inverse, moved, precision=HIGHEST).reshape(*moved.shape[:-2], columns, -1)
    shifted = gram + ridge * jnp.eye(gram.shape[-1], dtype=gram.dtype)
    return _cholesky_solve(jnp.linalg.cholesky(shifted), moved)


def _samples(name: str, value: Any, size: int) -> Array:
    value = jnp.asarray(value)
    if not jnp.issubdtype(value.dtype, jnp.floating):
        raise TypeError(f"lstsq: {name}: expected floating numbers, got dtype {value.dtype}")
    if value.ndim < 2 or value.shape[-1] != size:
        raise ValueError(f"lstsq: {name}: expected (..., N, {size}), got {value.shape}")
    if value.dtype.itemsize < 4:
        return value.astype(jnp.float32)
    return value


def _root_weights(weights: Any, x: Array, dtype: Any) -> Array | None:
    if weights is None:
        return None
    weights = jnp.asarray(weights, dtype)
    if weights.ndim == 0 or weights.shape[-1] != x.shape[-2]:
        raise ValueError(
            f"lstsq: weights: expected one per sample (..., {x.shape[-2]}), got {weights.shape}"
        )
    if is_concrete(weights) and not bool((weights >= 0).all()):
        raise ValueError(f"lstsq: weights: expected numbers >= 0, got {float(weights.min())}")
    return jnp.sqrt(weights)


def project(
    matrix: Shaped[ArrayLike, "..."], in_rep: Any, out_rep: Any
) -> Float[Array, "*batch out in"]:
    """Orthogonal projection of a matrix on the commuting maps, ``mean_g rho_out W rho_in^T``.

    Args:
        matrix: ``(..., n_out, n_in)``.
        in_rep: Representation of the input.
        out_rep: Representation of the output, of the same group.

    Returns:
        ``(..., n_out, n_in)``.

    Raises:
        ValueError: If shapes or groups do not fit.
    """
    return hom_basis(in_rep, out_rep).project(jnp.asarray(matrix))


def orbit_average(function: Any, in_rep: Any, out_rep: Any) -> Any:
    """The equivariant part of any function: ``x -> mean_g rho_out(g)^-1 f(rho_in(g) x)``.

    A tool for tests: it calls ``f`` once on all transformed copies of the batch.

    Args:
        function: Takes ``(batch, n_in)``, returns ``(batch, n_out)``.
        in_rep: Representation of a finite group.
        out_rep: Likewise.

    Returns:
        A function of ``(..., n_in)``.

    Raises:
        ValueError: If the group is infinite or the groups differ.
    """
    source, target = as_representation(in_rep, "in_rep"), as_representation(out_rep, "out_rep")
    check_same_group("orbit_average", source, target)
    if source.group.order is None:
        raise ValueError(
            f"orbit_average: {source.group.name} is infinite, so its elements cannot be listed"
        )
    before, after = source.matrices, target.matrices

    def average(x: Any) -> Array:
        x = jnp.asarray(x)
        moved = jnp.einsum("gij,...j->g...i", before.astype(x.dtype), x, precision=HIGHEST)
        values = function(moved.reshape(-1, source.size))
        values = values.reshape(len(before), *x.shape[:-1], target.size)
        back = after.astype(values.dtype) / math.prod(values.shape[:1])
        return jnp.einsum("gji,g...j->...i", back, values, precision=HIGHEST)

    return average
