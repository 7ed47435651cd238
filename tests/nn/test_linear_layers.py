"""Linear, Affine, InvariantBias, Disentangle, constraints: what belongs to each alone."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from equivax import Representation, groups, hom_basis, nn
from random_types import FINITE, in_random_basis, mean_over_group, random_type

C5, D4, Q8 = FINITE["C5"], FINITE["D4"], FINITE["Q8"]
x64 = pytest.mark.usefixtures("x64")
TURNED = in_random_basis(D4.trivial + 2 * D4.irrep(1, 1) + D4.irrep(1, 0), 1)
MIXED = TURNED + D4.regular + TURNED
KINDS = {
    "real": (MIXED, 2 * D4.regular),
    "complex": (2 * C5.regular, in_random_basis(C5.regular, 2)),
    "quaternionic": (in_random_basis(Q8.regular, 3), 2 * Q8.regular),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def commutes(w, in_rep, out_rep) -> float:
    """Largest relative violation over the generators."""
    w = np.asarray(w, np.float64)
    return max(
        np.abs(w @ in_rep(g) - out_rep(g) @ w).max() / np.abs(w).max()
        for g in in_rep.group.generators
    )


# ---- Linear -------------------------------------------------------------------------------------


@x64
@each_kind
def test_gradient_of_the_squared_weight(kind, key):
    layer = nn.Linear(*KINDS[kind], key=key)

    def loss(model):
        return jnp.sum(model.weight**2)

    gradient = eqx.filter_grad(loss)(layer)
    for block in layer.basis.blocks:
        # |W|^2 = sum_k d_k |theta_k|^2.
        np.testing.assert_allclose(
            gradient.weights[block.name], 2 * block.size * layer.weights[block.name], rtol=1e-12
        )
    h, name = 1e-4, layer.basis.blocks[-1].name
    theta = layer.weights[name]
    for index in [(0, 0, 0), tuple(n - 1 for n in theta.shape)]:

        def moved(t, index=index):
            new = theta.at[index].add(t)
            weights = layer.weights | {name: new}
            return float(loss(eqx.tree_at(lambda m: m.weights, layer, weights)))

        # Exact for a quadratic, up to rounding 1e-16 / h.
        numeric = (moved(h) - moved(-h)) / (2 * h)
        assert numeric == pytest.approx(float(gradient.weights[name][index]), abs=1e-9)


@x64
@each_kind
@pytest.mark.parametrize("mode", ["dense", "spectral"])
def test_weight_stays_in_hom_under_adamw(kind, mode, key):
    in_rep, out_rep = KINDS[kind]
    layer = nn.Linear(in_rep, out_rep, mode=mode, key=key)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((8, in_rep.size)), rng.standard_normal((8, out_rep.size))
    optimizer = optax.adamw(1e-2, weight_decay=0.1)
    state = optimizer.init(layer)

    @eqx.filter_jit
    def step(model, state):
        gradient = eqx.filter_grad(lambda m: jnp.mean((m(x) - y) ** 2))(model)
        with jax.numpy_dtype_promotion("standard"):  # optax adds integers to floats
            updates, state = optimizer.update(gradient, state, model)
        return eqx.apply_updates(model, updates), state

    trained = layer
    for _ in range(50):
        trained, state = step(trained, state)
    assert np.abs(trained.weight - layer.weight).max() > 0.1
    assert commutes(trained.weight, in_rep, out_rep) < 1e-12
    for g in in_rep.group.generators:
        np.testing.assert_allclose(out_rep(g) @ np.asarray(trained.bias), trained.bias, atol=1e-12)


@x64
def test_with_weight_and_with_bias_project(key):
    in_rep, out_rep = KINDS["real"]
    rng = np.random.default_rng(0)
    w, b = rng.standard_normal((out_rep.size, in_rep.size)), rng.standard_normal(out_rep.size)
    layer = nn.Linear(in_rep, out_rep, key=key).with_weight(w).with_bias(b)
    projected = mean_over_group(in_rep, out_rep, w)
    np.testing.assert_allclose(layer.weight, projected, atol=1e-12)
    np.testing.assert_allclose(layer.bias, out_rep.matrices.mean(axis=0) @ b, atol=1e-12)
    x = rng.standard_normal((3, in_rep.size))
    np.testing.assert_allclose(layer(x), x @ projected.T + layer.bias, atol=1e-12)


def test_zero_bias_is_zero(key):
    """A fault of symm-learning 0.8.1: a scheme named zeros draws random numbers."""
    assert not np.asarray(nn.Linear(64 * D4.regular, D4.regular, key=key).bias).any()
    assert not np.asarray(nn.InvariantBias(D4.regular).bias).any()


def test_equinox_bias_is_uniform_within_the_bound_of_the_plain_layer():
    in_rep, out_rep = 8 * D4.regular, 400 * D4.regular
    layer = nn.Linear(in_rep, out_rep, bias_init="equinox", key=jax.random.key(3))
    bias = np.asarray(layer.bias).reshape(400, 8)
    np.testing.assert_allclose(bias, bias[:, :1] * np.ones(8), rtol=1e-5)
    bound = 1 / np.sqrt(in_rep.size)
    assert np.abs(bias).max() <= bound * (1 + 1e-6)
    assert np.abs(bias).max() > 0.97 * bound  # 400 draws: the largest is near the bound
    # Mean square of a uniform draw; 400 draws deviate by sqrt(0.8 / 400) = 4.5 %.
    assert (bias**2).mean() == pytest.approx(bound**2 / 3, rel=4 * 0.045)
    assert not np.allclose(bias[0], bias[1])


def test_bias_needs_a_trivial_irrep(key):
    with pytest.warns(nn.UnusedIrrepsWarning, match="reach no output"):
        layer = nn.Linear(D4.trivial + 3 * D4.irrep(1, 1), 5 * D4.irrep(1, 1), key=key)
    assert layer.bias is None
    with pytest.raises(ValueError, match="the layer has no bias"):
        layer.with_bias(np.ones(10, np.float32))


def test_ignored_irreps_are_told_once_or_not_at_all(key, recwarn):
    in_type, out_type = 7 * D4.irrep(1, 0) + D4.regular, D4.standard  # types of this test alone
    nn.Linear(in_type, out_type, warn_unused=False, key=key)
    assert not recwarn.list
    for _ in range(2):  # a silent layer does not use up the warning of the next
        nn.Linear(in_type, out_type, key=key)
    assert [w.category for w in recwarn.list] == [nn.UnusedIrrepsWarning]
    assert "warn_unused=False" in str(recwarn.list[0].message)


def test_a_readout_of_scalars_leaves_out_the_rest_without_a_warning(key, recwarn):
    nn.Linear(9 * D4.regular, 11 * D4.trivial, key=key)
    assert not recwarn.list


# ---- Affine -------------------------------------------------------------------------------------


def affine_matrix(rep, scale):
    sizes = [rep.group.irrep_data(i).size for i in rep.irreps]
    q = rep.change_of_basis
    return q @ np.diag(np.repeat(scale, sizes)) @ q.T


@x64
def test_affine_is_a_scale_per_copy():
    rng = np.random.default_rng(0)
    layer = nn.Affine(MIXED)
    assert layer.num_scale == len(MIXED.irreps)
    np.testing.assert_array_equal(layer.scale, np.ones(layer.num_scale))
    scale = rng.standard_normal(layer.num_scale)
    layer = eqx.tree_at(lambda a: a.scale, layer, jnp.asarray(scale))
    x = rng.standard_normal((4, MIXED.size))
    np.testing.assert_allclose(layer(x), x @ affine_matrix(MIXED, scale).T, atol=1e-12)


@x64
@pytest.mark.parametrize("per", ["irrep", "field", "type"])
def test_affine_scopes(per):
    layer = nn.Affine(MIXED, per=per, learnable=False)
    counts = {"irrep": len(MIXED.irreps), "field": 3, "type": len(MIXED.multiplicities)}
    assert layer.num_scale == counts[per]
    rng = np.random.default_rng(0)
    scale, x = rng.standard_normal(layer.num_scale), rng.standard_normal((4, MIXED.size))
    y = np.asarray(layer(x, scale=scale))
    if per == "field":
        sizes = [f.size for f in MIXED.summands]
        np.testing.assert_allclose(y, x * np.repeat(scale, sizes), atol=1e-13)
    else:
        kinds = list(MIXED.multiplicities)
        each = scale if per == "irrep" else scale[[kinds.index(i) for i in MIXED.irreps]]
        np.testing.assert_allclose(y, x @ affine_matrix(MIXED, each).T, atol=1e-12)
    for g in D4.generators:
        moved = layer(MIXED.transform(x, g), scale=scale)
        np.testing.assert_allclose(moved, MIXED.transform(y, g), atol=1e-12)


@x64
@pytest.mark.parametrize("per", ["irrep", "field", "type"])
def test_film_broadcasts(per):
    layer = nn.Affine(MIXED, per=per, learnable=False)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 5, MIXED.size))
    scale, bias = (
        rng.standard_normal((3, 1, layer.num_scale)),
        rng.standard_normal((5, layer.num_bias)),
    )
    y = layer(x, scale=scale, bias=bias)
    assert y.shape == x.shape
    for i in range(3):
        for j in range(5):
            one = layer(x[i, j], scale=scale[i, 0], bias=bias[j])
            np.testing.assert_allclose(y[i, j], one, atol=1e-12)
    # One vector, many conditions.
    many = layer(x[0, 0], scale=scale)
    assert many.shape == (3, 1, MIXED.size)


@x64
@pytest.mark.parametrize("learnable", [True, False])
def test_residual_affine_starts_as_the_identity(learnable):
    layer = nn.Affine(MIXED, residual=True, learnable=learnable)
    x = np.random.default_rng(0).standard_normal((4, MIXED.size))
    options = {} if learnable else {"scale": np.zeros(layer.num_scale)}
    np.testing.assert_allclose(layer(x, **options), x, atol=1e-13)
    if not learnable:
        scale = np.random.default_rng(1).standard_normal(layer.num_scale)
        plain = nn.Affine(MIXED, learnable=False)
        np.testing.assert_allclose(layer(x, scale=scale), plain(x, scale=1 + scale), atol=1e-12)


@x64
def test_film_gradient_in_the_scale():
    layer = nn.Affine(MIXED, learnable=False)
    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((2, MIXED.size))
    scale = rng.standard_normal(layer.num_scale)
    gradient = jax.grad(lambda s: jnp.vdot(layer(x, scale=s), v))(jnp.asarray(scale))
    # The output is linear in s: the derivative is <v_i, x_i> on the copy of each scale.
    xh, vh = x @ MIXED.change_of_basis, v @ MIXED.change_of_basis
    sizes = [D4.irrep_data(i).size for i in MIXED.irreps]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    np.testing.assert_allclose(gradient, np.add.reduceat(xh * vh, starts), atol=1e-12)


@pytest.mark.usefixtures("unchecked_annotations")
def test_affine_refusals():
    x = np.ones((2, MIXED.size), np.float32)
    learnable, film = nn.Affine(MIXED), nn.Affine(MIXED, learnable=False)
    with pytest.raises(ValueError, match="learnable=False takes"):
        learnable(x, scale=np.ones(film.num_scale))
    with pytest.raises(ValueError, match="scale: expected an array"):
        film(x)
    with pytest.raises(ValueError, match=r"scale: expected \(..., 14\), got \(4,\)"):
        film(x, scale=np.ones(4, np.float32))
    with pytest.raises(ValueError, match="no trivial irrep"):
        nn.Affine(D4.irrep(1, 1), learnable=False)(
            np.ones(2, np.float32), scale=np.ones(1, np.float32), bias=np.ones(1, np.float32)
        )
    with pytest.raises(ValueError, match="per: expected 'irrep', 'field' or 'type'"):
        nn.Affine(MIXED, per="channel")
    assert nn.Affine(D4.irrep(1, 1)).bias is None
    assert jax.tree.leaves(film) == []


# ---- InvariantBias ------------------------------------------------------------------------------


@x64
def test_invariant_bias(key):
    layer = nn.InvariantBias(MIXED, bias_init="equinox", key=key)
    b = np.asarray(layer.bias)
    assert np.abs(b).max() > 0
    np.testing.assert_allclose(MIXED.matrices @ b, np.tile(b, (8, 1)), atol=1e-13)
    v = np.random.default_rng(0).standard_normal(MIXED.size)
    expected = MIXED.matrices.mean(axis=0) @ v
    np.testing.assert_allclose(layer.with_bias(v).bias, expected, atol=1e-12)
    with pytest.raises(ValueError, match="expected"):
        layer(np.ones((3, 1)))


# ---- Disentangle --------------------------------------------------------------------------------


@x64
@each_kind
def test_disentangle(kind):
    rep = KINDS[kind][0]
    layer = nn.Disentangle(rep)
    x = np.random.default_rng(0).standard_normal((4, rep.size))
    y = np.asarray(layer(x))
    back = layer.inverse
    np.testing.assert_allclose(back(y), x, atol=1e-13)
    np.testing.assert_allclose(np.linalg.norm(y, axis=1), np.linalg.norm(x, axis=1), rtol=1e-13)
    out = layer.out_type
    # Block diagonal in order: irreps one by one, with change of basis I.
    np.testing.assert_array_equal(out.change_of_basis, np.eye(rep.size))
    expected = [i for i, n in rep.multiplicities.items() for _ in range(n)]
    assert list(out.irreps) == expected
    assert out.multiplicities == rep.multiplicities
    for g in rep.group.testing_elements:
        np.testing.assert_allclose(layer(rep.transform(x, g)), out.transform(y, g), atol=1e-12)
    assert jax.tree.leaves(layer) == []
    assert back.in_type == out
    assert back.out_type == rep


@x64
def test_affine_is_diagonal_between_disentangled_coordinates():
    layer = nn.Disentangle(MIXED)
    scale = np.random.default_rng(0).standard_normal(len(MIXED.irreps))
    affine = nn.Affine(MIXED, learnable=False)
    matrix = np.asarray(layer(affine(np.asarray(layer.inverse(np.eye(MIXED.size))), scale=scale)))
    np.testing.assert_allclose(matrix, np.diag(np.diag(matrix)), atol=1e-12)


def test_disentangle_without_work_is_free():
    rep = D4.trivial + 2 * D4.irrep(1, 1)
    layer = nn.Disentangle(rep)
    jaxpr = jax.make_jaxpr(layer)(jnp.ones((3, rep.size)))
    assert jaxpr.eqns == []


# ---- constraints --------------------------------------------------------------------------------


@x64
def test_gradients_through_constraints_are_projected():
    in_rep, out_rep = KINDS["real"]
    rng = np.random.default_rng(0)
    w, v = rng.standard_normal((2, out_rep.size, in_rep.size))
    constraint = nn.CommutingConstraint(in_rep, out_rep)
    gradient = jax.grad(lambda m: jnp.vdot(constraint(m), v))(jnp.asarray(w))
    np.testing.assert_allclose(gradient, mean_over_group(in_rep, out_rep, v), atol=1e-12)
    a, b = rng.standard_normal((2, 3, MIXED.size))
    invariant = nn.InvariantConstraint(MIXED)
    gradient = jax.grad(lambda m: jnp.vdot(invariant(m), b))(jnp.asarray(a))
    np.testing.assert_allclose(gradient, b @ MIXED.matrices.mean(axis=0).T, atol=1e-12)
    assert jax.tree.leaves((constraint, invariant)) == []


@x64
def test_constraint_of_temporaries():
    """A fault of symm-learning 0.8.1: a projection cached by address was the last one."""
    constraint = nn.CommutingConstraint(D4.regular, D4.regular)
    rng = np.random.default_rng(0)
    for _ in range(20):
        w = rng.standard_normal((8, 8))
        found = constraint(jnp.asarray(w))
        np.testing.assert_allclose(found, mean_over_group(D4.regular, D4.regular, w), atol=1e-12)


@x64
def test_impose_equivariance(key):
    in_rep, out_rep = KINDS["real"]
    plain = eqx.nn.Linear(in_rep.size, out_rep.size, key=key)
    layer = nn.impose_equivariance(plain, in_rep, out_rep)
    w = mean_over_group(in_rep, out_rep, np.asarray(plain.weight))
    b = out_rep.matrices.mean(axis=0) @ np.asarray(plain.bias)
    exported = layer.export()
    np.testing.assert_allclose(exported.weight, w, atol=1e-12)
    np.testing.assert_allclose(exported.bias, b, atol=1e-12)
    scaled = nn.impose_equivariance(plain, in_rep, out_rep, preserve_scale=True)
    factor = np.sqrt(in_rep.size * out_rep.size / hom_basis(in_rep, out_rep).dim)
    np.testing.assert_allclose(scaled.weight, factor * w, atol=1e-12)
    without = eqx.nn.Linear(in_rep.size, out_rep.size, use_bias=False, key=key)
    assert nn.impose_equivariance(without, in_rep, out_rep).bias is None


@pytest.mark.parametrize("group", ["C5", "D4", "S4"])
def test_preserve_scale_keeps_the_variance(group):
    """A fault of symm-learning 0.8.1: outputs shrink by sqrt(dim Hom / (D_out D_in))."""
    rep = 8 * FINITE[group].regular
    plain = eqx.nn.Linear(rep.size, rep.size, use_bias=False, key=jax.random.key(5))
    layer = nn.impose_equivariance(plain, rep, rep, preserve_scale=True)
    x = jax.random.normal(jax.random.key(6), (512, rep.size))
    dense, projected = jax.vmap(plain)(x), layer(x)
    # 64 |G| independent weights remain: their mean square deviates by 6 % at most (1 sigma).
    ratio = float(jnp.mean(projected**2) / jnp.mean(dense**2))
    assert ratio == pytest.approx(1.0, abs=0.10)
    shrunk = nn.impose_equivariance(plain, rep, rep)(x)
    loss = float(jnp.mean(shrunk**2) / jnp.mean(dense**2))
    assert loss == pytest.approx(1 / rep.group.order, rel=0.15)


@pytest.mark.usefixtures("unchecked_annotations")
def test_impose_refusals(key):
    with pytest.raises(ValueError, match=r"expected a weight \(8, 8\).*got \(8, 7\)"):
        nn.impose_equivariance(eqx.nn.Linear(7, 8, key=key), D4.regular, D4.regular)
    with pytest.raises(ValueError, match="only the zero map"):
        nn.impose_equivariance(eqx.nn.Linear(2, 1, key=key), D4.irrep(1, 1), D4.trivial)
    with pytest.raises(TypeError, match=r"expected an equinox\.nn\.Linear"):
        nn.impose_equivariance(np.eye(8), D4.regular, D4.regular)
    with pytest.raises(ValueError, match=r"D4.*C5|C5.*D4"):
        nn.CommutingConstraint(D4.regular, C5.regular)


def test_no_cache_goes_stale(key, x64):
    """A fault of symm-learning 0.8.1: outputs did not follow the parameters."""
    in_rep, out_rep = KINDS["complex"]
    layer = nn.Linear(in_rep, out_rep, key=key)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, in_rep.size)))
    call = eqx.filter_jit(lambda m, v: m(v))
    first = call(layer, x)
    moved = jax.tree.map(lambda a: a + 1.0, layer)
    expected = x @ moved.weight.T + moved.bias
    assert np.abs(expected - first).max() > 0.1
    np.testing.assert_allclose(call(moved, x), expected, atol=1e-12)
    np.testing.assert_allclose(moved(x), expected, atol=1e-12)


def test_sixteen_bits_and_back_keep_equivariance(key, x64):
    layer = nn.Linear(*KINDS["complex"], key=key)
    there = jax.tree.map(lambda a: a.astype(jnp.bfloat16), layer)
    back = jax.tree.map(lambda a: a.astype(jnp.float64), there)
    assert np.abs(back.weight - layer.weight).max() > 1e-5
    assert commutes(back.weight, *KINDS["complex"]) < 1e-13


def test_representation_from_matrices_in_a_layer(key, x64):
    """A user's own matrices, far from any canonical basis, go through a layer."""
    group = groups.symmetric(3)
    rep = in_random_basis(random_type(group, np.random.default_rng(2)), 4)
    own = Representation.from_matrices(group, rep.matrices)
    layer = nn.Linear(own, own + group.regular, key=key)
    assert commutes(layer.weight, own, own + group.regular) < 1e-12
