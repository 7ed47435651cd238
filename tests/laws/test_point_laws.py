"""The laws of modules on points, over the table of cases."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cases import POINTS
from equivax import IrrepTensor, models, nn, testing
from laws import (
    ONE,
    SAME,
    assert_exports_run_without_equivax,
    assert_free_of_equivax,
    cast,
    drawn,
    normal,
    on_every,
    relative,
)

by_case = pytest.mark.parametrize("name", on_every(POINTS))
#: Laws that compile for long; the layers of a network are among the others.
by_case_of_layers = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if str(name).startswith("PointN") else name
        for name in on_every(POINTS)
    ],
)
COUNT, EDGES = 7, 40
#: Of a whole network in float64.
EXACT = 1e-10


def made(case, key, **options):
    return drawn(case.build(key, **options), case.recipe.spread)


def cloud(module, dtype=None):
    """Fields, positions, edges: two points coincide, one is alone, some edges are padding."""
    places = normal(COUNT, module.in_type.space.dim, seed=3, dtype=dtype)
    places = places.at[1].set(places[0]).at[2].add(100.0)
    edges = nn.radius_edges(places, 1.5, EDGES)
    assert (edges[0] < 0).any()
    return normal(COUNT, module.in_type.size, dtype=dtype), places, *edges


@eqx.filter_jit
def run(module, x, places, senders, receivers):
    return module(x, places, senders, receivers)


@pytest.mark.usefixtures("x64")
@by_case
def test_modules_on_points_commute_with_motions_and_permutations(name, key):
    case = POINTS[name]
    module = made(case, key)
    x, places, senders, receivers = cloud(module)
    space, rep = module.in_type.space, module.in_type.representation
    elements = space.testing_elements
    turned = jnp.asarray(np.stack([rep.transform(np.asarray(x), g) for g in elements]))
    moved = jnp.asarray(np.stack([np.asarray(places) @ space.matrix(g).T for g in elements]))
    order = np.random.default_rng(0).permutation(COUNT)
    where = jnp.asarray(np.argsort(order))
    shuffled = np.random.default_rng(1).permutation(EDGES)

    def renamed(ends):
        return jnp.where(ends < 0, -1, where[ends])[shuffled]

    @eqx.filter_jit
    def outputs(module):
        batched = module(turned, moved + 0.7, senders, receivers)
        own = jax.vmap(lambda x, p: module(x, p, senders, receivers))(turned, moved)
        mixed = module(x[order], places[order], renamed(senders), renamed(receivers))
        irreps = module(IrrepTensor.of(rep, x), places, senders, receivers)
        shorter = module(x, places, jnp.where(senders < 0, COUNT, senders), receivers)
        return module(x, places, senders, receivers), batched, own, mixed, irreps, shorter

    with jax.default_matmul_precision("highest"):
        y, batched, own, mixed, irreps, shorter = outputs(module)
    assert y.dtype == jnp.float64
    assert np.ptp(np.asarray(y)) > 0.1  # what is constant commutes with anything
    target = module.out_type.representation
    expected = np.stack([target.transform(np.asarray(y), g) for g in elements])
    assert relative(batched, expected) <= EXACT
    assert relative(own, expected) <= EXACT
    assert isinstance(irreps, IrrepTensor)
    assert irreps.type == target
    allowed = 100 * SAME * case.recipe.depth
    assert relative(irreps.array, y) <= allowed
    assert relative(shorter, y) <= allowed
    whole = isinstance(module, models.PointNetwork)  # one output for all points
    assert relative(mixed, y if whole else y[order]) <= allowed


@pytest.mark.usefixtures("x64")
@by_case
def test_exports_of_modules_on_points_are_the_same_functions(name, key):
    case = POINTS[name]
    module = made(case, key)
    plain = eqx.filter_jit(lambda m: m.export())(module)
    assert_free_of_equivax(plain)
    inputs = cloud(module)
    assert relative(run(plain, *inputs), run(module, *inputs)) <= 100 * SAME * case.recipe.depth


def test_exports_of_modules_on_points_run_where_equivax_is_not_installed(tmp_path, key):
    exports = {}
    for name in dict.fromkeys(n for n in on_every(POINTS) if isinstance(n, str)):
        module = made(POINTS[name], key)
        inputs = cloud(module)
        plain = eqx.filter_jit(lambda m: m.export())(module)
        exports[name] = (ONE, plain, inputs, np.asarray(run(module, *inputs)))
    assert_exports_run_without_equivax(exports, tmp_path)


@by_case_of_layers
def test_gradients_of_modules_on_points_are_finite_and_half_precision_runs(name, key):
    case = POINTS[name]
    module = made(case, key)
    x, places, senders, receivers = cloud(module)

    @eqx.filter_jit
    def gradients(module, x, places):
        def loss(arguments):
            call, x, places = arguments
            return (call(x, places, senders, receivers).astype(jnp.float32) ** 2).sum()

        return eqx.filter_grad(loss)((module, x, places))

    found = gradients(module, x, places)
    assert float(jnp.abs(found[2]).max()) > 0
    for leaves in (found, gradients(module, x, jnp.zeros_like(places))):
        for path, leaf in jax.tree_util.tree_leaves_with_path(leaves):
            assert np.isfinite(np.asarray(leaf)).all(), jax.tree_util.keystr(path)

    # Sixteen bits: what goes in comes out. Positions keep theirs: neighbours are near.
    coarse = cast((module, x), jnp.bfloat16)
    y = run(*coarse, places, senders, receivers)
    assert y.dtype == jnp.bfloat16
    exact = run(*cast(coarse, jnp.float32), places, senders, receivers)
    # bfloat16 has 8 bits: 0.4 % per rounding, some roundings per layer
    assert relative(y.astype(jnp.float32), exact) < 0.03 * (1 + case.recipe.depth)


@by_case_of_layers
def test_modules_on_points_are_values_with_parameters_only(name, key):
    case = POINTS[name]
    one, other = made(case, key), made(case, key, fresh=True)
    testing.assert_only_parameters(one, expected=case.recipe.parameters(one))
    assert jax.tree.structure(one) == jax.tree.structure(other)
    inputs = cloud(one)
    with testing.count_traces(lambda m, v: m(*v)) as (jitted, traces):
        y = jitted(one, inputs)
        jitted(other, inputs)
    assert traces.count == 1
    assert one.evaluate_output_shape((4, *inputs[0].shape)) == (4, *y.shape)
