"""The conditional transformer: masks, times, steps, training, files, what is refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import export

import equivax as evx
from equivax import groups, models, nn
from laws import drawn, normal, relative

D3, SO2 = groups.dihedral(3), groups.so2()
ACT, SEE = D3.irrep(1, 1) + D3.trivial, D3.regular + D3.irrep(1, 0)


def policy(key, **options):
    options = {"hidden": 12, "num_heads": 2, "depth": 1, "feedforward": 6, "step_size": 8} | options
    return models.ConditionalTransformer(ACT, SEE, key=key, **options)


def tokens(*batch):
    return normal(*batch, 4, ACT.size), normal(*batch, 3, SEE.size, seed=2)


@pytest.mark.usefixtures("x64")
def test_what_is_padding_is_not_seen_and_every_example_has_its_step(key):
    model = drawn(policy(key), 0.5)
    x, z = tokens(2)
    there = jnp.array([[True] * 4, [True, True, False, True]])
    seen = jnp.array([[True, False, True], [True] * 3])

    @eqx.filter_jit
    def run(model, x, z):
        options = {"step": jnp.array([3, 70]), "mask": there, "condition_mask": seen}
        y = model(x, z, **options)
        other = model(x.at[1, 2].add(1.0), z.at[0, 1].add(1.0), **options)
        plain = model.export()(x[1], z[1], 70, mask=there[1], condition_mask=seen[1])
        return y, other, plain, model(x, z, step=70, mask=there, condition_mask=seen)

    y, other, plain, later = run(model, x, z)
    assert relative(other[0], y[0]) <= 1e-12
    assert relative(other[1, there[1]], y[1, there[1]]) <= 1e-12
    assert relative(other[1, 2], y[1, 2]) > 1e-3
    assert relative(plain, y[1]) <= 1e-12
    assert relative(later[1], y[1]) <= 1e-12
    assert relative(later[0], y[0]) > 1e-4


@pytest.mark.usefixtures("unchecked_annotations")  # a symbolic size is no int
@pytest.mark.parametrize(
    "name", ["ConditionalUNet1D", pytest.param("ConditionalTransformer", marks=pytest.mark.slow)]
)
def test_a_batch_of_any_size_exports_with_its_steps_and_masks(name, key):
    size = {"condition_length": 3, "channels": (6,), "features": 4}
    made = models.ConditionalUNet1D(ACT, SEE, step_size=8, key=key, **size)
    options = {}
    (batch,) = export.symbolic_shape("batch")
    if name == "ConditionalTransformer":
        made, options = policy(key), {"condition_mask": jax.ShapeDtypeStruct((batch, 3), bool)}
    shapes = [(batch, 4, ACT.size), (batch, 3, SEE.size), (batch,)]
    x, z, step = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)

    @jax.jit
    def run(x, z, step, options):
        return made(x, z, step=step, **options)

    exported = export.export(run)(x, z, step, options)
    assert exported.out_avals[0].shape == x.shape


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("condition_depth", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_nothing_later_is_seen(condition_depth, key):
    """Times are those of the tokens: the newest observation and the first action are now.

    In symm-learning 0.8.1 the first action of a causal model saw the step and the oldest
    observation only.
    """
    model = drawn(policy(key, causal=True, condition_depth=condition_depth), 0.5)
    x, z = tokens()
    times = jnp.array([0.0, 1.0, 3.0])  # the last is a plan: seen from time 3 on

    @eqx.filter_jit
    def run(model, x, z):
        planned = [
            model(x, own, step=1.0, condition_positions=times) for own in (z, z.at[2].add(1.0))
        ]
        changed = x.at[2].add(1.0), z.at[2].add(1.0)
        return model(x, z, step=1.0), [model(*pair, step=1.0) for pair in
                                       ((changed[0], z), (x, changed[1]))], planned  # fmt: skip

    y, (other, seeing), planned = run(model, x, z)
    assert np.array_equal(other[:2], y[:2])
    assert relative(other[2:], y[2:]) > 1e-3
    assert relative(seeing[0], y[0]) > 1e-3
    assert np.array_equal(planned[0][:3], planned[1][:3])
    assert relative(planned[0][3], planned[1][3]) > 1e-3


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_times_count_by_their_differences(key):
    model = drawn(policy(key), 0.5)
    x, z = tokens()

    @eqx.filter_jit
    def run(model, at, seen_at):
        return model(x, z, step=2, positions=at, condition_positions=seen_at)

    at, seen_at = jnp.arange(4.0), jnp.arange(-2.0, 1.0)
    y = eqx.filter_jit(lambda m: m(x, z, step=2))(model)
    assert relative(run(model, at, seen_at), y) <= 1e-12
    assert relative(run(model, at + 7, seen_at + 7), y) <= 1e-12
    assert relative(run(model, at + 7, seen_at), y) > 1e-3


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("positions", [nn.RotaryPositions(2 * D3.regular), None])
def test_other_times_and_none_commute(positions, key):
    model = drawn(policy(key, positions=positions, head_type=2 * D3.regular), 0.5)
    run = eqx.filter_jit(lambda m, x, z: m(x, z, step=2))
    x, z = tokens()
    y = run(model, x, z)
    for g in D3.generators:
        turned = run(model, x @ ACT(g).T, z @ SEE(g).T)
        assert relative(turned, y @ ACT(g).T) <= 1e-10
    assert relative(model.export()(x, z, 2), y) <= 1e-12


@pytest.mark.slow
def test_files_hold_it(tmp_path, key):
    model = policy(key)
    x, z = tokens()
    evx.save(tmp_path / "policy.eqx", model)
    loaded = evx.load(tmp_path / "policy.eqx", policy)
    assert np.array_equal(loaded(x, z, step=1), model(x, z, step=1))
    with pytest.raises(ValueError, match="load: "):
        evx.load(tmp_path / "policy.eqx", lambda key: policy(key, depth=2))


@pytest.mark.slow
def test_steps_of_adam_lower_the_loss(key):
    model = policy(key, positions="relative", condition_depth=1)
    x, z = tokens(16)
    wanted = jnp.cumsum(x, axis=-2) + z[:, 2:, : ACT.size]
    optimiser = optax.adam(1e-2)
    state = optimiser.init(eqx.filter(model, eqx.is_inexact_array))

    def loss(model):
        return jnp.mean((model(x, z, step=jnp.arange(16)) - wanted) ** 2)

    @eqx.filter_jit
    def step(model, state):
        value, slope = eqx.filter_value_and_grad(loss)(model)
        with jax.numpy_dtype_promotion("standard"):  # optax promotes its step count
            updates, state = optimiser.update(slope, state)
        return eqx.apply_updates(model, updates), state, value

    model, state, first = step(model, state)
    second = step(model, state)[2]
    assert second < first
    for _ in range(30):
        model, state, value = step(model, state)
    assert value < 0.7 * first


def test_what_is_refused(key):
    x, z = tokens(2)
    model = eqx.filter_eval_shape(policy, key)
    for options, message in (
        ({}, "ConditionalTransformer: step: expected a number"),
        ({"step": jnp.zeros(3)}, r"step: expected .* batch axes \(2,\), got shape \(3,\)"),
        ({"step": 1, "mask": jnp.ones(3, bool)}, r"mask: expected booleans .* \(2, 4\)"),
        ({"step": 1, "condition_positions": jnp.zeros(4)}, "condition_positions: expected numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            eqx.filter_eval_shape(lambda m, o=options: m(x, z, **o), model)
    with pytest.raises(TypeError, match=r"mask: .*, or causal=True of the model, got 'causal'"):
        eqx.filter_eval_shape(lambda m: m(x, z, step=1, mask="causal"), model)
    with pytest.raises(TypeError, match=r"step: expected .* got dtype bool"):
        eqx.filter_eval_shape(lambda m: m(x, z, step=jnp.array(True)), model)
    with pytest.raises(ValueError, match=r"condition: expected tokens \(\.\.\., S, 7\)"):
        eqx.filter_eval_shape(lambda m: m(x, z[0, 0], step=1), model)
    for options, message in (
        ({"hidden": D3.irrep(1, 1)}, "hidden: expected a type with trivial irreps"),
        ({"step_size": 7}, "step_size: expected an even number, got 7"),
        ({"positions": "absolute"}, "positions: expected 'relative'"),
        ({"positions": nn.AbsolutePositions(2 * D3.regular, 4, key=key)}, "before 0 have no place"),
        ({"positions": nn.RelativePositions(3, 4)}, "expected RelativePositions of 2 heads"),
        ({"out_type": groups.cyclic(2).regular}, "restrict one of them"),
    ):
        with pytest.raises(ValueError, match=message):
            policy(key, **options)
    with pytest.raises(ValueError, match=r"SO\(2\) is .* for hidden, head_type and feedf"):
        models.ConditionalTransformer(
            *(SO2.irrep(1), SO2.irrep(1)), hidden=8, num_heads=1, depth=1, key=key
        )
