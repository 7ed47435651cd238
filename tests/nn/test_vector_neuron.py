"""`VectorNeuron`, and odd functions on tensor images."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import golden_images as gi
from equivax import nn
from equivax.images import MultiImage, Signature
from laws import UNOPTIMISED, applied, cast, drawn, normal, relative

CASES = {case["name"]: case for case in gi.facts()["vector_neuron"]}


def neuron(signature, weights, D=2, **options):
    layer = nn.VectorNeuron(signature.field_type(D), key=jax.random.key(0), **options)
    for label in layer.weight:
        object.__setattr__(layer, "weight", {label: jnp.asarray(weights)})
    return layer


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", CASES)
def test_golden_numbers(name):
    case = CASES[name]
    type_ = (case["k"], case["p"])
    arrays = {n: np.asarray(a, np.float64) for n, a in gi.below(f"vn/{name}").items()}
    signature = Signature(((type_, case["channels"]),))
    x = MultiImage({type_: arrays["x"]}, case["D"])
    function = {"relu": jax.nn.relu, "gelu": jax.nn.gelu}[case["act"]]
    for convention in ("signed", "magnitude"):
        options = dict(D=case["D"], activation=function, eps=case["eps"], convention=convention)
        layer = neuron(signature, arrays["w"], **options)
        assert bool(layer.weight) == (type_ != (0, 0))
        assert relative(layer(x)[type_], arrays[f"ref_{convention}"]) < 1e-10


def test_the_identity_is_the_identity_and_the_peer_reverses():
    signature = Signature((((1, 0), 1),))
    x = jnp.array([3.0, 4.0]).reshape(2, 1, 1)
    options = dict(activation=lambda s: s)
    np.testing.assert_allclose(neuron(signature, [[-1.0]], **options)(x), x, atol=1e-4)
    peer = neuron(signature, [[-1.0]], convention="magnitude", **options)
    np.testing.assert_allclose(peer(x), -x, atol=1e-3)


@pytest.mark.parametrize("mix", ["fields", "hom"])
def test_blank_patches_have_finite_first_and_second_gradients(mix):
    # The peer: NaN, also in the weights, as soon as one direction is exactly zero.
    type_ = Signature((((0, 0), 1), ((1, 0), 2), ((2, 1), 1))).field_type(2)
    layer = drawn(nn.VectorNeuron(type_, mix=mix, key=jax.random.key(0)))
    blank = normal(type_.size, 4, 4).at[:, :3].set(0)
    data = jnp.stack([blank, jnp.zeros_like(blank), jnp.ones_like(blank)])

    def loss(pair):
        return jnp.sum(pair[0](pair[1]) ** 2)

    @jax.jit
    @jax.vmap
    def gradients(x):
        first = jax.grad(loss)
        second = jax.grad(lambda p: sum(jnp.sum(g**2) for g in jax.tree.leaves(first(p))))
        return first((layer, x)), second((layer, x))

    for leaf in jax.tree.leaves(gradients(data)):
        assert np.isfinite(np.asarray(leaf)).all()


@pytest.mark.usefixtures("x64")
def test_values_and_derivatives_are_the_same_on_every_platform(monkeypatch):
    """Those of sums written for accelerators, compiled for CPU, also on a blank background."""
    type_ = Signature((((0, 0), 1), ((1, 0), 2), ((2, 1), 3))).field_type(2)
    layer = nn.VectorNeuron(type_, activation=jnp.tanh, key=jax.random.key(0))
    at = layer, normal(2, type_.size, 3, 3).at[:, :, 0].set(0)
    along = drawn(layer), normal(2, type_.size, 3, 3, seed=1)

    def loss(pair):
        return jnp.sum(jnp.sin(pair[0](pair[1])))

    @functools.partial(jax.jit, compiler_options=UNOPTIMISED, static_argnums=0)
    def derivatives(platform, at, along):
        first, forward = jax.jvp(jax.grad(loss), (at,), (along,))
        reverse = jax.grad(lambda at: jax.jvp(loss, (at,), (along,))[1])(at)
        return jax.vmap(layer)(at[1][None]), first, forward, reverse

    expected = derivatives("cpu", at, along)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    found = derivatives("gpu", at, along)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert relative(a, b) < 1e-12


def test_single_precision_is_as_good_as_the_direction_is_certain(precision):
    """Where the terms of q nearly cancel, its direction is what rounding of x and w makes of it.

    ``|dq| <= u |w| |x|`` turns u by ``|dq| / (|q| + eps)``, whatever computes it: of a constant
    image, whose vectors may all lie on one line, errors of 1e-3 are met now and then.
    """
    layer = nn.VectorNeuron(Signature((((1, 0), 4),)).field_type(2), key=jax.random.key(0))
    rng = np.random.default_rng(0)
    lengths, axes = rng.normal(size=(4, 1, 128, 128)), rng.normal(size=(2, 128, 128))
    x = (lengths * axes).reshape(8, 128, 128).astype(np.float32)
    single = np.asarray(applied(layer, x), np.float64)
    with precision(True):
        double = np.asarray(applied(cast(layer, np.float64), x.astype(np.float64)))
    (w,) = (np.asarray(weight, np.float64) for weight in layer.weight.values())
    fields = x.astype(np.float64).reshape(4, 2, -1)
    sizes = np.linalg.norm(fields, axis=1)
    q = np.linalg.norm(np.einsum("gf,fnp->gnp", w, fields), axis=1)
    uncertain = np.abs(w) @ sizes / (q + layer.eps)
    error = np.linalg.norm((single - double).reshape(4, 2, -1), axis=1)
    assert error.max() > 1e-4  # so the bound is needed
    # Five roundings make a q of four terms.
    assert (error <= 5 * 2.0**-24 * sizes * (1 + uncertain)).all()


@pytest.mark.parametrize("D", [1, 2, 3])
def test_odd_functions_commute_with_signed_permutations_exactly(D):
    signature = Signature([((k, p), 1) for k in range(4) for p in range(2) if D**k < 10])
    type_ = signature.field_type(D)
    x = MultiImage.from_array(normal(type_.size, *(4, 3, 2)[:D]), signature, D)
    layer = nn.PointwiseNonlinearity(type_, jnp.tanh, odd=True)
    with pytest.raises(ValueError, match="odd=True"):
        nn.PointwiseNonlinearity(type_, jax.nn.relu)
    g = np.roll(np.diag([-1, 1, 1][:D]), 1, axis=0)
    moved, expected = layer(x.transform(g)), layer(x).transform(g)
    np.testing.assert_array_equal(moved.array, expected.array)
