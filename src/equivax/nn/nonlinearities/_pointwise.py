"""Functions of single channels, for fields that the group permutes."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import flag, number
from ...fields import IrrepTensor, Type
from ...hom import Machine
from .._core._admission import check_pointwise
from .._core._irrep_wise import pointwise, pointwise_ways
from .._core._module import AbstractModule
from .._core._plain import plain_callable
from .._core._probing import check_elementwise, check_odd
from .._core._ways import Ways


class PointwiseNonlinearity(AbstractModule):
    """``y = function(x)`` on every channel.

    Law: ``f(rho(g) x) = rho(g) f(x)`` where ``rho`` permutes channels; for odd functions also
    where it permutes them with signs.

    Shapes: unchanged.
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    function: Callable[[Array], Array] = eqx.field(static=True)

    def __init__(
        self, in_type: Type, function: Callable[[Array], Array] = jax.nn.relu, *, odd: bool = False
    ) -> None:
        """Checks that the type admits the function.

        Args:
            in_type: A type whose fields are permutation representations.
            function: Elementwise, such as `jax.nn.gelu`.
            odd: The function is odd (checked by sampling), so signed permutations are admitted.

        Raises:
            ValueError: If a field is not a (signed) permutation, naming it and what to use
                instead, or if ``odd=True`` and the function is not odd.
            TypeError: If ``function`` is not callable or ``in_type`` is no type.
        """
        check_elementwise("PointwiseNonlinearity", function)
        odd = flag(odd, "PointwiseNonlinearity", "odd")
        if odd:
            check_odd(function)
        check_pointwise("PointwiseNonlinearity", in_type, odd=odd)
        self.in_type = in_type
        self.out_type = in_type
        self.function = function

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        return self.function(x)

    def _forward_irreps(self, x: IrrepTensor, key: PRNGKeyArray | None = None) -> IrrepTensor:
        return pointwise(self.function, x)

    def costs_of_ways(self, rows: int, prices: Machine) -> Ways:
        """See `AbstractLayer`."""
        return pointwise_ways(self._rep, rows, prices)

    def export(self) -> eqx.nn.Lambda:
        """`equinox.nn.Lambda` of the function."""
        return eqx.nn.Lambda(plain_callable(self.function))


class ReLU(AbstractModule):
    """``y = max(x, 0)`` on every channel of permutation fields. Shapes: unchanged."""

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)

    def __init__(self, in_type: Type) -> None:
        """Checks the type.

        Args:
            in_type: A type whose fields are permutation representations.

        Raises:
            ValueError: If a field is not a permutation.
        """
        check_pointwise("ReLU", in_type, odd=False)
        self.in_type = in_type
        self.out_type = in_type

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        return jax.nn.relu(x)

    def _forward_irreps(self, x: IrrepTensor, key: PRNGKeyArray | None = None) -> IrrepTensor:
        return pointwise(jax.nn.relu, x)

    def costs_of_ways(self, rows: int, prices: Machine) -> Ways:
        """See `AbstractLayer`."""
        return pointwise_ways(self._rep, rows, prices)

    def export(self) -> eqx.nn.Lambda:
        """`equinox.nn.Lambda` of `jax.nn.relu`."""
        return eqx.nn.Lambda(jax.nn.relu)


class ELU(AbstractModule):
    """``y = x`` above 0, ``alpha (exp(x) - 1)`` below, on permutation fields. Shapes: unchanged."""

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    alpha: float = eqx.field(static=True)

    def __init__(self, in_type: Type, alpha: float = 1.0) -> None:
        """Checks the type.

        Args:
            in_type: A type whose fields are permutation representations.
            alpha: Minus the limit at minus infinity.

        Raises:
            ValueError: If a field is not a permutation, or ``alpha`` is not finite.
        """
        check_pointwise("ELU", in_type, odd=False)
        self.in_type = in_type
        self.out_type = in_type
        self.alpha = number(alpha, "ELU", "alpha")

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        return jax.nn.elu(x, self.alpha)

    def _forward_irreps(self, x: IrrepTensor, key: PRNGKeyArray | None = None) -> IrrepTensor:
        return pointwise(lambda v: jax.nn.elu(v, self.alpha), x)

    def costs_of_ways(self, rows: int, prices: Machine) -> Ways:
        """See `AbstractLayer`."""
        return pointwise_ways(self._rep, rows, prices)

    def export(self) -> eqx.nn.Lambda:
        """`equinox.nn.Lambda` of `jax.nn.elu`."""
        return eqx.nn.Lambda(jax.tree_util.Partial(jax.nn.elu, alpha=self.alpha))


class LeakyReLU(AbstractModule):
    """``y = x`` above 0, ``negative_slope x`` below, on permutation fields. Shapes: unchanged."""

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    negative_slope: float = eqx.field(static=True)

    def __init__(self, in_type: Type, negative_slope: float = 0.01) -> None:
        """Checks the type.

        Args:
            in_type: A type whose fields are permutation representations.
            negative_slope: Slope below 0.

        Raises:
            ValueError: If a field is not a permutation, or the slope is not finite.
        """
        check_pointwise("LeakyReLU", in_type, odd=False)
        self.in_type = in_type
        self.out_type = in_type
        self.negative_slope = number(negative_slope, "LeakyReLU", "negative_slope")

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        return jax.nn.leaky_relu(x, self.negative_slope)

    def _forward_irreps(self, x: IrrepTensor, key: PRNGKeyArray | None = None) -> IrrepTensor:
        return pointwise(lambda v: jax.nn.leaky_relu(v, self.negative_slope), x)

    def costs_of_ways(self, rows: int, prices: Machine) -> Ways:
        """See `AbstractLayer`."""
        return pointwise_ways(self._rep, rows, prices)

    def export(self) -> eqx.nn.Lambda:
        """`equinox.nn.Lambda` of `jax.nn.leaky_relu`."""
        slope = self.negative_slope
        return eqx.nn.Lambda(jax.tree_util.Partial(jax.nn.leaky_relu, negative_slope=slope))
