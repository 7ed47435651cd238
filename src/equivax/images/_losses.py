"""How far predicted tensor images are from true ones: one number per example, then their mean.

Types are matched by name. Every loss is built from two sums of squares, over the components of a
tensor and over pixels, so it does not change when data and frame turn together. Differences are
summed at least in float32.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._arguments import flag, integer, number, refuse, shown, type_of
from ..hom import at_least_float32
from ._agreement import matched
from ._multi_image import MultiImage
from ._tensors import norm_over

REDUCTIONS = ("mean", None)
STEP_REDUCTIONS = ("mean", "max", None)


def smse(
    predicted: MultiImage, true: MultiImage, *, reduce: str | None = "mean"
) -> Float[Array, "..."]:
    """Mean over pixels of ``|a - b|^2``, summed over all fields and components.

    Args:
        predicted: ``a``, with any batch axes.
        true: ``b``, of the same types in any order.
        reduce: ``"mean"`` over the batch, or None for one number per example.

    Returns:
        A number, or an array of the batch shape.

    Raises:
        ValueError: If the images do not fit together, or ``reduce`` is unknown.
    """
    a, b = _pair("smse", predicted, true, reduce, REDUCTIONS)
    return _reduced(_pixel_means(a, b, predicted.D).sum(axis=-1), reduce)


def timestep_smse(
    predicted: MultiImage, true: MultiImage, steps: int, *, reduce: str | None = "mean"
) -> Float[Array, "... T"]:
    """`smse` of every time step of images whose channels are ``(fields, T)``.

    Args:
        predicted: Images with T steps in the channels of every type, T fastest.
        true: Likewise.
        steps: T.
        reduce: ``"mean"`` over the batch, ``"max"`` for the example of the largest total, or None.

    Returns:
        ``(T,)``, or ``(..., T)`` for no reduction.

    Raises:
        ValueError: If the images do not fit together, T does not divide the channels of a type, or
            ``reduce`` is unknown.
    """
    a, b = _pair("timestep_smse", predicted, true, reduce, STEP_REDUCTIONS)
    steps = integer(steps, "timestep_smse", "steps", 1)
    if any(n % steps for _, n in predicted.signature):
        raise ValueError(
            "timestep_smse: steps: expected a divisor of the channels of "
            f"{predicted.signature!r}, got {steps}"
        )
    means, total = _pixel_means(a, b, predicted.D), jnp.zeros((), a.dtype)
    for (flags, _), place in predicted.signature.slices(predicted.D).items():
        part = means[..., place]
        fields = part.reshape(*part.shape[:-1], -1, steps, predicted.D ** len(flags))
        total = total + fields.sum(axis=(-3, -1))
    if reduce == "max":
        rows = total.reshape(-1, steps)
        return rows[jnp.argmax(rows.sum(axis=-1))]
    return total.mean(axis=tuple(range(total.ndim - 1))) if reduce == "mean" else total


def nrmse(
    predicted: MultiImage,
    true: MultiImage,
    *,
    reduce: str | None = "mean",
    eps: float = 1e-12,
    percent: bool = False,
) -> Float[Array, "..."]:
    """Mean over all fields of ``|a - b| / (|b| + eps)``, norms over pixels and components.

    Args:
        predicted: ``a``, with any batch axes.
        true: ``b``, of the same types in any order.
        reduce: ``"mean"`` over the batch, or None for one number per example.
        eps: Keeps the quotient finite where a field is zero.
        percent: Times 100.

    Returns:
        A number, or an array of the batch shape.

    Raises:
        ValueError: If the images do not fit together, or ``reduce`` is unknown.
    """
    a, b = _pair("nrmse", predicted, true, reduce, REDUCTIONS)
    eps, percent = number(eps, "nrmse", "eps", 0), flag(percent, "nrmse", "percent")
    ratios = []
    for difference, target in _fields(predicted, a - b, b):
        error, size = (norm_over(v, (-2, -1)) for v in (difference, target))
        ratios.append(error / (size + eps))
    each = jnp.concatenate(ratios, axis=-1).mean(axis=-1)
    return _reduced(100 * each if percent else each, reduce)


def nrmse_per_pixel(
    predicted: MultiImage,
    true: MultiImage,
    *,
    reduce: str | None = "mean",
    eps: float = 1e-12,
    percent: bool = False,
) -> Float[Array, "..."]:
    """Mean over fields and pixels of ``|a - b| / (|b| + eps)``, norms of single tensors.

    Args:
        predicted: ``a``, with any batch axes.
        true: ``b``, of the same types in any order.
        reduce: ``"mean"`` over the batch, or None for one number per example.
        eps: Keeps the quotient finite where a tensor is zero.
        percent: Times 100.

    Returns:
        A number, or an array of the batch shape.

    Raises:
        ValueError: If the images do not fit together, or ``reduce`` is unknown.
    """
    name = "nrmse_per_pixel"
    a, b = _pair(name, predicted, true, reduce, REDUCTIONS)
    eps, percent = number(eps, name, "eps", 0), flag(percent, name, "percent")
    ratios = []
    for difference, target in _fields(predicted, a - b, b):
        error, size = (norm_over(v, (-2,)) for v in (difference, target))
        ratios.append(error / (size + eps))
    each = jnp.concatenate(ratios, axis=-2).mean(axis=(-2, -1))
    return _reduced(100 * each if percent else each, reduce)


def normalized_smse(
    predicted: MultiImage,
    true: MultiImage,
    *,
    reduce: str | None = "mean",
    eps: float = 1e-5,
) -> Float[Array, "..."]:
    """Sum over fields of the mean over pixels of ``|a - b|^2 / (|b|^2 + eps)``.

    Args:
        predicted: ``a``, with any batch axes.
        true: ``b``, of the same types in any order.
        reduce: ``"mean"`` over the batch, or None for one number per example.
        eps: Keeps the quotient finite where a tensor is zero.

    Returns:
        A number, or an array of the batch shape.

    Raises:
        ValueError: If the images do not fit together, or ``reduce`` is unknown.
    """
    a, b = _pair("normalized_smse", predicted, true, reduce, REDUCTIONS)
    eps = number(eps, "normalized_smse", "eps", 0)
    total = jnp.zeros((), a.dtype)
    for difference, target in _fields(predicted, a - b, b):
        error, size = (jnp.sum(v**2, axis=-2) for v in (difference, target))
        total = total + (error / (size + eps)).mean(axis=-1).sum(axis=-1)
    return _reduced(total, reduce)


def _pair(
    caller: str,
    predicted: MultiImage,
    true: MultiImage,
    reduce: str | None,
    takes: tuple[str | None, ...],
) -> tuple[Array, Array]:
    """Dense arrays with the channels of the prediction.

    Raises:
        ValueError: If grids, types, batch shapes or the reduction do not fit.
        TypeError: If something is no image.
    """
    predicted = type_of(predicted, caller, "predicted", MultiImage)
    true = type_of(true, caller, "true", MultiImage)
    if not (reduce is None or isinstance(reduce, str)) or reduce not in takes:
        raise ValueError(
            f"{caller}: reduce: expected one of {', '.join(map(repr, takes))}, got {shown(reduce)}"
        )
    if predicted.batch != true.batch:
        raise ValueError(
            f"{caller}: true: expected batch axes {predicted.batch}, those of predicted, got "
            f"{true.batch}"
        )
    if not predicted.array.shape[-1 - predicted.D]:
        refuse(ValueError, caller, "predicted", "at least one channel", predicted.signature)
    other = matched(predicted, true, "-")
    wide = at_least_float32(jnp.result_type(predicted.dtype, true.dtype))
    return predicted.array.astype(wide), other.astype(wide)


def _pixel_means(a: Array, b: Array, D: int) -> Array:
    return jnp.mean((a - b) ** 2, axis=tuple(range(-D, 0)))


def _fields(like: MultiImage, *arrays: Array) -> list[tuple[Array, ...]]:
    """For every type the arrays as ``(..., fields, components, pixels)``."""
    found, pixels = [], math.prod(like.spatial)
    for (flags, _), place in like.signature.slices(like.D).items():
        size, axis = like.D ** len(flags), len(like.batch)
        parts = (jax.lax.slice_in_dim(a, place.start, place.stop, axis=axis) for a in arrays)
        shape = (*like.batch, (place.stop - place.start) // size, size, pixels)
        found.append(tuple(part.reshape(shape) for part in parts))
    return found


def _reduced(each: Array, reduce: str | None) -> Array:
    return each.mean() if reduce == "mean" else each
