"""Layers have other forms on a GPU and on a TPU: what JAX would be asked for there, on a CPU.

Where there is an accelerator, ``pytest -m "" tests/laws/test_platforms.py`` computes on it, too.
"""

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


@pytest.mark.parametrize("name", one_in(8, LAYERS))
@pytest.mark.skipif(jax.default_backend() == "cpu", reason="there is no accelerator")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("unchecked_annotations", "x64")
def test_gradients_on_an_accelerator_are_those_of_a_cpu(name):
    found = []
    with jax.default_matmul_precision("highest"):
        for device in (jax.devices("cpu")[0], jax.devices()[0]):
            asked = mock.patch.object(jax, "default_backend", return_value=device.platform)
            with hom.assume_platform(device.platform), asked, jax.default_device(device):
                arrays, function, inputs = prepared(LAYERS[name], None, quiet=True)
                computed = jax.jit(gradients(function))(arrays, *inputs)
                assert {d for a in jax.tree.leaves(computed) for d in a.devices()} == {device}
                found.append(jax.tree.map(np.asarray, computed))
    here, there = map(jax.tree.leaves, found)
    # Some gradients vanish, such as those of a bias in front of a norm, and are rounding alone.
    floor = 1e-3 * max(np.abs(leaf).max(initial=0) for leaf in here)
    for one, other in zip(here, there, strict=True):
        assert one.dtype == other.dtype
        scale = max(np.abs(one).max(initial=0), floor)
        assert np.abs(one - other).max(initial=0) < 1e-9 * scale
