"""Pooling from cosets to larger cosets: the definition, towers, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import FieldType, groups, nn, spaces, testing
from laws import normal

C8, D4, D6, O2 = groups.cyclic(8), groups.dihedral(4), groups.dihedral(6), groups.o2()
PLANE = spaces.flip_rot_on_r2(4)
KEY = jax.random.key(0)
MIRROR, KLEIN = D4.subgroup((0, 1)), D4.subgroup((0, 2))
ROTATIONS = D4.subgroup("rotations")


@pytest.mark.parametrize("spec", [(0, 1), (1, 1), (0, 2), "rotations", (None, 2)])
@pytest.mark.parametrize("reduce", [jnp.max, jnp.mean])
def test_regular_fields_by_the_definition(spec, reduce):
    inner = D4.subgroup(spec)
    layer = nn.SubgroupPooling(2 * D4.regular, inner, reduce)
    assert layer.out_type == 2 * D4.quotient(inner)
    x = normal(3, 16)
    labels = np.asarray(inner.coset_labels)
    first = np.unique(labels)
    expected = [
        reduce(x[:, 8 * n + np.flatnonzero(labels == start)], axis=-1)
        for n in range(2)
        for start in first
    ]
    np.testing.assert_allclose(layer(x), jnp.stack(expected, axis=-1), atol=1e-6)


def test_a_tower_is_one_step():
    """From D4 over the mirror and the Klein group to a point; maxima compose."""
    x = normal(2, 24, 3, 3)
    type_ = FieldType(PLANE, 3 * D4.regular)
    steps = [MIRROR, KLEIN, "all"]
    y, current = x, type_
    for step in steps:
        layer = nn.SubgroupPooling(current, step)
        testing.assert_equivariant(nn.SubgroupPooling(current.representation, step), key=KEY)
        y, current = layer(y), layer.out_type
        np.testing.assert_allclose(y, nn.SubgroupPooling(type_, step)(x))
    assert current == nn.GroupPooling(type_).out_type
    np.testing.assert_allclose(y, nn.GroupPooling(type_)(x))


def test_the_same_subgroup_changes_nothing():
    type_ = 2 * D4.quotient(MIRROR)
    layer = nn.SubgroupPooling(type_, MIRROR)
    assert layer.out_type == type_
    x = normal(5, 8)
    np.testing.assert_allclose(layer(x), x)
    assert nn.SubgroupPooling(D4.regular, "trivial").out_type == D4.regular


def test_mixed_fields_and_exports():
    type_ = FieldType(
        PLANE, [D4.regular, D4.quotient(ROTATIONS), D4.trivial, D4.regular, D4.quotient((None, 2))]
    )
    layer = nn.SubgroupPooling(
        FieldType(PLANE, [r for r in type_.reps if r != D4.trivial]), ROTATIONS, jax.nn.logsumexp
    )
    assert layer.out_type == FieldType(PLANE, 4 * D4.quotient(ROTATIONS))
    x = normal(2, layer.in_type.size, 3, 3)
    np.testing.assert_allclose(jax.vmap(layer.export())(x), layer(x), atol=1e-6)


def test_a_lie_group_with_two_components():
    layer = nn.SubgroupPooling(2 * O2.quotient("so2"), "all")
    assert layer.out_type == 2 * O2.trivial
    testing.assert_equivariant(layer, key=KEY)
    same = nn.SubgroupPooling(2 * O2.quotient("so2"), "so2")
    np.testing.assert_allclose(same(normal(4)), normal(4))


@pytest.mark.parametrize("value", [0.0, 1.0, -1e6])
def test_gradients_are_finite_at_ties(value):
    layer = nn.SubgroupPooling(2 * D4.regular, ROTATIONS)
    found = jax.grad(lambda v: layer(v).sum())(jnp.full(16, value))
    np.testing.assert_allclose(found, np.full(16, 0.25))


REFUSED = {
    "an irrep": (
        lambda: nn.SubgroupPooling(D4.irrep(1, 1), MIRROR), ValueError,
        r"SubgroupPooling: in_type: field 0 \(irrep\(1,1\)\) is not permuted by D4 in one orbit",
    ),
    "two orbits": (
        lambda: nn.SubgroupPooling(
            D4.regular + (D4.regular + D4.trivial).fused("sum"), MIRROR
        ), ValueError,
        r"field 1 \(sum\).*nn.Disentangle\(by='permutation'\)",
    ),
    "a subgroup that is too small": (
        lambda: nn.SubgroupPooling(D4.quotient(ROTATIONS), (None, 2)), ValueError,
        r"subgroup: field 0 \(quotient\(C4\)\) is on the cosets of C4 < D4, which C2 < D4 does not",
    ),
    "another mirror": (
        lambda: nn.SubgroupPooling(D4.quotient(MIRROR), (1, 1)), ValueError, "does not contain",
    ),
    "an unknown subgroup": (
        lambda: nn.SubgroupPooling(C8.regular, 3), ValueError, "SubgroupPooling: subgroup",
    ),
    "infinitely many cosets": (
        lambda: nn.SubgroupPooling(2 * O2.trivial, (None, 4)), ValueError, "infinite index",
    ),
    "a subgroup of another group": (
        lambda: nn.SubgroupPooling(C8.regular, MIRROR), ValueError,
        "expected a subgroup of C8, got one of D4",
    ),
    "a name for a function": (
        lambda: nn.SubgroupPooling(D4.regular, MIRROR, "max"), TypeError,
        "SubgroupPooling: reduce: expected a callable such as jnp.max, got 'max'",
    ),
    "a reduction that depends on the order": (
        lambda: nn.SubgroupPooling(D4.regular, MIRROR, lambda x, axis: jnp.take(x, 0, axis=axis)),
        ValueError, "SubgroupPooling: reduce: expected a function that reduces one axis",
    ),
    "no type": (lambda: nn.SubgroupPooling(7, MIRROR), TypeError, "SubgroupPooling: in_type"),
}  # fmt: skip


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    call, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message):
        call()
