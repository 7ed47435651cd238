"""`Signature`: which tensor types an image has, and how many fields of each."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence

import jax
import numpy as np

from .._arguments import flag, integer, refuse
from .._values import AbstractValue
from ..fields import FieldType
from ..representations import Representation, trivial
from ..spaces import GSpace, axis_matrices
from ._arguments import TensorType, as_dimension, as_type, axis_space, type_name


class Signature(AbstractValue):
    """Tensor types in order, each with its number of fields.

    A type is ``(flags, parity)``: one flag per tensor axis (True: lower), parity 0 or 1 (1: a
    pseudotensor, which also takes the sign of the determinant). ``(order, parity)`` is short for
    upper axes. Immutable and hashable; the order of the types is that of the channels.

    Examples:
        >>> import equivax as evx
        >>> signature = evx.images.Signature((((0, 0), 4), ((1, 0), 8)))
        >>> signature, signature.size(2)
        (Signature(4 k0p0 + 8 k1p0), 20)
    """

    _entries: tuple[tuple[TensorType, int], ...]

    def __init__(self, entries: object) -> None:
        """From pairs ``(type, channels)``.

        Args:
            entries: A sequence of pairs, a mapping from types to channels, or a `Signature`.

        Raises:
            ValueError: If a type occurs twice, or a type or a number of channels does not fit.
            TypeError: If it is no sequence or mapping.
        """
        if isinstance(entries, Signature):
            entries = entries._entries
        if isinstance(entries, Mapping):
            entries = tuple(entries.items())
        if isinstance(entries, (str, bytes)) or not isinstance(entries, Sequence):
            refuse(TypeError, "Signature", "entries", "pairs (type, channels)", entries)
        found: dict[TensorType, int] = {}
        for entry in entries:
            if not isinstance(entry, (tuple, list)) or len(entry) != 2:
                takes = "pairs such as ((1, 0), 8): order 1, parity 0, 8 channels"
                refuse(ValueError, "Signature", "entries", takes, entry)
            type_ = as_type(entry[0], "Signature")
            channels = integer(entry[1], "Signature", "channels", 0)
            if type_ in found:
                raise ValueError(
                    f"Signature: entries: {type_name(type_)} occurs twice; give all its channels "
                    "at once"
                )
            found[type_] = channels
        self._fill(_entries=tuple(found.items()))

    def __repr__(self) -> str:
        return "Signature(" + " + ".join(f"{n} {type_name(t)}" for t, n in self._entries) + ")"

    def __iter__(self) -> Iterator[tuple[TensorType, int]]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, type_: object) -> bool:
        return as_type(type_, "Signature") in self._table

    # ---- facts -------------------------------------------------------------------------------

    @functools.cached_property
    def _table(self) -> dict[TensorType, int]:
        return dict(self._entries)

    @property
    def types(self) -> tuple[TensorType, ...]:
        """The types in order, as ``(flags, parity)``."""
        return tuple(self._table)

    @property
    def names(self) -> tuple[str, ...]:
        """The types in order, by name: ``k1p0``, ``k2p0-lu``."""
        return tuple(map(type_name, self._table))

    def channels(self, type_: object) -> int:
        """Number of fields of a type.

        Raises:
            KeyError: If the type is not there; the message lists those that are.
        """
        return self._table[self.key(type_)]

    def key(self, type_: object) -> TensorType:
        """The type in the form of `types`.

        Raises:
            KeyError: If the type is not there.
        """
        found = as_type(type_, "Signature")
        if found not in self._table:
            raise KeyError(f"{type_name(found)} is not among {', '.join(self.names) or 'no types'}")
        return found

    def size(self, D: int) -> int:
        """Dense channels, ``sum c D^k``."""
        D = as_dimension(D, "size")
        return sum(channels * D ** len(flags) for (flags, _), channels in self._entries)

    def slices(self, D: int) -> dict[TensorType, slice]:
        """Where the dense channels of each type stand."""
        D, found, start = as_dimension(D, "slices"), {}, 0
        for type_, channels in self._entries:
            stop = start + channels * D ** len(type_[0])
            found[type_] = slice(start, stop)
            start = stop
        return found

    def scalars(self, D: int) -> Signature:
        """The dense channels labelled as scalars, which only translations respect."""
        return Signature((((0, 0), self.size(D)),))

    # ---- others like it ----------------------------------------------------------------------

    def __add__(self, other: object) -> Signature:
        """Channels of equal types are added; new types come last."""
        other = Signature(other)
        total = dict(self._entries)
        for type_, channels in other:
            total[type_] = total.get(type_, 0) + channels
        return Signature(tuple(total.items()))

    def union(self, other: object, channels: int) -> Signature:
        """All types of both in the order of first appearance, each with so many channels."""
        channels = integer(channels, "union", "channels", 0)
        types = dict.fromkeys([*self.types, *Signature(other).types])
        return Signature(tuple((type_, channels) for type_ in types))

    def scale(self, n: int) -> Signature:
        """``n`` times as many channels of every type."""
        n = integer(n, "scale", "n", 0)
        return Signature(tuple((type_, n * channels) for type_, channels in self._entries))

    def field_type(self, D: int, group: object = None, split: bool = False) -> FieldType:
        """The type of the dense channels: ``V^(tensor k) (x) det^p`` per field.

        ``V`` are the signed permutation matrices of the D array axes, so components count along
        axes; the space has coordinates (x, y, ...), see `equivax.spaces.hyperoctahedral_on`.

        Args:
            D: 1, 2 or 3.
            group: A group of signed permutations of the axes; all of them if None.
            split: Whether to list the irreps of every field in the place of its tensor: the same
                span of kernels by smaller matrices. The channels of a field are then
                ``Q^T tensor`` with ``Q`` the `change_of_basis` of the tensor representation.

        Raises:
            ValueError: If there is no channel, or the group does not fit.
        """
        D, split = as_dimension(D, "field_type"), flag(split, "field_type", "split")
        return _field_type(self, axis_space(group, D, "field_type"), split)


jax.tree_util.register_static(Signature)


@functools.lru_cache(maxsize=512)
def _field_type(signature: Signature, space: GSpace, split: bool) -> FieldType:
    if not signature.size(space.dim):
        raise ValueError(f"field_type: expected at least one channel, got {signature!r}")
    reps = []
    for (flags, parity), channels in signature:
        if channels:
            rep = tensor_representation(space, len(flags), parity)
            field = [rep.group.irrep(*i) for i in rep.irreps] if split else [rep]
            reps += field * channels
    return FieldType(space, functools.reduce(lambda a, b: a + b, reps))


@functools.lru_cache(maxsize=512)
def tensor_representation(space: GSpace, k: int, parity: int) -> Representation:
    """``V^(tensor k) (x) det^p`` as one field, components in C order.

    Args:
        space: A space of signed permutations of the axes.
        k: The order.
        parity: 0 or 1.
    """
    group = space.group
    name = f"k{k}p{parity}"
    if k == 0 and parity == 0:
        return trivial(group)
    axes = axis_matrices(space).astype(np.float64)
    if k == 0:
        determinants = np.rint(np.linalg.det(axes))
        return _represented(space, determinants[:, None, None], name)
    vector = _represented(space, axes, "V")
    rep = vector
    for _ in range(k - 1):
        rep = rep @ vector
    if parity:
        rep = rep @ tensor_representation(space, 0, 1)
    return rep.renamed(name)


def _represented(space: GSpace, matrices: np.ndarray, name: str) -> Representation:
    if space.group.order is None:
        raise ValueError(f"group: expected a finite group, got {space.group.name}")
    return Representation.from_matrices(space.group, matrices, name)
