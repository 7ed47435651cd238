"""`Disentangle`: the orthogonal change to the coordinates of irreps."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..hom import from_irreps, irrep_names, to_irreps
from ..representations import Representation, direct_sum, irrep
from ._module import AbstractModule, representation_of
from ._plain import plain_linear


class Disentangle(AbstractModule):
    """``x -> Q_iso^T x``: copies of equal irreps next to each other, in the irreps' own basis.

    Law: ``f(rho(g) x) = rho_out(g) f(x)`` with ``rho_out`` block diagonal. Orthogonal, exact, no
    leaves; `inverse` is the way back.

    Shapes: ``(..., n) -> (..., n)``.
    """

    in_type: Any = eqx.field(static=True)
    out_type: Any = eqx.field(static=True)
    is_inverse: bool = eqx.field(static=True)

    def __init__(self, in_type: Any, *, inverse: bool = False) -> None:
        """Plans the change of basis.

        Args:
            in_type: A `Representation` of any group. The output type is the direct sum of its
                irreps, in the group's order.
            inverse: Build the way back, from those coordinates to ``in_type``.

        Raises:
            TypeError: If ``in_type`` is no type.
        """
        rep = representation_of(in_type, "Disentangle", "in_type")
        sorted_type = direct_sum(
            [count * irrep(rep.group, i) for i, count in rep.multiplicities.items()]
        )
        self.in_type = sorted_type if inverse else in_type
        self.out_type = in_type if inverse else sorted_type
        self.is_inverse = inverse

    @property
    def inverse(self) -> Disentangle:
        """The layer that undoes this one."""
        mixed = self.out_type if self.is_inverse else self.in_type
        return Disentangle(mixed, inverse=not self.is_inverse)

    def _forward(self, x: Float[Array, "*batch n"], key: Any = None) -> Float[Array, "*batch n"]:
        mixed: Representation = representation_of(
            self.out_type if self.is_inverse else self.in_type, "Disentangle", "in_type"
        )
        if _is_disentangled(mixed):
            return x
        if not self.is_inverse:
            coordinates = to_irreps(mixed, x)
            flat = [v.reshape(*x.shape[:-1], math.prod(v.shape[-2:])) for v in coordinates.values()]
            return jnp.concatenate(flat, axis=-1)
        blocks, start = {}, 0
        for name, (id, count) in zip(irrep_names(mixed), mixed.multiplicities.items(), strict=True):
            size = mixed.group.irrep_data(id).size
            stop = start + count * size
            blocks[name] = x[..., start:stop].reshape(*x.shape[:-1], count, size)
            start = stop
        return from_irreps(mixed, blocks)

    def export(self) -> eqx.nn.Linear | eqx.nn.Identity:
        """`equinox.nn.Linear` with the orthogonal matrix, or the identity."""
        rep = representation_of(self.in_type, "Disentangle", "in_type")
        if _is_disentangled(rep) and not self.is_inverse:
            return eqx.nn.Identity()
        eye = jnp.eye(rep.size, dtype=jnp.result_type(float))
        return plain_linear(self._forward(eye).T, None)


def _is_disentangled(rep: Representation) -> bool:
    """Whether equal irreps are adjacent, in order, and every change of basis is the identity."""
    keys = [rep.group.irrep_sort_key(i) for i in rep.irreps]
    diagonal = all(
        np.array_equal(summand.change_of_basis, np.eye(summand.size)) for summand, _ in rep.data
    )
    return diagonal and keys == sorted(keys)
