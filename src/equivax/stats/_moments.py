"""Mean and covariance of an invariant distribution, from samples.

If the distribution of X is invariant, E X is invariant and Cov(Y, X) commutes with the group. The
maximum-likelihood estimates are those of the sample augmented by the whole group. Only the
trivial coordinates lose a degree of freedom to the mean: the mean of all others is known
to be 0, so they are divided by N, and dividing them by N - 1 would bias them.

A field type in the place of a representation, such as one on `spaces.on_r1`, takes ``(N, ..., c,
*spatial)``: every time, or point, is a sample.
"""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Shaped

from .._arguments import arrays, flag, integers
from ..hom import (
    HIGHEST,
    HomBasis,
    hom_basis,
    invariant_vector,
    is_concrete,
    scatter_copies,
    to_irreps,
    trivial_count,
    widened,
)
from ..representations import Representation, as_representation, check_same_group, trivial

#: Two numbers of so many bits have a product that float32 holds.
HALF_BITS = 12

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
    type_, rep = rep, as_representation(rep, "rep")
    samples = _samples("x", x, type_, axis)
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
    xs, ys = _samples("x", x, in_rep, axis), _samples("y", y, out_rep, axis)
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
    if centered:
        x, y = _about_zero(basis.in_rep, x, share), _about_zero(basis.out_rep, y, share)
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
    type_, rep = rep, as_representation(rep, "rep")
    _check_estimator("var_mean", estimator)
    samples = _samples("x", x, type_, axis)
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
    type_, rep = rep, as_representation(rep, "rep")
    _check_estimator("spectral_var", estimator)
    samples = _samples("x", x, type_, axis)
    share = _normalised(weights, samples)
    identity = rep.group.irrep_data(trivial(rep.group).irreps[0]).name
    values = {}
    for name, copies in to_irreps(rep, _about_zero(rep, samples, share)).items():
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


def _about_zero(rep: Representation, samples: Array, share: Array) -> Array:
    """Samples less an invariant vector near their mean, without a rounding of that size.

    In coordinates of irreps a mean of 1e5 deviations would leave its rounding in all of them. The
    product of two numbers of half the bits is exact, and so is the difference of numbers that are
    nearly equal. What a vector of half the bits lacks of an invariant one is small, and added.
    """
    identity, pieces, start = trivial(rep.group).irreps[0], [], 0
    for summand, count in rep.data:
        stop = start + summand.size * count
        fields = samples[..., start:stop].reshape(*samples.shape[:-1], count, summand.size)
        columns = summand.change_of_basis[:, summand.columns_of(identity).reshape(-1)]
        mean = jnp.tensordot(share, jax.lax.stop_gradient(fields), 1, precision=HIGHEST)
        places = jnp.matmul(mean, columns.astype(mean.dtype), precision=HIGHEST)
        places = jax.lax.reduce_precision(places, jnp.finfo(mean.dtype).nexp, HALF_BITS - 1)
        fraction, exponent = np.frexp(columns)
        short = np.ldexp(np.round(np.ldexp(fraction, HALF_BITS)), exponent - HALF_BITS)
        for i in range(short.shape[1]):
            fields = fields - places[..., i, None] * short[:, i].astype(mean.dtype)
        lacking = (short - columns @ (columns.T @ short)).T.astype(mean.dtype)
        fields = fields + jnp.matmul(places, lacking, precision=HIGHEST)
        pieces.append(fields.reshape(*samples.shape[:-1], stop - start))
        start = stop
    return jnp.concatenate(pieces, axis=-1)


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


def _samples(name: str, x: object, type_: object, axis: int | tuple[int, ...]) -> Array:
    """Samples on one leading axis, in at least float32; of fields every point is a sample."""
    x = arrays.array(x, "stats", name)
    rep = as_representation(type_, "rep")
    space = getattr(type_, "space", None)
    dim = 0 if space is None else space.dim
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"{name}: expected floating numbers, got dtype {x.dtype}")
    if x.ndim < 2 + dim or x.shape[-1 - dim] != rep.size:
        expected = ", ".join(["N", "...", str(rep.size), *["_"] * dim])
        raise ValueError(f"{name}: expected ({expected}) for {type_!r}, got {x.shape}")
    channels = x.ndim - 1 - dim
    axes = integers(axis, "stats", "axis")
    axes = tuple(a % x.ndim if -x.ndim <= a < x.ndim else channels for a in axes)
    if not axes or max(axes) >= channels or len(set(axes)) != len(axes):
        last = (
            "last (the channels)" if dim == 0 else f"last {1 + dim} (the channels and the points)"
        )
        raise ValueError(
            f"axis: expected distinct sample axes of an array of {x.ndim} axes, not its {last}, "
            f"got {axis}"
        )
    x = jnp.moveaxis(x, channels, -1)
    axes += tuple(range(channels, x.ndim - 1))
    x = jnp.moveaxis(x, axes, range(len(axes)))
    x = x.reshape(-1, *x.shape[len(axes) :])
    if x.shape[0] == 0:
        raise ValueError(f"{name}: expected at least one sample, got none")
    return widened(x)
