"""Groups, irreps and representations against the golden numbers."""

import numpy as np
import pytest

import golden_fields as gf
import golden_vectors as gv
from equivax import Representation
from equivax.groups import Group, Subgroup
from golden_vectors import ATOL

each_group = pytest.mark.parametrize("name", gv.GROUPS)
each_rep = pytest.mark.parametrize("name", gv.REPS)
built = pytest.mark.parametrize("build", [gv.match, gv.match_generated], ids=["named", "generated"])


@built
@each_group
def test_group_multiplies_as_golden(name, build):
    m = build(name)
    table = gv.array(f"G/{name}/mul").astype(int)
    coordinates = m.group.coordinates_of(m.group.elements)
    a, b = (
        np.repeat(coordinates, len(coordinates), axis=0),
        np.tile(coordinates, (len(coordinates), 1)),
    )
    products = m.group.compose(a, b)[:, 0].reshape(len(coordinates), -1).astype(int)
    assert np.array_equal(m.index[products], table[m.index][:, m.index])
    inverses = m.group.invert(coordinates)[:, 0].astype(int)
    assert np.array_equal(m.index[inverses], gv.array(f"G/{name}/inv")[m.index])


@built
@each_group
def test_irreps_are_golden_ones_in_another_basis(name, build):
    m = build(name)
    records = gv.facts()["groups"][name]["irreps"]
    assert len(m.group.irreps()) == len(records)
    assert len(set(m.ids.values())) == len(records)
    for record in records:
        irrep = m.group.irrep(*m.ids[record["name"]])
        assert irrep.size == record["d"]
        assert irrep.endomorphism_type == gv.TYPES[record["type"]]
        assert irrep.endomorphism_basis.shape == (record["endo"], record["d"], record["d"])
        t = m.intertwiners[record["name"]]
        np.testing.assert_allclose(t @ t.T, np.eye(len(t)), atol=ATOL)
        moved = t @ m.golden_irrep(record["name"]) @ t.T
        np.testing.assert_allclose(irrep.matrices, moved, atol=ATOL)


@each_group
def test_endomorphisms_span_the_golden_algebra(name):
    m = gv.match(name)
    for irrep in m.ids:
        rotation = m.unit_rotation(irrep)
        # Orthogonal, with 1 fixed: the same algebra, units turned among themselves.
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(len(rotation)), atol=ATOL)
        np.testing.assert_allclose(rotation[0], np.eye(len(rotation))[0], atol=ATOL)


@each_rep
def test_from_matrices_finds_golden_multiplicities(name):
    record = gv.facts()["reps"][name]
    rep = gv.from_golden_matrices(name)
    m = gv.match(name.split("/")[0])
    expected = {m.ids[i]: n for i, n in record["multiplicities"].items() if n}
    assert rep.multiplicities == expected
    assert rep.size == record["size"]
    trivial = m.ids["r0"]
    assert rep.multiplicities.get(trivial, 0) == record["n_invariant"]
    assert rep.contains_trivial == (record["n_invariant"] > 0)
    given = gv.matrices(name, m.index)
    entries_are_0_or_1 = bool((np.minimum(np.abs(given), np.abs(given - 1)) < ATOL).all())
    assert rep.is_permutation == entries_are_0_or_1
    np.testing.assert_allclose(rep.matrices, given, atol=ATOL)
    characters = [rep.character(g) for g in m.group.elements]
    np.testing.assert_allclose(characters, np.array(record["character"])[m.index], atol=ATOL)
    q = rep.change_of_basis
    np.testing.assert_allclose(q.T @ q, np.eye(rep.size), atol=1e-13)  # polished by a Newton step


@each_rep
def test_golden_basis_gives_golden_matrices(name):
    rep = gv.with_golden_basis(name)
    m = gv.match(name.split("/")[0])
    np.testing.assert_allclose(rep.matrices, gv.matrices(name, m.index), atol=ATOL)
    assert rep.irreps == tuple(m.ids[i] for i in gv.facts()["reps"][name]["irreps"])


@pytest.mark.parametrize("source", [gv.from_golden_matrices, gv.with_golden_basis])
@each_rep
def test_isotypic_blocks_project_as_golden(name, source):
    if not gv.has(f"R/{name}/iso"):
        assert gv.facts()["reps"][name]["size"] > 24
        return
    rep = source(name)
    m = gv.match(name.split("/")[0])
    sorted_rep = rep.isotypic()
    columns = sorted_rep.change_of_basis
    occurring = [r for r in m.ids if gv.facts()["reps"][name]["multiplicities"].get(r)]
    projectors = dict(zip(occurring, gv.array(f"R/{name}/iso"), strict=True))
    start, order = 0, []
    for irrep, count, block in sorted_rep.isotypic_blocks:
        # Adjacent in one stretch, in the group's order.
        assert block.ravel().tolist() == list(range(start, start + block.size))
        assert len(block) == count
        start += block.size
        order.append(irrep)
        (golden,) = [r for r in occurring if m.ids[r] == irrep]
        q = columns[:, block.ravel()]
        np.testing.assert_allclose(q @ q.T, projectors.pop(golden), atol=ATOL)
    assert not projectors
    assert order == [i for i in m.group.irrep_ids() if i in order]
    np.testing.assert_allclose(sorted_rep.matrices, rep.matrices, atol=ATOL)
    assert sorted_rep.isotypic() == sorted_rep


@each_group
def test_matrices_that_are_not_orthogonal(name):
    m = gv.match(name)
    given = gv.array(f"N/{name}/rho")[m.index]
    with pytest.warns(UserWarning, match="not orthogonal"):
        rep = Representation.from_matrices(m.group, given, "slanted")
    root = gv.array(f"N/{name}/metric_sqrt")
    scale = np.abs(root).max()
    np.testing.assert_allclose(rep.orthogonalizer, root, atol=ATOL * scale)
    np.testing.assert_allclose(root @ root, gv.array(f"N/{name}/metric"), atol=ATOL * scale**2)
    np.testing.assert_allclose(rep.matrices, root @ given @ np.linalg.inv(root), atol=ATOL)
    np.testing.assert_allclose(
        rep.matrices @ rep.matrices.transpose(0, 2, 1),
        np.eye(rep.size)[None].repeat(len(given), 0),
        atol=1e-12,  # rounding of a product of orthogonal matrices of size at most 12
    )
    assert rep.multiplicities == gv.from_golden_matrices(f"{name}/mix").multiplicities


# ---- facts about fields -----------------------------------------------------------------------


def irreps_of(group: Group, counts: dict[str, int]) -> dict[tuple, int]:
    return {gf.irrep_id(group, i): n for i, n in counts.items() if n}


def polyhedral_stabiliser(group: Group, text: str) -> Subgroup:
    """The cyclic group of a rotation named by its order (and, for 2 in the cube, its axis)."""
    order = int(text.split("_")[3])
    about_face = "face_axis" in text
    for g in group.elements:
        matrix = group.standard(g)
        powers, power = 1, g
        while power != group.identity:
            power, powers = power @ g, powers + 1
        # A half turn about a face axis of the cube is diagonal; about an edge axis it is not.
        diagonal = np.abs(matrix - np.diag(np.diag(matrix))).max() < 1e-6
        if powers == order and (diagonal or not about_face):
            return group.subgroup([g])
    raise AssertionError(f"{group} has no {text}")


FIELDS = gv.field_facts()["multiplicities"]


@pytest.mark.parametrize("name", FIELDS["regular"])
def test_regular_multiplicities(name):
    group = gf.group(name)
    assert group.regular.multiplicities == irreps_of(group, FIELDS["regular"][name])


@pytest.mark.parametrize("name", FIELDS["quotient"])
def test_quotient_and_induced_multiplicities(name):
    group_name, text = name.split("/")
    group = gf.group(group_name)
    record = FIELDS["quotient"][name]
    if text.startswith("rotation_of_order"):
        rep = group.quotient(polyhedral_stabiliser(group, text))
    else:
        rep = gf.representation(group, text)
    assert rep.size == record["size"]
    assert rep.multiplicities == irreps_of(group, record["irreps"])


@pytest.mark.parametrize("name", FIELDS["tensor"])
def test_tensor_product_multiplicities(name):
    group_name, text = name.split("/")
    group = gf.group(group_name)
    a, b = (group.irrep(*gf.irrep_id(group, part)) for part in text.split("x"))
    assert (a @ b).multiplicities == irreps_of(group, FIELDS["tensor"][name])


@pytest.mark.parametrize("name", FIELDS["restriction"])
def test_restriction_multiplicities(name):
    group_name, text, inner_name = name.split("/")
    group = gf.group(group_name)
    inner = gf.subgroup(group, inner_name)
    found = gf.representation(group, text).restrict(inner).multiplicities
    assert found == irreps_of(inner.group, FIELDS["restriction"][name])


@pytest.mark.parametrize("name", gf.admissible())
def test_admissible_facts(name):
    group_name, text = name.split("/")
    rep = gf.representation(gf.group(group_name), text)
    record = gf.admissible()[name]
    trivial = rep.group.trivial.irreps[0]
    assert rep.size == record["size"]
    assert rep.is_permutation == record["permutation"]
    assert rep.is_signed_permutation == record["signed_permutation"]
    assert rep.is_trivial == record["trivial"]
    assert rep.multiplicities.get(trivial, 0) == record["trivial_multiplicity"]
