"""Nonlinearities: point by point, so they commute with the whole group turning fibres."""

import jax
import jax.numpy as jnp

from equivax import FieldType, nn
from equivax.representations import induced_structure
from recipe import on_the_plane


def _permutes(type_: FieldType) -> bool:
    return type_.representation.is_permutation


def _permutes_with_signs(type_: FieldType) -> bool:
    return type_.representation.is_signed_permutation


def _induced(type_: FieldType) -> bool:
    return all(induced_structure(field) is not None for field, _ in type_.representation.runs)


def _with_induced_gates(type_: FieldType) -> FieldType:
    """A gate on the cosets of its subgroup behind every field."""
    fields = []
    for field in type_.reps:
        structure = induced_structure(field)
        assert structure is not None
        fields += [field, type_.space.quotient(structure.subgroup)]
    return FieldType(type_.space, fields)


def _orientations(type_: FieldType) -> bool:
    G = type_.group
    regular = G.family[0] == "cyclic" and G.order is not None and G.order > 1
    return regular and all(field == G.regular for field, _ in type_.representation.runs)


def _gate_after_each(type_: FieldType) -> FieldType:
    return FieldType(
        type_.space, [rep for field in type_.reps for rep in (field, type_.space.trivial)]
    )


def _marks(type_: FieldType) -> list[bool]:
    return len(type_) * [False, True]


RECIPES = {
    "ReLU": on_the_plane(
        covers=nn.ReLU,
        build=lambda type_, other, key: nn.ReLU(type_),
        on=(("D4", "regular"), ("O2", "quotient")),
        fits=_permutes,
    ),
    "ELU": on_the_plane(
        covers=nn.ELU,
        build=lambda type_, other, key: nn.ELU(type_, 0.7),
        on=(("C4", "quotient"),),
        fits=_permutes,
    ),
    "LeakyReLU": on_the_plane(
        covers=nn.LeakyReLU,
        build=lambda type_, other, key: nn.LeakyReLU(type_, 0.2),
        on=(("D6", "quotient"),),
        fits=_permutes,
    ),
    "PointwiseNonlinearity": on_the_plane(
        covers=nn.PointwiseNonlinearity,
        build=lambda type_, other, key: nn.PointwiseNonlinearity(type_, jax.nn.gelu),
        on=(("C8", "regular"),),
        fits=_permutes,
    ),
    "PointwiseNonlinearity, odd": on_the_plane(
        covers=nn.PointwiseNonlinearity,
        build=lambda type_, other, key: nn.PointwiseNonlinearity(type_, jnp.tanh, odd=True),
        on=(("D4", "vector"), ("D1", "mixture")),
        fits=_permutes_with_signs,
    ),
    "NormNonlinearity": on_the_plane(
        covers=nn.NormNonlinearity,
        build=lambda type_, other, key: nn.NormNonlinearity(type_),
        on=(("D4", "irreps"), ("SO2", "irreps"), ("C8", "mixture")),
        parameters=lambda module: len(module.in_type),
        everywhere=True,
    ),
    "NormNonlinearity, squash": on_the_plane(
        covers=nn.NormNonlinearity,
        build=lambda type_, other, key: nn.NormNonlinearity(type_, nn.squash, use_bias=False),
        on=(("O2", "fused"),),
    ),
    "InducedNormNonlinearity": on_the_plane(
        covers=nn.InducedNormNonlinearity,
        build=lambda type_, other, key: nn.InducedNormNonlinearity(type_, jax.nn.softplus),
        on=(("D4", "induced"), ("O2", "induced"), ("C8", "quotient")),
        parameters=lambda module: len(module.in_type),
        fits=_induced,
        everywhere=True,
    ),
    "GatedNonlinearity": on_the_plane(
        covers=nn.GatedNonlinearity,
        build=lambda type_, other, key: nn.GatedNonlinearity(
            _gate_after_each(type_), _marks(type_)
        ),
        on=(("D4", "mixture"), ("SO2", "irreps")),
        parameters=lambda module: len(module.in_type) // 2,
        everywhere=True,
    ),
    "GatedNonlinearity, gates kept": on_the_plane(
        covers=nn.GatedNonlinearity,
        build=lambda type_, other, key: nn.GatedNonlinearity(
            _gate_after_each(type_), _marks(type_), drop_gates=False
        ),
        on=(("O2", "induced"),),
        parameters=lambda module: len(module.in_type) // 2,
    ),
    "InducedGatedNonlinearity": on_the_plane(
        covers=nn.InducedGatedNonlinearity,
        build=lambda type_, other, key: nn.InducedGatedNonlinearity(
            _with_induced_gates(type_), _marks(type_)
        ),
        on=(("D4", "induced"), ("O2", "induced"), ("C4", "induced")),
        parameters=lambda module: len(module.in_type) // 2,
        fits=_induced,
        everywhere=True,
    ),
    "ConcatenatedNonlinearity": on_the_plane(
        covers=nn.ConcatenatedNonlinearity,
        build=lambda type_, other, key: nn.ConcatenatedNonlinearity(type_),
        on=(("D4", "vector"), ("C4", "irreps"), ("D1", "fused")),
        fits=_permutes_with_signs,
        everywhere=True,
    ),
    "VectorNeuron": on_the_plane(
        covers=nn.VectorNeuron,
        build=lambda type_, other, key: nn.VectorNeuron(type_, key=key),
        on=(("B2", "tensors"), ("D4", "mixture"), ("SO2", "vector")),
        parameters=lambda module: sum(w.size for w in module.weight.values()),
        everywhere=True,
    ),
    "VectorNeuron, any map": on_the_plane(
        covers=nn.VectorNeuron,
        build=lambda type_, other, key: nn.VectorNeuron(
            type_, activation=jax.nn.gelu, convention="magnitude", mix="hom", key=key
        ),
        on=(("C4", "regular"),),
        parameters=lambda module: 2**2 + 2 * 2**2 + 2**2,  # the middle irrep is complex
    ),
    "VectorFieldNonlinearity": on_the_plane(
        covers=nn.VectorFieldNonlinearity,
        build=lambda type_, other, key: nn.VectorFieldNonlinearity(type_),
        on=(("C8", "regular"), ("C4", "regular")),
        fits=_orientations,
    ),
    "VectorFieldNonlinearity, soft": on_the_plane(
        covers=nn.VectorFieldNonlinearity,
        build=lambda type_, other, key: nn.VectorFieldNonlinearity(type_, soft=True),
        on=(("C8", "regular"),),
        fits=_orientations,
    ),
}
