"""`Block`: what both sides of a Hom space know of one shared irrep."""

import dataclasses

from ..groups import IrrepId


@dataclasses.dataclass(frozen=True)
class Block:
    """What both sides know of one shared irrep.

    Attributes:
        id: The irrep's id.
        name: Its name, the key of its coefficients.
        type: ``"real"``, ``"complex"`` or ``"quaternionic"``.
        size: ``d``.
        endomorphism_dimension: ``S``, 1, 2 or 4.
        out_multiplicity: ``m_out``.
        in_multiplicity: ``m_in``.
    """

    id: IrrepId
    name: str
    type: str
    size: int
    endomorphism_dimension: int
    out_multiplicity: int
    in_multiplicity: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the coefficients, ``(m_out, m_in, S)``."""
        return (self.out_multiplicity, self.in_multiplicity, self.endomorphism_dimension)
