"""Layers on tensor images, built from the signature of a field type."""

from equivax import nn
from field_recipe import FieldRecipe
from image_cases import signature_of

RECIPES = {
    "ConvContract": FieldRecipe(
        covers=nn.ConvContract,
        build=lambda type_, other, key: nn.ConvContract(
            signature_of(type_), signature_of(other), key=key
        ),
        parameters=lambda module: module.basis.dim + sum(c for _, c in module.out_signature),
        on=(("B2", "tensors"), ("B2", "pseudotensors")),
        moves_points=True,
    ),
}
