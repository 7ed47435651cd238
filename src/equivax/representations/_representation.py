"""`Representation`: how a group acts, as an immutable value.

``rho(g) = Q (psi_1(g) + ... + psi_r(g)) Q^T`` with ``Q`` orthogonal, kept as runs of equal
summands, so that 128 copies of a regular representation of order 8 store one 8 x 8 matrix.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from jaxtyping import Float

from .._arguments import is_integer, real_array, text
from .._numerics import freeze
from .._values import AbstractValue
from ..groups import Group, GroupElement, Irrep, IrrepId, Subgroup, told_apart
from ._determinant import determinant_summand, pseudo_summand
from ._from_matrices import summand_from_generators, summand_from_matrices
from ._operations import block_diagonal, is_permutation, restricted_summand, tensor_summand
from ._summand import Summand

MOST_CHANNELS = 10**8
"""Largest size of a representation made by copies: no array with such an axis fits."""


class Representation(AbstractValue):
    """An orthogonal representation of a group, as a direct sum of summands.

    Made by `Group.irrep`, `Group.regular`, `Group.quotient`, `from_matrices` and the operators
    ``+`` (direct sum), ``n *`` (copies) and ``@`` (tensor product). Immutable; equality and hash
    are by content (group, irreps, exact change of basis of every summand), never by name.

    Attributes:
        group: The group that acts.
        data: Runs of equal summands as plain data, for code that builds on representations.
        part_sizes: Names and sizes of the parts of a sum that was made with names.

    Examples:
        >>> import equivax as evx
        >>> G = evx.groups.cyclic(4)
        >>> rep = 2 * G.regular + G.irrep(1)
        >>> rep.size, len(rep.summands)
        (10, 3)
    """

    group: Group
    data: tuple[tuple[Summand, int], ...]
    part_sizes: tuple[tuple[str, int], ...] = dataclasses.field(compare=False, default=())

    def __init__(
        self,
        group: Group,
        runs: Iterable[tuple[Summand, int]],
        part_sizes: Iterable[tuple[str, int]] = (),
    ) -> None:
        """Builds a representation from runs of equal summands.

        Args:
            group: The group that acts.
            runs: Pairs ``(summand, number of copies)``; neighbours that are equal are merged.
            part_sizes: Names and sizes of the parts that `parts` lists, labels as a name is.

        Raises:
            ValueError: If there is no summand, a count is not positive or a group differs.
        """
        merged: list[tuple[Summand, int]] = []
        for summand, count in runs:
            if summand.group is not group:
                one, other = told_apart(summand.group, group)
                raise ValueError(
                    f"Representation: a summand is acted on by {one}, but the sum by {other}; all "
                    "summands need one group"
                )
            if merged and merged[-1][0] == summand:
                merged[-1] = (merged[-1][0], merged[-1][1] + count)
            elif count > 0:
                merged.append((summand, count))
        if not merged:
            raise ValueError("Representation: got no summand; a representation has at least one")
        self._fill(group=group, data=tuple(merged), part_sizes=tuple(part_sizes))

    # ---- value -------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """One line such as ``2 x regular + irrep(1)``; a label without influence on equality."""
        return " + ".join(s.name if n == 1 else f"{n} x {s.name}" for s, n in self.data)

    def __repr__(self) -> str:
        return f"{self.group.name}: {self.name}"

    @functools.cached_property
    def size(self) -> int:
        """Dimension of the space acted on."""
        return sum(summand.size * count for summand, count in self.data)

    @functools.cached_property
    def irreps(self) -> tuple[IrrepId, ...]:
        """Irrep ids in the order of the columns of `change_of_basis`."""
        return tuple(i for summand, count in self.data for i in summand.irreps * count)

    @functools.cached_property
    def multiplicities(self) -> dict[IrrepId, int]:
        """How often each irrep occurs: id to count, in the group's order."""
        counts: dict[IrrepId, int] = {}
        for summand, count in self.data:
            for irrep in summand.irreps:
                counts[irrep] = counts.get(irrep, 0) + count
        return dict(sorted(counts.items(), key=lambda item: self.group.irrep_sort_key(item[0])))

    @property
    def change_of_basis(self) -> Float[np.ndarray, "n n"]:
        """The orthogonal matrix ``Q``, dense and block diagonal over the summands, float64.

        Assembled at every access; the library itself works with the small blocks.
        """
        return freeze(block_diagonal([(s.change_of_basis, n) for s, n in self.data]))

    @property
    def runs(self) -> tuple[tuple[Representation, int], ...]:
        """Runs of equal summands: ``((regular, 2), (trivial, 3))``."""
        return tuple((Representation(self.group, [(s, 1)]), n) for s, n in self.data)

    @property
    def summands(self) -> tuple[Representation, ...]:
        """The summands in order, each a representation; what a field type calls fields."""
        return tuple(rep for rep, count in self.runs for _ in range(count))

    @property
    def parts(self) -> dict[str, slice]:
        """Where the named parts of a direct sum are, to slice a state: ``x[..., rep.parts["q"]]``.

        Made by `direct_sum` of a mapping; empty without names. Restriction, `isotypic`, `fused` and
        `renamed` keep the coordinates, hence the parts; sums and products of sums have none.

        Examples:
            >>> import equivax as evx
            >>> vector = evx.groups.o3().standard
            >>> state = evx.direct_sum({"velocity": vector, "spin": vector.pseudo()})
            >>> state.parts
            {'velocity': slice(0, 3, None), 'spin': slice(3, 6, None)}
        """
        ends = np.cumsum([size for _, size in self.part_sizes], dtype=int).tolist()
        starts = [0, *ends][: len(ends)]
        names = [name for name, _ in self.part_sizes]
        return {name: slice(a, b) for name, a, b in zip(names, starts, ends, strict=True)}

    # ---- matrices ----------------------------------------------------------------------------

    def __call__(self, g: GroupElement) -> Float[np.ndarray, "n n"]:
        """The matrix ``rho(g)``, NumPy float64.

        Raises:
            ValueError: If ``g`` belongs to another group.
        """
        return self.evaluate(self._coordinates(g))[0]

    def _coordinates(self, g: GroupElement) -> np.ndarray:
        if not isinstance(g, GroupElement):
            raise TypeError(
                f"g: expected an element of {self.group.name}, got {g!r}; "
                f"{self.group.name}.element(...) makes one"
            )
        if g.group is not self.group:
            one, other = told_apart(self.group, g.group)
            raise ValueError(f"g: expected an element of {one}, got one of {other}")
        return np.asarray([g.coordinates])

    def evaluate(self, coordinates: np.ndarray) -> Float[np.ndarray, "elements n n"]:
        """Matrices at group elements given by coordinates ``(N, p)``."""
        return block_diagonal([(s.evaluate(coordinates), n) for s, n in self.data])

    @property
    def matrices(self) -> Float[np.ndarray, "elements n n"]:
        """All matrices of a finite group, in the order of ``group.elements``.

        Raises:
            ValueError: If the group is infinite.
        """
        if self.group.order is None:
            raise ValueError(
                f"matrices: {self.group.name} is infinite; call the representation on elements, "
                "or use group.testing_elements"
            )
        return self.evaluate(np.arange(self.group.order)[:, None])

    def character(self, g: GroupElement) -> float:
        """The trace of ``rho(g)``."""
        coordinates = self._coordinates(g)
        return float(sum(n * s.characters(coordinates)[0] for s, n in self.data))

    def transform(self, x: np.ndarray, g: GroupElement) -> np.ndarray:
        """``rho(g) x`` on the last axis of a NumPy array ``(..., size)``, summand by summand."""
        coordinates = self._coordinates(g)
        x = real_array(x, "transform", "x")
        if x.ndim == 0 or x.shape[-1] != self.size:
            raise ValueError(f"x: expected (..., {self.size}) for {self!r}, got {x.shape}")
        pieces, start = [], 0
        for summand, count in self.data:
            stop = start + count * summand.size
            block = x[..., start:stop].reshape(*x.shape[:-1], count, summand.size)
            moved = block @ summand.evaluate(coordinates)[0].T
            pieces.append(moved.reshape(*x.shape[:-1], stop - start))
            start = stop
        return np.concatenate(pieces, axis=-1)

    # ---- facts -------------------------------------------------------------------------------

    @functools.cached_property
    def contains_trivial(self) -> bool:
        """Whether some vector is invariant under the whole group."""
        return self.group.irrep_ids(0)[0] in self.multiplicities

    @functools.cached_property
    def is_trivial(self) -> bool:
        """Whether every group element acts as the identity."""
        return set(self.multiplicities) == {self.group.irrep_ids(0)[0]}

    @functools.cached_property
    def is_permutation(self) -> bool:
        """Whether every ``rho(g)`` is a permutation matrix, so pointwise functions commute."""
        return all(is_permutation(summand, signed=False) for summand, _ in self.data)

    @functools.cached_property
    def is_signed_permutation(self) -> bool:
        """Whether every ``rho(g)`` has one entry +-1 per row: odd pointwise functions commute."""
        return all(is_permutation(summand, signed=True) for summand, _ in self.data)

    @property
    def is_irreducible(self) -> bool:
        """Whether there is exactly one irrep."""
        return len(self.data) == 1 and self.data[0][1] == 1 and len(self.data[0][0].irreps) == 1

    @property
    def endomorphism_type(self) -> str:
        """Type of an irrep: ``"real"``, ``"complex"`` or ``"quaternionic"``.

        Raises:
            ValueError: If the representation is not irreducible.
        """
        return self._irrep("endomorphism_type").endomorphism_type

    @property
    def endomorphism_basis(self) -> Float[np.ndarray, "s d d"]:
        """Basis (1, 2 or 4 matrices) of the maps that commute with an irrep.

        The first is the identity, the others are antisymmetric with square ``-I``.

        Raises:
            ValueError: If the representation is not irreducible.
        """
        basis = self._irrep("endomorphism_basis").endomorphism_basis
        q = self.data[0][0].change_of_basis
        return freeze(q @ basis @ q.T)

    def _irrep(self, what: str) -> Irrep:
        if not self.is_irreducible:
            raise ValueError(f"{what}: defined for irreps, but {self!r} is a sum")
        return self.group.irrep_data(self.data[0][0].irreps[0])

    @property
    def orthogonalizer(self) -> Float[np.ndarray, "n n"] | None:
        """``T`` with ``T rho T^-1`` orthogonal, if the user's matrices were not; else None.

        Layers act on ``T x`` for the user's vectors ``x``.
        """
        if all(summand.orthogonalizer is None for summand, _ in self.data):
            return None
        roots = [
            (np.eye(s.size) if s.orthogonalizer is None else s.orthogonalizer, n)
            for s, n in self.data
        ]
        return freeze(block_diagonal(roots))

    @property
    def removed_error(self) -> float:
        """How far measured matrices moved to become exact; see `from_generators`."""
        return max(summand.removed_error for summand, _ in self.data)

    @property
    def induced_from(self) -> tuple[Subgroup, Representation] | None:
        """``(H, sigma)`` if this is one summand induced from ``sigma`` of ``H``, else None."""
        if len(self.data) != 1 or self.data[0][1] != 1:
            return None
        return self.data[0][0].induced_from

    @functools.cached_property
    def determinant(self) -> Representation:
        """The one-dimensional representation ``det rho(g)``: 1 for rotations, -1 for mirrors.

        Pseudoscalars of a space turn like the determinant of its vectors.

        Examples:
            >>> import equivax as evx
            >>> vector = evx.groups.o3().standard
            >>> vector.determinant
            O(3): irrep(1,0)
        """
        return Representation(self.group, [(determinant_summand(self.group, self.data), 1)])

    def pseudo(self) -> Representation:
        """``det rho(g) rho(g)``, summand by summand: axial vectors, where this one is of vectors.

        Angular velocities, torques and magnetic fields are axial: a mirror turns them like a
        rotation by 180 degrees about its normal. The same as ``rep @ rep.determinant`` for one
        summand, and what is meant by axial for a vector of space that is a sum, such as
        ``D4.standard + D4.trivial``.
        """
        return Representation(self.group, [(pseudo_summand(s), n) for s, n in self.data])

    # ---- operations --------------------------------------------------------------------------

    def __add__(self, other: Representation) -> Representation:
        """Direct sum; the summands of both are kept in order."""
        if not isinstance(other, Representation):
            return NotImplemented
        return Representation(self.group, [*self.data, *other.data])

    def __mul__(self, count: int) -> Representation:
        """``count`` copies."""
        if not is_integer(count):
            return NotImplemented
        if count < 1:
            raise ValueError(
                f"count: expected a positive number of copies, got {count}; where counts are "
                "computed, direct_sum([n * rep for rep, n in counts if n]) leaves out what is "
                "empty"
            )
        if count * self.size > MOST_CHANNELS:
            raise ValueError(
                f"count: expected at most {MOST_CHANNELS} channels, got {count} copies"
            )
        if len(self.data) == 1:
            summand, copies = self.data[0]
            return Representation(self.group, [(summand, copies * int(count))])
        return Representation(self.group, self.data * int(count))

    __rmul__ = __mul__

    def __matmul__(self, other: Representation) -> Representation:
        """Tensor product ``rho_a (x) rho_b`` (Kronecker product, first index slow).

        One summand per summand of ``self`` if ``other`` has one summand, else a single one.
        """
        if not isinstance(other, Representation):
            return NotImplemented
        if self.group is not other.group:
            first, second = told_apart(self.group, other.group)
            raise ValueError(
                f"tensor product: the first factor is acted on by {first}, the second by {second}; "
                "restrict them to a common group"
            )
        if sum(count for _, count in other.data) > 1:
            first, second = self.fused(), other.fused()
        else:
            first, second = self, other
        right = second.data[0][0]
        return Representation(self.group, [(tensor_summand(s, right), n) for s, n in first.data])

    def restrict(self, subgroup: object) -> Representation:
        """The same matrices for fewer elements: the representation of a subgroup.

        Args:
            subgroup: A `Subgroup`, or whatever ``group.subgroup`` takes.

        Returns:
            A representation of ``subgroup.group`` with the same summands.
        """
        inner = self.group.subgroup(subgroup)
        if inner.parent is not self.group:
            one, other = told_apart(self.group, inner.parent)
            raise ValueError(f"subgroup: expected a subgroup of {one}, got one of {other}")
        runs = [(restricted_summand(summand, inner), count) for summand, count in self.data]
        return Representation(inner.group, runs, self.part_sizes)

    @functools.cached_property
    def isotypic_blocks(self) -> tuple[tuple[IrrepId, int, np.ndarray], ...]:
        """Per irrep ``(id, multiplicity, columns of Q)``, columns ``(multiplicity, size)``."""
        start, ends = 0, []
        for irrep in self.irreps:
            start += self.group.irrep_data(irrep).size
            ends.append(start)
        found: dict[IrrepId, list[np.ndarray]] = {irrep: [] for irrep in self.multiplicities}
        for irrep, end in zip(self.irreps, ends, strict=True):
            found[irrep].append(np.arange(end - self.group.irrep_data(irrep).size, end))
        return tuple((i, len(c), np.stack(c)) for i, c in found.items())

    def isotypic(self) -> Representation:
        """The same matrices with equal irreps adjacent, as one summand.

        Trivial irreps come first, then the group's order; copies keep their order. Returns
        ``self`` if nothing moves.
        """
        order = sorted(
            range(len(self.irreps)), key=lambda i: self.group.irrep_sort_key(self.irreps[i])
        )
        if order == list(range(len(self.irreps))):
            return self
        columns = np.concatenate([block.ravel() for _, _, block in self.isotypic_blocks])
        irreps = tuple(self.irreps[i] for i in order)
        name = f"isotypic({self.name})"
        basis = self.change_of_basis[:, columns]
        fused = Summand(self.group, irreps, basis, name, self.orthogonalizer)
        return Representation(self.group, [(fused, 1)], self.part_sizes)

    def fused(self, name: str | None = None) -> Representation:
        """The same matrices as one single summand (one field).

        Args:
            name: Label of the summand; by default the sum in brackets.
        """
        label = text(name, "fused", "name") if name is not None else f"({self.name})"
        if len(self.data) == 1 and self.data[0][1] == 1:
            same = self.data[0][0].renamed(name or self.data[0][0].name)
            return Representation(self.group, [(same, 1)], self.part_sizes)
        fused = Summand(self.group, self.irreps, self.change_of_basis, label, self.orthogonalizer)
        return Representation(self.group, [(fused, 1)], self.part_sizes)

    def renamed(self, name: str) -> Representation:
        """The same single summand under another label (equal to the original)."""
        return self.fused(text(name, "renamed", "name"))

    def __iter__(self) -> Iterator[Representation]:
        return iter(self.summands)

    # ---- from the user's matrices ------------------------------------------------------------

    @classmethod
    def from_matrices(
        cls,
        group: Group,
        matrices: Float[np.ndarray, "elements n n"] | Callable[[GroupElement], np.ndarray],
        name: str = "custom",
    ) -> Representation:
        """Decomposes a representation given by its matrices.

        Matrices that are not orthogonal are made so by ``T rho T^-1`` with ``T`` the root of the
        mean metric; ``T`` is kept as `orthogonalizer` and a warning says so.

        Args:
            group: The group.
            matrices: One ``(n, n)`` matrix per element of ``group.elements``, or a callable
                that takes a `GroupElement` (needed for Lie groups).
            name: Label.

        Returns:
            The representation as one summand, with canonical change of basis.

        Raises:
            ValueError: If the matrices have the wrong shape, are not finite, not invertible or
                not a representation; the worst pair of elements is named.
        """
        return cls(group, [(summand_from_matrices(group, matrices, name), 1)])

    @classmethod
    def from_generators(
        cls,
        group: Group,
        matrices: object,
        name: str = "custom",
        *,
        tolerance: float | int | None = None,
    ) -> Representation:
        """Decomposes a representation given on ``group.generators`` (finite groups).

        Args:
            group: A finite group.
            matrices: One per generator: an ``(n, n)`` matrix, a permutation ``p`` (integers,
                coordinate ``j`` goes to ``p[j]``), or a pair ``(p, signs)``.
            name: Label.
            tolerance: For matrices that were measured or rounded: how wrong their entries may be,
                relative to the largest one. They are moved to the exact representation next to
                them; how far is `removed_error`.

        Returns:
            The representation as one summand.

        Raises:
            ValueError: If they do not extend to a representation; the worst pair is named.
        """
        return cls(group, [(summand_from_generators(group, matrices, name, tolerance), 1)])
