"""What used to be said wrongly, or not at all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import FieldType, groups, linalg, models, nn, spaces, stats, testing
from equivax.representations import band_limited

C4, SO3 = groups.cyclic(4), groups.so3()
TURN = np.array([[np.cos(np.pi / 5), -np.sin(np.pi / 5)], [np.sin(np.pi / 5), np.cos(np.pi / 5)]])


@pytest.mark.parametrize(
    "first, second, message",
    [
        ([np.diag([1.0, -1.0])], [np.array([[0.0, -1.0], [1.0, 0.0]])], "order 2.*order 4"),
        ([np.diag([1.0, -1.0])], [np.diag([-1.0, 1.0])], r"generator \[\[1.0.*generator \[\[-1.0"),
    ],
)
def test_groups_of_one_name_are_told_apart(first, second, message, key):
    one, other = (groups.from_generators(g, name="robot") for g in (first, second))
    with pytest.raises(ValueError, match=message):
        nn.Linear(one.regular, other.regular, key=key)


def test_generators_with_rounding_noise_make_the_same_group():
    noise = 1e-10 * np.random.default_rng(0).normal(size=(2, 2))
    exact = groups.from_generators([TURN], name="tenths")
    assert groups.from_generators([TURN + noise], name="tenths") is exact
    assert groups.from_generators([TURN @ TURN], name="tenths") is not exact
    assert groups.from_generators([TURN], name="others") is not exact


def test_generators_in_another_basis_make_another_group():
    shear = np.array([[1.0, 0.5], [0.0, 1.0]])
    sheared = groups.from_generators([shear @ TURN @ np.linalg.inv(shear)], name="sheared")
    assert groups.from_generators([TURN], name="sheared") is not sheared


def test_errors_list_the_elements_that_were_not_checked(key):
    space = spaces.rot_on_r2(8)
    layer = nn.Conv(*[FieldType(space, space.regular)] * 2, 3, padding=1, key=key)
    rows = testing.equivariance_error(layer, key=key, spatial=(5, 5), batch=1)
    assert [g.value for g in rows.unchecked] == [1, 3, 5, 7]
    assert "without 4 elements" in repr(rows)
    vectors = nn.Linear(C4.regular, C4.regular, key=key)
    assert testing.equivariance_error(vectors, key=key).unchecked == ()


@pytest.mark.parametrize("function", [stats.mean, stats.spectral_var, stats.var_mean])
def test_times_of_a_line_are_samples(function):
    line = spaces.on_r1(C4)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4, 7)), jnp.float32)
    flat = jnp.swapaxes(x, 1, 2).reshape(35, 4)
    found, expected = function(x, FieldType(line, line.regular)), function(flat, C4.regular)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found, expected)
    both = stats.cov(x, x, *[FieldType(line, line.regular)] * 2)
    np.testing.assert_allclose(both, stats.cov(flat, flat, *[C4.regular] * 2), atol=1e-5)


def test_schemes_of_linear_on_a_line(key):
    line = spaces.on_r1(C4)
    two, many = (FieldType(line, n * line.regular) for n in (2, 64))
    one = nn.Conv(two, two, 3, init="identity", padding=1, use_bias=False, key=key)
    x = jax.random.normal(key, (8, 6))
    np.testing.assert_allclose(one(x), x, atol=1e-6)
    kernel = nn.Conv(many, many, 5, init="he_normal", key=key).kernel
    # Independent numbers: fewer than the entries of the kernel by the order of the group.
    expected = 2 / (256 * 5)
    assert (kernel**2).mean() == pytest.approx(expected, rel=4 * np.sqrt(2 * 4 / kernel.size))


def test_an_isotypic_projector_takes_irreps():
    expected = linalg.isotypic_projector(C4.regular, (1,))
    for irrep in (1, C4.irrep(1), C4.irrep_data((1,))):
        np.testing.assert_array_equal(linalg.isotypic_projector(C4.regular, irrep), expected)
    with pytest.raises(ValueError, match="expected a single irrep"):
        linalg.isotypic_projector(C4.regular, C4.regular)
    with pytest.raises(ValueError, match="expected an irrep of C4, got one of C5"):
        linalg.isotypic_projector(C4.regular, groups.cyclic(5).irrep(1))


@pytest.mark.parametrize("group", [groups.so2(), groups.o2(), SO3, groups.o3()], ids=str)
@pytest.mark.parametrize("frequency", [10**9, 10**4])
def test_more_than_fits_is_refused_at_once(group, frequency):
    with pytest.raises(ValueError, match="expected at most"):
        band_limited(group, frequency)


def test_gates_without_scalars_in_the_input_are_no_reason_to_warn(recwarn):
    hidden = 3 * SO3.irrep(1)
    gated = {"activation": nn.GatedNonlinearity, "key": jax.random.key(0)}
    models.MLP(2 * SO3.irrep(1), SO3.irrep(1), [hidden], **gated)
    assert not recwarn.list
    models.MLP(2 * SO3.irrep(1), SO3.irrep(1), [hidden + 2 * SO3.irrep(3)], **gated)
    assert "irrep(3)" in str(recwarn.pop(nn.UnusedIrrepsWarning).message)


def test_init_exports_schemes_alone():
    names = {name for name in dir(nn.init) if not name.startswith("_")}
    names -= {"jaxtyping"}  # the hook that checks annotations in tests puts it there
    assert names == {
        "Coefficients", "SCHEMES", "Scheme", "delta_orthonormal", "generalized_he", "zeros",
    }  # fmt: skip
