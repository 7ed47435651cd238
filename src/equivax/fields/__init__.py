"""Typed data: `FieldType`, `GeometricTensor`, `IrrepTensor`, and how group elements move them."""

from ._direct_sum import tensor_directsum as tensor_directsum
from ._field_type import FieldType as FieldType
from ._geometric_tensor import GeometricTensor as GeometricTensor
from ._irrep_tensor import IrrepTensor as IrrepTensor
from ._moving import move_points as move_points
from ._moving import turn_fibers as turn_fibers
from ._type import Type as Type
