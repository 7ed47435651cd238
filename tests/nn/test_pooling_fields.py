"""Pools and invariant maps on feature fields, against golden numbers and brute force."""

import itertools
import math
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import golden_fields
from equivax import FieldType, groups, nn, spaces
from equivax.nn._core._channels import block_sums
from equivax.nn.pooling._antialias import blur_weights
from laws import UNOPTIMISED, applied, exported, relative

C4, D4 = spaces.rot_on_r2(4), spaces.flip_rot_on_r2(4)
PERMUTED = FieldType(D4, [D4.regular, D4.trivial, D4.quotient((0, 1)), D4.regular])
ANY = FieldType(D4, [D4.irrep(1, 1), D4.trivial, D4.irrep(1, 0), D4.regular, D4.irrep(1, 1)])
LINE = spaces.flip_on_r1()
VOLUME = spaces.GSpace(C4.group, C4.vector + C4.trivial)
x64 = pytest.mark.usefixtures("x64")
POOLS = {
    "GroupPooling", "NormPool", "InducedNormPool", "PointwiseMaxPool", "NormMaxPool",
    "PointwiseMaxPoolAntialiased", "PointwiseAvgPool", "PointwiseAvgPoolAntialiased",
}  # fmt: skip
GOLDEN = [entry for entry in golden_fields.modules() if entry.module in POOLS]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


# ---- golden numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", GOLDEN, ids=repr)
def test_golden_numbers_and_exports(entry):
    if entry.module in ("GroupPooling", "NormPool", "InducedNormPool"):
        options = {}
    else:
        options = {"grid_check": "off"}
    layer = getattr(nn, entry.module)(entry.in_type, **entry.params, **options)
    assert layer.out_type == entry.out_type
    x = jnp.asarray(entry.x, jnp.float32)
    y = jax.jit(layer)(x)
    np.testing.assert_allclose(y, entry.y, atol=golden_fields.ATOL)
    assert layer.evaluate_output_shape(x.shape) == entry.y.shape
    np.testing.assert_allclose(jax.jit(jax.vmap(layer.export()))(x), y, atol=1e-6)


def test_every_pool_of_the_peers_has_golden_numbers():
    assert {entry.module for entry in GOLDEN} == POOLS
    assert len(GOLDEN) == 38


def test_golden_blur():
    for entry in golden_fields.modules("PointwiseMaxPoolAntialiased"):
        weights = blur_weights(entry.params.get("sigma", 0.6), 4)
        assert len(weights) == entry.record["blur_size"]
        blur = entry.array("blur").reshape(-1, len(weights), len(weights))[0]
        np.testing.assert_allclose(np.outer(weights, weights), blur, atol=1e-6)
    assert [len(blur_weights(s, 3)) for s in (0.6, 0.66, 1.0, 0.1)] == [5, 5, 7, 1]
    assert math.isclose(sum(blur_weights(1.3, 4)), 1.0)


# ---- brute force ---------------------------------------------------------------------------------


def windows_of(length, k, s, p, d, ceil):
    """Taps of every window of one axis, and the end of the padded axis, as the formula says."""
    room = length + 2 * p - d * (k - 1) - 1
    count = (math.ceil(room / s) if ceil else math.floor(room / s)) + 1
    if ceil and (count - 1) * s >= length + p:
        count -= 1
    return [[i * s - p + d * q for q in range(k)] for i in range(count)]


SETTINGS = [
    (length, k, s, p, d, ceil)
    for length in (5, 6, 7, 8)
    for k in (1, 2, 3, 5)
    for s in (1, 2, 3)
    for p in range(k // 2 + 1)
    for d in (1, 2)
    for ceil in (False, True)
    if windows_of(length, k, s, p, d, ceil)
]


def window_max(x, taps):
    return max(x[t] for t in taps if 0 <= t < len(x))


def window_mean(x, taps, p):
    inside = [t for t in taps if -p <= t < len(x) + p]
    return sum(x[t] for t in inside if 0 <= t < len(x)) / len(inside)


def test_windows_on_a_line_are_those_of_brute_force(precision):
    type_ = FieldType(LINE, [LINE.trivial])
    with precision(True):
        for length, k, s, p, d, ceil in SETTINGS[::17]:
            x = normal(1, length)
            windows = windows_of(length, k, s, p, d, ceil)
            arguments = {"stride": s, "padding": p, "ceil_mode": ceil, "grid_check": "off"}
            reached = all(any(0 <= t < length for t in taps) for taps in windows)
            pool = nn.PointwiseMaxPool(type_, k, dilation=d, **arguments)
            longest = nn.NormMaxPool(type_, k, dilation=d, **arguments)
            if not reached:
                with pytest.raises(ValueError, match="steps over"):
                    pool(x)
                continue
            expected = np.array([[window_max(x[0], taps) for taps in windows]])
            np.testing.assert_array_equal(applied(pool, x), expected)
            np.testing.assert_array_equal(exported(pool, x, batch_axes=0), expected)
            chosen = [
                max((abs(x[0, t]), -j, x[0, t]) for j, t in enumerate(taps) if 0 <= t < length)[2]
                for taps in windows
            ]
            np.testing.assert_array_equal(np.asarray(applied(longest, x))[0], chosen)
            plain = exported(longest, x, batch_axes=0)
            np.testing.assert_array_equal(np.asarray(plain)[0], chosen)
            if d == 1:
                mean = nn.PointwiseAvgPool(type_, k, **arguments)
                expected = np.array([[window_mean(x[0], taps, p) for taps in windows]])
                np.testing.assert_allclose(applied(mean, x), expected, atol=1e-12)
                plain = exported(mean, x, batch_axes=0)
                np.testing.assert_allclose(plain, expected, atol=1e-12)


def test_shapes_of_all_windowed_pools_agree():
    settings = [s for s in SETTINGS if s[4] == 1]
    assert len(settings) > 168
    kinds = itertools.cycle(
        [nn.PointwiseMaxPool, nn.NormMaxPool, nn.PointwiseAvgPool, nn.PointwiseMaxPoolAntialiased]
    )
    # Shapes are computed once for all kinds: each setting asks the next one.
    for (h, k, s, p, _, ceil), w, kind in zip(
        settings, itertools.cycle((6, 9, 7)), kinds, strict=False
    ):
        rows, columns = (len(windows_of(n, k, s, p, 1, ceil)) for n in (h, w))
        options = {"stride": s, "padding": p, "ceil_mode": ceil, "grid_check": "off"}
        pool, size = kind(PERMUTED, k, **options), PERMUTED.size
        assert pool.evaluate_output_shape((2, size, h, w)) == (2, size, rows, columns)


@x64
def test_a_plane_is_pooled_axis_by_axis():
    x = normal(2, PERMUTED.size, 7, 8)
    pool = nn.PointwiseMaxPool(
        PERMUTED, (2, 3), (2, 1), (1, 0), (1, 2), ceil_mode=True, grid_check="off"
    )
    rows, columns = windows_of(7, 2, 2, 1, 1, True), windows_of(8, 3, 1, 0, 2, True)
    expected = np.array(
        [
            [max(x[0, 3, r, c] for r in a if 0 <= r < 7 for c in b if 0 <= c < 8) for b in columns]
            for a in rows
        ]
    )
    np.testing.assert_array_equal(pool(x)[0, 3], expected)
    np.testing.assert_array_equal(jax.vmap(pool.export())(x), pool(x))


@x64
def test_norm_max_pool_takes_whole_vectors_and_the_first_at_ties():
    type_ = FieldType(C4, [C4.irrep(1), C4.trivial])
    x = np.random.default_rng(3).integers(-1, 2, (4, 3, 6, 6)).astype(float)  # many ties
    pool = nn.NormMaxPool(type_, 3, 1, 1, ties="first")
    y = np.asarray(applied(pool, x))
    for b, r, c in itertools.product(range(4), range(6), range(6)):
        taps = [
            (i, j)
            for i in range(max(r - 1, 0), min(r + 2, 6))
            for j in range(max(c - 1, 0), min(c + 2, 6))
        ]  # row-major
        for channels in (slice(0, 2), slice(2, 3)):
            norms = [float(np.sum(x[b, channels, i, j] ** 2)) for i, j in taps]
            i, j = taps[int(np.argmax(norms))]
            np.testing.assert_array_equal(y[b, channels, r, c], x[b, channels, i, j])
    np.testing.assert_array_equal(exported(pool, x), y)
    # The gradient goes to the chosen vector and nowhere else.
    single = nn.NormMaxPool(type_, 6, ties="first")
    weights = np.array([2.0, 3.0])[:, None, None]
    grads = np.asarray(jax.jit(jax.grad(lambda x: jnp.sum(single(x)[0, :2] * weights)))(x))
    squares = np.sum(np.asarray(x[0, :2]) ** 2, axis=0)
    where = np.unravel_index(np.argmax(squares), (6, 6))
    expected = np.zeros((3, 6, 6))
    expected[:2, where[0], where[1]] = [2.0, 3.0]
    np.testing.assert_array_equal(grads[0], expected)


@x64
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 9, (2, 5)])
def test_adaptive_cells(size):
    rows, columns = (size, size) if isinstance(size, int) else size

    def cells(length, count):
        return [slice(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]

    x = normal(2, PERMUTED.size, 7, 8)
    for cls, reduce in (
        (nn.PointwiseAdaptiveAvgPool, np.mean),
        (nn.PointwiseAdaptiveMaxPool, max_),
    ):
        pool = cls(PERMUTED, size, grid_check="off")
        expected = np.array(
            [[reduce(x[:, :, a, b], (-2, -1)) for b in cells(8, columns)] for a in cells(7, rows)]
        ).transpose(2, 3, 0, 1)
        np.testing.assert_allclose(applied(pool, x), expected, atol=1e-12)
        np.testing.assert_allclose(exported(pool, x), expected, atol=1e-12)
        assert pool.evaluate_output_shape((5, PERMUTED.size, 7, 8)) == (
            5, PERMUTED.size, rows, columns
        )  # fmt: skip


def max_(x, axis):
    return np.max(x, axis=axis)


@x64
def test_antialiased_maximum_is_a_dense_maximum_and_a_blur():
    weights = np.array(blur_weights(0.6, 4))
    kernel = np.outer(weights, weights)
    x = normal(PERMUTED.size, 9, 9)
    dense = np.asarray(nn.PointwiseMaxPool(PERMUTED, 3, 1, 1)(x))
    for mode, name in (("constant", "zero"), ("edge", "edge")):
        padded = np.pad(dense, ((0, 0), (2, 2), (2, 2)), mode=mode)
        expected = np.array(
            [
                [np.sum(padded[:, r : r + 5, c : c + 5] * kernel, (1, 2)) for c in range(0, 9, 2)]
                for r in range(0, 9, 2)
            ]
        ).transpose(2, 0, 1)
        pool = nn.PointwiseMaxPoolAntialiased(PERMUTED, 3, 2, 1, blur_padding=name)
        # The peer pads twice: 6 x 6 in the place of 5 x 5.
        assert pool(x).shape == (PERMUTED.size, 5, 5)
        np.testing.assert_allclose(pool(x), expected, atol=1e-12)
        np.testing.assert_allclose(pool.export()(jnp.asarray(x)), expected, atol=1e-6)


@x64
@pytest.mark.parametrize("ceil", [False, True])
def test_antialiased_maximum_without_blur_is_the_maximum(ceil):
    x = normal(PERMUTED.size, 7, 8)
    for k, s, p in ((2, 2, 0), (3, 2, 1), (2, 2, 1), (3, 3, 0), (2, 3, 1)):
        options = {"stride": s, "padding": p, "ceil_mode": ceil, "grid_check": "off"}
        plain = applied(nn.PointwiseMaxPool(PERMUTED, k, **options), x)
        pool = nn.PointwiseMaxPoolAntialiased(PERMUTED, k, sigma=0.1, **options)
        np.testing.assert_array_equal(applied(pool, x), plain)
        blurred = nn.PointwiseMaxPoolAntialiased(PERMUTED, k, **options)
        found = exported(blurred, x, batch_axes=0)
        np.testing.assert_allclose(found, applied(blurred, x), atol=1e-6)


# ---- invariant maps ------------------------------------------------------------------------------

INDUCED = FieldType(D4, [
    D4.induced((None, 4), groups.cyclic(4).irrep(1)), D4.regular,
    D4.induced((None, 4), groups.cyclic(4).irrep(1)), D4.trivial, D4.quotient((None, 4)),
])  # fmt: skip
INVARIANT = [
    (nn.GroupPooling, PERMUTED),
    (lambda type_: nn.GroupPooling(type_, jnp.mean), PERMUTED),
    (lambda type_: nn.GroupPooling(type_, jax.nn.logsumexp), PERMUTED),
    (nn.NormPool, ANY),
    (nn.InducedNormPool, INDUCED),
    (nn.GroupPooling, FieldType(D4, 3 * D4.regular)),
    (nn.NormPool, FieldType(D4, 3 * D4.vector)),
    (nn.NormPool, ANY.representation),
    (nn.GroupPooling, PERMUTED.representation),
]


@x64
@pytest.mark.parametrize("build, type_", INVARIANT)
def test_invariant_maps(build, type_):
    layer = build(type_)
    spatial = () if not isinstance(type_, FieldType) else (3, 3)
    rep = getattr(type_, "representation", type_)
    x = normal(2, 5, rep.size, *spatial)
    y = applied(layer, x)
    fields = len(rep.summands)
    assert y.shape == (2, 5, fields, *spatial)
    assert layer.out_type.representation.is_trivial if spatial else layer.out_type.is_trivial
    for matrix in rep.matrices:
        moved = np.moveaxis(np.moveaxis(x, 2, -1) @ matrix.T, -1, 2)
        np.testing.assert_allclose(applied(layer, moved), y, atol=1e-12)
    np.testing.assert_allclose(exported(layer, x, batch_axes=2), y, atol=1e-12)
    gradient = jax.jit(jax.grad(lambda v: jnp.sum(layer(v) ** 2 + layer(v))))
    for at in (jnp.zeros_like(x), jnp.asarray(x), jnp.ones_like(x)):
        assert np.isfinite(gradient(at)).all()


@x64
def test_invariant_maps_against_a_loop():
    x = normal(4, INDUCED.size)
    bounds = list(zip(INDUCED.fields_start, INDUCED.fields_end, strict=True))
    halves = [2, 8, 2, 1, 2]
    norms = [
        np.linalg.norm(x[:, a:b].reshape(4, n, -1), axis=-1).max(1)
        for (a, b), n in zip(bounds, halves, strict=True)
    ]
    got = nn.InducedNormPool(INDUCED)(x[:, :, None, None])[..., 0, 0]
    np.testing.assert_allclose(got, np.stack(norms, 1), atol=1e-12)
    x = normal(4, PERMUTED.size)
    bounds = list(zip(PERMUTED.fields_start, PERMUTED.fields_end, strict=True))
    for reduce in (jnp.max, jnp.mean):
        expected = np.stack([reduce(x[:, a:b], axis=1) for a, b in bounds], 1)
        got = nn.GroupPooling(PERMUTED, reduce)(x[:, :, None, None])[..., 0, 0]
        np.testing.assert_allclose(got, expected, atol=1e-12)


@x64
def test_the_mean_is_for_every_field_with_an_invariant():
    rotated = (D4.regular + D4.irrep(1, 1)).fused()
    type_ = FieldType(D4, [D4.trivial, rotated])
    layer = nn.GroupPooling(type_, jnp.mean)
    x = normal(3, type_.size)
    mean = np.mean([x @ m.T for m in type_.representation.matrices], axis=0)
    expected = np.stack([mean[:, 0], mean[:, 1:].mean(1)], axis=1)
    np.testing.assert_allclose(layer(x[..., None, None])[..., 0, 0], expected, atol=1e-12)
    exported = jax.vmap(layer.export())(jnp.asarray(x[..., None, None]))[..., 0, 0]
    np.testing.assert_allclose(exported, expected, atol=1e-12)


def test_many_runs_of_fields_are_brought_together():
    x = jnp.asarray(normal(3, 40, 2))
    runs = tuple((2 - i % 2, 1) for i in range(26))
    sums = block_sums(runs, x[:, :39], -2)
    expected, start = [], 0
    for size, _ in runs:
        expected.append(x[:, start : start + size].sum(axis=1))
        start += size
    np.testing.assert_allclose(sums, jnp.stack(expected, axis=1), atol=1e-6)
    sizes = tuple((i, 1) for i in range(1, 20))  # more kinds of fields than slices
    assert block_sums(sizes, jnp.ones(190))[-1] == 19


# ---- laws of all grid pools ----------------------------------------------------------------------

GRID_POOLS = {
    "max": (lambda t, **o: nn.PointwiseMaxPool(t, 3, 2, 1, **o), PERMUTED, 2),
    "max, dilated": (lambda t, **o: nn.PointwiseMaxPool(t, 2, 2, dilation=2, **o), PERMUTED, 2),
    "norm": (lambda t, **o: nn.NormMaxPool(t, 3, 2, 1, **o), ANY, 2),
    "blurred max": (lambda t, **o: nn.PointwiseMaxPoolAntialiased(t, 3, 2, 1, **o), PERMUTED, 2),
    "blurred max, edge": (
        lambda t, **o: nn.PointwiseMaxPoolAntialiased(t, 3, 2, 1, blur_padding="edge", **o),
        PERMUTED, 2,
    ),
    "mean": (lambda t, **o: nn.PointwiseAvgPool(t, 3, 2, 1, **o), ANY, 2),
    "blur": (lambda t, **o: nn.PointwiseAvgPoolAntialiased(t, 0.6, 2, **o), ANY, 2),
    "cells, max": (lambda t, **o: nn.PointwiseAdaptiveMaxPool(t, 3, **o), PERMUTED, None),
    "cells, mean": (lambda t, **o: nn.PointwiseAdaptiveAvgPool(t, 3, **o), ANY, None),
}  # fmt: skip
each_pool = pytest.mark.parametrize("name", GRID_POOLS)


def error(layer, shape):
    """Largest relative error over the elements that map the grid to itself."""
    type_ = layer.in_type
    elements = type_.space.exact_elements

    @jax.jit
    def compare(x):
        y = layer(x)
        moved, targets = {}, {}
        for g in elements:  # one call of the layer for all elements that give one shape
            image = type_.transform(x, g)
            moved.setdefault(image.shape, []).append(image)
            targets.setdefault(image.shape, []).append(layer.out_type.transform(y, g))
        differences = [
            jnp.abs(layer(jnp.stack(moved[s])) - jnp.stack(targets[s])).max() for s in moved
        ]
        return jnp.stack(differences).max() / jnp.abs(y).max()

    return float(compare(jnp.asarray(normal(2, type_.size, *shape))))


@x64
@each_pool
def test_equivariant_exactly_when_the_rule_holds(name):
    build, type_, stride = GRID_POOLS[name]
    for length in (7, 8):
        if stride is None or (length + 2 - 3) % stride == 0:
            assert error(build(type_, grid_check="raise"), (length, length)) < 1e-12
            continue
        assert error(build(type_, grid_check="off"), (length, length)) > 0.01
        with pytest.raises(ValueError, match=f"L = {length}.*use a length of"):
            build(type_, grid_check="raise")(jnp.zeros((type_.size, length, length)))
        with pytest.warns(nn.GridWarning, match=f"use a length of {length - 1} or {length + 1}"):
            build(type_)(jnp.zeros((type_.size, length, length)))


@x64
@each_pool
def test_rectangles_and_no_mirrors(name):
    build, type_, _ = GRID_POOLS[name]
    if not name.startswith("cells"):  # cells of a square number on a rectangle do not turn with it
        assert error(build(type_, grid_check="raise"), (7, 9)) < 1e-12
    # Without turns or mirrors of an axis nothing is exacted of it.
    mirror = spaces.flip_on_r2()
    few = FieldType(mirror, [mirror.regular, mirror.trivial])
    assert error(build(few, grid_check="raise"), (8, 9)) < 1e-12
    nothing = spaces.trivial_on_r2()
    build(FieldType(nothing, 2 * nothing.trivial), grid_check="raise")(jnp.zeros((2, 8, 6)))


@x64
@each_pool
def test_lines_volumes_and_batches(name):
    build, _, _ = GRID_POOLS[name]
    for space, shape in ((LINE, (9,)), (VOLUME, (7, 7, 7))):
        type_ = FieldType(space, [space.regular, space.trivial])
        layer = build(type_, grid_check="raise")
        assert error(layer, shape) < 1e-12
        x = jnp.asarray(normal(2, 3, type_.size, *shape))
        exported = layer.export()

        @eqx.filter_jit
        def outputs(x, layer=layer, exported=exported):
            ways = (layer, jax.vmap(jax.vmap(layer)), jax.vmap(jax.vmap(exported)))
            return [way(x) for way in ways]

        y, mapped, plain = outputs(x)
        assert y.ndim == x.ndim
        np.testing.assert_allclose(mapped, y, atol=1e-12)
        np.testing.assert_allclose(plain, y, atol=1e-6)
        typed = eqx.filter_jit(layer)(type_(x))
        assert typed.type == layer.out_type
        np.testing.assert_array_equal(typed.array, y)


@each_pool
def test_gradients_are_finite_at_ties_and_keep_their_sum(name, precision):
    build, type_, _ = GRID_POOLS[name]
    layer = build(type_)
    with precision(True):
        for value in (0.0, 1.0, -2.0):
            x = jnp.full((2, type_.size, 7, 7), value)
            grad = jax.jit(jax.grad(lambda v: jnp.sum(layer(v))))(x)
            assert np.isfinite(grad).all()
            if "blur" not in name and name != "mean":  # these see zeros beyond the border
                count = math.prod(layer.evaluate_output_shape(x.shape))
                np.testing.assert_allclose(grad.sum(), count)


@each_pool
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_types_of_numbers_are_kept(name, dtype):
    build, type_, _ = GRID_POOLS[name]
    layer = build(type_)
    x = jnp.asarray(normal(2, type_.size, 7, 7), jnp.float32)
    layer = eqx.filter_jit(layer)
    y = layer(x.astype(dtype))
    assert y.dtype == dtype
    reference = layer(x.astype(dtype).astype(jnp.float32))
    np.testing.assert_allclose(y.astype(jnp.float32), reference, atol=0.02)
    if dtype == jnp.float16:  # squares and sums beyond 65504
        assert np.isfinite(layer(jnp.full_like(x, 3e4, dtype))).all()


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_invariant_maps_keep_short_numbers(dtype):
    for layer in (nn.NormPool(ANY), nn.InducedNormPool(INDUCED), nn.GroupPooling(PERMUTED)):
        y = applied(layer, jnp.full((layer.in_type.size, 2, 2), 300.0, dtype))
        assert y.dtype == dtype
        assert np.isfinite(y).all()


@each_pool
def test_static_and_compiled_once(name):
    build, type_, _ = GRID_POOLS[name]
    layer, again = build(type_), build(FieldType(type_.space, list(type_.reps)))
    assert not jax.tree.leaves(layer)
    assert hash(jax.tree.structure(layer)) == hash(jax.tree.structure(again))
    calls = []

    @jax.jit
    def step(layer, x):
        calls.append(1)
        return layer(x)

    x = jnp.asarray(normal(type_.size, 7, 7), jnp.float32)
    np.testing.assert_allclose(step(layer, x), layer(x), atol=1e-6)
    step(again, x)
    assert len(calls) == 1
    assert len(repr(layer)) < 700


def test_exports_are_the_layers_of_equinox_where_it_has_them():
    assert isinstance(nn.PointwiseMaxPool(PERMUTED, 3, 2, 1).export(), eqx.nn.MaxPool2d)
    kept = nn.PointwiseMaxPool(PERMUTED, 2, ceil_mode=True).export()  # the peers drop ceil_mode
    assert isinstance(kept, eqx.nn.MaxPool2d)
    assert kept.use_ceil
    assert kept(jnp.zeros((PERMUTED.size, 9, 9))).shape[1:] == (5, 5)
    assert isinstance(nn.PointwiseMaxPool(PERMUTED, 3, dilation=2).export(), eqx.nn.Lambda)
    assert isinstance(
        nn.PointwiseMaxPool(PERMUTED, 2, 2, 1, ceil_mode=True).export(), eqx.nn.Lambda
    )
    assert isinstance(nn.PointwiseAvgPool(ANY, 2).export(), eqx.nn.AvgPool2d)
    assert isinstance(nn.PointwiseAvgPool(ANY, 2, ceil_mode=True).export(), eqx.nn.Lambda)
    assert isinstance(nn.PointwiseAdaptiveAvgPool(ANY, 1).export(), eqx.nn.AdaptiveAvgPool2d)
    assert isinstance(nn.PointwiseAdaptiveMaxPool(PERMUTED, 2).export(), eqx.nn.Lambda)
    assert isinstance(nn.PointwiseAvgPoolAntialiased(ANY, 1.0, 2).export(), eqx.nn.Conv2d)
    both = nn.PointwiseMaxPoolAntialiased(PERMUTED, 3, 2, 1).export()
    assert [type(layer) for layer in both.layers] == [eqx.nn.MaxPool2d, eqx.nn.Conv2d]
    line = FieldType(LINE, [LINE.trivial])
    assert isinstance(nn.PointwiseMaxPool(line, 2).export(), eqx.nn.MaxPool1d)


def test_ceil_mode_is_told_to_be_one_sided():
    pool = nn.PointwiseMaxPool(PERMUTED, 2, ceil_mode=True)
    with pytest.warns(nn.GridWarning, match="use a length of 6 or 8"):
        pool(jnp.zeros((PERMUTED.size, 7, 7)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pool(jnp.zeros((PERMUTED.size, 8, 8)))


def test_nan_is_not_hidden():
    x = jnp.zeros((PERMUTED.size, 7, 7)).at[:, 3, 3].set(jnp.nan)
    for name in ("max", "norm", "mean", "blur", "cells, max"):
        build, _, _ = GRID_POOLS[name]
        assert np.isnan(build(PERMUTED)(x)).any()


@pytest.mark.parametrize("pool", [nn.NormPool, nn.InducedNormPool, nn.GroupPooling])
def test_nan_is_not_hidden_by_maps_to_invariants(pool):
    x = jnp.ones((PERMUTED.size, 2, 2)).at[3, 0, 0].set(jnp.nan)
    found = np.isnan(applied(pool(PERMUTED), x))
    assert found[0, 0, 0]
    assert found.sum() == 1


@pytest.mark.parametrize("pool", [nn.InducedNormPool, nn.GroupPooling])
def test_gradients_of_maxima_need_no_optimisations(pool):
    """XLA computes what a maximum is compared with anew, and not to the same last digit."""
    layer = pool(PERMUTED)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, PERMUTED.size, 7, 7)), jnp.float32)
    slope = jax.grad(lambda x: jnp.sum(layer(jax.nn.relu(3 * x + 0.1 * x))))
    plain = jax.jit(slope, compiler_options=UNOPTIMISED)(x)
    assert relative(plain, jax.jit(slope)(x)) < 1e-6
