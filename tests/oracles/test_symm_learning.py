"""Hom spaces, projections, norms and multiplicities against symm-learning 0.8.1."""

import warnings

import numpy as np
import pytest

from equivax import groups, hom_basis, linalg
from random_types import represent

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # escnn warns of an optional package at import
    torch = pytest.importorskip("torch", reason="the peer lives in an environment of its own")
    escnn_group = pytest.importorskip("escnn.group", reason="the peer builds on escnn")
    peer = pytest.importorskip("symm_learning.representation_theory", reason="the peer itself")
    peer_linalg = pytest.importorskip("symm_learning.linalg", reason="the peer itself")


#: Name to ours, theirs, and irreps by id: those of the input and those of the output.
CASES = {
    "C3": (groups.cyclic(3), lambda: escnn_group.cyclic_group(3), [1, 0, 1], [1, 1, 0]),
    "C4": (groups.cyclic(4), lambda: escnn_group.cyclic_group(4), [2, 1, 0, 1], [0, 1, 2]),
    "D3": (
        groups.dihedral(3),
        lambda: escnn_group.dihedral_group(3),
        [(1, 1), (0, 0), (1, 1)],
        [(1, 0), (1, 1), (0, 0)],
    ),
    "D4": (
        groups.dihedral(4),
        lambda: escnn_group.dihedral_group(4),
        [(1, 1), (0, 0), (0, 2), (1, 1)],
        [(0, 2), (1, 1), (0, 0), (1, 2)],
    ),
    "D6": (
        groups.dihedral(6),
        lambda: escnn_group.dihedral_group(6),
        [(1, 2), (1, 1), (0, 3), (1, 2)],
        [(1, 1), (1, 2), (1, 0), (0, 0)],
    ),
}
each_case = pytest.mark.parametrize("name", CASES)


@pytest.fixture(autouse=True)
def double_precision(x64):
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def pairs(name):
    """(ours, theirs) for input and output: equal irreps, one random orthogonal basis for both.

    Two irrep types at least: with one the peer drops the basis.
    """
    ours, build, *lists = CASES[name]
    theirs = build()
    rng = np.random.default_rng(0)
    found = []
    for side, ids in zip(("in", "out"), lists, strict=True):
        ids = [i if isinstance(i, tuple) else (i,) for i in ids]
        size = sum(ours.irrep_data(i).size for i in ids)
        q, r = np.linalg.qr(rng.standard_normal((size, size)))
        q = q * np.sign(np.diag(r))
        # Names must differ: the peer caches decompositions by name.
        rep = escnn_group.Representation(
            theirs, name=f"{side} of {name}", irreps=ids, change_of_basis=q
        )
        found.append((represent(ours, ids, q), rep))
    return ours, theirs, found


@each_case
def test_matrices_agree(name):
    ours, theirs, found = pairs(name)
    for mine, rep in found:
        for g in theirs.elements:
            np.testing.assert_allclose(mine(ours.element(g.value)), rep(g), atol=1e-10)


@pytest.mark.parametrize("expansion", ["isotypic_expansion", "memory_heavy"])
@each_case
def test_hom_spaces(name, expansion):
    _, _, ((in_rep, their_in), (out_rep, their_out)) = pairs(name)
    theirs = peer.GroupHomomorphismBasis(their_in, their_out, basis_expansion=expansion)
    basis = hom_basis(in_rep, out_rep)
    assert basis.dim == theirs.dim
    blocks = {
        i: (b["mul_out"], b["mul_in"], b["dim_endo_basis"]) for i, b in theirs.iso_blocks.items()
    }
    assert {b.id: b.shape for b in basis.blocks} == blocks
    w = np.random.default_rng(1).standard_normal((2, out_rep.size, in_rep.size))
    projected = theirs.orthogonal_projection(torch.from_numpy(w)).numpy()
    np.testing.assert_allclose(basis.project(w), projected, atol=1e-10)
    # What they synthesise is a fixed point of our projection, and the converse.
    dof = torch.from_numpy(np.random.default_rng(2).standard_normal(theirs.dim))
    made = theirs(dof).numpy()
    np.testing.assert_allclose(basis.project(made), made, atol=1e-10)
    ours = np.array(basis.synthesize(basis.coefficients(w)))
    np.testing.assert_allclose(
        theirs.orthogonal_projection(torch.from_numpy(ours)).numpy(), ours, atol=1e-10
    )


@each_case
def test_isotypic_decomposition(name):
    _, _, found = pairs(name)
    for mine, rep in found:
        theirs = peer.isotypic_decomp_rep(rep)
        ids = list(theirs.irreps)
        assert {i: ids.count(i) for i in set(ids)} == mine.multiplicities
        sorted_rep = mine.isotypic()
        assert sorted_rep.irreps[0] == ids[0] or not mine.contains_trivial
        # The order of blocks differs; the isotypic subspaces do not.
        q, start = theirs.change_of_basis, 0
        spans = {}
        for i in ids:
            stop = start + mine.group.irrep_data(i).size
            spans[i] = spans.get(i, 0) + q[:, start:stop] @ q[:, start:stop].T
            start = stop
        for irrep, projector in spans.items():
            np.testing.assert_allclose(
                linalg.isotypic_projector(mine, irrep), projector, atol=1e-10
            )


@each_case
def test_invariant_projector_and_radii(name):
    _, _, found = pairs(name)
    for mine, rep in found:
        projector = peer_linalg.invariant_orthogonal_projector(rep).numpy()
        np.testing.assert_allclose(linalg.invariant_projector(mine), projector, atol=1e-10)
        x = np.random.default_rng(3).standard_normal((4, mine.size))
        radii = peer_linalg.irrep_radii(torch.from_numpy(x), rep).numpy()
        np.testing.assert_allclose(linalg.irrep_norms(x, mine), radii, atol=1e-10)
