"""Linear algebra with symmetry: projectors, norms of irrep copies."""

from ._norms import irrep_norms as irrep_norms
from ._projections import invariant_projector as invariant_projector
from ._projections import isotypic_projector as isotypic_projector
