"""Invariant pooling: norms, quadratic invariants, the mean over the orbit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import groups, hom_basis, nn
from random_types import FINITE, in_random_basis, mean_over_group

C5, D4, Q8 = FINITE["C5"], FINITE["D4"], FINITE["Q8"]
D3 = groups.dihedral(3)
TYPES = {
    "real": in_random_basis(2 * D4.trivial + 3 * D4.irrep(1, 1), 1)
    + D4.irrep(1, 1)
    + D4.irrep(1, 0),
    "complex": in_random_basis(C5.trivial + 2 * C5.irrep(1), 2) + C5.irrep(2) + C5.irrep(1),
    "quaternionic": in_random_basis(2 * Q8.irreps()[-1], 3) + Q8.irreps()[-1] + Q8.trivial,
    "no invariant": in_random_basis(2 * D4.irrep(1, 1), 4),
}
each_type = pytest.mark.parametrize("name", TYPES)
x64 = pytest.mark.usefixtures("x64")


def sample(rep, *batch):
    return np.random.default_rng(0).standard_normal((*batch, rep.size))


@x64
@each_type
def test_quadratic_pool_counts_the_symmetric_commuting_matrices(name):
    rep = TYPES[name]
    # Quadratic invariants are symmetric matrices in End(rep): count them as eigenvalues 1 of the
    # map "average, then symmetrise".
    dim = rep.size
    pi = np.mean([np.kron(m, m) for m in rep.matrices], axis=0)
    swap = np.eye(dim * dim).reshape(dim, dim, dim, dim).transpose(1, 0, 2, 3).reshape(dim**2, -1)
    symmetric = round(np.trace(pi @ (np.eye(dim * dim) + swap) / 2))
    linear = rep.multiplicities.get(rep.group.trivial.irreps[0], 0)
    pool = nn.QuadraticPool(rep)
    assert pool.out_type.size == symmetric + linear
    assert pool.out_type.is_trivial
    by_type = {
        "real": lambda m: m * (m + 1) // 2,
        "complex": lambda m: m * m,
        "quaternionic": lambda m: m * (2 * m - 1),
    }
    formula = sum(
        by_type[rep.group.irrep(*i).endomorphism_type](m) for i, m in rep.multiplicities.items()
    )
    assert symmetric == formula
    assert pool(sample(rep, 3)).shape == (3, symmetric + linear)


@x64
@each_type
def test_quadratic_pool_is_the_projection_of_the_outer_product(name):
    rep = TYPES[name]
    basis = hom_basis(rep, rep)
    pool = nn.QuadraticPool(rep)
    linear = rep.multiplicities.get(rep.group.trivial.irreps[0], 0)
    for x in sample(rep, 3):
        outer = mean_over_group(rep, rep, np.outer(x, x))
        theta = {k: np.asarray(c) for k, c in basis.coefficients(outer).items()}
        expected = []
        for block in basis.blocks:
            for i in range(block.in_multiplicity):
                for j in range(i, block.in_multiplicity):
                    count = block.endomorphism_dimension if i < j else 1
                    # <x_i, Psi_s x_j> = d theta[i, j, s] of x x^T.
                    expected += [block.size * theta[block.name][i, j, s] for s in range(count)]
        np.testing.assert_allclose(np.asarray(pool(x))[linear:], expected, atol=1e-12)
        invariant = rep.matrices.mean(axis=0) @ x
        norm = np.linalg.norm(np.asarray(pool(x))[:linear])
        assert norm == pytest.approx(np.linalg.norm(invariant), abs=1e-12)


@x64
def test_quadratic_pool_tells_parallel_from_perpendicular():
    rep = 2 * D3.irrep(1, 1)
    parallel, perpendicular = np.array([[1.0, 0, 1, 0], [1.0, 0, 0, 1]])
    norms = nn.IrrepNormPool(rep)
    np.testing.assert_allclose(norms(parallel), norms(perpendicular), atol=1e-14)
    quadratic = nn.QuadraticPool(rep)
    assert np.abs(quadratic(parallel) - quadratic(perpendicular)).max() == pytest.approx(1.0)


@x64
@pytest.mark.parametrize("pool", [nn.IrrepNormPool, nn.QuadraticPool, nn.InvariantPool])
@each_type
def test_invariance(name, pool):
    rep = TYPES[name]
    if pool is nn.InvariantPool and not rep.contains_trivial:
        with pytest.raises(ValueError, match="nothing linear is invariant"):
            pool(rep)
        return
    layer = pool(rep)
    x = sample(rep, 4)
    y = np.asarray(layer(x))
    for g in rep.group.elements:
        np.testing.assert_allclose(layer(rep.transform(x, g)), y, atol=1e-12)
    assert np.abs(y).max() > 0.1


@x64
def test_trivial_copies_keep_their_sign_on_request():
    """A fault of symm-learning 0.8.1: (-1, 2) becomes (1, 2)."""
    rep = 2 * D4.trivial
    x = np.array([-1.0, 2.0])
    np.testing.assert_array_equal(nn.IrrepNormPool(rep)(x), [1.0, 2.0])
    np.testing.assert_array_equal(nn.IrrepNormPool(rep, trivial="value")(x), [-1.0, 2.0])
    turned = TYPES["real"]
    x = sample(turned, 3)
    values, norms = nn.IrrepNormPool(turned, trivial="value")(x), nn.IrrepNormPool(turned)(x)
    is_trivial = np.array([i == D4.trivial.irreps[0] for i in turned.irreps])
    np.testing.assert_allclose(
        np.asarray(values)[:, ~is_trivial], np.asarray(norms)[:, ~is_trivial]
    )
    np.testing.assert_allclose(
        np.abs(values)[:, is_trivial], np.asarray(norms)[:, is_trivial], atol=1e-14
    )
    flipped = nn.IrrepNormPool(turned, trivial="value")(-x)
    np.testing.assert_allclose(
        np.asarray(flipped)[:, is_trivial], -np.asarray(values)[:, is_trivial]
    )


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("options", [{}, {"trivial": "value"}, {"eps": 0.1}], ids=str)
def test_norm_pool_gradient_at_zero(wide, options, precision):
    with precision(wide):
        rep = TYPES["real"]
        layer = nn.IrrepNormPool(rep, **options)
        jacobian = np.asarray(jax.jacobian(layer)(jnp.zeros(rep.size)))
        is_trivial = np.array([i == D4.trivial.irreps[0] for i in rep.irreps])
        keeps_sign = "trivial" in options
        assert not jacobian[~is_trivial].any()
        # A trivial copy passed by value is linear: a unit vector; as a norm it is flat at 0.
        lengths = np.linalg.norm(jacobian[is_trivial], axis=1)
        np.testing.assert_allclose(lengths, 1.0 if keeps_sign else 0.0, atol=1e-6)


@x64
def test_invariant_pool_is_the_mean_over_the_orbit():
    rep = TYPES["real"] + D4.regular
    layer = nn.InvariantPool(rep)
    x = sample(rep, 3)
    mean = x @ rep.matrices.mean(axis=0).T
    y = np.asarray(layer(x))
    assert y.shape == (3, 3)
    np.testing.assert_allclose(np.linalg.norm(y, axis=1), np.linalg.norm(mean, axis=1), rtol=1e-12)
    np.testing.assert_allclose(layer(mean), y, atol=1e-12)
    # The regular field comes last: its coordinate is the sum over the group by sqrt(8).
    np.testing.assert_allclose(y[:, 2], x[:, -8:].sum(axis=1) / np.sqrt(8), atol=1e-12)


def test_unknown_options():
    with pytest.raises(ValueError, match="trivial: expected 'norm' or 'value'"):
        nn.IrrepNormPool(D4.regular, trivial="sign")
    with pytest.raises(ValueError, match="eps: expected a finite number >= 0"):
        nn.IrrepNormPool(D4.regular, eps=-1.0)
