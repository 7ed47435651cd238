"""One reader of generators: matrices, permutations, pairs of a permutation and signs."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from equivax import Representation, groups

QUARTER = np.array([[0.0, -1.0], [1.0, 0.0]])

#: A generator as users write it, and its matrix.
WRITTEN: list[tuple[Any, np.ndarray]] = [
    (([1, 0], [1, -1]), np.array([[0, -1], [1, 0]])),
    (([1, 2, 0], [1, 1, -1]), np.array([[0, 0, -1], [1, 0, 0], [0, 1, 0]])),
    ([[1, 2, 0], [1, 1, -1]], np.array([[0, 0, -1], [1, 0, 0], [0, 1, 0]])),
    (([1, 0], [1.0, 1.0]), np.array([[0, 1], [1, 0]])),
    ([1, 2, 0], np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]])),
    ([[0, 1], [1, 0]], np.array([[0, 1], [1, 0]])),
    (np.array([[1, 0], [1, -1]]), np.array([[1, 0], [1, -1]])),
    (QUARTER.tolist(), QUARTER),
    (QUARTER.astype(complex), QUARTER),
]


@pytest.mark.parametrize("generator, matrix", WRITTEN)
def test_a_generator_means_one_matrix(generator: Any, matrix: np.ndarray):
    group = groups.from_generators([generator])
    given = group.defining_matrices if group.given_matrices is None else group.given_matrices
    found = given[group.generator_indices[0]] if isinstance(given, np.ndarray) else None
    np.testing.assert_allclose(found, matrix, atol=1e-12)
    if np.allclose(matrix @ matrix.T, np.eye(len(matrix))):
        rep = Representation.from_generators(group, [generator])
        np.testing.assert_allclose(rep(group.generators[0]), matrix, atol=1e-12)


def test_pairs_from_files_are_pairs_and_say_so_where_they_could_be_matrices():
    read = json.loads(json.dumps([([1, 0], [1, -1])]))
    with pytest.warns(UserWarning, match=r"matrices\[0\]: .* read as a permutation and signs"):
        assert groups.from_generators(read).order == 4
    with pytest.warns(UserWarning, match="read as a permutation and signs"):
        rep = Representation.from_generators(groups.cyclic(4), read)
    np.testing.assert_allclose(rep(rep.group.element(1)), QUARTER, atol=1e-12)


@pytest.mark.parametrize("name", ["dihedral(5)", "full_octahedral()", "icosahedral()"])
@pytest.mark.parametrize("noise", [1e-4, 1e-2])
def test_measured_matrices_are_closed_within_their_error_and_made_exact(name: str, noise: float):
    exact = eval(f"groups.{name}")
    size = exact.standard.size
    rng = np.random.default_rng(0)
    truth = np.stack([exact.standard(g) for g in exact.generators])
    measured = truth + rng.uniform(-noise, noise, size=(len(truth), size, size))
    group = groups.from_generators(list(measured), tolerance=noise)
    assert group.order == exact.order
    rep = group.defining
    for g in group.generators:
        np.testing.assert_allclose(rep(g) @ rep(g).T, np.eye(size), atol=1e-14)
        np.testing.assert_allclose(rep(g) @ rep(g), rep(g @ g), atol=1e-14)
    moved = max(np.abs(rep(g) - m).max() for g, m in zip(group.generators, measured, strict=True))
    assert group.removed_error == pytest.approx(moved)
    assert noise / 4 < moved < 3 * noise
    # The same as a representation of a group that is known.
    of_exact = Representation.from_generators(exact, list(measured), tolerance=noise)
    assert of_exact.multiplicities == exact.standard.multiplicities
    assert of_exact.removed_error == pytest.approx(moved)
    assert of_exact.orthogonalizer is None


def test_oblique_matrices_that_were_measured_stay_oblique():
    third = np.array([[0.0, -1.0], [1.0, -1.0]])
    measured = third + np.array([[0.004, -0.003], [0.002, 0.001]])
    group = groups.from_generators([measured], tolerance=0.01)
    assert group.order == 3
    assert group.given_matrices is not None
    given = group.given_matrices[group.generator_indices[0]]
    np.testing.assert_allclose(np.linalg.matrix_power(given, 3), np.eye(2), atol=1e-13)
    assert np.abs(given - third).max() < 0.01
    np.testing.assert_allclose(group.removed_error, np.abs(given - measured).max())


def test_what_is_no_group_within_the_tolerance_is_refused():
    angle = 2 * np.pi * (np.sqrt(5) - 1) / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    with pytest.raises(ValueError, match="finite group"):
        groups.from_generators([turn], tolerance=1e-3, max_order=100)
    with pytest.raises(ValueError, match="need tolerance="):
        groups.from_generators([QUARTER + 0.001])
    with pytest.raises(ValueError, match=r"from_generators: matrices: .* tolerance=0.01"):
        Representation.from_generators(groups.cyclic(4), [np.eye(2) + 0.2], tolerance=0.01)
    with pytest.raises(ValueError, match="from_generators: tolerance: expected a finite number"):
        groups.from_generators([QUARTER], tolerance=1.5)


def test_rotations_of_scipy_and_exact_numbers():
    transform = pytest.importorskip("scipy.spatial.transform")
    cube = transform.Rotation.create_group("O")
    assert groups.from_generators(cube).order == 24
    assert groups.from_generators([cube[1], cube[2]]).order == 4
    half = Fraction(1, 2)
    exact = np.array([[half, Fraction(3, 4)], [Fraction(1), -half]], dtype=object)
    assert groups.from_generators([exact]).order == 2
    noisy = QUARTER.astype(complex) + 1e-16j
    assert groups.from_generators([noisy]).order == 4
    with pytest.raises(ValueError, match="complex entries"):
        groups.from_generators([QUARTER + 0.1j])


def test_matrices_of_sympy():
    sympy = pytest.importorskip("sympy", reason="sympy is no dependency")
    root = sympy.sqrt(3) / 2
    third = sympy.Matrix([[-sympy.Rational(1, 2), -root], [root, -sympy.Rational(1, 2)]])
    assert groups.from_generators([third]).order == 3
    cycle = pytest.importorskip("sympy.combinatorics").Permutation([1, 2, 0])
    assert groups.from_generators([cycle]) is groups.from_generators([[1, 2, 0]])
    with pytest.raises(ValueError, match="a square matrix"):
        groups.from_generators([sympy.Matrix([[sympy.Symbol("x")]])])
