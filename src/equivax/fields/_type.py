"""`Type`: what a layer takes for the type of its input or its output."""

from __future__ import annotations

from typing import TypeAlias

from ..representations import Representation
from ._field_type import FieldType

Type: TypeAlias = Representation | FieldType
"""Vectors that a group acts on, or fields on a space."""
