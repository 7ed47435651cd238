"""Norms and pools at every size that single precision has: equivariant, and as in float64.

Sums of squares must not over- or underflow, and nothing may be lost beside a fixed number.
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cases
from equivax import nn
from field_orbits import call, equivariance_error, jitted, made, orbit_inputs
from laws import EXACT, cast, drawn, normal, one_in, relative
from test_laws import equivariance_error as vector_error
from test_laws import orbit

SIZES = (1e-6, 1e-3, 1.0, 1e3, 1e6)
WINGS = ("equivax.nn.normalization", "equivax.nn.pooling")


def chosen(table):
    """One case of every norm and pool of a table, by name."""
    found = {}
    for name, case in table.items():
        if case.recipe.covers.__module__.startswith(WINGS):
            found.setdefault(id(case.recipe), name)
    return sorted(found.values())


def over_sizes(function, module, state, inputs, precision):
    """Outputs ``(sizes, elements, ...)`` in float32, and in float64 from the same inputs."""
    run = jitted(
        lambda *trees: jax.vmap(jax.vmap(functools.partial(function, *trees[:2])))(trees[2])
    )
    scaled = np.stack([size * inputs for size in SIZES]).astype(np.float32)
    with jax.default_matmul_precision("highest"):
        single = run(module, state, jnp.asarray(scaled))
        with precision(True):
            module, state = cast((module, state), jnp.float64)
            double = run(module, state, jnp.asarray(scaled, jnp.float64))
    return np.asarray(single, np.float64), np.asarray(double)


def beyond(case, errors):
    """Errors that are not within the bound."""
    # What a fixed number is added to, such as the root of a smooth norm, loses two digits beside
    # it: 3e-5 is measured.
    bounds = {"moved": EXACT["float32"] * case.recipe.depth, "in double": 1e-4}
    return {what: error for what, error in errors.items() if not error <= bounds[what[0]]}


@pytest.mark.parametrize("name", one_in(2, chosen(cases.FIELDS)))
def test_fields_of_any_size(name, key, precision):
    case = cases.FIELDS[name]
    layer = made(case, key)

    def function(module, state, x):
        return call(module, state, x, layer.options)[0]

    inputs = orbit_inputs(case, layer.module)
    outputs = over_sizes(function, layer.module, layer.state, inputs, precision)
    errors = {}
    for size, single, double in zip(SIZES, *outputs, strict=True):
        errors["moved", size] = equivariance_error(case, layer.module, single)
        errors["in double", size] = relative(single, double)
    assert beyond(case, errors) == {}


@pytest.mark.parametrize("name", chosen(cases.CASES))
def test_vectors_of_any_size(name, key, precision):
    case = cases.CASES[name]
    options = {}
    if case.recipe.stateful:
        module, state = case.build_with_state(key)
    else:
        module, state = drawn(eqx.filter_eval_shape(case.build, key)), None
        options = case.options(module, key)

    def function(module, state, x):
        y = call(module, state, x, options)[0]
        return y if case.recipe.summary is None else case.recipe.summary(y)

    inputs = orbit(module.in_type, normal(5, module.in_type.size))
    errors = {}
    outputs = over_sizes(function, module, state, inputs, precision)
    for size, single, double in zip(SIZES, *outputs, strict=True):
        if isinstance(module, nn.RunningMoments):  # what is said about a batch stays
            moved = relative(single, np.broadcast_to(single[:1], single.shape))
        else:
            moved = vector_error(module, single)
        errors["moved", size] = moved
        errors["in double", size] = relative(single, double)
    assert beyond(case, errors) == {}
