"""`plot_kernels`: the elements of a basis of steerable kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels import SteerableBasis
from ._canvas import draw_arrows, draw_image, new_figure, to_vector
from ._fields import checked_columns

MOST = 64
"""Elements drawn at most."""


def plot_kernels(basis: SteerableBasis, *, columns: int = 6) -> Any:
    """Draws the elements ``K_n(x)`` of a basis on the plane, one picture per element.

    From a scalar to a vector, or from a vector to a scalar, a kernel is a vector at every tap, and
    drawn as arrows. Other kernels are images, the entries ``(out, in)`` side by side as in the
    matrix. The first 64 elements are drawn.

    Args:
        basis: Of kernels between two representations, from `kernels.steerable_basis`; for a layer
            ``conv.basis.pairs[0].basis``.
        columns: Pictures per row.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: If the kernels are not on a plane, or there is none.
        TypeError: If an argument is of another kind.
        ImportError: If matplotlib is missing.
    """
    if not isinstance(basis, SteerableBasis):
        raise TypeError(
            "plot_kernels: basis: expected a SteerableBasis, as kernels.steerable_basis gives, got "
            f"{type(basis).__name__}"
        )
    if basis.space.dim != 2:
        raise ValueError(f"plot_kernels: basis: expected kernels on a plane, got {basis!r}")
    if basis.dim == 0:
        raise ValueError(f"plot_kernels: basis: got no element in {basis!r}")
    columns = checked_columns("plot_kernels", columns)
    elements = basis.elements()[:MOST]
    figure, axes = new_figure("plot_kernels", len(elements), columns)
    for one, element, name in zip(axes, elements, basis.names(), strict=False):
        arrows = _arrows(basis, element)
        if arrows is None:
            draw_image(one, _tiles(element))
        else:
            draw_arrows(one, arrows)
        one.set_title(name, fontsize=6)
    return figure


def _arrows(basis: SteerableBasis, element: np.ndarray) -> np.ndarray | None:
    """The vector at every tap, components x and y, if one side is a scalar and one a vector."""
    for scalar, vector, values in (
        (basis.in_rep, basis.out_rep, element[:, 0]),
        (basis.out_rep, basis.in_rep, element[0]),
    ):
        matrix = to_vector(basis.space, vector)
        if scalar.size == 1 and scalar.is_trivial and matrix is not None:
            return np.einsum("ij,jhw->ihw", matrix, values)
    return None


def _tiles(element: np.ndarray) -> np.ndarray:
    """``(out, in, H, W)`` as one image, with an empty line between the entries."""
    out, into, height, width = element.shape
    canvas = np.zeros((out * (height + 1) - 1, into * (width + 1) - 1))
    for o in range(out):
        for i in range(into):
            top, left = o * (height + 1), i * (width + 1)
            canvas[top : top + height, left : left + width] = element[o, i]
    return canvas
