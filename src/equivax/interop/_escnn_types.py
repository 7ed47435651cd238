"""Groups, representations, spaces and field types of escnn, as those of equivax.

Nothing of escnn is imported: its objects say by their attributes what they are. Two groups are
matched element by element, so representations have the same matrices, whatever their bases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .. import groups, spaces
from ..fields import FieldType
from ..groups import Group, GroupElement
from ..representations import Representation, induced
from ..spaces import GSpace
from ._needed import Foreign

_SAME = 1e-5
"""Entries of their matrices may be wrong by this: some are made in float32."""
_SAMPLES = 8
"""Elements of an infinite group on which two representations are compared."""
_BY_CLASS: dict[str, Callable[[Foreign], Group]] = {
    "CyclicGroup": lambda G: groups.cyclic(G.order()),
    "DihedralGroup": lambda G: groups.dihedral(G.rotation_order),
    "SO2": lambda G: groups.so2(),
    "O2": lambda G: groups.o2(),
    "SO3": lambda G: groups.so3(),
    "O3": lambda G: groups.o3(),
}


class Types:
    """Conversions that remember what they converted, so that equal things stay one object."""

    def __init__(self) -> None:
        self._groups: dict[int, tuple[Group, Callable[[GroupElement], Foreign]]] = {}
        self._representations: dict[int, Representation] = {}
        self._kept: list[Foreign] = []  # so that no id is used twice

    def group(self, theirs: Foreign) -> Group:
        """The same group."""
        return self._matched(theirs)[0]

    def _matched(self, theirs: Foreign) -> tuple[Group, Callable[[GroupElement], Foreign]]:
        key = id(theirs)
        if key not in self._groups:
            self._kept.append(theirs)
            self._groups[key] = _match(theirs)
        return self._groups[key]

    def representation(self, theirs: Foreign) -> Representation:
        """The representation with the same matrices; an irrep or the regular one, if it is that."""
        key = id(theirs)
        if key in self._representations:
            return self._representations[key]
        group, partner = self._matched(theirs.group)

        def matrix(g: GroupElement) -> np.ndarray:
            return np.asarray(theirs(partner(g)), np.float64)

        found = next(
            (rep for rep in _candidates(group, theirs, matrix) if _same(rep, matrix)), None
        ) or Representation.from_matrices(group, _polished(group, matrix), str(theirs.name))
        self._kept.append(theirs)
        self._representations[key] = found
        return found

    def replace(self, theirs: Foreign, ours: Representation) -> None:
        """From now on ``theirs`` becomes ``ours``, which has the same matrices."""
        self._kept.append(theirs)
        self._representations[id(theirs)] = ours

    def space(self, theirs: Foreign) -> GSpace:
        """The same space: its points move alike."""
        group = self.group(theirs.fibergroup)
        action = theirs.basespace_action if theirs.dimensionality else None
        if action is None:
            return spaces.no_base_space(group)
        return GSpace(group, self.representation(action))

    def field_type(self, theirs: Foreign) -> FieldType:
        """The same fields, in the same order."""
        return FieldType(
            self.space(theirs.gspace), [self.representation(r) for r in theirs.representations]
        )


def _match(theirs: Foreign) -> tuple[Group, Callable[[GroupElement], Foreign]]:
    """Our group, and a function from our elements to theirs."""
    kind = type(theirs).__name__
    make = _BY_CLASS.get(kind)
    order = theirs.order()
    if make is not None and order > 0:
        group = make(theirs)
        table = {group.element(h.value): h for h in theirs.elements}
        return group, table.__getitem__
    if kind in ("SO2", "O2"):
        return _BY_CLASS[kind](theirs), lambda g: theirs.element(g.value)
    if kind == "SO3":
        group = groups.so3()
        return group, lambda g: theirs.element(group.standard(g), param="MAT")
    if kind == "O3":
        full = groups.o3()

        def of_o3(g: GroupElement) -> Foreign:
            matrix = full.standard(g)
            sign = np.sign(np.linalg.det(matrix))
            return theirs.element((int(sign < 0), sign * matrix), param="MAT")

        return full, of_o3
    if order <= 0:
        raise ValueError(
            f"interop.escnn: group: expected a finite group, SO(2), O(2), SO(3) or O(3), got "
            f"{theirs.name}"
        )
    # Any finite group is that of its own permutations.
    regular = theirs.regular_representation
    generators = [np.rint(regular(g)) for g in theirs.generators] or [np.eye(order)]
    group = groups.from_generators(generators, str(theirs.name))
    by_matrix = {_whole_numbers(regular(h)): h for h in theirs.elements}
    partners = [by_matrix[_whole_numbers(matrix)] for matrix in group.defining.matrices]
    return group, lambda g: partners[int(g.coordinates[0])]


def _whole_numbers(matrix: Foreign) -> bytes:
    return np.rint(np.asarray(matrix)).astype(np.int64).tobytes()


def _candidates(
    group: Group, theirs: Foreign, matrix: Callable[[GroupElement], np.ndarray]
) -> list[Representation]:
    found: list[Representation] = []
    if group.order is not None and theirs.size % group.order == 0:
        found.append(theirs.size // group.order * group.regular)
    # An induced one may be irreducible; how it was made is what its nonlinearities need.
    found += _induced_candidates(group, theirs, matrix)
    if len(theirs.irreps) == 1 and all(np.ndim(n) == 0 for n in theirs.irreps[0]):
        own = tuple(int(n) for n in theirs.irreps[0])
        found += [group.irrep(*own)] if own in group.irrep_ids(max(own)) else []
    if theirs.size == group.standard.size:
        found.append(group.standard)
    return found


def _induced_candidates(
    group: Group, theirs: Foreign, matrix: Callable[[GroupElement], np.ndarray]
) -> Iterator[Representation]:
    """Those induced from an irrep, where theirs is: blocks of some size are permuted."""
    known = getattr(theirs, "supported_nonlinearities", ())
    names = [name for name in known if name.startswith("induced_norm")]
    size = int(names[0].split("_")[-1]) if names else theirs.size
    if size == theirs.size:
        return
    if isinstance(group, groups.FiniteGroup):
        fixing = [g for g in group.elements if np.abs(matrix(g)[:size, :size]).max() > _SAME]
        subgroup = group.subgroup(fixing)
        irreps = [
            subgroup.group.irrep(*id) for id in subgroup.group.irrep_ids(theirs.group.order())
        ]
    elif group is groups.o2():
        subgroup = group.subgroup("rotations")
        highest = max(max(irrep) for irrep in theirs.irreps)
        irreps = [subgroup.group.irrep(n) for n in range(highest + 1)]
    else:
        return
    for irrep in irreps:
        if irrep.size == size:
            yield induced(irrep, group, subgroup)


def _elements(group: Group) -> tuple[GroupElement, ...]:
    if group.order is None:
        return tuple(group.sample(seed) for seed in range(_SAMPLES))
    return group.elements


def _same(rep: Representation, matrix: Callable[[GroupElement], np.ndarray]) -> bool:
    if rep.size != matrix(rep.group.identity).shape[0]:
        return False
    return all(np.abs(rep(g) - matrix(g)).max() < _SAME for g in _elements(rep.group))


def _polished(
    group: Group, matrix: Callable[[GroupElement], np.ndarray]
) -> np.ndarray | Callable[[GroupElement], np.ndarray]:
    """All matrices of a finite group, made exact; of an infinite one the function itself."""
    if not isinstance(group, groups.FiniteGroup):
        return matrix
    stack = np.stack([matrix(g) for g in group.elements])
    return groups.nearest(stack, group.cayley_table, group.generator_indices, _SAME).given
