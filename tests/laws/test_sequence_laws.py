"""The laws of modules on tokens, over the table of cases."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cases import SEQUENCES
from equivax import IrrepTensor
from laws import SAME, assert_free_of_equivax, cast, normal, on_every, relative
from vector_orbits import orbit, randomized

by_sequence = pytest.mark.parametrize("name", on_every(SEQUENCES))
TOKENS = 5

#: Layers whose derivatives are compiled in every run; those of whole networks are made of them.
QUICK = {
    "MultiheadAttention [D3: regulars]",
    "MultiheadAttention with rotary positions [Q8: turned]",
    "MultiheadAttention with absolute positions [D4: turned]",
    "RotaryPositions [C8: regular]",
}
by_quick_sequence = pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SEQUENCES],
)
#: Of a whole network in float64.
EXACT = 1e-10


def types_of(module):
    types = module.in_type
    return types if isinstance(types, tuple) else (types,)


def inputs_of(module, *batch, dtype=None):
    """Tokens of every input; those of a memory are as many."""
    return [
        normal(*batch, TOKENS, type_.size, seed=seed, dtype=dtype)
        for seed, type_ in enumerate(types_of(module))
    ]


def options_of(case, module, key):
    options = case.options(module, key)
    if case.recipe.masked:
        # Not causal, and one row that sees nothing.
        options["mask"] = jnp.asarray(np.random.default_rng(3).random((TOKENS, TOKENS)) < 0.6)
        options["mask"] = options["mask"].at[2].set(False)
    return options


def turned(type_, x):
    """``x`` and all ``rho(g) x``, with the elements in front."""
    rows = x.reshape(-1, x.shape[-1])
    return jnp.asarray(orbit(type_, rows).reshape(-1, *x.shape), x.dtype)


@pytest.mark.usefixtures("x64")
@by_sequence
def test_modules_on_tokens_commute_with_the_group_and_with_batches(name, key):
    case = SEQUENCES[name]
    module = randomized(case, key)
    options = options_of(case, module, key)
    inputs = inputs_of(module, 2)
    orbits = [turned(t, x) for t, x in zip(types_of(module), inputs, strict=True)]
    order = np.random.default_rng(0).permutation(TOKENS)

    @eqx.filter_jit
    def run(module, orbits, options):
        first = [x[0] for x in orbits]
        over = jax.vmap(lambda *x: module(*x, **options))(*orbits)
        vmapped = jax.vmap(lambda *x: module(*x, **options))(*first)
        irreps = [IrrepTensor.of(t, x) for t, x in zip(types_of(module), first, strict=True)]
        by_irreps = module(*irreps, **options)
        moved = None
        if case.recipe.permutes:
            mask = options["mask"][order][:, order]
            moved = module(*(x[:, order] for x in first), **options | {"mask": mask})
        none = module(*(x[:0] for x in first), **options)
        return over, vmapped, by_irreps, moved, none

    with jax.default_matmul_precision("highest"):
        outputs, vmapped, by_irreps, moved, none = run(module, orbits, options)
    assert outputs.dtype == jnp.float64
    assert relative(outputs, turned(module.out_type, outputs[0])) <= EXACT
    assert np.ptp(np.asarray(outputs)) > 0.1  # what is constant commutes with anything
    assert isinstance(by_irreps, IrrepTensor)
    assert by_irreps.type == module.out_type
    assert none.shape == (0, *outputs.shape[2:])
    if not case.recipe.needs_key:
        allowed = 100 * SAME * case.recipe.depth
        assert relative(vmapped, outputs[0]) <= allowed
        assert relative(by_irreps.array, outputs[0]) <= allowed
        if moved is not None:
            assert relative(moved, outputs[0][:, order]) <= allowed


@pytest.mark.usefixtures("x64")
@by_sequence
def test_exports_of_modules_on_tokens_are_the_same_functions(name, key):
    case = SEQUENCES[name]
    module = eqx.nn.inference_mode(randomized(case, key))
    inputs = inputs_of(module)
    plain = eqx.filter_jit(lambda m: m.export())(module)
    assert_free_of_equivax(plain)
    options = options_of(case, module, key)
    options.pop("key", None)
    if "Transformer" in name and "in time" not in name:
        kind = eqx.nn.MultiheadAttention
        kinds = jax.tree.leaves(plain, is_leaf=lambda node: isinstance(node, kind))
        assert any(isinstance(node, kind) for node in kinds)
    given = inputs * 3 if isinstance(plain, eqx.nn.MultiheadAttention) else inputs
    found = eqx.filter_jit(lambda f, x, o: f(*x, **o))(plain, given, options)
    expected = eqx.filter_jit(lambda f, x, o: f(*x, **o))(module, inputs, options)
    assert relative(found, expected) <= 100 * SAME * case.recipe.depth


@by_quick_sequence
def test_gradients_of_modules_on_tokens_are_finite_and_alike_by_irreps(name, key, precision):
    case = SEQUENCES[name]
    module = randomized(case, key)
    options = options_of(case, module, key)

    @eqx.filter_jit
    def gradients(module, inputs, options):
        def loss(pair, irrep_wise):
            call, x = pair
            if irrep_wise:
                x = [IrrepTensor.of(t, v) for t, v in zip(types_of(module), x, strict=True)]
            y = call(*x, **options)
            return ((y.array if irrep_wise else y) ** 2).sum()

        slope = eqx.filter_grad(loss)
        return slope((module, inputs), False), slope((module, inputs), True)

    inputs = inputs_of(module, 2)
    with jax.default_matmul_precision("highest"):
        one, other = gradients(module, inputs, options)
    largest = max(float(jnp.abs(leaf).max(initial=0.0)) for leaf in jax.tree.leaves(one))
    for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True):
        assert np.isfinite(a).all()
        if not case.recipe.needs_key:
            # two orders of summation in float32
            assert float(jnp.abs(a - b).max(initial=0.0)) <= 3e-4 * largest
    at_zero, _ = gradients(module, [jnp.zeros_like(x) for x in inputs], options)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(at_zero))

    # Sixteen bits: what goes in comes out.
    coarse = cast((module, inputs), jnp.bfloat16)
    y = eqx.filter_jit(lambda m, x, o: m(*x, **o))(*coarse, options)
    assert y.dtype == jnp.bfloat16
    exact = eqx.filter_jit(lambda m, x, o: m(*x, **o))(*cast(coarse, jnp.float32), options)
    # 8 bits: 0.4 % per rounding, which the softmax of large logits enlarges
    spread = relative(y.astype(jnp.float32), exact)
    assert spread < 0.1 * (1 + case.recipe.depth)
