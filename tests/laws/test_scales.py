"""Norms and pools at every size that single precision has: equivariant, and as in float64.

Sums of squares must not over- or underflow, and nothing may be lost beside a fixed number. In 16
bits linear layers and nonlinearities are asked as well.
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
from laws import EXACT, applied, cast, drawn, normal, one_in, relative
from test_laws import equivariance_error as vector_error
from test_laws import orbit

SIZES = (1e-6, 1e-3, 1.0, 1e3, 1e6)
#: In 16 bits, where squares of the largest overflow float16.
HALF_SIZES = (1e-3, 1.0, 300.0)
WINGS = ("normalization", "pooling")
HALF_WINGS = ("linear", "nonlinearities", "convolution")


def chosen(table, wings=WINGS):
    """One case of every layer of a table that is in one of the wings, by name."""
    found, modules = {}, tuple(f"equivax.nn.{wing}" for wing in wings)
    for name, case in table.items():
        if case.recipe.kind == "layer" and case.recipe.covers.__module__.startswith(modules):
            found.setdefault(id(case.recipe), name)
    return sorted(found.values())


def over_sizes(function, module, state, inputs, precision, sizes=SIZES, dtype=jnp.float32):
    """Outputs ``(sizes, elements, ...)`` in few bits, and in float64 from the same inputs."""
    run = jitted(
        lambda *trees: jax.vmap(jax.vmap(functools.partial(function, *trees[:2])))(trees[2])
    )
    scaled = np.stack([size * inputs for size in sizes]).astype(dtype)
    with jax.default_matmul_precision("highest"):
        single = run(module, state, jnp.asarray(scaled))
        with precision(True):
            module, state = cast((module, state), jnp.float64)
            double = run(module, state, jnp.asarray(scaled.astype(np.float64)))
    return np.asarray(single).astype(np.float64), np.asarray(double)


def beyond(case, errors):
    """Errors that are not within the bound."""
    # What a fixed number is added to, such as the root of a smooth norm, loses two digits beside
    # it: 3e-5 is measured.
    bounds = {"moved": EXACT["float32"] * case.recipe.depth, "in double": 1e-4}
    return {what: error for what, error in errors.items() if not error <= bounds[what[0]]}


def on_fields(name, key):
    """A case, its layer, what is measured of it, and inputs."""
    case = cases.FIELDS[name]
    layer = made(case, key)

    def function(module, state, x):
        return call(module, state, x, layer.options)[0]

    return case, layer, function, orbit_inputs(case, layer.module)


def on_vectors(name, key):
    """Likewise: module, state, what is measured, and inputs."""
    case = cases.CASES[name]
    options = {}
    if case.recipe.stateful:
        module, state = case.build_with_state(key)
    else:
        module, state = drawn(eqx.filter_eval_shape(case.build, key)), None
        options = case.options(module, key)

    def function(module, state, x):
        y = call(module, state, x, cast(options, x.dtype))[0]
        return y if case.recipe.summary is None else case.recipe.summary(y)

    return case, module, state, function, orbit(module.in_type, normal(5, module.in_type.size))


def check_half(function, module, state, inputs, precision, dtype):
    """16-bit numbers count in more bits: outputs are rounded at the end, all that fit are finite.

    A norm is one rounding, half an ``eps``; its scales and its bias are one each, and so are the
    matrix of a linear layer and the changes of basis around it.
    """
    bits, module = jnp.finfo(dtype), cast(module, dtype)
    outputs = over_sizes(function, module, state, inputs, precision, HALF_SIZES, dtype)
    for found, expected in zip(*outputs, strict=True):
        fits = np.abs(expected) < 0.99 * float(bits.max)
        bound = 1.5 * float(bits.eps) * np.abs(expected[fits]).max(initial=0.0)
        error = np.abs(found[fits] - expected[fits]).max(initial=0.0)
        assert error <= bound + float(bits.smallest_subnormal)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
@pytest.mark.parametrize(
    "name",
    [*one_in(4, chosen(cases.FIELDS)), *one_in(8, chosen(cases.FIELDS, HALF_WINGS))],
)
def test_fields_in_16_bits(name, dtype, key, precision):
    _, layer, function, inputs = on_fields(name, key)
    check_half(function, layer.module, layer.state, inputs[:1], precision, dtype)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
@pytest.mark.parametrize(
    "name",
    [*chosen(cases.CASES), *one_in(3, chosen(cases.CASES, HALF_WINGS))],
)
def test_vectors_in_16_bits(name, dtype, key, precision):
    _, module, state, function, inputs = on_vectors(name, key)
    check_half(function, module, state, inputs[:1], precision, dtype)


@pytest.mark.parametrize("name", one_in(2, chosen(cases.FIELDS)))
def test_fields_of_any_size(name, key, precision):
    case, layer, function, inputs = on_fields(name, key)
    outputs = over_sizes(function, layer.module, layer.state, inputs, precision)
    errors = {}
    for size, single, double in zip(SIZES, *outputs, strict=True):
        errors["moved", size] = equivariance_error(case, layer.module, single)
        errors["in double", size] = relative(single, double)
    assert beyond(case, errors) == {}


@pytest.mark.parametrize("name", chosen(cases.CASES))
def test_vectors_of_any_size(name, key, precision):
    case, module, state, function, inputs = on_vectors(name, key)
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


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_chains_in_16_bits_lose_what_rounding_between_layers_loses(dtype, key, precision):
    """Not what layers compute in: in float64, rounded in between, they lose as much.

    The first layer adds biases of order one to vectors of size 1e-3, in a basis that mixes all
    irreps, and the last one takes no invariants: what is left of the rounding of the biases is
    thousands of roundings of the output.
    """
    _, module, _, _, inputs = on_vectors("Sequential [D3: turned]", key)
    x = jnp.asarray(HALF_SIZES[0] * inputs).astype(dtype)
    module = cast(module, dtype)
    found = np.asarray(applied(module, x)).astype(np.float64)
    with precision(True):
        ideal = cast(module, np.float64)
        rounded = x.astype(np.float64)
        for layer in ideal:
            rounded = applied(layer, rounded).astype(dtype).astype(np.float64)
        expected = np.asarray(applied(ideal, x.astype(np.float64)))
        assert np.abs(applied(ideal[0], x.astype(np.float64))).max() > 0.1
    bound = np.abs(np.asarray(rounded) - expected).max()
    assert bound > 100 * float(jnp.finfo(dtype).eps) * np.abs(expected).max()
    # An ideal layer is off by half an eps, ours by up to three halves: see `check_half`.
    assert np.abs(found - expected).max() < 3 * bound
