"""Figures, and how an array on the plane is put on axes with coordinates x and y.

The convention is that of `equivax.spaces`: ``x = column - (W - 1) / 2``, ``y = (H - 1) / 2 - row``.
So y points up, pixels are unit squares about their coordinates, and an arrow ``(v_x, v_y)`` points
where it says.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..representations import Representation
from ..spaces import GSpace, grid_points

COLOURS = "RdBu_r"
"""Diverging: white is zero."""


def new_figure(caller: str, count: int, columns: int, size: float = 2.0) -> tuple[Any, list[Any]]:
    """A figure with ``count`` axes in rows; it belongs to no window.

    Raises:
        ImportError: If matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            f"{caller}: needs matplotlib, which is not installed; pip install 'equivax[viz]'"
        ) from error
    columns = max(1, min(columns, count))
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(size * columns, size * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for unused in axes[count:]:
        unused.set_axis_off()
    return figure, axes[:count]


def draw_image(axes: Any, image: np.ndarray, limit: float | None = None) -> None:
    """A scalar ``(H, W)``: colours symmetric about zero."""
    height, width = image.shape
    limit = float(np.abs(image).max(initial=0.0)) if limit is None else limit
    axes.imshow(
        image,
        cmap=COLOURS,
        vmin=-(limit or 1.0),
        vmax=limit or 1.0,
        origin="upper",
        extent=(-width / 2, width / 2, -height / 2, height / 2),
        interpolation="nearest",
    )
    axes.set_xticks([])
    axes.set_yticks([])


def draw_arrows(axes: Any, vectors: np.ndarray, limit: float | None = None) -> None:
    """Vectors ``(2, H, W)`` with components x and y, as arrows at their pixels."""
    height, width = vectors.shape[1:]
    x, y = grid_points((height, width)).T
    along, up = vectors.reshape(2, -1)
    longest = float(np.hypot(along, up).max(initial=0.0)) if limit is None else limit
    axes.quiver(
        x, y, along, up, angles="xy", scale_units="xy", scale=(longest or 1.0) / 0.9, pivot="mid"
    )
    axes.set_xlim(-width / 2, width / 2)
    axes.set_ylim(-height / 2, height / 2)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])


def to_vector(space: GSpace, rep: Representation) -> np.ndarray | None:
    """``M`` with ``v_xy = M v`` for fields that turn as the plane does, else None.

    These are the representations with the irreps of the action; their coordinates may run along
    another axis, such as that of a mirror.
    """
    vector = space.vector
    if rep.size != vector.size or rep.irreps != vector.irreps or rep.orthogonalizer is not None:
        return None
    return vector.change_of_basis @ rep.change_of_basis.T
