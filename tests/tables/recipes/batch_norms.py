"""Batch norms, and the norm of single fields."""

from typing import Any

from equivax import nn
from recipe import Recipe, on_the_plane


def _no_field_has_invariants(type_: Any) -> bool:
    return not any(field.contains_trivial for field, _ in type_.representation.runs)


def _induced_without_invariants(type_: Any) -> bool:
    induced = all(field.induced_from is not None for field, _ in type_.representation.runs)
    return induced and _no_field_has_invariants(type_)


def _invariants(type_: Any) -> int:
    return type_.irreps.count(type_.group.trivial.irreps[0])


def _kinds(type_: Any) -> int:
    return sum(len(set(field.irreps)) for field in type_)


def _batch_norm(covers: type, parameters: Any, on: Any, **options: Any) -> Recipe:
    arguments = options.pop("arguments", {})
    return on_the_plane(
        covers=covers,
        build=lambda type_, other, key, **axes: covers(type_, **arguments, **axes),
        parameters=parameters,
        on=on,
        named_axis=True,
        stateful=True,
        exports_inference=True,
        depth=2,
        **options,
    )


RECIPES = {
    "InnerBatchNorm": _batch_norm(
        nn.InnerBatchNorm,
        lambda module: 2 * len(module.in_type),
        (("C4", "quotient"), ("D4", "regular"), ("SO2", "trivial")),
        fits=lambda type_: type_.representation.is_permutation,
        everywhere=True,
    ),
    "InnerBatchNorm per orbit": _batch_norm(
        nn.InnerBatchNorm,
        lambda module: 2 * _invariants(module.in_type),  # one invariant vector per orbit
        (("C4", "quotient"),),
        arguments={"per_orbit": True},
        fits=lambda type_: type_.representation.is_permutation,
    ),
    "NormBatchNorm": _batch_norm(
        nn.NormBatchNorm,
        lambda module: len(module.in_type),
        (("D4", "vector"), ("O2", "vector"), ("C4", "induced")),
        fits=_no_field_has_invariants,
        everywhere=True,
    ),
    "InducedNormBatchNorm": _batch_norm(
        nn.InducedNormBatchNorm,
        lambda module: len(module.in_type),
        (("D4", "induced"), ("O2", "induced")),
        fits=_induced_without_invariants,
        everywhere=True,
    ),
    "GNormBatchNorm": _batch_norm(
        nn.GNormBatchNorm,
        lambda module: len(module.in_type.irreps) + _invariants(module.in_type),
        (("C4", "mixture"), ("D4", "fused"), ("SO2", "irreps")),
        everywhere=True,
    ),
    "GNormBatchNorm per type": _batch_norm(
        nn.GNormBatchNorm,
        lambda module: (
            sum(len(set(f.irreps)) for f in module.in_type) + _invariants(module.in_type)
        ),
        (("D6", "mixture"),),
        arguments={"per": "type", "correction": 1, "momentum": None},
    ),
    "IIDBatchNorm": _batch_norm(
        nn.IIDBatchNorm,
        lambda module: len(module.in_type) + _invariants(module.in_type),
        (("C8", "mixture"), ("O2", "fused")),
        everywhere=True,
    ),
    "IIDBatchNorm, ema": _batch_norm(
        nn.IIDBatchNorm,
        lambda module: 0,
        (("D4", "irreps"),),
        arguments={"variance": "about_invariant_mean", "mode": "ema", "affine": False},
    ),
    "FieldNorm": on_the_plane(
        covers=nn.FieldNorm,
        build=lambda type_, other, key: nn.FieldNorm(type_),
        parameters=lambda module: len(module.in_type) + _invariants(module.in_type),
        on=(("D4", "regular"), ("C8", "induced"), ("SO2", "vector")),
        fits=lambda type_: not any(f.is_trivial for f, _ in type_.representation.runs),
        depth=2,
        everywhere=True,
    ),
}
