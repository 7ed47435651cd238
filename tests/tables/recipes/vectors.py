"""Modules on vectors: representations without a space."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import equivax as evx
from equivax import models, nn
from equivax.representations import Representation
from recipe import Recipe

# ---- facts by characters, from another source than the layers --------------------------------


def _characters(rep: Representation, frequency: int) -> tuple[np.ndarray, np.ndarray]:
    coordinates, weights = rep.group.quadrature(2 * frequency)
    return np.trace(rep.evaluate(coordinates), axis1=1, axis2=2), weights


def hom_dimension(a: Representation, b: Representation) -> int:
    """``mean_g chi_a(g) chi_b(g)``."""
    frequency = max(a.group.irrep_data(i).frequency for i in a.irreps + b.irreps)
    one, weights = _characters(a, frequency)
    other, _ = _characters(b, frequency)
    return round(float(np.sum(weights * one * other)))


def invariant_dimension(rep: Representation) -> int:
    """``mean_g chi(g)``."""
    return hom_dimension(rep, rep.group.trivial)


# ---- recipes -----------------------------------------------------------------------------------


def _linear_parameters(module: nn.Linear) -> int:
    bias = 0 if module.bias_coeffs is None else invariant_dimension(module.out_type)
    return hom_dimension(module.in_type, module.out_type) + bias


def _batch_norm_parameters(module: nn.GNormBatchNorm) -> int:
    rep = module.in_type
    return len(rep.irreps) + rep.irreps.count(rep.group.trivial.irreps[0])


def _affine_parameters(module: nn.Affine) -> int:
    rep = module.in_type
    scales = {
        "irrep": len(rep.irreps),
        "field": len(rep.summands),
        "type": len(set(rep.irreps)),
    }[module.per]
    return scales + invariant_dimension(rep) if module.learnable else 0


def _total(*modules: Any) -> int:
    """Sum over the layers of a model, each counted by its own rule."""
    total = 0
    for module in modules:
        if isinstance(module, nn.Linear):
            total += _linear_parameters(module)
        elif isinstance(module, nn.NormNonlinearity):
            total += len(module.in_type.summands)
        elif isinstance(module, nn.GatedNonlinearity):
            total += len(module.in_type.summands) // 2
        elif isinstance(module, nn.Affine):
            total += _affine_parameters(module)
        elif isinstance(module, nn.GNormBatchNorm) and module.weight is not None:
            total += _batch_norm_parameters(module)
    return total


def _permuted(rep: Representation) -> bool:
    return rep.is_permutation


def _permuted_with_signs(rep: Representation) -> bool:
    return rep.is_signed_permutation


def _has_invariants(rep: Representation) -> bool:
    return rep.contains_trivial


def _small_group(rep: Representation) -> bool:
    return rep.group.order is not None and rep.group.order <= 24


def _gates_between(rep: Representation, **options: Any) -> nn.GatedNonlinearity:
    """Gates and gated fields in turn."""
    fields = [part for field in rep.summands for part in (field, rep.group.trivial)]
    marks = ["gated", "gate"] * len(rep.summands)
    return nn.GatedNonlinearity(evx.direct_sum(fields), marks, **options)


def _sequence(rep: Representation, other: Representation, key: Any) -> nn.Sequential:
    first, second = jax.random.split(key)
    return nn.Sequential(
        nn.Affine(rep),
        nn.Linear(rep, rep, key=first),
        nn.NormNonlinearity(rep, use_bias=False),
        nn.Linear(rep, other, key=second),
    )


def _sequence_with_statistics(
    rep: Representation, other: Representation, key: Any, **axes: Any
) -> nn.Sequential:
    return nn.Sequential(
        nn.Affine(rep),
        nn.GNormBatchNorm(rep, **axes),
        nn.Sequential(
            nn.Linear(rep, other, key=key), nn.GNormBatchNorm(other, affine=False, **axes)
        ),
    )


def _flat(*arrays: Any) -> Any:
    return jnp.concatenate([jnp.ravel(array) for array in arrays])


RECIPES: dict[str, Recipe] = {
    "Linear": Recipe(
        covers=nn.Linear,
        build=lambda rep, other, key: nn.Linear(rep, other, bias_init="equinox", key=key),
        parameters=_linear_parameters,
        on=(("D4", "regulars"), ("Q8", "turned"), ("C3xC3", "interleaved"), ("SO3", "measured")),
        everywhere=True,
    ),
    "Linear dense": Recipe(
        covers=nn.Linear,
        build=lambda rep, other, key: nn.Linear(rep, other, mode="dense", key=key),
        parameters=_linear_parameters,
        on=(("C4", "interleaved"), ("sheared", "sheared")),
    ),
    "Linear spectral": Recipe(
        covers=nn.Linear,
        build=lambda rep, other, key: nn.Linear(rep, other, mode="spectral", key=key),
        parameters=_linear_parameters,
        on=(("Q8", "regulars"), ("D3", "one kind"), ("icosahedral", "regular")),
    ),
    "Linear without bias": Recipe(
        covers=nn.Linear,
        build=lambda rep, other, key: nn.Linear(rep, other, use_bias=False, key=key),
        parameters=_linear_parameters,
        on=(("O2", "measured"),),
    ),
    "InvariantBias": Recipe(
        covers=nn.InvariantBias,
        build=lambda rep, other, key: nn.InvariantBias(rep, bias_init="equinox", key=key),
        parameters=lambda module: invariant_dimension(module.in_type),
        on=(("C4xD3", "turned"), ("D3", "two trivial"), ("klein", "no trivial")),
        everywhere=True,
    ),
    "Affine": Recipe(
        covers=nn.Affine,
        build=lambda rep, other, key: nn.Affine(rep),
        parameters=_affine_parameters,
        on=(("D4", "turned"), ("SO2", "interleaved")),
        everywhere=True,
    ),
    "Affine per field, residual": Recipe(
        covers=nn.Affine,
        build=lambda rep, other, key: nn.Affine(rep, per="field", residual=True),
        parameters=_affine_parameters,
        on=(("C8", "regulars"),),
    ),
    "Affine per type": Recipe(
        covers=nn.Affine,
        build=lambda rep, other, key: nn.Affine(rep, per="type"),
        parameters=_affine_parameters,
        on=(("C3xC3", "measured"), ("O2", "no trivial")),
    ),
    "Affine from outside": Recipe(
        covers=nn.Affine,
        build=lambda rep, other, key: nn.Affine(rep, learnable=False),
        on=(("D3", "regulars"), ("Q8", "interleaved")),
        film=True,
        everywhere=True,
    ),
    "Affine from outside, per type, residual": Recipe(
        covers=nn.Affine,
        build=lambda rep, other, key: nn.Affine(
            rep, learnable=False, per="type", residual=True, use_bias=False
        ),
        on=(("C4", "turned"),),
        film=True,
    ),
    "Affine from outside, per field": Recipe(
        covers=nn.Affine,
        build=lambda rep, other, key: nn.Affine(rep, learnable=False, per="field"),
        on=(("klein", "turned"),),
        film=True,
    ),
    "Identity": Recipe(
        covers=nn.Identity,
        build=lambda rep, other, key: nn.Identity(rep),
        on=(("C1", "regular"),),
    ),
    "Sequential": Recipe(
        covers=nn.Sequential,
        build=_sequence,
        parameters=lambda module: _total(*module.layers[:2], module.layers[3]),
        on=(("D3", "turned"), ("SO3", "interleaved")),
        depth=4,
        everywhere=True,
    ),
    "Disentangle": Recipe(
        covers=nn.Disentangle,
        build=lambda rep, other, key: nn.Disentangle(rep),
        on=(("C8", "regular"), ("Q8", "one kind"), ("O2", "interleaved")),
        everywhere=True,
    ),
    "Disentangle back": Recipe(
        covers=nn.Disentangle,
        build=lambda rep, other, key: nn.Disentangle(rep).inverse,
        on=(("D4", "regulars"), ("C4xD3", "measured")),
        everywhere=True,
    ),
    "FieldDropout": Recipe(
        covers=nn.FieldDropout,
        build=lambda rep, other, key: nn.FieldDropout(rep, 0.4),
        on=(("D4", "interleaved"), ("SO2", "no trivial")),
        needs_key=True,
        exports_inference=True,
        everywhere=True,
    ),
    "FieldDropout at inference": Recipe(
        covers=nn.FieldDropout,
        build=lambda rep, other, key: nn.FieldDropout(rep, 0.4, inference=True),
        on=(("D3", "regular"),),
    ),
    "ReLU": Recipe(
        covers=nn.ReLU,
        build=lambda rep, other, key: nn.ReLU(rep),
        fits=_permuted,
        on=(("octahedral", "regular"),),
        everywhere=True,
    ),
    "ELU": Recipe(
        covers=nn.ELU,
        build=lambda rep, other, key: nn.ELU(rep, 0.7),
        fits=_permuted,
        on=(("D4", "regular"),),
    ),
    "PointwiseNonlinearity": Recipe(
        covers=nn.PointwiseNonlinearity,
        build=lambda rep, other, key: nn.PointwiseNonlinearity(rep, jax.nn.gelu),
        fits=_permuted,
        on=(("Q8", "regular"),),
    ),
    "PointwiseNonlinearity, odd": Recipe(
        covers=nn.PointwiseNonlinearity,
        build=lambda rep, other, key: nn.PointwiseNonlinearity(rep, jnp.tanh, odd=True),
        fits=_permuted_with_signs,
        on=(("klein", "interleaved"), ("C4", "regulars")),
        everywhere=True,
    ),
    "NormNonlinearity": Recipe(
        covers=nn.NormNonlinearity,
        build=lambda rep, other, key: nn.NormNonlinearity(rep),
        parameters=lambda module: len(module.in_type.summands),
        on=(("D4", "no trivial"), ("SO3", "turned")),
        everywhere=True,
    ),
    "NormNonlinearity without bias": Recipe(
        covers=nn.NormNonlinearity,
        build=lambda rep, other, key: nn.NormNonlinearity(rep, jax.nn.sigmoid, use_bias=False),
        on=(("C8", "interleaved"),),
    ),
    "NormNonlinearity, squash": Recipe(
        covers=nn.NormNonlinearity,
        build=lambda rep, other, key: nn.NormNonlinearity(rep, nn.squash, use_bias=False),
        on=(("C4", "defining"),),
    ),
    "GatedNonlinearity": Recipe(
        covers=nn.GatedNonlinearity,
        build=lambda rep, other, key: nn.GatedNonlinearity.for_fields(rep),
        parameters=lambda module: len(module.in_type.summands) // 2,
        on=(("C8", "no trivial"), ("octahedral", "turned")),
        everywhere=True,
    ),
    "GatedNonlinearity, gates kept": Recipe(
        covers=nn.GatedNonlinearity,
        build=lambda rep, other, key: _gates_between(rep, drop_gates=False),
        parameters=lambda module: len(module.in_type.summands) // 2,
        on=(("SO2", "measured"), ("D3", "interleaved")),
    ),
    "GatedNonlinearity without bias": Recipe(
        covers=nn.GatedNonlinearity,
        build=lambda rep, other, key: _gates_between(rep, function=jnp.tanh, use_bias=False),
        on=(("Q8", "defining"),),
    ),
    "RMSNorm": Recipe(
        covers=nn.RMSNorm,
        build=lambda rep, other, key: nn.RMSNorm(rep),
        parameters=lambda module: len(module.in_type.irreps),
        on=(("D4", "turned"), ("Q8", "interleaved")),
        depth=2,
        everywhere=True,
    ),
    "LayerNorm": Recipe(
        covers=nn.LayerNorm,
        build=lambda rep, other, key: nn.LayerNorm(rep),
        parameters=lambda module: _affine_parameters(module.affine),
        on=(("D3", "regulars"), ("C3xC3", "turned"), ("SO3", "interleaved")),
        depth=2,
        everywhere=True,
    ),
    "LayerNorm per type": Recipe(
        covers=nn.LayerNorm,
        build=lambda rep, other, key: nn.LayerNorm(rep, pool="type", eps=1e-3),
        parameters=lambda module: _affine_parameters(module.affine),
        on=(("octahedral", "turned"),),
        depth=2,
    ),
    "GNormBatchNorm": Recipe(
        covers=nn.GNormBatchNorm,
        build=lambda rep, other, key, **axes: nn.GNormBatchNorm(rep, **axes),
        parameters=lambda module: _batch_norm_parameters(module),
        on=(("D4", "turned"), ("Q8", "interleaved"), ("SO3", "no trivial")),
        stateful=True,
        named_axis=True,
        depth=2,
        everywhere=True,
    ),
    "GNormBatchNorm, ema": Recipe(
        covers=nn.GNormBatchNorm,
        build=lambda rep, other, key, **axes: nn.GNormBatchNorm(
            rep, mode="ema", momentum=0.3, affine=False, eps=1e-3, **axes
        ),
        on=(("C3xC3", "interleaved"),),
        stateful=True,
        named_axis=True,
        depth=2,
    ),
    "GNormBatchNorm, cumulative": Recipe(
        covers=nn.GNormBatchNorm,
        build=lambda rep, other, key, **axes: nn.GNormBatchNorm(
            rep, momentum=None, correction=1, **axes
        ),
        parameters=lambda module: _batch_norm_parameters(module),
        on=(("D3", "regulars"),),
        stateful=True,
        named_axis=True,
        depth=2,
    ),
    "RunningMoments": Recipe(
        covers=nn.RunningMoments,
        build=lambda rep, other, key, **axes: nn.RunningMoments(rep, **axes),
        on=(("D3", "turned"), ("Q8", "regular"), ("O2", "interleaved")),
        stateful=True,
        named_axis=True,
        summary=lambda moments: _flat(moments.mean_x, moments.cov_xx, moments.cov_yx),
        depth=2,
        everywhere=True,
    ),
    "Sequential with running statistics": Recipe(
        covers=nn.Sequential,
        build=_sequence_with_statistics,
        parameters=lambda module: _total(
            module.layers[0], module.layers[1], module.layers[2].layers[0]
        ),
        on=(("D3", "turned"),),
        stateful=True,
        named_axis=True,
        depth=6,
    ),
    "EquivariantMultivariateNormal": Recipe(
        covers=nn.EquivariantMultivariateNormal,
        build=lambda rep, other, key: nn.EquivariantMultivariateNormal(rep),
        on=(("D4", "turned"), ("SO3", "interleaved")),
        kind="distribution",
        everywhere=True,
    ),
    "EquivariantMultivariateNormal, full": Recipe(
        covers=nn.EquivariantMultivariateNormal,
        build=lambda rep, other, key: nn.EquivariantMultivariateNormal(rep, covariance="full"),
        on=(("Q8", "interleaved"), ("C3xC3", "turned")),
        kind="distribution",
        everywhere=True,
    ),
    "EquivariantMultivariateNormal per type, with a floor": Recipe(
        covers=nn.EquivariantMultivariateNormal,
        build=lambda rep, other, key: nn.EquivariantMultivariateNormal(
            rep, covariance="type", min_var=0.1
        ),
        on=(("octahedral", "turned"),),
        kind="distribution",
    ),
    "EquivariantMultivariateNormal, full, with a floor": Recipe(
        covers=nn.EquivariantMultivariateNormal,
        build=lambda rep, other, key: nn.EquivariantMultivariateNormal(
            rep, covariance="full", min_var=0.1
        ),
        on=(("C4", "interleaved"),),
        kind="distribution",
    ),
    "InvariantPool": Recipe(
        covers=nn.InvariantPool,
        build=lambda rep, other, key: nn.InvariantPool(rep),
        fits=_has_invariants,
        on=(("C4xD3", "regular"), ("D3", "two trivial"), ("O2", "turned")),
        everywhere=True,
    ),
    "IrrepNormPool": Recipe(
        covers=nn.IrrepNormPool,
        build=lambda rep, other, key: nn.IrrepNormPool(rep),
        on=(("C8", "turned"), ("icosahedral", "defining")),
        everywhere=True,
    ),
    "IrrepNormPool, smooth": Recipe(
        covers=nn.IrrepNormPool,
        build=lambda rep, other, key: nn.IrrepNormPool(rep, trivial="value", eps=0.1),
        on=(("klein", "regulars"), ("SO3", "interleaved")),
    ),
    "QuadraticPool": Recipe(
        covers=nn.QuadraticPool,
        build=lambda rep, other, key: nn.QuadraticPool(rep),
        on=(("C4", "regulars"), ("Q8", "interleaved"), ("D3", "one kind")),
        everywhere=True,
    ),
    "MLP": Recipe(
        covers=models.MLP,
        # Wide enough that ReLU leaves more than rounding errors.
        build=lambda rep, other, key: models.MLP(rep, other, [4 * rep.group.order] * 2, key=key),
        parameters=lambda module: _total(*module.layers.layers),
        fits=_small_group,
        on=(("D4", "turned"), ("sheared", "defining")),
        depth=5,
        everywhere=True,
    ),
    "MLP with norms and dropout": Recipe(
        covers=models.MLP,
        build=lambda rep, other, key: models.MLP(
            rep, other, [rep], activation=nn.NormNonlinearity, dropout=0.3, key=key
        ),
        parameters=lambda module: _total(*module.layers.layers),
        on=(("SO2", "turned"), ("C3xC3", "no trivial")),
        needs_key=True,
        exports_inference=True,
        depth=4,
    ),
    "MLP with gates": Recipe(
        covers=models.MLP,
        build=lambda rep, other, key: models.MLP(
            rep, other, [rep], activation=nn.GatedNonlinearity, use_bias=False, key=key
        ),
        parameters=lambda module: _total(*module.layers.layers),
        fits=_has_invariants,  # else no linear map makes gates
        on=(("SO3", "interleaved"), ("C4", "turned")),
        depth=3,
    ),
    "InvariantMLP": Recipe(
        covers=models.InvariantMLP,
        build=lambda rep, other, key: models.InvariantMLP(rep, 3, [2 * rep.group.order], key=key),
        parameters=lambda module: (
            _total(*module.backbone.layers) + 3 * (module.pool.out_type.size + 1)
        ),
        fits=_small_group,
        on=(("D3", "regulars"), ("Q8", "turned")),
        depth=4,
        everywhere=True,
    ),
    "InvariantMLP, quadratic": Recipe(
        covers=models.InvariantMLP,
        build=lambda rep, other, key: models.InvariantMLP(
            rep, 2, [rep], activation=nn.NormNonlinearity, pool="quadratic", key=key
        ),
        parameters=lambda module: (
            _total(*module.backbone.layers) + 2 * (module.pool.out_type.size + 1)
        ),
        on=(("SO3", "no trivial"),),
        depth=4,
    ),
    "InvariantMLP, mean": Recipe(
        covers=models.InvariantMLP,
        build=lambda rep, other, key: models.InvariantMLP(
            rep, 2, [3 * rep], activation=nn.NormNonlinearity, pool="mean", use_bias=False, key=key
        ),
        parameters=lambda module: _total(*module.backbone.layers) + 2 * module.pool.out_type.size,
        fits=_has_invariants,
        on=(("klein", "regular"),),
        depth=4,
    ),
    "CommutingConstraint": Recipe(
        covers=nn.CommutingConstraint,
        build=lambda rep, other, key: nn.CommutingConstraint(rep, other),
        kind="projection",
        on=(("D4", "turned"), ("Q8", "regular"), ("SO3", "interleaved")),
    ),
    "InvariantConstraint": Recipe(
        covers=nn.InvariantConstraint,
        build=lambda rep, other, key: nn.InvariantConstraint(rep),
        kind="projection",
        on=(("D4", "turned"), ("C3xC3", "regular"), ("SO3", "no trivial")),
    ),
}
