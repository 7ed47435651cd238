"""`VectorNeuron`: an activation along a learned direction, for fields of any kind."""

from __future__ import annotations

import functools
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
    batch, fields, n, points = z.shape
    # Repeated over the batch the matrix is small, and the product needs no transposition.
    rows = weight.shape[0]
    matrix = jnp.broadcast_to(weight.astype(z.dtype), (batch, rows, rows))
    mixed = z.reshape(batch, rows, fields * n * points // rows)
    q = jnp.matmul(matrix, mixed, precision="highest").reshape(z.shape)
    # Of u only its length is divided: no pass through memory writes u itself.
    inverse = 1.0 / (safe_norms(jnp.sum(q * q, axis=2, keepdims=True)) + eps)
    s = jnp.sum(z * q, axis=2, keepdims=True) * inverse
    if convention == "signed":
        return z + (activation(s) - s) * inverse * q
    return z + (activation(s) * s / (jnp.abs(s) + eps) - s) * inverse * q
