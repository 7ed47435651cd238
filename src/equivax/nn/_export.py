"""`export`: a whole model as plain Equinox."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax

from ._module import AbstractModule


def export(model: Any, state: eqx.nn.State | None = None) -> Any:
    """Replaces every equivariant layer in a pytree by plain Equinox, of the same function.

    Args:
        model: A layer, or any pytree that contains layers (an `equinox.Module` of the user).
        state: The state of the model, if layers have running statistics. Those become layers
            without state, ``x -> y``, of the function at inference.

    Returns:
        The same tree with every layer replaced by ``layer.export()``. Exported layers take one
        example: call them under ``jax.vmap`` for a batch.

    Raises:
        ValueError: If a layer has running statistics and no state is given.
    """

    def exported(node: Any) -> Any:
        if not isinstance(node, AbstractModule):
            return node
        if not node.is_stateful:
            return node.export()
        if state is None:
            raise ValueError(
                f"export: state: {type(node).__name__} has running statistics; expected the state "
                "of the model, got None"
            )
        return node.export(state)  # pyright: ignore[reportCallIssue]

    return jax.tree.map(exported, model, is_leaf=lambda node: isinstance(node, AbstractModule))
