"""Layers on tensor images, built from the signature of a field type."""

from equivax import nn
from equivax.images import Signature
from field_types import signature_of
from recipe import on_the_plane


def per_type(type_, key):
    def neuron(own, channels, key):
        return nn.VectorNeuron(Signature(((own, channels),)).field_type(2), key=key)

    return nn.PerType(neuron, signature_of(type_), key=key)


RECIPES = {
    "PerType": on_the_plane(
        covers=nn.PerType,
        build=lambda type_, other, key: per_type(type_, key),
        parameters=lambda module: sum(c**2 for t, c in module.in_signature if t != ((), 0)),
        on=(("B2", "tensors"),),
    ),
    "ConvContract": on_the_plane(
        covers=nn.ConvContract,
        build=lambda type_, other, key: nn.ConvContract(
            signature_of(type_), signature_of(other), key=key
        ),
        parameters=lambda module: module.basis.dim + sum(c for _, c in module.out_signature),
        on=(("B2", "tensors"), ("B2", "pseudotensors")),
        moves_points=True,
    ),
}
