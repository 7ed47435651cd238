"""`steerable_basis` and `differential_basis`: from the options of a user to a basis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from .._arguments import flag
from ..representations import as_representation, check_same_group
from ..spaces import GSpace
from ._steerable_basis import SteerableBasis, pair_basis
from .recipes._arguments import check_group, check_space
from .recipes._differential import Differential
from .recipes._options import (
    DifferentialOptions,
    HarmonicOptions,
    Options,
    differential_options,
    kernel_options,
)


def steerable_basis(
    space: GSpace,
    in_rep: object,
    out_rep: object,
    kernel_size: int | Sequence[int] | None,
    basis: str | Options = "harmonic",
    *,
    allow_dependent: bool = False,
    **options: Unpack[HarmonicOptions],
) -> SteerableBasis:
    """The kernels between two representations that commute with a group.

    Args:
        space: What is acted on, see `equivax.spaces`.
        in_rep: A `Representation` of its group, or a type that has one.
        out_rep: Likewise.
        kernel_size: Taps per axis, one integer or one per axis; None if the basis is a
            `Differential` that says how many.
        basis: ``"harmonic"`` (band-limited, any group), ``"grid"`` (every kernel that symmetry
            allows, exact on the grid; groups of quarter turns and reflections; on lines and points
            the same as the first), or a record of options: `Harmonic`, `Grid`, `Differential`.
        allow_dependent: Accept rings whose elements are linearly dependent.
        **options: Those of `Harmonic`, in short: ``rings``, ``sigma``, ``frequency_cutoff``,
            ``maximum_offset``, ``basis_filter``.

    Returns:
        A `SteerableBasis`, possibly empty; equal arguments give the same object.

    Raises:
        ValueError: If the groups differ, an option is out of range or does not fit the space, or
            the elements are linearly dependent.
        TypeError: If an argument has the wrong type.

    References:
        Weiler and Cesa, *General E(2)-equivariant steerable CNNs*, 2019, arXiv:1911.08251; Cesa,
        Lang and Weiler, *A program to build E(n)-equivariant steerable CNNs*, 2022.

    Examples:
        >>> import equivax as evx
        >>> space = evx.spaces.rot_on_r2(4)
        >>> basis = evx.kernels.steerable_basis(space, space.trivial, space.regular, 3)
        >>> basis.dim, basis.elements().shape
        (6, (6, 4, 1, 3, 3))
    """
    caller = "steerable_basis"
    check_space(caller, space)
    record = kernel_options(caller, space, basis, options)
    return _solve(caller, space, in_rep, out_rep, kernel_size, record, allow_dependent)


def differential_basis(
    space: GSpace,
    in_rep: object,
    out_rep: object,
    kernel_size: int | Sequence[int] | None = None,
    basis: Differential | None = None,
    *,
    allow_dependent: bool = False,
    **options: Unpack[DifferentialOptions],
) -> SteerableBasis:
    """The differential operators between two representations that commute with a group.

    Matrices ``P`` of polynomials with ``P(A(g) xi) = rho_out(g) P(xi) rho_in(g)^-1``, as stencils
    of ``P(d/dx)``. With ``m_f = dim Hom_G(D_f (x) rho_in, rho_out)`` there are
    ``sum_f (min(P, floor((o - f) / 2)) + 1) m_f`` of order up to o.

    Args:
        space: A line, a plane or space with a group, see `equivax.spaces`.
        in_rep: A `Representation` of its group, or a type that has one.
        out_rep: Likewise.
        kernel_size: Taps per axis; at most two of this, ``accuracy`` and ``maximum_order``, see
            `stencil_sizes`.
        basis: A record of options, `Differential`.
        allow_dependent: Accept stencils that are linearly dependent.
        **options: Those of `Differential`, in short: ``accuracy``, ``maximum_order``,
            ``maximum_power``, ``method``, ``smoothing``, ``phi``, ``shape``, ``angle_offset``,
            ``basis_filter``.

    Returns:
        A `SteerableBasis`, possibly empty; equal arguments give the same object. Each element is
        scaled like a kernel's, so the size of a pixel does not matter.

    Raises:
        ValueError: If the groups differ, an option is out of range or does not fit the others, or
            the elements are linearly dependent.
        TypeError: If an argument has the wrong type.

    References:
        Jenner and Weiler, *Steerable partial differential operators for equivariant neural
        networks*, 2022, arXiv:2106.10163.

    Examples:
        >>> import equivax as evx
        >>> space = evx.spaces.flip_rot_on_r2(-1)
        >>> gradient = evx.kernels.differential_basis(
        ...     space, space.trivial, space.irrep(1, 1), maximum_order=1, accuracy=2
        ... )
        >>> gradient.names()
        ('(trivial[0] -> irrep(1,1)[0]) order=1 f=1 #0',)
    """
    caller = "differential_basis"
    record = differential_options(caller, basis, options)
    return _solve(caller, space, in_rep, out_rep, kernel_size, record, allow_dependent)


def _solve(
    caller: str,
    space: GSpace,
    in_rep: object,
    out_rep: object,
    kernel_size: int | Sequence[int] | None,
    record: Options,
    allow_dependent: bool,
) -> SteerableBasis:
    check_space(caller, space)
    in_rep, out_rep = as_representation(in_rep, "in_rep"), as_representation(out_rep, "out_rep")
    check_same_group(caller, in_rep, out_rep)
    check_group(caller, space, in_rep)
    allow_dependent = flag(allow_dependent, caller, "allow_dependent")
    recipe = record.recipe(caller, space, kernel_size)
    return pair_basis(space, in_rep, out_rep, recipe, record.basis_filter, allow_dependent)
