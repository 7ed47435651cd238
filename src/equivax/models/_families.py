"""`UNet` and `ResNet` for both families: fields, and tensor images.

The families differ in their grids (odd sides and blurred pools, even sides and windows), norms and
outputs, so each has a class of its own; users ask for the network by its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

from ..fields import FieldType
from ..images import Signature
from ._resnet import FieldResNet
from ._tensor_resnet import TensorResNet
from ._tensor_unet import TensorUNet
from ._unet import FieldUNet

SignatureLike = Signature | Sequence[Any]
"""A signature, or the entries of one."""


@overload
def UNet(in_type: FieldType, out_type: FieldType, **options: Any) -> FieldUNet: ...
@overload
def UNet(in_type: SignatureLike, out_type: SignatureLike, **options: Any) -> TensorUNet: ...
def UNet(  # noqa: N802
    in_type: FieldType | SignatureLike, out_type: FieldType | SignatureLike, **options: Any
) -> FieldUNet | TensorUNet:
    """A U-Net: `FieldUNet` for fields, `TensorUNet` for tensor images.

    Args:
        in_type: A `FieldType`, or a `Signature` or what it accepts.
        out_type: Likewise.
        options: Of the class.

    Raises:
        ValueError: If an argument does not fit, as the class says.
        TypeError: If ``in_type`` is neither.
    """
    kind: Any = FieldUNet if _is_field_type("UNet", in_type) else TensorUNet
    return kind(in_type, out_type, **options)


@overload
def ResNet(in_type: FieldType, classes: int, **options: Any) -> FieldResNet: ...
@overload
def ResNet(in_type: SignatureLike, classes: SignatureLike, **options: Any) -> TensorResNet: ...
def ResNet(  # noqa: N802
    in_type: FieldType | SignatureLike, classes: int | SignatureLike, **options: Any
) -> FieldResNet | TensorResNet:
    """A residual network: `FieldResNet` classifies fields, `TensorResNet` maps images.

    Args:
        in_type: A `FieldType`, or a `Signature` or what it accepts.
        classes: The number of logits, or the signature of the output.
        options: Of the class.

    Raises:
        ValueError: If an argument does not fit, as the class says.
        TypeError: If ``in_type`` is neither.
    """
    kind: Any = FieldResNet if _is_field_type("ResNet", in_type) else TensorResNet
    return kind(in_type, classes, **options)


def _is_field_type(caller: str, given: object) -> bool:
    if isinstance(given, (FieldType, Signature, tuple, list)):
        return isinstance(given, FieldType)
    raise TypeError(
        f"{caller}: in_type: expected a FieldType (fields) or a Signature (tensor images), got "
        f"{type(given).__name__}"
    )
