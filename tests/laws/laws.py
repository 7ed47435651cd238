"""What the laws share: bounds, draws, training, and the search for the library in exports."""

import itertools
import os
import subprocess
import sys
import types
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax

#: Relative error of one layer: rounding of its longest sums, a few hundred terms (law 5).
EXACT = {"float64": 1e-12, "float32": 1e-5}
#: Two orders of summation of one expression in float64.
SAME = 1e-13


#: Compiles three times faster: tests compile much and compute little. `conftest` says so to XLA for
#: the whole suite.
UNOPTIMISED = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
#: As users compile, for whole networks. Half way, without optimisation but with the emitters of
#: fused loops, XLA (jax 0.10, CPU) returns NaN for gradients of some convolutions of tiny images.
#: Without optimisation it also computes twice what a maximum is compared with, once with fused
#: multiply-adds, and the gradient of `jnp.max` behind a norm is lost: finite differences agree with
#: the optimised one.
OPTIMISED = {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}


# ---- what runs when ----------------------------------------------------------------------------


def on_every(cases: dict[str, Any]) -> list[Any]:
    """The names of cases; all but the first of every recipe are slow.

    The first type of a recipe is one that can break it; further ones repeat the law.
    """
    seen, names = [], []
    for name, case in cases.items():
        again = any(case.recipe is recipe for recipe in seen)
        names.append(pytest.param(name, marks=pytest.mark.slow) if again else name)
        seen.append(case.recipe)
    return names


def one_in(many: int, rows: Collection[Any]) -> list[Any]:
    """The rows of a long table; all but one in so many are slow. A tuple is several arguments."""
    return [
        pytest.param(*(row if isinstance(row, tuple) else (row,)), marks=pytest.mark.slow)
        if place % many
        else row
        for place, row in enumerate(rows)
    ]


def on_types(types: list[tuple[Any, str]], quick: Collection[tuple[Any, str]]) -> list[Any]:
    """The types; all but the quick ones are slow."""
    assert set(quick) <= set(types)
    return [t if t in quick else pytest.param(*t, marks=pytest.mark.slow) for t in types]


# ---- numbers -----------------------------------------------------------------------------------


def drawn(tree: Any, spread: float = 1.0) -> Any:
    """The tree with every array of parameters, or its shape, normal with a standard deviation.

    Drawn by NumPy: jax.random would compile once per shape.
    """
    rng = np.random.default_rng(0)

    def draw(leaf: Any) -> Any:
        if eqx.is_inexact_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct):
            return jnp.asarray(spread * rng.standard_normal(leaf.shape), leaf.dtype)
        return leaf

    return jax.tree.map(draw, tree)


def normal(*shape: int, seed: int = 1, dtype: Any = None) -> jax.Array:
    dtype = jnp.result_type(float) if dtype is None else dtype
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


def relative(a: Any, b: Any) -> float:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert a.shape == b.shape
    return float(np.abs(a - b).max(initial=0.0) / max(np.abs(b).max(initial=0.0), 1e-30))


def cast(tree: Any, dtype: Any) -> Any:
    """The tree in another dtype; by NumPy, since JAX would compile once per shape."""

    def converted(leaf: Any) -> Any:
        if not eqx.is_inexact_array(leaf):
            return leaf
        if isinstance(leaf, jax.core.Tracer):
            return leaf.astype(dtype)
        return jnp.asarray(np.asarray(leaf).astype(dtype))

    return jax.tree.map(converted, tree)


# ---- other processes -----------------------------------------------------------------------------


def on_cpu_devices(count: int, flags: str = "") -> dict[str, str]:
    """The environment of a process that has so many devices, and finds what tests share."""
    source = str(Path(equivax.__file__).parents[1])
    shelves = [str(Path(__file__).parents[1] / shelf) for shelf in ("laws", "tables", "golden")]
    return os.environ | {
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join([source, *shelves]),
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={count}".strip(),
    }


# ---- one program ---------------------------------------------------------------------------------


@eqx.filter_jit
def assert_arrays_stand_once(tree: Any) -> None:
    """No array is two leaves: its buffer could not be donated."""
    paths: dict[int, str] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if isinstance(leaf, jax.Array):
            own = jax.tree_util.keystr(path)
            assert paths.setdefault(id(leaf), own) == own


def applied(module: Any, *arguments: Any) -> Any:
    """The call as one program; without jit every operation is one."""
    return module(*arguments)


@eqx.filter_jit
def exported(module: Any, x: Any, state: Any = None, batch_axes: int = 1) -> Any:
    """What the export of a module computes, likewise."""
    plain = module.export() if state is None else module.export(state)
    for _ in range(batch_axes):
        plain = jax.vmap(plain)
    return plain(x)


# ---- training ----------------------------------------------------------------------------------


def adam_with_decay(gradients: Any, leaves: Any, rate: float = 1e-2, decay: float = 0.1) -> Any:
    """Steps of Adam for ever; the decay shrinks every leaf, whatever its gradient."""
    first = second = [np.zeros_like(leaf) for leaf in leaves]
    for step in itertools.count(1):
        slopes = gradients(leaves)
        first = [0.9 * m + 0.1 * g for m, g in zip(first, slopes, strict=True)]
        second = [0.999 * v + 0.001 * g**2 for v, g in zip(second, slopes, strict=True)]
        mean, square = 1 - 0.9**step, 1 - 0.999**step
        leaves = [
            leaf - rate * (m / mean / (np.sqrt(v / square) + 1e-8) + decay * leaf)
            for leaf, m, v in zip(leaves, first, second, strict=True)
        ]
        yield leaves


def noisy_descent(gradients: Any, leaves: Any, rate: float = 1e-3, noise: float = 0.3) -> Any:
    """Steps along gradients with noise for ever; the noise moves every leaf."""
    rng = np.random.default_rng(0)
    while True:
        leaves = [
            leaf - rate * (slope + noise * rng.standard_normal(leaf.shape))
            for leaf, slope in zip(leaves, gradients(leaves), strict=True)
        ]
        yield leaves


def trained(
    loss: Callable[[Any, Any], tuple[Any, Any]],
    parameters: Any,
    carry: Any = None,
    steps: int = 20,
) -> list[tuple[Any, Any]]:
    """Parameters and carry after some steps of each of two optimisers that move every leaf.

    Bases must not be among the leaves. The optimisers are written in NumPy, so that the gradient is
    the only program to compile.

    Args:
        loss: From parameters and carry (a state, or None) to the loss and the new carry.
        parameters: Where both optimisers start.
        carry: Likewise.
        steps: How many.
    """
    compiled = jax.jit(jax.grad(loss, has_aux=True), compiler_options=UNOPTIMISED)
    leaves, structure = jax.tree.flatten(parameters)
    before = [np.asarray(leaf) for leaf in leaves]
    found = []
    for optimiser in (adam_with_decay, noisy_descent):
        carried = [carry]

        def tree(values):
            arrays = [jnp.asarray(v, leaf.dtype) for v, leaf in zip(values, leaves, strict=True)]
            return jax.tree.unflatten(structure, arrays)

        def gradients(values, carried=carried):
            slopes, carried[0] = compiled(tree(values), carried[0])
            return [np.asarray(slope, np.float64) for slope in jax.tree.leaves(slopes)]

        after = next(itertools.islice(optimiser(gradients, before), steps - 1, None))
        for new, old in zip(after, before, strict=True):
            # a leaf of one number may walk back nearly to where it was, but not quite
            assert float(np.abs(new - old).max()) > 1e-6
        found.append((tree(after), carried[0]))
    return found


# ---- export ------------------------------------------------------------------------------------


def reachable(thing: Any) -> list[tuple[str, Any]]:
    """Every object that an exported module holds: fields, functions, globals and closures."""
    found, open_, seen = [], [("export", thing)], set()
    while open_:
        where, item = open_.pop()
        if id(item) in seen or isinstance(item, (str, int, float, bool, type(None))):
            continue
        seen.add(id(item))
        found.append((where, item))
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
        elif isinstance(item, types.FunctionType) and not _of_dependency(item):
            names = item.__code__.co_names
            used = {name: item.__globals__[name] for name in names if name in item.__globals__}
            open_.append((f"{where}.globals", used))
            open_ += [(f"{where}.closure", c.cell_contents) for c in item.__closure__ or ()]
            open_.append((f"{where}.defaults", item.__defaults__ or ()))
    return found


def _of_dependency(function: Any) -> bool:
    root = (function.__module__ or "").split(".")[0]
    return root in ("jax", "jaxlib", "equinox", "numpy", "builtins")


def assert_free_of_equivax(thing: Any) -> None:
    for where, item in reachable(thing):
        owners = [type(item)] if isinstance(item, eqx.Module) else [item, type(item)]
        for owner in owners:
            module = getattr(owner, "__module__", None) or getattr(owner, "__name__", "")
            assert not str(module).startswith("equivax"), f"{where} is {item!r} of {module}"


#: Of `assert_exports_run_without_equivax`: the first argument has a batch axis, or none has.
ROWS, ONE = True, False

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
for name, (rows, function, arguments, expected) in exports.items():
    first, *rest = arguments
    call = lambda v: function(v, *rest)
    found = jax.jit(jax.vmap(call) if rows else call)(first)
    for one, other in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        error = np.abs(np.asarray(one) - other).max() / max(np.abs(other).max(), 1e-30)
        if not error <= 1e-4:
            raise SystemExit(f"{name}: {error}")
try:
    import equivax
except ImportError:
    print(len(exports), "exports run without equivax")
"""


def assert_exports_run_without_equivax(
    exports: dict[str, tuple[bool, Any, tuple[Any, ...], Any]], folder: Path
) -> None:
    """Pickled, and called in a process that cannot import equivax.

    Args:
        exports: By name: `ROWS` or `ONE`, the export, its arguments, what it should give.
        folder: For the file.
    """
    cloudpickle = pytest.importorskip("cloudpickle")
    file = folder / "exports.pkl"
    file.write_bytes(cloudpickle.dumps(exports))
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_EQUIVAX, str(file)], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == f"{len(exports)} exports run without equivax"
