"""`GeometricTensor` and `tensor_directsum`: slicing, arithmetic, pytrees."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import golden_fields as gf
from equivax import FieldType, GeometricTensor, nn, spaces, tensor_directsum
from field_types import types
from laws import normal

SLICING = gf.facts()["slicing"]
TYPE = gf.field_type("C4", SLICING["fields"])
SPACE = TYPE.space


def counted():
    return TYPE(np.arange(np.prod(SLICING["shape"]), dtype=np.float32).reshape(SLICING["shape"]))


# ---- slicing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("row", SLICING["rows"], ids=lambda row: row["expr"])
def test_golden_slices(row):
    found = eval(row["expr"], {"x": counted()})
    assert list(found.shape) == row["shape"]
    assert found.type == gf.field_type("C4", row["fields"])
    if "first" in row:
        assert float(found.array.ravel()[0]) == row["first"]
        assert float(found.array.ravel()[-1]) == row["last"]


@pytest.mark.parametrize("expression", SLICING["errors"])
def test_golden_slices_that_must_fail(expression):
    with pytest.raises((IndexError, ValueError, TypeError), match="GeometricTensor: index: "):
        eval(expression, {"x": counted()})


@pytest.mark.parametrize("breaks", SLICING["split"])
def test_golden_splits(breaks):
    given = eval(breaks)
    before = copy.copy(given)
    pieces = counted().split(given)
    assert given == before
    expected = SLICING["split"][breaks]
    if breaks == "None":
        assert len(pieces) == expected
    else:
        fields = [TYPE.index_select(chosen) for _, chosen in expected]
        assert [piece.type for piece in pieces] == fields
        assert [piece.shape[1] for piece in pieces] == [size for size, _ in expected]


def test_lists_choose_fields():
    x = counted()
    chosen = x[:, [0, 4]]
    np.testing.assert_array_equal(chosen.array, x.array[:, [0, 1, 2, 3, 12]])
    mask = [True, False, False, False, True, False, False]
    for same in (x[:, mask], x[:, np.array([0, 4])], x[:, [-7, -3]]):
        assert same.type == chosen.type == TYPE.index_select([0, 4])
        np.testing.assert_array_equal(same.array, chosen.array)
    np.testing.assert_array_equal(x[:, [2, 2]].array, x.array[:, [8, 9, 8, 9]])


def test_the_field_axis_is_found_behind_any_batch():
    x = counted()
    single = TYPE(x.array[0])
    np.testing.assert_array_equal(single[1:3].array, x.array[0, 4:10])
    stacked = x.reshape_batch(2, 5)
    assert stacked.shape == (2, 5, 15, 9, 9)
    found = stacked[0, 1, 2:4]
    assert found.shape == (1, 1, 4, 9, 9)
    np.testing.assert_array_equal(found.array[0, 0], x.array[1, 8:12])


def test_contiguous_fields_are_one_slice():
    text = str(jax.make_jaxpr(lambda a: TYPE(a)[:, 1:4].array)(counted().array))
    assert "slice" in text
    assert "gather" not in text


def test_split_then_directsum_is_the_identity():
    x = counted()
    for breaks in (None, [], [1], [4, 6], (2, 3, 5)):
        again = tensor_directsum(x.split(breaks))
        assert again.type == x.type
        np.testing.assert_array_equal(again.array, x.array)


def test_directsum_broadcasts_batches():
    one, other = TYPE(jnp.ones((3, 15, 2, 2))), TYPE(jnp.zeros((4, 1, 15, 2, 2)))
    found = tensor_directsum((one, other))
    assert found.shape == (4, 3, 30, 2, 2)
    assert found.type == TYPE + TYPE
    alone = tensor_directsum([one])
    assert alone.type == TYPE


# ---- arithmetic --------------------------------------------------------------------------------


def test_sums_and_differences():
    x, y = TYPE(normal(4, 15, 3, 3)), TYPE(normal(15, 3, 3, seed=2))
    np.testing.assert_array_equal((x + y).array, x.array + y.array)
    np.testing.assert_array_equal((x - y).array, x.array - y.array)
    np.testing.assert_array_equal((-x).array, -x.array)
    before = x
    x += y
    assert x is not before  # rebinds
    assert x.type == TYPE


@pytest.mark.parametrize(
    "s",
    [3, 0.5, np.float64(2), np.int32(2), np.float32(1.5), jnp.float32(2), np.array([2.0]),
     jnp.ones((1, 1, 1)), True * 1],
    ids=repr,
)  # fmt: skip
def test_scalars(s):
    x = TYPE(normal(4, 15, 3, 3))
    value = float(np.asarray(s).reshape(()))
    for y in (x * s, s * x) if not isinstance(s, (jax.Array, np.ndarray)) else (x * s,):
        assert isinstance(y, GeometricTensor)
        assert y.dtype == x.dtype
        np.testing.assert_allclose(y.array, x.array * value, rtol=1e-6)
    np.testing.assert_allclose((x / s).array, x.array / value, rtol=1e-6)


def test_invariant_weights():
    x = TYPE(normal(4, 15, 3, 5))
    for shape in ((1, 3, 5), (1, 1, 1), (1, 3, 1), (4, 1, 3, 5), (4, 1, 1, 1)):
        weight = normal(*shape)
        np.testing.assert_array_equal((x * weight).array, x.array * weight)
        np.testing.assert_array_equal((x / weight).array, x.array / weight)
        left = np.asarray(weight) * x  # numpy on the left
        assert isinstance(left, GeometricTensor)
        np.testing.assert_array_equal(left.array, x.array * weight)
    half = x.astype(jnp.bfloat16) * normal(1, 3, 5)
    assert half.dtype == jnp.bfloat16


def test_arithmetic_commutes_with_the_group():
    type_ = types("D4")["irreps"]
    x, y = type_(normal(2, type_.size, 3, 3)), type_(normal(2, type_.size, 3, 3, seed=2))
    weight = normal(2, 1, 3, 3, seed=3)
    for g in type_.testing_elements:
        np.testing.assert_allclose(
            (2 * x - y / 3).transform(g).array,
            (2 * x.transform(g) - y.transform(g) / 3).array,
            atol=1e-5,
        )
        np.testing.assert_allclose(
            (x * weight).transform_fibers(g).array,
            (x.transform_fibers(g) * weight).array,
            atol=1e-5,
        )


# ---- pytrees -----------------------------------------------------------------------------------


def test_a_tensor_is_a_pytree_with_one_leaf():
    x = counted()
    leaves, structure = jax.tree.flatten(x)
    assert len(leaves) == 1
    again = jax.tree.unflatten(structure, leaves)
    assert again.type == x.type
    assert again.array is x.array
    # Placeholders pass through.
    assert jax.tree.unflatten(structure, [None]).array is None
    assert jax.tree.unflatten(structure, ["a"]).array == "a"
    assert jax.tree.map(jnp.shape, x).array == x.shape
    assert "C4 on R2" in repr(jax.tree.unflatten(structure, [object()]))


def test_transformations_of_jax():
    x = TYPE(normal(4, 15, 3, 3))
    expected = x.array[:, 4:12] * 2.0
    compiled = jax.jit(lambda x: x[:, 1:4] * 2.0)(x)
    assert compiled.type == TYPE.index_select([1, 2, 3])
    np.testing.assert_array_equal(compiled.array, expected)
    mapped = jax.vmap(lambda x: x[1:4] * 2.0)(x)
    assert mapped.type == compiled.type
    np.testing.assert_array_equal(mapped.array, expected)
    gradient = jax.grad(lambda x: (x.array**2).sum())(x)
    assert gradient.type == TYPE
    np.testing.assert_allclose(gradient.array, 2 * x.array, rtol=1e-6)
    shapes = jax.eval_shape(lambda x: nn.Identity(TYPE)(x), x)
    assert shapes.type == TYPE
    assert shapes.shape == x.shape
    total, _ = jax.lax.scan(
        lambda carry, v: (carry + v, None), x[0, :] * 0.0, x.reshape_batch(4, 1)
    )
    np.testing.assert_allclose(total.array[0], x.array.sum(axis=0), atol=1e-5)


def test_conveniences():
    x = counted()
    assert x.ndim == 4
    assert x.dtype == jnp.float32
    assert x.astype(jnp.bfloat16).dtype == jnp.bfloat16
    moved = x.to(jax.devices()[0])
    np.testing.assert_array_equal(moved.array, x.array)
    with pytest.warns(DeprecationWarning, match="named .array"):
        assert x.tensor is x.array
    assert repr(x) == (
        "GeometricTensor((10, 15, 9, 9), C4 on R2: 2 x regular + 2 x irrep(1) + 3 x trivial)"
    )
    again = pickle.loads(pickle.dumps(x))
    assert again.type == x.type
    np.testing.assert_array_equal(again.array, x.array)
    assert isinstance(TYPE(np.zeros((15, 1, 1), np.float32)).array, jax.Array)


def test_tensors_on_a_point_and_a_line():
    G = SPACE.group
    vectors = FieldType(spaces.no_base_space(G), [G.regular, G.trivial])
    x = vectors(normal(6, 5))
    np.testing.assert_array_equal(x[1:3, 1].array, x.array[1:3, 4:])
    np.testing.assert_array_equal((x * normal(6, 1)).array, x.array * normal(6, 1))
    assert tensor_directsum([x, x[0]]).shape == (6, 10)
    series = FieldType(spaces.on_r1(G), [G.regular, G.trivial])
    y = series(normal(5, 8))
    np.testing.assert_array_equal(y[0, ::2].array, y.array[:4, ::2])
