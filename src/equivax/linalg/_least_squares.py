"""Least squares over the maps that commute with the group: the true constrained optimum.

It equals plain least squares on the data augmented by the whole group, and splits into one small
problem per irrep (`_blockwise`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Float, Shaped

from .._arguments import arrays, number
from .._arguments import function as read_function
from ..hom import HIGHEST, hom_basis, is_concrete, widened
from ..representations import as_representation, check_same_group
from ._blockwise import least_norm, normal_equations

SOLVERS = ("svd", "normal")


def lstsq(
    x: Shaped[ArrayLike, "..."],
    y: Shaped[ArrayLike, "..."],
    in_rep: object,
    out_rep: object,
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
    ridge, rcond = _number("ridge", ridge), None if rcond is None else _number("rcond", rcond)
    has_ridge = not is_concrete(ridge) or ridge > 0
    if solver is None:
        solver = "normal" if has_ridge else "svd"
    known = isinstance(solver, str) and solver in SOLVERS
    if not known or (solver == "svd" and has_ridge):
        raise ValueError(
            f"lstsq: solver: expected 'svd' (without ridge) or 'normal', got {solver!r} with "
            f"ridge {ridge}"
        )
    root = _root_weights(weights, x, dtype)
    basis = hom_basis(source, target)
    leading = jnp.broadcast_shapes(
        x.shape[:-2], y.shape[:-2], () if root is None else root.shape[:-1]
    )
    if not basis.blocks:
        return jnp.zeros((*leading, target.size, source.size), dtype)
    if root is not None:
        x, y = x * root[..., None], y * root[..., None]
    if solver == "svd":
        thetas = least_norm(basis, x, y, rcond)
    else:
        thetas = normal_equations(basis, x, y, ridge if has_ridge else None, rcond)
    coeffs = {}
    for block in basis.blocks:
        theta = jnp.swapaxes(thetas[block.name], -1, -2)
        coeffs[block.name] = jnp.broadcast_to(theta, leading + theta.shape[-2:]).reshape(
            leading + block.shape
        )
    return basis.synthesize(coeffs)


def _number(name: str, value: Any) -> Any:
    """A number that is not negative; a traced one may be differentiated by, so it passes."""
    if is_concrete(value) or not jnp.issubdtype(value.dtype, jnp.floating):
        return number(value.item() if _is_scalar(value) else value, "lstsq", name, 0)
    return value


def _is_scalar(value: object) -> bool:
    return isinstance(value, jax.Array | np.ndarray) and value.ndim == 0 and is_concrete(value)


def _samples(name: str, value: object, size: int) -> Array:
    value = arrays.array(value, "lstsq", name)
    if not jnp.issubdtype(value.dtype, jnp.floating):
        raise TypeError(f"lstsq: {name}: expected floating numbers, got dtype {value.dtype}")
    if value.ndim < 2 or value.shape[-1] != size:
        raise ValueError(f"lstsq: {name}: expected (..., N, {size}), got {value.shape}")
    return widened(value)


def _root_weights(weights: object, x: Array, dtype: DTypeLike) -> Array | None:
    if weights is None:
        return None
    weights = arrays.array(weights, "lstsq", "weights")
    if jnp.issubdtype(weights.dtype, jnp.complexfloating):
        raise TypeError(f"lstsq: weights: expected real numbers, got dtype {weights.dtype}")
    weights = weights.astype(dtype)
    if weights.ndim == 0 or weights.shape[-1] != x.shape[-2]:
        raise ValueError(
            f"lstsq: weights: expected one per sample (..., {x.shape[-2]}), got {weights.shape}"
        )
    if is_concrete(weights) and not bool((weights >= 0).all()):
        raise ValueError(f"lstsq: weights: expected numbers >= 0, got {float(weights.min())}")
    return jnp.sqrt(weights)


def project(
    matrix: Shaped[ArrayLike, "..."], in_rep: object, out_rep: object
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
    return hom_basis(in_rep, out_rep).project(matrix)


def orbit_average(function: Callable[[Array], Array], in_rep: object, out_rep: object) -> Any:
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
    read_function(function, "orbit_average", "function", "a layer")
    if source.group.order is None:
        raise ValueError(
            f"orbit_average: {source.group.name} is infinite, so its elements cannot be listed"
        )
    before, after = source.matrices, target.matrices

    def average(x: object) -> Array:
        x = jnp.asarray(x)
        wide = widened(x)
        moved = jnp.einsum("gij,...j->g...i", before.astype(wide.dtype), wide, precision=HIGHEST)
        values = function(moved.reshape(-1, source.size).astype(x.dtype))
        dtype = values.dtype
        values = widened(values).reshape(len(before), *x.shape[:-1], target.size)
        back = after.astype(values.dtype) / math.prod(values.shape[:1])
        return jnp.einsum("gji,g...j->...i", back, values, precision=HIGHEST).astype(dtype)

    return average
