"""`ConvTranspose`: steerable convolution that enlarges the grid."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Unpack

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...fields import FieldType
from ...kernels import Differential, Grid, Harmonic, HarmonicOptions, TypeBasis
from .._core._module import AbstractModule
from .._core._plain import plain_conv_transpose
from .._core._windows import GridWarning, as_grid_check, as_tuple
from ..linear._invariant_bias import invariant_bias
from ._shared import (
    Padding,
    Weights,
    biased,
    checked_padding,
    checked_types,
    convolve,
    expanded,
    initial_conv_bias,
    initial_weights,
    plus_bias,
    types_of_one_group,
    weights_of,
)


class ConvTranspose(AbstractModule):
    """Transposed convolution with a steerable kernel, ``y(p) = sum_q K(p - s q) x(q) + b``.

    ``K`` is in the space of kernels of `Conv`, from ``in_type`` to ``out_type``: the layer is the
    adjoint of a correlation with ``K^T``. Upsampling followed by `Conv` avoids the checkerboard
    pattern of strides that do not divide the kernel (Odena et al. 2016).

    Law: ``f(g x) = g f(x)`` exactly for the elements that map the pixel grid to itself, for every
    stride, unless ``output_padding`` adds cells on one side.

    Shapes: ``(..., c_in, *spatial) -> (..., c_out, *spatial)``; each axis of length L becomes
    ``(L - 1) stride - padding + dilation (k - 1) + output_padding + 1`` long.
    """

    weights: Weights
    bias_coeffs: Float[Array, " m0"] | None
    in_type: FieldType = eqx.field(static=True)
    out_type: FieldType = eqx.field(static=True)
    basis: TypeBasis = eqx.field(static=True)
    stride: tuple[int, ...] = eqx.field(static=True)
    padding: Padding = eqx.field(static=True)
    output_padding: tuple[int, ...] = eqx.field(static=True)
    dilation: tuple[int, ...] = eqx.field(static=True)
    groups: int = eqx.field(static=True)
    precision: Any = eqx.field(static=True)
    grid_check: str = eqx.field(static=True)

    def __init__(
        self,
        in_type: FieldType,
        out_type: FieldType,
        kernel_size: int | tuple[int, ...],
        *,
        stride: int | tuple[int, ...] = 1,
        padding: Any = 0,
        output_padding: int | tuple[int, ...] = 0,
        dilation: int | tuple[int, ...] = 1,
        padding_mode: str = "zeros",
        groups: int = 1,
        use_bias: bool = True,
        basis: str | Harmonic | Grid | Differential = "harmonic",
        precision: jax.lax.PrecisionLike = None,
        init: str | Callable[..., Weights] | None = "generalized_he",
        warn_unused: bool = True,
        grid_check: str = "warn",
        dtype: Any = None,
        key: PRNGKeyArray,
        **options: Unpack[HarmonicOptions],
    ) -> None:
        """Finds the basis (on the host, once per pair of types) and draws the weights.

        Args:
            in_type: Type of the input.
            out_type: Type of the output, on the same space.
            kernel_size: Taps per axis.
            stride: Cells of the output per cell of the input.
            padding: Cells cut off on each side: an int, one per axis, or pairs per axis.
            output_padding: Cells added at the end of each axis, fewer than the larger of stride
                and dilation.
            dilation: Distance of neighbouring taps.
            padding_mode: ``"zeros"``, the only one there is.
            groups: Number of equal parts of both types that are mapped separately.
            use_bias: Whether to add an invariant bias (if ``out_type`` has trivial irreps).
            basis: As in `Conv`.
            precision: Of the convolution; kernels are made at the highest.
            init: As in `Conv`.
            warn_unused: Whether to warn, once per pair of types, if irreps of the input reach no
                output, as those that a readout of scalars ignores.
            grid_check: What to do if ``output_padding`` breaks exactness: ``"warn"``, ``"raise"``
                or ``"off"``.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.
            **options: As in `Conv`.

        Raises:
            ValueError: If the types do not fit together, no kernel exists, or an option does not
                fit.
            TypeError: If a type is no `FieldType`, or an option is unknown.
        """
        caller = "ConvTranspose"
        checked_types(caller, in_type, out_type)
        in_part, out_part = types_of_one_group(caller, in_type, out_type, groups)
        dim = in_type.space.dim
        if padding_mode != "zeros":
            raise ValueError(f"{caller}: padding_mode: expected 'zeros', got {padding_mode!r}")
        self.basis = TypeBasis(
            in_part,
            out_part,
            as_tuple(kernel_size, dim, caller, "kernel_size", 1),
            basis,
            warn_unused=warn_unused,
            caller=caller,
            **options,
        )
        self.stride = as_tuple(stride, dim, caller, "stride", 1)
        self.dilation = as_tuple(dilation, dim, caller, "dilation", 1)
        if isinstance(padding, str):
            raise ValueError(
                f"{caller}: padding: expected a non-negative integer, {dim} of them or {dim} "
                f"pairs, got {padding!r}"
            )
        self.padding = checked_padding(caller, padding, "zeros", self.basis.kernel, self.dilation)
        self.output_padding = as_tuple(output_padding, dim, caller, "output_padding", 0)
        for extra, s, d in zip(self.output_padding, self.stride, self.dilation, strict=True):
            if extra >= max(s, d):
                raise ValueError(
                    f"{caller}: output_padding: expected less than the larger of stride and "
                    f"dilation, {max(s, d)}, got {extra}"
                )
        self.grid_check = as_grid_check(grid_check, caller)
        if any(self.output_padding) and self.grid_check != "off" and in_type.space.moves_points:
            message = (
                f"{caller}: output_padding: {output_padding} adds cells on one side only, so the "
                "layer does not commute with turns and flips of the grid; use 0, or "
                "grid_check='off'"
            )
            if self.grid_check == "raise":
                raise ValueError(message)
            warnings.warn(message, GridWarning, stacklevel=2)
        self.weights = initial_weights(caller, self.basis, init, groups, dtype, key)
        self.bias_coeffs = initial_conv_bias(out_type, use_bias, dtype, key)
        self.in_type = in_type
        self.out_type = out_type
        self.groups = groups
        self.precision = precision

    @property
    def kernel(self) -> Float[Array, "out in *kernel"]:
        """The dense kernel ``(c_out, c_in / groups, *kernel)``, expanded at every access."""
        return expanded(self.basis, self.weights, self.groups)

    @property
    def bias(self) -> Float[Array, " out"] | None:
        """The invariant bias, or None."""
        if self.bias_coeffs is None:
            return None
        return invariant_bias(self.out_type.representation, self.bias_coeffs)

    def with_kernel(self, kernel: Any) -> ConvTranspose:
        """This layer with the orthogonal projection of a dense kernel as its kernel.

        Args:
            kernel: ``(c_out, c_in / groups, *kernel)``, steerable or not.

        Raises:
            ValueError: If the shape does not fit.
        """
        new = weights_of("ConvTranspose", self.basis, kernel, self.weights, self.groups)
        return eqx.tree_at(lambda tree: tree.weights, self, new)

    def with_bias(self, vector: Any) -> ConvTranspose:
        """This layer with the projection of a dense vector on the invariants as its bias.

        Raises:
            ValueError: If the layer has no bias, or the shape does not fit.
        """
        return biased("ConvTranspose", self, vector)

    def _forward(self, x: Float[Array, "..."], key: Any = None) -> Float[Array, "..."]:
        reach = [d * (k - 1) for k, d in zip(self.basis.kernel, self.dilation, strict=True)]
        padding = [
            (r - before, r - after + extra)
            for r, (before, after), extra in zip(
                reach, self.padding.pairs, self.output_padding, strict=True
            )
        ]
        y = convolve(
            x,
            _reversed(self.kernel),
            padding=padding,
            stride=(1,) * len(reach),
            dilation=self.dilation,
            groups=self.groups,
            precision=self.precision,
            lhs_dilation=self.stride,
        )
        return plus_bias(y, self.bias, len(reach))

    def export(self) -> eqx.nn.ConvTranspose:
        """`equinox.nn.ConvTranspose1d`, ... with the kernel reversed, as Equinox correlates."""
        return plain_conv_transpose(
            _reversed(self.kernel),
            self.bias,
            stride=self.stride,
            padding=self.padding.pairs,
            output_padding=self.output_padding,
            dilation=self.dilation,
            groups=self.groups,
        )


def _reversed(kernel: Float[Array, "out in *kernel"]) -> Float[Array, "out in *kernel"]:
    """The kernel reversed along every spatial axis."""
    return jnp.flip(kernel, tuple(range(2, kernel.ndim)))
