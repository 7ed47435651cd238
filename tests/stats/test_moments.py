"""Mean and covariance of invariant data: golden numbers, unbiasedness, invariance."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx
from equivax import groups, stats
from equivax.hom import invariant_vector
from equivax.representations import Representation
from golden_statistics import array, has
from golden_vectors import CASES, facts, from_golden_matrices
from laws import normal, one_in, relative

ATOL = 1e-9

pytestmark = pytest.mark.usefixtures("x64")


@pytest.mark.parametrize("case", one_in(9, [c for c in CASES if has(f"S/{c}/X")][::2]))
def test_golden_moments(case):
    group, record = case.split("/")[0], facts()["cases"][case]
    x_rep, y_rep = (from_golden_matrices(f"{group}/{record[side]}") for side in ("in", "out"))
    x, y = array(f"S/{case}/X"), array(f"S/{case}/Y")

    @jax.jit  # one program for all
    def moments(x, y):
        return {
            "mean_x": stats.mean(x, x_rep),
            "mean_y": stats.mean(y, y_rep),
            "cov_yx_ml": stats.cov(x, y, x_rep, y_rep, estimator="ml"),
            "cov_yx_unbiased": stats.cov(x, y, x_rep, y_rep),
            "cov_yx_uncentered": stats.cov(x, y, x_rep, y_rep, centered=False),
            "cov_xx_ml": stats.cov(x, x, x_rep, x_rep, estimator="ml"),
            "cov_xx_unbiased": stats.cov(x, x, x_rep, x_rep),
            "var_x_ml": stats.var_mean(x, x_rep, estimator="ml")[0],
            "var_x_unbiased": stats.var_mean(x, x_rep)[0],
        }

    for name, value in moments(x, y).items():
        assert np.abs(value - array(f"S/{case}/{name}")).max() < ATOL, name


@pytest.mark.parametrize("deviations", [0.0, 1e3, 1e5])
@pytest.mark.parametrize("basis", ["given", "turned"])
def test_moments_keep_single_precision_beside_large_means(basis, deviations):
    """As in double precision on the same numbers: the mean leaves no rounding in other irreps."""
    group, rng = groups.dihedral(3), np.random.default_rng(0)
    rep = 2 * group.regular + group.trivial + group.irrep(1, 1)
    if basis == "turned":
        turn, _ = np.linalg.qr(rng.normal(size=(6, 6)))
        own = Representation.from_matrices(group, turn @ group.regular.matrices @ turn.T)
        rep = 2 * own + group.trivial + group.irrep(1, 1)
    mean = deviations * invariant_vector(rep, jnp.array([1.0, -0.7, 0.3]))
    x = jnp.asarray(rng.normal(size=(50, rep.size)) + mean, jnp.float32)

    @jax.jit
    def moments(x):
        return (
            stats.mean(x, rep),
            stats.cov(x, x, rep, rep),
            stats.var_mean(x, rep)[0],
            stats.spectral_var(x, rep),
        )

    for single, double in zip(moments(x), moments(x.astype(float)), strict=True):
        assert relative(single, double) < 5e-6


@pytest.mark.parametrize("samples", [2, 3])
@pytest.mark.parametrize("name", one_in(3, ["D3", "C4", "Q8"]))
def test_the_unbiased_estimator_is_unbiased(name, samples):
    """Row 8 of the peer's defects: divisor N - 1 on every irrep doubles the variance at N = 2."""
    group = {"D3": groups.dihedral(3), "C4": groups.cyclic(4), "Q8": groups.quaternion()}[name]
    rep = group.regular + group.trivial
    draws = jax.random.normal(jax.random.key(0), (40_000, samples, rep.size))
    covariances = jax.vmap(lambda x: stats.cov(x, x, rep, rep))(draws)
    # 40 000 draws of a variance of variances of order one: 4 sigma are below 4 %.
    assert np.abs(covariances.mean(0) - np.eye(rep.size)).max() < 0.04


def test_variance_is_the_diagonal_of_the_covariance_in_any_basis():
    """Row 9 of the peer's defects: correlations between copies count."""
    group = groups.dihedral(3)
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(2, 2)))
    turned = evx.Representation.from_matrices(group, q @ (2 * group.trivial).matrices @ q.T)
    rep = turned + group.regular + turned
    x = normal(50, rep.size, seed=1) @ jnp.diag(jnp.arange(1.0, rep.size + 1))
    variance, _ = stats.var_mean(x, rep)
    assert np.abs(variance - jnp.diagonal(stats.cov(x, x, rep, rep))).max() < 1e-10


def test_axes_are_named_and_time_does_not_scramble_channels():
    """Row 10 of the peer's defects."""
    rep = 4 * groups.cyclic(1).trivial
    x = normal(200, 30, 4, seed=2) + jnp.array([0.0, 10.0, 20.0, 30.0])
    variance, average = stats.var_mean(x, rep, axis=(0, 1))
    # 6000 samples: 4 sigma are 5 % and 8 %.
    assert np.abs(average - np.array([0.0, 10.0, 20.0, 30.0])).max() < 0.06
    assert np.abs(variance - 1).max() < 0.08
    per_time, _ = stats.var_mean(x, rep, axis=0)
    assert per_time.shape == (30, 4)


def test_moments_do_not_change_when_the_data_move():
    rep = groups.quaternion().regular + groups.quaternion().irrep(1)
    x = np.asarray(normal(20, rep.size, seed=3))
    covariance, variance = stats.cov(x, x, rep, rep), stats.spectral_var(x, rep)
    for g in rep.group.elements:
        moved = rep.transform(x, g)
        assert np.abs(stats.cov(moved, moved, rep, rep) - covariance).max() < 1e-12
        assert np.abs(stats.spectral_var(moved, rep) - variance).max() < 1e-12
    assert np.linalg.eigvalsh(covariance).min() > 0
    plain = np.concatenate([rep.transform(x, g) for g in rep.group.elements])
    expected = plain.T @ plain / len(plain) - np.outer(plain.mean(0), plain.mean(0))
    assert np.abs(stats.cov(x, x, rep, rep, estimator="ml") - expected).max() < 1e-12


def test_known_center_and_weights():
    rep = groups.dihedral(4).regular
    x = normal(30, rep.size, seed=4)
    variance, _ = stats.var_mean(x, rep, center=jnp.zeros(rep.size))
    expected = jnp.diagonal(stats.cov(x, x, rep, rep, centered=False))
    assert np.abs(variance - expected).max() < 1e-12
    doubled = stats.cov(jnp.concatenate([x, x[:5]]), jnp.concatenate([x, x[:5]]), rep, rep,
                        estimator="ml")  # fmt: skip
    weights = jnp.ones(30).at[:5].set(2.0)
    weighted = stats.cov(x, x, rep, rep, estimator="ml", weights=weights)
    assert np.abs(doubled - weighted).max() < 1e-12


def test_one_sample_has_no_unbiased_invariant_variance():
    rep = groups.cyclic(3).regular
    with pytest.warns(RuntimeWarning, match="one sample"):
        variance, _ = stats.var_mean(jnp.ones((1, 3)), rep)
    assert bool(jnp.isnan(variance).all())


BAD = {
    "wrong size": (lambda r: stats.mean(jnp.ones((3, 5)), r), r"\(N, \.\.\., 4\).*\(3, 5\)"),
    "no samples": (lambda r: stats.mean(jnp.ones((0, 4)), r), "at least one sample"),
    "channels as samples": (lambda r: stats.mean(jnp.ones((3, 4)), r, axis=1), "not its last"),
    "axis twice": (lambda r: stats.mean(jnp.ones((3, 2, 4)), r, axis=(0, 0)), "distinct"),
    "unknown estimator": (
        lambda r: stats.var_mean(jnp.ones((3, 4)), r, estimator="map"), "unbiased, ml.*'map'",
    ),
    "weights of the wrong number": (
        lambda r: stats.mean(jnp.ones((3, 4)), r, weights=jnp.ones(2)), r"\(3,\), got \(2,\)",
    ),
    "weights all zero": (
        lambda r: stats.mean(jnp.ones((3, 4)), r, weights=jnp.zeros(3)), "not all 0",
    ),
    "unequal samples": (
        lambda r: stats.cov(jnp.ones((3, 4)), jnp.ones((2, 4)), r, r), "the same samples",
    ),
    "other group": (
        lambda r: stats.cov(jnp.ones((3, 4)), jnp.ones((3, 2)), r, groups.cyclic(2).regular),
        "acts by C4 but out_rep acts by C2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused(name):
    call, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        call(groups.cyclic(4).regular)
