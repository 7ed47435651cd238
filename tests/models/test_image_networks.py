"""Networks on tensor images: exact on every image, finite on blank ones, with a plain twin."""

import equinox as eqx
import jax
import numpy as np
import pytest

import equivax as evx
from equivax import models
from equivax.images import MultiImage, Signature
from laws import OPTIMISED, relative

KEY = jax.random.key(0)
WIDTH = 4
S = Signature((((1, 0), 1), ((0, 0), 1)))
PSEUDO = Signature((((0, 0), 1), ((1, 1), 1)))
NETWORKS = {
    "UNet": lambda s, **o: models.TensorUNet(s, s, width=WIDTH, num_downsamples=1, key=KEY, **o),
    "ResNet": lambda s, **o: models.TensorResNet(s, s, width=WIDTH, num_blocks=1, key=KEY, **o),
    "DilResNet": lambda s, **o: models.DilResNet(
        s, s, width=WIDTH, num_blocks=1, dilations=(1, 2, 1), key=KEY, **o
    ),
    "Series": lambda s, **o: models.Series(s, s, width=WIDTH, depth=3, key=KEY, **o),
}
TURN, FLIP = np.array([[0, -1], [1, 0]]), np.diag([1, -1])


def images(signature, sides=(8, 8)):
    """Random, constant and binary images, and a blank one."""
    rng = np.random.default_rng(0)
    shape = (signature.size(2), *sides)
    kinds = [
        rng.normal(size=shape),
        np.broadcast_to(rng.normal(size=(shape[0], 1, 1)), shape),
        rng.integers(0, 2, shape).astype(float),
        np.zeros(shape),
    ]
    return MultiImage.from_array(np.stack(kinds), signature, 2, (True, True))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "name, signature",
    [
        pytest.param("UNet", S, marks=pytest.mark.slow),  # the laws run over it unoptimised
        pytest.param("ResNet", PSEUDO, marks=pytest.mark.slow),
        pytest.param("DilResNet", S, marks=pytest.mark.slow),
        ("Series", PSEUDO),
    ],
)
def test_networks_are_exact_with_finite_gradients_and_an_export(name, signature):
    model = NETWORKS[name](signature)
    model = jax.tree.map(lambda a: a + 0.1 if eqx.is_inexact_array(a) else a, model)  # biases too
    x, plain = images(signature), evx.export(model)

    @eqx.filter_jit(compiler_options=OPTIMISED)
    def run(model, plain, x):
        moved = MultiImage.stack([x, x.transform(TURN), x.transform(FLIP), x.translate((4, 0))])
        slopes = jax.vmap(lambda v: eqx.filter_grad(lambda m: (m(v).array ** 2).sum())(model))(x)
        return model(moved), jax.vmap(plain)(x.array), slopes

    with jax.default_matmul_precision("highest"):
        y, exported, slopes = run(model, plain, x)
    first = y.at_batch(0)
    moves = [first, first.transform(TURN), first.transform(FLIP), first.translate((4, 0))]
    for found, expected in zip(y.array, moves, strict=True):
        for kind in range(4):
            assert relative(found[kind], expected.array[kind]) < 1e-10
    assert relative(exported[::2], first.array[::2]) < 1e-10
    for leaf in jax.tree.leaves(slopes):
        assert np.isfinite(leaf).all()
    assert np.ptp(first.array[0]) > 0.1


@pytest.mark.parametrize("name", NETWORKS)
def test_the_plain_twin_has_the_same_graph_and_moves_with_translations_only(name):
    twin = NETWORKS[name](S, equivariant=False)
    model = eqx.filter_eval_shape(NETWORKS[name], S)
    convs = [n for n in nodes(twin) if isinstance(n, eqx.nn.Conv)]
    layers = [n for n in nodes(model) if isinstance(n, evx.nn.ConvContract)]
    assert len(convs) == len(layers)
    for conv, layer in zip(convs, layers, strict=True):
        kernel = eqx.filter_eval_shape(lambda layer: layer.kernel, layer)
        assert conv.weight.shape == kernel.shape
    few, many = (
        sum(a.size for a in jax.tree.leaves(eqx.filter(m, is_array))) for m in (model, twin)
    )
    assert 3 * few < many
    x = images(S).at_batch(0).at_batch(())
    x = MultiImage.from_array(x.array.astype(np.float32), S, 2)
    y, z = jax.jit(lambda x: (twin(x), twin(x.translate((4, 4)))))(x)
    np.testing.assert_allclose(y.translate((4, 4)).array, z.array, atol=1e-4)
    exported = jax.jit(lambda v: evx.export(twin)(v))(x.array)
    np.testing.assert_allclose(exported, y.array, atol=1e-4)


def is_array(leaf):
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")


def nodes(tree):
    found = []

    def seen(node):
        if isinstance(node, (eqx.nn.Conv, evx.nn.ConvContract)):
            found.append(node)
            return True
        return False

    jax.tree.leaves(tree, is_leaf=seen)
    return found


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: NETWORKS["UNet"](S)(images(S, (7, 8))), r"sides that 2 divides, .* \(7, 8\)"),
        (lambda: NETWORKS["UNet"](S)(images(PSEUDO)), "TensorUNet: x: signature: expected 1 chan"),
        (lambda: NETWORKS["UNet"](S, norm="batch"), "norm: expected 'layer' or None, got 'batch'"),
        (lambda: NETWORKS["UNet"](S, num_conv=0), "num_conv: expected an integer in .*, got 0"),
        (lambda: NETWORKS["ResNet"](S, kernel_size=2), "kernel_size: expected an odd"),
        (
            lambda: models.Series(S, S, depth=0, key=KEY),
            "Series: depth: expected an integer in",
        ),
        (
            lambda: models.DilResNet((((0, 0), 1),), (((0, 1), 1),), key=KEY),
            "k0p1 cannot be reached",
        ),
        (
            lambda: NETWORKS["ResNet"](S, equivariant=False, group=evx.groups.dihedral(4)),
            "group: expected None with equivariant=False",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
