"""Layers have other forms on a GPU and on a TPU: what JAX would be asked for there, on a CPU."""

from unittest import mock

import jax
import numpy as np
import pytest

from equivax import hom
from laws import one_in, relative
from on_devices import LAYERS, gradients, prepared

PLATFORMS = ("gpu", "tpu")
#: Layers whose forms differ: products, functions of fields, norms, small matrices.
SAMPLE = (
    "MLP with norms and dropout [SO2: turned]",
    "Affine from outside [D3: regulars]",
    "GNormBatchNorm [D4: turned]",
)


def compiled_as_on(platform, case, *, only_shapes):
    """The gradient of a layer in its parameters and inputs, by the forms of a platform."""
    asked = mock.patch.object(jax, "default_backend", return_value=platform)
    with hom.assume_platform(platform), asked:
        arrays, function, inputs = prepared(case, None, quiet=True)
        compute = jax.eval_shape if only_shapes else lambda f, *given: jax.jit(f)(*given)
        return compute(gradients(function), arrays, *inputs)


@pytest.mark.parametrize("name", one_in(8, LAYERS))
@pytest.mark.filterwarnings("ignore")  # what layers say of their types is tested elsewhere
@pytest.mark.usefixtures("unchecked_annotations")
def test_layers_and_gradients_are_traced_on_every_platform(name):
    here = compiled_as_on("cpu", LAYERS[name], only_shapes=True)
    for platform in PLATFORMS:
        there = compiled_as_on(platform, LAYERS[name], only_shapes=True)
        assert jax.tree.structure(there) == jax.tree.structure(here)
        for one, other in zip(jax.tree.leaves(there), jax.tree.leaves(here), strict=True):
            assert (one.shape, one.dtype) == (other.shape, other.dtype)


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) for name in SAMPLE])
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.filterwarnings("ignore")
def test_gradients_are_those_of_a_cpu(platform, name):
    here = compiled_as_on("cpu", LAYERS[name], only_shapes=False)
    there = compiled_as_on(platform, LAYERS[name], only_shapes=False)
    for one, other in zip(jax.tree.leaves(there), jax.tree.leaves(here), strict=True):
        assert np.size(one) == 0 or relative(one, other) < 1e-4
