"""`plot_fields`: scalars as images, vectors as arrows."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._arguments import integer, real_array
from ..fields import FieldType, GeometricTensor
from ._canvas import draw_arrows, draw_image, new_figure, to_vector


def plot_fields(x: object, in_type: FieldType | None = None, *, columns: int = 4) -> Any:
    """Draws the fields of one example on the plane, one picture per scalar or vector.

    Fields that turn as the plane does become arrows: ``v_xy = M v``, where ``M`` goes from the
    coordinates of the field to x and y, right and up. Of every other field each channel is an
    image, blue below zero and red above, on one scale for all images.

    Args:
        x: Array ``(c, H, W)``, or a `GeometricTensor` of that shape.
        in_type: Type of an array.
        columns: Pictures per row.

    Returns:
        A `matplotlib.figure.Figure`, to show or to save by ``savefig``.

    Raises:
        ValueError: If the shape does not fit, the type is not on a plane, or is missing.
        TypeError: If an argument is of another kind.
        ImportError: If matplotlib is missing.
    """
    if isinstance(x, GeometricTensor):
        x, in_type = x.array, x.type
    if not isinstance(in_type, FieldType):
        raise TypeError(
            "plot_fields: in_type: expected a FieldType, since x is no GeometricTensor, got "
            f"{type(in_type).__name__}"
        )
    if in_type.space.dim != 2:
        raise ValueError(f"plot_fields: in_type: expected fields on a plane, got {in_type!r}")
    array = real_array(x, "plot_fields", "x")
    if array.ndim != 3 or array.shape[0] != in_type.size:
        raise ValueError(
            f"plot_fields: x: expected one example ({in_type.size}, _, _), got {array.shape}"
        )
    columns = checked_columns("plot_fields", columns)
    scalars: list[tuple[str, np.ndarray]] = []
    drawn: list[tuple[str, np.ndarray]] = []
    for number, rep in enumerate(in_type.reps):
        values = array[in_type.fields_start[number] : in_type.fields_end[number]]
        matrix = to_vector(in_type.space, rep)
        if matrix is not None:
            drawn.append((f"{rep.name}[{number}]", np.einsum("ij,jhw->ihw", matrix, values)))
            continue
        for channel, image in enumerate(values):
            label = f"{rep.name}[{number}]" + (f" {channel}" if rep.size > 1 else "")
            scalars.append((label, image))
            drawn.append(scalars[-1])
    limit = max((float(np.abs(image).max(initial=0.0)) for _, image in scalars), default=0.0)
    figure, axes = new_figure("plot_fields", len(drawn), columns)
    for one, (label, values) in zip(axes, drawn, strict=True):
        if values.ndim == 2:
            draw_image(one, values, limit)
        else:
            draw_arrows(one, values)
        one.set_title(label, fontsize=8)
    return figure


def checked_columns(caller: str, columns: object) -> int:
    """A positive integer.

    Raises:
        TypeError: If it is no integer.
        ValueError: If it is not positive.
    """
    return integer(columns, caller, "columns", 1)
