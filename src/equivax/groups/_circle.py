"""SO(2) and O(2): rotations of the plane, with and without the reflection diag(1, -1).

Coordinates are the angle in [0, 2 pi), or (b, angle) for r_angle f^b. The irrep of
frequency k rotates by k times the angle; in O(2), f acts as diag(1, -1).
"""

import functools
from collections.abc import Callable
from typing import Any, TypeGuard

import numpy as np
from jaxtyping import Float

from .._arguments import is_flag, is_number
from .._numerics import freeze
from .._numerics._rotations import TWO_PI, plane_rotations, wrap_angles
from ._group import as_generator
from ._interning import interned
from ._irrep import Irrep, IrrepId, irrep_name
from ._lie import LieGroup, integers

TESTING_ANGLES = TWO_PI * np.arange(52) / 52
"""52 = 4 * 13 angles hold the quarter turns and generic angles."""
_QUARTER = np.stack([np.eye(2), [[0.0, -1.0], [1.0, 0.0]]])


class SO2(LieGroup):
    """The rotations of the plane; use ``so2()``."""

    def __init__(self) -> None:
        super().__init__((so2, ()))
        self.name = "SO(2)"
        self.family = ("so2",)
        self.coordinate_size = 1

    def compose(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Sums of angles."""
        return wrap_angles(np.asarray(a, dtype=np.float64) + b)

    def invert(self, a: np.ndarray) -> np.ndarray:
        """Negated angles."""
        return wrap_angles(-np.asarray(a, dtype=np.float64))

    def sample_coordinates(self, seed: int | np.random.Generator, count: int) -> np.ndarray:
        """Uniform angles."""
        return as_generator(seed).uniform(0.0, TWO_PI, size=(count, 1))

    def quadrature(self, degree: int) -> tuple[np.ndarray, Float[np.ndarray, " N"]]:
        """Degree + 1 equispaced angles: exact for frequencies up to the degree."""
        count = degree + 1
        return TWO_PI * np.arange(count)[:, None] / count, np.full(count, 1.0 / count)

    def one_parameter_coordinates(self, t: Float[np.ndarray, " N"]) -> list[np.ndarray]:
        """The rotations by t."""
        return [wrap_angles(np.asarray(t, dtype=np.float64))[:, None]]

    def defining_matrices(self, coordinates: np.ndarray) -> Float[np.ndarray, "N 2 2"]:
        """Rotation matrices."""
        return plane_rotations(np.asarray(coordinates)[:, 0])

    @property
    def generator_coordinates(self) -> np.ndarray:
        """One radian: its multiples are dense."""
        return np.ones((1, 1))

    @functools.cached_property
    def testing_coordinates(self) -> np.ndarray:
        """The 52 angles 2 pi j / 52."""
        return freeze(TESTING_ANGLES[:, None])

    def value_of(self, coordinates: tuple) -> float:
        """The angle."""
        return coordinates[0]

    def _identity_coordinates(self) -> np.ndarray:
        return np.zeros(1)

    def _parse(self, value: object) -> np.ndarray:
        if not _is_angle(value):
            raise ValueError(
                f"element of {self}: expected a finite angle in radians, got {value!r}"
            )
        return wrap_angles(np.array([float(value)]))

    def _ids_up_to(self, max_frequency: int) -> tuple[IrrepId, ...]:
        return tuple((k,) for k in range(max_frequency + 1))

    def _canonical_id(self, irrep_id: object) -> IrrepId | None:
        key = integers(irrep_id, 1)
        return key if key is not None and key[0] >= 0 else None

    def _valid_ids(self) -> str:
        return "(k,) with k >= 0"

    def _make_irrep(self, irrep_id: IrrepId) -> Irrep:
        k = irrep_id[0]
        return _plane_irrep(self, irrep_id, k, lambda x: np.asarray(x)[:, 0], None)


class O2(LieGroup):
    """The rotations and reflections of the plane; use ``o2()``."""

    def __init__(self) -> None:
        super().__init__((o2, ()))
        self.name = "O(2)"
        self.family = ("o2",)
        self.coordinate_size = 2

    def compose(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """r_s f^b r_t f^c = r_(s + (-1)^b t) f^(b + c)."""
        a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
        angle = wrap_angles(a[:, 1] + (1 - 2 * a[:, 0]) * b[:, 1])
        return np.stack([(a[:, 0] + b[:, 0]) % 2, angle], -1)

    def invert(self, a: np.ndarray) -> np.ndarray:
        """Rotations are negated, reflections are their own inverses."""
        a = np.asarray(a, dtype=np.float64)
        return np.stack([a[:, 0], np.where(a[:, 0] > 0.5, a[:, 1], wrap_angles(-a[:, 1]))], -1)

    def sample_coordinates(self, seed: int | np.random.Generator, count: int) -> np.ndarray:
        """Uniform angles in either coset with equal probability."""
        rng = as_generator(seed)
        angles = rng.uniform(0.0, TWO_PI, size=count)
        return np.stack([rng.integers(2, size=count).astype(np.float64), angles], -1)

    def quadrature(self, degree: int) -> tuple[np.ndarray, Float[np.ndarray, " N"]]:
        """Degree + 1 equispaced angles in either coset."""
        points = _both_cosets(TWO_PI * np.arange(degree + 1) / (degree + 1))
        return points, np.full(len(points), 1.0 / len(points))

    def one_parameter_coordinates(self, t: Float[np.ndarray, " N"]) -> list[np.ndarray]:
        """The rotations by t."""
        angles = wrap_angles(np.asarray(t, dtype=np.float64))
        return [np.stack([np.zeros_like(angles), angles], -1)]

    def defining_matrices(self, coordinates: np.ndarray) -> Float[np.ndarray, "N 2 2"]:
        """Rotations R(t), times diag(1, -1) for b = 1."""
        return _flipped(plane_rotations(np.asarray(coordinates)[:, 1]), coordinates)

    @property
    def generator_coordinates(self) -> np.ndarray:
        """The rotation by one radian and f."""
        return np.array([[0.0, 1.0], [1.0, 0.0]])

    @functools.cached_property
    def testing_coordinates(self) -> np.ndarray:
        """The 52 angles 2 pi j / 52 in either coset."""
        return freeze(_both_cosets(TESTING_ANGLES))

    def value_of(self, coordinates: tuple) -> tuple[int, float]:
        """The pair (b, angle)."""
        return int(coordinates[0]), coordinates[1]

    def _identity_coordinates(self) -> np.ndarray:
        return np.zeros(2)

    def _parse(self, value: Any) -> np.ndarray:
        try:
            flip, angle = value
            valid = not is_flag(flip) and flip in (0, 1) and _is_angle(angle)
        except (TypeError, ValueError):
            valid = False
        if not valid:
            raise ValueError(f"element of {self}: expected a pair (b, angle), got {value!r}")
        return np.array([float(flip), float(wrap_angles(np.asarray(float(angle))))])

    def _ids_up_to(self, max_frequency: int) -> tuple[IrrepId, ...]:
        return ((0, 0), (1, 0), *((1, k) for k in range(1, max_frequency + 1)))

    def _canonical_id(self, irrep_id: object) -> IrrepId | None:
        key = integers(irrep_id, 2)
        if key is None:
            return None
        return key if key == (0, 0) or (key[0] == 1 and key[1] >= 0) else None

    def _valid_ids(self) -> str:
        return "(0, 0), (1, 0) and (1, k) with k >= 1"

    def _make_irrep(self, irrep_id: IrrepId) -> Irrep:
        j, k = irrep_id
        flips = (lambda x: np.asarray(x)) if j else None
        return _plane_irrep(self, irrep_id, k, lambda x: np.asarray(x)[:, 1], flips)


def _plane_irrep(
    group: LieGroup,
    irrep_id: IrrepId,
    k: int,
    angles: Callable[[np.ndarray], np.ndarray],
    flips: Callable[[np.ndarray], np.ndarray] | None,
) -> Irrep:
    """Rotation by k times the angle; b acts on the last coordinate by its sign."""

    def matrices(coordinates: np.ndarray) -> np.ndarray:
        t = angles(coordinates)
        result = plane_rotations(k * t) if k else np.ones((len(t), 1, 1))
        return result if flips is None else _flipped(result, flips(coordinates))

    size = 2 if k else 1
    complex_ = k > 0 and isinstance(group, SO2)
    basis = freeze(_QUARTER if complex_ else np.eye(size)[None])
    name = irrep_name(irrep_id, group._trivial_id)
    return Irrep(group, irrep_id, name, size, len(basis), k, matrices, lambda: basis)


def _flipped(matrices: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    result = matrices.copy()
    result[:, :, -1] *= 1 - 2 * np.asarray(coordinates)[:, :1]
    return result


def _both_cosets(angles: np.ndarray) -> np.ndarray:
    flips = np.repeat([0.0, 1.0], len(angles))
    return np.stack([flips, np.tile(angles, 2)], -1)


def _is_angle(value: object) -> TypeGuard[float]:
    return is_number(value) and bool(np.isfinite(value))


@interned
def so2() -> SO2:
    """The group SO(2) of rotations of the plane; elements are angles.

    Irreps (k,): trivial for k = 0, else R(k angle), size 2, complex type.
    """
    return SO2()


@interned
def o2() -> O2:
    """The group O(2) of rotations and reflections of the plane; elements are (b, angle).

    Irreps (0, 0) trivial, (1, 0): (-1)^b, (1, k): R(k angle) diag(1, (-1)^b), real type.
    """
    return O2()
