"""Calls of `images`."""

from __future__ import annotations

import numpy as np

from cases import Call
from equivax import groups, images
from equivax.images import GeometricImage, MultiImage, Signature
from kinds import (
    EITHER,
    anything,
    array,
    choice,
    dtype,
    flag,
    image,
    integer,
    integers,
    number,
    several,
    signature,
    tensor_type,
)

B2 = groups.hyperoctahedral(2)
RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


VECTOR = GeometricImage(normal(4, 4, 2), 0, 2)
MATRIX = GeometricImage(normal(4, 4, 2, 2), 0, 2)
S = Signature({(0, 0): 2, (1, 0): 1})
METRIC = np.broadcast_to(np.eye(2, dtype=np.float32), (4, 4, 2, 2))
X = MultiImage({(0, 0): normal(2, 4, 4), (1, 0): normal(1, 4, 4, 2)}, 2)
M = MultiImage({(0, 0): normal(2, 4, 4), (1, 0): normal(1, 4, 4, 2)}, 2, metric=METRIC)
BATCH = MultiImage({(0, 0): normal(3, 2, 4, 4), (1, 0): normal(3, 1, 4, 4, 2)}, 2)
TWO = MultiImage({(0, 0): normal(3, 2, 1, 4, 4)}, 2)
SERIES = MultiImage({(0, 0): normal(2, 8, 4, 4)}, 2)
TRUE = MultiImage({(0, 0): normal(2, 4, 4), (1, 0): normal(1, 4, 4, 2)}, 2)
FILTER = GeometricImage(np.ones((3, 3), np.float32), 0, 2)
SCALED = "a number scales"
AMPLITUDES = "complex amplitudes turn as real ones do"


def group(good: object = B2):
    """A group of signed permutations; None is all of them."""
    return anything(good, "group of axes")


LOSS = {"predicted": image(X), "true": image(TRUE)}

CALLS = [
    Call(
        GeometricImage,
        data=array(normal(4, 4, 2), lists=False),
        parity=integer(1),
        D=integer(2),
        is_torus=flag(True),
        covariant_axes=flag(True),
    )
    .but("is_torus", "[True]; flags", EITHER, "one for each axis")
    .but("covariant_axes", "[True]; []; flags", EITHER, "one for each index")
    .but("data", "complex", EITHER, AMPLITUDES),
    Call(
        GeometricImage.fill,
        spatial=integers((4, 4)),
        parity=integer(0),
        D=integer(2),
        value=array(normal(2), sized=False),
        is_torus=flag(True),
        covariant_axes=flag(True),
        dtype=dtype(),
    )
    .but("is_torus", "[True]; flags", EITHER, "one for each axis")
    .but("covariant_axes", "[True]; []; flags", EITHER, "one for each index"),
    Call(
        GeometricImage.zeros,
        spatial=integers((4, 4)),
        k=integer(1),
        parity=integer(0),
        D=integer(2),
        is_torus=flag(True),
    ).but("is_torus", "[True]; flags", EITHER, "one for each axis"),
    Call(VECTOR.average_pool, side=integer(2)),
    Call(VECTOR.max_pool, side=integer(2)),
    Call(VECTOR.unpool, side=integer(2)),
    Call(MATRIX.contract, i=integer(0), j=integer(1), metric=array(METRIC)),
    Call(MATRIX.multicontract, pairs=several([(0, 1)], empty=True), metric=array(METRIC)),
    Call(MATRIX.levi_civita_contract, indices=integers((0,))),
    Call(MATRIX.transpose, axes=integers((1, 0))),
    Call(VECTOR.raise_lower, metric=array(METRIC), covariant_axes=anything((True,))),
    Call(VECTOR.transform, g=anything(np.eye(2))),
    Call(VECTOR.translate, tau=integers((1, 0))),
    Call(
        VECTOR.convolve_with,
        filter=anything(FILTER),
        stride=integers(1),
        padding=anything("same"),
        padding_mode=choice("zeros"),
        dilation=integers(1),
        input_dilation=integers(1),
    ),
    Call(
        VECTOR.convolve_with,
        filter=FILTER,
        lhs_dilation=integers(1),
        rhs_dilation=integers(1),
    ),
    Call(VECTOR.__add__, _0=anything(VECTOR)),
    Call(VECTOR.__sub__, _0=anything(VECTOR)),
    Call(VECTOR.__mul__, _0=anything(2.0)),
    Call(VECTOR.__truediv__, _0=number(2.0)).but("_0", "nan; inf; -nan; tracer", EITHER, SCALED),
    Call(
        MultiImage,
        blocks=anything({(0, 0): normal(2, 4, 4)}),
        D=integer(2),
        is_torus=flag(True),
        metric=array(METRIC),
    ).but("is_torus", "[True]; flags", EITHER, "one for each axis"),
    Call(BATCH.at_batch, indices=anything([0, 1])),
    Call(X.component, i=integer(0), steps=integer(1)),
    Call(BATCH.concat, other=image(BATCH), axis=integer(0)),
    Call(X.dense, type_=tensor_type((1, 0))),
    Call(BATCH.expand, axis=integer(0), size=integer(3)),
    Call(X.field_type, group=group()),
    Call(X.astype, dtype=dtype()),
    Call(
        MultiImage.from_array,
        array=array(normal(4, 4, 4), lists=False),
        signature=signature(S),
        D=integer(2),
        is_torus=flag(True),
        metric=array(METRIC),
    )
    .but("is_torus", "[True]; flags", EITHER, "one for each axis")
    .but("array", "complex", EITHER, AMPLITUDES),
    Call(MultiImage.from_images, images=several([VECTOR, VECTOR]), batch=integers(0)),
    Call(X.to_scalar().from_scalar, signature=signature(S)),
    Call(MultiImage.from_vector, vector=array(np.asarray(X.to_vector())), like=image(X)).but(
        "vector", "complex", EITHER, AMPLITUDES
    ),
    Call(TWO.merge, axes=integers((0, 1))),
    Call(M.raise_lower, signature=signature({"k0p0": 2, "k1p0-l": 1})),
    Call(X.reorder, signature=signature([((1, 0), 1), ((0, 0), 2)])),
    Call(X.split, signature=signature(Signature({(1, 0): 1}))),
    Call(MultiImage.stack, images=several([X, X]), axis=integer(0)),
    Call(X.transform, g=anything(np.eye(2))),
    Call(X.translate, shift=integers((1, 0))),
    Call(X.unfold_time, steps=integer(1)),
    Call(X.with_array, array=array(normal(4, 4, 4), lists=False), signature=S)
    .but("array", "complex", EITHER, AMPLITUDES)
    .but("array", "longer", EITHER, "another grid"),
    Call(X.__getitem__, _0=anything((1, 0))),
    Call(X.__add__, _0=anything(X)),
    Call(X.__sub__, _0=anything(X)),
    Call(X.__mul__, _0=number(2.0)).but("_0", "nan; inf; -nan; tracer", EITHER, SCALED),
    Call(X.__truediv__, _0=number(2.0)).but("_0", "nan; inf; -nan; tracer", EITHER, SCALED),
    Call(Signature, entries=signature({(0, 0): 2, (1, 0): 1})),
    Call(S.channels, type_=tensor_type((1, 0))),
    Call(S.field_type, D=integer(2), group=group(), split=flag(True)),
    Call(S.key, type_=tensor_type((1, 0))),
    Call(S.scalars, D=integer(2)),
    Call(S.scale, n=integer(2)),
    Call(S.size, D=integer(2)),
    Call(S.slices, D=integer(2)),
    Call(S.union, other=signature(S), channels=integer(3)),
    Call(S.__add__, _0=anything(S)),
    Call(
        images.autoregressive_step,
        x=image(X),
        prediction=image(TRUE),
        future=integer(1),
    ),
    Call(images.contractions, k_from=integer(2), k_to=integer(0)),
    Call(images.delta, D=integer(2)),
    Call(images.levi_civita, D=integer(2)),
    Call(images.inverse_metric, metric=array(METRIC)),
    Call(
        images.invariant_filters,
        D=integer(2),
        size=integers(3),
        k=integer(1),
        parity=integer(0),
        group=group(),
        normalize=choice("orthonormal"),
        max_l1=number(2.0),
        split=choice("irreps"),
    ),
    Call(images.invariant_filters, D=2, size=3, k=0, parity=0, merge_equal_l1=flag(True)),
    Call(images.smse, **LOSS, reduce=choice("mean")),
    Call(images.normalized_smse, **LOSS, reduce=choice("mean"), eps=number(1e-5)),
    Call(images.nrmse, **LOSS, reduce=choice("mean"), eps=number(1e-5), percent=flag(True)),
    Call(
        images.nrmse_per_pixel, **LOSS, reduce=choice("mean"), eps=number(1e-5), percent=flag(True)
    ),
    Call(images.timestep_smse, **LOSS, steps=integer(1), reduce=choice("mean")),
    Call(
        images.transfer_kernel,
        kernel=array(np.ones((3, 3), np.float32), sized=False),
        D_from=integer(2),
        D_to=integer(3),
        rule=choice("min_norm"),
        order=integer(0),
        parity=integer(0),
    ).but("kernel", "complex", EITHER, AMPLITUDES),
    Call(
        images.window_indices,
        length=integer(8),
        past=integer(2),
        future=integer(1),
        step=integer(1),
    ),
    Call(
        images.window_series,
        dynamic=image(SERIES),
        steps=integer(8),
        past=integer(2),
        future=integer(1),
        skip=integer(0),
        step=integer(1),
        downsample=integer(0),
    ),
]

LEFT_OUT = {
    r"images\.(as_dimension|as_flags|axis_space|type_name|flat_metric_axes|orbit)": (
        "for authors of layers, which check"
    ),
}
