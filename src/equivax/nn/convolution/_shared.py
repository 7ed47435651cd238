"""What all convolutions share: arguments, kernels of groups, the one convolution."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...fields import FieldType
from ...kernels import TypeBasis
from .. import init as schemes
from ..linear._invariant_bias import bias_coefficients, initial_bias

PADDING_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}

Weights = dict[str, Float[Array, "..."]]


def checked_types(caller: str, in_type: FieldType, out_type: FieldType) -> None:
    """Refuses what is no pair of field types on one space of dimension 1 or more.

    Raises:
        TypeError: If one is no `FieldType`.
        ValueError: If the spaces differ, or are points.
    """
    for argument, value in (("in_type", in_type), ("out_type", out_type)):
        if not isinstance(value, FieldType):
            raise TypeError(
                f"{caller}: {argument}: expected a FieldType, got {type(value).__name__}; "
                "FieldType(space, reps) makes one"
            )
    if in_type.space != out_type.space:
        raise ValueError(
            f"{caller}: out_type: expected fields on {in_type.space!r}, where in_type lives, got "
            f"{out_type.space!r}"
        )
    if in_type.space.dim == 0:
        raise ValueError(
            f"{caller}: in_type: expected fields on a line or plane, got {in_type!r}; nn.Linear "
            "maps vectors"
        )


def types_of_one_group(
    caller: str, in_type: FieldType, out_type: FieldType, groups: int
) -> tuple[FieldType, FieldType]:
    """The part of both types that one group of a grouped convolution maps.

    Raises:
        ValueError: If the fields do not come in ``groups`` equal parts.
    """
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        raise ValueError(f"{caller}: groups: expected a positive integer, got {groups!r}")
    return (
        _part(caller, "in_type", in_type, groups),
        _part(caller, "out_type", out_type, groups),
    )


def _part(caller: str, argument: str, type_: FieldType, groups: int) -> FieldType:
    if groups == 1:
        return type_
    count, rest = divmod(len(type_), groups)
    if rest:
        raise ValueError(
            f"{caller}: groups: expected a divisor of the {len(type_)} fields of {argument}, got "
            f"{groups}"
        )
    part = type_.index_select(range(count))
    for index, rep in enumerate(type_.reps):
        if rep != part.reps[index % count]:
            raise ValueError(
                f"{caller}: groups: with {groups} groups, field {index} of {argument} must equal "
                f"field {index % count}, got {rep.name} and {part.reps[index % count].name}"
            )
    return part


class Padding(NamedTuple):
    """Cells added before and after each axis, and how they are filled."""

    pairs: tuple[tuple[int, int], ...]
    mode: str

    @property
    def totals(self) -> tuple[int, ...]:
        """Cells added per axis."""
        return tuple(before + after for before, after in self.pairs)

    def apply(self, x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Any]:
        """The array padded by hand if need be, and what is left for the convolution to pad."""
        if self.mode == "zeros" or not any(self.totals):
            return x, self.pairs
        pads = [(0, 0)] * (x.ndim - len(self.pairs)) + list(self.pairs)
        return jnp.pad(x, pads, mode=PADDING_MODES[self.mode]), "VALID"


def checked_padding(
    caller: str,
    padding: Any,
    mode: str,
    kernel_size: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Padding:
    """Padding from an int, ints or pairs per axis, ``"same"``, or ``"causal"`` on a line.

    Raises:
        ValueError: For anything else, or an unknown mode.
    """
    dim = len(kernel_size)
    if mode not in PADDING_MODES:
        raise ValueError(
            f"{caller}: padding_mode: expected one of {', '.join(PADDING_MODES)}, got {mode!r}"
        )
    reach = [d * (k - 1) for k, d in zip(kernel_size, dilation, strict=True)]
    if padding == "same":
        if any(r % 2 for r in reach):
            raise ValueError(
                f"{caller}: padding: 'same' needs a symmetric kernel, an odd "
                f"dilation * (kernel_size - 1) + 1, got kernel_size {kernel_size} and dilation "
                f"{dilation}"
            )
        return Padding(tuple((r // 2, r // 2) for r in reach), mode)
    if padding == "causal":
        if dim != 1:
            raise ValueError(
                f"{caller}: padding: 'causal' looks at the past of a line, got fields on R{dim}"
            )
        return Padding(((reach[0], 0),), mode)
    entries = list(padding) if isinstance(padding, (tuple, list)) else [padding] * dim
    pairs = [tuple(e) if isinstance(e, (tuple, list)) else (e, e) for e in entries]
    fits = len(pairs) == dim and all(
        len(pair) == 2 and all(isinstance(n, int) and n >= 0 for n in pair) for pair in pairs
    )
    if not fits:
        raise ValueError(
            f"{caller}: padding: expected a non-negative integer, {dim} of them or {dim} pairs, "
            f"'same' or 'causal', got {padding!r}"
        )
    return Padding(tuple((before, after) for before, after in pairs), mode)


def initial_weights(
    caller: str,
    basis: TypeBasis,
    init: str | Callable[..., Weights] | None,
    groups: int,
    dtype: Any,
    key: PRNGKeyArray,
) -> Weights:
    """Coefficients by a scheme; with groups, one draw per group on a leading axis.

    Raises:
        ValueError: For an unknown scheme, or a scheme that returns other shapes than the basis has.
    """
    scheme = schemes.resolve(caller, init)
    dtype = jnp.dtype(jnp.result_type(float) if dtype is None else dtype)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"{caller}: dtype: expected a floating dtype, got {dtype}")

    def draw(key: PRNGKeyArray) -> Weights:
        drawn = scheme(basis, key)
        for name, shape in basis.shapes.items():
            got = drawn.get(name) if isinstance(drawn, Mapping) else None
            if got is None or jnp.shape(got) != shape:
                raise ValueError(
                    f"{caller}: init: expected a callable (basis, key) that returns an array "
                    f"{shape} for '{name}'"
                )
        return {name: jnp.asarray(drawn[name], dtype) for name in basis.shapes}

    if groups == 1:
        return draw(key)
    drawn = [draw(one) for one in jax.random.split(key, groups)]
    return {name: jnp.stack([one[name] for one in drawn]) for name in basis.shapes}


def initial_conv_bias(
    out_type: FieldType, use_bias: bool, dtype: Any, key: PRNGKeyArray
) -> Float[Array, " m0"] | None:
    """Zeros, one per trivial irrep of the output, or None."""
    return initial_bias(out_type.representation, "zeros", 1, dtype, key) if use_bias else None


def expanded(basis: TypeBasis, weights: Weights, groups: int) -> Float[Array, "out in *kernel"]:
    """The kernel ``(c_out, c_in / groups, *kernel)``."""
    if groups == 1:
        return basis.expand(weights)
    kernels = jax.vmap(basis.expand)(weights)
    return kernels.reshape(-1, *kernels.shape[2:])


def weights_of(
    caller: str, basis: TypeBasis, kernel: Any, weights: Weights, groups: int
) -> Weights:
    """Coefficients of the orthogonal projection of a dense kernel, in the dtypes of ``weights``.

    Raises:
        ValueError: If the shape does not fit.
    """
    size = (basis.out_rep.size, basis.in_rep.size, *basis.kernel)
    expected = (groups * size[0], *size[1:])
    kernel = jnp.asarray(kernel)
    if kernel.shape != expected:
        raise ValueError(f"{caller}: kernel: expected {expected}, got {kernel.shape}")
    if groups == 1:
        found = basis.coefficients(kernel)
    else:
        found = jax.vmap(basis.coefficients)(kernel.reshape(groups, *size))
    return {name: found[name].astype(old.dtype) for name, old in weights.items()}


def plus_bias(
    y: Float[Array, "..."], bias: Float[Array, " out"] | None, dim: int
) -> Float[Array, "..."]:
    """Adds one number per channel, if any."""
    return y if bias is None else y + bias.astype(y.dtype).reshape(-1, *[1] * dim)


def biased(caller: str, layer: Any, vector: Any) -> Any:
    """A layer with the projection of a dense vector on the invariants as its bias.

    Raises:
        ValueError: If the layer has no bias, or the shape does not fit.
    """
    if layer.bias_coeffs is None:
        raise ValueError(
            f"{caller}: with_bias: the layer has no bias, because use_bias is False or out_type "
            "has no trivial irrep"
        )
    new = bias_coefficients(layer.out_type.representation, jnp.asarray(vector))
    return eqx.tree_at(lambda tree: tree.bias_coeffs, layer, new.astype(layer.bias_coeffs.dtype))


def convolve(
    x: Float[Array, "..."],
    kernel: Float[Array, "out in *kernel"],
    *,
    padding: Any,
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    precision: jax.lax.PrecisionLike,
    lhs_dilation: tuple[int, ...] | None = None,
) -> Float[Array, "..."]:
    """Cross-correlation with any number of batch axes, in the dtype of ``x``."""
    dim = kernel.ndim - 2
    lead = x.shape[: x.ndim - 1 - dim]
    rows = x.reshape(math.prod(lead), *x.shape[x.ndim - 1 - dim :])
    y = jax.lax.conv_general_dilated(
        rows,
        kernel.astype(x.dtype),
        window_strides=stride,
        padding=padding,
        lhs_dilation=lhs_dilation,
        rhs_dilation=dilation,
        feature_group_count=groups,
        precision=precision,
    )
    return y.reshape(*lead, *y.shape[1:])
