"""`export`: a whole model as plain Equinox."""

from __future__ import annotations

from typing import Any

import jax

from ._module import AbstractModule


def export(model: Any) -> Any:
    """Replaces every equivariant layer in a pytree by plain Equinox, of the same function.

    Args:
        model: A layer, or any pytree that contains layers (an `equinox.Module` of the user).

    Returns:
        The same tree with every layer replaced by ``layer.export()``. Exported layers take one
        example: call them under ``jax.vmap`` for a batch.
    """
    return jax.tree.map(
        lambda node: node.export() if isinstance(node, AbstractModule) else node,
        model,
        is_leaf=lambda node: isinstance(node, AbstractModule),
    )
