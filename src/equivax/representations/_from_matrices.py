"""A summand from whatever matrices a user has: checked, made orthogonal, decomposed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._arguments import generator_matrix, real_array, refuse, several, text, type_of
from ..groups import Group, GroupElement
from ._decomposition import (
    HOMOMORPHISM_TOLERANCE,
    band_limit,
    check_homomorphism,
    decompose,
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
    check_homomorphism(group, stack)
    weights = np.full(group.order, 1.0 / group.order)
    root = orthogonalizer(stack, weights)
    if root is not None:
        stack = root @ stack @ np.linalg.inv(root)
        _warn_not_orthogonal(name)
    irreps, columns = decompose(group, lambda c: stack[c[:, 0].astype(int)], 0)
    return Summand(group, irreps, columns, name, root)


def summand_from_generators(
    group: Group, matrices: Sequence[Any] | np.ndarray, name: str
) -> Summand:
    """Extends matrices on the generators to the group; see `Representation.from_generators`."""
    type_of(group, "from_generators", "group", Group, "a group")
    text(name, "from_generators", "name")
    if group.order is None:
        raise ValueError(
            f"group: {group.name} is infinite; use Representation.from_matrices with a callable"
        )
    generators = group.generators
    takes = f"a list, one per generator of {group.name} ({len(generators)})"
    given = several(matrices, "from_generators", "matrices", takes, 0)
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
    size = steps.shape[1]
    stack = np.full((group.order, size, size), np.nan)
    stack[0] = np.eye(size)
    reached = np.zeros(group.order, dtype=bool)
    reached[0] = True
    frontier = np.array([0])
    while len(frontier):
        found = []
        for generator, matrix in zip(generators, steps, strict=True):
            index = np.asarray([generator.coordinates])
            targets = group.compose(index, frontier[:, None])[:, 0].astype(int)
            new, first = np.unique(targets, return_index=True)
            fresh = ~reached[new]
            stack[new[fresh]] = matrix @ stack[frontier[first[fresh]]]
            reached[new[fresh]] = True
            found.append(new[fresh])
        frontier = np.concatenate(found)
    return summand_from_matrices(group, stack, name)


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
