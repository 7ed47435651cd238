"""Hom spaces and `Linear` against the golden numbers."""

import equinox as eqx
import jax
import numpy as np
import pytest

import golden_vectors as gv
from equivax import hom_basis, nn
from golden_vectors import ATOL
from laws import one_in

pytestmark = pytest.mark.usefixtures("x64")

each_case = pytest.mark.parametrize("name", gv.CASES)


def ends(name: str, source=gv.with_golden_basis):
    """The two representations of "group/in->out"."""
    group, arrow = name.split("/")
    return tuple(source(f"{group}/{end}") for end in arrow.split("->"))


@each_case
def test_dimension_and_blocks(name):
    record = gv.facts()["cases"][name]
    m = gv.match(name.split("/")[0])
    basis = hom_basis(*ends(name))
    assert basis.dim == record["dim_hom"]
    found = {
        b.id: (b.type, b.size, b.out_multiplicity, b.in_multiplicity, b.endomorphism_dimension)
        for b in basis.blocks
    }
    expected = {
        m.ids[b["irrep"]]: (gv.TYPES[b["type"]], b["d"], b["m_out"], b["m_in"], b["endo"])
        for b in record["blocks"]
    }
    assert found == expected
    assert len(basis.elements()) == record["dim_hom"]


@pytest.mark.parametrize("source", [gv.with_golden_basis, gv.from_golden_matrices])
@each_case
def test_span_of_the_elements(name, source):
    # The span does not depend on the choice of copies, so both bases must give it.
    basis = hom_basis(*ends(name, source))
    w, projected = gv.array(f"C/{name}/W"), gv.array(f"C/{name}/W_proj")
    elements = basis.elements()
    flat = elements.reshape(len(elements), w[0].size)
    weights = np.einsum("ni,ni->n", flat, flat)
    dense = np.einsum("n,noi,nw->woi", 1 / weights, elements, flat @ w.reshape(2, -1).T)
    np.testing.assert_allclose(dense, projected, atol=ATOL)
    if gv.has(f"C/{name}/projector"):
        span = (flat / weights[:, None]).T @ flat
        np.testing.assert_allclose(span, gv.array(f"C/{name}/projector"), atol=ATOL)


@pytest.mark.parametrize("name", one_in(3, gv.CASES))
def test_coefficients_and_synthesis(name):
    m = gv.match(name.split("/")[0])
    basis = hom_basis(*ends(name))
    w, projected = gv.array(f"C/{name}/W"), gv.array(f"C/{name}/W_proj")

    @jax.jit  # one program for all
    def ways(w):
        found = basis.coefficients(w)
        if not found:
            return found, 0 * w, 0.0
        return found, basis.synthesize(found), basis.norm_sq({n: c[0] for n, c in found.items()})

    found, synthesized, norms = ways(w)
    np.testing.assert_allclose(synthesized, projected, atol=ATOL)
    golden = {
        b["irrep"]: gv.array(f"C/{name}/coef/{b['irrep']}")
        for b in gv.facts()["cases"][name]["blocks"]
    }
    names = {b.id: b.name for b in basis.blocks}
    assert {names[m.ids[i]] for i in golden} == set(found)
    for irrep, theta in golden.items():
        ours = np.asarray(found[names[m.ids[irrep]]])[0]
        # Golden units are ours turned: theta_s = sum_t R[s, t] theta'_t.
        np.testing.assert_allclose(ours @ m.unit_rotation(irrep).T, theta, atol=ATOL)
    np.testing.assert_allclose(norms, (projected[0] ** 2).sum(), rtol=ATOL)


#: Compiling takes a second a layer, so the modes run on the cases that differ in structure.
MODE_CASES = [
    name
    for name in gv.CASES
    if name.split("/")[1] in ("mixQ->mixQ2", "single->mix", "orbit0->mixQ", "triv2->reg")
    if name.split("/")[0] in ("C2", "C4", "C8", "D4", "C3xC3", "C4xD3", "icosahedral")
]


@pytest.mark.parametrize("name", MODE_CASES)
def test_project(name):
    basis = hom_basis(*ends(name, gv.from_golden_matrices))
    projected = basis.project(gv.array(f"C/{name}/W"))
    np.testing.assert_allclose(projected, gv.array(f"C/{name}/W_proj"), atol=ATOL)


@pytest.mark.parametrize("name", MODE_CASES)
@pytest.mark.filterwarnings("ignore::equivax.nn.UnusedIrrepsWarning")
def test_linear_in_every_mode(name):
    in_rep, out_rep = ends(name)
    w, projected = gv.array(f"C/{name}/W")[1], gv.array(f"C/{name}/W_proj")[1]
    x = gv.array(f"R/{name.split('->')[0]}/x")
    for mode in ("dense", "spectral", "auto"):
        layer = nn.Linear(in_rep, out_rep, mode=mode, use_bias=False, key=jax.random.key(0))
        layer = layer.with_weight(w)
        weight, y = eqx.filter_jit(lambda f, x: (f.weight, f(x)))(layer, x)
        np.testing.assert_allclose(weight, projected, atol=ATOL)
        np.testing.assert_allclose(y, x @ projected.T, atol=ATOL)


@pytest.mark.parametrize("name", ["C3/reg->mixQ", "D4/mixQ->notriv", "C2/notriv->triv2"])
def test_commuting_constraint(name):
    constraint = nn.CommutingConstraint(*ends(name))
    w = gv.array(f"C/{name}/W")
    np.testing.assert_allclose(constraint(w), gv.array(f"C/{name}/W_proj"), atol=ATOL)
