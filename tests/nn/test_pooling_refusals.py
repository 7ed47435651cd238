"""Bad input of pools is refused at once, with the argument, the field and a way out."""

import jax.numpy as jnp
import numpy as np
import pytest

from equivax import FieldType, nn, spaces

C4, D4 = spaces.rot_on_r2(4), spaces.flip_rot_on_r2(4)
REGULAR = FieldType(C4, 2 * C4.regular)
VECTOR = FieldType(C4, [C4.regular, C4.regular, C4.irrep(1)])
POINT = FieldType(spaces.no_base_space(C4.group), C4.regular)
FUSED = (D4.induced((None, 4), D4.group.subgroup((None, 4)).group.irrep(1)) + D4.regular).fused()
X = jnp.zeros((8, 6, 6))
field_2 = "field 2 \\(irrep\\(1\\)\\) is not permuted by C4.*use "

BAD = {
    "max of a vector": (
        lambda: nn.PointwiseMaxPool(VECTOR, 2), ValueError,
        f"PointwiseMaxPool: in_type: {field_2}NormMaxPool",
    ),
    "blurred max of a vector": (
        lambda: nn.PointwiseMaxPoolAntialiased(VECTOR, 2), ValueError,
        f"PointwiseMaxPoolAntialiased: in_type: {field_2}PointwiseAvgPoolAntialiased",
    ),
    "adaptive max of a vector": (
        lambda: nn.PointwiseAdaptiveMaxPool(VECTOR, 2), ValueError,
        f"PointwiseAdaptiveMaxPool: in_type: {field_2}PointwiseAdaptiveAvgPool",
    ),
    "group pooling of a vector": (
        lambda: nn.GroupPooling(VECTOR), ValueError, f"GroupPooling: in_type: {field_2}NormPool",
    ),
    "mean of a vector": (
        lambda: nn.GroupPooling(VECTOR, jnp.mean), ValueError,
        "field 2 \\(irrep\\(1\\)\\) has no invariant.*use NormPool",
    ),
    "max of a sign": (
        lambda: nn.PointwiseMaxPool(FieldType(D4, D4.irrep(1, 0)), 2), ValueError,
        "field 0 \\(irrep",
    ),
    "group pooling by position": (
        lambda: nn.GroupPooling(REGULAR, lambda x, axis: jnp.take(x, 0, axis=axis)), ValueError,
        "reduce: expected a function that reduces one axis whatever the order",
    ),
    "group pooling that keeps the axis": (
        lambda: nn.GroupPooling(REGULAR, lambda x, axis: x), ValueError, "reduces one axis",
    ),
    "group pooling by name": (
        lambda: nn.GroupPooling(REGULAR, "max"), TypeError, "callable such as jnp.max, got 'max'",
    ),
    "induced norms of an irrep": (
        lambda: nn.InducedNormPool(VECTOR), ValueError,
        "InducedNormPool: in_type: field 2 \\(irrep\\(1\\)\\) is neither induced.*use NormPool",
    ),
    "induced norms of a fused sum": (
        lambda: nn.InducedNormPool(FieldType(D4, [D4.trivial, FUSED])), ValueError, "field 1",
    ),
    "norms of a number": (lambda: nn.NormPool(3), TypeError, "NormPool: in_type"),
    "a representation on a grid": (
        lambda: nn.PointwiseMaxPool(C4.regular, 2), TypeError,
        "PointwiseMaxPool: in_type: expected a FieldType on a grid, got Representation",
    ),
    "fields at a point": (
        lambda: nn.PointwiseAvgPool(POINT, 2), ValueError, "line, plane or volume.*InvariantPool",
    ),
    "no kernel": (
        lambda: nn.PointwiseMaxPool(REGULAR, 0), ValueError, "kernel_size: expected an int",
    ),
    "half a kernel": (lambda: nn.NormMaxPool(REGULAR, 1.5), TypeError, "NormMaxPool: kernel_size"),
    "three numbers on a plane": (
        lambda: nn.PointwiseAvgPool(REGULAR, (2, 2, 2)), ValueError, "or 2 of them, got",
    ),
    "no stride": (lambda: nn.PointwiseMaxPool(REGULAR, 2, 0), ValueError, "stride: expected"),
    "negative padding": (
        lambda: nn.PointwiseMaxPool(REGULAR, 2, padding=-1), ValueError, "padding: .*>= 0",
    ),
    "too much padding": (
        lambda: nn.PointwiseMaxPool(REGULAR, 3, padding=2), ValueError,
        "padding: expected at most half of kernel_size \\(3, 3\\), got 2",
    ),
    "too much padding of a mean": (
        lambda: nn.PointwiseAvgPool(REGULAR, 2, padding=2), ValueError, "at most half",
    ),
    "no dilation": (
        lambda: nn.PointwiseMaxPool(REGULAR, 2, dilation=0), ValueError, "dilation: expected",
    ),
    "ceil mode by number": (
        lambda: nn.PointwiseMaxPool(REGULAR, 2, ceil_mode=2), TypeError, "ceil_mode: .*got 2",
    ),
    "unknown check": (
        lambda: nn.PointwiseMaxPool(REGULAR, 2, grid_check="error"), ValueError,
        "grid_check: expected one of raise, warn, off, got 'error'",
    ),
    "dilated blur": (
        lambda: nn.PointwiseMaxPoolAntialiased(REGULAR, 2, dilation=2), ValueError,
        "dilation: expected 1.*use PointwiseMaxPool",
    ),
    "blur of width 0": (
        lambda: nn.PointwiseMaxPoolAntialiased(REGULAR, 2, sigma=0.0), ValueError, "sigma: .*got 0",
    ),
    "blur of infinite width": (
        lambda: nn.PointwiseAvgPoolAntialiased(REGULAR, np.inf, 2), ValueError, "sigma: .*got inf",
    ),
    "blur padding": (
        lambda: nn.PointwiseMaxPoolAntialiased(REGULAR, 2, blur_padding="wrap"), ValueError,
        "blur_padding: expected 'zero' or 'edge', got 'wrap'",
    ),
    "padding beyond the blur": (
        lambda: nn.PointwiseAvgPoolAntialiased(REGULAR, 0.6, 2, 5), ValueError, "the side 5 of the",
    ),
    "no cells": (
        lambda: nn.PointwiseAdaptiveAvgPool(REGULAR, 0), ValueError, "output_size: expected",
    ),
    "cells that do not turn": (
        lambda: nn.PointwiseAdaptiveAvgPool(REGULAR, (2, 3), grid_check="raise"), ValueError,
        "output_size must agree",
    ),
    "too small an input": (
        lambda: nn.PointwiseMaxPool(REGULAR, 7)(X), ValueError,
        "x: expected at least 7 cells along spatial axis 0.*got 6",
    ),
    "a window of padding alone": (
        lambda: nn.PointwiseMaxPool(REGULAR, 2, 1, 1, dilation=7)(X), ValueError, "steps over",
    ),
    "too few axes": (
        lambda: nn.PointwiseMaxPool(REGULAR, 2)(X[0, 0]), ValueError, "expected \\(..., 8, _, _\\)",
    ),
    "another type": (
        lambda: nn.PointwiseMaxPool(REGULAR, 2)(FieldType(C4, 8 * C4.trivial)(X)), ValueError,
        "expected fields of type",
    ),
    "integers": (lambda: nn.NormPool(REGULAR)(X.astype(int)), TypeError, "floating"),
}  # fmt: skip


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize("name", BAD)
def test_refused(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()
