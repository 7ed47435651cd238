"""Bad input is refused at once; the message names the argument, what it got and what it takes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from types import CodeType
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


NORMAL = nn.EquivariantMultivariateNormal(R4, covariance="full")
X20 = jax.random.normal(KEY, (20, 4))


def stateful(cls: type, *types: Any) -> Callable[..., Any]:
    """A layer with running statistics as a function of the data."""
    layer, state = eqx.nn.make_with_state(cls)(*types)
    return lambda x, **options: layer(x, state, **options)


def half_turn(angle: float) -> np.ndarray:
    """Turns by half the angle: a representation of a double cover only."""
    c, s = np.cos(angle / 2), np.sin(angle / 2)
    return np.array([[c, -s], [s, c]])


Case = tuple[Callable[[], Any], type[Exception], str]

#: What is called, what it raises, and what the message says.
CASES: dict[str, Case] = {
    # Groups.
    "cyclic of order 0": (lambda: groups.cyclic(0), ValueError, "cyclic: n: .*>= 1, got 0"),
    "cyclic of a fraction": (lambda: groups.cyclic(2.5), TypeError, "an integer >= 1, got 2.5"),
    "dihedral of negative order": (
        lambda: groups.dihedral(-1), ValueError, "dihedral: n: expected an integer >= 1, got -1",
    ),
    "symmetric of 0 letters": (
        lambda: groups.symmetric(0), ValueError, r"symmetric: n: .* 1\.\.6, got 0",
    ),
    "hyperoctahedral of too many axes": (
        lambda: groups.hyperoctahedral(5), ValueError, r"d: expected an integer in 1\.\.4, got 5",
    ),
    "product with a number": (
        lambda: groups.direct_product(C4, 3), TypeError, "H: expected a Group, got 3",
    ),
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
        "expected signs 1 or -1",
    ),
    "generators that are text": (
        lambda: groups.from_generators("D4"), TypeError, "matrices: expected a list.*'D4'",
    ),
    "generators of ragged rows": (
        lambda: groups.from_generators([[[1, 0], [0]]]), ValueError,
        r"matrices\[0\]: expected a square matrix, a permutation, or a pair.*one length",
    ),
    "generator that is complex": (
        lambda: groups.from_generators([np.diag([1j, -1j])]), ValueError,
        "complex entries.* real at twice the size, np.block",
    ),
    "rotations beyond number": (
        lambda: groups.cyclic(10**9), ValueError, "cyclic: n: expected at most 5000.*so2",
    ),
    "group larger than allowed": (
        lambda: groups.from_generators([[1, 2, 3, 0]], max_order=3), ValueError,
        "finite group of order at most 3",
    ),
    "irrep of too high frequency": (lambda: C4.irrep(3), ValueError, r"C4 has no irrep.*valid ids"),
    "irrep of a wrong parity": (lambda: D4.irrep(2, 1), ValueError, "D4 has no irrep"),
    "irrep of negative frequency": (lambda: SO2.irrep(-1), ValueError, r"SO\(2\) has no irrep"),
    "all irreps of a Lie group": (lambda: SO2.irreps(), ValueError, "max_frequency: .*got None"),
    "elements of a Lie group": (lambda: SO2.elements, ValueError, "infinite.*testing_elements"),
    "irreps up to a negative frequency": (
        lambda: SO2.irreps(-1), ValueError, "max_frequency: expected an integer >= 0.*got -1",
    ),
    "index of an element of a Lie group": (
        lambda: SO2.identity.index, ValueError, r"SO\(2\) is infinite: its elements have no index",
    ),
    "sample from text": (lambda: C4.sample("seed"), TypeError, "seed: expected an int.*'seed'"),
    "regular of a Lie group": (lambda: SO2.regular, ValueError, "infinite.*irreps"),
    "element out of range": (lambda: C4.element(1.5), ValueError, r"element of C4.*0\.\.3.*1.5"),
    "angle that is no number": (
        lambda: SO2.element(float("nan")), ValueError, "finite angle in radians, got nan",
    ),
    "rotation that stretches": (
        lambda: groups.so3().element(2 * np.eye(3)), ValueError, r"rotation matrix.*got \[\[2\.0",
    ),
    "reflection that flattens": (
        lambda: groups.o3().element(np.ones((3, 3))), ValueError, r"orthogonal.*got \[\[1\.0",
    ),
    "element of another group": (lambda: C4.element(D4.identity), ValueError, "C4, got one of D4"),
    "product of two groups' elements": (
        lambda: C4.identity @ D4.identity, ValueError, "two elements of C4, got one of D4",
    ),
    "subgroup whose order does not divide": (lambda: C4.subgroup(3), ValueError, "divides 4 in C4"),
    "mirror out of range": (lambda: D4.subgroup((3, 2)), ValueError, r"integer in 0\.\.1"),
    "subgroup of an unknown name": (
        lambda: C4.subgroup("even"), ValueError, "no subgroup named 'even'",
    ),
    "subgroup of another group": (
        lambda: C4.subgroup(D4.subgroup("rotations")), ValueError, "subgroup of C4, got one of D4",
    ),
    "subgroup by images that are no homomorphism": (
        lambda: C4.subgroup((C3, [1])), ValueError, "expected a homomorphism from C3",
    ),
    "subgroup by images that coincide": (
        lambda: C4.subgroup((groups.cyclic(2), [0])), ValueError, "C2 to C4, but not injectively",
    ),
    "subgroup by too many images": (
        lambda: C4.subgroup((groups.cyclic(2), [2, 2])), ValueError, "expected 1 elements.*got 2",
    ),
    "subgroup generated by an irrational turn": (
        lambda: SO2.subgroup([1.0]), ValueError, "more than 5000 elements",
    ),
    "restriction to no subgroup": (
        lambda: RD.restrict(groups.dihedral(3)), ValueError, "divides 4 in D4, got order 3",
    ),
    "restriction to a larger group": (
        lambda: R4.restrict(D4), ValueError, "D4 is no subgroup of C4",
    ),
    "quotient by an unknown name": (
        lambda: D4.quotient("odd"), ValueError, "D4 has no subgroup named 'odd'",
    ),
    "subgroup by a number": (lambda: D4.subgroup(3.5), TypeError, "got 3.5"),
    # Representations.
    "matrices of the wrong shape": (
        lambda: Representation.from_matrices(C4, np.ones((4, 2, 3))), ValueError,
        r"\(4, n, n\).*\(4, 2, 3\)",
    ),
    "matrices of size zero": (
        lambda: Representation.from_matrices(C4, np.ones((4, 0, 0))), ValueError, "positive size",
    ),
    "matrices that are text": (
        lambda: Representation.from_matrices(C4, "abcd"), TypeError, "real square matrices.*abcd",
    ),
    "matrices that are complex": (
        lambda: Representation.from_matrices(C4, (1j ** np.arange(4)).reshape(4, 1, 1)), ValueError,
        "real square matrices.*got complex entries",
    ),
    "matrix that is singular": (
        lambda: Representation.from_matrices(
            groups.cyclic(2), np.stack([np.eye(2), np.diag([1.0, 0.0])])
        ),
        ValueError, "not a representation of C2",
    ),
    "callable whose sizes differ": (
        lambda: Representation.from_matrices(C4, lambda g: np.eye(1 + g.index)), ValueError,
        "matrices: expected real square matrices of one size, one per element of C4",
    ),
    "callable on a Lie group that is not square": (
        lambda: Representation.from_matrices(SO2, lambda g: np.ones((2, 3))), ValueError,
        r"at sampled elements, got \(24, 2, 3\)",
    ),
    "callable on a Lie group with NaN": (
        lambda: Representation.from_matrices(SO2, lambda g: np.full((1, 1), np.nan)), ValueError,
        "matrices: expected finite entries",
    ),
    "half a turn on a Lie group": (
        lambda: Representation.from_matrices(SO2, lambda g: half_turn(g.value)), ValueError,
        r"not a representation of SO\(2\), since .* by 2 at a = ",
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
    "no matrix for a generator": (
        lambda: Representation.from_generators(C4, []), ValueError,
        r"one per generator of C4 \(1\), got 0",
    ),
    "callable for generators": (
        lambda: Representation.from_generators(C4, lambda g: np.eye(2)), TypeError,
        "expected a list, one per generator.*got <function",
    ),
    "generator matrices of two sizes": (
        lambda: Representation.from_generators(D4, [np.eye(2), np.eye(3)]), ValueError,
        "matrices of one size, one per generator",
    ),
    "generators of a group without any": (
        lambda: Representation.from_generators(groups.cyclic(1), []), ValueError,
        "C1 has no generators.*from_matrices",
    ),
    "generators of text for a group": (
        lambda: Representation.from_generators("C4", [np.eye(2)]), TypeError,
        "group: expected a group, got 'C4'",
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
        "group: expected a group, got 'C4'",
    ),
    "sum of two groups": (lambda: R4 + RD, ValueError, "acted on by D4, but the sum by C4"),
    "no copy": (lambda: 0 * R4, ValueError, r"got 0; .* direct_sum.* leaves out what is empty"),
    "negative copies": (lambda: R4 * -2, ValueError, "positive number of copies, got -2"),
    "empty direct sum": (lambda: evx.direct_sum([]), ValueError, r"no type of size 0"),
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
    "induction of a group": (
        lambda: evx.induced(C4, D4), TypeError, "rep: expected a Representation, got C4",
    ),
    "induction with infinite index": (
        lambda: SO2.induced(2, groups.cyclic(2).irrep(1)), ValueError, "infinite index",
    ),
    "endomorphisms of a sum": (
        lambda: (2 * PLANE).endomorphism_basis, ValueError, "defined for irreps, but .* is a sum",
    ),
    "character of another group's element": (
        lambda: R4.character(D4.identity), ValueError, "element of C4, got one of D4",
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
    "coefficients of one irrep too many": (
        lambda: BASIS.synthesize({**COEFFS, "irrep(3)": jnp.ones((1, 1, 1))}), ValueError,
        r"one array per irrep.*'irrep\(3\)'\]",
    ),
    "coefficients of integers": (
        lambda: BASIS.synthesize({n: jnp.ones(a.shape, int) for n, a in COEFFS.items()}), TypeError,
        "floating numbers for irrep 'trivial', got dtype int32",
    ),
    "coefficients whose leading axes differ": (
        lambda: BASIS.synthesize({
            n: jnp.ones((2 + i, *a.shape)) for i, (n, a) in enumerate(COEFFS.items())
        }),
        ValueError, r"leading axes that broadcast, got \(2,\), \(3,\), \(4,\)",
    ),
    "transposing no coefficients": (
        lambda: BASIS.transpose({}), ValueError, r"one array per irrep.*got \[\]",
    ),
    "coefficients of a vector": (
        lambda: BASIS.coefficients(jnp.ones(4)), ValueError, r"\(\.\.\., 4, 4\), got \(4,\)",
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
    "scheme as a list": (
        lambda: BASIS.init(KEY, ["zeros"]), ValueError, r"scheme: expected.*got \['zeros'\]",
    ),
    "scheme that returns another shape": (
        lambda: BASIS.init(KEY, lambda key, shape, dtype, fan_in, fan_out: jnp.ones(3)), ValueError,
        r"returns \(1, 1, 1\) for irrep 'trivial', got \(3,\)",
    ),
    "no taps": (
        lambda: BASIS.init(KEY, taps=0), ValueError, "taps: expected an integer >= 1, got 0",
    ),
    "coefficients in an integer dtype": (
        lambda: BASIS.init(KEY, dtype=jnp.int32), ValueError, "dtype: expected a floating.*int32",
    ),
    # Linear algebra.
    "norms of the wrong size": (
        lambda: linalg.irrep_norms(jnp.ones(3), R4), ValueError, r"\(\.\.\., 4\), got \(3,\)",
    ),
    "norms of integers": (
        lambda: linalg.irrep_norms(jnp.ones(4, int), R4), TypeError,
        "x: expected floating numbers, got dtype int32",
    ),
    "norms with negative eps": (
        lambda: linalg.irrep_norms(jnp.ones(4), R4, eps=-1.0), ValueError,
        "eps: expected a finite number >= 0, got -1.0",
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
    "layer without a key": (
        lambda: nn.Linear(R4, R4), TypeError, "missing 1 required keyword-only argument: 'key'",
    ),
    "layer into a group": (
        lambda: nn.Linear(R4, C4, key=KEY), TypeError, "Linear: out_type: .* got FiniteGroup",
    ),
    "layer in an integer dtype": (
        lambda: nn.Linear(R4, R4, dtype=jnp.int32, key=KEY), ValueError, "dtype: expected.*int32",
    ),
    "weight of the wrong shape": (
        lambda: LINEAR.with_weight(jnp.ones((5, 4))), ValueError, r"matrix: .*got \(5, 4\)",
    ),
    "layer of sizes": (
        lambda: nn.Linear(4, 4, key=KEY), TypeError, "Linear: in_type: expected a Repr.*got int",
    ),
    "layer in an unknown mode": (
        lambda: nn.Linear(R4, R4, mode="fast", key=KEY), ValueError, "Linear: mode.*'fast'",
    ),
    "layer of an unknown scheme": (
        lambda: nn.Linear(R4, R4, init="ones", key=KEY), ValueError,
        "init: expected one of xavier.*'ones'",
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
    "input of complex numbers": (
        lambda: LINEAR(jnp.ones(4, jnp.complex64)), TypeError, "expected floating.*complex64",
    ),
    "input as a list": (lambda: LINEAR([1.0] * 4), TypeError, "expected an array, got list"),
    "bias for a layer without one": (
        lambda: nn.Linear(R4, C4.irrep(1), key=KEY).with_bias(jnp.ones(2)), ValueError,
        "with_bias: the layer has no bias",
    ),
    "bias for a layer that wants none": (
        lambda: nn.Linear(R4, R4, use_bias=False, key=KEY).with_bias(jnp.ones(4)), ValueError,
        "use_bias is False",
    ),
    "bias of integers": (
        lambda: LINEAR.with_bias(jnp.ones(4, int)), TypeError, "vector: expected floating.*int32",
    ),
    "input of one channel for a bias": (
        lambda: nn.InvariantBias(R4)(jnp.ones((4, 1))), ValueError,
        r"InvariantBias: expected \(\.\.\., 4\).*got \(4, 1\)",
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
    "bias for a learnable affine": (
        lambda: nn.Affine(R4)(jnp.ones(4), bias=jnp.ones(1)), ValueError,
        "scale and bias are parameters",
    ),
    "outside bias of the wrong size": (
        lambda: nn.Affine(R4, learnable=False)(jnp.ones(4), scale=jnp.ones(3), bias=jnp.ones(2)),
        ValueError, r"Affine: bias: expected \(\.\.\., 1\), got \(2,\)",
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
    "constraint on integers": (
        lambda: nn.CommutingConstraint(R4, R4)(jnp.ones((4, 4), int)), TypeError,
        "matrix: expected a floating dtype, got int32",
    ),
    "invariant constraint on integers": (
        lambda: nn.InvariantConstraint(PLANE)(jnp.ones(2, int)), TypeError,
        "InvariantConstraint: vector: expected floating numbers, got dtype int32",
    ),
    "constraint to a size": (
        lambda: nn.CommutingConstraint(R4, 4), TypeError, "CommutingConstraint: out_rep: .*got int",
    ),
    "constraint between two groups": (
        lambda: nn.CommutingConstraint(RD, R4), ValueError, "acts by D4 but out_rep acts by C4",
    ),
    "imposing on another size": (
        lambda: nn.impose_equivariance(eqx.nn.Linear(4, 3, key=KEY), R4, R4), ValueError,
        r"weight \(4, 4\).*got \(3, 4\)",
    ),
    "imposing another group": (
        lambda: nn.impose_equivariance(eqx.nn.Linear(4, 8, key=KEY), R4, RD), ValueError,
        "impose_equivariance: in_rep acts by C4 but out_rep acts by D4",
    ),
    "imposing on a matrix": (
        lambda: nn.impose_equivariance(jnp.ones((4, 4)), R4, R4), TypeError,
        "expected an equinox.nn.Linear, got Array",
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
    "odd function on a turning plane": (
        lambda: nn.PointwiseNonlinearity(C3.irrep(1), jnp.tanh, odd=True), ValueError,
        "not permuted by C3.*use NormNonlinearity or GatedNonlinearity",
    ),
    "exponential unit on signs": (
        lambda: nn.ELU(PLANE), ValueError,
        r"ELU: in_type: field 0 \(irrep\(1,1\)\) is not permuted by D4",
    ),
    "nonlinearity by class": (
        lambda: nn.PointwiseNonlinearity(R4, eqx.nn.PReLU), TypeError, "callable.*PReLU",
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
        lambda: nn.NormNonlinearity(R4, initial_bias=-1.0), ValueError,
        "finite number above 0, got -1",
    ),
    "initial bias zero": (
        lambda: nn.NormNonlinearity(R4, initial_bias=0.0), ValueError,
        "finite number above 0, got 0.0",
    ),
    "initial bias infinite": (
        lambda: nn.NormNonlinearity(R4, initial_bias=float("inf")), ValueError,
        "finite number above 0, got inf",
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
    "gate marks that are unknown": (
        lambda: nn.GatedNonlinearity(C4.trivial + R4, ["gate", "open"]), ValueError,
        r"'gate' or 'gated'.*got \['gate', 'open'\]",
    ),
    "gates by name": (
        lambda: nn.GatedNonlinearity(C4.trivial + R4, function="sigmoid"), TypeError,
        "GatedNonlinearity: function: expected a callable.*'sigmoid'",
    ),
    "dropout above one": (lambda: nn.FieldDropout(R4, 1.5), ValueError, r"\[0, 1\], got 1.5"),
    "dropout below zero": (lambda: nn.FieldDropout(R4, -0.1), ValueError, r"\[0, 1\], got -0.1"),
    "dropout of NaN": (
        lambda: nn.FieldDropout(R4, float("nan")), ValueError, r"p: expected .*\[0, 1\], got nan",
    ),
    "dropout without a key": (
        lambda: nn.FieldDropout(R4)(jnp.ones(4)), ValueError, "key: needed in training",
    ),
    "norm pool of an unknown kind": (
        lambda: nn.IrrepNormPool(R4, trivial="sign"), ValueError, "'norm' or 'value', got 'sign'",
    ),
    "norm pool with negative eps": (
        lambda: nn.IrrepNormPool(R4, eps=-1.0), ValueError, "eps: expected a finite number >= 0",
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
    "sequence of a list": (
        lambda: nn.Sequential([LINEAR]), TypeError, r"got a list; write Sequential\(\*layers\)",
    ),
    "sequence with dropout and no key": (
        lambda: nn.Sequential(LINEAR, nn.FieldDropout(R4))(jnp.ones(4)), ValueError,
        "FieldDropout: key: needed in training",
    ),
    "shape of the wrong size": (
        lambda: LINEAR.evaluate_output_shape((5,)), ValueError, r"Linear: expected.*got \(5,\)",
    ),
    # Norms, running statistics, Gaussians.
    "norm of a size": (lambda: nn.RMSNorm(4), TypeError, "RMSNorm: in_type: expected.*got int"),
    "layer norm of a size": (lambda: nn.LayerNorm(4), TypeError, "LayerNorm: in_type:.*got int"),
    "layer norm with NaN": (
        lambda: nn.LayerNorm(R4, eps=float("nan")), ValueError, "LayerNorm: eps:.*got nan",
    ),
    "batch norm of a size": (
        lambda: nn.GNormBatchNorm(4), TypeError, "GNormBatchNorm: in_type:.*got int",
    ),
    "batch norm with negative eps": (
        lambda: nn.GNormBatchNorm(R4, eps=-1.0), ValueError, "GNormBatchNorm: eps:.*got -1.0",
    ),
    "batch norm with momentum above one": (
        lambda: nn.GNormBatchNorm(R4, momentum=1.5), ValueError, r"momentum:.*\(0, 1\]",
    ),
    "batch norm of no vector": (
        lambda: stateful(nn.GNormBatchNorm, R4)(jnp.ones((0, 4))), ValueError,
        "GNormBatchNorm: x: expected at least one example",
    ),
    "moments between two groups": (
        lambda: nn.RunningMoments(R4, RD), ValueError, "RunningMoments:.*C4 but.*D4",
    ),
    "moments of a size": (lambda: nn.RunningMoments(4), TypeError, "RunningMoments: in_type:.*int"),
    "moments of no sample": (
        lambda: stateful(nn.RunningMoments, R4)(jnp.ones((0, 4))), ValueError,
        "RunningMoments: x: expected at least one sample",
    ),
    "moments without y": (
        lambda: stateful(nn.RunningMoments, R4, 2 * R4)(jnp.ones((3, 4))), ValueError,
        "RunningMoments: y: expected an array of the output type, got None",
    ),
    "moments of unequal samples": (
        lambda: stateful(nn.RunningMoments, R4)(jnp.ones((3, 4)), y=jnp.ones((2, 4))), ValueError,
        r"RunningMoments: y: expected \(3, 4\), got \(2, 4\)",
    ),
    "moments of whole numbers": (
        lambda: stateful(nn.RunningMoments, R4)(jnp.ones((3, 4)), y=jnp.ones((3, 4), int)),
        TypeError, "RunningMoments: y: expected floating numbers, got dtype int32",
    ),
    "sequence without its state": (
        lambda: nn.Sequential(nn.GNormBatchNorm(R4))(jnp.ones((2, 4))), ValueError,
        "Sequential: state: needed, since a layer inside has running statistics.*make_with_state",
    ),
    "sequence with a state that is none": (
        lambda: nn.Sequential(LINEAR)(jnp.ones(4), 3), TypeError,
        "Sequential: state: expected an equinox.nn.State or None, got int",
    ),
    "export without the state": (
        lambda: evx.export([LINEAR, nn.GNormBatchNorm(R4)]), ValueError,
        r"export: state: needed, since a layer \(GNormBatchNorm\) has running statistics",
    ),
    "Gaussian of a size": (
        lambda: nn.EquivariantMultivariateNormal(4), TypeError,
        "EquivariantMultivariateNormal: out_type:.*got int",
    ),
    "Gaussian with a floor of NaN": (
        lambda: nn.EquivariantMultivariateNormal(R4, min_var=float("nan")), ValueError,
        "min_var: expected a finite number >= 0, got nan",
    ),
    "density of whole numbers": (
        lambda: NORMAL.fit(X20).log_prob(jnp.ones(4, int)), TypeError,
        "MultivariateNormal: y: expected floating numbers, got dtype int32",
    ),
    "divergence between two types": (
        lambda: NORMAL.fit(X20).kl(nn.EquivariantMultivariateNormal(2 * R4)(jnp.ones(14))),
        ValueError, "kl: expected a distribution on C4: regular, got one on C4: 2 x regular",
    ),
    "fit of one vector": (
        lambda: NORMAL.fit(jnp.ones(4)), ValueError, r"fit: y: expected \(N, 4\), got \(4,\)",
    ),
    "fit of whole numbers": (
        lambda: NORMAL.fit(jnp.ones((9, 4), int)), TypeError, "fit: y: expected floating numbers",
    ),
    "fit of equal samples": (
        lambda: NORMAL.fit(jnp.ones((9, 4))), ValueError, "9 samples give a singular covariance",
    ),
    "covariance of whole numbers": (
        lambda: NORMAL.dof_from_covariance(jnp.eye(4, dtype=int)), TypeError,
        "covariance: expected floating numbers, got dtype int32",
    ),
    "covariance that does not commute": (
        lambda: NORMAL.dof_from_covariance(jnp.diag(jnp.arange(1.0, 5.0))), ValueError,
        "commutes with C4, got one that misses it by 0.375",
    ),
    "covariance with NaN": (
        lambda: NORMAL.dof_from_covariance(jnp.nan * jnp.eye(4)), ValueError, "misses it by nan",
    ),
    "covariance that is not positive": (
        lambda: NORMAL.dof_from_covariance(-jnp.eye(4)), ValueError,
        "not positive definite on trivial",
    ),
    "covariance too general for one variance per copy": (
        lambda: nn.EquivariantMultivariateNormal(2 * C4.trivial).dof_from_covariance(
            jnp.array([[2.0, 1.0], [1.0, 2.0]])
        ),
        ValueError, "more general on trivial than covariance='diagonal' can hold; use 'full'",
    ),
    # Models and checks.
    "model of sizes": (
        lambda: models.MLP(4, R4, [8], key=KEY), TypeError, "MLP: in_type: expected.*got int",
    ),
    "model between two groups": (
        lambda: models.MLP(R4, RD, [8], key=KEY), ValueError, "acts by C4 but out_rep acts by D4",
    ),
    "hidden type of another group": (
        lambda: models.MLP(R4, R4, [RD], key=KEY), ValueError, "in_rep acts by C4.*out_rep.*D4",
    ),
    "no hidden layer": (lambda: models.MLP(R4, R4, [], key=KEY), ValueError, "non-empty sequence"),
    "hidden as a number": (lambda: models.MLP(R4, R4, 32, key=KEY), ValueError, "MLP: hidden.*32"),
    "hidden width zero": (
        lambda: models.MLP(R4, R4, [0], key=KEY), ValueError, "positive widths, got 0",
    ),
    "hidden width negative": (
        lambda: models.MLP(R4, R4, [8, -1], key=KEY), ValueError, "positive widths, got -1",
    ),
    "hidden width a fraction": (
        lambda: models.MLP(R4, R4, [8.5], key=KEY), TypeError,
        "MLP: hidden: expected whole widths or types, got 8.5",
    ),
    "hidden as a type": (
        lambda: models.MLP(R4, R4, R4, key=KEY), ValueError, "non-empty sequence.*C4: regular",
    ),
    "activation by name": (
        lambda: models.MLP(R4, R4, [8], activation="relu", key=KEY), TypeError,
        "activation: expected a callable.*'relu'",
    ),
    "activation that is not odd on signs": (
        lambda: models.MLP(RD, RD, [4 * PLANE], key=KEY), ValueError,
        r"needs f\(-x\) = -f\(x\).*NormNonlinearity or GatedNonlinearity",
    ),
    "model dropout above one": (
        lambda: models.MLP(R4, R4, [8], dropout=2.0, key=KEY), ValueError,
        r"dropout: expected .*\[0, 1\], got 2.0",
    ),
    "model of an unknown scheme": (
        lambda: models.MLP(R4, R4, [8], init="glorot", key=KEY), ValueError,
        "init: expected one of xavier.*'glorot'",
    ),
    "model input of the wrong size": (
        lambda: models.MLP(R4, R4, [8], key=KEY)(jnp.ones((2, 5))), ValueError,
        r"MLP: expected \(\.\.\., 4\) for in_type C4: regular, got \(2, 5\)",
    ),
    "widths for a Lie group": (
        lambda: models.MLP(SO2.irrep(1), SO2.irrep(1), [8], key=KEY), ValueError,
        r"SO\(2\) is infinite.*give hidden types",
    ),
    "activation that does not fit": (
        lambda: models.MLP(C3.regular, C3.regular, [4 * C3.irrep(1)], key=KEY), ValueError,
        r"field 0 \(irrep\(1\)\) is not permuted by C3.*use NormNonlinearity",
    ),
    "activation of another type": (
        lambda: models.MLP(R4, R4, [8], activation=nn.ReLU(R4), key=KEY), ValueError,
        "ReLU takes C4: regular, but the hidden type is C4: 2 x regular",
    ),
    "no output": (
        lambda: models.InvariantMLP(R4, 0, [8], key=KEY), ValueError,
        r"out_size: expected an integer in 1\.\.",
    ),
    "half an output": (
        lambda: models.InvariantMLP(R4, 2.5, [8], key=KEY), TypeError, "out_size.*got 2.5",
    ),
    "invariant model without hidden layers": (
        lambda: models.InvariantMLP(R4, 2, [], key=KEY), ValueError,
        "InvariantMLP: hidden: expected a non-empty sequence",
    ),
    "mean where nothing is invariant": (
        lambda: models.InvariantMLP(
            RD, 2, [PLANE], activation=nn.NormNonlinearity, pool="mean", key=KEY
        ),
        ValueError, "InvariantPool: in_type: .* has no trivial irrep",
    ),
    "pool of another type": (
        lambda: models.InvariantMLP(R4, 2, [8], pool=nn.IrrepNormPool(R4), key=KEY), ValueError,
        "layer from C4: 2 x regular to a trivial type, got IrrepNormPool from C4: regular",
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
    "check without an output type": (
        lambda: testing.equivariance_error(lambda x: x, R4, key=KEY), ValueError,
        "needed for a function without types",
    ),
    "check on no element": (
        lambda: testing.assert_equivariant(LINEAR, key=KEY, elements=[]), ValueError,
        "elements: expected elements of C4, at least one, got",
    ),
    "check on no input": (
        lambda: testing.equivariance_error(LINEAR, key=KEY, batch=0), ValueError,
        "batch: expected an integer >= 1, got 0",
    ),
    "check on another group's elements": (
        lambda: testing.equivariance_error(LINEAR, key=KEY, elements=D4.elements), ValueError,
        "element of C4, got one of D4",
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


def test_the_table_is_long_and_its_inputs_are_distinct():
    assert len(CASES) >= 60
    written = Path(__file__).read_text()
    assert all(written.count(f'\n    "{name}": (') == 1 for name in CASES)  # none overwritten
    codes = [call.__code__ for call, _, _ in CASES.values()]
    assert len({(c.co_code, c.co_names, repr_constants(c)) for c in codes}) == len(CASES)


def repr_constants(code: CodeType) -> tuple[str, ...]:
    """The constants of a function, those of functions inside it too, with their types."""
    return tuple(
        str((c.co_code, c.co_names, repr_constants(c))) if isinstance(c, CodeType) else repr(c)
        for c in code.co_consts
    )


def test_a_function_that_is_not_equivariant_is_named():
    def shifted(x):
        return x + jnp.arange(4.0)

    with pytest.raises(AssertionError, match="shifted is not equivariant: at"):
        testing.assert_equivariant(shifted, R4, R4, key=KEY)
