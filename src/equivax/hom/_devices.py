"""Arrays on several devices: explicit axes of a mesh, and what differs between devices.

Inside `jax.shard_map` JAX knows over which axes of the mesh the values of an array vary, and
operands of one operation must agree in it. Its own operations see to that; primitives and
transpositions of ours ask here.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array


def varying_axes(*arrays: object) -> tuple[str, ...]:
    """The axes of `jax.shard_map` over which some of the arrays differ, sorted."""
    return tuple(sorted(set().union(*map(_varying, arrays))))


def _varying(array: object) -> frozenset[str]:
    abstract = jax.typeof(array)
    manual = getattr(abstract, "mat", None)  # jax >= 0.10
    return getattr(abstract, "vma", frozenset()) if manual is None else manual.varying


def varying_alike(*arrays: Array) -> tuple[Array, ...]:
    """The arrays, all taken to differ over the axes over which one of them does."""
    axes = varying_axes(*arrays)
    return tuple(_cast(array, tuple(sorted(set(axes) - _varying(array)))) for array in arrays)


def varying_with(tree: Any, *arrays: Array) -> Any:
    """A tree whose floating arrays are taken to differ wherever one of some arrays does.

    The gradient of what is the same on all devices is summed over them where it is taken to differ.
    For parameters that is here, before anything is made of them: a sum of coefficients is |G| times
    smaller than one of dense matrices.
    """
    axes = varying_axes(*arrays)
    if not axes:
        return tree

    def cast(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array) or not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        return _cast(leaf, tuple(sorted(set(axes) - _varying(leaf))))

    return jax.tree.map(cast, tree)


def _cast(array: Array, axes: tuple[str, ...]) -> Array:
    if not axes:
        return array
    if hasattr(jax.lax, "pcast"):
        return jax.lax.pcast(array, axes, to="varying")
    return jax.lax.pvary(array, axes)  # pyright: ignore[reportAttributeAccessIssue]  # jax < 0.9


def shape_like(shape: tuple[int, ...], values: Array) -> Any:
    """The abstract array of a shape that has the dtype of the values and varies as they do."""
    return jax.eval_shape(lambda v: jnp.full(shape, jnp.sum(v)), values)
