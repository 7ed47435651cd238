"""Calls of `fields`."""

from __future__ import annotations

import jax
import numpy as np

from cases import Call
from equivax import FieldType, GeometricTensor, IrrepTensor, groups, spaces, tensor_directsum
from kinds import (
    EITHER,
    any_representation,
    anything,
    array,
    coefficients,
    dtype,
    element,
    field_type,
    function,
    integer,
    number,
    representation,
    several,
    space,
    subgroup,
)

C4 = groups.cyclic(4)
ROT = spaces.rot_on_r2(4)
R4 = C4.regular
T = FieldType(ROT, [ROT.regular, ROT.irrep(1)])
X = np.random.default_rng(0).normal(size=(2, 6, 5, 5)).astype(np.float32)
TENSOR = T(X)
G = C4.elements[1]
VECTORS = IrrepTensor.of(R4, X[:, 0, 0, :4])
SCALED = "a number scales"
AMPLITUDES = "complex amplitudes turn as real ones do"

CALLS = [
    Call(FieldType, space=space(ROT), reps=several([R4, R4])).but(
        "reps", "one", EITHER, "one representation is one field"
    ),
    Call(T.channels_of, indices=several([0, 1], empty=True)).but(
        "indices", "one", "refused", "a list of fields"
    ),
    Call(T.check, array=array(X, sized=False)).but("array", "complex", EITHER, "shape only"),
    Call(FieldType.for_channels, space=space(ROT), rep=representation(R4), channels=integer(16)),
    Call(
        FieldType.for_parameters,
        space=space(ROT),
        rep=representation(R4),
        parameters=integer(100),
        count=function(lambda t: 10 * len(t)),
    ),
    Call(T.group_by_labels, labels=anything(["a", "b"])),
    Call(T.index_select, indices=several([0, 1], empty=True)),
    Call(T.restrict, subgroup=subgroup(2)),
    Call(T.sorted, key=function(lambda rep: rep.size)),
    Call(T.transform, array=array(X, sized=False), g=element(G), order=integer(1)).but(
        "array", "complex", EITHER, AMPLITUDES
    ),
    Call(T.transform_fibers, array=array(X, sized=False), g=element(G)).but(
        "array", "complex", EITHER, AMPLITUDES
    ),
    Call(T, array=array(X, sized=False)).but("array", "complex", EITHER, AMPLITUDES),
    Call(T.__add__, _0=field_type(T)),
    Call(T.__mul__, _0=integer(2)),
    Call(GeometricTensor, array=array(X, sized=False, lists=False), type=field_type(T)).but(
        "array", "complex", EITHER, AMPLITUDES
    ),
    Call(TENSOR.astype, dtype=dtype()),
    Call(TENSOR.reshape_batch, _0=integer(2), _1=integer(1)),
    Call(TENSOR.restrict, subgroup=subgroup(2)),
    Call(TENSOR.split, breaks=several([1])).but("breaks", "[]", EITHER, "no cut"),
    Call(TENSOR.to, device=anything(jax.devices()[0])),
    Call(TENSOR.transform, g=element(G), order=integer(1)),
    Call(TENSOR.transform_fibers, g=element(G)),
    Call(TENSOR.__getitem__, _0=anything((0, slice(0, 1)))),
    Call(TENSOR.__add__, _0=anything(TENSOR)),
    Call(TENSOR.__sub__, _0=anything(TENSOR)),
    Call(TENSOR.__mul__, _0=number(2.0)).but("_0", "nan; inf; -nan; tracer", EITHER, SCALED),
    Call(TENSOR.__truediv__, _0=number(2.0)).but("_0", "nan; inf; -nan; tracer", EITHER, SCALED),
    Call(IrrepTensor, blocks=coefficients(VECTORS.blocks), type=any_representation(R4)),
    Call(IrrepTensor.of, type=any_representation(R4), array=array(X[:, 0, 0, :4], lists=False)),
    Call(VECTORS.astype, dtype=dtype()),
    Call(VECTORS.map, function=function(lambda block: 2 * block)),
    Call(VECTORS.__add__, _0=anything(VECTORS)),
    Call(VECTORS.__sub__, _0=anything(VECTORS)),
    Call(VECTORS.__mul__, _0=number(2.0)).but("_0", "nan; inf; -nan; tracer", EITHER, SCALED),
    Call(VECTORS.__truediv__, _0=number(2.0)).but("_0", "nan; inf; -nan; tracer", EITHER, SCALED),
    Call(tensor_directsum, tensors=several([TENSOR, TENSOR])),
]

LEFT_OUT = {
    r"fields\.(move_points|turn_fibers)": "for other rooms, which check",
    r"fields\.IrrepTensor\.__getitem__": "refuses always",
}
