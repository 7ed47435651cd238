"""Steerable differential operators."""

from equivax import nn
from recipe import on_the_plane
from recipes.convolutions import parameters

RECIPES = {
    "Diffop": on_the_plane(
        covers=nn.Diffop,
        build=lambda type_, other, key: nn.Diffop(
            type_, other, maximum_order=2, padding=1, key=key
        ),
        parameters=parameters,
        on=(("C4", "regular"), ("D6", "mixture"), ("SO2", "irreps"), ("O2", "induced")),
        moves_points=True,
        everywhere=True,
    ),
    "Diffop, smoothed, with stride": on_the_plane(
        covers=nn.Diffop,
        build=lambda type_, other, key: nn.Diffop(
            type_,
            other,
            kernel_size=5,
            accuracy=2,
            smoothing=1.0,
            stride=2,
            padding=1,
            padding_mode="reflect",
            use_bias=False,
            key=key,
        ),
        parameters=parameters,
        sides=(7, 7),
        on=(("D4", "vector"), ("D1", "mixture")),
        moves_points=True,
    ),
    "Diffop with groups and dilation": on_the_plane(
        covers=nn.Diffop,
        build=lambda type_, other, key: nn.Diffop(
            2 * type_, 2 * other, kernel_size=3, groups=2, dilation=2, padding="same", key=key
        ),
        parameters=parameters,
        on=(("D4", "fused"), ("C1", "irreps")),
        moves_points=True,
    ),
    "Diffop, radial, even": on_the_plane(
        covers=nn.Diffop,
        build=lambda type_, other, key: nn.Diffop(
            type_, other, kernel_size=4, maximum_order=2, method="rbf", padding=1, key=key
        ),
        parameters=parameters,
        on=(("D4", "quotient"),),
        moves_points=True,
    ),
}
