"""`InvariantBias` and the one expansion of invariant biases that all layers share."""

from __future__ import annotations

import zlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Shaped

from ..._arguments import arrays, choice
from ...fields import IrrepTensor, Type
from ...hom import hom_basis, invariant_vector, trivial_count, with_invariant
from ...representations import Representation, trivial
from .._core._admission import parameter_dtype
from .._core._channels import along
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_layer

BIAS_SCHEMES = ("zeros", "equinox")


def invariant_bias(rep: Representation, coeffs: Float[Array, " m0"]) -> Float[Array, " n"]:
    """``b = Q[:, triv] beta``."""
    return invariant_vector(rep, coeffs)


def bias_coefficients(caller: str, rep: Representation, vector: object) -> Float[Array, " m0"]:
    """Trivial coordinates of the projection of a vector on the invariants.

    Raises:
        ValueError: If the vector has the wrong size.
        TypeError: If it is not of floating numbers.
    """
    dense = arrays.array(vector, caller, "vector")
    if dense.shape != (rep.size,):
        raise ValueError(f"{caller}: vector: expected ({rep.size},), got {dense.shape}")
    if not jnp.issubdtype(dense.dtype, jnp.floating):
        raise TypeError(f"{caller}: vector: expected floating numbers, got dtype {dense.dtype}")
    basis = hom_basis(trivial(rep.group), rep)
    (found,) = basis.coefficients(dense[:, None]).values()
    return found[:, 0, 0]


def initial_bias(
    caller: str,
    rep: Representation,
    scheme: str,
    fan_in: int,
    dtype: DTypeLike | None,
    key: PRNGKeyArray,
) -> Float[Array, " m0"] | None:
    """Initial coefficients, or None if ``rep`` has no trivial irrep.

    Args:
        caller: The layer, for messages.
        rep: Type of the output.
        scheme: ``"zeros"``, or ``"equinox"``: the bias of each invariant direction is uniform
            with entries within ``1 / sqrt(fan_in)``, as in `equinox.nn.Linear`.
        fan_in: Input channels times kernel taps.
        dtype: Of the coefficients.
        key: A JAX key.

    Raises:
        ValueError: For an unknown scheme.
    """
    choice(scheme, caller, "bias_init", BIAS_SCHEMES)
    dtype = parameter_dtype(dtype, caller)
    count = trivial_count(rep)
    if count == 0:
        return None
    if scheme == "zeros":
        return jnp.zeros((count,), dtype)
    bound = jnp.asarray(fan_in**-0.5 / _largest_entries(rep), dtype)
    # A key of its own: weights take theirs from the names of irreps.
    key = jax.random.fold_in(key, zlib.crc32(b"invariant bias"))
    return bound * jax.random.uniform(key, (count,), dtype, -1.0, 1.0)


def _largest_entries(rep: Representation) -> np.ndarray:
    """Largest entry of each invariant unit vector, in the order of the trivial irreps."""
    identity = trivial(rep.group).irreps[0]
    found = []
    for summand, count in rep.data:
        columns = summand.columns_of(identity).reshape(-1)
        found.append(np.tile(np.abs(summand.change_of_basis[:, columns]).max(axis=0), count))
    return np.concatenate(found)


class InvariantBias(AbstractModule):
    """``y = x + b`` with ``b`` invariant: an element of ``Hom_G(1, rho)``.

    Law: ``f(rho(g) x) = rho(g) f(x)``. Without trivial irreps it is the identity and has no leaf.

    Shapes: ``(..., n) -> (..., n)``.
    """

    coeffs: Float[Array, " m0"] | None
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        *,
        bias_init: str = "zeros",
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray | None = None,
    ) -> None:
        """Starts at zero, or as `equinox.nn.Linear` does.

        Args:
            in_type: A `Representation` or a field type.
            bias_init: ``"zeros"`` or ``"equinox"`` (needs ``key``).
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            TypeError: If a key is needed and missing, or ``in_type`` is no type.
        """
        rep = representation_of(in_type, "InvariantBias", "in_type")
        choice(bias_init, "InvariantBias", "bias_init", BIAS_SCHEMES)
        if bias_init != "zeros" and key is None:
            raise TypeError(f"InvariantBias: key: bias_init={bias_init!r} draws numbers, pass key=")
        key = jax.random.key(0) if key is None else arrays.key(key, "InvariantBias")
        self.coeffs = initial_bias("InvariantBias", rep, bias_init, rep.size, dtype, key)
        self.in_type = in_type
        self.out_type = in_type

    @property
    def bias(self) -> Float[Array, " n"] | None:
        """The invariant vector, or None."""
        if self.coeffs is None:
            return None
        return invariant_bias(self._rep, self.coeffs)

    def with_bias(self, vector: Shaped[ArrayLike, " n"]) -> InvariantBias:
        """This layer with the projection of a dense vector on the invariants as its bias.

        Raises:
            ValueError: If the type has no trivial irrep.
        """
        if self.coeffs is None:
            raise ValueError(
                f"InvariantBias: with_bias: {self.in_type!r} has no trivial irrep, so no vector "
                "is invariant"
            )
        rep = self._rep
        new = bias_coefficients("InvariantBias", rep, vector).astype(self.coeffs.dtype)
        return eqx.tree_at(lambda tree: tree.coeffs, self, new)

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        bias = self.bias
        if bias is None:
            return x
        return shifted(bias, channel_axis(self.in_type), x)

    def _forward_irreps(self, x: IrrepTensor, key: PRNGKeyArray | None = None) -> IrrepTensor:
        return IrrepTensor(with_invariant(self._rep, self.coeffs, x.blocks), self.out_type)

    def export(self) -> eqx.nn.Lambda | eqx.nn.Identity:
        """Addition of a constant, or `equinox.nn.Identity`."""
        if self.bias is None:
            return eqx.nn.Identity()
        return plain_layer(shifted, self.bias, channel_axis(self.in_type))


def shifted(bias: Float[Array, " n"], axis: int, x: Float[Array, "..."]) -> Float[Array, "..."]:
    """``x`` plus a constant vector along an axis."""
    return x + along(bias, axis)
