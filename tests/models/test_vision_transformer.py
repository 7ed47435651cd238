"""Vision transformers commute with the group to the last digits, and are plain ones for none."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx
from equivax import models, nn, spaces
from equivax.testing._action import act
from laws import assert_arrays_stand_once

KEY = jax.random.key(0)
D4 = spaces.flip_rot_on_r2(4)
RGB = evx.FieldType(D4, 3 * D4.trivial)
OCTAHEDRAL = spaces.signed_permutations_on(evx.groups.octahedral())


def network(space, size, patch=2, out=False, **options):
    """A small transformer with every parameter drawn, from a scalar and a vector."""
    type_ = evx.FieldType(space, space.trivial + space.vector)
    goal = {"out_type": evx.FieldType(space, space.vector)} if out else {"classes": 3}
    made = models.VisionTransformer(
        type_, patch=patch, size=size, width=2 * space.group.order, depth=2, key=KEY,
        **{"heads": 2, **goal, **options},
    )  # fmt: skip
    return evx.testing.randomize_parameters(made, KEY)


slow = pytest.mark.slow
CASES = {
    "odd": pytest.param(D4, 6, {"layer_scale": 0.1}, marks=slow),
    "even, to fields": (D4, 8, {"out": True, "positions": "relative"}),
    "cls": pytest.param(D4, 8, {"pool": "cls", "registers": 2, "norm": nn.LayerNorm}, marks=slow),
    "rotary": pytest.param(D4, 6, {"heads": 1, "positions": "rotary"}, marks=slow),
    "sets": pytest.param(D4, 6, {"positions": None, "out": True}, marks=slow),
    "C4": pytest.param(spaces.rot_on_r2(4), 6, {"out": True}, marks=slow),
    "mirror": pytest.param(spaces.flip_on_r2(), (6, 4), {"patch": (3, 2), "out": True}, marks=slow),
    "octahedral": pytest.param(OCTAHEDRAL, 4, {}, marks=slow),
    "line": pytest.param(spaces.flip_on_r1(), (6,), {"out": True}, marks=slow),
}


@pytest.mark.parametrize("space, size, options", CASES.values(), ids=CASES)
def test_whole_networks_commute(space, size, options, x64):
    model = network(space, size, **options)
    type_, sides = model.in_type, model.size
    call = jax.jit(lambda x: model(x))
    x = jax.random.normal(KEY, (2, type_.size, *sides))
    y = call(x)
    for g in space.group.elements:
        moved = call(act(type_, np.asarray(x), g))
        expected = act(model.out_type, np.asarray(y), g)
        np.testing.assert_allclose(moved, expected, atol=1e-10 * float(jnp.abs(y).max()))
    plain = jax.jit(lambda x: model.export()(x))
    np.testing.assert_allclose(plain(x[0]), y[0], atol=1e-10 * float(jnp.abs(y).max()))


@pytest.mark.slow
def test_a_hybrid_commutes_up_to_its_break(x64):
    model = network(D4, 6, break_after=1, positions="relative", pool="cls")
    call = jax.jit(lambda x: model.features(x))
    x = jax.random.normal(KEY, (2, model.in_type.size, 6, 6))
    y = call(x)
    rep = model.embed.out_type
    assert y.shape == (2, 10, rep.size)
    fields = evx.FieldType(D4, rep)

    def image(tokens):
        return np.moveaxis(np.asarray(tokens)[:, 1:], 1, 2).reshape(2, rep.size, 3, 3)

    for g in D4.group.elements:
        moved = call(act(model.in_type, np.asarray(x), g))
        np.testing.assert_allclose(image(moved), act(fields, image(y), g), atol=1e-10)
        front = rep.transform(np.asarray(y)[:, :1], g)
        np.testing.assert_allclose(moved[:, :1], front, atol=1e-10)
    assert model.blocks[1].in_type.group.order == 1
    logits, plain = jax.jit(lambda x: (model(x), model.export()(x[0])))(x)
    np.testing.assert_allclose(plain, logits[0], atol=1e-10 * float(jnp.abs(logits).max()))
    turned = model(act(model.in_type, np.asarray(x), D4.group.elements[1]))
    assert not np.allclose(turned, logits, rtol=1e-2)


def test_without_a_group_it_is_a_plain_transformer(x64):
    """Built of layers of Equinox, with the same numbers."""
    space = spaces.trivial_on_r2()
    rgb = evx.FieldType(space, 3 * space.trivial)
    model = models.VisionTransformer(
        rgb, 4, patch=2, size=6, width=8, depth=2, heads=2, norm=nn.LayerNorm, pool="cls", key=KEY
    )
    model = evx.testing.randomize_parameters(model, KEY)
    x = jax.random.normal(KEY, (3, 6, 6))

    def layer(in_size, out_size, ours):
        made = eqx.nn.Linear(in_size, out_size, key=KEY)
        return eqx.tree_at(lambda t: (t.weight, t.bias), made, (ours.weight, ours.bias))

    def norm(ours):
        affine = ours.affine
        made = eqx.nn.LayerNorm(8, eps=ours.eps)
        return eqx.tree_at(lambda t: (t.weight, t.bias), made, (affine.scale, affine.bias))

    conv = eqx.nn.Conv2d(3, 8, 2, stride=2, key=KEY)
    conv = eqx.tree_at(
        lambda t: (t.weight, t.bias),
        conv,
        (model.embed.kernel, model.embed.linear.bias[:, None, None]),
    )
    tokens = conv(x).reshape(8, 9).T + model.absolute.table
    tokens = jnp.concatenate([model.front, tokens])
    for block in model.blocks:
        ours = block.attention
        attention = eqx.nn.MultiheadAttention(
            2, 8, use_query_bias=True, use_key_bias=True, use_value_bias=True, use_output_bias=True,
            key=KEY,
        )  # fmt: skip
        attention = eqx.tree_at(
            _projections, attention, [layer(8, 8, own) for own in _projections(ours)]
        )
        first, _, last = block.feedforward.layers.layers
        y = jax.vmap(norm(block.norms[0]))(tokens)
        tokens = tokens + attention(y, y, y)
        y = jax.vmap(norm(block.norms[1]))(tokens)
        y = jax.nn.gelu(jax.vmap(layer(8, 32, first))(y))
        tokens = tokens + jax.vmap(layer(32, 8, last))(y)
    logits = model.readout(norm(model.norm)(tokens[0]))
    np.testing.assert_allclose(
        eqx.filter_jit(model)(x), logits, atol=1e-10 * float(jnp.abs(logits).max())
    )


def _projections(attention):
    return [getattr(attention, f"{name}_proj") for name in ("query", "key", "value", "output")]


def test_a_tensor_image_goes_in_and_comes_out():
    scalars, vectors = evx.images.Signature({(0, 0): 1}), evx.images.Signature({(1, 0): 2})
    options = {"patch": 2, "size": 4, "width": 8, "depth": 1, "heads": 1, "key": KEY}
    model = models.VisionTransformer(scalars, out_type=vectors, **options)
    x = evx.images.MultiImage({(0, 0): jax.random.normal(KEY, (3, 1, 4, 4))}, 2)
    call = eqx.filter_jit(model)
    y = call(x)
    assert y.signature == vectors
    np.testing.assert_allclose(y.array, call(x.array), atol=1e-6)
    turned = x.transform(model.in_type.group.elements[3])
    expected = y.transform(model.in_type.group.elements[3]).array
    np.testing.assert_allclose(call(turned).array, expected, atol=1e-5)
    logits = eqx.filter_jit(models.VisionTransformer(scalars, 3, **options))(x)
    assert isinstance(logits, jax.Array)
    assert logits.shape == (3, 3)


def test_branches_are_dropped_in_training_only():
    options = {"patch": 2, "size": 4, "width": 8, "depth": 2, "heads": 1, "key": KEY}
    model = models.VisionTransformer(RGB, 2, drop_path=0.9, **options)
    assert [block.drop_path for block in model.blocks] == [0.0, 0.9]
    with pytest.raises(ValueError, match="key: needed in training"):
        model(jnp.ones((3, 4, 4)))
    block = models.VisionBlock(D4.regular, 1, drop_path=0.5, key=KEY)
    call, tokens = eqx.filter_jit(lambda block, x, key: block(x, key=key)), jnp.ones((400, 1, 8))
    quiet = eqx.nn.inference_mode(block)
    np.testing.assert_array_equal(call(quiet, tokens, None), call(quiet, tokens, KEY))
    unchanged = jnp.all(call(block, tokens, KEY) == tokens, axis=(1, 2)).mean()
    assert 0.17 < float(unchanged) < 0.37  # both branches, each with probability 1/2


def test_branches_share_no_array():
    assert_arrays_stand_once(models.VisionBlock(D4.regular, 1, layer_scale=0.1, key=KEY))


def test_sizes_go_by_letters():
    assert models.vision_size("B") == {"width": 768, "depth": 12, "heads": 12}
    model = eqx.filter_eval_shape(
        models.VisionTransformer, RGB, 1000, patch=16, size=224, **models.vision_size("S"), key=KEY
    )
    assert len(model.blocks) == 12
    assert model.embed.out_type == 48 * D4.regular


GOOD = {"patch": 2, "size": 4, "width": 8, "depth": 1, "heads": 1, "key": KEY}


@pytest.mark.parametrize(
    "change, says",
    [
        ({}, "either a number of classes or out_type"),
        ({"classes": 2, "out_type": RGB}, "either a number of classes or out_type"),
        ({"classes": 2, "size": 5}, "multiples of the patch"),
        ({"classes": 2, "size": (4, 6)}, "axes 0 and 1"),
        ({"classes": 2, "break_after": 2}, "break_after"),
        ({"classes": 2, "pool": "max"}, "pool"),
        ({"classes": 2, "positions": "rotary"}, "a width of 16 or more .* positions='relative'"),
        ({"classes": 2, "unit": D4.irrep(1, 1), "pool": "cls", "positions": None}, "registers=0"),
        ({"out_type": evx.FieldType(spaces.rot_on_r2(4), spaces.rot_on_r2(4).trivial)}, "out_type"),
    ],
)
def test_what_does_not_fit_is_refused(change, says):
    with pytest.raises(ValueError, match=says):
        models.VisionTransformer(RGB, **{**GOOD, **change})


def test_an_image_of_another_size_is_refused():
    with pytest.raises(ValueError, match="expected sides"):
        models.VisionTransformer(RGB, 2, **GOOD)(jnp.ones((3, 6, 6)))
