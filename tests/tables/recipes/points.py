"""Modules on points of a plane or of space."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from equivax import FieldType, models, nn, spaces
from equivax.kernels import harmonic_representation
from equivax.representations import Representation
from recipe import Recipe
from recipes.vectors import _characters, invariant_dimension


def _kernels(module: Any) -> int:
    """Dimension of the kernels by characters: of all harmonics, also of those left out."""
    space, rings = module.in_type.space, len(module.basis.recipe.degrees)
    highest = 2 * (rings - 1)
    reps = [type_.representation for type_ in (module.in_type, module.out_type)]
    frequency = highest + max(space.group.irrep_data(i).frequency for r in reps for i in r.irreps)
    (one, weights), (other, _) = (_characters(rep, frequency) for rep in reps)
    harmonics = [
        _characters(harmonic_representation(space, degree), frequency)[0]
        for degree in range(highest + 1)
    ]
    return sum(
        round(float(np.sum(weights * one * other * harmonics[degree])))
        for ring in range(rings)
        for degree in range(2 * ring + 1)
    )


def _parts(module: Any) -> int:
    """Parameters of the layers inside, which have recipes of their own."""
    return sum(leaf.size for leaf in jax.tree.leaves(module))


def _harmonics(rep: Representation, **options: Any) -> nn.SphericalHarmonics:
    group = rep.group
    space = spaces.rot_on_r2(8) if group.order == 8 else spaces.on_r3(group)
    return nn.SphericalHarmonics(FieldType(space, rep), **options)


def _points(**about: Any) -> Recipe:
    return Recipe(kind="points", **about)


RECIPES: dict[str, Recipe] = {
    "PointConv": _points(
        covers=nn.PointConv,
        build=lambda type_, other, key: nn.PointConv(
            type_, other, width=1.5, frequency_cutoff=2, key=key
        ),
        parameters=lambda m: _kernels(m) + invariant_dimension(m.out_type.representation),
        on=(
            ("SO3 on R3", "irreps"),
            ("D6 on R2", "regular"),
            ("SO2 on R2", "fused"),
            ("O3 on R3", "vectors"),
            ("octahedral on R3", "regular"),
        ),
    ),
    "PointConv of means": _points(
        covers=nn.PointConv,
        build=lambda type_, other, key: nn.PointConv(
            type_,
            other,
            width=1.0,
            rings=2,
            aggregate="mean",
            frequency_cutoff=2,
            cutoff=1.5,
            use_bias=False,
            key=key,
        ),
        parameters=_kernels,
        on=(("D6 on R2", "irreps"), ("SO3 on R3", "fused")),
    ),
    "PointBlock": _points(
        covers=models.PointBlock,
        build=lambda type_, other, key: models.PointBlock(
            type_, type_, width=1.5, rings=2, frequency_cutoff=1, key=key
        ),
        parameters=_parts,
        depth=4,
        on=(("O3 on R3", "vectors"), ("D6 on R2", "regular")),
    ),
    "PointNetwork": _points(
        covers=models.PointNetwork,
        build=lambda type_, other, key: models.PointNetwork(
            type_, other, type_, width=1.5, rings=2, frequency_cutoff=1, depth=2, key=key
        ),
        parameters=_parts,
        spread=0.5,
        depth=10,
        on=(("D6 on R2", "irreps"), ("SO3 on R3", "vectors")),
    ),
    "SphericalHarmonics": Recipe(
        covers=nn.SphericalHarmonics,
        build=lambda rep, other, key: _harmonics(rep),
        on=(("octahedral", "turned"), ("C8", "regular"), ("SO3", "interleaved")),
    ),
    "SphericalHarmonics with lengths": Recipe(
        covers=nn.SphericalHarmonics,
        build=lambda rep, other, key: _harmonics(rep, normalize=False),
        on=(("SO3", "defining"), ("C8", "turned")),
    ),
}
