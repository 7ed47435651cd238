"""`FieldType`: what the channels of an array mean."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

import jax
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from .._arguments import arrays, function, integer, integers, is_integer, refuse, several
from .._values import AbstractValue
from ..groups import Group, GroupElement, IrrepId, told_apart
from ..representations import Representation, as_representation, direct_sum
from ..spaces import GSpace
from ._moving import move_points, turn_fibers

if TYPE_CHECKING:
    from ._geometric_tensor import GeometricTensor


MOST_CHANNELS = 10**7
"""Where the search for a budget gives up: such a type is beyond any use."""


class FieldType(AbstractValue):
    """Fields on a space: the channels of an array, in groups that the group turns together.

    The type of arrays ``(..., C, *spatial)`` with ``C = size``: each field is a summand of
    ``representation`` and owns consecutive channels. Immutable; equality and hash are by content
    (space and representations in order), so types of modules are static and equal ones share a
    compilation.

    Attributes:
        space: What the fields live on.
        representation: The direct sum of all fields.

    Examples:
        >>> import equivax as evx
        >>> space = evx.spaces.rot_on_r2(4)
        >>> evx.FieldType(space, 2 * space.regular + space.irrep(1))
        C4 on R2: 2 x regular + irrep(1)
    """

    space: GSpace
    representation: Representation

    def __init__(self, space: GSpace, reps: Representation | Sequence[Representation]) -> None:
        """A type from a space and the representations of its fields.

        Args:
            space: The space.
            reps: Representations of ``space.group``, one or a sequence; every summand is a field
                (``rep.fused()`` makes a sum one field).

        Raises:
            ValueError: If there is no field, or a representation is of another group.
            TypeError: If something is no space or no representation.
        """
        if not isinstance(space, GSpace):
            raise TypeError(
                f"FieldType: space: expected a GSpace, got {type(space).__name__}; "
                "spaces.rot_on_r2(4) makes one"
            )
        listed = [reps] if isinstance(reps, Representation) else reps
        if isinstance(listed, (str, bytes)) or not isinstance(listed, Sequence):
            raise TypeError(
                "FieldType: reps: expected a Representation or a sequence of them, got "
                f"{type(reps).__name__}"
            )
        if not listed:
            raise ValueError("FieldType: reps: got none; a type has at least one field")
        for index, rep in enumerate(listed):
            if not isinstance(rep, Representation):
                raise TypeError(
                    f"FieldType: reps[{index}]: expected a Representation, got {type(rep).__name__}"
                )
            if rep.group is not space.group:
                one, other = told_apart(space.group, rep.group)
                raise ValueError(
                    f"FieldType: reps[{index}]: expected a representation of {one}, which acts on "
                    f"the space, got one of {other}"
                )
        representation = listed[0] if len(listed) == 1 else direct_sum(listed)
        self._fill(space=space, representation=representation)

    # ---- budgets -----------------------------------------------------------------------------

    @classmethod
    def for_channels(cls, space: GSpace, rep: Representation, channels: int) -> FieldType:
        """As many copies of ``rep`` as fit into a number of channels, at least one.

        Args:
            space: The space.
            rep: What is copied.
            channels: The budget.

        Raises:
            ValueError: If ``channels`` is not positive.
        """
        channels = integer(channels, "for_channels", "channels", 1)
        rep = as_representation(rep, "for_channels: rep")
        return cls(space, max(1, channels // rep.size) * rep)

    @classmethod
    def for_parameters(
        cls,
        space: GSpace,
        rep: Representation,
        parameters: int,
        count: Callable[[FieldType], int],
    ) -> FieldType:
        """The most copies of ``rep`` for which a network stays within a number of parameters.

        Args:
            space: The space.
            rep: What is copied.
            parameters: The budget.
            count: Parameters of the network made with a type; must not fall as the type grows.
                `jax.eval_shape` counts without allocating.

        Returns:
            The type with the most copies, at least one.

        Raises:
            ValueError: If one copy already needs more.
        """
        caller = "for_parameters"
        parameters = integer(parameters, caller, "parameters", 1)
        rep = as_representation(rep, f"{caller}: rep")
        function(count, caller, "count", "a count of the parameters of a network of a type")

        def counted(copies: int) -> int:
            found = count(cls(space, copies * rep))
            return integer(found, caller, "count: what it returns", 0)

        low, needed = 1, counted(1)
        if needed > parameters:
            raise ValueError(
                f"parameters: expected at least {needed}, which one copy of {rep.name} needs, got "
                f"{parameters}"
            )
        high = 2
        while counted(high) <= parameters:
            low, high = high, 2 * high
            if high * rep.size > MOST_CHANNELS:
                raise ValueError(
                    f"{caller}: parameters: expected fewer than {parameters}, since {high} copies "
                    f"of {rep.name} do not use them up"
                )
        while high - low > 1:
            middle = (low + high) // 2
            if counted(middle) <= parameters:
                low = middle
            else:
                high = middle
        return cls(space, low * rep)

    # ---- value -------------------------------------------------------------------------------

    @property
    def group(self) -> Group:
        """The group that acts."""
        return self.space.group

    @functools.cached_property
    def size(self) -> int:
        """Number of channels."""
        return self.representation.size

    @functools.cached_property
    def reps(self) -> tuple[Representation, ...]:
        """The representation of each field, in order."""
        return self.representation.summands

    @property
    def irreps(self) -> tuple[IrrepId, ...]:
        """Irrep ids of all fields, in the order of the columns of the change of basis."""
        return self.representation.irreps

    @property
    def change_of_basis(self) -> tuple[tuple[np.ndarray, int], ...]:
        """Orthogonal blocks along the diagonal, as runs ``(matrix, number of copies)``."""
        return tuple((s.change_of_basis, n) for s, n in self.representation.data)

    def dense_change_of_basis(self) -> Float[np.ndarray, "size size"]:
        """The block-diagonal orthogonal matrix of `change_of_basis`, assembled."""
        return self.representation.change_of_basis

    @functools.cached_property
    def _bounds(self) -> np.ndarray:
        sizes = [s.size for s, n in self.representation.data for _ in range(n)]
        return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    @functools.cached_property
    def fields_start(self) -> tuple[int, ...]:
        """First channel of each field."""
        return tuple(self._bounds[:-1].tolist())

    @functools.cached_property
    def fields_end(self) -> tuple[int, ...]:
        """One past the last channel of each field."""
        return tuple(self._bounds[1:].tolist())

    @property
    def names(self) -> tuple[str, ...]:
        """Label of each field."""
        return tuple(rep.name for rep in self.reps)

    @property
    def testing_elements(self) -> tuple[GroupElement, ...]:
        """Those of the group."""
        return self.group.testing_elements

    @property
    def uniform(self) -> bool:
        """Whether all fields are equal."""
        return len(self.representation.data) == 1

    def __repr__(self) -> str:
        return f"{self.space!r}: {self.representation.name}"

    # ---- as a sequence of fields ------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def __iter__(self) -> Iterator[Representation]:
        return iter(self.reps)

    def __add__(self, other: FieldType) -> FieldType:
        """The fields of both, in order."""
        if not isinstance(other, FieldType):
            return NotImplemented
        if self.space != other.space:
            raise ValueError(
                f"FieldType: expected two types on one space, got {self.space!r} and "
                f"{other.space!r}"
            )
        return FieldType(self.space, self.representation + other.representation)

    def __mul__(self, count: int) -> FieldType:
        """``count`` copies of the whole list of fields."""
        if not is_integer(count):
            return NotImplemented
        return FieldType(self.space, self.representation * int(count))

    __rmul__ = __mul__

    def sorted(self, key: Callable[[Representation], Any] | None = None) -> FieldType:
        """The fields in a stable order: by size, or by ``key`` of a field's representation."""
        by = (lambda rep: rep.size) if key is None else function(key, "sorted", "key", "len")
        try:
            order = sorted(range(len(self)), key=lambda i: by(self.reps[i]))
        except TypeError as error:
            raise TypeError(f"sorted: key: expected values that compare, {error}") from None
        return self.index_select(order)

    def index_select(self, indices: Sequence[SupportsIndex]) -> FieldType:
        """The type of chosen fields.

        Args:
            indices: Positions of fields; repeats and negative ones are allowed.

        Raises:
            IndexError: If a position is out of range.
            ValueError: If none is chosen.
        """
        chosen = self._positions(indices)
        if not chosen:
            raise ValueError("indices: got none; no field is left")
        return FieldType(self.space, [self.reps[i] for i in chosen])

    def _positions(self, indices: object) -> list[int]:
        """Positions of fields, checked.

        Raises:
            IndexError: If one is out of range.
            TypeError: If they are no integers.
        """
        listed = several(indices, "FieldType", "indices", "a list of positions of fields", 0)
        chosen = list(integers(listed, "FieldType", "indices")) if listed else []
        for i in chosen:
            if not -len(self) <= i < len(self):
                raise IndexError(
                    f"indices: expected positions of {len(self)} fields, -{len(self)} to "
                    f"{len(self) - 1}, got {i}"
                )
        return chosen

    def channels_of(self, indices: Sequence[int]) -> np.ndarray:
        """Channels of chosen fields, field after field (indices as in `index_select`)."""
        bounds, count = self._bounds, len(self)
        chosen = self._positions(indices)
        pieces = [np.arange(bounds[i % count], bounds[i % count + 1]) for i in chosen]
        return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int64)

    def group_by_labels(self, labels: Sequence[Hashable]) -> dict[Hashable, FieldType]:
        """One type per label, labels in the order of first appearance.

        Args:
            labels: One per field.

        Raises:
            ValueError: If their number is not that of the fields.
        """
        labels = tuple(labels) if isinstance(labels, str) else labels
        labels = several(labels, "group_by_labels", "labels", "one label per field", 0)
        if len(labels) != len(self):
            raise ValueError(f"labels: expected {len(self)}, one per field, got {len(labels)}")
        found: dict[Hashable, list[int]] = {}
        for index, label in enumerate(labels):
            if not isinstance(label, Hashable):
                refuse(TypeError, "group_by_labels", "labels", "labels that hash", label)
            found.setdefault(label, []).append(index)
        return {label: self.index_select(indices) for label, indices in found.items()}

    def restrict(self, subgroup: object) -> FieldType:
        """The same fields under fewer symmetries.

        Args:
            subgroup: A `Subgroup`, or whatever ``group.subgroup`` takes.
        """
        inner = self.group.subgroup(subgroup)
        return FieldType(self.space.restrict(inner), self.representation.restrict(inner))

    # ---- arrays ------------------------------------------------------------------------------

    def check(self, array: ArrayLike | jax.ShapeDtypeStruct) -> None:
        """Refuses an array whose channel axis ``-1 - d`` is not ``size`` long.

        Raises:
            ValueError: Naming the shape it takes.
        """
        axis = -1 - self.space.dim
        shape = getattr(array, "shape", None)
        if shape is None:
            shape = arrays.array(array, "FieldType", "array").shape
        if len(shape) < -axis or shape[axis] != self.size:
            expected = ", ".join(["...", str(self.size), *["_"] * self.space.dim])
            raise ValueError(f"array: expected ({expected}) for {self!r}, got {shape}")

    def __call__(self, array: ArrayLike) -> GeometricTensor:
        """The array as a `GeometricTensor` of this type."""
        from ._geometric_tensor import GeometricTensor

        return GeometricTensor(arrays.array(array, "FieldType", "array"), self)

    def transform(
        self, array: Float[Any, "..."], g: GroupElement, order: int = 1
    ) -> Float[Array, "..."]:
        """``(g f)(x) = rho(g) f(A(g)^-1 x)``.

        Exact where ``A(g)`` maps the grid to itself (height and width swap for a quarter turn);
        else interpolated, with zeros outside.

        Args:
            array: ``(..., C, *spatial)``.
            g: An element of the group.
            order: Of the interpolation: 0 nearest, 1 linear, 3 cubic.

        Returns:
            An array of the same dtype.

        Raises:
            ValueError: If the shape, the element or the order does not fit.
        """
        return move_points(self.space, self.transform_fibers(array, g), g, order)

    def transform_fibers(self, array: Float[Any, "..."], g: GroupElement) -> Float[Array, "..."]:
        """``rho(g) f(x)``: channels turn, points stay.

        Args:
            array: ``(..., C, *spatial)``.
            g: An element of the group.

        Raises:
            ValueError: If the shape or the element does not fit.
        """
        array = arrays.array(array, "FieldType", "array")
        self.check(array)
        return turn_fibers(self.representation, array, g, -1 - self.space.dim)


jax.tree_util.register_static(FieldType)
