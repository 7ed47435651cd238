"""Windows on tensor images: metrics on the new grid, circles, names, exports, defaults."""

import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import FieldType, models, nn, spaces
from equivax.images import GeometricImage, MultiImage, Signature
from laws import UNOPTIMISED, assert_free_of_equivax, drawn, normal, one_in, relative

S = Signature((((0, 0), 2), ((1, 0), 1)))
MIXED = Signature((("k0p0", 1), ("k1p0", 1), ("k1p0-l", 1)))
KEY = jax.random.key(0)
x64 = pytest.mark.usefixtures("x64")


def metric_on(*sides, seed=5):
    a = normal(*sides, len(sides), len(sides), seed=seed)
    return jnp.einsum("...ij,...kj", a, a) + jnp.eye(len(sides))


def image(*sides, signature=S, torus=True, metric=True):
    D = len(sides)
    array = normal(2, signature.size(D), *sides)
    return MultiImage.from_array(array, signature, D, torus, metric_on(*sides) if metric else None)


def commutes(layer, x):
    """Largest relative error of data and metric over all signed permutations of the axes."""
    elements = spaces.axis_matrices(spaces.hyperoctahedral_on(x.D))

    def both(layer, x):
        y = layer(x)
        return [(layer(x.transform(g)), y.transform(g)) for g in elements]

    worst = 0.0
    for moved, expected in jax.jit(both, compiler_options=UNOPTIMISED)(layer, x):
        assert moved.is_torus == expected.is_torus
        worst = max(worst, relative(moved.array, expected.array))
        if x.metric is not None:
            worst = max(worst, relative(moved.metric, expected.metric))
    return worst


def contract(signature=S, **options):
    return drawn(nn.ConvContract(signature, signature, key=KEY, **options))


# ---- metrics -------------------------------------------------------------------------------------

HALVING = {
    "conv": (lambda: contract(MIXED, stride=2), (5, 7), False),
    "conv on a torus": (lambda: contract(MIXED, kernel_size=2, stride=2), (4, 6), True),
    "wide conv on a torus": (lambda: contract(MIXED, kernel_size=4, stride=2), (4, 6), True),
    "conv on a tube": (
        lambda: contract(MIXED, kernel_size=4, stride=2, padding=1, padding_mode="torus"), (4, 6),
        (True, False)),
    "finer conv": (lambda: contract(MIXED, kernel_size=2, input_dilation=2, padding=1), (3, 2),
                   False),
    "finer conv on a torus": (lambda: contract(MIXED, kernel_size=4, input_dilation=2), (3, 4),
                              True),
    "valid": (lambda: contract(MIXED, padding="valid"), (5, 4), False),
    "norm pool": (lambda: nn.NormMaxPool(MIXED.field_type(2), 2), (4, 6), True),
    "odd pool": (lambda: nn.PointwiseAvgPool(MIXED.field_type(2), 3, 2, 1), (5, 7), False),
    "blur": (lambda: nn.PointwiseAvgPoolAntialiased(MIXED.field_type(2), 0.6, 2), (5, 7), False),
    "cells": (lambda: nn.PointwiseAdaptiveAvgPool(MIXED.field_type(2), 2), (5, 4), False),
    "finer": (lambda: nn.Upsampling(MIXED.field_type(2), 2), (3, 4), False),
    "field conv": (
        lambda: drawn(nn.Conv(MIXED.field_type(2), MIXED.field_type(2), 3, stride=2, padding=1,
                              basis="grid", key=KEY)), (5, 7), False,
    ),
    "transposed": (
        lambda: drawn(nn.ConvTranspose(MIXED.field_type(2), MIXED.field_type(2), 4, stride=2,
                                       padding=1, basis="grid", key=KEY)), (3, 2), False,
    ),
}  # fmt: skip


@x64
@pytest.mark.parametrize("name", one_in(4, HALVING))
def test_a_metric_turns_with_the_data_onto_the_new_grid(name):
    make, sides, torus = HALVING[name]
    layer, x = make(), image(*sides, signature=MIXED, torus=torus)
    y = layer(x)
    assert y.metric.shape == (*y.spatial, 2, 2)
    assert y.spatial != sides
    assert commutes(layer, x) < 1e-12
    assert float(jnp.linalg.eigvalsh(y.metric).min()) > 0.5


@x64
def test_the_metric_is_that_at_the_middle_of_the_window():
    x = image(4, 6)
    g, even = x.metric, nn.PointwiseAvgPool(S.field_type(2), 2)
    mean = g.reshape(2, 2, 3, 2, 2, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(even(x).metric, mean, atol=1e-14)
    wide = contract(kernel_size=4, stride=2)
    np.testing.assert_allclose(wide(x).metric, mean, atol=1e-14)
    x = image(5, 7, torus=False)
    np.testing.assert_array_equal(contract(stride=2)(x).metric, x.metric[::2, ::2])
    assert contract()(x).metric is x.metric
    # One cell before and one after, on a circle.
    x = image(4, 6)
    shifted = contract(padding=((2, 0), (0, 2)), padding_mode="torus", grid_check="off")(x).metric
    np.testing.assert_array_equal(shifted, jnp.roll(x.metric, (1, -1), (0, 1)))


@x64
def test_a_halving_convolution_lowers_with_the_old_metric_and_raises_with_the_new():
    upper, lower = Signature((("k1p0", 2),)), Signature((("k1p0-l", 2),))
    x = image(4, 6, signature=upper)
    options = dict(kernel_size=2, stride=2, use_bias=False, key=KEY)
    to_upper, to_lower, flat = (
        nn.ConvContract(a, b, **options)
        for a, b in ((upper, upper), (upper, lower), (lower, lower))
    )
    y, below = to_upper(x), to_lower(x)
    expected = MultiImage.from_array(flat(x.lower_all().array), lower, 2, True, y.metric)
    assert relative(below.array, expected.array) < 1e-12
    assert relative(y.array, expected.raise_all().array) < 1e-12


@pytest.mark.slow  # a whole network; its layers do so above
@x64
def test_a_network_that_halves_takes_a_metric():
    network = models.TensorUNet(S, S, width=2, num_downsamples=1, num_conv=1, key=KEY)
    x = image(4, 4)
    assert commutes(network, x) < 1e-9
    np.testing.assert_array_equal(network(x).metric, x.metric)


# ---- circles -------------------------------------------------------------------------------------


@x64
@pytest.mark.parametrize(
    "options, sides, factor",
    [
        (dict(kernel_size=4, input_dilation=2), (3, 4), 2),
        (dict(kernel_size=2, input_dilation=2), (3, 4), 2),
        (dict(kernel_size=3, input_dilation=3), (3, 4), 3),
        (dict(kernel_size=4, lhs_dilation=2, padding=2, padding_mode="torus"), (3, 4), 2),
        (dict(kernel_size=2, input_dilation=2, padding=1), (3, 4), 2),
        (dict(kernel_size=3, padding=1, padding_mode="torus"), (3, 4), 1),
        (dict(kernel_size=5, padding="same", dilation=2), (3, 4), 1),
        (dict(kernel_size=3, stride=3), (3, 6), 1 / 3),
        (dict(kernel_size=4, stride=2, padding=1, padding_mode="torus"), (4, 6), 0.5),
    ],
    ids=repr,
)
def test_windows_go_round_a_torus_once(options, sides, factor):
    conv = contract(**options)
    x = image(*sides, metric=False)
    y = conv(x)
    assert y.spatial == tuple(round(factor * n) for n in sides)
    assert commutes(conv, x) < 1e-12
    step = max(1, round(1 / factor))
    shift = (step, -2 * step)
    moved = conv(x.translate(shift))
    expected = y.translate(tuple(round(factor * n) for n in shift))
    assert relative(moved.array, expected.array) < 1e-12
    plain = conv.export(True)
    assert relative(jax.vmap(plain)(x.array), y.array) < 1e-12
    assert_free_of_equivax(plain)


def test_a_torus_is_not_cut_in_silence():
    x = image(4, 6, metric=False)
    with pytest.raises(ValueError, match=r"6 windows do not go round a circle of 4 cells once"):
        contract(padding=2, padding_mode="torus")(x)
    assert contract(padding=2, padding_mode="torus", grid_check="off")(x).spatial == (6, 8)
    flat = image(4, 6, torus=False, metric=False)
    assert contract(padding=2, padding_mode="torus")(flat).spatial == (6, 8)
    # Numbers are zeros, as they stand in files; they are named where they meet a circle.
    zeros = contract(padding=1, grid_check="off")(x)
    assert relative(zeros.array, contract(padding="SAME", grid_check="off")(x).array) == 0
    assert relative(zeros.array, contract()(x).array) > 0.1
    for padding in (1, "SAME"):
        with pytest.warns(nn.GridWarning, match="spatial axis 0, which is periodic.*wraps"):
            contract(padding=padding)(x)
        contract(padding=padding)(flat)
    assert contract(padding="valid")(x).spatial == (2, 4)


def test_every_name_of_an_option_means_the_same():
    x = image(4, 6, metric=False)
    free = image(4, 6, torus=False, metric=False)
    for one, other, seen in (
        (dict(padding="TORUS"), dict(padding="same"), x),
        (dict(padding=None), dict(padding="same", padding_mode="torus"), x),
        (dict(padding="TORUS"), dict(padding="same", padding_mode="circular"), x),
        (dict(padding="SAME"), dict(padding="same", padding_mode="zeros"), free),
        (dict(padding="VALID"), dict(padding="valid"), x),
        (dict(padding="VALID"), dict(padding=0), free),
        (dict(rhs_dilation=2), dict(dilation=2), x),
        (dict(rhs_dilation=1, lhs_dilation=None), dict(), x),
        (dict(lhs_dilation=(2, 2), kernel_size=2, padding=1),
         dict(input_dilation=2, kernel_size=2, padding=[[1, 1], [1, 1]]), free),
    ):  # fmt: skip
        first, second = contract(**one), contract(**other)
        np.testing.assert_array_equal(first(seen).array, second(seen).array)
        blocks = (
            models.ConvBlock(S, S, activation=None, equivariant=False, key=KEY, **given)(seen)
            for given in ({"kernel_size": 3, **one}, {"kernel_size": 3, **other})
        )
        np.testing.assert_array_equal(*(block.array for block in blocks))
    a = GeometricImage(normal(4, 6), 0, 2)
    f = GeometricImage(normal(3, 3), 0, 2)
    found = a.convolve_with(f, 1, "TORUS", None, 2).data
    np.testing.assert_array_equal(found, a.convolve_with(f, dilation=2, padding="same").data)
    with pytest.raises(ValueError, match="convolve_with: lhs_dilation: another name of input_dil"):
        a.convolve_with(f, lhs_dilation=2, input_dilation=2)


@x64
@pytest.mark.parametrize("torus", [True, False, (True, False)])
@pytest.mark.parametrize("mode", [None, "reflect", "replicate", "circular", "zeros"])
def test_every_mode_commutes_and_is_exported(mode, torus):
    check = "off" if mode == "zeros" else "raise"
    conv = contract(padding_mode=mode, use_bias="mean", grid_check=check)
    x = image(4, 5, torus=torus, metric=False)
    assert commutes(conv, x) < 1e-12
    plain = conv.export(torus)
    assert relative(jax.vmap(plain)(x.array), conv(x).array) < 1e-12
    assert_free_of_equivax(plain)


@x64
def test_modes_per_axis_of_fields():
    space = spaces.flip_on_r2()
    type_ = FieldType(space, space.regular)
    layer = drawn(nn.Conv(
        type_, type_, 3, padding="same", padding_mode=("circular", "zeros"), grid_check="raise",
        key=KEY,
    ))  # fmt: skip
    x = normal(2, type_.size, 5, 6)
    assert relative(layer(jnp.roll(x, 2, axis=2)), jnp.roll(layer(x), 2, axis=2)) < 1e-12
    assert relative(layer(jnp.roll(x, 2, axis=3)), jnp.roll(layer(x), 2, axis=3)) > 0.1
    assert relative(jax.vmap(layer.export())(x), layer(x)) < 1e-12
    space = spaces.rot_on_r2(4)
    turned = FieldType(space, space.regular)
    layer = nn.Conv(turned, turned, 3, padding=1, padding_mode=("circular", "zeros"), key=KEY)
    with pytest.warns(nn.GridWarning, match="padding_mode must agree on them"):
        layer(normal(turned.size, 5, 5))


def test_exports_are_independent():
    type_ = S.field_type(2)
    one, other = (nn.Upsampling(type_, size=n).export() for n in (6, 8))
    assert one(normal(4, 3, 3)).shape == (4, 6, 6)
    assert other(normal(4, 3, 3)).shape == (4, 8, 8)
    near, far = (contract(input_dilation=2, padding=p).export(False) for p in (1, 2))
    assert near(normal(4, 3, 3)).shape == (4, 5, 5)
    assert far(normal(4, 3, 3)).shape == (4, 7, 7)


# ---- defaults ------------------------------------------------------------------------------------

POOLS = {
    "max": lambda t, **o: nn.PointwiseMaxPool(t, 2, **o),
    "norm": lambda t, **o: nn.NormMaxPool(t, 2, **o),
    "mean": lambda t, **o: nn.PointwiseAvgPool(t, 2, **o),
    "blur": lambda t, **o: nn.PointwiseAvgPoolAntialiased(t, 0.6, 2, **o),
    "blurred max": lambda t, **o: nn.PointwiseMaxPoolAntialiased(t, 3, 2, 1, **o),
}


@pytest.mark.parametrize("name", POOLS)
def test_pools_raise_on_images_and_warn_on_arrays_whatever_the_space(name):
    scalars = Signature((((0, 0), 1),))
    sides = (6, 6) if "blur" in name else (5, 5)
    full = spaces.hyperoctahedral_on(2)
    half_turn = next(g for g in full.group.elements if np.trace(full.matrix(g)) == -2)
    for space in (full, full.restrict([full.group.identity, half_turn])):
        type_ = scalars.field_type(2, space)
        x = MultiImage.from_array(np.ones((1, *sides), np.float32), scalars, 2)
        pool = POOLS[name](type_)
        with pytest.raises(ValueError, match="cannot commute with"):
            pool(x)
        for value in (x.array, type_(x.array)):
            with pytest.warns(nn.GridWarning, match="cannot commute with"):
                pool(value)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            POOLS[name](type_, grid_check="off")(x)
        with pytest.warns(nn.GridWarning):
            POOLS[name](type_, grid_check="warn")(x)


def test_ties_are_the_same_on_every_space_and_in_exports():
    vector = Signature((((1, 0), 1),))
    space = spaces.rot_on_r2(4)
    x = np.zeros((2, 2, 2), np.float32)
    x[:, 0, 0], x[:, 1, 1] = (1, 0), (0, 1)
    for type_ in (vector.field_type(2), FieldType(space, space.irrep(1))):
        for ties, expected in (({}, (0.5, 0.5)), ({"ties": "first"}, (1, 0))):
            pool = nn.NormMaxPool(type_, 2, **ties)
            for found in (pool(x), pool(type_(x)).array, pool.export()(x)):
                np.testing.assert_allclose(found[:, 0, 0], expected)
    image = MultiImage.from_array(x, vector, 2)
    np.testing.assert_allclose(nn.NormMaxPool(vector.field_type(2), 2)(image).array[:, 0, 0], 0.5)


@pytest.mark.usefixtures("unchecked_annotations")
def test_numbers_of_numpy_lists_and_pairs_are_taken():
    type_ = S.field_type(2)
    options = dict(basis="grid", key=KEY)
    x = normal(4, 5, 5)
    for padding in (np.int64(1), [1, 1], np.array([1, 1]), [[1, 1], [1, 1]], "same"):
        conv = nn.Conv(type_, type_, [3, 3], stride=np.int64(2), padding=padding, **options)
        assert conv(x).shape == (4, 3, 3)
        pool = nn.PointwiseAvgPool(type_, np.int64(3), [2, 2], padding)
        assert pool(x).shape == (4, 3, 3)
        assert pool.export()(x).shape == (4, 3, 3)
    transposed = nn.ConvTranspose(type_, type_, [3, 3], padding=[np.int64(1), 1], **options)
    assert transposed(x).shape == (4, 5, 5)
    for make in (
        lambda: nn.Conv(type_, type_, 3, padding=True, **options),
        lambda: nn.Conv(type_, type_, True, **options),
        lambda: nn.ConvTranspose(type_, type_, 3, padding=True, **options),
        lambda: nn.ConvContract(S, S, padding=True, key=KEY),
        lambda: nn.ConvContract(S, S, stride=np.bool_(True), key=KEY),
        lambda: nn.PointwiseAvgPool(type_, 3, padding=True),
        lambda: nn.PointwiseAvgPoolAntialiased(type_, 0.6, True),
        lambda: nn.Conv(type_, type_, 3, groups=True, **options),
    ):
        with pytest.raises((TypeError, ValueError), match=r"got (np\.)?True"):
            make()


def test_pools_under_jit_are_compiled_once_for_equal_windows():
    type_, count = S.field_type(2), []

    @eqx.filter_jit
    def run(pool, x):
        count.append(None)
        return pool(x)

    for _ in range(2):
        run(nn.PointwiseAvgPool(type_, 2), normal(4, 4, 4))
    assert len(count) == 1
