"""`ConvContract`: convolution with contraction on tensor images, one dense convolution for all."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import arrays, choice, flag, is_flag, number, refuse
from ..._windows import Integers, ModeLike, PaddingLike, Windows, make_windows, one_of
from ...hom import in_few_leaves, unstacked
from ...images import (
    FilterBasis,
    MultiImage,
    Signature,
    TensorType,
    as_flags,
    axis_space,
    flat_metric_axes,
    invariant_filters,
    type_name,
)
from ...spaces import GSpace
from .._core._admission import checked_precision, checked_signature, parameter_dtype
from .._core._biases import total
from .._core._grid_rule import as_grid_check, checked_windows, moved_axes, report, unequal_axes
from .._core._module import AbstractImageLayer, AbstractModule, check_no_leaf, no_weight
from .._core._plain import plain_function
from ._formula import convolved, exported_convolution, plus_bias
from ._shared import check_taps

BIAS_MODES = ("auto", "mean", "scalar")
SCALAR = ((), 0)


class ConvContract(AbstractModule, AbstractImageLayer):
    """``B_o(y)_b = sum w[o,i,f] F_f(q)_{ab} A_i(s y + r q - pad)_a`` with invariant filters F.

    Cross-correlation of tensor images with the filters of order k + k', contracted over the k
    indices of the image (Gregory et al. 2024, GeometricImageNet), for all pairs of types at once.
    Law: ``f(g A) = g f(A)`` exactly for signed permutations of the axes, data, metric and torus
    flags together, if the stride fits (see ``grid_check``); translations of a torus commute.

    With a metric every axis of the input is lowered first, and the result, read as lower, is raised
    where ``out_signature`` says upper. Torus flags pass through.

    Shapes: `MultiImage` to `MultiImage`, or ``(..., C_in, *sides) -> (..., C_out, *sides')``; a
    side becomes ``floor((l (N - 1) + padding - r (M - 1)) / s) + 1``, on a torus ``ceil(l N / s)``.

    Examples:
        >>> import equivax as evx, jax
        >>> conv = evx.nn.ConvContract((((0, 0), 1),), (((1, 0), 8),), key=jax.random.key(0))
        >>> conv.weights["k0p0>k1p0"].shape
        (8, 1, 2)
    """

    weights: Mapping[str, Array]
    bias: Mapping[str, Array]
    in_signature: Signature = eqx.field(static=True)
    out_signature: Signature = eqx.field(static=True)
    basis: FilterBasis = eqx.field(static=True)
    bias_mode: str | None = eqx.field(static=True)
    windows: Windows = eqx.field(static=True)
    precision: jax.lax.PrecisionLike = eqx.field(static=True)
    grid_check: str = eqx.field(static=True)

    def __init__(
        self,
        in_signature: object,
        out_signature: object,
        kernel_size: int | tuple[int, ...] = 3,
        *,
        D: int = 2,
        group: object = None,
        filters: Mapping[Any, Any] | None = None,
        use_bias: bool | str = "auto",
        stride: int | tuple[int, ...] = 1,
        padding: PaddingLike | None = "same",
        padding_mode: ModeLike | None = None,
        dilation: Integers = 1,
        input_dilation: Integers = 1,
        lhs_dilation: Integers | None = None,
        rhs_dilation: Integers | None = None,
        init: str = "he",
        gain: float = 1.0,
        precision: jax.lax.PrecisionLike = None,
        grid_check: str = "raise",
        allow_unreachable: bool = False,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Finds the filters on the host and draws the weights.

        Args:
            in_signature: Types of the input: a `Signature`, or what it accepts.
            out_signature: Types of the output.
            kernel_size: Taps per axis; even sizes are allowed.
            D: Number of spatial axes.
            group: A group of signed permutations of the axes; all of them if None.
            filters: A mapping from (order, parity) to ``(n, *kernel, *(D,)*order)``, used as given.
            use_bias: ``"auto"`` (or True): scalars get ``+ b``, other fields ``b`` times their
                spatial mean; ``"mean"``: all the latter; ``"scalar"``: scalars only; False: none.
            stride: Pixels from a window to the next.
            padding: As in `Conv`; None too is ``"same"``. ``"TORUS"``, ``"SAME"`` and ``"VALID"``
                are the words of ginjax, which say the mode too: ``"same"``, ``"same"`` with zeros
                everywhere, and ``"valid"``.
            padding_mode: As in `Conv`, or ``"torus"``: ``"circular"`` where the image is periodic,
                else ``"zeros"``. None: ``"zeros"`` if ``padding`` is given in numbers, else
                ``"torus"``.
            dilation: Distance of neighbouring taps.
            input_dilation: Distance of neighbouring input pixels on the finer grid that is
                convolved.
            lhs_dilation: Another name of ``input_dilation``, as in JAX.
            rhs_dilation: Another name of ``dilation``, as in JAX.
            init: ``"he"`` (output components of variance ``gain^2`` for unit normal input) or
                ``"ginjax"`` (uniform within ``1 / sqrt(c_in M^D D^k)``).
            gain: Of ``"he"``; sqrt 2 suits layers before a function like ReLU.
            precision: Of the convolution; kernels are made at the highest.
            grid_check: What to do if windows do not lie symmetrically, or do not go round a
                periodic image once: ``"raise"``, ``"warn"`` or ``"off"``. Of zeros
                around a periodic image, which break translations, it warns at most.
            allow_unreachable: Makes output types that no filter reaches zero.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If an output type cannot be reached, or an argument does not fit.
            TypeError: If something has no such meaning.
        """
        name = "ConvContract"
        check_taps(name, kernel_size)
        space = axis_space(group, D, name)
        ins = checked_signature(in_signature, name, "in_signature")
        outs = checked_signature(out_signature, name, "out_signature")
        for argument, signature in (("in_signature", ins), ("out_signature", outs)):
            if not signature.size(space.dim):
                raise ValueError(f"{name}: {argument}: expected at least one channel")
        self.grid_check = as_grid_check(grid_check, name)
        self.basis = FilterBasis(ins, outs, kernel_size, space, filters, name)
        self.windows = make_windows(
            name,
            space.dim,
            self.basis.kernel,
            stride=stride,
            padding=padding,
            padding_mode=padding_mode,
            dilation=one_of(name, "dilation", dilation, "rhs_dilation", rhs_dilation),
            input_dilation=one_of(
                name, "input_dilation", input_dilation, "lhs_dilation", lhs_dilation
            ),
            images=True,
        )
        report(name, space, unequal_axes(self.windows, moved_axes(space)[1]), self.grid_check)
        allow_unreachable = flag(allow_unreachable, name, "allow_unreachable")
        if self.basis.unreached and not (allow_unreachable and self.basis.pairs):
            raise ValueError(_unreachable(self.basis))
        self.bias_mode = _bias_mode(use_bias)
        dtype, key = parameter_dtype(dtype, name), arrays.key(key, name)
        self.weights = in_few_leaves(_initial(self.basis, init, gain, dtype, key))
        bias = {
            label: jnp.zeros((channels,), dtype)
            for (type_, channels), label in zip(outs, outs.names, strict=True)
            if channels and self.bias_mode and (self.bias_mode != "scalar" or type_ == SCALAR)
        }
        self.bias = in_few_leaves(bias)
        self.in_signature, self.out_signature = ins, outs
        self.precision = checked_precision(precision, name)

    # ---- facts -------------------------------------------------------------------------------

    @property
    def space(self) -> GSpace:
        """The group, with its action on the grid."""
        return self.basis.space

    @property
    def weight(self) -> Any:
        """There is none: `kernel` is the dense array, `weights` the coefficients.

        Raises:
            AttributeError: Always; for code that expects an `equinox.nn.Conv`.
        """
        raise AttributeError(no_weight("ConvContract"))

    @property
    def kernel(self) -> Float[Array, "out in *kernel"]:
        """The dense kernel ``(C_out, C_in, *kernel)``, expanded at every access."""
        check_no_leaf("ConvContract", "kernel", self.weights)
        return self.basis.expand(self.weights)

    def coefficients(self, kernel: object) -> dict[str, Array]:
        """Weights of the Frobenius-orthogonal projection of a dense kernel.

        Args:
            kernel: ``(C_out, C_in, *kernel)``, equivariant or not.

        Raises:
            ValueError: If the shape does not fit.
        """
        dense = arrays.array(kernel, "ConvContract", "kernel")
        if jnp.issubdtype(dense.dtype, jnp.complexfloating):
            raise TypeError(f"ConvContract: kernel: expected real numbers, got dtype {dense.dtype}")
        found = self.basis.coefficients(dense)
        return {name: found[name].astype(old.dtype) for name, old in self.weights.items()}

    def with_kernel(self, kernel: object) -> ConvContract:
        """This layer with the projection of a dense kernel as its kernel.

        Raises:
            ValueError: If the shape does not fit.
        """
        new = in_few_leaves(self.coefficients(kernel))
        return eqx.tree_at(lambda tree: tree.weights, self, new)

    # ---- application -------------------------------------------------------------------------

    def _image_options(self, x: MultiImage) -> dict[str, Any]:
        return {"is_torus": x.is_torus, "metric": x.metric, "periodic": x.is_torus}

    def _forward(
        self,
        x: Float[Array, "..."],
        key: PRNGKeyArray | None = None,
        is_torus: object = True,
        metric: Array | None = None,
        periodic: tuple[bool, ...] = (),
    ) -> Float[Array, "..."]:
        return self._applied(self.kernel, x, is_torus, metric, periodic)

    def _applied(
        self,
        kernel: Float[Array, "out in *kernel"],
        x: Float[Array, "..."],
        is_torus: object = True,
        metric: Array | None = None,
        periodic: tuple[bool, ...] = (),
    ) -> Float[Array, "..."]:
        """The layer with another dense kernel."""
        D = self.space.dim
        sides = x.shape[x.ndim - D :]
        flags = as_flags(is_torus, D, "ConvContract", "is_torus")
        windows = checked_windows(
            "ConvContract", self.space, self.windows, sides, self.grid_check,
            is_torus=flags, kernels=True,
        )  # fmt: skip
        if self.grid_check != "off":
            report("ConvContract", self.space, _cut(windows, periodic), "warn")
        bias, scaled = self._channel_bias()
        settings = {**windows.settings, "precision": self.precision}
        if metric is None:
            return convolved(kernel, bias, x, scaled=scaled, **settings)
        x = flat_metric_axes(x, self.in_signature, metric, D, lower=True)
        y = convolved(kernel, None, x, **settings)
        there = windows.metric(metric, sides)
        y = flat_metric_axes(y, self.out_signature, there, D, lower=False)
        return plus_bias(y, bias, D, scaled)

    def _metric_on_output(self, metric: Array, x: MultiImage) -> Array:
        return self.windows.on("ConvContract", x.spatial, x.is_torus).metric(metric, x.spatial)

    def _channel_bias(self) -> tuple[Array | None, tuple[bool, ...]]:
        """One number per dense channel, and which of them multiply the mean."""
        if not self.bias:
            return None, ()
        given = unstacked(self.bias)
        dtype = next(iter(given.values())).dtype
        parts, scaled = [], []
        for (type_, channels), name in zip(
            self.out_signature, self.out_signature.names, strict=True
        ):
            size = self.space.dim ** len(type_[0])
            values = given.get(name, jnp.zeros((channels,), dtype))
            # jnp.repeat is a gather, which compiles slowly, as does its gradient.
            parts.append(jnp.broadcast_to(values[:, None], (channels, size)).reshape(-1))
            plain = type_ == SCALAR and self.bias_mode != "mean"
            scaled += [not plain and name in given] * (channels * size)
        return jnp.concatenate(parts), tuple(scaled)

    def export(self, is_torus: object = True) -> Any:
        """`equinox.nn.Conv` where that is the same function, else a plain function of an example.

        Args:
            is_torus: Which axes are periodic: what images know and arrays do not.

        Returns:
            A layer on arrays ``(C_in, *sides)``.
        """
        return self._exported(self.kernel, None, is_torus)

    def _exported(self, kernel: Array, shift: Array | None, is_torus: object = True) -> Any:
        """The export with another dense kernel, and something added to every output."""
        bias, scaled = self._channel_bias()
        later = any(scaled)  # such a bias multiplies a mean
        flags = as_flags(is_torus, self.space.dim, "ConvContract", "is_torus")
        plain = exported_convolution(
            kernel,
            bias if later else total(bias, shift),
            self.windows.filled(flags),
            precision=self.precision,
            scaled=scaled,
        )
        if shift is None or not later:
            return plain
        return plain_function(_then_shifted, plain, shift, self.space.dim)


def _then_shifted(function, shift, dim, x, key=None):
    return plus_bias(function(x), shift, dim)


def _cut(windows: Windows, periodic: tuple[bool, ...]) -> list[str]:
    """Which axes that are known to be periodic get zeros; those within a period do no harm."""
    if isinstance(windows.padding, str):
        return []
    return [
        f"zeros are added along spatial axis {axis}, which is periodic, so translations do not "
        'commute; padding_mode="torus" wraps'
        for axis, torus in enumerate(periodic)
        if torus
        and windows.padding_mode[axis] == "zeros"
        and max(windows.padding[axis]) >= windows.input_dilation[axis]
    ]


def _bias_mode(use_bias: object) -> str | None:
    if use_bias is None:
        return None
    if is_flag(use_bias):
        return "auto" if use_bias else None
    takes = f"a boolean or one of {', '.join(BIAS_MODES)}"
    if not isinstance(use_bias, str):
        refuse(TypeError, "ConvContract", "use_bias", takes, use_bias)
    if use_bias not in BIAS_MODES:
        refuse(ValueError, "ConvContract", "use_bias", takes, use_bias)
    return use_bias


def _initial(
    basis: FilterBasis, init: object, gain: object, dtype: DTypeLike, key: PRNGKeyArray
) -> dict[str, Array]:
    init = choice(init, "ConvContract", "init", ("he", "ginjax"))
    return _drawn(basis, init, dtype, number(gain, "ConvContract", "gain", 0), key)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _drawn(
    basis: FilterBasis, init: str, dtype: DTypeLike, gain: float | Array, key: PRNGKeyArray
) -> dict[str, Array]:
    """All weights of a layer from one draw: programs of random numbers are slow to compile."""
    D, found, start = basis.space.dim, {}, 0
    if init == "ginjax":
        numbers = jax.random.uniform(key, (basis.dim,), dtype, -1, 1)
    else:
        numbers = jax.random.normal(key, (basis.dim,), dtype)
    for pair in basis.pairs:
        _, in_c, n = pair.shape
        k, out_k = len(pair.source[0]), len(pair.target[0])
        if init == "ginjax":
            scale = np.float64((in_c * math.prod(basis.kernel) * D**k) ** -0.5)
        else:
            types = sum(other.target == pair.target for other in basis.pairs)
            filters = basis.pair_filters(pair).reshape(n, -1)
            scale = np.sqrt(D**out_k / (in_c * n * types * (filters**2).sum(axis=1)))
        stop = start + math.prod(pair.shape)
        drawn = numbers[start:stop].reshape(pair.shape) * jnp.asarray(scale, dtype)
        found[pair.key] = drawn if init == "ginjax" else jnp.asarray(gain, dtype) * drawn
        start = stop
    return found


def _unreachable(basis: FilterBasis) -> str:
    target = basis.unreached[0]
    sources = ", ".join(basis.in_signature.names)
    taps = " x ".join(map(str, basis.kernel))
    text = (
        f"ConvContract: out_signature: {type_name(target)} cannot be reached from {sources} with "
    )
    text += f"{taps} filters"
    size = next((m for m in range(1, 8) if _connects(basis, target, m)), None)
    if size is not None:
        text += f": the smallest size is {size}"
    return f"{text} (allow_unreachable=True makes it zero if other types are reached)"


def _connects(basis: FilterBasis, target: TensorType, size: int) -> bool:
    D, space = basis.space.dim, basis.space
    return any(
        len(invariant_filters(D, size, len(flags) + len(target[0]), p + target[1], space))
        for (flags, p), channels in basis.in_signature
        if channels
    )
