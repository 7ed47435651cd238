"""Networks of convolutions in time: lengths, maxima, heads, training, files, what is refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import equivax as evx
from equivax import groups, models, nn
from laws import drawn, normal, relative

D3, SO2 = groups.dihedral(3), groups.so2()
ACT, SEE = D3.irrep(1, 1) + D3.trivial, D3.regular + D3.irrep(1, 0)


def unet(key, **options):
    options = {"channels": (6, 12), "features": 8, "step_size": 8} | options
    return models.ConditionalUNet1D(ACT, SEE, 2, key=key, **options)


def encoder(key, out_type=ACT, length=7, **options):
    options = {"channels": (6, 12), "hidden": (12,)} | options
    return models.TimeSeriesEncoder(SEE, out_type, length, key=key, **options)


def commutes(model, *inputs, types, **options):
    """The error on a reflection and a turn, relative to the output."""
    run = eqx.filter_jit(lambda m, *x: m(*x, **options))
    y = run(model, *inputs)
    errors = []
    for g in D3.generators:
        turned = [x @ type_(g).T for x, type_ in zip(inputs, types, strict=True)]
        errors.append(relative(run(model, *turned), y @ model.out_type(g).T))
    return max(errors)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("downsample", ["conv", "max"])
@pytest.mark.parametrize("length", [1, 6, 7])
def test_a_u_net_takes_series_of_any_length(length, downsample, key):
    model = drawn(unet(key, downsample=downsample, kernel_size=5, out_type=SEE), 0.5)
    x, z = normal(2, length, ACT.size), normal(2, 2, SEE.size, seed=2)
    assert model.evaluate_output_shape([x.shape, z.shape]) == (2, length, SEE.size)
    assert commutes(model, x, z, types=(ACT, SEE), step=jnp.array([3.0, 8.0])) <= 1e-10


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_numbers_of_a_condition_are_invariant_and_its_examples_have_steps(key):
    model = drawn(unet(key, pool="quadratic"), 0.5)
    x, z = normal(3, 5, ACT.size), normal(3, 2, SEE.size, seed=2)
    run = eqx.filter_jit(lambda m, x, z, k: m(x, z, step=k))
    steps = jnp.array([0.0, 5.0, 5.0])
    y = run(model, x, z, steps)
    assert relative(run(model, x, z, 5.0)[1:], y[1:]) <= 1e-12
    assert relative(run(model, x, z, 5.0)[0], y[0]) > 1e-3
    # The condition alone may be turned for numbers that are invariant, as nothing else sees it.
    g = D3.generators[0]
    assert relative(run(model, x, z @ SEE(g).T, steps), y) <= 1e-10
    alone = eqx.filter_jit(lambda m: m.export()(x[1], z[1], 5))(model)
    assert relative(alone, y[1]) <= 1e-12


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("options", [
    {}, {"downsample": "max", "norm": False, "append_last": True}, {"out_type": 3 * D3.trivial},
    {"out_type": 2 * D3.trivial, "length": 1},
])  # fmt: skip
def test_an_encoder_reads_what_is_left(options, key):
    model = drawn(encoder(key, **options), 0.5)
    invariant = model.out_type.is_trivial
    assert isinstance(model.head, models.InvariantMLP if invariant else models.MLP)
    x = normal(2, model.length, SEE.size)
    assert model.evaluate_output_shape(x.shape) == (2, model.out_type.size)
    left = model.blocks.evaluate_output_shape((2, SEE.size, model.length))[-1]
    last = SEE.size if model.append_last else 0
    assert model.head.in_type.size == 12 * left + last
    assert commutes(model, x, types=(SEE,)) <= 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["unet", "encoder"])
def test_a_step_lowers_the_loss(kind, key):
    x, z = normal(16, 6, ACT.size), normal(16, 2, SEE.size, seed=2)
    if kind == "unet":
        model, given, options = unet(key), (x, z), {"step": jnp.arange(16)}
        wanted = jnp.cumsum(x, axis=-2)
    else:
        model, given, options = encoder(key, length=2), (z,), {}
        wanted = drawn(nn.Linear(SEE, ACT, warn_unused=False, key=key))(z[:, 0])
    optimiser = optax.adam(1e-2)
    parameters, rest = eqx.partition(model, eqx.is_inexact_array)
    state = optimiser.init(parameters)

    @jax.jit
    def step(parameters, state):
        def loss(parameters):
            y = eqx.combine(parameters, rest)(*given, **options)
            return jnp.mean((y - wanted) ** 2)

        value, slope = jax.value_and_grad(loss)(parameters)
        with jax.numpy_dtype_promotion("standard"):  # optax promotes its step count
            updates, state = optimiser.update(slope, state)
        return eqx.apply_updates(parameters, updates), state, value

    parameters, state, first = step(parameters, state)
    parameters, state, second = step(parameters, state)
    assert second < first
    for _ in range(30):
        parameters, state, value = step(parameters, state)
    assert value < 0.7 * first


@pytest.mark.slow
@pytest.mark.parametrize("make", [unet, encoder])
def test_files_hold_them(make, tmp_path, key):
    evx.save(tmp_path / "model.eqx", make(key))
    loaded = evx.load(tmp_path / "model.eqx", make)
    for one, other in zip(jax.tree.leaves(loaded), jax.tree.leaves(make(key)), strict=True):
        assert np.array_equal(one, other)
    with pytest.raises(ValueError, match="load: "):
        evx.load(tmp_path / "model.eqx", lambda key: make(key, channels=(6,)))


def test_what_is_refused(key):
    plane = 2 * D3.irrep(1, 1)
    for make in (unet, encoder):
        with pytest.raises(ValueError, match=r"downsample: expected 'conv' for .* maxima commute"):
            make(key, downsample="max", unit=plane + D3.trivial, activation=nn.NormNonlinearity)
        with pytest.raises(ValueError, match="kernel_size: expected an odd number, got 4"):
            make(key, kernel_size=4)
    says = r"TimeSeriesEncoder: unit: SO\(2\) is infinite .* give unit, a sum of irreps, with activ"
    with pytest.raises(ValueError, match=says):
        models.TimeSeriesEncoder(SO2.irrep(1), SO2.irrep(1), 4, key=key)
    x, z = normal(6, ACT.size), normal(2, SEE.size)
    model = eqx.filter_eval_shape(unet, key)
    for given, message in (
        ((x, z[:1]), r"condition: expected \(\.\.\., 2, 7\), as condition_length says"),
        ((x[0], z), r"x: expected tokens \(\.\.\., T, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            eqx.filter_eval_shape(lambda m, g=given: m(*g, step=1), model)
    with pytest.raises(ValueError, match="ConditionalUNet1D: step: expected a number"):
        eqx.filter_eval_shape(lambda m: m(x, z), model)
    with pytest.raises(TypeError, match="D: unknown option 'mask'; beside key it takes step"):
        eqx.filter_eval_shape(lambda m: m(x, z, step=1, mask=None), model)
    model = eqx.filter_eval_shape(encoder, key)
    with pytest.raises(ValueError, match=r"x: expected \(\.\.\., 7, 7\), as length says"):
        eqx.filter_eval_shape(lambda m: m(z), model)
