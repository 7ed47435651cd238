"""`lstsq` is the optimum over Hom_G, of least norm where it is not unique."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx
from equivax import groups, linalg
from golden_statistics import array, has
from golden_vectors import CASES, facts, from_golden_matrices
from laws import normal, one_in
from random_types import mean_over_group

#: The numbers were computed twice, in two ways, to 1e-11 or better.
ATOL = 1e-9

pytestmark = pytest.mark.usefixtures("x64")


def fit(x, y, in_rep, out_rep, **options):
    """One program; without jit every operation is one."""
    return jax.jit(lambda x, y: linalg.lstsq(x, y, in_rep, out_rep, **options))(x, y)


def _types(case: str):
    group, record = case.split("/")[0], facts()["cases"][case]
    return tuple(from_golden_matrices(f"{group}/{record[side]}") for side in ("in", "out"))


@pytest.mark.parametrize("case", one_in(3, CASES[::3]))
def test_golden_fits(case):
    in_rep, out_rep = _types(case)
    for tag in ("ls_over", "ls_few", "ls_one"):
        key = f"C/{case}/{tag}"
        if not has(f"{key}/X"):
            continue
        x, y = array(f"{key}/X"), array(f"{key}/Y")
        fitted = fit(x, y, in_rep, out_rep)
        assert np.abs(fitted - array(f"{key}/A")).max() < ATOL
        if has(f"{key}/A_ridge0.3"):
            ridge = fit(x, y, in_rep, out_rep, ridge=0.3)
            assert np.abs(ridge - array(f"{key}/A_ridge0.3")).max() < ATOL
            weighted = fit(x, y, in_rep, out_rep, weights=array(f"{key}/weights"))
            assert np.abs(weighted - array(f"{key}/A_weighted")).max() < ATOL


@pytest.mark.parametrize("samples", [1, 3, 10, 200])
def test_it_equals_plain_least_squares_on_the_augmented_data(samples):
    """Row 1 of the peer's defects: solving freely and projecting is not the optimum."""
    rep = 2 * groups.dihedral(4).regular
    x, y = normal(2, samples, rep.size, seed=samples)
    moved_x = np.concatenate([np.asarray(x) @ g.T for g in rep.matrices])
    moved_y = np.concatenate([np.asarray(y) @ g.T for g in rep.matrices])
    expected = np.linalg.lstsq(moved_x, moved_y, rcond=1e-12)[0].T
    # Augmented problems of few samples are ill conditioned: 1e-8 instead of rounding.
    assert np.abs(linalg.lstsq(x, y, rep, rep) - expected).max() < 1e-8


def test_one_sample_determines_a_map_out_of_one_regular_copy():
    rep = groups.icosahedral().regular
    basis = evx.hom_basis(rep, rep)
    truth = basis.synthesize(basis.init(jax.random.key(0)))
    x = normal(1, rep.size, seed=1)
    fitted = linalg.lstsq(x, x @ truth.T, rep, rep)
    assert float(jnp.abs(fitted - truth).max()) < 1e-9


@pytest.mark.parametrize("solver", ["svd", "normal"])
def test_batches_compiled_and_mapped_calls_agree(solver):
    rep = groups.quaternion().regular
    x, y = normal(2, 3, 40, rep.size, seed=2)
    batched = linalg.lstsq(x, y, rep, rep, solver=solver)

    def fit(x, y):
        return linalg.lstsq(x, y, rep, rep, solver=solver)

    assert float(jnp.abs(jax.jit(jax.vmap(fit))(x, y) - batched).max()) < 1e-12
    assert float(jnp.abs(fit(x[1], y[1]) - batched[1]).max()) < 1e-12
    noise = np.asarray(batched[0])
    assert np.abs(mean_over_group(rep, rep, noise) - noise).max() < 1e-12


def test_gradients_with_ridge_are_finite_for_equal_samples():
    rep = groups.dihedral(3).regular
    x = jnp.ones((4, rep.size))
    gradient = jax.grad(lambda x: linalg.lstsq(x, x, rep, rep, ridge=0.1).sum())(x)
    assert bool(jnp.isfinite(gradient).all())


def test_float32_is_accurate_where_it_can_be(precision):
    with precision(False):
        rep = 4 * groups.octahedral().regular
        basis = evx.hom_basis(rep, rep)
        truth = basis.synthesize(basis.init(jax.random.key(0)))
        x = normal(500, rep.size, seed=1)
        fitted = linalg.lstsq(x, x @ truth.T, rep, rep)
    # Conditioning of a few times float32 rounding.
    assert float(jnp.abs(fitted - truth).max()) < 2e-5


def test_empty_hom_gives_zeros_and_orbit_averages_are_equivariant():
    group = groups.cyclic(4)
    zero = linalg.lstsq(jnp.ones((3, 2)), jnp.ones((3, 1)), group.irrep(1), group.trivial)
    assert zero.shape == (1, 2)
    assert not zero.any()
    rep = group.regular
    averaged = linalg.orbit_average(lambda x: jnp.cumsum(x, axis=-1) ** 2, rep, rep)
    evx.testing.assert_equivariant(averaged, rep, rep, key=jax.random.key(0))


BAD = {
    "unequal samples": (dict(y=jnp.ones((4, 4))), "same number of samples, got 3 and 4"),
    "wrong size": (dict(x=jnp.ones((3, 5))), r"x: expected \(\.\.\., N, 4\), got \(3, 5\)"),
    "one axis": (dict(x=jnp.ones(4)), r"x: expected \(\.\.\., N, 4\), got \(4,\)"),
    "no sample": (dict(x=jnp.ones((0, 4)), y=jnp.ones((0, 4))), "at least one sample"),
    "negative ridge": (dict(ridge=-1.0), "ridge: expected a finite number >= 0, got -1"),
    "negative weights": (dict(weights=-jnp.ones(3)), "weights: expected numbers >= 0"),
    "wrong weights": (dict(weights=jnp.ones(2)), r"one per sample \(\.\.\., 3\), got \(2,\)"),
    "unknown solver": (dict(solver="qr"), "solver: expected 'svd'.*'qr'"),
    "svd with ridge": (dict(solver="svd", ridge=1.0), "without ridge"),
    "other group": (dict(out_rep=groups.cyclic(2).regular), "acts by C4 but out_rep acts by C2"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused(name):
    change, message = BAD[name]
    rep = groups.cyclic(4).regular
    arguments = dict(x=jnp.ones((3, 4)), y=jnp.ones((3, 4)), in_rep=rep, out_rep=rep) | change
    with pytest.raises(ValueError, match=message):
        linalg.lstsq(**arguments)
