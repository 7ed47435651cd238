"""`Representation`: from matrices, values, sums, products, restriction, induction."""

import copy
import pickle
import warnings

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equivax import Representation, direct_sum, groups, tensor_product
from random_types import FINITE, LIE, in_random_basis, laws, orthogonal, random_type, represent

C5, D4, Q8, S4 = FINITE["C5"], FINITE["D4"], FINITE["Q8"], FINITE["S4"]
SO2, O2, SO3 = LIE["SO2"], LIE["O2"], LIE["SO3"]
finite = st.sampled_from(list(FINITE))
any_group = st.sampled_from(list(FINITE | LIE))
seeds = st.integers(0, 2**20)


def draw(group, seed, **options):
    return random_type((FINITE | LIE)[group], np.random.default_rng(seed), **options)


def inner(a, b):
    """<a, b> = mean of the product of characters (finite groups)."""
    elements = a.group.elements
    return np.mean([a.character(g) * b.character(g) for g in elements])


# ---- from matrices ------------------------------------------------


@laws
@given(group=finite, seed=seeds)
def test_round_trip_through_matrices(group, seed):
    rep = draw(group, seed)
    found = Representation.from_matrices(rep.group, rep.matrices)
    assert found.multiplicities == rep.multiplicities
    # One Newton step polishes Q; the matrices are products of three factors.
    np.testing.assert_allclose(found.matrices, rep.matrices, atol=1e-12)
    q = found.change_of_basis
    np.testing.assert_allclose(q.T @ q, np.eye(rep.size), atol=1e-13)
    assert found.orthogonalizer is None


def test_many_copies_in_a_random_basis():
    basis = orthogonal(np.random.default_rng(0), 160)
    blocks = np.stack([np.kron(np.eye(20), D4.regular(g)) for g in D4.elements])
    found = Representation.from_matrices(D4, basis @ blocks @ basis.T)
    assert found.multiplicities == (20 * D4.regular).multiplicities
    np.testing.assert_allclose(found.matrices, basis @ blocks @ basis.T, atol=1e-12)


@pytest.mark.parametrize("group", list(LIE))
def test_round_trip_through_a_callable(group):
    rep = draw(group, 5, max_size=12)
    found = Representation.from_matrices(rep.group, lambda g: rep(g))
    assert found.multiplicities == rep.multiplicities
    for g in rep.group.testing_elements[:20]:
        np.testing.assert_allclose(found(g), rep(g), atol=1e-10)


@laws
@given(group=finite, seed=seeds)
def test_non_orthogonal_matrices_are_made_orthogonal(group, seed):
    rep = draw(group, seed, max_size=8)
    rng = np.random.default_rng(seed)
    skew = np.eye(rep.size) + 0.3 * rng.uniform(-1, 1, (rep.size, rep.size)) / rep.size
    given_matrices = np.linalg.inv(skew) @ rep.matrices @ skew
    metric = np.mean(given_matrices.transpose(0, 2, 1) @ given_matrices, axis=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = Representation.from_matrices(rep.group, given_matrices)
    assert found.multiplicities == rep.multiplicities
    root = found.orthogonalizer
    if root is None:
        # Then the matrices commute with the skew, so they were orthogonal as given.
        np.testing.assert_allclose(metric, np.eye(rep.size), atol=2e-6)
        return
    assert any("not orthogonal" in str(w.message) for w in caught)
    np.testing.assert_allclose(root, root.T, atol=1e-12)
    np.testing.assert_allclose(root @ root, metric, atol=1e-10)
    np.testing.assert_allclose(root @ given_matrices, found.matrices @ root, atol=1e-10)


def test_permutations_signs_and_conjugates():
    # A square's corners under a quarter turn and a diagonal mirror.
    turn, mirror = [1, 2, 3, 0], [0, 3, 2, 1]
    group = groups.from_generators([turn, mirror])
    corners = Representation.from_generators(group, [turn, mirror])
    assert corners.is_permutation
    assert corners.size == 4
    for g, p in zip(group.generators, (turn, mirror), strict=True):
        expected = np.eye(4)[:, p]  # e_j goes to e_p[j]
        np.testing.assert_allclose(corners(g), expected, atol=1e-12)
    signed = Representation.from_generators(group, [(turn, [-1] * 4), (mirror, [1] * 4)])
    assert signed.is_signed_permutation
    assert not signed.is_permutation
    np.testing.assert_allclose(
        signed(group.generators[0]), -corners(group.generators[0]), atol=1e-12
    )
    q = orthogonal(np.random.default_rng(0), 4)
    conjugated = Representation.from_generators(
        group, [q @ corners(g) @ q.T for g in group.generators]
    )
    assert conjugated.multiplicities == corners.multiplicities
    assert not conjugated.is_permutation
    assert not conjugated.is_signed_permutation


def test_permutation_convention_of_sign_tables():
    """(p, s) sends e_j to s[j] e_p[j], as in groups.from_generators."""
    p, s = [1, 2, 0], [1, -1, -1]
    group = groups.from_generators([(p, s)])
    rep = Representation.from_generators(group, [(p, s)])
    np.testing.assert_allclose(rep.matrices, group.defining.matrices, atol=1e-12)


@pytest.mark.usefixtures("unchecked_annotations")
def test_what_is_no_representation():
    square = D4.defining.matrices.copy()
    square[3] = square[2]
    with pytest.raises(ValueError, match=r"not a representation of D4.*rho\(a\) rho\(b\).*at a ="):
        Representation.from_matrices(D4, square)
    with pytest.raises(ValueError, match="identity"):
        Representation.from_matrices(D4, np.zeros((8, 2, 2)))
    with pytest.raises(ValueError, match=r"expected shape \(8, n, n\)"):
        Representation.from_matrices(D4, np.zeros((7, 2, 2)))
    with pytest.raises(ValueError, match="finite entries"):
        Representation.from_matrices(D4, np.full((8, 2, 2), np.nan))
    with pytest.raises(TypeError, match="infinite"):
        Representation.from_matrices(SO2, np.eye(2)[None])
    with pytest.raises(ValueError, match="not a representation of SO"):
        Representation.from_matrices(SO2, lambda g: 0.5 * SO2.irrep(1)(g))
    with pytest.raises(ValueError, match="one per generator"):
        Representation.from_generators(D4, [np.eye(2)])
    with pytest.raises(ValueError, match="a permutation of 0"):
        Representation.from_generators(D4, [np.array([0, 0]), np.array([0, 1])])


def test_dictionary_free_reducible_callable():
    """A fault of symm-learning 0.8.1: a reducible callable raised a TypeError."""
    rep = in_random_basis(D4.regular + D4.irrep(1, 1), 3)
    found = Representation.from_matrices(D4, rep)
    np.testing.assert_allclose(found.matrices, rep.matrices, atol=1e-12)


# ---- values ------------------------------------------------


@laws
@given(group=any_group, seed=seeds)
def test_equal_constructions_are_equal(group, seed):
    first, second = draw(group, seed), draw(group, seed)
    assert first is not second
    assert first == second
    assert hash(first) == hash(second)
    if first.group.order is not None:
        a = Representation.from_matrices(first.group, first.matrices, "a")
        b = Representation.from_matrices(first.group, second.matrices.copy(), "b")
        assert a == b
        assert hash(a) == hash(b)


def test_equality_is_by_content():
    rep = in_random_basis(2 * D4.irrep(1, 1), 1)
    renamed = represent(D4, rep.irreps, rep.change_of_basis, "other")
    assert renamed == rep
    assert rep.fused("label") == rep
    moved = rep.change_of_basis.copy()
    moved[:, [0, 2]] = moved[:, [2, 0]]
    assert represent(D4, rep.irreps, moved) != rep
    assert D4.irrep(1, 1) != groups.dihedral(3).irrep(1, 1)
    assert (D4.trivial + D4.regular) != (D4.regular + D4.trivial)
    assert 2 * D4.regular != (2 * D4.regular).fused()


@laws
@given(group=any_group, seed=seeds)
def test_pickle_and_copy(group, seed):
    rep = draw(group, seed)
    assert pickle.loads(pickle.dumps(rep)) == rep
    assert copy.deepcopy(rep) == rep
    assert copy.copy(rep) is rep
    assert jax.tree.leaves(rep) == []


def test_immutable():
    rep = D4.regular + D4.trivial
    with pytest.raises(AttributeError, match="immutable"):
        rep.name = "x"
    with pytest.raises(ValueError, match="read-only"):
        D4.regular.change_of_basis[0, 0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        in_random_basis(D4.irrep(1, 1), 0).data[0][0].change_of_basis[0, 0] = 1.0


# ---- sums ------------------------------------------------


def test_runs_and_summands():
    r, t = D4.regular, D4.trivial
    rep = 2 * r + 3 * t + r
    assert rep.runs == ((r, 2), (t, 3), (r, 1))
    assert rep.summands == (r, r, t, t, t, r)
    assert tuple(rep) == rep.summands
    assert rep.size == 27
    assert r + r == 2 * r
    assert r * 2 == 2 * r
    assert direct_sum([r, r, t]) == 2 * r + t
    assert 2 * (r + t) == r + t + r + t
    fused = rep.fused()
    assert len(fused.summands) == 1
    assert fused.irreps == rep.irreps
    # The same three factors, multiplied as one block.
    np.testing.assert_allclose(fused.matrices, rep.matrices, atol=1e-14)


@laws
@given(group=any_group, seed=seeds)
def test_sums_are_block_diagonal(group, seed):
    a, b = draw(group, seed), draw(group, seed + 1)
    for g in a.group.testing_elements[:6]:
        whole = (a + b)(g)
        np.testing.assert_array_equal(whole[: a.size, : a.size], a(g))
        np.testing.assert_array_equal(whole[a.size :, a.size :], b(g))
        assert not whole[: a.size, a.size :].any()
        assert not whole[a.size :, : a.size].any()
        assert (a + b).character(g) == pytest.approx(np.trace(whole), abs=1e-10)


@laws
@given(group=any_group, seed=seeds)
def test_matrices_multiply_and_are_orthogonal(group, seed):
    rep = draw(group, seed)
    g, h = rep.group.sample(seed), rep.group.sample(seed + 1)
    np.testing.assert_allclose(rep(g) @ rep(h), rep(g @ h), atol=1e-12)
    np.testing.assert_allclose(rep(~g), rep(g).T, atol=1e-12)
    x = np.random.default_rng(seed).standard_normal((2, 3, rep.size))
    np.testing.assert_allclose(rep.transform(x, g), x @ rep(g).T, atol=1e-12)


@laws
@given(group=any_group, seed=seeds)
def test_isotypic_sorts_and_keeps_the_matrices(group, seed):
    rep = draw(group, seed)
    sorted_rep = rep.isotypic()
    assert sorted_rep.isotypic() == sorted_rep
    keys = [rep.group.irrep_sort_key(i) for i in sorted_rep.irreps]
    assert keys == sorted(keys)
    for g in rep.group.testing_elements[:6]:
        np.testing.assert_allclose(sorted_rep(g), rep(g), atol=1e-12)
    # Copies keep their relative order: same columns, permuted.
    for (_, _, old), (_, _, new) in zip(
        rep.isotypic_blocks, sorted_rep.isotypic_blocks, strict=True
    ):
        np.testing.assert_array_equal(
            rep.change_of_basis[:, old.ravel()], sorted_rep.change_of_basis[:, new.ravel()]
        )


def test_isotypic_returns_an_equal_object_when_nothing_moves():
    rep = D4.trivial + 2 * D4.irrep(1, 1)
    assert rep.isotypic() == rep
    assert (D4.irrep(1, 1) + D4.trivial).isotypic() != D4.irrep(1, 1) + D4.trivial


def slanted(stretch):
    """The swap of two coordinates, in coordinates of unequal length."""
    matrix = np.array([[0.0, stretch**-2], [stretch**2, 0.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Representation.from_matrices(FINITE["C2"], np.stack([np.eye(2), matrix]))


def test_orthogonalizers_belong_to_their_summands():
    # Both become the swap; only T tells them apart.
    a, b = slanted(2.0), slanted(3.0)
    np.testing.assert_allclose(a.matrices, b.matrices, atol=1e-12)
    both = a + b
    expected = np.zeros((4, 4))
    expected[:2, :2], expected[2:, 2:] = a.orthogonalizer, b.orthogonalizer
    np.testing.assert_array_equal(both.orthogonalizer, expected)
    np.testing.assert_array_equal(both.fused().orthogonalizer, expected)
    assert a != b


def test_orthogonalizer_is_kept_by_what_keeps_the_vectors():
    rep = slanted(2.0) + FINITE["C2"].trivial
    np.testing.assert_array_equal(rep.isotypic().orthogonalizer, rep.orthogonalizer)
    restricted = rep.restrict("trivial")
    np.testing.assert_array_equal(restricted.orthogonalizer, rep.orthogonalizer)
    other = slanted(3.0)
    np.testing.assert_allclose(
        (slanted(2.0) @ other).orthogonalizer,
        np.kron(slanted(2.0).orthogonalizer, other.orthogonalizer),
        atol=1e-12,
    )
    c4 = groups.cyclic(4)
    twice = np.kron(np.eye(2), other.orthogonalizer)
    np.testing.assert_array_equal(c4.induced(2, other).orthogonalizer, twice)


@pytest.mark.usefixtures("unchecked_annotations")
def test_refusals():
    with pytest.raises(ValueError, match="needs at least one"):
        direct_sum([])
    with pytest.raises(ValueError, match="D4"):
        D4.regular + C5.regular
    with pytest.raises(ValueError, match="positive number of copies"):
        0 * D4.regular
    with pytest.raises(TypeError):
        1.5 * D4.regular
    with pytest.raises(ValueError, match="one of C5"):
        D4.regular(C5.generators[0])
    with pytest.raises(ValueError, match="infinite"):
        SO2.regular  # noqa: B018
    with pytest.raises(ValueError, match="defined for irreps"):
        D4.regular.endomorphism_basis  # noqa: B018
    with pytest.raises(ValueError, match=r"expected \(..., 8\)"):
        D4.regular.transform(np.ones(7), D4.identity)


# ---- regular, quotient, induced ------------------------------------------------


@pytest.mark.parametrize("name", FINITE)
def test_regular(name):
    group = FINITE[name]
    rep = group.regular
    for g in group.generators:
        for k, h in enumerate(group.elements):
            image = np.zeros(group.order)
            image[(g @ h).index] = 1.0
            np.testing.assert_allclose(rep(g)[:, k], image, atol=1e-12)
    for irrep in group.irreps():
        s = len(irrep.endomorphism_basis)
        assert rep.multiplicities[irrep.irreps[0]] == irrep.size // s
    assert sum(i.size**2 // len(i.endomorphism_basis) for i in group.irreps()) == group.order


SUBGROUPS = [
    (D4, (0, 1)),
    (D4, (None, 4)),
    (D4, (1, 2)),
    (S4, [S4.generators[0]]),
    (Q8, [Q8.generators[0]]),
    (FINITE["C6"], 3),
    (FINITE["C4xQ8"], "trivial"),
]
each_subgroup = pytest.mark.parametrize("group, spec", SUBGROUPS, ids=str)


@each_subgroup
def test_quotient_permutes_cosets(group, spec):
    inside = group.subgroup(spec)
    rep = group.quotient(inside)
    assert rep.is_permutation
    assert rep.size == group.order // inside.group.order
    starts = inside.coset_representatives
    members = {inside.embedding(h) for h in inside.group.elements}
    for g in group.generators:
        for j, s in enumerate(starts):
            (i,) = [i for i, r in enumerate(starts) if ~r @ (g @ s) in members]
            column = np.zeros(rep.size)
            column[i] = 1.0
            np.testing.assert_allclose(rep(g)[:, j], column, atol=1e-12)


@each_subgroup
def test_induced_blocks_and_frobenius_reciprocity(group, spec):
    inside = group.subgroup(spec)
    rng = np.random.default_rng(1)
    sigma = random_type(inside.group, rng, summands=1)
    rep = group.induced(inside, sigma)
    starts = inside.coset_representatives
    place = {inside.embedding(h): h for h in inside.group.elements}
    for g in group.generators:
        expected = np.zeros((len(starts), sigma.size, len(starts), sigma.size))
        for i, r in enumerate(starts):
            for j, s in enumerate(starts):
                moved = ~r @ (g @ s)
                if moved in place:
                    expected[i, :, j] = sigma(place[moved])
        np.testing.assert_allclose(rep(g), expected.reshape(rep.size, rep.size), atol=1e-12)
    for seed in range(3):
        other = random_type(group, np.random.default_rng(seed))
        restricted = other.restrict(inside)
        assert inner(rep, other) == pytest.approx(inner(sigma, restricted), abs=1e-9)


def test_induced_remembers_where_it_comes_from():
    inside = D4.subgroup((None, 4))
    sigma = inside.group.irrep(1)
    assert D4.induced(inside, sigma).induced_from == (inside, sigma)
    assert D4.quotient(inside).induced_from == (inside, inside.group.trivial)
    assert D4.irrep(1, 1).induced_from is None


@pytest.mark.parametrize("frequency", [0, 1, 3])
def test_induced_from_so2_to_o2(frequency):
    inside = O2.subgroup("so2")
    sigma = inside.group.irrep(frequency)
    rep = O2.induced(inside, sigma)
    assert rep.size == 2 * sigma.size
    # <Ind sigma, rho> dim over irreps of O(2) equals <sigma, Res rho>.
    for irrep in O2.irreps(4):
        s = len(irrep.endomorphism_basis)
        restricted = irrep.restrict(inside)
        algebra = len(sigma.endomorphism_basis)
        left = rep.multiplicities.get(irrep.irreps[0], 0) * s
        right = restricted.multiplicities.get(sigma.irreps[0], 0) * algebra
        assert left == right
    for seed in range(5):
        g, h = O2.sample(seed), O2.sample(seed + 10)
        np.testing.assert_allclose(rep(g) @ rep(h), rep(g @ h), atol=1e-12)


# ---- restriction, tensor products ------------------------------------------------


@each_subgroup
def test_restriction_has_the_same_matrices(group, spec):
    inside = group.subgroup(spec)
    rep = random_type(group, np.random.default_rng(2))
    restricted = rep.restrict(inside)
    assert restricted.group is inside.group
    assert [s.size for s in restricted.summands] == [s.size for s in rep.summands]
    for h in inside.group.elements:
        np.testing.assert_allclose(restricted(h), rep(inside.embedding(h)), atol=1e-12)


@pytest.mark.parametrize(
    "group, spec",
    [(SO2, 4), (O2, "so2"), (O2, (None, 3)), (O2, (0.3, 4)), (SO3, "so2"), (SO3, "octahedral")],
    ids=str,
)
def test_restriction_of_lie_groups(group, spec):
    inside = group.subgroup(spec)
    rep = in_random_basis(group.irreps(2)[-1] + group.irreps(1)[-1], 3)
    restricted = rep.restrict(inside)
    for h in inside.group.testing_elements[:30]:
        np.testing.assert_allclose(restricted(h), rep(inside.embedding(h)), atol=1e-11)


@laws
@given(group=any_group, seed=seeds)
def test_tensor_product_is_the_kronecker_product(group, seed):
    a, b = draw(group, seed, max_size=6), draw(group, seed + 1, max_size=6)
    product = a @ b
    assert product == tensor_product(a, b)
    for g in a.group.testing_elements[:6]:
        np.testing.assert_allclose(product(g), np.kron(a(g), b(g)), atol=1e-11)
    q = product.change_of_basis
    np.testing.assert_allclose(q.T @ q, np.eye(product.size), atol=1e-12)


def test_tensor_product_keeps_the_summands_of_the_left():
    product = (2 * D4.regular + D4.trivial) @ D4.irrep(1, 1)
    assert [n for _, n in product.runs] == [2, 1]
    assert [s.size for s in product.summands] == [16, 16, 2]


# ---- facts about products of groups ------------------------------------------------


@pytest.mark.parametrize(
    "left, right, order",
    [
        (Q8, Q8, 64),
        (groups.cyclic(4), Q8, 32),
        (groups.cyclic(3), groups.cyclic(3), 9),
        (groups.cyclic(4), groups.dihedral(3), 24),
    ],
    ids=str,
)
def test_irreps_of_direct_products(left, right, order):
    group = groups.direct_product(left, right)
    irreps = group.irreps()
    assert group.order == order
    assert sum(i.size**2 / len(i.endomorphism_basis) for i in irreps) == order
    table = np.array([[i.character(g) for g in group.elements] for i in irreps])
    gram = table @ table.T / order
    endo = [len(i.endomorphism_basis) for i in irreps]
    np.testing.assert_allclose(gram, np.diag(endo), atol=1e-10)
    squares = [g @ g for g in group.elements]
    for irrep, s in zip(irreps, endo, strict=True):
        # Frobenius-Schur: 1, 0, -2 for the types R, C, H of a real irrep.
        indicator = np.mean([irrep.character(g) for g in squares])
        assert indicator == pytest.approx({1: 1, 2: 0, 4: -2}[s], abs=1e-10)
        for psi in irrep.endomorphism_basis[1:]:
            np.testing.assert_allclose(psi @ psi, -np.eye(irrep.size), atol=1e-12)
            np.testing.assert_allclose(irrep.matrices @ psi, psi @ irrep.matrices, atol=1e-12)


def test_types_meet_in_direct_products():
    def sizes(group, kind):
        return [i.size for i in group.irreps() if i.endomorphism_type == kind]

    q8q8 = groups.direct_product(Q8, Q8)
    assert 4 in sizes(q8q8, "real")
    c4q8 = groups.direct_product(groups.cyclic(4), Q8)
    assert sizes(c4q8, "complex").count(4) == 1
    assert 4 in sizes(c4q8, "quaternionic")


# ---- admissibility ------------------------------------------------


def test_a_turned_regular_representation_is_no_permutation():
    assert D4.regular.is_permutation
    assert not in_random_basis(D4.regular, 0).is_permutation
    assert not in_random_basis(D4.regular, 0).is_signed_permutation
    assert (D4.regular + D4.trivial).is_permutation
    assert not (D4.regular + D4.irrep(1, 1)).is_permutation
    assert (D4.regular + D4.irrep(1, 1)).is_signed_permutation
