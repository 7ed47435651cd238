"""Layers with a part that breaks the symmetry: exact at first, split in one way, priced."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx
from equivax import FieldType, images, models, nn, testing
from laws import applied, drawn, exported, normal, relative

D4 = evx.groups.dihedral(4)
PLANE = evx.spaces.flip_rot_on_r2(4)
FIELDS = FieldType(PLANE, PLANE.regular + PLANE.trivial)
SIGNATURE = images.Signature((((0, 0), 1), ((1, 0), 1)))
VECTORS = 2 * D4.regular + D4.irrep(1, 1)


def layers(key):
    """One of each kind, with an input."""
    return {
        "Linear": (nn.Linear(VECTORS, D4.regular + D4.irrep(1, 1), key=key), normal(3, 18)),
        "InvariantBias": (nn.InvariantBias(VECTORS), normal(3, 18)),
        "Conv": (nn.Conv(2 * FIELDS, FIELDS * 2, 3, groups=2, key=key), normal(1, 18, 4, 4)),
        "ConvTranspose": (
            nn.ConvTranspose(FIELDS, FIELDS, 3, stride=2, key=key),
            normal(1, 9, 3, 3),
        ),
        "ConvContract": (nn.ConvContract(SIGNATURE, SIGNATURE, key=key), normal(1, 3, 5, 5)),
    }


KINDS = ("Linear", "InvariantBias", "Conv", "ConvTranspose", "ConvContract")


def dense(layer):
    if isinstance(layer, nn.InvariantBias):
        return layer.bias
    return layer.weight if isinstance(layer, nn.Linear) else layer.kernel


def with_dense(layer, array):
    """The layer with the projection of an array: the split must agree with it."""
    if isinstance(layer, nn.InvariantBias):
        return layer.with_bias(array)
    return (layer.with_weight if isinstance(layer, nn.Linear) else layer.with_kernel)(array)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("to", [None, "rotations"])
def test_a_relaxed_layer_is_the_strict_one_at_first_and_the_split_is_unique(name, to, key):
    strict, x = layers(key)[name]
    strict = drawn(strict)
    start = nn.Relaxed(strict, to=to)
    layer = eqx.tree_at(lambda tree: tree.rest, start, drawn(start.rest))

    @eqx.filter_jit
    def facts(strict, start, layer):
        rest = layer.rest.bias if name == "InvariantBias" else layer.rest.dense
        both = layer.bias if name == "InvariantBias" else layer.dense
        again = dense(with_dense(strict, both))
        return start(x), strict(x), layer(x), rest, dense(strict), again

    first, alike, y, rest, own, again = facts(strict, start, layer)
    assert relative(first, alike) < 1e-6
    assert relative(y, alike) > 1e-2
    assert float(jnp.abs(rest).max()) > 1e-2
    cosine = jnp.vdot(rest, own) / jnp.linalg.norm(rest) / jnp.linalg.norm(own)
    assert abs(float(cosine)) < 1e-5
    assert relative(again, own) < 1e-5
    assert relative(exported(layer, x), y) < 1e-5


def test_a_rest_for_a_subgroup_commutes_with_it_and_with_nothing_more(key):
    for layer, spatial in (
        (nn.Linear(VECTORS, D4.regular, key=key), None),
        (nn.Conv(FIELDS, FIELDS, 3, key=key), (5, 5)),
    ):
        relaxed = nn.Relaxed(layer, to=(None, 4), scale=1.0, key=key)
        rows = testing.equivariance_error(relaxed, key=key, spatial=spatial)
        kept = {row.element for row in rows if row.relative < 1e-5}
        assert kept == set(D4.elements[:4])


def test_tensor_images_keep_their_torus_and_their_order(key):
    layer = nn.Relaxed(nn.ConvContract(SIGNATURE, SIGNATURE, key=key), scale=1.0, key=key)
    x = images.MultiImage({(1, 0): normal(1, 4, 4, 2), (0, 0): normal(1, 4, 4)}, D=2)
    y = eqx.filter_jit(layer)(x)
    assert y.signature == SIGNATURE
    assert relative(y.array, applied(layer, x.reorder(SIGNATURE).array)) < 1e-6


def test_a_bias_can_break_what_no_invariant_bias_can(key):
    vector = D4.irrep(1, 1)
    strict = nn.Linear(vector, vector, key=key)
    assert strict.bias is None
    assert nn.Relaxed(strict).rest.bias_coeffs.shape == (2,)
    assert nn.Relaxed(strict, to=(0, 1)).rest.bias_coeffs.shape == (1,)
    assert nn.Relaxed(strict, to="rotations").rest.bias_coeffs is None
    assert nn.Relaxed(strict, use_bias=False).rest.bias_coeffs is None


def test_models_are_relaxed_as_a_whole(key):
    model = models.MLP(VECTORS, D4.irrep(1, 1), [16], key=key)
    relaxed = nn.relax(model)
    x = normal(2, 18)
    both = eqx.filter_jit(lambda *ms: [m(x) for m in ms])(model, relaxed)
    assert relative(*both) < 1e-6

    def loss(model):
        return (model(x) ** 2).sum()

    slopes = eqx.filter_jit(eqx.filter_grad(loss))(relaxed)
    rests = [s.rest for s in slopes.layers.layers if isinstance(s, nn.Relaxed)]
    assert len(rests) == 2
    for rest in rests:
        assert float(jnp.abs(rest.weights).max()) > 1e-6
    again = nn.relax(relaxed)
    assert jax.tree.structure(again) == jax.tree.structure(relaxed)


def test_networks_on_images_are_relaxed_as_a_whole(key):
    def build(key):
        return models.TensorUNet(
            SIGNATURE, SIGNATURE, mid_signature=SIGNATURE, num_downsamples=1, key=key
        )

    x = images.MultiImage({(0, 0): np.ones((1, 8, 8)), (1, 0): np.ones((1, 8, 8, 2))}, D=2)
    relaxed = eqx.filter_eval_shape(lambda k: nn.relax(build(k), to="rotations"), key)
    assert eqx.filter_eval_shape(lambda m, v: m(v).array, relaxed, x).shape == (3, 8, 8)


def test_attention_is_relaxed_with_its_projections(key):
    strict = nn.MultiheadAttention(2 * D4.regular, 2, key=key)
    relaxed = nn.relax(strict)
    x, image = normal(2, 3, 16), evx.IrrepTensor.of(2 * D4.regular, normal(3, 16))
    moved = drawn(relaxed)

    @eqx.filter_jit
    def run(strict, relaxed, moved, x, image):
        plain = jax.vmap(moved.export())(x, x, x)
        return strict(x), relaxed(x), moved(x), plain, moved(image).array, moved(image.array)

    first, alike, y, plain, irrep_wise, single = run(strict, relaxed, moved, x, image)
    assert relative(first, alike) < 1e-6
    assert relative(plain, y) < 1e-5
    assert relative(irrep_wise, single) < 1e-5


def test_the_penalty_is_what_lies_outside_of_the_symmetry(key):
    start = nn.relax(models.MLP(VECTORS, D4.irrep(1, 1), [16], key=key))
    model = drawn(start)
    first, last = (m for m in model.layers.layers if isinstance(m, nn.Relaxed))

    @eqx.filter_jit
    def facts(model, start):
        expected = [
            jnp.sum((m.weight - m.strict.with_weight(m.weight).weight) ** 2)
            + jnp.sum(m.rest.bias**2)
            for m in (first, last)
        ]
        found = nn.symmetry_penalty(model), nn.symmetry_penalty(model, weights=[2.0, 0.5])
        return nn.symmetry_penalty(start), found, expected

    zero, (found, weighted), (one, two) = facts(model, start)
    assert zero == 0.0
    assert found == pytest.approx(float(one + two), rel=1e-5)
    assert weighted == pytest.approx(float(2 * one + 0.5 * two), rel=1e-5)


def test_the_penalty_of_plain_layers_is_their_distance_from_the_symmetric_ones(key):
    G = evx.groups.cyclic(4)
    plain = eqx.nn.MLP(4, 4, 8, 1, key=key)
    types = (G.regular, 2 * G.regular, G.regular)
    conv = eqx.nn.Conv2d(9, 9, 3, key=key)
    symmetric = nn.Conv(FIELDS, FIELDS, 3, basis="grid", key=key)

    @eqx.filter_jit
    def facts(plain, conv, symmetric):
        shares = []
        for layer, ends in zip(plain.layers, itertools.pairwise(types), strict=True):
            near = nn.impose_equivariance(layer, *ends)
            shares.append(((layer.weight - near.weight) ** 2).sum())
            shares[-1] += ((layer.bias - near.bias) ** 2).sum()
        kernel = symmetric.with_kernel(conv.weight).kernel
        bias = symmetric.with_bias(conv.bias[:, 0, 0]).bias
        expected = ((conv.weight - kernel) ** 2).sum() + ((conv.bias[:, 0, 0] - bias) ** 2).sum()
        return (
            nn.symmetry_penalty(plain, *types),
            nn.symmetry_penalty(plain, [None, types[1:]]),
            shares,
            nn.symmetry_penalty(conv, FIELDS, FIELDS),
            expected,
            nn.symmetry_penalty(symmetric.export(), FIELDS, FIELDS),
        )

    both, second, shares, found, expected, none = facts(plain, conv, symmetric)
    assert both == pytest.approx(float(sum(shares)), rel=1e-5)
    assert second == pytest.approx(float(shares[1]), rel=1e-5)
    assert found == pytest.approx(float(expected), rel=1e-5)
    assert float(none) < 1e-10


def test_the_penalty_has_the_derivatives_of_its_formula(key):
    # It has a rule of its own, which projects once instead of twice.
    layer = drawn(nn.Relaxed(nn.Linear(VECTORS, D4.regular, key=key), to="rotations"))
    plain = eqx.nn.Linear(18, 8, key=key)

    def formula(layer):
        return jnp.sum(layer.rest.dense**2) + jnp.sum(layer.rest.bias**2)

    def distance(plain):
        near = nn.impose_equivariance(plain, VECTORS, D4.regular)
        return jnp.sum((plain.weight - near.weight) ** 2) + jnp.sum((plain.bias - near.bias) ** 2)

    @eqx.filter_jit
    def gradients(function, model):
        """The gradient, and that of its part along a direction: second derivatives."""
        start, static = eqx.partition(model, eqx.is_inexact_array)
        slope = jax.grad(lambda leaves: function(eqx.combine(leaves, static)))
        along = jax.tree.map(jnp.cos, start)
        return slope(start), jax.jvp(slope, (start,), (along,))[1]

    def of_plain(plain):
        return nn.symmetry_penalty(plain, VECTORS, D4.regular)

    for penalty, plainly, model in (
        (nn.symmetry_penalty, formula, layer),
        (of_plain, distance, plain),
    ):
        found, expected = gradients(penalty, model), gradients(plainly, model)
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
        assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(expected[1])) > 0.1


def test_files_know_which_symmetry_is_kept(key, tmp_path):
    path = tmp_path / "relaxed.evx"

    def make(to):
        return lambda *, key: nn.relax(models.MLP(VECTORS, D4.irrep(1, 1), [8], key=key), to=to)

    model = drawn(make((None, 2))(key=key))
    evx.save(path, model)
    loaded = evx.load(path, make((None, 2)))
    assert jax.tree.structure(loaded) == jax.tree.structure(model)
    assert all(map(np.array_equal, jax.tree.leaves(loaded), jax.tree.leaves(model)))
    for other in (None, (0, 1)):
        with pytest.raises(ValueError, match="rest"):
            evx.load(path, make(other))


def test_a_relaxed_layer_prints_its_two_parts(key):
    layer = nn.Relaxed(nn.Linear(VECTORS, D4.regular, key=key))
    text = repr(layer)
    assert "strict: Linear" in text
    assert f"rest: Rest({8 * 18 + 8} parameters)" in text
    assert "rest: Rest" in evx.summary(layer)


def test_what_cannot_be_relaxed_is_refused(key):
    linear = nn.Linear(VECTORS, D4.regular, key=key)
    with pytest.raises(TypeError, match=r"Relaxed: layer: expected a Linear, Conv.*got"):
        nn.Relaxed(nn.Identity(VECTORS))
    with pytest.raises(ValueError, match="Relaxed: to: expected None or a subgroup of D4, got 'x"):
        nn.Relaxed(linear, to="x")
    with pytest.raises(TypeError, match="Relaxed: key: scale=1 draws numbers"):
        nn.Relaxed(linear, scale=1.0)
    with pytest.raises(TypeError, match="relax: model: expected a pytree with a Linear"):
        nn.relax(nn.Identity(VECTORS))
    with pytest.raises(ValueError, match="symmetry_penalty: model: expected a pytree with relaxed"):
        nn.symmetry_penalty(linear)
    with pytest.raises(ValueError, match="weights: expected a number or 1, one per layer"):
        nn.symmetry_penalty(nn.Relaxed(linear), weights=[1.0, 2.0])
    for wrong in (-1.0, [-1.0], [np.nan]):
        with pytest.raises(ValueError, match=r"weights: expected .*finite numbers? >= 0"):
            nn.symmetry_penalty(nn.Relaxed(linear), weights=wrong)
    plain = eqx.nn.Linear(18, 8, key=key)
    with pytest.raises(ValueError, match=r"types: expected one type more.*1 here"):
        nn.symmetry_penalty(plain, VECTORS)
    with pytest.raises(ValueError, match="expected 18 channels to 8 for Linear"):
        nn.symmetry_penalty(plain, VECTORS, VECTORS)
    with pytest.raises(ValueError, match="expected a type of vectors for Linear"):
        nn.symmetry_penalty(plain, FIELDS, FIELDS)
    with pytest.raises(AttributeError, match="weight: Conv has none"):
        _ = nn.Relaxed(nn.Conv(FIELDS, FIELDS, 3, key=key)).weight
