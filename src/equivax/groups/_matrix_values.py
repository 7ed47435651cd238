"""Elements whose natural value is a matrix."""

import numpy as np
from jaxtyping import Float

from .._numerics import match_rows
from ._finite import Values

_GIVEN = 1e-5
"""How far a matrix that a user gives may be from the element it means (float32 passes)."""


def matrix_values(matrices: Float[np.ndarray, "n f f"]) -> Values:
    """Natural values of elements that are matrices, as nested tuples.

    Args:
        matrices: ``(n, f, f)``, pairwise different.
    """

    def index(value: object) -> int | None:
        array = np.asarray(value, dtype=np.float64)
        if array.shape != matrices.shape[1:]:
            return None
        found = int(
            match_rows(matrices.reshape(len(matrices), -1), array.reshape(1, -1), _GIVEN)[0]
        )
        return found if found >= 0 else None

    size = matrices.shape[-1]
    return Values(
        lambda i: tuple(tuple(row) for row in matrices[i].tolist()),
        index,
        f"one of its {size} x {size} matrices",
    )
