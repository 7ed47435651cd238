"""`SphericalHarmonics`: directions as fields."""

from __future__ import annotations

import functools
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import flag
from ...fields import FieldType
from ...hom import HIGHEST, at_least_float32, hom_basis
from ...kernels import harmonic_representation, harmonic_table, polynomial_values
from ...representations import Representation
from ...spaces import GSpace
from .._core._module import AbstractModule
from .._core._plain import detached
from ._inputs import checked_space

_NAME = "SphericalHarmonics"

#: In space every irrep of every polyhedral group has occurred by then.
MOST_DEGREE = 15

#: Norm above which a projection is not rounding.
SOME = 1e-6


class SphericalHarmonics(AbstractModule):
    """Vectors as fields: every irrep gets the real harmonics of the lowest degree that has it.

    Of SO(3) and O(3) the irrep of degree l gets ``Y_l(x / |x|)``, whose squares sum to 1; on a
    plane ``(cos l t, sin l t)``. Other groups split degrees: an irrep gets its part, scaled so that
    squares sum to 1 on average over directions. The origin, which has no direction, gives 0 for all
    degrees but 0.

    Law: ``f(A(g) x) = rho_out(g) f(x)``. Translations change directions: give it offsets, or
    positions from a centre.

    Shapes: ``(..., d) -> (..., c)``.

    Attributes:
        in_type: How the group moves vectors.
        out_type: The representation of the type that was given.

    Examples:
        >>> import equivax as evx, jax.numpy as jnp
        >>> space = evx.spaces.rot_on_r3()
        >>> fields = evx.FieldType(space, [space.irrep(0), space.irrep(1), space.irrep(2)])
        >>> harmonics = evx.nn.SphericalHarmonics(fields)
        >>> harmonics(jnp.array([[0.0, 0.0, 2.0]])).round(3)[0, :4]  # 1, then y, z, x
        Array([1., 0., 1., 0.], dtype=float32)
    """

    in_type: Representation = eqx.field(static=True)
    out_type: Representation = eqx.field(static=True)
    space: GSpace = eqx.field(static=True)
    normalize: bool = eqx.field(static=True)

    def __init__(self, out_type: FieldType, *, normalize: bool = True) -> None:
        """Finds the degrees.

        Args:
            out_type: Type of the fields, on a plane or in space.
            normalize: Whether lengths are left out; else harmonics of degree l grow with
                ``|x|^l``, polynomials, which are smooth at the origin.

        Raises:
            ValueError: If the space has another dimension, or an irrep of the type occurs in no
                harmonics, such as pseudoscalars of O(3).
            TypeError: If ``out_type`` is no `FieldType`.
        """
        type_ = checked_space(_NAME, "out_type", out_type)
        self.space = type_.space
        self.in_type = type_.space.vector
        self.out_type = type_.representation
        self.normalize = flag(normalize, _NAME, "normalize")
        _plan(self.space, self.out_type)

    def _forward(self, x: Float[Array, "..."], key: PRNGKeyArray | None = None) -> Array:
        degrees, matrix = _plan(self.space, self.out_type)
        return harmonic_fields(_tables(self.space, degrees), matrix, self.normalize, x)

    def export(self) -> Any:
        """A plain function of vectors, as `equinox.nn.Lambda`."""
        degrees, matrix = _plan(self.space, self.out_type)
        bound = _bound(self.space, degrees, self.normalize)
        function = jax.tree_util.Partial(bound, jnp.asarray(matrix))
        return eqx.nn.Lambda(function)


def harmonic_fields(tables, matrix, normalize, x):
    """``M (Y_l(x))_l`` for the tables of the degrees in turn."""
    wide = x.astype(at_least_float32(x.dtype))
    if normalize:
        # Of numbers up to 1, whose squares neither vanish nor overflow. Lengths are left out, so
        # that nothing depends on the divisor.
        largest = jax.lax.stop_gradient(jnp.max(jnp.abs(wide), axis=-1, keepdims=True))
        wide = wide / jnp.where(largest > 0, largest, 1)
        squares = (wide**2).sum(axis=-1, keepdims=True)
        # The root has no derivative at 0, not even where it is not used.
        wide = wide / jnp.sqrt(jnp.where(squares > 0, squares, 1))
    functions = jnp.concatenate(
        [polynomial_values(orders, table, wide) for orders, table in tables], axis=-1
    )
    y = jnp.matmul(functions, jnp.asarray(matrix.T, wide.dtype), precision=HIGHEST)
    return y.astype(x.dtype)


@functools.lru_cache(maxsize=256)
def _plan(
    space: GSpace, rep: Representation
) -> tuple[tuple[int, ...], Float[np.ndarray, "out functions"]]:
    """The degrees that a representation needs, and the matrix from their harmonics to it."""
    of = {irrep: _lowest(space, irrep) for irrep in dict.fromkeys(rep.irreps)}
    degrees = tuple(sorted({degree for degree, _ in of.values()}))
    sizes = [harmonic_representation(space, degree).size for degree in degrees]
    starts = dict(zip(degrees, np.cumsum([0, *sizes]).tolist(), strict=False))
    rows = []
    for irrep in rep.irreps:
        degree, block = of[irrep]
        row = np.zeros((len(block), sum(sizes)))
        row[:, starts[degree] : starts[degree] + block.shape[1]] = block
        rows.append(row)
    return degrees, rep.change_of_basis @ np.concatenate(rows)


def _lowest(space: GSpace, irrep_id: tuple[Any, ...]) -> tuple[int, Float[np.ndarray, "d y"]]:
    """The lowest degree that an irrep occurs in, and the map from its harmonics."""
    irrep = space.group.irrep(*irrep_id)
    for degree in range(_last_degree(space, irrep_id) + 1):
        whole = harmonic_representation(space, degree)
        if irrep_id not in whole.multiplicities:
            continue
        elements = hom_basis(whole, irrep).elements()
        found = elements[0]
        if irrep.size == whole.size:  # the harmonics themselves, where they are a basis
            own = np.einsum("nab,n->ab", elements, np.einsum("naa->n", elements))
            if np.linalg.norm(own) > SOME:
                found = own
        return degree, found * math.sqrt(whole.size) / np.linalg.norm(found)
    raise ValueError(
        f"{_NAME}: out_type: expected irreps that occur in harmonics, got "
        f"{space.group.irrep_data(irrep_id).name} of {space.group.name}, by which no function of "
        "directions turns"
    )


def _last_degree(space: GSpace, irrep_id: tuple[Any, ...]) -> int:
    """Beyond this degree no irrep occurs for the first time."""
    if space.group.order is None:
        return max(abs(number) for number in irrep_id if isinstance(number, int))
    return space.group.order if space.dim == 2 else MOST_DEGREE


@functools.lru_cache(maxsize=256)
def _bound(space: GSpace, degrees: tuple[int, ...], normalize: bool) -> Any:
    """One function for equal degrees, so that exports share a compilation."""
    tables = _tables(space, degrees)
    return functools.partial(detached(_with_matrix), tables=tables, normalize=normalize)


def _tables(space: GSpace, degrees: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple(harmonic_table(space.dim, degree) for degree in degrees)


def _with_matrix(matrix, x, key=None, *, tables, normalize):
    return harmonic_fields(tables, matrix, normalize, x)
