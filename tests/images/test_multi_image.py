"""`MultiImage`: a pytree that loses nothing, arithmetic by name, channels, time, metric."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import groups
from equivax.images import GeometricImage, MultiImage, Signature, contractions, inverse_metric
from laws import relative

pytestmark = pytest.mark.usefixtures("x64")

TYPES = {(0, 0): 2, (1, 0): 3, (1, 1): 1, (2, 0): 1}


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def metric_on(*spatial, seed=5):
    a = random(*spatial, len(spatial), len(spatial), seed=seed)
    return a @ a.swapaxes(-1, -2) + np.eye(len(spatial))


def image(*batch, types=TYPES, spatial=(4, 5), metric=False, seed=0, torus=(True, False)):
    D = len(spatial)
    blocks = {}
    for n, (type_, c) in enumerate(types.items()):
        k = type_[0] if isinstance(type_[0], int) else len(type_[0])
        blocks[type_] = random(*batch, c, *spatial, *(D,) * k, seed=seed + n)
    return MultiImage(blocks, D, torus[:D], metric_on(*spatial) if metric else None)


def same(x, y):
    return jax.tree.structure(x) == jax.tree.structure(y) and all(
        np.array_equal(a, b) for a, b in zip(jax.tree.leaves(x), jax.tree.leaves(y), strict=True)
    )


# ---- storage -------------------------------------------------------------------------------------


def test_channels_follow_the_rule():
    x = image(2)
    assert x.array.shape == (2, 2 + 6 + 2 + 4, 4, 5)
    assert x.field_type().size == 14
    vectors = x[(1, 0)]
    assert vectors.shape == (2, 3, 4, 5, 2)
    np.testing.assert_array_equal(x.array[:, 2 + 2 * 1 + 1], vectors[:, 1, ..., 1])
    np.testing.assert_array_equal(x.array[:, 10 + 2 * 1 + 0], x["k2p0"][:, 0, ..., 1, 0])
    again = MultiImage(x.blocks(), 2, x.is_torus)
    assert same(x, again)
    with pytest.raises(KeyError, match="k3p0 is not among k0p0, k1p0, k1p1, k2p0"):
        x[(3, 0)]
    empty = MultiImage({(0, 0): np.zeros((0, 4, 4)), (1, 0): np.ones((1, 4, 4, 2))}, 2)
    assert empty[(0, 0)].shape == (0, 4, 4)


def test_pytrees_keep_everything():
    x = image(3, metric=True)
    leaves, structure = jax.tree.flatten(x)
    assert len(leaves) == 2
    assert jax.tree.flatten(jax.tree.unflatten(structure, leaves))[1] == structure
    assert hash(structure) == hash(jax.tree.structure(image(3, metric=True, seed=7)))
    assert same(jax.jit(lambda v: v)(x), x)
    assert same(jax.tree.map(lambda a: a, x), x)
    doubled = jax.jit(lambda v: v.lower_all())(x)
    assert relative(doubled.array, x.lower_all().array) < 1e-14
    gradient = jax.grad(lambda v: jnp.sum(v.lower_all().array ** 2))(x)
    assert gradient.metric.shape == x.metric.shape
    assert float(jnp.abs(gradient.metric).max()) > 0
    _, steps = jax.lax.scan(lambda c, v: (c, v * 2.0), 0, image(3))
    assert same(steps, image(3) * 2.0)
    batched = MultiImage.stack([image(metric=True), image(metric=True, seed=3)])
    assert batched.metric.shape == (4, 5, 2, 2)  # one for all
    own = MultiImage.from_array(
        batched.array, batched.signature, 2, batched.is_torus, np.stack([metric_on(4, 5)] * 2)
    )
    mapped = jax.vmap(lambda v: v.lower_all())(own)
    assert relative(mapped.array, batched.lower_all().array) < 1e-14
    assert relative(own.lower_all().array, batched.lower_all().array) < 1e-14
    assert own[1].metric.shape == (4, 5, 2, 2)


# ---- arithmetic ----------------------------------------------------------------------------------


def test_types_are_matched_by_name():
    x, y = image(2), image(2, seed=9)
    turned = MultiImage(dict(reversed(y.blocks().items())), 2, y.is_torus)
    np.testing.assert_array_equal((x + turned).array, (x + y).array)
    np.testing.assert_array_equal((x - turned).array, (x - y).array)
    # In the peer, equal images built in another order have a difference with entries 1.
    again = MultiImage(dict(reversed(x.blocks().items())), 2, x.is_torus)
    assert float(jnp.abs((x - again).array).max()) == 0
    same_order = jax.jit(lambda a: a.reorder(x.signature).to_vector())(again)
    np.testing.assert_array_equal(same_order, x.to_vector())


def test_numbers_and_arrays():
    x = image(2, 3)
    factor = random(3)
    np.testing.assert_allclose((x * factor).array, x.array * factor[:, None, None, None])
    np.testing.assert_allclose((2 * x / 4.0).array, x.array / 2)
    np.testing.assert_allclose((x + 1).array, x.array + 1)
    np.testing.assert_allclose((-x).array, -x.array)
    np.testing.assert_allclose((np.float64(2) * x).array, 2 * x.array)


def test_metrics_must_agree():
    x, y = image(metric=True), image(metric=True, seed=4)
    assert (x + y).metric is x.metric
    jitted = jax.jit(lambda a, b: a - b)(x, y)
    np.testing.assert_array_equal(jitted.metric, x.metric)
    other = MultiImage.from_array(y.array, y.signature, 2, y.is_torus, 2 * y.metric)
    for wrong in (other, image()):
        with pytest.raises(ValueError, match="equal metrics"):
            x + wrong


# ---- norms ---------------------------------------------------------------------------------------


def test_norms_and_their_slopes():
    x = image(2)
    norm = x.norm()
    assert norm.array.shape == (2, 7, 4, 5)
    expected = np.sqrt((np.asarray(x[(1, 0)]) ** 2).sum(-1))
    np.testing.assert_allclose(norm.array[:, 2:5], expected, rtol=1e-14)
    np.testing.assert_allclose(x.block_norms()[((False,), 0)].array, expected, rtol=1e-14)
    for scale in (0.0, 1e-200, 1e150):
        small = x * scale
        slope = jax.grad(lambda v: v.norm().array.sum())(small)
        assert np.isfinite(slope.array).all()
        second = jax.jvp(jax.grad(lambda v: v.norm().array.sum()), (small,), (x,))[1]
        assert np.isfinite(second.array).all() or scale == 1e-200
    slope = jax.grad(lambda v: v.norm().array.sum())(x)[(2, 0)]
    block = np.asarray(x[(2, 0)])
    expected = block / np.sqrt((block**2).sum((-2, -1), keepdims=True))
    np.testing.assert_allclose(slope, expected, rtol=1e-13)


# ---- channels, batches ---------------------------------------------------------------------------


def test_concat_and_split_are_inverse():
    x, y = image(2), image(2, types={(1, 0): 2, (0, 1): 1}, seed=4)
    both = x.concat(y)
    assert both.signature == x.signature + y.signature
    np.testing.assert_array_equal(both[(1, 0)][:, 3:], y[(1, 0)])
    rest, taken = both.split(y.signature)
    assert same(rest, x)
    assert same(taken, y)
    with pytest.raises(ValueError, match="at most 5 channels of k1p0, got 6"):
        both.split((((1, 0), 6),))


def test_batches():
    x = image(6, metric=True)
    assert same(x[1:3].concat(x[3:5], axis=0), x[1:5])
    assert x[2].batch == ()
    assert same(x.at_batch(np.array([0, 2])), MultiImage.stack([x[0], x[2]]))
    assert same(x.expand(0, 2)[1, ...], x[3:])
    assert x.expand(0, 2).batch == (2, 3)
    assert same(x.expand(0, 2).merge((0, 1)), x)
    assert x[None].batch == (1, 6)
    with pytest.raises(IndexError, match="one of 6 examples"):
        x[6]
    with pytest.raises(ValueError, match="at most 1 batch axes"):
        x[:, :]


def test_vectors_scalars_and_lists():
    x = image(2, types={(0, 0): 1, ((True, False), 0): 2})
    assert same(MultiImage.from_vector(x.to_vector(), x), x)
    assert same(x.to_scalar().from_scalar(x.signature), x)
    listed = x.to_images()
    assert len(listed) == 6
    # The peer loses the flags both ways.
    assert listed[-1].covariant_axes == (True, False)
    assert same(MultiImage.from_images(listed, batch=2), x)
    single = x[0]
    assert same(MultiImage.from_images(single.to_images()), single)


def test_time():
    x = image(2, 3)
    folded = x.fold_time()
    assert folded.batch == (2,)
    assert folded.signature == x.signature.scale(3)
    np.testing.assert_array_equal(folded[(1, 0)][:, 1 * 3 + 2], x[(1, 0)][:, 2, 1])
    assert same(folded.unfold_time(3), x)
    series = folded.component(2 + 2 * 1 + 1, 3)  # vector 1, component 1
    np.testing.assert_array_equal(series.array, np.moveaxis(x[(1, 0)][:, :, 1, ..., 1], 1, 1))
    with pytest.raises(ValueError, match="steps: expected a divisor"):
        folded.unfold_time(4)


# ---- group, metric -------------------------------------------------------------------------------


@pytest.mark.parametrize("D", [1, 2, 3])
def test_actions_compose_and_carry_metric_and_flags(D):
    G = groups.hyperoctahedral(D)
    x = image(
        types={(0, 1): 1, (1, 0): 1, (2, 1): 1},
        spatial=(2, 3, 4)[:D],
        metric=True,
        torus=(True, False, False),
    )
    elements = list(G.elements)[:: max(1, G.order // 5)]
    pairs = [(g, h) for g in elements[:3] for h in elements[-3:]]

    @jax.jit
    def ways(x):
        actions = [(x.transform(g).transform(h), x.transform(h @ g)) for g, h in pairs]
        lowered = x.lower_all()
        metric = [(x.transform(g).lower_all(), lowered.transform(g)) for g in elements[:3]]
        return actions, metric

    actions, metric = ways(x)
    for (g, h), (both, one) in zip(pairs, actions, strict=True):
        assert same(both, one)
        assert both.spatial == tuple(np.rint(np.abs(G.defining(h @ g))).astype(int) @ x.spatial)
    for one, other in metric:  # lowering commutes with the action
        assert relative(one.array, other.array) < 1e-13


def test_raising_undoes_lowering_exactly():
    # The peer's inverse metric is diag(0.499995, 1.99998) here: off by 1e-5.
    x = image(metric=True)
    lowered = x.lower_all()
    assert lowered.signature.names == ("k0p0", "k1p0-l", "k1p1-l", "k2p0-ll")
    assert relative(lowered.raise_all().array, x.array) < 1e-13
    for D in (1, 2, 3):
        g = jnp.asarray(metric_on(*(2,) * D))
        unit = np.einsum("...ij,...jk", g, inverse_metric(g))
        np.testing.assert_allclose(unit, np.broadcast_to(np.eye(D), g.shape), atol=1e-13)
    slope = jax.grad(lambda m: inverse_metric(m).sum())(jnp.eye(2))
    assert np.isfinite(slope).all()  # the peer's eigenvectors give NaN


def test_fields_are_matched_in_order_when_flags_change():
    x = image(types={(1, 0): 1, ((True,), 0): 2}, metric=True)
    wanted = Signature(((((True,), 0), 1), ((1, 0), 2)))
    y = x.raise_lower(wanted)
    fields = [x[(1, 0)][0], *x["k1p0-l"]]
    lower = np.einsum("hwij,hwj->hwi", x.metric, fields[0])
    upper = [np.linalg.solve(np.asarray(x.metric), f[..., None])[..., 0] for f in fields[1:]]
    np.testing.assert_allclose(y["k1p0-l"][0], lower, rtol=1e-12)
    np.testing.assert_allclose(y[(1, 0)], upper, rtol=1e-10)
    assert same(x, image(types={(1, 0): 1, ((True,), 0): 2}, metric=True))  # nothing is overwritten


def test_translation_needs_a_torus():
    x = image(2)
    np.testing.assert_array_equal(x.translate((1, 0)).array, np.roll(x.array, 1, axis=-2))
    with pytest.raises(ValueError, match="axis 1 is not periodic"):
        x.translate((0, 1))


# ---- one image -----------------------------------------------------------------------------------


def test_algebra_commutes_with_the_group():
    g = np.array([[0.0, -1.0], [1.0, 0.0]]) @ np.diag([1.0, -1.0])
    a = GeometricImage(random(3, 4, 2, 2, 2), 1, 2)
    b = GeometricImage(random(3, 4, 2, seed=1), 0, 2)
    F = GeometricImage(random(3, 3, 2, seed=2), 1, 2)
    operations = {
        "product": lambda t: t(a) * t(b),
        "contraction": lambda t: t(a).contract(0, 2),
        "transposition": lambda t: t(a).transpose((2, 0, 1)),
        "epsilon": lambda t: t(a).levi_civita_contract(1),
        "norm": lambda t: t(a).norm(),
        "normalised": lambda t: t(a).normalize() * 2.0 - t(a),
        "convolution": lambda t: t(b).convolve_with(t(F)),
        "sum": lambda t: t(b) / 2 + t(b),
        "maximum": lambda t: t(GeometricImage(a.data[:2], 1, 2)).max_pool(2),
        "mean": lambda t: t(GeometricImage(a.data[:2], 1, 2)).average_pool(2),
        "unpooling": lambda t: t(b).unpool(2),
    }
    for name, operation in operations.items():
        moved, expected = jax.jit(
            lambda f=operation: (f(lambda image: image.transform(g)), f(lambda i: i).transform(g))
        )()
        assert (moved.type, moved.is_torus) == (expected.type, expected.is_torus), name
        assert relative(moved.data, expected.data) < 1e-13, name


def test_levi_civita_keeps_the_flags_of_the_remaining_axes():
    a = GeometricImage(random(2, 2, 2, 2, 2), 0, 2, True, (True, False, False))
    found = a.levi_civita_contract(0)
    assert found.covariant_axes == (False, False, False)
    assert a.levi_civita_contract(1).covariant_axes == (True, False, False)


def test_contraction_with_a_metric_is_invariant():
    g = metric_on(3, 4)
    a = GeometricImage(random(3, 4, 2, 2), 0, 2)
    expected = np.einsum("hwij,hwij->hw", g, a.data)
    np.testing.assert_allclose(a.contract(0, 1, metric=g).data, expected, rtol=1e-13)
    mixed = a.raise_lower(g, (True, False))
    np.testing.assert_allclose(mixed.contract(0, 1, metric=g).data, expected, rtol=1e-13)
    np.testing.assert_allclose(mixed.contract(0, 1).data, expected, rtol=1e-13)


def test_contractions_are_all_different():
    assert contractions(3, 1) == [((0, 1),), ((0, 2),), ((1, 2),)]
    assert len(contractions(6, 0)) == 15
    assert contractions(2, 2) == [()]


def test_ties_are_averaged():
    data = np.zeros((2, 2, 2))
    data[0, 0], data[1, 1] = (3.0, 4.0), (-5.0, 0.0)
    pooled = GeometricImage(data, 0, 2).max_pool(2)
    np.testing.assert_allclose(pooled.data, [[[-1.0, 2.0]]])
    slope = jax.grad(lambda v: GeometricImage(v, 0, 2).max_pool(2).data.sum())(jnp.asarray(data))
    np.testing.assert_allclose(slope[0, 0], [0.5, 0.5])


def test_constructors():
    x = GeometricImage.zeros((2, 3), k=2, parity=3, D=2)
    assert (x.spatial, x.k, x.parity) == ((2, 3), 2, 1)
    y = GeometricImage.fill(3, 0, 2, np.array([1.0, 2.0]), is_torus=(True, False))
    assert y.data.shape == (3, 3, 2)
    assert y.is_torus == (True, False)
    assert y.transform(np.array([[0.0, 1.0], [1.0, 0.0]])).is_torus == (False, True)


def test_signatures():
    s = Signature((((0, 0), 2), ((1, 0), 3)))
    assert s.size(3) == 11
    assert s + Signature({(1, 0): 1, "k2p0-lu": 1}) == Signature(
        (((0, 0), 2), ((1, 0), 4), (((True, False), 0), 1))
    )
    assert s.union((((2, 0), 9), ((0, 0), 1)), 5).names == ("k0p0", "k1p0", "k2p0")
    assert s.scale(2).channels((1, 0)) == 6
    assert len({s, Signature(s), Signature(dict(s))}) == 1
    split = Signature((((2, 0), 1),)).field_type(2, split=True)
    assert len(split) == 4
    assert len(s.field_type(2)) == 5
