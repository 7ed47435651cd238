"""Relaxed layers, in the cases in which they commute with random parameters too."""

from __future__ import annotations

import jax

from equivax import nn
from recipe import Recipe, on_the_plane


def _count(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


RECIPES = {
    # What commutes with the whole group is the strict part: nothing is left to add.
    "Relaxed, everything kept": Recipe(
        covers=nn.Relaxed,
        build=lambda rep, other, key: nn.Relaxed(
            nn.Linear(rep, other, bias_init="equinox", key=key), to="all", key=key
        ),
        parameters=lambda module: 2 * _count(module.strict),
        on=(("D4", "turned"), ("Q8", "interleaved")),
    ),
    "Relaxed, rotations kept": on_the_plane(
        covers=nn.Relaxed,
        build=lambda type_, other, key: nn.Relaxed(
            nn.Conv(type_, other, 3, padding=1, key=key), to="rotations"
        ),
        parameters=lambda module: (
            _count(module.strict) + module.rest.basis.dim + len(module.rest.bias_coeffs)
        ),
        pairs=lambda module: [(g, g) for g in module.in_type.group.elements[:4]],
        on=(("D4", "regular"),),
        moves_points=True,
    ),
}
