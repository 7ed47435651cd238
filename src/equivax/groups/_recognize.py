"""A finite group that is known by its table: is it cyclic, dihedral, or something else?

Subgroups are given by generators; giving them the closed-form irreps of a named group
where there is one keeps ids readable and results canonical.
"""

import numpy as np
from jaxtyping import Int

from .._numerics import freeze_indices
from ._finite import FiniteGroup
from ._interning import interned
from ._planar import cyclic, dihedral


def recognize(
    table: Int[np.ndarray, "n n"], generators: list[int]
) -> tuple[FiniteGroup, Int[np.ndarray, " n"]]:
    """A group isomorphic to one given by its Cayley table, with the isomorphism.

    Args:
        table: ``(n, n)``, identity 0.
        generators: Indices that generate it, used if the group is neither cyclic nor
            dihedral.

    Returns:
        The group and ``(n,)`` integers: entry i is the index in `table` of its element i.
    """
    order = len(table)
    orders = _orders(table)
    if orders.max() == order:
        return cyclic(order), _powers(table, int(np.argmax(orders == order)), order)
    if order % 2 == 0:
        half = order // 2
        for turn in np.flatnonzero(orders == half):
            powers = _powers(table, int(turn), half)
            outside = np.setdiff1d(np.arange(order), powers)
            flip = int(outside[0])
            if (orders[outside] == 2).all():
                # Involutions outside <r> invert r: (r f)^2 = 1 for the involution r f.
                return dihedral(half), np.concatenate([powers, table[powers, flip]])
    return _from_table(table.astype(np.int64).tobytes(), order, tuple(generators)), np.arange(order)


@interned
def _from_table(content: bytes, order: int, generators: tuple[int, ...]) -> FiniteGroup:
    table = freeze_indices(np.frombuffer(content, dtype=np.int64).reshape(order, order))
    return FiniteGroup(
        f"group({order})",
        ("table", content),
        (_from_table, (content, order, generators)),
        table,
        list(generators),
    )


def _orders(table: np.ndarray) -> np.ndarray:
    orders = np.ones(len(table), dtype=np.int64)
    index = np.arange(len(table))
    power, running = index, index != 0
    while running.any():
        orders[running] += 1
        power = table[power, index]
        running = running & (power != 0)
    return orders


def _powers(table: np.ndarray, element: int, count: int) -> np.ndarray:
    """Indices of the first powers of an element, starting with the identity."""
    powers = np.zeros(count, dtype=np.int64)
    for k in range(1, count):
        powers[k] = table[powers[k - 1], element]
    return powers
