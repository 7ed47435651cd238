"""Every bad argument is refused with its name, what it got and what it takes."""

import re

import jax.numpy as jnp
import numpy as np
import pytest

from equivax import groups, kernels, spaces
from equivax.kernels import TypeBasis
from golden_kernels import Type

pytestmark = pytest.mark.usefixtures("unchecked_annotations")

C4 = spaces.rot_on_r2(4)
C8 = spaces.rot_on_r2(8)
SCALAR, SCALAR8 = Type(C4, C4.trivial), Type(C8, C8.trivial)


def basis(space=C4, size=3, **options):
    return kernels.steerable_basis(space, space.trivial, space.trivial, size, **options)


CASES = {
    "size zero": (lambda: basis(size=0), "kernel_size: expected a positive integer", "got 0"),
    "size float": (lambda: basis(size=3.0), "kernel_size: expected a positive", "got 3.0"),
    "size bool": (lambda: basis(size=True), "kernel_size: expected a positive", "got True"),
    "size text": (lambda: basis(size="3"), "kernel_size: expected a positive", "got '3'"),
    "size count": (lambda: basis(size=(3, 3, 3)), "one for each of 2 axes", "(3, 3, 3)"),
    "size unequal": (lambda: basis(size=(3, 5)), "expects equal sizes, got (3, 5)", "grid"),
    "size unequal, turned": (
        lambda: basis(size=(3, 5), basis="grid"),
        "kernel_size: expected equal sizes for axes that C4 on R2 exchanges",
        "got (3, 5)",
    ),
    "size of a point": (
        lambda: basis(spaces.no_base_space(groups.cyclic(2)), 3),
        "kernel_size: expected 1, since a point has one tap",
        "got 3",
    ),
    "basis": (lambda: basis(basis="fourier"), "basis: expected one of harmonic, grid", "'fourier'"),
    "grid": (lambda: basis(C8, basis="grid"), 'basis: "grid" needs a group', "C8 on R2"),
    "four dimensions": (
        lambda: basis(spaces.grid(4)),
        'basis: "harmonic" is for planes and space',
        'basis="grid"',
    ),
    "rings large": (lambda: basis(rings=[0, 1.5]), "rings: expected radii", "between 0 and 1.414"),
    "rings negative": (lambda: basis(rings=[-1.0]), "rings: expected radii in taps", "[-1.0]"),
    "rings empty": (lambda: basis(rings=[]), "rings: expected radii in taps", "got []"),
    "rings nan": (lambda: basis(rings=[float("nan")]), "rings: expected radii in taps", "nan"),
    "rings number": (lambda: basis(rings=1.0), "rings: expected radii in taps", "got 1.0"),
    "rings text": (lambda: basis(rings="01"), "rings: expected radii in taps", "got '01'"),
    "sigma zero": (lambda: basis(sigma=0.0), "sigma: expected a positive width", "got 0.0"),
    "sigma count": (lambda: basis(sigma=[0.5]), "one for each of 2 rings", "got [0.5]"),
    "sigma text": (lambda: basis(sigma="wide"), "sigma: expected a positive width", "'wide'"),
    "cutoff name": (
        lambda: basis(frequency_cutoff="wide"),
        "frequency_cutoff: expected one of default, narrow, flat",
        "'wide'",
    ),
    "cutoff negative": (
        lambda: basis(frequency_cutoff=-1),
        "frequency_cutoff: expected one of",
        "got -1",
    ),
    "cutoff callable": (
        lambda: basis(frequency_cutoff=lambda r: None),
        "frequency_cutoff: expected one of",
        "gives None at radius 0",
    ),
    "offset": (lambda: basis(maximum_offset=-1), "maximum_offset: expected a non-neg", "got -1"),
    "offset float": (lambda: basis(maximum_offset=0.5), "maximum_offset: expected", "got 0.5"),
    "rings of a grid": (
        lambda: basis(rings=[0.0], basis="grid"),
        "rings: belongs to the harmonic basis",
        "[0.0]",
    ),
    "cutoff on a line": (
        lambda: basis(spaces.flip_on_r1(), frequency_cutoff=0),
        "frequency_cutoff: belongs to the harmonic basis",
        "R1",
    ),
    "dependent": (
        lambda: basis(C8, rings=[0, 0.4, 0.8, 1.2], sigma=1.0),
        "linearly dependent with harmonic basis, kernel 3 x 3",
        "allow_dependent=True",
    ),
    "other group": (
        lambda: kernels.steerable_basis(C4, C8.trivial, C8.trivial, 3),
        "in_rep: expected a representation of C4",
        "got one of C8",
    ),
    "two groups": (
        lambda: kernels.steerable_basis(C4, C4.trivial, C8.trivial, 3),
        "steerable_basis",
        "C8",
    ),
    "empty basis": (
        lambda: TypeBasis(SCALAR, Type(C4, C4.irrep(2)), 1),
        "only the zero kernel commutes from in_type C4: trivial to out_type C4: irrep(2)",
        "harmonic basis, kernel 1 x 1",
    ),
    "filtered away": (
        lambda: TypeBasis(SCALAR, SCALAR, 1, basis_filter=lambda a: False),
        "only the zero kernel",
        "and the basis_filter",
    ),
    "two spaces": (
        lambda: TypeBasis(SCALAR, SCALAR8, 3, caller="Conv"),
        "Conv: out_type: expected a type on the space of in_type, C4 on R2",
        "C8 on R2",
    ),
    "mask": (lambda: basis().subset([True]), "subset: mask: expected 2 booleans", "(1,)"),
    "coefficients": (lambda: basis().expand(jnp.ones(3)), "coeffs: expected (..., 2)", "got (3,)"),
    "kernel": (
        lambda: basis().coefficients(jnp.ones((1, 1, 3, 5))),
        "kernel: expected (..., 1, 1, 3, 3)",
        "got (1, 1, 3, 5)",
    ),
    "key": (
        lambda: TypeBasis(SCALAR, SCALAR, 3).expand({"x": jnp.ones(2)}),
        "coeffs: expected one array each for ['trivial -> trivial']",
        "got ['x']",
    ),
    "no mapping": (
        lambda: TypeBasis(SCALAR, SCALAR, 3).expand(jnp.ones(2)),
        "coeffs: expected one array each",
        "got",
    ),
    "shape": (
        lambda: TypeBasis(SCALAR, SCALAR, 3).expand({"trivial -> trivial": jnp.ones(2)}),
        "coeffs: expected (1, 1, 2)",
        "got (2,)",
    ),
    "type kernel": (
        lambda: TypeBasis(SCALAR, SCALAR, 3).coefficients(jnp.ones((2, 1, 3, 3))),
        "kernel: expected (1, 1, 3, 3)",
        "got (2, 1, 3, 3)",
    ),
}

TYPES = {
    "space": (
        lambda: kernels.steerable_basis(groups.cyclic(4), C4.trivial, C4.trivial, 3),
        "space: expected a GSpace",
    ),
    "rep": (lambda: kernels.steerable_basis(C4, "trivial", C4.trivial, 3), "in_rep"),
    "type": (lambda: TypeBasis(C4.trivial, SCALAR, 3), "in_type: expected a field type"),
    "integers": (lambda: basis().expand(jnp.ones(2, int)), "coeffs: expected a floating dtype"),
    "integer kernel": (
        lambda: basis().coefficients(np.ones((1, 1, 3, 3), int)),
        "kernel: expected a floating dtype",
    ),
    "integer coeffs": (
        lambda: TypeBasis(SCALAR, SCALAR, 3).expand(
            {"trivial -> trivial": jnp.ones((1, 1, 2), int)}
        ),
        "coeffs: expected a floating dtype for 'trivial -> trivial'",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_values(name):
    run, *parts = CASES[name]
    with pytest.raises(ValueError, match=".*".join(map(re.escape, parts[:1]))) as caught:
        run()
    assert all(part in str(caught.value) for part in parts)


@pytest.mark.parametrize("name", TYPES)
def test_types(name):
    run, part = TYPES[name]
    with pytest.raises(TypeError, match=re.escape(part)):
        run()
