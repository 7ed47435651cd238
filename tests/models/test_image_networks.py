"""Networks on tensor images: exact on every image, finite on blank ones, with a plain twin."""

import equinox as eqx
import jax
import numpy as np
import pytest

import equivax as evx
from equivax import models
from equivax.images import MultiImage, Signature
from laws import OPTIMISED, cast, relative

KEY = jax.random.key(0)
WIDTH = 4
S = Signature((((1, 0), 1), ((0, 0), 1)))
PSEUDO = Signature((((0, 0), 1), ((1, 1), 1)))
NETWORKS = {
    "UNet": lambda s, key=KEY, **o: models.TensorUNet(
        s, s, width=WIDTH, num_downsamples=1, key=key, **o
    ),
    "ResNet": lambda s, key=KEY, **o: models.TensorResNet(
        s, s, width=WIDTH, num_blocks=1, key=key, **o
    ),
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


#: All types of two lowest orders, so that symmetry makes some of them zero.
ALL = Signature((((0, 0), 1), ((0, 1), 1), ((1, 0), 1), ((1, 1), 1)))


def symmetric_images(signature, seed):
    """A constant image, one of constant scalars, and stripes of scalars: float32."""
    rng = np.random.default_rng(seed)
    size = signature.size(2)
    scalars = np.arange(size)[:, None, None] == signature.slices(2)[(), 0].start
    constant, ones = rng.normal(size=(size, 1, 1)), np.ones((size, 8, 8))
    stripes = rng.normal(size=(size, 8, 1)) * scalars
    images = np.stack([constant * ones, 1e2 * constant * scalars * ones, stripes * ones])
    return images.astype(np.float32)


@pytest.mark.parametrize(
    "name, signature, lost",
    [
        ("ResNet", ALL, 0),
        pytest.param("UNet", ALL, 0, marks=pytest.mark.slow),
        pytest.param("ResNet", S, 0, marks=pytest.mark.slow),
        pytest.param("ResNet", PSEUDO, 1, marks=pytest.mark.slow),
        pytest.param("UNet", PSEUDO, 0, marks=pytest.mark.slow),
    ],
)
def test_symmetric_images_are_as_in_double_precision(name, signature, lost, precision):
    """What symmetry makes zero is rounding behind a layer, and every norm would magnify it by 316.

    Six of them made all of it: 0.3 to 5 in the place of 1e-6. Where a GELU puts out every scalar,
    the rounding of vectors is all that a norm sees, and no norm can tell it from small data: such
    an image, whose exact output is zero, does not count. And one of all is lost to the condition of
    a vector neuron, which leaves 6e-5 of its vectors across their line.
    """

    @eqx.filter_jit
    def run(model, arrays):
        x = MultiImage.from_array(arrays, signature, 2, (True, True))
        return model(x).array, model(x.transform(TURN)).transform(TURN.T).array

    worst = []
    for seed in range(8):
        with precision(False), jax.default_matmul_precision("highest"):
            model = NETWORKS[name](signature, key=jax.random.key(seed))
            arrays = symmetric_images(signature, seed)
            single, turned = run(model, arrays)
        with precision(True), jax.default_matmul_precision("highest"):
            double, _ = run(cast(model, np.float64), arrays.astype(np.float64))
        for found, moved, expected in zip(*map(np.asarray, (single, turned, double)), strict=True):
            size = np.abs(expected).max()
            if size > 1e-9:
                off = max(np.abs(y - expected).max() for y in (found, moved))
                worst.append(off / max(size, 0.1))
    assert len(worst) >= 20
    assert sum(off >= 1e-3 for off in worst) <= lost


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
