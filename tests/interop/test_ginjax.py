"""What comes from ginjax, told by its attributes; the real models are in tests/oracles."""

from __future__ import annotations

import jax
import pytest

from equivax import interop, models, nn
from equivax.images import Signature

FLOW = ((((False,), 0), 2), (((), 1), 1))


def test_signatures():
    assert interop.ginjax.signature(FLOW) == Signature((((1, 0), 2), ((0, 1), 1)))


def test_networks_take_the_convention_of_their_neurons():
    for make in (models.TensorUNet, models.TensorResNet):
        extra = {"num_downsamples": 1} if make is models.TensorUNet else {}
        model = make(FLOW, FLOW, width=2, convention="magnitude", key=jax.random.key(0), **extra)
        neurons = [
            layer
            for layer in jax.tree.leaves(model, is_leaf=lambda x: isinstance(x, nn.VectorNeuron))
            if isinstance(layer, nn.VectorNeuron)
        ]
        assert neurons
        assert {neuron.convention for neuron in neurons} == {"magnitude"}
    with pytest.raises(ValueError, match="ConvBlock: convention: expected"):
        models.ConvBlock(FLOW, FLOW, convention="length", key=jax.random.key(0))


def test_other_things_are_refused():
    with pytest.raises(TypeError, match=r"interop.ginjax.load: model: expected one of"):
        interop.ginjax.load(3)
