"""Images, algebra and filters against numbers computed from the definitions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import golden_images as gi
from equivax.images import GeometricImage, MultiImage, invariant_filters
from laws import UNOPTIMISED

pytestmark = pytest.mark.usefixtures("x64")


@pytest.mark.parametrize("case", gi.facts()["action"], ids=lambda c: c["name"])
def test_every_element_acts_as_the_definition_says(case):
    D, k, p, N = case["D"], case["k"], case["p"], case["N"]
    data = gi.array(f"action/{case['name']}/x").astype(float).reshape(*N, *(D,) * k)
    image = GeometricImage(data, p, D, is_torus=True)
    multi = MultiImage({(k, p): np.stack([data, 2 * data])}, D, is_torus=False)
    elements = gi.array(f"action/D{D}/elements")
    assert len(elements) == {1: 2, 2: 8, 3: 48}[D]

    @functools.partial(jax.jit, compiler_options=UNOPTIMISED)
    def all_of(image, multi):
        return [(image.transform(g), multi.transform(g)[(k, p)]) for g in elements]

    rows = gi.array(f"action/{case['name']}/y")
    for g, row, (moved, block) in zip(elements, rows, all_of(image, multi), strict=True):
        sides = tuple(np.abs(g) @ N)
        expected = row.reshape(*sides, *(D,) * k)
        assert moved.spatial == sides
        assert np.array_equal(moved.data, expected)
        assert np.array_equal(block, np.stack([expected, 2 * expected]))


@pytest.mark.parametrize("case", gi.facts()["tensor"], ids=lambda c: c["name"])
def test_algebra(case):
    name, D = case["name"], case["D"]
    arrays = gi.below(f"tensor/{name}")
    arrays = {key: np.asarray(value, np.float64) for key, value in arrays.items()}
    flags = tuple(case.get("frm", ())) or False
    a = GeometricImage(arrays["a"], case.get("p_a", 0), D, True, flags)
    kind = name.split("_D")[0]
    if kind == "product":
        found = a * GeometricImage(arrays["b"], case["p_b"], D)
        assert found.parity == case["p_out"]
    elif kind in ("contract", "multicontract"):
        found = a.multicontract([tuple(pair) for pair in case["pairs"]])
    elif kind == "transpose":
        found = a.transpose(tuple(case["axes"]))
    elif kind == "norm":
        found = a.norm()
    elif kind == "translate":
        found = a.translate(tuple(case["tau"]))
    elif kind == "levi_civita":
        found = a.levi_civita_contract(tuple(case["indices"]))
        assert found.parity == 1
        assert found.k == a.k - D + 2
    else:
        found = a.raise_lower(arrays["metric"], tuple(case["to"]))
        assert found.covariant_axes == tuple(case["to"])
    np.testing.assert_allclose(found.data, arrays["ref"], rtol=2e-6, atol=2e-6)  # stored in float32


def test_forms_of_a_multi_image():
    blocks = {name: array for name, array in gi.below("multi/x").items()}
    x = MultiImage(blocks, 2)
    assert x.signature.names == ("k0p0", "k1p0", "k2p0")
    np.testing.assert_allclose(x.to_vector(), gi.array("multi/to_vector"), rtol=1e-7)
    np.testing.assert_allclose(x.to_scalar().array, gi.array("multi/to_scalar"), rtol=1e-7)
    np.testing.assert_allclose(x.norm().array, gi.array("multi/norm"), rtol=1e-6)
    series = MultiImage(gi.below("multi/series"), 2)
    for i, expected in gi.below("multi/component").items():
        found = series.component(int(i), 4)
        np.testing.assert_allclose(found[(0, 0)], expected, rtol=1e-7)


def test_counts_of_filters():
    for D, M, k, p, group, count in gi.facts()["filter_counts"]:
        space = None if group == "full" else gi.SPACES[group](D)
        assert len(invariant_filters(D, M, k, p, space)) == count, (D, M, k, p, group)


@pytest.mark.parametrize("split", [None, "irreps"])
def test_spans_of_filters(split):
    for case in gi.facts()["projectors"]:
        space = gi.SPACES[case["group"]](case["D"])
        filters = invariant_filters(case["D"], case["M"], case["k"], case["p"], space, split=split)
        rows = filters.reshape(case["rank"], -1) if case["rank"] else np.zeros((0, 1))
        np.testing.assert_allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-14)
        if len(rows):
            np.testing.assert_allclose(rows.T @ rows, gi.array(case["key"]), atol=1e-7)


def test_peers_filters_lie_in_the_span():
    for name, given in gi.below("filters").items():
        D, M, k, p, group = name.split("_")
        arguments = [int(text[1:]) for text in (D, M, k, p)]
        own = invariant_filters(*arguments, gi.SPACES[group](arguments[0]))
        rows, given = own.reshape(len(own), -1), np.asarray(given, float).reshape(len(given), -1)
        np.testing.assert_allclose(given @ rows.T @ rows, given, atol=1e-6)
        scaled = invariant_filters(*arguments, gi.SPACES[group](arguments[0]), normalize="pixel")
        norms = np.sqrt((scaled.reshape(len(scaled), M_pixels(arguments), -1) ** 2).sum(-1))
        np.testing.assert_allclose(norms.max(axis=1), 1.0)


def M_pixels(arguments):
    return arguments[1] ** arguments[0]


def test_single_precision_keeps_the_numbers():
    x = MultiImage({n: a.astype(np.float32) for n, a in gi.below("multi/x").items()}, 2)
    assert x.dtype == jnp.float32
    assert x.norm().dtype == jnp.float32
    np.testing.assert_allclose(x.norm().array, gi.array("multi/norm"), rtol=2e-6)
