"""Modules on tokens: vectors on the last axis but one."""

from __future__ import annotations

from typing import Any

from equivax import nn
from equivax.representations import Representation
from recipe import Recipe
from recipes.vectors import _linear_parameters, invariant_dimension


def _attention(rep: Representation, key: Any, **options: Any) -> nn.MultiheadAttention:
    if rep.group.order is None:
        options.setdefault("head_type", 2 * rep)
    return nn.MultiheadAttention(rep, 2, key=key, **options)


def _with_rotary(rep: Representation, other: Representation, key: Any) -> nn.MultiheadAttention:
    head = rep + other
    return nn.MultiheadAttention(
        rep, 2, head_type=head, positions=nn.RotaryPositions(head), key=key
    )


def _linears(module: Any) -> int:
    layers = (module.query_proj, module.key_proj, module.value_proj, module.output_proj)
    return sum(map(_linear_parameters, layers))


def _sequence(**about: Any) -> Recipe:
    return Recipe(kind="sequence", **about)


RECIPES: dict[str, Recipe] = {
    "MultiheadAttention": _sequence(
        covers=nn.MultiheadAttention,
        build=lambda rep, other, key: _attention(rep, key),
        parameters=_linears,
        masked=True,
        permutes=True,
        depth=3,
        on=(("D3", "regulars"), ("SO2", "no trivial"), ("C3xC3", "turned"), ("Q8", "interleaved")),
    ),
    "MultiheadAttention with dropout": _sequence(
        covers=nn.MultiheadAttention,
        build=lambda rep, other, key: _attention(rep, key, dropout=0.3, use_bias=False),
        parameters=_linears,
        masked=True,
        depth=3,
        needs_key=True,
        exports_inference=True,
        on=(("klein", "turned"),),
    ),
    "MultiheadAttention with rotary positions": _sequence(
        covers=nn.MultiheadAttention,
        build=_with_rotary,
        parameters=_linears,
        masked=True,
        depth=3,
        on=(("Q8", "turned"), ("D3", "regulars"), ("SO3", "interleaved")),
    ),
    "MultiheadAttention with relative positions": _sequence(
        covers=nn.MultiheadAttention,
        build=lambda rep, other, key: _attention(rep, key, positions=nn.RelativePositions(2, 3)),
        parameters=lambda module: _linears(module) + 14,
        masked=True,
        depth=3,
        on=(("C4", "interleaved"),),
    ),
    "MultiheadAttention with absolute positions": _sequence(
        covers=nn.MultiheadAttention,
        build=lambda rep, other, key: _attention(
            rep, key, positions=nn.AbsolutePositions(rep, 9, key=key)
        ),
        parameters=lambda module: _linears(module) + 9 * invariant_dimension(module.in_type),
        masked=True,
        depth=3,
        on=(("D4", "turned"),),
    ),
    "RotaryPositions": _sequence(
        covers=nn.RotaryPositions,
        build=lambda rep, other, key: nn.RotaryPositions(rep),
        on=(("C8", "regular"), ("D3", "turned"), ("Q8", "regulars"), ("SO2", "no trivial")),
    ),
    "AbsolutePositions": _sequence(
        covers=nn.AbsolutePositions,
        build=lambda rep, other, key: nn.AbsolutePositions(rep, 7, key=key),
        parameters=lambda module: 7 * invariant_dimension(module.in_type),
        fits=lambda rep: rep.contains_trivial,
        on=(("D4", "interleaved"), ("D3", "two trivial")),
    ),
}
