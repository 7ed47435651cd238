"""`export`: a whole model as plain Equinox."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
from jaxtyping import PyTree

from .._core._module import Layer
from .._core._stateful import exported
from ._module_list import ModuleList


def export(model: PyTree, state: eqx.nn.State | None = None) -> Any:
    """Replaces every equivariant layer in a pytree by plain Equinox, of the same function.

    Args:
        model: A layer, or any pytree that contains layers (an `equinox.Module` of the user).
        state: The state of the model, if a layer has running statistics: these layers become
            what they do at inference, called ``x -> y``.

    Returns:
        The same tree with every layer replaced by ``layer.export()``, and every `ModuleList` by a
        tuple. Exported layers take one example: call them under ``jax.vmap`` for a batch.

    Raises:
        ValueError: If a layer has running statistics and there is no state.
    """

    def replace(node: PyTree) -> Any:
        if isinstance(node, ModuleList):
            return node.export(state)
        if isinstance(node, Layer):
            return exported(node, state, "a layer")
        return node

    return jax.tree.map(replace, model, is_leaf=lambda node: isinstance(node, (Layer, ModuleList)))
