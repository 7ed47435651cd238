"""Steerable convolutions."""

from equivax import nn
from recipe import on_the_plane


def parameters(module):
    """The dimension of the space of kernels, tested by itself, and one per invariant."""
    trivial = module.out_type.group.trivial.irreps[0]
    invariants = module.out_type.representation.multiplicities.get(trivial, 0)
    bias = 0 if module.bias_coeffs is None else invariants
    return module.groups * module.basis.dim + bias


def _on_the_grid(type_):
    return type_.space.preserves_grid


RECIPES = {
    "Conv": on_the_plane(
        covers=nn.Conv,
        build=lambda type_, other, key: nn.Conv(type_, other, 3, padding=1, key=key),
        parameters=parameters,
        on=(("C4", "regular"), ("D6", "mixture"), ("SO2", "irreps"), ("O2", "induced")),
        moves_points=True,
        everywhere=True,
    ),
    "Conv, grid basis, even": on_the_plane(
        covers=nn.Conv,
        build=lambda type_, other, key: nn.Conv(
            type_,
            other,
            4,
            basis="grid",
            padding_mode="circular",
            padding=((1, 1), (1, 1)),
            key=key,
        ),
        parameters=parameters,
        fits=_on_the_grid,
        on=(("D4", "induced"), ("D1", "mixture")),
        moves_points=True,
        everywhere=True,
    ),
    "Conv with stride": on_the_plane(
        covers=nn.Conv,
        build=lambda type_, other, key: nn.Conv(
            type_, other, 5, stride=2, padding=1, padding_mode="reflect", use_bias=False, key=key
        ),
        parameters=parameters,
        sides=(7, 7),
        on=(("D4", "vector"), ("C8", "quotient")),
        moves_points=True,
    ),
    "Conv with groups and dilation": on_the_plane(
        covers=nn.Conv,
        build=lambda type_, other, key: nn.Conv(
            2 * type_, 2 * other, 3, groups=2, dilation=2, padding="same", key=key
        ),
        parameters=parameters,
        on=(("D4", "fused"), ("C1", "irreps")),
        moves_points=True,
    ),
    "Conv, 1 x 1": on_the_plane(
        covers=nn.Conv,
        build=lambda type_, other, key: nn.Conv(type_, type_, 1, key=key),
        parameters=parameters,
        on=(("O2", "irreps"), ("C8", "induced")),
        everywhere=True,
    ),
    "ConvTranspose": on_the_plane(
        covers=nn.ConvTranspose,
        build=lambda type_, other, key: nn.ConvTranspose(
            type_, other, 3, stride=2, padding=1, key=key
        ),
        parameters=parameters,
        sides=(4, 4),
        on=(("D4", "regular"), ("C8", "mixture"), ("O2", "vector")),
        moves_points=True,
        everywhere=True,
    ),
    "ConvTranspose with groups and dilation": on_the_plane(
        covers=nn.ConvTranspose,
        build=lambda type_, other, key: nn.ConvTranspose(
            2 * type_, 2 * other, 3, groups=2, dilation=2, padding=((1, 1), (1, 1)), key=key
        ),
        parameters=parameters,
        on=(("C4", "quotient"),),
        moves_points=True,
    ),
}
