"""How a signed permutation of the axes moves a tensor image: gathers, transposes, sign flips.

``(g A)(i) = det(g)^p g^(tensor k) A(g^-1 i)``, exactly, since no number is ever multiplied by
anything but 1 or -1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..groups import GroupElement


class SignedAxes(NamedTuple):
    """A signed permutation matrix: row ``a`` has the entry ``signs[a]`` in column ``source[a]``."""

    source: tuple[int, ...]
    signs: tuple[int, ...]

    @classmethod
    def of(cls, g: object, D: int, caller: str) -> SignedAxes:
        """From a matrix, or a group element with its defining matrix.

        Raises:
            ValueError: If it is no signed permutation matrix of size D.
        """
        if isinstance(g, GroupElement):
            matrix = g.group.defining_matrices(np.asarray([g.coordinates]))[0]
        else:
            try:
                matrix = np.asarray(g, np.float64)
            except (TypeError, ValueError):
                matrix = np.zeros(())
        rounded = np.rint(matrix)
        if (
            matrix.shape != (D, D)
            or not np.abs(matrix - rounded).max() < 1e-6
            or not np.array_equal(rounded @ rounded.T, np.eye(D))
        ):
            raise ValueError(
                f"{caller}: g: expected a signed permutation matrix of shape ({D}, {D}), or an "
                f"element of a group of such, got {g!r}"
            )
        source = tuple(int(np.argmax(np.abs(row))) for row in rounded)
        return cls(source, tuple(int(rounded[a, s]) for a, s in enumerate(source)))

    @property
    def determinant(self) -> int:
        """1 or -1."""
        return round(float(np.linalg.det(np.eye(len(self.source))[list(self.source)]))) * int(
            np.prod(self.signs)
        )

    def flags(self, flags: Sequence[bool]) -> tuple[bool, ...]:
        """Flags of the axes after the move."""
        return tuple(flags[s] for s in self.source)

    def components(self, k: int, parity: int) -> tuple[np.ndarray, np.ndarray]:
        """``out[c] = signs[c] in[source[c]]`` for the ``D^k`` components in C order.

        Args:
            k: The order.
            parity: 1 multiplies by the determinant.
        """
        source, signs = np.zeros(1, np.int64), np.ones(1, np.int64)
        for _ in range(k):
            source = (source[:, None] * len(self.source) + np.array(self.source)).ravel()
            signs = (signs[:, None] * np.array(self.signs)).ravel()
        return source, signs * (self.determinant if parity else 1)


def turn_grid(x: Array, g: SignedAxes, start: int) -> Array:
    """``A(g^-1 i)`` on the D axes of an array that begin at ``start``."""
    D = len(g.source)
    axes = [*range(start), *(start + s for s in g.source), *range(start + D, x.ndim)]
    turned = jnp.transpose(x, axes)
    return jnp.flip(turned, [start + a for a, sign in enumerate(g.signs) if sign < 0])


def turn_axis(x: Array, source: np.ndarray, signs: np.ndarray, axis: int) -> Array:
    """``out[c] = signs[c] in[source[c]]`` on one axis."""
    if not np.array_equal(source, np.arange(len(source))):
        x = jnp.take(x, source.astype(np.int32), axis=axis)
    if (signs > 0).all():
        return x
    negative = (signs < 0).reshape(-1, *[1] * (x.ndim - 1 - axis % x.ndim))
    return jnp.where(negative, -x, x)
