"""Linear algebra with symmetry: least squares, projectors, norms of irrep copies."""

from ._least_squares import lstsq as lstsq
from ._least_squares import orbit_average as orbit_average
from ._least_squares import project as project
from ._norms import irrep_norms as irrep_norms
from ._projections import invariant_projector as invariant_projector
from ._projections import isotypic_projector as isotypic_projector
