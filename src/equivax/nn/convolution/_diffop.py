"""`Diffop`: a learned differential operator that commutes with a group, applied as a stencil."""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

import jax
from jax.typing import DTypeLike
from jaxtyping import PRNGKeyArray

from ..._arguments import flag
from ..._windows import PaddingLike, make_windows
from ...fields import FieldType
from ...kernels import Differential, DifferentialOptions, TypeBasis, differential_options
from ._shared import Weights, check_taps, checked_types, types_of_one_group
from ._steerable import AbstractCorrelation


class Diffop(AbstractCorrelation):
    """Linear combination of partial derivatives, ``y = P(d/dx) x + b``, on the pixel grid.

    ``P(A(g) xi) = rho_out(g) P(xi) rho_in(g)^-1`` for all ``g``: the matrix of polynomials ``P`` is
    a learned combination of harmonic polynomials times powers of the Laplacian (Jenner and Weiler
    2022, arXiv:2106.10163), each made into a stencil; ``b`` is invariant. Stencils are scaled like
    the kernels of `Conv`, so a derivative of any order starts with the same energy.

    Law: ``f(g x) = g f(x)``, exactly for the elements that map the pixel grid to itself (if the
    stride fits, see ``grid_check``). For the others the error is that of the stencils: it falls
    with the pixel size to the power of the accuracy.

    Shapes: ``(..., c_in, *spatial) -> (..., c_out, *spatial)``; each axis of length L becomes
    ``floor((L + padding - dilation (k - 1) - 1) / stride) + 1`` long.
    """

    def __init__(
        self,
        in_type: FieldType,
        out_type: FieldType,
        *,
        kernel_size: int | tuple[int, ...] | None = None,
        padding: PaddingLike = 0,
        stride: int | tuple[int, ...] = 1,
        dilation: int | tuple[int, ...] = 1,
        padding_mode: str | tuple[str, ...] = "zeros",
        groups: int = 1,
        use_bias: bool = True,
        basis: Differential | None = None,
        precision: jax.lax.PrecisionLike = None,
        init: str | Callable[..., Weights] | None = "generalized_he",
        warn_unused: bool = True,
        grid_check: str = "warn",
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
        **options: Unpack[DifferentialOptions],
    ) -> None:
        """Finds the basis (on the host, once per pair of types) and draws the weights.

        Args:
            in_type: Type of the input, on a line or a plane.
            out_type: Type of the output, on the same space.
            kernel_size: Taps per axis; at most two of this, ``accuracy`` and ``maximum_order`` are
                given, and one of the first and the last must be. See
                `equivax.kernels.stencil_sizes`.
            padding: As in `Conv`.
            stride: As in `Conv`.
            dilation: As in `Conv`; derivatives then refer to the dilated spacing.
            padding_mode: As in `Conv`.
            groups: As in `Conv`.
            use_bias: As in `Conv`.
            basis: A record of options, `kernels.Differential`, in place of ``options``.
            precision: As in `Conv`.
            init: As in `Conv`; for ``"delta_orthonormal"`` order 0 is the centre.
            warn_unused: Whether to warn, once per pair of types, if irreps of the input reach no
                output, as those that a readout of scalars ignores.
            grid_check: As in `Conv`.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.
            **options: Those of `kernels.Differential`, in short: ``accuracy``, ``maximum_order``,
                ``maximum_power``, ``method``, ``smoothing``, ``phi``, ``shape``, ``angle_offset``,
                ``spacing``, ``basis_filter``.

        Raises:
            ValueError: If the types do not fit together, no operator exists, or an option is
                out of range or does not fit the others.
            TypeError: If a type is no `FieldType`, or an option is unknown.

        Examples:
            >>> import equivax as evx, jax
            >>> space = evx.spaces.flip_rot_on_r2(4)
            >>> scalars, regular = (evx.FieldType(space, r) for r in (space.trivial, space.regular))
            >>> layer = evx.nn.Diffop(
            ...     scalars, regular, maximum_order=2, padding=1, key=jax.random.key(0)
            ... )
            >>> layer(jax.numpy.ones((1, 9, 9))).shape
            (8, 9, 9)
        """
        checked_types("Diffop", in_type, out_type)
        check_taps("Diffop", kernel_size)
        in_part, out_part = types_of_one_group("Diffop", in_type, out_type, groups)
        found = TypeBasis(
            in_part,
            out_part,
            kernel_size,
            differential_options("Diffop", basis, options),
            warn_unused=flag(warn_unused, "Diffop", "warn_unused"),
            caller="Diffop",
        )
        windows = make_windows(
            "Diffop",
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
