"""SO(3) and O(3): rotations of space, with and without the inversion.

Coordinates are a unit quaternion (w, x, y, z) of canonical sign, or (s, quaternion) for
(-1)^s R. Irreps are the real Wigner matrices.
"""

import functools

import numpy as np
from jaxtyping import Float

from .._numerics import freeze
from .._numerics._rotations import (
    TWO_PI,
    axis_quaternions,
    euler_quaternions,
    matrix_quaternions,
    multiply_quaternions,
    normalize_quaternions,
    quaternion_matrices,
)
from ._group import as_generator
from ._interning import interned
from ._irrep import Irrep, IrrepId, irrep_name
from ._lie import LieGroup, integers
from ._wigner import wigner_matrices

_ORTHOGONAL_INPUT = 1e-5
"""Deviation from orthogonality at which a user's matrix is refused (float32 passes)."""


class SO3(LieGroup):
    """The rotations of space; use ``so3()``."""

    def __init__(self) -> None:
        super().__init__((so3, ()))
        self.name = "SO(3)"
        self.family = ("so3",)
        self.coordinate_size = 4

    def compose(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Products of quaternions."""
        return normalize_quaternions(multiply_quaternions(np.asarray(a), np.asarray(b)))

    def invert(self, a: np.ndarray) -> np.ndarray:
        """Conjugate quaternions."""
        return normalize_quaternions(np.asarray(a) * np.array([1.0, -1.0, -1.0, -1.0]))

    def sample_coordinates(self, seed: int | np.random.Generator, count: int) -> np.ndarray:
        """Normalised Gaussian quaternions."""
        return normalize_quaternions(as_generator(seed).normal(size=(count, 4)))

    def quadrature(self, degree: int) -> tuple[np.ndarray, Float[np.ndarray, " N"]]:
        """Equispaced angles about z, twice, and Gauss-Legendre points in cos(beta)."""
        angles = TWO_PI * np.arange(degree + 1) / (degree + 1)
        nodes, weights = np.polynomial.legendre.leggauss(degree // 2 + 1)
        grid = np.meshgrid(angles, np.arccos(nodes), angles, indexing="ij")
        points = euler_quaternions(*(part.ravel() for part in grid))
        share = np.broadcast_to(weights[None, :, None] / 2, grid[0].shape).ravel()
        return points, share / (degree + 1) ** 2

    def one_parameter_coordinates(self, t: Float[np.ndarray, " N"]) -> list[np.ndarray]:
        """The rotations about z by t."""
        return [axis_quaternions(2, np.asarray(t, dtype=np.float64))]

    def defining_matrices(self, coordinates: np.ndarray) -> Float[np.ndarray, "N 3 3"]:
        """Rotation matrices acting on xyz."""
        return quaternion_matrices(np.asarray(coordinates, dtype=np.float64))

    @property
    def generator_coordinates(self) -> np.ndarray:
        """Rotations by one radian about z and about x."""
        return np.concatenate([axis_quaternions(axis, np.ones(1)) for axis in (2, 0)])

    @functools.cached_property
    def testing_coordinates(self) -> np.ndarray:
        """The identity, quarter turns about the axes and a fixed sample, 24 in all."""
        turns = [axis_quaternions(axis, np.array([0.5, 1.5]) * np.pi) for axis in range(3)]
        sample = self.sample_coordinates(0, 17)
        return freeze(np.concatenate([[[1.0, 0, 0, 0]], *turns, sample]))

    def value_of(self, coordinates: tuple) -> tuple[tuple[float, ...], ...]:
        """The rotation matrix as nested tuples."""
        return _nested(quaternion_matrices(np.array(coordinates)))

    def _identity_coordinates(self) -> np.ndarray:
        return np.array([1.0, 0.0, 0.0, 0.0])

    def _parse(self, value: object) -> np.ndarray:
        array = _numbers(value)
        if array is not None and array.shape == (4,) and np.linalg.norm(array) > 0.5:
            return normalize_quaternions(array)
        if array is None or not _is_orthogonal(array) or np.linalg.det(array) < 0:
            raise ValueError(
                f"element of {self}: expected a 3 x 3 rotation matrix or a unit quaternion "
                f"(w, x, y, z), got {value if array is None else array.tolist()!r}"
            )
        return matrix_quaternions(array)

    def _ids_up_to(self, max_frequency: int) -> tuple[IrrepId, ...]:
        return tuple((degree,) for degree in range(max_frequency + 1))

    def _canonical_id(self, irrep_id: object) -> IrrepId | None:
        key = integers(irrep_id, 1)
        return key if key is not None and key[0] >= 0 else None

    def _valid_ids(self) -> str:
        return "(l,) with l >= 0"

    def _make_irrep(self, irrep_id: IrrepId) -> Irrep:
        degree = irrep_id[0]
        size = 2 * degree + 1
        basis = freeze(np.eye(size)[None])
        name = irrep_name(irrep_id, (0,))
        return Irrep(
            self, irrep_id, name, size, 1, degree,
            lambda x: wigner_matrices(degree, x), lambda: basis,
        )  # fmt: skip


class O3(LieGroup):
    """The rotations of space and the inversion; use ``o3()``."""

    def __init__(self) -> None:
        super().__init__((o3, ()))
        self.name = "O(3)"
        self.family = ("o3",)
        self.coordinate_size = 5

    def compose(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Products of quaternions, sums of s."""
        a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
        turned = so3().compose(a[:, 1:], b[:, 1:])
        return np.concatenate([(a[:, :1] + b[:, :1]) % 2, turned], -1)

    def invert(self, a: np.ndarray) -> np.ndarray:
        """Conjugate quaternions, the same s."""
        a = np.asarray(a, dtype=np.float64)
        return np.concatenate([a[:, :1], so3().invert(a[:, 1:])], -1)

    def sample_coordinates(self, seed: int | np.random.Generator, count: int) -> np.ndarray:
        """Haar-distributed rotations, inverted with probability 1/2."""
        rng = as_generator(seed)
        rotations = so3().sample_coordinates(rng, count)
        return np.concatenate([rng.integers(2, size=(count, 1)), rotations], -1)

    def quadrature(self, degree: int) -> tuple[np.ndarray, Float[np.ndarray, " N"]]:
        """The rule of SO(3) in either coset."""
        points, weights = so3().quadrature(degree)
        return _both_parities(points), np.tile(weights / 2, 2)

    def one_parameter_coordinates(self, t: Float[np.ndarray, " N"]) -> list[np.ndarray]:
        """The rotations about z by t."""
        return [_with_parity(0.0, part) for part in so3().one_parameter_coordinates(t)]

    def defining_matrices(self, coordinates: np.ndarray) -> Float[np.ndarray, "N 3 3"]:
        """Orthogonal matrices (-1)^s R acting on xyz."""
        x = np.asarray(coordinates, dtype=np.float64)
        return (1 - 2 * x[:, 0])[:, None, None] * quaternion_matrices(x[:, 1:])

    @property
    def generator_coordinates(self) -> np.ndarray:
        """The generators of SO(3) and the inversion."""
        rotations = _with_parity(0.0, so3().generator_coordinates)
        return np.concatenate([rotations, [[1.0, 1.0, 0.0, 0.0, 0.0]]])

    @functools.cached_property
    def testing_coordinates(self) -> np.ndarray:
        """The testing elements of SO(3) in either coset."""
        return freeze(_both_parities(so3().testing_coordinates))

    def value_of(self, coordinates: tuple) -> tuple[tuple[float, ...], ...]:
        """The orthogonal matrix as nested tuples."""
        return _nested(self.defining_matrices(np.array([coordinates]))[0])

    def _identity_coordinates(self) -> np.ndarray:
        return np.array([0.0, 1.0, 0.0, 0.0, 0.0])

    def _parse(self, value: object) -> np.ndarray:
        array = _numbers(value)
        if array is None or not _is_orthogonal(array):
            raise ValueError(
                f"element of {self}: expected an orthogonal 3 x 3 matrix, got "
                f"{value if array is None else array.tolist()!r}."
            )
        parity = float(np.linalg.det(array) < 0)
        return np.concatenate([[parity], matrix_quaternions(array * (1 - 2 * parity))])

    def _ids_up_to(self, max_frequency: int) -> tuple[IrrepId, ...]:
        return tuple((j, degree) for j in (0, 1) for degree in range(max_frequency + 1))

    def _canonical_id(self, irrep_id: object) -> IrrepId | None:
        key = integers(irrep_id, 2)
        return key if key is not None and key[0] in (0, 1) and key[1] >= 0 else None

    def _valid_ids(self) -> str:
        return "(j, l) with j = 0 or 1 and l >= 0"

    def _make_irrep(self, irrep_id: IrrepId) -> Irrep:
        j, degree = irrep_id
        rotation = so3().irrep_data((degree,))

        def matrices(coordinates: np.ndarray) -> np.ndarray:
            x = np.asarray(coordinates, dtype=np.float64)
            return (1 - 2 * j * x[:, 0])[:, None, None] * rotation.matrices(x[:, 1:])

        name = irrep_name(irrep_id, (0, 0))
        return Irrep(
            self, irrep_id, name, rotation.size, 1, degree,
            matrices, lambda: rotation.endomorphism_basis,
        )  # fmt: skip


def _with_parity(parity: float, quaternions: np.ndarray) -> np.ndarray:
    return np.concatenate([np.full((len(quaternions), 1), parity), quaternions], -1)


def _both_parities(quaternions: np.ndarray) -> np.ndarray:
    return np.concatenate([_with_parity(0.0, quaternions), _with_parity(1.0, quaternions)])


def _nested(matrix: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())


def _numbers(value: object) -> np.ndarray | None:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return array if np.isfinite(array).all() else None


def _is_orthogonal(array: np.ndarray) -> bool:
    if array.shape != (3, 3):
        return False
    return bool(np.abs(array @ array.T - np.eye(3)).max() < _ORTHOGONAL_INPUT)


@interned
def so3() -> SO3:
    """The group SO(3) of rotations of space; elements are 3 x 3 rotation matrices.

    Irreps (l,) of size 2 l + 1; (1,) acts on (y, z, x), `standard` on (x, y, z).
    """
    return SO3()


@interned
def o3() -> O3:
    """The group O(3) of rotations of space and the inversion; elements are 3 x 3 matrices.

    Irreps (j, l): (-1)^(j s) D^l(R) on (-1)^s R. Polar vectors are (1, 1), axial ones (0, 1).
    """
    return O3()
