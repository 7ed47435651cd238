"""Where features stay irrep by irrep in a chain of layers: the cheapest way through it.

Between two layers features are an array or an `IrrepTensor`, and turning one into the other has a
price. What a layer costs on either is `AbstractLayer.costs_of_ways`. The cheapest path through the
chain is found by dynamic programming, when the chain is traced.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxtyping import Array

from ...fields import FieldType, IrrepTensor, Type
from ...hom import Machine, conversion_cost, machine, rows_of
from ...representations import as_representation

if TYPE_CHECKING:
    from ._module import AbstractLayer


@dataclasses.dataclass(frozen=True)
class Ways:
    """What a layer costs on an array, and on an `IrrepTensor`; infinite where it must not go."""

    arrays: float = 0.0
    irreps: float = math.inf


def ways_through(layers: Sequence[AbstractLayer], x: Array) -> tuple[bool, ...]:
    """Which layers of a chain from array to array are best taken irrep by irrep."""
    on_arrays, type_ = (False,) * len(layers), _first_type(layers[0])
    if isinstance(type_, FieldType) and type_.space.dim > 0:
        return on_arrays
    prices = machine(x.dtype)
    if not prices.irreps and not _ask_for_irreps(layers):
        return on_arrays
    return cheapest(layers, rows_of(x, x.dtype), prices, False, False)[1] or on_arrays


def _ask_for_irreps(layers: Sequence[AbstractLayer]) -> bool:
    """Whether a linear layer of a chain, or of a chain in it, has ``mode="irreps"``."""
    return any(
        getattr(layer, "mode", None) == "irreps" or _ask_for_irreps(getattr(layer, "layers", ()))
        for layer in layers
    )


def carried(type_: Type, x: Array | IrrepTensor, irrep_wise: bool) -> Array | IrrepTensor:
    """Vectors of a type as what is asked for."""
    if irrep_wise:
        return x if isinstance(x, IrrepTensor) else IrrepTensor.of(type_, x)
    return x.array if isinstance(x, IrrepTensor) else x


def cheapest(
    layers: Sequence[AbstractLayer], rows: int, prices: Machine, start: bool, stop: bool
) -> tuple[float, tuple[bool, ...]]:
    """The cheapest path through a chain: its cost, and which layers it takes irrep by irrep.

    Args:
        layers: The chain.
        rows: Number of vectors.
        prices: Of the machine.
        start: Whether the input is an `IrrepTensor`.
        stop: Whether the output is to be one.
    """
    best = {start: (0.0, ())}
    for layer in layers:
        ways = layer.costs_of_ways(rows, prices)
        new: dict[bool, tuple[float, tuple[bool, ...]]] = {}
        for state, own in ((False, ways.arrays), (True, ways.irreps)):
            for before, (cost, path) in best.items():
                if before != state:
                    cost += _conversion(_first_type(layer), rows, prices)
                cost += own
                if cost < new.get(state, (math.inf, ()))[0]:
                    new[state] = cost, (*path, state)
        best = new
    found = []
    for state, (cost, path) in best.items():
        if state != stop:
            cost += _conversion(layers[-1].out_type, rows, prices)
        found.append((cost, path))
    return min(found, default=(math.inf, ()))


def _first_type(layer: AbstractLayer) -> Type:
    """The type of the input that goes through the chain, where there are several."""
    return layer.in_type[0] if isinstance(layer.in_type, tuple) else layer.in_type


def _conversion(type_: Type, rows: int, prices: Machine) -> float:
    # Where a machine has no price the conversion is asked for: it costs what a number costs.
    cost = conversion_cost(as_representation(type_, "type"), rows, prices)
    return cost if math.isfinite(cost) else float(rows * type_.size)
