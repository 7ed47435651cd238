"""Objects of escnn, told by their attributes; the real ones are in tests/oracles."""

from __future__ import annotations

from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import FieldType, groups, interop, nn, spaces

SPACE = spaces.rot_on_r2(4)
IMAGE, HIDDEN = FieldType(SPACE, SPACE.trivial), FieldType(SPACE, 2 * SPACE.regular)


def build(key):
    first, second = jax.random.split(key)
    return nn.Sequential(
        nn.Conv(IMAGE, HIDDEN, 3, use_bias=False, key=first),
        nn.InnerBatchNorm(HIDDEN),
        nn.ReLU(HIDDEN),
        nn.Conv(HIDDEN, IMAGE, 3, key=second),
    )


def state_dict_of(model, rng):
    """What escnn writes for a trained model like ours, in evaluation mode."""
    first, _, _, last = model.layers
    return {
        "0.weights": np.zeros(3),
        "0.filter": np.asarray(first.kernel),
        "0._basisexpansion.block.sampled_basis": np.zeros((3, 3)),
        "1.indices_4": np.arange(2),
        "1.batch_norm_[4].weight": rng.uniform(1, 2, 2),
        "1.batch_norm_[4].bias": rng.normal(size=2),
        "1.batch_norm_[4].running_mean": rng.normal(size=2),
        "1.batch_norm_[4].running_var": rng.uniform(1, 2, 2),
        "1.batch_norm_[4].num_batches_tracked": np.array(7),
        "3.filter": np.asarray(last.kernel),
        "3.bias_expansion": np.ones((1, 1)),
        "3.expanded_bias": np.array([0.5]),
    }


@pytest.fixture
def trained():
    model, state = eqx.nn.make_with_state(build)(jax.random.key(0))
    return model, state, state_dict_of(model, np.random.default_rng(0))


def test_arrays_find_their_layers(trained):
    source, _, arrays = trained
    model, state = eqx.nn.make_with_state(build)(jax.random.key(1))
    loaded, new = interop.escnn.load_arrays(model, arrays, state)
    assert jax.tree.structure(loaded) == jax.tree.structure(model)
    np.testing.assert_allclose(loaded.layers[0].kernel, source.layers[0].kernel, atol=1e-6)
    np.testing.assert_allclose(loaded.layers[3].bias, [0.5])
    mean, variance, count = new.get(loaded.layers[1].running)
    np.testing.assert_allclose(mean, arrays["1.batch_norm_[4].running_mean"], rtol=1e-6)
    np.testing.assert_allclose(variance, arrays["1.batch_norm_[4].running_var"], rtol=1e-6)
    assert int(count) == 7
    np.testing.assert_allclose(
        loaded.layers[1].weight, arrays["1.batch_norm_[4].weight"], rtol=1e-6
    )
    y, _ = eqx.nn.inference_mode(loaded)(jnp.ones((1, 1, 7, 7)), new)
    assert bool(jnp.isfinite(y).all())


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda a: {k: v for k, v in a.items() if k != "3.filter"}, "module.eval()"),
        (lambda a: {k: v for k, v in a.items() if k[0] != "1"}, "of 3 layers .* of 2 modules"),
        (lambda a: {**a, "3.filter": a["3.filter"] + np.eye(3)}, "lies outside"),
        (lambda a: {**a, "0.expanded_bias": np.ones(8)}, "expected no bias"),
        (lambda a: {**a, "1.batch_norm_[4].bias": np.ones(3)}, "expected 2 numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(trained, change, message):
    model, state, arrays = trained
    arrays["3.weights"] = np.zeros(3)
    with pytest.raises(ValueError, match=f"interop.escnn.load_arrays.*{message}"):
        interop.escnn.load_arrays(model, change(arrays), state)


class Restricted(eqx.Module):
    """Fields that fall apart where the group shrinks, and a plain readout."""

    apart: nn.Disentangle  # first, as in a network: layers are told by their order
    norm: nn.InnerBatchNorm
    conv: nn.Conv
    readout: eqx.nn.Linear

    def __init__(self, key):
        space = spaces.flip_rot_on_r2(4)
        restriction = nn.Restriction(FieldType(space, 2 * space.regular), (0, 1))
        self.apart = nn.Disentangle(restriction.out_type)
        fields = self.apart.out_type
        scalars = FieldType(fields.space, 3 * fields.space.trivial)
        keys = jax.random.split(key)
        self.norm = nn.InnerBatchNorm(fields)
        self.conv = nn.Conv(fields, scalars, 1, key=keys[0])
        self.readout = eqx.nn.Linear(3, 5, key=keys[1])

    def order(self):
        return np.asarray(self.apart(jnp.arange(16.0)[:, None, None])).astype(int).ravel()


def test_fields_that_fall_apart_are_still_one_there():
    make = eqx.nn.make_with_state(Restricted)
    source, _ = make(jax.random.key(0))
    rng, order = np.random.default_rng(0), source.order()
    assert not np.array_equal(order, np.arange(16))
    there = np.empty((3, 16, 1, 1))
    there[:, order] = source.conv.kernel  # their channels stay where they were
    statistics = {
        f"norm.batch_norm_[8].{what}": rng.uniform(1, 2, 2)
        for what in ("weight", "bias", "running_mean", "running_var")
    }

    def load(arrays):
        model, state = make(jax.random.key(1))
        return interop.escnn.load_arrays(model, arrays, state)

    arrays = {
        **statistics,
        "conv.filter": there,
        "conv.expanded_bias": np.asarray(source.conv.bias),
        "linear.weight": rng.normal(size=(5, 3)),
        "linear.bias": rng.normal(size=5),
    }
    loaded, state = load(arrays)
    np.testing.assert_allclose(loaded.conv.kernel, source.conv.kernel, atol=1e-6)
    np.testing.assert_allclose(loaded.readout.weight, arrays["linear.weight"], rtol=1e-6)
    np.testing.assert_allclose(loaded.readout.bias, arrays["linear.bias"], rtol=1e-6)
    mean, *_ = state.get(loaded.norm.running)
    for found, name in ((loaded.norm.weight, "weight"), (mean, "running_mean")):
        expected = np.repeat(statistics[f"norm.batch_norm_[8].{name}"], 4)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    for wrong in ({"linear.weight": np.ones((4, 3))}, {"linear.bias": None}):
        changed = {k: v for k, v in {**arrays, **wrong}.items() if v is not None}
        with pytest.raises(ValueError, match=r"load_arrays: linear \(Linear\): expected"):
            load(changed)


def test_statistics_need_a_state(trained):
    model, _, arrays = trained
    with pytest.raises(ValueError, match="state: expected the state of the model"):
        interop.escnn.load_arrays(model, arrays)


class CyclicGroup:
    """A cyclic group as escnn writes it."""

    name = "C4"

    def __init__(self):
        self.elements = [SimpleNamespace(value=n) for n in range(4)]

    def order(self):
        return 4


class FieldRepresentation:
    """Quarter turns, in a basis of its own."""

    name, size, irreps, change_of_basis = "turned", 2, [(1,)], np.eye(2)

    def __init__(self, group, basis):
        self.group, self.basis = group, basis

    def __call__(self, g):
        turn = np.linalg.matrix_power(np.array([[0.0, -1.0], [1.0, 0.0]]), g.value)
        return self.basis @ turn @ self.basis.T


def test_representations_are_told_by_their_matrices():
    group = CyclicGroup()
    c4 = groups.cyclic(4)
    assert interop.escnn.group(group) is c4
    plain = interop.escnn.representation(FieldRepresentation(group, np.eye(2)))
    assert plain == c4.irrep(1)
    mirrored = FieldRepresentation(group, np.diag([1.0, -1.0]))
    found = interop.escnn.representation(mirrored)
    for g in c4.elements:
        np.testing.assert_allclose(found(g), mirrored(SimpleNamespace(value=g.value)), atol=1e-12)
    space = SimpleNamespace(fibergroup=group, dimensionality=2, basespace_action=mirrored)
    assert interop.escnn.space(space).dim == 2
    type_ = SimpleNamespace(gspace=space, representations=[mirrored, mirrored])
    assert interop.escnn.field_type(type_).size == 4


def test_other_things_are_refused():
    with pytest.raises(TypeError, match=r"interop.escnn.load: module: expected"):
        interop.escnn.load(3)
    with pytest.raises(TypeError, match=r"interop.escnn.load: module: .*got SimpleNamespace"):
        interop.escnn.load(SimpleNamespace(state_dict=dict))
    with pytest.raises(TypeError, match=r"interop.escnn.representation: theirs: expected"):
        interop.escnn.representation(3)
