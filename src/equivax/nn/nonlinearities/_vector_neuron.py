"""`VectorNeuron`: an activation along a learned direction, for fields of any kind."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import arrays, choice, number
from ...fields import Type
from ...hom import HomBasis, hom_basis
from ...representations import Representation
from .._core._admission import parameter_dtype
from .._core._channels import safe_norms
from .._core._fibres import ByKind, Fibre, by_kind, fibre_plan, kind_names
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_layer
from .._core._probing import check_elementwise

CONVENTIONS = ("signed", "magnitude")
MIXES = ("fields", "hom")

#: Up to so many components fields are cut into these, off CPU.
MOST_APART = 16

#: Up to so many fields are combined by sums, off CPU.
MOST_MIXED = 16


class VectorNeuron(AbstractModule):
    """``y = x + (f(s) - s) u`` with ``s = <x, u>``, ``u = q / (|q| + eps)`` and ``q = w x``.

    ``w`` mixes whole fields of one kind, so that u turns with x and s is invariant: f acts on the
    component along u, the rest passes (Deng et al. 2021). Trivial fields take ``f(x)``. Where q
    vanishes, as on a blank background, y is x and every gradient is finite.
    Where the terms of q nearly cancel, rounding of x turns u by ``|w| |x| / (|q| + eps)`` times
    itself: an eps near the size of x makes it less.

    ``convention="magnitude"`` is ``y = x - s u + f(s) s / (|s| + eps) u``, which agrees for ReLU
    and is there for weights of ginjax: where s < 0 and f keeps a sign it *reverses* the component.

    Law: ``f(rho(g) x) = rho(g) f(x)`` for any orthogonal ``rho``.

    Shapes: unchanged. Computed in at least float32.

    Examples:
        >>> import equivax as evx, jax
        >>> signature = evx.images.Signature((((0, 0), 4), ((1, 0), 8)))
        >>> layer = evx.nn.VectorNeuron(signature.field_type(2), key=jax.random.key(0))
        >>> layer.weight["k1p0"].shape
        (8, 8)
    """

    weight: dict[str, Float[Array, "fields fields"] | dict[str, Float[Array, "..."]]]
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    activation: Callable[[Array], Array] = eqx.field(static=True)
    eps: float = eqx.field(static=True)
    convention: str = eqx.field(static=True)
    mix: str = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        *,
        activation: Callable[[Array], Array] = jax.nn.relu,
        eps: float = 1e-5,
        convention: str = "signed",
        mix: str = "fields",
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draws the directions.

        Args:
            in_type: A type of any fields; for tensor images ``signature.field_type(D)``.
            activation: Elementwise, such as `jax.nn.gelu`.
            eps: Added to the length of q, positive.
            convention: ``"signed"`` or ``"magnitude"``.
            mix: ``"fields"``: w is a matrix ``(c, c)`` per kind, uniform within ``1 / sqrt(c)``;
                ``"hom"``: any map of the fields of a kind that commutes with the group.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If ``eps`` is not positive or a mode is unknown.
            TypeError: If ``activation`` is not callable or ``in_type`` is no type.
        """
        name = "VectorNeuron"
        rep = representation_of(in_type, name, "in_type")
        check_elementwise(name, activation, "activation")
        self.convention = choice(convention, name, "convention", CONVENTIONS)
        self.mix = choice(mix, name, "mix", MIXES)
        dtype, key = parameter_dtype(dtype, name), arrays.key(key, name)
        fibres = fibre_plan(rep).fibres
        self.weight = {}
        for label, fibre, own in zip(
            kind_names(rep), fibres, jax.random.split(key, len(fibres)), strict=True
        ):
            count = len(fibre.fields)
            if fibre.is_trivial:
                continue
            if mix == "hom":
                self.weight[label] = _directions(fibre).init(own, "equinox", dtype=dtype)
            else:
                bound = count**-0.5
                self.weight[label] = jax.random.uniform(own, (count,) * 2, dtype, -bound, bound)
        self.in_type = in_type
        self.out_type = in_type
        self.activation = activation
        self.eps = number(eps, name, "eps", above=0)

    def _constants(self) -> ByKind:
        rep, kinds = self._rep, []
        plan = fibre_plan(rep)
        for label, fibre in zip(kind_names(rep), plan.fibres, strict=True):
            weight = self.weight.get(label)
            if isinstance(weight, dict):
                weight = _directions(fibre).synthesize(weight)
            kinds.append((len(fibre.fields), fibre.summand.size, weight))
        function = functools.partial(along_direction, self.activation, self.convention, self.eps)
        return function, kinds, plan.gather, plan.scatter, channel_axis(self.in_type)

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        return by_kind(*self._constants(), x)

    def export(self) -> eqx.nn.Lambda:
        """A plain function."""
        return plain_layer(by_kind, *self._constants())


def _directions(fibre: Fibre) -> HomBasis:
    rep = Representation(fibre.summand.group, [(fibre.summand, len(fibre.fields))])
    return hom_basis(rep, rep)


def along_direction(
    activation: Callable[[Array], Array],
    convention: str,
    eps: float,
    weight: Float[Array, "rows rows"] | None,
    z: Float[Array, "batch fields n points"],
) -> Float[Array, "batch fields n points"]:
    """The activation along learned directions, or on the numbers of trivial fields.

    Args:
        activation: Elementwise.
        convention: ``"signed"`` or ``"magnitude"``.
        eps: Added to the length of a direction.
        weight: Matrix from fields to directions, or from all their components to all of these;
            None for trivial fields.
        z: Fields of one kind.
    """
    if weight is None:
        return activation(z)
    q = mixed(weight, z)
    # Numbers of one field at one point are summed in the kernel that uses the sum, if they are
    # arrays of their own; compilers for accelerators write what a reduction takes and gives.
    if jax.default_backend() == "cpu" or z.shape[2] > MOST_APART:
        products = jnp.sum(z * q, axis=2, keepdims=True), jnp.sum(q * q, axis=2, keepdims=True)
        return z + factor(activation, convention, eps, *products) * q
    zs, qs = ([a[:, :, i] for i in range(a.shape[2])] for a in (z, q))
    along = factor(activation, convention, eps, inner(zs, qs), inner(qs, qs))
    return jnp.stack([z + along * q for z, q in zip(zs, qs, strict=True)], axis=2)


def inner(xs: list[Float[Array, "..."]], ys: list[Float[Array, "..."]]) -> Float[Array, "..."]:
    """The inner product of vectors that are lists of components."""
    return functools.reduce(jnp.add, [x * y for x, y in zip(xs, ys, strict=True)])


def factor(
    activation: Callable[[Array], Array],
    convention: str,
    eps: float,
    component: Float[Array, "..."],
    squares: Float[Array, "..."],
) -> Float[Array, "..."]:
    """What is added to x in multiples of q, from ``<x, q>`` and ``<q, q>``."""
    # Of u only its length is divided: no pass through memory writes u itself.
    inverse = 1.0 / (safe_norms(squares) + eps)
    s = component * inverse
    if convention == "signed":
        return (activation(s) - s) * inverse
    return (activation(s) * s / (jnp.abs(s) + eps) - s) * inverse


def mixed(
    weight: Float[Array, "rows rows"], z: Float[Array, "batch fields n points"]
) -> Float[Array, "batch fields n points"]:
    """The directions: combinations of fields, or of all their components."""
    if jax.default_backend() == "cpu" or not weight.shape[0] == z.shape[1] <= MOST_MIXED:
        return product(weight, z)
    combined = jax.custom_jvp(combinations)
    # Of the weight the derivative is a product: otherwise it would be a sum for each of them.
    combined.defjvp(
        lambda at, along: (
            combined(*at),
            combined(at[0], along[1]) + product(along[0], at[1]),
        )
    )
    return combined(weight, z)


def combinations(
    weight: Float[Array, "fields fields"], z: Float[Array, "batch fields n points"]
) -> Float[Array, "batch fields n points"]:
    """`product` of few fields as a sum, which compilers fuse with what comes before and after."""
    weight = weight.astype(z.dtype)[:, :, None, None]
    return functools.reduce(jnp.add, [weight[:, i] * z[:, i : i + 1] for i in range(z.shape[1])])


def product(
    weight: Float[Array, "rows rows"], z: Float[Array, "batch fields n points"]
) -> Float[Array, "batch fields n points"]:
    """A matrix times all fields, or times all their components."""
    rows = weight.shape[0]
    # Repeated over the batch the matrix is small, and the product needs no transposition.
    matrix = jnp.broadcast_to(weight.astype(z.dtype), (z.shape[0], rows, rows))
    flat = z.reshape(z.shape[0], rows, math.prod(z.shape[1:]) // rows)
    return jnp.matmul(matrix, flat, precision="highest").reshape(z.shape)
