"""The output of every network at its start: near zero, yet not so near that nothing flows back.

A regression has targets of unit variance, and logits of unit size are a guess that is sure of
itself. An output of the size of the targets, or larger, has first to be unlearned; one below a
twentieth of them passes next to nothing on to the layers before it.
"""

import equinox as eqx
import jax
import numpy as np
import pytest

import equivax as evx
from equivax import FieldType, models

SEEDS = range(4)
RANGE = 0.05, 1.5

D4, SO3 = evx.groups.dihedral(4), evx.groups.so3()
SOLID = 4 * SO3.trivial + SO3.irrep(1)
HIDDEN = 16 * SO3.trivial + 16 * SO3.irrep(1)
PLANE = evx.spaces.flip_rot_on_r2(4)
IMAGES = FieldType(PLANE, 3 * PLANE.trivial)
TENSORS = (((0, 0), 2), ((1, 0), 2))
VECTOR, SEEN = D4.irrep(1, 1), D4.irrep(1, 1) + D4.trivial


def tensor_network(name, **options):
    def build(key):
        return getattr(models, name)(TENSORS, TENSORS, width=6, key=key, **options)

    return build, (4, 6, 8, 8)


class Given(eqx.Module):
    """A conditional network at one step, of conditions drawn with it."""

    network: eqx.Module
    condition: jax.Array

    def __call__(self, x):
        return self.network(x, self.condition, step=3.0)


def conditional(name, **options):
    def build(key):
        network = getattr(models, name)(VECTOR, SEEN, key=key, **options)
        return Given(network, jax.random.normal(key, (32, 3, SEEN.size)))

    return build, (32, 8, 2)


NETWORKS = {
    "MLP": (lambda key: models.MLP(D4.regular, D4.regular, [64, 64], key=key), (256, 8)),
    "MLP to scalars": (lambda key: models.MLP(D4.regular, D4.trivial, [64], key=key), (256, 8)),
    "MLP of one layer": (
        lambda key: models.MLP(2 * D4.irrep(1, 1), D4.irrep(1, 1), [48], key=key), (256, 4),
    ),
    "MLP with gates": (
        lambda key: models.MLP(
            SOLID, SO3.irrep(1), [HIDDEN] * 2, activation=evx.nn.GatedNonlinearity, key=key
        ),
        (256, SOLID.size),
    ),
    **{
        f"InvariantMLP, pool={pool}": (
            lambda key, pool=pool: models.InvariantMLP(
                2 * D4.regular, 10, [64, 64], pool=pool, key=key
            ),
            (256, 16),
        )
        for pool in ("norm", "quadratic", "mean")
    },
    "WideResNet": (
        lambda key: models.WideResNet(IMAGES, 10, depth=10, widen=2, key=key), (8, 3, 9, 9),
    ),
    "FieldResNet": (
        lambda key: models.ResNet(IMAGES, 10, blocks=[1], channels=[32], stem="small", key=key),
        (8, 3, 9, 9),
    ),
    "FieldUNet": (
        lambda key: models.UNet(IMAGES, IMAGES, channels=[16, 16], key=key), (8, 3, 9, 9),
    ),
    "TensorUNet": tensor_network("TensorUNet", num_downsamples=1),
    "TensorResNet": tensor_network("TensorResNet", num_blocks=2),
    "DilResNet": tensor_network("DilResNet", num_blocks=1, dilations=[1, 2, 1]),
    "Series": tensor_network("Series"),
    "VisionTransformer": (
        lambda key: models.VisionTransformer(
            IMAGES, 10, patch=3, size=9, width=16, depth=1, heads=2, key=key
        ),
        (8, 3, 9, 9),
    ),
    "ConditionalTransformer": conditional(
        "ConditionalTransformer", hidden=32, num_heads=2, depth=1
    ),
    "ConditionalUNet1D": conditional("ConditionalUNet1D", condition_length=3, channels=[16, 16]),
    "TimeSeriesEncoder": (
        lambda key: models.TimeSeriesEncoder(VECTOR, VECTOR, 8, channels=[32], key=key), (64, 8, 2),
    ),
}  # fmt: skip


def outputs(build, shape, seed):
    key, data = jax.random.split(jax.random.key(seed))
    x = jax.random.normal(data, shape)
    model, state = eqx.nn.make_with_state(build)(key)
    y = model(x) if not state._state else model(x, state)[0]
    return np.asarray(y)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * ("Net" in n)) for n in NETWORKS]
)
def test_the_output_starts_below_the_size_of_the_targets(name):
    build, shape = NETWORKS[name]
    size = np.sqrt(np.mean([outputs(build, shape, seed) ** 2 for seed in SEEDS]))
    assert RANGE[0] < size < RANGE[1]


@pytest.mark.parametrize("name", dir(models))
def test_every_network_has_a_row(name):
    """But parts of networks, and what has no layer of its own or ends with an MLP."""
    parts = {"BasicBlock", "ConvBlock", "GroupAverage", "LastStep", "ModelWrapper", "ResidualBlock"}
    parts |= {"PointBlock", "PointNetwork", "VisionBlock"}
    parts |= {f"Transformer{part}" for part in ("Encoder", "Decoder")}
    parts |= {f"Transformer{part}Layer" for part in ("Encoder", "Decoder")}
    value = getattr(models, name)
    if isinstance(value, type) and not name.startswith("_"):
        assert name in parts or any(row.split()[0].strip(",") == name for row in NETWORKS)


def test_the_last_layer_of_an_mlp_is_a_tenth_of_a_hidden_one_unless_a_scheme_is_named():
    key = jax.random.key(0)
    small, named = (
        models.MLP(D4.regular, D4.regular, [64, 64], key=key, **options)
        for options in ({}, {"init": "he_normal"})
    )
    *hidden, last = (layer for layer in small.layers.layers if isinstance(layer, evx.nn.Linear))
    *others, other = (layer for layer in named.layers.layers if isinstance(layer, evx.nn.Linear))
    for one, two in zip(hidden, others, strict=True):
        np.testing.assert_array_equal(one.weight, two.weight)
    np.testing.assert_allclose(10 * last.weight, other.weight, rtol=1e-5, atol=1e-6)


def test_the_head_of_an_invariant_mlp_is_that_of_equinox_if_a_scheme_is_named():
    key = jax.random.key(0)
    small, named = (
        models.InvariantMLP(D4.regular, 3, [16], key=key, **options)
        for options in ({}, {"init": "he_normal"})
    )
    np.testing.assert_allclose(10 * small.head.weight, named.head.weight, rtol=1e-6)
    np.testing.assert_array_equal(small.head.bias, named.head.bias)
