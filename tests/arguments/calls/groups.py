"""Calls of `groups`."""

from __future__ import annotations

import numpy as np

from cases import Call
from equivax import groups
from kinds import (
    EITHER,
    anything,
    element,
    group,
    integer,
    number,
    several,
    subgroup,
    text,
)

C4, D4, SO2, SO3 = groups.cyclic(4), groups.dihedral(4), groups.so2(), groups.so3()
TURN = np.array([[0.0, -1.0], [1.0, 0.0]])
EVEN = D4.subgroup("rotations")

CALLS = [
    Call(groups.cyclic, n=integer(4)),
    Call(groups.dihedral, n=integer(4)),
    Call(groups.symmetric, n=integer(3)),
    Call(groups.hyperoctahedral, d=integer(2)),
    Call(groups.direct_product, G=group(C4), H=group(D4)),
    Call(
        groups.from_generators,
        matrices=several([TURN, np.diag([1.0, -1.0])]),
        name=text("robot"),
        max_order=integer(100),
        tolerance=number(0.01),
    ).but("max_order", "3", "refused", "the group has 8 elements"),
    Call(C4.element, value=integer(3)).but("value", "float", EITHER, "an angle"),
    Call(SO2.element, value=anything(0.3)),
    Call(SO3.element, value=anything(np.eye(3))),
    Call(D4.irrep, _0=integer(1), _1=integer(1)),
    Call(SO2.irrep, _0=integer(1)),
    Call(C4.irreps, max_frequency=integer(1)),
    Call(SO2.irreps, max_frequency=integer(3)),
    Call(SO3.irreps, max_frequency=integer(2)),
    Call(C4.sample, seed=integer(3)),
    Call(SO2.sample, seed=integer(3)),
    Call(D4.subgroup, spec=subgroup("rotations")).but(
        "spec", "[]", EITHER, "no generators: the trivial subgroup"
    ),
    Call(SO2.subgroup, spec=subgroup(4)),
    Call(D4.quotient, subgroup=subgroup("rotations")),
    Call(D4.induced, subgroup=subgroup("rotations"), rep=anything(EVEN.group.irrep(1))).but(
        "subgroup", "None", EITHER, "the usual place of the group of rep"
    ),
    Call(EVEN.embedding, element=element(EVEN.group.identity)).but(
        "element", "3", EITHER, "an index means an element"
    ),
    Call(C4.identity.__matmul__, _0=element(C4.elements[1])),
    Call(C4.elements[1].__pow__, _0=integer(3)),
]

LEFT_OUT = {
    r"groups\.(Finite|Lie)?Group": "made by the functions above",
    r"groups\.(GroupElement|Irrep|IrrepId|Subgroup)": "made by groups",
    r"groups\..*\.(compose|coordinates_of|defining_matrices|element_at|elements_at|embed|extend"
    r"|indices|invert|irrep_ids|irrep_matrices|locate|matrices|characters|quadrature"
    r"|one_parameter_coordinates|sample_coordinates|standard_matrices|value_of|irrep_data"
    r"|irrep_sort_key)": ("coordinates of elements, which rooms exchange; users hold elements"),
}
