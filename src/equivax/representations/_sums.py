"""Direct sums and tensor products as functions."""

from __future__ import annotations

from collections.abc import Iterable

from .._arguments import is_traced, refuse, type_of
from ._representation import Representation


def direct_sum(reps: Iterable[Representation]) -> Representation:
    """Direct sum of representations of one group; summands are kept in order.

    Raises:
        ValueError: If the list is empty or the groups differ.
    """
    if isinstance(reps, Representation) or is_traced(reps) or not isinstance(reps, Iterable):
        refuse(TypeError, "direct_sum", "reps", "a list of representations", reps)
    reps = list(reps)
    if not reps:
        raise ValueError("direct_sum: reps: got no representation; a direct sum needs at least one")
    for rep in reps:
        if not isinstance(rep, Representation):
            refuse(TypeError, "direct_sum", "reps", "representations", rep)
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
    for name, rep in (("a", a), ("b", b)):
        type_of(rep, "tensor_product", name, Representation)
    return a @ b
