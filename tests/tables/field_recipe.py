"""What the laws must know about a layer on feature fields."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from equivax import FieldType
from equivax.groups import GroupElement


@dataclasses.dataclass(frozen=True, kw_only=True)
class FieldRecipe:
    """How to build a layer for a field type.

    Attributes:
        covers: The class.
        build: From the type of the input, a partner type (for layers with two types) and a key. A
            layer with running statistics is built without `equinox.nn.make_with_state`; the laws
            do that.
        on: Pairs ``(space, type)`` of `field_cases` that stand for the recipe where a law does
            not run over all of them.
        parameters: The number of parameters that the layer should have.
        fits: Whether a type admits the layer.
        sides: Spatial shape of the inputs, such that the grid rule holds; it must be square if
            the group swaps axes. The default suits layers that act point by point.
        moves_points: Whether the layer looks at neighbours: then it commutes with the elements
            that map the grid to itself; else it commutes with all, turning fibres only.
        stateful: The call is ``(x, state) -> (y, state)``.
        needs_key: The call takes ``key=``.
        exports: Whether ``export()`` is possible.
        exports_inference: The export is the function at inference.
        mixes_examples: In training, an example's output depends on the whole batch.
        spread: Standard deviation of the parameters that the laws draw: with 1, numbers overflow
            in a network of many layers.
        depth: Layers in a row: rounding errors add up over them.
        everywhere: Equivariance is tested on every type of every space that fits.
        training_moves: What it commutes with in training, with a fixed key: ``"points"``
            (everything), ``"fibers"`` (random masks stay in place) or ``"nothing"`` (it commutes
            in distribution only). At inference it commutes with everything.
        with_axis_name: For a layer that mixes examples: as ``build``, with statistics over the
            axis that ``jax.vmap(..., axis_name="batch")`` names.
        pairs: For a layer between two groups: the elements ``(g_in, g_out)`` it commutes with.
    """

    covers: type
    build: Callable[[FieldType, FieldType, Any], Any]
    on: tuple[tuple[str, str], ...]
    parameters: Callable[[Any], int] = lambda module: 0
    fits: Callable[[FieldType], bool] = lambda type_: True
    sides: tuple[int, ...] = (5, 5)
    moves_points: bool = False
    stateful: bool = False
    needs_key: bool = False
    exports: bool = True
    exports_inference: bool = False
    mixes_examples: bool = False
    spread: float = 1.0
    depth: int = 1
    everywhere: bool = False
    training_moves: str = "points"
    with_axis_name: Callable[[FieldType, FieldType, Any], Any] | None = None
    pairs: Callable[[Any], Iterable[tuple[GroupElement, GroupElement]]] | None = None
