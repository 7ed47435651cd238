"""Images refuse what they cannot mean, and say what they would take."""

import numpy as np
import pytest

from equivax import groups
from equivax.images import (
    GeometricImage,
    MultiImage,
    Signature,
    contractions,
    delta,
    levi_civita,
    nrmse,
)

pytestmark = pytest.mark.usefixtures("unchecked_annotations")


def ones(*shape):
    return np.ones(shape, np.float32)


def x(**options):
    return MultiImage({(0, 0): ones(2, 4, 4), (1, 0): ones(1, 4, 4, 2)}, 2, **options)


def a(k=1, **options):
    return GeometricImage(ones(4, 4, *(2,) * k), 0, 2, **options)


CASES = {
    "repeated type": (lambda: Signature((((1, 0), 2), ((1, 0), 3))), "k1p0 occurs twice"),
    "negative channels": (lambda: Signature((((1, 0), -1),)), "channels: expected an integer >= 0"),
    "no pairs": (lambda: Signature(((1, 0, 2),)), "expected pairs"),
    "no sequence": (lambda: Signature(3), "expected pairs"),
    "no type": (lambda: Signature((("k1", 2),)), "type: expected"),
    "negative order": (lambda: Signature((((-1, 0), 2),)), "type: expected"),
    "name too short": (lambda: Signature((("k2p0-l", 2),)), "type: expected"),
    "fractional parity": (lambda: Signature((((1, 0.5), 2),)), "parity: expected an integer"),
    "empty type": (lambda: Signature((((1, 0), 0),)).field_type(2), "at least one channel"),
    "scaled": (lambda: Signature((((1, 0), 1),)).scale(-1), "n: expected an integer"),
    "wrong group": (lambda: x().field_type(groups.octahedral()), "signed permutations of 2 axes"),
    "no group": (lambda: x().field_type("D4"), "group: expected a group"),
    "dimension": (lambda: MultiImage({(0, 0): ones(1, 4)}, 0), "D: expected an integer in 1..3"),
    "no blocks": (lambda: MultiImage({}, 2), "blocks: expected a mapping"),
    "no type at all": (
        lambda: MultiImage.from_array(ones(0, 4, 4), (), 2),
        "signature: expected at least one type",
    ),
    "a loss of nothing": (
        lambda: nrmse(*[MultiImage({(0, 0): ones(0, 4, 4)}, 2)] * 2),
        "nrmse: predicted: expected at least one channel",
    ),
    "rank": (lambda: MultiImage({(1, 0): ones(4, 4, 2)}, 2), r"expected \(..., c, _, _, 2\)"),
    "tensor axis": (lambda: MultiImage({(1, 0): ones(1, 4, 4, 3)}, 2), "expected .* for k1p0"),
    "sides": (
        lambda: MultiImage({(0, 0): ones(1, 4, 4), (1, 0): ones(1, 4, 5, 2)}, 2),
        "one spatial shape",
    ),
    "batches": (
        lambda: MultiImage({(0, 0): ones(3, 1, 4, 4), (1, 0): ones(1, 4, 4, 2)}, 2),
        "one batch shape",
    ),
    "no array": (lambda: MultiImage({(0, 0): [1.0]}, 2), "expected an array for k0p0"),
    "flags": (lambda: x(is_torus=(True,)), "is_torus: expected a boolean, or 2"),
    "metric": (lambda: x(metric=ones(4, 4, 2)), "metric: expected shape"),
    "channels": (
        lambda: MultiImage.from_array(ones(3, 4, 4), (((1, 0), 1),), 2),
        r"expected \(..., 2, _, _\)",
    ),
    "absent": (lambda: x()[(2, 0)], "k2p0 is not among k0p0, k1p0"),
    "sum of types": (
        lambda: x() + MultiImage({(0, 0): ones(3, 4, 4)}, 2),
        "expected 2 channels of k0p0, got 3",
    ),
    "sum of grids": (
        lambda: MultiImage({(0, 0): ones(1, 4)}, 1) + MultiImage({(0, 0): ones(1, 5)}, 1),
        "equal spatial",
    ),
    "sum of tori": (lambda: x() + x(is_torus=False), "equal is_torus"),
    "factor": (lambda: x() * ones(3), "broadcasts against the batch axes"),
    "boolean factor": (lambda: x() * True, "expected a number"),
    "no such axis": (lambda: x().concat(x(), axis=0), "one of 0 batch axes"),
    "vector": (lambda: MultiImage.from_vector(ones(3), x()), "expected shape"),
    "no images": (lambda: MultiImage.from_images([]), "at least one"),
    "uneven": (lambda: MultiImage.from_images([a(0), a(0), a(0)], batch=2), "expected a divisor"),
    "mixed grids": (
        lambda: MultiImage.from_images([a(0), GeometricImage(ones(3, 3), 0, 2)]),
        "one grid",
    ),
    "no time": (lambda: x().fold_time(), "expected a batch axis"),
    "component": (lambda: x().component(9), "one of 4 components"),
    "no metric": (lambda: x().lower_all(), "with a metric"),
    "not signed": (lambda: x().transform(np.eye(2) * 2), "signed permutation matrix"),
    "wrong size": (lambda: x().transform(np.eye(3)), r"shape \(2, 2\)"),
    "merge": (lambda: x().merge((0,)), "batch axes"),
    "stack": (lambda: MultiImage.stack([]), "at least one"),
    "image axis": (lambda: GeometricImage(ones(4, 4, 3), 0, 2), "tensor axes of length 2"),
    "image parity": (lambda: GeometricImage(ones(4, 4), "odd", 2), "parity: expected an integer"),
    "image flags": (lambda: a(covariant_axes=(True, True)), "covariant_axes: expected a boolean"),
    "image data": (lambda: GeometricImage([1.0], 0, 1), "data: expected an array"),
    "image sum": (lambda: a(1) + a(0), "equal type"),
    "image factor": (lambda: a() * "2", "expected a number or an image"),
    "repeated axis": (lambda: a(2).contract(1, 1), "different tensor axes"),
    "axis out of range": (lambda: a(2).contract(0, 2), "different tensor axes"),
    "no permutation": (lambda: a(2).transpose((0,)), "expected all of 2"),
    "epsilon": (lambda: a(2).levi_civita_contract((0, 1)), "expected 1 tensor axes"),
    "metric of another grid": (lambda: a().raise_lower(ones(3, 3, 2, 2), True), "metric: expected"),
    "shift": (lambda: a(is_torus=False).translate((1, 0)), "axis 0 is not periodic"),
    "half a pixel": (lambda: a().translate((0.5, 0)), "tau: expected an integer, or 2 of them"),
    "pool": (lambda: a().max_pool(3), "divisor of the sides"),
    "unpool": (lambda: a().unpool(0), "side: expected an integer >= 1"),
    "convolved with an array": (lambda: a().convolve_with(ones(3, 3)), "GeometricImage"),
    "even filter": (
        lambda: a().convolve_with(GeometricImage(ones(2, 2), 0, 2)),
        "half a cell off",
    ),
    "odd contraction": (lambda: contractions(3, 2), "less an even number"),
    "delta": (lambda: delta(0), "D: expected an integer in 1.."),
    "sign": (lambda: levi_civita(1.5), "D: expected an integer in 1..8"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_arguments(name):
    make, message = CASES[name]
    with pytest.raises((ValueError, TypeError, KeyError, IndexError), match=message):
        make()


def test_images_do_not_change():
    image = x()
    with pytest.raises(AttributeError):
        image.array = image.array
    with pytest.raises(AttributeError, match="immutable"):
        image.signature.other = 1
    with pytest.raises(TypeError):
        image[0] = 1
