"""`Linear`: the linear maps that commute with the group, and an invariant bias."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Mapping, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.lax import PrecisionLike
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Shaped

from ..._arguments import arrays, choice, flag
from ...fields import IrrepTensor, Type
from ...hom import (
    MODES,
    Coefficients,
    HomBasis,
    Machine,
    Scheme,
    UnusedIrrepsWarning,
    dense_cost,
    hom_basis,
    irrep_wise_cost,
    irrep_wise_map,
    spectral_cost,
    with_invariant,
)
from ...representations import as_representation, check_same_group, direct_sum
from .._core._admission import checked_precision, checked_scheme, parameter_dtype
from .._core._biases import bias_coefficients, initial_bias, invariant_bias, total
from .._core._module import AbstractModule, channel_axis, check_no_leaf, representation_of
from .._core._plain import plain_linear
from .._core._ways import Ways


class Linear(AbstractModule):
    """``y = x W^T + b`` with ``W`` in ``Hom_G(in, out)`` and ``b`` invariant.

    Law: ``f(rho_in(g) x) = rho_out(g) f(x)``. Parameters are one array per irrep that both types
    contain, ``(m_out, m_in, S)`` (Schur's lemma), read as ``layer.weights[name]``; ``W`` need never
    be formed. Their leaves are one array ``(irreps, m_out, m_in, S)`` for each shape.

    Shapes: ``(..., n_in) -> (..., n_out)``, in the promoted dtype of input and parameters.

    Examples:
        >>> import equivax as evx, jax, jax.numpy as jnp
        >>> G = evx.groups.cyclic(4)
        >>> layer = evx.nn.Linear(2 * G.regular, 3 * G.regular, key=jax.random.key(0))
        >>> layer(jnp.ones(8)).shape, layer.weight.shape
        ((12,), (12, 8))
    """

    weights: Coefficients
    bias_coeffs: Float[Array, " m0"] | None
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    mode: str = eqx.field(static=True)
    precision: PrecisionLike = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        out_type: Type,
        *,
        use_bias: bool = True,
        init: Scheme = "xavier_normal",
        bias_init: str = "zeros",
        mode: str = "auto",
        precision: PrecisionLike = None,
        warn_unused: bool = True,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draws the parameters.

        Args:
            in_type: A `Representation` or a field type.
            out_type: Likewise, of the same group.
            use_bias: Whether to add an invariant bias (if ``out_type`` has trivial irreps).
            init: Scheme of the weights, see `HomBasis.init`.
            bias_init: ``"zeros"``, or ``"equinox"`` (uniform within ``1 / sqrt(n_in)``).
            mode: ``"dense"`` (synthesise, one product), ``"spectral"`` (block by block),
                ``"irreps"`` (by way of an `IrrepTensor`, in which `Sequential` and networks then
                stay), or ``"auto"`` (the cheapest one by static shapes, the width of numbers and
                `jax.default_backend`). The parameters are the same.
            precision: Of the large products, as in `jax.lax.dot`; changes of basis always run at
                the highest.
            warn_unused: Whether to warn, once per pair of types, if irreps of the input reach no
                output; never for a trivial ``out_type``, which is there to leave them out.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If the groups differ, no linear map exists, an option is unknown, or a type
                is of fields on a line or plane (use `Conv`).
            TypeError: If a type is not a type.
        """
        in_rep = representation_of(in_type, "Linear", "in_type")
        out_rep = representation_of(out_type, "Linear", "out_type")
        if channel_axis(in_type) != -1 or channel_axis(out_type) != -1:
            grid = ', basis="grid"' if channel_axis(in_type) == -4 else ""
            raise ValueError(
                f"Linear: in_type, out_type: expected types of vectors, got {in_type!r} and "
                f"{out_type!r}; nn.Conv with kernel_size=1{grid} maps fields point by point"
            )
        warn_unused = flag(warn_unused, "Linear", "warn_unused")
        basis = checked_basis("Linear", in_rep, out_rep, warn_unused)
        self.mode = choice(mode, "Linear", "mode", MODES)
        dtype, key = parameter_dtype(dtype, "Linear"), arrays.key(key, "Linear")
        self.weights = basis.initial(key, checked_scheme(init, "Linear"), dtype=dtype)
        bias = initial_bias("Linear", out_rep, bias_init, in_rep.size, dtype, key)
        self.bias_coeffs = bias if flag(use_bias, "Linear", "use_bias") else None
        self.in_type = in_type
        self.out_type = out_type
        self.precision = checked_precision(precision, "Linear")

    @property
    def basis(self) -> HomBasis:
        """The Hom space the weight lives in."""
        return hom_basis(self.in_type, self.out_type)

    @property
    def weight(self) -> Float[Array, "out in"]:
        """The dense matrix, synthesised at every access."""
        check_no_leaf("Linear", "weight", self.weights)
        return self.basis.synthesize(self.weights)

    @property
    def bias(self) -> Float[Array, " out"] | None:
        """The invariant bias, or None."""
        if self.bias_coeffs is None:
            return None
        return invariant_bias(self.basis.out_rep, self.bias_coeffs)

    def with_weight(self, matrix: Shaped[ArrayLike, "out in"]) -> Linear:
        """This layer with the orthogonal projection of a dense matrix as its weight."""
        found = self.basis.coefficients(arrays.array(matrix, "Linear", "matrix"))
        dtype = jnp.result_type(*jax.tree.leaves(self.weights))
        new = {name: theta.astype(dtype) for name, theta in found.items()}
        return eqx.tree_at(lambda tree: tree.weights, self, self.basis.stacked(new))

    def with_bias(self, vector: Shaped[ArrayLike, " out"]) -> Linear:
        """This layer with the projection of a dense vector on the invariants as its bias.

        Raises:
            ValueError: If the layer has no bias.
        """
        if self.bias_coeffs is None:
            raise ValueError(
                "Linear: with_bias: the layer has no bias, because use_bias is False or out_type "
                "has no trivial irrep"
            )
        new = bias_coefficients("Linear", self.basis.out_rep, vector)
        new = new.astype(self.bias_coeffs.dtype)
        return eqx.tree_at(lambda tree: tree.bias_coeffs, self, new)

    def _forward(
        self, x: Float[Array, "*batch in"], key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch out"]:
        return _on_arrays(self.basis, self.weights, self.bias_coeffs, self, x)

    def _forward_irreps(self, x: IrrepTensor, key: PRNGKeyArray | None = None) -> IrrepTensor:
        blocks = _on_blocks(self.basis, self.weights, self.bias_coeffs, self, x)
        return IrrepTensor(blocks, self.out_type)

    def costs_of_ways(self, rows: int, prices: Machine) -> Ways:
        """See `AbstractLayer`: a mode that was asked for is free, and the others are out."""
        return costs_of_map(self.basis, self.mode, rows, prices)

    def _applied(
        self, weight: Float[Array, "out in"], x: Float[Array, "*batch in"]
    ) -> Float[Array, "*batch out"]:
        """The layer with another dense weight."""
        dtype = jnp.result_type(x.dtype, weight.dtype)
        y = jnp.matmul(x.astype(dtype), weight.astype(dtype).T, precision=self.precision)
        bias = self.bias
        return y if bias is None else y + bias.astype(y.dtype)

    def export(self) -> eqx.nn.Linear:
        """The same map as `equinox.nn.Linear` with a dense weight; it takes one example."""
        return self._exported(self.weight, None)

    def _exported(self, weight: Array, shift: Array | None) -> eqx.nn.Linear:
        """The export with another dense weight, and something added to the bias."""
        return plain_linear(weight, total(self.bias, shift))


# ---- several maps of one input -------------------------------------------------------------------


def side_by_side(layers: Sequence[Linear], x: Array | IrrepTensor) -> Array | IrrepTensor:
    """What several linear layers make of one input, next to each other, by one product.

    Args:
        layers: With one ``in_type``, and biases where their types admit them, or none.
        x: The checked input, of that type.

    Returns:
        Vectors of the sum of the types of all outputs.
    """
    first, basis = layers[0], basis_side_by_side(layers)
    names = [block.name for block in basis.blocks]
    weights = {
        name: jnp.concatenate([layer.weights[name] for layer in layers if name in layer.weights])
        for name in names
    }
    biases = [layer.bias_coeffs for layer in layers if layer.bias_coeffs is not None]
    bias = jnp.concatenate(biases) if biases else None
    if isinstance(x, IrrepTensor):
        return IrrepTensor(_on_blocks(basis, weights, bias, first, x), basis.out_rep)
    return _on_arrays(basis, weights, bias, first, x)


def basis_side_by_side(layers: Sequence[Linear]) -> HomBasis:
    """The Hom space of `side_by_side`."""
    return hom_basis(layers[0].in_type, direct_sum([layer.basis.out_rep for layer in layers]))


def costs_of_map(basis: HomBasis, mode: str, rows: int, prices: Machine) -> Ways:
    """What a linear map costs on either way, in a mode that was asked for."""
    if mode != "auto":
        irreps = mode == "irreps"
        return Ways(math.inf if irreps else 0.0, 0.0 if irreps else math.inf)
    layout = basis.layout
    arrays = dense_cost(layout, rows, prices)
    if prices.spectral:
        arrays = min(arrays, spectral_cost(layout, rows, prices))
    return Ways(arrays, irrep_wise_cost(layout, rows, prices) if prices.irreps else math.inf)


def _on_arrays(
    basis: HomBasis, weights: Mapping[str, Array], bias: Array | None, layer: Linear, x: Array
) -> Array:
    y = basis.apply(weights, x, mode=layer.mode, precision=layer.precision)
    return y if bias is None else y + invariant_bias(basis.out_rep, bias).astype(y.dtype)


def _on_blocks(
    basis: HomBasis, weights: Mapping[str, Array], bias: Array | None, layer: Linear, x: IrrepTensor
) -> dict[str, Array]:
    blocks = irrep_wise_map(basis.in_rep, basis.out_rep, weights, x.blocks, layer.precision)
    return with_invariant(basis.out_rep, bias, blocks)


def checked_basis(caller: str, in_rep: Type, out_rep: Type, warn_unused: bool = True) -> HomBasis:
    """The Hom space of a layer, refused if empty, with a warning about ignored irreps.

    Raises:
        ValueError: If the groups differ or no linear map but zero commutes.
    """
    check_same_group(
        caller, as_representation(in_rep, "in_type"), as_representation(out_rep, "out_type")
    )
    basis = hom_basis(in_rep, out_rep)
    if basis.dim == 0:
        raise ValueError(
            f"{caller}: only the zero map commutes, since in_type {in_rep!r} (irreps "
            f"{', '.join(basis.unused_in)}) and out_type {out_rep!r} (irreps "
            f"{', '.join(basis.unreached_out)}) share no irrep"
        )
    # What invariants leave out is the point of them.
    if basis.unused_in and warn_unused and not basis.out_rep.is_trivial:
        _warn_unused(caller, in_rep, out_rep, basis.unused_in)
    return basis


@functools.lru_cache(maxsize=4096)
def _warn_unused(caller: str, in_rep: Type, out_rep: Type, unused: tuple[str, ...]) -> None:
    """Warns once per pair of types."""
    warnings.warn(
        f"{caller}: irreps {', '.join(unused)} of in_type {in_rep!r} reach no output, because "
        f"out_type {out_rep!r} lacks them (warn_unused=False silences this)",
        UnusedIrrepsWarning,
        stacklevel=5,
    )
