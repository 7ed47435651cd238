"""Networks on the plane: what they refuse, and what their parts are."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

import equivax as evx
from equivax import FieldType, models, spaces

SPACE, CIRCLE = spaces.rot_on_r2(4), spaces.rot_on_r2(-1)
X, Y = FieldType(SPACE, SPACE.trivial), FieldType(SPACE, SPACE.vector)
POINT = FieldType(spaces.no_base_space(SPACE.group), SPACE.trivial)
ROUND = FieldType(CIRCLE, CIRCLE.trivial)


def resnet(type_=X, classes=10, **options):
    return models.ResNet(type_, classes, **options, key=jax.random.key(0))


def unet(type_=X, out=Y, **options):
    return models.UNet(type_, out, **options, key=jax.random.key(0))


def block(first=X, second=Y, **options):
    return models.BasicBlock(first, second, **options, key=jax.random.key(0))


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: resnet(SPACE), TypeError, "ResNet: in_type: expected a FieldType.*GSpace"),
        (lambda: resnet(POINT), ValueError, "ResNet: in_type: expected fields on a plane"),
        (
            lambda: resnet(classes=0),
            ValueError,
            "ResNet: classes: expected an integer in .*, got 0",
        ),
        (lambda: resnet(classes=2.5), TypeError, "ResNet: classes: expected an integer in 1"),
        (
            lambda: resnet(blocks=[]),
            ValueError,
            "ResNet: blocks: expected an integer in .*, or several of them, got",
        ),
        (lambda: resnet(blocks=[1, 1]), ValueError, "ResNet: channels: expected 2 numbers"),
        (lambda: resnet(stem="tiny"), ValueError, "ResNet: stem: .*'large' or 'small', got 'tiny'"),
        (lambda: resnet(ROUND), ValueError, r"ResNet: unit: SO\(2\) is infinite"),
        (lambda: resnet(unit=ROUND.representation), ValueError, "ResNet: unit: .*of C4, got .*SO"),
        (lambda: resnet(unit=4), TypeError, "ResNet: unit: expected a Representation or None"),
        (lambda: unet(out=ROUND), ValueError, r"UNet: out_type: expected fields on C4 .*SO\(2\)"),
        (lambda: unet(channels=[8]), ValueError, "UNet: channels: expected two or more"),
        (lambda: unet(channels=8), ValueError, "UNet: channels: expected two or more"),
        (lambda: unet(channels=[8, -8]), ValueError, "UNet: channels: expected an integer in"),
        (lambda: unet(kernel_size=4), ValueError, "UNet: kernel_size: expected an odd number"),
        (lambda: block(kernel_size=2), ValueError, "BasicBlock: kernel_size: expected an odd"),
        (lambda: block(second=3), TypeError, "BasicBlock: out_fields: expected a FieldType"),
        (lambda: block(stride=0), ValueError, "BasicBlock: stride: expected an integer >= 1"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_resnet_18_has_18_layers_with_weights():
    model, state = eqx.filter_eval_shape(
        eqx.nn.make_with_state(models.ResNet), X, 10, key=jax.random.key(0)
    )
    blocks = [b for b in model.features if isinstance(b, models.BasicBlock)]
    assert len(blocks) == 8
    assert 1 + 2 * len(blocks) + 1 == 18
    assert "(128, 3, 3)" in evx.summary(model, (1, 65, 65), state=state)
    assert [b.out_type.size for b in blocks[::2]] == [64, 128, 256, 512]


def test_a_budget_of_parameters_chooses_the_fields():
    def count(fields):
        small = models.ResNet
        made = eqx.filter_eval_shape(
            small, X, 10, blocks=[1], channels=[fields.size], stem="small", key=jax.random.key(0)
        )
        return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(made, _is_parameter)))

    fields = FieldType.for_parameters(SPACE, SPACE.regular, 5000, count)
    assert count(fields) <= 5000 < count(fields + FieldType(SPACE, SPACE.regular))


def _is_parameter(leaf):
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.inexact)


def test_the_finest_skip_reaches_the_output_of_a_unet():
    model, state = eqx.nn.make_with_state(models.UNet)(X, Y, channels=[4, 8], key=jax.random.key(0))
    model = eqx.nn.inference_mode(model)
    x = jax.random.normal(jax.random.key(1), (1, 9, 9))
    y, _ = model(x, state)
    assert y.shape == (2, 9, 9)
    cut = eqx.tree_at(
        lambda m: m.ups[0][0].weights, model, replace_fn=lambda w: jax.tree.map(jnp.zeros_like, w)
    )
    without, _ = cut(x, state)
    assert float(jnp.abs(without).max()) > 0  # the skip alone
    assert float(jnp.abs(without - y).max()) > 0  # the coarse level counts too
