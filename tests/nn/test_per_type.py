"""`PerType` and `Sequential` on tensor images."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import equivax as evx
from equivax import nn
from equivax.images import MultiImage, Signature
from laws import normal, relative

S = Signature((((0, 0), 2), ((1, 0), 2), ((2, 1), 2)))
KEY = jax.random.key(0)


def image(*batch, signature=S, sides=(4, 4)):
    return MultiImage.from_array(normal(*batch, signature.size(2), *sides), signature, 2)


def own(type_, channels):
    return Signature(((type_, channels),)).field_type(2)


class Scaled(eqx.Module):
    """A user's layer on blocks."""

    weight: jax.Array

    def __call__(self, block):
        return block * self.weight.reshape(-1, *[1] * (block.ndim - 1))


def scaled(type_, channels, key):
    return Scaled(jnp.ones(channels))


def norms(type_, channels, key):
    return nn.GroupNorm(own(type_, channels))


@pytest.mark.parametrize("share", [False, True])
def test_parameters_are_independent_or_one(share):
    # The peer's wrapper holds one object as separate leaves, which differ after one step.
    layer = nn.PerType(scaled, S, share=share, check=False, key=KEY)
    assert sum(leaf.size for leaf in jax.tree.leaves(layer)) == (2 if share else 6)
    x = image()
    optimiser = optax.sgd(0.1)
    gradient = jax.grad(lambda f: jnp.sum(f(x).array ** 2))(layer)
    updates, _ = optimiser.update(gradient, optimiser.init(layer))
    after = optax.apply_updates(layer, updates)
    weights = [module.weight for module in after.layers]
    same = [bool((weight == weights[0]).all()) for weight in weights]
    assert all(same) == share
    y, block = after(x), x[(2, 1)]
    np.testing.assert_allclose(y[(2, 1)], block * weights[2].reshape(2, 1, 1, 1, 1), rtol=1e-6)
    np.testing.assert_allclose(after.export()(x.array), y.array, rtol=1e-6)


def test_types_by_name_metric_and_flags():
    layer = nn.PerType(norms, S, key=KEY)
    x = image(3)
    metric = jnp.broadcast_to(jnp.eye(2), (4, 4, 2, 2))
    turned = dict(reversed(x.blocks().items()))
    y = layer(MultiImage(turned, 2, (True, False), metric))
    assert y.signature == S
    assert y.is_torus == (True, False)
    np.testing.assert_array_equal(y.metric, metric)
    for (type_, channels), module in zip(S, layer.layers, strict=True):
        assert module.in_type == own(type_, channels)
        single = MultiImage({type_: x[type_]}, 2)
        np.testing.assert_allclose(y[type_], module(single)[type_], atol=1e-6)


def test_outputs_of_one_type_go_together():
    def contract(type_, channels, key):
        return nn.ConvContract(((type_, channels),), ((((0, 0), 1), ((1, 0), 1))), key=key)

    layer = nn.PerType(contract, Signature((((0, 0), 2), ((1, 0), 1))), key=KEY)
    assert layer.out_signature == Signature((((0, 0), 2), ((1, 0), 2)))
    x = image(signature=layer.in_signature)
    y = layer(x)
    assert y.signature == layer.out_signature
    np.testing.assert_allclose(layer.export()(x.array), y.array, atol=1e-5)


def test_state_goes_round():
    def norm(type_, channels, key):
        return nn.IIDBatchNorm(own(type_, channels))

    layer, state = eqx.nn.make_with_state(nn.PerType)(norm, S, key=KEY)
    x, before = image(4), jax.tree.leaves(state)
    y, after = layer(x, state)
    assert y.signature == S
    changed = zip(before, jax.tree.leaves(after), strict=True)
    assert all(not np.array_equal(a, b) for a, b in changed if a.size)
    quiet = eqx.nn.inference_mode(layer)
    expected, _ = quiet(x, after)
    plain = evx.export(quiet, after)
    assert relative(jax.vmap(plain)(x.array), expected.array) < 1e-5
    with pytest.raises(ValueError, match="state: needed"):
        layer(x)


def test_a_sequence_of_image_layers_keeps_metric_and_torus():
    conv = nn.ConvContract(S, S, key=KEY)
    model = nn.Sequential(
        conv, nn.LayerNorm(conv.out_type), nn.VectorNeuron(conv.out_type, key=KEY),
        nn.NormMaxPool(conv.out_type, 2), nn.InvariantBias(conv.out_type),
    )  # fmt: skip
    x = MultiImage(image(2).blocks(), 2, (True, False))

    @eqx.filter_jit
    def ways(model, x):
        expected = x
        for layer in model:
            expected = layer(expected)
        return model(x), expected

    y, expected = ways(model, x)
    assert y.is_torus == (True, False)
    assert y.spatial == (2, 2)
    np.testing.assert_array_equal(y.array, expected.array)


BAD = {
    "relu": (lambda: nn.PerType(lambda *a: jax.nn.relu, S, key=KEY), "for k1p0, k2p1, got what"),
    "even": (lambda: nn.PerType(lambda *a: jnp.cos, S, share=True, key=KEY), "for k1p0, k2p1"),
    "module": (lambda: nn.PerType(scaled, S, key=KEY), "check=False to insist"),
    "shared": (
        lambda: nn.PerType(scaled, (((0, 0), 1), ((1, 0), 2)), share=True, key=KEY),
        "share: expected as many channels",
    ),
    "empty": (lambda: nn.PerType(scaled, (((0, 0), 0),), key=KEY), "at least one channel"),
    "make": (lambda: nn.PerType(3, S, key=KEY), "make: expected a callable"),
    "made": (lambda: nn.PerType(lambda *a: 3, S, key=KEY), "expected a callable for k0p0"),
    "other type": (
        lambda: nn.PerType(lambda t, c, key: nn.GroupNorm(own(t, c + 1)), S, key=KEY),
        "expected a layer on .* for k0p0",
    ),
    "missing": (
        lambda: nn.PerType(norms, S, key=KEY)(image(signature=Signature((((0, 0), 2),)))),
        "PerType: x: .*k1p0",
    ),
    "dimension": (lambda: nn.PerType(norms, S, D=2, key=KEY)(
        MultiImage({(0, 0): jnp.ones((2, 4))}, 1)), "images of dimension 2, got 1"),
}  # fmt: skip


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize("name", BAD)
def test_bad_arguments(name):
    make, message = BAD[name]
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_odd_functions_are_admitted():
    layer = nn.PerType(lambda type_, channels, key: jnp.tanh, S, key=KEY)
    x = image(2, sides=(3, 4))
    np.testing.assert_allclose(layer(x).array, jnp.tanh(x.array), rtol=1e-6)
    assert not jax.tree.leaves(layer)
