"""Exported models as ONNX, by jax2onnx, run by ONNX Runtime: the recipe of the guide."""

from __future__ import annotations

import equinox as eqx
import jax
import numpy as np
import pytest

import equivax as evx
from equivax import models, nn

to_onnx = pytest.importorskip("jax2onnx", reason="jax2onnx is no dependency").to_onnx
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is no dependency")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def as_users_have_it():
    """The converter mixes ranks and dtypes."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def mlp():
    group = evx.groups.icosahedral()
    return evx.export(models.MLP(group.standard, group.standard, [60], key=KEY)), (3,)


def steerable_cnn():
    space = evx.spaces.rot_on_r2(8)
    image, hidden = evx.FieldType(space, space.trivial), evx.FieldType(space, 2 * space.regular)

    def build(key):
        return nn.Sequential(
            nn.Conv(image, hidden, 5, padding=2, use_bias=False, key=key),
            nn.InnerBatchNorm(hidden),
            nn.ReLU(hidden),
            nn.PointwiseMaxPool(hidden, 3, 2, 1),
            nn.GroupPooling(hidden),
        )

    model, state = eqx.nn.make_with_state(build)(KEY)
    return evx.export(eqx.nn.inference_mode(model), state), (1, 9, 9)


def tensor_unet():
    flow = evx.images.Signature((((1, 0), 1), ((0, 0), 1)))
    unet = models.TensorUNet(flow, flow, width=2, num_downsamples=1, num_conv=1, key=KEY)
    return evx.export(unet), (3, 8, 8)


def transformer():
    rep = 2 * evx.groups.dihedral(4).regular
    return evx.export(models.TransformerEncoderLayer(rep, 2, key=KEY)), (6, 16)


@pytest.mark.parametrize("as_arguments", [False, True], ids=["inside", "arguments"])
@pytest.mark.parametrize("make", [mlp, steerable_cnn, tensor_unet, transformer])
def test_the_runtime_computes_the_same(make, as_arguments):
    """For two sizes of the batch, with weights inside the file and as its inputs."""
    plain, shape = make()
    weights, structure = eqx.partition(plain, eqx.is_array)
    leaves, tree = jax.tree.flatten(weights)

    def call(x, *leaves):
        return jax.vmap(eqx.combine(jax.tree.unflatten(tree, leaves), structure))(x)

    function = call if as_arguments else lambda x: call(x, *leaves)
    shapes = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]
    program = to_onnx(function, inputs=[("B", *shape), *(shapes if as_arguments else [])])
    session = onnxruntime.InferenceSession(
        program.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [entry.name for entry in session.get_inputs()]
    assert len(names) == 1 + as_arguments * len(leaves)
    for batch in (2, 5):
        x = np.asarray(jax.random.normal(KEY, (batch, *shape)))
        given = [x, *(map(np.asarray, leaves) if as_arguments else [])]
        (found,) = session.run(None, dict(zip(names, given, strict=True)))
        wanted = np.asarray(call(x, *leaves))
        np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())
