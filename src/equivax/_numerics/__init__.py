"""Float64 NumPy linear algebra that knows nothing of groups: matrices in, matrices out."""

from ._commutant import endomorphism_basis as endomorphism_basis
from ._frozen import digest as digest
from ._frozen import freeze as freeze
from ._frozen import freeze_indices as freeze_indices
from ._frozen import rounded_digest as rounded_digest
from ._generic import generic_numbers as generic_numbers
from ._subspace import (
    clean as clean,
)
from ._subspace import (
    pivoted_basis as pivoted_basis,
)
from ._subspace import (
    pivoted_columns as pivoted_columns,
)
from ._subspace import (
    range_basis as range_basis,
)
from ._tolerances import PIVOT_FRACTION as PIVOT_FRACTION
from ._unique_rows import label_near as label_near
from ._unique_rows import label_rows as label_rows
from ._unique_rows import match_rows as match_rows
