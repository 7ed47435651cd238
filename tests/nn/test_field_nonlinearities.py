"""Nonlinearities on feature fields: golden numbers, forms of one formula, exports, gradients."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import golden_fields
from equivax import FieldType, GeometricTensor, Representation, groups, nn, spaces
from equivax.testing._equivariance import randomize_parameters
from laws import UNOPTIMISED, normal

D4 = spaces.flip_rot_on_r2(4)
C4 = spaces.rot_on_r2(4)
C8 = spaces.rot_on_r2(8)
O2 = spaces.flip_rot_on_r2(-1)
ROTATIONS = D4.group.subgroup((None, 4))
MIRROR = D4.group.subgroup((0, 1))

NAMES = [
    "ReLU", "ELU", "PointwiseNonlinearity", "NormNonlinearity", "GatedNonlinearity",
    "InducedGatedNonlinearity", "InducedNormNonlinearity", "ConcatenatedNonlinearity",
    "VectorFieldNonlinearity",
]  # fmt: skip
GOLDEN = {entry.key: entry for name in NAMES for entry in golden_fields.modules(name)}
FUNCTIONS = {
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "softplus": jax.nn.softplus,
    "tanh": jnp.tanh,
    "squash": nn.squash,
}


def golden_layer(entry):
    """The layer of a golden entry, with its parameters."""
    make, params = getattr(nn, entry.module), dict(entry.params)
    options, leaves = {}, {}
    if "function" in params:
        options["function"] = FUNCTIONS[params["function"].split("_")[-1]]
    if "log_bias" in params:
        options["use_bias"] = params["bias"]
        leaves["log_bias"] = params["log_bias"]
    elif "bias" in params:
        leaves["bias"] = params["bias"]
    options |= {name: params[name] for name in ("alpha", "gates", "drop_gates") if name in params}
    layer = make(entry.in_type, **options)
    for name, value in leaves.items():
        if value is not None:
            layer = eqx.tree_at(lambda m, n=name: getattr(m, n), layer, jnp.asarray(value))
    return layer


@pytest.mark.parametrize("key", GOLDEN)
def test_golden_outputs(key):
    entry = GOLDEN[key]
    layer, x = golden_layer(entry), jnp.asarray(entry.x, jnp.float32)
    y, exported = eqx.filter_jit(lambda m, n: (m(x), jax.vmap(n)(x)))(layer, layer.export())
    np.testing.assert_allclose(y, entry.y, atol=golden_fields.ATOL)
    np.testing.assert_allclose(exported, y, atol=golden_fields.ATOL)
    if "out" in entry.record:
        assert layer.out_type == entry.out_type
    assert layer.evaluate_output_shape(x.shape) == y.shape == entry.y.shape
    wrapped = jax.eval_shape(layer, GeometricTensor(x, entry.in_type))
    assert (wrapped.type, wrapped.shape) == (layer.out_type, y.shape)


@pytest.mark.parametrize("key", [key for key in GOLDEN if "rho_out_elements" in GOLDEN[key].record])
def test_golden_matrices_of_concatenated_fields(key):
    entry = GOLDEN[key]
    rep = golden_layer(entry).out_type.representation
    for i, text in enumerate(entry.record["rho_out_elements"]):
        value = eval(text)  # "(1, 3)" or "3"
        g = rep.group.element(value)
        np.testing.assert_allclose(rep(g), entry.array(f"rho_out/{i}"), atol=1e-6)
    counts = {
        rep.group.irrep_data(golden_fields.irrep_id(rep.group, text)).id: count
        for text, count in entry.record["out_irreps"].items()
    }
    assert rep.multiplicities == counts


@pytest.mark.parametrize("text", golden_fields.admissible())
def test_admissible_facts(text):
    """The facts, and that every module takes all that its facts allow."""
    record = golden_fields.admissible()[text]
    name, _, rep_text = text.partition("/")
    rep = golden_fields.representation(name, rep_text)
    assert rep.size == record["size"]
    assert rep.is_permutation == record["permutation"]
    assert rep.is_signed_permutation == record["signed_permutation"]
    assert rep.is_trivial == record["trivial"]
    one = rep.group.trivial.irreps[0]
    assert rep.multiplicities.get(one, 0) == record["trivial_multiplicity"]
    nn.NormNonlinearity(rep)
    nn.GatedNonlinearity(rep.group.trivial + rep)
    if record["permutation"]:
        nn.ReLU(rep)
    if record["signed_permutation"]:
        nn.ConcatenatedNonlinearity(rep)
        nn.PointwiseNonlinearity(rep, jnp.tanh, odd=True)
    if rep_text == "regular" and name[0] == "C":
        nn.VectorFieldNonlinearity(rep)
    if rep_text.startswith(("quotient", "induced")):
        nn.InducedNormNonlinearity(rep)
        nn.InducedGatedNonlinearity(rep.group.quotient(rep.induced_from[0]) + rep)


# ---- gates -------------------------------------------------------------------------------------


def test_gates_are_used_in_field_order_whatever_the_sizes():
    """Peers give the first gate to the smallest field: the vector was shut, the scalar open."""
    type_ = FieldType(D4, 2 * D4.trivial + D4.irrep(1, 1) + D4.irrep(1, 0))
    layer = nn.GatedNonlinearity(type_)
    x = jnp.asarray([50.0, -50.0, 1.0, 2.0, 3.0])[:, None, None]
    np.testing.assert_allclose(layer(x)[:, 0, 0], [1.0, 2.0, 0.0], atol=1e-6)


def test_gates_start_without_bias():
    """Peers draw it from a normal distribution, so that gates start at random."""
    layer = nn.GatedNonlinearity(FieldType(D4, D4.trivial + D4.regular))
    np.testing.assert_array_equal(layer.bias, [0.0])


@pytest.mark.parametrize("drop_gates", [True, False])
@pytest.mark.parametrize("share", [None, [1, 0, 1]])
def test_one_and_two_tensors_are_one_formula(drop_gates, share, key):
    gates, gated = 3 * D4.trivial, D4.irrep(1, 1) + D4.regular + D4.irrep(1, 1)
    if share:
        gates = 2 * D4.trivial
    one = nn.GatedNonlinearity(
        FieldType(D4, gates + gated),
        share and ["gate", "gate", *share],
        drop_gates=drop_gates,
        function=jnp.tanh,
    )
    two = nn.GatedNonlinearity(
        (FieldType(D4, gates), FieldType(D4, gated)), share, drop_gates=drop_gates,
        function=jnp.tanh,
    )  # fmt: skip
    assert one.out_type == two.out_type
    one = randomize_parameters(one, key)
    two = eqx.tree_at(lambda m: m.bias, two, one.bias)
    x = normal(2, gates.size + gated.size, 5, 4)
    s, v = x[:, : gates.size], x[:, gates.size :]
    np.testing.assert_allclose(one(x), two(s, v), rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(two.export())(s, v), two(s, v), rtol=1e-6)
    wrapped = two(GeometricTensor(s, two.in_type[0]), GeometricTensor(v, two.in_type[1]))
    assert wrapped.type == two.out_type
    assert two.evaluate_output_shape((s.shape, v.shape)) == wrapped.shape
    # One set of gates for a batch: batch axes broadcast.
    np.testing.assert_allclose(two(s[:1], v)[0], two(s, v)[0], rtol=1e-6)


def test_a_gate_may_open_several_fields():
    type_ = FieldType(D4, [D4.trivial, D4.irrep(1, 1), D4.trivial, D4.irrep(1, 0), D4.irrep(1, 0)])
    layer = nn.GatedNonlinearity(type_, ["gate", 1, "gate", 0, 1], function=lambda t: t)
    x = jnp.asarray([2.0, 1.0, 1.0, 3.0, 1.0, 1.0])[:, None, None]
    np.testing.assert_allclose(layer(x)[:, 0, 0], [3.0, 3.0, 2.0, 3.0])
    assert layer.bias.shape == (2,)


def test_gates_within_fields(key):
    field = (2 * D4.trivial + D4.irrep(1, 1) + D4.irrep(1, 0)).fused()
    type_ = FieldType(D4, 2 * field)
    layer = nn.GatedNonlinearity.within_fields(type_, function=lambda t: t)
    assert layer.out_type == FieldType(D4, 2 * (D4.irrep(1, 1) + D4.irrep(1, 0)).fused())
    x = normal(2, 10, 3, 3)
    y = layer(x)
    np.testing.assert_allclose(y[:, :2], x[:, :1] * x[:, 2:4], rtol=1e-6)
    np.testing.assert_allclose(y[:, 2], x[:, 1] * x[:, 4], rtol=1e-6)
    np.testing.assert_allclose(y[:, 5], x[:, 6] * x[:, 9], rtol=1e-6)
    kept = nn.GatedNonlinearity.within_fields(type_, drop_gates=False)
    assert kept.out_type == type_
    np.testing.assert_allclose(kept(x)[:, 5], jax.nn.sigmoid(x[:, 5]), rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(kept.export())(x), kept(x), rtol=1e-6)


def test_for_fields_makes_the_gates_of_a_field_type():
    type_ = FieldType(D4, D4.irrep(1, 1) + D4.regular)
    layer = nn.GatedNonlinearity.for_fields(type_)
    assert layer.out_type == type_
    assert layer.in_type == FieldType(D4, 2 * D4.trivial) + type_


def test_gates_may_share_a_quotient_field():
    gate, field = D4.quotient(ROTATIONS), D4.induced(ROTATIONS, ROTATIONS.group.irrep(1))
    type_ = FieldType(D4, [field, gate, field])
    layer = nn.InducedGatedNonlinearity(type_, [0, "gate", 0], function=lambda t: t)
    x = jnp.asarray([1.0, 1, 1, 1, 2, 3, 1, 1, 1, 1])[:, None, None]
    np.testing.assert_allclose(layer(x)[:, 0, 0], [2, 2, 3, 3, 2, 2, 3, 3])


def test_induced_gates_in_another_order_of_channels_find_their_subfields(key):
    half = C8.group.subgroup(2)
    shuffle = np.eye(4)[[0, 2, 3, 1]]
    gate = Representation.from_matrices(
        C8.group, shuffle @ C8.quotient(half).matrices @ shuffle.T, "shuffled"
    )
    type_ = FieldType(C8, [gate, C8.induced(half, half.group.irrep(1))])
    for drop_gates in (True, False):
        layer = nn.InducedGatedNonlinearity(type_, drop_gates=drop_gates)
        commutes_pointwise(layer, key)


# ---- all of them -------------------------------------------------------------------------------


def commutes_pointwise(layer, key, atol=1e-5):
    """`f(rho(g) x) = rho(g) f(x)` on every testing element, in one batch."""
    layer = randomize_parameters(layer, key)
    rep, out = layer.in_type.representation, layer.out_type.representation
    elements = layer.in_type.testing_elements
    x = np.asarray(normal(2, rep.size, 3, 2))
    moved = [np.einsum("ij,bjhw->bihw", rep(g), x) for g in (rep.group.identity, *elements)]
    y, *rest = np.asarray(eqx.filter_jit(layer)(jnp.asarray(np.stack(moved), jnp.float32)))
    for g, found in zip(elements, rest, strict=True):
        np.testing.assert_allclose(found, np.einsum("ij,bjhw->bihw", out(g), y), atol=atol)


SIGMA = ROTATIONS.group.irrep(1)
LAYERS = {
    "LeakyReLU": lambda: nn.LeakyReLU(FieldType(D4, [D4.regular, D4.trivial]), 0.3),
    "tanh of signs": lambda: nn.PointwiseNonlinearity(
        FieldType(D4, [D4.irrep(1, 1), D4.regular]), jnp.tanh, odd=True
    ),
    "norm": lambda: nn.NormNonlinearity(
        FieldType(D4, [D4.irrep(1, 1), D4.regular, D4.irrep(1, 1)])
    ),
    "norm of many sizes": lambda: nn.NormNonlinearity(
        FieldType(D4, 12 * [D4.irrep(1, 1), D4.regular, D4.trivial])
    ),
    "induced norm": lambda: nn.InducedNormNonlinearity(
        FieldType(D4, [D4.induced(ROTATIONS, SIGMA), D4.quotient(MIRROR), D4.trivial])
    ),
    "induced norm on O(2)": lambda: nn.InducedNormNonlinearity(
        FieldType(O2, 2 * O2.induced("so2", groups.so2().irrep(2)))
    ),
    "gated": lambda: nn.GatedNonlinearity(
        FieldType(D4, [D4.irrep(1, 1), D4.trivial, D4.regular, D4.trivial]),
        [False, True, False, True],
        drop_gates=False,
    ),
    "induced gated": lambda: nn.InducedGatedNonlinearity(
        FieldType(D4, [D4.quotient(ROTATIONS), D4.induced(ROTATIONS, SIGMA)]), drop_gates=False
    ),
    "concatenated": lambda: nn.ConcatenatedNonlinearity(
        FieldType(D4, [D4.irrep(1, 1), D4.irrep(1, 1), D4.regular, D4.irrep(1, 0)])
    ),
    "concatenated, interleaved": lambda: nn.ConcatenatedNonlinearity(
        FieldType(D4, [D4.irrep(1, 1), D4.irrep(1, 0)]), interleaved=True
    ),
    "concatenated on O(2)": lambda: nn.ConcatenatedNonlinearity(FieldType(O2, [O2.irrep(1, 0)])),
    "vectors": lambda: nn.VectorFieldNonlinearity(FieldType(C8, 2 * C8.regular)),
    "soft vectors": lambda: nn.VectorFieldNonlinearity(
        FieldType(C8, 2 * C8.regular), soft=True, temperature=0.3
    ),
    "vectors of mirrors": lambda: nn.VectorFieldNonlinearity(
        FieldType(D4, [D4.quotient((0, 1)), D4.quotient((1, 1)), D4.quotient((3, 1))])
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers_commute(name, key):
    commutes_pointwise(LAYERS[name](), key)


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_finite_at_zero_and_constant_fields(name, key):
    layer = randomize_parameters(LAYERS[name](), key)
    for x in (jnp.zeros((layer.in_type.size, 2, 2)), jnp.ones((layer.in_type.size, 2, 2))):
        loss = eqx.filter_grad(lambda pair: (pair[0](pair[1]) ** 2).sum())
        grads = eqx.filter_jit(loss)((layer, x))
        assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(grads))


@pytest.mark.parametrize("name", LAYERS)
def test_exports_are_the_same_function(name, key):
    layer = randomize_parameters(LAYERS[name](), key)
    x = normal(3, layer.in_type.size, 2, 2)
    exported, expected = eqx.filter_jit(lambda m, n: (jax.vmap(m)(x), n(x)))(layer.export(), layer)
    np.testing.assert_allclose(exported, expected, atol=1e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_vectors_images_and_batches_agree(name, key):
    """A field on a point is an image of one pixel."""
    layer = randomize_parameters(LAYERS[name](), key)
    x = normal(2, 3, layer.in_type.size, 4, 1)
    y, mapped, one = eqx.filter_jit(lambda m: (m(x), jax.vmap(jax.vmap(m))(x), m(x[1, 2])))(layer)
    assert y.shape == (2, 3, layer.out_type.size, 4, 1)
    np.testing.assert_allclose(mapped, y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one, y[1, 2], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["norm", "gated", "concatenated", "vectors of mirrors"])
def test_fields_and_vectors_agree(name, key):
    """The type on a plane, on a line and as a bare representation: one formula per point."""
    plane = LAYERS[name]()
    rep = plane.in_type.representation
    marks = {"gates": [False, True, False, True], "drop_gates": False}
    options = marks if name == "gated" else {}
    line = type(plane)(FieldType(spaces.on_r1(rep.group), rep), **options)
    bare = type(plane)(rep, **options)
    assert isinstance(bare.out_type, Representation)
    assert bare.out_type == plane.out_type.representation == line.out_type.representation
    x = normal(3, rep.size, 2, 4)
    y = plane(x)
    points = jnp.moveaxis(x, 1, -1)
    np.testing.assert_allclose(bare(points), jnp.moveaxis(y, 1, -1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(line(x[..., 0]), y[..., 0], rtol=1e-5, atol=1e-6)


def test_functions_of_lengths_are_the_same_on_every_platform(key, monkeypatch):
    """Accelerators take kinds of fields apart."""
    fields = [D4.trivial, *2 * [D4.irrep(1, 1)], D4.regular]
    layer = randomize_parameters(nn.NormNonlinearity(FieldType(D4, fields)), key)
    x = normal(2, layer.in_type.size, 3, 3)

    @functools.partial(jax.jit, compiler_options=UNOPTIMISED, static_argnums=0)
    def results(platform, layer, x):
        y, back = jax.vjp(lambda layer, x: layer(x), layer, x)
        return y, jax.vmap(layer.export())(x), back(jnp.cos(y))

    expected = results("cpu", layer, x)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    found = results("gpu", layer, x)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_outputs_have_the_dtype_of_the_input(name, precision):
    """Peers return float32 whatever they get."""
    with precision(True):
        layer = LAYERS[name]()
        for dtype in ("bfloat16", "float16", "float32", "float64"):
            x = jax.ShapeDtypeStruct((layer.in_type.size, 2, 2), dtype)
            assert jax.eval_shape(layer, x).dtype == x.dtype
            assert jax.eval_shape(layer.export(), x).dtype == x.dtype


def test_norms_of_half_precision_do_not_overflow():
    layer = nn.NormNonlinearity(FieldType(D4, [D4.regular]))
    y = layer(jnp.full((8, 2, 2), 200.0, "float16"))
    np.testing.assert_allclose(np.asarray(y, float), 200.0, rtol=2e-3)
