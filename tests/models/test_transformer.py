"""Transformers: against plain layers, drawn layer by layer, what is refused, files."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx
from equivax import IrrepTensor, groups, hom, models, nn
from equivax.models._transformer_parts import plain_attention
from laws import assert_arrays_stand_once, assert_free_of_equivax, drawn, normal, relative

C1, D4, SO2 = groups.cyclic(1), groups.dihedral(4), groups.so2()
REP = 2 * D4.regular + D4.irrep(1, 1)


def carried(plain, layer):
    """The layer with the weights of a plain one, for the trivial group."""
    return layer.with_weight(plain.weight).with_bias(plain.bias)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("norm_first", [True, False])
def test_for_the_trivial_group_it_is_the_plain_layer(norm_first, key):
    keys = jax.random.split(key, 3)
    heads = {f"use_{name}_bias": True for name in ("query", "key", "value", "output")}
    attention = drawn(eqx.nn.MultiheadAttention(2, 8, key=keys[0], **heads))
    first, second = drawn(
        (eqx.nn.Linear(8, 20, key=keys[1]), eqx.nn.Linear(20, 8, key=keys[2])), 0.3
    )
    norms = [drawn(eqx.nn.RMSNorm(8, eps=1e-6, use_bias=False)) for _ in range(2)]

    def plain(x):
        def attend(v):
            return attention(v, v, v, mask=jnp.tri(5, dtype=bool))

        def network(v):
            return jax.vmap(lambda w: second(jax.nn.gelu(first(w))))(v)

        for norm, branch in zip(norms, (attend, network), strict=True):
            x = x + branch(jax.vmap(norm)(x)) if norm_first else jax.vmap(norm)(x + branch(x))
        return x

    layer = models.TransformerEncoderLayer(
        8 * C1.trivial, 2, feedforward=20, norm_first=norm_first, key=key
    )
    names = ("query_proj", "key_proj", "value_proj", "output_proj")
    layer = eqx.tree_at(
        lambda m: (
            *(getattr(m.attention, name) for name in names),
            m.feedforward.layers[0],
            m.feedforward.layers[2],
            m.attention_norm.affine.scale,
            m.feedforward_norm.affine.scale,
        ),
        layer,
        (
            *(carried(getattr(attention, n), getattr(layer.attention, n)) for n in names),
            carried(first, layer.feedforward.layers[0]),
            carried(second, layer.feedforward.layers[2]),
            *(norm.weight for norm in norms),
        ),
    )
    x = normal(5, 8)
    # Two orders of summation, through two norms.
    assert relative(layer(x, mask="causal"), plain(x)) <= 1e-12


def test_layers_are_drawn_one_by_one_and_small_at_the_end(key):
    encoder = models.TransformerEncoder(REP, 2, 3, key=key)
    first, second, third = (
        jax.tree.leaves(layer.attention.query_proj.weights) for layer in encoder.layers
    )
    for a, b, c in zip(first, second, third, strict=True):
        assert not np.array_equal(a, b)
        assert not np.array_equal(b, c)
    layer = encoder.layers[0]
    x = normal(100, REP.size)
    assert relative(layer(x), x) < 0.5  # branches start small
    assert layer.feedforward.layers[0].out_type == 9 * D4.regular  # 4 times 18 channels
    small = models.TransformerEncoderLayer(REP, 2, feedforward=10, key=key)
    assert small.feedforward.layers[0].out_type == 2 * D4.regular


@pytest.mark.usefixtures("x64")
def test_exported_layers_add_the_numbers_of_a_mask(key):
    """Equinox's attention takes numbers for booleans, so what is hidden was what was seen."""
    layer = drawn(nn.MultiheadAttention(D4.regular, 2, key=key))
    x, hidden = normal(4, D4.regular.size), np.triu(np.full((4, 4), -np.inf), 1)
    plain = plain_attention(layer)
    assert relative(plain(x, x, x, jnp.asarray(hidden), None), layer(x, mask="causal")) <= 1e-12
    assert_free_of_equivax(plain)


def test_times_that_nothing_reads_are_refused(key):
    decoder = models.TransformerDecoder(D4.regular, 2, 1, feedforward=8, key=key)
    x = normal(4, D4.regular.size)
    with pytest.raises(ValueError, match="positions: expected None, since the layer has neither"):
        decoder(x, x, positions=jnp.arange(4.0))


def test_layers_share_no_positions(key):
    where = nn.RelativePositions(2, 3)
    options = {"feedforward": 8, "positions": where, "cross_positions": where, "key": key}
    decoder = models.TransformerDecoder(REP, 2, 2, **options)
    assert_arrays_stand_once((decoder, where))


@pytest.mark.usefixtures("x64")
def test_a_whole_network_with_everything_on_commutes(key):
    head = 2 * D4.regular
    encoder = models.TransformerEncoder(
        REP, 2, 3, head_type=head, positions=nn.RotaryPositions(head), dropout=0.2, key=key
    )
    decoder = models.TransformerDecoder(
        *(D4.irrep(1, 1) + D4.trivial, 2, 2),
        memory_type=REP,
        positions=nn.RelativePositions(2, 3),
        cross_positions=nn.RelativePositions(2, 4),
        key=key,
    )
    encoder, decoder = drawn((encoder, decoder), 0.5)
    source, target = normal(2, 6, REP.size), normal(2, 4, 3, seed=2)
    padding = (jnp.arange(6) < jnp.array([6, 4])[:, None])[:, None, None]

    @eqx.filter_jit
    def run(pair, source, target):
        encoder, decoder = pair
        memory = encoder(source, mask=padding, key=key)
        at = jnp.arange(6.0).at[0].set(jnp.nan)
        options = {"mask": "causal", "memory_mask": padding, "memory_positions": at}
        return decoder(target, memory, positions=jnp.arange(4.0) + 2, **options)

    y = run((encoder, decoder), source, target)
    for g in D4.generators:
        a, b = (jnp.asarray(rep(g)) for rep in (REP, decoder.out_type))
        found = run((encoder, decoder), source @ a.T, target @ b.T)
        assert relative(found, y @ b.T) <= 1e-10
    # What is padding is not seen.
    other = run((encoder, decoder), source.at[1, 5].add(1.0), target)
    assert relative(other, y) <= 1e-12


def test_all_stays_irrep_by_irrep(key):
    encoder = models.TransformerEncoder(REP, 2, 2, key=key)
    x = normal(3, 4, REP.size)
    with hom.assume_platform("gpu"):
        program = str(jax.make_jaxpr(lambda v: encoder(v).array)(IrrepTensor.of(REP, x)))
    # Only at the end, where the array is asked for.
    assert program.count("to_irrep_wise") == 0
    assert program.count("name=_from_irrep_wise") == 1
    by_irreps = models.TransformerEncoder(REP, 2, 2, mode="irreps", key=key)
    y = by_irreps(x)
    assert isinstance(y, jax.Array)
    assert relative(y, encoder(x)) <= 1e-5  # float32


def test_layers_in_turn_are_traced_once(key):
    encoder = models.TransformerEncoder(REP, 2, 6, key=key)
    x = normal(4, REP.size)
    calls = []

    class Counting(eqx.Module):
        weight: jax.Array

        def __call__(self, x, *, key, mask):
            calls.append(None)
            return x + self.weight

    layers = [Counting(jnp.float32(i)) for i in range(5)]
    y = nn.authoring.in_turn(layers, x, key=None, mask=None)
    assert relative(y, x + 10) <= 1e-6
    assert len(calls) == 1
    mixed = [*encoder.layers[:2], layers[0], encoder.layers[2]]
    assert nn.authoring.in_turn(mixed, x, key=None, mask=None).shape == x.shape
    text = str(evx.tools.summary(encoder, x.shape, depth=2))
    assert text.count("MultiheadAttention") == 6


def test_files_hold_them(tmp_path, key):
    head = 2 * D4.regular

    def make(key):
        positions = nn.RotaryPositions(head)
        return models.TransformerEncoder(REP, 2, 2, head_type=head, positions=positions, key=key)

    model = make(key)
    evx.save(tmp_path / "model.eqx", model)
    loaded = evx.load(tmp_path / "model.eqx", make)
    x = normal(4, REP.size)
    assert np.array_equal(loaded(x), model(x))
    with pytest.raises(ValueError, match="load: "):
        evx.load(tmp_path / "model.eqx", lambda key: models.TransformerEncoder(REP, 4, 2, key=key))


def test_infinite_groups_want_types(key):
    rep = SO2.irrep(1) + SO2.irrep(0)
    message = "TransformerEncoderLayer: feedforward: SO\\(2\\) is infinite and has no regular"
    with pytest.raises(ValueError, match=message):
        models.TransformerEncoderLayer(rep, 2, head_type=rep, feedforward=10, key=key)
    layer = models.TransformerEncoderLayer(
        *(rep, 2), head_type=rep, feedforward=4 * rep, activation=nn.NormNonlinearity, key=key
    )
    assert layer(normal(4, 3)).shape == (4, 3)
    with pytest.raises(ValueError, match="memory_positions: expected None"):
        models.TransformerDecoderLayer(REP, 2, key=key)(
            normal(4, REP.size), normal(4, REP.size), memory_positions=jnp.arange(4.0)
        )


@pytest.mark.parametrize("name", ["TransformerEncoder", "TransformerDecoder", "VisionBlock"])
def test_networks_of_16_bits_have_no_number_of_32(name, key):
    rep = 2 * evx.groups.dihedral(4).regular
    depth = () if name == "VisionBlock" else (1,)

    def outputs(x):
        layer = getattr(evx.models, name)(rep, 2, *depth, dtype=jnp.bfloat16, key=key)
        more = (x,) if name == "TransformerDecoder" else ()
        return layer(x, *more), eqx.filter(layer, eqx.is_inexact_array)

    found = jax.eval_shape(outputs, jax.ShapeDtypeStruct((3, rep.size), jnp.bfloat16))
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype(jnp.bfloat16)}


def is_attention(leaf):
    return isinstance(leaf, nn.MultiheadAttention)


def test_networks_pass_the_implementation_on(key):
    plane = evx.spaces.flip_rot_on_r2(4)
    image, options = evx.FieldType(plane, plane.trivial), {"key": key, "implementation": "xla"}
    vit = {"patch": 2, "size": 4, "width": 8, "depth": 2, "heads": 1}
    for network in (
        models.TransformerEncoder(REP, 2, 2, **options),
        models.TransformerDecoder(REP, 2, 2, **options),
        models.ConditionalTransformer(REP, REP, hidden=8, num_heads=1, depth=1, **options),
        models.VisionTransformer(image, 3, **vit, **options),
    ):
        leaves = jax.tree.leaves(network, is_leaf=is_attention)
        assert {leaf.implementation for leaf in filter(is_attention, leaves)} == {"xla"}
    x, plain = normal(2, 1, 4, 4), models.VisionTransformer(image, 3, **vit, key=key)
    assert relative(network(x), plain(x)) < 1e-5
    with pytest.raises(ValueError, match="implementation: expected"):
        models.TransformerEncoder(REP, 2, 2, key=key, implementation="flash")
