"""`HomBasis`: synthesis, coefficients, projection, application, on every kind of type."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import Representation, groups, hom_basis
from random_types import FINITE, LIE, in_random_basis, mean_over_group, random_type, represent


def pair(group, seed):
    rng = np.random.default_rng(seed)
    return random_type(group, rng), random_type(group, rng)


def shared_pair(group):
    """Two types with interleaved runs in random bases that share every irrep they have."""
    irreps = group.irreps(None if group.order is not None else 1)
    a = in_random_basis(irreps[-1] + irreps[0], 1)
    b = in_random_basis(2 * irreps[-1], 2)
    return a + irreps[0] + a + b, b + irreps[-1] + a + b


D4, C5, Q8, SO2, SO3 = FINITE["D4"], FINITE["C5"], FINITE["Q8"], LIE["SO2"], LIE["SO3"]
C4xQ8 = FINITE["C4xQ8"]

PAIRS: dict[str, tuple[Representation, Representation]] = {
    "real": (2 * D4.regular + D4.irrep(1, 1), D4.irrep(1, 1) + 2 * D4.regular),
    "real, interleaved": shared_pair(D4),
    "complex, interleaved": shared_pair(C5),
    "quaternionic, interleaved": shared_pair(Q8),
    "quaternionic, regular": (Q8.regular, 2 * Q8.regular),
    "product of types": shared_pair(C4xQ8),
    "one type, random basis": (
        in_random_basis(2 * D4.irrep(1, 1), 5),
        in_random_basis(3 * D4.irrep(1, 1), 6),
    ),
    "partly disjoint": (D4.irrep(1, 0) + D4.irrep(1, 1), D4.trivial + D4.irrep(1, 1)),
    "SO(2)": shared_pair(SO2),
    "O(2)": shared_pair(LIE["O2"]),
    "SO(3)": shared_pair(SO3),
}
each_pair = pytest.mark.parametrize("name", PAIRS)
finite_pair = pytest.mark.parametrize("name", [n for n in PAIRS if "O(" not in n])
x64 = pytest.mark.usefixtures("x64")

#: Float64 rounding of sums over at most 40 channels.
ROUNDING = 1e-13


def drawn(basis, seed=0, leading=()):
    """Coefficients as NumPy arrays."""
    rng = np.random.default_rng(seed)
    return {b.name: rng.standard_normal((*leading, *b.shape)) for b in basis.blocks}


def dense(basis, coeffs):
    """The matrix from the dense stack, in NumPy: what synthesis must give."""
    flat = np.concatenate([coeffs[b.name].ravel() for b in basis.blocks])
    return np.tensordot(flat, basis.elements(), 1)


@x64
@each_pair
def test_synthesis_is_the_sum_of_elements(name):
    basis = hom_basis(*PAIRS[name])
    coeffs = drawn(basis)
    matrix = basis.synthesize(coeffs)
    np.testing.assert_allclose(matrix, dense(basis, coeffs), atol=ROUNDING * 10)
    found = basis.coefficients(matrix)
    assert list(found) == [b.name for b in basis.blocks]
    for key, theta in coeffs.items():
        np.testing.assert_allclose(found[key], theta, atol=ROUNDING * 10)


@each_pair
def test_elements_are_orthogonal_with_squared_norm_d(name):
    basis = hom_basis(*PAIRS[name])
    elements = basis.elements()
    flat = elements.reshape(len(elements), -1)
    sizes = np.concatenate([np.full(np.prod(b.shape), b.size) for b in basis.blocks])
    np.testing.assert_allclose(flat @ flat.T, np.diag(sizes), atol=1e-12)
    assert len(elements) == basis.dim == sum(np.prod(b.shape) for b in basis.blocks)


@each_pair
def test_elements_commute_with_the_group(name):
    in_rep, out_rep = PAIRS[name]
    elements = hom_basis(in_rep, out_rep).elements()
    for g in in_rep.group.testing_elements[:12]:
        np.testing.assert_allclose(elements @ in_rep(g), out_rep(g) @ elements, atol=1e-12)


@x64
@finite_pair
def test_projection_is_the_group_average(name):
    in_rep, out_rep = PAIRS[name]
    basis = hom_basis(in_rep, out_rep)
    rng = np.random.default_rng(3)
    w, v = rng.standard_normal((2, out_rep.size, in_rep.size))
    pw, pv = np.asarray(basis.project(w)), np.asarray(basis.project(v))
    np.testing.assert_allclose(pw, mean_over_group(in_rep, out_rep, w), atol=1e-12)
    np.testing.assert_allclose(basis.project(pw), pw, atol=1e-12)  # idempotent
    assert (pw * v).sum() == pytest.approx((w * pv).sum(), rel=1e-10)  # self-adjoint
    assert np.linalg.norm(pw) < np.linalg.norm(w)  # non-expansive, strictly for a random W


@x64
@pytest.mark.parametrize("batch", [(), (7,), (2, 3), (0,)])
@pytest.mark.parametrize("name", ["real, interleaved", "quaternionic, interleaved", "SO(3)"])
def test_apply_is_the_product_with_the_matrix(name, batch):
    basis = hom_basis(*PAIRS[name])
    coeffs = drawn(basis)
    x = np.random.default_rng(1).standard_normal((*batch, basis.in_rep.size))
    expected = x @ dense(basis, coeffs).T
    scale = max(1.0, np.abs(expected).max(initial=0.0))
    for mode in ("spectral", "dense", "auto"):
        found = basis.apply(coeffs, x, mode=mode)
        assert found.shape == (*batch, basis.out_rep.size)
        np.testing.assert_allclose(found, expected, atol=ROUNDING * 10 * scale)


@x64
@each_pair
def test_spectral_and_dense_agree(name):
    basis = hom_basis(*PAIRS[name])
    coeffs = drawn(basis)
    x = np.random.default_rng(1).standard_normal((5, basis.in_rep.size))
    found = basis.apply(coeffs, x, mode="spectral")
    expected = x @ dense(basis, coeffs).T
    np.testing.assert_allclose(found, expected, atol=ROUNDING * 10 * np.abs(expected).max())


@x64
@each_pair
def test_transpose(name):
    in_rep, out_rep = PAIRS[name]
    basis, back = hom_basis(in_rep, out_rep), hom_basis(out_rep, in_rep)
    coeffs = drawn(basis)
    turned = {key: np.asarray(value) for key, value in basis.transpose(coeffs).items()}
    np.testing.assert_allclose(dense(back, turned), dense(basis, coeffs).T, atol=ROUNDING * 10)


@x64
@each_pair
def test_norm(name):
    basis = hom_basis(*PAIRS[name])
    coeffs = drawn(basis)
    assert basis.norm_sq(coeffs) == pytest.approx((dense(basis, coeffs) ** 2).sum(), rel=1e-12)


def number_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Product of matrices over R, C or H, components last."""
    if a.shape[-1] == 1:
        return np.einsum("oks,kit->ois", a, b)
    if a.shape[-1] == 2:
        product = (a[..., 0] + 1j * a[..., 1]) @ (b[..., 0] + 1j * b[..., 1])
        return np.stack([product.real, product.imag], axis=-1)
    (w, x, y, z), (p, q, r, s) = np.moveaxis(a, -1, 0), np.moveaxis(b, -1, 0)
    return np.stack(
        [
            w @ p - x @ q - y @ r - z @ s,
            w @ q + x @ p + y @ s - z @ r,
            w @ r - x @ s + y @ p + z @ q,
            w @ s + x @ r - y @ q + z @ p,
        ],
        axis=-1,
    )


@x64
@each_pair
def test_composition_multiplies_coefficients_over_the_algebra(name):
    in_rep, out_rep = PAIRS[name]
    first, second = hom_basis(in_rep, out_rep), hom_basis(out_rep, in_rep)
    a, b = drawn(first, 1), drawn(second, 2)
    product = hom_basis(in_rep, in_rep).coefficients(dense(second, b) @ dense(first, a))
    for key in a:
        np.testing.assert_allclose(product[key], number_product(b[key], a[key]), atol=1e-11)


# ---- leading axes, transformations --------------------------------------------------------------


@x64
@pytest.mark.parametrize("name", ["complex, interleaved", "quaternionic, regular"])
def test_leading_axes(name):
    basis = hom_basis(*PAIRS[name])
    coeffs = drawn(basis, leading=(2, 3))
    each = np.stack(
        [
            [dense(basis, {k: c[i, j] for k, c in coeffs.items()}) for j in range(3)]
            for i in range(2)
        ]
    )
    np.testing.assert_allclose(basis.synthesize(coeffs), each, atol=1e-12)
    for key, theta in basis.coefficients(each).items():
        np.testing.assert_allclose(theta, coeffs[key], atol=1e-12)
    np.testing.assert_allclose(basis.norm_sq(coeffs), (each**2).sum(axis=(-2, -1)), rtol=1e-12)
    back = hom_basis(basis.out_rep, basis.in_rep).synthesize(basis.transpose(coeffs))
    np.testing.assert_allclose(back, each.swapaxes(-2, -1), atol=1e-12)
    vmapped = jax.vmap(jax.vmap(basis.synthesize))(jax.tree.map(jnp.asarray, coeffs))
    np.testing.assert_allclose(vmapped, each, atol=1e-12)
    x = np.random.default_rng(1).standard_normal((4, 2, 3, basis.in_rep.size))
    expected = np.einsum("abij,cabj->cabi", each, x)
    np.testing.assert_allclose(basis.apply(coeffs, x), expected, atol=1e-11)


@x64
def test_leading_axes_broadcast():
    basis = hom_basis(*PAIRS["complex, interleaved"])
    names = [b.name for b in basis.blocks]
    assert len(names) == 2
    coeffs = {n: c[0] for n, c in drawn(basis, leading=(1, 3)).items()}
    mixed = {names[0]: coeffs[names[0]], names[1]: drawn(basis, 5, leading=(2, 1))[names[1]]}
    found = basis.synthesize(mixed)
    assert found.shape[:2] == (2, 3)
    for i in range(2):
        for j in range(3):
            one = dense(basis, {names[0]: mixed[names[0]][j], names[1]: mixed[names[1]][i, 0]})
            np.testing.assert_allclose(found[i, j], one, atol=1e-12)


@x64
@pytest.mark.parametrize("name", ["real", "quaternionic, interleaved"])
def test_vmap_over_inputs_and_coefficients(name):
    basis = hom_basis(*PAIRS[name])
    coeffs = jax.tree.map(jnp.asarray, drawn(basis, leading=(4,)))
    x = jnp.asarray(np.random.default_rng(1).standard_normal((4, basis.in_rep.size)))
    found = jax.vmap(basis.apply)(coeffs, x)
    for i in range(4):
        matrix = dense(basis, {k: np.asarray(c[i]) for k, c in coeffs.items()})
        np.testing.assert_allclose(found[i], matrix @ x[i], atol=1e-12)


@x64
@pytest.mark.parametrize("mode", ["spectral", "dense"])
@pytest.mark.parametrize("name", ["real", "complex, interleaved", "quaternionic, interleaved"])
def test_jit_and_gradient(name, mode):
    basis = hom_basis(*PAIRS[name])
    coeffs = jax.tree.map(jnp.asarray, drawn(basis))
    rng = np.random.default_rng(2)
    x = jnp.asarray(rng.standard_normal((3, basis.in_rep.size)))

    def loss(theta, v):
        return jnp.sum(jnp.sin(basis.apply(theta, v, mode=mode)))

    assert float(jax.jit(loss)(coeffs, x)) == pytest.approx(float(loss(coeffs, x)), rel=1e-12)
    by_coeffs, by_x = jax.jit(jax.grad(loss, argnums=(0, 1)))(coeffs, x)
    direction = jax.tree.map(jnp.asarray, drawn(basis, 7))
    step = jnp.asarray(rng.standard_normal(x.shape))
    h = 1e-5

    def along(t):
        moved = jax.tree.map(lambda c, d: c + t * d, coeffs, direction)
        return float(loss(moved, x + t * step))

    # Central differences: error h^2 from the third derivative, 1e-16 / h from rounding.
    numeric = (along(h) - along(-h)) / (2 * h)
    exact = sum(jnp.vdot(by_coeffs[k], direction[k]) for k in direction) + jnp.vdot(by_x, step)
    assert numeric == pytest.approx(float(exact), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", ["real", "complex, interleaved", "quaternionic, interleaved"])
def test_float32_without_x64(name):
    basis = hom_basis(*PAIRS[name])
    coeffs = drawn(basis)
    single = {key: jnp.asarray(c, jnp.float32) for key, c in coeffs.items()}
    expected = dense(basis, coeffs)
    matrix = basis.synthesize(single)
    assert matrix.dtype == jnp.float32
    # Float32 has 6e-8; sums over at most 40 channels.
    np.testing.assert_allclose(matrix, expected, atol=1e-5)
    for key, theta in basis.coefficients(matrix).items():
        assert theta.dtype == jnp.float32
        np.testing.assert_allclose(theta, coeffs[key], atol=1e-5)
    x = np.random.default_rng(1).standard_normal((5, basis.in_rep.size)).astype(np.float32)
    for mode in ("spectral", "dense"):
        y = basis.apply(single, jnp.asarray(x), mode=mode)
        assert y.dtype == jnp.float32
        product = x.astype(np.float64) @ expected.T
        np.testing.assert_allclose(y, product, atol=1e-5 * np.abs(product).max())


def test_sixteen_bits_are_expanded_in_float32():
    basis = hom_basis(*PAIRS["complex, interleaved"])
    coeffs = drawn(basis)
    half = {key: jnp.asarray(c, jnp.bfloat16) for key, c in coeffs.items()}
    rounded = {key: np.asarray(c.astype(jnp.float32), np.float64) for key, c in half.items()}
    matrix = basis.synthesize(half)
    assert matrix.dtype == jnp.bfloat16
    # One rounding to 8 bits at the end, none before.
    exact = dense(basis, rounded)
    np.testing.assert_allclose(np.asarray(matrix, np.float64), exact, rtol=2**-8, atol=1e-5)


def test_both_precisions_in_one_process(precision):
    basis = hom_basis(*PAIRS["product of types"])
    coeffs = drawn(basis)
    expected = dense(basis, coeffs)
    for wide in (True, False, True, False):
        with precision(wide):
            matrix = basis.synthesize({k: jnp.asarray(c, float) for k, c in coeffs.items()})
            assert matrix.dtype == (jnp.float64 if wide else jnp.float32)
            np.testing.assert_allclose(matrix, expected, atol=1e-12 if wide else 1e-5)


# ---- values -------------------------------------------------------------------------------------


def test_equal_types_give_one_basis_whatever_their_names():
    rep, other = PAIRS["one type, random basis"]
    renamed = represent(rep.group, rep.irreps, rep.change_of_basis.copy(), "another name")
    assert renamed.name != rep.name
    assert hom_basis(renamed, other) is hom_basis(rep, other)


def test_one_name_for_two_representations():
    """A fault of symm-learning 0.8.1: decompositions cached by name give the first one's basis."""
    first = represent(
        D4, [(1, 1), (0, 0)], in_random_basis(D4.irrep(1, 1) + D4.trivial, 1).change_of_basis
    )
    second = represent(
        D4, [(1, 1), (0, 0)], in_random_basis(D4.irrep(1, 1) + D4.trivial, 2).change_of_basis
    )
    assert first.name == second.name
    assert first != second
    for rep in (first, second):
        elements = hom_basis(rep, rep).elements()
        for g in D4.generators:
            np.testing.assert_allclose(elements @ rep(g), rep(g) @ elements, atol=1e-12)


def test_one_irrep_type_in_a_random_basis_keeps_its_basis(x64):
    """A fault of symm-learning 0.8.1: two copies of the plane irrep of D3 in a random basis."""
    d3 = groups.dihedral(3)
    rep = in_random_basis(2 * d3.irrep(1, 1), 4)
    basis = hom_basis(rep, rep)
    w = np.asarray(basis.synthesize(drawn(basis)))
    for g in d3.elements:
        np.testing.assert_allclose(w @ rep(g), rep(g) @ w, atol=1e-12)


def test_two_ways_to_write_the_quaternions(x64):
    """A fault of symm-learning 0.8.1: endomorphisms must come from the irrep's own matrices."""
    i = np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0]], float)
    j = np.array([[0, 0, -1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, -1, 0, 0]], float)
    flip = np.diag([1.0, -1.0, -1.0, -1.0])
    # Right multiplication by inverses: conjugate by the quaternionic conjugation.
    for generators in ([i, j], [flip @ i @ flip, flip @ j @ flip]):
        group = groups.from_generators(generators)
        rep = Representation.from_generators(group, [group.defining(g) for g in group.generators])
        basis = hom_basis(rep, rep)
        assert basis.dim == 4
        assert basis.blocks[0].type == "quaternionic"
        w = np.random.default_rng(0).standard_normal((4, 4))
        np.testing.assert_allclose(basis.project(w), mean_over_group(rep, rep, w), atol=1e-12)


def test_basis_is_a_static_value():
    basis = hom_basis(*PAIRS["real"])
    assert jax.tree.leaves(basis) == []
    assert pickle.loads(pickle.dumps(basis)) == basis
    assert hash(basis) == hash(hom_basis(*PAIRS["real"]))
    assert basis != hom_basis(*reversed(PAIRS["real"]))
    passed = jax.jit(lambda b: b)(basis)
    assert passed == basis


def test_irreps_on_one_side_are_named():
    basis = hom_basis(*PAIRS["partly disjoint"])
    assert basis.unused_in == ("irrep(1,0)",)
    assert basis.unreached_out == ("trivial",)
    assert "trivial" in repr(basis)


@x64
def test_output_copies_without_input_are_zero():
    in_rep, out_rep = PAIRS["partly disjoint"]
    basis = hom_basis(in_rep, out_rep)
    y = basis.apply(drawn(basis), np.ones((2, 3)))
    assert np.abs(y[:, 0]).max() == 0.0
    assert np.abs(y[:, 1:]).min() > 0.0


def test_empty_space():
    in_rep, out_rep = 2 * D4.irrep(1, 0), D4.trivial + D4.irrep(1, 1)
    basis = hom_basis(in_rep, out_rep)
    assert basis.dim == 0
    assert basis.blocks == ()
    assert basis.elements().shape == (0, 3, 2)
    assert basis.init(jax.random.key(0)) == {}
    assert basis.coefficients(np.ones((3, 2), np.float32)) == {}
    assert basis.transpose({}) == {}
    assert float(basis.norm_sq({})) == 0.0
    for zero in (
        basis.synthesize({}),
        basis.project(np.ones((3, 2), np.float32)),
        basis.apply({}, np.ones((3, 2), np.float32)),
    ):
        assert zero.shape[-2:] in ((3, 2), (3, 3))
        assert not np.asarray(zero).any()
    assert basis.synthesize({}).shape == (3, 2)
    assert basis.apply({}, np.ones((5, 2), np.float32)).shape == (5, 3)
    assert basis.unused_in == ("irrep(1,0)",)
    assert basis.unreached_out == ("trivial", "irrep(1,1)")


@pytest.mark.usefixtures("unchecked_annotations")
def test_refusals():
    basis = hom_basis(*PAIRS["real"])
    with pytest.raises(ValueError, match="in_rep acts by D4 but out_rep acts by C5"):
        hom_basis(D4.regular, C5.regular)
    with pytest.raises(TypeError, match="in_rep: expected a Representation"):
        hom_basis(3, D4.regular)
    with pytest.raises(ValueError, match=r"expected \(..., 18, 18\), got \(18, 17\)"):
        basis.coefficients(np.ones((18, 17)))
    with pytest.raises(ValueError, match=r"expected \(..., 18, 18\), got \(18,\)"):
        basis.project(np.ones(18))
    with pytest.raises(TypeError, match="floating"):
        basis.coefficients(np.ones((18, 18), int))
    with pytest.raises(ValueError, match=r"x: expected \(..., 18\), got \(2, 17\)"):
        basis.apply(drawn(basis), np.ones((2, 17), np.float32))
    with pytest.raises(ValueError, match="mode: expected one of auto, dense, spectral"):
        basis.apply(drawn(basis), np.ones((2, 18)), mode="fast")
    coeffs = drawn(basis)
    with pytest.raises(ValueError, match="one array per irrep"):
        basis.synthesize({k: c for k, c in coeffs.items() if k != "trivial"})
    coeffs["trivial"] = np.ones((1, 1, 1))
    with pytest.raises(ValueError, match="for irrep 'trivial'"):
        basis.synthesize(coeffs)
