"""`AbstractSteerable`: what convolutions of fields share, that is everything but their bases."""

from __future__ import annotations

import abc
import operator
from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import arrays, flag
from ..._windows import Windows
from ...fields import FieldType
from ...images import MultiImage
from ...kernels import TypeBasis
from .._core._admission import checked_precision
from .._core._biases import bias_coefficients, initial_bias, invariant_bias, total
from .._core._grid_rule import as_grid_check, checked_windows, moved_axes
from .._core._module import AbstractModule, check_no_leaf, no_weight
from ._formula import convolved, exported_convolution
from ._shared import Weights, initial_weights

Layer = TypeVar("Layer", bound="AbstractSteerable")


class AbstractSteerable(AbstractModule):
    """Convolution with a learned combination of basis kernels, plus an invariant bias.

    Subclasses choose the basis, in ``__init__``.
    """

    weights: Weights
    bias_coeffs: Float[Array, " m0"] | None
    in_type: FieldType = eqx.field(static=True)
    out_type: FieldType = eqx.field(static=True)
    basis: TypeBasis = eqx.field(static=True)
    windows: Windows = eqx.field(static=True)
    groups: int = eqx.field(static=True)
    precision: jax.lax.PrecisionLike = eqx.field(static=True)
    grid_check: str = eqx.field(static=True)

    @abc.abstractmethod
    def __init__(self, in_type: FieldType, out_type: FieldType) -> None:
        """Finds the basis and hands it to `_set_up`."""

    def _set_up(
        self,
        in_type: FieldType,
        out_type: FieldType,
        basis: TypeBasis,
        windows: Windows,
        *,
        groups: int,
        use_bias: bool,
        precision: jax.lax.PrecisionLike,
        init: str | Callable[..., Weights] | None,
        grid_check: str,
        dtype: DTypeLike | None,
        key: PRNGKeyArray,
    ) -> None:
        """Sets every field; the types have been checked, and the basis is that of one group."""
        caller = type(self).__name__
        rep = out_type.representation
        self.basis = basis
        self.windows = windows
        self.groups = operator.index(groups)
        self.weights = initial_weights(caller, basis, init, self.groups, dtype, key)
        bias = initial_bias(caller, rep, "zeros", 1, dtype, key)
        self.bias_coeffs = bias if flag(use_bias, caller, "use_bias") else None
        self.in_type = in_type
        self.out_type = out_type
        self.precision = checked_precision(precision, caller)
        self.grid_check = as_grid_check(grid_check, caller)
        # Kept from here on: host work belongs to construction.
        moved_axes(in_type.space, basis.recipe.spacing)

    # ---- kernel and bias ---------------------------------------------------------------------

    @property
    def weight(self) -> Any:
        """There is none: `kernel` is the dense array, `weights` the coefficients.

        Raises:
            AttributeError: Always; for code that expects an `equinox.nn.Conv`.
        """
        raise AttributeError(no_weight(type(self).__name__))

    @property
    def kernel(self) -> Float[Array, "out in *kernel"]:
        """The dense kernel ``(c_out, c_in / groups, *kernel)``, expanded at every access."""
        check_no_leaf(type(self).__name__, "kernel", self.weights)
        if self.groups == 1:
            return self.basis.expand(self.weights)
        kernels = jax.vmap(self.basis.expand)(self.weights)
        return kernels.reshape(-1, *kernels.shape[2:])

    @property
    def bias(self) -> Float[Array, " out"] | None:
        """The invariant bias, or None."""
        if self.bias_coeffs is None:
            return None
        return invariant_bias(self.out_type.representation, self.bias_coeffs)

    def with_kernel(self: Layer, kernel: object) -> Layer:
        """This layer with the orthogonal projection of a dense kernel as its kernel.

        Args:
            kernel: ``(c_out, c_in / groups, *kernel)``, steerable or not.

        Raises:
            ValueError: If the shape does not fit.
        """
        name, basis, groups = type(self).__name__, self.basis, self.groups
        kernel = arrays.array(kernel, name, "kernel")
        size = (basis.out_rep.size, basis.in_rep.size, *basis.kernel)
        expected = (groups * size[0], *size[1:])
        if kernel.shape != expected:
            raise ValueError(f"{name}: kernel: expected {expected}, got {kernel.shape}")
        if groups == 1:
            found = basis.coefficients(kernel)
        else:
            found = jax.vmap(basis.coefficients)(kernel.reshape(groups, *size))
        new = {name: found[name].astype(old.dtype) for name, old in self.weights.items()}
        return eqx.tree_at(lambda tree: tree.weights, self, new)

    def with_bias(self: Layer, vector: object) -> Layer:
        """This layer with the projection of a dense vector on the invariants as its bias.

        Raises:
            ValueError: If the layer has no bias, or the shape does not fit.
        """
        if self.bias_coeffs is None:
            raise ValueError(
                f"{type(self).__name__}: with_bias: the layer has no bias, because use_bias is "
                "False or out_type has no trivial irrep"
            )
        new = bias_coefficients(type(self).__name__, self.out_type.representation, vector)
        new = new.astype(self.bias_coeffs.dtype)
        return eqx.tree_at(lambda tree: tree.bias_coeffs, self, new)

    # ---- application -------------------------------------------------------------------------

    def _windows_on(self, lengths: tuple[int, ...], grid_check: str) -> Windows:
        """The windows on a grid; checked."""
        return checked_windows(
            type(self).__name__,
            self.in_type.space,
            self.windows,
            lengths,
            grid_check,
            spacing=self.basis.recipe.spacing,
        )

    def _taps(self, kernel: Float[Array, "out in *kernel"]) -> Float[Array, "out in *kernel"]:
        """A kernel in the order in which windows meet the input."""
        return kernel

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        return self._applied(self.kernel, x)

    def _applied(
        self, kernel: Float[Array, "out in *kernel"], x: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        """The layer with another dense kernel."""
        dim = self.in_type.space.dim
        on = self._windows_on(x.shape[x.ndim - dim :], self.grid_check)
        return convolved(
            self._taps(kernel),
            self.bias,
            x,
            **on.settings,
            groups=self.groups,
            precision=self.precision,
        )

    def _metric_on_output(self, metric: Array, x: MultiImage) -> Array:
        return self._windows_on(x.spatial, "off").metric(metric, x.spatial)


class AbstractCorrelation(AbstractSteerable):
    """A `AbstractSteerable` whose windows are those that the user asks for: `Conv` and `Diffop`."""

    def export(self) -> Any:
        """`equinox.nn.Conv1d`, `Conv2d` or `Conv3d` with the expanded kernel; takes one example.

        A plain function where Equinox has no such layer: with a mode per axis, or ``"same"`` on a
        circle whose padding depends on the size.
        """
        return self._exported(self.kernel, None)

    def _exported(self, kernel: Array, shift: Array | None) -> Any:
        """The export with another dense kernel, and something added to the bias."""
        return exported_convolution(
            kernel,
            total(self.bias, shift),
            self.windows,
            groups=self.groups,
            precision=self.precision,
        )
