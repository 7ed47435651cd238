"""`Conv`: steerable convolution on a line, a plane or in space."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from ..fields import FieldType
from ..kernels import TypeBasis
from ._convolution import (
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
from ._grid import as_grid_check, as_tuple, check_grid, output_lengths
from ._invariant_bias import invariant_bias
from ._module import AbstractModule
from ._plain import plain_conv


class Conv(AbstractModule):
    """Cross-correlation with a steerable kernel, ``y(p) = sum_q K(q) x(p + q) + b``.

    ``K(A(g) q) = rho_out(g) K(q) rho_in(g)^-1`` for all ``g``: the kernel is a learned combination
    of a basis of such kernels (Weiler and Cesa 2019; Cesa, Lang and Weiler 2022), and ``b`` is
    invariant. The dimension is that of the types' space.

    Law: ``f(g x) = g f(x)``, exactly for the elements that map the pixel grid to itself (if the
    stride fits, see ``grid_check``) and up to resampling for the others. On a line that the group
    leaves alone it is exact for all.

    Shapes: ``(..., c_in, *spatial) -> (..., c_out, *spatial)``; each axis of length L becomes
    ``floor((L + padding - dilation (k - 1) - 1) / stride) + 1`` long.
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

    def __init__(
        self,
        in_type: FieldType,
        out_type: FieldType,
        kernel_size: int | tuple[int, ...],
        *,
        stride: int | tuple[int, ...] = 1,
        padding: Any = 0,
        dilation: int | tuple[int, ...] = 1,
        padding_mode: str = "zeros",
        groups: int = 1,
        use_bias: bool = True,
        basis: str = "harmonic",
        rings: Any = None,
        sigma: Any = None,
        frequency_cutoff: Any = None,
        maximum_offset: int | None = None,
        basis_filter: Callable[[Mapping[str, Any]], bool] | None = None,
        precision: jax.lax.PrecisionLike = None,
        init: str | Callable[..., Weights] | None = "generalized_he",
        grid_check: str = "warn",
        dtype: Any = None,
        key: PRNGKeyArray,
    ) -> None:
        """Finds the basis (on the host, once per pair of types) and draws the weights.

        Args:
            in_type: Type of the input.
            out_type: Type of the output, on the same space.
            kernel_size: Taps per axis; odd sizes have a centre.
            stride: Step of the output grid, in cells of the input.
            padding: Cells added on each side: an int, one per axis, pairs per axis, ``"same"``, or
                ``"causal"`` on a line.
            dilation: Distance of neighbouring taps; the basis does not depend on it.
            padding_mode: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
            groups: Number of equal parts of both types that are mapped separately.
            use_bias: Whether to add an invariant bias (if ``out_type`` has trivial irreps).
            basis: ``"harmonic"`` (band-limited, any group) or ``"grid"`` (all kernels that are
                exact on the pixel grid; groups of signed permutations).
            rings: Radii of the harmonic basis, in taps.
            sigma: Width of the rings, one or one per ring.
            frequency_cutoff: Largest angular frequency per radius: a callable, a factor, or
                ``"default"``, ``"narrow"``, ``"flat"``.
            maximum_offset: Keeps solutions within so many multiples of the group's order.
            basis_filter: Keeps basis elements by their attributes.
            precision: Of the convolution, as in `jax.lax.conv`; kernels are made at the highest.
            init: ``"generalized_he"``, ``"delta_orthonormal"``, ``"zeros"``, None (zeros), or a
                callable ``(basis, key) -> weights``.
            grid_check: What to do if stride and size break exactness: ``"warn"``, ``"raise"`` or
                ``"off"``.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If the types do not fit together, no kernel exists, or an option is unknown.
            TypeError: If a type is no `FieldType`.
        """
        checked_types("Conv", in_type, out_type)
        in_part, out_part = types_of_one_group("Conv", in_type, out_type, groups)
        dim = in_type.space.dim
        self.basis = TypeBasis(
            in_part,
            out_part,
            as_tuple(kernel_size, dim, "Conv", "kernel_size", 1),
            basis=basis,
            rings=rings,
            sigma=sigma,
            frequency_cutoff=frequency_cutoff,
            maximum_offset=maximum_offset,
            basis_filter=basis_filter,
            caller="Conv",
        )
        self.stride = as_tuple(stride, dim, "Conv", "stride", 1)
        self.dilation = as_tuple(dilation, dim, "Conv", "dilation", 1)
        self.padding = checked_padding(
            "Conv", padding, padding_mode, self.basis.kernel, self.dilation
        )
        self.weights = initial_weights("Conv", self.basis, init, groups, dtype, key)
        self.bias_coeffs = initial_conv_bias(out_type, use_bias, dtype, key)
        self.in_type = in_type
        self.out_type = out_type
        self.groups = groups
        self.precision = precision
        self.grid_check = as_grid_check(grid_check, "Conv")

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

    def with_kernel(self, kernel: Any) -> Conv:
        """This layer with the orthogonal projection of a dense kernel as its kernel.

        Args:
            kernel: ``(c_out, c_in / groups, *kernel)``, steerable or not.

        Raises:
            ValueError: If the shape does not fit.
        """
        new = weights_of("Conv", self.basis, kernel, self.weights, self.groups)
        return eqx.tree_at(lambda tree: tree.weights, self, new)

    def with_bias(self, vector: Any) -> Conv:
        """This layer with the projection of a dense vector on the invariants as its bias.

        Raises:
            ValueError: If the layer has no bias, or the shape does not fit.
        """
        return biased("Conv", self, vector)

    def _forward(self, x: Float[Array, "..."], key: Any = None) -> Float[Array, "..."]:
        sides = x.shape[x.ndim - self.in_type.space.dim :]
        windows = (sides, self.basis.kernel, self.stride, self.padding.pairs, self.dilation)
        output_lengths("Conv", *windows)
        check_grid("Conv", self.in_type.space, *windows, self.grid_check)
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
