"""Calls of `representations`."""

from __future__ import annotations

import numpy as np

from cases import Call
from equivax import Representation, groups
from equivax import representations as room
from kinds import (
    any_representation,
    anything,
    array,
    element,
    flag,
    function,
    group,
    integer,
    number,
    representation,
    several,
    subgroup,
    text,
)

C2, C4, D4, SO2 = groups.cyclic(2), groups.cyclic(4), groups.dihedral(4), groups.so2()
R4 = C4.regular
PLANE = D4.irrep(1, 1)
TURN = np.array([[0.0, -1.0], [1.0, 0.0]])

CALLS = [
    Call(
        Representation.from_matrices,
        group=group(C4),
        matrices=array(np.stack([np.linalg.matrix_power(TURN, n) for n in range(4)]), traced=False),
        name=text("turns"),
    ),
    Call(
        Representation.from_matrices,
        group=group(SO2),
        matrices=function(lambda g: np.ones((1, 1))),
    ),
    Call(
        Representation.from_generators,
        group=group(C4),
        matrices=several([TURN]),
        name=text("turns"),
        tolerance=number(0.01),
    ),
    Call(R4.character, g=element(C4.elements[1])),
    Call(R4, g=element(C4.elements[1])),
    Call(R4.fused, name=text("one")),
    Call(R4.renamed, name=text("one")),
    Call(PLANE.restrict, subgroup=subgroup("rotations")),
    Call(R4.transform, x=array(np.ones(4), traced=False), g=element(C4.elements[1])),
    Call(R4.__add__, _0=representation(R4)),
    Call(R4.__mul__, _0=integer(3)),
    Call(R4.__matmul__, _0=representation(R4)),
    Call(room.direct_sum, reps=several([R4, R4])),
    Call(room.tensor_product, a=representation(R4), b=representation(R4)),
    Call(
        room.induced,
        rep=representation(groups.cyclic(4).irrep(1)),
        group=group(D4),
        subgroup=subgroup("rotations"),
    ),
    Call(room.band_limited, group=group(SO2), max_frequency=integer(2)),
    Call(
        room.band_limited, group=group(C4), irreps=several([(0,), (1,)]), subgroup=subgroup(2)
    ).but("irreps", "one", "either", "an id is a sequence of ids such as 0"),
    Call(room.symmetric_square, rep=any_representation(R4)),
    Call(room.defining, group=group(C4)),
    Call(room.regular, group=group(C4)),
    Call(room.standard, group=group(groups.symmetric(3))),
    Call(room.trivial, group=group(C4)),
    Call(room.quotient, group=group(D4), subgroup=subgroup("rotations")),
    Call(room.irrep, group=group(C4), id=anything((1,))),
    Call(room.doubled, field=any_representation(R4), interleaved=flag(True)),
]

LEFT_OUT = {
    r"representations\.(decompose|point_vectors|sampled_functions|symmetric_pairs)": (
        "for authors of layers, which check"
    ),
    r"representations\.(Representation|Summand)(\.evaluate|\.characters|\.columns_of|\.renamed)?": (
        "made by the functions; parts that rooms exchange"
    ),
}
