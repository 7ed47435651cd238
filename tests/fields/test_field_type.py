"""`FieldType`: fields in order, values, budgets, restriction."""

import copy
import pickle

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import FieldType, direct_sum, nn, spaces
from field_types import TYPES, fresh_types, types

by_type = pytest.mark.parametrize("space, type_", TYPES)

C4 = spaces.rot_on_r2(4)
D4 = spaces.flip_rot_on_r2(4)


def mixed():
    """Fields of sizes 4, 1, 2, 4, 1."""
    return FieldType(C4, [C4.regular, C4.trivial, C4.irrep(1), C4.regular, C4.irrep(2)])


# ---- fields ------------------------------------------------------------------------------------


def test_fields_lie_one_after_the_other():
    type_ = mixed()
    assert type_.size == 12
    assert len(type_) == 5
    assert type_.fields_start == (0, 4, 5, 7, 11)
    assert type_.fields_end == (4, 5, 7, 11, 12)
    assert all(isinstance(i, int) for i in type_.fields_start + type_.fields_end)
    assert tuple(type_) == type_.reps
    assert type_.reps[2] == C4.irrep(1)
    assert type_.names == ("regular", "trivial", "irrep(1)", "regular", "irrep(2)")
    assert type_.irreps == ((0,), (1,), (2,), (0,), (1,), (0,), (1,), (2,), (2,))
    assert not type_.uniform
    assert FieldType(C4, 3 * C4.regular).uniform
    assert type_.testing_elements == C4.group.elements
    np.testing.assert_array_equal(type_.channels_of([2, -1, 0]), [5, 6, 11, 0, 1, 2, 3])


@by_type
def test_bounds_matrices_and_bases_of_every_type(space, type_):
    t = types(space)[type_]
    sizes = [rep.size for rep in t]
    assert [b - a for a, b in zip(t.fields_start, t.fields_end, strict=True)] == sizes
    assert t.fields_end[-1] == t.size
    assert t.representation == direct_sum(list(t.reps))
    g = t.testing_elements[-1]
    blocks = np.zeros((t.size, t.size))
    for start, stop, rep in zip(t.fields_start, t.fields_end, t, strict=True):
        blocks[start:stop, start:stop] = rep(g)
    np.testing.assert_allclose(t.representation(g), blocks, atol=1e-13)
    Q = t.dense_change_of_basis()
    np.testing.assert_allclose(Q @ Q.T, np.eye(t.size), atol=1e-12)
    assert sum(matrix.shape[0] * n for matrix, n in t.change_of_basis) == t.size
    assert t.group.name in repr(t)
    assert "\n" not in repr(t)


def test_reprs_have_runs():
    space = spaces.rot_on_r2(8)
    type_ = FieldType(space, 16 * space.regular + 4 * space.irrep(1))
    assert repr(type_) == "C8 on R2: 16 x regular + 4 x irrep(1)"


def test_summands_of_one_representation_are_fields():
    listed = FieldType(C4, [C4.regular, C4.regular, C4.trivial])
    assert FieldType(C4, 2 * C4.regular + C4.trivial) == listed
    fused = FieldType(C4, [(C4.regular + C4.trivial).fused()])
    assert len(fused) == 1


def test_sums_and_multiples():
    type_ = mixed()
    assert (type_ + type_).reps == type_.reps + type_.reps
    assert 2 * type_ == type_ * 2 == type_ + type_
    assert np.int64(2) * type_ == type_ + type_
    assert (2 * type_).reps == type_.reps * 2  # the whole list twice


def test_sorting_is_stable():
    type_ = mixed()
    by_size = type_.sorted()
    assert by_size.names == ("trivial", "irrep(2)", "irrep(1)", "regular", "regular")
    by_name = type_.sorted(key=lambda rep: rep.name)
    assert by_name.names == ("irrep(1)", "irrep(2)", "regular", "regular", "trivial")
    assert by_size.sorted() == by_size


def test_index_select_and_groups_of_labels():
    type_ = mixed()
    assert type_.index_select([1, 1, -1]).names == ("trivial", "trivial", "irrep(2)")
    assert type_.index_select((np.int64(0),)) == FieldType(C4, C4.regular)
    found = type_.group_by_labels(["b", "a", "b", "c", "a"])
    assert list(found) == ["b", "a", "c"]
    assert found["b"].names == ("regular", "irrep(1)")
    assert found["a"].names == ("trivial", "irrep(2)")


# ---- budgets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("channels, copies", [(1, 1), (4, 1), (7, 1), (8, 2), (64, 16)])
def test_for_channels(channels, copies):
    assert FieldType.for_channels(C4, C4.regular, channels) == FieldType(C4, copies * C4.regular)


@pytest.mark.parametrize("parameters", [16, 17, 63, 64, 65, 1000, 10**6])
def test_for_parameters_is_the_most_that_fits(parameters):
    def count(type_):
        return 16 * len(type_) ** 2

    type_ = FieldType.for_parameters(C4, C4.regular, parameters, count)
    copies = len(type_)
    assert type_ == FieldType(C4, copies * C4.regular)
    assert 16 * copies**2 <= parameters < 16 * (copies + 1) ** 2


# ---- restriction -------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [(None, 4), (None, 2), (0, 1), (1, 2), (3, 1)])
@pytest.mark.parametrize("type_", ["irreps", "regular", "quotient", "induced", "vector", "fused"])
def test_restriction_keeps_the_matrices(type_, spec):
    whole = types("D4")[type_]
    part = whole.restrict(spec)
    inner = whole.group.subgroup(spec)
    assert part.group is inner.group
    assert part.space == whole.space.restrict(spec)
    assert part.fields_start == whole.fields_start
    for h in inner.group.elements:
        g = inner.embedding(h)
        np.testing.assert_allclose(part.representation(h), whole.representation(g), atol=1e-12)
        np.testing.assert_allclose(part.space.matrix(h), whole.space.matrix(g), atol=1e-12)


def test_restriction_of_a_tensor_keeps_the_array():
    type_ = types("D4")["regular"]
    x = type_(jnp.arange(2.0 * type_.size * 9).reshape(2, type_.size, 3, 3))
    y = x.restrict((None, 4))
    assert y.array is x.array
    assert y.type == type_.restrict((None, 4))
    h = y.type.group.elements[1]
    g = type_.group.subgroup((None, 4)).embedding(h)
    np.testing.assert_allclose(y.transform(h).array, x.transform(g).array, atol=1e-5)


# ---- values ------------------------------------------------------------------------------------


@by_type
def test_types_are_values(space, type_):
    t, fresh = types(space)[type_], fresh_types(space)[type_]
    for same in (copy.copy(t), copy.deepcopy(t), pickle.loads(pickle.dumps(t)), fresh):
        assert same == t
        assert hash(same) == hash(t)
    assert jax.tree.leaves(t) == []
    assert t + t != t
    assert t != t.representation
    with pytest.raises(AttributeError, match="immutable"):
        t.label = "x"


def test_equality_counts_order_and_space_but_no_names():
    one = FieldType(C4, [C4.regular, C4.trivial])
    assert one != FieldType(C4, [C4.trivial, C4.regular])
    assert one == FieldType(C4, [C4.regular.renamed("another"), C4.trivial])
    assert one != FieldType(spaces.no_base_space(C4.group), [C4.regular, C4.trivial])
    axes = [spaces.flip_on_r2(axis) for axis in (0.0, 1.0)]
    assert FieldType(axes[0], axes[0].regular) != FieldType(axes[1], axes[1].regular)


def test_equal_types_share_a_trace():
    traces = 0

    @jax.jit
    def double(x):
        nonlocal traces
        traces += 1
        return x * 2.0

    for _ in range(3):
        space = spaces.flip_rot_on_r2(4)
        type_ = FieldType(space, [space.regular, space.irrep(1, 1)])
        double(type_(jnp.ones((10, 5, 5))))
    assert traces == 1
    other = spaces.flip_rot_on_r2(4, 0.0)
    double(FieldType(other, [other.regular, other.irrep(1, 1)])(jnp.ones((10, 5, 5))))
    assert traces == 2


def test_types_are_static_in_modules():
    one, other = (nn.Identity(FieldType(C4, 2 * C4.regular)) for _ in range(2))
    assert jax.tree.structure(one) == jax.tree.structure(other)
    assert jax.tree.leaves(eqx.filter(one, eqx.is_array)) == []


def test_types_know_what_arrays_they_take():
    type_ = FieldType(D4, D4.regular)
    type_.check(jnp.zeros((8, 3, 3)))
    type_.check(np.zeros((2, 4, 8, 3, 5)))
    type_.check(jax.ShapeDtypeStruct((8, 3, 3), jnp.float32))
    with pytest.raises(ValueError, match=r"expected \(\.\.\., 8, _, _\).*got \(3, 8\)"):
        type_.check(jnp.zeros((3, 8)))
