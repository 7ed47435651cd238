"""What ginjax 0.1.8 gets wrong on tensor images, each in equivax's terms.

Further ones stand beside the layers: gradients of whitening and biases of pseudoscalars
(``nn/test_group_norm.py``), vector neurons at zero and reversed (``nn/test_vector_neuron.py``),
ties and sides that windows do not divide (``nn/test_image_pooling.py``), wrapped modules
(``nn/test_per_type.py``), strides, even filters, unreachable types and transposed convolutions on a
torus (``nn/test_conv_contract.py``).
"""

import functools
import inspect
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from equivax import models, nn
from equivax.images import GeometricImage, MultiImage, Signature, invariant_filters
from laws import UNOPTIMISED, normal, relative

S = Signature((((0, 0), 2), ((1, 0), 2)))
KEY = jax.random.key(0)
jitted = functools.partial(jax.jit, compiler_options=UNOPTIMISED)


def image(*batch, signature=S, metric=None, sides=(4, 4)):
    array = normal(*batch, signature.size(2), *sides)
    return MultiImage.from_array(array, signature, 2, True, metric)


METRIC = jnp.asarray(np.broadcast_to(np.diag([2.0, 0.5]), (4, 4, 2, 2)), jnp.float32)


def test_a_metric_survives_every_transformation():
    # The peer drops it: traced calls are flat, and off by 2.9 where values are about 5.
    conv = nn.ConvContract(S, S, use_bias=False, key=KEY)
    x = image(2, metric=METRIC)
    y = conv(x)
    assert relative(y.array, conv(image(2)).array) > 0.1
    assert relative(jitted(lambda f, v: f(v))(conv, x).array, y.array) < 1e-5
    each = MultiImage(x.blocks(), 2, True, jnp.broadcast_to(METRIC, (2, *METRIC.shape)))
    assert relative(jax.vmap(conv)(each).array, y.array) < 1e-5
    gradient = jitted(jax.grad(lambda v: jnp.sum(conv(v).array ** 2)))(x)
    assert float(jnp.abs(gradient.metric).max()) > 0


def test_a_metric_lowers_the_input_once_for_all_output_types():
    # The peer lowers it again for every output type: 1.25 of 4.7 wrong.
    both = nn.ConvContract(S, S, use_bias=False, key=KEY)
    x = image(metric=METRIC)
    y = both(x)
    for type_, channels in S:
        single = nn.ConvContract(S, ((type_, channels),), use_bias=False, key=KEY)
        weights = {pair: both.weights[pair] for pair in single.weights}
        object.__setattr__(single, "weights", weights)
        np.testing.assert_allclose(single(x)[type_], y[type_], atol=1e-5)


@pytest.mark.parametrize("use_bias", [True, "auto", "scalar", "mean", False])
def test_every_kind_of_bias_keeps_every_type(use_bias):
    # The peer: no type at all with True, only scalars with "scalar".
    conv = nn.ConvContract(S, S, use_bias=use_bias, key=KEY)
    assert jax.eval_shape(conv, image()).signature == S


def test_the_gradient_is_one_dense_convolution_too():
    # The peer's has D^(k + k') batch groups: 19 to 110 times a plain convolution.
    conv = nn.ConvContract(S, S, key=KEY)
    gradient = jax.grad(lambda f, x: jnp.sum(f(x) ** 2), argnums=(0, 1))
    text = str(jax.make_jaxpr(gradient)(conv, image(3).array))
    assert text.count("conv_general_dilated[") == 3  # forward, weights, input
    assert text.count("batch_group_count=1") == text.count("batch_group_count=") == 3
    assert text.count("feature_group_count=1") == 3


def test_filters_are_a_basis():
    # The peer: 31 filters of rank 30.
    found = invariant_filters(3, 5, 2, 0).reshape(30, -1)
    assert np.linalg.matrix_rank(found) == 30


def test_no_optimiser_can_change_a_filter():
    # The peer's filters are leaves: weight decay shrinks them (0.37), noise breaks them (1.2).
    conv = nn.ConvContract(S, S, key=KEY)
    before = {pair.key: conv.basis.pair_filters(pair).copy() for pair in conv.basis.pairs}
    x, target = image(2), image(2)
    # Releases differ in whether the noise takes a key.
    asks = "key" in inspect.signature(optax.noisy_sgd).parameters
    noise = optax.noisy_sgd(1e-3, eta=0.1, **({"key": 0} if asks else {}))
    for optimiser in (optax.adamw(1e-2, weight_decay=0.1), noise):

        @jitted
        def step(model, state, optimiser=optimiser):
            gradient = jax.grad(lambda f: jnp.mean((f(x) - target).array ** 2))(model)
            with jax.numpy_dtype_promotion("standard"):
                updates, state = optimiser.update(gradient, state, model)
                return optax.apply_updates(model, updates), state

        model, state = conv, optimiser.init(conv)
        for _ in range(200):
            model, state = step(model, state)
        assert relative(model.kernel, conv.kernel) > 1e-3
        for pair in model.basis.pairs:
            np.testing.assert_array_equal(model.basis.pair_filters(pair), before[pair.key])
        turn = np.array([[0, 1], [-1, 0]])
        y, expected = model(x.transform(turn)), model(x).transform(turn)
        assert relative(y.array, expected.array) < 1e-5


def test_equal_images_have_no_difference_whatever_the_order_of_their_types():
    x = image()
    turned = MultiImage(dict(reversed(x.blocks().items())), 2)
    np.testing.assert_array_equal((x - turned).array, 0)
    np.testing.assert_array_equal(jitted(lambda a, b: (a - b).array)(x, turned), 0)
    inside = jitted(lambda v: v.to_vector())(turned)
    np.testing.assert_array_equal(inside, turned.to_vector())


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32, jnp.bfloat16])
def test_layers_keep_the_dtype(dtype):
    # The peer: TypeError under float64, silently float32 for bfloat16.
    type_ = S.field_type(2)
    layers = [
        nn.ConvContract(S, S, key=KEY, dtype=dtype), nn.GroupNorm(type_, dtype=dtype),
        nn.VectorNeuron(type_, dtype=dtype, key=KEY), nn.NormMaxPool(type_, 2),
    ]  # fmt: skip
    x = MultiImage.from_array(image().array.astype(dtype), S, 2)
    for layer in layers:
        assert jax.eval_shape(layer, x).dtype == dtype


def test_a_series_of_three_different_signatures():
    # The peer's series gives every layer the first one's types: it fails from depth 3 on.
    between = [Signature((((k, 0), 1), ((1, 1), 1))) for k in (0, 2)]
    ends = [S, *between, S]
    model = nn.Sequential(*(nn.ConvContract(a, b, key=KEY) for a, b in itertools.pairwise(ends)))
    assert jax.eval_shape(model, image()).signature == S
    chain = models.Series(S, ends[2], mid_signature=ends[1], depth=4, key=KEY)
    blocks = (*chain.encoder, *chain.decoder)
    assert [b.in_signature for b in blocks] == [S, ends[1], ends[1], ends[1]]
    assert jax.eval_shape(chain, image()).signature == ends[2]


def test_covariant_flags_are_not_lost():
    lower = GeometricImage(np.ones((4, 4, 2, 2), np.float32), 0, 2, True, (True, False))
    multi = MultiImage.from_images([lower])
    assert multi.signature.names == ("k2p0-lu",)
    assert multi.to_images()[0].covariant_axes == (True, False)
    assert lower.levi_civita_contract((0,)).covariant_axes == (False, False)


def test_gradients_of_the_convolution_against_differences(precision):
    with precision(True):
        metric = jnp.asarray(METRIC, float)
        conv = nn.ConvContract(S, S, stride=1, key=KEY)
        conv = jax.tree.map(lambda leaf: normal(*leaf.shape), conv)
        x = image(metric=metric)
        cotangent = normal(S.size(2), 4, 4, seed=5)

        @jax.jit
        def loss(conv, x):
            return jnp.sum(jnp.sin(conv(x).array) * cotangent)

        gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))(conv, x)
        direction = jax.tree.map(lambda leaf: normal(*leaf.shape, seed=7), (conv, x))
        slope = sum(
            float(jnp.vdot(g, d))
            for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True)
        )
        h = 1e-6
        there, back = (
            float(loss(*jax.tree.map(lambda leaf, d, t=t: leaf + t * h * d, (conv, x), direction)))
            for t in (1, -1)
        )
        assert slope == pytest.approx((there - back) / (2 * h), rel=1e-7)


def test_initial_weights_of_ginjax_are_uniform():
    wide = Signature((((0, 0), 4), ((1, 0), 64)))
    conv = nn.ConvContract(wide, wide, init="ginjax", key=KEY)
    for pair, weight in conv.weights.items():
        in_c, k = (64, 1) if pair.startswith("k1") else (4, 0)
        bound = (in_c * 9 * 2**k) ** -0.5
        assert float(jnp.abs(weight).max()) <= bound
    largest = conv.weights["k1p0>k1p0"]
    assert float(jnp.abs(largest).max()) > 0.99 * (64 * 18) ** -0.5
    deviation = float(largest.std()) / (64 * 18) ** -0.5
    assert deviation == pytest.approx(3**-0.5, rel=0.02)


def test_state_and_metric_pass_through_the_layers_of_a_block():
    def norm(type_, channels, key):
        inner = Signature(((type_, channels),)).field_type(2)
        return nn.IIDBatchNorm(inner)

    conv = nn.ConvContract(S, S, key=KEY)
    make = eqx.nn.make_with_state(lambda: nn.Sequential(conv, nn.PerType(norm, S, key=KEY)))
    model, state = make()
    y, _ = model(image(2, metric=METRIC), state)
    np.testing.assert_array_equal(y.metric, METRIC)
