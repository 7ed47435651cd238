"""`SteerableBasis`: the constraint, independence, coefficients, order, filters, value."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import golden_kernels as gk
from equivax import groups, kernels, spaces
from equivax.kernels import _steerable_basis, _type_basis
from equivax.kernels.recipes import _angular, _default_rings
from equivax.spaces import grid_points

PLANES = ["C1", "C2", "C3", "C4", "C8", "D1", "D2", "D3", "D4", "D8", "SO2", "O2"]


def sample_reps(space):
    """A scalar, something of size two or more, and a sum of irreps in a turned basis."""
    group = space.group
    big = group.regular if group.order is not None else group.irreps(2)[-1]
    mixed = (group.irreps(1)[-1] + big).fused()
    return [group.trivial, big, mixed]


def constraint_error(space, kernel, in_rep, out_rep, elements):
    """max |K(A x) - rho_out K(x) rho_in^-1| over taps and elements that map the grid to itself."""
    shape = kernel.shape[2:]
    points = np.rint(2 * grid_points(shape)).astype(int)
    flat, worst = kernel.reshape(*kernel.shape[:2], -1), 0.0
    index = {tuple(p): n for n, p in enumerate(points.tolist())}
    for g in elements:
        moved = points @ np.rint(space.matrix(g)).astype(int).T
        there = [index[tuple(p)] for p in moved.tolist()]
        wanted = np.einsum("oa,ait,ji->ojt", out_rep(g), flat, in_rep(g))
        worst = max(worst, float(np.abs(flat[:, :, there] - wanted).max()))
    return worst


def random_kernel(basis, seed=0):
    coeffs = np.random.default_rng(seed).standard_normal(basis.dim)
    return np.tensordot(coeffs, basis.elements(), 1)


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("name", PLANES)
def test_constraint_holds_on_exact_elements(name, size):
    space = gk.space_named(name)
    for in_rep in sample_reps(space):
        for out_rep in sample_reps(space):
            basis = kernels.steerable_basis(space, in_rep, out_rep, size)
            kernel = random_kernel(basis)
            error = constraint_error(space, kernel, in_rep, out_rep, space.exact_elements)
            assert error < 1e-12 * max(1.0, np.abs(kernel).max())


@pytest.mark.parametrize("axis", [0.0, np.pi / 4, np.pi / 2])
def test_constraint_holds_for_other_mirror_axes(axis):
    space = spaces.flip_on_r2(axis)
    rep = space.group.regular + space.vector
    basis = kernels.steerable_basis(space, rep, rep, 3)
    kernel = random_kernel(basis)
    elements = space.exact_elements
    assert len(elements) == 2
    assert constraint_error(space, kernel, rep, rep, elements) < 1e-12


@pytest.mark.parametrize("size", [2, 4, 6])
@pytest.mark.parametrize("name", ["C1", "C4", "D4", "C8", "D1", "O2"])
@pytest.mark.filterwarnings("ignore:kernel_size")
def test_constraint_holds_on_even_sizes(name, size):
    space = gk.space_named(name)
    for in_rep in sample_reps(space):
        for out_rep in sample_reps(space):
            basis = kernels.steerable_basis(space, in_rep, out_rep, size)
            kernel = random_kernel(basis)
            error = constraint_error(space, kernel, in_rep, out_rep, space.exact_elements)
            assert error < 1e-12 * max(1.0, np.abs(kernel).max())


@pytest.mark.parametrize("name", ["C3", "C8", "D8", "SO2", "O2"])
def test_angular_part_is_equivariant_for_every_element(name):
    """Off the grid: the same coefficients with harmonics at the moved points."""
    space = gk.space_named(name)
    rep = sample_reps(space)[1]
    recipe = kernels.Harmonic().recipe("test", space, 5)
    points = np.random.default_rng(1).standard_normal((7, 2))
    for part in recipe.parts(space):
        if part.frequency is None:
            continue
        for g in space.testing_elements[:12]:
            moved = _angular.sample_harmonics(part.frequency, points @ space.matrix(g).T)
            here = _angular.sample_harmonics(part.frequency, points)
            np.testing.assert_allclose(part.rep(g) @ here, moved, atol=1e-12)
    assert rep.size >= 2


SMALLEST = {3: 0.99, 5: 0.71, 7: 0.53, 9: 0.44, 11: 0.41, 4: 1.0, 6: 0.42, 8: 0.28, 10: 0.21}


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.filterwarnings("ignore:kernel_size")
def test_default_elements_are_independent(size):
    space = gk.space_named("C1")
    basis = kernels.steerable_basis(space, space.trivial, space.trivial, size)
    flat = basis.elements().reshape(basis.dim, -1)
    np.testing.assert_allclose((flat**2).sum(axis=1), 1.0, rtol=1e-12)
    smallest = np.linalg.svd(flat, compute_uv=False)[-1]
    if size in SMALLEST:
        assert smallest == pytest.approx(SMALLEST[size], abs=0.006)
    assert smallest > 0.2
    if size == 2:
        assert basis.dim == 4  # all taps


@pytest.mark.parametrize("name", ["C3", "C4", "C8", "D1", "D4", "D8", "SO2", "O2"])
@pytest.mark.filterwarnings("ignore:kernel_size")
def test_elements_are_independent_and_scaled(name):
    space = gk.space_named(name)
    group = space.group
    rep = (sum(group.irreps(2)[1:], group.trivial)).fused()
    for size in (1, 2, 3, 4, 5):
        basis = kernels.steerable_basis(space, rep, rep, size)
        flat = basis.elements().reshape(basis.dim, -1)
        sizes = [group.irrep_data(rep.irreps[o]).size for o in basis.data.out_index]
        np.testing.assert_allclose((flat**2).sum(axis=1), sizes, rtol=1e-12)
        unit = flat / np.sqrt(sizes)[:, None]
        assert np.linalg.svd(unit, compute_uv=False).min(initial=1.0) > 0.1, size


def test_order_is_ring_input_output_frequency_solution():
    space = gk.space_named("D4")
    basis = kernels.steerable_basis(space, space.regular, space.regular, 5)
    rows = [
        (a["radius"], a["in_index"], a["out_index"], a["frequency"], a["index"])
        for a in basis.attributes()
    ]
    assert rows == sorted(rows)
    assert len(set(rows)) == basis.dim == len(basis.names()) == len(set(basis.names()))


def test_names_and_attributes():
    space = gk.space_named("C4")
    basis = kernels.steerable_basis(space, space.trivial, space.regular, 3)
    assert len(basis.attributes()) == basis.dim == 6
    assert basis.names()[0] == "(trivial[0] -> trivial[0]) r=0 f=0 #0"
    for n, name in enumerate(basis.names()):
        assert basis.index(name) == n
        assert basis.attributes(n) == basis.attributes()[n]
    first = basis.attributes(0)
    assert first["in_irrep"] == (0,)
    assert first["sigma"] == 0.005
    assert first["offset"] == 0
    with pytest.raises(KeyError, match="expected a name such as"):
        basis.index("nothing")
    with pytest.raises(IndexError, match="6"):
        basis.attributes(6)


# ---- coefficients ----------------------------------------------------------------------------


@pytest.fixture(params=["dense", "rings", "irreps"])
def form(request, monkeypatch):
    """All forms of the tables."""
    for module in (_steerable_basis, _type_basis):
        monkeypatch.setattr(module, "best_form", lambda bases: request.param)
    jax.clear_caches()
    yield request.param
    jax.clear_caches()


@pytest.mark.parametrize("name", ["C1", "C3", "C8", "D1", "D4", "SO2", "O2"])
@pytest.mark.usefixtures("x64")
def test_coefficients_invert_expand(name, form):
    space = gk.space_named(name)
    in_rep, out_rep = sample_reps(space)[1:]
    basis = kernels.steerable_basis(space, in_rep, out_rep, 5)
    rng = np.random.default_rng(0)
    coeffs = rng.standard_normal((2, 3, basis.dim))
    kernel = basis.expand(coeffs)
    np.testing.assert_allclose(
        kernel, np.tensordot(coeffs, basis.elements(), 1), atol=1e-11, err_msg=form
    )
    np.testing.assert_allclose(basis.coefficients(kernel), coeffs, atol=1e-11)
    other = rng.standard_normal(kernel.shape)
    projected = basis.project(other)
    np.testing.assert_allclose(basis.project(projected), projected, atol=1e-11)
    flat = basis.elements().reshape(basis.dim, -1)
    exact = np.linalg.lstsq(flat.T, other.reshape(6, -1).T, rcond=None)[0].T
    np.testing.assert_allclose(basis.coefficients(other).reshape(6, -1), exact, atol=1e-10)


@pytest.mark.usefixtures("x64")
def test_filtered_bases_project_too(form):
    space = gk.space_named("C4")

    def odd(a):
        return (a["in_index"] + 2 * a["out_index"] + a["index"]) % 3 > 0

    basis = kernels.steerable_basis(space, space.regular, space.regular, 5, basis_filter=odd)
    coeffs = np.random.default_rng(0).standard_normal(basis.dim)
    kernel = basis.expand(coeffs)
    np.testing.assert_allclose(kernel, np.tensordot(coeffs, basis.elements(), 1), atol=1e-12)
    np.testing.assert_allclose(basis.coefficients(kernel), coeffs, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_dtype_of_coefficients_is_kept(dtype, form):
    space = gk.space_named("C4")
    basis = kernels.steerable_basis(space, space.regular, space.regular, 3)
    coeffs = jax.random.normal(jax.random.key(0), (basis.dim,)).astype(dtype)
    kernel = basis.expand(coeffs)
    assert kernel.dtype == dtype
    exact = np.tensordot(np.asarray(coeffs, np.float64), basis.elements(), 1)
    bits = {"float32": 1e-6, "bfloat16": 2**-8, "float16": 2**-10}[dtype]
    assert np.abs(np.asarray(kernel, np.float64) - exact).max() < 2 * bits * np.abs(exact).max()
    assert basis.coefficients(kernel).dtype == dtype


def test_an_empty_basis_is_legal():
    space = gk.space_named("C2")
    basis = kernels.steerable_basis(space, space.irrep(1), space.trivial, 1)
    assert basis.dim == 0
    assert basis.elements().shape == (0, 1, 1, 1, 1)
    assert basis.expand(jnp.zeros((3, 0))).shape == (3, 1, 1, 1, 1)
    assert basis.coefficients(jnp.ones((1, 1, 1, 1))).shape == (0,)
    assert basis.names() == ()
    assert basis.attributes() == []


def test_gradient_of_the_projection_is_the_projection(form):
    space = gk.space_named("D4")
    basis = kernels.steerable_basis(space, space.trivial, space.regular, 3)
    kernel = jax.random.normal(jax.random.key(0), (8, 1, 3, 3))
    weights = jax.random.normal(jax.random.key(1), kernel.shape)
    grad = jax.grad(lambda k: jnp.sum(weights * basis.project(k)))(kernel)
    np.testing.assert_allclose(grad, basis.project(weights), atol=1e-5)  # it is symmetric


# ---- options ---------------------------------------------------------------------------------


def test_filter_removes_exactly_the_named_elements():
    space = gk.space_named("D4")
    full = kernels.steerable_basis(space, space.regular, space.regular, 3)
    by_key = {tuple(a.items()): n for a, n in zip(full.attributes(), full.names(), strict=True)}
    dropped = set(full.names()[::5])

    def keep(a):
        return by_key[tuple(a.items())] not in dropped

    basis = kernels.steerable_basis(space, space.regular, space.regular, 3, basis_filter=keep)
    assert set(full.names()) - set(basis.names()) == dropped
    mask = np.array([name not in dropped for name in full.names()])
    np.testing.assert_array_equal(basis.elements(), full.elements()[mask])
    subset = full.subset(mask)
    np.testing.assert_array_equal(subset.elements(), basis.elements())
    again = subset.subset(np.arange(subset.dim) % 2 == 0)
    assert again.names() == subset.names()[::2]
    assert subset == full.subset(mask)
    assert subset != full


def test_maximum_offset():
    space = gk.space_named("C4")
    full = kernels.steerable_basis(space, space.trivial, space.trivial, 9)
    found = {(a["radius"], a["frequency"]): a["offset"] for a in full.attributes()}
    assert {offset for (_, f), offset in found.items() if f == 4} == {1}
    strict = kernels.steerable_basis(space, space.trivial, space.trivial, 9, maximum_offset=0)
    assert {a["frequency"] for a in strict.attributes()} == {0}
    loose = kernels.steerable_basis(space, space.trivial, space.trivial, 9, maximum_offset=1)
    assert loose.names() == full.names()
    so2 = gk.space_named("SO2")
    vector = so2.irrep(1)
    assert (
        kernels.steerable_basis(so2, vector, vector, 5, maximum_offset=0).dim
        == kernels.steerable_basis(so2, vector, vector, 5).dim
    )


def test_solutions_of_the_circle_are_those_with_offset_zero():
    """C_N with ``maximum_offset=0`` has the parameters of SO(2) for the same frequencies."""
    c8, so2 = gk.space_named("C8"), gk.space_named("SO2")
    for n in (1, 2, 3):
        for m in (1, 2, 3):
            few = kernels.steerable_basis(c8, c8.irrep(n), c8.irrep(m), 9, maximum_offset=0)
            circle = kernels.steerable_basis(so2, so2.irrep(n), so2.irrep(m), 9)
            # At f = 4 the two senses of rotation are one representation of C8, solved together.
            assert few.dim >= circle.dim
            assert {a["frequency"] for a in few.attributes()} <= {abs(m - n), m + n}


@pytest.mark.parametrize(
    "given, highest",
    [
        ("default", (0, 2, 2)),
        ("narrow", (0, 2, 1)),
        ("flat", (0, 2, 1)),
        (1.0, (0, 1, 2)),
        (2, (0, 2, 4)),
        (lambda r: 1, (1, 1, 1)),
    ],
)
def test_frequency_cutoff(given, highest):
    recipe = kernels.Harmonic(frequency_cutoff=given).recipe("test", gk.space_named("C1"), 5)
    assert recipe.cutoffs == highest
    flat = kernels.Harmonic(frequency_cutoff="flat")
    assert flat.recipe("test", gk.space_named("C1"), 7).cutoffs == (0, 2, 2, 1)


def test_rings_and_widths():
    space = gk.space_named("C8")
    basis = kernels.steerable_basis(
        space, space.trivial, space.trivial, 5, rings=[2.0, 0.0, 1.0], sigma=[0.4, 0.005, 0.6]
    )
    default = kernels.steerable_basis(space, space.trivial, space.trivial, 5)
    np.testing.assert_array_equal(basis.elements(), default.elements())
    one = kernels.steerable_basis(space, space.trivial, space.trivial, 5, rings=[1.5], sigma=1.0)
    assert {a["sigma"] for a in one.attributes()} == {1.0}
    with pytest.raises(ValueError, match=r"linearly dependent.*allow_dependent=True"):
        kernels.steerable_basis(
            space, space.trivial, space.trivial, 3, rings=[0, 0.5, 1.0, 1.2], sigma=0.7
        )
    redundant = kernels.steerable_basis(
        space,
        space.trivial,
        space.trivial,
        3,
        rings=[0, 0.5, 1.0, 1.2],
        sigma=0.7,
        allow_dependent=True,
    )
    kernel = random_kernel(redundant).astype(np.float32)
    np.testing.assert_allclose(redundant.project(kernel), kernel, atol=1e-4)


def test_even_sizes_warn_once():
    space = gk.space_named("C1")
    _default_rings.warn_even_size.cache_clear()
    with pytest.warns(UserWarning, match=r"even kernel \(4\)"):
        kernels.steerable_basis(space, space.trivial, space.trivial, 4)
    kernels.steerable_basis(space, space.trivial, space.trivial, 4)


# ---- values ----------------------------------------------------------------------------------


def test_equal_arguments_give_one_basis():
    space, other = spaces.rot_on_r2(8), spaces.rot_on_r2(8)
    rep = space.group.regular
    one = kernels.steerable_basis(space, rep, rep, 5, frequency_cutoff=lambda r: 2 * r)
    two = kernels.steerable_basis(other, rep.renamed("x"), rep, 5, frequency_cutoff=lambda r: 2 * r)
    assert one == two
    assert hash(one) == hash(two)
    assert one != kernels.steerable_basis(space, rep, rep, 3)
    assert pickle.loads(pickle.dumps(one)) == one
    assert copy.copy(one) == one
    assert jax.tree_util.tree_leaves(one) == []
    with pytest.raises(AttributeError, match="immutable"):
        one.space = space
    with pytest.raises(ValueError, match="read-only"):
        one.data.part[0] = 3


def test_mirror_axes_give_different_bases():
    one, two = spaces.flip_on_r2(), spaces.flip_on_r2(0.0)
    rep = groups.dihedral(1).irrep(1, 0)
    a = kernels.steerable_basis(one, rep.group.trivial, rep, 3)
    b = kernels.steerable_basis(two, rep.group.trivial, rep, 3)
    assert a != b
    assert np.abs(a.elements() - b.elements()).max() > 0.1


def test_one_trace_for_equal_bases():
    traces = []

    @jax.jit
    def run(basis, coeffs):
        traces.append(1)
        return basis.expand(coeffs)

    space = spaces.rot_on_r2(4)
    for fresh in (spaces.rot_on_r2(4), space):
        basis = kernels.steerable_basis(fresh, fresh.trivial, fresh.regular, 3)
        run(basis, jnp.ones(basis.dim))
    assert len(traces) == 1


def test_first_use_under_jit_leaks_no_tracer():
    space = spaces.rot_on_r2(5)
    basis = kernels.steerable_basis(space, space.trivial, space.regular, 3)
    coeffs = jnp.ones(basis.dim)
    inside = jax.jit(lambda c: basis.expand(c))(coeffs)
    np.testing.assert_array_equal(basis.expand(coeffs), inside)
    np.testing.assert_array_equal(
        jax.jit(jax.grad(lambda c: basis.expand(c).sum()))(coeffs).shape, (6,)
    )
