"""Layers on tensor images in 1, 2 and 3 dimensions: order, parity, group, torus, rectangles."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import nn, spaces
from equivax.images import MultiImage, Signature
from laws import UNOPTIMISED, drawn, normal, on_types, relative

#: Even and unequal, so that pools of 2 divide them.
SIDES = {1: (6,), 2: (4, 6), 3: (2, 4, 2)}
#: In three dimensions a tensor of order 3 has 27 components.
ORDERS = {1: 4, 2: 4, 3: 3}
GROUPS = {"full": spaces.hyperoctahedral_on, "rotations": spaces.rotations_on}


def layers(signature, D, space):
    type_, key = signature.field_type(D, space), jax.random.key(0)

    def neuron(own, channels, key):
        inner = Signature(((own, channels),)).field_type(D, space)
        return nn.VectorNeuron(inner, activation=jax.nn.gelu, key=key)

    return {
        "GroupNorm": nn.GroupNorm(type_, 2, eps=1e-2),
        "GroupNorm, isotypic": nn.GroupNorm(type_, whiten="isotypic"),
        "LayerNorm": nn.LayerNorm(type_, whiten="rms", bias="mean"),
        "VectorNeuron": nn.VectorNeuron(type_, key=key),
        "VectorNeuron, any map": nn.VectorNeuron(type_, mix="hom", key=key),
        "PerType": nn.PerType(neuron, signature, D=D, group=space, key=key),
        "NormMaxPool": nn.NormMaxPool(type_, 2, ties="mean"),
        "PointwiseAvgPool": nn.PointwiseAvgPool(type_, 2),
        "InvariantBias": nn.InvariantBias(type_),
        "PointwiseNonlinearity": nn.PointwiseNonlinearity(type_, jnp.tanh, odd=True),
    }


@functools.partial(jax.jit, compiler_options=UNOPTIMISED)
def applied(layers, images):
    return {name: [layer(x) for x in images] for name, layer in layers.items()}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "D, group",
    on_types(list(itertools.product(ORDERS, GROUPS)), [(1, "full"), (2, "rotations")]),
)
def test_layers_commute_with_signed_permutations(D, group):
    space = GROUPS[group](D)
    signature = Signature([((k, p), 2) for k in range(ORDERS[D]) for p in range(2)])
    flags = (True, False, True)[:D]
    x = MultiImage.from_array(normal(2, signature.size(D), *SIDES[D]), signature, D, flags)
    made = drawn(layers(signature, D, space))
    # One reflection or turn of every kind: generators and one product would do.
    elements = spaces.axis_matrices(space)
    elements = [elements[i] for i in {0, 1, len(elements) // 2, len(elements) - 1}
                if i < len(elements)]  # fmt: skip
    found = applied(made, [x, *(x.transform(g) for g in elements)])
    for name, (y, *moved) in found.items():
        assert np.isfinite(y.array).all()
        for g, z in zip(elements, moved, strict=True):
            expected = y.transform(g)
            assert z.is_torus == expected.is_torus
            assert relative(z.array, expected.array) < 1e-11, (name, g)


@pytest.mark.usefixtures("x64")
def test_layers_that_look_at_no_place_commute_with_translations():
    signature = Signature((((0, 0), 2), ((1, 0), 2), ((2, 1), 2)))
    x = MultiImage.from_array(normal(signature.size(2), 4, 6), signature, 2)
    made = drawn(layers(signature, 2, spaces.hyperoctahedral_on(2)))
    for name, (y, z) in applied(made, [x, x.translate((2, 4))]).items():
        step = 2 if "Pool" in name else 1
        expected = y.translate((2 // step, 4 // step))
        assert relative(z.array, expected.array) < 1e-11, name
