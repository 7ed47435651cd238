"""What goes wrong in symm-learning 0.8.1, shown right here; numbers as in its list of defects."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import equivax as evx
from equivax import Representation, groups, models, nn, testing

KEY = jax.random.key(7)

#: Rounding of float64 products of the sizes here.
EXACT = 1e-12

pytestmark = pytest.mark.usefixtures("x64")


def _random_basis(rep: Representation, seed: int = 0, name: str = "turned") -> Representation:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(rep.size, rep.size)))
    return Representation.from_matrices(rep.group, q @ rep.matrices @ q.T, name)


def _average(rep_out: Representation, matrix: np.ndarray, rep_in: Representation) -> np.ndarray:
    """The group average of a matrix, by brute force."""
    pairs = zip(rep_out.matrices, rep_in.matrices, strict=True)
    return np.mean([b @ matrix @ a.T for b, a in pairs], axis=0)


def test_row_2_one_irrep_type_keeps_its_basis():
    plane = _random_basis(2 * groups.dihedral(3).irrep(1, 1))
    basis = evx.hom_basis(plane, plane)
    matrix = np.asarray(basis.synthesize(basis.init(KEY)))
    assert np.abs(matrix).max() > 0.1
    assert np.abs(_average(plane, matrix, plane) - matrix).max() < EXACT


def test_row_3_equal_names_do_not_share_a_basis():
    regular = groups.dihedral(3).regular
    first, second = _random_basis(regular, 1, "same"), _random_basis(regular, 2, "same")
    assert first != second
    for rep in (first, second):
        layer = nn.Linear(rep, rep, key=KEY)
        assert layer.in_type is rep
        testing.assert_equivariant(layer, key=KEY)


def test_row_4_reducible_matrices_and_callables_are_taken():
    group = groups.dihedral(4)
    matrices = _random_basis(group.regular + group.irrep(1, 1)).matrices
    from_array = Representation.from_matrices(group, matrices)
    from_callable = Representation.from_matrices(group, lambda g: matrices[g.index])
    assert from_array == from_callable
    assert np.abs(from_array.matrices - matrices).max() < EXACT


def test_row_5_endomorphisms_come_from_the_irreps_own_matrices():
    group = groups.quaternion()
    left = group.irrep(4)
    # An equivalent irrep, written by another basis of R^4.
    right = _random_basis(left, 3)
    psi = right.endomorphism_basis
    for matrix in right.matrices:
        assert np.abs(matrix @ psi - psi @ matrix).max() < EXACT
    basis = evx.hom_basis(2 * right, left + right)
    assert basis.dim == 2 * 2 * 4
    noise = np.random.default_rng(0).normal(size=(8, 8))
    expected = _average(left + right, noise, 2 * right)
    assert np.abs(np.asarray(basis.project(noise)) - expected).max() < EXACT


def test_row_5_bases_that_are_not_orthogonal_are_made_so():
    group = groups.dihedral(3)
    skew = np.random.default_rng(1).normal(size=(3, 3)) + 2 * np.eye(3)
    given = skew @ group.quotient((0, 1)).matrices @ np.linalg.inv(skew)
    with pytest.warns(UserWarning, match="not orthogonal"):
        rep = Representation.from_matrices(group, given)
    root = rep.orthogonalizer
    assert root is not None
    assert np.abs(root @ given @ np.linalg.inv(root) - rep.matrices).max() < 1e-10
    basis = evx.hom_basis(rep, rep)
    noise = np.random.default_rng(2).normal(size=(3, 3))
    once = np.asarray(basis.project(noise))
    assert np.abs(np.asarray(basis.project(once)) - once).max() < EXACT


def test_row_6_one_layout_of_coefficients_in_every_mode():
    rep = 2 * groups.icosahedral().regular
    dense = nn.Linear(rep, rep, mode="dense", key=KEY)
    spectral = nn.Linear(rep, rep, mode="spectral", key=jax.random.key(8))
    loaded = eqx.tree_at(
        lambda m: (m.weights, m.bias_coeffs), spectral, (dense.weights, dense.bias_coeffs)
    )
    x = jax.random.normal(KEY, (3, rep.size))
    assert float(jnp.abs(loaded(x) - dense(x)).max()) < EXACT


@pytest.mark.parametrize("copies", [1, 64])
def test_row_12_the_bias_starts_at_zero_or_with_plain_bounds(copies: int):
    group = groups.cyclic(4)
    source = copies * group.regular
    assert not np.asarray(nn.Linear(source, group.regular, key=KEY).bias).any()
    drawn = [
        nn.Linear(source, group.regular, bias_init="equinox", key=jax.random.key(i)).bias
        for i in range(200)
    ]
    bound = source.size**-0.5
    assert np.abs(drawn).max() <= bound
    # The deviation of a uniform draw; 200 draws know it to 10 %.
    assert np.std(drawn) == pytest.approx(bound / np.sqrt(3), rel=0.1)


def test_row_13_film_broadcasts_and_builds_no_square_matrix():
    rep = _random_basis(groups.dihedral(4).regular, 4)
    layer = nn.Affine(rep, learnable=False)
    x = jax.random.normal(KEY, (3, 5, rep.size))
    scale = jax.random.normal(KEY, (3, 1, layer.num_scale))
    assert layer(x, scale=scale).shape == x.shape
    jaxpr = jax.make_jaxpr(lambda x, s: layer(x, scale=s))(
        jnp.zeros((256, rep.size)), jnp.zeros((256, layer.num_scale))
    )
    sizes = [v.aval.size for eqn in jaxpr.eqns for v in eqn.outvars]
    assert max(sizes) < 256 * rep.size * rep.size


@pytest.mark.parametrize(
    "group",
    [groups.cyclic(3), groups.dihedral(4), groups.octahedral(), groups.icosahedral()],
    ids=str,
)
def test_row_14_imposing_equivariance_keeps_the_scale(group: groups.Group):
    rep = group.regular
    x = jax.random.normal(KEY, (2000, rep.size))
    ratios, shrunken = [], []
    for seed in range(24):
        plain = eqx.nn.Linear(rep.size, rep.size, use_bias=False, key=jax.random.key(seed))
        imposed = nn.impose_equivariance(plain, rep, rep, preserve_scale=True)
        shrunk = nn.impose_equivariance(plain, rep, rep)
        before = float(jnp.var(jax.vmap(plain)(x)))
        ratios.append(float(jnp.var(imposed(x))) / before)
        shrunken.append(float(jnp.var(shrunk(x))) / before)
    # 24 draws of few coefficients (three for C3) know the mean to 20 %; unscaled it is 1/3 to 1/60.
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.35)
    assert np.mean(shrunken) < 0.5


def test_row_15_nothing_is_stale_after_an_update():
    rep = groups.dihedral(4).regular
    layers = [
        nn.Linear(rep, rep, key=KEY),
        nn.Affine(rep),
        nn.InvariantBias(rep),
    ]
    x = jax.random.normal(KEY, (5, rep.size))
    run = eqx.filter_jit(lambda layer, x: layer(x))
    for layer in layers:
        run(layer, x)
        moved = testing.randomize_parameters(layer, jax.random.key(9))
        assert float(jnp.abs(run(moved, x) - run(layer, x)).max()) > 0.1
        assert float(jnp.abs(run(moved, x) - moved(x)).max()) < EXACT
    projection = nn.CommutingConstraint(rep, rep)
    noise = np.random.default_rng(0).normal(size=(100, 8, 8))
    one_by_one = np.stack([projection(matrix.copy()) for matrix in noise])
    assert np.abs(one_by_one - np.asarray(projection(noise))).max() < EXACT


def test_row_18_disentangle_has_nothing_to_train():
    layer = nn.Disentangle(_random_basis(groups.dihedral(3).regular, 5))
    assert not jax.tree.leaves(eqx.filter(layer, eqx.is_array))
    testing.assert_equivariant(layer, key=KEY)


def test_row_19_hidden_types_are_checked_and_dropout_takes_whole_fields():
    group = groups.dihedral(3)
    with pytest.raises(ValueError, match="NormNonlinearity"):
        models.MLP(group.regular, group.regular, [4 * group.irrep(1, 1)], key=KEY)
    mlp = models.MLP(group.regular, group.regular, [24], dropout=0.5, key=KEY)
    testing.assert_equivariant(mlp, key=KEY, call_options={"key": jax.random.key(3)})


def test_row_21_every_leaf_is_a_parameter():
    group = groups.cyclic(4)
    mlp = models.MLP(group.regular, group.regular, [16], key=KEY)
    testing.assert_only_parameters(mlp)
    with jax.numpy_dtype_promotion("standard"):
        optimiser = optax.adamw(1e-2, weight_decay=0.1)
        parameters = eqx.filter(mlp, eqx.is_array)
        updates, _ = optimiser.update(parameters, optimiser.init(parameters), parameters)
    changed = [bool((u != 0).any()) for u in jax.tree.leaves(updates)]
    assert sum(changed) >= len(changed) - 2  # biases start at zero and stay there


def test_row_22_a_round_trip_through_16_bits_changes_parameters_only():
    rep = groups.cyclic(5).regular
    layer = nn.Linear(rep, rep, key=KEY)
    there = jax.tree.map(lambda a: a.astype(jnp.bfloat16), layer)
    back = jax.tree.map(lambda a: a.astype(jnp.float64), there)
    testing.assert_equivariant(back, key=KEY, randomize=False, rtol=EXACT)


def test_row_22_no_dtype_pollutes_another(precision):
    rep = groups.cyclic(5).regular
    basis = evx.hom_basis(rep, rep)
    noise = np.random.default_rng(0).normal(size=(5, 5))
    with precision(False):
        basis.project(noise.astype(np.float32))
    with precision(True):
        expected = _average(rep, noise, rep)
        assert np.abs(np.asarray(basis.project(noise)) - expected).max() < 1e-15


def test_row_24_pooling_can_keep_signs_and_angles():
    group = groups.cyclic(2)
    x = jnp.array([-1.0, 2.0])
    assert nn.IrrepNormPool(2 * group.trivial)(x).tolist() == [1.0, 2.0]
    assert nn.IrrepNormPool(2 * group.trivial, trivial="value")(x).tolist() == [-1.0, 2.0]
    plane = 2 * groups.dihedral(3).irrep(1, 1)
    parallel, perpendicular = jnp.array([1.0, 0, 1, 0]), jnp.array([1.0, 0, 0, 1])
    norms, products = nn.IrrepNormPool(plane), nn.QuadraticPool(plane)
    assert float(jnp.abs(norms(parallel) - norms(perpendicular)).max()) < EXACT
    assert float(jnp.abs(products(parallel) - products(perpendicular)).max()) > 0.5


def test_row_11_fans_count_kernel_taps_and_the_identity_is_full_rank():
    group = groups.cyclic(3)
    source, target = 8 * group.regular, 8 * group.regular
    basis = evx.hom_basis(source, target)
    one = basis.norm_sq(basis.init(KEY, "he_normal"))
    nine = basis.norm_sq(basis.init(KEY, "he_normal", taps=9))
    assert float(one / nine) == pytest.approx(9.0, rel=1e-12)
    # Between two copies of one irrep whose bases differ by a reflection nothing may vanish.
    turned = Representation.from_matrices(
        group, np.diag([1.0, -1.0]) @ group.irrep(1).matrices @ np.diag([1.0, -1.0])
    )
    between = evx.hom_basis(group.irrep(1), turned)
    matrix = np.asarray(between.synthesize(between.init(KEY, "identity")))
    assert np.abs(matrix @ matrix.T - np.eye(2)).max() < EXACT
