"""`Conv`: steerable convolution on a line, a plane or in space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

import jax
from jax.typing import DTypeLike
from jaxtyping import PRNGKeyArray

from ..._arguments import flag
from ..._windows import PaddingLike, as_tuple, make_windows
from ...fields import FieldType
from ...kernels import Differential, Grid, Harmonic, HarmonicOptions, TypeBasis
from ._shared import Weights, check_taps, checked_types, types_of_one_group
from ._steerable import AbstractCorrelation


class Conv(AbstractCorrelation):
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

    def __init__(
        self,
        in_type: FieldType,
        out_type: FieldType,
        kernel_size: int | tuple[int, ...],
        *,
        stride: int | tuple[int, ...] = 1,
        padding: PaddingLike = 0,
        dilation: int | tuple[int, ...] = 1,
        padding_mode: str | tuple[str, ...] = "zeros",
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
            kernel_size: Taps per axis; odd sizes have a centre.
            stride: Step of the output grid, in cells of the input.
            padding: Cells added on each side: an int, one per axis, pairs per axis, ``"same"``
                (as many windows as cells if the stride is 1), ``"valid"`` (none), or ``"causal"``
                on a line.
            dilation: Distance of neighbouring taps; the basis does not depend on it.
            padding_mode: What these cells are: ``"zeros"``, ``"reflect"``, ``"replicate"`` or
                ``"circular"``, or a tuple with one of these per axis.
            groups: Number of equal parts of both types that are mapped separately.
            use_bias: Whether to add an invariant bias (if ``out_type`` has trivial irreps).
            basis: ``"harmonic"`` (band-limited, any group), ``"grid"`` (all kernels that are
                exact on the pixel grid; groups of signed permutations), or a record of options:
                `kernels.Harmonic`, `kernels.Grid`, `kernels.Differential`.
            precision: Of the convolution, as in `jax.lax.conv`; kernels are made at the highest.
            init: ``"generalized_he"``, ``"delta_orthonormal"``, ``"zeros"``, None (zeros), or a
                callable ``(basis, key) -> weights``; where the group leaves all points alone, also
                the schemes of `HomBasis.init`.
            warn_unused: Whether to warn, once per pair of types, if irreps of the input reach no
                output, as those that a readout of scalars ignores.
            grid_check: What to do if stride and size break exactness: ``"warn"``, ``"raise"`` or
                ``"off"``.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.
            **options: Those of `kernels.Harmonic`, in short: ``rings``, ``sigma``,
                ``frequency_cutoff``, ``maximum_offset``, ``basis_filter``, and ``spacing`` of
                cells per axis, for scans whose slices are thicker than pixels are wide.

        Raises:
            ValueError: If the types do not fit together, no kernel exists, or an option does not
                fit.
            TypeError: If a type is no `FieldType`, or an option is unknown.
        """
        checked_types("Conv", in_type, out_type)
        check_taps("Conv", kernel_size)
        in_part, out_part = types_of_one_group("Conv", in_type, out_type, groups)
        found = TypeBasis(
            in_part,
            out_part,
            as_tuple(kernel_size, in_type.space.dim, "Conv", "kernel_size", 1),
            basis,
            warn_unused=flag(warn_unused, "Conv", "warn_unused"),
            caller="Conv",
            **options,
        )
        windows = make_windows(
            "Conv",
            in_type.space.dim,
            found.kernel,
            stride=stride,
            padding=padding,
            dilation=dilation,
            padding_mode=padding_mode,
        )
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
