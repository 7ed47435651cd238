"""`GSpace`: a group with an orthogonal action on R^d."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from ..groups import Group, GroupElement
from ..representations import Representation
from ._grid import SignedPermutation

_SAME_ACTION = 1e-9
"""Difference of matrices below which two actions are one: far above rounding, far below a pixel."""


class GSpace:
    """R^d with a group that acts on it by orthogonal matrices ``A(g)``.

    Translations belong to every space and are not part of ``group``. Immutable; two spaces are
    equal if the groups and the matrices of the actions are, so the axis of a mirror counts.

    Examples:
        >>> import equivax as evx
        >>> space = evx.spaces.rot_on_r2(8)
        >>> space.dim, space.group.order
        (2, 8)
    """

    __slots__ = ("__dict__", "_action", "_group", "_label")

    _group: Group
    _action: Representation | None
    _label: str

    def __init__(self, group: Group, action: Representation | None = None, label: str = "") -> None:
        """A space from a group and its action.

        Args:
            group: The group.
            action: An orthogonal representation of size d, used as ``A(g)`` on coordinates
                (x, y, ...); None for a single point (d = 0).
            label: What `repr` appends, such as the axis of a mirror; no part of equality.

        Raises:
            ValueError: If the action is of another group, is not orthogonal or d > 3.
            TypeError: If ``group`` is no group or ``action`` no representation.
        """
        if not isinstance(group, Group):
            raise TypeError(f"GSpace: group: expected a group, got {type(group).__name__}")
        if action is not None:
            if not isinstance(action, Representation):
                raise TypeError(
                    f"GSpace: action: expected a Representation or None, got "
                    f"{type(action).__name__}"
                )
            if action.group is not group:
                raise ValueError(
                    f"GSpace: action: expected a representation of {group.name}, got one of "
                    f"{action.group.name}"
                )
            if action.orthogonalizer is not None:
                raise ValueError(
                    "GSpace: action: expected orthogonal matrices, got a representation that had "
                    "to be made orthogonal; pixels can only be turned and mirrored"
                )
            if action.size > 3:
                raise ValueError(f"GSpace: action: expected size 1, 2 or 3, got {action.size}")
        object.__setattr__(self, "_group", group)
        object.__setattr__(self, "_action", action)
        object.__setattr__(self, "_label", label)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"GSpace is immutable: cannot set {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return (GSpace, (self._group, self._action, self._label))

    def __copy__(self) -> GSpace:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> GSpace:
        return self

    # ---- value -------------------------------------------------------------------------------

    @property
    def group(self) -> Group:
        """The group that acts."""
        return self._group

    @property
    def dim(self) -> int:
        """Dimension d of the base space: 0, 1, 2 or 3."""
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
    def _matrices(self) -> Float[np.ndarray, "N d d"]:
        return self.matrices(self._group.testing_coordinates)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, GSpace):
            return NotImplemented
        if self._group is not other._group or self.dim != other.dim:
            return False
        if self._action == other._action:
            return True
        return bool(np.abs(self._matrices - other._matrices).max(initial=0.0) < _SAME_ACTION)

    def __hash__(self) -> int:
        return hash((self._group, self.dim))

    def __repr__(self) -> str:
        label = f" ({self._label})" if self._label else ""
        return f"{self._group.name} on {self.domain}{label}"

    @property
    def domain(self) -> str:
        """``"a point"``, ``"R1"``, ``"R2"`` or ``"R3"``."""
        return f"R{self.dim}" if self.dim else "a point"

    # ---- the action --------------------------------------------------------------------------

    def matrices(self, coordinates: np.ndarray) -> Float[np.ndarray, "N d d"]:
        """``A(g)`` for group elements given by coordinates ``(N, p)``."""
        if self._action is None:
            return np.zeros((len(coordinates), 0, 0))
        return self._action.evaluate(coordinates)

    def matrix(self, g: GroupElement) -> Float[np.ndarray, "d d"]:
        """``A(g)`` for one element.

        Raises:
            ValueError: If ``g`` belongs to another group.
        """
        if self._action is None:
            self._group.element(g)
            return np.zeros((0, 0))
        return self._action(g)

    def grid_action(self, g: GroupElement) -> SignedPermutation | None:
        """How ``g`` moves the cells of a grid, or None if it needs resampling."""
        return SignedPermutation.of(self.matrix(g))

    @functools.cached_property
    def exact_elements(self) -> tuple[GroupElement, ...]:
        """The testing elements that map the grid to itself: signed permutation matrices."""
        kept = [SignedPermutation.of(matrix) is not None for matrix in self._matrices]
        return self._group.elements_at(self._group.testing_coordinates[np.array(kept)])

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
        return self._group.testing_elements

    # ---- representations of the group --------------------------------------------------------

    @property
    def trivial(self) -> Representation:
        """Scalars: the trivial representation of the group."""
        return self._group.trivial

    @property
    def regular(self) -> Representation:
        """The regular representation of a finite group."""
        return self._group.regular

    def irrep(self, *irrep_id: Any) -> Representation:
        """The irrep with an id, as ``group.irrep``."""
        return self._group.irrep(*irrep_id)

    def quotient(self, subgroup: Any) -> Representation:
        """The group permuting the cosets of a subgroup, as ``group.quotient``."""
        return self._group.quotient(subgroup)

    def induced(self, subgroup: Any, rep: Representation) -> Representation:
        """The representation induced from one of a subgroup, as ``group.induced``."""
        return self._group.induced(subgroup, rep)

    def restrict(self, subgroup: Any) -> GSpace:
        """The same space with fewer symmetries.

        Args:
            subgroup: A `Subgroup`, or whatever ``group.subgroup`` takes.

        Returns:
            The space of ``subgroup.group`` with the restricted action.
        """
        inner = self._group.subgroup(subgroup)
        action = None if self._action is None else self._action.restrict(inner)
        return GSpace(inner.group, action, self._label and "restricted")


jax.tree_util.register_static(GSpace)
