"""Layers on tensor images refuse what they cannot mean, and say what they would take."""

import jax
import jax.numpy as jnp
import pytest

from equivax import nn, spaces
from equivax.images import MultiImage, Signature

S = Signature((((0, 0), 2), ((1, 0), 2)))
KEY = jax.random.key(0)


def image(signature=S):
    return MultiImage.from_array(jnp.ones((signature.size(2), 4, 4)), signature, 2)


TYPE = S.field_type(2)
BAD = {
    "signature": (lambda: nn.GroupNorm(S), "got Signature; .* signature.field_type"),
    "groups": (lambda: nn.GroupNorm(TYPE, 4), "groups: expected a divisor of 2, .* trivial"),
    "no groups": (lambda: nn.GroupNorm(TYPE, 0), "groups: expected an integer >= 1, got 0"),
    "half a group": (lambda: nn.GroupNorm(TYPE, 0.5), "groups: expected an integer >= 1"),
    "whiten": (
        lambda: nn.GroupNorm(TYPE, whiten="zca"),
        "whiten: expected 'full', 'isotypic' or 'rms'",
    ),
    "bias": (lambda: nn.GroupNorm(TYPE, bias="free"), "bias: expected a boolean or one of auto"),
    "eps": (lambda: nn.GroupNorm(TYPE, eps=0.0), "eps: expected a finite number above 0"),
    "affine": (lambda: nn.GroupNorm(TYPE, affine=1), "affine: expected True or False, got 1"),
    "pool and whiten": (lambda: nn.LayerNorm(TYPE, pool="copy"), "pool, center: belong to vectors"),
    "vectors": (
        lambda: nn.LayerNorm(TYPE.representation, bias="mean"),
        "bias: belongs to whitening",
    ),
    "convention": (
        lambda: nn.VectorNeuron(TYPE, convention="peer", key=KEY),
        "convention: expected 'signed' or 'magnitude'",
    ),
    "mix": (lambda: nn.VectorNeuron(TYPE, mix="all", key=KEY), "mix: expected 'fields' or 'hom'"),
    "activation": (
        lambda: nn.VectorNeuron(TYPE, activation="relu", key=KEY),
        "activation: expected a callable",
    ),
    "length": (
        lambda: nn.VectorNeuron(TYPE, eps=-1.0, key=KEY),
        "eps: expected a finite number above 0",
    ),
    "by": (lambda: nn.NormMaxPool(TYPE, 2, by="size"), "by: expected 'norm' or 'value'"),
    "by value": (lambda: nn.NormMaxPool(TYPE, 2, by="value"), 'by: expected "norm" for'),
    "ties": (lambda: nn.NormMaxPool(TYPE, 2, ties="all"), "ties: expected 'mean', 'first' or"),
    "beta": (lambda: nn.NormMaxPool(TYPE, 2, beta=0.0), "beta: expected a finite number above 0"),
    "relu": (lambda: nn.ReLU(TYPE), "not permuted"),
    "not odd": (
        lambda: nn.PointwiseNonlinearity(TYPE, jax.nn.gelu, odd=True),
        "odd=True needs f",
    ),
    "other type": (
        lambda: nn.GroupNorm(TYPE)(image(S.scale(2))),
        "GroupNorm: x: expected an image of type",
    ),
    "other group": (
        lambda: nn.Sequential(nn.GroupNorm(S.field_type(2, spaces.rotations_on(2))),
                              nn.GroupNorm(TYPE)),
        "but the layer before it gives",
    ),
    "whole numbers": (
        lambda: nn.GroupNorm(TYPE)(MultiImage({(0, 0): jnp.ones((2, 4, 4), int),
                                               (1, 0): jnp.ones((2, 4, 4, 2), int)}, 2)),
        "expected floating numbers",
    ),
}  # fmt: skip


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize("name", BAD)
def test_bad_arguments(name):
    make, message = BAD[name]
    with pytest.raises((ValueError, TypeError), match=message):
        make()
