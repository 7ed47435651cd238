"""Pools and invariant maps."""

import jax.numpy as jnp

from equivax import nn
from recipe import on_the_plane


def permuted(type_):
    return type_.representation.is_permutation


def induced(type_):
    return all(rep.induced_from or rep.is_permutation for rep in type_)


PERMUTED = (("C4", "regular"), ("D4", "quotient"), ("O2", "trivial"))
ANY = (("D4", "mixture"), ("D6", "irreps"), ("SO2", "vector"), ("O2", "fused"))


def pointwise(cls, on, build, **options):
    """A layer that looks at no neighbours."""
    return on_the_plane(
        covers=cls, build=lambda type_, other, key: build(type_), on=on, everywhere=True, **options
    )


def spatial(cls, on, build, **options):
    """A pool on 7 x 7 cells, where windows of 3 with stride 2 lie evenly."""
    return on_the_plane(
        covers=cls, build=lambda type_, other, key: build(type_), on=on,
        sides=(7, 7), moves_points=True, **options,
    )  # fmt: skip


RECIPES = {
    "GroupPooling": pointwise(nn.GroupPooling, PERMUTED, nn.GroupPooling, fits=permuted),
    "GroupPooling, mean": pointwise(
        nn.GroupPooling, PERMUTED, lambda t: nn.GroupPooling(t, jnp.mean), fits=permuted
    ),
    "NormPool": pointwise(nn.NormPool, ANY, nn.NormPool),
    "InducedNormPool": pointwise(
        nn.InducedNormPool, (("D4", "induced"), ("O2", "induced"), ("C8", "quotient")),
        nn.InducedNormPool, fits=induced,
    ),
    "PointwiseMaxPool": spatial(
        nn.PointwiseMaxPool, PERMUTED, lambda t: nn.PointwiseMaxPool(t, 3, 2, 1), fits=permuted
    ),
    "PointwiseMaxPool, dilated": spatial(
        nn.PointwiseMaxPool, PERMUTED, lambda t: nn.PointwiseMaxPool(t, 2, 2, dilation=2),
        fits=permuted,
    ),
    "NormMaxPool": spatial(nn.NormMaxPool, ANY, lambda t: nn.NormMaxPool(t, 3, 2, 1)),
    "NormMaxPool, mean of ties": spatial(
        nn.NormMaxPool, (("B2", "tensors"),), lambda t: nn.NormMaxPool(t, 3, 2, 1)
    ),
    "NormMaxPool, smooth": spatial(
        nn.NormMaxPool, (("SO2", "vector"),), lambda t: nn.NormMaxPool(t, 2, 1, ties="softmax")
    ),
    "PointwiseMaxPoolAntialiased": spatial(
        nn.PointwiseMaxPoolAntialiased, PERMUTED,
        lambda t: nn.PointwiseMaxPoolAntialiased(t, 3, 2, 1), fits=permuted,
    ),
    "PointwiseAvgPool": spatial(
        nn.PointwiseAvgPool, ANY, lambda t: nn.PointwiseAvgPool(t, 3, 2, 1)
    ),
    "PointwiseAvgPoolAntialiased": spatial(
        nn.PointwiseAvgPoolAntialiased, ANY, lambda t: nn.PointwiseAvgPoolAntialiased(t, 0.6, 2)
    ),
    "PointwiseAdaptiveAvgPool": spatial(
        nn.PointwiseAdaptiveAvgPool, ANY, lambda t: nn.PointwiseAdaptiveAvgPool(t, 3)
    ),
    "PointwiseAdaptiveMaxPool": spatial(
        nn.PointwiseAdaptiveMaxPool, PERMUTED, lambda t: nn.PointwiseAdaptiveMaxPool(t, 3),
        fits=permuted,
    ),
}  # fmt: skip
