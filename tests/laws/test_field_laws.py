"""The laws of every layer on feature fields, over the table of field cases."""

import dataclasses
import io
import re
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cases import FIELD_RECIPES as RECIPES
from cases import FIELDS as CASES
from cases import Case
from equivax import FieldType, GeometricTensor, models, nn, testing
from field_orbits import (
    call,
    degenerate_inputs,
    equivariance_error,
    example,
    jitted,
    jitted_orbit,
    made,
    orbit_inputs,
    over_orbit,
    spread_of_states,
)
from field_types import QUICK_TYPES, TYPES, types
from laws import (
    EXACT,
    ROWS,
    SAME,
    assert_exports_run_without_equivax,
    assert_free_of_equivax,
    cast,
    drawn,
    normal,
    on_every,
    on_types,
    relative,
    trained,
)

#: What does not depend on the group is seen on one type: the first of every recipe.
FIRST = [next(n for n, c in CASES.items() if c.recipe is r) for r in RECIPES.values() if r.on]
#: Networks, whose layers the laws see one by one: that they commute is seen in the quick run.
NETWORKS = (
    models.DilResNet,
    models.FieldResNet,
    models.FieldUNet,
    models.TensorResNet,
    models.TensorUNet,
    models.WideResNet,
)


def slow_for_networks(names):
    return [
        pytest.param(name, marks=[pytest.mark.slow] * (CASES[name].recipe.covers in NETWORKS))
        if isinstance(name, str)
        else name
        for name in names
    ]


by_recipe = pytest.mark.parametrize("name", slow_for_networks(FIRST))
by_case_of_layers = pytest.mark.parametrize("name", slow_for_networks(on_every(CASES)))
by_type = pytest.mark.parametrize("space, type_", on_types(TYPES, QUICK_TYPES))


def bound(case, dtype):
    return EXACT[dtype] * case.recipe.depth


def trainable(module):
    return any(eqx.is_inexact_array(leaf) for leaf in jax.tree.leaves(module))


def alike_but_for_arrays(one, other):
    """Whether what decides the computation agrees; the mode of a dropout is a boolean leaf."""
    static = [eqx.filter(module, eqx.is_array, inverse=True) for module in (one, other)]
    return bool(eqx.tree_equal(*static))


# ---- equivariance ------------------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@by_type
def test_layers_commute_with_every_element_in_float64(space, type_, key):
    chosen = {
        name: Case(recipe, space, type_)
        for name, recipe in RECIPES.items()
        if recipe.everywhere and recipe.fits(types(space)[type_])
    }
    layers = {name: made(case, key) for name, case in chosen.items()}
    arguments = {
        name: (layer.module, layer.state, orbit_inputs(chosen[name], layer.module), layer.options)
        for name, layer in layers.items()
    }

    @jitted  # one compilation for all layers of a type
    def run(arguments):
        return {name: over_orbit(*these) for name, these in arguments.items()}

    with jax.default_matmul_precision("highest"):
        found = run(arguments)
    errors = {}
    for name, (outputs, states) in found.items():
        assert outputs.dtype == jnp.float64
        error = equivariance_error(chosen[name], layers[name].module, outputs)
        errors[name] = max(error, spread_of_states(states))
    assert {n: e for n, e in errors.items() if not e <= bound(chosen[n], "float64")} == {}


@pytest.mark.usefixtures("x64")
@by_case_of_layers  # networks: `test_networks_on_fields`, `models/test_image_networks`
def test_layers_commute_and_take_any_batch_in_float64(name, key):
    case = CASES[name]
    layer = made(case, key)
    module, state, options = layer.module, layer.state, layer.options
    x = example(case, module, 2, 3, seed=2)

    @jitted
    def ways(module, quiet, state, inputs, x):
        def single(v):
            return call(quiet, state, v, options)[0]

        alike = single(x), jax.vmap(jax.vmap(single))(x), single(x[1, 2]), single(x[:0])
        trained = over_orbit(module, state, inputs, options)
        same = state is None and alike_but_for_arrays(quiet, module)
        at_inference = trained if same else over_orbit(quiet, state, inputs, options)
        return (*alike, single(one)), trained, at_inference

    one = np.asarray(x[1, 2])  # a NumPy array is an array
    inputs = jnp.asarray(orbit_inputs(case, module))
    with jax.default_matmul_precision("highest"):
        alike, trained, at_inference = ways(module, layer.quiet, state, inputs, x)
    for training, (outputs, states) in ((True, trained), (False, at_inference)):
        assert outputs.dtype == jnp.float64
        error = equivariance_error(case, module, outputs, training=training)
        assert error <= bound(case, "float64")
        assert spread_of_states(states) <= bound(case, "float64")
    kept = at_inference[1]
    for leaf, before in zip(jax.tree.leaves(kept), jax.tree.leaves(state), strict=True):
        assert np.array_equal(leaf, np.broadcast_to(before, leaf.shape))  # nothing is learnt
    batched, vmapped, single, none, given = alike
    allowed = SAME * case.recipe.depth
    shape = module.evaluate_output_shape(x[0, 0].shape)
    assert batched.shape == (2, 3, *shape)
    assert none.shape == (0, 3, *shape)
    assert single.shape == shape
    assert relative(vmapped[1, 2], single) <= allowed
    assert relative(given, single) <= allowed
    assert relative(batched, vmapped) <= allowed


@pytest.mark.slow  # without jit every operation is a program
@pytest.mark.usefixtures("x64")
@by_recipe
def test_calls_and_exports_without_jit_are_those_with(name, key):
    case = CASES[name]
    layer = made(case, key)
    x = np.asarray(example(case, layer.module))
    with jax.default_matmul_precision("highest"):
        eager, _ = call(layer.quiet, layer.state, x, layer.options)
        compiled, _ = jitted(call)(layer.quiet, layer.state, x, layer.options)
        assert relative(eager, compiled) <= SAME * case.recipe.depth
        if case.recipe.exports:
            state = layer.state
            plain = layer.quiet.export() if state is None else layer.quiet.export(state)
            assert relative(plain(jnp.asarray(x)), compiled) <= 10 * SAME * case.recipe.depth


class Wrong(eqx.Module):
    """Multiplies one channel, or one column of pixels, by a little more than 1."""

    in_type: FieldType = eqx.field(static=True)
    out_type: FieldType = eqx.field(static=True)
    where: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, x):
        return x.at[(..., *self.where)].multiply(1.001)


@pytest.mark.parametrize("where", [(0, slice(None), slice(None)), (slice(None), slice(None), 0)])
def test_the_law_notices_a_layer_that_does_not_commute(where):
    recipe = dataclasses.replace(RECIPES["Identity"], moves_points=where[0] != 0)
    case = Case(recipe, "D4", "regular")
    fine, wrong = nn.Identity(case.in_type), Wrong(case.in_type, case.in_type, where)
    inputs = orbit_inputs(case, fine)
    assert len(inputs) == 1 + 8 + 8 * (where[0] == 0)
    assert equivariance_error(case, fine, inputs) <= EXACT["float32"]
    assert equivariance_error(case, fine, wrong(jnp.asarray(inputs, jnp.float32))) > 1e-4


# ---- batches in training -----------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "name", on_every({n: case for n, case in CASES.items() if case.recipe.named_axis})
)
def test_a_named_axis_is_a_batch_axis(name, key):
    case = CASES[name]
    layer = made(case, key)
    named = made(case, key, axis_name="batch")
    x = example(case, layer.module, 4)

    @jitted
    def both(one, other, x):
        def single(v):
            return call(*other, v, layer.options)

        return call(*one, x, layer.options), jax.vmap(single, axis_name="batch")(x)

    one, other = (layer.module, layer.state), (named.module, named.state)
    (y, state), (z, states) = both(one, other, x)
    assert relative(z, y) <= SAME * case.recipe.depth
    for leaf, each in zip(jax.tree.leaves(state), jax.tree.leaves(states), strict=True):
        assert relative(each, np.broadcast_to(leaf, each.shape)) <= 10 * SAME


# ---- shapes and types --------------------------------------------------------------------------


@by_recipe
def test_types_are_checked_and_passed_on(name, key):
    case = CASES[name]
    layer = made(case, key)
    module, type_ = layer.module, layer.module.in_type
    assert type(module) is case.recipe.covers
    assert case.recipe.fits(case.in_type)
    assert isinstance(module.out_type, FieldType)

    def shapes(*leading):
        x = example(case, module, *leading)
        y, _ = jax.eval_shape(lambda v: call(module, layer.state, type_(v), layer.options), x)
        assert isinstance(y, GeometricTensor)
        assert y.type == module.out_type
        return x.shape, y.shape

    for leading in ((), (2,), (2, 3)):
        given, found = shapes(*leading)
        assert module.evaluate_output_shape(given) == found
        assert found[: len(leading)] == leading
        assert found[len(leading)] == module.out_type.size
    other = type_ + type_
    x = normal(2, other.size, *case.recipe.sides)
    with pytest.raises(ValueError, match=re.escape(f"{type_!r}, got {other!r}")):
        call(module, layer.state, other(x), layer.options)
    with pytest.raises(ValueError, match=rf"{type(module).__name__}: expected \(\.\.\., "):
        call(module, layer.state, x, layer.options)
    with pytest.raises(ValueError, match="expected"):
        module.evaluate_output_shape(x.shape)


# ---- leaves ------------------------------------------------------------------------------------


@by_case_of_layers
def test_leaves_are_the_parameters(name, key):
    case = CASES[name]
    layer = made(case, key)
    module = layer.module
    testing.assert_only_parameters(module, expected=case.recipe.parameters(module))
    for leaf in jax.tree.leaves(module):
        # `inference` is a flag that `equinox.nn.inference_mode` finds among the leaves.
        assert isinstance(leaf, (jax.Array, bool))
    optax.adamw(1e-3).init(module if not flags(module) else eqx.filter(module, eqx.is_array))
    if case.recipe.stateful:
        assert jax.tree.leaves(layer.state)
    x = example(case, module, 2)

    def loss(m):
        return (call(m, layer.state, x, layer.options)[0] ** 2).sum()

    gradient = (eqx.filter_grad if flags(module) else jax.grad)(loss)
    gradient = jax.eval_shape(lambda: eqx.filter(gradient(module), eqx.is_array))
    expected = eqx.filter(module, eqx.is_array)
    assert jax.tree.structure(gradient) == jax.tree.structure(expected)


def flags(module):
    return any(isinstance(leaf, bool) for leaf in jax.tree.leaves(module))


@by_recipe
def test_equal_modules_share_a_trace(name, key):
    case = CASES[name]
    one, other = made(case, key), made(case, key, fresh=True)
    traces = 0

    @jax.jit
    def traced(arrays, x):
        nonlocal traces
        traces += 1
        module, state = eqx.combine(arrays, static)
        return call(module, state, x, one.options)[0]

    shape = example(case, one.module, 2)
    for layer in (one, other):
        arrays, static = eqx.partition((layer.module, layer.state), eqx.is_array)
        jax.eval_shape(traced, arrays, shape)
    assert traces == 1
    trees = [jax.tree.structure((layer.module, layer.state)) for layer in (one, other)]
    assert trees[0] == trees[1]
    assert hash(trees[0]) == hash(trees[1])


# ---- training ----------------------------------------------------------------------------------


@by_recipe
def test_layers_commute_in_float32_before_and_after_training(name, key, precision):
    case = CASES[name]
    layer = made(case, key)
    inputs = jnp.asarray(orbit_inputs(case, layer.module), jnp.float32)

    def checked(module, state):
        with jax.default_matmul_precision("highest"):
            outputs, states = jitted_orbit(module, state, inputs, layer.options)
        assert outputs.dtype == jnp.float32
        assert equivariance_error(case, module, outputs) <= bound(case, "float32")
        return outputs, states

    outputs, states = checked(layer.module, layer.state)
    assert np.ptp(np.asarray(outputs)) > 0.1  # a layer that is constant commutes with anything
    assert spread_of_states(states) <= bound(case, "float32")
    with precision(True):  # float32 where float64 is possible too
        arguments = (layer.module, layer.state, inputs, layer.options)
        assert eqx.filter_eval_shape(over_orbit, *arguments)[0].dtype == jnp.float32
    if not trainable(layer.module):
        return
    parameters, static = eqx.partition(layer.module, eqx.is_inexact_array)
    x = example(case, layer.module, 4)
    target = normal(*layer.module.evaluate_output_shape(x.shape), seed=2)

    def loss(p, state):
        y, state = call(eqx.combine(p, static), state, x, layer.options)
        return ((y - target) ** 2).mean(), state

    for after, state in trained(loss, parameters, layer.state):
        checked(eqx.combine(after, static), state)


# ---- gradients and dtypes ----------------------------------------------------------------------


@by_case_of_layers
def test_gradients_are_finite_and_half_precision_runs(name, key):
    case = CASES[name]
    layer = made(case, key)

    @jitted
    def run(module, state, inputs):
        def at(v):
            def loss(pair):
                y, _ = call(pair[0], state, pair[1], layer.options)
                return (y**2).sum()

            return eqx.filter_grad(loss)((module, v))

        coarse = call(cast(module, jnp.bfloat16), state, half, layer.options)
        return jax.vmap(at)(inputs), coarse

    half = example(case, layer.module, 2).astype(jnp.bfloat16)
    found, (y, state) = run(layer.module, layer.state, degenerate_inputs(case, layer.module))
    assert jax.tree.leaves(found)
    for path, leaf in jax.tree_util.tree_leaves_with_path(found):
        assert np.isfinite(np.asarray(leaf)).all(), jax.tree_util.keystr(path)
    assert y.dtype == jnp.bfloat16
    for leaf in jax.tree.leaves((y, state)):
        assert np.isfinite(np.asarray(leaf, np.float32)).all()


# ---- storage -----------------------------------------------------------------------------------


@by_recipe
def test_layers_and_states_survive_a_file(name, key):
    case = CASES[name]
    layer = made(case, key)
    saved = layer.module, drawn(layer.state)  # statistics that are not those at the start
    buffer = io.BytesIO()
    eqx.tree_serialise_leaves(buffer, saved)
    buffer.seek(0)
    template = made(case, jax.random.key(1), fresh=True)
    restored = eqx.tree_deserialise_leaves(buffer, (template.module, template.state))
    assert jax.tree.structure(restored) == jax.tree.structure(saved)
    for one, other in zip(jax.tree.leaves(restored), jax.tree.leaves(saved), strict=True):
        assert np.array_equal(one, other)


# ---- export ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "name",
    slow_for_networks(on_every({n: case for n, case in CASES.items() if case.recipe.exports})),
)
def test_export_is_the_same_function_without_equivax(name, key):
    case = CASES[name]
    layer = made(case, key)
    state = positive(layer.state)

    def exported(module, state):
        plain = module.export() if state is None else module.export(state)
        assert_free_of_equivax(plain)
        return plain

    plain = jitted(exported)(layer.module, state)  # without jit every operation is a program
    at_inference = case.recipe.exports_inference or state is not None
    module = layer.quiet if at_inference else layer.module
    options = {} if at_inference else layer.options

    @jitted
    def both(plain, module, state, x):
        return jax.vmap(plain)(x), call(module, state, x, options)[0]

    with jax.default_matmul_precision("highest"), warnings.catch_warnings():
        warnings.simplefilter("error")
        found, own = both(plain, module, state, example(case, layer.module, 3))
    assert relative(found, own) <= 10 * SAME * case.recipe.depth  # one dense product per layer


@pytest.mark.slow
def test_exports_run_where_equivax_is_not_installed(tmp_path, key):
    exports = {}
    for name in FIRST:
        case = CASES[name]
        if not case.recipe.exports:
            continue
        layer = made(case, key)
        state = positive(layer.state)
        x = example(case, layer.module, 3)

        def exported(module, state, x):
            plain = module.export() if state is None else module.export(state)
            return plain, jax.vmap(plain)(x)

        plain, y = jitted(exported)(layer.module, state, x)
        exports[name] = (ROWS, plain, (np.asarray(x),), jax.tree.map(np.asarray, y))
    assert_exports_run_without_equivax(exports, tmp_path)


def positive(state):
    """Statistics other than those at the start; variances are positive."""

    def above(leaf):
        return jnp.asarray(np.abs(leaf) + 0.5, leaf.dtype) if eqx.is_inexact_array(leaf) else leaf

    return jax.tree.map(above, drawn(state))
