"""Irreps of O(3) as e3nn writes them; against e3nn-jax itself where it is installed."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from equivax import groups, interop

IRREPS = "2x0e + 1o + 3x1e + 2x2o + 3e"
SIZE = 2 + 3 + 9 + 10 + 7


def array(seed: int = 0) -> jnp.ndarray:
    return jnp.asarray(np.random.default_rng(seed).normal(size=(4, SIZE)), jnp.float32)


def test_irreps_are_read_and_written():
    rep = interop.e3nn.representation(IRREPS)
    assert rep.size == SIZE
    assert interop.e3nn.irreps(rep) == "2x0e + 1x1o + 3x1e + 2x2o + 1x3e"
    assert interop.e3nn.irreps(groups.so3().irrep(2)) == "1x2e"


def test_the_inversion_changes_the_sign_of_odd_irreps():
    rep = interop.e3nn.representation(IRREPS)
    inversion = rep.group.element(-np.eye(3))
    signs = [1] * 2 + [-1] * 3 + [1] * 9 + [-1] * 10 + [1] * 7
    np.testing.assert_allclose(rep(inversion), np.diag(signs), atol=1e-12)


def test_vectors_are_xyz_there():
    """Irreps of degree 1 of e3nn are vectors; ours are their coordinates (y, z, x)."""
    group = groups.so3()
    basis = interop.e3nn.change_of_basis(1)
    for seed in range(3):
        g = group.sample(seed)
        np.testing.assert_allclose(
            basis @ group.irrep(1)(g) @ basis.T, group.standard(g), atol=1e-12
        )


@pytest.mark.parametrize("layout", interop.e3nn.LAYOUTS)
def test_there_and_back(layout: str):
    x = array()
    there = interop.e3nn.to_e3nn(x, IRREPS, layout=layout)
    back = interop.e3nn.from_e3nn(there, IRREPS, layout=layout)
    np.testing.assert_allclose(back, x, atol=1e-6)
    other = interop.e3nn.relayout(there, IRREPS, layout, "mul_ir")
    np.testing.assert_allclose(other, interop.e3nn.to_e3nn(x, IRREPS), atol=1e-6)


def test_layouts():
    x = jnp.arange(7.0)
    found = interop.e3nn.relayout(x, "1x0e + 2x1o", "mul_ir", "ir_mul")
    np.testing.assert_array_equal(found, [0, 1, 4, 2, 5, 3, 6])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: interop.e3nn.read("2y0e"), "irreps: expected irreps such as"),
        (lambda: interop.e3nn.representation("0x0e"), "irreps: expected at least one"),
        (lambda: interop.e3nn.to_e3nn(jnp.ones(3), "1x0e"), r"x: expected \(..., 1\)"),
        (lambda: interop.e3nn.relayout(jnp.ones(1), "0e", "mul_ir", "mul"), "layout: expected"),
        (lambda: interop.e3nn.irreps(groups.o3().standard), "rep: expected irreps in their own"),
        (lambda: interop.e3nn.irreps(groups.so2().irrep(1)), "rep: expected a representation of"),
    ],
)
def test_arguments_are_checked(call, message: str):
    with pytest.raises(ValueError, match=f"interop.e3nn.*{message}"):
        call()


@pytest.mark.usefixtures("unchecked_annotations")
def test_whole_numbers_are_not_turned_by_a_matrix_cut_to_whole_numbers():
    whole = np.arange(5)
    for function in (interop.e3nn.from_e3nn, interop.e3nn.to_e3nn):
        expected = function(whole.astype(np.float32), "1x2e")
        np.testing.assert_allclose(function(whole, "1x2e"), expected, rtol=1e-6)


@pytest.mark.filterwarnings("ignore")
class TestAgainstE3nnJax:
    """Arrays turn there as they turn here."""

    @pytest.fixture
    def e3nn(self):
        return pytest.importorskip("e3nn_jax", reason="e3nn-jax is no dependency")

    @pytest.mark.parametrize("seed", range(3))
    def test_arrays_turn_alike(self, e3nn, seed: int):
        x, group = array(), groups.o3()
        g = group.sample(seed)
        rotation = group.standard(g)
        rep = interop.e3nn.representation(IRREPS)
        ours = rep.transform(np.asarray(x), g)
        theirs = e3nn.IrrepsArray(IRREPS, interop.e3nn.to_e3nn(x, IRREPS))
        turned = theirs.transform_by_matrix(jnp.asarray(rotation, jnp.float32))
        np.testing.assert_allclose(interop.e3nn.from_e3nn(turned), ours, atol=2e-5)

    def test_irreps_are_taken(self, e3nn):
        theirs = e3nn.Irreps(IRREPS)
        assert interop.e3nn.representation(theirs) == interop.e3nn.representation(IRREPS)
        assert e3nn.Irreps(interop.e3nn.irreps(interop.e3nn.representation(IRREPS))) == theirs

    @pytest.mark.parametrize("degree", range(5))
    def test_spherical_harmonics(self, e3nn, degree: int):
        """The basis is that of real spherical harmonics in both, up to the polar axis."""
        points = np.random.default_rng(degree).normal(size=(6, 3)).astype(np.float32)
        parity = "e" if degree % 2 == 0 else "o"
        theirs = e3nn.spherical_harmonics(f"{degree}{parity}", jnp.asarray(points), True)
        ours = interop.e3nn.from_e3nn(theirs)
        g = groups.o3().sample(degree)
        rep = interop.e3nn.representation(f"{degree}{parity}")
        moved = points @ groups.o3().standard(g).T
        again = e3nn.spherical_harmonics(f"{degree}{parity}", jnp.asarray(moved, jnp.float32), True)
        np.testing.assert_allclose(
            interop.e3nn.from_e3nn(again), rep.transform(np.asarray(ours), g), atol=1e-5
        )
