"""Losses, windows and rollouts against stored numbers, and at the edges of their domain."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import golden_images as gi
from equivax import images, models, nn
from equivax.images import MultiImage, Signature

LOSSES = ("smse", "nrmse", "nrmse_per_pixel", "normalized_smse")


def blocks(prefix, dtype=None):
    return {name: np.asarray(a, dtype) for name, a in gi.below(prefix).items()}


def equal(image, prefix):
    expected = gi.below(prefix)
    assert image.signature.names == tuple(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(image[name], array, rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("x64")
def test_losses_are_the_stored_numbers_whatever_the_order_of_types():
    a, b = blocks("losses/pred", np.float64), blocks("losses/true", np.float64)
    predicted, true = MultiImage(a, 2), MultiImage(dict(reversed(b.items())), 2)
    assert predicted.types != true.types
    for name in LOSSES:
        loss, options = getattr(images, name), {"reduce": None}
        bound = 1e-8 if name == "nrmse_per_pixel" else 1e-10  # the stored one is rounded
        if name.startswith("nrmse"):
            options["eps"] = 0.0
            np.testing.assert_allclose(
                loss(predicted, true, eps=0.0, percent=True),
                100 * gi.array(f"losses/{name}").mean(),
                rtol=bound,
            )
        found = loss(predicted, true, **options)
        np.testing.assert_allclose(found, gi.array(f"losses/{name}"), rtol=bound)
        np.testing.assert_allclose(loss(predicted, predicted), 0)
    each = images.timestep_smse(predicted, true, 2, reduce=None)
    np.testing.assert_allclose(each, gi.array("losses/timestep_smse_2"), rtol=1e-10)
    worst = images.timestep_smse(predicted, true, 2, reduce="max")
    np.testing.assert_allclose(worst, each[np.argmax(each.sum(1))], rtol=1e-12)
    mean = images.timestep_smse(predicted, true, 2)
    np.testing.assert_allclose(mean, each.mean(0), rtol=1e-12)


def test_losses_are_finite_at_zero_and_sum_in_float32():
    zero = MultiImage({(0, 0): jnp.zeros((2, 4, 4)), (1, 0): jnp.zeros((1, 4, 4, 2))}, 2)
    some = MultiImage({(0, 0): jnp.ones((2, 4, 4)), (1, 0): jnp.ones((1, 4, 4, 2))}, 2)

    @eqx.filter_jit
    def both(pairs):
        return [
            jax.value_and_grad(getattr(images, name))(a, b) for a, b in pairs for name in LOSSES
        ]

    for leaf in jax.tree.leaves(both([(zero, zero), (some, zero), (zero, some)])):
        assert np.isfinite(leaf).all()
    half = MultiImage.from_array(some.array.astype(jnp.bfloat16), some.signature, 2)
    assert images.smse(half, half - half).dtype == jnp.float32


def test_windows_are_the_stored_ones():
    inputs, outputs = images.window_indices(13, 2, 3, step=2)
    assert np.array_equal(inputs, gi.array("windows/in_idx"))
    assert np.array_equal(outputs, gi.array("windows/out_idx"))
    x, y = images.window_series(
        MultiImage(blocks("windows/dynamic"), 2),
        6,
        2,
        constant=MultiImage(blocks("windows/constant"), 2),
        skip=1,
        downsample=1,
    )
    equal(x, "windows/x")
    equal(y, "windows/y")


def test_an_autoregressive_step_is_the_stored_one():
    x = MultiImage(blocks("autoregressive/input"), 2)
    y = MultiImage(dict(reversed(blocks("autoregressive/step").items())), 2)
    equal(images.autoregressive_step(x, y, (((0, 0), 1),)), "autoregressive/next")


class Oscillator(eqx.Module):
    """Exact in closed form: the next step is twice the last one minus the one before."""

    factor: jax.Array

    def __call__(self, x):
        moving, _ = x.split((((0, 0), 1),))
        old = moving.unfold_time(2)
        return (old.at_batch((..., 1)) * 2 - old.at_batch((..., 0))) * self.factor


@pytest.mark.parametrize("batch", [(), (3,)])
def test_rollouts_in_a_loop_and_a_scan_continue_the_series(batch):
    t = np.arange(2.0, dtype=np.float32)
    line = np.broadcast_to((1 + t)[:, None, None], (*batch, 2, 2, 4))
    constant = np.full((*batch, 1, 2, 4), 9, np.float32)
    arrows = np.broadcast_to((5 * t)[:, None, None, None], (*batch, 2, 2, 4, 2))
    scalars = np.concatenate([line, constant], axis=len(batch))
    x = MultiImage({(1, 0): arrows, (0, 0): scalars}, 2)
    model, constants = Oscillator(jnp.ones(())), (((0, 0), 1),)

    def roll(loop):
        return models.rollout(model, x, 3, constants=constants, loop=loop)

    found = roll("auto")
    assert found.batch == batch
    later = np.arange(2.0, 5.0)
    np.testing.assert_allclose(found[(0, 0)][..., 0, 0], np.broadcast_to(1 + later, (*batch, 3)))
    np.testing.assert_allclose(found[(1, 0)][..., 1, 1, 1], np.broadcast_to(5 * later, (*batch, 3)))
    scanned = jax.jit(lambda: roll("scan"))()
    assert scanned.signature == found.signature
    np.testing.assert_allclose(scanned.array, found.array)


def test_a_rollout_of_a_layer_turns_with_its_input():
    conv = nn.ConvContract((((1, 0), 2),), (((1, 0), 1),), key=jax.random.key(0))
    x = MultiImage({(1, 0): np.random.default_rng(0).normal(size=(2, 4, 4, 2))}, 2)
    x = MultiImage.from_array(x.array.astype(np.float32), x.signature, 2)
    turn = np.array([[0, 1], [-1, 0]])
    one = models.rollout(conv, x.transform(turn), 3)
    np.testing.assert_allclose(
        one.array, models.rollout(conv, x, 3).transform(turn).array, atol=1e-5
    )
    assert one.signature == Signature((((1, 0), 3),))


X = MultiImage({(0, 0): np.zeros((1, 4, 4, 4), np.float32)}, 2)
Y = MultiImage({(0, 0): np.zeros((1, 2, 4, 4), np.float32)}, 2)
V = MultiImage({(1, 0): np.zeros((1, 1, 4, 4, 2), np.float32)}, 2)


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: images.smse(X, X, reduce="sum"), "smse: reduce: expected one of 'mean', None"),
        (lambda: images.smse(X, X.at_batch(0)), r"smse: true: expected batch axes \(1,\)"),
        (lambda: images.nrmse(X, V), "signature: expected 4 channels of k0p0, got none"),
        (lambda: images.timestep_smse(X, X, 3), "timestep_smse: steps: expected a divisor"),
        (lambda: images.window_indices(3, 2, 2), "length: expected at least 4 steps"),
        (lambda: images.window_indices(3, 0), "past: expected an integer >= 1, got 0"),
        (lambda: images.window_series(X.at_batch(0), 4, 1), "dynamic: expected one batch axis"),
        (lambda: images.window_series(X, 4, 1, downsample=3), "sides that 8 divides"),
        (lambda: images.window_series(X, 4, 1, skip=-1), "skip: expected an integer >= 0"),
        (lambda: images.window_series(X, 4, 1, constant=Y.at_batch(0)), "constant: expected one"),
        (lambda: images.autoregressive_step(X, V), "constants: 4 channels of k0p0"),
        (lambda: images.autoregressive_step(X, Y, (((0, 0), 1),)), "same number of past steps"),
        (lambda: images.autoregressive_step(X, Y, future=3), "future: expected a divisor of the 2"),
        (lambda: models.rollout(lambda x: x, X, 0), "rollout: steps: expected an integer >= 1"),
        (lambda: models.rollout(lambda x: x, X, 1, loop="for"), "rollout: loop: expected '"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
