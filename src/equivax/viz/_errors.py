"""`error_by_angle`: how well a network on the plane commutes with rotations, angle by angle."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from .._arguments import arrays, integer, is_traced, real_array, refuse, several
from .._arguments import function as read_function
from ..fields import FieldType
from ..groups import GroupElement
from ..spaces import GSpace, no_base_space, rot_on_r2
from ._canvas import new_figure


def error_by_angle(
    function: Callable[..., Any],
    x: object,
    in_type: FieldType | None = None,
    out_type: FieldType | None = None,
    *,
    angles: object = None,
    order: int = 3,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """``|f(g x) - g f(x)| / |f(x)|`` for rotations ``g`` of an image, with interpolation.

    Both sides are compared on the disc inside the grid, in the Euclidean norm. What is measured is
    the network together with the grid: quarter turns are exact, at other angles interpolation
    of the images adds its own error, less for smooth images.

    Args:
        function: A layer, or a function of arrays; for a network with running statistics
            ``lambda x: model(x, state)[0]`` of the model in inference mode.
        x: An image ``(..., c, H, W)``, smooth and small towards the corners.
        in_type: Type of the input on a plane; that of the layer if None.
        out_type: Type of the output, on the same plane or on a point; that of the layer if None.
        angles: In radians. By default the rotations of a finite group, 36 angles of SO(2) and O(2).
            Angles outside the group are possible if all fields of both types are scalars.
        order: Of the interpolation, as in `FieldType.transform`.

    Returns:
        ``(angles, errors)``, ascending in the angle by default.

    Raises:
        ValueError: If the types are missing or on no plane, the shape does not fit, the output is
            zero, or fields cannot be turned by an angle.
        TypeError: If a type is no `FieldType`.
    """
    in_type = getattr(function, "in_type", None) if in_type is None else in_type
    out_type = getattr(function, "out_type", None) if out_type is None else out_type
    in_type, out_type = _checked("in_type", in_type), _checked("out_type", out_type)
    if in_type.space.dim != 2 or out_type.space.dim not in (0, 2):
        raise ValueError(
            "error_by_angle: in_type, out_type: expected fields on a plane, the output perhaps on "
            f"a point, got {in_type!r} and {out_type!r}"
        )
    read_function(function, "error_by_angle", "function", "a layer")
    if is_traced(x):
        refuse(TypeError, "error_by_angle", "x", "an array outside of jit", x)
    x = arrays.array(x, "error_by_angle", "x")
    in_type.check(x)
    order = integer(order, "error_by_angle", "order", 0)
    if len(set(x.shape[x.ndim - in_type.space.dim :])) > 1:
        raise ValueError(f"error_by_angle: x: expected a square grid, got shape {x.shape}")
    if angles is None:
        angles = _angles(in_type.space)
    angles = real_array(angles, "error_by_angle", "angles").ravel()
    if angles.size == 0 or not np.isfinite(angles).all():
        raise ValueError(f"error_by_angle: angles: expected finite numbers, got {angles}")
    if in_type.representation.is_trivial and out_type.representation.is_trivial:
        in_type, out_type = _as_scalars(in_type), _as_scalars(out_type)
    elements = [_rotation(in_type.space, float(angle)) for angle in angles]
    y = np.asarray(function(x), np.float64)
    if y.ndim != x.ndim - in_type.space.dim + out_type.space.dim:
        raise ValueError(
            f"error_by_angle: function: expected outputs of {out_type!r}, got shape {y.shape}"
        )
    out_type.check(y)
    mask = _disc(y.shape[y.ndim - out_type.space.dim :])
    size = float(np.linalg.norm(y * mask))
    if size == 0:
        raise ValueError("error_by_angle: x: expected an image with an output other than zero")
    errors = []
    for g in elements:
        left = np.asarray(function(in_type.transform(x, g, order)), np.float64)
        right = np.asarray(out_type.transform(jnp.asarray(y, x.dtype), g, order), np.float64)
        errors.append(float(np.linalg.norm((left - right) * mask)) / size)
    return angles, np.array(errors)


def plot_error_by_angle(*functions: Any, **named: Any) -> Any:
    """Draws curves of `error_by_angle` on one pair of axes.

    Args:
        *functions: Pairs ``(angles, errors)``.
        **named: The same, with names for the legend.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: If there is no curve, or angles and errors differ in number.
        ImportError: If matplotlib is missing.
    """
    curves = [("", *pair) for pair in functions]
    for name, pair in named.items():
        found = several(pair, "plot_error_by_angle", name, "a pair (angles, errors)", 2)
        if len(found) != 2:
            refuse(ValueError, "plot_error_by_angle", name, "a pair (angles, errors)", pair)
        angles, errors = (real_array(part, "plot_error_by_angle", name) for part in found)
        curves.append((name.replace("_", " "), angles, errors))
    if not curves:
        raise ValueError("plot_error_by_angle: functions: got none; expected (angles, errors)")
    for name, angles, errors in curves:
        if np.shape(angles) != np.shape(errors) or np.ndim(angles) != 1:
            raise ValueError(
                f"plot_error_by_angle: {name or 'functions'}: expected as many errors as angles, "
                f"got shapes {np.shape(angles)} and {np.shape(errors)}"
            )
    figure, (axes,) = new_figure("plot_error_by_angle", 1, 1, 4.0)
    for name, angles, errors in curves:
        axes.plot(np.degrees(angles), errors, marker=".", label=name or None)
    axes.set_xlabel("angle in degrees")
    axes.set_ylabel("relative error")
    axes.set_xticks(range(0, 361, 90))
    axes.set_ylim(bottom=0)
    if named:
        axes.legend()
    return figure


def _checked(argument: str, type_: object) -> FieldType:
    if not isinstance(type_, FieldType):
        raise TypeError(
            f"error_by_angle: {argument}: expected a FieldType, got {type(type_).__name__}"
        )
    return type_


def _angles(space: GSpace) -> np.ndarray:
    group = space.group
    if group.order is None:
        return np.arange(36) * (2 * math.pi / 36)
    matrices = space.matrices(group.coordinates_of(group.elements))
    turns = matrices[np.linalg.det(matrices) > 0]
    return np.unique(np.round(np.arctan2(turns[:, 1, 0], turns[:, 0, 0]) % (2 * math.pi), 9))


def _as_scalars(type_: FieldType) -> FieldType:
    """The same channels as scalars under all rotations."""
    plane = rot_on_r2(-1)
    space = plane if type_.space.dim else no_base_space(plane.group)
    return FieldType(space, type_.size * space.trivial)


def _rotation(space: GSpace, angle: float) -> GroupElement:
    """The element that turns the plane by an angle."""
    wanted = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    group = space.group
    if group.order is None:
        value = angle % (2 * math.pi)
        candidates = [group.element(value if group.name == "SO(2)" else (0, value))]
    else:
        candidates = list(group.elements)
    for g in candidates:
        if np.abs(space.matrix(g) - wanted).max() < 1e-6:
            return g
    raise ValueError(
        f"error_by_angle: angles: {group.name} has no rotation by {angle:.4g} rad, so fields other "
        "than scalars cannot be turned by it"
    )


def _disc(shape: tuple[int, ...]) -> np.ndarray:
    """1 inside the circle that touches the border of the grid, a pixel and a half in; else 0."""
    if not shape:
        return np.ones(())
    axes = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")
    return (np.hypot(*axes) <= (min(shape) - 1) / 2 - 1.5).astype(np.float64)
