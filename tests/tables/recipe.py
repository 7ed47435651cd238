"""What the laws must know about a module: one record for vectors, fields, images and statistics.

Vectors are fields on a point: their recipes have no ``sides``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from equivax.groups import GroupElement


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to build a module for a type, and what the laws must know about it.

    Attributes:
        covers: The public class.
        build: From a type, a partner type (for modules with two types) and a key. A module with
            running statistics is built without `equinox.nn.make_with_state`; the laws do that.
        on: Pairs ``(place, type)`` that stand for the recipe where a law does not run over all
            types; a place is a group of `vector_types` or a space of `field_types`. The first
            is the one that the quick tests run on: choose a type that can break the module.
        parameters: The number of parameters that the module should have.
        fits: Whether a type admits the module.
        kind: ``"layer"``: from vectors or fields to the same; ``"sequence"``: from tokens on the
            last axis but one to tokens; ``"points"``: from fields at points of a space, with
            positions and edges, to fields there; ``"projection"``: a projection of parameters;
            ``"distribution"``: from parameters to a density.
        sides: Spatial shape of the inputs, such that the grid rule holds; it must be square if
            the group swaps axes. Empty for vectors.
        moves_points: Whether the layer looks at neighbours: then it commutes with the elements
            that map the grid to itself; else it commutes with all, turning fibres only.
        stateful: The call is ``(x, state) -> (y, state)``.
        named_axis: The law of named axes runs on it. The ``build`` of every stateful module takes
            ``axis_name=``, the axis that statistics are taken over too.
        summary: What a stateful module says about a whole batch, as an invariant vector; None if
            its output is one for every example.
        needs_key: The call takes ``key=``.
        film: The call takes ``scale=`` and ``bias=``.
        stepped: The call takes ``step=``, a number.
        exports: Whether ``export()`` is possible.
        exports_inference: The export is the function at inference.
        spread: Standard deviation of the parameters that the laws draw: with 1, numbers overflow
            in a network of many layers.
        depth: Layers in a row: rounding errors add up over them.
        everywhere: Equivariance is tested on every type of every place that fits.
        training_moves: What it commutes with in training, with a fixed key: ``"points"``
            (everything), ``"fibers"`` (random masks stay in place) or ``"nothing"`` (it commutes
            in distribution only). At inference it commutes with everything.
        masked: The call of a layer of tokens takes ``mask=``.
        permutes: A layer of tokens commutes with permutations of them.
        pairs: For a layer between two groups: the elements ``(g_in, g_out)`` it commutes with.
    """

    covers: type
    build: Callable[..., Any]
    on: tuple[tuple[str, str], ...]
    parameters: Callable[[Any], int] = lambda module: 0
    fits: Callable[[Any], bool] = lambda type_: True
    kind: str = "layer"
    sides: tuple[int, ...] = ()
    moves_points: bool = False
    stateful: bool = False
    named_axis: bool = False
    summary: Callable[[Any], Any] | None = None
    needs_key: bool = False
    film: bool = False
    stepped: bool = False
    exports: bool = True
    exports_inference: bool = False
    spread: float = 1.0
    depth: int = 1
    everywhere: bool = False
    training_moves: str = "points"
    masked: bool = False
    permutes: bool = False
    pairs: Callable[[Any], Iterable[tuple[GroupElement, GroupElement]]] | None = None


def on_the_plane(*, sides: tuple[int, ...] = (5, 5), **about: Any) -> Recipe:
    """A recipe for fields; the default shape suits layers that act point by point."""
    return Recipe(sides=sides, **about)
