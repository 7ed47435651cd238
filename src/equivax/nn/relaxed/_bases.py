"""Bases of dense arrays that commute with a group, told apart by their layer and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
from jaxtyping import Array

from ...groups import Subgroup
from ...hom import HomBasis, hom_basis
from ...images import FilterBasis
from ...kernels import TypeBasis
from ..convolution import Conv, ConvContract, ConvTranspose
from ..linear import InvariantBias, Linear

DenseLayer: TypeAlias = Linear | Conv | ConvTranspose | ConvContract | InvariantBias
"""Layers that are a dense array and a bias."""

Basis: TypeAlias = HomBasis | TypeBasis | FilterBasis
"""What spans the dense arrays that commute."""


def dense_shape(layer: DenseLayer) -> tuple[int, ...] | None:
    """Shape of the dense array ``(out, in / parts, *kernel)``; None if a layer is only a bias."""
    if isinstance(layer, InvariantBias):
        return None
    ins, outs = layer.in_type.size, layer.out_type.size
    kernel = () if isinstance(layer, Linear) else layer.basis.kernel
    return (outs, ins // parts_of(layer), *kernel)


def parts_of(layer: DenseLayer) -> int:
    """Equal parts of the channels that are mapped separately."""
    return layer.groups if isinstance(layer, (Conv, ConvTranspose)) else 1


def basis_under(layer: DenseLayer, subgroup: Subgroup | None) -> Basis | None:
    """The basis of the layer, or the same kind of basis for a subgroup of its group."""
    if isinstance(layer, InvariantBias):
        return None
    basis = layer.basis
    if subgroup is None:
        return basis
    if isinstance(basis, HomBasis):
        return hom_basis(basis.in_rep.restrict(subgroup), basis.out_rep.restrict(subgroup))
    space = basis.space.restrict(subgroup)
    if isinstance(basis, FilterBasis):
        return FilterBasis(basis.in_signature, basis.out_signature, basis.kernel, space)
    return TypeBasis.from_recipe(
        space,
        basis.in_rep.restrict(subgroup),
        basis.out_rep.restrict(subgroup),
        basis.recipe,
        warn_unused=False,
        caller="Relaxed",
    )


def shapes(basis: Basis, parts: int) -> dict[str, tuple[int, ...]]:
    """Name to the shape of coefficients."""
    if isinstance(basis, HomBasis):
        return {block.name: block.shape for block in basis.blocks}
    lead = () if parts == 1 else (parts,)
    return {name: (*lead, *shape) for name, shape in basis.shapes.items()}


def expanded(basis: Basis, coeffs: Mapping[str, Array], parts: int) -> Array:
    """The dense array with given coefficients."""
    if isinstance(basis, HomBasis):
        return basis.synthesize(coeffs)
    dense = _by_parts(basis.expand, parts)(coeffs)
    return dense if parts == 1 else dense.reshape(-1, *dense.shape[2:])


def coefficients(basis: Basis, dense: Array, parts: int) -> dict[str, Array]:
    """Those of the nearest dense array of the span."""
    if isinstance(basis, HomBasis):
        return basis.coefficients(dense)
    split = dense if parts == 1 else dense.reshape(parts, -1, *dense.shape[1:])
    return _by_parts(basis.coefficients, parts)(split)


def projected(basis: Basis, dense: Array, parts: int) -> Array:
    """The nearest dense array of the span."""
    if isinstance(basis, HomBasis):
        return basis.project(dense)
    return expanded(basis, coefficients(basis, dense, parts), parts)


def _by_parts(function: Callable[[Any], Any], parts: int) -> Callable[[Any], Any]:
    return function if parts == 1 else jax.vmap(function)
