"""`ConvTranspose`: steerable convolution that enlarges the grid."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import Unpack

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import choice, flag
from ..._windows import PaddingLike, Windows, as_tuple, make_windows
from ...fields import FieldType
from ...kernels import Differential, Grid, Harmonic, HarmonicOptions, TypeBasis
from .._core._biases import total
from .._core._grid_rule import GridWarning, as_grid_check
from .._core._plain import plain_conv_transpose
from ._shared import Weights, check_taps, checked_types, types_of_one_group
from ._steerable import AbstractSteerable


class ConvTranspose(AbstractSteerable):
    """Transposed convolution with a steerable kernel, ``y(p) = sum_q K(p - s q) x(q) + b``.

    ``K`` is in the space of kernels of `Conv`, from ``in_type`` to ``out_type``: the layer is the
    adjoint of a correlation with ``K^T``. Upsampling followed by `Conv` avoids the checkerboard
    pattern of strides that do not divide the kernel (Odena et al. 2016).

    Law: ``f(g x) = g f(x)`` exactly for the elements that map the pixel grid to itself, for every
    stride, unless ``output_padding`` adds cells on one side.

    Shapes: ``(..., c_in, *spatial) -> (..., c_out, *spatial)``; each axis of length L becomes
    ``(L - 1) stride - padding + dilation (k - 1) + output_padding + 1`` long.
    """

    output_padding: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        in_type: FieldType,
        out_type: FieldType,
        kernel_size: int | tuple[int, ...],
        *,
        stride: int | tuple[int, ...] = 1,
        padding: PaddingLike = 0,
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
        dtype: DTypeLike | None = None,
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
        check_taps(caller, kernel_size)
        in_part, out_part = types_of_one_group(caller, in_type, out_type, groups)
        dim = in_type.space.dim
        choice(padding_mode, caller, "padding_mode", ["zeros"])
        if isinstance(padding, str):
            raise ValueError(
                f"{caller}: padding: expected an integer >= 0, {dim} of them or {dim} pairs "
                f"(before, after), got {padding!r}"
            )
        found = TypeBasis(
            in_part,
            out_part,
            as_tuple(kernel_size, dim, caller, "kernel_size", 1),
            basis,
            warn_unused=flag(warn_unused, caller, "warn_unused"),
            caller=caller,
            **options,
        )
        windows = make_windows(
            caller, dim, found.kernel, stride=stride, padding=padding, dilation=dilation
        )
        self.output_padding = as_tuple(output_padding, dim, caller, "output_padding", 0)
        for extra, s, d in zip(self.output_padding, windows.stride, windows.dilation, strict=True):
            if extra >= max(s, d):
                raise ValueError(
                    f"{caller}: output_padding: expected less than the larger of stride and "
                    f"dilation, {max(s, d)}, got {extra}"
                )
        moves = as_grid_check(grid_check, caller) != "off" and in_type.space.moves_points
        if moves and any(self.output_padding):
            _one_sided(caller, output_padding, grid_check)
        self._set_up(
            in_type,
            out_type,
            found,
            windows,
            groups=groups,
            use_bias=use_bias,
            precision=precision,
            init=init,
            grid_check=grid_check,
            dtype=dtype,
            key=key,
        )

    def _windows_on(self, lengths: tuple[int, ...], grid_check: str) -> Windows:
        """The windows of the adjoint on the input with zeros between its cells."""
        w = self.windows
        reach = [d * (k - 1) for k, d in zip(w.kernel_size, w.dilation, strict=True)]
        pairs = zip(reach, w.pairs, self.output_padding, strict=True)
        adjoint = dataclasses.replace(
            w,
            stride=(1,) * len(reach),
            padding=tuple((r - before, r - after + extra) for r, (before, after), extra in pairs),
            input_dilation=w.stride,
        )
        return adjoint.on("ConvTranspose", lengths)

    def _taps(self, kernel: Float[Array, "out in *kernel"]) -> Float[Array, "out in *kernel"]:
        return jnp.flip(kernel, tuple(range(2, kernel.ndim)))

    def export(self) -> eqx.nn.ConvTranspose:
        """`equinox.nn.ConvTranspose1d`, ... with the kernel reversed, as Equinox correlates."""
        return self._exported(self.kernel, None)

    def _exported(self, kernel: Array, shift: Array | None) -> eqx.nn.ConvTranspose:
        """The export with another dense kernel, and something added to the bias."""
        w = self.windows
        return plain_conv_transpose(
            self._taps(kernel),
            total(self.bias, shift),
            stride=w.stride,
            padding=w.pairs,
            output_padding=self.output_padding,
            dilation=w.dilation,
            groups=self.groups,
        )


def _one_sided(caller: str, output_padding: object, grid_check: str) -> None:
    message = (
        f"{caller}: output_padding: {output_padding} adds cells on one side only, so the layer "
        "does not commute with turns and flips of the grid; use 0, or grid_check='off'"
    )
    if grid_check == "raise":
        raise ValueError(message)
    warnings.warn(message, GridWarning, stacklevel=3)
