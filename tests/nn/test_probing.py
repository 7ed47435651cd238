"""Functions that users hand to layers: those that mix entries are refused at construction."""

from __future__ import annotations

import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import FieldType, groups, models, nn, spaces
from equivax.nn._core import _probing

C4 = groups.cyclic(4)
PLANE = spaces.rot_on_r2(4)
TYPE = FieldType(PLANE, 2 * PLANE.regular)
GATED = FieldType(PLANE, 2 * PLANE.trivial + 2 * PLANE.irrep(1))
KEY = jax.random.key(0)

#: Functions and what the message says of them.
MIXING = {
    "sum": (jnp.sum, r"gives shape \(\) for \(2, 3, 4\)"),
    "reversed": (lambda a: a[..., ::-1], "depends on other entries, or on its place"),
    "sorted": (lambda a: jnp.sort(a, 0), "depends on other entries"),
    "softmax": (jax.nn.softmax, "depends on other entries"),
    "centred": (lambda a: a - a.mean(0), "depends on other entries"),
    "of places": (lambda a: a * jnp.arange(4.0), "on its place"),
    "Boolean": (lambda a: a > 0, "gives bool for float32"),
    "nothing": (lambda a: None, "gives a NoneType"),
    "no argument": (lambda: 1.0, "fails on an array: TypeError"),
    "NumPy's": (np.tanh, "fails on an array: TracerArrayConversionError"),
}

#: Functions that act on every number by itself.
ELEMENTWISE = {
    "of JAX": jax.nn.gelu,
    "known primitives": lambda a: jnp.where(a > 1, jnp.exp(-a), a**2),
    "with NaN": jnp.log,
    "a loop": lambda a: jax.lax.fori_loop(0, 3, lambda _, y: jnp.sin(y), a),
    "one by one": lambda a: jax.lax.map(jnp.cos, a.ravel()).reshape(a.shape),
    "partial": jax.tree_util.Partial(jax.nn.elu, alpha=0.3),
    "jitted": jax.jit(lambda a: jnp.maximum(a, 0.0)),
}

#: Layers and networks that take a function, and its argument.
LAYERS = {
    "PointwiseNonlinearity: function": lambda f: nn.PointwiseNonlinearity(TYPE, f),
    "ConcatenatedNonlinearity: function": lambda f: nn.ConcatenatedNonlinearity(TYPE, f),
    "FourierNonlinearity: function": lambda f: nn.FourierNonlinearity(TYPE, f),
    "GatedNonlinearity: function": lambda f: nn.GatedNonlinearity(GATED, function=f),
    "InducedGatedNonlinearity: function": lambda f: nn.InducedGatedNonlinearity(TYPE, function=f),
    "NormNonlinearity: function": lambda f: nn.NormNonlinearity(TYPE, f),
    "InducedNormNonlinearity: function": lambda f: nn.InducedNormNonlinearity(TYPE, f),
    "VectorNeuron: activation": lambda f: nn.VectorNeuron(TYPE, activation=f, key=KEY),
    "MLP: activation": lambda f: models.MLP(C4.regular, C4.regular, [8], activation=f, key=KEY),
    "ConvBlock: activation": lambda f: models.ConvBlock(
        [((0, 0), 2)], [((0, 0), 2)], activation=f, key=KEY
    ),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", ["sum", "reversed", "no argument"])
def test_every_layer_refuses_functions_that_mix(layer: str, name: str):
    function, says = MIXING[name]
    with pytest.raises((ValueError, TypeError), match=f"{layer}: expected an elementwise.*{says}"):
        LAYERS[layer](function)


@pytest.mark.parametrize("name", MIXING)
def test_functions_that_mix_are_told(name: str):
    function, says = MIXING[name]
    with pytest.raises((ValueError, TypeError), match=says):
        _probing.check_elementwise("Layer", function)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_functions_pass(name: str):
    _probing.check_elementwise("Layer", ELEMENTWISE[name])


def test_under_transformations_and_where_nan_is_forbidden():
    def build(x):
        nn.PointwiseNonlinearity(TYPE, lambda a: jnp.log(a) * x)  # closes over a tracer
        with pytest.raises(ValueError, match="depends on other entries"):
            nn.PointwiseNonlinearity(TYPE, lambda a: a[::-1])
        return x

    jax.jit(build)(2.0)
    jax.grad(build)(2.0)
    jax.vmap(build)(jnp.ones(2))
    with jax.debug_nans(True):
        nn.PointwiseNonlinearity(TYPE, lambda a: jax.lax.map(jnp.log, a))


def test_what_is_known_of_a_function_does_not_keep_it_alive():
    def function(a):
        return 2.0 * a

    _probing.check_elementwise("Layer", function)
    assert function in _probing._known
    alive = weakref.ref(function)
    del function
    gc.collect()
    assert alive() is None


class Wrong(nn.AbstractModule):
    """A layer whose formula forgets the channels."""

    in_type: FieldType
    out_type: FieldType

    def _forward(self, x, key=None):
        return x.sum()

    def export(self):
        raise NotImplementedError


def test_the_output_has_the_channels_of_its_type():
    with pytest.raises(ValueError, match=r"Wrong: out_type: .* has 8 channels.*gave shape \(\)"):
        Wrong(TYPE, TYPE)(jnp.ones((8, 3, 3)))
