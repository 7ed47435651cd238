"""`Disentangle`: fields that fall apart become several, by moving channels or by a basis change."""

from __future__ import annotations

import functools
import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import choice, flag
from ...fields import FieldType, Type
from ...hom import from_irreps, irrep_names, to_irreps
from ...representations import Representation, direct_sum, irrep
from .._core._channels import take_channels, type_like
from .._core._module import AbstractModule, channel_axis, on_channels, representation_of
from .._core._plain import plain_linear
from ._orbits import split
from ._reshuffle import gather_layer

WAYS = ("permutation", "irreps")


class Disentangle(AbstractModule):
    """Splits fields into independent ones: ``f(rho(g) x) = rho_out(g) f(x)``, orthogonal, exact.

    ``by="permutation"`` moves channels within each field, so that those which never mix lie apart.
    Blocks stand in the order of their smallest channels; one that the group permutes **equals**
    ``quotient(H)`` for the stabiliser H of its first channel (``regular`` if H is trivial), so a
    regular field of D_8 restricted to C_8 becomes two regular fields of C_8.

    ``by="irreps"`` is ``x -> Q_iso^T x``: copies of equal irreps next to each other, in the
    irreps' own basis.

    No leaves; `inverse` is the way back.

    Shapes: ``(..., n, *spatial) -> (..., n, *spatial)``.

    Examples:
        >>> import equivax as evx
        >>> space = evx.spaces.flip_rot_on_r2(8)
        >>> restrict = evx.nn.Restriction(evx.FieldType(space, space.regular), (None, 8))
        >>> evx.nn.Disentangle(restrict.out_type).out_type
        C8 on R2: 2 x regular
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    by: str = eqx.field(static=True)
    is_inverse: bool = eqx.field(static=True)

    def __init__(self, in_type: Type, by: str | None = None, *, inverse: bool = False) -> None:
        """Plans the change.

        Args:
            in_type: A type of any fields.
            by: ``"permutation"`` (the default for fields) or ``"irreps"`` (the default for a bare
                `Representation`; the output type is then the direct sum of its irreps, in the
                group's order).
            inverse: Build the way back, from those coordinates to ``in_type``.

        Raises:
            TypeError: If ``in_type`` is no type.
            ValueError: If ``by`` is neither.
        """
        rep = representation_of(in_type, "Disentangle", "in_type")
        if by is None:
            by = "permutation" if isinstance(in_type, FieldType) else "irreps"
        by, inverse = choice(by, "Disentangle", "by", WAYS), flag(inverse, "Disentangle", "inverse")
        if by == "irreps":
            apart = direct_sum(
                [count * irrep(rep.group, i) for i, count in rep.multiplicities.items()]
            )
        else:
            apart = direct_sum([count * split(summand).parts for summand, count in rep.data])
        apart_type = type_like(in_type, apart)
        self.in_type = apart_type if inverse else in_type
        self.out_type = in_type if inverse else apart_type
        self.by = by
        self.is_inverse = inverse

    @property
    def inverse(self) -> Disentangle:
        """The layer that undoes this one."""
        return Disentangle(self._mixed_type, self.by, inverse=not self.is_inverse)

    @property
    def _mixed_type(self) -> Type:
        return self.out_type if self.is_inverse else self.in_type

    @property
    def _mixed(self) -> Representation:
        return representation_of(self._mixed_type, "Disentangle", "in_type")

    def _order(self) -> np.ndarray:
        """Channel of the input for every one of the output."""
        channels = _channels(self._mixed)
        return np.argsort(channels).astype(np.int32) if self.is_inverse else channels

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        if self.by == "permutation":
            return take_channels(x, self._order(), channel_axis(self.in_type))
        if _is_disentangled(self._mixed):
            return x
        change = _from_coordinates if self.is_inverse else _to_coordinates
        return on_channels(functools.partial(change, self._mixed), x, self.in_type)

    def export(self) -> eqx.nn.Linear | eqx.nn.Conv | eqx.nn.Lambda | eqx.nn.Identity:
        """A gather; the orthogonal matrix, for fields as a 1 x 1 convolution; or the identity."""
        if self.by == "permutation":
            order = self._order()
            if np.array_equal(order, np.arange(len(order))):
                return eqx.nn.Identity()
            return gather_layer(order, self.in_type)
        if _is_disentangled(self._mixed):
            return eqx.nn.Identity()
        eye = jnp.eye(self._mixed.size, dtype=jnp.result_type(float))
        change = _from_coordinates if self.is_inverse else _to_coordinates
        return plain_linear(change(self._mixed, eye).T, None, self.in_type)


@functools.lru_cache(maxsize=256)
def _channels(rep: Representation) -> np.ndarray:
    """Old channel for every new one."""
    pieces, start = [], 0
    for summand, count in rep.data:
        own = np.asarray(split(summand).channels)
        starts = start + summand.size * np.arange(count)
        pieces.append((starts[:, None] + own[None, :]).ravel())
        start += count * summand.size
    channels = np.concatenate(pieces).astype(np.int32)
    channels.setflags(write=False)
    return channels


def _to_coordinates(mixed: Representation, x: Array) -> Array:
    coordinates = to_irreps(mixed, x)
    flat = [v.reshape(*x.shape[:-1], math.prod(v.shape[-2:])) for v in coordinates.values()]
    return jnp.concatenate(flat, axis=-1)


def _from_coordinates(mixed: Representation, x: Array) -> Array:
    blocks, start = {}, 0
    for name, (id, count) in zip(irrep_names(mixed), mixed.multiplicities.items(), strict=True):
        size = mixed.group.irrep_data(id).size
        stop = start + count * size
        blocks[name] = x[..., start:stop].reshape(*x.shape[:-1], count, size)
        start = stop
    return from_irreps(mixed, blocks)


def _is_disentangled(rep: Representation) -> bool:
    """Whether equal irreps are adjacent, in order, and every change of basis is the identity."""
    keys = [rep.group.irrep_sort_key(i) for i in rep.irreps]
    diagonal = all(
        np.array_equal(summand.change_of_basis, np.eye(summand.size)) for summand, _ in rep.data
    )
    return diagonal and keys == sorted(keys)
