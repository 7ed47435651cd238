"""Groups, irreps, characters, multiplicities and Hom spaces against escnn 1.0.11."""

import warnings

import numpy as np
import pytest

from equivax import Representation, groups, hom_basis

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns of an optional package at import
    escnn_group = pytest.importorskip(
        "escnn.group", reason="escnn lives in an environment of its own"
    )


#: Name to ours and theirs.
FINITE = {
    "C1": (groups.cyclic(1), lambda: escnn_group.cyclic_group(1)),
    "C4": (groups.cyclic(4), lambda: escnn_group.cyclic_group(4)),
    "C7": (groups.cyclic(7), lambda: escnn_group.cyclic_group(7)),
    "D3": (groups.dihedral(3), lambda: escnn_group.dihedral_group(3)),
    "D4": (groups.dihedral(4), lambda: escnn_group.dihedral_group(4)),
    "D6": (groups.dihedral(6), lambda: escnn_group.dihedral_group(6)),
    "octahedral": (groups.octahedral(), lambda: escnn_group.octa_group()),
    "icosahedral": (groups.icosahedral(), lambda: escnn_group.ico_group()),
}
each_finite = pytest.mark.parametrize("name", FINITE)

#: escnn keeps its matrices in float64, but builds polyhedral ones through float32-like rounding
#: of Wigner matrices; characters agree to this.
ATOL = 1e-6


def matched(name):
    """Pairs of equal elements, ours in order; rotations of space are matched by matrix."""
    ours, build = FINITE[name]
    theirs = build()
    if name.endswith("hedral"):
        mats = np.stack([g.to("MAT") for g in theirs.elements])
        found = []
        for g in ours.elements:
            distance = np.abs(mats - ours.standard(g)).max(axis=(1, 2))
            if distance.min() > 1e-6:
                return ours, theirs, None  # other axes: only class functions can be compared
            found.append(theirs.elements[int(distance.argmin())])
        return ours, theirs, list(zip(ours.elements, found, strict=True))
    pairs = [(ours.element(g.value), g) for g in theirs.elements]
    assert {g for g, _ in pairs} == set(ours.elements)
    return ours, theirs, pairs


@each_finite
def test_irreps(name):
    ours, theirs, pairs = matched(name)
    assert ours.order == theirs.order()
    for irrep in theirs.irreps():
        mine = ours.irrep(*irrep.id)
        assert mine.size == irrep.size
        assert {"R": "real", "C": "complex", "H": "quaternionic"}[
            irrep.type
        ] == mine.endomorphism_type
        if pairs is None:
            a = sorted(round(mine.character(g), 5) for g in ours.elements)
            b = sorted(round(float(irrep.character(g)), 5) for g in theirs.elements)
            np.testing.assert_allclose(a, b, atol=2e-5)
            continue
        for g, h in pairs:
            assert mine.character(g) == pytest.approx(float(irrep.character(h)), abs=ATOL)
            if not name.endswith("hedral"):
                np.testing.assert_allclose(mine(g), irrep(h), atol=ATOL)
    assert len(ours.irreps()) == len(theirs.irreps())


@pytest.mark.parametrize("name", [n for n in FINITE if n != "icosahedral"])  # other axes in space
def test_products_of_elements(name):
    _, _, pairs = matched(name)
    to_ours = {h: g for g, h in pairs}
    for g, h in pairs[:8]:
        for a, b in pairs[:8]:
            assert to_ours[h @ b] == g @ a
        assert to_ours[~h] == ~g


def counted(rep):
    return {i: rep.irreps.count(i) for i in set(rep.irreps)}


@each_finite
def test_regular_and_tensor_multiplicities(name):
    ours, theirs, _ = matched(name)
    assert counted(ours.regular) == counted(theirs.regular_representation)
    irreps = theirs.irreps()
    for a in irreps[:3]:
        for b in irreps[-2:]:
            product = ours.irrep(*a.id) @ ours.irrep(*b.id)
            assert counted(product) == counted(a.tensor(b))


@pytest.mark.parametrize("name", ["C4", "D4", "D6"])
def test_hom_spaces_of_their_representations(name):
    ours, theirs, pairs = matched(name)
    partner = dict(pairs)
    rng = np.random.default_rng(0)
    regular = theirs.regular_representation
    pair = []
    for rep in (
        escnn_group.directsum([theirs.irreps()[-1], regular], name="sum"),
        escnn_group.directsum([regular, theirs.irreps()[1]], name="other sum"),
    ):
        q, _ = np.linalg.qr(rng.standard_normal((rep.size, rep.size)))
        turned = escnn_group.change_basis(rep, q, name=f"turned {rep.name}")
        pair.append(Representation.from_matrices(ours, lambda g, t=turned: t(partner[g])))
        assert pair[-1].multiplicities == counted(turned)
    in_rep, out_rep = pair
    basis = hom_basis(in_rep, out_rep)
    size = sum(
        n * out_rep.multiplicities.get(i, 0) * ours.irrep_data(i).endomorphism_dimension
        for i, n in in_rep.multiplicities.items()
    )
    assert basis.dim == size
    elements = basis.elements()
    for g, _ in pairs:
        np.testing.assert_allclose(elements @ in_rep(g), out_rep(g) @ elements, atol=1e-9)


LIE = {
    "SO2": (groups.so2(), lambda: escnn_group.so2_group(3)),
    "O2": (groups.o2(), lambda: escnn_group.o2_group(3)),
}


@pytest.mark.parametrize("name", LIE)
def test_planar_lie_groups(name):
    ours, build = LIE[name]
    theirs = build()
    rng = np.random.default_rng(0)
    for irrep in theirs.irreps():
        mine = ours.irrep(*irrep.id)
        assert {1: "R", 2: "C"}[len(mine.endomorphism_basis)] == irrep.type
        for _ in range(6):
            angle = float(rng.uniform(0, 2 * np.pi))
            value = angle if name == "SO2" else (int(rng.integers(2)), angle)
            np.testing.assert_allclose(
                mine(ours.element(value)), irrep(theirs.element(value)), atol=1e-9
            )


def test_so3_characters():
    ours, theirs = groups.so3(), escnn_group.so3_group(2)
    for seed in range(6):
        g = ours.sample(seed)
        h = theirs.element(ours.standard(g), param="MAT")
        for frequency in range(3):
            assert ours.irrep(frequency).character(g) == pytest.approx(
                float(theirs.irrep(frequency).character(h)), abs=ATOL
            )


@pytest.mark.parametrize("name", ["C4", "D4", "D6"])
def test_restriction_multiplicities(name):
    ours, theirs, _ = matched(name)
    spec = 2 if name == "C4" else (0, 2)
    inner, _, _ = theirs.subgroup(spec)
    for irrep in theirs.irreps():
        restricted = irrep.restrict(spec)
        mine = ours.irrep(*irrep.id).restrict(spec)
        assert mine.group.order == inner.order()
        assert counted(mine) == counted(restricted)
