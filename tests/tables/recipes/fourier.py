"""Fourier nonlinearities, products, instance norms and pools over cosets."""

import jax
import jax.numpy as jnp

from equivax import FieldType, nn
from equivax.hom import trivial_count
from equivax.representations import band_limited
from recipe import on_the_plane


def builds(make):
    """Whether a layer takes a type: what it refuses is tested elsewhere."""

    def fits(type_: FieldType) -> bool:
        try:
            make(type_)
        except (TypeError, ValueError):  # the group may name its subgroups otherwise
            return False
        return True

    return fits


def of_the_grid(module):
    """Elements that map the samples to themselves: all, or those that move pixels to pixels."""
    type_ = module.in_type
    elements = type_.space.exact_elements if type_.group.order is None else type_.testing_elements
    return [(g, g) for g in elements]


def functions(type_: FieldType) -> FieldType:
    """Functions on the group, three fields of two kinds."""
    G = type_.group
    limits = (None, None) if G.order is not None else (3, 1) if type_.space.dim < 3 else (1, 1)
    first, second = (band_limited(G, limit) for limit in limits)
    return FieldType(type_.space, [first, second, first])


def invariants(type_: FieldType) -> FieldType:
    """A scalar for every field."""
    return FieldType(type_.space, len(type_) * type_.space.trivial)


def products(module) -> int:
    """One map per field."""
    return sum(len(kind.out) * kind.basis.dim for kind in module.kinds)


def half(group):
    """A subgroup between the trivial one and the whole, if there is one."""
    if group.order is None:
        return "so2"
    return "rotations" if group.family[0] == "dihedral" else 2 if group.order % 2 == 0 else "all"


RECIPES = {
    "FourierNonlinearity": on_the_plane(
        covers=nn.FourierNonlinearity,
        build=lambda type_, other, key: nn.FourierNonlinearity(type_, jax.nn.elu),
        on=(("C8", "regular"), ("D4", "mixture"), ("O2", "irreps"), ("D6", "quotient")),
        fits=builds(nn.FourierNonlinearity),
        pairs=of_the_grid,
        everywhere=True,
        depth=3,
    ),
    "FourierNonlinearity, functions": on_the_plane(
        covers=nn.FourierNonlinearity,
        build=lambda type_, other, key: nn.FourierNonlinearity(functions(type_)),
        on=(("SO2", "trivial"), ("O2", "trivial"), ("D4", "trivial")),
        pairs=of_the_grid,
        depth=3,
    ),
    "FourierNonlinearity, another band": on_the_plane(
        covers=nn.FourierNonlinearity,
        build=lambda type_, other, key: nn.FourierNonlinearity(
            functions(type_), jax.nn.softplus, out_irreps=2
        ),
        on=(("SO2", "trivial"), ("O2", "trivial")),
        pairs=of_the_grid,
        depth=3,
    ),
    "FourierNonlinearity, cosets": on_the_plane(
        covers=nn.FourierNonlinearity,
        build=lambda type_, other, key: nn.FourierNonlinearity(
            FieldType(
                type_.space, 2 * band_limited(type_.group, 4, subgroup=type_.group.subgroup((0, 2)))
            ),
            subgroup=(0, 2),
        ),
        on=(("O2", "trivial"),),
        pairs=of_the_grid,
        depth=3,
    ),
    "TensorProduct": on_the_plane(
        covers=nn.TensorProduct,
        build=lambda type_, other, key: nn.TensorProduct(type_, invariants(type_), key=key),
        on=(("D4", "mixture"), ("SO2", "irreps"), ("O2", "induced")),
        parameters=products,
        everywhere=True,
        depth=3,
    ),
    "TensorProduct, onto itself": on_the_plane(
        covers=nn.TensorProduct,
        build=lambda type_, other, key: nn.TensorProduct(type_, symmetric=False, key=key),
        on=(("C8", "regular"), ("D6", "quotient")),
        parameters=products,
        fits=builds(lambda type_: nn.TensorProduct(type_, key=jax.random.key(0))),
        depth=3,
    ),
    "InstanceNorm": on_the_plane(
        covers=nn.InstanceNorm,
        build=lambda type_, other, key: nn.InstanceNorm(type_),
        on=(("D4", "mixture"), ("SO2", "irreps"), ("O2", "induced"), ("C4", "quotient")),
        parameters=lambda module: (
            len(module.in_type) + trivial_count(module.in_type.representation)
        ),
        everywhere=True,
    ),
    "InstanceNorm, plain": on_the_plane(
        covers=nn.InstanceNorm,
        build=lambda type_, other, key: nn.InstanceNorm(type_, affine=False, eps=1e-3),
        on=(("C8", "regular"),),
    ),
    "SubgroupPooling": on_the_plane(
        covers=nn.SubgroupPooling,
        build=lambda type_, other, key: nn.SubgroupPooling(type_, half(type_.group)),
        on=(("D4", "regular"), ("C8", "regular"), ("D6", "regular")),
        fits=builds(lambda type_: nn.SubgroupPooling(type_, half(type_.group))),
        everywhere=True,
    ),
    "SubgroupPooling, mean": on_the_plane(
        covers=nn.SubgroupPooling,
        build=lambda type_, other, key: nn.SubgroupPooling(type_, "all", jnp.mean),
        on=(("D4", "quotient"), ("O2", "quotient")),
        fits=builds(lambda type_: nn.SubgroupPooling(type_, "all")),
        everywhere=True,
    ),
}
