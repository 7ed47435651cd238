"""Containers and layers that rearrange, drop, mask and resample fields."""

from typing import Any

import equinox as eqx
import jax
import numpy as np

from equivax import FieldType, nn
from recipe import on_the_plane


def _part(type_):
    """A subgroup that splits what the group holds together."""
    kind = type_.group.family[0]
    if kind == "cyclic":
        return max(1, type_.group.order // 2)
    named = {
        "dihedral": "rotations", "hyperoctahedral": "rotations", "o2": "so2", "so2": 4,
        "octahedral": "tetrahedral", "full_octahedral": "octahedral", "icosahedral": "tetrahedral",
        "so3": "octahedral", "o3": "so3",
    }  # fmt: skip
    return named[kind]


def _apart(type_):
    return nn.Disentangle(type_.restrict(_part(type_)))


def _restricted(type_, other, key):
    restriction = nn.Restriction(type_, _part(type_))
    return nn.Sequential(restriction, nn.Disentangle(restriction.out_type))


def _embedded(module):
    restriction = module[0] if isinstance(module, nn.Sequential) else module
    return [(restriction.embedding(h), h) for h in restriction.out_type.group.testing_elements]


def _odd_and_even(type_):
    labels = [index % 2 for index in range(len(type_))]
    parts = type_.group_by_labels(labels)
    return nn.Multiple(type_, labels, [(nn.Affine(parts[k]), k) for k in sorted(parts)[::-1]])


def _affine_count(type_):
    rep = type_.representation
    return len(rep.irreps) + rep.multiplicities.get(rep.group.trivial.irreps[0], 0)


class Scaled(eqx.Module):
    """A user's layer: declares types, keeps a parameter."""

    weight: jax.Array
    in_type: FieldType = eqx.field(static=True)
    out_type: FieldType = eqx.field(static=True)

    def __call__(self, x: Any) -> Any:
        return x * self.weight.astype(x.dtype)


def _scaled(type_, other, key):
    return nn.Sequential(Scaled(jax.random.normal(key), type_, type_))[0]


def _signed(type_):
    return type_.representation.is_signed_permutation


def _resampled(covers=nn.Upsampling, on=(("D4", "mixture"),), everywhere=False, **options):
    return on_the_plane(
        covers=covers,
        build=lambda type_, other, key: nn.Upsampling(type_, **options),
        on=on,
        everywhere=everywhere,
    )


RECIPES = {
    "Restriction": on_the_plane(
        covers=nn.Restriction,
        build=lambda type_, other, key: nn.Restriction(type_, _part(type_)),
        on=(("D4", "mixture"), ("O2", "induced"), ("C8", "regular")),
        pairs=_embedded,
    ),
    "Restriction, then Disentangle": on_the_plane(
        covers=nn.Sequential,
        build=_restricted,
        on=(("D4", "regular"), ("D6", "induced"), ("O2", "quotient")),
        pairs=_embedded,
        depth=2,
    ),
    "Disentangle": on_the_plane(
        covers=nn.Disentangle,
        build=lambda type_, other, key: _apart(type_),
        on=(("D4", "quotient"), ("C8", "mixture"), ("O2", "fused")),
        everywhere=True,
    ),
    "Disentangle back": on_the_plane(
        covers=nn.Disentangle,
        build=lambda type_, other, key: _apart(type_).inverse,
        on=(("D6", "mixture"), ("C4", "induced")),
    ),
    "Disentangle by irreps": on_the_plane(
        covers=nn.Disentangle,
        build=lambda type_, other, key: nn.Disentangle(type_, by="irreps"),
        on=(("D4", "mixture"), ("SO2", "fused")),
        everywhere=True,
    ),
    "Reshuffle": on_the_plane(
        covers=nn.Reshuffle,
        build=lambda type_, other, key: nn.Reshuffle(type_, np.arange(len(type_))[::-1]),
        on=(("D4", "mixture"), ("O2", "irreps")),
        everywhere=True,
    ),
    "Multiple": on_the_plane(
        covers=nn.Multiple,
        build=lambda type_, other, key: _odd_and_even(type_),
        parameters=lambda module: _affine_count(module.in_type),
        on=(("D4", "mixture"), ("SO2", "irreps"), ("C8", "quotient")),
        everywhere=True,
    ),
    "TypedFunction": on_the_plane(
        covers=nn.TypedFunction,
        build=_scaled,
        parameters=lambda module: 1,
        on=(("C4", "vector"),),
        exports=False,  # the user's class holds its types
    ),
    "Mask": on_the_plane(
        covers=nn.Mask,
        build=lambda type_, other, key: nn.Mask(type_, 5, margin=20.0),
        on=(("D4", "irreps"), ("O2", "vector")),
        everywhere=True,
    ),
    "Mask, radial": on_the_plane(
        covers=nn.Mask,
        build=lambda type_, other, key: nn.Mask(type_, 5, 40.0, 0.7, profile="radial"),
        on=(("C8", "quotient"),),
    ),
    "Upsampling": _resampled(scale_factor=2, everywhere=True),
    "Upsampling, aligned": _resampled(
        scale_factor=2.3, align_corners=True, on=(("D4", "fused"), ("SO2", "vector"))
    ),
    "Upsampling, nearest": _resampled(scale_factor=3, mode="nearest", on=(("D6", "quotient"),)),
    "Upsampling to a size": _resampled(size=8, on=(("D1", "regular"), ("O2", "irreps"))),
    "FieldDropout, whole maps": on_the_plane(
        covers=nn.FieldDropout,
        build=lambda type_, other, key: nn.FieldDropout(type_, 0.4, broadcast_spatial=True),
        on=(("D4", "mixture"), ("SO2", "vector")),
        needs_key=True,
        exports_inference=True,
    ),
    "PointwiseDropout": on_the_plane(
        covers=nn.PointwiseDropout,
        build=lambda type_, other, key: nn.PointwiseDropout(type_, 0.4),
        on=(("D4", "quotient"), ("C4", "vector")),
        fits=_signed,
        needs_key=True,
        training_moves="nothing",
        exports=False,  # to equinox.nn.Dropout, which asks for a key too
    ),
    "PointwiseDropout at inference": on_the_plane(
        covers=nn.PointwiseDropout,
        build=lambda type_, other, key: nn.PointwiseDropout(type_, 0.4, inference=True),
        on=(("C8", "regular"),),
        fits=_signed,
    ),
}
