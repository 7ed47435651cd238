"""Defects of e2cnn and escnn in containers and rearranging layers, one test each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import FieldType, groups, nn, spaces
from laws import normal

C8 = spaces.rot_on_r2(8)
D4 = spaces.flip_rot_on_r2(4)
TYPE = FieldType(D4, [D4.regular, D4.irrep(1, 1), D4.trivial])


@pytest.mark.parametrize(
    "space, part, count", [(C8, 4, 2), (C8, 2, 4), (D4, (None, 4), 2), (D4, (0, 1), 4)]
)
def test_disentangle_did_not_split_restricted_regular_representations(space, part, count):
    restricted = FieldType(space, space.regular).restrict(part)
    out = nn.Disentangle(restricted).out_type
    assert len(out) == count
    assert set(out) == {restricted.group.regular}  # equal, so that later modules know it


@pytest.mark.parametrize("cls", [nn.FieldDropout, nn.PointwiseDropout])
def test_dropout_of_everything_gave_nan(cls, key):
    y, gradient = jax.value_and_grad(lambda v: cls(TYPE, 1.0)(v, key=key).sum())(
        normal(TYPE.size, 3, 3)
    )
    assert y == 0
    assert not np.asarray(gradient).any()


def test_multiple_module_had_no_output_shape():
    parts = TYPE.group_by_labels("aab")
    layer = nn.Multiple(TYPE, list("aab"), {k: nn.Identity(parts[k]) for k in "ba"})
    assert layer.evaluate_output_shape((2, 3, 11, 5, 6)) == (2, 3, 11, 5, 6)
    model = nn.Sequential(layer, nn.Upsampling(layer.out_type, 2))
    assert model.evaluate_output_shape((11, 5, 6)) == (11, 10, 12)


def test_multiple_module_refused_the_third_way_to_reshuffle_and_edited_its_argument():
    parts = TYPE.group_by_labels("aab")
    pairs = [(nn.Identity(parts["a"].index_select([1, 0])), "a"), (nn.Identity(parts["b"]), ["b"])]
    before = [list(pair) for pair in pairs]
    nn.Multiple(TYPE, list("aab"), pairs, reshuffle=3)
    assert [list(pair) for pair in pairs] == before


def test_multiple_module_accepted_labels_of_nothing():
    parts = TYPE.group_by_labels("aab")
    modules = [(nn.Identity(parts["a"]), "a"), (nn.Identity(parts["b"]), ("b", "c"))]
    with pytest.raises(ValueError, match="expected a label among 'a', 'b', got 'c'"):
        nn.Multiple(TYPE, list("aab"), modules)


def test_export_of_upsampling_forgot_the_size():
    layer = nn.Upsampling(TYPE, size=(7, 7), mode="nearest", grid_check="off")
    x = normal(TYPE.size, 5, 5)
    assert np.array_equal(layer.export()(x), layer(x))


def test_nearest_upsampling_by_integers_was_called_not_equivariant():
    layer = nn.Upsampling(TYPE, 3, mode="nearest", grid_check="raise")
    x = normal(TYPE.size, 4, 4)
    for g in D4.exact_elements:
        np.testing.assert_array_equal(layer(TYPE.transform(x, g)), TYPE.transform(layer(x), g))


def test_the_mask_was_listed_among_the_parameters():
    layer = nn.Mask(TYPE, 5)
    assert jax.tree.leaves(layer) == []
    jaxpr = jax.make_jaxpr(jax.grad(lambda v: layer(v).sum()))(jnp.ones((TYPE.size, 5, 5)))
    assert jaxpr.out_avals[0].shape == (TYPE.size, 5, 5)


def test_an_empty_sequence_had_no_types():
    with pytest.raises(ValueError, match="at least one layer"):
        nn.Sequential()


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64, jnp.bfloat16])
def test_multiple_gave_float32_whatever_the_input(dtype):
    parts = TYPE.group_by_labels("aab")
    layer = nn.Multiple(TYPE, list("aab"), {k: nn.Affine(parts[k]) for k in "ba"})
    cast = jax.tree.map(lambda a: a.astype(dtype), layer)
    assert cast(jnp.ones((TYPE.size, 2, 2), dtype)).dtype == dtype


def test_restricted_regular_fields_of_c8_are_those_that_vector_fields_ask_for():
    space = spaces.flip_rot_on_r2(8)
    restricted = nn.Restriction(FieldType(space, space.regular), (None, 8))
    out = nn.Disentangle(restricted.out_type).out_type
    assert out == FieldType(C8, 2 * groups.cyclic(8).regular)
