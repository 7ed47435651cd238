"""`relax`: every layer of a model relaxed."""

from __future__ import annotations

from typing import Any

import jax
from jaxtyping import PRNGKeyArray, PyTree

from ..._arguments import arrays, refuse
from ._bases import DenseLayer
from ._relaxed import TAKES, Relaxed


def relax(
    model: PyTree,
    *,
    to: object = None,
    scale: float = 0.0,
    use_bias: bool = True,
    key: PRNGKeyArray | None = None,
) -> Any:
    """The model with every layer that can be in a `Relaxed`; the same function at first.

    What has no dense array (nonlinearities, norms, pools) stays as it is, and so do layers that
    are relaxed already.

    Args:
        model: A layer, a network of `models`, or any pytree that contains layers.
        to: As in `Relaxed`; a subgroup of the group of every layer.
        scale: As in `Relaxed`.
        use_bias: As in `Relaxed`.
        key: A JAX key, which is needed with a ``scale``.

    Returns:
        The same tree with other layers. Files are loaded into the relaxed model.

    Raises:
        TypeError: If the model has no layer to relax, or a key is needed and missing.
        ValueError: If ``to`` is no subgroup, or the scale is negative.

    Examples:
        >>> import equivax as evx, jax
        >>> G = evx.groups.cyclic(4)
        >>> model = evx.models.MLP(G.regular, G.irrep(1), [16], key=jax.random.key(0))
        >>> model = evx.nn.relax(model)
    """
    leaves, structure = jax.tree.flatten(model, is_leaf=_is_layer)
    count = sum(isinstance(leaf, DenseLayer) for leaf in leaves)
    if not count and not any(isinstance(leaf, Relaxed) for leaf in leaves):
        refuse(TypeError, "relax", "model", f"a pytree with {TAKES} in it", model)
    if key is not None:
        keys = iter(jax.random.split(arrays.key(key, "relax"), max(1, count)))
    else:
        keys = iter([None] * count)
    options: dict[str, Any] = {"to": to, "scale": scale, "use_bias": use_bias}
    relaxed = [
        Relaxed(leaf, key=next(keys), **options) if isinstance(leaf, DenseLayer) else leaf
        for leaf in leaves
    ]
    return jax.tree.unflatten(structure, relaxed)


def _is_layer(node: object) -> bool:
    return isinstance(node, (DenseLayer, Relaxed))
