"""`GSpace`: a group with an orthogonal action on R^d."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from .._arguments import refuse
from .._numerics import rounded_digest
from .._values import AbstractValue
from ..groups import Group, GroupElement, told_apart
from ..representations import Representation
from ._grid import SignedPermutation

_SAME_ACTION = 1e-9
"""Width of the cells in which entries of two actions are one: far above rounding, below a pixel."""


class GSpace(AbstractValue):
    """R^d with a group that acts on it by orthogonal matrices ``A(g)``.

    Translations belong to every space and are not part of ``group``. Immutable; two spaces are
    equal if the groups and the matrices of the actions are, so the axis of a mirror counts.

    Attributes:
        group: The group that acts.

    Examples:
        >>> import equivax as evx
        >>> space = evx.spaces.rot_on_r2(8)
        >>> space.dim, space.group.order
        (2, 8)
    """

    group: Group
    _action: Representation | None
    _label: str = dataclasses.field(compare=False)

    def __init__(self, group: Group, action: Representation | None = None, label: str = "") -> None:
        """A space from a group and its action.

        Args:
            group: The group.
            action: An orthogonal representation of size d, used as ``A(g)`` on coordinates
                (x, y, ...); None for a single point (d = 0).
            label: What `repr` appends, such as the axis of a mirror; no part of equality.

        Raises:
            ValueError: If the action is of another group, or is not orthogonal.
            TypeError: If ``group`` is no group or ``action`` no representation.
        """
        if not isinstance(group, Group):
            raise TypeError(f"GSpace: group: expected a group, got {type(group).__name__}")
        if not isinstance(label, str):
            refuse(TypeError, "GSpace", "label", "a string", label)
        if action is not None:
            if not isinstance(action, Representation):
                raise TypeError(
                    f"GSpace: action: expected a Representation or None, got "
                    f"{type(action).__name__}"
                )
            if action.group is not group:
                one, other = told_apart(group, action.group)
                raise ValueError(
                    f"GSpace: action: expected a representation of {one}, got one of {other}"
                )
            if action.orthogonalizer is not None:
                raise ValueError(
                    "GSpace: action: expected orthogonal matrices, got a representation that had "
                    "to be made orthogonal; pixels can only be turned and mirrored"
                )
        self._fill(group=group, _action=action, _label=label)

    # ---- value -------------------------------------------------------------------------------

    @functools.cached_property
    def dim(self) -> int:
        """Dimension d of the base space; 0 for a point."""
        return 0 if self._action is None else self._action.size

    @property
    def action(self) -> Representation:
        """``A(g)`` on coordinates (x, y, ...), as a representation.

        Raises:
            ValueError: If the space is a point.
        """
        if self._action is None:
            raise ValueError(f"action: {self!r} is a point; nothing moves there")
        return self._action

    @property
    def vector(self) -> Representation:
        """The fields whose components are (v_x, v_y, ...): the action itself.

        Isomorphic to ``irrep(1)`` of rotations and ``irrep(1, 1)`` with mirrors, but for a mirror
        axis that is not the x axis **not equal** to it: the components of ``irrep(1, 1)`` run
        along and across the mirror axis.
        """
        return self.action

    @functools.cached_property
    def _content(self) -> tuple[Any, ...]:
        """The matrices count, not the basis in which the action is written."""
        return (self.group, None if self._action is None else _moves(self._action))

    def __repr__(self) -> str:
        label = f" ({self._label})" if self._label else ""
        return f"{self.group.name} on {self.domain}{label}"

    @property
    def domain(self) -> str:
        """``"a point"``, ``"R1"``, ``"R2"``, ..."""
        return f"R{self.dim}" if self.dim else "a point"

    # ---- the action --------------------------------------------------------------------------

    def matrices(self, coordinates: np.ndarray) -> Float[np.ndarray, "N d d"]:
        """``A(g)`` for group elements given by coordinates ``(N, p)``."""
        if self._action is None:
            return np.zeros((len(coordinates), 0, 0))
        return self._action.evaluate(coordinates)

    @functools.cached_property
    def element_matrices(self) -> Float[np.ndarray, "N d d"]:
        """``A(g)`` of all elements of a finite group, of the testing elements of another."""
        order = self.group.order
        every = None if order is None else np.arange(order)[:, None]
        return self.matrices(self.group.testing_coordinates if every is None else every)

    def matrix(self, g: GroupElement) -> Float[np.ndarray, "d d"]:
        """``A(g)`` for one element.

        Raises:
            ValueError: If ``g`` belongs to another group.
        """
        if self._action is None:
            self.group.element(g)
            return np.zeros((0, 0))
        return self._action(g)

    def grid_action(self, g: GroupElement) -> SignedPermutation | None:
        """How ``g`` moves the cells of a grid, or None if it needs resampling."""
        return SignedPermutation.of(self.matrix(g))

    @functools.cached_property
    def exact_elements(self) -> tuple[GroupElement, ...]:
        """The testing elements that map the grid to itself: signed permutation matrices."""
        coordinates = self.group.testing_coordinates
        kept = [SignedPermutation.of(m) is not None for m in self.matrices(coordinates)]
        return self.group.elements_at(coordinates[np.array(kept)])

    @functools.cached_property
    def preserves_grid(self) -> bool:
        """Whether the whole group maps the grid to itself."""
        return self._action is None or self._action.is_signed_permutation

    @functools.cached_property
    def moves_points(self) -> bool:
        """Whether some element moves some point other than the origin."""
        return self._action is not None and not self._action.is_trivial

    @property
    def testing_elements(self) -> tuple[GroupElement, ...]:
        """Those of the group."""
        return self.group.testing_elements

    # ---- representations of the group --------------------------------------------------------

    @property
    def trivial(self) -> Representation:
        """Scalars: the trivial representation of the group."""
        return self.group.trivial

    @property
    def regular(self) -> Representation:
        """The regular representation of a finite group."""
        return self.group.regular

    def irrep(self, *irrep_id: object) -> Representation:
        """The irrep with an id, as ``group.irrep``."""
        return self.group.irrep(*irrep_id)

    def quotient(self, subgroup: object) -> Representation:
        """The group permuting the cosets of a subgroup, as ``group.quotient``."""
        return self.group.quotient(subgroup)

    def induced(self, subgroup: object, rep: Representation) -> Representation:
        """The representation induced from one of a subgroup, as ``group.induced``."""
        return self.group.induced(subgroup, rep)

    def restrict(self, subgroup: object) -> GSpace:
        """The same space with fewer symmetries.

        Args:
            subgroup: A `Subgroup`, or whatever ``group.subgroup`` takes.

        Returns:
            The space of ``subgroup.group`` with the restricted action.
        """
        inner = self.group.subgroup(subgroup)
        action = None if self._action is None else self._action.restrict(inner)
        return GSpace(inner.group, action, self._label and "restricted")


jax.tree_util.register_static(GSpace)


@functools.lru_cache(maxsize=1024)
def _moves(action: Representation) -> str:
    """What an action does, at elements that generate the group."""
    matrices = action.evaluate(action.group.generator_coordinates)
    return rounded_digest(matrices, resolution=_SAME_ACTION)
