"""`IrrepTensor`: to irreps and back, what the arrays hold, arithmetic, pytrees."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vector_types
from equivax import FieldType, IrrepTensor, groups, spaces
from equivax.hom import irrep_plan
from laws import normal, relative
from random_types import FINITE, LIE, laws, random_type

GROUPS = {**FINITE, **LIE}
ROUND = {"float64": 1e-13, "float32": 1e-5, "bfloat16": 2e-2}


def drawn(name: str, seed: int):
    return random_type(GROUPS[name], np.random.default_rng(seed))


# ---- the arrays --------------------------------------------------------------------------------


@laws
@given(st.sampled_from(sorted(GROUPS)), st.integers(0, 10**6), st.sampled_from(sorted(ROUND)))
@pytest.mark.usefixtures("x64")
def test_there_and_back(name, seed, dtype):
    rep = drawn(name, seed)
    x = normal(2, 3, rep.size, seed=seed, dtype=dtype)
    tensor = IrrepTensor.of(rep, x)
    assert tensor.array.dtype == x.dtype == tensor.dtype
    assert relative(tensor.array, x) <= ROUND[dtype]
    again = IrrepTensor.of(rep, tensor.array)
    for block, other in zip(tensor.blocks.values(), again.blocks.values(), strict=True):
        assert relative(other, block) <= 3 * ROUND[dtype]


@laws
@given(st.sampled_from(sorted(GROUPS)), st.integers(0, 10**6))
@pytest.mark.usefixtures("x64")
def test_blocks_are_acted_on_by_their_irreps(name, seed):
    """Elements act on the components of every copy alike, by a matrix that is the irrep's."""
    rep = drawn(name, seed)
    group = rep.group
    x = normal(rep.size, seed=seed)
    g = np.asarray(group.testing_coordinates)[:4]
    before = IrrepTensor.of(rep, x)
    for matrix, at in zip(rep.evaluate(g), g, strict=True):
        after = IrrepTensor.of(rep, jnp.asarray(matrix) @ x)
        for key, space in irrep_plan(rep).spaces.items():
            data = group.irrep_data(space.id)
            units = normal(space.size, space.size, seed=3)  # copies that span the components
            single = group.irrep(*space.id)
            turned = IrrepTensor.of(space.size * single, units.reshape(-1)).blocks[key]
            moved = (units @ data.matrices(at[None])[0].T).reshape(-1)
            moved = IrrepTensor.of(space.size * single, moved).blocks[key]
            action = np.linalg.solve(np.asarray(turned).T, np.asarray(moved).T).T
            assert relative(after.blocks[key], action @ before.blocks[key]) <= 1e-10


def test_a_run_keeps_copy_and_count_order():
    group = groups.dihedral(4)
    rep = 3 * group.regular
    x = normal(rep.size)
    blocks = IrrepTensor.of(rep, x).blocks
    coordinates = x.reshape(3, 8) @ np.asarray(group.regular.change_of_basis, np.float32)
    columns = group.regular.data[0][0].columns_of((1, 1))
    expected = np.concatenate([coordinates[:, c].T for c in columns], axis=-1)
    assert relative(blocks["irrep(1,1)"], expected) <= 1e-6


def test_equal_summands_stand_together():
    group = groups.dihedral(3)
    mixed = group.trivial + 2 * group.regular + group.trivial
    x = jnp.arange(14.0)
    trivial = IrrepTensor.of(mixed, x).blocks["trivial"]
    assert np.allclose(trivial[0, :2], x[jnp.array([0, 13])])


@pytest.mark.parametrize("group, type_", sorted(vector_types.QUICK_TYPES))
def test_pytrees(group, type_):
    rep = vector_types.types(group)[type_]
    x = normal(4, rep.size)
    tensor = IrrepTensor.of(rep, x)
    leaves, structure = jax.tree.flatten(tensor)
    assert len(leaves) == len(rep.multiplicities)
    fresh = IrrepTensor.of(vector_types.fresh_types(group)[type_], x)
    assert structure == jax.tree.structure(fresh)
    assert hash(structure) == hash(jax.tree.structure(fresh))
    mapped = jax.vmap(lambda v: IrrepTensor.of(rep, v))(x)
    assert jax.tree.structure(mapped) == structure
    assert relative(jax.vmap(lambda t: t.array)(mapped), x) <= 1e-5
    doubled = jax.jit(lambda t: t + t)(tensor)
    assert relative(doubled.array, 2 * x) <= 1e-5
    slope = jax.grad(lambda t: 0.5 * jnp.sum(t.array**2))(tensor)
    assert isinstance(slope, IrrepTensor)
    assert relative(slope.array, x) <= 1e-5  # the change of basis is orthogonal
    back = pickle.loads(pickle.dumps(tensor))
    assert back.type == rep
    assert relative(back.array, x) <= 1e-5


def test_arithmetic():
    rep = vector_types.types("Q8")["interleaved"]
    x, y, s = normal(2, rep.size), normal(2, rep.size, seed=2), normal(2, 1, seed=3)
    a, b = IrrepTensor.of(rep, x), IrrepTensor.of(rep, y)
    assert relative((a - 2.0 * b).array, x - 2 * y) <= 1e-5
    assert relative((-a / s).array, -x / s) <= 1e-5
    assert relative((np.float32(3) * a).array, 3 * x) <= 1e-5
    assert a.shape == x.shape
    assert (a.ndim, a.batch_shape) == (2, (2,))
    assert a.astype("bfloat16").dtype == jnp.bfloat16
    assert "IrrepTensor({'trivial'" in repr(a)


def test_vectors_on_a_point_are_vectors():
    space = spaces.no_base_space(groups.cyclic(4))
    type_ = FieldType(space, 2 * space.regular)
    tensor = IrrepTensor.of(type_, normal(8))
    assert tensor.type == type_
    assert tensor.array.shape == (8,)


# ---- refusals ----------------------------------------------------------------------------------


def test_refusals():
    group = groups.cyclic(4)
    rep, plane = group.regular, spaces.rot_on_r2(4)
    x = IrrepTensor.of(rep, normal(3, 4))
    with pytest.raises(TypeError, match="IrrepTensor: type: expected a type of vectors, got C4 on"):
        IrrepTensor.of(FieldType(plane, plane.regular), normal(4))
    with pytest.raises(ValueError, match=r"IrrepTensor: array: expected \(\.\.\., 4\)"):
        IrrepTensor.of(rep, normal(5))
    with pytest.raises(TypeError, match="expected floating numbers, got dtype int32"):
        IrrepTensor.of(rep, jnp.arange(4))
    with pytest.raises(TypeError, match="array: expected an array, got list"):
        IrrepTensor.of(rep, [1.0])
    with pytest.raises(ValueError, match="blocks: expected one array per irrep"):
        IrrepTensor({"trivial": normal(1, 1)}, rep)
    cut = {name: block[..., :0] for name, block in x.blocks.items()}
    with pytest.raises(ValueError, match=r"blocks: expected \(3, 1, 1\) for irrep 'trivial'"):
        IrrepTensor(cut, rep)
    mixed = {**x.blocks, "trivial": x.blocks["trivial"].astype("bfloat16")}
    with pytest.raises(ValueError, match="blocks: expected one dtype"):
        IrrepTensor(mixed, rep)
    other = IrrepTensor.of(4 * group.trivial, normal(3, 4))
    with pytest.raises(ValueError, match=r"x \+ y: expected equal types"):
        _ = x + other
    with pytest.raises(TypeError, match=r"x \+ y: expected another IrrepTensor"):
        _ = x + 1.0
    with pytest.raises(TypeError, match=r"x \* s: expected a number or an array"):
        _ = x * x
    with pytest.raises(ValueError, match=r"x \* s: expected a number, or an array of length 1"):
        _ = x * normal(3, 4)
    with pytest.raises(TypeError, match=r"index x\.array"):
        _ = x[0]
