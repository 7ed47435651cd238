"""Norms, batch norm, running moments and Gaussians: golden numbers and their own laws."""

from __future__ import annotations

import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx
from equivax import groups, nn, testing
from golden_statistics import array, gaussians
from golden_vectors import REPS, with_golden_basis
from golden_vectors import array as vectors
from laws import normal, one_in, relative

ATOL = 1e-9
KEY = jax.random.key(11)

pytestmark = pytest.mark.usefixtures("x64")


@pytest.mark.parametrize("name", REPS[::4])
@pytest.mark.filterwarnings("ignore:LayerNorm")
def test_golden_norms(name):
    rep, x = with_golden_basis(name), vectors(f"R/{name}/x")
    rms = nn.RMSNorm(rep, eps=1e-3, affine=False)(x)
    assert np.abs(rms - array(f"R/{name}/rms_y")).max() < ATOL
    for pool in ("copy", "type"):
        layer = nn.LayerNorm(rep, eps=1e-3, pool=pool, center=False, affine=False)
        assert np.abs(layer(x) - array(f"R/{name}/ln_{pool}_y")).max() < ATOL


@pytest.mark.parametrize("name", one_in(3, list(gaussians())[::5]))
def test_golden_gaussians(name):
    rep, facts = with_golden_basis(name), gaussians()[name]
    mean, y = array(f"R/{name}/gauss_mean"), array(f"R/{name}/gauss_y")
    diagonal = nn.EquivariantMultivariateNormal(rep)
    full = nn.EquivariantMultivariateNormal(rep, covariance="full")
    assert (diagonal.num_dof, full.num_dof) == (facts["cov_dof_diag"], facts["cov_dof_full"])
    eta = full.dof_from_covariance(array(f"R/{name}/gauss_cov_full"))

    @jax.jit
    def numbers(logvar, eta):
        first = diagonal(jnp.concatenate([mean, logvar]))
        second = full(jnp.concatenate([mean, eta]))
        return {
            "gauss_cov_diag": first.covariance,
            "gauss_logp_diag": first.log_prob(y),
            "gauss_cov_full": second.covariance,
            "gauss_logp_full": second.log_prob(y),
            "entropy_diag": first.entropy(),
            "entropy_full": second.entropy(),
            "kl_full_diag": second.kl(first),
        }

    for what, value in numbers(array(f"R/{name}/gauss_logvar"), eta).items():
        expected = array(f"R/{name}/{what}") if what.startswith("gauss") else facts[what]
        assert np.abs(value - expected).max() < ATOL, what


@pytest.mark.parametrize("covariance", one_in(3, ["type", "diagonal", "full"]))
def test_the_density_is_invariant_and_that_of_scipy(covariance):
    """Row 7 of the peer's defects: the log-density varied by 11 nats over an orbit."""
    group = groups.quaternion()
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(9, 9)))
    matrices = (group.regular + group.trivial).matrices
    rep = evx.Representation.from_matrices(group, q @ matrices @ q.T)
    layer = nn.EquivariantMultivariateNormal(rep, covariance=covariance)
    u = np.asarray(normal(layer.in_type.size))
    y = np.asarray(normal(5, rep.size, seed=1))
    distribution = layer(u)
    density = jax.jit(lambda u, y: layer(u).log_prob(y))
    reference = density(u, y)
    for g in group.elements:
        moved = density(layer.in_type.transform(u, g), rep.transform(y, g))
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
    eta = normal(layer.num_dof) / 3
    sigma = layer(jnp.concatenate([jnp.zeros(rep.size), eta])).covariance
    assert float(jnp.abs(layer.dof_from_covariance(sigma) - eta).max()) < 1e-9
    with pytest.raises(ValueError, match="commutes"):
        layer.dof_from_covariance(jnp.diag(jnp.arange(1.0, rep.size + 1)))


@pytest.mark.parametrize("covariance", ["diagonal", "full", "type"])
@pytest.mark.parametrize("group", [groups.dihedral(3), groups.cyclic(4), groups.quaternion()])
def test_the_parameters_move_as_many_dimensions_as_there_are(group, covariance):
    """The rank of the Jacobian of the covariance in eta is the number of parameters."""
    rep = group.regular + group.trivial
    layer = nn.EquivariantMultivariateNormal(rep, covariance=covariance)
    u = normal(layer.in_type.size)
    jacobian = jax.jit(jax.jacobian(lambda u: layer(u).covariance.ravel()))(u)
    jacobian = np.asarray(jacobian)[:, rep.size :]
    assert np.linalg.matrix_rank(jacobian, tol=1e-8) == layer.num_dof


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_the_density_integrates_to_one(covariance):
    line = groups.cyclic(2).irrep(1)
    plane = groups.cyclic(2).trivial + line
    for rep in (line, plane, 2 * line):
        layer = nn.EquivariantMultivariateNormal(rep, covariance=covariance)
        u = 0.3 * normal(layer.in_type.size)
        axis = np.linspace(-12.0, 12.0, 481)
        points = np.stack(np.meshgrid(*[axis] * rep.size), axis=-1)
        total = jnp.exp(layer(u).log_prob(points)).sum() * (axis[1] - axis[0]) ** rep.size
        assert float(total) == pytest.approx(1.0, abs=1e-9)  # trapezoids of a smooth density


@pytest.mark.parametrize("covariance", ["diagonal", "full", "type"])
def test_gradients_of_the_density_are_finite_differences(covariance):
    rep = groups.quaternion().regular
    layer = nn.EquivariantMultivariateNormal(rep, covariance=covariance, min_var=0.2)
    u = 0.5 * normal(layer.in_type.size)
    y, direction = normal(rep.size, seed=1), jnp.cos(jnp.arange(len(u)))
    log_prob = jax.jit(lambda u: layer(u).log_prob(y))
    slope = float(jax.grad(log_prob)(u) @ direction)
    numerical = float(log_prob(u + 1e-5 * direction) - log_prob(u - 1e-5 * direction)) / 2e-5
    assert slope == pytest.approx(numerical, rel=1e-7)


@pytest.mark.parametrize("covariance", one_in(3, ["diagonal", "full", "type"]))
@pytest.mark.parametrize("group", [groups.dihedral(3), groups.quaternion()])
def test_fit_is_the_maximum_of_the_likelihood(group, covariance):
    rep = group.regular + group.trivial
    y = normal(60, rep.size) @ jnp.diag(jnp.arange(1.0, rep.size + 1))
    layer = nn.EquivariantMultivariateNormal(rep, covariance=covariance)
    best = layer.fit(y)
    u = jnp.concatenate([best.mean, layer.dof_from_covariance(best.covariance)])
    likelihood = jax.jit(jax.vmap(lambda u: layer(u).log_prob(y).mean()))
    # Invariant means and all parameters of the covariance: every perturbation is worse.
    projector = jnp.asarray(evx.linalg.invariant_projector(layer.in_type))
    directions = normal(50, len(u), seed=1) @ projector
    best_value = likelihood(u[None])[0]
    assert float(best.log_prob(y).mean()) == pytest.approx(float(best_value), abs=1e-10)
    for size in (1e-3, 1e-1):
        assert bool((likelihood(u + size * directions) < best_value).all())


@pytest.mark.parametrize("covariance", ["diagonal", "full", "type"])
def test_fit_keeps_variances_above_the_floor(covariance):
    rep = groups.cyclic(3).regular + groups.cyclic(3).trivial
    layer = nn.EquivariantMultivariateNormal(rep, covariance=covariance, min_var=0.5)
    fitted = layer.fit(normal(40, rep.size) * jnp.array([2.0, 2.0, 2.0, 0.1]))
    values = np.linalg.eigvalsh(fitted.covariance)
    assert values.min() >= 0.5 - 1e-12
    free = nn.EquivariantMultivariateNormal(rep, covariance=covariance)
    with pytest.raises(
        ValueError, match=r"fit: y: 1 samples give a singular covariance on trivial"
    ):
        free.fit(jnp.ones((1, rep.size)))


def test_the_floor_belongs_to_the_parameters():
    rep = 2 * groups.cyclic(4).regular
    for covariance in ("diagonal", "full", "type"):
        layer = nn.EquivariantMultivariateNormal(rep, covariance=covariance, min_var=0.3)
        u = 0.4 * normal(layer.in_type.size)
        eta = layer.dof_from_covariance(layer(u).covariance)
        assert float(jnp.abs(eta - u[rep.size :]).max()) < 1e-10
        with pytest.raises(ValueError, match=r"not above min_var=0.3 on"):
            layer.dof_from_covariance(0.2 * jnp.eye(rep.size))


def test_layer_norm_is_that_of_equinox_on_permutations():
    group = groups.dihedral(4)
    regular = group.regular
    for rep in (3 * regular, group.quotient("rotations") + regular, group.trivial + regular):
        assert rep.is_permutation
        x = normal(7, rep.size) + 1
        ours = nn.LayerNorm(rep, eps=1e-5)(x)
        theirs = jax.vmap(eqx.nn.LayerNorm(rep.size, eps=1e-5))(x)
        assert float(jnp.abs(ours - theirs).max()) < 1e-12


@pytest.mark.parametrize("pool", one_in(3, ["all", "type", "copy"]))
@pytest.mark.filterwarnings("ignore:LayerNorm")
def test_layer_norm_exports_with_every_option(pool):
    rep = groups.dihedral(3).regular + groups.dihedral(3).irrep(1, 1)
    x = normal(7, rep.size)
    for options in ({}, {"center": False}, {"affine": False}, {"use_bias": False}):
        layer = nn.LayerNorm(rep, pool=pool, eps=1e-3, **options)
        assert float(jnp.abs(jax.vmap(layer.export())(x) - layer(x)).max()) < 1e-12
        testing.assert_equivariant(layer, key=KEY)


def test_the_warning_about_signs_comes_once():
    rep = 2 * groups.cyclic(2).regular + groups.cyclic(2).irrep(1)
    with pytest.warns(
        UserWarning, match=r"pool='copy' keeps only the sign of trivial, .*pool='all'"
    ):
        nn.LayerNorm(rep, pool="copy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.LayerNorm(rep, pool="copy")
        nn.LayerNorm(rep, pool="type")  # pools of two and three numbers


def test_batch_norm_on_invariants_is_plain_batch_norm():
    """Row 16 of the peer's defects: training divides by the statistics of the batch."""
    rep = 5 * groups.cyclic(1).trivial
    layer, state = eqx.nn.make_with_state(nn.GNormBatchNorm)(rep)
    x = 10 * normal(64, 5) + 4
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


def test_momentum_is_the_weight_of_the_newest_batch():
    """Equinox's own 0.99 is that of the old statistics; None is the plain average."""
    rep = groups.dihedral(3).regular + groups.dihedral(3).trivial
    batches = [normal(4 + t, rep.size, seed=t) + t for t in range(3)]
    trivial = [evx.linalg.invariant_projector(rep) @ np.asarray(b).mean(0) for b in batches]
    for momentum, weights in ((0.25, (0.25 * 0.75**2, 0.25 * 0.75, 0.25)), (None, (1 / 3,) * 3)):
        layer, state = eqx.nn.make_with_state(nn.GNormBatchNorm)(rep, momentum=momentum)
        for batch in batches:
            _, state = layer(batch, state)
        mean, variance, count = state.get(layer.running)
        expected = sum(w * m for w, m in zip(weights, trivial, strict=True))
        found = evx.hom.invariant_vector(rep, mean)
        assert float(jnp.abs(found - expected).max()) < 1e-12
        sizes = [len(b) for b in batches]
        unbiased = [
            evx.stats.spectral_var(b, rep, estimator="ml") * n / (n - 1)
            for b, n in zip(batches, sizes, strict=True)
        ]
        start = 0 if momentum is None else 0.75**3
        expected = start + sum(w * v for w, v in zip(weights, unbiased, strict=True))
        assert float(jnp.abs(variance - expected).max()) < 1e-12
        assert int(count) == 3


def test_modes_and_correction_of_batch_norm():
    rep = groups.cyclic(3).regular
    x = normal(6, rep.size) + 2
    make = eqx.nn.make_with_state(nn.GNormBatchNorm)
    layer, state = make(rep, correction=1, affine=False)
    scale = jnp.sqrt(1 / (evx.stats.spectral_var(x, rep, estimator="ml") * 6 / 5 + 1e-5))
    centered = x - evx.stats.mean(x, rep)
    film = nn.Affine(rep, learnable=False, use_bias=False)
    assert float(jnp.abs(layer(x, state)[0] - film(centered, scale=scale)).max()) < 1e-12
    ema, state = make(rep, mode="ema", momentum=0.3)
    y, after = ema(x, state)
    again, _ = eqx.nn.inference_mode(ema)(x, after)
    assert float(jnp.abs(y - again).max()) < 1e-12


def test_running_moments_weigh_samples_exactly():
    """Row 23 of the peer's defects: drift of the mean belongs to the covariance."""
    rep = groups.dihedral(3).regular
    layer, state = eqx.nn.make_with_state(nn.RunningMoments)(rep, momentum=0.2)
    batches = [5.0 * (t % 2) + normal(10, rep.size, seed=t) for t in range(6)]
    for batch in batches:
        moments, state = layer(batch, state)
    weights = np.array([0.2 * 0.8 ** (5 - t) for t in range(6)])
    weights = np.repeat(weights / weights.sum() / 10, 10)
    data = np.concatenate(batches)
    expected = evx.stats.cov(data, data, rep, rep, estimator="ml", weights=weights)
    assert float(jnp.abs(moments.cov_xx - expected).max()) < 1e-11
    assert float(jnp.abs(moments.mean_x - evx.stats.mean(data, rep, weights=weights)).max()) < 1e-12
    assert float(jnp.abs(moments.cov_yx - expected).max()) < 1e-11
    _, at_rest = eqx.nn.inference_mode(layer)(batches[0], state)
    assert jax.tree.all(jax.tree.map(np.array_equal, at_rest, state))


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_running_moments_keep_small_deviations_beside_large_means(size):
    rep = groups.dihedral(3).regular
    x = jnp.asarray(size * (normal(4000, rep.size) + 1e4), jnp.float32)
    layer, state = eqx.nn.make_with_state(nn.RunningMoments)(rep, dtype=jnp.float32)
    moments, _ = layer(x, state)
    x = x.astype(float)
    expected = evx.stats.cov(x, x, rep, rep, estimator="ml")
    assert relative(moments.cov_xx, expected) < 1e-5
    mean = evx.stats.mean(x, rep)
    assert relative(moments.mean_x, mean) < 1e-6


def test_running_moments_of_pairs_give_the_least_squares_map():
    group = groups.quaternion()
    source, target = 2 * group.regular, group.regular + group.trivial
    layer, state = eqx.nn.make_with_state(nn.RunningMoments)(source, target, momentum=0.5)
    x = normal(50, source.size)
    y = normal(50, target.size, seed=1) + x[:, : target.size]
    moments, state = layer(x, state, y=y)
    assert moments.mean_y.shape == (target.size,)
    for found, (a, b, ra, rb) in {
        "cov_xx": (x, x, source, source),
        "cov_yy": (y, y, target, target),
        "cov_yx": (x, y, source, target),
    }.items():
        expected = evx.stats.cov(a, b, ra, rb, estimator="ml")
        assert float(jnp.abs(getattr(moments, found) - expected).max()) < 1e-12
    centered = x - moments.mean_x, y - moments.mean_y
    fitted = evx.linalg.lstsq(*centered, source, target)
    from_moments = jnp.linalg.solve(moments.cov_xx, moments.cov_yx.T).T
    assert float(jnp.abs(fitted - from_moments).max()) < 1e-10


BAD = {
    "norm without eps": (
        lambda r: nn.RMSNorm(r, eps=0.0),
        "RMSNorm: eps: expected a finite number above 0",
    ),
    "unknown pool": (
        lambda r: nn.LayerNorm(r, pool="field"),
        "'all', 'type' or 'copy', got 'field'",
    ),
    "unknown mode": (lambda r: nn.GNormBatchNorm(r, mode="old"), "'batch' or 'ema', got 'old'"),
    "momentum of zero": (lambda r: nn.GNormBatchNorm(r, momentum=0.0), r"\(0, 1\], got 0"),
    "correction of two": (
        lambda r: nn.GNormBatchNorm(r, correction=2),
        "an integer in 0..1, got 2",
    ),
    "running momentum": (lambda r: nn.RunningMoments(r, momentum=2.0), r"\(0, 1\], got 2"),
    "unknown covariance": (
        lambda r: nn.EquivariantMultivariateNormal(r, covariance="dense"),
        "'diagonal', 'full' or 'type', got 'dense'",
    ),
    "negative variance": (
        lambda r: nn.EquivariantMultivariateNormal(r, min_var=-1.0),
        "min_var: expected a finite number >= 0",
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


@pytest.mark.parametrize("pool", ["all", "type", "copy"])
@pytest.mark.filterwarnings("ignore:LayerNorm")
def test_a_layer_norm_makes_no_number_of_rounding(pool):
    """Centring leaves nothing of a single trivial irrep; a remainder would be made a sign."""
    group = groups.dihedral(3)
    for rep in (group.regular, group.regular + group.irrep(1, 1)):
        layer = nn.LayerNorm(rep, pool=pool, affine=False)
        plain = jax.vmap(layer.export())
        matrices = [jnp.asarray(rep(g), jnp.float32) for g in group.generators]
        for size in (1.0, 1e2, 1e4, 1e6):
            x = jnp.asarray(size * normal(8, rep.size), jnp.float32)
            y = layer(x)
            for matrix in matrices:
                assert float(jnp.abs(layer(x @ matrix.T) - y @ matrix.T).max()) < 2e-6
            assert float(jnp.abs(plain(x) - y).max()) < 2e-6
            trivial = evx.linalg.invariant_projector(rep) @ np.asarray(y).T
            assert pool == "all" or np.abs(trivial).max() < 1e-6
