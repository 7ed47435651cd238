"""Real solid harmonics: formulas, orthogonality, how rotations mix them, NumPy and JAX alike."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import groups, spaces
from equivax.kernels import solid_harmonics
from equivax.kernels._solid_harmonics import harmonic_polynomials
from equivax.kernels.recipes._angular import harmonic_representation

DEGREES = range(8)


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).standard_normal((40, 3))


def test_low_degrees_as_every_table_has_them(points):
    x, y, z = points.T
    root = np.sqrt(3.0)
    expected = [
        [np.ones_like(x)],
        [y, z, x],
        [root * x * y, root * y * z, z**2 - (x**2 + y**2) / 2, root * x * z,
         root / 2 * (x**2 - y**2)],
    ]  # fmt: skip
    for degree, functions in enumerate(expected):
        found = solid_harmonics(points, degree)
        np.testing.assert_allclose(found, np.stack(functions, -1), atol=1e-14)
    plane = solid_harmonics(points[:, :2], 3)
    np.testing.assert_allclose(plane[:, 0] + 1j * plane[:, 1], (x + 1j * y) ** 3, atol=1e-13)
    np.testing.assert_array_equal(solid_harmonics(points[:, :1], 1), points[:, :1])
    assert solid_harmonics(points[:, :1], 2).shape == (40, 0)


@pytest.mark.parametrize("dim", [2, 3])
def test_the_squares_sum_to_a_power_of_the_radius(points, dim):
    for degree in DEGREES:
        found = solid_harmonics(points[:, :dim], degree)
        radius = np.sqrt((points[:, :dim] ** 2).sum(-1))
        np.testing.assert_allclose((found**2).sum(-1), radius ** (2 * degree), rtol=1e-12)


@pytest.mark.parametrize("degree", DEGREES)
def test_rotations_mix_them_by_the_irreps_of_the_library(points, degree):
    group = groups.o3()
    coordinates = group.sample_coordinates(degree, 5)
    irrep = group.irrep(degree % 2, degree).evaluate(coordinates)
    for matrix, mixes in zip(group.defining_matrices(coordinates), irrep, strict=True):
        moved = solid_harmonics(points @ matrix.T, degree)
        scale = np.abs(moved).max()
        np.testing.assert_allclose(
            moved / scale, solid_harmonics(points, degree) @ mixes.T / scale, atol=1e-13
        )


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("degree", DEGREES)
def test_they_have_no_laplacian(dim, degree):
    laplacian: dict = {}
    for orders, value in harmonic_polynomials(dim, degree).items():
        assert sum(orders) == degree
        for axis, n in enumerate(orders):
            lower = tuple(m - 2 * (c == axis) for c, m in enumerate(orders))
            if n > 1:
                laplacian[lower] = laplacian.get(lower, 0.0) + n * (n - 1) * value
    size = np.abs([*harmonic_polynomials(dim, degree).values()]).max()
    for value in laplacian.values():
        np.testing.assert_allclose(value / size, 0.0, atol=1e-12)


def test_degrees_are_orthogonal_on_the_sphere():
    nodes, weights = np.polynomial.legendre.leggauss(12)
    angles = 2 * np.pi * np.arange(24) / 24
    z, angle = (part.ravel() for part in np.meshgrid(nodes, angles, indexing="ij"))
    sphere = np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], -1)
    weight = np.repeat(weights, 24) / 48
    every = np.concatenate([solid_harmonics(sphere, degree) for degree in range(6)], -1)
    squares = np.repeat(1 / (2 * np.arange(6) + 1), 2 * np.arange(6) + 1)
    np.testing.assert_allclose(every.T @ (weight[:, None] * every), np.diag(squares), atol=1e-14)


def test_jax_agrees_and_derivatives_exist_at_the_origin(points):
    few = jnp.asarray(points[:6], jnp.float32).reshape(2, 3, 3)
    every = jax.jit(lambda x: [solid_harmonics(x, degree) for degree in range(5)])(few)
    for degree, found in enumerate(every):
        assert found.shape == (2, 3, 2 * degree + 1)
        assert found.dtype == jnp.float32
        expected = solid_harmonics(points[:6], degree).reshape(found.shape)
        np.testing.assert_allclose(found, expected, atol=2e-5 * 4**degree)
    slopes = jax.jacobian(lambda x: solid_harmonics(x, 1))(jnp.zeros(3))
    np.testing.assert_array_equal(slopes, np.eye(3)[[1, 2, 0]])
    assert not jax.jacobian(lambda x: solid_harmonics(x, 3))(jnp.zeros(3)).any()


@pytest.mark.parametrize(
    "space, degree",
    [
        (spaces.rot_on_r2(8), 3), (spaces.flip_rot_on_r2(-1, 0.3), 2), (spaces.rot_on_r3(), 3),
        (spaces.flip_rot_on_r3(), 3), (spaces.full_octahedral_on_r3(), 4),
        (spaces.icosahedral_on_r3(), 3), (spaces.dihedral_on_r3(-1), 2),
        (spaces.cyclic_on_r3(5, "x"), 3),
    ],
)  # fmt: skip
def test_groups_mix_them_by_their_harmonic_representation(points, space, degree):
    rep = harmonic_representation(space, degree)
    found = solid_harmonics(points[:, : space.dim], degree)
    for g in space.testing_elements[::3]:
        moved = solid_harmonics(points[:, : space.dim] @ space.matrix(g).T, degree)
        np.testing.assert_allclose(moved, found @ rep(g).T, atol=1e-11)


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize(
    "arguments, message",
    [
        ((np.ones((2, 4)), 1), "points: expected floating-point coordinates"),
        ((np.ones((2, 3), int), 1), "points: expected floating-point coordinates"),
        (([1.0, 2.0, 3.0], 1), "points: expected an array"),
        ((np.ones(3), -1), "solid_harmonics: degree: expected"),
        ((np.ones(3), 1.5), "solid_harmonics: degree: expected"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        solid_harmonics(*arguments)
