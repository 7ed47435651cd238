"""Restriction, Disentangle, Reshuffle, Mask on fields: golden numbers and what belongs to each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import golden_fields as golden
from equivax import FieldType, groups, nn, spaces
from equivax.representations import Representation
from equivax.representations._summand import Summand
from laws import assert_free_of_equivax, normal

PLANE = spaces.flip_rot_on_r2(8)
REGULAR = FieldType(PLANE, 3 * PLANE.regular)


def apart(type_, part, **options):
    """The layer that splits a restricted type."""
    return nn.Disentangle(nn.Restriction(type_, part).out_type, **options)


# ---- golden numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", golden.modules("Mask") + golden.modules("Reshuffle"), ids=repr)
def test_golden_modules(entry):
    layer = getattr(nn, entry.module)(entry.in_type, **entry.params)
    assert layer.out_type == entry.out_type
    y = layer(entry.x)
    assert y.dtype == entry.x.dtype
    np.testing.assert_allclose(y, entry.y, atol=golden.ATOL)
    plain = layer.export()
    assert_free_of_equivax(plain)
    np.testing.assert_allclose(jax.vmap(plain)(entry.x), entry.y, atol=golden.ATOL)


@pytest.mark.parametrize("name", golden.facts()["disentangle"])
def test_golden_blocks(name):
    group, rep, part = name.split("/")
    record = golden.facts()["disentangle"][name]
    space = golden.space(group)
    type_ = FieldType(space, golden.representation(space.group, rep))
    layer = apart(type_, golden.subgroup(space.group, part))
    moved = np.asarray(layer(jnp.arange(type_.size, dtype=jnp.float32)[:, None, None]))
    order = moved[:, 0, 0].astype(int)
    out = layer.out_type
    blocks = [order[a:b] for a, b in zip(out.fields_start, out.fields_end, strict=True)]
    assert [sorted(block.tolist()) for block in blocks] == record["blocks"]
    H = out.group
    expected = [
        {golden.irrep_id(H, i): n for i, n in irreps.items()} for irreps in record["irreps"]
    ]
    assert [field.multiplicities for field in out] == expected
    for field in out:
        if field.is_permutation and field.size == H.order:
            assert field == H.regular
        if field.size == 1:
            assert field.is_irreducible
    for h in H.testing_elements:  # exact: a permutation of channels, the same matrices
        np.testing.assert_allclose(
            out.representation(h),
            layer.in_type.representation(h)[np.ix_(order, order)],
            atol=1e-12,
        )


# ---- Disentangle ---------------------------------------------------------------------------------


def test_the_regular_fields_of_d8_become_those_of_c8():
    restriction = nn.Restriction(REGULAR, (None, 8))
    layer = nn.Disentangle(restriction.out_type)
    turned = spaces.rot_on_r2(8)
    assert layer.out_type == FieldType(turned, 6 * groups.cyclic(8).regular)
    assert nn.ReLU(layer.out_type).out_type.uniform
    x = normal(2, REGULAR.size, 4, 4)
    assert np.array_equal(layer.inverse(layer(x)), x)
    assert layer.inverse.in_type == layer.out_type
    assert layer.inverse.out_type == layer.in_type
    assert layer.inverse.inverse.out_type == layer.out_type
    plain = nn.Sequential(restriction, layer).export()
    assert np.array_equal(jax.vmap(plain)(x), layer(x))
    # Exact: entries move, bit for bit.
    assert sorted(np.asarray(layer(x)).ravel().tolist()) == sorted(np.asarray(x).ravel().tolist())


def test_mirrors_give_regular_fields_in_another_order():
    layer = apart(REGULAR, (3, 1))
    mirror = groups.dihedral(1)
    assert layer.out_type.representation == 24 * mirror.regular
    assert not np.array_equal(layer(jnp.arange(48.0)[:, None, None])[:, 0, 0], np.arange(48))


def test_blocks_equal_quotients_by_their_stabilisers():
    G = groups.dihedral(4)
    space = spaces.no_base_space(G)
    shuffled = np.array([2, 0, 3, 1])
    matrices = G.quotient((0, 1)).matrices[:, shuffled][:, :, shuffled]
    given = Representation.from_matrices(G, matrices, "given")
    assert given != G.quotient((0, 1))
    layer = nn.Disentangle(FieldType(space, given))
    stabiliser = [g for g in G.elements if matrices[G.elements.index(g), 0, 0] > 0.5]
    assert layer.out_type.representation == G.quotient(stabiliser)
    for g in G.elements:
        x = np.arange(4.0, dtype=np.float32)
        np.testing.assert_allclose(
            layer(jnp.asarray(matrices[G.elements.index(g)] @ x, jnp.float32)),
            layer.out_type.representation(g) @ np.asarray(layer(x)),
        )


def test_a_sum_hidden_in_one_field_comes_apart():
    G = groups.cyclic(4)
    mixed = (G.regular + G.irrep(1) + G.trivial).fused("mixed")
    order = np.array([5, 0, 6, 3, 1, 4, 2])
    stack = mixed.matrices[:, order][:, :, order]
    given = Representation.from_matrices(G, stack, "given")
    type_ = FieldType(spaces.rot_on_r2(4), 2 * given)
    out = nn.Disentangle(type_).out_type
    assert len(out) == 6
    # Blocks in the order of their smallest channels: 0 belongs to the irrep, 1 to the regular.
    assert [field.size for field in out] == [2, 4, 1] * 2
    assert out.reps[1] == G.regular
    assert out.reps[2] == G.trivial
    assert out.reps[0].irreps == ((1,),)


def test_nothing_to_split_costs_nothing():
    type_ = FieldType(PLANE, PLANE.regular + PLANE.irrep(1, 1) + PLANE.trivial)
    layer = nn.Disentangle(type_)
    assert layer.out_type == type_
    assert jax.make_jaxpr(layer)(normal(type_.size, 2, 2)).eqns == []
    assert type(layer.export()).__name__ == "Identity"


def test_fields_that_are_given_through_an_inner_product_split_where_it_does():
    G = groups.cyclic(2)
    shear = np.array([[1.0, 0.5], [0.0, 1.0]])
    sheared = np.linalg.inv(shear) @ np.diag([1.0, -1.0]) @ shear
    with pytest.warns(UserWarning, match="orthogonal"):
        given = Representation.from_matrices(G, np.stack([np.eye(2), sheared]))
    assert nn.Disentangle(given, by="permutation").out_type == given


def test_ways_and_defaults():
    rep = groups.cyclic(8).regular.restrict(4)
    type_ = FieldType(spaces.rot_on_r2(4), rep)
    assert nn.Disentangle(rep).by == "irreps"
    assert nn.Disentangle(type_).by == "permutation"
    assert nn.Disentangle(rep, "permutation").out_type == 2 * groups.cyclic(4).regular
    by_irreps = nn.Disentangle(type_, by="irreps")
    assert isinstance(by_irreps.out_type, FieldType)
    x = normal(3, 8, 2, 2)
    y = by_irreps(x)
    np.testing.assert_allclose(by_irreps.inverse(y), x, atol=1e-5)
    np.testing.assert_allclose(
        jnp.moveaxis(nn.Disentangle(rep)(jnp.moveaxis(x, 1, -1)), -1, 1), y, atol=1e-6
    )
    np.testing.assert_allclose(jax.vmap(by_irreps.export())(x), y, atol=1e-5)
    np.testing.assert_allclose(jax.vmap(by_irreps.inverse.export())(y), x, atol=1e-5)


def test_a_large_split_is_planned_by_kinds_of_fields():
    type_ = FieldType(PLANE, 2000 * PLANE.regular)
    layer = apart(type_, (None, 8))
    assert layer.out_type == FieldType(spaces.rot_on_r2(8), 4000 * groups.cyclic(8).regular)


def test_infinite_groups_split_by_their_testing_elements():
    space = spaces.flip_rot_on_r2(-1)
    type_ = FieldType(space, space.induced((None, -1), groups.so2().irrep(2)))
    assert nn.Disentangle(type_).out_type == type_
    out = apart(type_, (None, -1)).out_type
    assert [field.irreps for field in out] == [((2,),)] * 2
    assert isinstance(out.reps[0].data[0][0], Summand)


# ---- Restriction and Reshuffle -------------------------------------------------------------------


@pytest.mark.parametrize(
    "space, part",
    [
        (PLANE, (None, 4)),
        (PLANE, (1, 2)),
        (spaces.flip_rot_on_r2(-1), (0.3, 4)),
        (spaces.rot_on_r2(-1), 6),
        (spaces.flip_rot_on_r2(-1), "so2"),
    ],
)
def test_restriction_commutes_with_the_embedded_subgroup(space, part):
    rep = (
        space.irrep(1, 1)
        if "O(2)" in repr(space) and space.group.family[0] == "o2"
        else (space.irrep(1) if space.group.family[0] in ("so2",) else space.regular)
    )
    type_ = FieldType(space, [rep, space.vector])
    layer = nn.Restriction(type_, part)
    assert layer.out_type == type_.restrict(part)
    x = normal(2, type_.size, 3, 3)
    assert layer(x) is x or np.array_equal(layer(x), x)
    assert layer(type_(x)).type == layer.out_type
    for h in layer.out_type.testing_elements:
        g = layer.embedding(h)
        np.testing.assert_allclose(
            layer.out_type.transform_fibers(x, h), type_.transform_fibers(x, g), atol=1e-5
        )
        np.testing.assert_allclose(layer.out_type.space.matrix(h), space.matrix(g), atol=1e-9)


@pytest.mark.parametrize("spatial", [(), (4,), (2, 3), (2, 2, 3)])
def test_reshuffle_moves_fields_in_any_dimension(spatial):
    G = groups.cyclic(4)
    space = {
        0: spaces.no_base_space(G),
        1: spaces.on_r1(G),
        2: spaces.rot_on_r2(4),
        3: spaces.GSpace(G, G.irrep(1) + G.trivial),
    }[len(spatial)]
    type_ = FieldType(space, G.regular + G.irrep(1) + G.trivial)
    layer = nn.Reshuffle(type_, [2, 0, 1])
    x = normal(2, 3, 7, *spatial)
    y = layer(type_(x))
    assert y.type.reps == (G.trivial, G.regular, G.irrep(1))
    back = nn.Reshuffle(y.type, np.array([1, 2, 0]))
    assert np.array_equal(back(y).array, x)
    gradient = jax.grad(lambda v: (layer(v) ** 2).sum())(x)
    np.testing.assert_allclose(gradient, 2 * x)


# ---- Mask ----------------------------------------------------------------------------------------


def test_radial_masks_have_edges_of_equal_width():
    type_ = FieldType(spaces.trivial_on_r2(), spaces.trivial_on_r2().trivial)
    for side in (21, 61):
        mask = nn.Mask(type_, side, margin=50.0, sigma=3.0, profile="radial").mask
        row, radius = mask[side // 2, side // 2 :], side // 2 * 0.5
        distance = np.arange(len(row))
        np.testing.assert_allclose(
            row, np.exp(-(np.clip(distance - radius, 0, None) ** 2) / 18), rtol=1e-12
        )

    # In squared distance the edge gets sharper with the size, as in e2cnn.
    def half(side):
        mask = nn.Mask(type_, side, margin=50.0, sigma=3.0).mask
        return (mask[side // 2] > 0.01).sum() / 2 - side // 2 * 0.5

    assert half(61) < half(21)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_masks_are_constants_in_any_dimension(dim):
    G = groups.cyclic(2)
    action = G.irrep(1) if dim == 1 else dim * G.irrep(1)
    type_ = FieldType(spaces.GSpace(G, action.fused()), G.regular)
    layer = nn.Mask(type_, 4)
    assert jax.tree.leaves(layer) == []
    assert layer.mask.shape == (4,) * dim
    assert layer.mask.dtype == np.float64
    assert not layer.mask.flags.writeable
    for dtype in (jnp.bfloat16, jnp.float16, jnp.float32):
        x = jnp.ones((2, 2, *(4,) * dim), dtype)
        assert layer(x).dtype == dtype
    corner = (0,) * dim
    expected = np.exp((2.25 - 2.25 * dim) / 4)
    assert layer.mask[corner] == pytest.approx(expected)
