"""Patches: the map is a convolution on the pixel grid, for every group that moves its axes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx
from equivax import nn, spaces

KEY = jax.random.key(0)

SPACES = {
    "C1": spaces.trivial_on_r2,
    "mirror": spaces.flip_on_r2,
    "half turn": lambda: spaces.rot_on_r2(2),
    "C4": lambda: spaces.rot_on_r2(4),
    "D2": lambda: spaces.flip_rot_on_r2(2),
    "D4": lambda: spaces.flip_rot_on_r2(4),
    "line": spaces.flip_on_r1,
    "octahedral": lambda: spaces.signed_permutations_on(evx.groups.octahedral()),
}


def types(space):
    return (
        evx.FieldType(space, space.trivial + space.vector),
        evx.FieldType(space, 2 * space.regular + space.trivial),
    )


def count(module):
    return sum(leaf.size for leaf in jax.tree.leaves(module))


QUICK = {"mirror", "D4", "line"}
NAMES = [
    pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow], id=name)
    for name in SPACES
]


@pytest.mark.parametrize("patch", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NAMES)
def test_a_patch_is_a_tap_of_a_convolution(name, patch):
    """The grid basis spans the same kernels: as many, and each is in both."""
    pixels, tokens = types(SPACES[name]())
    embed = nn.PatchEmbed(pixels, tokens, patch, key=KEY)
    conv = nn.Conv(
        pixels, tokens, patch, stride=patch, basis="grid", grid_check="off", key=KEY
    ).with_kernel(embed.kernel)
    assert count(conv) == count(embed)
    np.testing.assert_allclose(conv.kernel, embed.kernel, atol=1e-6)
    x = jax.random.normal(KEY, (2, pixels.size, *[2 * patch] * pixels.space.dim))
    np.testing.assert_allclose(embed(x), conv(x), atol=1e-5)
    again = embed.with_kernel(conv.kernel)
    np.testing.assert_allclose(again.kernel, conv.kernel, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_group_moves_patches_and_turns_channels(name, x64):
    pixels, tokens = types(SPACES[name]())
    dim = pixels.space.dim
    embed = nn.PatchEmbed(pixels, tokens, 2, key=KEY)
    evx.testing.assert_equivariant(embed, key=KEY, spatial=[6] * dim)
    unembed = nn.PatchUnembed(tokens, pixels, 2, key=KEY)
    evx.testing.assert_equivariant(unembed, key=KEY, spatial=[3] * dim)


def test_mirrors_take_patches_with_unequal_sides(x64):
    pixels, tokens = types(spaces.flip_rot_on_r2(2))
    embed = nn.PatchEmbed(pixels, tokens, (2, 3), key=KEY)
    evx.testing.assert_equivariant(embed, key=KEY, spatial=[4, 9])


def test_tokens_are_the_cells_of_the_image_of_patches(x64):
    pixels, tokens = types(spaces.flip_rot_on_r2(4))
    rep = tokens.representation
    x = jax.random.normal(KEY, (2, pixels.size, 4, 6))
    fields = nn.PatchEmbed(pixels, tokens, 2, key=KEY)
    listed = nn.PatchEmbed(pixels, rep, 2, key=KEY)
    y = listed(x)
    assert y.shape == (2, 6, rep.size) == listed.evaluate_output_shape(x.shape)
    np.testing.assert_allclose(y, jnp.moveaxis(fields(x).reshape(2, rep.size, 6), 1, 2))
    np.testing.assert_allclose(listed.export()(x[0]), y[0])
    back, paved = (nn.PatchUnembed(t, pixels, 2, key=KEY) for t in (rep, tokens))
    z = back(y, grid=(2, 3))
    assert z.shape == x.shape
    np.testing.assert_allclose(z, paved(fields(x)))
    np.testing.assert_allclose(back.export()(y[0], grid=(2, 3)), z[0])
    irreps = evx.IrrepTensor.of(rep, y)
    np.testing.assert_allclose(back(irreps, grid=(2, 3)), z, atol=1e-12)


def test_a_square_of_tokens_needs_no_grid():
    pixels, tokens = types(spaces.rot_on_r2(4))
    back = nn.PatchUnembed(tokens.representation, pixels, 2, key=KEY)
    x = jnp.ones((9, tokens.size))
    assert back(x).shape == (pixels.size, 6, 6)
    np.testing.assert_allclose(back.export()(x), back(x), atol=1e-6)


def test_pixels_come_back_where_they_were():
    """With square matrices the two ways are inverse to each other."""
    space = spaces.flip_rot_on_r2(4)
    pixels = evx.FieldType(space, space.trivial)
    rep = nn.PatchEmbed(pixels, space.regular, 2, key=KEY).linear.in_type
    one, other = nn.PatchEmbed(pixels, rep, 2, key=KEY), nn.PatchUnembed(rep, pixels, 2, key=KEY)
    one, other = (
        eqx.tree_at(lambda tree: tree.linear, layer, layer.linear.with_weight(jnp.eye(rep.size)))
        for layer in (one, other)
    )
    x = jax.random.normal(KEY, (1, 4, 6))
    np.testing.assert_allclose(other(one(x), grid=(2, 3)), x, atol=1e-6)


def test_tensors_come_with_their_types():
    pixels, tokens = types(spaces.rot_on_r2(4))
    x = pixels(jnp.ones((2, pixels.size, 4, 4)))
    assert nn.PatchEmbed(pixels, tokens, 2, key=KEY)(x).type == tokens
    point = evx.FieldType(spaces.no_base_space(pixels.group), tokens.representation)
    y = nn.PatchEmbed(pixels, point, 2, key=KEY)(x)
    assert y.type == point
    assert nn.PatchUnembed(point, pixels, 2, key=KEY)(y).type == pixels
    assert isinstance(nn.PatchEmbed(pixels, tokens.representation, 2, key=KEY)(x), jax.Array)


def test_a_tensor_image_becomes_tokens():
    signature = evx.images.Signature({(0, 0): 1, (1, 0): 1})
    type_ = signature.field_type(2)
    x = evx.images.MultiImage({(0, 0): jnp.ones((1, 4, 4)), (1, 0): jnp.ones((1, 4, 4, 2))}, 2)
    embed = nn.PatchEmbed(type_, 2 * type_.space.regular, 2, key=KEY)
    np.testing.assert_array_equal(embed(x), embed(x.array))


REGULAR = evx.FieldType(spaces.flip_rot_on_r2(4), spaces.flip_rot_on_r2(4).regular)
TOKENS = REGULAR.representation
ROUND = evx.FieldType(spaces.rot_on_r2(8), spaces.rot_on_r2(8).regular)


@pytest.mark.parametrize(
    "make, error, says",
    [
        (lambda: nn.PatchEmbed(ROUND, ROUND, 2, key=KEY), ValueError, "restrict it"),
        (lambda: nn.PatchUnembed(TOKENS, ROUND, 2, key=KEY), ValueError, "out_type.*restrict it"),
        (
            lambda: nn.PatchEmbed(
                evx.FieldType(spaces.rot_on_r2(-1), spaces.rot_on_r2(-1).trivial),
                TOKENS,
                2,
                key=KEY,
            ),
            ValueError,
            "finite group",
        ),
        (lambda: nn.PatchEmbed(REGULAR, TOKENS, (2, 3), key=KEY), ValueError, "axes 0 and 1"),
        (lambda: nn.PatchEmbed(REGULAR, TOKENS, 0, key=KEY), ValueError, "patch"),
        (lambda: nn.PatchEmbed(REGULAR, ROUND.representation, 2, key=KEY), ValueError, "C8"),
        (
            lambda: nn.PatchEmbed(REGULAR, TOKENS, 2, key=KEY)(jnp.ones((8, 4, 5))),
            ValueError,
            "mult",
        ),
        (
            lambda: nn.PatchEmbed(REGULAR, TOKENS, 2, key=KEY).with_kernel(jnp.ones((8, 8, 3, 3))),
            ValueError,
            "kernel",
        ),
        (
            lambda: nn.PatchUnembed(TOKENS, REGULAR, 2, key=KEY)(jnp.ones((6, 8))),
            ValueError,
            "grid: expected 2 numbers with the product 6",
        ),
        (
            lambda: nn.PatchUnembed(TOKENS, REGULAR, 2, key=KEY)(jnp.ones(8)),
            ValueError,
            "tokens, channels",
        ),
        (
            lambda: nn.PatchUnembed(REGULAR, REGULAR, 2, key=KEY)(jnp.ones((8, 2, 2)), grid=2),
            ValueError,
            "fields have a grid",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()
