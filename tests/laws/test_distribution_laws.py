"""The laws of modules that map parameters to a distribution, ``u -> p(y | u)``.

`test_laws.py` holds the laws that do not call the module (leaves, storage, one compilation).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vector_types
from cases import DISTRIBUTIONS, Case
from cases import VECTOR_RECIPES as RECIPES
from equivax import nn
from laws import EXACT, SAME, assert_free_of_equivax, normal, on_every, on_types, relative
from vector_orbits import degenerate_inputs, orbit
from vector_types import QUICK_STATISTICS_TYPES, STATISTICS_TYPES

by_case = pytest.mark.parametrize("name", on_every(DISTRIBUTIONS))

#: The log-density of a point some standard deviations away is a sum of some hundred terms.
DEPTH = 10


def facts(module: Any, u: Any, y: Any) -> dict[str, jax.Array]:
    """What a distribution says, with leading axes of the parameters."""
    found = module(u)
    return {
        "mean": found.mean,
        "covariance": found.covariance,
        "log_prob": found.log_prob(y),
        "entropy": found.entropy(),
        "kl": found.kl(module(0.5 * u)),
    }


compiled_facts = eqx.filter_jit(facts)


@eqx.filter_jit
def _many(modules: dict[str, Any], us: dict[str, Any], ys: dict[str, Any]) -> Any:
    return {name: facts(modules[name], us[name], ys[name]) for name in modules}


def orbit_errors(chosen: dict[str, Case], key: jax.Array, dtype: Any) -> dict[str, float]:
    modules = {name: case.build(key) for name, case in chosen.items()}
    us, ys = {}, {}
    for number, (name, module) in enumerate(modules.items()):
        u = 0.5 * normal(3, module.in_type.size, seed=number)
        y = 2 * normal(3, module.out_type.size, seed=number + 100)
        us[name] = jnp.asarray(orbit(module.in_type, u), dtype)
        ys[name] = jnp.asarray(orbit(module.out_type, y), dtype)
    with jax.default_matmul_precision("highest"):
        outputs = _many(modules, us, ys)
    errors = {}
    for name, module in modules.items():
        for what, values in outputs[name].items():
            assert values.dtype == dtype
            assert np.isfinite(np.asarray(values)).all()
            expected = np.broadcast_to(np.asarray(values)[:1], values.shape)
            if what == "mean":
                expected = orbit(module.out_type, values[0])
            errors[f"{name}: {what}"] = relative(values, expected)
        # The law would be empty if the covariance were a multiple of the unit matrix.
        if len(module.out_type.irreps) > 2 and module.kind != "type":
            sigma = np.asarray(outputs[name]["covariance"])[0, 0]
            assert np.abs(sigma - np.eye(len(sigma)) * sigma[0, 0]).max() > 0.01
    return errors


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("group, type_", on_types(STATISTICS_TYPES, QUICK_STATISTICS_TYPES))
def test_densities_are_invariant_under_every_element_in_float64(group, type_, key):
    rep = vector_types.types(group)[type_]
    chosen = {
        name: Case(recipe, group, type_)
        for name, recipe in RECIPES.items()
        if recipe.kind == "distribution" and recipe.everywhere and recipe.fits(rep)
    }
    assert len(chosen) >= 2
    errors = orbit_errors(chosen, key, jnp.float64)
    assert {what: e for what, e in errors.items() if not e <= DEPTH * EXACT["float64"]} == {}


@by_case
def test_densities_are_invariant_in_float32_where_float64_is_possible_too(name, key, precision):
    for wide in (False, True):
        with precision(wide):
            errors = orbit_errors({name: DISTRIBUTIONS[name]}, key, jnp.float32)
        assert {w: e for w, e in errors.items() if not e <= DEPTH * EXACT["float32"]} == {}


@pytest.mark.usefixtures("x64")
@by_case
def test_single_vmapped_batched_and_compiled_calls_agree(name, key):
    module = DISTRIBUTIONS[name].build(key)
    u, y = normal(2, 3, module.in_type.size), normal(2, 3, module.out_type.size, seed=2)

    @eqx.filter_jit
    def ways(module, u, y):
        def single(u, y):
            return facts(module, u, y)

        return single(u, y), jax.vmap(jax.vmap(single))(u, y), single(u[:0], y[:0])

    batched, vmapped, none = ways(module, u, y)
    one = compiled_facts(module, np.asarray(u[1, 2]), np.asarray(y[1, 2]))
    assert none["log_prob"].shape == none["entropy"].shape == (0, 3)
    for what, value in one.items():
        assert relative(batched[what], vmapped[what]) <= 10 * SAME
        assert relative(batched[what][1, 2], value) <= 10 * SAME
    # One distribution for many points, and many distributions for one.
    pairs = eqx.filter_jit(lambda m, u, y: m(u).log_prob(y)[1, 2])
    for point in (pairs(module, u[1, 2], y), pairs(module, u, y[1, 2])):
        assert relative(point, one["log_prob"]) <= 10 * SAME
    key_shapes = {(): (2, 3), (4,): (4, 2, 3)}
    for shape, expected in key_shapes.items():
        drawn = jax.eval_shape(lambda u, shape=shape: module(u).sample(key, shape), u)
        assert drawn.shape == (*expected, module.out_type.size)


@by_case
def test_gradients_are_finite_at_degenerate_parameters_and_points(name, key):
    module = DISTRIBUTIONS[name].build(key)
    rep = module.out_type
    ys = jnp.asarray(degenerate_inputs(rep.size, rep.summands[0].size), jnp.float32)
    us = jnp.stack([jnp.zeros(module.in_type.size), jnp.ones(module.in_type.size)])

    @eqx.filter_jit
    def gradients(us, ys):
        def loss(u, y):
            found = module(u)
            drawn = found.sample(key, (2,))
            return found.log_prob(y) / 1e6 + found.entropy() + (drawn**2).sum()

        return jax.vmap(jax.vmap(jax.grad(loss, (0, 1)), (None, 0)), (0, None))(us, ys)

    for gradient in gradients(us, ys):
        assert np.isfinite(np.asarray(gradient)).all()


@pytest.mark.usefixtures("x64")
@by_case
def test_export_gives_mean_and_covariance_without_equivax(name, key):
    module = DISTRIBUTIONS[name].build(key)
    u = normal(4, module.in_type.size)
    plain = module.export()
    assert_free_of_equivax(plain)
    mean, covariance = jax.jit(jax.vmap(plain))(u)
    expected = module(u)
    assert relative(mean, expected.mean) <= SAME
    assert relative(covariance, expected.covariance) <= 10 * SAME


@by_case
def test_shapes_and_their_messages(name, key):
    module = DISTRIBUTIONS[name].build(key)
    n = module.in_type.size
    for leading in ((), (5,), (2, 3)):
        assert module.evaluate_output_shape((*leading, n)) == (*leading, module.out_type.size)
    with pytest.raises(ValueError, match=rf"expected \(\.\.\., {n}\)"):
        module.evaluate_output_shape((2, n + 1))


@by_case
def test_sixteen_bits_are_computed_in_float32(name, key):
    module = DISTRIBUTIONS[name].build(key)
    u, y = 0.3 * normal(3, module.in_type.size), normal(3, module.out_type.size, seed=2)
    coarse = compiled_facts(module, u.astype(jnp.bfloat16), y.astype(jnp.bfloat16))
    exact = compiled_facts(module, u, y)
    for what, value in coarse.items():
        assert value.dtype == jnp.float32
        # two inputs rounded to 8 bits, 0.4 % each, in sums of squares
        assert relative(value, exact[what]) < 0.1, what


def test_the_law_notices_a_density_that_is_not_invariant():
    """A diagonal covariance in the user's coordinates, as the peer has it."""
    rep = vector_types.types("D4")["turned"]
    found = nn.EquivariantMultivariateNormal(rep)(normal(rep.size + len(rep.irreps)))
    variance = jnp.diagonal(found.covariance)
    points = jnp.asarray(orbit(rep, normal(1, rep.size)), jnp.float32)[:, 0]
    wrong = -0.5 * (points**2 / variance).sum(-1)
    assert float(np.ptp(np.asarray(wrong))) > 0.1
