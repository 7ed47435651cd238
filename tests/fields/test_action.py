"""How elements move fields: golden numbers, the group law, resampling, gradients."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import golden_fields as gf
from equivax import FieldType, groups, spaces
from field_orbits import fibers, points
from field_types import TYPES, types
from laws import normal

EXACT_SPACES = {
    "C4": lambda: spaces.rot_on_r2(4),
    "C12": lambda: spaces.rot_on_r2(12),
    "D1": spaces.flip_on_r2,
    "D4": lambda: spaces.flip_rot_on_r2(4),
    "D4, axis 0": lambda: spaces.flip_rot_on_r2(4, 0.0),
    "D12": lambda: spaces.flip_rot_on_r2(12),
}
ATOL = 2e-6  # float32 sums of a dozen terms of order one


# ---- golden numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize("entry", gf.modules(prefix="transform/"), ids=repr)
def test_golden_transforms(entry):
    type_ = entry.in_type
    g = gf.element(type_.group, entry.params["element"])
    x = type_(entry.x)
    np.testing.assert_allclose(x.transform(g).array, entry.array("y/transform"), atol=ATOL)
    np.testing.assert_allclose(x.transform_fibers(g).array, entry.array("y/fibers"), atol=ATOL)


# ---- exact elements ----------------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("space, type_", [t for t in TYPES if t[0] in ("C8", "D4", "D6", "O2")])
def test_exact_elements_move_fields_by_the_definition(space, type_):
    t = types(space)[type_]
    x = normal(2, t.size, 4, 4)
    for g in t.space.exact_elements:
        (turned,) = fibers(t, x, [g])
        expected = points(t.space.matrix(g), turned)
        np.testing.assert_allclose(t.transform_fibers(x, g), turned, atol=1e-12)
        np.testing.assert_allclose(t.transform(x, g), expected, atol=1e-12)


@pytest.mark.parametrize("name", EXACT_SPACES)
def test_group_law_bit_for_bit(name):
    space = EXACT_SPACES[name]()
    exact = space.exact_elements
    # Permuted channels: no rounding anywhere.
    type_ = FieldType(space, [space.regular, space.trivial])
    x = normal(type_.size, 4, 5)
    moved = {g: np.asarray(type_.transform(x, g)) for g in exact}
    assert len(exact) == {"C4": 4, "C12": 4, "D1": 2}.get(name, 8)
    for g in exact:
        assert moved[g].shape[-2:] == ((5, 4) if space.grid_action(g).swaps_axes else (4, 5))
        for h in exact:
            assert np.array_equal(type_.transform(moved[h], g), moved[g @ h])
    assert np.array_equal(moved[space.group.identity], x)


def test_elements_of_odd_groups_move_no_grid():
    space = spaces.rot_on_r2(5)
    assert space.exact_elements == (space.group.identity,)


def test_quarter_turn_of_a_picture():
    space = spaces.rot_on_r2(4)
    type_ = FieldType(space, space.trivial)
    picture = jnp.arange(6.0).reshape(1, 2, 3)
    turned = type_.transform(picture, space.group.elements[1])
    np.testing.assert_array_equal(turned[0], np.rot90(picture[0]))


def test_vectors_point_where_they_should():
    space = spaces.flip_rot_on_r2(4)
    type_ = FieldType(space, space.vector)
    right = jnp.zeros((2, 3, 3)).at[0, 1, 2].set(1.0)  # at the right edge, pointing right
    quarter = space.group.element((0, 1))
    up = jnp.zeros((2, 3, 3)).at[1, 0, 1].set(1.0)
    np.testing.assert_allclose(type_.transform(right, quarter), up, atol=ATOL)
    left = jnp.zeros((2, 3, 3)).at[0, 1, 0].set(-1.0)
    mirror = space.group.element((1, 0))
    np.testing.assert_allclose(type_.transform(right, mirror), left, atol=ATOL)


def test_other_dimensions():
    group = groups.cyclic(3)
    g = group.elements[1]
    vectors = FieldType(spaces.no_base_space(group), group.regular)
    x = normal(4, 3)
    np.testing.assert_array_equal(vectors.transform(x, g), np.roll(x, 1, axis=-1))
    np.testing.assert_array_equal(vectors.transform(x, g), vectors.transform_fibers(x, g))
    series = FieldType(spaces.on_r1(group), group.regular)
    x = normal(4, 3, 7)
    np.testing.assert_array_equal(series.transform(x, g), np.roll(x, 1, axis=-2))
    line = spaces.flip_on_r1()
    odd = FieldType(line, line.irrep(1, 0))
    x = normal(1, 7)
    np.testing.assert_array_equal(odd.transform(x, line.group.elements[1]), -x[:, ::-1])
    cube = groups.octahedral()
    volume = spaces.GSpace(cube, cube.standard)
    scalars = FieldType(volume, cube.trivial)
    x = normal(1, 3, 3, 3)
    found = {np.asarray(scalars.transform(x, g)).tobytes() for g in volume.exact_elements}
    assert len(found) == 24


# ---- resampling --------------------------------------------------------------------------------

SIDE = 64
WAVES = np.array([[0.11, 0.05], [-0.07, 0.13], [0.02, -0.15]])  # radians per pixel


def wave(x, y):
    """A band-limited field, and a bound of |f_xx| + |f_yy|."""
    phases = WAVES[:, 0, None] * x.ravel() + WAVES[:, 1, None] * y.ravel()
    return np.cos(phases + 0.3).sum(axis=0).reshape(x.shape)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("order", [0, 1, 3])
def test_resampling_a_band_limited_field(order):
    space = spaces.rot_on_r2(7)
    type_ = FieldType(space, space.trivial)
    g = space.group.elements[1]
    x, y = spaces.grid_points((SIDE, SIDE)).T
    inside = np.hypot(x, y) < SIDE / 2 - 2
    angle = 2 * math.pi / 7
    c, s = math.cos(angle), math.sin(angle)
    exact = wave(c * x + s * y, -s * x + c * y)  # f(A^-1 p)
    picture = jnp.asarray(wave(x, y).reshape(1, SIDE, SIDE))
    found = np.asarray(type_.transform(picture, g, order)).ravel()
    error = np.abs(found - exact)[inside].max()
    second = (WAVES**2).sum(axis=0)  # max |f_xx|, max |f_yy|
    slope = np.abs(WAVES).sum(axis=0)
    bounds = {0: slope.sum() / 2, 1: second.sum() / 8, 3: second.sum() / 80}
    assert 0 < error <= bounds[order]
    assert error > bounds[order] / 100  # the bound says something


def test_resampling_is_zero_outside_and_keeps_dtypes():
    space = spaces.rot_on_r2(8)
    type_ = FieldType(space, space.trivial)
    ones, g = jnp.ones((1, 9, 9)), space.group.elements[1]
    for order in (0, 1, 3):
        moved = np.asarray(type_.transform(ones, g, order))
        if order < 3:  # a cubic reaches two cells
            assert moved[0, 0, 0] == 0
        np.testing.assert_allclose(moved[0, 4, 4], 1.0, atol=ATOL)
        for dtype in (jnp.bfloat16, jnp.float16, jnp.float32):
            assert type_.transform(ones.astype(dtype), g, order).dtype == dtype


def test_resampling_keeps_the_shape_and_batches():
    type_ = types("C8")["irreps"]
    g = type_.group.elements[3]
    x = normal(2, 3, type_.size, 6, 4)
    moved = type_.transform(x, g)
    assert moved.shape == x.shape
    np.testing.assert_allclose(moved[1, 2], type_.transform(x[1, 2], g), atol=ATOL)
    compiled = jax.jit(functools.partial(type_.transform, g=g))(x)
    np.testing.assert_allclose(compiled, moved, atol=ATOL)


# ---- gradients ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("space, type_", [("D4", "mixture"), ("C8", "induced"), ("O2", "vector")])
def test_the_gradient_through_an_exact_element_is_its_inverse(space, type_):
    t = types(space)[type_]
    x, y = normal(t.size, 4, 4), normal(t.size, 4, 4, seed=2)
    for g in t.space.exact_elements:
        gradient = jax.grad(lambda v, g=g: (t.transform(v, g) * y).sum())(x)
        np.testing.assert_allclose(gradient, t.transform(y, ~g), atol=1e-12)


def test_gradients_pass_through_resampling():
    type_ = types("C8")["regular"]
    x = normal(type_.size, 5, 5)
    gradient = jax.grad(lambda v: (type_.transform(v, type_.group.elements[1]) ** 2).sum())(x)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient[:, 1:-1, 1:-1]).min() > 0
