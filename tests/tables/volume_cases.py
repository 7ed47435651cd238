"""The recipes of the plane in space: the same layers on types with three axes.

All laws on them are slow: they repeat what the plane has shown, on other groups.
"""

from __future__ import annotations

import dataclasses

from cases import FIELD_RECIPES, cases_of
from field_types import types
from recipe import Recipe

#: Types that can break a layer; a recipe takes the first that fit.
TYPES = (
    ("O", "regular"), ("SO3", "irreps"), ("O3", "fused"), ("Oh", "quotient"), ("O", "induced"),
    ("D4 in space", "mixture"), ("I", "vector"), ("C1 in space", "trivial"),
)  # fmt: skip

#: How many of them.
MOST = 3

#: Where networks are looked at: the orbits of larger groups take minutes.
NETWORKS = (("SO3", "trivial"), ("D4 in space", "vector"))

#: What is built for planes alone, or for tensor images, whose types are of the plane here.
LEFT_OUT = {
    "Conv, grid basis, even": "pads two axes",
    "Conv with groups and dilation": "pads as Conv; a kernel of 5 x 5 x 5 cells is larger than it",
    "ConvTranspose with groups and dilation": "pads two axes",
    "Diffop with groups and dilation": "as Conv",
    "FourierNonlinearity, another band": "has frequencies, which finite groups have not",
    "FourierNonlinearity, cosets": "names a subgroup of O(2)",
    "GroupNorm, rms": "wants several fields",
    "TypedFunction": "is of the user's class",
    "Relaxed, rotations kept": "names a subgroup of a finite group",
    "VisionTransformer": "is for finite groups, and has laws in space of its own",
    "VectorNeuron, any map": "counts the parameters of a type of C4",
}


def in_space(recipe: Recipe) -> Recipe:
    """The recipe with one axis more, on the first types that fit."""
    found = [p for p in TYPES if p[1] in types(p[0]) and recipe.fits(types(p[0])[p[1]])]
    network = recipe.covers.__module__.startswith("equivax.models")
    on = NETWORKS if network else tuple(found[:MOST])
    sides = (recipe.sides[0], *recipe.sides)
    return dataclasses.replace(recipe, sides=sides, on=on, everywhere=False)


RECIPES = {
    name: lifted
    for name, recipe in FIELD_RECIPES.items()
    if name not in LEFT_OUT and all(place != "B2" for place, _ in recipe.on)
    if (lifted := in_space(recipe)).on
}

#: Every recipe that builds in space, on each of its types.
VOLUMES = cases_of(RECIPES)
