"""The check that users run, on fields with points, running statistics and restrictions."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

import equivax as evx
from equivax import nn, testing

SPACE = evx.spaces.flip_rot_on_r2(4)
FIELDS = evx.FieldType(SPACE, SPACE.regular + SPACE.trivial)
ROTATIONS = nn.Restriction(FIELDS, (None, 4))
KEY = jax.random.key(3)


def swirl(x: jax.Array) -> jax.Array:
    """The derivative along x of a scalar, as a scalar: right for no element but the identity."""
    return x - jnp.roll(x, 1, axis=-1)


def test_points_move_with_the_fibres():
    conv = nn.Conv(FIELDS, FIELDS, 3, padding=1, key=KEY)
    rows = testing.equivariance_error(conv, key=KEY, spatial=(4, 5))  # turns make it (5, 4)
    assert [row.element for row in rows] == list(SPACE.exact_elements)
    assert 0 < max(row.relative for row in rows) < 1e-5
    scalar = evx.FieldType(SPACE, SPACE.trivial)
    with pytest.raises(AssertionError, match="swirl is not equivariant"):
        testing.assert_equivariant(swirl, scalar, scalar, key=KEY, spatial=(5, 5))


def test_the_default_grid_survives_five_halvings():
    pool = nn.PointwiseAvgPool(FIELDS, 3, 2, 1, grid_check="raise")
    testing.assert_equivariant(nn.Sequential(*[pool] * 5), key=KEY)


def test_behind_a_restriction_the_subgroup_acts():
    mirrored = evx.FieldType(SPACE, SPACE.irrep(1, 0))
    restriction = nn.Restriction(mirrored, (None, 4))
    # Scalars for the rotations that are none for the mirrors.
    scalars = nn.PointwiseNonlinearity(restriction.out_type, jnp.exp)
    network = nn.Sequential(restriction, scalars)
    rows = testing.equivariance_error(network, key=KEY, spatial=(5, 5))
    assert [row.element for row in rows] == list(restriction.out_type.group.elements)
    assert max(row.relative for row in rows) < 1e-6
    with pytest.raises(AssertionError, match="not equivariant"):
        testing.assert_equivariant(jnp.exp, mirrored, mirrored, key=KEY, spatial=(5, 5))


def test_running_statistics_are_passed_on():
    def build() -> nn.Sequential:
        return nn.Sequential(ROTATIONS, nn.GNormBatchNorm(ROTATIONS.out_type))

    model, state = eqx.nn.make_with_state(build)()
    for _ in range(2):  # the state can be used again
        testing.assert_equivariant(model, key=KEY, state=state, spatial=(5, 5))


@pytest.mark.usefixtures("unchecked_annotations")
def test_what_cannot_be_measured_is_refused():
    circle = evx.spaces.rot_on_r2(-1)
    norm = nn.NormNonlinearity(evx.FieldType(circle, circle.vector))
    between = [circle.group.element(0.3)]
    with pytest.raises(ValueError, match=r"map the grid to itself.*SO\(2\)\[0.3\].*error_by_angle"):
        testing.equivariance_error(norm, key=KEY, elements=between, spatial=(5, 5))
    with pytest.raises(ValueError, match=r"spatial: expected 2 numbers for .*, got \(5,\)"):
        testing.equivariance_error(norm, key=KEY, spatial=(5,))
