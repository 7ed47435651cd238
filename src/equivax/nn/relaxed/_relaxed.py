"""`Relaxed`: a layer that commutes, plus a part that does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import arrays, flag, number, refuse
from ...fields import Type
from ...groups import Subgroup
from ...hom import HomBasis, trivial_count
from ...images import MultiImage, Signature
from ...representations import Representation
from ...spaces import GSpace
from .._core._biases import shifted, total
from .._core._module import AbstractModule, channel_axis, representation_of
from ..convolution import ConvContract
from ..linear import InvariantBias, Linear
from ._bases import (
    Basis,
    DenseLayer,
    basis_under,
    coefficients,
    dense_shape,
    expanded,
    parts_of,
    shapes,
)
from ._rest import Rest

TAKES = "a Linear, Conv, ConvTranspose, ConvContract or InvariantBias"


class Relaxed(AbstractModule):
    """``y = f(x) + f_rest(x)``: a layer that commutes, and a second one orthogonal to it.

    The dense array of ``f_rest`` lies in the orthogonal complement of those that commute with the
    group, among all arrays or, with ``to=``, among those that commute with a subgroup. So the
    split of ``W = strict + rest`` is unique: the strict part is the projection of ``W``. The rest
    starts at zero, where the layer is ``f``, and its parameters are leaves of their own, for an
    optimiser or a penalty (`symmetry_penalty`) to treat apart (residual pathway priors, Finzi et
    al. 2021, and relaxed group convolutions, Wang et al. 2022, are of this kind).

    Law: while the rest is zero that of the layer, later that of the subgroup:
    ``f(rho_in(h) x) = rho_out(h) f(x)`` for ``h`` in H.

    Shapes: those of the layer.

    Examples:
        >>> import equivax as evx, jax, jax.numpy as jnp
        >>> G = evx.groups.dihedral(4)
        >>> V = G.irrep(1, 1)
        >>> strict = evx.nn.Linear(V, V, key=jax.random.key(0))
        >>> layer = evx.nn.Relaxed(strict, to="rotations")  # quarter turns kept, mirrors relaxed
        >>> bool((layer(jnp.ones(2)) == strict(jnp.ones(2))).all())
        True
    """

    strict: DenseLayer
    rest: Rest

    def __init__(
        self,
        layer: object,
        *,
        to: object = None,
        scale: float = 0.0,
        use_bias: bool = True,
        key: PRNGKeyArray | None = None,
    ) -> None:
        """Adds a rest, which is zero unless a scale is given.

        Args:
            layer: A `Linear`, `Conv`, `ConvTranspose`, `ConvContract` or `InvariantBias`.
            to: The symmetry that is kept: a subgroup of the layer's group, or what its
                ``subgroup`` takes; kernels of the rest are then of the layer's kind of basis. None
                keeps nothing: the rest is any dense array.
            scale: Standard deviation of the parameters of the rest at the start.
            use_bias: Whether the rest has a bias. The types say whether one is possible: with
                ``to=None`` always, also where the layer itself has none.
            key: A JAX key, which is needed with a ``scale``.

        Raises:
            TypeError: If the layer is of another kind, or a key is needed and missing.
            ValueError: If ``to`` is no subgroup, or the scale is negative.
        """
        if not isinstance(layer, DenseLayer):
            refuse(TypeError, "Relaxed", "layer", TAKES, layer)
        scale = number(scale, "Relaxed", "scale", 0)
        use_bias = flag(use_bias, "Relaxed", "use_bias")
        if key is not None:
            key = arrays.key(key, "Relaxed")
        elif scale:
            raise TypeError(f"Relaxed: key: scale={scale:g} draws numbers, pass key=")
        out_rep = representation_of(layer.out_type, "Relaxed", "layer")
        subgroup = None if to is None else kept_subgroup("Relaxed", out_rep, to)
        inner = None if subgroup is None else out_rep.restrict(subgroup)
        basis = None if subgroup is None else basis_under(layer, subgroup)
        count = out_rep.size if inner is None else trivial_count(inner)
        weights, bias = _parameters(layer, basis, count if use_bias else 0, scale, key)
        self.strict = layer
        self.rest = Rest(
            weights, bias, basis_under(layer, None), basis, parts_of(layer), out_rep, inner
        )

    @property
    def in_type(self) -> Type:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Type of the input: that of the layer."""
        return self.strict.in_type

    @property
    def out_type(self) -> Type:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Type of the output: that of the layer."""
        return self.strict.out_type

    @property
    def in_signature(self) -> Signature:
        """Types of the input of a `ConvContract`; of others there is none."""
        return self.strict.in_signature  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def out_signature(self) -> Signature:
        """Types of the output of a `ConvContract`; of others there is none."""
        return self.strict.out_signature  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def space(self) -> GSpace:
        """The space of a `ConvContract`; others have it in their types."""
        return self.strict.space  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def basis(self) -> Basis | None:
        """What spans the dense arrays of the strict part."""
        return self.rest.strict_basis

    @property
    def dense(self) -> Float[Array, "out in *kernel"] | None:
        """The sum of both dense arrays; None if the layer is only a bias."""
        if not all(hasattr(leaf, "shape") for leaf in jax.tree.leaves(self.rest.weights)):
            raise TypeError(
                "Relaxed: weight: is the sum of two parts and no leaf, so tree_at, WeightNorm and "
                "SpectralNorm cannot replace it; use tree_at on layer.strict.weights and "
                "layer.rest.weights, which may both be divided by any one number"
            )
        rest, raw = self.rest, self.rest.raw
        if isinstance(self.strict, InvariantBias) or raw is None or rest.strict_basis is None:
            return None
        # W + R - P(R) = (W - P(R)) + R, whose first part is one expansion of coefficients.
        inside = coefficients(rest.strict_basis, raw, rest.parts)
        strict = {
            name: own - inside[name].astype(own.dtype) for name, own in self.strict.weights.items()
        }
        found = expanded(rest.strict_basis, strict, rest.parts)
        return found + raw.astype(found.dtype)

    @property
    def weight(self) -> Float[Array, "out in"] | None:
        """The dense matrix, if the layer is a `Linear`."""
        if not isinstance(self.strict, Linear):
            raise AttributeError(f"Relaxed: weight: {type(self.strict).__name__} has none")
        return self.dense

    @property
    def kernel(self) -> Float[Array, "out in *kernel"] | None:
        """The dense kernel, if the layer is a convolution."""
        if isinstance(self.strict, (Linear, InvariantBias)):
            raise AttributeError(f"Relaxed: kernel: {type(self.strict).__name__} has none")
        return self.dense

    @property
    def bias(self) -> Float[Array, " out"] | None:
        """The sum of both biases, or None; of a `ConvContract` that of the rest."""
        own = getattr(self.strict, "bias", None)
        return self.rest.bias if isinstance(own, Mapping) else total(own, self.rest.bias)

    # ---- application -------------------------------------------------------------------------

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None, **options: Any
    ) -> Float[Array, "..."]:
        y = self.strict._applied(self.dense, x, **options)  # pyright: ignore[reportArgumentType]
        shift = self.rest.bias
        if shift is None:
            return y
        return shifted(shift.astype(y.dtype), channel_axis(self.out_type), y)

    def _image_options(self, x: MultiImage) -> dict[str, Any]:
        return self.strict._image_options(x)

    def _image_array(self, x: MultiImage) -> Array:
        return self.strict._image_array(x)

    def _image_signature(self, signature: Signature) -> Signature:
        return self.strict._image_signature(signature)

    def _metric_on_output(self, metric: Array, x: MultiImage) -> Array:
        return self.strict._metric_on_output(metric, x)

    def export(self, is_torus: object = None) -> Any:
        """One plain layer with the sum of both, as the layer itself is exported.

        Args:
            is_torus: Which axes are periodic, of a `ConvContract`: all of them if None.
        """
        options = {} if is_torus is None else {"is_torus": is_torus}
        if options and not isinstance(self.strict, ConvContract):
            name = type(self.strict).__name__
            refuse(TypeError, "Relaxed", "is_torus", f"None for a {name}", is_torus)
        return self.strict._exported(self.dense, self.rest.bias, **options)  # pyright: ignore


def kept_subgroup(caller: str, rep: Representation, to: object) -> Subgroup:
    """The subgroup that is meant.

    Raises:
        ValueError: If it is none of the group.
        TypeError: If it names no subgroup.
    """
    try:
        return rep.group.subgroup(to)
    except (ValueError, TypeError) as error:
        raise type(error)(
            f"{caller}: to: expected None or a subgroup of {rep.group.name}, got {to!r}: {error}"
        ) from None


def _parameters(
    layer: DenseLayer,
    basis: Basis | None,
    count: int,
    scale: float,
    key: PRNGKeyArray | None,
) -> tuple[Array | Mapping[str, Array] | None, Array | None]:
    """The parameters of the rest at the start: of its dense array, and ``count`` of its bias."""
    leaves = [leaf for leaf in jax.tree.leaves(layer) if eqx.is_inexact_array(leaf)]
    dtype = leaves[0].dtype if leaves else jnp.result_type(float)
    weights = dense_shape(layer) if basis is None else shapes(basis, parts_of(layer))
    found, structure = jax.tree.flatten((weights, (count,) if count else None), is_leaf=_is_shape)
    if key is None or not scale:
        drawn = [jnp.zeros(shape, dtype) for shape in found]
    else:
        keys = jax.random.split(key, len(found) + 1)
        drawn = [
            scale * jax.random.normal(one, shape, dtype)
            for one, shape in zip(keys, found, strict=False)
        ]
    weights, bias = jax.tree.unflatten(structure, drawn)
    return basis.stacked(weights) if isinstance(basis, HomBasis) else weights, bias


def _is_shape(node: object) -> bool:
    return isinstance(node, tuple) and all(isinstance(side, int) for side in node)
