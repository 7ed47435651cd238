"""The grid basis: complete and exact, by Burnside's count and a brute-force null space."""

import numpy as np
import pytest

import golden_kernels as gk
from equivax import groups, kernels, spaces
from equivax.kernels.recipes._grid import permutation_table, tap_points
from equivax.spaces import GSpace, grid_points

SQUARE = ["C1", "C2", "C4", "D1", "D2", "D4"]


def reps_of(space):
    group = space.group
    return [group.trivial, group.regular, (group.irreps(1)[-1] + group.trivial).fused()]


def burnside(space, in_rep, out_rep, kernel):
    """Mean over the group of chi_in chi_out times the number of fixed taps."""
    points, total = grid_points(kernel), 0.0
    for g in space.group.elements:
        moved = points @ space.matrix(g).T
        fixed = (np.abs(moved - points).max(axis=1, initial=0.0) < 1e-6).sum()
        total += in_rep.character(g) * out_rep.character(g) * fixed
    return round(total / space.group.order)


def null_space(space, in_rep, out_rep, kernel):
    """Orthonormal basis of all kernels that the group fixes, from its projector."""
    points = grid_points(kernel)
    total = 0.0
    for g in space.group.elements:
        moved = points @ space.matrix(g).T
        place = np.array([np.abs(points - m).sum(axis=1).argmin() for m in moved])
        shift = np.eye(len(points))[place].T  # tap p goes to A p
        total = total + np.kron(np.kron(out_rep(g), in_rep(g)), shift)
    values, vectors = np.linalg.eigh(total / space.group.order)
    return vectors[:, values > 0.5].T


def constraint_error(space, kernel, in_rep, out_rep, elements):
    points = np.rint(2 * tap_points(kernel.shape[2:])).astype(int)
    flat, worst = kernel.reshape(*kernel.shape[:2], -1), 0.0
    index = {tuple(p): n for n, p in enumerate(points.tolist())}
    for g in elements:
        moved = points @ np.rint(space.matrix(g)).astype(int).T
        there = [index[tuple(p)] for p in moved.tolist()]
        wanted = np.einsum("oa,ait,ji->ojt", out_rep(g), flat, in_rep(g))
        worst = max(worst, float(np.abs(flat[:, :, there] - wanted).max(initial=0.0)))
    return worst


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", SQUARE)
def test_complete_and_exact(name, size):
    space = gk.space_named(name)
    for in_rep in reps_of(space):
        for out_rep in reps_of(space):
            basis = kernels.steerable_basis(space, in_rep, out_rep, size, basis="grid")
            assert basis.dim == burnside(space, in_rep, out_rep, (size, size))
            elements = basis.elements()
            coeffs = np.random.default_rng(0).standard_normal(basis.dim)
            kernel = np.tensordot(coeffs, elements, 1)
            error = constraint_error(space, kernel, in_rep, out_rep, space.group.elements)
            assert error < 1e-12
            flat = elements.reshape(basis.dim, -1)
            gram = flat @ flat.T
            off = gram - np.diag(np.diag(gram))
            np.testing.assert_allclose(off, 0, atol=1e-12)  # orbits and solutions are orthogonal


@pytest.mark.parametrize("name", SQUARE)
def test_span_is_the_null_space(name):
    space = gk.space_named(name)
    for in_rep, out_rep in [(space.trivial, space.regular), (reps_of(space)[2],) * 2]:
        basis = kernels.steerable_basis(space, in_rep, out_rep, 3, basis="grid")
        flat = basis.elements().reshape(basis.dim, -1)
        wanted = null_space(space, in_rep, out_rep, (3, 3))
        assert len(wanted) == basis.dim
        np.testing.assert_allclose(flat @ wanted.T @ wanted, flat, atol=1e-12)


@pytest.mark.parametrize("name", ["C1", "C2", "D1", "D2"])
def test_unequal_sizes_where_no_axes_swap(name):
    space = gk.space_named(name)
    rep = space.regular
    basis = kernels.steerable_basis(space, rep, rep, (3, 4), basis="grid")
    assert basis.elements().shape[-2:] == (3, 4)
    assert basis.dim == burnside(space, rep, rep, (3, 4))
    kernel = np.tensordot(np.arange(1.0, basis.dim + 1), basis.elements(), 1)
    assert constraint_error(space, kernel, rep, rep, space.group.elements) < 1e-11


def test_the_harmonic_span_lies_in_the_grid_span():
    for name in SQUARE:
        space = gk.space_named(name)
        rep = space.regular
        harmonic = kernels.steerable_basis(space, rep, rep, 5)
        grid = kernels.steerable_basis(space, rep, rep, 5, basis="grid")
        flat = harmonic.elements().reshape(harmonic.dim, -1)
        wide = grid.elements().reshape(grid.dim, -1)
        wide = wide / np.linalg.norm(wide, axis=1)[:, None]
        np.testing.assert_allclose(flat @ wide.T @ wide, flat, atol=1e-11)


def test_hyperoctahedral_group_of_the_square_is_dihedral():
    group = groups.hyperoctahedral(2)
    space, plane = GSpace(group, group.defining), gk.space_named("D4")
    for size in (2, 3, 5):
        one = kernels.steerable_basis(space, group.trivial, group.defining, size, basis="grid")
        two = kernels.steerable_basis(plane, plane.trivial, plane.vector, size, basis="grid")
        flat, other = (b.elements().reshape(b.dim, -1) for b in (one, two))
        other = other / np.linalg.norm(other, axis=1)[:, None]
        assert one.dim == two.dim
        np.testing.assert_allclose(flat @ other.T @ other, flat, atol=1e-12)


@pytest.mark.parametrize("size", [3, 5])
def test_harmonics_need_the_action_only(size):
    """A group that is no dihedral group by name, but acts like one."""
    group = groups.hyperoctahedral(2)
    space, plane = GSpace(group, group.defining), gk.space_named("D4")
    one = kernels.steerable_basis(space, group.regular, group.regular, size)
    two = kernels.steerable_basis(plane, plane.regular, plane.regular, size)
    assert one.dim == two.dim
    kernel = np.tensordot(np.ones(one.dim), one.elements(), 1)
    error = constraint_error(space, kernel, group.regular, group.regular, group.elements)
    assert error < 1e-11


def test_three_dimensions():
    group = groups.hyperoctahedral(3)
    space = GSpace(group, group.defining)
    # Counts of invariant filters of side 3: scalars and vectors of the full group of the cube.
    for rep, count in [(group.trivial, 4), (group.defining, 3)]:
        basis = kernels.steerable_basis(space, group.trivial, rep, 3, basis="grid")
        assert basis.dim == count
        kernel = np.tensordot(np.ones(count), basis.elements(), 1)
        error = constraint_error(space, kernel, group.trivial, rep, group.elements)
        assert error < 1e-12


@pytest.mark.parametrize("basis", ["harmonic", "grid"])
def test_lines(basis):
    group = groups.dihedral(3)
    space = spaces.on_r1(group)
    rep = (group.regular + group.irrep(1, 1)).fused()
    found = kernels.steerable_basis(space, rep, group.regular, 4, basis=basis)
    hom = kernels.steerable_basis(spaces.no_base_space(group), rep, group.regular, 1)
    assert found.dim == 4 * hom.dim
    assert found.elements().shape[1:] == (6, 8, 4)
    assert hom.elements().shape[1:] == (6, 8)


def test_reflected_lines():
    space = spaces.flip_on_r1()
    rep = space.regular
    for size in (1, 2, 3, 4):
        basis = kernels.steerable_basis(space, rep, space.trivial, size)
        assert basis.dim == burnside(space, rep, space.trivial, (size,))
        kernel = np.tensordot(np.arange(1.0, basis.dim + 1), basis.elements(), 1)
        elements = space.group.elements
        assert constraint_error(space, kernel, rep, space.trivial, elements) < 1e-12


@pytest.mark.parametrize("name", ["so2", "o2"])
def test_infinite_groups_on_lines(name):
    group = getattr(groups, name)()
    vector = group.irreps(1)[-1]
    space = spaces.on_r1(group)
    basis = kernels.steerable_basis(space, vector, vector, 3)
    assert basis.dim == 3 * len(vector.endomorphism_basis)
    if name == "o2":  # rotations leave the line alone, mirrors reverse it
        space = GSpace(group, group.irrep(1, 0))
        basis = kernels.steerable_basis(space, vector, vector, 3)
        assert basis.dim == 3  # the identity at the centre and for both signs, J with the sign
        kernel = np.tensordot(np.ones(basis.dim), basis.elements(), 1)
        elements = group.testing_elements
        assert constraint_error(space, kernel, vector, vector, elements) < 1e-12


def test_orbits_of_one_kind_share_their_representation():
    space = gk.space_named("D4")
    recipe = kernels.GridRecipe((7, 7))
    assert len(recipe.parts(space)) == 10
    # centre; two kinds of four on the axes and diagonals; generic orbits of eight
    assert len({part.rep for part in recipe.parts(space)}) == 4


def test_attributes_of_taps():
    space = gk.space_named("C4")
    basis = kernels.steerable_basis(space, space.trivial, space.regular, 3, basis="grid")
    rows = basis.attributes()
    assert [r["radius"] for r in rows] == sorted(r["radius"] for r in rows)
    assert all(r["frequency"] is None and r["offset"] is None for r in rows)
    assert len(set(basis.names())) == basis.dim == 9


@pytest.mark.parametrize("name", ["C3", "C8", "D3", "SO2", "O2"])
def test_other_groups_are_refused(name):
    space = gk.space_named(name)
    with pytest.raises(ValueError, match=r'quarter turns .*use basis="harmonic"'):
        kernels.steerable_basis(space, space.trivial, space.trivial, 3, basis="grid")


def test_tables_of_large_kernels_are_found_in_integers():
    space = gk.space_named("D4")
    table = permutation_table(space, (31, 31))
    assert table.shape == (8, 961)
    assert (np.sort(table, axis=1) == np.arange(961)).all()
