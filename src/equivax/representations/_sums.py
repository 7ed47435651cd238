"""Direct sums and tensor products as functions."""

from __future__ import annotations

from collections.abc import Iterable

from ._representation import Representation


def direct_sum(reps: Iterable[Representation]) -> Representation:
    """Direct sum of representations of one group; summands are kept in order.

    Raises:
        ValueError: If the list is empty or the groups differ.
    """
    reps = list(reps)
    if not reps:
        raise ValueError(
            "reps: got no representation; a direct sum needs at least one, since there is no type "
            "of size 0: leave the layers of an empty type out"
        )
    for rep in reps:
        if not isinstance(rep, Representation):
            raise TypeError(f"reps: expected representations, got {type(rep).__name__}")
    return Representation(reps[0].group, [run for rep in reps for run in rep.data])


def tensor_product(a: Representation, b: Representation) -> Representation:
    """Tensor product with matrices ``kron(a(g), b(g))``, decomposed into irreps.

    Args:
        a: First factor (slow index).
        b: Second factor (fast index).

    Returns:
        One summand per summand of ``a`` if ``b`` has one summand, else a single summand.

    Raises:
        ValueError: If the groups differ.
    """
    return a @ b
