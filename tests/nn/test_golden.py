"""Layers against the golden numbers."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import golden_vectors as gv
from equivax import nn
from golden_vectors import ATOL
from laws import applied

pytestmark = pytest.mark.usefixtures("x64")

#: A compilation per representation costs half a second; groups and kinds of basis still all occur.
REPS = [
    name
    for name in gv.REPS
    if name.split("/")[0] in ("C2", "C8", "D4", "C4xD3", "octahedral")
    or name.split("/")[1] in ("mixQ", "single", "orbit0")
]
each_rep = pytest.mark.parametrize("name", REPS)


def golden(name: str, key: str) -> np.ndarray:
    return gv.array(f"R/{name}/{key}")


@pytest.mark.parametrize("source", [gv.from_golden_matrices, gv.with_golden_basis])
@each_rep
def test_invariant_constraint(name, source):
    found = applied(nn.InvariantConstraint(source(name)), golden(name, "x"))
    np.testing.assert_allclose(found, golden(name, "x_inv"), atol=ATOL)


@each_rep
def test_affine(name):
    layer = nn.Affine(gv.with_golden_basis(name))
    scale, bias = golden(name, "affine_scale"), golden(name, "affine_bias")
    assert layer.num_scale == len(scale)
    assert layer.num_bias == len(bias)
    layer = eqx.tree_at(lambda a: a.scale, layer, jnp.asarray(scale))
    if len(bias):
        layer = eqx.tree_at(lambda a: a.bias, layer, jnp.asarray(bias))
    else:
        assert layer.bias is None
    found = applied(layer, golden(name, "x"))
    np.testing.assert_allclose(found, golden(name, "affine_y"), atol=ATOL)


@each_rep
def test_film(name):
    layer = nn.Affine(gv.with_golden_basis(name), learnable=False)
    bias = golden(name, "film_bias")
    found = eqx.filter_jit(lambda x, scale, bias: layer(x, scale=scale, bias=bias))(
        golden(name, "x"), golden(name, "film_scale"), bias if bias.shape[-1] else None
    )
    np.testing.assert_allclose(found, golden(name, "film_y"), atol=ATOL)


@each_rep
def test_invariant_bias_is_affine_with_unit_scales(name):
    rep = gv.with_golden_basis(name)
    layer = nn.InvariantBias(rep)
    beta = golden(name, "affine_bias")
    x = golden(name, "x")
    if not len(beta):
        assert layer.coeffs is None
        assert layer.bias is None
        np.testing.assert_array_equal(layer(x), x)
        return
    layer = eqx.tree_at(lambda a: a.coeffs, layer, jnp.asarray(beta))
    # The invariant columns of the golden Q, in order, are what beta multiplies.
    columns, start = [], 0
    record = gv.facts()["reps"][name]
    sizes = {r["name"]: r["d"] for r in gv.facts()["groups"][name.split("/")[0]]["irreps"]}
    for irrep in record["irreps"]:
        if irrep == "r0":
            columns.append(start)
        start += sizes[irrep]
    b = golden(name, "Q")[:, columns] @ beta
    # The intertwiner of two one-dimensional trivial irreps is 1, so signs agree.
    np.testing.assert_allclose(layer.bias, b, atol=ATOL)
    np.testing.assert_allclose(layer(x), x + b, atol=ATOL)
    np.testing.assert_allclose(golden(name, "P_inv") @ np.asarray(layer.bias), b, atol=ATOL)
