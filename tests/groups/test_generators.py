"""One reader of generators: matrices, permutations, pairs of a permutation and signs."""

from __future__ import annotations

import json
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
