"""Layers that plain vectors have too, and containers."""

from equivax import nn
from field_recipe import FieldRecipe

RECIPES = {
    "Identity": FieldRecipe(
        covers=nn.Identity,
        build=lambda type_, other, key: nn.Identity(type_),
        on=(("D4", "mixture"),),
    ),
}
