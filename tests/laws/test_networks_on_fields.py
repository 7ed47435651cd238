"""Whole networks on the plane: equivariant before and after training, exported and stored."""

import functools
import io

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import equivax as evx
from equivax import FieldType, nn, spaces
from laws import OPTIMISED, relative

KEY = jax.random.key(3)
SIDE = 31


def peers_example(space, key):
    """Regular fields: convolutions, inner batch norms, a strided pool, group pooling."""
    first, second = jax.random.split(key)
    x = FieldType(space, 3 * space.trivial)
    h = FieldType(space, 3 * space.regular)
    return nn.Sequential(
        nn.Conv(x, h, 5, grid_check="raise", key=first),
        nn.InnerBatchNorm(h),
        nn.ReLU(h),
        nn.PointwiseMaxPool(h, 3, stride=2, padding=1, grid_check="raise"),
        nn.Conv(h, h, 3, grid_check="raise", key=second),
        nn.InnerBatchNorm(h),
        nn.ELU(h),
        nn.GroupPooling(h),
    )


def with_norms(space, key):
    """Irreps and nonlinearities that act on norms."""
    first, second = jax.random.split(key)
    x = FieldType(space, 3 * space.trivial)
    h = FieldType(space, [3 * r for r in space.group.irreps(2)])
    return nn.Sequential(
        nn.Conv(x, h, 5, key=first),
        nn.GNormBatchNorm(h),
        nn.NormNonlinearity(h, initial_bias=0.1),
        nn.PointwiseAvgPool(h, 3, stride=2, padding=1),
        nn.Conv(h, h, 3, key=second),
        nn.NormPool(h),
    )


def with_gates(space, key):
    """Irreps and a scalar gate for every field."""
    first, second = jax.random.split(key)
    x = FieldType(space, 3 * space.trivial)
    h = FieldType(space, [2 * r for r in space.group.irreps(2)])
    gates = FieldType(space, len(h) * space.trivial)
    return nn.Sequential(
        nn.Conv(x, gates + h, 5, key=first),
        nn.GatedNonlinearity(gates + h),
        nn.NormMaxPool(h, 3, stride=2, padding=1),
        nn.Conv(h, gates + h, 3, key=second),
        nn.GatedNonlinearity(gates + h),
        nn.NormPool(h),
    )


def with_induced_fields(space, key):
    """Fields of O(2) induced from the rotations."""
    first, second = jax.random.split(key)
    circle = space.group.subgroup((None, -1))
    rotations = evx.groups.so2()
    x = FieldType(space, 3 * space.trivial)
    h = FieldType(space, [2 * space.induced(circle, rotations.irrep(k)) for k in (1, 2)])
    return nn.Sequential(
        nn.Conv(x, h, 5, key=first),
        nn.InducedNormBatchNorm(h),
        nn.InducedNormNonlinearity(h),
        nn.Conv(h, h, 3, key=second),
        nn.InducedNormPool(h),
    )


NETWORKS = {
    "C8, regular": (spaces.rot_on_r2(8), peers_example),
    "D4, regular": (spaces.flip_rot_on_r2(4), peers_example),
    "mirror, regular": (spaces.flip_on_r2(), peers_example),
    "trivial group": (spaces.trivial_on_r2(), peers_example),
    "SO(2), norms": (spaces.rot_on_r2(-1), with_norms),
    "SO(2), gates": (spaces.rot_on_r2(-1), with_gates),
    "O(2), induced": (spaces.flip_rot_on_r2(-1), with_induced_fields),
}


def images(count, seed=0):
    return jnp.asarray(
        np.random.default_rng(seed).standard_normal((count, 3, SIDE, SIDE)), "float32"
    )


def call(model, x, state):
    """The output and the state of a network with or without running statistics."""
    clone = jax.tree.map(lambda leaf: leaf, state)  # Equinox refuses to use a state twice
    return model(x, clone) if model.is_stateful() else (model(x), clone)


def equivariance_error(model, state, x):
    space = model.in_type.space
    elements = space.exact_elements[:: max(1, len(space.exact_elements) // 4)]
    apply = eqx.filter_jit(lambda m, s, v: call(m, v, s)[0], compiler_options=OPTIMISED)
    orbit = jax.jit(lambda type_, v: [type_.transform(v, g) for g in elements], static_argnums=0)
    with jax.default_matmul_precision("highest"):
        y = apply(model, state, x)
        moved = [apply(model, state, v) for v in orbit(model.in_type, x)]
        expected = orbit(model.out_type, y)
    return max(relative(z, v) for z, v in zip(moved, expected, strict=True))


#: The others repeat these on further groups and with gates.
QUICK = ("D4, regular", "SO(2), norms", "O(2), induced")


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NETWORKS]
)
def test_networks_commute_train_export_and_survive_a_file(name):
    space, make = NETWORKS[name]
    model, state = eqx.nn.make_with_state(lambda key: make(space, key))(KEY)
    x = images(4)
    assert equivariance_error(model, state, x) <= 1e-5

    # Weight decay reaches every leaf; only parameters are leaves.
    optimiser = optax.adamw(1e-2, weight_decay=0.1)
    parameters, static = eqx.partition(model, eqx.is_inexact_array)
    shape = jax.eval_shape(lambda: call(model, x, state)[0]).shape
    target = jnp.asarray(np.random.default_rng(1).standard_normal(shape), "float32")

    @functools.partial(jax.jit, compiler_options=OPTIMISED)
    def step(parameters, progress, state):
        def loss(parameters):
            y, new_state = call(eqx.combine(parameters, static), x, state)
            return ((y - target) ** 2).mean(), new_state

        (value, new_state), gradient = jax.value_and_grad(loss, has_aux=True)(parameters)
        with jax.numpy_dtype_promotion("standard"):
            updates, progress = optimiser.update(gradient, progress, parameters)
            return optax.apply_updates(parameters, updates), progress, new_state, value

    progress, values = optimiser.init(parameters), []
    for _ in range(15):
        parameters, progress, state, value = step(parameters, progress, state)
        values.append(float(value))
    assert values[-1] < values[0]
    trained = eqx.nn.inference_mode(eqx.combine(parameters, static))
    assert equivariance_error(trained, state, x) <= 1e-5

    apply = eqx.filter_jit(lambda m, s: call(m, x, s)[0])
    y = apply(trained, state)
    plain = evx.export(trained, state)
    exported = jax.jit(jax.vmap(plain))(x)
    scale = float(jnp.abs(y).max())
    # Folding a batch norm rescales the kernel: rounding of a few hundred terms in float32.
    assert float(jnp.abs(exported - y).max()) <= 1e-5 * scale

    buffer = io.BytesIO()
    eqx.tree_serialise_leaves(buffer, (trained, state))
    buffer.seek(0)
    like = eqx.nn.make_with_state(lambda key: make(space, key))(jax.random.key(9))
    like = (eqx.nn.inference_mode(like[0]), like[1])
    again, old_state = eqx.tree_deserialise_leaves(buffer, like)
    np.testing.assert_array_equal(apply(again, old_state), y)


def test_batch_norms_vanish_in_the_exported_network():
    space, make = NETWORKS["C8, regular"]
    model, state = eqx.nn.make_with_state(lambda key: make(space, key))(KEY)
    plain = evx.export(eqx.nn.inference_mode(model), state)
    kinds = [type(layer) for layer in plain]
    assert kinds.count(eqx.nn.Conv2d) == 2
    assert len(kinds) == len(model) - 2


def test_the_trivial_group_is_a_plain_network_of_the_same_kernel_space():
    space = spaces.trivial_on_r2()
    x, h = FieldType(space, 3 * space.trivial), FieldType(space, 4 * space.trivial)
    model = nn.Sequential(nn.Conv(x, h, 3, basis="grid", key=KEY), nn.ReLU(h))
    plain = eqx.nn.Conv2d(3, 4, 3, key=KEY)
    same = nn.Sequential(model[0].with_kernel(plain.weight).with_bias(plain.bias.ravel()), model[1])
    v = images(1)[0]
    np.testing.assert_allclose(same(v), jax.nn.relu(plain(v)), atol=1e-5)


def test_printing_a_network_fits_a_screen():
    space, make = NETWORKS["C8, regular"]
    model, _ = eqx.nn.make_with_state(lambda key: make(space, key))(KEY)
    assert len(repr(model).splitlines()) <= 120


def test_an_equal_network_needs_no_second_compilation():
    space, make = NETWORKS["D4, regular"]
    one, state = eqx.nn.make_with_state(lambda key: make(space, key))(KEY)
    other, _ = eqx.nn.make_with_state(lambda key: make(spaces.flip_rot_on_r2(4), key))(KEY)
    with evx.testing.count_traces(lambda m, v, s: m(v, s)[0]) as (jitted, traces):
        jitted(one, images(1), state)
        jitted(other, images(1), state)
    assert traces.count == 1
