"""What a message advises works: every row is refused, names a way out, and goes that way."""

import operator
import os
import tempfile

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx
from equivax import FieldType, IrrepTensor, groups, images, kernels, models, nn, spaces
from equivax.representations import Representation, band_limited, direct_sum

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
TWO = (C4.regular, C4.regular)
HALF = C4.subgroup([C4.elements[2]])
TENSOR = R(ONES[None])
COORDINATES = IrrepTensor.of(C4.regular, jnp.ones(4))
SIGN = groups.cyclic(2).irrep(1)
SAMPLES = jnp.array([[0.0], [1.0], [2.0]])
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


def halved(weights):
    return jax.tree.map(lambda a: a / 2, weights)


def normed():
    return nn.Sequential(nn.InnerBatchNorm(R), nn.ReLU(R))


def called(build, x, **options):
    """What a layer with running statistics gives for its first state."""
    layer, state = eqx.nn.make_with_state(build)(**options)
    return layer(x, state)[0]


def batch_normed(axis_name=None):
    return nn.GNormBatchNorm(C4.regular, axis_name=axis_name)


def fitted(samples, **options):
    return nn.EquivariantMultivariateNormal(SIGN, **options).fit(samples)


def outside(rep):
    return nn.Affine(rep, learnable=False)


def diffop(type_, size=5, **options):
    return nn.Diffop(type_, type_, kernel_size=size, key=KEY, **options)


def saved(model, state):
    with tempfile.TemporaryDirectory() as folder:
        evx.save(f"{folder}/model.evx", model, state=state)
        return os.listdir(folder)


def untracked(track):
    layer, state = eqx.nn.make_with_state(nn.InnerBatchNorm)(R, track_running_stats=track)
    return layer.inference_map(state)


PAST = images.MultiImage({(1, 0): jnp.ones((2, 6, 6, 2)), (0, 0): jnp.ones((1, 6, 6))}, 2)

REFUSALS = (ValueError, TypeError, AttributeError, KeyError, UserWarning)

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
    "a pair that may be a matrix": (
        lambda: groups.from_generators([[[1, 0], [1, -1]]]),
        r"write the matrix as np.array\(...\), or the pair as a tuple",
        [
            lambda: groups.from_generators([np.array([[1, 0], [0, -1]])]),
            lambda: groups.from_generators([([1, 0], [1, -1])]),
        ],
    ),
    "a type without a space": (
        lambda: FieldType(4, C4.regular),
        r"spaces.rot_on_r2\(4\) makes one",
        [lambda: FieldType(spaces.rot_on_r2(4), C4.regular)],
    ),
    "a tensor changed in place": (
        lambda: operator.setitem(TENSOR, 0, 1.0),
        r"use x.array.at\[...\].set\(...\) and x.type\(...\)",
        [lambda: TENSOR.type(TENSOR.array.at[0].set(1.0))],
    ),
    "coordinates of irreps and an array": (
        lambda: COORDINATES + jnp.ones(4),
        r"IrrepTensor.of\(x.type, array\) makes one",
        [lambda: COORDINATES + IrrepTensor.of(COORDINATES.type, jnp.ones(4))],
    ),
    "a type of channels that occurs twice": (
        lambda: images.Signature((((1, 0), 2), ((1, 0), 3))),
        "give all its channels at once",
        [lambda: images.Signature((((1, 0), 5),))],
    ),
    "subfields of a rotation": (
        lambda: nn.InducedNormNonlinearity(ROUND),
        r"group.induced\(H, sigma\); NormNonlinearity and GatedNonlinearity take any field",
        [
            lambda: nn.InducedNormNonlinearity(
                FieldType(PLANE, PLANE.induced(HALF, HALF.group.irrep(1)))
            ),
            lambda: nn.NormNonlinearity(ROUND),
            lambda: nn.GatedNonlinearity(FieldType(CIRCLE, CIRCLE.trivial) + ROUND),
        ],
    ),
    "a weight that is computed": (
        lambda: eqx.tree_at(lambda layer: layer.weight, linear(*TWO), jnp.ones((4, 4))),
        r"use layer.with_weight\(array\), or tree_at on layer.weights",
        [
            lambda: linear(*TWO).with_weight(jnp.ones((4, 4))),
            lambda: eqx.tree_at(lambda layer: layer.weights, linear(*TWO), replace_fn=halved),
        ],
    ),
    "a weight of a convolution": (
        lambda: conv(R, R).weight,
        r"use layer.kernel for the dense array, layer.with_kernel\(array\) to set it, and tree_at",
        [
            lambda: conv(R, R).with_kernel(conv(R, R).kernel),
            lambda: eqx.tree_at(lambda layer: layer.weights, conv(R, R), replace_fn=halved),
        ],
    ),
    "running statistics without a state": (
        lambda: eqx.nn.make_with_state(normed)()[0](ONES[None]),
        r"call it as y, state = model\(x, state\), where model, state = equinox.nn.make_with_state",
        [lambda: called(normed, ONES[None])],
    ),
    "an export without a state": (
        lambda: evx.export(eqx.nn.make_with_state(normed)()[0]),
        r"call export\(model, state\)",
        [lambda: evx.export(*eqx.nn.make_with_state(normed)())],
    ),
    "a summary without a state": (
        lambda: evx.summary(eqx.nn.make_with_state(normed)()[0], (1, 4, 9, 9)),
        "give the state that equinox.nn.make_with_state returned",
        [
            lambda: evx.summary(
                eqx.nn.make_with_state(normed)()[0],
                (1, 4, 9, 9),
                state=eqx.nn.make_with_state(normed)()[1],
            )
        ],
    ),
    "a list of layers": (
        lambda: nn.Sequential([nn.ReLU(R)]),
        r"write Sequential\(\*layers\)",
        [lambda: nn.Sequential(*[nn.ReLU(R)])],
    ),
    "cells on one side": (
        lambda: nn.ConvTranspose(R, R, 3, stride=2, output_padding=1, key=KEY),
        "use 0, or grid_check='off'",
        [
            lambda: nn.ConvTranspose(R, R, 3, stride=2, output_padding=0, key=KEY),
            lambda: nn.ConvTranspose(
                R, R, 3, stride=2, output_padding=1, grid_check="off", key=KEY
            ),
        ],
    ),
    "too few gates": (
        lambda: nn.GatedNonlinearity(SCALAR + VECTOR + VECTOR),
        "give the number of its gate for each gated field to share gates",
        [lambda: nn.GatedNonlinearity(SCALAR + VECTOR + VECTOR, gates=["gate", 0, 0])],
    ),
    "a bias of squash": (
        lambda: nn.NormNonlinearity(R, nn.squash, use_bias=True),
        "pass use_bias=False",
        [lambda: nn.NormNonlinearity(R, nn.squash, use_bias=False)],
    ),
    "one vector of vectors": (
        lambda: nn.VectorFieldNonlinearity(VECTOR),
        "NormNonlinearity takes any field",
        [lambda: nn.NormNonlinearity(VECTOR)],
    ),
    "statistics of one vector": (
        lambda: called(batch_normed, jnp.ones(4)),
        "give x a batch axis, or under jax.vmap name that axis: ",
        [
            lambda: jax.eval_shape(lambda x: called(batch_normed, x), jnp.ones((2, 4))),
            lambda: jax.eval_shape(
                jax.vmap(lambda x: called(batch_normed, x, axis_name="batch"), axis_name="batch"),
                jnp.ones((2, 4)),
            ),
        ],
    ),
    "running statistics that are not kept": (
        lambda: nn.InnerBatchNorm(R, mode="ema", track_running_stats=False),
        "use mode='batch'",
        [lambda: nn.InnerBatchNorm(R, mode="batch", track_running_stats=False)],
    ),
    "a map of statistics that are not kept": (
        lambda: untracked(False),
        "build it with track_running_stats=True",
        [lambda: untracked(True)],
    ),
    "invariant fields of a field norm": (
        lambda: nn.FieldNorm(SCALAR + SCALAR),
        "nn.LayerNorm and the batch norms keep them",
        [lambda: nn.LayerNorm(SCALAR + SCALAR), lambda: normed],
    ),
    "a norm that keeps signs": (
        lambda: nn.LayerNorm(C4.irrep(2), pool="copy"),
        "pool='all' keeps sizes",
        [lambda: nn.LayerNorm(C4.irrep(2) + C4.regular, pool="all")],
    ),
    "a dilated blur": (
        lambda: nn.PointwiseMaxPoolAntialiased(R, 3, dilation=2),
        "use PointwiseMaxPool",
        [lambda: nn.PointwiseMaxPool(R, 3, dilation=2)],
    ),
    "cosets of vectors": (
        lambda: nn.SubgroupPooling(VECTOR, 2),
        r"group.regular and group.quotient\(K\); nn.Disentangle\(by='permutation'\) splits orbits, "
        "and nn.NormPool takes any field",
        [
            lambda: nn.SubgroupPooling(R, 2),
            lambda: nn.Disentangle(R + R, by="permutation"),
            lambda: nn.NormPool(VECTOR),
        ],
    ),
    "the mean of turning vectors": (
        lambda: nn.GroupPooling(VECTOR, jnp.mean),
        "says nothing; use NormPool",
        [lambda: nn.NormPool(VECTOR)],
    ),
    "pooling over subfields of a rotation": (
        lambda: nn.InducedNormPool(ROUND),
        "that SO.2. permutes; use NormPool",
        [lambda: nn.NormPool(ROUND)],
    ),
    "windows of vectors": (
        lambda: nn.NormMaxPool(FieldType(spaces.no_base_space(C4), C4.regular), 2),
        "volume, got .*; use NormPool",
        [lambda: nn.NormPool(FieldType(spaces.no_base_space(C4), C4.regular))],
    ),
    "dropout without a key": (
        lambda: nn.FieldDropout(R, 0.5)(ONES[None]),
        "pass key=, or use equinox.nn.inference_mode",
        [
            lambda: nn.FieldDropout(R, 0.5)(ONES[None], key=KEY),
            lambda: eqx.nn.inference_mode(nn.FieldDropout(R, 0.5))(ONES[None]),
        ],
    ),
    "generators of an infinite group": (
        lambda: Representation.from_generators(SO2, [np.eye(2)]),
        "use Representation.from_matrices with a callable",
        [lambda: Representation.from_matrices(SO2, lambda g: np.eye(2))],
    ),
    "a group without generators": (
        lambda: Representation.from_generators(groups.cyclic(1), []),
        "use Representation.from_matrices",
        [lambda: Representation.from_matrices(groups.cyclic(1), np.ones((1, 1, 1)))],
    ),
    "no copy of a representation": (
        lambda: 0 * C4.regular,
        r"direct_sum\(\[n \* rep for rep, n in counts if n\]\) leaves out what is empty",
        [lambda: direct_sum([n * rep for rep, n in [(C4.regular, 0), (C4.trivial, 2)] if n])],
    ),
    "products of two groups": (
        lambda: C4.regular @ D4.regular,
        "restrict them to a common group",
        [lambda: D4.regular @ D4.trivial],
    ),
    "all irreps of a circle": (
        lambda: SO2.regular,
        r"as in group.irreps\(3\)",
        [lambda: direct_sum(SO2.irreps(3))],
    ),
    "tensors on eighth turns": (
        lambda: images.Signature(FLOW).field_type(2, EIGHT),
        "layers on field types take any group with basis='harmonic'",
        [lambda: conv(R8, R8, basis="harmonic")],
    ),
    "too few samples of a full covariance": (
        lambda: fitted(SAMPLES[:1]),
        "give more samples or a positive min_var",
        [
            lambda: fitted(SAMPLES),
            lambda: fitted(SAMPLES[:1], min_var=0.1),
        ],
    ),
    "rings of a line's grid": (
        lambda: conv(TIME, TIME, frequency_cutoff=2),
        "the grid basis on R1 takes every tap, so leave it out",
        [lambda: conv(TIME, TIME)],
    ),
    "a layer without a name": (
        lambda: nn.Sequential(nn.ReLU(R))["first"],
        r"Sequential\(\{name: layer\}\) gives names",
        [lambda: nn.Sequential({"first": nn.ReLU(R)})["first"]],
    ),
    "an irrep too often": (
        lambda: nn.FourierNonlinearity(FieldType(CIRCLE, (2 * CIRCLE.irrep(1)).fused())),
        "representations.band_limited makes fields that fit",
        [lambda: nn.FourierNonlinearity(FieldType(CIRCLE, band_limited(CIRCLE.group, 1)))],
    ),
    "scales from outside": (
        lambda: nn.Affine(C4.regular)(jnp.ones(4), scale=jnp.ones(3)),
        "learnable=False takes them at the call",
        [lambda: outside(C4.regular)(jnp.ones(4), scale=jnp.ones(outside(C4.regular).num_scale))],
    ),
    "a bias that turns": (
        lambda: outside(C4.irrep(1))(jnp.ones(2), scale=jnp.ones(1), bias=jnp.ones(1)),
        "pass bias=None",
        [lambda: outside(C4.irrep(1))(jnp.ones(2), scale=jnp.ones(1), bias=None)],
    ),
    "a padding that says its mode": (
        lambda: nn.ConvContract(FLOW, FLOW, 3, padding="TORUS", padding_mode="reflect", key=KEY),
        "write padding='same', padding_mode='reflect'",
        [lambda: nn.ConvContract(FLOW, FLOW, 3, padding="same", padding_mode="reflect", key=KEY)],
    ),
    "a summary of parts": (
        lambda: evx.summary({"first": linear(*TWO)}, (4,)),
        "give its parts one by one, or no in_shape",
        [lambda: evx.summary(linear(*TWO), (4,)), lambda: evx.summary({"first": linear(*TWO)})],
    ),
    "a file without the state": (
        lambda: evx.save(os.devnull, eqx.nn.make_with_state(normed)()[0]),
        "give the state that the model was last called with",
        [lambda: saved(*eqx.nn.make_with_state(normed)())],
    ),
    "operators that mirrors do not meet": (
        lambda: diffop(UPRIGHT, angle_offset=0.1),
        "leave it out",
        [lambda: diffop(UPRIGHT)],
    ),
    "functions that are nearly dependent": (
        lambda: diffop(SCALAR, method="rbf", shape=11.0),
        "use a smaller shape or kernel_size",
        [
            lambda: diffop(SCALAR, method="rbf", shape=1.0),
            lambda: diffop(SCALAR, 3, method="rbf", shape=11.0),
        ],
    ),
    "a covariance of one number": (
        lambda: nn.EquivariantMultivariateNormal(2 * SIGN, covariance="type").dof_from_covariance(
            jnp.array([[1.0, 0.5], [0.5, 2.0]])
        ),
        "use 'full'",
        [
            lambda: nn.EquivariantMultivariateNormal(
                2 * SIGN, covariance="full"
            ).dof_from_covariance(jnp.array([[1.0, 0.5], [0.5, 2.0]]))
        ],
    ),
}
UPRIGHT = FieldType(spaces.flip_rot_on_r2(4), spaces.flip_rot_on_r2(4).trivial)
FLAT = FieldType(spaces.flip_on_r2(), spaces.flip_on_r2().trivial)
FLOWS = INTEGERS.signature.field_type(2)


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize("name", ROWS)
def test_the_advice_works(name):
    refused, message, ways = ROWS[name]
    with pytest.raises(REFUSALS, match=message):
        refused()
    for way in ways:
        assert way() is not None


def test_there_are_enough_rows():
    assert len(ROWS) >= 85
