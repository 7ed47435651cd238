"""`MLP` and `InvariantMLP`."""

import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from equivax import groups, models, nn, testing
from laws import applied
from random_types import FINITE, LIE, in_random_basis, orthogonal, represent

C5, D4, Q8 = FINITE["C5"], FINITE["D4"], FINITE["Q8"]
D3 = groups.dihedral(3)


def linears(model):
    layers = model.layers if isinstance(model, models.MLP) else model.backbone
    return [layer for layer in layers if isinstance(layer, nn.Linear)]


# ---- construction ------------------------------------------------


@pytest.mark.parametrize(
    "group, width, channels",
    [(D3, 10, 12), (D3, 12, 12), (D3, 13, 18), (D3, 1, 6), (D4, 33, 40), (groups.cyclic(1), 7, 7)],
)
def test_widths_are_rounded_up_to_whole_copies(group, width, channels, key):
    model = models.MLP(group.regular, group.regular, [width], key=key)
    assert linears(model)[0].out_type == (channels // group.order) * group.regular


def test_hidden_types(key):
    corners = D4.quotient((0, 1))
    model = models.MLP(D4.regular, D4.trivial, [9, 2 * D4.regular], hidden_rep=corners, key=key)
    first, second, last = linears(model)
    assert first.out_type == 3 * corners
    assert second.out_type == 2 * D4.regular
    assert last.out_type == D4.trivial
    assert [type(layer) for layer in model.layers] == [
        nn.Linear, nn.PointwiseNonlinearity, nn.Linear, nn.PointwiseNonlinearity, nn.Linear,
    ]  # fmt: skip


def test_dropout_stands_after_each_activation(key):
    model = models.MLP(D4.regular, D4.regular, [8, 8], dropout=0.3, key=key)
    names = [type(layer).__name__ for layer in model.layers]
    assert names == ["Linear", "PointwiseNonlinearity", "FieldDropout"] * 2 + ["Linear"]
    assert [layer.p for layer in model.layers if isinstance(layer, nn.FieldDropout)] == [0.3, 0.3]


@pytest.mark.usefixtures("unchecked_annotations")
def test_refusals(key):
    e = D3.irrep(1, 1)
    for hidden in ([], (), 32, D3.regular):
        with pytest.raises(ValueError, match="hidden: expected a non-empty sequence"):
            models.MLP(D3.regular, e, hidden, key=key)
    with pytest.raises(ValueError, match="positive widths"):
        models.MLP(D3.regular, e, [8, 0], key=key)
    # A fault of symm-learning 0.8.1: hidden irreps with ReLU break equivariance by 2.75.
    with pytest.raises(ValueError, match=r"NormNonlinearity or GatedNonlinearity"):
        models.MLP(D3.regular, e, [2 * e + D3.regular], key=key)
    with pytest.raises(ValueError, match="not permuted"):
        models.MLP(D3.regular, e, [in_random_basis(D3.regular, 0)], activation=jnp.tanh, key=key)
    with pytest.raises(ValueError, match="odd"):
        models.MLP(D4.regular, D4.irrep(1, 1), [D4.irrep(1, 1)], key=key)
    with pytest.raises(ValueError, match=r"infinite.*give hidden types"):
        models.MLP(LIE["SO2"].irrep(1), LIE["SO2"].irrep(1), [16], key=key)
    with pytest.raises(ValueError, match="expected one of norm, quadratic, mean"):
        models.InvariantMLP(D3.regular, 2, [8], pool="max", key=key)
    with pytest.raises(ValueError, match="out_size: expected an integer in 1"):
        models.InvariantMLP(D3.regular, 0, [8], key=key)
    with pytest.raises(ValueError, match="nothing linear is invariant"):
        models.InvariantMLP(
            D3.regular, 1, [2 * e], activation=nn.NormNonlinearity, pool="mean", key=key
        )
    with pytest.raises(TypeError, match="key"):
        models.MLP(D3.regular, e, [8])


def test_odd_functions_on_signed_permutations(key, x64):
    e = D4.irrep(1, 1)
    model = models.MLP(2 * e, e, [8 * e], activation=jnp.tanh, key=key)
    testing.assert_equivariant(model, key=key)


# ---- equivariance ------------------------------------------------

GROUPS = {**FINITE, "D3": D3}


@pytest.mark.parametrize("name", ["C5", "D3", "Q8", "C4xQ8"])
@pytest.mark.parametrize("activation", ["relu", "norm", "gated"])
def test_mlp_commutes(name, activation, key, x64):
    group = GROUPS[name]
    irreps = group.irreps()
    in_rep = in_random_basis(irreps[-1] + irreps[0] + irreps[-1], 1)
    options = {
        "relu": {"activation": jax.nn.relu},
        "norm": {"activation": nn.NormNonlinearity},
        "gated": {"activation": nn.GatedNonlinearity},
    }[activation]
    hidden = [group.regular.size + 1] if activation == "relu" else [2 * irreps[-1] + irreps[0]]
    model = models.MLP(in_rep, in_rep, hidden, key=key, **options)
    elements = group.testing_elements[:24]
    testing.assert_equivariant(
        jax.jit(lambda v: model(v)), in_rep, in_rep, key=key, elements=elements
    )
    # Long vectors: the norm nonlinearity silences those shorter than its bias of 1.
    x = 10 * np.random.default_rng(0).standard_normal((2, in_rep.size))
    assert np.abs(applied(model, x)).max() > 1e-3


@pytest.mark.parametrize(
    "name, pool", [("D4", "norm"), ("Q8", "norm"), ("C5", "quadratic"), ("D4", "mean")]
)
def test_invariant_mlp(name, pool, key, x64):
    group = GROUPS[name]
    in_rep = in_random_basis(group.regular, 2)
    model = models.InvariantMLP(in_rep, 3, [group.order, 2 * group.order], pool=pool, key=key)
    testing.assert_equivariant(jax.jit(lambda v: model(v)), in_rep, model.out_type, key=key)
    x = np.random.default_rng(0).standard_normal((4, in_rep.size))
    y = np.asarray(applied(model, x))
    assert y.shape == (4, 3)
    assert np.abs(y[0] - y[1]).max() > 1e-3  # it does depend on the input
    gradient = jax.jit(jax.grad(lambda v: model(v).sum()))(jnp.zeros(in_rep.size))
    assert np.isfinite(gradient).all()


def test_invariant_mlp_takes_a_layer_as_pool(key, x64):
    hidden = 2 * D4.regular
    pool = nn.IrrepNormPool(hidden, eps=0.1)
    model = models.InvariantMLP(D4.regular, 2, [16], pool=pool, key=key)
    testing.assert_equivariant(model, key=key)
    with pytest.raises(ValueError, match="pool: expected a layer from"):
        models.InvariantMLP(D4.regular, 2, [8], pool=pool, key=key)
    with pytest.raises(ValueError, match="pool: expected a layer from"):
        models.InvariantMLP(D4.regular, 2, [16], pool=nn.Identity(hidden), key=key)


def test_invariant_mlp_keeps_the_sign_of_invariants(key, x64):
    """Norm pooling alone would forget it; InvariantMLP passes trivial copies by value."""
    rep = 2 * D4.trivial
    model = models.InvariantMLP(rep, 1, [rep], pool="norm", activation=lambda v: v, key=key)
    model = eqx.tree_at(lambda m: m.head.bias, model, jnp.zeros_like(model.head.bias))
    x = np.array([1.0, 2.0])
    np.testing.assert_allclose(model(-x), -model(x), atol=1e-12)
    assert np.abs(applied(model, x)).max() > 1e-3


def test_dropout_keeps_equivariance_for_a_fixed_key(key, x64):
    """A fault of symm-learning 0.8.1: dropping single channels errs by 4.5."""
    model = models.MLP(D4.regular, D4.irrep(1, 1), [32, 32], dropout=0.5, key=key)
    testing.assert_equivariant(model, key=key, call_options={"key": key})
    x = np.random.default_rng(0).standard_normal((2, 8))
    assert not np.allclose(model(x, key=key), model(x, key=jax.random.key(1)))
    quiet = eqx.nn.inference_mode(model)
    assert np.array_equal(quiet(x), quiet(x, key=key))
    with pytest.raises(ValueError, match="key: needed in training"):
        model(x)


def test_biases_and_options_reach_every_layer(key):
    model = models.MLP(
        D4.regular, D4.regular, [16], use_bias=False, mode="dense", init="orthogonal",
        dtype=jnp.bfloat16, key=key,
    )  # fmt: skip
    for layer in linears(model):
        assert layer.bias is None
        assert layer.mode == "dense"
        assert {w.dtype for w in layer.weights.values()} == {jnp.dtype(jnp.bfloat16)}
    keys_differ = models.MLP(D4.regular, D4.regular, [8], key=key)
    a, b = linears(keys_differ)
    assert not np.array_equal(a.weight, b.weight)


def test_lie_group(key, x64):
    so3 = LIE["SO3"]
    hidden = 4 * so3.trivial + 4 * so3.irrep(1) + 2 * so3.irrep(2)
    model = models.MLP(
        so3.irrep(1) + so3.irrep(2),
        so3.irrep(1),
        [hidden],
        activation=nn.GatedNonlinearity,
        key=key,
    )
    testing.assert_equivariant(model, key=key)


def test_train_step_compiles_once(key):
    model = models.MLP(D4.regular, D4.irrep(1, 1), [16], key=key)
    x, y = jnp.ones((4, 8)), jnp.ones((4, 2))

    def step(model, x, y):
        gradient = eqx.filter_grad(lambda m: jnp.mean((m(x) - y) ** 2))(model)
        return jax.tree.map(lambda p, g: p - 0.1 * g if eqx.is_array(p) else p, model, gradient)

    with testing.count_traces(step) as (jitted, counter):
        for seed in range(3):
            model = jitted(model, x + seed, y)
        other = models.MLP(D4.regular, D4.irrep(1, 1), [16], key=jax.random.key(1))
        jitted(other, x, y)
    assert counter.count == 1


# ---- learning ------------------------------------------------


def parameters(model) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(model) if eqx.is_array(leaf))


class Plain(eqx.Module):
    """An unconstrained MLP of one hidden layer."""

    first: eqx.nn.Linear
    last: eqx.nn.Linear

    def __init__(self, size_in, width, size_out, key):
        keys = jax.random.split(key)
        self.first = eqx.nn.Linear(size_in, width, key=keys[0])
        self.last = eqx.nn.Linear(width, size_out, key=keys[1])

    def __call__(self, x):
        hidden = jax.nn.relu(x @ self.first.weight.T + self.first.bias)
        return hidden @ self.last.weight.T + self.last.bias


def train(model, x, y, steps=150):
    optimizer = optax.adam(1e-2)
    state = optimizer.init(eqx.filter(model, eqx.is_array))

    @eqx.filter_jit
    def run(model, state):
        gradient = eqx.filter_grad(lambda m: jnp.mean((m(x) - y) ** 2))(model)
        with jax.numpy_dtype_promotion("standard"):  # optax adds integers to floats
            updates, state = optimizer.update(gradient, state)
        return eqx.apply_updates(model, updates), state

    for _ in range(steps):
        model, state = run(model, state)
    return model


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_symmetry_helps_at_equal_parameters(seed):
    """A vector field with the symmetry of the square, learnt from few samples."""
    e = D4.irrep(1, 1)
    in_rep = represent(D4, (2 * e).irreps, orthogonal(np.random.default_rng(7), 4), "two vectors")
    rng = np.random.default_rng(seed)

    def target(v):
        u = v @ in_rep.change_of_basis
        a, b = u[:, :2], u[:, 2:]
        # |a|^2 b and the cubic (a_x^3, a_y^3) commute with the square's symmetries.
        return (a**2).sum(axis=1, keepdims=True) * b + 0.5 * a**3

    x, x_test = rng.standard_normal((64, 4)), rng.standard_normal((512, 4))
    y, y_test = target(x), target(x_test)
    for g in D4.generators:
        np.testing.assert_allclose(target(in_rep.transform(x, g)), y @ e(g).T, atol=1e-10)
    key = jax.random.key(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        symmetric = models.MLP(in_rep, e, [128], key=key)
    width = parameters(symmetric) // (4 + 1 + 2)
    plain = Plain(4, width, 2, key)
    assert abs(parameters(plain) / parameters(symmetric) - 1) < 0.1
    data = [jnp.asarray(v, jnp.float32) for v in (x, y, x_test, y_test)]

    def loss(model):
        return float(jnp.mean((train(model, *data[:2])(data[2]) - data[3]) ** 2))

    assert loss(symmetric) < 0.7 * loss(plain)
