"""Kernels in space: counts of known origin, the constraint, derivatives, every group at one tap."""

import itertools

import jax
import numpy as np
import pytest

import golden_fields
from equivax import FieldType, direct_sum, groups, kernels, spaces
from equivax.kernels.recipes._grid import permutation_table
from equivax.representations import band_limited

COUNTS = golden_fields.facts()["conv3d_dims"]
SPACES = {
    "SO3": spaces.rot_on_r3,
    "O3": spaces.flip_rot_on_r3,
    "octahedral": spaces.octahedral_on_r3,
    "full_octahedral": spaces.full_octahedral_on_r3,
    "icosahedral": spaces.icosahedral_on_r3,
}
OCTAHEDRAL, FULL = spaces.octahedral_on_r3(), spaces.full_octahedral_on_r3()


def rep_named(space, text):
    kind, _, key = text.partition(":")
    return space.irrep(*map(int, key.split(","))) if key else getattr(space, kind)


@pytest.mark.parametrize("key", COUNTS)
def test_number_of_elements(key):
    group, ins, outs, size = key.split("|")
    space = SPACES[group]()
    basis = kernels.steerable_basis(
        space, rep_named(space, ins), rep_named(space, outs), int(size.removeprefix("k"))
    )
    assert basis.dim == COUNTS[key]


@pytest.mark.parametrize(
    "size, rings, cutoffs, dim, independence",
    [
        (1, [0], [0], 1, 0.99), (3, [0, 1], [0, 2], 10, 0.99), (5, [0, 1, 2], [0, 2, 2], 19, 0.64),
        (7, [0, 1, 2, 3], [0, 2, 3, 2], 35, 0.50), (9, [0, 1, 2, 3, 4], [0, 2, 4, 3, 2], 60, 0.42),
        (2, [np.sqrt(0.75)], [2], 7, 0.99),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:kernel_size")
def test_default_policy_and_its_independence(size, rings, cutoffs, dim, independence):
    space = spaces.trivial_on_r3()
    basis = kernels.steerable_basis(space, space.trivial, space.trivial, size)
    recipe = basis.recipe
    np.testing.assert_allclose(recipe.radii, rings)
    assert list(recipe.cutoffs) == cutoffs
    assert basis.dim == dim
    flat = basis.elements().reshape(dim, -1)
    unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    assert np.linalg.svd(unit, compute_uv=False)[-1] > independence


@pytest.mark.slow
def test_number_of_elements_of_the_peers_network():
    """The convolutions of escnn's example for SE(3), counted with escnn 1.0.11."""
    space = spaces.rot_on_r3()
    group = space.group
    powers = [group.trivial, group.irrep(1)]
    for _ in range(2):
        powers.append(powers[-1] @ group.irrep(1))
    second, third = (direct_sum(powers[: n + 1]).fused(f"up to {n}") for n in (2, 3))
    rows = [(second, 3), (third, 2), (third, 6), (third, 12), (third, 8)]
    types = [FieldType(space, n * rep) for rep, n in rows]
    functions = [FieldType(space, n * band_limited(group, 2)) for n in (2, 5, 5, 10)]
    sphere = FieldType(space, 128 * band_limited(group, 2, subgroup="so2"))

    def dim(source, target, size):
        return kernels.TypeBasis(source, target, size, warn_unused=False).dim

    assert dim(FieldType(space, space.trivial), types[0], 5) == 36
    blocks = [
        (dim(a, middle, 3), dim(middle, b, 3), dim(a, b, 1))
        for a, middle, b in zip(types, functions, types[1:], strict=False)
    ]
    assert blocks == [
        (558, 956, 114), (2390, 7170, 528), (7170, 14340, 3168), (28680, 19120, 4224),
    ]  # fmt: skip
    assert dim(types[-1], sphere, 3) == 72704


def constraint(space, in_rep, out_rep, elements):
    """Largest entry of ``K(A(g) x) - rho_out(g) K(x) rho_in(g)^-1`` over exact elements."""
    kernel = elements.shape[3:]
    flat = elements.reshape(*elements.shape[:3], -1)
    points = spaces.grid_points(kernel)
    worst = 0.0
    for g in space.exact_elements:
        moved = np.rint(2 * points @ space.matrix(g).T).tolist()
        at = [np.rint(2 * points).tolist().index(row) for row in moved]
        expected = np.einsum("ab,nbct,dc->nadt", out_rep(g), flat, in_rep(g))
        worst = max(worst, float(np.abs(flat[..., at] - expected).max()))
    return worst


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("name", [*SPACES, "D4", "mirrors"])
def test_the_constraint_holds_on_exact_elements(name, size):
    if name == "D4":
        space = spaces.dihedral_on_r3(4)
    elif name == "mirrors":
        group = groups.dihedral(4)
        space = spaces.on_r3(group, group.irrep(1, 1) + group.trivial)
    else:
        space = SPACES[name]()
    irreps = space.group.irreps(None if space.group.order else 2)
    in_rep, out_rep = space.vector, irreps[-1] + irreps[len(irreps) // 2] + space.trivial
    basis = kernels.steerable_basis(space, in_rep, out_rep, size)
    assert basis.dim
    assert constraint(space, in_rep, out_rep, basis.elements()) < 1e-12


def test_rotations_of_the_points_rotate_the_angular_part():
    """Also for elements that no grid has: solutions times harmonics at turned points."""
    space = spaces.icosahedral_on_r3()
    in_rep, out_rep = space.irrep(1), space.irrep(2)
    basis = kernels.steerable_basis(space, in_rep, out_rep, 3)
    points = np.random.default_rng(0).standard_normal((7, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    (values,) = basis.solved.kernels.values()
    widths = [1, 1 + 3 + 5]  # functions of the rings 0 and 1

    def kernel(x):
        every = np.concatenate([kernels.solid_harmonics(x, f) for f in range(3)], axis=1)
        table = values.angular[..., : widths[1]]
        return np.einsum("noif,pf->nopi", table[values.part > 0], every)

    for g in space.testing_elements[::7]:
        moved = kernel(points @ space.matrix(g).T)
        expected = np.einsum("ab,nbpc,dc->napd", out_rep(g), kernel(points), in_rep(g))
        np.testing.assert_allclose(moved, expected, atol=1e-12)


def test_the_harmonic_span_lies_in_the_grid_span():
    for space, size in ((OCTAHEDRAL, 3), (FULL, 5)):
        arguments = space, space.trivial, space.vector, size
        harmonic = kernels.steerable_basis(*arguments).elements()
        grid = kernels.steerable_basis(*arguments, basis="grid")
        for element in harmonic:
            np.testing.assert_allclose(grid.project(element), element, atol=1e-5)


def test_one_tap_serves_every_group_in_every_dimension():
    icosahedral, four = spaces.icosahedral_on_r3(), spaces.grid(4)
    cases = [
        (icosahedral, icosahedral.regular, 60), (spaces.rot_on_r3(), spaces.rot_on_r3().vector, 1),
        (four, four.vector, 1), (four, four.trivial, 1),
    ]  # fmt: skip
    for space, rep, dim in cases:
        basis = kernels.steerable_basis(space, rep, rep, 1)
        assert basis.dim == dim
        assert basis.elements().shape == (dim, rep.size, rep.size, *(1,) * space.dim)


def test_grids_of_four_axes():
    """By Burnside: the mean over all 384 elements of character times fixed taps."""
    space = spaces.grid(4)
    table = permutation_table(space, (3,) * 4)
    assert table is not None
    fixed = (table == np.arange(81)).sum(axis=1)
    for rep in (space.trivial, space.vector):
        characters = np.trace(rep.evaluate(np.arange(384)[:, None]), axis1=1, axis2=2)
        basis = kernels.steerable_basis(space, space.trivial, rep, 3, "grid")
        assert basis.dim == round(float(np.mean(fixed * characters)))
    with pytest.raises(ValueError, match="planes and space"):
        kernels.steerable_basis(space, space.trivial, space.vector, 3)


def test_regular_fields_keep_small_tables():
    """Constants of a program of l <= 3 at k = 5 and of regular fields stay under 2 MiB."""
    full, turns = spaces.flip_rot_on_r3(), spaces.rot_on_r3()
    types = [
        FieldType(turns, [turns.irrep(l) for l in range(4)]),
        FieldType(full, [full.irrep(j, l) for j in range(2) for l in range(4)]),
        FieldType(OCTAHEDRAL, OCTAHEDRAL.regular),
        FieldType(FULL, FULL.regular),
    ]
    for type_ in types:
        basis = kernels.TypeBasis(type_, type_, 5)
        coeffs = {key: jax.ShapeDtypeStruct(s, np.float32) for key, s in basis.shapes.items()}
        closed = jax.make_jaxpr(basis.expand)(coeffs)
        inner = [eqn.params["jaxpr"] for eqn in closed.eqns if "jaxpr" in eqn.params]
        constants = [c for j in (closed, *inner) for c in getattr(j, "consts", ())]
        assert 0 < sum(np.asarray(c).nbytes for c in constants) < 2 * 2**20


# ---- derivatives -------------------------------------------------------------------------------


def counted(space, in_rep, out_rep, order):
    """``sum_f (floor((o - f) / 2) + 1) m_f`` with ``m_f`` by characters."""
    every = np.arange(space.group.order)[:, None]

    def characters(rep):
        return np.trace(rep.evaluate(every), axis1=1, axis2=2)

    o3 = groups.o3()
    where = o3.coordinates_of(list(space.element_matrices))
    total = 0
    for f in range(order + 1):
        mixes = np.trace(o3.irrep(f % 2, f).evaluate(where), axis1=1, axis2=2)
        count = np.mean(mixes * characters(in_rep) * characters(out_rep))
        total += ((order - f) // 2 + 1) * round(float(count))
    return total


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_number_of_operators(order):
    for space in (OCTAHEDRAL, FULL):
        for ins, outs in itertools.product((space.trivial, space.vector), repeat=2):
            basis = kernels.differential_basis(space, ins, outs, 5, maximum_order=order)
            assert basis.dim == counted(space, ins, outs, order)


@pytest.mark.parametrize(
    "options", [{}, {"smoothing": 1.1}, {"method": "rbf", "shape": 2.0}], ids=str
)
def test_stencils_satisfy_the_constraint(options):
    for space in (FULL, spaces.flip_rot_on_r3()):
        basis = kernels.differential_basis(
            space, space.trivial, space.vector, 3, maximum_order=2, **options
        )
        assert basis.dim == 1
        assert constraint(space, space.trivial, space.vector, basis.elements()) < 1e-12


def test_gradient_and_curl_are_exact_for_polynomials():
    space = spaces.flip_rot_on_r3()
    gradient = kernels.differential_basis(space, space.trivial, space.vector, 3, maximum_order=1)
    curl = kernels.differential_basis(space, space.vector, space.irrep(0, 1), 3, maximum_order=1)
    assert (gradient.dim, curl.dim) == (1, 1)
    x, y, z = spaces.grid_points((3, 3, 3)).T
    slopes = gradient.elements()[0, :, 0].reshape(3, -1) @ (2 * x - 3 * y + 5 * z + x * y)
    np.testing.assert_allclose(slopes / slopes[0], [1.0, -1.5, 2.5], atol=1e-12)
    field = np.stack([-y, x, 7 + z])  # the curl of (-y, x, z) is (0, 0, 2), an axial vector
    found = np.einsum("oit,it->o", curl.elements()[0].reshape(3, 3, -1), field)
    turned = space.group.irrep(0, 1).change_of_basis  # coordinates y, z, x of the irrep
    np.testing.assert_allclose(np.abs(found / np.abs(found).max()), turned @ [0, 1, 0], atol=1e-12)


def test_a_laplacian_in_physical_units():
    space = spaces.trivial_on_r3()
    parts = [
        kernels.derivative_stencil(space, orders, 3, spacing=0.5)
        for orders in ((2, 0, 0), (0, 2, 0), (0, 0, 2))
    ]
    x, y, z = 0.5 * spaces.grid_points((3, 3, 3)).T
    values = (x**2 + 3 * y**2 - z**2 + x * z).reshape(3, 3, 3)
    np.testing.assert_allclose(sum((part * values).sum() for part in parts), 2 + 6 - 2)


# ---- what is refused ---------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize(
    "options, message",
    [
        ({"maximum_offset": 1}, "maximum_offset: counts turns of a plane"),
        ({"rings": [0, 2.0]}, "between 0 and 1.732 for kernel 3"),
        ({"basis": "grid"}, "restrict the space to such a subgroup"),
        ({"kernel_size": (3, 5, 5)}, "harmonic basis expects equal sizes"),
    ],
)
def test_refusals(options, message):
    space = spaces.icosahedral_on_r3()
    arguments = {"kernel_size": 3, **options}
    with pytest.raises(ValueError, match=message):
        kernels.steerable_basis(space, space.trivial, space.trivial, **arguments)
