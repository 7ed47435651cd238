"""Where features stay irrep by irrep: what chains choose, and that numbers do not depend on it."""

import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from equivax import IrrepTensor, groups, hom, models, nn
from equivax.nn._core._ways import Ways, cheapest
from laws import normal, one_in, relative

D4 = groups.dihedral(4)
R = D4.regular


def turns(function, x) -> tuple[int, int]:
    """How often a program turns arrays to irreps, and back."""
    program = str(jax.make_jaxpr(function)(x))
    return program.count("name=_to_irrep_wise"), program.count("name=_from_irrep_wise")


def block(copies: int, key, **options) -> models.MLP:
    wide = 4 * copies
    return models.MLP(
        copies * R, copies * R, [wide * R], activation=jax.nn.gelu, key=key, **options
    )


# ---- what is chosen ----------------------------------------------------------------------------


def test_a_wide_block_turns_at_its_ends_on_a_gpu_and_never_on_a_cpu(key):
    model = eqx.filter_eval_shape(lambda k: block(160, k), key)
    for dtype in (jnp.float32, jnp.bfloat16):
        model = jax.tree.map(lambda leaf, d=dtype: jnp.zeros(leaf.shape, d), model)
        x = jax.ShapeDtypeStruct((16384, 1280), dtype)
        assert turns(model, x) == (0, 0)
        with hom.assume_platform("gpu"):
            assert turns(lambda x, m=model: m(x), x) == (1, 1)


def test_modes_are_kept(key):
    x = normal(5, 64)
    assert turns(block(8, key, mode="irreps"), x) == (1, 1)
    with hom.assume_platform("gpu"):
        wide = jax.ShapeDtypeStruct((16384, 1280), jnp.float32)
        for mode in ("dense", "spectral"):
            model = eqx.filter_eval_shape(lambda k, m=mode: block(160, k, mode=m), key)
            model = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), model)
            assert turns(model, wide) == (0, 0)


def test_a_layer_without_a_formula_goes_by_way_of_an_array(key):
    linear = nn.Linear(4 * R, 4 * R, mode="irreps", key=key)
    between = nn.QuadraticPool(4 * R)
    back = nn.Linear(between.out_type, R, key=key)
    model = nn.Sequential(linear, nn.ReLU(4 * R), between, back)
    assert turns(model, normal(3, 32)) == (1, 1)
    inner = nn.Sequential(linear, nn.Sequential(nn.ReLU(4 * R), linear), nn.RMSNorm(4 * R))
    assert turns(inner, normal(3, 32)) == (1, 1)


@pytest.mark.parametrize("pool", one_in(3, ["mean", "norm", "quadratic"]))
def test_invariants_are_taken_of_irreps(pool, key):
    def made(mode):
        return models.InvariantMLP(4 * R, 3, [8 * R, 4 * R], pool=pool, mode=mode, key=key)

    x = normal(5, 32)
    assert turns(made("irreps"), x) == (1, 1)
    assert relative(made("irreps")(x), made("dense")(x)) <= 1e-5


class Priced(nn.AbstractModule):
    """A layer with given costs."""

    in_type: object = eqx.field(static=True)
    out_type: object = eqx.field(static=True)
    ways: Ways = eqx.field(static=True)

    def costs_of_ways(self, rows, prices):
        return self.ways

    def _forward(self, x, key=None):
        return x

    def export(self):
        return eqx.nn.Identity()


@pytest.mark.parametrize("seed", range(20))
def test_the_path_is_the_cheapest_of_all(seed):
    rng = np.random.default_rng(seed)
    prices = hom.Machine(carry=0.0, entry=0.0, weight=0.0, convert=1.0)
    types = [int(n) * R for n in rng.integers(1, 4, size=6)]
    layers = [
        Priced(a, b, Ways(*(float(c) for c in rng.choice([0.0, 5.0, 20.0, math.inf], 2))))
        for a, b in itertools.pairwise(types)
    ]
    for start, stop in itertools.product([False, True], repeat=2):
        costs = {}
        for path in itertools.product([False, True], repeat=len(layers)):
            cost, before = 0.0, start
            for layer, own in zip(layers, path, strict=True):
                cost += (before != own) * layer.in_type.size
                cost += layer.ways.irreps if own else layer.ways.arrays
                before = own
            costs[path] = cost + (before != stop) * types[-1].size
        found, path = cheapest(layers, 1, prices, start, stop)
        assert found == min(costs.values())
        assert path == () if math.isinf(found) else costs[path] == found


def test_platforms_are_known():
    with (
        pytest.raises(ValueError, match="platform: expected 'cpu', 'gpu' or 'tpu', got 'npu'"),
        hom.assume_platform("npu"),
    ):
        pass


# ---- that numbers do not depend on it ----------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "activation", one_in(3, [nn.GatedNonlinearity, nn.NormNonlinearity, jax.nn.gelu])
)
def test_models_give_the_same_numbers_on_every_way(activation, key):
    rep = 3 * R + D4.irrep(1, 1)
    hidden = [4 * R, 2 * R]

    def made(mode):
        net = models.MLP(
            rep, R, hidden, activation=activation, dropout=0.3, mode=mode, dtype=float, key=key
        )
        return eqx.tree_at(lambda n: [n.layers[2].inference], net, [True])

    x = normal(7, rep.size)
    dense, irrep_wise = made("dense"), made("irreps")
    assert turns(lambda x: irrep_wise(x, key=key), x) == (1, 1)
    expected = dense(x, key=key)

    def slopes(model, x):
        return jax.tree.leaves(eqx.filter_grad(lambda m: jnp.sum(m(x, key=key) ** 3))(model))

    assert relative(irrep_wise(x, key=key), expected) <= 1e-12
    assert relative(eqx.filter_jit(irrep_wise)(x, key=key), expected) <= 1e-12
    assert relative(irrep_wise.layers[:1](x[0]), dense.layers[:1](x[0])) <= 1e-12
    for one, other in zip(slopes(irrep_wise, x), slopes(dense, x), strict=True):
        assert np.allclose(one, other, rtol=1e-9, atol=1e-9)
    quiet = eqx.nn.inference_mode(irrep_wise)
    assert relative(jax.vmap(quiet)(x), eqx.nn.inference_mode(dense)(x)) <= 1e-12


def test_a_batch_of_any_size_is_exported(key):
    model = block(128, key)
    with hom.assume_platform("gpu"):
        x = jax.ShapeDtypeStruct(export.symbolic_shape("b, 1024"), jnp.float32)
        program = export.export(jax.jit(lambda x: model(x)))(x)
        assert turns(lambda x: model(x), jax.ShapeDtypeStruct((16384, 1024), jnp.float32)) == (1, 1)
    given = normal(3, 1024)
    assert relative(program.call(given), model(given)) <= 1e-5


# ---- 16 bits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Linear", "MLP", "norm", "pointwise"])
@pytest.mark.parametrize("carrier", ["array", "irreps"])
def test_symmetry_is_as_good_as_the_rounding_of_the_output(name, carrier, key):
    """In bfloat16 rho(g) x is the same numbers elsewhere, so only the layer can err."""
    rep = 32 * R
    module = {
        "Linear": nn.Linear(rep, rep, mode="irreps", key=key),
        "MLP": block(32, key, mode="irreps"),
        "norm": nn.Sequential(nn.LayerNorm(rep), nn.NormNonlinearity(rep)),
        "pointwise": nn.PointwiseNonlinearity(rep, jax.nn.gelu),
    }[name]
    module = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), module)
    x = normal(64, rep.size, dtype=jnp.bfloat16)

    def run(x):
        if carrier == "array":
            return np.asarray(module(x), np.float64)
        return np.asarray(module(IrrepTensor.of(rep, x)).array, np.float64)

    with hom.assume_platform("cpu" if carrier == "array" else "gpu"):
        y, rounding = run(x), 2.0**-8
        for g in D4.elements:
            matrix = rep(g)
            moved = jnp.asarray(np.asarray(x, np.float64) @ matrix.T, jnp.bfloat16)
            error = np.abs(run(moved) - y @ matrix.T)
            assert error.max() <= 2 * rounding * np.abs(y).max()
            assert np.sqrt(np.mean(error**2)) <= rounding * np.sqrt(np.mean(y**2))
