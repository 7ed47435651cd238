"""Norms, batch norm, running moments and Gaussians: golden numbers and their own laws."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx
from equivax import groups, nn, testing
from golden_statistics import array, has
from golden_vectors import REPS, with_golden_basis

ATOL = 1e-9
KEY = jax.random.key(11)

pytestmark = pytest.mark.usefixtures("x64")


@pytest.mark.parametrize("name", REPS[::4])
@pytest.mark.filterwarnings("ignore:LayerNorm")
def test_golden_norms(name):
    rep, x = with_golden_basis(name), array(f"R/{name}/rms_y")
    # The inputs are those of the other golden facts.
    from golden_vectors import array as vectors

    x = vectors(f"R/{name}/x")
    rms = nn.RMSNorm(rep, eps=1e-3, affine=False)(x)
    assert np.abs(rms - array(f"R/{name}/rms_y")).max() < ATOL
    for pool in ("copy", "type"):
        layer = nn.LayerNorm(rep, eps=1e-3, pool=pool, center=False, affine=False)
        assert np.abs(layer(x) - array(f"R/{name}/ln_{pool}_y")).max() < ATOL


@pytest.mark.parametrize("name", [r for r in REPS if has(f"R/{r}/gauss_mean")][::4])
def test_golden_gaussians(name):
    rep = with_golden_basis(name)
    mean, y = array(f"R/{name}/gauss_mean"), array(f"R/{name}/gauss_y")
    diagonal = nn.EquivariantMultivariateNormal(rep)
    first = diagonal(np.concatenate([mean, array(f"R/{name}/gauss_logvar")]))
    assert np.abs(first.covariance - array(f"R/{name}/gauss_cov_diag")).max() < ATOL
    assert np.abs(first.log_prob(y) - array(f"R/{name}/gauss_logp_diag")).max() < ATOL
    full = nn.EquivariantMultivariateNormal(rep, covariance="full")
    eta = full.dof_from_covariance(array(f"R/{name}/gauss_cov_full"))
    second = full(jnp.concatenate([mean, eta]))
    assert np.abs(second.covariance - array(f"R/{name}/gauss_cov_full")).max() < ATOL
    assert np.abs(second.log_prob(y) - array(f"R/{name}/gauss_logp_full")).max() < ATOL


@pytest.mark.parametrize("covariance", ["diagonal", "full", "type"])
def test_the_density_is_invariant_and_that_of_scipy(covariance):
    """Row 7 of the peer's defects: the log-density varied by 11 nats over an orbit."""
    group = groups.quaternion()
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(9, 9)))
    matrices = (group.regular + group.trivial).matrices
    rep = evx.Representation.from_matrices(group, q @ matrices @ q.T)
    layer = nn.EquivariantMultivariateNormal(rep, covariance=covariance)
    u = np.asarray(jax.random.normal(KEY, (layer.in_type.size,)))
    y = np.asarray(jax.random.normal(jax.random.key(1), (5, rep.size)))
    distribution = layer(u)
    reference = distribution.log_prob(y)
    for g in group.elements:
        moved = layer(layer.in_type.transform(u, g)).log_prob(rep.transform(y, g))
        assert np.abs(moved - reference).max() < 1e-10
    dense = jax.scipy.stats.multivariate_normal.logpdf(y, u[: rep.size], distribution.covariance)
    assert np.abs(dense - reference).max() < 1e-9
    assert float(distribution.kl(distribution)) == pytest.approx(0.0, abs=1e-10)
    log_det = np.linalg.slogdet(distribution.covariance)[1]
    entropy = 0.5 * (rep.size * (1 + np.log(2 * np.pi)) + log_det)
    assert float(distribution.entropy()) == pytest.approx(entropy, abs=1e-10)
    batched = layer(np.stack([u, u])).log_prob(y[:, None])
    assert np.abs(batched - reference[:, None]).max() < 1e-12
    samples = distribution.sample(jax.random.key(2), (40_000,))
    scale = np.abs(distribution.covariance).max()
    # 40 000 samples: 4 sigma of an entry of the covariance are 3 % of the largest.
    assert np.abs(np.cov(samples.T) - distribution.covariance).max() < 0.04 * scale


def test_the_full_covariance_has_all_commuting_degrees_of_freedom():
    rep = 2 * groups.quaternion().regular
    layer = nn.EquivariantMultivariateNormal(rep, covariance="full")
    squares = [rep(g @ g).trace() for g in rep.group.elements]
    characters = [rep.character(g) for g in rep.group.elements]
    assert layer.num_dof == (np.mean(np.square(characters)) + np.mean(squares)) / 2
    eta = jax.random.normal(KEY, (layer.num_dof,)) / 3
    sigma = layer(jnp.concatenate([jnp.zeros(rep.size), eta])).covariance
    assert float(jnp.abs(layer.dof_from_covariance(sigma) - eta).max()) < 1e-9
    with pytest.raises(ValueError, match="commutes"):
        layer.dof_from_covariance(jnp.diag(jnp.arange(1.0, rep.size + 1)))


def test_fit_is_the_maximum_of_the_likelihood():
    rep = groups.dihedral(3).regular + groups.dihedral(3).trivial
    y = jax.random.normal(KEY, (60, rep.size)) @ jnp.diag(jnp.arange(1.0, rep.size + 1))
    layer = nn.EquivariantMultivariateNormal(rep, covariance="full")
    best = layer.fit(y)
    eta = layer.dof_from_covariance(best.covariance)
    u = jnp.concatenate([best.mean, eta])
    gradient = jax.grad(lambda eta: layer(jnp.concatenate([u[: rep.size], eta])).log_prob(y).sum())
    assert float(jnp.abs(gradient(eta)).max()) < 1e-8


def test_layer_norm_is_that_of_equinox_on_permutations():
    rep = 3 * groups.dihedral(4).regular
    x = jax.random.normal(KEY, (7, rep.size))
    ours = nn.LayerNorm(rep, eps=1e-5)(x)
    theirs = jax.vmap(eqx.nn.LayerNorm(rep.size, eps=1e-5))(x)
    assert float(jnp.abs(ours - theirs).max()) < 1e-12


def test_layer_norm_keeps_more_than_signs():
    """Row 16 of the peer's defects."""
    rep = 2 * groups.cyclic(2).regular
    one, other = jnp.array([3.0, 1, -2, 0.5]), jnp.array([100.0, 1, 7, 0.1])
    layer = nn.LayerNorm(rep)
    assert float(jnp.abs(jnp.abs(layer(one)) - jnp.abs(layer(other))).max()) > 0.1
    with pytest.warns(UserWarning, match="only the sign"):
        nn.LayerNorm(rep, pool="copy")


@pytest.mark.parametrize("inference", [False, True])
def test_batch_norm_is_equivariant_in_any_basis(inference):
    group = groups.dihedral(3)
    q, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(12, 12)))
    matrices = (2 * group.regular).matrices
    rep = evx.Representation.from_matrices(group, q @ matrices @ q.T)
    layer, state = eqx.nn.make_with_state(nn.GNormBatchNorm)(rep)
    layer = testing.randomize_parameters(layer, KEY)
    x = np.asarray(3 * jax.random.normal(KEY, (16, rep.size)) + 1)
    _, state = layer(x, state)
    layer = eqx.nn.inference_mode(layer, inference)
    y, _ = layer(x, state)
    for g in group.elements:
        moved, _ = layer(rep.transform(x, g), state)
        assert np.abs(moved - rep.transform(np.asarray(y), g)).max() < 1e-11
    if inference:
        exported = layer.export(state)
        assert float(jnp.abs(jax.vmap(exported)(x) - y).max()) < 1e-11


def test_batch_norm_on_invariants_is_plain_batch_norm():
    """Row 16 of the peer's defects: training divides by the statistics of the batch."""
    rep = 5 * groups.cyclic(1).trivial
    layer, state = eqx.nn.make_with_state(nn.GNormBatchNorm)(rep)
    x = 10 * jax.random.normal(KEY, (64, 5)) + 4
    y, after = layer(x, state)
    expected = (x - x.mean(0)) / jnp.sqrt(x.var(0) + 1e-5)
    assert float(jnp.abs(y - expected).max()) < 1e-12
    mean, variance, count = after.get(layer.running)
    assert float(jnp.abs(mean - 0.1 * x.mean(0)).max()) < 1e-12
    assert float(jnp.abs(variance - (0.9 + 0.1 * x.var(0, ddof=1))).max()) < 1e-12
    assert int(count) == 1
    named, state = eqx.nn.make_with_state(nn.GNormBatchNorm)(rep, axis_name="batch")
    mapped, _ = jax.vmap(named, axis_name="batch", in_axes=(0, None), out_axes=(0, None))(x, state)
    assert float(jnp.abs(mapped - expected).max()) < 1e-12


def test_running_moments_weigh_samples_exactly():
    """Row 23 of the peer's defects: drift of the mean belongs to the covariance."""
    rep = groups.dihedral(3).regular
    layer, state = eqx.nn.make_with_state(nn.RunningMoments)(rep, momentum=0.2)
    batches = [
        5.0 * (t % 2) + jax.random.normal(jax.random.key(t), (10, rep.size)) for t in range(6)
    ]
    for batch in batches:
        moments, state = layer(batch, state)
    weights = np.array([0.2 * 0.8 ** (5 - t) for t in range(6)])
    weights = np.repeat(weights / weights.sum() / 10, 10)
    data = np.concatenate(batches)
    expected = evx.stats.cov(data, data, rep, rep, estimator="ml", weights=weights)
    assert float(jnp.abs(moments.cov_xx - expected).max()) < 1e-11
    assert float(jnp.abs(moments.mean_x - evx.stats.mean(data, rep, weights=weights)).max()) < 1e-12
    assert float(jnp.abs(moments.cov_yx - expected).max()) < 1e-11


BAD = {
    "norm without eps": (lambda r: nn.RMSNorm(r, eps=0.0), "RMSNorm: eps: expected a positive"),
    "unknown pool": (lambda r: nn.LayerNorm(r, pool="field"), "all, type, copy, got 'field'"),
    "unknown mode": (lambda r: nn.GNormBatchNorm(r, mode="old"), "'batch' or 'ema', got 'old'"),
    "momentum of zero": (lambda r: nn.GNormBatchNorm(r, momentum=0.0), r"\(0, 1\] or None, got 0"),
    "correction of two": (lambda r: nn.GNormBatchNorm(r, correction=2), "0 or 1, got 2"),
    "running momentum": (lambda r: nn.RunningMoments(r, momentum=2.0), r"\(0, 1\], got 2"),
    "unknown covariance": (
        lambda r: nn.EquivariantMultivariateNormal(r, covariance="dense"),
        "diagonal, full, type, got 'dense'",
    ),
    "negative variance": (
        lambda r: nn.EquivariantMultivariateNormal(r, min_var=-1.0),
        "min_var: expected a number >= 0",
    ),
    "parameters of the wrong size": (
        lambda r: nn.EquivariantMultivariateNormal(r)(jnp.ones(4)),
        r"expected \(\.\.\., 7\).*got \(4,\)",
    ),
    "data of the wrong size": (
        lambda r: nn.EquivariantMultivariateNormal(r)(jnp.ones(7)).log_prob(jnp.ones(3)),
        r"y: expected \(\.\.\., 4\), got \(3,\)",
    ),
    "covariance of the wrong size": (
        lambda r: nn.EquivariantMultivariateNormal(r).dof_from_covariance(jnp.eye(3)),
        r"expected \(4, 4\), got \(3, 3\)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused(name):
    call, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        call(groups.cyclic(4).regular)
