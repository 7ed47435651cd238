"""Coefficients by name, of which those of equal shape are one array underneath.

An optimiser makes a kernel or more for every leaf, and a product one for every array that it takes.
Irreps are many (a dihedral group of order 1,024 has 259), their shapes are few (2 there). So the
leaves are the arrays of all irreps of one shape; what belongs to one irrep is a view. Layers on
tensor images do alike: kernels between types of as many fields are one array, and so are the
numbers that fields have, one each.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._values import AbstractValue
from ._dtypes import is_concrete


class Stacking(AbstractValue):
    """Which arrays are stacked.

    Attributes:
        stacks: Names per stack.
        order: All names, in the order in which they are listed.
        widths: Per stack the last axes of its arrays, if they lie side by side along it; empty
            if arrays of three axes are stacked along an axis of their own.
    """

    stacks: tuple[tuple[str, ...], ...]
    order: tuple[str, ...]
    widths: tuple[tuple[int, ...], ...] = ()

    @property
    def axis(self) -> int:
        """Along which arrays lie, counted from the end."""
        return -1 if self.widths else -4

    def extents(self, number: int) -> tuple[int, ...]:
        """What the arrays of a stack take of this axis."""
        return self.widths[number] if self.widths else (1,) * len(self.stacks[number])

    @functools.cached_property
    def places(self) -> dict[str, tuple[int, int]]:
        """Name to the number of its stack and its place there, in order."""
        found = {
            name: (number, place)
            for number, names in enumerate(self.stacks)
            for place, name in enumerate(names)
        }
        return {name: found[name] for name in self.order}


@jax.tree_util.register_pytree_with_keys_class
class Coefficients(Mapping[str, Any]):
    """Name to an array, ``(..., m_out, m_in, S)`` for irreps, with few leaves underneath.

    Those are ``(..., irreps, m_out, m_in, S)``, one per shape; arrays of layers on tensor images
    lie side by side along their last axis.

    A mapping as `HomBasis.init` returns one: it is read by name, and ``coefficients | {name:
    array}`` is another one with some arrays replaced. Views are no leaves: `equinox.tree_at`
    replaces all of them at once.

    Attributes:
        stacks: The leaves.
        stacking: What they hold.
    """

    stacks: tuple[Any, ...]
    stacking: Stacking

    def __init__(self, stacks: tuple[Any, ...], stacking: Stacking) -> None:
        self.stacks = stacks
        self.stacking = stacking

    def __getitem__(self, name: str) -> Any:
        number, place = self.stacking.places[name]
        return _view(self.stacks[number], self.stacking, number, place, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.stacking.places)

    def __len__(self) -> int:
        return len(self.stacking.places)

    def __repr__(self) -> str:
        return f"Coefficients({unstacked(self)!r})"

    def __or__(self, other: Mapping[str, Any]) -> Coefficients:
        """These coefficients with some arrays replaced, by name.

        Raises:
            KeyError: If there is no such name.
        """
        unknown = [name for name in other if name not in self.stacking.places]
        if unknown:
            raise KeyError(f"coefficients: expected names among {list(self)}, got {unknown}")
        return stacked({**unstacked(self), **other}, self.stacking)

    def tree_flatten_with_keys(self) -> tuple[list[tuple[Any, Any]], Stacking]:
        """For JAX: the stacks with their numbers."""
        keys = map(jax.tree_util.SequenceKey, range(len(self.stacks)))
        return list(zip(keys, self.stacks, strict=True)), self.stacking

    def tree_flatten(self) -> tuple[tuple[Any, ...], Stacking]:
        """For JAX: the stacks."""
        return tuple(self.stacks), self.stacking

    @classmethod
    def tree_unflatten(cls, stacking: Stacking, stacks: Any) -> Coefficients:
        """For JAX: the inverse of `tree_flatten`."""
        return cls(tuple(stacks), stacking)


def _view(stack: Any, stacking: Stacking, number: int, place: int, name: str) -> Any:
    """What belongs to one name; what stands for all of an array (a mask, None) does for each."""
    if stack is None or isinstance(stack, (bool, np.bool_)):
        return stack
    if not hasattr(stack, "shape"):
        raise TypeError(
            f"{name!r} names a view and no leaf, so tree_at cannot replace it; replace the mapping "
            f"that holds it, such as weights: tree_at(lambda layer: layer.weights, layer, "
            f"layer.weights | {{{name!r}: array}})"
        )
    if isinstance(stack, jax.Array) and _is_out_of_reach(stack):
        return stack
    sizes, axis = stacking.extents(number), len(stack.shape) + stacking.axis
    start = sum(sizes[:place])
    if isinstance(stack, jax.ShapeDtypeStruct):
        own = (sizes[place],) if stacking.widths else ()
        return jax.ShapeDtypeStruct(
            (*stack.shape[:axis], *own, *stack.shape[axis + 1 :]), stack.dtype
        )
    if isinstance(stack, np.ndarray):
        found = stack[(slice(None),) * axis + (slice(start, start + sizes[place]),)]
        return found if stacking.widths else found.squeeze(axis)
    found = jax.lax.slice_in_dim(stack, start, start + sizes[place], axis=axis)
    return found if stacking.widths else jax.lax.squeeze(found, (axis,))


def _is_out_of_reach(stack: jax.Array) -> bool:
    """Whether an array has no numbers to be read: it is deleted, or other processes hold parts."""
    return is_concrete(stack) and (stack.is_deleted() or not stack.is_fully_addressable)


def unstacked(coefficients: Mapping[str, Any]) -> dict[str, Any]:
    """A dict with one array per name, in order."""
    if not isinstance(coefficients, Coefficients):
        return dict(coefficients)
    pieces: list[Any] = []
    stacking = coefficients.stacking
    for number, (stack, names) in enumerate(zip(coefficients.stacks, stacking.stacks, strict=True)):
        if isinstance(stack, jax.Array) and not _is_out_of_reach(stack):
            # The transpose of a split is one concatenation, that of slices a sum of padded arrays.
            axis = stack.ndim + stacking.axis
            parts = jax.lax.split(stack, stacking.extents(number), axis=axis)
            squeezed = () if stacking.widths else (axis,)
            pieces.append([jax.lax.squeeze(part, squeezed) for part in parts])
        else:
            pieces.append(
                [_view(stack, stacking, number, place, name) for place, name in enumerate(names)]
            )
    return {name: pieces[number][place] for name, (number, place) in stacking.places.items()}


def stacked(arrays: Mapping[str, Any], stacking: Stacking) -> Coefficients:
    """The inverse of `unstacked`; leading axes are broadcast, and dtypes promoted."""
    stacks, rank = [], 1 if stacking.widths else 3
    for names in stacking.stacks:
        given = [arrays[name] for name in names]
        if all(isinstance(array, np.ndarray) for array in given):
            stacks.append(_joined(np, given, stacking))
            continue
        given = [jnp.asarray(array) for array in given]
        leading = np.broadcast_shapes(*(array.shape[:-rank] for array in given))
        given = [jnp.broadcast_to(array, leading + array.shape[-rank:]) for array in given]
        stacks.append(_joined(jnp, given, stacking))
    return Coefficients(tuple(stacks), stacking)


def _joined(library: Any, arrays: list[Any], stacking: Stacking) -> Any:
    join = library.concatenate if stacking.widths else library.stack
    return join(arrays, axis=stacking.axis)


def in_few_leaves(arrays: Mapping[str, Any]) -> Mapping[str, Any]:
    """Arrays with few leaves: those that agree but for their last axis are one. None of none."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for name, array in arrays.items():
        groups.setdefault(array.shape[:-1], []).append(name)
    stacks = tuple(map(tuple, groups.values()))
    widths = tuple(tuple(arrays[name].shape[-1] for name in names) for names in stacks)
    return stacked(arrays, Stacking(stacks, tuple(arrays), widths)) if arrays else {}


# ---- trees -------------------------------------------------------------------------------------


def spread(tree: Any) -> Any:
    """A tree with a dict of arrays, one per irrep, in the place of all `Coefficients`."""
    return jax.tree.map(lambda n: unstacked(n) if is_stacked(n) else n, tree, is_leaf=is_stacked)


def gathered(tree: Any, like: Any) -> Any:
    """The inverse of `spread`.

    Args:
        tree: What `spread` made of a tree like ``like``, with other arrays maybe.
        like: Any tree of the structure that is to be made.
    """
    nodes, structure = jax.tree.flatten(like, is_leaf=is_stacked)
    found = [
        stacked(part, node.stacking) if is_stacked(node) else part
        for node, part in zip(nodes, structure.flatten_up_to(tree), strict=True)
    ]
    return jax.tree.unflatten(structure, found)


def is_stacked(node: object) -> bool:
    """Whether a node of a tree is `Coefficients`."""
    return isinstance(node, Coefficients)
