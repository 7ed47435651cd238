"""`AbstractCorrelation`: what `Conv` and `Diffop` share, that is everything but their bases."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from ...fields import FieldType
from ...kernels import TypeBasis
from .._core._module import AbstractModule
from .._core._plain import plain_conv
from .._core._windows import as_grid_check, as_tuple, check_grid, output_lengths
from ..linear._invariant_bias import invariant_bias
from ._shared import (
    Padding,
    Weights,
    biased,
    checked_padding,
    convolve,
    expanded,
    initial_conv_bias,
    initial_weights,
    plus_bias,
    weights_of,
)

Layer = TypeVar("Layer", bound="AbstractCorrelation")


class AbstractCorrelation(AbstractModule):
    """Cross-correlation with a learned combination of basis kernels, plus an invariant bias.

    Subclasses choose the basis, in ``__init__``.
    """

    weights: Weights
    bias_coeffs: Float[Array, " m0"] | None
    in_type: FieldType = eqx.field(static=True)
    out_type: FieldType = eqx.field(static=True)
    basis: TypeBasis = eqx.field(static=True)
    stride: tuple[int, ...] = eqx.field(static=True)
    padding: Padding = eqx.field(static=True)
    dilation: tuple[int, ...] = eqx.field(static=True)
    groups: int = eqx.field(static=True)
    precision: Any = eqx.field(static=True)
    grid_check: str = eqx.field(static=True)

    @abc.abstractmethod
    def __init__(self, in_type: FieldType, out_type: FieldType) -> None:
        """Finds the basis and hands it to `_set_up`."""

    def _set_up(
        self,
        in_type: FieldType,
        out_type: FieldType,
        basis: TypeBasis,
        *,
        stride: Any,
        padding: Any,
        dilation: Any,
        padding_mode: str,
        groups: int,
        use_bias: bool,
        precision: jax.lax.PrecisionLike,
        init: str | Callable[..., Weights] | None,
        grid_check: str,
        dtype: Any,
        key: PRNGKeyArray,
    ) -> None:
        """Sets every field; the types have been checked, and the basis is that of one group."""
        caller, dim = type(self).__name__, in_type.space.dim
        self.basis = basis
        self.stride = as_tuple(stride, dim, caller, "stride", 1)
        self.dilation = as_tuple(dilation, dim, caller, "dilation", 1)
        self.padding = checked_padding(caller, padding, padding_mode, basis.kernel, self.dilation)
        self.weights = initial_weights(caller, basis, init, groups, dtype, key)
        self.bias_coeffs = initial_conv_bias(out_type, use_bias, dtype, key)
        self.in_type = in_type
        self.out_type = out_type
        self.groups = groups
        self.precision = precision
        self.grid_check = as_grid_check(grid_check, caller)

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

    def with_kernel(self: Layer, kernel: Any) -> Layer:
        """This layer with the orthogonal projection of a dense kernel as its kernel.

        Args:
            kernel: ``(c_out, c_in / groups, *kernel)``, equivariant or not.

        Raises:
            ValueError: If the shape does not fit.
        """
        new = weights_of(type(self).__name__, self.basis, kernel, self.weights, self.groups)
        return eqx.tree_at(lambda tree: tree.weights, self, new)

    def with_bias(self: Layer, vector: Any) -> Layer:
        """This layer with the projection of a dense vector on the invariants as its bias.

        Raises:
            ValueError: If the layer has no bias, or the shape does not fit.
        """
        return biased(type(self).__name__, self, vector)

    def _forward(self, x: Float[Array, "..."], key: Any = None) -> Float[Array, "..."]:
        caller = type(self).__name__
        sides = x.shape[x.ndim - self.in_type.space.dim :]
        windows = (sides, self.basis.kernel, self.stride, self.padding.pairs, self.dilation)
        output_lengths(caller, *windows)
        check_grid(caller, self.in_type.space, *windows, self.grid_check)
        x, padding = self.padding.apply(x)
        y = convolve(
            x,
            self.kernel,
            padding=padding,
            stride=self.stride,
            dilation=self.dilation,
            groups=self.groups,
            precision=self.precision,
        )
        return plus_bias(y, self.bias, self.in_type.space.dim)

    def export(self) -> eqx.nn.Conv:
        """`equinox.nn.Conv1d`, `Conv2d` or `Conv3d` with the expanded kernel; takes one example."""
        return plain_conv(
            self.kernel,
            self.bias,
            stride=self.stride,
            padding=self.padding.pairs,
            dilation=self.dilation,
            groups=self.groups,
            padding_mode=self.padding.mode.upper(),
        )
