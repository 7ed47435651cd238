"""Rotations of the plane and of space: angles, unit quaternions, matrices, Euler angles.

A quaternion (w, x, y, z) of unit norm is the rotation by 2 acos(w) about (x, y, z); q and
-q are one rotation, and the first entry that is not (nearly) zero is made positive.
"""

import numpy as np
from jaxtyping import Float

TWO_PI = 2.0 * np.pi
_SNAP = 4e-15
"""Angles this close to a full turn are zero: rounding of an angle of order 2 pi."""
_SIGN = 1e-9
"""Quaternion entries below this do not decide the sign: they may be rounding."""


def wrap_angles(angles: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Angles reduced to [0, 2 pi), with rounding of a full turn snapped to 0."""
    wrapped = np.mod(angles, TWO_PI)
    return np.where((wrapped > TWO_PI - _SNAP) | (wrapped < _SNAP), 0.0, wrapped)


def plane_rotations(angles: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 2 2"]:
    """Rotation matrices [[cos, -sin], [sin, cos]] of the plane."""
    return _plane(np.cos(angles), np.sin(angles))


def plane_turns(numerators: np.ndarray, denominator: int) -> Float[np.ndarray, "n 2 2"]:
    """Rotations by 2 pi k / n with exact zeros, ones and mirror symmetry.

    Args:
        numerators: ``(m,)`` integers k.
        denominator: Positive integer n.

    Returns:
        ``(m, 2, 2)``. Only angles in the first eighth of a turn are evaluated, so quarter
        turns are exact and equal entries have equal bits.
    """
    quarter, rest = np.divmod(4 * np.mod(numerators, denominator), denominator)
    # rest / denominator is the part of a quarter turn that is left.
    flip = 2 * rest > denominator
    angle = np.where(flip, denominator - rest, rest) * (np.pi / (2 * denominator))
    c, s = np.cos(angle), np.sin(angle)
    diagonal = 2 * rest == denominator
    c, s = np.where(diagonal, np.sqrt(0.5), c), np.where(diagonal, np.sqrt(0.5), s)
    c, s = np.where(flip, s, c), np.where(flip, c, s)
    cosine = np.choose(quarter, [c, -s, -c, s])
    sine = np.choose(quarter, [s, c, -s, -c])
    return _plane(cosine, sine)


def _plane(c: np.ndarray, s: np.ndarray) -> np.ndarray:
    return np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2) + 0.0


def normalize_quaternions(q: Float[np.ndarray, "*n 4"]) -> Float[np.ndarray, "*n 4"]:
    """Unit quaternions with the canonical sign."""
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    first = np.argmax(np.abs(q) > _SIGN, axis=-1)
    lead = np.take_along_axis(q, first[..., None], -1)
    return q * np.where(lead < 0, -1.0, 1.0) + 0.0


def multiply_quaternions(
    p: Float[np.ndarray, "*#n 4"], q: Float[np.ndarray, "*#n 4"]
) -> Float[np.ndarray, "*m 4"]:
    """Hamilton product: first the rotation q, then the rotation p."""
    a, b, c, d = np.moveaxis(p, -1, 0)
    w, x, y, z = np.moveaxis(q, -1, 0)
    return np.stack(
        [
            a * w - b * x - c * y - d * z,
            (a * x + b * w) + (c * z - d * y),
            (a * y + c * w) + (d * x - b * z),
            (a * z + d * w) + (b * y - c * x),
        ],
        -1,
    )


def quaternion_matrices(q: Float[np.ndarray, "*n 4"]) -> Float[np.ndarray, "*n 3 3"]:
    """Rotation matrices, acting on (x, y, z), of unit quaternions."""
    w, x, y, z = np.moveaxis(q, -1, 0)
    rows = [
        [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def matrix_quaternions(matrices: Float[np.ndarray, "*n 3 3"]) -> Float[np.ndarray, "*n 4"]:
    """Unit quaternions of rotation matrices.

    The 4 x 4 matrix 4 q q^T is linear in the rotation; its row of largest diagonal entry
    is q up to a factor of at least 1, whatever the rotation.
    """
    m = np.moveaxis(matrices, (-2, -1), (0, 1))
    xx, yy, zz = m[0, 0], m[1, 1], m[2, 2]
    wx, wy, wz = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
    xy, xz, yz = m[1, 0] + m[0, 1], m[0, 2] + m[2, 0], m[2, 1] + m[1, 2]
    rows = [
        [1 + xx + yy + zz, wx, wy, wz],
        [wx, 1 + xx - yy - zz, xy, xz],
        [wy, xy, 1 - xx + yy - zz, yz],
        [wz, xz, yz, 1 - xx - yy + zz],
    ]
    outer = np.stack([np.stack(row, -1) for row in rows], -2)
    best = np.argmax(np.diagonal(outer, axis1=-2, axis2=-1), axis=-1)
    chosen = np.take_along_axis(outer, best[..., None, None], -2)[..., 0, :]
    return normalize_quaternions(chosen)


def axis_quaternions(axis: int, angles: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n 4"]:
    """Quaternions of rotations by given angles about coordinate axis 0, 1 or 2."""
    q = np.zeros((*np.shape(angles), 4))
    q[..., 0] = np.cos(np.asarray(angles) / 2)
    q[..., 1 + axis] = np.sin(np.asarray(angles) / 2)
    return normalize_quaternions(q)


def quaternion_euler(q: Float[np.ndarray, "*n 4"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Angles (alpha, beta, gamma) with R = R_z(alpha) R_y(beta) R_z(gamma).

    Valid at beta = 0 and pi too, where one of the infinitely many answers is returned.
    """
    w, x, y, z = np.moveaxis(q, -1, 0)
    total, difference = np.arctan2(z, w), np.arctan2(-x, y)
    beta = 2 * np.arctan2(np.hypot(x, y), np.hypot(w, z))
    return total + difference, beta, total - difference


def euler_quaternions(
    alpha: np.ndarray, beta: np.ndarray, gamma: np.ndarray
) -> Float[np.ndarray, "*n 4"]:
    """Quaternions of R_z(alpha) R_y(beta) R_z(gamma)."""
    c, s = np.cos(beta / 2), np.sin(beta / 2)
    total, difference = (alpha + gamma) / 2, (alpha - gamma) / 2
    q = [c * np.cos(total), -s * np.sin(difference), s * np.cos(difference), c * np.sin(total)]
    return normalize_quaternions(np.stack(q, -1))
