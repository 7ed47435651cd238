"""Signatures that the laws run over, and the field types that they are.

A recipe for a layer on tensor images is built from a field type, as every recipe is; `signature_of`
finds the signature, so that the same laws run over images and fields.
"""

from equivax import FieldType
from equivax.images import Signature

SIGNATURES = {
    "tensors": Signature((((0, 0), 2), ((1, 0), 1), ((2, 0), 1))),
    "pseudotensors": Signature((((1, 1), 2), ((0, 0), 1), ((2, 1), 1))),
}


def image_types() -> dict[str, FieldType]:
    """The types of the plane by name."""
    return {name: signature.field_type(2) for name, signature in SIGNATURES.items()}


def signature_of(type_: FieldType) -> Signature:
    """The signature with a type."""
    return next(s for s in SIGNATURES.values() if s.field_type(2) == type_)
