"""Hom spaces against what linear algebra says of the generators: dimension, span, projection."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import null_space

from equivax import hom_basis, linalg
from random_types import (
    FINITE,
    LIE,
    constraints,
    dense_generators,
    laws,
    mean_over_group,
    random_type,
)

#: Constraint matrices have entries of order 1 and singular values 0 or above 0.05.
RCOND = 1e-8


def check_against_null_space(in_rep, out_rep) -> None:
    basis = hom_basis(in_rep, out_rep)
    free = null_space(constraints(in_rep, out_rep, dense_generators(in_rep.group)), rcond=RCOND)
    assert basis.dim == free.shape[1]
    elements = basis.elements()
    assert elements.shape == (basis.dim, out_rep.size, in_rep.size)
    flat = elements.reshape(basis.dim, in_rep.size * out_rep.size)
    inside = free @ (free.T @ flat.T)
    # Rounding of an SVD of a few hundred columns.
    np.testing.assert_allclose(inside, flat.T, atol=1e-10)
    assert np.linalg.matrix_rank(flat) == basis.dim if basis.dim else True


@laws
@given(group=st.sampled_from(list(FINITE)), seed=st.integers(0, 2**20))
def test_finite_groups(group, seed):
    rng = np.random.default_rng(seed)
    check_against_null_space(random_type(FINITE[group], rng), random_type(FINITE[group], rng))


@laws
@given(group=st.sampled_from(list(LIE)), seed=st.integers(0, 2**20))
def test_lie_groups(group, seed):
    rng = np.random.default_rng(seed)
    check_against_null_space(
        random_type(LIE[group], rng, max_size=14), random_type(LIE[group], rng, max_size=14)
    )


@laws
@given(group=st.sampled_from(list(FINITE)), seed=st.integers(0, 2**20))
def test_dimension_is_the_mean_product_of_characters(group, seed):
    rng = np.random.default_rng(seed)
    a, b = random_type(FINITE[group], rng), random_type(FINITE[group], rng)
    characters = [np.array([rep.character(g) for g in rep.group.elements]) for rep in (a, b)]
    assert hom_basis(a, b).dim == pytest.approx(np.mean(characters[0] * characters[1]), abs=1e-9)


@laws
@given(group=st.sampled_from(list(FINITE)), seed=st.integers(0, 2**20))
def test_span_projects_as_the_group_average(group, seed):
    rng = np.random.default_rng(seed)
    a, b = random_type(FINITE[group], rng), random_type(FINITE[group], rng)
    w = rng.standard_normal((b.size, a.size))
    elements = hom_basis(a, b).elements()
    flat = elements.reshape(len(elements), w.size)
    coordinates = flat @ w.ravel() / (flat**2).sum(axis=1)
    found = (coordinates @ flat).reshape(w.shape)
    np.testing.assert_allclose(found, mean_over_group(a, b, w), atol=1e-12)


@laws
@given(group=st.sampled_from(list(FINITE | LIE)), seed=st.integers(0, 2**20))
def test_invariant_projector_is_the_fixed_space(group, seed):
    rep = random_type((FINITE | LIE)[group], np.random.default_rng(seed))
    moves = [rep(g) - np.eye(rep.size) for g in dense_generators(rep.group)]
    fixed = null_space(np.concatenate([np.zeros((1, rep.size)), *moves]), rcond=RCOND)
    # Rounding of the SVD, as above.
    np.testing.assert_allclose(linalg.invariant_projector(rep), fixed @ fixed.T, atol=1e-10)
