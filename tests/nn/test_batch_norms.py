"""Batch norms of feature fields: golden numbers, independent formulas, their own laws."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx
import golden_fields as golden
from batch_norm_cases import (
    LAYERS,
    PLACES,
    SCENES,
    called,
    made,
    reference,
    statistics,
    trained,
    typed,
)
from equivax import FieldType, groups, nn, spaces
from field_orbits import fibers, points
from laws import normal, one_in, relative

KEY = jax.random.key(20)
EXACT = 1e-11

both_modes = pytest.mark.parametrize("inference", [False, True], ids=["training", "inference"])
by_layer = pytest.mark.parametrize("name", LAYERS)


# ---- golden numbers ----------------------------------------------------------------------------

GOLDEN = {
    "InnerBatchNorm": {},
    "NormBatchNorm": {"mode": "ema"},
    "InducedNormBatchNorm": {"mode": "ema"},
    "GNormBatchNorm": {"correction": 1},
    "IIDBatchNorm": {},
}


@pytest.mark.parametrize("entry", [e for m in GOLDEN for e in golden.modules(m)], ids=repr)
def test_golden_batch_norms(entry):
    options = dict(GOLDEN[entry.module])
    if "momentum" in entry.params:
        options["momentum"] = entry.params["momentum"]
    layer, state = eqx.nn.make_with_state(getattr(nn, entry.module))(entry.in_type, **options)
    for name in ("weight", "bias"):
        if name in entry.params:
            value = jnp.asarray(entry.params[name], jnp.float32)
            layer = eqx.tree_at(lambda tree, name=name: getattr(tree, name), layer, value)
    for batch in ("train0", "train1"):
        y, state = called(layer, entry.array(f"x/{batch}"), state)
        assert np.abs(y - entry.array(f"y/{batch}")).max() < golden.ATOL
    y, _ = called(eqx.nn.inference_mode(layer), entry.array("x/eval"), state)
    assert np.abs(y - entry.array("y/eval")).max() < golden.ATOL
    mean, variance, count = statistics(layer, state)
    assert count == 2
    if "running_mean" in entry.record:
        assert np.abs(mean - entry.record["running_mean"]).max() < golden.ATOL
    if "running_var" in entry.record:
        assert np.abs(variance - entry.record["running_var"]).max() < golden.ATOL
    if "running" in entry.record:
        owner = np.repeat(np.arange(len(entry.in_type)), [len(f.irreps) for f in entry.in_type])
        for kind in entry.record["running"].values():
            for field, expected in zip(kind["fields"], kind["running_var"], strict=True):
                assert np.abs(variance[owner == field] - expected).max() < golden.ATOL


@pytest.mark.parametrize("entry", golden.modules("FieldNorm"), ids=repr)
@pytest.mark.filterwarnings("ignore:FieldNorm")
def test_golden_field_norm(entry):
    layer = nn.FieldNorm(entry.in_type, eps=entry.params["eps"])
    assert np.abs(layer(entry.x) - entry.y).max() < golden.ATOL
    assert np.abs(jax.vmap(layer.export())(entry.x) - entry.y).max() < golden.ATOL


# ---- against formulas written down otherwise ----------------------------------------------------


@pytest.mark.usefixtures("x64")
@by_layer
def test_training_is_the_formula_with_dense_projectors(name):
    layer, state = made(name, "plane")
    x = 2 * normal(4, layer.in_type.size, 3, 3) + 1
    y, state = called(layer, x, state)
    expected, mean, variance = reference(name, layer, x)
    assert np.abs(y - expected).max() < EXACT
    found_mean, found_variance, _ = statistics(layer, state)
    assert np.abs(found_mean - 0.1 * mean).max(initial=0.0) < EXACT
    assert np.abs(found_variance - (0.9 + 0.1 * variance)).max() < EXACT


@pytest.mark.usefixtures("x64")
@by_layer
def test_without_momentum_statistics_are_plain_averages(name):
    one, state = made(name, "plane", momentum=1.0)
    layer, average = made(name, "plane", momentum=None)
    batches = [(t + 1) * jax.random.normal(k, (3, one.in_type.size, 2, 2)) + t for t, k in
               enumerate(jax.random.split(KEY, 3))]  # fmt: skip
    singles = []
    for batch in batches:
        _, alone = called(one, batch, state)
        singles.append(statistics(one, alone))
        _, average = called(layer, batch, average)
    mean, variance, count = statistics(layer, average)
    assert count == 3
    assert np.abs(mean - np.mean([s[0] for s in singles], 0)).max(initial=0.0) < EXACT
    assert np.abs(variance - np.mean([s[1] for s in singles], 0)).max() < EXACT


@pytest.mark.usefixtures("x64")
@both_modes
@by_layer
def test_the_whole_batch_may_move(name, inference):
    layer, state = trained(name, "plane")
    layer = eqx.nn.inference_mode(layer, inference)
    type_ = layer.in_type
    x = np.asarray(normal(3, type_.size, 4, 4) + 0.5)
    y, after = called(layer, x, state)
    assert called(layer, type_(x), state)[0].type == type_
    elements = type_.group.elements

    def orbit(x):
        turned = fibers(type_, x, elements)
        return [points(type_.space.matrix(g), v) for g, v in zip(elements, turned, strict=True)]

    moved, states = jax.vmap(lambda x: called(layer, x, state))(jnp.asarray(orbit(x)))
    assert np.abs(moved - np.stack(orbit(y))).max() < EXACT
    for one, all_ in zip(*map(jax.tree.leaves, (after, states)), strict=True):
        assert np.abs(np.asarray(one) - np.asarray(all_)).max(initial=0) < EXACT


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name, scene", one_in(2, PLACES))
def test_points_and_batch_axes_are_alike(name, scene):
    """A field is as many vectors as it has points; any number of axes in front is the batch."""
    layer, state = made(name, scene)
    vectors, vector_state = made(name, "vectors")
    n, points = layer.in_type.size, (2, 3, 4)[: SCENES[scene].dim]
    rows = np.asarray(normal(24 * 2, n))
    expected, after = called(vectors, rows, vector_state)
    fields = np.moveaxis(rows.reshape(-1, *points, n), -1, -1 - len(points))
    y, found = called(layer, fields, state)
    assert np.abs(np.moveaxis(y, -1 - len(points), -1).reshape(-1, n) - expected).max() < EXACT
    for one, other in zip(*map(jax.tree.leaves, (found, after)), strict=True):
        assert np.abs(np.asarray(one) - np.asarray(other)).max(initial=0) < EXACT
    many, _ = called(layer, fields.reshape(2, -1, *fields.shape[1:]), state)
    assert np.abs(many.reshape(y.shape) - y).max() < EXACT
    assert layer.evaluate_output_shape(fields.shape) == y.shape
    if points:
        single, _ = called(layer, fields[0], state)
        first, _ = called(layer, fields[:1], state)
        assert np.abs(single - first[0]).max() < EXACT


@pytest.mark.usefixtures("x64")
@by_layer
def test_a_named_axis_is_a_batch_axis(name):
    layer, state = made(name, "plane")
    x = 2 * normal(2, 3, layer.in_type.size, 2, 2) + 1
    expected, after = called(layer, x, state)
    named, named_state = made(name, "plane", axis_name="b")
    mapped = jax.vmap(named, axis_name="b", in_axes=(0, None), out_axes=(0, None))
    for batch in (x.reshape(6, *x.shape[2:]), x):
        y, found = called(mapped, batch, named_state)
        assert float(jnp.abs(y.reshape(x.shape) - expected).max()) < EXACT
        for one, other in zip(*map(jax.tree.leaves, (found, after)), strict=True):
            assert np.abs(np.asarray(one) - np.asarray(other)).max(initial=0) < EXACT
    named, named_state = made(name, "plane", axis_name=["a", "b"])
    inner = jax.vmap(named, axis_name="b", in_axes=(0, None), out_axes=(0, None))
    outer = jax.vmap(inner, axis_name="a", in_axes=(0, None), out_axes=(0, None))
    assert float(jnp.abs(called(outer, x, named_state)[0] - expected).max()) < EXACT


# ---- gradients ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("mode", one_in(2, ["batch", "ema"]))
@by_layer
def test_gradients_flow_through_the_statistics(name, mode):
    layer, state = made(name, "plane", mode=mode, momentum=0.4)
    shape = (3, layer.in_type.size, 2, 2)
    x, direction, weights = (jax.random.normal(k, shape) for k in jax.random.split(KEY, 3))

    @jax.jit
    def loss(x):
        return (called(layer, x, state)[0] * weights).sum()

    slope = float((jax.grad(loss)(x) * direction).sum())
    h = 1e-5
    numerical = float(loss(x + h * direction) - loss(x - h * direction)) / (2 * h)
    assert slope == pytest.approx(numerical, rel=1e-7)
    _, tangent = jax.jvp(loss, (x,), (direction,))
    assert slope == pytest.approx(float(tangent), rel=1e-9)


@pytest.mark.parametrize(
    "options", one_in(3, [{}, {"mode": "ema"}, {"track_running_stats": False}]), ids=str
)
@by_layer
def test_degenerate_batches_are_finite(name, options):
    layer, state = made(name, "plane", **options)
    n = layer.in_type.size
    random = normal(1, n, 1, 1)
    batches = {
        "zero": jnp.zeros((2, n, 3, 3)),
        "constant": jnp.broadcast_to(random, (2, n, 3, 3)),
        "one vector": random,
        "large": 1e4 * normal(2, n, 3, 3),
        "far away": 1e4 + normal(2, n, 3, 3),
        "one field only": jnp.zeros((2, n, 3, 3)).at[:, 0].set(100.0),
    }

    @eqx.filter_jit
    def at(layer, batch, state):
        def loss(pair):
            y, new = pair[0](pair[1], state)
            return (y**2).sum(), (y, new)

        return eqx.filter_grad(loss, has_aux=True)((layer, batch))

    for label, batch in batches.items():
        leaves, structure = jax.tree.flatten(state)
        found = at(layer, batch, jax.tree.unflatten(structure, leaves))
        for leaf in jax.tree.leaves(eqx.filter(found, eqx.is_inexact_array)):
            assert np.isfinite(leaf).all(), label


@by_layer
def test_a_single_vector_has_no_bessel_factor(name):
    layer, state = made(name, "vectors", momentum=1.0)
    x = normal(layer.in_type.size)
    _, after = alone(name, layer, x, state)
    assert np.isfinite(statistics(layer, after)[1]).all()


def alone(name, layer, x, state):
    """A call on one vector, of which a norm that takes means warns."""
    if "norm" in name and not name.startswith("gnorm"):
        return called(layer, x, state)
    with pytest.warns(UserWarning, match=r"statistics of one vector.*axis_name='batch'"):
        return called(layer, x, state)


def test_a_forgotten_name_of_the_axis_is_told():
    layer, state = made("gnorm", "vectors")
    x = normal(3, layer.in_type.size)
    with pytest.warns(UserWarning, match="GNormBatchNorm: x: statistics of one vector"):
        jax.vmap(layer, in_axes=(0, None), out_axes=(0, 0))(x, state)
    named, state = made("gnorm", "vectors", axis_name="batch")
    over = jax.vmap(named, in_axes=(0, None), out_axes=(0, None), axis_name="batch")
    expected, _ = called(made("gnorm", "vectors")[0], x, made("gnorm", "vectors")[1])
    np.testing.assert_allclose(over(x, state)[0], expected, rtol=1e-4, atol=1e-6)


#: Every batch norm as a user has it, at sizes and means far from one.
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@by_layer
def test_large_means_and_any_size_in_single_precision(name, dtype, size):
    layer, state = made(name, "plane")
    n = layer.in_type.size
    mean = 0.0 if "norm" in name and not name.startswith("gnorm") else 1e4
    invariant = sum(layer.in_type.representation.matrices) @ np.ones(n)
    invariant = invariant / max(np.abs(invariant).max(), 1.0)
    x = size * (normal(4, n, 6, 6) + mean * invariant[:, None, None])
    x = jnp.asarray(x, dtype)
    y, after = called(layer, x, state)
    expected, means, _ = reference(name, layer, x)
    # Output of 16 bits is rounded once, at the end.
    assert relative(y, expected) < (1e-5 if dtype == jnp.float32 else 2e-2)
    if means.size:
        assert relative(statistics(layer, after)[0], 0.1 * means) < 1e-6


# ---- options -----------------------------------------------------------------------------------


@by_layer
def test_without_running_statistics_those_of_the_batch_serve_always(name):
    layer, state = made(name, "plane", track_running_stats=False)
    assert layer.running is None
    x = normal(4, layer.in_type.size, 3, 3)
    usual, usual_state = made(name, "plane")
    expected, _ = called(usual, x, usual_state)
    for chosen in (layer, eqx.nn.inference_mode(layer)):
        y, after = called(chosen, x, state)
        assert np.array_equal(y, expected)
        assert jax.tree.leaves(after) == []
    with pytest.raises(ValueError, match=r"no running statistics.*track_running_stats=True"):
        layer.export(state)


@by_layer
def test_ema_divides_by_the_updated_running_statistics(name):
    layer, state = made(name, "plane", mode="ema")
    x = 3 * normal(4, layer.in_type.size, 3, 3) + 1
    y, after = called(layer, x, state)
    z, unchanged = called(eqx.nn.inference_mode(layer), x, after)
    assert float(jnp.abs(y - z).max()) < 1e-5
    for one, other in zip(*map(jax.tree.leaves, (unchanged, after)), strict=True):
        assert np.array_equal(one, other)


@by_layer
def test_sixteen_bits_keep_statistics_in_float32(name):
    layer, state = made(name, "plane")
    x = normal(8, layer.in_type.size, 4, 4) + 1
    exact, after = called(layer, x, state)
    for dtype in (jnp.bfloat16, jnp.float16):
        y, coarse = called(layer, x.astype(dtype), state)
        assert y.dtype == dtype
        assert float(jnp.abs(y.astype(jnp.float32) - exact).max()) < 0.06  # 8 bits, |y| < 5
        found, wanted = statistics(layer, coarse), statistics(layer, after)
        for one, other in zip(found[:2], wanted[:2], strict=True):
            assert one.dtype == other.dtype
            assert np.abs(one - other).max(initial=0) < 0.01
    low, low_state = made(name, "plane", dtype=jnp.bfloat16)
    assert low.weight.dtype == jnp.bfloat16
    assert statistics(low, low_state)[1].dtype == jnp.float32
    assert called(low, x, low_state)[0].dtype == jnp.float32


@by_layer
def test_leaves_are_parameters_and_equal_types_share_a_compilation(name):
    layer, state = made(name, "plane")
    arrays = [leaf for leaf in jax.tree.leaves(eqx.filter(layer, eqx.is_inexact_array))]
    expected = [layer.weight] + ([] if layer.bias is None else [layer.bias])
    assert [a.shape for a in arrays] == [p.shape for p in expected]
    plain, _ = made(name, "plane", affine=False)
    assert plain.weight is None
    assert plain.bias is None
    traces = []

    @eqx.filter_jit
    def step(layer, x, state):
        traces.append(None)
        return layer(x, state)

    x = jnp.ones((2, layer.in_type.size, 3, 3))
    first = jax.tree.unflatten(*jax.tree.flatten(state)[::-1])
    step(layer, x, first)
    again, fresh = made(name, "plane")
    step(again, x, fresh)
    assert len(traces) == 1


def test_orbits_may_have_statistics_of_their_own():
    space = spaces.rot_on_r2(4)
    fused = (space.regular + space.trivial + space.regular).fused()
    apart = FieldType(space, [space.regular, space.trivial, space.regular])
    x = normal(5, 9, 3, 3) * jnp.arange(1.0, 10)[:, None, None]
    one, state = eqx.nn.make_with_state(nn.InnerBatchNorm)(FieldType(space, fused))
    assert one.weight.shape == (1,)
    orbits, orbit_state = eqx.nn.make_with_state(nn.InnerBatchNorm)(
        FieldType(space, fused), per_orbit=True
    )
    fields, field_state = eqx.nn.make_with_state(nn.InnerBatchNorm)(apart)
    assert orbits.weight.shape == fields.weight.shape == (3,)
    found, expected = called(orbits, x, orbit_state)[0], called(fields, x, field_state)[0]
    assert float(jnp.abs(found - expected).max()) < 1e-6
    assert float(jnp.abs(called(one, x, state)[0] - expected).max()) > 0.1


@pytest.mark.usefixtures("x64")
def test_statistics_per_type_do_not_depend_on_the_choice_of_copies():
    group = groups.dihedral(3)
    parts = group.trivial + group.irrep(1, 1) + group.trivial + group.irrep(1, 1)
    turn, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(2, 2)))
    mix = np.zeros((6, 6))
    mix[np.ix_([0, 3], [0, 3])] = turn
    mix[1:3, 1:3], mix[4:, 1:3] = turn[0, 0] * np.eye(2), turn[1, 0] * np.eye(2)
    mix[1:3, 4:], mix[4:, 4:] = turn[0, 1] * np.eye(2), turn[1, 1] * np.eye(2)
    other = evx.Representation.from_matrices(group, parts.matrices)
    assert np.abs(mix @ parts.matrices - parts.matrices @ mix).max() < 1e-12
    x = np.asarray(normal(20, 6)) * np.arange(1, 7) + 1
    for per, same in (("type", True), ("copy", False)):
        layer, state = eqx.nn.make_with_state(nn.GNormBatchNorm)(parts.fused(), per=per)
        y, after = called(layer, x, state)
        turned, _ = called(layer, x @ mix.T, state)
        assert (np.abs(turned - y @ mix.T).max() < 1e-12) == same
        again, state = eqx.nn.make_with_state(nn.GNormBatchNorm)(other, per=per)
        if same:
            assert np.abs(called(again, x, state)[0] - y).max() < 1e-12
            assert statistics(layer, after)[1].shape == (2,)


def test_interleaved_fields_keep_their_order():
    """Equal fields are gathered for the computation; parameters stay in the order of the type."""
    space = spaces.rot_on_r2(4)
    parts = [space.regular, space.irrep(1), space.trivial] * 2
    type_ = FieldType(space, [*parts, space.regular])
    layer, state = typed(nn.GNormBatchNorm, type_)
    x = normal(6, type_.size, 3, 3)
    weights = jnp.arange(1.0, 1 + len(layer.weight))
    bias = jnp.arange(len(layer.bias)).astype(jnp.float32)
    layer = eqx.tree_at(lambda tree: (tree.weight, tree.bias), layer, (weights, bias))
    y, _ = called(layer, x, state)
    copies = np.cumsum([0, *[len(f.irreps) for f in type_]])
    means = np.cumsum([0, *[f.irreps.count(space.trivial.irreps[0]) for f in type_]])
    for i, field in enumerate(type_):
        small, small_state = typed(nn.GNormBatchNorm, FieldType(space, field))
        part = weights[copies[i] : copies[i + 1]], bias[means[i] : means[i + 1]]
        small = eqx.tree_at(lambda tree: tree.weight, small, part[0])
        if small.bias is not None:
            small = eqx.tree_at(lambda tree: tree.bias, small, part[1])
        block = slice(type_.fields_start[i], type_.fields_end[i])
        expected, _ = called(small, x[:, block], small_state)
        assert float(jnp.abs(y[:, block] - expected).max()) < 1e-5
