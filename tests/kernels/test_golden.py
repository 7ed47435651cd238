"""Counts, policy and spans of kernels against the golden numbers."""

import numpy as np
import pytest

import golden_kernels as gk
from equivax import kernels
from equivax.kernels.recipes import _default_rings

FACTS = gk.facts()


@pytest.mark.parametrize("size", sorted(map(int, FACTS["conv_policy"])))
def test_default_policy(size):
    record = FACTS["conv_policy"][str(size)]
    recipe = kernels.Harmonic().recipe("test", gk.space_named("C1"), size)
    assert list(recipe.radii) == record["rings"]
    assert list(recipe.sigmas) == record["sigma"]
    assert list(recipe.cutoffs) == record["max_frequency"]
    space = gk.space_named("C1")
    basis = kernels.steerable_basis(space, space.trivial, space.trivial, size)
    assert sorted({a["radius"] for a in basis.attributes()}) == record["surviving_rings"]


@pytest.mark.parametrize("group", FACTS["conv_dims"])
def test_number_of_elements(group):
    space = gk.space_named(group)
    for size, counts in FACTS["conv_dims"][group]["dims"].items():
        found = {
            pair: kernels.steerable_basis(
                space, *(gk.rep_named(group, name) for name in pair.split("|")), int(size)
            ).dim
            for pair in counts
        }
        assert found == counts, size


@pytest.mark.parametrize("record", FACTS["conv_spans"], ids=lambda r: r["key"])
def test_spans(record):
    golden = gk.arrays()[record["key"]]
    group = record["group"]
    basis = kernels.steerable_basis(
        gk.space_named(group),
        gk.rep_named(group, record["in"]),
        gk.rep_named(group, record["out"]),
        record["kernel_size"],
    )
    assert basis.dim == record["dim"]
    ours = basis.elements()
    assert list(ours.shape[1:]) == record["shape"]
    flat = ours.reshape(basis.dim, -1)
    orthonormal = np.linalg.qr(flat.T)[0].T
    # Golden kernels passed through float32.
    assert np.abs(flat - flat @ golden.T @ golden).max() < 1e-5
    assert np.abs(golden - golden @ orthonormal.T @ orthonormal).max() < 1e-5


def test_parameters_of_even_sizes_follow_the_peers():
    space = gk.space_named("C1")
    _default_rings.warn_even_size.cache_clear()
    with pytest.warns(UserWarning, match="even kernel"):
        basis = kernels.steerable_basis(space, space.trivial, space.trivial, 4)
    assert basis.dim == 5
    for name in ("C3", "C8"):
        space = gk.space_named(name)
        assert kernels.steerable_basis(space, space.trivial, space.trivial, 4).dim == 1
