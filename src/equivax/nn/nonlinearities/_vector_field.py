"""`VectorFieldNonlinearity`: from responses per orientation to one vector."""

from __future__ import annotations

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import flag, number
from ...fields import Type
from ...hom import widened
from ...representations import Representation, direct_sum, induced_structure
from .._core._admission import numbered_runs
from .._core._channels import along, merge_axis, split_axis, type_like
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_layer

_NAME = "VectorFieldNonlinearity"


class VectorFieldNonlinearity(AbstractModule):
    """``y = max(m, 0) u_j`` with ``m = x_j`` the largest channel and ``u_j`` its direction.

    For regular fields of C_N, ``u_j = (cos 2 pi j / N, sin 2 pi j / N)``, a field of irrep 1
    (Marcos et al. 2017, Rotation equivariant vector field networks, section 3.3); for N = 2
    ``u = 1, -1``, a field of the sign. Also for fields of D_N on the N cosets of a mirror.

    Law: ``f(rho(g) x) = rho_out(g) f(x)`` where the maximum is unique. At ties the lowest index
    wins, which is neither equivariant nor continuous; ``soft=True`` is both, everywhere:
    ``y = max(m, 0) sum_j w_j u_j`` with ``w = softmax(x / temperature)``.

    Shapes: ``(..., F N, *spatial) -> (..., 2 F, *spatial)``, or ``(..., F, *spatial)`` for N = 2.
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    soft: bool = eqx.field(static=True)
    temperature: float = eqx.field(static=True)

    def __init__(self, in_type: Type, *, soft: bool = False, temperature: float = 1.0) -> None:
        """Checks the type.

        Args:
            in_type: A type of regular fields of C_N, N >= 2, or of quotient fields of D_N by a
                mirror.
            soft: Whether to average directions instead of choosing one.
            temperature: Of the softmax; towards 0 it chooses the largest.

        Raises:
            ValueError: If a field is another one, or ``temperature`` is not positive.
        """
        rep = representation_of(in_type, _NAME, "in_type")
        found = []
        for index, field, count in numbered_runs(rep):
            vectors = directions(field)
            if vectors is None:
                raise ValueError(
                    f"{_NAME}: in_type: field {index} ({field.name}) has no direction per "
                    f"channel; expected regular fields of C_N with N >= 2, or quotient fields of "
                    f"D_N by a mirror, and {rep.group.name} acts; NormNonlinearity takes any "
                    "field, and nn.Restriction leads to C_N"
                )
            found.append(count * vectors[0])
        self.in_type = in_type
        self.out_type = type_like(in_type, direct_sum(found))
        self.soft = flag(soft, _NAME, "soft")
        self.temperature = number(temperature, _NAME, "temperature", above=0)

    def _directions(self) -> np.ndarray:
        """Unit vectors ``(fields or 1, N, d)``."""
        rep = self._rep
        tables = [(directions(field), count) for field, count in rep.runs]
        stacked = [np.repeat(table[1][None], n, axis=0) for table, n in tables if table]
        return stacked[0][:1] if len(stacked) == 1 else np.concatenate(stacked)

    def _constants(self) -> tuple[np.ndarray, float | None, int]:
        temperature = self.temperature if self.soft else None
        return self._directions(), temperature, channel_axis(self.in_type)

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        return one_vector(*self._constants(), x)

    def export(self) -> eqx.nn.Lambda:
        """A plain function with the directions as constants."""
        return plain_layer(one_vector, *self._constants())


def one_vector(
    directions: Float[np.ndarray, "fields n d"] | Float[Array, "fields n d"],
    temperature: float | None,
    axis: int,
    x: Float[Array, "..."],
) -> Float[Array, "..."]:
    """``max(m, 0) u_j`` for every field; the mean of ``u`` with a temperature of the softmax."""
    orientations, dtype = directions.shape[1], x.dtype
    x = widened(x)  # directions whose weights are nearly equal cancel
    v = split_axis(x, x.shape[axis] // orientations, orientations, axis)
    if temperature is None:
        largest = jnp.argmax(v, axis=axis, keepdims=True)
        places = along(jnp.arange(orientations), axis)
        weights = jnp.where(places == largest, jax.nn.relu(v), 0.0)
    else:
        weights = jax.nn.softmax(v / temperature, axis=axis)
        weights = weights * jax.nn.relu(v.max(axis=axis, keepdims=True))
    table = jnp.asarray(directions, x.dtype).reshape(*directions.shape, *[1] * (-1 - axis))
    parts = [(weights * table[:, :, i]).sum(axis=axis) for i in range(directions.shape[2])]
    return merge_axis(jnp.stack(parts, axis=axis), axis).astype(dtype)


@functools.lru_cache(maxsize=256)
def directions(field: Representation) -> tuple[Representation, np.ndarray] | None:
    """The irrep of vectors, and the one that belongs to each channel ``(N, d)``; or None.

    Channel ``g H`` has the direction ``psi(g) u`` with ``u`` the unit vector that ``H`` fixes:
    ``u = e_0`` for trivial ``H``, the axis of the mirror at an angle in [0, pi) for a mirror.
    """
    group = field.group
    found = induced_structure(field, remembered=False)
    if found is None:
        return None
    kind, order = group.kind, group.order
    if kind == "cyclic" and order is not None and order >= 2 and field.size == order:
        irrep, first = group.irrep(1), None
    elif kind == "dihedral" and order is not None and order >= 4 and 2 * field.size == order:
        mirror = found.subgroup.embedding(found.subgroup.group.elements[1])
        flip, turn = mirror.value
        if not flip:
            return None
        # D_2 has two mirrors and an irrep of size one for each.
        irrep = group.irrep(1, 1) if order > 4 or turn else group.irrep(0, 1)
        first = np.pi * turn / field.size if irrep.size == 2 else None
    else:
        return None
    start = np.eye(irrep.size)[0] if first is None else np.array([np.cos(first), np.sin(first)])
    representatives = found.subgroup.coset_representatives
    table = np.zeros((field.size, irrep.size))
    table[list(found.starts)] = [irrep(g) @ start for g in representatives]
    table.setflags(write=False)
    return irrep, table
