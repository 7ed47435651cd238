"""What nonlinearities on fields refuse, in one sentence with a way out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import FieldType, GeometricTensor, Representation, groups, nn, spaces
from vector_types import random_orthogonal

D4, C4, O2, SO2 = (
    spaces.flip_rot_on_r2(4), spaces.rot_on_r2(4), spaces.flip_rot_on_r2(-1), spaces.rot_on_r2(-1),
)  # fmt: skip
G = D4.group
ROTATIONS, HALF = G.subgroup((None, 4)), G.subgroup((0, 2))
TURNED = random_orthogonal(8, 0)
CLAIMED = Representation.from_matrices(G, TURNED @ G.regular.matrices @ TURNED.T, "claimed")
PAIR = (FieldType(D4, 2 * D4.trivial), FieldType(D4, [D4.irrep(1, 1), D4.regular]))
SIGMA = ROTATIONS.group.irrep(1)


def fields(*reps, space=D4):
    return FieldType(space, list(reps))


WRONG = {
    "relu on a plane": (
        lambda: nn.ReLU(fields(D4.regular, D4.irrep(1, 1))), ValueError,
        r"ReLU: in_type: field 1 \(irrep\(1,1\)\).*use .*NormNonlinearity or GatedNonlinearity",
    ),
    "relu on a claimed permutation": (
        lambda: nn.ReLU(fields(CLAIMED)), ValueError, r"field 0 \(claimed\) is not permuted by D4",
    ),
    "elu on a claimed permutation": (
        lambda: nn.ELU(fields(CLAIMED)), ValueError, r"ELU: .*field 0 \(claimed\)",
    ),
    "leaky relu on a claimed permutation": (
        lambda: nn.LeakyReLU(fields(CLAIMED)), ValueError, r"LeakyReLU: .*field 0 \(claimed\)",
    ),
    "tanh on a claimed permutation": (
        lambda: nn.PointwiseNonlinearity(fields(CLAIMED), jnp.tanh, odd=True), ValueError,
        r"field 0 \(claimed\) is not permuted",
    ),
    "concatenation of a claimed permutation": (
        lambda: nn.ConcatenatedNonlinearity(fields(D4.regular, CLAIMED)), ValueError,
        r"ConcatenatedNonlinearity: in_type: field 1 \(claimed\).*up to signs.*NormNonlinearity",
    ),
    "directions of a claimed permutation": (
        lambda: nn.VectorFieldNonlinearity(fields(CLAIMED)), ValueError,
        r"VectorFieldNonlinearity: in_type: field 0 \(claimed\).*NormNonlinearity",
    ),
    "induced norm of a claimed permutation": (
        lambda: nn.InducedNormNonlinearity(fields(CLAIMED)), ValueError,
        r"field 0 \(claimed\) is not known to be induced.*NormNonlinearity",
    ),
    "slope that is no number": (
        lambda: nn.LeakyReLU(fields(D4.regular), float("nan")), ValueError,
        "LeakyReLU: negative_slope: expected a finite number, got nan",
    ),
    "alpha that is infinite": (
        lambda: nn.ELU(fields(D4.regular), float("inf")), ValueError, "ELU: alpha: .*got inf",
    ),
    "name of a function": (
        lambda: nn.InducedNormNonlinearity(fields(D4.regular), "n_relu"), TypeError,
        "InducedNormNonlinearity: function: expected a callable such as jax.nn.relu.*n_relu",
    ),
    "squash with bias": (
        lambda: nn.NormNonlinearity(fields(D4.regular), nn.squash), ValueError, "use_bias=False",
    ),
    "squash with bias on subfields": (
        lambda: nn.InducedNormNonlinearity(fields(D4.regular), nn.squash), ValueError,
        "InducedNormNonlinearity: use_bias: squash.*use_bias=False",
    ),
    "bias that is not positive": (
        lambda: nn.InducedNormNonlinearity(fields(D4.regular), initial_bias=0.0), ValueError,
        "InducedNormNonlinearity: initial_bias: .*got 0.0",
    ),
    "induced norm of an irrep": (
        lambda: nn.InducedNormNonlinearity(fields(D4.trivial, D4.irrep(1, 1))), ValueError,
        r"in_type: field 1 \(irrep\(1,1\)\) is not known to be induced",
    ),
    "induced norm of a fused sum": (
        lambda: nn.InducedNormNonlinearity(fields((D4.quotient(HALF) + D4.regular).fused("sum"))),
        ValueError, r"field 0 \(sum\) permutes its channels in several orbits.*group.induced",
    ),
    "gates that are not invariant": (
        lambda: nn.GatedNonlinearity(fields(D4.trivial, D4.irrep(1, 0), D4.regular, D4.regular)),
        ValueError, r"gates: field 1 \(irrep\(1,0\)\) is a gate.*InducedGatedNonlinearity",
    ),
    "more gates than fields": (
        lambda: nn.GatedNonlinearity(fields(D4.trivial, D4.trivial, D4.regular)), ValueError,
        "as many gates as gated fields, got 1 gates and 2 gated fields",
    ),
    "mark that is none": (
        lambda: nn.GatedNonlinearity(fields(D4.trivial, D4.regular), ["gate", "shut"]), ValueError,
        "'gate' or 'gated'.*each of 2 fields",
    ),
    "marks as a text": (
        lambda: nn.GatedNonlinearity(fields(D4.trivial, D4.regular), "gate"), ValueError,
        "gates: expected a sequence",
    ),
    "number of no gate": (
        lambda: nn.GatedNonlinearity(fields(D4.trivial, D4.regular), ["gate", 1]), ValueError,
        r"one of 1 gates for field 1 \(regular\), got 1",
    ),
    "numbers for some fields only": (
        lambda: nn.GatedNonlinearity(
            fields(D4.trivial, D4.regular, D4.regular), ["gate", 0, "gated"]
        ), ValueError, r"number of a gate for field 2 \(regular\), as for field 1, got 'gated'",
    ),
    "gate that opens nothing": (
        lambda: nn.GatedNonlinearity(
            fields(D4.trivial, D4.trivial, D4.regular), ["gate", "gate", 1]
        ), ValueError, "gate 0 of 2 opens none",
    ),
    "three types": (
        lambda: nn.GatedNonlinearity((*PAIR, PAIR[0])), ValueError, "a pair .*got 3 types",
    ),
    "two spaces": (
        lambda: nn.GatedNonlinearity((PAIR[0], fields(C4.regular, C4.regular, space=C4))),
        ValueError, "two types on one space and group, got D4 on R2.* and C4 on R2",
    ),
    "two axes": (
        lambda: nn.GatedNonlinearity(
            (PAIR[0], FieldType(spaces.flip_rot_on_r2(4, axis=0.0), PAIR[1].representation))
        ), ValueError, "two types on one space",
    ),
    "one input of two": (
        lambda: nn.GatedNonlinearity(PAIR)(jnp.ones((10, 2, 2))), TypeError,
        "GatedNonlinearity: expected 2 inputs, one per type of in_type, got 1",
    ),
    "two inputs of one": (
        lambda: nn.ReLU(PAIR[0])(jnp.ones((2, 2, 2)), jnp.ones((2, 2, 2))), TypeError,
        "ReLU: expected 1 inputs",
    ),
    "two images of different sizes": (
        lambda: nn.GatedNonlinearity(PAIR)(jnp.ones((2, 3, 3)), jnp.ones((10, 4, 4))), ValueError,
        r"equal spatial shapes, got \(2, 3, 3\) and \(10, 4, 4\)",
    ),
    "inputs the wrong way round": (
        lambda: nn.GatedNonlinearity(PAIR)(jnp.ones((10, 3, 3)), jnp.ones((2, 3, 3))), ValueError,
        r"expected \(\.\.\., 2, _, _\) for in_type D4 on R2.*got \(10, 3, 3\)",
    ),
    "tensor of another type": (
        lambda: nn.GatedNonlinearity(PAIR)(
            GeometricTensor(jnp.ones((2, 3, 3)), PAIR[0]),
            GeometricTensor(jnp.ones((2, 3, 3)), PAIR[0]),
        ), ValueError, "x: expected fields of type D4 on R2.*irrep",
    ),
    "gates within a field that has none": (
        lambda: nn.GatedNonlinearity.within_fields(fields(D4.trivial + D4.regular)), ValueError,
        r"within_fields: in_type: field 0 \(trivial\) is not a sum of k trivial irreps",
    ),
    "gates within a turned field": (
        lambda: nn.GatedNonlinearity.within_fields(fields((D4.trivial + CLAIMED).fused("sum"))),
        ValueError, r"within_fields: in_type: field 0 \(sum\).*gates as fields of their own",
    ),
    "induced gates of equal index": (
        lambda: nn.InducedGatedNonlinearity(
            fields(D4.quotient(ROTATIONS), D4.induced(HALF, HALF.group.irrep(0, 1)))
        ), ValueError,
        r"field 1 .* is induced from .*but its gate, field 0 .*same subgroup, as group.quotient",
    ),
    "induced gates the other way round": (
        lambda: nn.InducedGatedNonlinearity(
            fields(D4.quotient(HALF), D4.induced(ROTATIONS, SIGMA))
        ),
        ValueError, "a gate needs the same subgroup",
    ),
    "induced gates that are no quotient": (
        lambda: nn.InducedGatedNonlinearity(2 * fields(D4.induced(ROTATIONS, SIGMA))), ValueError,
        r"gates: field 0 .*is a gate but does not permute the cosets.*group.quotient",
    ),
    "induced gates on an irrep": (
        lambda: nn.InducedGatedNonlinearity(fields(D4.trivial, D4.irrep(1, 1))), ValueError,
        r"field 1 \(irrep\(1,1\)\) is not known to be induced",
    ),
    "concatenation on a circle": (
        lambda: nn.ConcatenatedNonlinearity(fields(SO2.irrep(13), space=SO2)), ValueError,
        r"field 0 \(irrep\(13\)\) is not permuted up to signs by SO\(2\)",
    ),
    "directions of the trivial group": (
        lambda: nn.VectorFieldNonlinearity(groups.cyclic(1).regular), ValueError, "N >= 2",
    ),
    "directions of a dihedral regular field": (
        lambda: nn.VectorFieldNonlinearity(fields(D4.regular)), ValueError,
        r"field 0 \(regular\) has no direction per channel.*D4 acts.*nn.Restriction",
    ),
    "directions of half turns": (
        lambda: nn.VectorFieldNonlinearity(fields(D4.quotient((None, 2)))), ValueError,
        "quotient fields of D_N by a mirror",
    ),
    "temperature of zero": (
        lambda: nn.VectorFieldNonlinearity(fields(C4.regular, space=C4), temperature=0.0),
        ValueError, "temperature: expected a finite number above 0, got 0.0",
    ),
    "integers": (
        lambda: nn.ReLU(PAIR[0])(jnp.ones((2, 3, 3), int)), TypeError, "expected floating numbers",
    ),
}  # fmt: skip


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize("name", WRONG)
def test_refusals_name_the_field_and_a_way_out(name):
    call, error, text = WRONG[name]
    with pytest.raises(error, match=text):
        call()


def test_equal_index_would_break_equivariance():
    """The peers check the number of cosets only (their error: 0.70); so the refusal matters."""
    gate, field = D4.quotient(ROTATIONS), D4.induced(HALF, HALF.group.irrep(0, 1))
    assert gate.size == field.size == 2
    s, v = np.array([3.0, -3.0]), np.array([1.0, 0.5])
    y = v / (1 + np.exp(-s))
    errors = [
        np.abs((field(g) @ v) / (1 + np.exp(-(gate(g) @ s))) - field(g) @ y).max()
        for g in G.elements
    ]
    assert max(errors) > 0.1


def test_squash_keeps_small_subfields_small():
    """The peers evaluate t / (1 + t) near -1: an input of 0.05 per channel came out as -9.29."""
    type_ = fields(D4.induced(ROTATIONS, SIGMA))
    y = nn.InducedNormNonlinearity(type_, nn.squash, use_bias=False)(jnp.full((4, 1, 1), 0.05))
    np.testing.assert_allclose(y, 0.05 / (1 + 0.05 * np.sqrt(2)), rtol=1e-5)


def test_valid_cases_that_tags_refuse():
    """Claims by hand left out irrep 1 of C_4, the sign of O(2) and the trivial field of SO(2)."""
    made = nn.ConcatenatedNonlinearity(fields(C4.irrep(1), space=C4))
    assert made.out_type == fields(C4.regular, space=C4)
    assert made.out_type == nn.ConcatenatedNonlinearity(fields(C4.irrep(1), space=C4)).out_type
    nn.ReLU(made.out_type)
    nn.VectorFieldNonlinearity(made.out_type)
    sign = nn.ConcatenatedNonlinearity(fields(O2.irrep(1, 0), space=O2))
    assert sign.out_type == fields(O2.quotient("so2"), space=O2)
    nn.ConcatenatedNonlinearity(fields(SO2.trivial, space=SO2))
    nn.PointwiseNonlinearity(fields(D4.irrep(1, 0)), jnp.tanh, odd=True)
    nn.ReLU(fields((D4.regular + D4.quotient(HALF)).fused()))


def test_relu_of_norms_without_bias_is_the_identity(key):
    type_ = fields(D4.irrep(1, 1), D4.regular)
    x = jax.random.normal(key, (type_.size, 3, 3))
    np.testing.assert_allclose(nn.NormNonlinearity(type_, use_bias=False)(x), x, rtol=1e-5)


def test_two_fields_of_c2_become_two_signs():
    """The peers declare one channel per field of C_2 and write two."""
    mirror = groups.cyclic(2)
    layer = nn.VectorFieldNonlinearity(2 * mirror.regular)
    assert layer.out_type == 2 * mirror.irrep(1)
    np.testing.assert_allclose(layer(jnp.asarray([3.0, 1.0, 1.0, 2.0])), [3.0, -2.0])


def test_hard_directions_choose_the_first_of_equal_ones_and_soft_ones_do_not():
    x = jnp.ones(4)
    hard = nn.VectorFieldNonlinearity(C4.group.regular)
    soft = nn.VectorFieldNonlinearity(C4.group.regular, soft=True)
    np.testing.assert_allclose(hard(x), [1.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(soft(x), [0.0, 0.0], atol=1e-6)
    cold = nn.VectorFieldNonlinearity(C4.group.regular, soft=True, temperature=1e-3)
    x = jnp.asarray([1.0, 3.0, 2.0, -1.0])
    np.testing.assert_allclose(cold(x), hard(x), atol=1e-5)
    np.testing.assert_allclose(jax.grad(lambda v: hard(v)[1])(x), [0.0, 1.0, 0.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(hard(-jnp.abs(x)), [0.0, 0.0])


def test_directions_of_two_mirrors_of_a_rectangle():
    K = groups.dihedral(2)
    for turn in (0, 1):
        layer = nn.VectorFieldNonlinearity(K.quotient((turn, 1)))
        assert layer.out_type.size == 1
        x = np.array([1.0, 3.0])
        for g in K.elements:
            moved = layer(jnp.asarray(layer.in_type(g) @ x, jnp.float32))
            expected = layer.out_type(g) @ np.asarray(layer(jnp.asarray(x, jnp.float32)))
            np.testing.assert_allclose(moved, expected, atol=1e-6)
