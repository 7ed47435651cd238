"""Layers that plain vectors have too, and containers."""

import jax

from equivax import nn
from recipe import on_the_plane


def _invariants(type_):
    """Multiplicity of the trivial irrep, by characters."""
    rep = type_.representation
    return rep.multiplicities.get(rep.group.trivial.irreps[0], 0)


def _sequence(type_, other, key):
    return nn.Sequential(nn.Affine(type_), nn.InvariantBias(type_), nn.Affine(type_, per="field"))


RECIPES = {
    "Identity": on_the_plane(
        covers=nn.Identity,
        build=lambda type_, other, key: nn.Identity(type_),
        on=(("D4", "mixture"),),
    ),
    "Sequential": on_the_plane(
        covers=nn.Sequential,
        build=_sequence,
        parameters=lambda module: sum(
            leaf.size for layer in module for leaf in jax.tree.leaves(layer)
        ),
        on=(("D4", "irreps"), ("C8", "fused")),
        depth=3,
    ),
    "Sequential with dropout": on_the_plane(
        covers=nn.Sequential,
        build=lambda type_, other, key: nn.Sequential(nn.FieldDropout(type_), nn.Affine(type_)),
        parameters=lambda module: len(module.in_type.irreps) + _invariants(module.in_type),
        on=(("D6", "irreps"),),
        needs_key=True,
        training_moves="fibers",  # one mask per point
        exports_inference=True,
        depth=2,
    ),
    "InvariantBias": on_the_plane(
        covers=nn.InvariantBias,
        build=lambda type_, other, key: nn.InvariantBias(type_, bias_init="equinox", key=key),
        parameters=lambda module: _invariants(module.in_type),
        on=(("D4", "quotient"), ("SO2", "vector")),
        everywhere=True,
    ),
    "Affine": on_the_plane(
        covers=nn.Affine,
        build=lambda type_, other, key: nn.Affine(type_),
        parameters=lambda module: len(module.in_type.irreps) + _invariants(module.in_type),
        on=(("C4", "induced"), ("O2", "quotient")),
        everywhere=True,
    ),
    "Affine per field, residual": on_the_plane(
        covers=nn.Affine,
        build=lambda type_, other, key: nn.Affine(type_, per="field", residual=True),
        parameters=lambda module: len(module.in_type) + _invariants(module.in_type),
        on=(("C8", "regular"),),
    ),
    "Affine per type": on_the_plane(
        covers=nn.Affine,
        build=lambda type_, other, key: nn.Affine(type_, per="type", use_bias=False),
        parameters=lambda module: len(set(module.in_type.irreps)),
        on=(("D1", "fused"),),
    ),
    "InvariantPool": on_the_plane(
        covers=nn.InvariantPool,
        build=lambda type_, other, key: nn.InvariantPool(type_),
        fits=lambda type_: type_.representation.contains_trivial,
        on=(("C1", "trivial"), ("D4", "fused")),
        everywhere=True,
    ),
    "IrrepNormPool": on_the_plane(
        covers=nn.IrrepNormPool,
        build=lambda type_, other, key: nn.IrrepNormPool(type_),
        on=(("O2", "induced"), ("D6", "mixture")),
        everywhere=True,
    ),
    "IrrepNormPool, smooth": on_the_plane(
        covers=nn.IrrepNormPool,
        build=lambda type_, other, key: nn.IrrepNormPool(type_, trivial="value", eps=0.1),
        on=(("D1", "regular"),),
    ),
    "QuadraticPool": on_the_plane(
        covers=nn.QuadraticPool,
        build=lambda type_, other, key: nn.QuadraticPool(type_),
        on=(("C4", "irreps"), ("O2", "vector")),
        everywhere=True,
    ),
    "FieldDropout": on_the_plane(
        covers=nn.FieldDropout,
        build=lambda type_, other, key: nn.FieldDropout(type_, 0.4),
        on=(("C8", "mixture"),),
        needs_key=True,
        training_moves="fibers",  # one mask per point
        exports_inference=True,
        everywhere=True,
    ),
}
