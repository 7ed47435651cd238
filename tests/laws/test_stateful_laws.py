"""The laws of modules with running statistics, ``(x, state) -> (y, state)``.

`test_laws.py` holds the laws that do not call the module (leaves, storage, one compilation). A new
layer with running statistics needs a recipe that says ``stateful=True`` and nothing here.
"""

import functools
import io
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import equivax as evx
import vector_types
from cases import STATEFUL, Case
from cases import VECTOR_RECIPES as RECIPES
from laws import SAME, assert_free_of_equivax, cast, normal, on_every, on_types, relative
from vector_orbits import bound, degenerate_inputs, orbit
from vector_types import QUICK_STATISTICS_TYPES, STATISTICS_TYPES

by_case = pytest.mark.parametrize("name", on_every(STATEFUL))
both_modes = pytest.mark.parametrize("inference", [False, True], ids=["training", "inference"])


def clone(state: Any) -> Any:
    """A state that may be used once more; Equinox refuses an old one."""
    leaves, structure = jax.tree.flatten(state)
    return jax.tree.unflatten(structure, leaves)


def output_of(case: Case, y: Any) -> jax.Array:
    return y if case.recipe.summary is None else case.recipe.summary(y)


def called(case: Case, module: Any, x: Any, state: Any) -> tuple[jax.Array, Any]:
    y, state = module(x, clone(state))
    return output_of(case, y), state


#: Where the call without jit is not the question: there every operation is compiled by itself.
compiled_call = eqx.filter_jit(called)


def prepared(case: Case, key: jax.Array, **axes: Any) -> tuple[Any, Any]:
    """The module with parameters and running statistics from normal distributions."""
    module, state = eqx.filter_eval_shape(functools.partial(case.build_with_state, **axes), key)
    rng = np.random.default_rng(0)

    def draw(leaf: Any) -> Any:
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf
        values = rng.standard_normal(leaf.shape) if jnp.issubdtype(leaf.dtype, jnp.inexact) else 3
        return jnp.asarray(values, leaf.dtype)

    module = jax.tree.map(draw, module)
    # The running statistics of two batches: variances are positive, counts are counts.
    _, state = case.build_with_state(key, **axes)
    plain, _ = case.build_with_state(key)
    batches = [3 * normal(9, plain.in_type.size, seed=seed) + 1 for seed in (5, 6)]
    return module, _learnt(plain, state, batches)


@eqx.filter_jit
def _learnt(module: Any, state: Any, batches: list[jax.Array]) -> Any:
    for batch in batches:
        _, state = module(batch, state)
    return state


def move(case: Case, module: Any, y: jax.Array) -> np.ndarray:
    """The orbit of an output: vectors turn, what is said about a whole batch stays."""
    if case.recipe.summary is None:
        return orbit(module.out_type, y)
    count = 1 + len(module.in_type.group.testing_coordinates)
    return np.broadcast_to(np.asarray(y, np.float64), (count, *y.shape))


@eqx.filter_jit
def _on_orbits(case: Case, modules: Any, state: Any, inputs: jax.Array) -> Any:
    return {
        mode: jax.vmap(lambda v, m=module: called(case, m, v, state))(inputs)
        for mode, module in modules.items()
    }


def errors_on_orbits(case: Case, module: Any, state: Any, x: Any) -> dict[str, float]:
    """Errors of output and new state when the whole batch moves, in training and at inference."""
    inputs = jnp.asarray(orbit(module.in_type, x), x.dtype)
    modules = {
        "training": eqx.nn.inference_mode(module, False),
        "inference": eqx.nn.inference_mode(module),
    }
    with jax.default_matmul_precision("highest"):
        outputs = _on_orbits(case, modules, state, inputs)
    found = {}
    for mode, (ys, states) in outputs.items():
        assert ys.dtype == x.dtype
        assert np.isfinite(np.asarray(ys)).all()
        assert np.ptp(np.asarray(ys)) > 0.1  # a constant commutes with anything
        found[f"output, {mode}"] = relative(ys, move(case, module, ys[0]))
        for path, leaf in jax.tree_util.tree_leaves_with_path(states):
            first = np.broadcast_to(np.asarray(leaf[0]), leaf.shape)
            found[f"state{jax.tree_util.keystr(path)}, {mode}"] = relative(leaf, first)
    return found


# ---- equivariance ------------------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("group, type_", on_types(STATISTICS_TYPES, QUICK_STATISTICS_TYPES))
def test_every_layer_commutes_if_the_batch_moves_in_float64(group, type_, key):
    rep = vector_types.types(group)[type_]
    chosen = {
        name: Case(recipe, group, type_)
        for name, recipe in RECIPES.items()
        if recipe.stateful and recipe.everywhere and recipe.fits(rep)
    }
    assert len(chosen) >= 2
    for number, (name, case) in enumerate(chosen.items()):
        module, state = prepared(case, key)
        x = normal(7, module.in_type.size, seed=number)
        errors = errors_on_orbits(case, module, state, x)
        wrong = {what: e for what, e in errors.items() if not e <= bound(case, "float64")}
        assert wrong == {}, name


@by_case
def test_layers_commute_in_float32_where_float64_is_possible_too(name, key, precision):
    case = STATEFUL[name]
    module, state = prepared(case, key)
    x = normal(7, module.in_type.size)
    for wide in (False, True):
        with precision(wide):
            errors = errors_on_orbits(case, module, state, x)
        assert {w: e for w, e in errors.items() if not e <= bound(case, "float32")} == {}


def test_the_law_notices_statistics_that_do_not_commute(key):
    """Dividing every channel by its own deviation, as the peer does."""
    case = Case(RECIPES["GNormBatchNorm"], "D4", "turned")

    class Wrong(eqx.Module):
        in_type: Any = eqx.field(static=True)
        out_type: Any = eqx.field(static=True)
        inference: bool = False

        def __call__(self, x, state):
            return x / jnp.sqrt(x.var(0) + 1e-5), state

    _, state = case.build_with_state(key)
    errors = errors_on_orbits(
        case, Wrong(case.in_type, case.in_type), state, normal(7, case.in_type.size)
    )
    assert errors["output, training"] > 1e-2


# ---- shapes, batches, compilation -------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@by_case
def test_at_inference_single_vmapped_batched_and_compiled_calls_agree(name, key):
    case = STATEFUL[name]
    module, state = prepared(case, key)
    module = eqx.nn.inference_mode(module)
    x = normal(2, 3, module.in_type.size)

    @eqx.filter_jit
    def ways(module, state, x):
        def single(v):
            return called(case, module, v, state)[0]

        alike = single(x), jax.vmap(jax.vmap(single))(x), single(x[1, 2]), single(x[:0])
        return *alike, called(case, module, one, state)

    one = np.asarray(x[1, 2])  # a NumPy array is an array
    batched, vmapped, single, none, (given, after) = ways(module, state, x)
    allowed = SAME * case.recipe.depth
    assert relative(single, given) <= allowed
    assert relative(vmapped[1, 2], given) <= allowed
    assert jax.tree.all(jax.tree.map(np.array_equal, after, state))  # nothing is learnt
    if case.recipe.summary is None:
        size = module.out_type.size
        assert batched.shape == (2, 3, size)
        assert none.shape == (0, 3, size)
        assert relative(batched, vmapped) <= allowed


@pytest.mark.slow  # without jit every operation is a program
@pytest.mark.usefixtures("x64")
@both_modes
@by_case
def test_calls_without_jit_are_those_with(name, inference, key):
    case = STATEFUL[name]
    module, state = prepared(case, key)
    module = eqx.nn.inference_mode(module, inference)
    x = normal(3, module.in_type.size)
    eager, compiled = (f(case, module, x, state) for f in (called, compiled_call))
    for one, other in zip(*map(jax.tree.leaves, (eager, compiled)), strict=True):
        assert relative(one, other) <= 10 * SAME * case.recipe.depth


@pytest.mark.usefixtures("x64")
@by_case
def test_in_training_a_named_axis_is_a_batch_axis(name, key):
    case = STATEFUL[name]
    module, state = prepared(case, key)
    named, named_state = prepared(case, key, axis_name="batch")
    x = 2 * normal(2, 3, module.in_type.size) + 1
    expected, after = compiled_call(case, module, x, state)

    @eqx.filter_jit
    def ways(module, named, state, named_state, x):
        call = functools.partial(called, case)
        mapped = jax.vmap(lambda v: call(named, v, named_state), axis_name="batch")
        rows = x.reshape(6, -1)
        return call(module, rows, state), mapped(rows), mapped(x)

    in_rows, singles, in_halves = ways(module, named, state, named_state, x)
    flat, after_flat = in_rows
    (once, after_once), (halves, after_halves) = singles, in_halves
    allowed = 10 * SAME * case.recipe.depth  # another order of summation of the statistics
    if case.recipe.summary is None:
        assert expected.shape == (2, 3, module.out_type.size)
        flat, once = flat.reshape(expected.shape), once.reshape(expected.shape)
    else:
        once, halves = once[0], halves[0]
    for y in (flat, once, halves):
        assert relative(y, expected) <= allowed
    same = jax.tree.map(lambda leaf: leaf[0], (after_once, after_halves))
    for found in (after_flat, *same):
        for one, other in zip(*map(jax.tree.leaves, (found, after)), strict=True):
            assert relative(one, other) <= allowed
    before = jax.tree.leaves(state)
    changed = [
        relative(a, b) for a, b in zip(jax.tree.leaves(after), before, strict=True) if a.size
    ]
    assert max(changed) > 1e-2  # something is learnt


@by_case
def test_shapes_and_their_messages(name, key):
    case = STATEFUL[name]
    module, state = prepared(case, key)
    n = module.in_type.size
    with pytest.raises(ValueError, match=rf"expected \(\.\.\., {n}\)"):
        module(jnp.ones((2, n + 1)), state)
    if case.recipe.summary is not None:
        with pytest.raises(TypeError, match="no array"):
            module.evaluate_output_shape((2, n))
        return
    for leading in ((), (5,), (2, 3)):
        expected = (*leading, module.out_type.size)
        assert module.evaluate_output_shape((*leading, n)) == expected
    with pytest.raises(ValueError, match=rf"expected \(\.\.\., {n}\)"):
        module.evaluate_output_shape((2, n + 1))


# ---- training ----------------------------------------------------------------------------------


@by_case
def test_training_keeps_equivariance_and_updates_every_parameter(name, key):
    case = STATEFUL[name]
    module, state = prepared(case, key)
    parameters, static = eqx.partition(module, eqx.is_inexact_array)
    optimiser = optax.adamw(1e-2, weight_decay=0.1)

    @eqx.filter_jit
    def step(parameters, opt_state, state, x):
        def loss(p):
            y, new = called(case, eqx.combine(p, static), x, state)
            return ((y - 1) ** 2).mean(), new

        gradient, new = jax.grad(loss, has_aux=True)(parameters)
        with jax.numpy_dtype_promotion("standard"):  # optax promotes its step count
            updates, opt_state = optimiser.update(gradient, opt_state, parameters)
            return optax.apply_updates(parameters, updates), opt_state, new

    trained, opt_state = parameters, optimiser.init(parameters)
    for seed in range(10):
        x = normal(8, module.in_type.size, seed=seed)
        trained, opt_state, state = step(trained, opt_state, state, x)
    for leaf, before in zip(*map(jax.tree.leaves, (trained, parameters)), strict=True):
        assert float(np.abs(np.asarray(leaf) - np.asarray(before)).max()) > 1e-4
    errors = errors_on_orbits(case, eqx.combine(trained, static), state, normal(7, x.shape[-1]))
    assert {w: e for w, e in errors.items() if not e <= bound(case, "float32")} == {}


@both_modes
@by_case
def test_gradients_are_finite_at_degenerate_batches(name, inference, key):
    case = STATEFUL[name]
    module, state = prepared(case, key)
    module = eqx.nn.inference_mode(module, inference)
    points = degenerate_inputs(module.in_type.size, module.in_type.summands[0].size)
    points = jnp.asarray(points, jnp.float32)
    alone, constant = points[:, None], jnp.repeat(points[:, None], 4, axis=1)
    mixed = jnp.stack([jnp.roll(points, i, axis=0) for i in range(2)], axis=1)

    @eqx.filter_jit
    def gradients(module, batches):
        def at(x):
            def loss(pair):
                y, _ = called(case, pair[0], pair[1], state)
                return (y**2).sum()

            return eqx.filter_grad(loss)((module, x))

        return jax.vmap(at)(batches)

    for batches in (alone, constant, mixed):
        found = gradients(module, batches)
        for path, leaf in jax.tree_util.tree_leaves_with_path(found):
            assert np.isfinite(np.asarray(leaf)).all(), jax.tree_util.keystr(path)


@pytest.mark.usefixtures("x64")
@by_case
def test_gradients_flow_through_the_statistics_of_the_batch(name, key):
    """The derivative is that of the whole function, statistics included."""
    case = STATEFUL[name]
    module, state = prepared(case, key)
    x, direction = (normal(5, module.in_type.size, seed=seed) for seed in (1, 2))
    weights = normal(*compiled_call(case, module, x, state)[0].shape, seed=3)

    @jax.jit
    def loss(x):
        return (called(case, module, x, state)[0] * weights).sum()

    slope = float((jax.grad(loss)(x) * direction).sum())
    h = 1e-5
    numerical = float(loss(x + h * direction) - loss(x - h * direction)) / (2 * h)
    assert slope == pytest.approx(numerical, rel=1e-6, abs=1e-6)
    assert abs(slope) > 1e-3


# ---- storage, export, dtypes -------------------------------------------------------------------


@by_case
def test_state_and_parameters_survive_a_file(name, key):
    case = STATEFUL[name]
    saved = prepared(case, key)
    buffer = io.BytesIO()
    eqx.tree_serialise_leaves(buffer, saved)
    buffer.seek(0)
    abstract = eqx.filter_eval_shape(case.build_with_state, key)
    module, state = eqx.tree_deserialise_leaves(buffer, abstract)
    for one, other in zip(*map(jax.tree.leaves, ((module, state), saved)), strict=True):
        assert np.array_equal(one, other)
    x = normal(4, module.in_type.size)
    found, expected = (compiled_call(case, m, x, s)[0] for m, s in ((module, state), saved))
    assert np.array_equal(found, expected)


@pytest.mark.usefixtures("x64")
@by_case
def test_export_is_the_function_at_inference_without_equivax(name, key):
    case = STATEFUL[name]
    module, state = prepared(case, key)
    if case.recipe.summary is not None:
        with pytest.raises(TypeError, match="not a layer"):
            module.export(state)
        return
    with pytest.raises(ValueError, match=r"export: state: .* has running statistics"):
        evx.export(module)
    x = normal(4, module.in_type.size)
    expected, _ = compiled_call(case, eqx.nn.inference_mode(module), x, state)
    export = eqx.filter_jit(lambda m, s: (m.export(s), evx.export({"layer": m}, s)["layer"]))
    for plain in export(module, state):
        assert_free_of_equivax(plain)
        error = relative(jax.jit(jax.vmap(plain))(x), expected)
        assert error <= 10 * SAME * case.recipe.depth


@by_case
def test_sixteen_bits_keep_statistics_in_float32(name, key):
    case = STATEFUL[name]
    module, state = prepared(case, key)
    x = normal(16, module.in_type.size)
    exact, after = compiled_call(case, module, x, state)
    y, coarse = compiled_call(case, cast(module, jnp.bfloat16), x.astype(jnp.bfloat16), state)
    if case.recipe.summary is None:
        assert y.dtype == jnp.bfloat16
    # bfloat16 has 8 bits: 2^-8 = 0.4 % per rounding, some roundings per layer
    allowed = 0.03 * (1 + case.recipe.depth)
    assert relative(y.astype(jnp.float32), exact) < allowed
    for one, other in zip(*map(jax.tree.leaves, (coarse, after)), strict=True):
        assert one.dtype == other.dtype
        if one.size:
            assert relative(one, other) < allowed
