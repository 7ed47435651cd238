"""How group elements act on what goes into a checked function, and on what comes out of it.

NumPy in float64, so that the action is not what is measured. Inputs are moved by elements of the
group of the input, outputs by those of the output; a layer such as `Restriction`, whose output is
acted on by a subgroup, says which element of the one group is an element of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..fields import FieldType, Type
from ..groups import GroupElement
from ..nn import Sequential
from ..nn.authoring import channel_axis
from ..representations import as_representation

Embedding = Callable[[GroupElement], GroupElement]


def act(type_: Type, x: np.ndarray, g: GroupElement) -> np.ndarray:
    """``rho(g) f(A(g)^-1 x)`` for an element that maps the grid to itself.

    Args:
        type_: A `Representation` or a field type.
        x: Array ``(..., n, *spatial)``.
        g: An element of its group.

    Raises:
        ValueError: If the element does not map the grid to itself, or belongs to another group.
    """
    axis = channel_axis(type_)
    rep = as_representation(type_, "type")
    x = np.moveaxis(rep.transform(np.moveaxis(x, axis, -1), g), -1, axis)
    if not isinstance(type_, FieldType):
        return x
    exact = type_.space.grid_action(g)
    if exact is None:
        raise ValueError(
            f"elements: expected elements that map the grid to itself, as {type_.space!r} lists "
            f"in exact_elements, got {g!r}; viz.error_by_angle measures other angles"
        )
    lead = x.ndim - len(exact.axes)
    turned = np.transpose(x, (*range(lead), *(lead + a for a in exact.axes)))
    return np.flip(turned, tuple(lead + a for a in exact.reverse))


def default_elements(in_type: Type, out_type: Type, embedding: Embedding) -> Sequence[GroupElement]:
    """The testing elements of the output's group that map the grids of both types to themselves."""
    candidates = as_representation(out_type, "out_type").group.testing_elements
    return [g for g in candidates if _is_exact(out_type, g) and _is_exact(in_type, embedding(g))]


def _is_exact(type_: Type, g: GroupElement) -> bool:
    return not isinstance(type_, FieldType) or type_.space.grid_action(g) is not None


def embedding_of(function: object) -> Embedding:
    """From elements of the group of ``out_type`` to elements of the group of ``in_type``.

    That of the layer if it has one, the composition for a `Sequential`, else the identity.
    """
    if isinstance(function, Sequential):
        inner = [embedding_of(layer) for layer in reversed(function.layers)]

        def composed(g: GroupElement) -> GroupElement:
            for one in inner:
                g = one(g)
            return g

        return composed
    return getattr(function, "embedding", None) or (lambda g: g)
