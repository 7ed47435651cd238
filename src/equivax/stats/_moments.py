"""Mean and covariance of an invariant distribution, from samples.

If the distribution of X is invariant, E X is invariant and Cov(Y, X) commutes with the group. The
maximum-likelihood estimates are those of the sample augmented by the whole group. Only the
trivial coordinates lose a degree of freedom to the mean: the mean of all others is known
to be 0, so they are divided by N, and dividing them by N - 1 would bias them.
"""

from __future__ import annotations

import warnings

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Shaped

from .._arguments import arrays, flag, integers
from ..hom import (
    HIGHEST,
    HomBasis,
    at_least_float32,
    hom_basis,
    invariant_vector,
    is_concrete,
    scatter_copies,
    to_irreps,
    trivial_count,
)
from ..representations import Representation, as_representation, check_same_group, trivial

ESTIMATORS = ("unbiased", "ml")


def mean(
    x: Shaped[ArrayLike, "..."],
    rep: object,
    *,
    axis: int | tuple[int, ...] = 0,
    weights: Shaped[ArrayLike, " N"] | None = None,
) -> Float[Array, "*rest n"]:
    """``P xbar``: the invariant part of the sample mean.

    Args:
        x: ``(N, n)``, or more sample axes, see ``axis``.
        rep: Representation that acts on the last axis.
        axis: The sample axes; the last axis is never one.
        weights: Sample weights ``(N,)``.

    Returns:
        The sample axes removed, ``(..., n)``, invariant.

    Raises:
        ValueError: If a shape, an axis or a weight does not fit.
    """
    rep = as_representation(rep, "rep")
    samples = _samples("x", x, rep, axis)
    return _invariant_mean(samples, rep, _normalised(weights, samples))


def cov(
    x: Shaped[ArrayLike, "..."],
    y: Shaped[ArrayLike, "..."],
    in_rep: object,
    out_rep: object,
    *,
    estimator: str = "unbiased",
    centered: bool = True,
    axis: int | tuple[int, ...] = 0,
    weights: Shaped[ArrayLike, " N"] | None = None,
) -> Float[Array, "*rest out in"]:
    """``Cov(Y, X)`` of a jointly invariant distribution, an element of Hom_G(in, out).

    Args:
        x: ``(N, n_in)``.
        y: ``(N, n_out)``.
        in_rep: Representation of ``x``.
        out_rep: Representation of ``y``, of the same group.
        estimator: ``"unbiased"`` divides by ``N - 1`` on the trivial block and by ``N``
            elsewhere; ``"ml"`` by ``N``.
        centered: Whether to subtract the invariant means; else ``Pi(sum y x^T / N)``.
        axis: The sample axes.
        weights: Sample weights ``(N,)``; "unbiased" then divides the trivial block by
            ``1 - sum w^2`` of the normalised weights.

    Returns:
        ``(..., n_out, n_in)``.

    Raises:
        ValueError: If shapes, groups or options do not fit.
    """
    source, target = as_representation(in_rep, "in_rep"), as_representation(out_rep, "out_rep")
    check_same_group("cov", source, target)
    _check_estimator("cov", estimator)
    centered = flag(centered, "cov", "centered")
    xs, ys = _samples("x", x, source, axis), _samples("y", y, target, axis)
    if xs.shape[:-1] != ys.shape[:-1]:
        raise ValueError(
            f"cov: x and y: expected the same samples, got shapes {jnp.shape(x)} and {jnp.shape(y)}"
        )
    share = _normalised(weights, xs)
    basis = hom_basis(source, target)
    if not basis.blocks:
        return jnp.zeros((*xs.shape[1:-1], target.size, source.size), xs.dtype)
    coeffs = moment_coefficients(basis, xs, ys, share, estimator=estimator, centered=centered)
    return basis.synthesize(coeffs)


def moment_coefficients(
    basis: HomBasis,
    x: Float[Array, "N *rest in"],
    y: Float[Array, "N *rest out"],
    share: Float[Array, " N"],
    *,
    estimator: str,
    centered: bool,
) -> dict[str, Array]:
    """Coefficients of the projected second moment, irrep by irrep.

    Args:
        basis: Where the covariance lives.
        x: Samples on the first axis.
        y: Likewise.
        share: Weights that sum to one.
        estimator: As in `cov`.
        centered: As in `cov`.

    Returns:
        Name to ``(*rest, m_out, m_in, S)``.
    """
    group = basis.in_rep.group
    xh, yh = to_irreps(basis.in_rep, x), to_irreps(basis.out_rep, y)
    identity = trivial(group).irreps[0]
    coeffs = {}
    for block in basis.blocks:
        psi = group.irrep_data(block.id).endomorphism_basis.astype(x.dtype)
        left, right = yh[block.name], xh[block.name]
        factor: object = 1.0
        if block.id == identity and centered:
            left = left - jnp.tensordot(share, left, 1, precision=HIGHEST)
            right = right - jnp.tensordot(share, right, 1, precision=HIGHEST)
            if estimator == "unbiased":
                factor = _bessel(share, x.shape[0])
        moment = jnp.einsum(
            "n,n...oa,sab,n...ib->...ois", share, left, psi, right, precision=HIGHEST
        )
        coeffs[block.name] = factor * moment / block.size
    return coeffs


def var_mean(
    x: Shaped[ArrayLike, "..."],
    rep: object,
    *,
    estimator: str = "unbiased",
    center: Shaped[ArrayLike, "..."] | None = None,
    axis: int | tuple[int, ...] = 0,
    weights: Shaped[ArrayLike, " N"] | None = None,
) -> tuple[Float[Array, "*rest n"], Float[Array, "*rest n"]]:
    """Variance of every channel and invariant mean.

    The variance is the diagonal of `cov` of ``x`` with itself, in the user's coordinates, computed
    field by field without the full matrix.

    Args:
        x: ``(N, n)``.
        rep: Representation that acts on the last axis.
        estimator: As in `cov`.
        center: The true mean ``(n,)``, if known; then every block is divided by ``N``.
        axis: The sample axes.
        weights: Sample weights ``(N,)``.

    Returns:
        ``(var, mean)``, each ``(..., n)``.

    Raises:
        ValueError: If a shape or an option does not fit.
    """
    rep = as_representation(rep, "rep")
    _check_estimator("var_mean", estimator)
    samples = _samples("x", x, rep, axis)
    share = _normalised(weights, samples)
    average = _invariant_mean(samples, rep, share)
    centered = center is None
    if not centered:
        center = real_entries(center, "center").astype(samples.dtype)
        if center.shape not in ((), (rep.size,)):
            raise ValueError(f"center: expected shape ({rep.size},), got {center.shape}")
        samples = samples - center
    pieces, start = [], 0
    for summand, count in rep.data:
        stop = start + summand.size * count
        fields = samples[..., start:stop].reshape(*samples.shape[:-1], count, summand.size)
        single = Representation(rep.group, [(summand, 1)])
        basis = hom_basis(single, single)
        coeffs = moment_coefficients(
            basis, fields, fields, share, estimator=estimator, centered=centered
        )
        flat = [coeffs[b.name].reshape(*fields.shape[1:-1], -1) for b in basis.blocks]
        diagonals = np.einsum("dii->di", basis.elements()).astype(samples.dtype)
        variance = jnp.matmul(jnp.concatenate(flat, axis=-1), diagonals, precision=HIGHEST)
        pieces.append(variance.reshape(*samples.shape[1:-1], stop - start))
        start = stop
    return jnp.concatenate(pieces, axis=-1), average


def spectral_var(
    x: Shaped[ArrayLike, "..."],
    rep: object,
    *,
    estimator: str = "unbiased",
    axis: int | tuple[int, ...] = 0,
    weights: Shaped[ArrayLike, " N"] | None = None,
) -> Float[Array, "*rest copies"]:
    """One variance per irrep copy: ``mean |xh_i - mean|^2 / d``.

    Args:
        x: ``(N, n)``.
        rep: Representation that acts on the last axis.
        estimator: As in `cov`.
        axis: The sample axes.
        weights: Sample weights ``(N,)``.

    Returns:
        ``(..., len(rep.irreps))`` in the order of ``rep.irreps``.

    Raises:
        ValueError: If a shape or an option does not fit.
    """
    rep = as_representation(rep, "rep")
    _check_estimator("spectral_var", estimator)
    samples = _samples("x", x, rep, axis)
    share = _normalised(weights, samples)
    identity = rep.group.irrep_data(trivial(rep.group).irreps[0]).name
    values = {}
    for name, copies in to_irreps(rep, samples).items():
        factor: object = 1.0
        if name == identity:
            copies = copies - jnp.tensordot(share, copies, 1, precision=HIGHEST)
            factor = _bessel(share, samples.shape[0]) if estimator == "unbiased" else 1.0
        squares = jnp.mean(copies * copies, axis=-1)
        values[name] = factor * jnp.tensordot(share, squares, 1, precision=HIGHEST)
    return scatter_copies(rep, values)


def _invariant_mean(samples: Array, rep: Representation, share: Array) -> Array:
    if trivial_count(rep) == 0:
        return jnp.zeros(samples.shape[1:], samples.dtype)
    identity = rep.group.irrep_data(trivial(rep.group).irreps[0]).name
    average = jnp.tensordot(share, samples, 1, precision=HIGHEST)
    return invariant_vector(rep, to_irreps(rep, average)[identity][..., 0])


def _bessel(share: Array, count: int) -> Array:
    """``N / (N - 1)`` for equal weights; NaN (with a warning) for one sample, as in NumPy."""
    if count == 1:
        warnings.warn(
            "one sample has no unbiased variance on invariant coordinates: NaN there",
            RuntimeWarning,
            stacklevel=3,
        )
        return jnp.asarray(jnp.nan, share.dtype)
    return 1 / (1 - jnp.sum(share * share))


def _normalised(weights: object, samples: Array) -> Array:
    count = samples.shape[0]
    if weights is None:
        return jnp.full((count,), 1 / count, samples.dtype)
    weights = real_entries(weights, "weights").astype(samples.dtype)
    if weights.shape != (count,):
        raise ValueError(f"weights: expected one per sample ({count},), got {weights.shape}")
    if is_concrete(weights) and not bool((weights >= 0).all() & (weights.sum() > 0)):
        raise ValueError("weights: expected numbers >= 0 that are not all 0")
    return weights / weights.sum()


def _check_estimator(caller: str, estimator: str) -> None:
    if not isinstance(estimator, str) or estimator not in ESTIMATORS:
        raise ValueError(
            f"{caller}: estimator: expected one of {', '.join(ESTIMATORS)}, got {estimator!r}"
        )


def real_entries(value: object, argument: str) -> Array:
    """Real numbers of any type.

    Raises:
        TypeError: If they are complex, or no numbers.
    """
    found = arrays.array(value, "stats", argument)
    if jnp.issubdtype(found.dtype, jnp.complexfloating):
        raise TypeError(f"stats: {argument}: expected real numbers, got dtype {found.dtype}")
    return found


def _samples(name: str, x: object, rep: Representation, axis: int | tuple[int, ...]) -> Array:
    """Samples on one leading axis, in at least float32."""
    x = arrays.array(x, "stats", name)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"{name}: expected floating numbers, got dtype {x.dtype}")
    if x.ndim < 2 or x.shape[-1] != rep.size:
        raise ValueError(f"{name}: expected (N, ..., {rep.size}) for {rep!r}, got {x.shape}")
    axes = integers(axis, "stats", "axis")
    axes = tuple(a % x.ndim if -x.ndim <= a < x.ndim else x.ndim - 1 for a in axes)
    if x.ndim - 1 in axes or len(set(axes)) != len(axes) or not axes:
        raise ValueError(
            f"axis: expected distinct sample axes of an array of {x.ndim} axes, not its last (the "
            f"channels), got {axis}"
        )
    x = jnp.moveaxis(x, axes, range(len(axes)))
    x = x.reshape(-1, *x.shape[len(axes) :])
    if x.shape[0] == 0:
        raise ValueError(f"{name}: expected at least one sample, got none")
    return x.astype(at_least_float32(x.dtype))
