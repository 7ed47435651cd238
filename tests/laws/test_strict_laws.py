"""The laws of every layer under JAX's strict options, and where models are handed around.

Nothing here is run, only traced, so that every layer is looked at in the time of a few programs.
"""

import copy
import functools
import pickle
import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import pytest
from jax import export

import equivax as evx
from cases import CASES, FIELDS, Case
from field_orbits import call
from laws import assert_arrays_stand_once

#: Every layer once, on the first type of its recipe: types make no difference to these laws.
LAYERS = {
    name: case
    for name, case in (CASES | FIELDS).items()
    if case.recipe.kind == "layer"
    and case is next(c for c in (CASES | FIELDS).values() if c.recipe is case.recipe)
}
by_layer = pytest.mark.parametrize("name", LAYERS)


@functools.cache
def built(name: str) -> tuple[Any, Any]:
    """A layer, and its state or None."""
    case, key = LAYERS[name], jax.random.key(0)
    if case.recipe.stateful:
        return case.build_with_state(key)
    return case.build(key), None


def shapes(case: Case, module: Any, *leading: Any) -> list[jax.ShapeDtypeStruct]:
    """Of the inputs."""
    several = isinstance(module.in_type, tuple)
    types = module.in_type if several else (module.in_type,)
    return [
        jax.ShapeDtypeStruct((*leading, type_.size, *case.recipe.sides), jnp.float32)
        for type_ in types
    ]


def called(case: Case, module: Any, state: Any) -> tuple[Any, Any]:
    """The dynamic half of a layer and its state, and a function of it and of the inputs."""
    options = case.options(module, jax.random.key(0)) if not case.recipe.sides else {}
    if case.recipe.needs_key:
        options["key"] = jax.random.key(0)
    dynamic, static = eqx.partition((module, state), eqx.is_array)

    def function(dynamic: Any, *inputs: Any) -> Any:
        module, state = eqx.combine(dynamic, static)
        if len(inputs) > 1:
            return module(*inputs, **options)
        return call(module, state, inputs[0], options)[0]

    return dynamic, function


@by_layer
@pytest.mark.parametrize(
    "leading", [(), (2,), pytest.param((2, 3), marks=pytest.mark.slow)], ids=str
)
def test_layers_broadcast_under_strict_ranks(name, leading):
    case, (module, state) = LAYERS[name], built(name)
    if state is not None and not leading:
        return  # statistics of one example are refused
    dynamic, function = called(case, module, state)
    with jax.numpy_rank_promotion("raise"):
        jax.eval_shape(function, dynamic, *shapes(case, module, *leading))


@by_layer
@pytest.mark.usefixtures("unchecked_annotations")  # a symbolic size is no int
def test_layers_export_with_a_batch_of_symbolic_size(name):
    case, (module, state) = LAYERS[name], built(name)
    dynamic, function = called(case, module, state)
    (batch,) = export.symbolic_shape("batch")
    arguments = [
        jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), dynamic),
        *shapes(case, module, batch),
    ]
    exported = export.export(jax.jit(function))(*arguments)
    assert batch in exported.in_avals[-1].shape


@by_layer
def test_no_array_stands_in_two_places(name):
    """Or a step that donates the model is refused."""
    assert_arrays_stand_once(built(name))


@by_layer
def test_static_halves_are_keys(name):
    module, _ = built(name)
    _, static = eqx.partition(module, eqx.is_array)
    again = copy.deepcopy(static)
    assert hash(again) == hash(static)
    assert again == static


@by_layer
def test_copies_and_pickles_are_not_compiled_again(name):
    module, _ = built(name)
    structure = jax.tree.structure(module)
    assert jax.tree.structure(copy.deepcopy(module)) == structure
    assert jax.tree.structure(pickle.loads(pickle.dumps(module))) == structure


@by_layer
def test_optimisers_take_models_as_they_are(name):
    module, _ = built(name)
    state = optax.adamw(1e-3).init(module)
    assert jax.tree.structure(state[0].mu) == jax.tree.structure(module)


@by_layer
def test_branches_of_a_program_take_a_model(name):
    """`lax.cond` compares the static halves of what its branches get."""
    module, _ = built(name)
    dynamic, static = eqx.partition(module, eqx.is_array)

    def chosen(flag: Any, dynamic: Any) -> Any:
        return jax.lax.cond(flag, lambda m: m, lambda m: m, dynamic)

    like = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), dynamic)
    out = jax.eval_shape(chosen, jax.ShapeDtypeStruct((), bool), like)
    assert jax.tree.structure(eqx.combine(out, static)) == jax.tree.structure(module)


def test_what_is_computed_from_coefficients_is_no_leaf(key):
    rep = evx.groups.cyclic(4).regular
    type_ = evx.FieldType(evx.spaces.rot_on_r2(4), evx.spaces.rot_on_r2(4).regular)
    signature = evx.images.Signature((((1, 0), 1),))
    linear = evx.nn.Linear(rep, rep, key=key)
    conv = evx.nn.Conv(type_, type_, 3, key=key)
    contract = evx.nn.ConvContract(signature, signature, 3, D=2, key=key)
    with pytest.raises(TypeError, match=r"no leaf.*use layer.with_weight\(array\)"):
        eqx.tree_at(lambda m: m.weight, linear, jnp.zeros((4, 4)))
    with pytest.raises(TypeError, match=r"WeightNorm and SpectralNorm cannot replace it"):
        eqx.nn.WeightNorm(linear, "weight")(jnp.ones(4))
    spectral, state = eqx.nn.make_with_state(eqx.nn.SpectralNorm)(linear, "weight", key=key)
    with pytest.raises(TypeError, match=r"WeightNorm and SpectralNorm cannot replace it"):
        spectral(jnp.ones(4), state)
    for to in (None, "trivial"):
        relaxed = evx.nn.Relaxed(linear, to=to)
        with pytest.raises(TypeError, match=r"Relaxed: weight: is the sum of two parts"):
            eqx.nn.WeightNorm(relaxed, "weight")(jnp.ones(4))
        halved = eqx.tree_at(
            lambda m: (m.strict.weights, m.rest.weights),
            relaxed,
            jax.tree.map(lambda w: w / 2, (relaxed.strict.weights, relaxed.rest.weights)),
        )
        assert jnp.allclose(halved.weight, relaxed.weight / 2)
    for layer in (conv, contract):
        assert not hasattr(layer, "weight")
        with pytest.raises(AttributeError, match=r"use layer.kernel for the dense array"):
            eqx.nn.WeightNorm(layer, "weight")
        with pytest.raises(TypeError, match=r"no leaf.*use layer.with_kernel\(array\)"):
            eqx.tree_at(lambda m: m.kernel, layer, layer.kernel)
    halved = eqx.tree_at(lambda m: m.weights, linear, jax.tree.map(lambda w: w / 2, linear.weights))
    assert jnp.allclose(halved.weight, linear.weight / 2)


@pytest.mark.parametrize("length", ["s", "2 * s"])
@pytest.mark.usefixtures("unchecked_annotations")
def test_convolutions_export_with_sides_of_symbolic_length(length, key):
    space = evx.spaces.flip_rot_on_r2(4)
    type_ = evx.FieldType(space, space.trivial + space.regular)
    model = evx.nn.Sequential(
        evx.nn.Conv(type_, type_, 3, padding=1, key=key),
        evx.nn.ReLU(type_),
        evx.nn.Conv(type_, type_, 3, padding=1, padding_mode="circular", key=key),
    )
    dynamic, static = eqx.partition(model, eqx.is_array)
    batch, side = export.symbolic_shape(f"b, {length}")
    x = jax.ShapeDtypeStruct((batch, type_.size, side, side), jnp.float32)
    like = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), dynamic)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export.export(jax.jit(lambda dynamic, x: eqx.combine(dynamic, static)(x)))(like, x)
