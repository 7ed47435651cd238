"""From a name and keywords to a record of options: the short forms of functions and layers.

``Conv(..., rings=[0, 1])`` is short for ``Conv(..., basis=Harmonic(rings=[0, 1]))``. Names,
meanings and defaults of the keywords stand in the records; here they are only handed on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from ...spaces import GSpace
from .._parts import BasisFilter
from ._differential import Differential, DifferentialRecipe
from ._grid import Grid, refuse_rings
from ._harmonic import FrequencyCutoff, Harmonic, Numbers

Options = Harmonic | Grid | Differential


class HarmonicOptions(TypedDict, total=False):
    """The keywords of `Harmonic`, for signatures."""

    rings: Numbers | None
    sigma: float | int | Numbers | None
    frequency_cutoff: FrequencyCutoff | None
    maximum_offset: int | None
    spacing: Numbers | None
    basis_filter: BasisFilter | None


class DifferentialOptions(TypedDict, total=False):
    """The keywords of `Differential`, for signatures."""

    accuracy: int | None
    maximum_order: int | None
    maximum_power: int | None
    method: str | None
    smoothing: float | int | None
    phi: str | None
    shape: float | int | None
    angle_offset: float | int | None
    spacing: Numbers | None
    basis_filter: BasisFilter | None


def kernel_options(caller: str, space: GSpace, basis: object, given: HarmonicOptions) -> Options:
    """A record, or one of the harmonic or the grid basis from its name and keywords.

    Args:
        caller: Who asks, for messages.
        space: What is acted on.
        basis: A record, ``"harmonic"`` or ``"grid"``.
        given: Keywords; None is as good as none.

    Raises:
        ValueError: If the basis is unknown, a keyword does not belong to it, or both a record and
            keywords are given.
        TypeError: If a keyword is unknown.
    """
    keywords = _keywords(caller, Harmonic, basis, given)
    if isinstance(basis, Options):
        return basis
    if isinstance(basis, str) and basis == "harmonic":
        return Harmonic(**keywords, caller=caller)
    if isinstance(basis, str) and basis == "grid":
        refuse_rings(caller, space, keywords)
        return Grid(basis_filter=keywords.get("basis_filter"), caller=caller)
    raise ValueError(
        f"{caller}: basis: expected one of harmonic, grid, or a record such as "
        f'kernels.Harmonic(frequency_cutoff="narrow"), got {basis!r}'
    )


def differential_options(caller: str, basis: object, given: DifferentialOptions) -> Differential:
    """A record, or that of the keywords.

    Args:
        caller: Who asks, for messages.
        basis: A record or None.
        given: Keywords; None is as good as none.

    Raises:
        ValueError: If both a record and keywords are given.
        TypeError: If a keyword is unknown, or the basis is of another kind.
    """
    keywords = _keywords(caller, Differential, basis, given)
    if basis is None:
        return Differential(**keywords, caller=caller)
    if not isinstance(basis, Differential):
        raise TypeError(
            f"{caller}: basis: expected kernels.Differential(...) or None, got {basis!r}"
        )
    return basis


def differential_recipe(
    caller: str,
    space: GSpace,
    kernel_size: int | Sequence[int] | None = None,
    **options: Unpack[DifferentialOptions],
) -> DifferentialRecipe:
    """The recipe of the keywords of `Differential`; short for its method ``recipe``."""
    return differential_options(caller, None, options).recipe(caller, space, kernel_size)


def _keywords(
    caller: str, record: type[Options], basis: object, given: Mapping[str, object]
) -> dict[str, Any]:
    """The keywords that are given, if they are known and no record holds the options."""
    if not given:
        return {}
    known = [field.name for field in dataclasses.fields(record)]
    for name, value in given.items():
        if name not in known:
            raise TypeError(
                f"{caller}() got an unexpected keyword argument '{name}'; options of the basis "
                f"are {', '.join(known)}"
            )
        if value is not None and isinstance(basis, Options):
            raise ValueError(
                f"{caller}: {name}: expected within the record, kernels.{type(basis).__name__}"
                f"({name}=...), since basis={basis!r} holds all options, got {value!r} beside it"
            )
    return {name: value for name, value in given.items() if value is not None}
