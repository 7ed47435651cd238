"""Calls of `spaces` and `kernels`."""

from __future__ import annotations

import numpy as np

from cases import Call
from equivax import FieldType, groups, kernels, spaces
from kinds import (
    EITHER,
    anything,
    array,
    choice,
    coefficients,
    element,
    field_type,
    flag,
    function,
    group,
    integer,
    integers,
    number,
    representation,
    several,
    space,
    subgroup,
    text,
)

C4, D4, O = groups.cyclic(4), groups.dihedral(4), groups.octahedral()
ROT, FLIP = spaces.rot_on_r2(4), spaces.flip_rot_on_r2(4)
R4 = C4.regular
BASIS = kernels.steerable_basis(ROT, R4, R4, 3)
KERNEL = np.ones((4, 4, 3, 3), np.float32)
T = FieldType(ROT, ROT.regular)
TYPE_BASIS = kernels.TypeBasis(T, T, 3)
COEFFS = TYPE_BASIS.coefficients(KERNEL)


def keep(attributes: dict) -> bool:
    return attributes["frequency"] in (None, 0, 1)


CALLS = [
    Call(spaces.GSpace, group=group(D4), action=representation(D4.irrep(1, 1)), label=text("V")),
    Call(spaces.no_base_space, group=group(C4)),
    Call(spaces.on_r1, group=group(groups.cyclic(2))),
    Call(spaces.rot_on_r2, n=integer(4)),
    Call(spaces.flip_rot_on_r2, n=integer(4), axis=number(0.5)),
    Call(spaces.flip_on_r2, axis=number(0.5)),
    Call(spaces.on_r3, group=group(O), action=representation(O.standard)).but(
        "group", "group", EITHER, "the action is of another"
    ),
    Call(spaces.cyclic_on_r3, n=integer(4), axis=choice("x")),
    Call(spaces.dihedral_on_r3, n=integer(4)),
    Call(spaces.grid, D=integer(2), group=group(groups.hyperoctahedral(2))),
    Call(spaces.hyperoctahedral_on, dim=integer(2)),
    Call(spaces.rotations_on, dim=integer(2)),
    Call(spaces.signed_permutations_on, group=group(groups.hyperoctahedral(2))),
    Call(spaces.signed_matrices, group=group(groups.hyperoctahedral(2))),
    Call(spaces.axis_matrices, space=space(ROT)),
    Call(FLIP.restrict, subgroup=subgroup("rotations")),
    Call(FLIP.irrep, _0=integer(1), _1=integer(1)),
    Call(FLIP.quotient, subgroup=subgroup("rotations")),
    Call(FLIP.induced, subgroup=subgroup("rotations"), rep=representation(C4.irrep(1))).but(
        "subgroup", "None", EITHER, "the usual place of the group of rep"
    ),
    Call(ROT.matrix, g=element(C4.elements[1])),
    Call(ROT.grid_action, g=element(C4.elements[1])),
    Call(spaces.center, shape=several((3, 3), empty=True)),
    Call(spaces.grid_points, shape=several((3, 3), empty=True)),
    # Bases of kernels.
    Call(
        kernels.steerable_basis,
        space=space(ROT),
        in_rep=representation(R4),
        out_rep=representation(R4),
        kernel_size=integers(3),
        basis=choice("harmonic"),
        allow_dependent=flag(True),
        rings=several([0.0, 1.0]),
        sigma=number(0.5),
        frequency_cutoff=integer(2),
        maximum_offset=integer(2),
        spacing=several([1.0, 1.0]),
        basis_filter=function(keep),
    )
    .but("sigma", "[x]; array", EITHER, "one for each ring")
    .but(
        "frequency_cutoff", "2.5; float; function", EITHER, "a slope, or a function of the radius"
    ),
    Call(
        kernels.differential_basis,
        space=space(ROT),
        in_rep=representation(R4),
        out_rep=representation(R4),
        kernel_size=integers(5),
        allow_dependent=flag(True),
        maximum_order=integer(2),
        maximum_power=integer(1),
        method=choice("gaussian"),
        smoothing=number(0.7),
        angle_offset=number(0.3),
        spacing=several([1.0, 1.0]),
        basis_filter=function(lambda attributes: True),
    ),
    Call(
        kernels.Harmonic,
        rings=several([0.0, 1.0]),
        sigma=number(0.5),
        frequency_cutoff=integer(2),
        maximum_offset=integer(2),
        spacing=several([1.0, 2.0]),
        basis_filter=function(keep),
    )
    .but("sigma", "array", EITHER, "one for each ring")
    .but("frequency_cutoff", "2.5; float; function; representation", EITHER, "a slope, a function")
    .but("rings", "with number", EITHER, "radii are numbers")
    .but("spacing", "with number", EITHER, "lengths are numbers, and the space is not known"),
    Call(
        kernels.Differential,
        accuracy=integer(2),
        maximum_order=integer(2),
        maximum_power=integer(1),
        method=choice("rbf"),
        phi=choice("gaussian"),
        shape=number(1.0),
        angle_offset=number(0.3),
        spacing=several([1.0, 2.0]),
        basis_filter=function(lambda attributes: True),
    ).but("spacing", "with number", EITHER, "lengths are numbers, and the space is not known"),
    Call(kernels.Grid, basis_filter=function(lambda attributes: True)),
    Call(
        kernels.derivative_stencil,
        space=space(ROT),
        orders=several((1, 0)),
        kernel_size=integer(5),
        method=choice("gaussian"),
        smoothing=number(0.7),
        spacing=number(0.5),
    ).but("spacing", "[x]; array", EITHER, "one number per axis"),
    Call(
        kernels.derivative_stencil,
        space=ROT,
        orders=(1, 0),
        kernel_size=5,
        method=choice("rbf"),
        phi=choice("gaussian"),
        shape=number(1.0),
        spacing=several((2.0, 1.0)),
    ).but("spacing", "one; 3; 2.5", EITHER, "one number for all axes"),
    Call(kernels.solid_harmonics, points=array(np.ones((4, 3))), degree=integer(2)).but(
        "points", "lists; a number", "refused", "tells NumPy from JAX by its points"
    ),
    Call(kernels.finite_difference_weights, size=integer(5), order=integer(2)),
    Call(kernels.stencil_sizes, kernel_size=integer(5), maximum_order=integer(2)),
    Call(kernels.stencil_sizes, accuracy=integer(2), maximum_order=integer(2)),
    Call(BASIS.attributes, i=integer(1)),
    Call(BASIS.coefficients, kernel=array(KERNEL)),
    Call(BASIS.expand, coeffs=array(np.ones(BASIS.dim, np.float32))),
    Call(BASIS.index, name=text(BASIS.names()[0])).but(
        "name", "text; ''; long; line", "refused", "no element has this name"
    ),
    Call(BASIS.project, kernel=array(KERNEL)),
    Call(BASIS.subset, mask=anything(np.arange(BASIS.dim) < 3)),
    Call(
        kernels.TypeBasis,
        in_type=field_type(T),
        out_type=field_type(T),
        kernel_size=integers(3),
        basis=choice("grid"),
        allow_dependent=flag(True),
        warn_unused=flag(True),
        basis_filter=function(lambda attributes: True),
    ),
    Call(TYPE_BASIS.attributes, i=integer(1)),
    Call(TYPE_BASIS.coefficients, kernel=array(KERNEL)),
    Call(TYPE_BASIS.project, kernel=array(KERNEL)),
    Call(TYPE_BASIS.expand, coeffs=coefficients(COEFFS)),
    Call(TYPE_BASIS.on_functions, coeffs=coefficients(COEFFS), in_irreps=flag(False)),
    Call(TYPE_BASIS.to_irreps, x=array(KERNEL[:3, :, 0, 0])),
    Call(TYPE_BASIS.from_irreps, y=array(KERNEL[:3, :, 0, 0])),
    Call(TYPE_BASIS.index, name=text(TYPE_BASIS.names()[0])).but(
        "name", "text; ''; long; line", "refused", "no element has this name"
    ),
]

LEFT_OUT = {
    r"spaces\.GSpace\.matrices": "coordinates of elements, which rooms exchange",
    r"kernels\.(Part|Pair|Recipe|SteerableBasis|StencilSizes|Discretization)": "made by functions",
    r"kernels\.(Differential|Harmonic|Grid)?Recipe.*": "what options become",
    r"kernels\..*\.(recipe|from_recipe)": "for `nn`, which checks",
    r"kernels\.differential_recipe": "for `nn`, which checks",
    r"kernels\.\w+Options": "dictionaries of keywords",
}
