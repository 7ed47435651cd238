"""Upsampling: golden numbers, formulas, where it is exact, and what it warns of."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import golden_fields as golden
from equivax import FieldType, groups, nn, spaces
from laws import applied, assert_free_of_equivax, exported, normal, one_in

D4 = spaces.flip_rot_on_r2(4)
TYPE = FieldType(D4, D4.regular + D4.irrep(1, 1))
SPACES = {
    "C1": spaces.trivial_on_r2(),
    "C4": spaces.rot_on_r2(4),
    "D4": D4,
    "mirror": spaces.flip_on_r2(),
    "diagonal mirror": spaces.flip_on_r2(np.pi / 4),
}


@pytest.mark.parametrize("entry", golden.modules("Upsampling"), ids=repr)
def test_golden(entry):
    params = dict(entry.params)
    layer = nn.Upsampling(entry.in_type, **params, grid_check="off")
    y = layer(entry.x)
    assert layer.evaluate_output_shape(entry.x.shape) == y.shape == entry.y.shape
    np.testing.assert_allclose(y, entry.y, atol=golden.ATOL)
    plain = layer.export()
    assert_free_of_equivax(plain)
    np.testing.assert_allclose(jax.vmap(plain)(entry.x), entry.y, atol=golden.ATOL)


def along(row, target, mode, align_corners):
    """One axis by the formulas of the specification, cell by cell."""
    length, found = len(row), []
    for i in range(target):
        if mode == "nearest":
            found.append(row[i * length // target])
            continue
        if align_corners:
            at = i * (length - 1) / max(target - 1, 1)
        else:
            at = max((i + 0.5) * length / target - 0.5, 0.0)
        low = min(int(np.floor(at)), length - 1)
        high = min(low + 1, length - 1)
        found.append(row[low] * (1 - (at - low)) + row[high] * (at - low))
    return np.stack(found)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize(
    "mode, aligned", [("bilinear", False), ("bilinear", True), ("nearest", False)]
)
@pytest.mark.parametrize("scale", one_in(2, [2, 1.5, 0.6, 1]))
def test_formulas_in_any_dimension(dim, mode, aligned, scale):
    G = groups.cyclic(4)
    space = spaces.on_r1(G) if dim == 1 else spaces.GSpace(G, (dim * G.trivial).fused())
    type_ = FieldType(space, G.irrep(1))
    layer = nn.Upsampling(type_, scale, mode=mode, align_corners=aligned)
    x = np.random.default_rng(0).standard_normal((2, 3, 2, *(5, 4, 6)[:dim]))
    expected = x
    for axis in range(3, 3 + dim):
        rows = np.moveaxis(expected, axis, 0)
        target = int(np.floor(x.shape[axis] * scale + 1e-9))
        expected = np.moveaxis(along(rows, target, mode, aligned), 0, axis)
    y = applied(layer, x)
    np.testing.assert_allclose(y, expected, atol=1e-13)
    np.testing.assert_allclose(exported(layer, x, batch_axes=2), y, atol=1e-13)
    # The layer is linear: its gradient is its transpose.
    weights = np.random.default_rng(1).standard_normal(y.shape)
    gradient = jax.jit(jax.grad(lambda v: (layer(v) * weights).sum()))(jnp.asarray(x))
    assert np.vdot(gradient, x) == pytest.approx(np.vdot(weights, y))


def exact_error(space, layer, shape):
    """Largest deviation over the elements that map the grid to itself."""
    x = normal(layer.in_type.size, *shape)
    type_, worst = layer.in_type, 0.0

    @jax.jit
    def moves(x):
        y = layer(x)
        return [(layer(type_.transform(x, g)), type_.transform(y, g)) for g in space.exact_elements]

    for moved, expected in moves(x):
        if moved.shape != expected.shape:
            return np.inf
        worst = max(worst, float(np.abs(moved - expected).max()))
    return worst


OPTIONS = {
    "twice": ({"scale_factor": 2}, (4, 4)),
    "twice, rectangle": ({"scale_factor": 2}, (4, 6)),
    "1.5": ({"scale_factor": 1.5}, (4, 4)),
    "smaller": ({"scale_factor": 0.5}, (4, 4)),
    "size": ({"size": 7}, (4, 4)),
    "unequal factors": ({"scale_factor": (2, 3)}, (4, 4)),
    "unequal sizes": ({"size": (8, 6)}, (4, 4)),
    "multiples": ({"size": (8, 12)}, (4, 6)),
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("space", one_in(3, SPACES))
@pytest.mark.parametrize(
    "mode, aligned", [("bilinear", False), ("bilinear", True), ("nearest", False)]
)
def test_the_layer_warns_exactly_where_it_does_not_commute(option, space, mode, aligned):
    options, shape = OPTIONS[option]
    space = SPACES[space]
    type_ = FieldType(space, space.regular)
    quiet = nn.Upsampling(type_, **options, mode=mode, align_corners=aligned, grid_check="off")
    exact = exact_error(space, quiet, shape) < 1e-5
    layer = nn.Upsampling(type_, **options, mode=mode, align_corners=aligned)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        jax.eval_shape(layer, normal(type_.size, *shape))
    warned = any(issubclass(w.category, nn.GridWarning) for w in caught)
    if option == "multiples" and not exact:
        # (4, 6) -> (8, 12) scales all axes alike, but a turned input has another target shape.
        assert space in (SPACES["C4"], SPACES["D4"], SPACES["diagonal mirror"])
        return
    assert warned == (not exact)


def test_grid_check_raises_or_is_silent():
    options = {"scale_factor": 1.5, "mode": "nearest"}
    x = normal(TYPE.size, 4, 4)
    with pytest.raises(ValueError, match=r"Upsampling: cannot commute with D4 on R2.*4 to 6.*bil"):
        nn.Upsampling(TYPE, **options, grid_check="raise")(x)
    with pytest.warns(nn.GridWarning, match="use mode='bilinear' or a length of 8"):
        nn.Upsampling(TYPE, **options)(x)
    nn.Upsampling(TYPE, **options, grid_check="off")(x)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_dtype_is_kept_and_constants_stay_constant(dtype):
    x = jnp.full((2, TYPE.size, 5, 5), 3.0, dtype)
    for options in ({"scale_factor": 2.5}, {"size": 9, "align_corners": True}):
        layer = nn.Upsampling(TYPE, **options)
        y = layer(x)
        assert y.dtype == dtype
        np.testing.assert_allclose(np.asarray(y, np.float32), 3.0, rtol=1e-2)
        assert jax.tree.leaves(layer) == []


def test_agrees_with_jax_where_jax_has_the_rule():
    x = normal(TYPE.size, 5, 5)
    y = nn.Upsampling(TYPE, size=(13, 13))(x)
    linear = jax.image.resize(x, y.shape, "linear", antialias=False)
    np.testing.assert_allclose(y, linear, atol=1e-5)
    y = nn.Upsampling(TYPE, 3, mode="nearest")(x)
    np.testing.assert_array_equal(y, jax.image.resize(x, y.shape, "nearest"))


def test_decimal_factors_mean_what_they_say():
    # 0.29 * 100 is 28.999999999999996 in floating point.
    space = spaces.on_r1(groups.cyclic(1))
    layer = nn.Upsampling(FieldType(space, space.trivial), 0.29)
    assert layer.evaluate_output_shape((1, 100)) == (1, 29)
