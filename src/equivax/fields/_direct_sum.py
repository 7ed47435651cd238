"""`tensor_directsum`: fields side by side."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp

from .._arguments import several
from ..representations import direct_sum
from ._field_type import FieldType
from ._geometric_tensor import GeometricTensor


def tensor_directsum(tensors: Sequence[GeometricTensor]) -> GeometricTensor:
    """Concatenates channels; the type is the sum of the types in order.

    Args:
        tensors: On one space, with equal spatial axes; batch axes broadcast.

    Raises:
        ValueError: If there is none, or spaces or spatial axes differ.
        TypeError: If one is no `GeometricTensor`.
    """
    takes = "a list of GeometricTensor"
    tensors = several(tensors, "tensor_directsum", "tensors", takes, 0)
    if not tensors:
        raise ValueError("tensor_directsum: tensors: got none; expected at least one")
    for index, tensor in enumerate(tensors):
        if not isinstance(tensor, GeometricTensor):
            raise TypeError(
                f"tensor_directsum: tensors[{index}]: expected a GeometricTensor, got "
                f"{type(tensor).__name__}"
            )
    first = tensors[0]
    space, axis = first.type.space, -1 - first.type.space.dim
    for index, tensor in enumerate(tensors):
        if tensor.type.space != space:
            raise ValueError(
                f"tensor_directsum: tensors[{index}]: expected fields on {space!r}, got "
                f"{tensor.type.space!r}"
            )
        if tensor.shape[axis + 1 :] != first.shape[axis + 1 :] and axis != -1:
            raise ValueError(
                f"tensor_directsum: tensors[{index}]: expected spatial axes "
                f"{first.shape[axis + 1 :]}, got {tensor.shape[axis + 1 :]}"
            )
    batch = jnp.broadcast_shapes(*(tensor.shape[:axis] for tensor in tensors))
    arrays = [jnp.broadcast_to(t.array, batch + t.shape[axis:]) for t in tensors]
    type_ = FieldType(space, direct_sum([tensor.type.representation for tensor in tensors]))
    return GeometricTensor(jnp.concatenate(arrays, axis=axis), type_)
