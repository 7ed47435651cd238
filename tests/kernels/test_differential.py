"""Differential operators: golden numbers, exactness, the constraint, methods, bad arguments."""

import itertools
import pickle
import re
from fractions import Fraction

import numpy as np
import pytest

import golden_fields
from equivax import groups, kernels, spaces
from equivax.kernels import (
    DifferentialRecipe,
    TypeBasis,
    derivative_stencil,
    differential_basis,
    differential_recipe,
    finite_difference_weights,
    stencil_sizes,
)
from equivax.kernels.recipes._grid import permutation_table

FACTS = golden_fields.facts()["diffop"]
PLANE = spaces.trivial_on_r2()
C4, D4, O2 = spaces.rot_on_r2(4), spaces.flip_rot_on_r2(4), spaces.flip_rot_on_r2(-1)
MIRRORS = [spaces.flip_on_r2(axis) for axis in (np.pi / 2, 0.0, np.pi / 4)]

#: One of each way to make stencils.
METHODS = {
    "finite_difference": {},
    "gaussian": {"smoothing": 1.1},
    "rbf": {"method": "rbf", "shape": 2.0},
    "polyharmonic": {"method": "rbf", "phi": "polyharmonic"},
}


def scalar_basis(space=PLANE, size=None, **options):
    return differential_basis(space, space.trivial, space.trivial, size, **options)


def points(size):
    """x and y of every tap."""
    t = np.arange(size) - (size - 1) / 2
    return np.meshgrid(t, -t)


# ---- sizes and weights -------------------------------------------------------------------------


@pytest.mark.parametrize("name", FACTS["relation"])
def test_relation_of_size_accuracy_and_order(name):
    for text, expected in FACTS["relation"][name].items():
        numbers = [int(part) for part in text.split(",")]
        if name == "kernel_size_only":
            assert stencil_sizes(*numbers).maximum_order == expected["order"]
        elif name == "kernel_and_accuracy":
            assert stencil_sizes(*numbers).maximum_order == expected
        elif name == "order_and_accuracy":
            order, accuracy = numbers
            found = stencil_sizes(accuracy=accuracy, maximum_order=order)
            assert found.kernel_size == expected
            assert found.accuracy >= accuracy
        else:
            assert stencil_sizes(maximum_order=numbers[0]).kernel_size == expected


@pytest.mark.parametrize("size", FACTS["fd_weights"])
def test_weights_are_the_golden_fractions(size):
    for order, weights in FACTS["fd_weights"][size].items():
        found = finite_difference_weights(int(size), int(order))
        assert found == tuple(map(Fraction, weights))


@pytest.mark.parametrize("size", range(1, 10))
def test_weights_satisfy_their_equations(size):
    taps = [Fraction(2 * j - size + 1, 2) for j in range(size)]
    for order, power in itertools.product(range(size), repeat=2):
        weights = finite_difference_weights(size, order)
        moment = sum(w * t**power for w, t in zip(weights, taps, strict=True))
        assert moment == (np.prod(range(1, order + 1), dtype=int) if power == order else 0)


def test_the_accuracy_is_reached():
    for size, order in [(3, 1), (5, 1), (4, 1), (5, 2), (5, 3), (6, 2)]:
        accuracy = stencil_sizes(size, maximum_order=order).accuracy
        errors = []
        for h in (0.1, 0.05):
            t = 0.3 + h * (np.arange(size) - (size - 1) / 2)
            weights = np.array([float(w) for w in finite_difference_weights(size, order)])
            exact = np.sin(0.3 + order * np.pi / 2)
            errors.append(abs(weights @ np.sin(t) / h**order - exact))
        assert np.log2(errors[0] / errors[1]) == pytest.approx(accuracy, abs=0.1)


# ---- golden counts and spans -------------------------------------------------------------------


@pytest.mark.parametrize("group", FACTS["dims"])
def test_number_of_operators(group):
    space = golden_fields.space(group)
    for size, counts in FACTS["dims"][group].items():
        found = {}
        for pair in counts:
            reps = (golden_fields.representation(space.group, name) for name in pair.split("|"))
            found[pair] = differential_basis(space, *reps, int(size)).dim
        assert found == counts, size


@pytest.mark.parametrize("record", FACTS["spans"], ids=lambda r: r["key"])
def test_spans(record):
    golden, space = golden_fields.array(record["key"]), golden_fields.space(record["group"])
    reps = (golden_fields.representation(space.group, record[end]) for end in ("in", "out"))
    basis = differential_basis(space, *reps, record["kernel_size"])
    assert basis.dim == record["elements"] == record["rank"]
    elements = basis.elements()
    assert list(elements.shape[1:]) == record["shape"]
    flat = elements.reshape(basis.dim, -1)
    orthonormal = np.linalg.qr(flat.T)[0].T
    np.testing.assert_allclose(flat @ golden.T @ golden, flat, atol=1e-9)
    np.testing.assert_allclose(golden @ orthonormal.T @ orthonormal, golden, atol=1e-9)


@pytest.mark.parametrize("order", range(5))
@pytest.mark.parametrize("power", range(4))
def test_counts_follow_the_formula(order, power):
    space, m = spaces.rot_on_r2(-1), {0: 2, 1: 0, 2: 2, 3: 0, 4: 0}  # irrep(1) to itself
    rep = space.irrep(1)
    expected = sum((min(power, (order - f) // 2) + 1) * m[f] for f in range(order + 1))
    basis = differential_basis(space, rep, rep, order + 1, maximum_order=order, maximum_power=power)
    assert basis.dim == expected
    assert max((a["order"] - a["frequency"]) // 2 for a in basis.attributes()) <= power


# ---- what the operators do ---------------------------------------------------------------------


def _elements_of_order(space, out_rep, size, order, frequency):
    basis = differential_basis(
        space,
        space.trivial,
        out_rep,
        size,
        basis_filter=lambda a: a["order"] == order and a["frequency"] == frequency,
    )
    return basis.elements().reshape(basis.dim, out_rep.size, size, size)


@pytest.mark.parametrize("size", [3, 4, 5, 6])
def test_gradient_and_laplacian_of_polynomials_are_exact_at_the_centre(size):
    x, y = points(size)
    (gradient,) = _elements_of_order(O2, O2.vector, size, 1, 1)
    (laplacian,) = _elements_of_order(O2, O2.trivial, size, 2, 0)
    factors = {"gradient": None, "laplacian": None}
    for a, b in itertools.product(range(size), repeat=2):
        if a + b > size - 1:
            continue
        image = x**a * y**b
        # Derivatives of x^a y^b at the origin, up to the scale of the element.
        found = (gradient * image).sum(axis=(1, 2))
        exact = np.array([(a, b) == (1, 0), (a, b) == (0, 1)], float)
        scale = factors["gradient"] = factors["gradient"] or (gradient[0] * x).sum()
        np.testing.assert_allclose(found, scale * exact, atol=1e-12)
        found = (laplacian[0] * image).sum()
        scale = factors["laplacian"] = factors["laplacian"] or (laplacian[0] * x**2).sum() / 2
        np.testing.assert_allclose(found, scale * 2.0 * ((a, b) in ((2, 0), (0, 2))), atol=1e-11)
    assert factors["gradient"] != 0


@pytest.mark.parametrize("orders", [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (2, 1)])
@pytest.mark.parametrize("spacing", [1.0, 0.5])
def test_stencils_in_physical_units(orders, spacing):
    stencil = derivative_stencil(PLANE, orders, 5, spacing=spacing)
    x, y = (spacing * p for p in points(5))
    for a, b in itertools.product(range(5), repeat=2):
        exact = np.prod(range(1, a + 1)) * np.prod(range(1, b + 1)) if (a, b) == orders else 0.0
        assert (stencil * x**a * y**b).sum() == pytest.approx(exact, abs=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_methods_agree_on_smooth_fields(method):
    x, y = points(7)
    wave = np.sin(0.3 * x + 0.2 * y + 0.4)
    for orders, exact in [((1, 0), 0.3 * np.cos(0.4)), ((1, 1), -0.06 * np.sin(0.4))]:
        found = (derivative_stencil(PLANE, orders, 7, **METHODS[method]) * wave).sum()
        assert found == pytest.approx(exact, rel=0.3)


def test_gaussian_derivatives_are_finite_differences_of_the_smoothed_image():
    smoothing, side = 1.5, 15
    x, y = points(side + 8)
    image = np.sin(0.25 * x - 0.1 * y) + 0.3 * np.cos(0.2 * y)

    def correlate(image, stencil):
        windows = np.lib.stride_tricks.sliding_window_view(image, stencil.shape)
        return np.einsum("abij,ij->ab", windows, stencil)

    blurred = correlate(image, derivative_stencil(PLANE, (0, 0), side, smoothing=smoothing))
    for orders in [(1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]:
        direct = correlate(image, derivative_stencil(PLANE, orders, side, smoothing=smoothing))
        indirect = correlate(blurred, derivative_stencil(PLANE, orders, 9))
        # The Gaussian is cut at five deviations and summed at pixels: 1e-5.
        np.testing.assert_allclose(direct[4:-4, 4:-4], indirect, atol=5e-5)


@pytest.mark.parametrize("method", ["rbf", "polyharmonic"])
@pytest.mark.parametrize("size", [3, 4, 5])
def test_radial_stencils_are_exact_for_their_functions(method, size):
    x, y = points(size)

    def phi(u, v):
        r2 = u**2 + v**2
        return np.exp(-r2 / 2) if method == "rbf" else r2**2.5

    h = 1e-4
    stencil = derivative_stencil(
        PLANE,
        (1, 0),
        size,
        method="rbf",
        **({} if method == "rbf" else {"phi": method, "shape": 5}),
    )
    for cx, cy in zip(x.ravel(), y.ravel(), strict=True):
        exact = (phi(h - cx, -cy) - phi(-h - cx, -cy)) / (2 * h)
        assert (stencil * phi(x - cx, y - cy)).sum() == pytest.approx(exact, abs=1e-5)


def test_elements_are_scaled_like_kernels():
    basis = differential_basis(D4, D4.regular, D4.regular, 5)
    sizes = [D4.group.irrep_data(a["out_irrep"]).size for a in basis.attributes()]
    np.testing.assert_allclose((basis.elements() ** 2).sum(axis=(1, 2, 3, 4)), sizes, atol=1e-12)


@pytest.mark.parametrize("size", [3, 5, 7, 9, 11])
def test_finite_differences_of_all_orders_are_independent(size):
    flat = scalar_basis(PLANE, size).elements().reshape(-1, size**2)
    smallest = np.linalg.svd(flat, compute_uv=False)[-1]
    assert smallest >= {3: 0.3, 5: 0.04, 7: 3e-3, 9: 2e-4, 11: 1e-5}[size]


# ---- equivariance ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [3, 4])
@pytest.mark.parametrize("space", [C4, D4, *MIRRORS], ids=repr)
def test_mirrors_and_turns_constrain_the_stencils(space, size, method):
    """The peer lays stencils out with x along rows, which breaks every mirror."""
    table = permutation_table(space, (size, size))
    reps = [space.trivial, space.regular, space.vector]
    for in_rep, out_rep in itertools.product(reps, repeat=2):
        basis = differential_basis(space, in_rep, out_rep, size, **METHODS[method])
        elements = basis.elements().reshape(basis.dim, out_rep.size, in_rep.size, -1)
        for g, moved in zip(space.group.elements, table, strict=True):
            turned = np.einsum("ab,nbct,dc->nadt", out_rep(g), elements, in_rep(g))
            np.testing.assert_allclose(elements[..., moved], turned, atol=1e-12)


@pytest.mark.parametrize("space", [spaces.on_r1(groups.dihedral(3)), spaces.flip_on_r1()], ids=repr)
def test_on_a_line_derivatives_alternate_in_parity(space):
    rep = space.regular
    basis = differential_basis(space, rep, rep, 5)
    free = kernels.steerable_basis(space, rep, rep, 5)
    assert basis.dim == free.dim  # five derivatives span five taps
    elements = basis.elements().reshape(basis.dim, -1)
    flat = free.elements().reshape(free.dim, -1)
    orthonormal = np.linalg.qr(flat.T)[0]
    np.testing.assert_allclose(elements @ orthonormal @ orthonormal.T, elements, atol=1e-12)
    weights = derivative_stencil(space, (3,), 5)
    assert weights.tolist() == [float(w) for w in finite_difference_weights(5, 3)]


def test_an_angle_changes_the_basis_but_not_its_span():
    for space in (C4, spaces.rot_on_r2(-1)):
        rep = space.irrep(1)
        plain, turned = (
            differential_basis(space, rep, rep, 5, angle_offset=angle).elements().reshape(-1, 100)
            for angle in (None, 0.3)
        )
        assert np.abs(plain - turned).max() > 0.01
        both = np.concatenate([plain, turned])
        assert np.linalg.matrix_rank(both, tol=1e-8) == len(plain)
    # A half turn moves no mirror.
    differential_basis(D4, D4.trivial, D4.regular, 3, angle_offset=np.pi)


# ---- the object --------------------------------------------------------------------------------


def test_equal_arguments_give_one_object_and_every_option_counts():
    """The peer's cache keys leave out the smoothing and the power of the Laplacian."""
    options = [
        {},
        {"smoothing": 1.0},
        {"smoothing": 1.5},
        {"maximum_power": 0},
        {"maximum_power": 1},
        {"method": "gaussian"},
        {"method": "rbf"},
        {"method": "rbf", "shape": 0.8},
        {"method": "rbf", "phi": "polyharmonic"},
        {"angle_offset": 0.2},
    ]
    found = [scalar_basis(C4, 5, **these) for these in options]
    assert len(set(found)) == len({id(basis) for basis in found}) == len(options)
    for these, basis in zip(options, found, strict=True):
        assert scalar_basis(C4, 5, **these) is basis
    shapes = {basis.elements().tobytes() for basis in found[:9]}
    assert len(shapes) == 9
    # Sizes that mean the same are the same.
    assert scalar_basis(C4, maximum_order=2) is scalar_basis(C4, 3)
    assert scalar_basis(C4, 5, smoothing=1.25) is scalar_basis(C4, 5, method="gaussian")


def test_attributes_and_names():
    basis = differential_basis(D4, D4.trivial, D4.regular, 3)
    rows = basis.attributes()
    assert [r["order"] for r in rows] == sorted(r["order"] for r in rows)
    assert {(r["order"], r["frequency"]) for r in rows} == {(0, 0), (1, 1), (2, 0), (2, 2)}
    assert [r["radius"] for r in rows] == [None if r["order"] else 0.0 for r in rows]
    assert len(set(basis.names())) == basis.dim
    assert "order=2 f=0" in basis.names()[-1] or "order=2 f=2" in basis.names()[-1]
    first = differential_basis(
        D4, D4.trivial, D4.regular, 3, basis_filter=lambda a: a["order"] == 1
    )
    assert first.dim == sum(r["order"] == 1 for r in rows)
    harmonic = kernels.steerable_basis(D4, D4.trivial, D4.trivial, 3)
    assert all(r["order"] is None for r in harmonic.attributes())


def test_bases_are_values():
    basis = differential_basis(D4, D4.regular, D4.vector, 3, smoothing=0.9)
    again = pickle.loads(pickle.dumps(basis))
    assert again == basis
    assert hash(again) == hash(basis)
    np.testing.assert_array_equal(again.elements(), basis.elements())
    assert "smoothing 0.9" in repr(basis)
    recipe = differential_recipe("test", D4, 3)
    assert isinstance(recipe, DifferentialRecipe)
    assert isinstance(recipe, kernels.Recipe)
    whole = TypeBasis.from_recipe(D4, 2 * D4.regular + D4.vector, D4.regular, recipe)
    assert whole.recipe is recipe
    assert pickle.loads(pickle.dumps(whole)) == whole


# ---- bad arguments -----------------------------------------------------------------------------

BAD = {
    "nothing": (lambda: scalar_basis(), "kernel_size: expected kernel_size or maximum_order"),
    "accuracy alone": (lambda: scalar_basis(accuracy=2), "got neither"),
    "all three": (
        lambda: scalar_basis(size=3, accuracy=2, maximum_order=2),
        "accuracy: expected at most two of kernel_size, accuracy and maximum_order",
    ),
    "order above size": (
        lambda: scalar_basis(size=3, maximum_order=3),
        "maximum_order: expected at most 2, since 3 taps carry no higher derivative, got 3",
    ),
    "accuracy above size": (
        lambda: scalar_basis(size=3, accuracy=5),
        "accuracy: expected at most 4 for 3 taps, got 5",
    ),
    "accuracy zero": (
        lambda: scalar_basis(maximum_order=1, accuracy=0),
        "accuracy: expected an integer >= 1, got 0",
    ),
    "order negative": (
        lambda: scalar_basis(maximum_order=-1),
        "maximum_order: expected an integer >= 0, got -1",
    ),
    "order float": (lambda: scalar_basis(maximum_order=1.5), "maximum_order: expected an integer"),
    "order bool": (lambda: scalar_basis(maximum_order=True), "maximum_order: expected an integer"),
    "size zero": (lambda: scalar_basis(size=0), "kernel_size: expected a positive integer"),
    "size unequal": (lambda: scalar_basis(size=(3, 5)), "kernel_size: expected equal sizes"),
    "power": (
        lambda: scalar_basis(size=3, maximum_power=-1),
        "maximum_power: expected a non-negative integer, got -1",
    ),
    "method": (
        lambda: scalar_basis(size=3, method="spline"),
        "method: expected one of finite_difference, gaussian, rbf, got 'spline'",
    ),
    "smoothing with rbf": (
        lambda: scalar_basis(size=3, method="rbf", smoothing=1.0),
        'smoothing: belongs to method="gaussian", got 1.0',
    ),
    "smoothing with differences": (
        lambda: scalar_basis(size=3, method="finite_difference", smoothing=1.0),
        'smoothing: belongs to method="gaussian"',
    ),
    "smoothing zero": (
        lambda: scalar_basis(size=3, smoothing=0.0),
        "smoothing: expected a positive number, got 0.0",
    ),
    "smoothing nan": (
        lambda: scalar_basis(size=3, smoothing=float("nan")),
        "smoothing: expected a positive number, got nan",
    ),
    "smoothing narrow": (
        lambda: scalar_basis(size=3, smoothing=0.01),
        "smoothing: expected a width that the taps can see, got 0.01",
    ),
    "smoothing wide": (
        lambda: scalar_basis(size=7, smoothing=1000.0),
        "linearly dependent with differential operators, kernel 7 x 7",
    ),
    "phi": (
        lambda: scalar_basis(size=3, method="rbf", phi="thin"),
        "phi: expected one of gaussian, polyharmonic, got 'thin'",
    ),
    "phi elsewhere": (lambda: scalar_basis(size=3, phi="gaussian"), 'phi: belongs to method="rbf"'),
    "shape elsewhere": (lambda: scalar_basis(size=3, shape=1.0), 'shape: belongs to method="rbf"'),
    "shape even": (
        lambda: scalar_basis(size=3, method="rbf", phi="polyharmonic", shape=4),
        "shape: expected an odd exponent >= 3",
    ),
    "shape wide": (
        lambda: scalar_basis(size=9, method="rbf", shape=20.0),
        "shape: rbf, phi gaussian with shape 20 leaves no digit",
    ),
    "angle with mirrors": (
        lambda: scalar_basis(D4, 3, angle_offset=0.1),
        "angle_offset: 0.1 turns the operators away from the mirrors of D4 on R2",
    ),
    "angle infinite": (
        lambda: scalar_basis(C4, 3, angle_offset=float("inf")),
        "angle_offset: expected a finite angle",
    ),
    "angle on a line": (
        lambda: scalar_basis(spaces.flip_on_r1(), 3, angle_offset=0.1),
        "angle_offset: expected a finite angle on a plane",
    ),
    "space of a point": (
        lambda: scalar_basis(spaces.no_base_space(groups.cyclic(2)), 1),
        "space: expected a line, a plane or space",
    ),
    "space of dimension 4": (
        lambda: scalar_basis(spaces.grid(4), 3),
        "of dimension 4",
    ),
    "other group": (
        lambda: differential_basis(C4, D4.trivial, D4.trivial, 3),
        "in_rep: expected a representation of C4",
    ),
    "weights": (
        lambda: finite_difference_weights(3, 3),
        "order: expected 0..2 for 3 taps, got 3",
    ),
    "stencil orders": (
        lambda: derivative_stencil(PLANE, (1,), 3),
        "orders: expected 2 integers in 0..2, got (1,)",
    ),
    "stencil spacing": (
        lambda: derivative_stencil(PLANE, (1, 0), 3, spacing=0.0),
        "spacing: expected a positive number",
    ),
}


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize("name", BAD)
def test_bad_arguments(name):
    run, message = BAD[name]
    with pytest.raises(ValueError, match=re.escape(message)):
        run()


@pytest.mark.usefixtures("unchecked_annotations")
def test_what_is_no_space():
    with pytest.raises(TypeError, match="differential_basis: space: expected a GSpace"):
        differential_basis(groups.cyclic(4), C4.trivial, C4.trivial, 3)


def test_dependent_stencils_can_be_accepted():
    basis = scalar_basis(size=7, smoothing=1000.0, allow_dependent=True)
    assert basis.dim == 28
