"""`Diffop`: operators on images, equivariance, what it shares with `Conv`, the peers' defects."""

import functools
import re
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import FieldType, groups, hom_basis, nn, spaces
from equivax.kernels import derivative_stencil
from laws import OPTIMISED

KEY = jax.random.key(0)
C4, D4 = spaces.rot_on_r2(4), spaces.flip_rot_on_r2(4)
MIXED = FieldType(D4, [D4.irrep(1, 1), D4.regular, D4.trivial, D4.regular])
OTHER = FieldType(D4, 2 * D4.regular + D4.irrep(0, 2) + D4.trivial)
MIRRORS = [spaces.flip_on_r2(axis) for axis in (np.pi / 2, 0.0, np.pi / 4)]


def numbers(*shape, seed=0, dtype=np.float64):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


def biased(layer, seed=5):
    """The layer with a bias that is not zero."""
    return layer.with_bias(numbers(layer.out_type.size, seed=seed))


def equivariance_error(layer, x):
    y = layer(x)
    errors = [
        float(jnp.abs(layer(layer.in_type.transform(x, g)) - layer.out_type.transform(y, g)).max())
        for g in layer.in_type.space.exact_elements
    ]
    return max(errors) / float(jnp.abs(y).max())


def scalars(space, out=None):
    """From scalars to a representation."""
    return FieldType(space, space.trivial), FieldType(space, out or space.regular)


# ---- equivariance ------------------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3},
        {"kernel_size": 4},
        {"maximum_order": 2, "accuracy": 4},
        {"kernel_size": 5, "smoothing": 1.2},
        {"kernel_size": 5, "method": "rbf", "shape": 2.0},
        {"kernel_size": 3, "method": "rbf", "phi": "polyharmonic"},
    ],
    ids=str,
)
@pytest.mark.parametrize("space", [C4, D4, *MIRRORS], ids=repr)
def test_every_method_commutes_with_turns_and_flips(space, options):
    a = FieldType(space, [space.vector, space.trivial, space.regular])
    b = FieldType(space, [space.regular, space.vector, space.trivial])
    layer = biased(nn.Diffop(a, b, padding=1, grid_check="raise", key=KEY, **options))
    assert equivariance_error(layer, numbers(2, a.size, 7, 7)) <= 1e-12


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_every_padding_mode_commutes(mode):
    layer = nn.Diffop(MIXED, OTHER, kernel_size=3, padding=1, padding_mode=mode, key=KEY)
    x = numbers(MIXED.size, 5, 8)
    assert equivariance_error(biased(layer), x) <= 1e-12


@pytest.mark.usefixtures("x64")
def test_the_stride_rule_says_when_a_layer_commutes():
    a, b = scalars(D4)
    options = dict(kernel_size=3, stride=2, dilation=2, key=KEY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert equivariance_error(nn.Diffop(a, b, **options), numbers(1, 9, 9)) <= 1e-12
    with pytest.warns(nn.GridWarning, match="Diffop: cannot commute"):
        nn.Diffop(a, b, **options)(numbers(1, 10, 10))
    silent = nn.Diffop(a, b, grid_check="off", **options)
    assert equivariance_error(silent, numbers(1, 10, 10)) > 1e-3
    with pytest.raises(ValueError, match="use a length of"):
        nn.Diffop(a, b, grid_check="raise", **options)(numbers(1, 10, 10))


# ---- what it computes --------------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("spacing", [1.0, 0.1])
def test_known_operators_are_in_the_space(spacing):
    space = spaces.flip_rot_on_r2(-1)
    scalar, vector = scalars(space, space.vector)
    x = spacing * (np.arange(9) - 4)[None, :]
    y = spacing * (4 - np.arange(9))[:, None]
    image = jnp.asarray((x**2 * y - 3 * y**2 + x)[None])
    inner = np.s_[1:-1, 1:-1]

    def stencil(*orders):
        return derivative_stencil(space, orders, 3, spacing=spacing)

    gradient = nn.Diffop(scalar, vector, maximum_order=2, key=KEY)
    kernel = np.stack([stencil(1, 0), stencil(0, 1)])[:, None]
    gradient = gradient.with_kernel(kernel)
    np.testing.assert_allclose(gradient.kernel, kernel, atol=1e-10)
    exact = np.stack(np.broadcast_arrays(2 * x * y + 1, x**2 - 6 * y))[(slice(None), *inner)]
    np.testing.assert_allclose(gradient(image), exact, atol=1e-10)
    divergence = nn.Diffop(vector, scalar, maximum_order=2, key=KEY).with_kernel(
        kernel.swapaxes(0, 1)
    )
    np.testing.assert_allclose(divergence.kernel, kernel.swapaxes(0, 1), atol=1e-10)
    laplacian = nn.Diffop(scalar, scalar, maximum_order=2, key=KEY)
    laplacian = laplacian.with_kernel((stencil(2, 0) + stencil(0, 2))[None, None])
    exact = np.broadcast_to(2 * y - 6, (9, 9))[None][(slice(None), *inner)]
    np.testing.assert_allclose(laplacian(image), exact, atol=1e-10)
    # One derivative alone is no operator of the group.
    wrong = laplacian.with_kernel(stencil(1, 0)[None, None])
    np.testing.assert_allclose(wrong.kernel, 0.0, atol=1e-10)


@pytest.mark.usefixtures("x64")
def test_the_error_at_generic_angles_falls_with_the_pixel():
    space = spaces.rot_on_r2(-1)
    scalar, vector = scalars(space, space.vector)
    layer = nn.Diffop(scalar, vector, kernel_size=3, maximum_order=1, use_bias=False, key=KEY)
    g = space.group.element(0.4)
    A = np.asarray(space.matrix(g))

    def field(points):
        return np.exp(-((points - [0.2, -0.1]) ** 2).sum(axis=-1) / 0.5)

    errors = []
    for side in (33, 65):
        t = np.linspace(-1.5, 1.5, side)
        grid = np.stack(np.meshgrid(t, -t), axis=-1)
        # Both fields are sampled, none resampled: (g f)(x) = f(A^-1 x).
        turned = np.asarray(layer(jnp.asarray(field(grid @ A)[None])))
        middle = side // 2 - 1
        there = turned[:, middle, middle]
        here = np.asarray(layer(jnp.asarray(field(grid)[None])))[:, middle, middle]
        errors.append(np.abs(there - A @ here).max() / np.abs(here).max())
    assert errors[1] < errors[0] / 3.5  # second order
    assert errors[0] < 0.01


@pytest.mark.usefixtures("x64")
def test_the_layer_is_the_convolution_with_its_kernel():
    layer = biased(nn.Diffop(MIXED, OTHER, kernel_size=5, dilation=2, padding="same", key=KEY))
    x = numbers(2, MIXED.size, 9, 9)
    expected = jax.lax.conv_general_dilated(
        x, layer.kernel, (1, 1), [(4, 4), (4, 4)], rhs_dilation=(2, 2)
    )
    np.testing.assert_allclose(layer(x), expected + layer.bias[:, None, None], atol=1e-12)
    np.testing.assert_allclose(layer.basis.project(layer.kernel), layer.kernel, atol=1e-12)


@pytest.mark.usefixtures("x64")
def test_groups_are_separate_layers():
    options = dict(kernel_size=3, padding=1, use_bias=False, key=KEY)
    grouped = nn.Diffop(3 * MIXED, 3 * OTHER, groups=3, **options)
    single = nn.Diffop(MIXED, OTHER, **options)
    x = numbers(2, 3 * MIXED.size, 6, 6)
    parts = []
    for number, part in enumerate(jnp.split(x, 3, axis=1)):
        weights = {name: w[number] for name, w in grouped.weights.items()}
        parts.append(eqx.tree_at(lambda layer: layer.weights, single, weights)(part))
    np.testing.assert_allclose(grouped(x), jnp.concatenate(parts, axis=1), atol=1e-12)
    assert grouped.kernel.shape == (3 * OTHER.size, MIXED.size, 3, 3)
    assert equivariance_error(grouped, x) <= 1e-12


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("line", [spaces.on_r1(groups.dihedral(3)), spaces.flip_on_r1()], ids=repr)
def test_derivatives_in_time(line):
    a, b = FieldType(line, 2 * line.regular), FieldType(line, line.regular + line.trivial)
    layer = biased(nn.Diffop(a, b, maximum_order=2, accuracy=4, padding=2, key=KEY))
    x = numbers(2, a.size, 11)
    assert layer(x).shape == (2, b.size, 11)
    assert equivariance_error(layer, x) <= 1e-12
    if not line.moves_points:
        assert layer.basis.dim == 3 * hom_basis(a.representation, b.representation).dim
    plain = layer.export()
    assert type(plain) is eqx.nn.Conv1d
    np.testing.assert_allclose(plain(x[0]), layer(x[0]), atol=1e-12)


# ---- exports, parameters, initial values -------------------------------------------------------


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_export_is_a_plain_convolution(mode):
    options = dict(padding=1, padding_mode=mode, stride=2, groups=2, grid_check="off", key=KEY)
    layer = biased(nn.Diffop(2 * MIXED, 2 * OTHER, kernel_size=3, **options))
    plain = layer.export()
    assert type(plain) is eqx.nn.Conv2d
    x = numbers(2 * MIXED.size, 7, 8)
    np.testing.assert_allclose(plain(x), layer(x), atol=1e-12)


def test_parameters_are_the_coefficients_and_the_bias():
    layer = nn.Diffop(MIXED, OTHER, kernel_size=3, key=KEY)
    leaves = jax.tree.leaves(layer)
    invariants = OTHER.representation.multiplicities[D4.group.trivial.irreps[0]]
    assert sum(leaf.size for leaf in leaves) == layer.basis.dim + invariants
    assert all(eqx.is_inexact_array(leaf) for leaf in leaves)
    shapes = [
        jax.tree.map(jnp.shape, nn.Diffop(MIXED, OTHER, kernel_size=3, dilation=d, key=KEY).weights)
        for d in (1, 2, 3)
    ]
    assert shapes[0] == shapes[1] == shapes[2]
    assert nn.Diffop(MIXED, OTHER, kernel_size=3, use_bias=False, key=KEY).bias is None


def test_a_filter_keeps_some_operators():
    layer = nn.Diffop(MIXED, OTHER, kernel_size=3, basis_filter=lambda a: a["order"] == 1, key=KEY)
    assert {a["order"] for a in layer.basis.attributes()} == {1}
    constant = jnp.ones((MIXED.size, 6, 6))
    np.testing.assert_allclose(layer(constant), 0.0, atol=1e-5)


@pytest.mark.slow  # thousands of draws
def test_generalized_he_gives_every_output_channel_one():
    basis = nn.Diffop(MIXED, OTHER, kernel_size=5, key=KEY).basis
    keys = jax.random.split(KEY, 1000)

    @functools.partial(jax.jit, compiler_options=OPTIMISED)  # many draws
    def energies(keys):
        def per_channel(k):
            kernel = basis.expand(nn.init.generalized_he(basis, k))
            return jnp.sum(kernel**2, axis=(1, 2, 3))

        return jax.vmap(per_channel)(keys).mean(axis=0)

    energy = np.asarray(energies(keys))
    for start, end in zip(OTHER.fields_start, OTHER.fields_end, strict=True):
        assert float(energy[start:end].mean()) == pytest.approx(1.0, rel=0.1)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("ins, outs", [(2, 3), (3, 2)])
def test_delta_orthonormal_is_an_isometry_of_order_zero(ins, outs):
    a, b = FieldType(D4, ins * D4.regular), FieldType(D4, outs * D4.regular)
    kernel = np.array(nn.Diffop(a, b, kernel_size=5, init="delta_orthonormal", key=KEY).kernel)
    center = kernel[:, :, 2, 2]
    small = center @ center.T if outs <= ins else center.T @ center
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-12)
    kernel[:, :, 2, 2] = 0.0
    np.testing.assert_allclose(kernel, 0.0, atol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_the_output_has_the_dtype_of_the_input(dtype):
    layer = nn.Diffop(MIXED, OTHER, kernel_size=3, padding=1, key=KEY)
    x = numbers(2, MIXED.size, 6, 6, dtype=np.float32)
    assert layer(x.astype(dtype)).dtype == dtype


# ---- defects of the peers ----------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("group", ["mirror", "D2", "D3", "D4", "O2"])
def test_row_1_stencils_are_not_turned_by_a_quarter(group):
    """Every operator of the peer is turned by 90 degrees: errors of order 1 under mirrors."""
    space = (
        spaces.flip_on_r2()
        if group == "mirror"
        else spaces.flip_rot_on_r2(-1 if group == "O2" else int(group[1:]))
    )
    a, b = scalars(space, space.vector if group == "O2" else space.regular)
    layer = nn.Diffop(a, b, kernel_size=5, key=KEY)
    assert equivariance_error(layer, numbers(1, 9, 9)) <= 1e-12


def test_row_2_smoothing_and_power_are_not_ignored():
    """The peer's caches return the operators of an earlier layer with other options."""
    a, b = scalars(C4)
    options = [{}, {"smoothing": 1.0}, {"smoothing": 1.3}, {"maximum_power": 0}]
    layers = [nn.Diffop(a, b, kernel_size=5, init=None, key=KEY, **these) for these in options]
    kernel = numbers(4, 1, 5, 5, dtype=np.float32)
    found = [np.asarray(layer.with_kernel(kernel).kernel) for layer in layers]
    for i in range(4):
        for j in range(i):
            assert np.abs(found[i] - found[j]).max() > 1e-2
    assert layers[3].basis.dim < layers[0].basis.dim


@pytest.mark.parametrize(
    "space, out, size",
    [
        (spaces.trivial_on_r2(), (0,), 1),
        (spaces.flip_rot_on_r2(-1), (1, 1), 3),
        (spaces.rot_on_r2(-1), (1,), 2),
    ],
    ids=repr,
)
def test_row_5_a_basis_of_one_element_works(space, out, size):
    """The peer raises when one element of a pair survives."""
    a, b = scalars(space, space.irrep(*out))
    layer = nn.Diffop(a, b, kernel_size=size, key=KEY)
    assert layer.basis.dim in (1, 2)
    assert layer(jnp.ones((1, 5, 5))).shape == (b.size, 6 - size, 6 - size)


# ---- bad arguments -----------------------------------------------------------------------------

A, B = scalars(D4)


def made(a=A, b=B, **options):
    return nn.Diffop(a, b, key=KEY, **{"kernel_size": 3, **options})


BAD = {
    "nothing": (lambda: made(kernel_size=None), "Diffop: kernel_size: expected kernel_size or"),
    "all": (lambda: made(accuracy=2, maximum_order=2), "Diffop: accuracy: expected at most two"),
    "order": (lambda: made(maximum_order=3), "Diffop: maximum_order: expected at most 2"),
    "accuracy": (lambda: made(accuracy=6), "Diffop: accuracy: expected at most 4"),
    "power": (lambda: made(maximum_power=0.5), "Diffop: maximum_power: expected a non-negative"),
    "size": (lambda: made(kernel_size=0), "Diffop: kernel_size: expected a positive integer"),
    "sizes": (lambda: made(kernel_size=(3, 5)), "Diffop: kernel_size: expected equal sizes"),
    "method": (lambda: made(method="fd"), "Diffop: method: expected one of"),
    "smoothing": (lambda: made(smoothing=-1.0), "Diffop: smoothing: expected a positive number"),
    "smoothed rbf": (lambda: made(method="rbf", smoothing=1.0), "Diffop: smoothing: belongs to"),
    "phi": (lambda: made(phi="gaussian"), "Diffop: phi: belongs to"),
    "angle": (lambda: made(angle_offset=0.2), "Diffop: angle_offset: 0.2 turns the operators"),
    "padding": (lambda: made(padding=-1), "Diffop: padding: expected an integer >= 0"),
    "mode": (lambda: made(padding_mode="wrap"), "Diffop: padding_mode: expected one of"),
    "same": (lambda: made(kernel_size=4, padding="same"), "Diffop: padding: 'same' needs"),
    "stride": (lambda: made(stride=0), "Diffop: stride: expected an integer >= 1"),
    "dilation": (lambda: made(dilation=(1, 2, 3)), "Diffop: dilation: expected an integer >= 1"),
    "groups": (lambda: made(groups=2), "Diffop: groups: expected a divisor of the 1 fields"),
    "init": (lambda: made(init="he"), "Diffop: init: expected one of"),
    "grid": (lambda: made(grid_check="maybe"), "Diffop: grid_check: expected one of"),
    "spaces": (lambda: made(b=FieldType(C4, C4.regular)), "Diffop: out_type: expected fields on"),
    "empty": (
        lambda: made(b=FieldType(D4, D4.irrep(1, 0))),
        "Diffop: only the zero kernel commutes from in_type D4: trivial to out_type D4: irrep(1,0)",
    ),
    "short": (lambda: made()(jnp.ones((1, 2, 5))), "Diffop: x: expected at least 3 cells"),
    "channels": (lambda: made()(jnp.ones((2, 5, 5))), "Diffop: expected (..., 1, _, _)"),
    "kernel": (lambda: made().with_kernel(jnp.ones((8, 1, 3, 5))), "Diffop: kernel: expected"),
    "bias": (
        lambda: made(use_bias=False).with_bias(jnp.ones(8)),
        "Diffop: with_bias: the layer has no bias",
    ),
    "dtype": (lambda: made(dtype=int), "Diffop: dtype: expected a floating type"),
}

WRONG = {
    "type": (lambda: made(a=D4.trivial), "Diffop: in_type: expected a FieldType"),
    "integers": (lambda: made()(jnp.ones((1, 5, 5), int)), "Diffop: x: expected floating numbers"),
}


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize("name", BAD)
def test_bad_values(name):
    run, message = BAD[name]
    with pytest.raises(ValueError, match=re.escape(message)):
        run()


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize("name", WRONG)
def test_bad_types(name):
    run, message = WRONG[name]
    with pytest.raises(TypeError, match=re.escape(message)):
        run()
