"""Choosing and rearranging fields, for types with and without a space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...fields import Type
from ...representations import as_representation, direct_sum
from ._channels import field_sizes, type_like


def number_of_fields(type_: Type) -> int:
    """How many fields (summands) a type has."""
    return sum(count for _, count in as_representation(type_, "in_type").data)


def field_names(type_: Type) -> list[str]:
    """Label of every field."""
    rep = as_representation(type_, "in_type")
    return [summand.name for summand, count in rep.data for _ in range(count)]


def select_fields(type_: Type, indices: Sequence[int]) -> Type:
    """The type of chosen fields, in the given order."""
    fields = as_representation(type_, "in_type").summands
    return type_like(type_, direct_sum([fields[i] for i in indices]))


def channels_of(type_: Type, indices: Sequence[int]) -> np.ndarray:
    """Channels of chosen fields, field after field."""
    ends = np.cumsum(field_sizes(as_representation(type_, "in_type")))
    starts = np.concatenate([[0], ends[:-1]])
    return np.concatenate([np.arange(starts[i], ends[i]) for i in indices]).astype(np.int32)
