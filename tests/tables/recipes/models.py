"""Networks on fields."""

import equinox as eqx
import jax

from equivax import models
from field_types import signature_of
from recipe import on_the_plane


def _sizes(*modules):
    """Parameters by the layers' own counts: leaves, which the laws check layer by layer."""
    return sum(
        leaf.size for module in modules for leaf in jax.tree.leaves(module) if _is_array(leaf)
    )


def _is_array(leaf):
    return hasattr(leaf, "size")


def _wide(type_, other, key, **axes):
    unit = _unit(type_)
    small = [unit.size, 2 * unit.size, 2 * unit.size]
    return models.WideResNet(
        type_, 3, depth=10, widen=1, unit=unit, channels=small, key=key, **axes
    )


def _unit(type_):
    return type_.space.regular if type_.group.order else type_.space.trivial + type_.space.vector


def _resnet(type_, other, key, **axes):
    unit = _unit(type_)
    small = [unit.size, 2 * unit.size]
    return models.ResNet(
        type_, 3, blocks=[1, 1], channels=small, unit=unit, stem="small", key=key, **axes
    )


def _unet(type_, other, key, **axes):
    unit = _unit(type_)
    small = [3 * unit.size, 4 * unit.size]  # so that no level is dead behind ReLU
    return models.UNet(type_, other, channels=small, unit=unit, key=key, **axes)


def _wrapped(type_, other, key):
    plain = eqx.nn.Conv2d(type_.size, other.size, 3, padding=1, key=key)
    return models.ModelWrapper(plain, signature_of(type_), signature_of(other))


def _small(name, **options):
    def build(type_, other, key):
        make = getattr(models, name)
        return make(signature_of(type_), signature_of(other), key=key, **options)

    return build


def _blocks(module):
    parts = [*module.encoder, *module.chains, *module.decoder]
    return _sizes(*parts)


RECIPES = {
    "ConvBlock": on_the_plane(
        covers=models.ConvBlock,
        build=_small("ConvBlock", norm="layer", preactivation=True),
        parameters=lambda module: _sizes(*module.layers),
        on=(("B2", "tensors"),),
        moves_points=True,
        depth=3,
    ),
    "TensorUNet": on_the_plane(
        covers=models.TensorUNet,
        build=_small("TensorUNet", width=1, num_conv=1, num_downsamples=1),
        parameters=lambda module: _sizes(module.down, module.ups, module.merges, module.head),
        on=(("B2", "pseudotensors"),),
        sides=(6, 6),
        moves_points=True,
        spread=0.3,
        depth=12,
    ),
    "TensorResNet": on_the_plane(
        covers=models.TensorResNet,
        build=_small("TensorResNet", width=1, num_blocks=1, num_conv=1),
        parameters=_blocks,
        on=(("B2", "tensors"),),
        moves_points=True,
        spread=0.3,
        depth=12,
    ),
    "DilResNet": on_the_plane(
        covers=models.DilResNet,
        build=_small("DilResNet", width=1, num_blocks=1, dilations=(2,)),
        parameters=_blocks,
        on=(("B2", "tensors"),),
        moves_points=True,
        spread=0.3,
        depth=12,
    ),
    "Series": on_the_plane(
        covers=models.Series,
        build=_small("Series", width=1, depth=3),
        parameters=_blocks,
        on=(("B2", "pseudotensors"),),
        moves_points=True,
        depth=4,
    ),
    "ModelWrapper": on_the_plane(
        covers=models.ModelWrapper,
        build=_wrapped,
        parameters=lambda module: _sizes(module.model),
        on=(("B2", "tensors"),),
        moves_points=True,
    ),
    "LastStep": on_the_plane(
        covers=models.LastStep,
        build=lambda type_, other, key: models.LastStep(signature_of(type_), signature_of(type_)),
        on=(("B2", "pseudotensors"),),
    ),
    "GroupAverage": on_the_plane(
        covers=models.GroupAverage,
        build=lambda type_, other, key: models.GroupAverage(
            _wrapped(type_, other, key), always=True
        ),
        parameters=lambda module: _sizes(module.model),
        on=(("B2", "pseudotensors"),),
        moves_points=True,
    ),
    "ResidualBlock": on_the_plane(
        covers=models.ResidualBlock,
        build=lambda type_, other, key, **axes: models.ResidualBlock(
            type_, other, stride=2, key=key, **axes
        ),
        parameters=lambda module: _sizes(module.before, module.body, module.shortcut),
        on=(("D4", "vector"),),
        moves_points=True,
        stateful=True,
        depth=6,
    ),
    "ResidualBlock, one type": on_the_plane(
        covers=models.ResidualBlock,
        build=lambda type_, other, key, **axes: models.ResidualBlock(type_, type_, key=key, **axes),
        parameters=lambda module: _sizes(module.before, module.body),
        on=(("C4", "trivial"),),
        moves_points=True,
        stateful=True,
        depth=6,
    ),
    "WideResNet": on_the_plane(
        covers=models.WideResNet,
        build=_wide,
        parameters=lambda module: _sizes(module.features, module.readout),
        on=(("D4", "vector"),),
        sides=(9, 9),
        moves_points=True,
        stateful=True,
        spread=0.3,
        depth=15,
    ),
    "BasicBlock": on_the_plane(
        covers=models.BasicBlock,
        build=lambda type_, other, key, **axes: models.BasicBlock(
            type_, other, stride=2, key=key, **axes
        ),
        parameters=lambda module: _sizes(module.body, module.shortcut, module.after),
        on=(("SO2", "irreps"),),
        moves_points=True,
        stateful=True,
        depth=6,
    ),
    "BasicBlock, one type": on_the_plane(
        covers=models.BasicBlock,
        build=lambda type_, other, key, **axes: models.BasicBlock(type_, type_, key=key, **axes),
        parameters=lambda module: _sizes(module.body, module.shortcut, module.after),
        on=(("C4", "trivial"),),
        moves_points=True,
        stateful=True,
        depth=6,
    ),
    "ResNet": on_the_plane(
        covers=models.FieldResNet,
        build=_resnet,
        parameters=lambda module: _sizes(module.features, module.readout),
        on=(("SO2", "trivial"),),
        sides=(9, 9),
        moves_points=True,
        stateful=True,
        spread=0.3,
        depth=12,
    ),
    "UNet": on_the_plane(
        covers=models.FieldUNet,
        build=_unet,
        parameters=lambda module: _sizes(module.down, module.ups, module.merges, module.head),
        on=(("C4", "regular"),),
        sides=(9, 9),
        moves_points=True,
        stateful=True,
        spread=0.3,
        depth=24,
    ),
}
