"""The named tolerances of the host-side mathematics, each with its reason.

Everything below `hom` runs in float64, so rounding is about 1e-16 per operation.
A tolerance here always separates two clearly different scales: rounding that has
accumulated (1e-15 to 1e-12), and structure (numbers of order one).
"""

from typing import Final

PIVOT_FRACTION: Final = 0.317
"""Share of the largest residual norm that a column needs to become a pivot. The number
is deliberately no square root of a small fraction: structural ties (1/2, 1/sqrt(2), ...)
then never sit on the threshold, where rounding would decide which column is taken."""

RANK_GAP: Final = 1e-6
"""Residual norms below this are zero, above it they are real. Projectors come with
rounding of 1e-14 and their residual norms are at least 1/sqrt(size), so the gap is wide."""

INTEGER_SLACK: Final = 1e-6
"""How far a number that counts something (a trace, a squared character norm) may be from
an integer. Rounding gives 1e-12; input that is no representation gives order 1e-2 or more."""

SAME_MATRIX: Final = 1e-6
"""Two matrices of a finite group whose entries differ by less (relative to the largest
entry) are one element. Distinct elements of a group of order n <= 5000 differ by at least
2 sin(pi / n) > 1e-3; matrices given in float32 differ from the truth by 1e-7."""

ORTHOGONAL: Final = 1e-9
"""Mean metric within this of the identity: the matrices count as orthogonal as given."""

CLEAN: Final = 1e-14
"""Entries below this are rounding of an exact zero in a matrix whose entries are O(1)."""

RELATIVE_EIGENGAP: Final = 0.2
"""Smallest gap wanted between n generic eigenvalues: this share of (mean spacing) / n, which
is what n random numbers have. The eigenvectors are then known to 1e-15 n^2, and polished."""

COMMUTES: Final = 1e-9
"""Largest entry allowed in a commutator that must vanish."""
