"""Irreps of G x H: what a tensor product of two irreps splits into.

With units J of a complex and Psi_1, Psi_2 of a quaternionic irrep:

    R (x) X    one irrep of the type of X;
    C (x) C    two irreps of type C, the eigenspaces of J (x) J' for +1 and -1;
    C (x) H    two copies of one irrep of type C, an eigenspace of J (x) Psi_1';
    H (x) H    four copies of one irrep of type R, a joint eigenspace of Psi_1 (x) Psi_1'
               and Psi_2 (x) Psi_2' (two commuting symmetric involutions).
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from .._numerics import clean, freeze, pivoted_columns
from ._irrep import Irrep


@dataclasses.dataclass(frozen=True)
class TensorIrrep:
    """An irrep of a direct product inside the tensor product of two irreps.

    Attributes:
        first: Irrep of G.
        second: Irrep of H.
        part: K; 1 only for the second of the two irreps in C (x) C.
    """

    first: Irrep
    second: Irrep
    part: int

    @property
    def endomorphism_dimension(self) -> int:
        """S = 1, 2 or 4 by the table above."""
        a, b = self.first.endomorphism_dimension, self.second.endomorphism_dimension
        return {1: 1, 2: 2, 4: 2 if a == b else 4, 8: 2, 16: 1}[a * b]

    @property
    def size(self) -> int:
        """Dimension of the irrep."""
        a, b = self.first.endomorphism_dimension, self.second.endomorphism_dimension
        return self.first.size * self.second.size // min(a, b)

    def basis(self) -> Float[np.ndarray, "m d"]:
        """Orthonormal columns that span the irrep in the tensor product."""
        a, b = self.first.endomorphism_basis, self.second.endomorphism_basis
        whole = np.eye(self.first.size * self.second.size)
        if min(len(a), len(b)) == 1:
            return whole
        projector = (whole + (1 - 2 * self.part) * np.kron(a[1], b[1])) / 2
        if len(a) == len(b) == 4:
            projector = projector @ (whole + np.kron(a[2], b[2])) / 2
        return pivoted_columns(projector)

    def matrices(
        self,
        first: Float[np.ndarray, "N a a"],
        second: Float[np.ndarray, "N b b"],
        basis: Float[np.ndarray, "m d"],
    ) -> Float[np.ndarray, "N d d"]:
        """Matrices of elements whose factors have the given matrices."""
        size = first.shape[-1] * second.shape[-1]
        product = (first[:, :, None, :, None] * second[:, None, :, None, :]).reshape(-1, size, size)
        return product if basis.shape[1] == size else clean(basis.T @ product @ basis)

    def endomorphisms(self, basis: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "S d d"]:
        """Basis of the commuting matrices, from the units of the factors."""
        count = self.endomorphism_dimension
        a, b = self.first.endomorphism_basis, self.second.endomorphism_basis
        if count == 1:
            return freeze(np.eye(basis.shape[1])[None])
        if len(a) == 2 or len(b) == 1:
            units = np.stack([np.kron(unit, np.eye(self.second.size)) for unit in a])
        else:
            units = np.stack([np.kron(np.eye(self.first.size), unit) for unit in b])
        return freeze(clean(basis.T @ units[:count] @ basis))


def tensor_irreps(first: Irrep, second: Irrep) -> list[TensorIrrep]:
    """The irreps of G x H in the tensor product of an irrep of G and one of H."""
    both_complex = first.endomorphism_dimension == second.endomorphism_dimension == 2
    return [TensorIrrep(first, second, part) for part in range(2 if both_complex else 1)]
