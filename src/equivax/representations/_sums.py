"""Direct sums and tensor products as functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .._arguments import is_traced, refuse, text, type_of
from ._representation import Representation


def direct_sum(reps: Iterable[Representation] | Mapping[str, Representation]) -> Representation:
    """Direct sum of representations of one group; summands are kept in order.

    Args:
        reps: Representations; a mapping gives them names, by which `Representation.parts` slices a
            vector of the sum.

    Raises:
        ValueError: If there is none or the groups differ.

    Examples:
        >>> import equivax as evx
        >>> G = evx.groups.dihedral(4)
        >>> state = evx.direct_sum({"position": G.standard, "legs": G.regular})
        >>> state.size, state.parts["legs"]
        (10, slice(2, 10, None))
    """
    if isinstance(reps, Representation) or is_traced(reps) or not isinstance(reps, Iterable):
        refuse(TypeError, "direct_sum", "reps", "a list of representations", reps)
    names: list[str] = []
    if isinstance(reps, Mapping):
        names = [text(name, "direct_sum", "reps, a name") for name in reps]
        reps = reps.values()
    reps = list(reps)
    if not reps:
        raise ValueError(
            "direct_sum: reps: got no representation; a direct sum needs at least one, since there "
            "is no type of size 0: leave the layers of an empty type out"
        )
    for rep in reps:
        if not isinstance(rep, Representation):
            refuse(TypeError, "direct_sum", "reps", "representations", rep)
    sizes = [(name, rep.size) for name, rep in zip(names, reps, strict=False)]
    return Representation(reps[0].group, [run for rep in reps for run in rep.data], sizes)


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
