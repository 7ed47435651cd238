"""Networks of ginjax 0.1.8 that were trained there compute the same here."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from equivax import interop, models
from equivax.images import MultiImage

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

peer = pytest.importorskip("ginjax.geometric", reason="the peer lives in an environment of its own")
peer_layers = pytest.importorskip("ginjax.layers", reason="the peer itself")
peer_models = pytest.importorskip("ginjax.models", reason="the peer itself")


OPERATORS = peer.make_all_operators(2)
FLOW = peer.Signature((((((False,), 0)), 1), (((), 0), 1)))
MIDDLE = peer.Signature((((((False,), 0)), 4), (((), 0), 3)))
PSEUDO = peer.Signature((((((False,), 0)), 2), (((), 1), 2), (((), 0), 2)))


@pytest.fixture(autouse=True)
def peers_promotion():
    """ginjax adds and multiplies arrays of several ranks and dtypes."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@functools.cache
def filters(size, orders=3):
    return peer.get_invariant_filters([size], range(orders), [0, 1], 2, OPERATORS)


def blocks_of(signature, side, seed=0):
    rng = np.random.default_rng(seed)
    return {
        (len(t), p): jnp.asarray(rng.normal(size=(n, side, side, *(2,) * len(t))), jnp.float32)
        for (t, p), n in signature
    }


def call(model, x):
    """Networks return a state besides."""
    y = model(x)
    return y[0] if isinstance(y, tuple) else y


def trained(model, signature, side=8, steps=3):
    """A few steps there, so that weights, scales and biases are those of no initial value."""
    parameters, rest = eqx.partition(model, eqx.is_inexact_array)
    optimizer = optax.adam(0.05)
    state = optimizer.init(parameters)

    @jax.jit
    def loss(parameters, blocks):
        y = call(eqx.combine(parameters, rest), peer.MultiImage(blocks, 2))
        return sum(jnp.mean((block - 0.3) ** 2) for block in y.values())

    for step in range(steps):
        gradients = jax.grad(loss)(parameters, blocks_of(signature, side, step))
        updates, state = optimizer.update(gradients, state)
        parameters = eqx.apply_updates(parameters, updates)
    return eqx.combine(parameters, rest)


def assert_same(theirs, signature, side=8, is_torus=True, atol=1e-5, own=None):
    ours = interop.ginjax.load(theirs, own)
    blocks = blocks_of(signature, side, 7)
    wanted = call(theirs, peer.MultiImage(blocks, 2, is_torus))
    found = ours(MultiImage(blocks, 2, is_torus))
    assert len(found.signature) == len(list(wanted.keys()))
    for (t, p), block in wanted.items():
        scale = max(1.0, float(jnp.abs(block).max()))
        np.testing.assert_allclose(found[len(t), p], block, rtol=0, atol=atol * scale)
    return ours


@pytest.mark.parametrize("is_torus", [True, False])
@pytest.mark.parametrize("norm", [False, True])
def test_unets(norm, is_torus):
    theirs = peer_models.UNet(
        2, FLOW, FLOW, 3, num_downsamples=2, num_conv=2, conv_filters=filters(3),
        upsample_filters=filters(2), use_group_norm=norm, key=jax.random.key(0),
    )  # fmt: skip
    assert_same(trained(theirs, FLOW), FLOW, is_torus=is_torus, atol=2e-5 if norm else 1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"num_blocks": 2, "num_conv": 2},
        {"num_blocks": 1, "num_conv": 1, "preactivation_order": False, "use_bias": "mean"},
        {"num_blocks": 1, "num_conv": 3, "use_group_norm": False, "activation_f": jax.nn.relu},
    ],
    ids=["default", "norm last", "no norm"],
)
def test_residual_networks(options):
    theirs = peer_models.ResNet(
        2, FLOW, FLOW, 3, conv_filters=filters(3), key=jax.random.key(0), **options
    )
    ours = assert_same(trained(theirs, FLOW), FLOW, is_torus=True)
    assert isinstance(ours, models.TensorResNet)


@pytest.mark.parametrize("norm", [False, True])
def test_dilated_networks(norm):
    theirs = peer_models.DilResNet(
        2, FLOW, FLOW, 2, num_blocks=1, conv_filters=filters(3), use_group_norm=norm,
        key=jax.random.key(0),
    )  # fmt: skip
    ours = assert_same(trained(theirs, FLOW, 16), FLOW, 16, is_torus=True)
    assert isinstance(ours, models.DilResNet)


@pytest.mark.parametrize("preactivation", [False, True])
@pytest.mark.parametrize("activation", [jax.nn.relu, jax.nn.tanh, None])
def test_blocks(activation, preactivation):
    source = MIDDLE if preactivation else FLOW  # of which its norm must be, in that order
    theirs = peer_models.ConvBlock(
        2, source, MIDDLE, conv_filters=filters(3), activation_f=activation, use_group_norm=True,
        preactivation_order=preactivation, key=jax.random.key(0),
    )  # fmt: skip
    assert_same(trained(theirs, source), source)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_bias": "mean"},
        {"use_bias": False},
        {"stride": (1, 1), "rhs_dilation": (2, 2)},
        {"padding": "VALID"},
        {"padding": "SAME"},
        {"padding": ((1, 1), (1, 1)), "lhs_dilation": (2, 2), "filters": 2},
    ],
    ids=["plain", "mean", "no bias", "dilated", "valid", "same", "up"],
)
def test_convolutions(options):
    options = dict(options)
    taps = filters(options.pop("filters", 3))
    theirs = peer_layers.ConvContract(FLOW, PSEUDO, taps, key=jax.random.key(0), **options)
    assert_same(trained(theirs, FLOW), FLOW)


@pytest.mark.parametrize("groups", [1, 2])
def test_norms(groups):
    signature = peer.Signature((((((False,), 0)), 4), (((), 0), 2)))
    theirs = peer_layers.GroupNorm(signature, 2, groups)
    assert_same(trained(theirs, signature), signature, own=signature)


def test_neurons():
    types = peer.Signature((((((False,), 0)), 4), (((), 1), 2), (((), 0), 3)))
    theirs = peer_layers.VectorNeuronNonlinear(types, 2, jax.nn.gelu, key=jax.random.key(0))
    assert_same(trained(theirs, types), types, own=types)


def test_what_has_no_counterpart_is_named():
    pseudoscalars = peer.Signature(((((), 1), 2),))
    norm = peer_layers.LayerNorm(pseudoscalars, 2)
    with pytest.raises(ValueError, match="bias: expected zero for pseudoscalars"):
        interop.ginjax.load(trained(norm, pseudoscalars), pseudoscalars)
    with pytest.raises(ValueError, match="own_signature: expected the signature"):
        interop.ginjax.load(norm)
    with pytest.raises(TypeError, match=r"interop.ginjax.load: model: expected one of"):
        interop.ginjax.load(peer_layers.MaxNormPool(2))
