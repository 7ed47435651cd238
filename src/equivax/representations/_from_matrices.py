"""A summand from whatever matrices a user has: checked, made orthogonal, decomposed."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable

import numpy as np

from .._arguments import (
    generator_list,
    generator_matrix,
    number,
    real_array,
    refuse,
    text,
    type_of,
)
from ..groups import FiniteGroup, Group, GroupElement, nearest
from ._decomposition import Component, components, decompose, decompose_components
from ._matrix_checks import (
    HOMOMORPHISM_TOLERANCE,
    band_limit,
    check_homomorphism,
    orthogonalizer,
)
from ._summand import Summand

#: Pairs of sampled elements on which a representation of a Lie group is checked.
SAMPLED_PAIRS = 24


def summand_from_matrices(
    group: Group, matrices: np.ndarray | Callable[[GroupElement], np.ndarray], name: str
) -> Summand:
    """Decomposes matrices per element or a callable; see `Representation.from_matrices`."""
    type_of(group, "from_matrices", "group", Group, "a group")
    text(name, "from_matrices", "name")
    if isinstance(matrices, type):
        refuse(TypeError, "from_matrices", "matrices", "matrices or a callable", matrices)
    if group.order is None:
        if not callable(matrices):
            raise TypeError(
                f"matrices: {group.name} is infinite, so expected a callable from group elements "
                f"to matrices, got {type(matrices).__name__}"
            )
        return _from_callable_on_lie_group(group, matrices, name)
    if callable(matrices):
        given: object = [matrices(g) for g in group.elements]
    else:
        given = matrices
    stack = _checked(given, f"one per element of {group.name}", group.order)
    return _summand_of_components(group, components(stack), name)


def summand_from_generators(
    group: Group,
    matrices: object,
    name: str,
    tolerance: float | int | None = None,
) -> Summand:
    """Extends matrices on the generators to the group; see `Representation.from_generators`."""
    type_of(group, "from_generators", "group", Group, "a group")
    text(name, "from_generators", "name")
    if group.order is None:
        raise ValueError(
            f"group: {group.name} is infinite; use Representation.from_matrices with a callable"
        )
    slack = None
    if tolerance is not None:
        slack = number(tolerance, "from_generators", "tolerance", 0, below=1)
    generators = group.generators
    takes = f"a list, one per generator of {group.name} ({len(generators)})"
    given = generator_list(matrices, "from_generators", "matrices", takes, 0)
    if len(given) != len(generators):
        raise ValueError(
            f"matrices: expected one per generator of {group.name} ({len(generators)}), got "
            f"{len(given)}"
        )
    if not generators:
        raise ValueError(
            f"matrices: {group.name} has no generators, so the size is unknown; use "
            "Representation.from_matrices"
        )
    read = [generator_matrix(m, "from_generators", f"matrices[{k}]") for k, m in enumerate(given)]
    steps = _checked(read, "one per generator", len(generators))
    known: dict[int, np.ndarray] = {}
    parts, removed = [], 0.0
    for part in components(steps):
        key = id(part.matrices)
        if key not in known:
            known[key] = _extended(group, part.matrices)
            if slack is not None:
                known[key], moved = _polished(group, known[key], slack)
                removed = max(removed, moved)
        parts.append(Component(part.indices, known[key]))
    made = _summand_of_components(group, parts, name)
    return dataclasses.replace(made, removed_error=removed) if removed else made


def _polished(group: Group, stack: np.ndarray, tolerance: float) -> tuple[np.ndarray, float]:
    """The exact representation next to matrices that were measured, and how far that is."""
    if not isinstance(group, FiniteGroup):
        raise ValueError("from_generators: tolerance: expected None for a group that is no table")
    slack = tolerance * max(1.0, float(np.abs(stack).max()))
    found = nearest(stack, group.cayley_table, group.generator_indices, slack)
    removed = float(found.moved.max(initial=0.0))
    if found.refused:
        worst = int(found.moved.argmax())
        nearest_one = (
            f"the nearest one moves an entry of matrices[{worst}] by {removed:.3g}, too far for"
            if np.isfinite(removed)
            else "there is none near them; got"
        )
        raise ValueError(
            f"from_generators: matrices: expected generators of a representation of {group.name}, "
            f"but {nearest_one} tolerance={tolerance}"
        )
    return found.given, removed


def _extended(group: Group, given: np.ndarray) -> np.ndarray:
    """The matrices of all elements from those of the generators, by breadth-first products."""
    size = given.shape[1]
    stack = np.full((len(group.elements), size, size), np.nan)
    stack[0] = np.eye(size)
    reached = np.zeros(len(stack), dtype=bool)
    reached[0] = True
    frontier = np.array([0])
    while len(frontier):
        found = []
        for generator, matrix in zip(group.generators, given, strict=True):
            index = np.asarray([generator.coordinates])
            targets = group.compose(index, frontier[:, None])[:, 0].astype(int)
            new, first = np.unique(targets, return_index=True)
            fresh = ~reached[new]
            stack[new[fresh]] = matrix @ stack[frontier[first[fresh]]]
            reached[new[fresh]] = True
            found.append(new[fresh])
        frontier = np.concatenate(found)
    return stack


def _summand_of_components(group: Group, parts: list[Component], name: str) -> Summand:
    """Checks every kind of component of a finite group's matrices, and makes it orthogonal."""
    roots: dict[int, np.ndarray | None] = {}
    made: dict[int, np.ndarray] = {}
    for part in parts:
        key, own = id(part.matrices), part.matrices
        if key not in made:
            check_homomorphism(group, own)
            root = orthogonalizer(own, np.full(len(own), 1.0 / len(own)))
            roots[key] = root
            made[key] = own if root is None else root @ own @ np.linalg.inv(root)
    whole = None
    if any(root is not None for root in roots.values()):
        whole = np.eye(sum(len(part.indices) for part in parts))
        for part in parts:
            root = roots[id(part.matrices)]
            if root is not None:
                whole[part.indices[:, None], part.indices] = root
        _warn_not_orthogonal(name)
    orthogonal = [Component(part.indices, made[id(part.matrices)]) for part in parts]
    irreps, columns = decompose_components(group, orthogonal, 0)
    return Summand(group, irreps, columns, name, whole)


def _checked(matrices: object, what: str, count: int) -> np.ndarray:
    stack = real_array(
        matrices, "from_matrices", "matrices", f"real square matrices of one size, {what}"
    )
    if stack.ndim != 3 or stack.shape[1] != stack.shape[2] or len(stack) != count:
        raise ValueError(f"matrices: expected shape ({count}, n, n), {what}, got {stack.shape}")
    if stack.shape[1] == 0:
        raise ValueError(f"matrices: expected matrices of positive size, got {stack.shape}")
    return stack


def _warn_not_orthogonal(name: str) -> None:
    warnings.warn(
        f"the matrices of '{name}' are not orthogonal: the representation is T rho T^-1 with "
        "T = rep.orthogonalizer, so feed T @ x for your vectors x",
        UserWarning,
        stacklevel=5,
    )


def _from_callable_on_lie_group(
    group: Group, function: Callable[[GroupElement], np.ndarray], name: str
) -> Summand:
    def evaluate(coordinates: np.ndarray) -> np.ndarray:
        elements = [GroupElement(group, tuple(row)) for row in np.asarray(coordinates).tolist()]
        return _checked([function(g) for g in elements], "at sampled elements", len(elements))

    generator = np.random.default_rng(0)
    left = [group.sample(generator) for _ in range(SAMPLED_PAIRS)]
    right = [group.sample(generator) for _ in range(SAMPLED_PAIRS)]

    def at(elements: list[GroupElement]) -> np.ndarray:
        return evaluate(np.asarray([g.coordinates for g in elements]))

    a, b, ab = at(left), at(right), at([g @ h for g, h in zip(left, right, strict=True)])
    errors = np.abs(a @ b - ab).reshape(SAMPLED_PAIRS, -1).max(axis=1)
    scale = max(1.0, float(np.abs(ab).max()))
    if errors.max() > HOMOMORPHISM_TOLERANCE * scale**2:
        worst = int(errors.argmax())
        raise ValueError(
            f"matrices: not a representation of {group.name}, since rho(a) rho(b) differs from "
            f"rho(a b) by {errors.max():.3g} at a = {left[worst]}, b = {right[worst]}"
        )
    frequency = band_limit(group, evaluate)
    coordinates, weights = group.quadrature(2 * frequency)
    root = orthogonalizer(evaluate(coordinates), weights)
    if root is None:
        irreps, columns = decompose(group, evaluate, frequency)
        return Summand(group, irreps, columns, name)
    inverse = np.linalg.inv(root)
    _warn_not_orthogonal(name)
    irreps, columns = decompose(group, lambda c: root @ evaluate(c) @ inverse, frequency)
    return Summand(group, irreps, columns, name, root)
