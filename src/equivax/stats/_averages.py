"""Shares of a squared norm that commute with subgroups: averages of one number per element.

``P_H W = mean_h h W`` is an orthogonal projection, so ``|P_H W|^2 = mean_h <W, h W>``: one number
``<W, g W>`` for every element g serves all subgroups. Of random numbers it is the trace of g.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from .._arguments import several
from ..groups import FiniteGroup, Group, Subgroup


class Averages(NamedTuple):
    """Subgroups as weights on elements of their group.

    Attributes:
        subgroups: The subgroups.
        classes: For each row of a report the numbers of the subgroups to choose from.
        coordinates: Of the elements that occur.
        weights: One row of weights per subgroup; they sum to one.
    """

    subgroups: tuple[Subgroup, ...]
    classes: tuple[tuple[int, ...], ...]
    coordinates: np.ndarray
    weights: Float[np.ndarray, "subgroups elements"]

    def of(self, numbers: Float[np.ndarray, " elements"]) -> Float[np.ndarray, " subgroups"]:
        """The mean over each subgroup of a number per element."""
        return self.weights @ numbers


def averages_over(
    caller: str,
    group: Group,
    subgroups: object,
    degree: int,
    exact: Callable[[np.ndarray], Bool[np.ndarray, " N"]] | None = None,
) -> Averages:
    """Plans averages over all subgroups of a finite group, or over given ones.

    Args:
        caller: For messages.
        group: The group.
        subgroups: None, or a list of what ``group.subgroup`` takes.
        degree: Frequency of what is averaged, for infinite subgroups.
        exact: Which elements, by coordinates, can act; None for all.

    Raises:
        ValueError: If the group is infinite and no list is given, or one in it is no subgroup.
        TypeError: If something names no subgroup.
    """
    if subgroups is None:
        if not isinstance(group, FiniteGroup):
            raise ValueError(
                f"{caller}: subgroups: expected a list of subgroups, since {group.name} has "
                "infinitely many, got None"
            )
        listed = [list(each) for each in group.subgroup_classes]
    else:
        takes = f"None or a list of subgroups of {group.name}"
        given = several(subgroups, caller, "subgroups", takes)
        listed = [[_subgroup(caller, group, one)] for one in given]
    kept: list[Subgroup] = []
    classes: list[tuple[int, ...]] = []
    pieces: list[tuple[np.ndarray, np.ndarray]] = []
    for each in listed:
        numbers = []
        for one in each:
            inner, weights = one.group.quadrature(degree)
            coordinates = np.asarray(one.embed(inner))
            if exact is not None and not exact(coordinates).all():
                if subgroups is None:
                    continue
                raise ValueError(
                    f"{caller}: subgroups: expected elements that map the grid to itself, got {one}"
                )
            numbers.append(len(kept))
            kept.append(one)
            pieces.append((coordinates, weights))
        if numbers:
            classes.append(tuple(numbers))
    stacked = np.concatenate([coordinates for coordinates, _ in pieces])
    elements, places = np.unique(stacked, axis=0, return_inverse=True)
    table = np.zeros((len(kept), len(elements)))
    start, places = 0, places.reshape(-1)
    for row, (coordinates, weights) in enumerate(pieces):
        stop = start + len(coordinates)
        np.add.at(table[row], places[start:stop], weights)
        start = stop
    return Averages(tuple(kept), tuple(classes), elements, table)


def _subgroup(caller: str, group: Group, given: object) -> Subgroup:
    try:
        return group.subgroup(given)
    except (ValueError, TypeError) as error:
        raise type(error)(
            f"{caller}: subgroups: expected subgroups of {group.name}, got {given!r}: {error}"
        ) from None


def matrices_products(
    w: Float[np.ndarray, "out in"],
    out_matrices: Float[np.ndarray, "N out out"],
    in_matrices: Float[np.ndarray, "N in in"],
) -> Float[np.ndarray, " N"]:
    """``<W, rho_out(g) W rho_in(g)^T>`` for every element."""
    # One element at a time: all at once would need N times the memory of W.
    pairs = zip(out_matrices, in_matrices, strict=True)
    return np.array([np.vdot(w, out @ w @ into.T) for out, into in pairs])


def chosen(classes: Sequence[Sequence[int]], scores: Sequence[Any]) -> list[int]:
    """The best of every class, the first of equal ones."""
    return [max(each, key=lambda i: (scores[i], -i)) for each in classes]
