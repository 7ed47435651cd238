"""What the schemes draw, and what that means for outputs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import hom_basis
from equivax.hom import standard_normal
from laws import OPTIMISED
from random_types import FINITE, in_random_basis, represent


def many_draws(draw):
    """One draw for every key, compiled as users compile since it computes for long."""
    return jax.jit(jax.vmap(draw), compiler_options=OPTIMISED)


C5, D4, Q8 = FINITE["C5"], FINITE["D4"], FINITE["Q8"]

#: One group per type of irrep, and the irrep of that type.
KINDS = {
    "real": (D4, (1, 1)),
    "complex": (C5, (2,)),
    "quaternionic": (Q8, Q8.irreps()[-1].irreps[0]),
}
each_kind = pytest.mark.parametrize("kind", KINDS)

#: Scheme to variance, given the fans, and whether it is uniform.
TABLE = {
    "xavier_normal": (lambda i, o: 2 / (i + o), False),
    "xavier_uniform": (lambda i, o: 2 / (i + o), True),
    "he_normal": (lambda i, o: 2 / i, False),
    "he_uniform": (lambda i, o: 2 / i, True),
    "kaiming_normal": (lambda i, o: 2 / i, False),
    "kaiming_uniform": (lambda i, o: 2 / i, True),
    "lecun_normal": (lambda i, o: 1 / i, False),
    "lecun_uniform": (lambda i, o: 1 / i, True),
    "equinox": (lambda i, o: 1 / (3 * i), True),
    "small_normal": (lambda i, o: 0.02 / i, False),
}
each_scheme = pytest.mark.parametrize("scheme", TABLE)

M_IN, M_OUT = 48, 96


@functools.cache
def wide_basis(kind):
    """Many copies of one irrep beside few trivial ones, so that fans differ between blocks."""
    group, irrep = KINDS[kind]
    psi = group.irrep(*irrep)
    basis = hom_basis(M_IN * psi + 2 * group.trivial, M_OUT * psi + 3 * group.trivial)
    (block,) = [b for b in basis.blocks if b.id == irrep]
    assert block.type == kind
    return basis, block


def test_the_irreps_cover_all_types():
    assert [D4.irrep(1, 1).endomorphism_type, C5.irrep(2).endomorphism_type] == ["real", "complex"]
    assert Q8.irreps()[-1].endomorphism_type == "quaternionic"


@each_scheme
@each_kind
@pytest.mark.parametrize("taps", [1, 3])
def test_variance(kind, scheme, taps, key):
    basis, block = wide_basis(kind)
    theta = np.asarray(basis.init(key, scheme, taps=taps)[block.name], np.float64)
    s = block.endomorphism_dimension
    assert theta.shape == (M_OUT, M_IN, s)
    formula, uniform = TABLE[scheme]
    variance = formula(s * M_IN * taps, s * M_OUT * taps)
    # The mean square of n draws deviates by sqrt((kurtosis - 1) / n): 2 normal, 0.8 uniform.
    four_sigma = 4 * np.sqrt((0.8 if uniform else 2.0) / theta.size)
    assert (theta**2).mean() == pytest.approx(variance, rel=four_sigma)
    assert abs(theta.mean()) < 4 * np.sqrt(variance / theta.size)
    bound = np.sqrt(3 * variance)
    if uniform:
        # Float32 may round the bound itself up.
        assert np.abs(theta).max() <= bound * (1 + 1e-6)
        assert np.abs(theta).max() > 0.99 * bound
    else:
        assert np.abs(theta).max() > 1.3 * bound


@each_kind
@pytest.mark.parametrize("scheme", ["xavier_normal", "he_uniform", "lecun_normal", "equinox"])
@pytest.mark.parametrize("taps", [1, 3, 5])
def test_second_moment_of_the_output(kind, scheme, taps, key):
    """E |y|^2 per channel is S m_in kappa Var(theta), for input of second moment 1."""
    basis, block = wide_basis(kind)
    s, d = block.endomorphism_dimension, block.size
    total, repeats = 0.0, 4
    for tap_key in jax.random.split(key, repeats * taps):
        w = np.asarray(basis.synthesize(basis.init(tap_key, scheme, taps=taps)), np.float64)
        # E |W x|^2 = |W|^2 for x of covariance I; the rows of the irrep's copies come first.
        total += (w[: M_OUT * d] ** 2).sum() / (M_OUT * d)
    variance = TABLE[scheme][0](s * M_IN * taps, s * M_OUT * taps)
    # The mean of at least 4 x 48 x 96 squares has a relative deviation of 1 %: 5 % are 4.8 sigma.
    assert total / repeats == pytest.approx(s * M_IN * taps * variance, rel=0.05)


@pytest.mark.slow  # thousands of draws
def test_uneven_multiplicities_are_scaled_block_by_block(key):
    """1 A1 + 6 E to 6 A1 + 1 E of D4 gives 2/7 and 12/7 under Xavier."""
    a1, e = D4.trivial, D4.irrep(1, 1)
    basis = hom_basis(a1 + 6 * e, 6 * a1 + e)
    keys = jax.random.split(key, 1000)
    coeffs = many_draws(lambda k: basis.init(k, "xavier_normal"))(keys)
    # 6000 draws each: 4 sigma are 7.3 %.
    moments = {name: float(6 * (c**2).mean()) for name, c in coeffs.items()}
    assert moments["trivial"] / 6 == pytest.approx(2 / 7, rel=0.073)
    assert moments["irrep(1,1)"] == pytest.approx(12 / 7, rel=0.073)
    he = many_draws(lambda k: basis.init(k, "he_normal"))(keys)
    assert float((he["trivial"] ** 2).mean()) == pytest.approx(2.0, rel=0.073)
    assert float(6 * (he["irrep(1,1)"] ** 2).mean()) == pytest.approx(2.0, rel=0.073)


# ---- orthogonal ---------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("m_in, m_out", [(3, 3), (2, 5), (5, 2)])
def test_orthogonal_is_semi_unitary(kind, m_in, m_out, key, x64):
    group, irrep = KINDS[kind]
    psi = group.irrep(*irrep)
    basis = hom_basis(in_random_basis(m_in * psi, 1), in_random_basis(m_out * psi, 2))
    w = np.asarray(basis.synthesize(basis.init(key, "orthogonal")))
    small = w @ w.T if m_out <= m_in else w.T @ w
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-12)
    if m_in == m_out:
        x = np.random.default_rng(0).standard_normal((7, w.shape[1]))
        np.testing.assert_allclose(
            np.linalg.norm(x @ w.T, axis=1), np.linalg.norm(x, axis=1), rtol=1e-12
        )


def test_orthogonal_is_the_identity_on_shared_irreps(key, x64):
    a1, b, e = D4.trivial, D4.irrep(1, 0), D4.irrep(1, 1)
    in_rep = in_random_basis(2 * a1 + 3 * e + b, 3)
    out_rep = in_random_basis(4 * a1 + 2 * e, 4)
    basis = hom_basis(in_rep, out_rep)
    w = np.asarray(basis.synthesize(basis.init(key, "orthogonal")))
    # Singular values: 1 on min(m_in, m_out) copies of each shared irrep, 0 elsewhere.
    values = np.linalg.svd(w, compute_uv=False)
    np.testing.assert_allclose(values, [1] * (2 + 2 * 2) + [0] * 2, atol=1e-12)


@each_kind
def test_orthogonal_is_spread_evenly(kind, key):
    """Haar: entries have mean 0 and mean square 1 / (m S), products of two entries mean 0."""
    group, irrep = KINDS[kind]
    psi = group.irrep(*irrep)
    basis = hom_basis(3 * psi, 3 * psi)
    name, s = basis.blocks[0].name, basis.blocks[0].endomorphism_dimension
    count = 1000
    draws = many_draws(lambda k: basis.init(k, "orthogonal")[name])(jax.random.split(key, count))
    theta = np.asarray(draws, np.float64)
    spread = 4 / np.sqrt(3 * s * count)  # 4 sigma of a mean of numbers of mean square 1 / (3 S)
    np.testing.assert_allclose(theta.mean(axis=0), 0.0, atol=spread)
    # The squares lie in [0, 1] with variance below that of a normal, 2 / (3 S)^2.
    np.testing.assert_allclose(
        (theta**2).mean(axis=0), 1 / (3 * s), atol=4 * np.sqrt(2 / count) / (3 * s)
    )
    left = np.einsum("noi,npi->op", theta[..., 0], theta[..., 0]) / count
    np.testing.assert_allclose(left - np.diag(np.diag(left)), 0.0, atol=spread)


# ---- identity, zeros, callables -----------------------------------------------------------------


@pytest.mark.parametrize("group", ["D4", "C5", "Q8", "C4xQ8"])
def test_identity_is_the_identity(group, key, x64):
    irreps = FINITE[group].irreps()
    rep = in_random_basis(irreps[-1] + irreps[0] + irreps[-1], 1)
    rep = rep + irreps[0] + rep
    basis = hom_basis(rep, rep)
    w = basis.synthesize(basis.init(key, "identity"))
    np.testing.assert_allclose(w, np.eye(rep.size), atol=1e-13)


def test_identity_between_bases_that_differ_by_a_reflection(key, x64):
    """A fault of symm-learning 0.8.1: the unit matrix in user coordinates projects to 0."""
    c3 = FINITE["C3xC3"]
    psi = c3.irreps()[1]
    flip = np.diag([1.0, -1.0])
    mirrored = represent(c3, psi.irreps, flip, "mirrored")
    w = hom_basis(psi, mirrored).synthesize(hom_basis(psi, mirrored).init(key, "identity"))
    np.testing.assert_allclose(np.linalg.svd(w)[1], [1, 1], atol=1e-12)
    basis = hom_basis(D4.trivial, D4.regular)
    gain = np.linalg.norm(basis.synthesize(basis.init(key, "identity")))
    assert gain == pytest.approx(1.0, abs=1e-12)


def test_identity_has_full_rank(key, x64):
    a1, e = D4.trivial, D4.irrep(1, 1)
    in_rep = in_random_basis(3 * a1 + 2 * e, 1)
    out_rep = in_random_basis(a1 + 4 * e, 2)
    basis = hom_basis(in_rep, out_rep)
    w = np.asarray(basis.synthesize(basis.init(key, "identity")))
    expected = 1 * min(3, 1) + 2 * min(2, 4)
    np.testing.assert_allclose(
        np.linalg.svd(w, compute_uv=False), [1] * expected + [0] * (7 - expected), atol=1e-12
    )


def test_zeros(key):
    basis, _ = wide_basis("complex")
    assert not any(np.asarray(c).any() for c in basis.init(key, "zeros").values())


def test_callable_scheme(key):
    calls = []

    def scheme(key, shape, dtype, fan_in, fan_out):
        calls.append((shape, jnp.dtype(dtype), fan_in, fan_out))
        return jnp.full(shape, fan_in + 1, dtype)

    basis, block = wide_basis("quaternionic")
    coeffs = basis.init(key, scheme, taps=3, dtype=jnp.float32)
    assert sorted(calls) == sorted(
        [
            ((3, 2, 1), jnp.dtype(jnp.float32), 6, 9),
            ((M_OUT, M_IN, 4), jnp.dtype(jnp.float32), 12 * M_IN, 12 * M_OUT),
        ]
    )
    assert (np.asarray(coeffs[block.name]) == 12 * M_IN + 1).all()


# ---- keys ---------------------------------------------------------------------------------------

DRAWN = [*TABLE, "orthogonal"]


@pytest.mark.parametrize("scheme", DRAWN)
def test_same_key_same_draw(scheme):
    basis = hom_basis(2 * Q8.regular, Q8.regular)
    first = basis.init(jax.random.key(1), scheme)
    again = basis.init(jax.random.key(1), scheme)
    other = basis.init(jax.random.key(2), scheme)
    for name in first:
        assert np.array_equal(first[name], again[name])
        assert not np.array_equal(first[name], other[name])


@pytest.mark.parametrize("scheme", DRAWN)
def test_another_irrep_does_not_change_the_draw_of_the_others(scheme, key):
    e, b = D4.irrep(1, 1), D4.irrep(1, 0)
    small = hom_basis(3 * e, 4 * e).init(key, scheme)
    large = hom_basis(b + 3 * e, 4 * e + 2 * b + D4.trivial).init(key, scheme)
    assert np.array_equal(small["irrep(1,1)"], large["irrep(1,1)"])
    assert set(large) == {"irrep(1,1)", "irrep(1,0)"}


@pytest.mark.parametrize("scheme", ["xavier_normal", "he_uniform", "orthogonal"])
def test_blocks_are_independent(scheme, key):
    # Equal shapes, other names: no two irreps may share their numbers.
    coeffs = hom_basis(3 * C5.regular, 3 * C5.regular).init(key, scheme)
    assert not np.array_equal(coeffs["irrep(1)"], coeffs["irrep(2)"])


@pytest.mark.parametrize("scheme", ["he_normal", "xavier_uniform"])
def test_large_blocks_do_not_repeat_numbers(scheme, key):
    basis, block = wide_basis("real")
    theta = np.asarray(basis.init(key, scheme)[block.name]).ravel()
    # 4608 draws of 2^23 float32 values: about one coincidence is expected, not a repeated stretch.
    assert len(np.unique(theta)) > 0.99 * theta.size


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("scheme", ["he_normal", "equinox", "orthogonal", "identity", "zeros"])
def test_dtype(scheme, dtype, key):
    coeffs = hom_basis(2 * Q8.regular, Q8.regular).init(key, scheme, dtype=dtype)
    assert {c.dtype for c in coeffs.values()} == {jnp.dtype(dtype)}
    assert all(np.isfinite(np.asarray(c, np.float32)).all() for c in coeffs.values())


def test_default_dtype_follows_x64(key, precision):
    basis = hom_basis(D4.regular, D4.regular)
    with precision(True):
        assert {c.dtype for c in basis.init(key).values()} == {jnp.dtype("float64")}
    assert {c.dtype for c in basis.init(key).values()} == {jnp.dtype("float32")}


def test_unknown_scheme(key):
    with pytest.raises(ValueError, match=r"xavier_normal.*orthogonal.*got 'glorot'"):
        hom_basis(D4.regular, D4.regular).init(key, "glorot")


@pytest.mark.parametrize("deviations", [None, {"a": np.array([0.5, 2.0, 3.0]), "b": np.array(1.5)}])
def test_numbers_do_not_depend_on_where_they_are_cut(deviations):
    """On the host, within a program, or where a key lies on a device of its own."""
    shapes = {"a": (50, 7, 3), "b": (2, 2)}

    def drawn(key):
        return standard_normal(key, shapes, jnp.dtype("float32"), deviations)

    key = jax.random.key(3)
    here, there = drawn(key), drawn(jax.device_put(key, jax.devices()[0]))
    for name, numbers in jax.jit(drawn)(key).items():
        assert numbers.shape == shapes[name]
        np.testing.assert_array_equal(here[name], numbers)
        np.testing.assert_array_equal(there[name], numbers)
    assert there["a"].committed
    spread = np.asarray(here["a"]).std(axis=(0, 1)) / (1 if deviations is None else deviations["a"])
    np.testing.assert_allclose(spread, 1.0, atol=0.15)
