"""Layers on meshes of devices: what the law of devices traces, and computes on eight of them.

Run as a program it computes on eight devices of a CPU, in a process of its own, since their number
is fixed when JAX starts: ``python on_devices.py < names``, both a JSON list. It prints, for every
layer, the error of its gradients, or what it raised, on every mesh.
"""

from __future__ import annotations

import json
import sys
import traceback
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import laws
from cases import CASES, FIELDS, Case
from field_orbits import call

try:
    from jax import shard_map
    from jax.sharding import AxisType
    from jax.sharding import use_abstract_mesh as use_abstract_mesh
except ImportError:  # older releases of JAX have no explicit axes, and another shard_map
    shard_map = AxisType = None

EXAMPLES = 8
MESHES = ("auto",) if AxisType is None else ("auto", "explicit", "shard_map")

#: Every recipe of a layer, on its first type.
LAYERS = {
    name: case
    for name, case in (CASES | FIELDS).items()
    if case.recipe.kind == "layer"
    and case is next(c for c in (CASES | FIELDS).values() if c.recipe is case.recipe)
}
#: Ends with maxima behind a norm: without optimisation XLA loses their gradients, see `laws`.
WITH_MAXIMA = ("WideResNet [D4: vector]",)


def examples(case: Case, module: Any) -> list[jax.Array]:
    """One per device, for every input."""
    types = module.in_type if isinstance(module.in_type, tuple) else (module.in_type,)
    return [
        laws.normal(EXAMPLES, type_.size, *case.recipe.sides, seed=seed)
        for seed, type_ in enumerate(types)
    ]


def prepared(case: Case, axis_name: str | None, *, quiet: bool) -> tuple[Any, Any, list[jax.Array]]:
    """Arrays of a layer with its state, a function of them and of inputs, and inputs.

    A layer with randomness is quiet where its numbers are compared: devices draw by themselves.
    """
    recipe, key, state = case.recipe, jax.random.key(0), None
    if recipe.stateful:
        axes = {} if axis_name is None else {"axis_name": axis_name}
        module, state = case.build_with_state(key, **axes)
    else:
        module = case.build(key)
    # Near the start: with drawn scales and biases whole networks die behind ReLU, and maxima tie.
    near = laws.drawn(module, 0.1)
    module = jax.tree.map(lambda a, b: a + b if eqx.is_inexact_array(a) else a, module, near)
    if quiet and recipe.needs_key:
        module = eqx.nn.inference_mode(module)
    options = {} if recipe.sides else case.options(module, key)
    if recipe.needs_key:
        options["key"] = key
    arrays, rest = eqx.partition((module, state, options), eqx.is_array)

    def function(arrays: Any, *inputs: Any) -> Any:
        module, state, options = eqx.combine(arrays, rest)
        if len(inputs) > 1:
            return module(*inputs, **options)
        return call(module, state, inputs[0], options)[0]

    return arrays, function, examples(case, module)


def gradients(function: Any) -> Any:
    """Of a sum over examples and outputs: in all floating arrays and all inputs."""

    def in_all(arrays: Any, *inputs: Any) -> Any:
        floats, rest = eqx.partition(arrays, eqx.is_inexact_array)

        def total(floats: Any, *inputs: Any) -> Any:
            y = function(eqx.combine(floats, rest), *inputs)
            return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(y))

        return jax.grad(total, argnums=tuple(range(1 + len(inputs))))(floats, *inputs)

    return in_all


def on_mesh(kind: str, case: Case, *, quiet: bool = False) -> tuple[Any, tuple[Any, ...]]:
    """The gradients as a function of arrays on a mesh of all devices, and these arrays."""
    named = "batch" if kind == "shard_map" else None
    arrays, function, inputs = prepared(case, named, quiet=quiet)
    if AxisType is None:
        mesh = jax.make_mesh((jax.device_count(),), ("batch",))
    else:
        axis = AxisType.Explicit if kind == "explicit" else AxisType.Auto
        mesh = jax.make_mesh((jax.device_count(),), ("batch",), axis_types=(axis,))
    whole, split = PartitionSpec(), PartitionSpec("batch")
    compute = gradients(function)
    if kind == "shard_map":
        splits = (split,) * len(inputs)
        compute = shard_map(
            compute, mesh=mesh, in_specs=(whole, *splits), out_specs=(whole, *splits)
        )
    if kind == "explicit":
        compute = placed(compute, function)
    arrays = jax.device_put(arrays, NamedSharding(mesh, whole))
    inputs = jax.device_put(inputs, NamedSharding(mesh, split))
    return compute, (arrays, *inputs)


def placed(compute: Any, function: Any) -> Any:
    """Gradients on explicit axes, where the types say how an output is split."""

    def checked(arrays: Any, *inputs: Any) -> Any:
        for leaf in jax.tree.leaves(jax.eval_shape(function, arrays, *inputs)):
            if leaf.shape[:1] == (EXAMPLES,):
                assert leaf.sharding.spec[0] == "batch", f"the output is split as {leaf.sharding}"
        return compute(arrays, *inputs)

    return checked


def errors(name: str) -> dict[str, Any]:
    """Per mesh the error of the gradients relative to the largest entry, or the message."""
    case, found = LAYERS[name], {}
    options = laws.OPTIMISED if name in WITH_MAXIMA else laws.UNOPTIMISED
    arrays, function, inputs = prepared(case, None, quiet=True)
    compute = jax.jit(gradients(function), compiler_options=options)
    expected = jax.tree.leaves(compute(arrays, *inputs))
    for kind in MESHES:
        try:
            compute, arguments = on_mesh(kind, case, quiet=True)
            compute = jax.jit(compute, compiler_options=options)
            computed = jax.tree.leaves(compute(*arguments))
            found[kind] = laws.relative(*map(_joined, (computed, expected)))
        except Exception as error:
            found[kind] = f"{type(error).__name__}: {error}\n{traceback.format_exc()[-1500:]}"
    return found


def _joined(leaves: list[Any]) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in leaves])


if __name__ == "__main__":
    for name in json.load(sys.stdin):
        print(json.dumps([name, errors(name)]), flush=True)
