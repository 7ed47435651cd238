"""Functions that outlive the library: what may stand in a formula, and what is refused by name."""

import functools
import pickle
import subprocess
import sys
import typing

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx
from cases import FIELD_RECIPES as RECIPES
from cases import FIELDS as CASES
from equivax import nn
from equivax.nn._core import _plain
from equivax.nn._core._plain import detached, plain_function, plain_layer, plain_value
from field_orbits import example, made
from laws import assert_free_of_equivax, relative

# The functions of this file play those of a file of the library.
FACTOR, TABLE, NAMED, SHAPES = 3, np.arange(4.0), {"one": (1, 2)}, (1, (2.0, "three"))
shape = evx.FieldType  # has the name of an attribute


TRUE_NAME, __name__ = __name__, "equivax.formulas"


def double(x):
    return 2 * x


@functools.lru_cache
def cached(n):
    return n + FACTOR


jitted = jax.jit(double)
tripled = functools.partial(lambda factor, x: factor * x, 3)


def factorial(n):
    return 1 if n == 0 else n * factorial(n - 1)


def even(n):
    return n == 0 or odd(n - 1)


def odd(n):
    return n != 0 and even(n - 1)


def everything(x, *, scale=TABLE, by=double):
    inner = [double(y) for y in (x, x)]
    later = lambda v: jitted(v) + sum(inner)  # noqa: E731
    shaped = jnp.zeros(x.shape)  # an attribute, not the global of that name
    return (
        later(shaped + x) + cached(1) + tripled(x) + by(scale).sum() + NAMED["one"][1] + SHAPES[0]
    )


mapped = jax.vmap(double)


@jax.custom_jvp
def custom(x):
    return x


def uses_class(x):
    return evx.FieldType


def uses_class_inside(x):
    return [nn.ReLU for _ in range(1)]


def uses_mapped(x):
    return mapped(x)


def uses_custom(x):
    return custom(x)


def weighted(weight, shift, x):
    return weight * x + shift


__name__ = TRUE_NAME


def test_a_detached_function_is_the_same_function_without_the_library():
    copy = detached(everything)
    x = np.arange(3.0, dtype=np.float32)
    np.testing.assert_array_equal(copy(x), everything(x))
    assert copy is detached(everything)  # what is compiled for one export serves the next
    names = copy.__globals__
    assert set(names) == {
        *("__builtins__", "double", "jitted", "cached", "tripled", "jnp", "NAMED", "SHAPES"),
    }
    assert {names[n].__module__ for n in ("double", "jitted", "cached")} == {_plain.MODULE}
    assert copy.__kwdefaults__["by"].__module__ == _plain.MODULE


def test_functions_may_call_themselves_and_each_other():
    assert detached(factorial)(5) == 120
    assert detached(even)(10) is True
    assert detached(even)(7) is False
    assert detached(even).__globals__["odd"].__globals__["even"] is detached(even)


@pytest.mark.parametrize(
    "function, name",
    [
        (uses_class, "uses_class: evx"),
        (uses_class_inside, "uses_class_inside: nn"),
        (uses_mapped, "double: expected a function of a file, without closure"),
        (uses_custom, "uses_custom: custom"),
    ],
)
def test_what_stays_behind_is_named(function, name):
    with pytest.raises(TypeError, match=rf"export: .*{name}"):
        detached(function)


def test_a_closure_is_refused():
    value = 3
    with pytest.raises(TypeError, match="without closure"):
        detached(lambda x: x + value)


# ---- constants ---------------------------------------------------------------------------------


class Pair(typing.NamedTuple):
    first: np.ndarray
    second: int


def test_constants_are_plain():
    plain = plain_value(Pair(np.arange(3), 2))
    assert type(plain) is tuple
    assert isinstance(plain[0], jax.Array)
    found = plain_value([functools.partial(double, x=np.ones(2)), {"a": (nn.squash,)}, jax.nn.relu])
    assert_free_of_equivax(found)
    function, table, _ = found
    assert function().tolist() == [2, 2]
    assert table["a"][0](1.0) == 0.5
    leaves = jax.tree.leaves(found)
    assert [type(leaf) for leaf in leaves] == [type(jnp.ones(2))]  # functions are no leaves
    assert plain_value(None) is None
    layer = eqx.nn.Linear(2, 3, key=jax.random.key(0))
    assert plain_value(layer) is layer


@pytest.mark.parametrize(
    "wrap", [lambda v: v, lambda v: (1, [v]), lambda v: {"a": eqx.nn.Lambda(v)}]
)
def test_constants_of_classes_of_the_library_are_refused(wrap):
    layer = nn.ReLU(evx.groups.cyclic(3).regular)
    with pytest.raises(TypeError, match=r"export: expected numbers, arrays .* got ReLU"):
        plain_function(double, wrap(layer))
    with pytest.raises(TypeError, match=r"export: expected numbers, arrays .* got C3: 2 x"):
        plain_function(double, 2 * evx.groups.cyclic(3).regular)


def test_arrays_of_an_exported_layer_are_leaves_and_may_be_traced():
    layer = plain_layer(weighted, np.ones(3), 2)
    assert [leaf.shape for leaf in jax.tree.leaves(eqx.filter(layer, eqx.is_array))] == [(3,)]
    x = jnp.arange(3.0)
    assert relative(eqx.filter_jit(layer)(x), x + 2) == 0


def test_options_of_one_export_are_not_those_of_another():
    first = plain_function(weighted, np.ones(3), shift=2)
    second = plain_function(weighted, np.ones(3), shift=5)
    assert (float(first(x=1.0)[0]), float(second(x=1.0)[0])) == (3.0, 6.0)


# ---- files -------------------------------------------------------------------------------------


def test_pickle_says_what_stores_an_export():
    layer = nn.NormNonlinearity(2 * evx.groups.cyclic(3).regular).export()
    with pytest.raises((pickle.PicklingError, AttributeError), match="store_it_with_cloudpickle"):
        pickle.dumps(layer)


WITHOUT_EQUIVAX = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "equivax":
            raise ImportError("equivax is not installed here")

sys.meta_path.insert(0, Refuse())
import cloudpickle, jax

with open(sys.argv[1], "rb") as file:
    exports = cloudpickle.load(file)
for name, (function, shape, expected) in exports.items():
    found = jax.eval_shape(function, jax.ShapeDtypeStruct(shape, "float32")).shape
    if found != expected:
        raise SystemExit(f"{name}: {found} instead of {expected}")
print(len(exports))
"""


@pytest.mark.slow  # the laws search every export for the library
def test_exports_of_every_layer_on_fields_find_all_they_need_without_equivax(tmp_path, key):
    cloudpickle = pytest.importorskip("cloudpickle")
    exports = {}
    for name, recipe in RECIPES.items():
        cases = [case for case in CASES.values() if case.recipe is recipe and recipe.exports]
        if cases and recipe.covers in vars(nn).values():  # networks are made of these
            layer = made(cases[0], key)
            module, shape = layer.module, example(cases[0], layer.module).shape
            plain = module.export() if layer.state is None else module.export(layer.state)
            exports[name] = plain, shape, module.evaluate_output_shape(shape)
    file = tmp_path / "exports.pkl"
    file.write_bytes(cloudpickle.dumps(exports))
    command = [sys.executable, "-c", WITHOUT_EQUIVAX, str(file)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) == len(exports) > 40
