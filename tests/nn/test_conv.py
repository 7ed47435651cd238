"""`Conv` and `ConvTranspose`: golden outputs, algebra of the layers, the grid rule, exports."""

import functools
import itertools
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import golden_fields
from equivax import FieldType, groups, nn, spaces
from laws import OPTIMISED, one_in

KEY = jax.random.key(0)
D4 = spaces.flip_rot_on_r2(4)
C4 = spaces.rot_on_r2(4)
MIXED = FieldType(D4, [D4.irrep(1, 1), D4.regular, D4.trivial, D4.regular])
OTHER = FieldType(D4, 2 * D4.regular + D4.irrep(0, 2) + D4.trivial)


def numbers(*shape, seed=0, dtype=np.float64):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


def biased(layer, seed=5):
    """The layer with a bias that is not zero."""
    return layer.with_bias(numbers(layer.out_type.size, seed=seed))


def equivariance_error(layer, x):
    y = layer(x)
    scale = float(jnp.abs(y).max())
    errors = [
        float(jnp.abs(layer(layer.in_type.transform(x, g)) - layer.out_type.transform(y, g)).max())
        for g in layer.in_type.space.exact_elements
    ]
    return max(errors) / scale


# ---- golden numbers ----------------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("entry", golden_fields.forward(), ids=repr)
def test_golden_outputs(entry):
    cls = getattr(nn, entry.module)
    layer = cls(
        entry.in_type,
        entry.out_type,
        entry.record["kernel_size"],
        grid_check="off",
        key=KEY,
        **entry.params,
    )
    layer = layer.with_kernel(entry.array("kernel")).with_bias(entry.array("bias"))
    # The peer's kernels are float32 at heart: their distance from the space is 1e-7.
    np.testing.assert_allclose(layer.kernel, entry.array("kernel"), atol=2e-6)
    np.testing.assert_allclose(layer.bias, entry.array("bias"), atol=2e-6)
    np.testing.assert_allclose(layer(entry.x), entry.y, atol=2e-5)
    np.testing.assert_allclose(jax.vmap(layer.export())(jnp.asarray(entry.x)), entry.y, atol=2e-5)


@pytest.mark.parametrize("row", golden_fields.facts()["shapes"], ids=str)
def test_golden_shapes(row):
    cls = getattr(nn, row["module"])
    type_ = FieldType(C4, C4.regular)
    layer = cls(type_, type_, grid_check="off", key=KEY, **row["params"])
    assert layer.evaluate_output_shape((2, 4, *row["in_hw"])) == (2, 4, *row["out_hw"])
    assert layer.evaluate_output_shape((4, *row["in_hw"])) == (4, *row["out_hw"])


# ---- the layer is the convolution with its kernel ------------------------------------------------


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("stride, dilation, padding", [(1, 1, 0), (2, 1, 1), (1, 2, 2), (3, 1, 0)])
def test_the_sum_over_taps(stride, dilation, padding):
    layer = biased(
        nn.Conv(
            MIXED,
            OTHER,
            3,
            stride=stride,
            dilation=dilation,
            padding=padding,
            grid_check="off",
            key=KEY,
        )
    )
    x = numbers(MIXED.size, 8, 9)
    kernel, bias = np.asarray(layer.kernel), np.asarray(layer.bias)
    padded = np.pad(np.asarray(x), [(0, 0), (padding, padding), (padding, padding)])
    y = np.asarray(layer(x))
    expected = np.zeros_like(y) + bias[:, None, None]
    for r, c in itertools.product(range(y.shape[1]), range(y.shape[2])):
        for i, j in itertools.product(range(3), range(3)):
            expected[:, r, c] += (
                kernel[:, :, i, j] @ padded[:, r * stride + i * dilation, c * stride + j * dilation]
            )
    np.testing.assert_allclose(y, expected, atol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("stride, dilation", [(1, 1), (2, 1), (2, 2), (3, 1)])
def test_the_transposed_convolution_is_the_adjoint(stride, dilation):
    up = nn.ConvTranspose(MIXED, OTHER, 3, stride=stride, dilation=dilation, padding=1, key=KEY)
    x = numbers(MIXED.size, 5, 5)
    y = numbers(*up.evaluate_output_shape(x.shape), seed=1)
    # K^T at each tap maps back, and the correlation with it is the adjoint.
    down = jax.lax.conv_general_dilated(
        y[None],
        jnp.swapaxes(up.kernel, 0, 1),
        (stride, stride),
        [(1, 1), (1, 1)],
        rhs_dilation=(dilation, dilation),
    )[0]
    left, right = jnp.vdot(up(x), y), jnp.vdot(x, down)
    assert abs(float(left - right)) <= 1e-12 * abs(float(left))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("cls", [nn.Conv, nn.ConvTranspose])
def test_groups_are_separate_layers(cls):
    grouped = cls(3 * MIXED, 3 * OTHER, 3, groups=3, padding=1, use_bias=False, key=KEY)
    single = cls(MIXED, OTHER, 3, padding=1, use_bias=False, key=KEY)
    x = numbers(2, 3 * MIXED.size, 6, 6)
    parts = []
    for number, part in enumerate(jnp.split(x, 3, axis=1)):
        weights = {name: w[number] for name, w in grouped.weights.items()}
        one = eqx.tree_at(lambda layer: layer.weights, single, weights)
        parts.append(one(part))
    np.testing.assert_allclose(grouped(x), jnp.concatenate(parts, axis=1), atol=1e-12)
    again = grouped.with_kernel(grouped.kernel)
    np.testing.assert_allclose(again.kernel, grouped.kernel, atol=1e-12)
    assert grouped.kernel.shape == (3 * OTHER.size, MIXED.size, 3, 3)
    assert equivariance_error(grouped, x) <= 1e-12


@pytest.mark.usefixtures("x64")
def test_the_gradient_of_the_weights_is_the_projected_gradient_of_the_kernel():
    layer = nn.Conv(MIXED, OTHER, 3, use_bias=False, key=KEY)
    x = numbers(2, MIXED.size, 7, 7)

    def loss_of_kernel(kernel):
        return (jax.lax.conv(x, kernel, (1, 1), "VALID") ** 2).sum()

    def loss_of_layer(layer):
        return (layer(x) ** 2).sum()

    dense = jax.grad(loss_of_kernel)(layer.kernel)
    found = jax.grad(loss_of_layer)(layer).weights
    (expected,) = jax.linear_transpose(layer.basis.expand, layer.weights)(dense)
    for name, gradient in found.items():
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-10, atol=1e-10)
    # What is orthogonal to the space changes nothing.
    rest = dense - layer.basis.project(dense)
    for gradient in layer.basis.coefficients(rest).values():
        np.testing.assert_allclose(gradient, 0.0, atol=1e-9)


def test_dilation_does_not_change_the_parameters():
    shapes = [
        jax.tree.map(jnp.shape, nn.Conv(MIXED, OTHER, 3, dilation=d, key=KEY).weights)
        for d in (1, 2, 3, 4)
    ]
    assert all(shape == shapes[0] for shape in shapes)


def test_fields_of_a_kind_need_not_be_neighbours():
    order = [2, 0, 1, 3]
    sorted_type = MIXED.index_select(order)
    layer = nn.Conv(MIXED, OTHER, 3, key=KEY)
    moved = nn.Conv(sorted_type, OTHER, 3, init=None, key=KEY)
    channels = MIXED.channels_of(order)
    moved = moved.with_kernel(layer.kernel[:, channels])
    x = numbers(MIXED.size, 6, 6, dtype=np.float32)
    np.testing.assert_allclose(moved(x[channels]), layer(x), atol=1e-5)
    assert layer.basis.dim == moved.basis.dim


# ---- equivariance --------------------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("size, kernel", [(7, 3), (8, 3), (8, 4), (7, 5)])
def test_every_padding_mode_commutes_with_turns_and_flips(mode, size, kernel):
    basis = "grid" if kernel % 2 == 0 else "harmonic"
    layer = nn.Conv(
        MIXED, OTHER, kernel, padding=1, padding_mode=mode, basis=basis, grid_check="raise", key=KEY
    )
    assert equivariance_error(biased(layer), numbers(2, MIXED.size, size, size)) <= 1e-12


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "size, kernel, stride, padding, dilation",
    [(L, k, s, p, d) for L in (8, 9, 10) for k in (3, 5) for s in (2, 3) for p in (0, 1)
     for d in (1, 2) if L + 2 * p > d * (k - 1)],
)  # fmt: skip
def test_the_stride_rule_says_when_a_layer_commutes(size, kernel, stride, padding, dilation):
    type_ = FieldType(D4, D4.regular)
    options = dict(stride=stride, padding=padding, dilation=dilation, key=KEY)
    exact = (size + 2 * padding - dilation * (kernel - 1) - 1) % stride == 0
    x = numbers(8, size, size)
    layer = nn.Conv(type_, type_, kernel, **options)
    if exact:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert equivariance_error(layer, x) <= 1e-12
        return
    with pytest.warns(nn.GridWarning, match="Conv: cannot commute"):
        layer(x)
    silent = nn.Conv(type_, type_, kernel, grid_check="off", **options)
    assert equivariance_error(silent, x) > 1e-3
    with pytest.raises(ValueError, match="use a length of"):
        nn.Conv(type_, type_, kernel, grid_check="raise", **options)(x)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_transposed_convolutions_commute_for_every_stride(stride):
    layer = nn.ConvTranspose(MIXED, OTHER, 3, stride=stride, padding=1, key=KEY)
    assert equivariance_error(biased(layer), numbers(2, MIXED.size, 5, 5)) <= 1e-12


@pytest.mark.usefixtures("x64")
def test_output_padding_is_told_and_does_break_the_symmetry():
    options = dict(stride=2, padding=1, output_padding=1, key=KEY)
    with pytest.warns(nn.GridWarning, match="output_padding: 1 adds cells on one side"):
        layer = nn.ConvTranspose(MIXED, OTHER, 3, **options)
    assert equivariance_error(layer, numbers(MIXED.size, 5, 5)) > 1e-3
    with pytest.raises(ValueError, match="output_padding"):
        nn.ConvTranspose(MIXED, OTHER, 3, grid_check="raise", **options)
    plain = FieldType(spaces.trivial_on_r2(), 2 * spaces.trivial_on_r2().trivial)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing moves, so nothing breaks
        nn.ConvTranspose(plain, plain, 3, **options)


@pytest.mark.usefixtures("x64")
def test_a_rectangle_turns_too():
    layer = biased(nn.Conv(MIXED, OTHER, 3, padding=1, key=KEY))
    assert equivariance_error(layer, numbers(MIXED.size, 5, 8)) <= 1e-12


@pytest.mark.usefixtures("x64")
def test_generic_angles_are_approximate_and_better_for_smoother_fields():
    space = spaces.rot_on_r2(16)
    type_ = FieldType(space, space.trivial)
    out = FieldType(space, space.regular)
    layer = nn.Conv(type_, out, 5, padding=2, key=KEY)
    side = 65
    r, c = np.meshgrid(*[np.arange(side) - side // 2] * 2, indexing="ij")
    inside = (np.hypot(r, c) < 20).astype(np.float64)
    g = space.group.elements[1]
    errors = []
    for width in (3.0, 6.0):  # blobs off the centre
        x = np.exp(-((r - 6.0) ** 2 + (c + 4.0) ** 2) / (2 * width**2))[None]
        y = layer(jnp.asarray(x))
        difference = layer(type_.transform(x, g, order=3)) - out.transform(y, g, order=3)
        errors.append(float(jnp.abs(difference * inside).max() / jnp.abs(y * inside).max()))
    assert errors[1] < errors[0] < 0.05


# ---- other dimensions and groups ---------------------------------------------------------------


@pytest.mark.usefixtures("x64")
def test_in_time_every_tap_is_free_and_every_setting_is_exact():
    G = groups.dihedral(3)
    line = spaces.on_r1(G)
    a, b = FieldType(line, G.regular + G.trivial), FieldType(line, 2 * G.irrep(1, 1) + G.regular)
    layer = biased(nn.Conv(a, b, 4, stride=3, padding=(1,), dilation=2, key=KEY))
    x = numbers(2, a.size, 17)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = layer(x)
    assert y.shape == (2, b.size, (17 + 2 - 6 - 1) // 3 + 1)
    from equivax import hom_basis

    assert layer.basis.dim == 4 * hom_basis(a, b).dim
    for g in G.elements:
        left, right = layer(a.transform(x, g)), b.transform(y, g)
        np.testing.assert_allclose(left, right, atol=1e-12)


def test_causal_convolutions_do_not_see_the_future():
    G = groups.cyclic(3)
    line = spaces.on_r1(G)
    type_ = FieldType(line, 2 * G.regular)
    layer = nn.Conv(type_, type_, 3, dilation=2, padding="causal", key=KEY)
    x = numbers(6, 20, dtype=np.float32)
    y = layer(x)
    assert y.shape == (6, 20)
    later = x.at[:, 12:].set(7.0)
    np.testing.assert_array_equal(layer(later)[:, :12], y[:, :12])
    assert float(jnp.abs(layer(later)[:, 12:] - y[:, 12:]).max()) > 0.1
    np.testing.assert_allclose(layer.export()(x), y, atol=1e-6)


@pytest.mark.usefixtures("x64")
def test_a_line_with_its_mirror():
    line = spaces.flip_on_r1()
    type_ = FieldType(line, [line.vector, line.trivial, line.regular])
    layer = biased(nn.Conv(type_, type_, 5, padding=2, padding_mode="circular", key=KEY))
    assert equivariance_error(layer, numbers(2, type_.size, 9)) <= 1e-12


@pytest.mark.usefixtures("x64")
def test_the_trivial_group_with_the_grid_basis_is_a_plain_convolution():
    space = spaces.trivial_on_r2()
    a, b = FieldType(space, 3 * space.trivial), FieldType(space, 2 * space.trivial)
    layer = nn.Conv(a, b, 3, basis="grid", key=KEY)
    plain = eqx.nn.Conv2d(3, 2, 3, key=KEY)
    assert layer.basis.dim == plain.weight.size
    same = layer.with_kernel(plain.weight).with_bias(plain.bias.ravel())
    x = numbers(3, 8, 8)
    np.testing.assert_allclose(same(x), plain(x), atol=1e-12)


# ---- exports -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_export_keeps_the_padding_mode(mode):
    layer = biased(
        nn.Conv(MIXED, OTHER, 3, padding=1, padding_mode=mode, stride=2, grid_check="off", key=KEY)
    )
    plain = layer.export()
    assert type(plain) is eqx.nn.Conv2d
    x = numbers(MIXED.size, 7, 8)
    np.testing.assert_allclose(plain(x), layer(x), atol=1e-12)


@pytest.mark.usefixtures("x64")
def test_export_of_a_transposed_convolution_keeps_output_padding():
    layer = biased(
        nn.ConvTranspose(
            MIXED, OTHER, 3, stride=2, padding=1, output_padding=1, grid_check="off", key=KEY
        )
    )
    plain = layer.export()
    assert type(plain) is eqx.nn.ConvTranspose2d
    x = numbers(MIXED.size, 5, 6)
    assert plain(x).shape == (OTHER.size, 10, 12)
    np.testing.assert_allclose(plain(x), layer(x), atol=1e-12)


# ---- initial values ----------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["generalized_he", "zeros", None])
def test_initial_values_depend_on_the_key_alone(scheme):
    one, two = (nn.Conv(MIXED, OTHER, 3, init=scheme, key=KEY) for _ in range(2))
    other = nn.Conv(MIXED, OTHER, 3, init=scheme, key=jax.random.key(1))
    assert eqx.tree_equal(one.weights, two.weights)
    assert eqx.tree_equal(one.weights, other.weights) == (scheme in ("zeros", None))
    assert not np.any(one.bias_coeffs)


@pytest.mark.parametrize("gain", one_in(2, [1.0, np.sqrt(2.0)]))
@pytest.mark.slow  # thousands of draws
def test_generalized_he_gives_every_output_channel_the_gain(gain):
    basis = nn.Conv(MIXED, OTHER, 3, key=KEY).basis
    keys = jax.random.split(KEY, 2000)

    @functools.partial(jax.jit, compiler_options=OPTIMISED)  # many draws
    def energies(keys):
        def per_channel(k):
            kernel = basis.expand(nn.init.generalized_he(basis, k, gain))
            return jnp.sum(kernel**2, axis=(1, 2, 3))

        return jax.vmap(per_channel)(keys).mean(axis=0)

    energy = np.asarray(energies(keys))
    # Regular fields mix irreps of one norm each, so the mean over a field is exact in expectation.
    starts, ends = OTHER.fields_start, OTHER.fields_end
    for start, end in zip(starts, ends, strict=True):
        # 2000 draws of a sum of tens of squares: a relative deviation of about 1 %.
        assert float(energy[start:end].mean()) == pytest.approx(gain**2, rel=0.05)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("ins, outs", [(2, 3), (3, 2), (2, 2)])
@pytest.mark.parametrize(
    "space", [spaces.rot_on_r2(5), spaces.flip_rot_on_r2(3), spaces.rot_on_r2(-1)]
)
def test_delta_orthonormal_is_an_isometry_at_the_centre(space, ins, outs):
    unit = space.regular if space.group.order else space.irrep(2) + space.trivial
    a, b = FieldType(space, ins * unit), FieldType(space, outs * unit)
    layer = nn.Conv(a, b, 5, init="delta_orthonormal", key=KEY)
    kernel = np.array(layer.kernel)
    center = kernel[:, :, 2, 2]
    small = center @ center.T if outs <= ins else center.T @ center
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-12)
    kernel[:, :, 2, 2] = 0.0
    np.testing.assert_allclose(kernel, 0.0, atol=1e-12)


def test_delta_orthonormal_refuses_kernels_without_a_centre():
    type_ = FieldType(C4, C4.regular)
    with pytest.raises(ValueError, match=r"delta_orthonormal: basis: .* at the centre tap, got 0"):
        nn.Conv(type_, type_, 4, basis="grid", init="delta_orthonormal", key=KEY)


def test_a_scheme_may_be_a_function_and_is_checked():
    def ones(basis, key):
        return {name: jnp.ones(shape) for name, shape in basis.shapes.items()}

    layer = nn.Conv(MIXED, OTHER, 3, init=ones, key=KEY)
    assert all(bool((w == 1.0).all()) for w in layer.weights.values())
    with pytest.raises(ValueError, match=r"Conv: init: expected a callable .* returns an array"):
        nn.Conv(MIXED, OTHER, 3, init=lambda basis, key: {}, key=KEY)


# ---- dtypes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_the_output_has_the_dtype_of_the_input(dtype):
    layer = nn.Conv(MIXED, OTHER, 3, padding=1, key=KEY)
    x = numbers(2, MIXED.size, 6, 6, dtype=np.float32)
    y = layer(x.astype(dtype))
    assert y.dtype == dtype
    exact = {jnp.bfloat16: 0.05, jnp.float16: 0.01, jnp.float32: 1e-5}[dtype]
    error = jnp.abs(y.astype(jnp.float32) - layer(x)).max() / jnp.abs(layer(x)).max()
    assert float(error) <= exact


def test_a_readout_may_ignore_irreps_without_a_warning(key):
    space = spaces.flip_rot_on_r2(4)
    fields, scalars = FieldType(space, [space.regular]), FieldType(space, [space.trivial])
    vectors = FieldType(space, [space.vector])
    # A size of its own: the warning comes once per pair of types and kernel.
    with pytest.warns(nn.UnusedIrrepsWarning, match="warn_unused=False silences"):
        nn.Conv(fields, vectors, 1, rings=[0.0], sigma=0.517, key=key)
    nn.Conv(fields, vectors, 1, rings=[0.0], sigma=0.518, warn_unused=False, key=key)
    nn.Conv(fields, scalars, 1, rings=[0.0], sigma=0.517, key=key)
