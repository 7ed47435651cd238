"""Images as tokens: patches as fields of an image of patches, on which the laws of fields run."""

from equivax import nn
from recipe import on_the_plane


def _parameters(module):
    """Of the linear map, tested by itself."""
    basis = module.linear.basis
    trivial = basis.out_rep.group.trivial.irreps[0]
    return basis.dim + basis.out_rep.multiplicities.get(trivial, 0)


def _on_the_grid(type_):
    return type_.space.preserves_grid


RECIPES = {
    "PatchEmbed": on_the_plane(
        covers=nn.PatchEmbed,
        build=lambda type_, other, key: nn.PatchEmbed(type_, other, 2, key=key),
        parameters=_parameters,
        sides=(6, 6),
        fits=_on_the_grid,
        on=(("D4", "vector"), ("C4", "irreps")),
        moves_points=True,
    ),
    "PatchUnembed": on_the_plane(
        covers=nn.PatchUnembed,
        build=lambda type_, other, key: nn.PatchUnembed(type_, other, 3, key=key),
        parameters=_parameters,
        sides=(3, 3),
        fits=_on_the_grid,
        on=(("D4", "irreps"), ("C4", "fused")),
        moves_points=True,
    ),
}
