"""Norms of irrep copies and projectors: what a fixed table of numbers cannot show."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equivax import linalg
from random_types import FINITE, LIE, in_random_basis, laws, random_type

D4, Q8 = FINITE["D4"], FINITE["Q8"]
REP = in_random_basis(D4.regular + D4.irrep(1, 1), 1) + D4.trivial + D4.regular


@laws
@given(group=st.sampled_from(list(FINITE)), seed=st.integers(0, 2**20))
def test_projectors_are_averages_over_the_group(group, seed):
    rep = random_type(FINITE[group], np.random.default_rng(seed))
    invariant = linalg.invariant_projector(rep)
    np.testing.assert_allclose(invariant, rep.matrices.mean(axis=0), atol=1e-12)
    total = np.zeros_like(invariant)
    for irrep in rep.group.irreps():
        characters = np.trace(irrep.matrices, axis1=1, axis2=2)
        weight = irrep.size / len(irrep.endomorphism_basis) / rep.group.order
        mean = weight * np.tensordot(characters, rep.matrices, 1)
        found = linalg.isotypic_projector(rep, irrep.irreps[0])
        np.testing.assert_allclose(found, mean, atol=1e-12)
        total += found
    np.testing.assert_allclose(total, np.eye(rep.size), atol=1e-12)


@pytest.mark.usefixtures("unchecked_annotations")
def test_unknown_irreps_and_shapes():
    with pytest.raises(ValueError, match="no irrep"):
        linalg.isotypic_projector(REP, (7, 7))
    with pytest.raises(TypeError, match="rep: expected a Representation"):
        linalg.invariant_projector(np.eye(2))
    with pytest.raises(ValueError, match=r"x: expected \(..., 19\), got \(3, 18\)"):
        linalg.irrep_norms(np.ones((3, 18)), REP)
    with pytest.raises(ValueError, match=r"got \(\)"):
        linalg.irrep_norms(np.float32(1), REP)


def blockwise(rep, x):
    """Norms by slicing the spectral coordinates, in NumPy."""
    xh, start, norms = x @ rep.change_of_basis, 0, []
    for irrep in rep.irreps:
        stop = start + rep.group.irrep_data(irrep).size
        norms.append(np.linalg.norm(xh[..., start:stop], axis=-1))
        start = stop
    return np.stack(norms, axis=-1)


@pytest.mark.parametrize("batch", [(), (4,), (2, 3), (0,)])
def test_norms_by_slices(batch, x64):
    x = np.random.default_rng(0).standard_normal((*batch, REP.size))
    np.testing.assert_allclose(linalg.irrep_norms(x, REP), blockwise(REP, x), atol=1e-13)


@pytest.mark.parametrize("group", ["D4", "C5", "Q8", "C4xQ8", "SO2", "SO3"])
def test_norms_are_invariant(group, x64):
    rep = random_type((FINITE | LIE)[group], np.random.default_rng(3), max_size=12)
    x = np.random.default_rng(0).standard_normal((3, rep.size))
    norms = np.asarray(linalg.irrep_norms(x, rep))
    for g in rep.group.testing_elements[:16]:
        moved = linalg.irrep_norms(rep.transform(x, g), rep)
        np.testing.assert_allclose(moved, norms, atol=1e-12)
    assert np.linalg.norm(norms) == pytest.approx(np.linalg.norm(x), rel=1e-12)


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("eps", [0.0, 0.1])
def test_gradient_at_zero_blocks(wide, eps, precision):
    with precision(wide):
        dtype = jnp.float64 if wide else jnp.float32
        zero = jnp.zeros(REP.size, dtype)
        jacobian = jax.jacobian(lambda x: linalg.irrep_norms(x, REP, eps=eps))(zero)
        assert jacobian.dtype == dtype
        assert not np.asarray(jacobian).any()
        # One copy away from zero: its row is the unit vector, the others stay zero.
        column = np.asarray(REP.change_of_basis[:, 0])
        jacobian = np.asarray(
            jax.jacobian(lambda x: linalg.irrep_norms(x, REP))(jnp.asarray(2.0 * column, dtype))
        )
        assert np.isfinite(jacobian).all()
        np.testing.assert_allclose(jacobian[0], column, atol=1e-12 if wide else 1e-5)


def test_eps_smooths(x64):
    x = np.random.default_rng(0).standard_normal((4, REP.size))
    plain = blockwise(REP, x)
    found = linalg.irrep_norms(x, REP, eps=0.3)
    np.testing.assert_allclose(found, np.sqrt(plain**2 + 0.09) - 0.3, atol=1e-12)


@pytest.mark.parametrize("size", [1e-3, 1.0, 300.0])
@pytest.mark.parametrize("eps", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_16_bits_are_squared_in_more(dtype, eps, size, precision):
    x = jnp.asarray(size * np.random.default_rng(0).normal(size=(3, REP.size)), dtype)
    found = linalg.irrep_norms(x, REP, eps=eps)
    assert found.dtype == dtype
    with precision(True):
        expected = np.asarray(linalg.irrep_norms(np.asarray(x).astype(np.float64), REP, eps=eps))
    bits = jnp.finfo(dtype)
    bound = float(bits.eps) * np.abs(expected).max() + float(bits.smallest_subnormal)
    # In float32 what eps is added to and taken from loses digits.
    bound += eps * 2.0**-22
    assert np.abs(np.asarray(found).astype(np.float64) - expected).max() <= bound
