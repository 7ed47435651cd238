"""What a message advises works: every row is refused, names a way out, and goes that way."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import FieldType, groups, images, kernels, models, nn, spaces
from equivax.representations import Representation, band_limited

KEY = jax.random.key(0)
C4, D4, SO2, SO3 = groups.cyclic(4), groups.dihedral(4), groups.so2(), groups.so3()
PLANE, CIRCLE, EIGHT = spaces.rot_on_r2(4), spaces.rot_on_r2(-1), spaces.rot_on_r2(8)
SOLID, LINE = spaces.rotations_on(3), spaces.on_r1(C4)
R, R8 = FieldType(PLANE, PLANE.regular), FieldType(EIGHT, EIGHT.regular)
SCALAR, VECTOR = FieldType(PLANE, PLANE.trivial), FieldType(PLANE, PLANE.vector)
ROUND, BODY = FieldType(CIRCLE, CIRCLE.irrep(1)), FieldType(SOLID, SOLID.vector)
TIME = FieldType(LINE, LINE.regular)
FLOW, HEIGHT = (((1, 0), 1),), (((0, 0), 1),)
ONES = jnp.ones((4, 9, 9))
INTEGERS = images.MultiImage({(1, 0): jnp.ones((1, 6, 6, 2), jnp.int32)}, 2)
TILTED = np.broadcast_to(np.array([[2.0, 1.0], [0.0, 2.0]]), (6, 6, 2, 2))
VECTORS3 = 2 * SO3.irrep(1)
CUTOFF = {"rings": [0, 0.5, 1.0, 1.2, 1.4], "frequency_cutoff": 4}


def conv(first, second, size=3, **options):
    return nn.Conv(first, second, size, key=KEY, **options)


def linear(first, second, **options):
    return nn.Linear(first, second, key=KEY, **options)


def with_metric(metric):
    return images.MultiImage({(1, 0): jnp.ones((1, 6, 6, 2))}, 2, metric=metric)


def series(x, **options):
    model = models.Series((((1, 0), 2), ((0, 0), 1)), FLOW, depth=1, width=1, key=KEY)
    return models.rollout(model, x, 2, **options)


PAST = images.MultiImage({(1, 0): jnp.ones((2, 6, 6, 2)), (0, 0): jnp.ones((1, 6, 6))}, 2)

#: Name to what is refused, what the message says, and the calls that it names.
ROWS = {
    "dependent elements of a layer": (
        lambda: conv(R, R, 5, **CUTOFF),
        r"Conv: basis: .*use fewer rings, narrower widths or lower frequencies, or drop elements "
        r"by basis_filter$",
        [
            lambda: conv(R, R, 5, rings=[0, 1.0, 2.0], frequency_cutoff=1),
            lambda: conv(R, R, 5, basis_filter=lambda e: e["radius"] in (0, 1.0), **CUTOFF),
        ],
    ),
    "dependent elements of a basis": (
        lambda: kernels.TypeBasis(R, R, 5, **CUTOFF),
        "allow_dependent=True accepts them",
        [lambda: kernels.TypeBasis(R, R, 5, allow_dependent=True, **CUTOFF)],
    ),
    "a linear map of fields": (
        lambda: linear(R, R),
        "nn.Conv with kernel_size=1 maps",
        [lambda: conv(R, R, 1)],
    ),
    "a linear map of fields in space": (
        lambda: linear(BODY, BODY),
        'nn.Conv with kernel_size=1, basis="grid"',
        [lambda: conv(BODY, BODY, 1, basis="grid")],
    ),
    "the grid basis of eighth turns": (
        lambda: conv(R8, R8, basis="grid"),
        'use basis="harmonic", or restrict the space',
        [
            lambda: conv(R8, R8, basis="harmonic"),
            lambda: conv(
                *[FieldType(EIGHT.restrict(4), EIGHT.regular.restrict(4))] * 2, basis="grid"
            ),
        ],
    ),
    "unequal sides of the harmonic basis": (
        lambda: conv(FLAT, FLAT, (3, 5)),
        r'basis="grid"',
        [lambda: conv(FLAT, FLAT, (3, 5), basis="grid")],
    ),
    "rings on a line": (
        lambda: conv(TIME, TIME, rings=[0, 1]),
        "leave it out",
        [lambda: conv(TIME, TIME)],
    ),
    "a convolution of vectors": (
        lambda: nn.Conv(*[FieldType(spaces.no_base_space(C4), C4.regular)] * 2, 1, key=KEY),
        "nn.Linear maps vectors",
        [lambda: linear(C4.regular, C4.regular)],
    ),
    "a convolution of representations": (
        lambda: conv(C4.regular, C4.regular),
        r"FieldType\(space, reps\) makes one",
        [lambda: conv(FieldType(PLANE, C4.regular), R)],
    ),
    "two groups": (
        lambda: linear(D4.regular, C4.regular),
        "restrict one of them to a common group",
        [
            lambda: linear(
                D4.regular.restrict(D4.subgroup([D4.generators[0]])),
                D4.subgroup([D4.generators[0]]).group.regular,
            )
        ],
    ),
    "a bias that is not there": (
        lambda: linear(C4.regular, C4.regular, use_bias=False).with_bias(jnp.ones(4)),
        "because use_bias is False",
        [lambda: linear(C4.regular, C4.regular).with_bias(jnp.ones(4))],
    ),
    "integers into a layer": (
        lambda: linear(C4.regular, C4.regular)(jnp.ones(4, int)),
        r"cast with x.astype\(float\)",
        [lambda: linear(C4.regular, C4.regular)(jnp.ones(4, int).astype(float))],
    ),
    "an image of integers": (
        lambda: nn.ConvContract(FLOW, FLOW, 3, key=KEY)(INTEGERS),
        r"cast with x.astype\(float\)",
        [lambda: nn.ConvContract(FLOW, FLOW, 3, key=KEY)(INTEGERS.astype(float))],
    ),
    "an image into a layer of another type": (
        lambda: nn.ReLU(R)(INTEGERS.astype(float)),
        r"signature.field_type\(D, group\)",
        [
            lambda: nn.NormNonlinearity(INTEGERS.signature.field_type(2, None))(
                INTEGERS.astype(float)
            )
        ],
    ),
    "an image whose output has no names": (
        lambda: conv(FLOWS, FieldType(FLOWS.space, FLOWS.space.trivial))(INTEGERS.astype(float)),
        "pass x.array",
        [
            lambda: conv(FLOWS, FieldType(FLOWS.space, FLOWS.space.trivial))(
                INTEGERS.astype(float).array
            )
        ],
    ),
    "what is no representation": (
        lambda: linear(4, C4.regular),
        r"group.regular, group.irrep\(1\) or Representation.from_matrices make one",
        [
            lambda: linear(C4.regular, C4.regular),
            lambda: linear(C4.irrep(1), C4.irrep(1)),
            lambda: linear(Representation.from_matrices(C4, np.stack([np.eye(2)] * 4)), C4.trivial),
        ],
    ),
    "elements of an infinite group": (
        lambda: SO3.elements,
        "use testing_elements or sample",
        [lambda: SO3.testing_elements],
    ),
    "the regular representation of an infinite group": (
        lambda: SO2.regular,
        "choose.*",
        [lambda: band_limited(SO2, 2)],
    ),
    "frequencies of a finite group": (
        lambda: band_limited(C4, 2),
        "choose them by irreps=",
        [lambda: band_limited(C4, irreps=[0, 1])],
    ),
    "too many coefficients": (
        lambda: band_limited(SO3, 100),
        "use lower frequencies, or choose irreps=",
        [lambda: band_limited(SO3, 3), lambda: band_limited(SO3, irreps=[(40,)])],
    ),
    "an element that is none": (
        lambda: C4.regular(3),
        r"C4.element\(...\) makes one",
        [lambda: C4.regular(C4.element(3))],
    ),
    "all matrices of an infinite group": (
        lambda: SO3.irrep(1).matrices,
        "call the representation on elements, or use group.testing_",
        [lambda: [SO3.irrep(1)(g) for g in SO3.testing_elements]],
    ),
    "the mean of vectors": (
        lambda: nn.InvariantPool(D4.irrep(1, 1)),
        "use IrrepNormPool or QuadraticPool",
        [lambda: nn.IrrepNormPool(D4.irrep(1, 1)), lambda: nn.QuadraticPool(D4.irrep(1, 1))],
    ),
    "the maximum of vectors": (
        lambda: nn.GroupPooling(VECTOR),
        "use NormPool",
        [lambda: nn.NormPool(VECTOR)],
    ),
    "a function of vectors": (
        lambda: nn.ReLU(VECTOR),
        "use .*NormNonlinearity or GatedNonlinearity",
        [lambda: nn.NormNonlinearity(VECTOR), lambda: nn.GatedNonlinearity(SCALAR + VECTOR)],
    ),
    "an even function of signs": (
        lambda: nn.PointwiseNonlinearity(C4.irrep(2), jax.nn.relu, odd=True),
        "use an odd function such as jnp.tanh",
        [lambda: nn.PointwiseNonlinearity(C4.irrep(2), jnp.tanh, odd=True)],
    ),
    "dropping channels of vectors": (
        lambda: nn.PointwiseDropout(ROUND, 0.5),
        "use FieldDropout",
        [lambda: nn.FieldDropout(ROUND, 0.5)],
    ),
    "a plain function in a sequence": (
        lambda: nn.Sequential(nn.ReLU(R), jnp.tanh),
        "wrap a pointwise",
        [lambda: nn.Sequential(nn.ReLU(R), nn.PointwiseNonlinearity(R, jnp.tanh))],
    ),
    "a scale of an irrep": (
        lambda: conv(R, R, init="identity"),
        "expected one of generalized_he, delta_orthonormal",
        [lambda: conv(R, R, init="delta_orthonormal"), lambda: conv(TIME, TIME, init="identity")],
    ),
    "an MLP of an infinite group": (
        lambda: models.MLP(VECTORS3, SO3.irrep(1), [8], key=KEY),
        "give hidden types .* with NormNonlinearity or GatedNonlinearity",
        [
            lambda activation=activation: models.MLP(
                VECTORS3, SO3.irrep(1), [4 * SO3.irrep(1)], activation=activation, key=KEY
            )
            for activation in (nn.NormNonlinearity, nn.GatedNonlinearity)
        ],
    ),
    "hidden irreps that nothing reaches": (
        lambda: models.MLP(
            VECTORS3,
            SO3.irrep(1),
            [3 * SO3.irrep(1) + 5 * SO3.irrep(2)],
            activation=nn.NormNonlinearity,
            key=KEY,
        ),
        "leave them out of hidden, or make them from the input with nn.TensorProduct",
        [
            lambda: models.MLP(
                VECTORS3, SO3.irrep(1), [3 * SO3.irrep(1)], activation=nn.NormNonlinearity, key=KEY
            ),
            lambda: nn.TensorProduct(VECTORS3, 2 * SO3.irrep(2), key=KEY),
        ],
    ),
    "a residual network of a circle": (
        lambda: models.WideResNet(FieldType(CIRCLE, CIRCLE.trivial), 10, depth=10, key=KEY),
        "give a sum of irreps",
        [
            lambda: models.WideResNet(
                FieldType(CIRCLE, CIRCLE.trivial),
                2,
                depth=10,
                widen=1,
                channels=(3, 3, 3),
                unit=CIRCLE.trivial + CIRCLE.irrep(1),
                key=KEY,
            )
        ],
    ),
    "a U-Net of a circle": (
        lambda: models.UNet(FieldType(CIRCLE, CIRCLE.trivial), ROUND, key=KEY),
        "give a sum of irreps",
        [
            lambda: models.UNet(
                FieldType(CIRCLE, CIRCLE.trivial),
                ROUND,
                channels=(3, 3),
                unit=CIRCLE.trivial + CIRCLE.irrep(1),
                key=KEY,
            )
        ],
    ),
    "irreps that reach no output": (
        lambda: linear(5 * C4.regular, 7 * C4.irrep(1)),
        "warn_unused=False silences this",
        [lambda: linear(5 * C4.regular, 7 * C4.irrep(1), warn_unused=False)],
    ),
    "irreps that reach no output of a convolution": (
        lambda: conv(R8, FieldType(EIGHT, EIGHT.irrep(3)), 1),
        "warn_unused=False silences this",
        [lambda: conv(R8, FieldType(EIGHT, EIGHT.irrep(3)), 1, warn_unused=False)],
    ),
    "constants that are taken for steps": (
        lambda: series(PAST),
        "constants= takes the signature",
        [lambda: series(PAST, constants=HEIGHT)],
    ),
    "more steps than memory": (
        lambda: series(PAST, constants=HEIGHT) and models.rollout(lambda x: x, PAST, 10**9),
        "predict fewer at a time",
        [lambda: series(PAST, constants=HEIGHT)],
    ),
    "a metric that is not symmetric": (
        lambda: with_metric(TILTED),
        r"0.5 \* \(g \+ g\^T\) is symmetric",
        [lambda: with_metric(0.5 * (TILTED + np.swapaxes(TILTED, -1, -2)))],
    ),
    "a metric that is not definite": (
        lambda: with_metric(np.zeros((6, 6, 2, 2))),
        "adding a multiple of the unit matrix",
        [lambda: with_metric(np.zeros((6, 6, 2, 2)) + 0.1 * np.eye(2))],
    ),
    "a function on no image": (
        lambda: models.GroupAverage(lambda x: x),
        "ModelWrapper names its channels",
        [lambda: models.GroupAverage(models.ModelWrapper(lambda x: x, FLOW, FLOW))],
    ),
    "an even kernel without a centre": (
        lambda: conv(R, R, 4, basis="grid", init="delta_orthonormal"),
        "even kernel sizes have no",
        [lambda: conv(R, R, 5, basis="grid", init="delta_orthonormal")],
    ),
    "a state that is missing": (
        lambda: eqx.nn.inference_mode(eqx.nn.make_with_state(nn.InnerBatchNorm)(R)[0])(
            ONES[None], 3
        ),
        "make_with_state makes both",
        [
            lambda: (lambda layer, state: layer(ONES[None], state))(
                *eqx.nn.make_with_state(nn.InnerBatchNorm)(R)
            )
        ],
    ),
}
FLAT = FieldType(spaces.flip_on_r2(), spaces.flip_on_r2().trivial)
FLOWS = INTEGERS.signature.field_type(2)


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize("name", ROWS)
def test_the_advice_works(name):
    refused, message, ways = ROWS[name]
    with pytest.raises((ValueError, TypeError, UserWarning), match=message):
        refused()
    for way in ways:
        assert way() is not None


def test_there_are_enough_rows():
    assert len(ROWS) >= 40
