"""`GroupNorm` and `LayerNorm` by whitening: golden numbers, derivatives, singular data."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import golden_images as gi
from equivax import FieldType, groups, nn, spaces
from equivax.images import MultiImage, Signature
from equivax.nn.normalization._whitening import inverse_root
from laws import UNOPTIMISED, applied, cast, drawn, normal, one_in, relative

NORMS = {case["name"]: case for case in gi.facts()["norm"]}


@pytest.fixture(params=["cpu", "gpu"])
def platform(request, monkeypatch):
    """Both ways to write small products and rotations, compiled for CPU."""
    monkeypatch.setattr(jax, "default_backend", lambda: request.param)
    jax.clear_caches()
    yield request.param
    jax.clear_caches()


def golden(case, dtype=np.float64):
    """The layer, its input, the cotangent, and what both should give."""
    signature = Signature((((case["k"], case["p"]), case["channels"]),))
    arrays = {n: np.asarray(a, dtype) for n, a in gi.below(f"norm/{case['name']}").items()}
    norm = nn.GroupNorm(signature.field_type(case["D"]), case["groups"], eps=case["eps"])
    (kind,) = norm.scale
    object.__setattr__(norm, "scale", {kind: jnp.asarray(arrays["scale"])})
    object.__setattr__(norm, "bias", {kind: jnp.asarray(arrays["bias"])})
    images = {
        n: MultiImage({signature.types[0]: arrays[n]}, case["D"])
        for n in arrays.keys() - {"scale", "bias"}
    }
    return norm, images


@pytest.mark.usefixtures("x64", "platform")
@pytest.mark.parametrize("name", one_in(3, NORMS))
def test_golden_values_and_gradients(name):
    norm, images = golden(NORMS[name])

    @functools.partial(jax.jit, compiler_options=UNOPTIMISED)
    def both(norm, x, cotangent):
        y, pull = jax.vjp(norm, x)
        return y, pull(cotangent)

    y, (found,) = both(norm, images["x"], images["cot"])
    assert relative(y.array, images["ref"].array) < 1e-10
    scale = max(np.abs(images["vjp_x"].array).max(), 1.0)
    assert np.abs(found.array - images["vjp_x"].array).max() < 1e-10 * scale


@pytest.mark.parametrize("name", ["scalar_g2", "vector_g2", "tensor2"])
def test_golden_values_in_single_precision(name):
    norm, images = golden(NORMS[name], np.float32)
    y = jax.jit(lambda f, x: f(x), compiler_options=UNOPTIMISED)(norm, images["x"])
    assert y.dtype == jnp.float32
    assert relative(y.array, images["ref"].array) < 2e-6


def spectrum(values, seed=0):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values),) * 2))
    return q * np.asarray(values) @ q.T


SPECTRA = {
    2: [(2.0, 0.5), (1.0, 1.0), (1.0, 1.0 + 1e-6), (1.0, 0.0), (0.0, 0.0)],
    3: [(2.0, 1.0, 1.0), (1.0, 1.0, 1.0), (1.0, 0.0, 0.0), (0.0, 0.0, 0.0)],
    4: [(3.0, 1.0, 1.0, 0.2), (1.0, 1.0 + 1e-6, 0.0, 0.0)],
}


@pytest.mark.usefixtures("x64", "platform")
@pytest.mark.parametrize("n", SPECTRA)
def test_the_root_and_two_derivatives_against_differences(n):
    eps, h, identity = 1e-2, 5e-5, np.eye(n)
    a, E, F = (np.asarray(normal(n, n, seed=seed)) for seed in (1, 2, 3))
    E, F = E + E.T, F + F.T

    @functools.partial(jax.jit, compiler_options=UNOPTIMISED)
    @jax.vmap
    def derivatives(S):
        gradient = jax.grad(lambda S: jnp.sum(a * inverse_root(S, eps)))

        def along(S):
            return jnp.sum(gradient(S) * E)

        _, forward = jax.jvp(along, (S,), (jnp.asarray(F),))
        return inverse_root(S, eps), along(S), forward, jnp.sum(jax.grad(along)(S) * F)

    def exact(S):
        values, vectors = np.linalg.eigh(S + eps * identity)
        return float(np.sum(a * ((vectors * values**-0.5) @ vectors.T)))

    matrices = np.stack([spectrum(values) for values in SPECTRA[n]])
    for S, root, once, forward, reverse in zip(matrices, *derivatives(matrices), strict=True):
        assert relative(root @ root @ (S + eps * identity), identity) < 1e-11
        first = (exact(S + h * E) - exact(S - h * E)) / (2 * h)
        signs = ((1, 1, 1), (-1, 1, -1), (-1, -1, 1), (1, -1, -1))
        terms = [sign * exact(S + h * (x * E + y * F)) for sign, x, y in signs]
        assert abs(once - first) < 1e-3 * abs(first)
        assert abs(forward - sum(terms) / (4 * h * h)) < 1e-2 * abs(forward)
        assert abs(forward - reverse) < 1e-9 * abs(forward)


def kinds_of_data(size, points):
    """Zero, constant, isotropic, axial, all on a line, a blank patch, random: float32."""
    rng = np.random.default_rng(0)
    blank = rng.normal(size=(2, size, points))
    blank[..., points // 2 :] = 0
    axial = np.zeros((2, size, points))
    axial[0, :, :size], axial[1, :, :size] = np.eye(size), -np.eye(size)
    stretched = axial.copy()
    stretched[:, 0] *= 2
    line = np.broadcast_to(rng.normal(size=(2, 1, points)), (2, size, points))
    constant = np.broadcast_to(rng.normal(size=(2, size, 1)), (2, size, points))
    zero = np.zeros((2, size, points))
    return jnp.asarray(np.stack([zero, constant, axial, stretched, line, blank]), jnp.float32)


@pytest.mark.usefixtures("platform")
@pytest.mark.parametrize("D, k", one_in(2, [(2, 1), (1, 1), (3, 1), (2, 2)]))
def test_first_and_second_gradients_are_finite(D, k):
    size, sides = D**k, {1: (6,), 2: (2, 3), 3: (3, 1, 2)}[D]
    norm = drawn(nn.GroupNorm(Signature((((k, 0), 2),)).field_type(D)))
    data = kinds_of_data(size, 6).reshape(6, 2 * size, *sides)
    weight = normal(*data.shape[1:])

    def loss(pair):
        return jnp.sum(jnp.sin(pair[0](pair[1])) * weight)

    @jax.jit
    def both(norm, data):
        def at(x):
            gradient = jax.grad(loss)
            first = gradient((norm, x))
            square = jax.grad(lambda p: sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient(p))))
            return first, square((norm, x))

        return jax.vmap(at)(data)

    for leaf in jax.tree.leaves(both(norm, data)):
        assert np.isfinite(np.asarray(leaf)).all()


@pytest.mark.usefixtures("x64", "platform")
@pytest.mark.parametrize(
    "D, k, whiten",
    [(2, 0, "full"), (2, 1, "full"), (3, 1, "full"), (2, 1, "isotypic"), (2, 1, "rms")],
)
def test_rounding_is_not_magnified(D, k, whiten):
    size, sides = D**k, (4,) * D
    u, rng = np.finfo(float).eps, np.random.default_rng(0)
    norm = nn.GroupNorm(Signature((((k, 0), 4),)).field_type(D), 2, whiten=whiten)
    axis = rng.normal(size=(size, 1))
    axis /= np.linalg.norm(axis)
    # Constant, large, and on a line, of which only one direction is alive.
    lengths = np.array([[1.0] * 4, [1e3] * 4, [1.0, -2.0, 3.0, 0.5]])
    x = lengths[..., None, None] * np.broadcast_to(axis, (size, 4**D))
    noise = u * rng.integers(-4, 5, x.shape)
    groups = x.reshape(3, 2, 2, *x.shape[2:])
    centred = groups - groups.mean(axis=(2, 4), keepdims=True)
    square = (centred**2).sum(axis=3, keepdims=True).mean(axis=(2, 4), keepdims=True)
    expected = centred / np.sqrt(square / (1 if whiten == "full" else size) + norm.eps)
    data = (x * (1 + noise)).reshape(3, -1, *sides)
    expected = expected.reshape(x.shape)
    y = jax.jit(lambda f, x: f(x), compiler_options=UNOPTIMISED)(norm, data)
    error = np.abs(y.reshape(expected.shape) - expected).max(axis=(1, 2, 3))
    assert (error < 50 * u * np.array([1, 1e3, 1])).all()


@pytest.mark.parametrize("norm", [nn.GroupNorm, nn.InstanceNorm])
def test_what_a_convolution_leaves_of_zero_is_not_magnified(norm):
    """On constant images vectors as small as the rounding of scalars are zero; larger ones stay."""
    layer = norm(Signature((((0, 0), 3), ((1, 0), 4))).field_type(2))
    scalars = jnp.broadcast_to(normal(3, 1, 1), (3, 6, 6))
    rest = jnp.broadcast_to(normal(8, 1, 1, seed=1), (8, 6, 6))
    u = float(jnp.finfo(jnp.float32).eps)

    @jax.jit
    def run(rest):
        return layer(jnp.concatenate([scalars, rest]).astype(jnp.float32))

    y, dy = jax.jvp(run, (50 * u * rest,), (rest,))
    assert not y[3:].any()
    assert relative(run(3000 * u * rest)[3:], 3000 * u * dy[3:]) < 1e-2  # as the derivative says
    root = np.sqrt(layer.eps)
    expected = rest if norm is nn.InstanceNorm else centred(rest, 2)
    assert relative(root * dy[3:], expected) < 1e-4
    assert relative(y[:3], run(rest)[:3]) < 1e-6


def test_what_layers_leave_across_a_line_is_not_magnified():
    """Vectors along one axis of an image that varies: across it is rounding of the layers before.

    A little of it would be 316 times as much behind the norm, and all there is behind the next.
    """
    norm = nn.GroupNorm(Signature((((1, 0), 4),)).field_type(2), affine=False)
    line, across = np.array([0.6, 0.8]), np.array([-0.8, 0.6])
    lengths, noise = np.random.default_rng(0).normal(size=(2, 4, 1, 64))
    left = 50 * float(jnp.finfo(jnp.float32).eps) * noise
    x = lengths * line[:, None] + left * across[:, None]
    y = np.asarray(applied(norm, x.reshape(8, 8, 8).astype(np.float32))).reshape(4, 2, 64)
    assert np.abs(np.einsum("fnp,n->fp", y, across)).max() < 1e-5
    assert np.abs(np.einsum("fnp,n->fp", y, line)).max() > 1


@pytest.mark.parametrize("norm", [nn.GroupNorm, nn.InstanceNorm, nn.LayerNorm])
@pytest.mark.parametrize("sizes", [(1e6, 1e-6), (1e-6, 1e6), (1e7, 1.0), (1e5, 1e-3)])
def test_kinds_in_units_far_apart_keep_the_formula(norm, sizes, precision):
    """Pressures beside velocities: every kind as in float64 on the same numbers."""
    layer = norm(Signature((((0, 0), 3), ((1, 0), 4))).field_type(2))
    kinds = normal(3, 6, 6), normal(8, 6, 6, seed=1)
    x = np.concatenate([size * np.asarray(kind) for size, kind in zip(sizes, kinds, strict=True)])
    x = x.astype(np.float32)
    single = applied(layer, x)
    with precision(True):
        double = applied(cast(layer, np.float64), x.astype(np.float64))
    for kind in (slice(3), slice(3, None)):
        assert relative(single[kind], double[kind]) < 1e-6


def centred(x, size):
    """Fields ``(count * size, *spatial)`` less the mean over all of them and their points."""
    fields = np.asarray(x).reshape(-1, size, *x.shape[1:])
    return (fields - fields.mean(axis=(0, 2, 3), keepdims=True)).reshape(x.shape)


def exact(x, eps):
    """``(S + eps I)^(-1/2) (x - mu)`` of ``(fields, n, points)`` in float64, by singular values."""
    rows = np.moveaxis(np.asarray(x, np.float64), 1, 0)
    flat = rows.reshape(rows.shape[0], -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    u, s, _ = np.linalg.svd(flat, full_matrices=False)
    flat = (u / np.sqrt(s**2 / flat.shape[1] + eps)) @ (u.T @ flat)
    return np.moveaxis(flat.reshape(rows.shape), 0, 1)


def vectors(deviations, *, turned, mean=0.0, size=1.0, seed=0):
    """Four fields of vectors with given deviations along some axes, ``(fields, n, points)``."""
    rng = np.random.default_rng(seed)
    n = len(deviations)
    x = rng.normal(size=(4, 144, n)) * np.asarray(deviations)
    axes = np.linalg.qr(rng.normal(size=(n, n)))[0] if turned else np.eye(n)
    x = np.swapaxes(size * (x @ axes.T + mean * axes[:, 0]), 1, 2)
    return x.astype(np.float32)


#: Rounding of float32 relative to a number.
U = 2.0**-24

#: Deviations, whether the axes are turned, mean, size, and the error that data of float32 allow.
SCALED = {
    f"{n} components, ratio {r:g}{', turned' * turned}, size {size:g}": (
        deviations,
        turned,
        0.0,
        size,
        max(1e-4, 40 * U * r),
    )
    for n, r, deviations in [
        (2, 1e1, (1, 1e-1)),
        (2, 1e2, (1, 1e-2)),
        (2, 1e3, (1, 1e-3)),
        (2, 1e4, (1, 1e-4)),
        (3, 1e2, (1, 1, 1e-2)),
        (3, 1e3, (1, 1e-3, 1e-3)),
        (3, 1e4, (1, 1e-2, 1e-4)),
        (4, 1e4, (1, 1e-1, 1e-4, 1e-4)),
    ]
    for turned in (False, True)
    for size in (1e-6, 1.0, 1e6)
} | {
    f"{n} components, mean {mean:g}, size {size:g}": ((1,) * n, True, mean, size, 1e-3)
    for n in (1, 2, 3)
    for mean in (0.0, 1e3, 1e5)
    for size in (1e-6, 1.0, 1e6)
}


@pytest.mark.usefixtures("platform")
def test_single_precision_keeps_the_formula():
    """Strong beside weak directions, large means, any size: as in float64 on the same input."""
    worst = {}
    for n in (1, 2, 3, 4):
        D, k = {1: (2, 0), 2: (2, 1), 3: (3, 1), 4: (2, 2)}[n]
        norm = nn.GroupNorm(Signature((((k, 0), 4),)).field_type(D), affine=False)
        cases = {k: v for k, v in SCALED.items() if len(v[0]) == n}
        data = np.stack([vectors(d, turned=t, mean=m, size=s) for d, t, m, s, _ in cases.values()])
        sides = {2: (12, 12), 3: (4, 6, 6)}[D]
        y = eqx.filter_jit(norm)(data.reshape(len(data), 4 * n, *sides)).reshape(data.shape)
        for (name, case), x, found in zip(cases.items(), data, y, strict=True):
            error = relative(found, exact(x, norm.eps))
            if not error < case[-1]:
                worst[name] = error
    assert not worst


@pytest.mark.usefixtures("x64", "platform")
@pytest.mark.parametrize("n", one_in(2, [1, 2, 3, 4]))
def test_the_gradient_is_that_of_the_value(n):
    """Differences of the value in float64; the gradient in float32 agrees with them."""
    D, k = {1: (2, 0), 2: (2, 1), 3: (3, 1), 4: (2, 2)}[n]
    norm = nn.GroupNorm(Signature((((k, 0), 4),)).field_type(D), affine=False)
    sides = {2: (12, 12), 3: (4, 6, 6)}[D]
    weight = normal(4 * n, *sides)

    @eqx.filter_jit
    def both(x):
        return jax.value_and_grad(lambda x: jnp.sum(jnp.sin(norm(x)) * weight.astype(x.dtype)))(x)

    for ratio in (1.0, 1e3):
        deviations = np.geomspace(1, 1 / ratio, n)
        single = vectors(deviations, turned=True, mean=3.0).reshape(4 * n, *sides)
        x = single.astype(np.float64)
        h, direction = 1e-4, np.asarray(normal(*x.shape, seed=1)) / ratio
        _, gradient = both(x)
        difference = (both(x + h * direction)[0] - both(x - h * direction)[0]) / (2 * h)
        assert relative(jnp.sum(gradient * direction), difference) < 1e-5
        # The strong direction is rounded to u, and the weak one is 1 / ratio of it.
        assert relative(both(single)[1], gradient) < 40 * U * ratio


@pytest.mark.usefixtures("x64")
def test_the_modes_do_what_they_say():
    signature = Signature((((0, 0), 2), ((1, 0), 2), ((2, 0), 4)))
    type_ = signature.field_type(2)
    x = normal(3, type_.size, 6, 7)

    def covariances(whiten, groups):
        y = applied(nn.GroupNorm(type_, groups, whiten=whiten, eps=1e-12), x)
        fields = np.asarray(y[:, 6:]).reshape(3, groups, 4 // groups, 4, 42)
        centred = fields - fields.mean(axis=(2, 4), keepdims=True)
        np.testing.assert_allclose(centred, fields, atol=1e-12)
        return np.einsum("bgcip,bgcjp->bgij", fields, fields) / (fields.shape[2] * 42)

    for count in (1, 2):
        full = covariances("full", count)
        np.testing.assert_allclose(full, np.broadcast_to(np.eye(4), full.shape), atol=1e-9)
    rms = covariances("rms", 2)
    np.testing.assert_allclose(np.trace(rms, axis1=2, axis2=3), 4, atol=1e-9)
    # White after the average over the group, which knows one number per pair of equal irreps.
    isotypic = covariances("isotypic", 1)
    rho = type_.reps[-1].matrices
    mean = np.einsum("gij,bcjk,glk->bcil", rho, isotypic, rho) / len(rho)
    np.testing.assert_allclose(mean, np.broadcast_to(np.eye(4), mean.shape), atol=1e-9)
    # Vectors are irreducible: one number either way.
    vectors = FieldType(type_.space, list(type_.reps[2:4]))
    y, z = (applied(nn.GroupNorm(vectors, whiten=w), x[:, 2:6]) for w in ("isotypic", "rms"))
    np.testing.assert_allclose(y, z, atol=1e-12)


@pytest.mark.usefixtures("x64")
def test_known_norms_are_special_cases():
    trivial = FieldType(spaces.rot_on_r2(4), 4 * groups.cyclic(4).trivial)
    x = normal(2, 4, 5, 6)
    plain = jax.jit(jax.vmap(eqx.nn.GroupNorm(2, 4)))(x)
    np.testing.assert_allclose(applied(nn.GroupNorm(trivial, 2), x), plain, atol=1e-12)
    single = applied(nn.GroupNorm(trivial, 4), x)
    np.testing.assert_allclose(single, applied(nn.InstanceNorm(trivial), x), atol=1e-12)
    type_ = Signature((((0, 0), 2), ((1, 0), 3))).field_type(2)
    x = normal(2, type_.size, 5, 6)
    found = applied(nn.LayerNorm(type_), x)
    np.testing.assert_array_equal(found, applied(nn.GroupNorm(type_), x))
    # Point by point, as vectors are.
    points = applied(nn.LayerNorm(type_, whiten=None), x)
    expected = applied(nn.LayerNorm(type_.representation), np.moveaxis(x, 1, -1))
    np.testing.assert_allclose(points, np.moveaxis(expected, -1, 1), atol=1e-12)


def test_pseudoscalars_keep_their_sign_with_a_bias():
    # An additive bias of the peer's breaks reflections: 28 % at these values.
    type_ = Signature((((0, 1), 2),)).field_type(2)
    norm = nn.GroupNorm(type_)
    object.__setattr__(norm, "bias", {"k0p1": jnp.array([0.3, -0.2])})
    x = normal(2, 5, 5)
    np.testing.assert_allclose(norm(-x[..., ::-1]), -norm(x)[..., ::-1], atol=1e-6)
    assert not nn.GroupNorm(type_, bias="scalar").bias
    assert not nn.GroupNorm(type_, affine=False).scale


def test_axes_are_found_once_per_covariance():
    """A step turns rows in two loops: for the first covariance, and for the second."""
    type_ = Signature((((2, 0), 4),)).field_type(2)
    norm = nn.GroupNorm(type_)
    step = jax.jit(jax.grad(lambda x: jnp.sum(norm(x) ** 4)))
    assert step.lower(jnp.ones((2, 16, 5, 5))).as_text().count("stablehlo.while") == 2
