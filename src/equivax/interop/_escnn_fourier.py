"""Fourier nonlinearities of escnn: the coordinates of their fields, and where their samples lie.

A module keeps its matrix of samples, ``A[j] = rho(g_j) k / |k|``, but not the elements ``g_j``. The
rows of one irrep of frequency 1 tell them, since it is faithful. (Functions on quotients weigh
frequencies otherwise there, so they have no counterpart.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from .. import groups, nn
from ..groups import Group, IrrepId
from ..representations import Representation, Summand, point_vectors, sampled_functions

SAME_SAMPLES = 1e-4
"""Their matrices are in float32."""
Samples = Float[np.ndarray, "points size"]


def grid_of(rep: Representation, samples: Samples) -> nn.FourierGrid | None:
    """Where samples lie.

    Args:
        rep: The field, one summand, with the copies of irreps that the samples are values of.
        samples: ``A``, of rows of length 1.

    Returns:
        The grid; None if the samples are not those of the field's functions on the group.
    """
    first = _first(rep)
    if first is None:
        return None
    rows = samples.astype(np.float64) @ rep.data[0][0].change_of_basis
    elements = _elements(rep, rows, point_vectors(rep.group, first))
    if elements is None or np.abs(_values(rep, elements) - rows).max() > SAME_SAMPLES:
        return None
    return nn.FourierGrid.of(rep.group, elements)


def in_their_coordinates(rep: Representation, samples: Samples) -> Representation | None:
    """The same matrices, with the copies of irreps that samples are values of.

    Where an irrep occurs several times its copies can be chosen in many ways; a
    `nn.FourierNonlinearity` takes them for the functions that they are, in their order.

    Args:
        rep: The field, one summand, with any choice of copies.
        samples: ``A``, of rows of length 1.

    Returns:
        The representation; None if there is none.
    """
    field = rep.data[0][0]
    elements = _elements(rep, samples.astype(np.float64) @ field.change_of_basis, None)
    if elements is None:
        return None
    values = _values(rep, elements)
    transposed, *_ = np.linalg.lstsq(values, samples.astype(np.float64), rcond=None)
    left, _, right = np.linalg.svd(transposed.T)  # the nearest orthogonal matrix
    made = Summand(rep.group, field.irreps, left @ right, field.name)
    found = Representation(rep.group, [(made, 1)])
    moved = [rep.group.sample(seed) for seed in range(3)]
    alike = all(np.abs(found(g) - rep(g)).max() < SAME_SAMPLES for g in moved)
    return found if alike and grid_of(found, samples) is not None else None


def _values(rep: Representation, elements: Sequence[object]) -> Samples:
    """Samples in the coordinates of irreps, of rows of length 1."""
    coordinates = rep.group.coordinates_of(elements)
    values = sampled_functions(rep.group, rep.irreps, coordinates)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def _first(rep: Representation) -> IrrepId | None:
    """The irrep of the group's standard matrices, if the field holds it."""
    if rep.group not in (groups.so2(), groups.o2(), groups.so3(), groups.o3()):
        return None
    (first,) = set(rep.group.standard.irreps)
    return first if first in rep.multiplicities else None


def _elements(
    rep: Representation, rows: Samples, start: Float[np.ndarray, "d copies"] | None
) -> Sequence[object] | None:
    """Values of ``g_j`` with ``psi(g_j) start = rows[j]`` for the standard irrep.

    Args:
        rep: The representation.
        rows: Samples in the coordinates of irreps.
        start: What stands in the row of the identity. If None, the first row, since moving all
            elements by one from the right is another choice of copies.
    """
    group, first = rep.group, _first(rep)
    if first is None:
        return None
    columns = rep.data[0][0].columns_of(first)
    basis = group.standard.change_of_basis
    vectors = np.einsum("sd,jcd->jsc", basis, rows[:, columns])
    own = None if start is None else basis @ start
    if vectors.shape[1:] == (2, 1):  # one copy of an irrep of complex type tells the angle
        quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
        vectors = np.concatenate([vectors, quarter @ vectors], axis=2)
        own = None if own is None else np.concatenate([own, quarter @ own], axis=1)
    size = group.standard.size
    if vectors.shape[1:] != (size, size):
        return None
    matrices = vectors @ np.linalg.inv(vectors[0] if own is None else own)
    matrices /= np.abs(np.linalg.det(matrices))[:, None, None] ** (1 / size)
    return [_value(group, matrix) for matrix in matrices]


def _value(group: Group, matrix: Float[np.ndarray, "n n"]) -> object:
    """The natural value of the element with a standard matrix."""
    if group is groups.so2():
        return float(np.arctan2(matrix[1, 0], matrix[0, 0]))
    if group is groups.o2():
        mirrored = bool(np.linalg.det(matrix) < 0)
        turn = matrix @ group.standard(group.element((int(mirrored), 0.0))).T
        return int(mirrored), float(np.arctan2(turn[1, 0], turn[0, 0]))
    left, _, right = np.linalg.svd(matrix)
    return left @ right
