"""Bad input is refused at once; the message names the argument, what it got and what it takes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx
from equivax import Representation, groups, linalg, models, nn, testing

C4, D4, C3, SO2 = groups.cyclic(4), groups.dihedral(4), groups.cyclic(3), groups.so2()
R4, RD = C4.regular, D4.regular
KEY = jax.random.key(0)
BASIS = evx.hom_basis(R4, R4)
COEFFS = BASIS.init(KEY)
LINEAR = nn.Linear(R4, R4, key=KEY)
PLANE = D4.irrep(1, 1)

Case = tuple[Callable[[], Any], type[Exception], str]

#: What is called, what it raises, and what the message says.
CASES: dict[str, Case] = {
    # Groups.
    "cyclic of order 0": (lambda: groups.cyclic(0), ValueError, "got 0"),
    "dihedral of negative order": (lambda: groups.dihedral(-1), ValueError, "got -1"),
    "symmetric of 0 letters": (lambda: groups.symmetric(0), ValueError, "got 0"),
    "no generator": (lambda: groups.from_generators([]), ValueError, "at least one generator"),
    "generators of two sizes": (
        lambda: groups.from_generators([np.eye(2), np.eye(3)]), ValueError, "one shape",
    ),
    "generator that is not square": (
        lambda: groups.from_generators([np.ones((2, 3))]), ValueError, r"square.*\(2, 3\)",
    ),
    "generator that is singular": (
        lambda: groups.from_generators([np.diag([1.0, 0.0])]), ValueError, "singular",
    ),
    "generator with NaN": (
        lambda: groups.from_generators([np.diag([1.0, np.nan])]), ValueError, "finite",
    ),
    "generator of infinite order": (
        lambda: groups.from_generators([np.array([[1.0, 1.0], [0.0, 1.0]])]), ValueError,
        "finite group",
    ),
    "generator that grows": (
        lambda: groups.from_generators([np.diag([2.0, 1.0])]), ValueError, "finite group",
    ),
    "generator that is no permutation": (
        lambda: groups.from_generators([[0, 0, 2]]), ValueError, r"permutation.*\[0.0, 0.0, 2.0\]",
    ),
    "signs that are no signs": (
        lambda: groups.from_generators([([1, 0, 2], [1, 1, 3])]), ValueError,
        "signs must be 1 or -1",
    ),
    "generators that are text": (
        lambda: groups.from_generators("D4"), (TypeError, ValueError), "matrices",
    ),
    "irrep of too high frequency": (lambda: C4.irrep(3), ValueError, r"C4 has no irrep.*valid ids"),
    "irrep of a wrong parity": (lambda: D4.irrep(2, 1), ValueError, "D4 has no irrep"),
    "irrep of negative frequency": (lambda: SO2.irrep(-1), ValueError, r"SO\(2\) has no irrep"),
    "all irreps of a Lie group": (lambda: SO2.irreps(), ValueError, "max_frequency is required"),
    "elements of a Lie group": (lambda: SO2.elements, ValueError, "infinite.*testing_elements"),
    "regular of a Lie group": (lambda: SO2.regular, ValueError, "infinite.*irreps"),
    "element out of range": (lambda: C4.element(1.5), ValueError, r"element of C4.*0\.\.3.*1.5"),
    "element of another group": (lambda: C4.element(D4.identity), ValueError, "D4.*C4"),
    "product of two groups' elements": (
        lambda: C4.identity @ D4.identity, ValueError, "element of C4 by one of D4",
    ),
    "subgroup whose order does not divide": (lambda: C4.subgroup(3), ValueError, "must divide 4"),
    "mirror out of range": (lambda: D4.subgroup((3, 2)), ValueError, r"integer in 0\.\.1"),
    "subgroup of an unknown name": (
        lambda: C4.subgroup("even"), ValueError, "no subgroup named 'even'",
    ),
    "subgroup of another group": (
        lambda: C4.subgroup(D4.subgroup("rotations")), ValueError, "subgroup of D4, not of C4",
    ),
    "subgroup by a number": (lambda: D4.subgroup(3.5), TypeError, "got 3.5"),
    # Representations.
    "matrices of the wrong shape": (
        lambda: Representation.from_matrices(C4, np.ones((4, 2, 3))), ValueError,
        r"\(4, n, n\).*\(4, 2, 3\)",
    ),
    "too few matrices": (
        lambda: Representation.from_matrices(C4, np.stack([np.eye(2)] * 3)), ValueError,
        r"one per element of C4, got \(3, 2, 2\)",
    ),
    "matrices with infinity": (
        lambda: Representation.from_matrices(C4, np.full((4, 1, 1), np.inf)), ValueError, "finite",
    ),
    "no homomorphism": (
        lambda: Representation.from_matrices(
            C4, np.array([1.0, -1.0, -1.0, 1.0]).reshape(4, 1, 1)
        ),
        ValueError, r"not a representation of C4.*rho\(a b\) by",
    ),
    "identity that moves": (
        lambda: Representation.from_matrices(C4, -np.ones((4, 1, 1))), ValueError,
        "identity of C4 differs",
    ),
    "all matrices zero": (
        lambda: Representation.from_matrices(C4, np.zeros((4, 2, 2))), ValueError, "identity",
    ),
    "matrices of a Lie group as a list": (
        lambda: Representation.from_matrices(SO2, np.eye(2)[None]), TypeError,
        r"SO\(2\) is infinite, so expected a callable",
    ),
    "callable on a Lie group that is no homomorphism": (
        lambda: Representation.from_matrices(SO2, lambda g: np.array([[1.0 + g.value]])),
        ValueError, "not a representation of SO",
    ),
    "too many generators": (
        lambda: Representation.from_generators(C4, [np.eye(2), np.eye(2)]), ValueError,
        r"one per generator of C4 \(1\), got 2",
    ),
    "generators that break a relation": (
        lambda: Representation.from_generators(C4, [[1, 2, 0]]), ValueError, "not a representation",
    ),
    "generator list that is no permutation": (
        lambda: Representation.from_generators(C4, [[1, 1, 0, 2]]), ValueError,
        r"permutation of 0\.\.3",
    ),
    "sign table with a zero": (
        lambda: Representation.from_generators(C4, [([1, 2, 3, 0], [1, 1, 1, 0])]), ValueError,
        "one sign",
    ),
    "generators of a Lie group": (
        lambda: Representation.from_generators(SO2, [np.eye(2)]), ValueError, "infinite",
    ),
    "representation of no group": (
        lambda: Representation.from_matrices("C4", np.ones((4, 1, 1))), TypeError,
        "group: expected a group, got str",
    ),
    "sum of two groups": (lambda: R4 + RD, ValueError, "acted on by D4, but the sum by C4"),
    "no copy": (lambda: 0 * R4, ValueError, "positive number of copies, got 0"),
    "negative copies": (lambda: R4 * -2, ValueError, "positive number of copies, got -2"),
    "empty direct sum": (lambda: evx.direct_sum([]), ValueError, "no representation"),
    "direct sum of groups": (
        lambda: evx.direct_sum([C4]), TypeError, "expected representations, got",
    ),
    "tensor product of two groups": (lambda: R4 @ RD, ValueError, "acted on by C4.*D4"),
    "matrix at another group's element": (
        lambda: R4(D4.identity), ValueError, "element of C4, got one of D4",
    ),
    "matrix at a number": (lambda: R4(1), TypeError, "expected an element of C4, got 1"),
    "all matrices of a Lie group": (
        lambda: SO2.irrep(1).matrices, ValueError, "infinite",
    ),
    "type of a sum": (
        lambda: R4.endomorphism_type, ValueError, "defined for irreps, but C4: regular is a sum",
    ),
    "vector of the wrong size": (
        lambda: R4.transform(np.ones(3), C4.identity), ValueError, r"\(\.\.\., 4\).*\(3,\)",
    ),
    "induction of another group's representation": (
        lambda: D4.induced("rotations", C3.irrep(1)), ValueError, "subgroup C4, got one of C3",
    ),
    "setting an attribute": (
        lambda: setattr(R4, "size", 3), AttributeError, "Representation is immutable",
    ),
    # Hom spaces.
    "Hom between two groups": (
        lambda: evx.hom_basis(R4, RD), ValueError, "in_rep acts by C4 but out_rep acts by D4",
    ),
    "Hom of a group": (lambda: evx.hom_basis(C4, R4), TypeError, "in_rep: expected a Repr"),
    "coefficients of other irreps": (
        lambda: BASIS.synthesize({"trivial": COEFFS["trivial"]}), ValueError, "one array per irrep",
    ),
    "coefficients of the wrong shape": (
        lambda: BASIS.synthesize({**COEFFS, "trivial": jnp.ones((2, 1, 1))}), ValueError,
        r"\(\.\.\., 1, 1, 1\) for irrep 'trivial', got \(2, 1, 1\)",
    ),
    "coefficients as an array": (
        lambda: BASIS.norm_sq(jnp.ones(4)), ValueError, "one array per irrep",
    ),
    "matrix of the wrong shape": (
        lambda: BASIS.project(jnp.ones((4, 3))), ValueError, r"\(\.\.\., 4, 4\), got \(4, 3\)",
    ),
    "matrix of integers": (
        lambda: BASIS.coefficients(jnp.ones((4, 4), int)), TypeError, "floating dtype",
    ),
    "product with the wrong size": (
        lambda: BASIS.apply(COEFFS, jnp.ones((2, 3))), ValueError, r"\(\.\.\., 4\), got \(2, 3\)",
    ),
    "product in an unknown mode": (
        lambda: BASIS.apply(COEFFS, jnp.ones(4), mode="fast"), ValueError, "auto, dense.*'fast'",
    ),
    "unknown scheme": (
        lambda: BASIS.init(KEY, "glorot"), ValueError, "scheme: expected one of xavier.*'glorot'",
    ),
    # Linear algebra.
    "norms of the wrong size": (
        lambda: linalg.irrep_norms(jnp.ones(3), R4), ValueError, r"\(\.\.\., 4\), got \(3,\)",
    ),
    "projector of a group": (
        lambda: linalg.invariant_projector(C4), TypeError, "rep: expected a Representation",
    ),
    "projector on no irrep": (
        lambda: linalg.isotypic_projector(R4, (5,)), ValueError, "C4 has no irrep",
    ),
    # Layers.
    "layer between two groups": (
        lambda: nn.Linear(R4, RD, key=KEY), ValueError, "Linear: in_rep acts by C4 but out_rep",
    ),
    "layer without a map": (
        lambda: nn.Linear(C4.irrep(1), C4.trivial, key=KEY), ValueError,
        r"only the zero map.*irrep\(1\).*trivial.*share no irrep",
    ),
    "layer without a key": (lambda: nn.Linear(R4, R4), TypeError, "key"),
    "layer of sizes": (
        lambda: nn.Linear(4, 4, key=KEY), TypeError, "Linear: in_type: expected a Repr.*got int",
    ),
    "layer in an unknown mode": (
        lambda: nn.Linear(R4, R4, mode="fast", key=KEY), ValueError, "Linear: mode.*'fast'",
    ),
    "layer of an unknown scheme": (
        lambda: nn.Linear(R4, R4, init="ones", key=KEY), ValueError, "scheme.*'ones'",
    ),
    "bias of an unknown scheme": (
        lambda: nn.Linear(R4, R4, bias_init="ones", key=KEY), ValueError, "bias_init.*'ones'",
    ),
    "input of the wrong size": (
        lambda: LINEAR(jnp.ones((3, 5))), ValueError,
        r"Linear: expected \(\.\.\., 4\) for in_type C4: regular, got \(3, 5\)",
    ),
    "input without axes": (lambda: LINEAR(jnp.ones(())), ValueError, r"got \(\)"),
    "input of integers": (
        lambda: LINEAR(jnp.ones(4, int)), TypeError, "Linear: x: expected floating.*int32",
    ),
    "input as a list": (lambda: LINEAR([1.0] * 4), TypeError, "expected an array, got list"),
    "bias for a layer without one": (
        lambda: nn.Linear(R4, C4.irrep(1), key=KEY).with_bias(jnp.ones(2)), ValueError,
        "with_bias: the layer has no bias",
    ),
    "bias of the wrong size": (
        lambda: LINEAR.with_bias(jnp.ones(3)), ValueError, r"vector: expected \(4,\), got \(3,\)",
    ),
    "invariant bias where nothing is invariant": (
        lambda: nn.InvariantBias(PLANE).with_bias(jnp.ones(2)), ValueError, "no trivial irrep",
    ),
    "random bias without a key": (
        lambda: nn.InvariantBias(R4, bias_init="equinox"), TypeError, "InvariantBias: key",
    ),
    "affine over channels": (lambda: nn.Affine(R4, per="channel"), ValueError, "per.*'channel'"),
    "scale for a learnable affine": (
        lambda: nn.Affine(R4)(jnp.ones(4), scale=jnp.ones(3)), ValueError, "learnable=False",
    ),
    "missing scale": (
        lambda: nn.Affine(R4, learnable=False)(jnp.ones(4)), ValueError, "scale: expected an array",
    ),
    "scale of the wrong size": (
        lambda: nn.Affine(R4, learnable=False)(jnp.ones(4), scale=jnp.ones(4)), ValueError,
        r"scale: expected \(\.\.\., 3\), got \(4,\)",
    ),
    "bias where nothing is invariant": (
        lambda: nn.Affine(PLANE, learnable=False)(
            jnp.ones(2), scale=jnp.ones(1), bias=jnp.ones(1)
        ),
        ValueError, "no trivial irrep",
    ),
    "constraint on the wrong shape": (
        lambda: nn.CommutingConstraint(R4, R4)(jnp.ones((4, 5))), ValueError, r"got \(4, 5\)",
    ),
    "invariant constraint on the wrong size": (
        lambda: nn.InvariantConstraint(R4)(jnp.ones(5)), ValueError, r"\(\.\.\., 4\), got \(5,\)",
    ),
    "constraint between two groups": (
        lambda: nn.CommutingConstraint(RD, R4), ValueError, "acts by D4 but out_rep acts by C4",
    ),
    "imposing on another size": (
        lambda: nn.impose_equivariance(eqx.nn.Linear(4, 3, key=KEY), R4, R4), ValueError,
        r"weight \(4, 4\).*got \(3, 4\)",
    ),
    "imposing on a convolution": (
        lambda: nn.impose_equivariance(eqx.nn.Conv1d(1, 1, 1, key=KEY), R4, R4), TypeError,
        "expected an equinox.nn.Linear, got Conv1d",
    ),
    "imposing where only zero commutes": (
        lambda: nn.impose_equivariance(eqx.nn.Linear(2, 1, key=KEY), C4.irrep(1), C4.trivial),
        ValueError, "impose_equivariance: only the zero map",
    ),
    "pointwise on a plane": (
        lambda: nn.ReLU(C3.irrep(1)), ValueError, r"ReLU.*irrep\(1\).*NormNonlinearity",
    ),
    "pointwise on signs": (
        lambda: nn.PointwiseNonlinearity(PLANE, jnp.tanh), ValueError, "odd=True",
    ),
    "odd function that is even": (
        lambda: nn.PointwiseNonlinearity(PLANE, jnp.cos, odd=True), ValueError,
        r"f\(-x\) = -f\(x\)",
    ),
    "nonlinearity by name": (
        lambda: nn.PointwiseNonlinearity(R4, "relu"), TypeError, "callable.*'relu'",
    ),
    "norm nonlinearity by name": (
        lambda: nn.NormNonlinearity(R4, "relu"), TypeError, "NormNonlinearity: function",
    ),
    "squash with a bias": (
        lambda: nn.NormNonlinearity(R4, nn.squash), ValueError, "use_bias=False",
    ),
    "negative initial bias": (
        lambda: nn.NormNonlinearity(R4, initial_bias=-1.0), ValueError, "positive number, got -1",
    ),
    "gates and fields that do not pair": (
        lambda: nn.GatedNonlinearity(2 * C4.trivial + R4), ValueError, "as many gates as gated",
    ),
    "gate that turns": (
        lambda: nn.GatedNonlinearity(R4 + R4), ValueError, r"field 0 \(regular\) is a gate",
    ),
    "gate marks of the wrong number": (
        lambda: nn.GatedNonlinearity(C4.trivial + R4, ["gate"]), ValueError, "each of 2 fields",
    ),
    "dropout above one": (lambda: nn.FieldDropout(R4, 1.5), ValueError, r"\[0, 1\], got 1.5"),
    "dropout without a key": (
        lambda: nn.FieldDropout(R4)(jnp.ones(4)), ValueError, "key: needed in training",
    ),
    "norm pool of an unknown kind": (
        lambda: nn.IrrepNormPool(R4, trivial="sign"), ValueError, "norm, value, got 'sign'",
    ),
    "norm pool with negative eps": (
        lambda: nn.IrrepNormPool(R4, eps=-1.0), ValueError, "eps: expected a number >= 0",
    ),
    "linear invariants of none": (
        lambda: nn.InvariantPool(PLANE), ValueError, "no trivial irrep.*QuadraticPool",
    ),
    "empty sequence": (lambda: nn.Sequential(), ValueError, "at least one layer"),
    "sequence that does not fit": (
        lambda: nn.Sequential(LINEAR, nn.ReLU(2 * R4)), ValueError,
        r"layers\[1\] \(ReLU\) takes C4: 2 x regular.*C4: regular",
    ),
    "sequence with a function": (
        lambda: nn.Sequential(LINEAR, jax.nn.relu), TypeError, r"layers\[1\].*PointwiseNonlin",
    ),
    # Models and checks.
    "no hidden layer": (lambda: models.MLP(R4, R4, [], key=KEY), ValueError, "non-empty sequence"),
    "hidden as a number": (lambda: models.MLP(R4, R4, 32, key=KEY), ValueError, "MLP: hidden.*32"),
    "hidden width zero": (
        lambda: models.MLP(R4, R4, [0], key=KEY), ValueError, "positive widths, got 0",
    ),
    "widths for a Lie group": (
        lambda: models.MLP(SO2.irrep(1), SO2.irrep(1), [8], key=KEY), ValueError,
        r"SO\(2\) is infinite.*give hidden types",
    ),
    "activation that does not fit": (
        lambda: models.MLP(R4, R4, [4 * C3.irrep(1)], key=KEY), ValueError, "NormNonlinearity|acts",
    ),
    "activation of another type": (
        lambda: models.MLP(R4, R4, [8], activation=nn.ReLU(R4), key=KEY), ValueError,
        "ReLU takes C4: regular, but the hidden type is C4: 2 x regular",
    ),
    "no output": (
        lambda: models.InvariantMLP(R4, 0, [8], key=KEY), ValueError, "out_size.*positive integer",
    ),
    "unknown pool": (
        lambda: models.InvariantMLP(R4, 2, [8], pool="max", key=KEY), ValueError, "pool.*'max'",
    ),
    "pool that is not invariant": (
        lambda: models.InvariantMLP(R4, 2, [4], pool=nn.ReLU(R4), key=KEY), ValueError,
        "to a trivial type, got ReLU",
    ),
    "check without types": (
        lambda: testing.equivariance_error(lambda x: x, key=KEY), ValueError,
        "in_type and out_type",
    ),
    "check between two groups": (
        lambda: testing.equivariance_error(lambda x: x, R4, RD, key=KEY), ValueError, "C4.*D4",
    ),
}  # fmt: skip


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused(name: str):
    call, error, message = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(error, match=message) as caught:
            call()
    assert "\n" not in str(caught.value), "one sentence"


def test_the_table_is_long_enough():
    assert len(CASES) >= 60


def test_a_function_that_is_not_equivariant_is_named():
    def shifted(x):
        return x + jnp.arange(4.0)

    with pytest.raises(AssertionError, match="shifted is not equivariant: at"):
        testing.assert_equivariant(shifted, R4, R4, key=KEY)
