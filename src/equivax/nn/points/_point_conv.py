"""`PointConv`: steerable convolution on point clouds."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import arrays, choice, flag, integer, number
from ...fields import FieldType
from ...hom import HIGHEST, widened
from ...kernels import PointRecipe, TypeBasis, point_basis, point_functions
from .._core._admission import checked_precision
from .._core._module import check_no_leaf
from .._core._plain import detached
from ..convolution import Weights, checked_types, initial_weights
from ..linear import bias_coefficients, initial_bias, invariant_bias
from ._formula import point_conv, smooth_cutoff
from ._inputs import LENGTHS, AbstractPointLayer, PointInputs, checked_space

_NAME = "PointConv"
AGGREGATES = ("sum", "mean")

#: Degrees beyond which harmonics have no digits left, and rings beyond which nobody counts.
MOST_DEGREE, MOST_RINGS = 30, 30


class PointConv(AbstractPointLayer):
    """Every point adds up what a steerable kernel makes of its neighbours.

    ``y_i = sum_(j -> i) K(x_j - x_i) f_j + b`` over the edges that lead to point i, or their mean,
    with ``K(A(g) x) = rho_out(g) K(x) rho_in(g)^-1``: rings of Gaussian profiles times harmonics
    (Thomas et al. 2018, Tensor field networks; Cesa, Lang and Weiler 2022). Edges are given, see
    `radius_edges`.

    Law: ``f(g x, g positions) = g f(x, positions)`` for all ``g`` of the group and all
    translations, without any grid; and for permutations of points and of edges.

    Shapes: ``(N, c_in) -> (N, c_out)`` with positions ``(N, d)`` and edges ``(E,)``; leading axes
    are batch axes and broadcast. A point without edges gets the bias alone.

    Examples:
        >>> import equivax as evx, jax
        >>> space = evx.spaces.flip_rot_on_r2(-1)
        >>> scalars = evx.FieldType(space, 2 * space.trivial)
        >>> vectors = evx.FieldType(space, 3 * space.vector)
        >>> layer = evx.nn.PointConv(scalars, vectors, width=1.0, key=jax.random.key(0))
        >>> places = jax.random.normal(jax.random.key(1), (10, 2))
        >>> edges = evx.nn.radius_edges(places, 1.0, max_edges=60)
        >>> layer(jax.numpy.ones((10, 2)), places, *edges).shape
        (10, 6)
    """

    weights: Weights
    bias_coeffs: Float[Array, " m0"] | None
    in_type: FieldType = eqx.field(static=True)
    out_type: FieldType = eqx.field(static=True)
    basis: TypeBasis = eqx.field(static=True)
    cutoff: float | None = eqx.field(static=True)
    aggregate: str = eqx.field(static=True)
    precision: jax.lax.PrecisionLike = eqx.field(static=True)

    def __init__(
        self,
        in_type: FieldType,
        out_type: FieldType,
        *,
        width: float | int,
        rings: int = 3,
        aggregate: str = "sum",
        frequency_cutoff: float | int = 3.0,
        cutoff: float | int | None = None,
        use_bias: bool = True,
        init: str | Callable[..., Weights] | None = "generalized_he",
        precision: jax.lax.PrecisionLike = None,
        warn_unused: bool = True,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Finds the basis (on the host, once per pair of types) and draws the weights.

        Args:
            in_type: Type of the input, on a plane or in space.
            out_type: Type of the output, on the same space.
            width: Radius of the outermost ring, in the unit of the positions. Beyond it the kernel
                fades: about the length of the longest edges.
            rings: Number of rings, at radii from 0 to ``width``; the Gaussians are 0.6 of their
                distance wide, the outermost 0.4.
            aggregate: ``"sum"``, or ``"mean"`` over the edges that lead to a point.
            frequency_cutoff: Highest degree of the harmonics, per ring: this number times the
                number of the ring, 0, 1, ... What no pair of irreps needs is left out.
            cutoff: Radius from which on the kernel is zero, reached smoothly; None for a kernel
                that has no end. With the radius of the edges the output is smooth in the
                positions, also where edges come and go.
            use_bias: Whether to add an invariant bias (if ``out_type`` has trivial irreps).
            init: ``"generalized_he"``: a single neighbour within ``width`` keeps the variance.
                ``"zeros"``, None (zeros), or a callable ``(basis, key) -> weights``.
            precision: Of products with the kernel, as in `jax.lax.dot`.
            warn_unused: Whether to warn, once per pair of types, if irreps of the input reach no
                output.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If the types do not fit together, no kernel exists, or an option does not
                fit.
            TypeError: If a type is no `FieldType`.
        """
        checked_space(_NAME, "in_type", in_type)
        checked_types(_NAME, in_type, out_type)
        rings = integer(rings, _NAME, "rings", 1, MOST_RINGS)
        highest = MOST_DEGREE / max(rings - 1, 1)
        self.basis = point_basis(
            in_type,
            out_type,
            width=number(width, _NAME, "width", *LENGTHS),
            rings=rings,
            frequency_cutoff=number(frequency_cutoff, _NAME, "frequency_cutoff", 0, highest),
            warn_unused=flag(warn_unused, _NAME, "warn_unused"),
            caller=_NAME,
        )
        self.weights = initial_weights(_NAME, self.basis, init, 1, dtype, key)
        bias = initial_bias(_NAME, out_type.representation, "zeros", 1, dtype, key)
        self.bias_coeffs = bias if flag(use_bias, _NAME, "use_bias") else None
        self.in_type = in_type
        self.out_type = out_type
        self.cutoff = None if cutoff is None else number(cutoff, _NAME, "cutoff", *LENGTHS)
        self.aggregate = choice(aggregate, _NAME, "aggregate", AGGREGATES)
        self.precision = checked_precision(precision, _NAME)

    @property
    def bias(self) -> Float[Array, " out"] | None:
        """The invariant bias, or None."""
        if self.bias_coeffs is None:
            return None
        return invariant_bias(self.out_type.representation, self.bias_coeffs)

    def with_bias(self, vector: object) -> PointConv:
        """This layer with the projection of a dense vector on the invariants as its bias.

        Raises:
            ValueError: If the layer has no bias, or the shape does not fit.
        """
        if self.bias_coeffs is None:
            raise ValueError(
                f"{_NAME}: with_bias: the layer has no bias, because use_bias is False or out_type "
                "has no trivial irrep"
            )
        new = bias_coefficients(_NAME, self.out_type.representation, vector)
        new = new.astype(self.bias_coeffs.dtype)
        return eqx.tree_at(lambda tree: tree.bias_coeffs, self, new)

    def kernel_at(self, offsets: object) -> Float[Array, "*places out in"]:
        """The dense kernel at offsets, to look at; the layer itself never makes it.

        Args:
            offsets: ``(..., d)``, from receiver to sender.

        Raises:
            ValueError: If the last axis does not fit.
            TypeError: If they are not floating numbers.
        """
        places = arrays.array(offsets, _NAME, "offsets")
        dim = self.in_type.space.dim
        if places.ndim == 0 or places.shape[-1] != dim:
            raise ValueError(f"{_NAME}: offsets: expected (..., {dim}), got {places.shape}")
        if not jnp.issubdtype(places.dtype, jnp.floating):
            raise TypeError(f"{_NAME}: offsets: expected floating numbers, got {places.dtype}")
        options = self._options
        values = point_functions(places, options["width"], options["degrees"])
        if self.cutoff is not None:
            values = values * smooth_cutoff(places, self.cutoff)
        return jnp.einsum("...f,ocf->...oc", values, self._on_functions, precision=HIGHEST)

    @property
    def _on_functions(self) -> Float[Array, "out in functions"]:
        check_no_leaf(_NAME, "kernel", self.weights)
        return self.basis.on_functions(self.weights)

    @property
    def _options(self) -> dict[str, Any]:
        recipe = cast(PointRecipe, self.basis.recipe)
        return {
            "width": recipe.width,
            "degrees": recipe.degrees,
            "cutoff": self.cutoff,
            "aggregate": self.aggregate,
            "precision": self.precision,
        }

    def _forward(self, x: PointInputs, key: PRNGKeyArray | None, **options: object) -> Array:
        # Between irreps, where the kernel takes fewer products than the changes of basis save.
        check_no_leaf(_NAME, "kernel", self.weights)
        kernel = self.basis.on_functions(self.weights, in_irreps=True)
        conv = functools.partial(point_conv, kernel, None, **self._options)
        fields = self.basis.to_irreps(widened(x.x))
        y = jnp.vectorize(conv, signature="(n,c),(n,d),(e),(e)->(n,o)")(fields, *x[1:])
        y = self.basis.from_irreps(y).astype(x.x.dtype)
        return y if self.bias is None else y + self.bias.astype(y.dtype)

    def export(self) -> Any:
        """A plain function ``(x, positions, senders, receivers)`` of one point cloud."""
        function = _with_options(**self._options)
        return jax.tree_util.Partial(function, self._on_functions, self.bias)


@functools.lru_cache(maxsize=256)
def _with_options(**options: object) -> Callable[..., Any]:
    """One function for equal options, so that their exports share a compilation."""
    return functools.partial(detached(point_conv), **options)
