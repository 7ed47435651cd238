"""Real Wigner matrices: how the real spherical harmonics of degree l turn.

Y_l(R x) = D^l(R) Y_l(x) with the harmonics in the order m = -l .. l (sines, zonal, cosines,
all with positive sign), so that Y_1 is proportional to (y, z, x). With R = R_z(alpha)
R_y(beta) R_z(gamma), and R_y(beta) a z rotation conjugated by a quarter turn about x,

    D = Z(alpha) C^T Z(beta) C Z(gamma),

where Z is elementary and C, one small matrix per degree, is the quarter turn.
"""

import numpy as np
from jaxtyping import Float

from .._numerics import clean, freeze
from .._numerics._rotations import quaternion_euler
from ._interning import interned


def wigner_matrices(
    degree: int, quaternions: Float[np.ndarray, "N 4"]
) -> Float[np.ndarray, "N d d"]:
    """The matrices D^l of rotations.

    Args:
        degree: L >= 0.
        quaternions: Unit quaternions (w, x, y, z), ``(N, 4)``.

    Returns:
        ``(N, 2 l + 1, 2 l + 1)``, orthogonal.
    """
    quaternions = np.asarray(quaternions, dtype=np.float64)
    if degree == 0:
        return np.ones((len(quaternions), 1, 1))
    alpha, beta, gamma = quaternion_euler(quaternions)
    quarter = quarter_turn(degree)
    middle = quarter.T @ _about_z(degree, beta) @ quarter
    return _about_z(degree, alpha) @ middle @ _about_z(degree, gamma)


def _about_z(degree: int, angles: Float[np.ndarray, " N"]) -> Float[np.ndarray, "N d d"]:
    """Z: cosines on the diagonal, sines on the antidiagonal."""
    m = np.arange(-degree, degree + 1)
    result = np.zeros((len(angles), len(m), len(m)))
    index = np.arange(len(m))
    phase = angles[:, None] * m
    # The antidiagonal first: at m = 0 the two meet, and the cosine (1) must win.
    result[:, index, index[::-1]] = -np.sin(phase)
    result[:, index, index] = np.cos(phase)
    return result


@interned
def quarter_turn(degree: int) -> Float[np.ndarray, "d d"]:
    """C = D^l of the rotation about x by a quarter turn."""
    # -i times the generator is Hermitian with the eigenvalues -l .. l, all simple, so the
    # exponential through its eigenvectors is accurate to rounding.
    generator = _x_generator(degree)
    values, vectors = np.linalg.eigh(-1j * generator)
    phases = np.exp(0.5j * np.pi * np.rint(values))
    return freeze(clean(np.real((vectors * phases) @ vectors.conj().T)))


def _x_generator(degree: int) -> Float[np.ndarray, "d d"]:
    """Derivative at t = 0 of D^l(R_x(t))."""
    m = np.arange(-degree, degree)
    ladder = 0.5 * np.sqrt(degree * (degree + 1) - m * (m + 1))
    l_x = np.diag(ladder, 1) + np.diag(ladder, -1)
    change = _complex_to_real(degree)
    return np.real(change @ (1j * l_x) @ change.conj().T)


def _complex_to_real(degree: int) -> np.ndarray:
    """Unitary matrix from complex harmonics (Condon-Shortley) to the real ones above."""
    size = 2 * degree + 1
    change = np.zeros((size, size), dtype=np.complex128)
    change[degree, degree] = 1.0
    for m in range(1, degree + 1):
        sign = (-1) ** m
        change[degree + m, [degree + m, degree - m]] = sign, 1.0
        change[degree - m, [degree + m, degree - m]] = -1j * sign, 1j
    change[np.arange(size) != degree] /= np.sqrt(2)
    return change
