"""The engine: bases of Hom_G(rho_in, rho_out), solved on the host, applied in JAX."""

from ._basis import MODES as MODES
from ._basis import HomBasis as HomBasis
from ._basis import hom_basis as hom_basis
from ._block import Block as Block
from ._coordinates import from_blocks as from_blocks
from ._coordinates import from_irreps as from_irreps
from ._coordinates import gather_copies as gather_copies
from ._coordinates import irrep_names as irrep_names
from ._coordinates import scatter_copies as scatter_copies
from ._coordinates import to_blocks as to_blocks
from ._coordinates import to_irreps as to_irreps
from ._dtypes import at_least_float32 as at_least_float32
from ._dtypes import is_concrete as is_concrete
from ._dtypes import widened as widened
from ._initializers import SCHEMES as SCHEMES
from ._initializers import Scheme as Scheme
from ._initializers import check_scheme as check_scheme
from ._initializers import standard_normal as standard_normal
from ._invariants import invariant_vector as invariant_vector
from ._invariants import trivial_count as trivial_count
from ._layout import MULTIPLICATION as MULTIPLICATION
from ._static import register_static_values as register_static_values
from ._synthesis import HIGHEST as HIGHEST
from ._warnings import UnusedIrrepsWarning as UnusedIrrepsWarning
