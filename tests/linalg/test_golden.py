"""Projectors and norms against the golden numbers."""

import jax
import numpy as np
import pytest

import golden_vectors as gv
from equivax import linalg
from golden_vectors import ATOL
from laws import one_in

each_rep = pytest.mark.parametrize("name", gv.REPS)


@pytest.mark.parametrize("source", [gv.from_golden_matrices, gv.with_golden_basis])
@each_rep
def test_projectors(name, source):
    rep = source(name)
    m = gv.match(name.split("/")[0])
    invariant = linalg.invariant_projector(rep)
    np.testing.assert_allclose(invariant, gv.array(f"R/{name}/P_inv"), atol=ATOL)
    multiplicities = gv.facts()["reps"][name]["multiplicities"]
    occurring = [irrep for irrep in m.ids if multiplicities.get(irrep)]
    absent = [irrep for irrep in m.ids if not multiplicities.get(irrep)]
    if gv.has(f"R/{name}/iso"):
        found = [linalg.isotypic_projector(rep, m.ids[irrep]) for irrep in occurring]
        np.testing.assert_allclose(found, gv.array(f"R/{name}/iso"), atol=ATOL)
    for irrep in absent:
        assert not linalg.isotypic_projector(rep, m.ids[irrep]).any()


@pytest.mark.parametrize("name", one_in(3, gv.REPS))
def test_radii(name, x64):
    # Norms of copies depend on which copies Q names, so this needs the golden Q.
    rep = gv.with_golden_basis(name)
    x = gv.array(f"R/{name}/x")
    np.testing.assert_allclose(
        jax.jit(lambda x: linalg.irrep_norms(x, rep))(x), gv.array(f"R/{name}/radii"), atol=ATOL
    )
