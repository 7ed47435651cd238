"""The groups of the plane (cyclic and dihedral) and two small relatives (Klein, quaternion).

r turns the plane by 2 pi / n, f is the reflection diag(1, -1). Elements of the dihedral
group are r^a f^b, written (b, a), first all (0, a), then all (1, a). Irreps are the
rotations by k times the angle, with f as diag(1, -1).
"""

from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Float

from .._arguments import is_integer
from .._numerics._rotations import plane_turns
from ._finite import FiniteGroup, IrrepTable, Values
from ._interning import interned, size
from ._irrep import IrrepId


def cyclic(n: SupportsIndex) -> FiniteGroup:
    """The cyclic group C_n of rotations of the plane by multiples of 2 pi / n.

    Irreps (k,), 0 <= k <= n/2: rotation by 2 pi k a / n, type complex; one-dimensional and
    real for k = 0 and k = n/2.

    Args:
        n: Order, at least 1.

    Returns:
        The group; the element with value a is r^a.
    """
    return _cyclic(size(n, "cyclic", "n"))


@interned
def _cyclic(n: int) -> FiniteGroup:
    a = np.arange(n)

    def table(k: int) -> IrrepTable:
        if 2 * k % n == 0:
            return IrrepTable(1, 1, lambda: _sign(k > 0, a))
        return IrrepTable(2, 2, lambda: plane_turns(k * a, n))

    def defining() -> np.ndarray:
        return plane_turns(a, n) if n > 2 else _sign(n == 2, a)

    return FiniteGroup(
        f"C{n}",
        ("cyclic", n),
        (cyclic, (n,)),
        (a[:, None] + a[None, :]) % n,
        [1] if n > 1 else [],
        defining=defining,
        irreps=lambda: {(k,): table(k) for k in range(n // 2 + 1)},
        values=Values(lambda i: i, lambda v: int(v) % n if is_integer(v) else None, "an integer a"),
    )


def dihedral(n: SupportsIndex) -> FiniteGroup:
    """The dihedral group D_n of order 2 n: C_n and the reflections r^a f.

    Irreps, in order: (0, 0) trivial, (1, 0): (-1)^b, (1, k) for 0 < k < n/2 of size 2, and
    for even n (1, n/2): (-1)^(a+b) and (0, n/2): (-1)^a. ``dihedral(1)`` is the group of one
    mirror; its irreps may also be called (0,) and (1,).

    Args:
        n: Number of rotations, at least 1.

    Returns:
        The group; the element with value (b, a) is r^a f^b.
    """
    return _dihedral(size(n, "dihedral", "n"))


@interned
def _dihedral(n: int) -> FiniteGroup:
    b, a = np.divmod(np.arange(2 * n), n)
    sign = 1 - 2 * b
    product = (a[:, None] + sign[:, None] * a[None, :]) % n
    cayley = ((b[:, None] + b[None, :]) % 2) * n + product

    def plane(k: int) -> np.ndarray:
        matrices = plane_turns(k * a, n).copy()
        matrices[:, :, 1] *= sign[:, None]
        return matrices + 0.0

    def irreps() -> dict[IrrepId, IrrepTable]:
        result = {
            (0, 0): IrrepTable(1, 1, lambda: _sign(False, b)),
            (1, 0): IrrepTable(1, 1, lambda: _sign(True, b)),
        }
        for k in range(1, (n + 1) // 2):
            result[1, k] = IrrepTable(2, 1, lambda k=k: plane(k))
        if n % 2 == 0:
            result[1, n // 2] = IrrepTable(1, 1, lambda: _sign(True, a + b))
            result[0, n // 2] = IrrepTable(1, 1, lambda: _sign(True, a))
        return result

    def index(value: Any) -> int | None:
        flip, turn = value
        if not (is_integer(flip) and is_integer(turn) and int(flip) in (0, 1)):
            return None
        return int(flip) * n + int(turn) % n

    return FiniteGroup(
        f"D{n}",
        ("dihedral", n),
        (dihedral, (n,)),
        cayley,
        [1, n] if n > 1 else [1],
        defining=lambda: plane(1),
        irreps=irreps,
        values=Values(lambda i: (i // n, i % n), index, "a pair (b, a)"),
    )


@interned
def klein() -> FiniteGroup:
    """The Klein group of order 4, diagonal signs of the plane.

    Elements (a, b) act by diag((-1)^a, (-1)^b); irreps (j, k) are (-1)^(j a + k b), in the
    order (0, 0), (0, 1), (1, 0), (1, 1).
    """
    a, b = np.divmod(np.arange(4), 2)
    index = np.arange(4)
    ids = [(0, 0), (0, 1), (1, 0), (1, 1)]

    def defining() -> np.ndarray:
        return np.stack([1.0 - 2.0 * a, 1.0 - 2.0 * b], -1)[:, :, None] * np.eye(2) + 0.0

    def parse(value: Any) -> int | None:
        i, j = value
        known = is_integer(i) and is_integer(j) and {int(i), int(j)} <= {0, 1}
        return 2 * int(i) + int(j) if known else None

    return FiniteGroup(
        "klein",
        ("klein",),
        (klein, ()),
        index[:, None] ^ index[None, :],
        [2, 1],
        defining=defining,
        irreps=lambda: {
            (j, k): IrrepTable(1, 1, lambda j=j, k=k: _sign(True, j * a + k * b)) for j, k in ids
        },
        values=Values(lambda i: (i // 2, i % 2), parse, "a pair (a, b)"),
    )


_UNITS = ("1", "i", "-1", "-i", "j", "k", "-j", "-k")


@interned
def quaternion() -> FiniteGroup:
    """The quaternion group Q8 = {1, i, -1, -i, j, k, -j, -k}, elements in this order.

    Irreps: (0,) trivial; (1,): i -> 1, j -> -1; (2,): i -> -1, j -> 1; (3,): both -1; (4,)
    left multiplication on the quaternions, of size 4 and quaternionic type.
    """
    b, a = np.divmod(np.arange(8), 4)  # the element i^a j^b
    power = a[:, None] + (1 - 2 * b[:, None]) * a[None, :]
    both = b[:, None] & b[None, :]  # j^2 = i^2
    cayley = ((b[:, None] + b[None, :]) % 2) * 4 + (power + 2 * both) % 4
    by_i = [[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0]]
    by_j = [[0, 0, -1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, -1, 0, 0]]

    def left() -> np.ndarray:
        powers = np.stack([np.linalg.matrix_power(by_i, k) for k in range(4)]).astype(float)
        return np.concatenate([powers, powers @ np.array(by_j, dtype=float)])

    def irreps() -> dict[IrrepId, IrrepTable]:
        signs = [(0, 0), (0, 1), (1, 0), (1, 1)]
        result: dict[IrrepId, IrrepTable] = {
            (k,): IrrepTable(1, 1, lambda p=p, q=q: _sign(True, p * a + q * b))
            for k, (p, q) in enumerate(signs)
        }
        result[(4,)] = IrrepTable(4, 4, left)
        return result

    return FiniteGroup(
        "Q8",
        ("quaternion",),
        (quaternion, ()),
        cayley,
        [1, 4],
        defining=left,
        irreps=irreps,
        values=Values(
            lambda i: _UNITS[i],
            lambda v: _UNITS.index(v) if isinstance(v, str) else None,
            "one of the texts " + ", ".join(_UNITS),
        ),
    )


def _sign(odd: bool, exponent: np.ndarray) -> Float[np.ndarray, "n 1 1"]:
    """(-1)^exponent, or 1 throughout, as 1 x 1 matrices."""
    return (1.0 - 2.0 * (exponent % 2) * odd)[:, None, None]
