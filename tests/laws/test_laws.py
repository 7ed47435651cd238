"""The laws of every module, over the table of cases."""

import copy
import io
import math
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import cases
import equivax as evx
import vector_types
from cases import CASES, LAYERS, PROJECTIONS, Case
from cases import VECTOR_RECIPES as RECIPES
from equivax import nn, testing
from laws import (
    EXACT,
    ROWS,
    SAME,
    assert_exports_run_without_equivax,
    assert_free_of_equivax,
    cast,
    normal,
    on_every,
    on_types,
    relative,
    trained,
)
from recipes.vectors import hom_dimension, invariant_dimension
from vector_orbits import (
    applied,
    bound,
    degenerate_inputs,
    equivariance_error,
    orbit,
    over_orbits,
    randomized,
)
from vector_types import TYPES

by_layer = pytest.mark.parametrize("name", on_every(LAYERS))
by_case = pytest.mark.parametrize("name", on_every(CASES))
by_type = pytest.mark.parametrize("group, type_", TYPES)


# ---- equivariance ------------------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("group, type_", on_types(vector_types.MAP_TYPES, vector_types.QUICK_TYPES))
def test_every_layer_commutes_with_every_element_in_float64(group, type_, key):
    rep = vector_types.types(group)[type_]
    chosen = {
        name: Case(recipe, group, type_)
        for name, recipe in RECIPES.items()
        if recipe.kind == "layer" and not recipe.stateful and recipe.everywhere and recipe.fits(rep)
    }
    modules = {name: randomized(case, key) for name, case in chosen.items()}
    options = {name: case.options(modules[name], key) for name, case in chosen.items()}
    inputs = {
        name: jnp.asarray(orbit(module.in_type, normal(2, module.in_type.size, seed=number)))
        for number, (name, module) in enumerate(modules.items())
    }

    @eqx.filter_jit  # one compilation for all layers of a type
    def run(modules, inputs, options):
        return {n: over_orbits(modules[n], inputs[n], options[n]) for n in modules}

    with jax.default_matmul_precision("highest"):
        outputs = run(modules, inputs, options)
    assert {y.dtype for y in outputs.values()} == {jnp.dtype("float64")}
    errors = {name: equivariance_error(modules[name], outputs[name]) for name in modules}
    assert {n: e for n, e in errors.items() if not e <= bound(chosen[n], "float64")} == {}


def test_the_law_notices_a_layer_that_does_not_commute(key):
    G = evx.groups.dihedral(4)
    layer = nn.Linear(G.regular, G.regular, key=key)
    inputs = jnp.asarray(orbit(G.regular, normal(2, 8)), jnp.float32)
    assert equivariance_error(layer, layer(inputs)) <= EXACT["float32"]
    wrong = layer.weight.at[0, 1].add(1e-3)
    assert equivariance_error(layer, inputs @ wrong.T) > 1e-4
    with pytest.raises(AssertionError, match="not equivariant"):
        testing.assert_equivariant(lambda x: x @ wrong.T, G.regular, G.regular, key=key)
    # The same function between other types of the same sizes.
    with pytest.raises(AssertionError, match="not equivariant"):
        testing.assert_equivariant(layer, G.regular, 8 * G.trivial, key=key)


# ---- shapes, batches, compilation -------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@by_layer
def test_single_vmapped_batched_and_compiled_calls_agree(name, key):
    case = LAYERS[name]
    module = randomized(case, key)
    options = case.options(module, key)
    x = normal(2, 3, module.in_type.size)

    one = np.asarray(x[1, 2])  # a NumPy array is an array

    @eqx.filter_jit
    def ways(module, x, options):
        def single(v):
            return module(v, **options)

        alike = single(x), jax.vmap(jax.vmap(single))(x), single(x[1, 2]), single(x[:0])
        return *alike, single(one)

    batched, vmapped, single, none, given = ways(module, x, options)
    allowed = SAME * case.recipe.depth
    assert batched.shape == (2, 3, module.out_type.size)
    assert none.shape == (0, 3, module.out_type.size)
    assert single.shape == (module.out_type.size,)
    assert relative(given, single) <= allowed
    assert relative(vmapped[1, 2], single) <= allowed
    if not case.recipe.needs_key:  # a batch gets a mask per example, vmap the same mask for all
        assert relative(batched, vmapped) <= allowed


@pytest.mark.slow  # without jit every operation is a program
@pytest.mark.usefixtures("x64")
@by_layer
def test_calls_without_jit_are_those_with(name, key):
    case = LAYERS[name]
    module = randomized(case, key)
    options = case.options(module, key)
    x = normal(module.in_type.size)
    eager = module(np.asarray(x), **options)
    assert relative(eager, applied(module, x, options)) <= SAME * case.recipe.depth


@by_layer
def test_evaluate_output_shape_is_the_shape(name, key):
    case = LAYERS[name]
    module = randomized(case, key)
    n, m = module.in_type.size, module.out_type.size
    for leading in ((), (5,), (2, 3)):
        assert module.evaluate_output_shape((*leading, n)) == (*leading, m)
    with pytest.raises(ValueError, match=rf"expected \(\.\.\., {n}\)"):
        module.evaluate_output_shape((2, n + 1))


@by_case
def test_equal_modules_share_a_compilation(name, key):
    case = CASES[name]
    one, other = randomized(case, key), randomized(case, key, fresh=True)
    assert jax.tree.structure(one) == jax.tree.structure(other)
    assert hash(jax.tree.structure(one)) == hash(jax.tree.structure(other))
    options = {}
    if case.recipe.kind == "projection":
        x = [projection_input(case)]
    else:
        types = one.in_type if isinstance(one.in_type, tuple) else (one.in_type,)
        x = [normal(5, type_.size) for type_ in types]  # a batch, or as many tokens
        options = case.options(one, key)
        if case.recipe.stateful:
            options["state"] = case.build_with_state(key)[1]
    with testing.count_traces(lambda m, v, o: m(*v, **o)) as (jitted, traces):
        jitted(one, x, options)
        jitted(other, x, options)
    assert traces.count == 1


# ---- leaves ------------------------------------------------------------------------------------


@by_case
def test_leaves_are_the_parameters(name, key):
    case = CASES[name]
    module = case.build(key)
    testing.assert_only_parameters(module, expected=case.recipe.parameters(module))
    for leaf in jax.tree.leaves(module):
        # `inference` of dropout is a flag that `equinox.nn.inference_mode` finds among the leaves.
        assert isinstance(leaf, (jax.Array, bool))


@by_type
def test_parameters_of_a_linear_layer_are_hom_and_invariants(group, type_):
    module = Case(RECIPES["Linear"], group, type_).abstract
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(module))
    expected = hom_dimension(module.in_type, module.out_type)
    assert count == expected + invariant_dimension(module.out_type)
    assert all(a.ndim == 3 and a.shape[-1] in (1, 2, 4) for a in module.weights.values())


@by_layer
def test_modules_work_without_filters(name, key):
    case = LAYERS[name]
    if case.recipe.covers is nn.FieldDropout or case.recipe.exports_inference:
        pytest.skip("the flag of dropout is a leaf, as Equinox has it")
    module = randomized(case, key)
    x = normal(2, module.in_type.size)
    options = case.options(module, key)
    gradient = jax.eval_shape(jax.jit(jax.grad(lambda m: (m(x, **options) ** 2).sum())), module)
    assert jax.tree.structure(gradient) == jax.tree.structure(module)
    optax.adamw(1e-3).init(module)


# ---- training ----------------------------------------------------------------------------------


@by_layer
def test_layers_commute_in_float32_before_and_after_training_and_rounding(name, key, precision):
    case = LAYERS[name]
    module = randomized(case, key)
    options = case.options(module, key)
    x = normal(8, module.in_type.size)
    inputs = jnp.asarray(orbit(module.in_type, x[:4]), jnp.float32)
    call = eqx.filter_jit(over_orbits)

    def checked(module):
        with jax.default_matmul_precision("highest"):
            outputs = call(module, inputs, options)
        assert outputs.dtype == jnp.float32
        assert equivariance_error(module, outputs) <= bound(case, "float32")
        return outputs

    outputs = checked(module)
    assert np.ptp(np.asarray(outputs)) > 0.1  # a layer that is constant commutes with anything
    with precision(True):  # float32 where float64 is possible too
        assert eqx.filter_eval_shape(over_orbits, module, inputs, options).dtype == jnp.float32

    # Sixteen bits there and back change parameters only.
    coarse = cast(module, jnp.bfloat16)
    back = cast(coarse, jnp.float32)
    assert jax.tree.structure(back) == jax.tree.structure(module)
    exact = checked(back)[0]
    y = applied(coarse, inputs[0].astype(jnp.bfloat16), cast(options, jnp.bfloat16))
    assert y.dtype == jnp.bfloat16
    assert np.isfinite(np.asarray(y, np.float32)).all()
    # bfloat16 has 8 bits: 2^-8 = 0.4 % per rounding, some roundings per layer
    assert relative(y.astype(jnp.float32), exact) < 0.03 * (1 + case.recipe.depth)

    parameters, static = eqx.partition(module, eqx.is_inexact_array)
    if not jax.tree.leaves(parameters):
        return
    target = normal(8, module.out_type.size, seed=2)

    def loss(p, carry):
        return ((eqx.combine(p, static)(x, **options) - target) ** 2).mean(), carry

    for after, _ in trained(loss, parameters):
        checked(eqx.combine(after, static))


# ---- gradients ---------------------------------------------------------------------------------


@by_layer
def test_gradients_are_finite_at_degenerate_inputs(name, key):
    case = LAYERS[name]
    module = randomized(case, key)
    options = case.options(module, key)
    field = module.in_type.summands[0].size
    inputs = jnp.asarray(degenerate_inputs(module.in_type.size, field), jnp.float32)

    @eqx.filter_jit
    def gradients(module, inputs):
        def at(v):
            def loss(pair):
                call, x = pair
                return (call(x, **options) ** 2).sum()

            return eqx.filter_grad(loss)((module, v))

        return jax.vmap(at)(inputs)

    found = gradients(module, inputs)
    assert jax.tree.leaves(found)
    for path, leaf in jax.tree_util.tree_leaves_with_path(found):
        assert np.isfinite(np.asarray(leaf)).all(), jax.tree_util.keystr(path)


# ---- storage -----------------------------------------------------------------------------------


@by_case
def test_leaves_survive_a_file_and_an_abstract_construction(name, key):
    case = CASES[name]
    module = randomized(case, key)
    buffer = io.BytesIO()
    eqx.tree_serialise_leaves(buffer, module)
    buffer.seek(0)
    restored = eqx.tree_deserialise_leaves(buffer, case.abstract)
    assert jax.tree.structure(restored) == jax.tree.structure(module)
    for one, other in zip(jax.tree.leaves(restored), jax.tree.leaves(module), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("group, type_", [t for t in TYPES if t[0] in ("D3", "Q8", "C3xC3")])
def test_modes_of_linear_are_one_function_of_the_same_file(group, type_, key):
    names = ("Linear", "Linear dense", "Linear spectral")
    templates = [Case(RECIPES[name], group, type_).abstract for name in names]
    saved = randomized(Case(RECIPES["Linear"], group, type_), key)
    buffer = io.BytesIO()
    eqx.tree_serialise_leaves(buffer, saved)
    restored = []
    for template in templates:
        buffer.seek(0)
        restored.append(eqx.tree_deserialise_leaves(buffer, template))
    assert [module.mode for module in restored] == ["auto", "dense", "spectral"]
    x = normal(3, saved.in_type.size)
    weight, bias, *found = eqx.filter_jit(
        lambda modules, x: [saved.weight, saved.bias, *(module(x) for module in modules)]
    )(restored, x)
    expected = np.asarray(x) @ np.asarray(weight).T + (0 if bias is None else np.asarray(bias))
    for y in found:
        assert relative(y, expected) <= SAME


# ---- export ------------------------------------------------------------------------------------


def test_the_search_for_equivax_finds_it():
    G = evx.groups.cyclic(2)
    for hidden in (
        nn.Identity(G.regular),
        eqx.nn.Lambda(nn.squash),
        eqx.nn.Lambda(jax.tree_util.Partial(lambda rep, x: x, G.regular)),
        eqx.nn.Lambda(lambda x: nn.squash(x)),
        eqx.nn.Lambda(lambda x: x @ G.regular.matrices[0]),
    ):
        with pytest.raises(AssertionError, match="of equivax"):
            assert_free_of_equivax(hidden)


def exported_call(case: Case, module: Any, options: dict[str, Any]) -> Any:
    exported = eqx.filter_jit(lambda m: m.export())(module)
    assert_free_of_equivax(exported)
    if case.recipe.film:
        return lambda v: exported(v, options["scale"], options.get("bias"))
    return exported


@pytest.mark.usefixtures("x64")
@by_layer
def test_export_is_the_same_function_without_equivax(name, key):
    case = LAYERS[name]
    module = randomized(case, key)
    options = case.options(module, key)
    x = normal(4, module.in_type.size)
    plain = exported_call(case, module, options)
    if case.recipe.exports_inference:
        module, options = eqx.nn.inference_mode(module), {}
    error = relative(jax.jit(jax.vmap(plain))(x), applied(module, x, options))
    assert error <= 10 * SAME * case.recipe.depth  # one dense product per layer


class Wrapper(eqx.Module):
    """A user's model around layers."""

    first: nn.Linear
    rest: list[Any]

    def __call__(self, x):
        x = self.first(x)
        for layer in self.rest:
            x = layer(x)
        return x


def test_export_of_a_users_model(key):
    G = evx.groups.dihedral(3)
    keys = jax.random.split(key, 2)
    hidden = 2 * G.regular
    model = Wrapper(
        nn.Linear(G.regular, hidden, key=keys[0]),
        [nn.ReLU(hidden), eqx.nn.Lambda(jnp.sin), nn.Linear(hidden, G.regular, key=keys[1])],
    )
    plain = evx.export(model)
    assert type(plain) is Wrapper
    assert_free_of_equivax([plain.first, plain.rest])
    x = normal(3, 6)
    # float32: one dense product against one in blocks
    assert relative(jax.vmap(plain)(x), model(x)) <= 1e-5


def test_pickled_exports_run_where_equivax_is_not_installed(tmp_path, key):
    exports = {}
    for name, case in cases.ONE_PER_CLASS.items():
        module = randomized(case, key)
        options = case.options(module, key)
        x = normal(3, module.in_type.size)
        plain = module.export()
        extra = (options["scale"], options.get("bias")) if case.recipe.film else ()
        if case.recipe.exports_inference:
            module, options = eqx.nn.inference_mode(module), {}
        exports[name] = (ROWS, plain, (x, *extra), np.asarray(applied(module, x, options)))
    for name, case in cases.STATEFUL.items():
        if case.recipe.summary is None:
            module, state = case.build_with_state(key)
            x = normal(3, module.in_type.size)
            y, _ = eqx.filter_jit(eqx.nn.inference_mode(module))(x, state)
            exports[name] = (ROWS, module.export(state), (x,), np.asarray(y))
    for name, case in cases.DISTRIBUTIONS.items():
        module = case.build(key)
        x = normal(3, module.in_type.size)
        plain = module.export()
        own = tuple(map(np.asarray, jax.jit(jax.vmap(plain))(x)))
        exports[name] = (ROWS, plain, (x,), own)
    assert_exports_run_without_equivax(exports, tmp_path)


# ---- dtypes ------------------------------------------------------------------------------------


BOTH_FLAGS = """
import sys
sys.path.insert(0, {tests!r})
import conftest, cases, equinox, jax, numpy as np

results = {{}}
for flag in {order}:
    dtype = np.float64 if flag else np.float32
    with conftest.enable_x64(flag):
        for name, case in cases.ONE_PER_CLASS.items():
            rng = np.random.default_rng(0)
            module = jax.tree.map(
                lambda a: jax.numpy.asarray(rng.standard_normal(a.shape), dtype)
                if hasattr(a, "shape") else a,
                case.abstract,
            )
            x = rng.standard_normal((3, module.in_type.size)).astype(dtype)
            options = case.options(module, jax.random.key(1))
            y = np.asarray(equinox.filter_jit(lambda m, x, o: m(x, **o))(module, x, options))
            assert y.dtype == dtype, (name, y.dtype)
            results[f"{{int(flag)}} {{name}}"] = y
np.savez({file!r}, **results)
"""


@pytest.mark.slow  # two fresh processes; row 22 of the defects asks the same of one layer
def test_both_precisions_in_one_process_in_either_order(tmp_path):
    found, running = [], []
    for order in ("(False, True)", "(True, False)"):
        file = tmp_path / f"{order[1]}.npz"
        script = BOTH_FLAGS.format(
            tests=str(Path(__file__).parents[1]), order=order, file=str(file)
        )
        running.append((file, subprocess.Popen([sys.executable, "-c", script])))
    for file, process in running:
        assert process.wait() == 0
        found.append(dict(np.load(file)))
    first, second = found
    assert first.keys() == second.keys()
    assert len(first) == 2 * len(cases.ONE_PER_CLASS)
    for name in first:
        assert np.array_equal(first[name], second[name]), name
        if name.startswith("1"):
            # the same draws, rounded to float32
            allowed = bound(LAYERS[name[2:]], "float32")
            assert relative(first["0" + name[1:]], first[name]) <= allowed, name


# ---- projections of parameters -----------------------------------------------------------------


def projection_input(case: Case, *leading: int) -> jax.Array:
    rep = case.in_type
    if case.recipe.covers is nn.CommutingConstraint:
        other = case.partner
        return normal(*leading, other.size, rep.size)
    return normal(*leading, rep.size)


def group_average(case: Case, x: np.ndarray) -> np.ndarray:
    """The projection by its definition, an integral over the group."""
    rep = case.in_type
    other = case.partner
    frequency = max(rep.group.irrep_data(i).frequency for i in rep.irreps + other.irreps)
    points, weights = rep.group.quadrature(2 * frequency)
    if case.recipe.covers is nn.CommutingConstraint:
        out, source = other.evaluate(points), rep.evaluate(points)
        return np.einsum("e,eij,...jk,elk->...il", weights, out, x, source, optimize=True)
    return np.einsum("e,eij,...j->...i", weights, rep.evaluate(points), x)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", PROJECTIONS)
def test_projections_are_group_averages(name, key):
    case = CASES[name]
    project = case.build(key)
    x = projection_input(case, 2, 3)
    one, other = x[0, 0], x[1, 2]
    y = project(x)
    allowed = SAME * float(np.abs(x).max())  # sums of some hundred terms of order one

    def distance(a, b):
        assert a.shape == b.shape
        return np.abs(np.asarray(a) - np.asarray(b)).max()

    assert distance(y, group_average(case, np.asarray(x))) <= allowed
    assert distance(project(y), y) <= allowed
    assert np.linalg.norm(y) <= np.linalg.norm(x)
    assert abs(float((project(one) * other).sum() - (one * project(other)).sum())) <= 1e-11
    assert distance(project(one), y[0, 0]) <= allowed
    assert distance(jax.vmap(project)(x[0]), y[0]) <= allowed
    assert distance(eqx.filter_jit(project)(x), y) <= allowed
    # Self-adjoint: the gradient through the projection is the projected gradient.
    gradient = jax.grad(lambda v: (project(v) * other).sum())(one)
    assert distance(gradient, project(other)) <= allowed


@pytest.mark.parametrize("name", PROJECTIONS)
def test_projections_keep_the_dtype(name, key):
    case = CASES[name]
    project = case.build(key)
    x = projection_input(case)
    # bfloat16: one rounding of the coefficients and one of the result, 2^-8 each
    for dtype, allowed in ((jnp.float32, 1e-5), (jnp.bfloat16, 0.03)):
        y = project(x.astype(dtype))
        assert y.dtype == dtype
        difference = np.asarray(y, np.float64) - group_average(case, np.asarray(x, np.float64))
        assert np.abs(difference).max() <= allowed * float(np.abs(x).max())


# ---- types -------------------------------------------------------------------------------------


@by_type
def test_types_are_values(group, type_):
    rep = vector_types.types(group)[type_]
    fresh = vector_types.fresh_types(group)[type_]
    for same in (copy.copy(rep), copy.deepcopy(rep), pickle.loads(pickle.dumps(rep)), fresh):
        assert same == rep
        assert hash(same) == hash(rep)
        assert same.group is rep.group
        assert evx.hom_basis(same, rep) is evx.hom_basis(rep, rep)
    basis = evx.hom_basis(rep, rep)
    assert pickle.loads(pickle.dumps(basis)) == basis
    assert jax.tree.leaves((rep, basis, rep.group.identity)) == []
    assert rep.renamed("another label").fused() == rep.fused()
    assert rep + rep.group.trivial != rep
    with pytest.raises(AttributeError, match="immutable"):
        rep.label = "x"
