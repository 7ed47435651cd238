"""Layers on meshes of devices: explicit and automatic axes, and `jax.shard_map`.

What can go wrong is seen when a program is traced, for which one device is enough. Numbers are
those of eight devices, in a process of its own.
"""

import functools
import json
import os
import subprocess
import sys
import warnings
from typing import Any
from unittest import mock

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import equivax as evx
import on_devices
from laws import on_cpu_devices, one_in, relative
from on_devices import LAYERS, MESHES

#: One of each kind that needs care: rows, stacks of irreps, statistics, contractions, windows.
SAMPLE = (
    "LayerNorm per type [octahedral: turned]",
    "GNormBatchNorm [D4: turned]",
    "MLP with norms and dropout [SO2: turned]",
    "Conv with stride [D4: vector]",
)
needs_explicit_axes = pytest.mark.skipif(
    on_devices.AxisType is None, reason="this release of JAX has no explicit axes"
)


@pytest.mark.parametrize("name", one_in(6, LAYERS))
@pytest.mark.parametrize("kind", MESHES)
@pytest.mark.usefixtures("unchecked_annotations")
def test_layers_and_gradients_are_traced_on_a_mesh(name, kind):
    traced(name, kind)


@pytest.mark.parametrize("name", one_in(24, LAYERS))
@pytest.mark.parametrize("kind", [kind for kind in MESHES if kind != "auto"])
@pytest.mark.usefixtures("unchecked_annotations")
def test_so_are_the_forms_of_a_gpu(name, kind):
    asked = mock.patch.object(jax, "default_backend", return_value="gpu")
    with evx.hom.assume_platform("gpu"), asked:
        traced(name, kind)


def traced(name: str, kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what layers say of their types is tested elsewhere
        compute, arguments = on_devices.on_mesh(kind, LAYERS[name])
        jax.eval_shape(compute, *arguments)


@functools.cache
def errors(names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """What eight devices compute."""
    found = subprocess.run(
        [sys.executable, "-W", "ignore", on_devices.__file__],
        input=json.dumps(names),
        env=on_cpu_devices(8, os.environ.get("XLA_FLAGS", "")) | {"JAX_ENABLE_X64": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    return dict(json.loads(line) for line in found.stdout.splitlines())


@pytest.mark.parametrize("name", SAMPLE)
def test_gradients_on_eight_devices_are_those_of_one(name):
    check(errors(SAMPLE)[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LAYERS if name not in SAMPLE])
def test_gradients_of_every_layer_on_eight_devices_are_those_of_one(name):
    check(errors(tuple(name for name in LAYERS if name not in SAMPLE))[name])


def check(found: dict[str, Any]) -> None:
    assert list(found) == list(MESHES)
    for kind, error in found.items():
        assert isinstance(error, float), f"{kind}: {error}"
        assert error <= 1e-10, kind


# ---- what a user meets -------------------------------------------------------------------------


@needs_explicit_axes
@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("vmapped", [False, True])
def test_outputs_and_states_lie_on_explicit_axes_as_inputs_do(eager, vmapped, key):
    mesh = jax.make_mesh((1,), ("batch",), axis_types=(on_devices.AxisType.Explicit,))
    split, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("batch",), ()))
    G = evx.groups.dihedral(4)
    model = evx.nn.Sequential(
        evx.nn.Linear(2 * G.regular, G.regular, mode="spectral", key=key), evx.nn.ReLU(G.regular)
    )
    x = np.random.default_rng(0).normal(size=(8, 16)).astype(np.float32)
    expected = model(jnp.asarray(x))
    call = jax.vmap(model) if vmapped else model
    call = call if eager else eqx.filter_jit(call)
    y = call(jax.device_put(x, split))  # the model is on no mesh
    assert y.sharding.is_equivalent_to(split, y.ndim)
    assert relative(y, expected) <= 1e-6

    norm, state = eqx.nn.make_with_state(evx.nn.GNormBatchNorm)(2 * G.regular)
    state = eqx.filter_shard(state, whole)
    for _ in range(2):
        y, state = norm(jax.device_put(x, split), state)
    assert y.sharding.is_equivalent_to(split, y.ndim)
    assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(state))


@needs_explicit_axes
def test_tensors_and_images_lie_on_explicit_axes(key):
    mesh = jax.make_mesh((1,), ("batch",), axis_types=(on_devices.AxisType.Explicit,))
    split = NamedSharding(mesh, PartitionSpec("batch"))
    signature = evx.images.Signature((((0, 0), 1), ((1, 0), 2)))
    layer = evx.nn.ConvContract(signature, signature, 3, D=2, key=key)
    image = evx.images.MultiImage(
        {
            (0, 0): np.ones((4, 1, 6, 6), np.float32),
            (1, 0): np.ones((4, 2, 6, 6, 2), np.float32),
        },
        2,
    )
    image = jax.tree.map(lambda a: jax.device_put(a, split), image)
    y = eqx.filter_jit(layer)(image)
    assert all(leaf.sharding.spec[0] == "batch" for leaf in jax.tree.leaves(y))


@needs_explicit_axes
@pytest.mark.parametrize("build", [evx.nn.GNormBatchNorm, evx.nn.RunningMoments])
def test_statistics_of_one_device_are_refused_by_name(build):
    rep = evx.groups.cyclic(3).regular
    mesh = jax.make_mesh((1,), ("batch",), axis_types=(on_devices.AxisType.Auto,))
    layer, state = eqx.nn.make_with_state(build)(rep)
    arrays, rest = eqx.partition((layer, state), eqx.is_array)

    def call(arrays: Any, x: Any) -> Any:
        layer, state = eqx.combine(arrays, rest)
        return layer(x, state)[1]

    whole, split = PartitionSpec(), PartitionSpec("batch")
    mapped = on_devices.shard_map(call, mesh=mesh, in_specs=(whole, split), out_specs=whole)
    with pytest.raises(ValueError, match=r"build the layer with axis_name='batch'"):
        jax.eval_shape(mapped, arrays, jnp.ones((4, 3)))
