"""Norms of single examples."""

from equivax import nn
from recipe import on_the_plane


def norm(cls, on, build, **options):
    return on_the_plane(
        covers=cls, build=lambda type_, other, key: build(type_), on=on, depth=2, **options
    )


RECIPES = {
    "GroupNorm": norm(
        nn.GroupNorm, (("B2", "tensors"), ("D4", "mixture"), ("O2", "fused")), nn.GroupNorm,
        parameters=lambda module: 2 * len(module.in_type), everywhere=True,
    ),
    "GroupNorm, isotypic": norm(
        nn.GroupNorm, (("B2", "pseudotensors"),), lambda t: nn.GroupNorm(t, whiten="isotypic"),
        parameters=lambda module: 2 * len(module.in_type),
    ),
    "GroupNorm, rms": norm(
        nn.GroupNorm, (("SO2", "vector"),), lambda t: nn.GroupNorm(t, 2, whiten="rms", bias=False),
        parameters=lambda module: len(module.in_type),
    ),
    "LayerNorm": norm(
        nn.LayerNorm, (("B2", "tensors"),), nn.LayerNorm,
        parameters=lambda module: 2 * len(module.in_type),
    ),
    "LayerNorm, point by point": norm(
        nn.LayerNorm, (("D4", "mixture"),), lambda t: nn.LayerNorm(t, whiten=None),
        parameters=lambda module: module.affine.scale.size + module.affine.bias.size,
    ),
}  # fmt: skip
