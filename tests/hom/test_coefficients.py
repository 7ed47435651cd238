"""Coefficients are read irrep by irrep, whatever is one leaf underneath."""

import copy
import pickle

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx
from equivax import groups, nn
from equivax.hom import Coefficients, gathered, hom_basis, spread
from equivax.hom._synthesis import synthesize

D4 = groups.dihedral(4)
#: Irreps of one shape in summands of several kinds: more batches than stacks.
MIXED = D4.irrep(0, 2) + 2 * D4.regular + D4.irrep(1, 1) + D4.regular + D4.irrep(1, 0)


def layer_of(type_, key, **options):
    return nn.Linear(type_, type_, key=key, **options)


def test_leaves_are_as_many_as_shapes(key):
    for group, shapes in ((D4, 2), (groups.dihedral(64), 2), (groups.cyclic(9), 2)):
        layer = layer_of(3 * group.regular, key, use_bias=False)
        found = jax.tree.leaves(layer)
        assert len(found) == shapes
        assert sum(leaf.size for leaf in found) == layer.basis.dim


def test_views_are_what_init_draws(key):
    basis = hom_basis(MIXED, MIXED)
    drawn, weights = basis.init(key), layer_of(MIXED, key).weights
    assert type(drawn) is dict
    assert list(drawn) == list(weights) == [block.name for block in basis.blocks]
    assert len(weights) == len(drawn)
    for name, array in drawn.items():
        np.testing.assert_array_equal(weights[name], array)
    assert "no such irrep" not in weights
    with pytest.raises(KeyError):
        weights["no such irrep"]


@pytest.mark.parametrize("mode", ["dense", "spectral", "irreps"])
def test_a_dict_is_as_good(mode, key):
    layer = layer_of(MIXED, key, mode=mode)
    other = eqx.tree_at(lambda tree: tree.weights, layer, dict(layer.weights))
    x = jax.random.normal(key, (5, MIXED.size))
    np.testing.assert_array_equal(layer(x), other(x))
    np.testing.assert_array_equal(layer.weight, other.weight)


def test_one_irrep_is_replaced(key):
    layer = layer_of(MIXED, key)
    name, before = "irrep(1,1)", dict(layer.weights)
    new = layer.weights | {name: jnp.zeros_like(before[name])}
    assert isinstance(new, Coefficients)
    assert jax.tree.structure(new) == jax.tree.structure(layer.weights)
    assert not new[name].any()
    assert all(np.array_equal(new[n], before[n]) for n in before if n != name)
    with pytest.raises(KeyError, match="no such"):
        _ = layer.weights | {"no such": before[name]}
    with pytest.raises(TypeError, match=r"layer.weights \| {'irrep\(1,1\)'"):
        eqx.tree_at(lambda tree: tree.weights[name], layer, before[name])


def test_masks_and_halves_are_read_by_name(key):
    layer = layer_of(MIXED, key)
    arrays, rest = eqx.partition(layer, eqx.is_array)
    assert rest.weights["irrep(1,1)"] is None
    assert jax.tree.map(lambda _: True, layer).weights["irrep(1,1)"] is True
    shapes = jax.eval_shape(lambda tree: tree, arrays).weights
    assert {n: s.shape for n, s in shapes.items()} == {
        n: w.shape for n, w in arrays.weights.items()
    }


def test_ensembles_have_leading_axes(key):
    keys = jax.random.split(key, 3)
    layers = eqx.filter_vmap(lambda k: layer_of(MIXED, k))(keys)
    for name, array in layer_of(MIXED, keys[1]).weights.items():
        np.testing.assert_allclose(layers.weights[name][1], array, rtol=1e-6)
    matrices = hom_basis(MIXED, MIXED).synthesize(layers.weights)
    assert matrices.shape == (3, MIXED.size, MIXED.size)


def test_gradients_are_read_by_name(key):
    layer = layer_of(MIXED, key)
    basis, x = layer.basis, jax.random.normal(key, (5, MIXED.size))

    def loss(coeffs):
        return jnp.sum(basis.apply(coeffs, x, mode="dense") ** 2)

    found, expected = jax.grad(loss)(layer.weights), jax.grad(loss)(dict(layer.weights))
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-5)


def test_copies_and_pickles_have_one_structure(key):
    weights = layer_of(MIXED, key).weights
    structure = jax.tree.structure(weights)
    for other in (copy.deepcopy(weights), pickle.loads(pickle.dumps(weights))):
        assert jax.tree.structure(other) == structure
        assert hash(jax.tree.structure(other)) == hash(structure)
        assert eqx.tree_equal(other, weights)


def test_spread_trees_are_gathered_again(key):
    model = evx.models.MLP(D4.regular, D4.irrep(1, 1), [16, 16], key=key)
    by_name = spread(model)
    assert type(by_name.layers[0].weights) is dict
    assert len(jax.tree.leaves(by_name)) > len(jax.tree.leaves(model))
    assert eqx.tree_equal(gathered(by_name, model), model)


@pytest.mark.slow
def test_tables_and_factors_agree(key, monkeypatch):
    for rep in (MIXED, 2 * groups.cyclic(5).regular, 2 * groups.quaternion().regular):
        basis = hom_basis(rep, rep)
        coeffs = basis.initial(key)
        expected = np.tensordot(
            np.concatenate([np.ravel(coeffs[b.name]) for b in basis.blocks]), basis.elements(), 1
        )
        for largest in (0, 1 << 15):
            monkeypatch.setattr("equivax.hom._layout.LARGEST_TABLE", largest)
            found = synthesize(basis.layout, coeffs.stacks, jnp.dtype(jnp.float32))
            np.testing.assert_allclose(found, expected, atol=1e-5)
