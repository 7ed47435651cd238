"""`steerable_basis`: the kernels between two representations, from the user's options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..representations import Representation, as_representation, check_same_group
from ..spaces import GSpace
from ._steerable_basis import BasisFilter, SteerableBasis, pair_basis
from .recipes._options import FrequencyCutoff, Numbers, make_recipe


def steerable_basis(
    space: GSpace,
    in_rep: Any,
    out_rep: Any,
    kernel_size: int | Sequence[int],
    basis: str = "harmonic",
    *,
    rings: Numbers | None = None,
    sigma: float | int | Numbers | None = None,
    frequency_cutoff: FrequencyCutoff | None = None,
    maximum_offset: int | None = None,
    basis_filter: BasisFilter | None = None,
    allow_dependent: bool = False,
) -> SteerableBasis:
    """The kernels between two representations that commute with a group.

    Args:
        space: What is acted on, see `equivax.spaces`.
        in_rep: A `Representation` of its group, or a type that has one.
        out_rep: Likewise.
        kernel_size: Taps per axis, one integer or one per axis.
        basis: ``"harmonic"`` (band-limited, any group) or ``"grid"`` (every kernel that symmetry
            allows, exact on the grid; groups of quarter turns and reflections). Lines and points
            always use the second.
        rings: Radii in taps, within ``[0, sqrt(2) (k - 1) / 2]``; by default ``0, 1, ...``.
        sigma: Width of the rings, one number or one per ring; by default 0.6, and 0.4 for the
            outermost.
        frequency_cutoff: Highest frequency per ring: ``"default"``, ``"narrow"``, ``"flat"``, a
            number ``a`` for ``a r``, or a callable of the radius.
        maximum_offset: Finite groups: keep solutions with ``f = +-m +- n + t N``, ``|t|`` at most
            this.
        basis_filter: Takes the attributes of an element (see `SteerableBasis.attributes`), returns
            whether to keep it. Bases are cached by its identity, so give one function, not a new
            lambda each time.
        allow_dependent: Accept rings whose elements are linearly dependent.

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
    check_space("steerable_basis", space)
    in_rep = as_representation(in_rep, "in_rep")
    out_rep = as_representation(out_rep, "out_rep")
    check_same_group("steerable_basis", in_rep, out_rep)
    check_group("steerable_basis", space, in_rep)
    recipe = make_recipe(
        "steerable_basis",
        space,
        kernel_size,
        basis,
        rings=rings,
        sigma=sigma,
        frequency_cutoff=frequency_cutoff,
        maximum_offset=maximum_offset,
    )
    return pair_basis(space, in_rep, out_rep, recipe, basis_filter, allow_dependent)


def check_space(caller: str, space: Any) -> None:
    """Refuses what is no space."""
    if not isinstance(space, GSpace):
        raise TypeError(f"{caller}: space: expected a GSpace, got {type(space).__name__}")


def check_group(caller: str, space: GSpace, rep: Representation) -> None:
    """Refuses a representation of another group than the space's."""
    if rep.group is not space.group:
        raise ValueError(
            f"{caller}: in_rep: expected a representation of {space.group.name}, which acts on "
            f"{space!r}, got one of {rep.group.name}"
        )
