"""The laws of every module, over the table of cases."""

import io
import math
import subprocess
import sys
import types as python_types
from pathlib import Path
from typing import Any

import cases
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import CASES, LAYERS, RECIPES, TYPES, Case

import equivax as evx
from equivax import nn, testing

#: Relative error of one layer: rounding of its longest sums, a few hundred terms (law 5).
EXACT = {"float64": 1e-12, "float32": 1e-5}
#: Two orders of summation of one expression in float64.
SAME = 1e-13

by_layer = pytest.mark.parametrize("name", LAYERS)
by_case = pytest.mark.parametrize("name", CASES)


def randomized(case: Case, key: jax.Array) -> Any:
    """The module with every parameter, biases too, from a normal distribution.

    Drawn by NumPy: jax.random would compile once per shape.
    """
    module = eqx.filter_eval_shape(case.build, key)
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: jnp.asarray(rng.standard_normal(leaf.shape), leaf.dtype)
        if isinstance(leaf, jax.ShapeDtypeStruct)
        else leaf,
        module,
    )


def normal(*shape: int, seed: int = 1, dtype: Any = None) -> jax.Array:
    dtype = jnp.result_type(float) if dtype is None else dtype
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


def bound(case: Case, dtype: str) -> float:
    return EXACT[dtype] * case.recipe.depth


def applied(module: Any, x: jax.Array, options: dict[str, Any]) -> jax.Array:
    """The compiled call, at the highest precision."""
    with jax.default_matmul_precision("highest"):
        return eqx.filter_jit(lambda m, v, o: m(v, **o))(module, x, options)


def relative(a: Any, b: Any) -> float:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert a.shape == b.shape
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30))


# ---- equivariance ------------------------------------------------------------------------------


def orbit(rep: Any, x: np.ndarray) -> np.ndarray:
    """``x`` and all ``rho(g) x``, ``(1 + elements, batch, n)``."""
    matrices = rep.evaluate(np.asarray(rep.group.testing_coordinates))
    return np.concatenate([x[None], np.einsum("eij,bj->ebi", matrices, x)])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("group", "type_"), TYPES)
def test_every_layer_commutes_with_every_element_in_float64(group, type_, key):
    rep = cases.types(group)[type_]
    chosen = {
        name: Case(recipe, group, type_)
        for name, recipe in RECIPES.items()
        if recipe.kind == "vectors" and recipe.fits(rep)
    }
    modules, inputs, options = {}, {}, {}
    for number, (name, case) in enumerate(chosen.items()):
        own = jax.random.fold_in(key, number)
        modules[name] = randomized(case, own)
        x = np.random.default_rng(number).standard_normal((2, modules[name].in_type.size))
        inputs[name] = jnp.asarray(orbit(modules[name].in_type, x))
        options[name] = case.options(modules[name], own)

    @eqx.filter_jit  # one compilation for all layers of a type
    def run(modules, inputs, options):
        # Under vmap over group elements, layers with a key draw the same numbers for each.
        return {
            name: jax.vmap(lambda v, name=name: modules[name](v, **options[name]))(inputs[name])
            for name in modules
        }

    with jax.default_matmul_precision("highest"):
        outputs = run(modules, inputs, options)
    errors = {}
    for name, case in chosen.items():
        y = np.asarray(outputs[name])
        assert y.dtype == np.float64
        assert np.isfinite(y).all()

        expected = orbit(modules[name].out_type, y[0])
        error = relative(y, expected)
        if not error <= bound(case, "float64"):
            errors[name] = error
    assert not errors


@by_layer
def test_layers_commute_in_float32(name, key):
    case = LAYERS[name]
    module = randomized(case, key)
    options = case.options(module, key)
    jitted = eqx.filter_jit(lambda x: module(x, **options))
    testing.assert_equivariant(
        jitted, module.in_type, module.out_type, key=key, rtol=bound(case, "float32")
    )


def test_the_law_notices_a_layer_that_does_not_commute(key):
    G = evx.groups.dihedral(4)
    layer = nn.Linear(G.regular, G.regular, key=key)
    wrong = layer.weight.at[0, 1].add(1e-3)
    with pytest.raises(AssertionError, match="not equivariant"):
        testing.assert_equivariant(lambda x: x @ wrong.T, G.regular, G.regular, key=key)
    # The same function between other types of the same sizes.
    with pytest.raises(AssertionError, match="not equivariant"):
        testing.assert_equivariant(layer, G.regular, G.regular.isotypic(), key=key)
        testing.assert_equivariant(layer, G.regular, 8 * G.trivial, key=key)


# ---- shapes, batches, compilation -------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@by_layer
def test_single_vmapped_batched_and_compiled_calls_agree(name, key):
    case = LAYERS[name]
    module = randomized(case, key)
    options = case.options(module, key)
    x = normal(2, 3, module.in_type.size)
    eager = module(x, **options)
    assert eager.shape == (2, 3, module.out_type.size)
    assert relative(eqx.filter_jit(module)(x, **options), eager) <= SAME * case.recipe.depth

    def single(v):
        return module(v, **options)

    assert single(x[1, 2]).shape == (module.out_type.size,)
    vmapped = jax.vmap(jax.vmap(single))(x)
    if case.recipe.needs_key:  # a batch gets a mask per example, vmap the same mask for all
        assert relative(vmapped[1, 2], single(x[1, 2])) <= SAME * case.recipe.depth
        return
    assert relative(vmapped, eager) <= SAME * case.recipe.depth
    assert relative(single(x[1, 2]), eager[1, 2]) <= SAME * case.recipe.depth
    assert module(x[:0], **options).shape == (0, 3, module.out_type.size)


@by_layer
def test_evaluate_output_shape_is_the_shape(name):
    case = LAYERS[name]
    module = case.build(jax.random.key(0))
    n, m = module.in_type.size, module.out_type.size
    for leading in ((), (5,), (2, 3)):
        assert module.evaluate_output_shape((*leading, n)) == (*leading, m)
    with pytest.raises(ValueError, match=rf"expected \(\.\.\., {n}\)"):
        module.evaluate_output_shape((2, n + 1))


@by_case
def test_equal_modules_share_a_compilation(name, key):
    case = CASES[name]
    one = case.build(key)
    other = case.build(jax.random.split(key)[0], fresh=True)
    assert jax.tree.structure(one) == jax.tree.structure(other)
    assert hash(jax.tree.structure(one)) == hash(jax.tree.structure(other))
    x = projection_input(case, key) if case.recipe.kind == "projection" else None
    options = {}
    if x is None:
        x = normal(2, one.in_type.size)
        options = case.options(one, key)
    with testing.count_traces(lambda m, v, o: m(v, **o)) as (jitted, traces):
        jitted(one, x, options)
        jitted(other, x, options)
    assert traces.count == 1


# ---- leaves ------------------------------------------------------------------------------------


@by_case
def test_leaves_are_the_parameters(name, key):
    case = CASES[name]
    module = case.build(key)
    testing.assert_only_parameters(module, expected=case.recipe.parameters(module))
    for leaf in jax.tree.leaves(module):
        # `inference` of dropout is a flag that `equinox.nn.inference_mode` finds among the leaves.
        assert isinstance(leaf, (jax.Array, bool))


@pytest.mark.parametrize(("group", "type_"), TYPES)
def test_parameters_of_a_linear_layer_are_hom_and_invariants(group, type_, key):
    case = Case(RECIPES["Linear"], group, type_)
    module = eqx.filter_eval_shape(case.build, key)
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(module))
    expected = cases.hom_dimension(module.in_type, module.out_type)
    assert count == expected + cases.invariant_dimension(module.out_type)
    assert all(
        a.shape[-1] in (1, 2, 4) and a.ndim == 3 for a in jax.tree.leaves(module.weights)
    )


@by_layer
def test_modules_work_without_filters(name, key):
    case = LAYERS[name]
    if case.recipe.covers is nn.FieldDropout or case.recipe.exports_inference:
        pytest.skip("the flag of dropout is a leaf, as Equinox has it")
    module = case.build(key)
    x = normal(2, module.in_type.size)
    options = case.options(module, key)
    gradient = jax.jit(jax.grad(lambda m: (m(x, **options) ** 2).sum()))(module)
    assert jax.tree.structure(gradient) == jax.tree.structure(module)
    optax.adamw(1e-3).init(module)


# ---- training ----------------------------------------------------------------------------------

TRAINED = [name for name, case in LAYERS.items() if case.recipe.parameters is not cases._no_parameters]
OPTIMISERS = {
    "adamw": lambda: optax.adamw(1e-2, weight_decay=0.1),
    "noisy_sgd": lambda: optax.noisy_sgd(1e-3, eta=0.1),
}


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("name", TRAINED)
def test_training_keeps_equivariance(name, optimiser, key):
    case = LAYERS[name]
    module = case.build(key)
    parameters, static = eqx.partition(module, eqx.is_inexact_array)
    if not jax.tree.leaves(parameters):
        pytest.skip("no parameter on this type")
    options = case.options(module, key)
    x = normal(8, module.in_type.size)
    target = normal(8, module.out_type.size, seed=2)
    optimizer = OPTIMISERS[optimiser]()

    @jax.jit
    def step(parameters, state):
        def loss(p):
            return ((eqx.combine(p, static)(x, **options) - target) ** 2).mean()

        gradient = jax.grad(loss)(parameters)
        with jax.numpy_dtype_promotion("standard"):  # optax promotes its step count
            updates, state = optimizer.update(gradient, state, parameters)
        return optax.apply_updates(parameters, updates), state

    trained, state = parameters, optimizer.init(parameters)
    for _ in range(20):
        trained, state = step(trained, state)
    moved = [
        float(np.abs(a - b).max())
        for a, b in zip(jax.tree.leaves(trained), jax.tree.leaves(parameters), strict=True)
    ]
    assert min(moved) > 1e-4
    module = eqx.combine(trained, static)
    testing.assert_equivariant(
        eqx.filter_jit(lambda v: module(v, **options)),
        module.in_type,
        module.out_type,
        key=key,
        rtol=bound(case, "float32"),
    )


# ---- gradients ---------------------------------------------------------------------------------


def degenerate_inputs(size: int, field: int) -> np.ndarray:
    """Inputs at which norms, ties and quotients are singular."""
    copies = np.resize(np.random.default_rng(0).standard_normal(field), size)
    return np.stack(
        [
            np.zeros(size),
            np.ones(size),
            np.eye(size)[0],
            np.eye(size)[-1],
            copies,
            1e-19 * copies,  # squares vanish in float32
            1e6 * copies,
        ]
    )


@by_layer
def test_gradients_are_finite_at_degenerate_inputs(name, key):
    case = LAYERS[name]
    module = case.build(key)
    options = case.options(module, key)
    field = module.in_type.summands[0].size
    inputs = jnp.asarray(degenerate_inputs(module.in_type.size, field), jnp.float32)

    @eqx.filter_jit
    def gradients(module, inputs):
        def at(v):
            return eqx.filter_grad(lambda pair: (pair[0](pair[1], **options) ** 2).sum())(
                (module, v)
            )

        return jax.vmap(at)(inputs)

    found = gradients(module, inputs)
    assert jax.tree.leaves(found)
    for path, leaf in jax.tree_util.tree_leaves_with_path(found):
        assert np.isfinite(np.asarray(leaf)).all(), jax.tree_util.keystr(path)


# ---- storage -----------------------------------------------------------------------------------


@by_case
def test_leaves_survive_a_file_and_an_abstract_construction(name, key):
    case = CASES[name]
    module = randomized(case, key)
    buffer = io.BytesIO()
    eqx.tree_serialise_leaves(buffer, module)
    buffer.seek(0)
    like = eqx.filter_eval_shape(case.build, key)
    restored = eqx.tree_deserialise_leaves(buffer, like)
    assert jax.tree.structure(restored) == jax.tree.structure(module)
    for one, other in zip(jax.tree.leaves(restored), jax.tree.leaves(module), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("group", "type_"), TYPES)
def test_modes_of_linear_are_one_function_of_the_same_file(group, type_, key):
    modules = {}
    for mode in ("Linear dense", "Linear spectral", "Linear"):
        modules[mode] = Case(RECIPES[mode], group, type_).build(key)
    saved = testing.randomize_parameters(modules["Linear"], key)
    buffer = io.BytesIO()
    eqx.tree_serialise_leaves(buffer, saved)
    x = normal(3, saved.in_type.size)
    expected = x @ saved.weight.T
    if saved.bias is not None:
        expected += saved.bias
    for module in modules.values():
        buffer.seek(0)
        restored = eqx.tree_deserialise_leaves(buffer, module)
        assert relative(restored(x), expected) <= SAME


# ---- export ------------------------------------------------------------------------------------


def reachable(thing: Any, path: str = "export") -> list[tuple[str, Any]]:
    """Every object that an exported module holds: fields, functions, globals and closures."""
    found, open_, seen = [], [(path, thing)], set()
    while open_:
        where, item = open_.pop()
        if id(item) in seen or isinstance(item, (str, int, float, bool, type(None))):
            continue
        seen.add(id(item))
        found.append((where, item))
        if isinstance(item, python_types.ModuleType | jax.Array | np.ndarray):
            continue
        if isinstance(item, dict):
            open_ += [(f"{where}[{k!r}]", v) for k, v in item.items() if k != "__builtins__"]
        elif isinstance(item, (tuple, list)):
            open_ += [(f"{where}[{k}]", v) for k, v in enumerate(item)]
        elif isinstance(item, eqx.Module):
            fields = {f: getattr(item, f, None) for f in item.__dataclass_fields__}
            open_ += [(f"{where}.{k}", v) for k, v in fields.items()]
        elif isinstance(item, jax.tree_util.Partial):
            open_ += [(f"{where}.func", item.func), (f"{where}.args", item.args)]
            open_.append((f"{where}.keywords", item.keywords))
        elif isinstance(item, python_types.FunctionType) and not _of_jax(item):
            open_.append((f"{where}.globals", item.__globals__))
            open_ += [(f"{where}.closure", c.cell_contents) for c in item.__closure__ or ()]
            open_.append((f"{where}.defaults", item.__defaults__ or ()))
    return found


def _of_jax(function: Any) -> bool:
    return (function.__module__ or "").split(".")[0] in ("jax", "jaxlib", "equinox", "numpy", "builtins")


def assert_free_of_equivax(thing: Any) -> None:
    for where, item in reachable(thing):
        for owner in (item, type(item)):
            module = getattr(owner, "__module__", None) or getattr(owner, "__name__", "")
            assert not str(module).startswith("equivax"), f"{where} is {item!r} of {module}"


def test_the_search_for_equivax_finds_it():
    G = evx.groups.cyclic(2)
    for hidden in (
        nn.Identity(G.regular),
        eqx.nn.Lambda(nn.squash),
        eqx.nn.Lambda(jax.tree_util.Partial(lambda rep, x: x, G.regular)),
        eqx.nn.Lambda(lambda x: nn.squash(x)),
    ):
        with pytest.raises(AssertionError, match="of equivax"):
            assert_free_of_equivax(hidden)


def exported_call(case: Case, module: Any, options: dict[str, Any]) -> Any:
    exported = module.export()
    if case.recipe.film:
        return lambda v: exported(v, options["scale"], options.get("bias"))
    return exported


@pytest.mark.usefixtures("x64")
@by_layer
def test_export_is_the_same_function_without_equivax(name, key):
    case = LAYERS[name]
    module = randomized(case, key)
    options = case.options(module, key)
    x = normal(4, module.in_type.size)
    exported = module.export()
    assert_free_of_equivax(exported)
    plain = exported_call(case, module, options)
    if case.recipe.exports_inference:
        module, options = eqx.nn.inference_mode(module), {}
    error = relative(eqx.filter_jit(jax.vmap(plain))(x), module(x, **options))
    assert error <= SAME * 10 * case.recipe.depth  # one dense product per layer


class Wrapper(eqx.Module):
    """A user's model around layers."""

    first: nn.Linear
    rest: list[Any]

    def __call__(self, x):
        x = self.first(x)
        for layer in self.rest:
            x = layer(x)
        return x


def test_export_of_a_users_model(key):
    G = evx.groups.dihedral(3)
    keys = jax.random.split(key, 2)
    hidden = 2 * G.regular
    model = Wrapper(
        nn.Linear(G.regular, hidden, key=keys[0]),
        [nn.ReLU(hidden), eqx.nn.Lambda(jnp.sin), nn.Linear(hidden, G.regular, key=keys[1])],
    )
    plain = evx.export(model)
    assert type(plain) is Wrapper
    assert_free_of_equivax([plain.first, plain.rest])
    x = normal(3, 6)
    # float32: one dense product against one in blocks
    assert relative(jax.vmap(plain)(x), model(x)) <= 1e-5


WITHOUT_EQUIVAX = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "equivax":
            raise ImportError("equivax is not installed here")

sys.meta_path.insert(0, Refuse())
import cloudpickle, jax, numpy as np

with open(sys.argv[1], "rb") as file:
    exports = cloudpickle.load(file)
worst = 0.0
for name, (function, arguments, expected) in exports.items():
    found = np.asarray(jax.vmap(lambda v: function(v, *arguments[1:]))(arguments[0]))
    error = np.abs(found - expected).max() / np.abs(expected).max()
    if not error <= 1e-4:
        raise SystemExit(f"{name}: {error}")
try:
    import equivax
except ImportError:
    print(len(exports), "exports run without equivax")
"""


def test_pickled_exports_run_where_equivax_is_not_installed(tmp_path, key):
    cloudpickle = pytest.importorskip("cloudpickle")
    exports = {}
    for name, case in LAYERS.items():
        module = randomized(case, key)
        options = case.options(module, key)
        x = normal(3, module.in_type.size)
        plain = module.export()
        extra = (options["scale"], options.get("bias")) if case.recipe.film else ()
        if case.recipe.exports_inference:
            module, options = eqx.nn.inference_mode(module), {}
        exports[name] = (plain, (x, *extra), np.asarray(applied(module, x, options)))
    file = tmp_path / "exports.pkl"
    file.write_bytes(cloudpickle.dumps(exports))
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_EQUIVAX, str(file)], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == f"{len(LAYERS)} exports run without equivax"


# ---- dtypes ------------------------------------------------------------------------------------


def cast(tree: Any, dtype: Any) -> Any:
    return jax.tree.map(lambda a: a.astype(dtype) if eqx.is_inexact_array(a) else a, tree)


@by_layer
def test_sixteen_bits_there_and_back_change_parameters_only(name, key):
    case = LAYERS[name]
    module = randomized(case, key)
    options = case.options(module, key)
    coarse = cast(module, jnp.bfloat16)
    x = normal(3, module.in_type.size)
    y = applied(coarse, x.astype(jnp.bfloat16), cast(options, jnp.bfloat16))
    assert y.dtype == jnp.bfloat16
    assert np.isfinite(np.asarray(y, np.float32)).all()
    exact = applied(module, x, options)
    # bfloat16 has 8 bits: 2^-8 = 0.4 % per rounding, some roundings per layer
    assert relative(y.astype(jnp.float32), exact) < 0.03 * (1 + case.recipe.depth)
    back = cast(coarse, jnp.float32)
    assert jax.tree.structure(back) == jax.tree.structure(module)
    testing.assert_equivariant(
        eqx.filter_jit(lambda v: back(v, **options)),
        module.in_type,
        module.out_type,
        key=key,
        rtol=bound(case, "float32"),
    )


@by_layer
def test_float32_stays_float32_where_float64_is_possible(name, key, precision):
    case = LAYERS[name]
    module = randomized(case, key)
    options = case.options(module, key)
    x = normal(2, module.in_type.size)
    expected = applied(module, x, options)
    assert expected.dtype == jnp.float32
    with precision(True):
        found = applied(module, x, options)
        assert found.dtype == jnp.float32
        assert relative(found, expected) <= bound(case, "float32")
        # A NumPy array is an array.
        assert module(np.asarray(x), **options).dtype == jnp.float32
    with precision(False):
        assert relative(applied(module, x, options), expected) <= bound(case, "float32")


BOTH_FLAGS = """
import sys
sys.path.insert(0, {tests!r})
import conftest, cases, jax, numpy as np
from equivax import testing

results = {{}}
for flag in {order}:
    with conftest.enable_x64(flag):
        for name, case in cases.LAYERS.items():
            if cases.GROUPS[case.group]().order is None or case.recipe.depth > 1:
                continue
            module = case.build(jax.random.key(0))
            leaves, tree = jax.tree.flatten(module)
            rng = np.random.default_rng(0)
            dtype = np.float64 if flag else np.float32
            leaves = [
                jax.numpy.asarray(rng.standard_normal(a.shape), dtype) if hasattr(a, "shape") else a
                for a in leaves
            ]
            module = jax.tree.unflatten(tree, leaves)
            x = rng.standard_normal((3, module.in_type.size)).astype(dtype)
            options = {{}}
            if case.recipe.film:
                options["scale"] = jax.numpy.asarray(rng.standard_normal(module.num_scale), dtype)
            if case.recipe.needs_key:
                continue
            y = np.asarray(module(x, **options))
            assert y.dtype == dtype, (name, y.dtype)
            results[f"{{int(flag)}} {{name}}"] = y
np.savez({file!r}, **results)
"""


def test_both_precisions_in_one_process_in_either_order(tmp_path):
    found = []
    for order in ("(False, True)", "(True, False)"):
        file = tmp_path / f"{order[1]}.npz"
        script = BOTH_FLAGS.format(tests=str(Path(__file__).parent), order=order, file=str(file))
        subprocess.run([sys.executable, "-c", script], check=True)
        found.append(dict(np.load(file)))
    first, second = found
    assert first.keys() == second.keys()
    assert len(first) > 60
    for name in first:
        assert np.array_equal(first[name], second[name]), name
        if name.startswith("1"):
            # the same draws, rounded to float32
            assert relative(first["0" + name[1:]], first[name]) <= EXACT["float32"]


# ---- projections of parameters -----------------------------------------------------------------


def projection_input(case: Case, key: jax.Array, *leading: int) -> jax.Array:
    rep = case.rep
    if case.recipe.covers is nn.CommutingConstraint:
        other = cases.partner(cases.types(case.group), case.type)
        return normal(*leading, other.size, rep.size)
    return normal(*leading, rep.size)


def group_average(case: Case, x: np.ndarray) -> np.ndarray:
    """The projection by its definition, an integral over the group."""
    rep = case.rep
    other = cases.partner(cases.types(case.group), case.type)
    frequency = max(rep.group.irrep_data(i).frequency for i in rep.irreps + other.irreps)
    points, weights = rep.group.quadrature(2 * frequency)
    if case.recipe.covers is nn.CommutingConstraint:
        out, source = other.evaluate(points), rep.evaluate(points)
        return np.einsum("e,eij,...jk,elk->...il", weights, out, x, source, optimize=True)
    return np.einsum("e,eij,...j->...i", weights, rep.evaluate(points), x)


PROJECTIONS = [name for name, case in CASES.items() if case.recipe.kind == "projection"]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", PROJECTIONS)
def test_projections_are_group_averages(name, key):
    case = CASES[name]
    project = case.build(key)
    x = projection_input(case, key, 2, 3)
    y = project(x)
    scale = float(np.abs(x).max())
    assert y.shape == x.shape
    # 1e-13: sums of some hundred terms of order one
    assert np.abs(np.asarray(y) - group_average(case, np.asarray(x))).max() <= 1e-13 * scale
    assert np.abs(np.asarray(project(y) - y)).max() <= 1e-13 * scale
    assert np.linalg.norm(y) <= np.linalg.norm(x)
    one, other = x[0, 0], x[1, 2]
    assert abs(float((project(one) * other).sum() - (one * project(other)).sum())) <= 1e-11
    assert np.abs(np.asarray(project(one) - y[0, 0])).max() <= 1e-13 * scale
    assert np.abs(np.asarray(jax.vmap(project)(x[0]) - y[0])).max() <= 1e-13 * scale
    assert np.abs(np.asarray(eqx.filter_jit(project)(x) - y)).max() <= 1e-13 * scale
    # Self-adjoint: the gradient through the projection is the projected gradient.
    gradient = jax.grad(lambda v: (project(v) * other).sum())(one)
    assert np.abs(np.asarray(gradient - project(other))).max() <= 1e-13 * scale


@pytest.mark.parametrize("name", PROJECTIONS)
def test_projections_keep_the_dtype(name, key):
    case = CASES[name]
    project = case.build(key)
    x = projection_input(case, key)
    for dtype in (jnp.float32, jnp.bfloat16):
        y = project(x.astype(dtype))
        assert y.dtype == dtype
        # bfloat16: one rounding of the coefficients and one of the result, 2^-8 each
        allowed = 1e-5 if dtype == jnp.float32 else 0.03
        difference = np.asarray(y, np.float64) - group_average(case, np.asarray(x, np.float64))
        assert np.abs(difference).max() <= allowed * float(np.abs(x).max())


# ---- types -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("group", "type_"), TYPES)
def test_types_are_values(group, type_):
    import copy
    import pickle

    rep = cases.types(group)[type_]
    fresh = cases.fresh_types(group)[type_]
    for same in (copy.copy(rep), copy.deepcopy(rep), pickle.loads(pickle.dumps(rep)), fresh):
        assert same == rep
        assert hash(same) == hash(rep)
        assert same.group is rep.group
        assert evx.hom_basis(same, rep) is evx.hom_basis(rep, rep)
    basis = evx.hom_basis(rep, rep)
    assert pickle.loads(pickle.dumps(basis)) is basis
    assert jax.tree.leaves((rep, basis, rep.group.identity)) == []
    assert all(other == rep for other in [rep.fused("another label")] if len(rep.summands) == 1)
    with pytest.raises(AttributeError, match="immutable"):
        rep.label = "x"
