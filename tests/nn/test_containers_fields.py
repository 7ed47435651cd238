"""Sequential, ModuleList, Multiple, TypedFunction on fields: state, names, keys, exports."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx
from equivax import FieldType, groups, nn, spaces
from laws import assert_free_of_equivax, normal

SPACE = spaces.flip_rot_on_r2(4)
TYPE = FieldType(SPACE, 2 * SPACE.regular + SPACE.irrep(1, 1) + 2 * SPACE.trivial)
REGULAR = FieldType(SPACE, 2 * SPACE.regular)


class Counting(nn.AbstractStatefulModule):
    """Adds up means; divides by 1 + the number of calls so far. Not equivariant, and not needed."""

    index: eqx.nn.StateIndex
    in_type: FieldType = eqx.field(static=True)
    out_type: FieldType = eqx.field(static=True)

    def __init__(self, type_):
        self.index = eqx.nn.StateIndex(jnp.zeros(()))
        self.in_type = self.out_type = type_

    def _forward(self, x, state, key=None):
        count = state.get(self.index) + 1
        return x / count.astype(x.dtype), state.set(self.index, count)

    def export(self, state):
        count = state.get(self.index)
        return eqx.nn.Lambda(jax.tree_util.Partial(lambda c, x: x / c, count))


class Normed(nn.AbstractStatefulModule):
    """What a batch norm is at inference: an affine map of channels."""

    index: eqx.nn.StateIndex
    in_type: FieldType = eqx.field(static=True)
    out_type: FieldType = eqx.field(static=True)
    matrix: bool = eqx.field(static=True)

    def __init__(self, type_, matrix):
        size = type_.size
        shape = (size, size) if matrix else (size,)
        self.index = eqx.nn.StateIndex((normal(*shape), normal(size, seed=3)))
        self.in_type = self.out_type = type_
        self.matrix = matrix

    def inference_map(self, state):
        return state.get(self.index)

    def _forward(self, x, state, key=None):
        scale, shift = self.inference_map(state)
        scale = scale if self.matrix else jnp.diag(scale)
        y = jnp.einsum("ij,...jhw->...ihw", scale, x) + shift[:, None, None]
        return y, state

    def export(self, state):
        raise AssertionError("should have been folded")


# ---- Sequential ----------------------------------------------------------------------------------


def test_names_slices_and_append():
    conv = nn.Reshuffle(TYPE, [4, 3, 2, 1, 0])
    relu = nn.Identity(conv.out_type)
    named = nn.Sequential({"conv": conv, "relu": relu})
    assert named.names == ("conv", "relu")
    assert named["conv"] is named[0] is conv
    assert named[-1] is relu
    assert [type(layer).__name__ for layer in named] == ["Reshuffle", "Identity"]
    assert named[1:].names == ("relu",)
    longer = named.append(nn.Identity(conv.out_type), "again")
    assert longer.names == ("conv", "relu", "again")
    assert len(longer) == 3
    assert len(named) == 2
    plain = nn.Sequential(conv, relu)
    assert plain.names is None
    assert len(plain.append(relu)) == 3
    x = normal(3, TYPE.size, 4, 4)
    assert np.array_equal(plain(x), named(x))
    y = named(TYPE(x))
    assert y.type == conv.out_type


def test_without_statistics_the_call_and_shape_are_plain(key):
    model = nn.Sequential(nn.Conv(TYPE, REGULAR, 3, key=key), nn.ReLU(REGULAR))
    assert not model.is_stateful()
    x = normal(2, TYPE.size, 7, 9)
    assert model.evaluate_output_shape(x.shape) == model(x).shape == (2, 16, 5, 7)
    # A state that is not needed is passed through, as in equinox.nn.Sequential.
    state = eqx.nn.State(())
    y, after = model(x, state)
    assert after is state
    assert np.array_equal(y, model(x))


@pytest.mark.parametrize("nested", [False, True])
def test_statistics_thread_through_layers_that_have_none(nested, key):
    def build():
        inner = [nn.ReLU(REGULAR), Counting(REGULAR)]
        parts = [nn.Sequential(*inner)] if nested else inner
        conv = nn.Conv(TYPE, REGULAR, 3, use_bias=False, key=key)
        return nn.Sequential(conv, *parts, nn.FieldDropout(REGULAR, 0.5), Counting(REGULAR))

    model, state = eqx.nn.make_with_state(build)()
    assert model.is_stateful()
    x = normal(2, TYPE.size, 7, 9)
    assert model.evaluate_output_shape(x.shape) == (2, 16, 5, 7)
    with pytest.raises(ValueError, match=r"Sequential: state: needed.*make_with_state"):
        model(x)
    jitted = eqx.filter_jit(lambda m, v, s: m(v, s, key=key))
    first, state = jitted(model, TYPE(x), state)
    assert first.type == REGULAR
    second, state = jitted(model, TYPE(x), state)
    np.testing.assert_allclose(4 * second.array, first.array, rtol=1e-6)
    assert [float(a) for a in jax.tree.leaves(state)] == [2.0, 2.0]
    quiet = eqx.nn.inference_mode(model)
    plain = model.export(state)
    with pytest.raises(ValueError, match=r"export: state: needed.*running statistics"):
        model.export()
    with pytest.raises(ValueError, match="export: state: needed"):
        evx.export({"model": model})
    assert set(evx.export({"model": model}, state)) == {"model"}
    expected, _ = quiet(x, state)
    assert isinstance(plain, eqx.nn.Sequential)
    # Its own statistics are frozen: the counters stand at 2, in the call at 3.
    np.testing.assert_allclose(jax.vmap(plain)(x), expected * 9 / 4, rtol=1e-4, atol=1e-5)


def test_equinox_calls_a_stateful_sequence_with_its_state():
    rep = 2 * groups.cyclic(4).regular

    def build():
        inner = nn.Sequential(nn.ELU(rep), Counting(rep))
        return eqx.nn.Sequential([nn.ReLU(rep), inner, Counting(rep)])

    model, state = eqx.nn.make_with_state(build)()
    x = jnp.ones(8)
    y, state = model(x, state)
    np.testing.assert_allclose(y, x)
    y, state = model(x, state)
    np.testing.assert_allclose(y, x / 4)


@pytest.mark.parametrize("matrix", [False, True])
@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("layer", ["Conv", "ConvTranspose"])
def test_affine_maps_fold_into_the_convolution_before_them(layer, matrix, use_bias, key):
    def build():
        conv = getattr(nn, layer)(TYPE, REGULAR, 3, stride=2, use_bias=use_bias, key=key)
        return nn.Sequential(conv, Normed(REGULAR, matrix), nn.ReLU(REGULAR))

    model, state = eqx.nn.make_with_state(build)()
    plain = model.export(state)
    assert len(plain) == 2
    assert plain[0].use_bias
    assert_free_of_equivax(plain)
    x = normal(2, TYPE.size, 9, 9)
    y, _ = model(x, state)
    np.testing.assert_allclose(jax.vmap(plain)(x), y, rtol=1e-4, atol=1e-4)


def test_what_cannot_be_folded_is_exported():
    def build():
        return nn.Sequential(nn.ReLU(REGULAR), Normed(REGULAR, False))

    model, state = eqx.nn.make_with_state(build)()
    with pytest.raises(AssertionError, match="should have been folded"):
        model.export(state)


# ---- callables that declare types ----------------------------------------------------------------


class Shift(eqx.Module):
    weight: jax.Array
    inner: nn.AbstractModule

    @property
    def in_type(self):
        return self.inner.in_type

    @property
    def out_type(self):
        return self.inner.out_type

    def __call__(self, x, *, key=None):
        assert key is not None
        return self.inner(x) * self.weight


def test_callables_that_declare_types_are_wrapped(key):
    def double(x):
        return 2 * x

    double.in_type = double.out_type = REGULAR
    user = Shift(jnp.asarray(3.0), nn.ReLU(REGULAR))
    model = nn.Sequential(double, user)
    assert [type(layer) for layer in model] == [nn.TypedFunction] * 2
    assert model[0].wrapped is double
    assert [leaf.item() for leaf in jax.tree.leaves(model)] == [3.0]
    x = normal(2, REGULAR.size, 3, 3)
    expected = 6 * jnp.maximum(x, 0)
    np.testing.assert_allclose(model(x, key=key), expected, rtol=1e-6)
    assert model(REGULAR(x), key=key).type == REGULAR
    plain = model.export()
    single = jax.vmap(lambda v: plain(v, key=key))
    np.testing.assert_allclose(single(x), expected, rtol=1e-6)
    assert_free_of_equivax(plain[0])
    assert isinstance(plain[1].inner, eqx.nn.Lambda)


def test_a_declaration_that_is_not_kept_is_refused():
    def wrong(x):
        return x[..., 1:, :, :]

    wrong.in_type = wrong.out_type = REGULAR
    with pytest.raises(ValueError, match=r"wrong: declares .* 16 channels on axis -3.*\(2, 15, 3"):
        nn.TypedFunction(wrong)(normal(2, 16, 3, 3))

    def other(x):
        return TYPE(jnp.zeros((TYPE.size, 3, 3)))

    other.in_type = other.out_type = REGULAR
    with pytest.raises(ValueError, match=r"other: declares .*but gave"):
        nn.TypedFunction(other)(normal(2, 16, 3, 3))


# ---- ModuleList ----------------------------------------------------------------------------------


def test_module_list_is_a_list_that_exports():
    a, b, c = nn.ReLU(REGULAR), nn.ELU(REGULAR), nn.Identity(TYPE)
    listed = nn.ModuleList([a]).append(c).insert(1, b).extend([b, a])
    assert list(listed) == [a, b, c, b, a]
    assert list(listed[1:3]) == [b, c]
    assert list(listed.insert(-1, c)) == [a, b, c, b, c, a]
    assert len(nn.ModuleList()) == 0
    assert not callable(listed)
    plain = listed.export()
    assert isinstance(plain, tuple)
    assert isinstance(plain[2], eqx.nn.Identity)
    assert_free_of_equivax(evx.export({"heads": listed}))


def test_a_model_of_the_users_with_statistics_exports():
    def build():
        return nn.ModuleList([nn.ReLU(REGULAR), Counting(REGULAR)])

    listed, state = eqx.nn.make_with_state(build)()
    with pytest.raises(ValueError, match=r"layers\[1\] \(Counting\)"):
        evx.export(listed)
    assert len(evx.export(listed, state)) == 2


# ---- Multiple ------------------------------------------------------------------------------------


class Gate(nn.AbstractModule):
    """Multiplies fields by a gate: two inputs."""

    in_type: tuple = eqx.field(static=True)
    out_type: FieldType = eqx.field(static=True)

    def __call__(self, gates, x, *, key=None):
        return x * gates

    def _forward(self, x, key=None):
        raise AssertionError("called with one input")

    def export(self):
        return lambda gates, x, key=None: x * gates


def test_outputs_stand_in_the_order_of_the_modules(key):
    labels = ["r", "r", "v", "s", "s"]
    parts = TYPE.group_by_labels(labels)
    conv = nn.Conv(parts["s"], REGULAR, 3, padding=1, key=key)
    modules = {"s": conv, "v": nn.Affine(parts["v"]), "r": nn.ReLU(parts["r"])}
    layer = nn.Multiple(TYPE, labels, modules)
    assert list(modules) == ["s", "v", "r"]
    assert layer.out_type == REGULAR + parts["v"] + parts["r"]
    x = normal(2, 3, TYPE.size, 4, 4)
    y = layer(x)
    expected = [
        conv(x[..., 18:, :, :]), modules["v"](x[..., 16:18, :, :]), jax.nn.relu(x[..., :16, :, :])
    ]  # fmt: skip
    np.testing.assert_allclose(y, jnp.concatenate(expected, axis=-3), rtol=1e-5, atol=1e-6)
    assert layer(TYPE(x)).type == layer.out_type
    assert layer.evaluate_output_shape(x.shape) == y.shape
    plain = layer.export()
    assert_free_of_equivax(plain)
    np.testing.assert_allclose(jax.vmap(plain)(x[0]), y[0], rtol=1e-5, atol=1e-5)
    pairs = [(conv, "s"), (modules["v"], ("v",)), (modules["r"], "r")]
    assert np.array_equal(nn.Multiple(TYPE, labels, pairs)(x), y)


@pytest.mark.parametrize("reshuffle", [0, 1, 2, 3])
def test_reshuffle_orders_the_fields_of_a_label(reshuffle):
    G = SPACE.group
    mixed = [G.irrep(1, 1), G.trivial, G.irrep(1, 0), G.irrep(1, 1), G.trivial, G.regular]
    type_ = FieldType(SPACE, mixed)
    order = {2: [1, 2, 4, 0, 3], 3: [1, 4, 2, 0, 3]}.get(reshuffle, [0, 1, 2, 3, 4])
    part, rest = type_.index_select(order), type_.index_select([5])
    layer = nn.Multiple(
        type_, list("aaaaab"), {"a": nn.Identity(part), "b": nn.ReLU(rest)}, reshuffle
    )
    x = normal(2, type_.size, 2, 2)
    y = layer(type_(x))
    assert y.type == part + rest
    np.testing.assert_array_equal(y.array[:, : part.size], x[:, type_.channels_of(order)])


def test_a_tuple_of_labels_is_several_inputs():
    gate, gated = FieldType(SPACE, SPACE.trivial), FieldType(SPACE, SPACE.irrep(1, 1))
    type_ = FieldType(SPACE, SPACE.irrep(1, 1) + SPACE.trivial + SPACE.regular)
    rest = FieldType(SPACE, SPACE.regular)
    layer = nn.Multiple(
        type_,
        ["x", "gate", "r"],
        [(nn.ReLU(rest), "r"), (Gate((gate, gated), gated), ("gate", "x"))],
    )
    x = normal(4, 11, 3, 3)
    y = layer(x)
    np.testing.assert_allclose(y[:, 8:], x[:, :2] * x[:, 2:3], rtol=1e-6)
    assert layer.evaluate_output_shape((4, 11, 3, 3)) == (4, 10, 3, 3)
    np.testing.assert_allclose(jax.vmap(layer.export())(x), y, rtol=1e-6)


def test_multiple_threads_state_and_keys(key):
    def build():
        a, b = TYPE.index_select([0, 1]), TYPE.index_select([2, 3, 4])
        modules = {"a": nn.Sequential(Counting(a)), "b": nn.FieldDropout(b, 0.5)}
        return nn.Multiple(TYPE, list("aabbb"), modules)

    model, state = eqx.nn.make_with_state(build)()
    x = jnp.ones((TYPE.size, 3, 3))
    assert model.evaluate_output_shape(x.shape) == x.shape
    y, state = model(x, state, key=key)
    y, state = model(x, state, key=key)
    np.testing.assert_allclose(y[:16], 0.5)
    assert set(np.unique(y[16:])) == {0.0, 2.0}
    with pytest.raises(ValueError, match="Multiple: state: needed"):
        model(x)
    plain = model.export(state)
    np.testing.assert_allclose(plain(x)[:16], 0.5)


def test_multiple_on_vectors():
    G = groups.cyclic(4)
    rep = G.irrep(1) + G.regular
    relu = nn.ReLU(G.regular)
    layer = nn.Multiple(rep, [0, 1], {1: relu, 0: nn.Identity(G.irrep(1))})
    x = normal(3, 6)
    assert layer.out_type == G.regular + G.irrep(1)
    np.testing.assert_allclose(layer(x), jnp.concatenate([jax.nn.relu(x[:, 2:]), x[:, :2]], -1))


def test_outputs_must_share_the_grid(key):
    parts = TYPE.group_by_labels(list("aabbb"))
    modules = {"a": nn.Conv(parts["a"], REGULAR, 3, key=key), "b": nn.Identity(parts["b"])}
    layer = nn.Multiple(TYPE, list("aabbb"), modules)
    with pytest.raises(ValueError, match="outputs with equal spatial axes"):
        layer(normal(TYPE.size, 5, 5))
    with pytest.raises(ValueError, match="outputs with equal spatial axes"):
        layer.evaluate_output_shape((TYPE.size, 5, 5))
