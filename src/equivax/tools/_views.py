"""What files hold of a model: coefficients irrep by irrep, and kernels under standard names.

Leaves of linear layers are few; files hold one array per irrep. Leaves of kernels are named by the
fields of their types, and types are equal whatever their fields are called: in files irreps and
regular fields have the names that the group gives them.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
from jaxtyping import PyTree

from ..hom import gathered, spread
from ..kernels import TypeBasis

VERSION = 3
"""Of the format; before the third, kernels were named by the fields of their types."""


def as_told(tree: PyTree, version: int = VERSION) -> Any:
    """A tree as files of a version hold it."""
    tree = spread(tree)
    if version < VERSION:
        return tree
    return jax.tree.map(
        lambda node: _standard(node) if _has_kernels(node) else node, tree, is_leaf=_has_kernels
    )


def as_built(tree: PyTree, like: PyTree, version: int = VERSION) -> Any:
    """The inverse of `as_told`.

    Args:
        tree: What `as_told` made of a tree like ``like``, with other arrays maybe.
        like: A tree of the structure that is to be made.
        version: Of the format.
    """
    if version >= VERSION:
        nodes, structure = jax.tree.flatten(spread(like), is_leaf=_has_kernels)
        found = [
            _own(part) if _has_kernels(node) else part
            for node, part in zip(nodes, structure.flatten_up_to(tree), strict=True)
        ]
        tree = jax.tree.unflatten(structure, found)
    return gathered(tree, like)


def _has_kernels(node: object) -> bool:
    """Whether a node is a layer of kernels, with an array for each pair of kinds."""
    return (
        isinstance(node, eqx.Module)
        and isinstance(getattr(node, "basis", None), TypeBasis)
        and isinstance(getattr(node, "weights", None), dict)
    )


def _standard(layer: Any) -> Any:
    names = layer.basis.standard_keys
    return _with(layer, {names[key]: array for key, array in layer.weights.items()})


def _own(layer: Any) -> Any:
    names = {standard: key for key, standard in layer.basis.standard_keys.items()}
    return _with(layer, {names[key]: array for key, array in layer.weights.items()})


def _with(layer: Any, weights: dict[str, Any]) -> Any:
    return eqx.tree_at(lambda node: node.weights, layer, weights)
