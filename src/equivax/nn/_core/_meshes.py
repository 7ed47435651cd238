"""Layers on meshes of devices: explicit axes (`jax.sharding.AxisType.Explicit`), and `shard_map`.

On explicit axes every operation must say where its output lies, and a reshape that merges a split
axis with others cannot. Inside a layer, fields are reshaped all the time, but where its output lies
is plain: as the input does. So a layer says this, and leaves what is inside to the compiler. Inside
`jax.shard_map` it says that its parameters differ as its input does, so that gradients are summed
over devices as coefficients.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ...hom import varying_with


def on_any_mesh(call: Callable[..., Any]) -> Callable[..., Any]:
    """A ``__call__`` whose arrays may lie on explicit axes.

    An axis of the output is split as that of the input is, if its length allows, else not at all; a
    new state lies where the old one did.
    """

    @functools.wraps(call)
    def wrapped(*arguments: object, **options: Any) -> Any:
        given = arguments, options
        mesh = _explicit_mesh(given)
        if mesh is None:
            if _inside_shard_map():
                arguments = (_varying_as_inputs(*arguments, **options), *arguments[1:])
            return call(*arguments, **options)
        automatic = mesh.update_axis_types({name: AxisType.Auto for name in mesh.explicit_axes})
        arrays, others = eqx.partition(given, eqx.is_array)
        with jax.sharding.use_abstract_mesh(automatic):
            arrays = jax.sharding.reshard(arrays, jax.tree.map(lambda _: PartitionSpec(), arrays))
            inside, named = eqx.combine(arrays, others)
            y = call(*inside, **named)
        return _placed(y, arguments, options, mesh)

    return wrapped


def _inside_shard_map() -> bool:
    mesh = getattr(jax.sharding, "get_abstract_mesh", lambda: None)()
    return bool(getattr(mesh, "manual_axes", ()))


def _varying_as_inputs(module: Any, *inputs: object, **options: object) -> Any:
    """The module, whose parameters are taken to differ over devices where an input does."""
    leaves = jax.tree.leaves((inputs, options))
    return varying_with(module, *(leaf for leaf in leaves if isinstance(leaf, jax.Array)))


def _explicit_mesh(tree: object) -> Any:
    """The mesh with explicit axes that an array lies on, or None."""
    if not hasattr(jax.sharding, "use_abstract_mesh"):  # jax < 0.7: axes are explicit by request
        return None
    for leaf in jax.tree.leaves(tree):
        if isinstance(leaf, jax.Array):  # NumPy's lie on no device
            mesh = jax.typeof(leaf).sharding.mesh
            if mesh.explicit_axes:
                return mesh
    return None


def _placed(y: Any, arguments: tuple[Any, ...], options: dict[str, Any], mesh: Any) -> Any:
    """The output of a layer, a state perhaps beside it, on the explicit axes of the mesh."""
    x = arguments[1] if len(arguments) > 1 else options["x"]
    given = [leaf for leaf in jax.tree.leaves(x) if eqx.is_array(leaf)]
    source = given[0] if given else None  # NumPy's lie on no device
    states = [s for s in (*arguments, *options.values()) if isinstance(s, eqx.nn.State)]
    if not states:
        return _like(y, source, mesh)
    y, state = y
    kept = jax.tree.map(lambda new, old: _like(new, old, mesh), state, states[0])
    return _like(y, source, mesh), kept


def _like(tree: object, source: Any, mesh: Any) -> Any:
    """Every array of a tree, split as the source is."""
    spec = () if source is None else jax.typeof(source).sharding.spec

    def put(leaf: Any) -> Any:
        if not eqx.is_array(leaf):
            return leaf
        names = (
            name if length % _parts(name, mesh) == 0 else None
            for name, length in zip(spec, leaf.shape, strict=False)
        )
        return jax.sharding.reshard(leaf, NamedSharding(mesh, PartitionSpec(*names)))

    return jax.tree.map(put, tree)


def _parts(name: str | tuple[str, ...] | None, mesh: Any) -> int:
    """Into how many parts an axis is split."""
    names = () if name is None else name if isinstance(name, tuple) else (name,)
    parts = 1
    for one in names:
        parts *= mesh.shape[one]
    return parts
