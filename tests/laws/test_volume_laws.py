"""The laws of layers on feature fields in space: the recipes of the plane with one axis more."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from field_orbits import (
    call,
    equivariance_error,
    example,
    jitted,
    made,
    orbit_inputs,
    over_orbit,
    spread_of_states,
)
from laws import EXACT, SAME, relative
from volume_cases import LEFT_OUT, RECIPES, VOLUMES

#: On which every change is looked at: a kernel of each group, a pool, a gate.
QUICK = {"Conv [SO3: irreps]", "Conv [O3: fused]", "PointwiseMaxPool [O: regular]"}


def test_what_is_left_out_is_there():
    assert not set(LEFT_OUT) & set(RECIPES)
    assert set(VOLUMES) > QUICK
    assert len(RECIPES) > 60


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in VOLUMES]
)
def test_layers_in_space_commute_take_any_batch_and_export(name, key):
    case = VOLUMES[name]
    layer = made(case, key)
    module, state, options = layer.module, layer.state, layer.options
    assert type(module) is case.recipe.covers
    parameters = sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(module, eqx.is_array)))
    assert parameters >= case.recipe.parameters(module)
    x = example(case, module, 2, seed=2)

    @jitted
    def ways(module, quiet, state, inputs, x):
        def single(v):
            return call(quiet, state, v, options)[0]

        return single(x), single(x[1]), over_orbit(module, state, inputs, options)

    inputs = jnp.asarray(orbit_inputs(case, module))
    with jax.default_matmul_precision("highest"):
        batched, single, (outputs, states) = ways(module, layer.quiet, state, inputs, x)
    bound = EXACT["float64"] * case.recipe.depth
    assert outputs.dtype == jnp.float64
    assert equivariance_error(case, module, outputs) <= bound
    assert spread_of_states(states) <= bound
    assert single.shape == tuple(module.evaluate_output_shape(x[0].shape))
    assert relative(batched[1], single) <= SAME * case.recipe.depth
    if not case.recipe.exports:
        return
    plain = layer.quiet.export(state) if state is not None else layer.quiet.export()
    with jax.default_matmul_precision("highest"):
        found = jitted(lambda plain, v: plain(v))(plain, x[1])
    assert relative(np.asarray(found), single) <= SAME * case.recipe.depth
