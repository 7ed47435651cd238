"""How far a solution reaches around the frequencies of a finite group of rotations.

With N rotations, frequencies are known modulo N only: a kernel of frequency f leads from an irrep
of frequency n to one of frequency m if ``f = +-m +- n + t N``. Solutions with ``t = 0`` are those
of SO(2); others exist because the group is finite.
"""

from __future__ import annotations

import functools

import numpy as np

from ...spaces import GSpace


@functools.lru_cache(maxsize=256)
def _rotation(space: GSpace) -> tuple[int, int, int] | None:
    """A generator of the rotations: (element, its order N, frequency of the action)."""
    group = space.group
    if group.order is None or space.dim != 2:
        return None
    matrices = space.matrices(np.arange(group.order)[:, None])
    proper = np.flatnonzero(np.linalg.det(matrices) > 0)
    angles = np.arctan2(matrices[proper, 1, 0], matrices[proper, 0, 0]) % (2 * np.pi)
    angles = np.where(np.minimum(angles, 2 * np.pi - angles) < 1e-9, 2 * np.pi, angles)
    element = int(proper[np.argmin(angles)])
    order, power = 1, np.array([[element]])
    while int(power[0, 0]) != 0:
        power = group.compose(power, np.array([[element]]))
        order += 1
    turns = angles.min() / (2 * np.pi) * order
    return element, order, round(float(turns))


@functools.lru_cache(maxsize=4096)
def _frequencies(space: GSpace, irrep: tuple, element: int, order: int) -> tuple[int, ...]:
    """Frequencies by which the generator of the rotations turns an irrep."""
    matrix = space.group.irrep_data(irrep).matrices(np.array([[element]]))[0]
    turns = np.angle(np.linalg.eigvals(matrix)) / (2 * np.pi) * order
    return tuple(sorted({abs(round(float(t))) for t in turns}))


def offset(space: GSpace, frequency: int, in_irrep: tuple, out_irrep: tuple) -> int | None:
    """Smallest ``|t|`` with ``f = +-m +- n + t N``; 0 for infinite groups, None if there is none.

    Args:
        space: A plane.
        frequency: ``f``, of the kernel.
        in_irrep: Irrep of frequency ``n``.
        out_irrep: Irrep of frequency ``m``.

    Returns:
        The offset.
    """
    generator = _rotation(space)
    if generator is None:
        return 0
    element, order, step = generator
    sums = {
        s * m + t * n
        for m in _frequencies(space, out_irrep, element, order)
        for n in _frequencies(space, in_irrep, element, order)
        for s in (1, -1)
        for t in (1, -1)
    }
    rests = [frequency * step - total for total in sums]
    turns = [abs(rest) // order for rest in rests if rest % order == 0]
    return min(turns, default=None)
