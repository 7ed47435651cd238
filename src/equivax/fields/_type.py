"""`Type`: what a layer takes and returns, in words that signatures can use."""

from ..representations import Representation
from ._field_type import FieldType

Type = Representation | FieldType
"""The type of a layer's input or output: a `Representation` for vectors, whose last axis is acted
on, or a `FieldType` for fields on a space, whose channel axis is."""
