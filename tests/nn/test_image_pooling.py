"""Pools on tensor images: golden numbers, ties, refusals."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import golden_images as gi
from equivax import FieldType, nn, spaces
from equivax.images import MultiImage, Signature
from laws import UNOPTIMISED, applied, exported, normal, relative

CASES = {case["name"]: case for case in gi.facts()["pool"]}
S = Signature((((0, 0), 1), ((1, 0), 2), ((2, 1), 1)))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", CASES)
def test_golden_numbers(name):
    case = CASES[name]
    type_ = (case["k"], case["p"])
    x, expected = (
        MultiImage({type_: np.asarray(gi.array(f"pool/{name}/{what}"), float)}, case["D"])
        for what in ("x", "ref")
    )
    if case["op"] == "avg":
        pool = nn.PointwiseAvgPool(x.field_type(), case["patch"])
    else:
        by = "value" if case["op"] == "max_value" else "norm"
        pool = nn.NormMaxPool(x.field_type(), case["patch"], by=by)
    y = applied(pool, x)
    assert y.signature == expected.signature
    assert relative(y.array, expected.array) < 1e-10
    assert relative(exported(pool, x.array, batch_axes=0), expected.array) < 1e-10


@functools.partial(jax.jit, compiler_options=UNOPTIMISED)
def moved_and_expected(pool, x):
    elements = spaces.axis_matrices(spaces.hyperoctahedral_on(x.D))[:: 1 if x.D < 3 else 5]
    return [(pool(x.transform(g)), pool(x).transform(g)) for g in elements]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("D", [1, 2, 3])
def test_ties_turn_along(D):
    # The peer's argmax: 125 % on fields of unit norm, 23 % in a whole UNet on a binary image.
    sides = (4, 6, 2)[:D]
    x = np.random.default_rng(0).integers(-1, 2, (S.size(D), *sides)).astype(float)
    image = MultiImage.from_array(x, S, D)
    pool = nn.NormMaxPool(S.field_type(D), 2)
    for moved, expected in moved_and_expected(pool, image):
        assert relative(moved.array, expected.array) < 1e-12
    if D == 2:
        first = moved_and_expected(nn.NormMaxPool(S.field_type(D), 2, ties="first"), image)
        assert max(relative(m.array, e.array) for m, e in first) > 0.5


@pytest.mark.usefixtures("x64")
def test_ties_share_the_gradient_and_rounding_makes_no_difference():
    type_ = Signature((((1, 0), 1),)).field_type(2)
    turn = np.array([[np.cos(1.0), -np.sin(1.0)], [np.sin(1.0), np.cos(1.0)]])
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.0], [0.1, 0.1]]) @ turn.T  # near ties
    x = jnp.asarray(vectors.T.reshape(2, 2, 2))
    pool = nn.NormMaxPool(type_, 2)
    np.testing.assert_allclose(pool(x)[:, 0, 0], vectors[:2].mean(axis=0), atol=1e-15)
    gradient = jax.grad(lambda x: pool(x)[0, 0, 0])(x)
    np.testing.assert_allclose(gradient, [[[0.5, 0.5], [0, 0]], [[0, 0], [0, 0]]])
    np.testing.assert_array_equal(pool(jnp.zeros((2, 2, 2))), 0)
    assert np.isnan(pool(x.at[0, 1, 1].set(jnp.nan))).all()
    sharp, soft = (nn.NormMaxPool(type_, 2, ties="softmax", beta=b)(x) for b in (1e3, 1e-9))
    np.testing.assert_allclose(sharp, pool(x), atol=1e-12)
    np.testing.assert_allclose(soft[:, 0, 0], vectors.mean(axis=0), atol=1e-6)


def test_dtypes_and_batches_and_what_fields_do():
    x = MultiImage.from_array(normal(2, 3, S.size(2), 4, 4), S, 2)
    pool = nn.NormMaxPool(S.field_type(2), 2)
    assert pool(x).batch == (2, 3)
    half = pool(MultiImage.from_array(x.array.astype(jnp.bfloat16), S, 2))
    assert half.dtype == jnp.bfloat16
    space = spaces.rot_on_r2(4)
    field = nn.NormMaxPool(FieldType(space, [space.irrep(1)]), 2, ties="first")
    ones = jnp.ones((2, 4, 4)).at[0, ::2, ::2].set(-1.0)
    np.testing.assert_array_equal(field(ones)[0], -1)  # the first of a window


@pytest.mark.parametrize("cls", [nn.NormMaxPool, nn.PointwiseAvgPool])
@pytest.mark.parametrize("group", [None, "mirror"])
def test_sides_that_windows_do_not_divide_are_refused(cls, group):
    # The peer drops the rest without a word: 120 to 167 %.
    space = spaces.hyperoctahedral_on(2)
    if group is not None:
        mirror = next(g for g in space.group.elements if np.trace(space.matrix(g)) == -2)
        space = space.restrict([space.group.identity, mirror])
    image = MultiImage.from_array(normal(S.size(2), 7, 5), S, 2)
    with pytest.raises(ValueError, match="use a length of 6 or 8"):
        cls(S.field_type(2, space), 2)(image)
    assert cls(S.field_type(2, space), 2, grid_check="off")(image).spatial == (3, 2)
