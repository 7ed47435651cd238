"""The rotation groups of the tetrahedron, cube and icosahedron, and those with the inversion.

Elements are 3 x 3 matrices in the breadth-first order of two generators: the turn x -> y ->
z -> x about (1, 1, 1), which all three groups contain, and one rotation more. All two-fold
axes along x, y, z; a five-fold axis of the icosahedron along (1, 0, phi).
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from .._numerics import clean
from .._numerics._tolerances import SAME_MATRIX
from ._closure import Closure, close_matrices
from ._finite import FiniteGroup, IrrepTable
from ._interning import interned
from ._irrep import IrrepId
from ._matrix_values import matrix_values

PHI = (1.0 + np.sqrt(5.0)) / 2.0
_CYCLE = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
_HALF_TURN = np.diag([-1.0, -1.0, 1.0])
_QUARTER_TURN = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
_FIFTH_TURN = 0.5 * np.array([[1, -PHI, PHI - 1], [PHI, PHI - 1, -1], [PHI - 1, 1, PHI]])
"""Rotation by 2 pi / 5 about (1, 0, phi)."""

# Orthonormal bases: of R^3 without the diagonal (the functions 2 z^2 - x^2 - y^2 and
# x^2 - y^2 of the squares), and of the sum-free vectors of R^5.
_E_BASIS = np.array([[-1, -1, 2] / np.sqrt(6), [1, -1, 0] / np.sqrt(2)])
_SUM_FREE = np.stack(
    [np.r_[np.ones(k), -k, np.zeros(4 - k)] / np.sqrt(k * (k + 1)) for k in range(1, 5)]
)
# All entries of icosahedral rotations are (a + b phi) / 2 with small integers a, b.
_GOLDEN_A, _GOLDEN_B = (p.ravel() for p in np.meshgrid(np.arange(-2, 3), np.arange(-1, 2)))

Table = Callable[[np.ndarray], np.ndarray]
"""From the matrices ``(n, 3, 3)`` of all elements to those of an irrep."""


def _one(matrices: np.ndarray) -> np.ndarray:
    return np.ones((len(matrices), 1, 1))


def _axes_sign(matrices: np.ndarray) -> np.ndarray:
    """The sign of the permutation of the three axes."""
    return np.rint(np.linalg.det(np.abs(matrices)))[:, None, None]


def _axes_plane(matrices: np.ndarray) -> np.ndarray:
    """The permutation of the axes without its invariant vector."""
    return clean(_E_BASIS @ np.abs(matrices) @ _E_BASIS.T)


def _golden_conjugate(matrices: np.ndarray) -> np.ndarray:
    """Phi -> 1 - phi in all entries: the automorphism of Q(sqrt 5), which keeps products."""
    return _golden(matrices, 1 - PHI)


def _golden(matrices: np.ndarray, phi: float) -> np.ndarray:
    """Entries rounded to the nearest (a + b PHI) / 2 and evaluated at another phi."""
    values = (_GOLDEN_A + _GOLDEN_B * PHI) / 2
    nearest = np.argmin(np.abs(matrices[..., None] - values), axis=-1)
    return (_GOLDEN_A[nearest] + _GOLDEN_B[nearest] * phi) / 2


def _traceless(matrices: np.ndarray) -> np.ndarray:
    """R S R^T on symmetric traceless S, in the order of the harmonics of degree 2."""
    basis = np.zeros((5, 3, 3))
    for k, (i, j) in ((0, (0, 1)), (1, (1, 2)), (3, (0, 2))):
        basis[k, i, j] = basis[k, j, i] = np.sqrt(0.5)
    basis[2] = np.diag([-1, -1, 2]) / np.sqrt(6)
    basis[4] = np.diag([1, -1, 0]) / np.sqrt(2)
    turned = matrices[:, None] @ basis @ matrices[:, None].transpose(0, 1, 3, 2)
    return clean(np.einsum("kij,nlij->nkl", basis, turned))


def _five_triples(matrices: np.ndarray) -> np.ndarray:
    """The permutation of the five orthogonal triples of two-fold axes, without the sum."""
    twofold = matrices[np.abs(np.trace(matrices, axis1=1, axis2=2) + 1) < 0.1]
    projectors = ((twofold + np.eye(3)) / 2).reshape(15, 9)  # axis times its transpose
    cosines = projectors @ projectors.T  # squared; at least 0.09 from 0 and 1 otherwise
    together = (cosines < 0.01) | (cosines > 0.99)  # orthogonal or equal axes
    triple = np.unique(np.argmax(together, axis=1), return_inverse=True)[1]
    _, first = np.unique(triple, return_index=True)
    lead = projectors[first].reshape(5, 3, 3)
    turned = (matrices[:, None] @ lead @ matrices[:, None].transpose(0, 1, 3, 2)).reshape(-1, 5, 9)
    image = triple[np.argmax(turned @ projectors.T, axis=-1)]
    permutation = np.eye(5)[image].transpose(0, 2, 1)
    return clean(_SUM_FREE @ permutation @ _SUM_FREE.T)


def _vectors(matrices: np.ndarray) -> np.ndarray:
    return matrices


_Irreps = dict[str, tuple[IrrepId, int, int, Table]]

_TETRAHEDRAL: _Irreps = {
    "A": ((0,), 1, 1, _one),
    "T": ((1,), 3, 1, _vectors),
    "E": ((2,), 2, 2, _axes_plane),
}
_OCTAHEDRAL: _Irreps = {
    "A1": ((0,), 1, 1, _one),
    "T1": ((1,), 3, 1, _vectors),
    "T2": ((-1,), 3, 1, lambda matrices: _axes_sign(matrices) * matrices + 0.0),
    "E": ((2,), 2, 1, _axes_plane),
    "A2": ((3,), 1, 1, _axes_sign),
}
_ICOSAHEDRAL: _Irreps = {
    "A": ((0,), 1, 1, _one),
    "T1": ((1,), 3, 1, _vectors),
    "H": ((2,), 5, 1, _traceless),
    "T2": ((3,), 3, 1, _golden_conjugate),
    "G": ((4,), 4, 1, _five_triples),
}


@interned
def _rotations(name: str) -> Closure:
    generator = {
        "tetrahedral": _HALF_TURN,
        "octahedral": _QUARTER_TURN,
        "icosahedral": _FIFTH_TURN,
    }[name]
    closure = close_matrices(np.stack([generator, _CYCLE]), 60, SAME_MATRIX)
    # The octahedral entries -1, 0, 1 are among the golden ones.
    return dataclasses.replace(closure, matrices=_golden(closure.matrices, PHI))


def _group(
    name: str, factory: Callable[[], FiniteGroup], irreps: _Irreps, inversion: bool
) -> FiniteGroup:
    closure = _rotations(name.removeprefix("full_"))
    matrices, table, order = closure.matrices, closure.cayley_table, len(closure.matrices)
    generators = closure.generators.tolist()
    tables: dict[IrrepId, IrrepTable] = {}
    labels: dict[str, IrrepId] = {}
    if not inversion:
        for label, (key, size, endo, build) in irreps.items():
            tables[key] = IrrepTable(size, endo, lambda build=build: build(matrices))
            labels[label] = key
    else:
        for j in (0, 1):
            for label, (key, size, endo, build) in irreps.items():
                full_build = _with_parity(matrices, build, j)
                tables[(j, *key)] = IrrepTable(size, endo, full_build)
                labels[label + "gu"[j]] = (j, *key)
        table = np.block([[table, table + order], [table + order, table]])
        matrices = np.concatenate([matrices, -matrices]) + 0.0
        generators = [*generators, order]
    return FiniteGroup(
        name,
        (name,),
        (factory, ()),
        table,
        generators,
        defining=lambda: matrices,
        irreps=lambda: tables,
        labels=labels,
        values=matrix_values(matrices),
    )


def _with_parity(
    matrices: Float[np.ndarray, "n 3 3"], build: Table, j: int
) -> Callable[[], np.ndarray]:
    def full() -> np.ndarray:
        rotations = build(matrices)
        return np.concatenate([rotations, (1 - 2 * j) * rotations]) + 0.0

    return full


@interned
def tetrahedral() -> FiniteGroup:
    """The 12 rotations of the tetrahedron. Irreps (0,) A, (1,) T (rotations), (2,) E (complex)."""
    return _group("tetrahedral", tetrahedral, _TETRAHEDRAL, inversion=False)


@interned
def octahedral() -> FiniteGroup:
    """The 24 rotations of the cube.

    Irreps, in order: (0,) A1, (1,) T1 (rotations), (-1,) T2, (2,) E, (3,) A2; the labels
    are accepted as ids.
    """
    return _group("octahedral", octahedral, _OCTAHEDRAL, inversion=False)


@interned
def icosahedral() -> FiniteGroup:
    """The 60 rotations of the icosahedron.

    Irreps, in order: (0,) A, (1,) T1 (rotations), (2,) H, (3,) T2, (4,) G; the labels are
    accepted as ids.
    """
    return _group("icosahedral", icosahedral, _ICOSAHEDRAL, inversion=False)


@interned
def full_tetrahedral() -> FiniteGroup:
    """The 24 matrices +-R, R a rotation of the tetrahedron (the pyritohedral group T_h).

    "Full" means with the inversion, as for the other two groups; the group T_d with the
    mirrors of the tetrahedron is another one (isomorphic to ``octahedral()``). Irreps (j, id):
    (-1)^(j s) psi_id(R) on (-1)^s R, labels Ag, Tg, Eg, Au, Tu, Eu.
    """
    return _group("full_tetrahedral", full_tetrahedral, _TETRAHEDRAL, inversion=True)


@interned
def full_octahedral() -> FiniteGroup:
    """The 48 symmetries of the cube: +-R, first all R, then all -R.

    Irreps (j, id): (-1)^(j s) psi_id(R) on (-1)^s R; labels A1g ... A2u.
    """
    return _group("full_octahedral", full_octahedral, _OCTAHEDRAL, inversion=True)


@interned
def full_icosahedral() -> FiniteGroup:
    """The 120 symmetries of the icosahedron: +-R, first all R, then all -R.

    Irreps (j, id): (-1)^(j s) psi_id(R) on (-1)^s R; labels Ag ... Gu.
    """
    return _group("full_icosahedral", full_icosahedral, _ICOSAHEDRAL, inversion=True)
