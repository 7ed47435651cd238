"""What the laws share: bounds, draws, training, and the search for the library in exports."""

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

#: Relative error of one layer: rounding of its longest sums, a few hundred terms (law 5).
EXACT = {"float64": 1e-12, "float32": 1e-5}
#: Two orders of summation of one expression in float64.
SAME = 1e-13


#: Compiles three times faster: tests compile much and compute little. `conftest` says so to XLA for
#: the whole suite.
UNOPTIMISED = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
#: As users compile, for whole networks. Half way, without optimisation but with the emitters of
#: fused loops, XLA (jax 0.10, CPU) returns NaN for gradients of some convolutions of tiny images.
OPTIMISED = {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}


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


# ---- training ----------------------------------------------------------------------------------


def optimisers() -> list[Any]:
    """Weight decay shrinks every leaf, noise moves every leaf: bases must not be among them."""
    # Releases differ in whether the noise takes a key.
    asks = "key" in inspect.signature(optax.noisy_sgd).parameters
    noise = optax.noisy_sgd(1e-3, eta=0.1, **({"key": 0} if asks else {}))
    return [optax.adamw(1e-2, weight_decay=0.1), noise]


def trained(
    loss: Callable[[Any, Any], tuple[Any, Any]],
    parameters: Any,
    carry: Any = None,
    steps: int = 20,
) -> list[tuple[Any, Any]]:
    """Parameters and carry after some steps of each of the `optimisers`.

    Args:
        loss: From parameters and carry (a state, or None) to the loss and the new carry.
        parameters: Where all optimisers start.
        carry: Likewise.
        steps: How many.
    """
    used = optimisers()

    @functools.partial(jax.jit, compiler_options=UNOPTIMISED)
    def step(parameters, carries, states):
        stacked = jax.tree.map(lambda *a: jnp.stack(a), *parameters)
        carried = jax.tree.map(lambda *a: jnp.stack(a), *carries)
        # one program for all optimisers
        gradients, carried = jax.vmap(jax.grad(loss, has_aux=True))(stacked, carried)
        new_parameters, new_carries, new_states = [], [], []
        for i, optimiser in enumerate(used):
            gradient, new_carry = jax.tree.map(lambda a, i=i: a[i], (gradients, carried))
            with jax.numpy_dtype_promotion("standard"):  # optax promotes its step count
                updates, state = optimiser.update(gradient, states[i], parameters[i])
                new_parameters.append(optax.apply_updates(parameters[i], updates))
            new_states.append(state)
            new_carries.append(new_carry)
        return new_parameters, new_carries, new_states

    after, carries = [parameters for _ in used], [carry for _ in used]
    start = jax.jit(
        lambda p: [optimiser.init(p) for optimiser in used], compiler_options=UNOPTIMISED
    )
    states = start(parameters)
    for _ in range(steps):
        after, carries, states = step(after, carries, states)
    for new in after:
        for leaf, before in zip(jax.tree.leaves(new), jax.tree.leaves(parameters), strict=True):
            # a leaf of one number may walk back nearly to where it was, but not quite
            assert float(np.abs(np.asarray(leaf) - np.asarray(before)).max()) > 1e-6
    return list(zip(after, carries, strict=True))


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
