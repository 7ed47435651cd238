"""Networks on tensor images: averages over a group, wrappers and baselines."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx
from equivax import models
from equivax.images import MultiImage, Signature
from laws import normal, relative

IN = Signature((((0, 0), 1), ((1, 0), 1), ((2, 1), 1)))
OUT = Signature((((1, 1), 1), ((0, 0), 2)))


class Plain(eqx.Module):
    """A convolution that respects nothing, and something that is not linear."""

    conv: eqx.nn.Conv2d

    def __call__(self, x):
        return jnp.tanh(self.conv(x)) + x[:1] ** 2


def averaged(key=0, **options):
    conv = eqx.nn.Conv2d(IN.size(2), OUT.size(2), 3, padding=1, key=jax.random.key(key))
    return models.GroupAverage(models.ModelWrapper(Plain(conv), IN, OUT), **options)


def image(*batch, sides=(4, 4), metric=False, is_torus=True):
    g = None
    if metric:
        half = normal(*sides, 2, 2, seed=3)
        g = half @ jnp.swapaxes(half, -1, -2) + jnp.eye(2, dtype=half.dtype)
    return MultiImage.from_array(normal(*batch, IN.size(2), *sides), IN, 2, is_torus, g)


class Metric(eqx.Module):
    """Lowers its vectors with the metric of its input."""

    in_signature: Signature = eqx.field(static=True, default=IN)
    out_signature: Signature = eqx.field(static=True, default=IN)
    space: evx.spaces.GSpace = eqx.field(static=True, default=evx.spaces.hyperoctahedral_on(2))

    def __call__(self, x):
        y = x.lower_all()
        return MultiImage.from_array(y.array.at[..., 0, 0, 0].set(7), IN, 2, x.is_torus, x.metric)


@pytest.mark.usefixtures("x64")
def test_an_average_is_the_sum_over_elements_with_the_metric():
    elements = evx.spaces.axis_matrices(evx.spaces.hyperoctahedral_on(2))
    x, model = image(2, metric=True), Metric()
    expected = sum(model(x.transform(g)).transform(g.T).array for g in elements) / len(elements)
    found = models.GroupAverage(model, always=True)(x)
    assert relative(found.array, expected) < 1e-13
    assert found.metric is x.metric


def test_exports_take_arrays_of_numpy_without_jit():
    plain, x = averaged().export(), np.asarray(image().array)
    assert relative(plain(x), jax.jit(lambda x: plain(x))(x)) < 1e-5


@pytest.mark.usefixtures("x64")
def test_inference_mode_averages_and_a_rectangle_needs_a_group_that_keeps_it():
    model, x = averaged(), image(sides=(4, 4))
    assert jnp.array_equal(model(x).array, model.model(x).array)
    quiet = eqx.nn.inference_mode(model)
    turn = np.array([[0, -1], [1, 0]])
    assert relative(quiet(x.transform(turn)).array, quiet(x).transform(turn).array) < 1e-13
    long = image(sides=(4, 6))
    with pytest.raises(ValueError, match=r"GroupAverage: x: .* sides \(4, 6\)"):
        quiet(long)
    with pytest.raises(ValueError, match=r"flags \(True, False\)"):
        quiet(image(is_torus=(True, False)))
    flips = averaged(
        group=evx.groups.from_generators([np.diag([-1, 1]), np.diag([1, -1])]), always=True
    )
    flip = np.diag([1, -1])
    assert relative(flips(long.transform(flip)).array, flips(long).transform(flip).array) < 1e-13


def test_equal_averages_share_a_compilation():
    with evx.testing.count_traces(lambda model, x: model(x).array) as (jitted, traces):
        one = jitted(averaged(0, always=True), image())
        assert not jnp.array_equal(one, jitted(averaged(1, always=True), image()))
    assert traces.count == 1


def test_the_last_step_is_the_last_step_whatever_the_order_of_types():
    x = image(3)
    stack = MultiImage.stack([x, 2 * x, 3 * x], axis=1).fold_time()
    given = stack.concat(image(3))
    model = models.LastStep(given.signature, Signature(tuple(reversed(tuple(IN)))), constants=IN)
    found = model(given.reorder(Signature(tuple(reversed(tuple(given.signature))))))
    assert found.signature == model.out_signature
    for type_ in IN.types:
        np.testing.assert_array_equal(found[type_], 3 * x[type_])
    series = models.rollout(model, given, 2, constants=IN)
    assert series.signature == model.out_signature.scale(2)


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: models.GroupAverage(jnp.tanh), TypeError, "model: .* without in_signature"),
        (lambda: averaged(group=evx.groups.octahedral()), ValueError, "GroupAverage: group"),
        (
            lambda: models.ModelWrapper(3, IN, OUT),
            TypeError,
            "model: expected a callable such as a network on arrays, got 3",
        ),
        (lambda: models.LastStep(IN, OUT), ValueError, "constants: 1 channels of k1p0"),
        (lambda: models.LastStep(IN, IN.scale(2)), ValueError, "same number of past steps"),
        (lambda: averaged()(image().to_scalar()), ValueError, "GroupAverage: x: signature: exp"),
        (lambda: averaged()(jnp.ones((3, 4, 4))), ValueError, "GroupAverage: expected"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
