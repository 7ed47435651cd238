"""Grids whose axes have different spacings: the same functions of space, sampled elsewhere."""

import itertools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import FieldType, kernels, nn, spaces, testing, tools

KEY = jax.random.key(0)
PLANE, SPACE, LONG = spaces.rot_on_r2(8), spaces.rot_on_r3(), spaces.cyclic_on_r3(4)


@pytest.mark.parametrize(
    "space, kernel, spacing", [(PLANE, (3, 5), (2, 1)), (SPACE, (3, 5, 5), (4, 2, 2))]
)
def test_a_kernel_samples_the_same_function_of_space(space, kernel, spacing):
    """Every element is one of the finer grid, at every second slice, up to its scale."""
    options = {"rings": [0, 1, 2], "sigma": 0.6, "frequency_cutoff": 1}
    pair = space.vector, space.vector
    fine = kernels.steerable_basis(space, *pair, 5, **options)
    here = kernels.steerable_basis(space, *pair, kernel, spacing=spacing, **options)
    assert here.names() == fine.names()
    wanted = fine.elements()[:, :, :, ::2].reshape(fine.dim, -1)
    found = here.elements().reshape(here.dim, -1)
    wanted = wanted * np.linalg.norm(found[0]) / np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("kernel", [(3, 3, 3), (3, 5, 5), (2, 2, 2), (1, 3, 3), (5, 5, 5)])
@pytest.mark.parametrize("thickness", [1.3, 2.0, 5.0])
def test_default_rings_fit_the_taps(kernel, thickness):
    space = spaces.trivial_on_r3()
    pair = space.trivial, space.trivial
    basis = kernels.steerable_basis(space, *pair, kernel, spacing=(thickness, 1, 1))
    flat = basis.elements().reshape(basis.dim, -1)
    unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    assert np.linalg.svd(unit, compute_uv=False)[-1] > 0.02
    assert basis.dim >= sum(1 + (k > 1) for k in kernel)
    if kernel[0] > 1:  # slices are joined
        assert np.abs(basis.elements()[:, 0, 0, 0]).max() > 0.1


def test_equal_axes_need_no_spacing():
    pair = SPACE.vector, SPACE.trivial
    plain = kernels.steerable_basis(SPACE, *pair, 3)
    assert kernels.steerable_basis(SPACE, *pair, 3, spacing=[2.0, 2.0, 2.0]) is plain
    assert kernels.steerable_basis(SPACE, *pair, 1, spacing=[3, 1, 1]).recipe == (
        kernels.steerable_basis(SPACE, *pair, 1).recipe
    )
    derivatives = kernels.differential_basis(SPACE, *pair, 3)
    assert kernels.differential_basis(SPACE, *pair, 3, spacing=(0.5, 0.5, 0.5)) is derivatives


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "make",
    [nn.Conv, *[pytest.param(m, marks=pytest.mark.slow) for m in (nn.ConvTranspose, nn.Diffop)]],
)
def test_turns_about_the_long_axis_stay_exact(make):
    """Nothing is warned of either, though the group of the cube exchanges all axes."""
    types = FieldType(LONG, LONG.trivial), FieldType(LONG, LONG.vector)
    size = {"kernel_size": 3, "padding": 1, "spacing": (2.5, 1, 1), "key": KEY}
    layer = make(*types, **size)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        testing.assert_equivariant(layer, key=KEY)
        cube = spaces.octahedral_on_r3()
        scalars = FieldType(cube, cube.trivial)
        nn.Conv(scalars, scalars, (3, 5, 5), spacing=(2, 1, 1), key=KEY)(jnp.ones((1, 4, 9, 9)))
    plain = make(*types, **{**size, "spacing": None})
    assert tools.fingerprint(layer) != tools.fingerprint(plain)
    assert "spacing" in str(layer.basis.recipe)
    assert "spacing" not in str(plain.basis.recipe)


def test_derivatives_are_those_of_space():
    scalars, vectors = SPACE.trivial, SPACE.vector
    spacing = np.array([3.0, 1.0, 2.0])  # of z, y, x
    basis = kernels.differential_basis(SPACE, scalars, vectors, 3, maximum_order=1, spacing=spacing)
    x, y, z = (spaces.grid_points((3, 3, 3)) * spacing[::-1]).T
    slopes = basis.elements()[0, :, 0].reshape(3, -1) @ (2 * x - 3 * y + 5 * z + x * y * z + 1)
    np.testing.assert_allclose(slopes / slopes[0], [1.0, -1.5, 2.5], atol=1e-12)
    squares = kernels.differential_basis(SPACE, scalars, scalars, 3, spacing=spacing).elements()[-1]
    np.testing.assert_allclose((squares.ravel() * (x**2 - z**2)).sum(), 0.0, atol=1e-12)


METHODS = {"gaussian": {"smoothing": 1.5}, "rbf": {"shape": 1.5}, "finite_difference": {}}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("orders", [(1, 0), (0, 1), (1, 1), (0, 2)])
def test_stencils_of_unequal_axes(method, orders):
    """On every second row of a function's graph: what the stencil of that row spacing says."""
    plane, spacing = spaces.trivial_on_r2(), (2.0, 1.0)
    stencil = kernels.derivative_stencil(
        plane, orders, 5, method=method, spacing=spacing, **METHODS[method]
    )
    scaled = kernels.derivative_stencil(
        plane, orders, 5, method=method, spacing=(6.0, 3.0), **METHODS[method]
    )
    np.testing.assert_allclose(stencil / 3 ** sum(orders), scaled, atol=1e-12)
    x, y = (spaces.grid_points((5, 5)) * spacing[::-1]).T
    if method == "rbf":  # exact for the functions that it is made of
        for at in ((0.0, 2.0), (1.0, -4.0)):
            values = np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * 1.5**2))
            t = -np.array(at) / 1.5
            exact = np.exp(-(t**2).sum() / 2)
            for n, u in zip(orders, t, strict=True):
                exact *= [1.0, -u, u**2 - 1][n] / 1.5**n
            np.testing.assert_allclose(stencil.ravel() @ values, exact, atol=1e-9)
    elif method == "gaussian":  # values of the derivative, one per cell of the grid
        density = np.exp(-(x**2 + y**2) / (2 * 1.5**2)) / (2 * np.pi * 1.5**2)
        for n, u in zip(orders, (x / 1.5, y / 1.5), strict=True):
            density = density * [np.ones_like(u), u, u**2 - 1][n] / 1.5**n
        np.testing.assert_allclose(stencil.ravel(), 2.0 * density, atol=1e-12)
    else:
        for i, j in itertools.product(range(3), repeat=2):
            exact = np.prod([n == m and [1, 1, 2][n] for n, m in zip(orders, (i, j), strict=True)])
            np.testing.assert_allclose(stencil.ravel() @ (x**i * y**j), exact, atol=1e-12)


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize(
    "options, message",
    [
        ({"spacing": 2.0}, "spacing: expected a positive length per spatial axis"),
        ({"spacing": (1.0, 0.0, 1.0)}, "spacing: expected a positive length"),
        ({"spacing": (1.0, 2.0)}, "spacing: expected 3 lengths, one per axis"),
        ({"spacing": (1e4, 1.0, 1.0)}, "of ratios of at most 1000"),
        ({"spacing": (2, 1, 1), "basis": "grid"}, "spacing: belongs to the harmonic basis"),
        ({"kernel_size": (3, 5, 5)}, "unequal ones are for axes of unequal spacing="),
        ({"rings": [4.0], "spacing": (2, 1, 1)}, "between 0 and 2.449 for kernel 3 x 3 x 3"),
    ],
)
def test_refused(options, message):
    space = spaces.octahedral_on_r3()
    arguments = {"kernel_size": 3, **options}
    with pytest.raises(ValueError, match=message):
        kernels.steerable_basis(space, space.trivial, space.trivial, **arguments)
