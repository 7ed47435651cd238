"""Modules on tokens: vectors on the last axis but one."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax

from equivax import hom_basis, models, nn
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


def _parameters(module: Any) -> int:
    """Of a network: of its linear maps, scales and thresholds, each by its own rule."""
    convs = (nn.Conv, nn.ConvTranspose)
    kinds = (nn.Linear, nn.Affine, nn.NormNonlinearity, eqx.nn.Linear, *convs)
    total = 0
    for part in jax.tree.leaves(module, is_leaf=lambda node: isinstance(node, kinds)):
        if isinstance(part, nn.Linear):
            total += _linear_parameters(part)
        elif isinstance(part, convs):  # in time: every tap is a linear map
            ends = part.in_type.representation, part.out_type.representation
            total += part.kernel.shape[-1] * hom_basis(*ends).dim + invariant_dimension(ends[1])
        elif isinstance(part, eqx.nn.Linear):
            total += part.out_features * (part.in_features + 1)
        elif isinstance(part, nn.Affine) and part.learnable:
            total += len(part.in_type.irreps)
            total += 0 if part.bias is None else invariant_dimension(part.in_type)
        elif isinstance(part, nn.NormNonlinearity):
            total += len(part.in_type.irreps)
    return total


def _transformer(name: str, *depth: int, **options: Any) -> Any:
    """A small one; of an infinite group with types of its own."""

    def build(rep: Representation, other: Representation, key: Any) -> Any:
        more = dict(options)
        if rep.group.order is None:
            more |= {"head_type": 2 * rep, "feedforward": 2 * rep}
            more |= {"activation": nn.NormNonlinearity}
        else:
            more |= {"feedforward": 5}
        if "Decoder" in name:
            more["memory_type"] = other
        return getattr(models, name)(rep, 2, *depth, key=key, **more)

    return build


def _policy(**options: Any) -> Any:
    """A small one; of an infinite group with types of its own."""

    def build(
        rep: Representation, other: Representation, key: Any
    ) -> models.ConditionalTransformer:
        more: dict[str, Any] = {"hidden": rep.size, "feedforward": 5}
        if rep.group.order is None:
            hidden = rep + rep.group.trivial
            more = {"hidden": hidden, "head_type": 2 * rep, "feedforward": 2 * rep}
            more |= {"activation": nn.NormNonlinearity}
        return models.ConditionalTransformer(
            *(rep, other), num_heads=2, depth=1, step_size=6, key=key, **more, **options
        )

    return build


def _in_time(name: str, *others: Any, **options: Any) -> Any:
    """A small network of convolutions in time; of an infinite group with a type of its own."""

    def build(rep: Representation, other: Representation, key: Any) -> Any:
        more: dict[str, Any] = {"channels": (rep.size, rep.size), "key": key}
        if rep.group.order is None:
            more |= {"unit": rep + rep.group.trivial, "activation": nn.NormNonlinearity}
        return getattr(models, name)(rep, other, *others, **more, **options)

    return build


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
    "TransformerEncoderLayer": _sequence(
        covers=models.TransformerEncoderLayer,
        build=_transformer("TransformerEncoderLayer"),
        parameters=_parameters,
        masked=True,
        permutes=True,
        depth=8,
        on=(("D3", "interleaved"), ("SO3", "interleaved"), ("Q8", "turned")),
    ),
    "TransformerEncoderLayer, norms behind": _sequence(
        covers=models.TransformerEncoderLayer,
        build=_transformer(
            "TransformerEncoderLayer", norm_first=False, norm=nn.LayerNorm, dropout=0.2
        ),
        parameters=_parameters,
        masked=True,
        depth=8,
        needs_key=True,
        exports_inference=True,
        on=(("D4", "regular"),),
    ),
    "TransformerDecoderLayer": _sequence(
        covers=models.TransformerDecoderLayer,
        build=_transformer("TransformerDecoderLayer"),
        parameters=_parameters,
        masked=True,
        permutes=True,
        depth=12,
        on=(("C4", "interleaved"), ("C3xC3", "turned")),
    ),
    "TransformerEncoder": _sequence(
        covers=models.TransformerEncoder,
        build=_transformer("TransformerEncoder", 2),
        parameters=_parameters,
        masked=True,
        permutes=True,
        depth=16,
        on=(("klein", "interleaved"), ("D3", "regulars")),
    ),
    "TransformerDecoder": _sequence(
        covers=models.TransformerDecoder,
        build=_transformer("TransformerDecoder", 2),
        parameters=_parameters,
        masked=True,
        permutes=True,
        depth=24,
        on=(("D3", "turned"), ("Q8", "interleaved")),
    ),
    "ConditionalTransformer in time": _sequence(
        covers=models.ConditionalTransformer,
        build=_policy(condition_depth=1, causal=True, dropout=0.2),
        parameters=lambda module: _parameters(module) + 3 * 2 * 65,  # tables of offsets
        needs_key=True,
        exports_inference=True,
        stepped=True,
        depth=28,
        on=(("C4", "interleaved"), ("SO3", "interleaved"), ("Q8", "turned")),
    ),
    "ConditionalUNet1D": _sequence(
        covers=models.ConditionalUNet1D,
        build=_in_time("ConditionalUNet1D", 5, features=6, step_size=6),
        parameters=_parameters,
        stepped=True,
        spread=0.3,
        depth=40,
        on=(("D3", "interleaved"), ("SO3", "interleaved"), ("Q8", "turned")),
    ),
    "TimeSeriesEncoder": _sequence(
        covers=models.TimeSeriesEncoder,
        build=_in_time("TimeSeriesEncoder", 5, hidden=(8,), append_last=True),
        parameters=_parameters,
        depth=16,
        on=(("D4", "turned"), ("klein", "interleaved")),
    ),
}
