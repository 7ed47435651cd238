"""How groups act: representations, sums, products, restriction, induction, decomposition."""

from ._band_limited import band_limited as band_limited
from ._band_limited import point_vectors as point_vectors
from ._band_limited import sampled_functions as sampled_functions
from ._builders import defining as defining
from ._builders import induced as induced
from ._builders import irrep as irrep
from ._builders import quotient as quotient
from ._builders import regular as regular
from ._builders import standard as standard
from ._builders import trivial as trivial
from ._coerce import as_representation as as_representation
from ._coerce import check_same_group as check_same_group
from ._coerce import irrep_id as irrep_id
from ._decomposition import decompose as decompose
from ._permutations import InducedStructure as InducedStructure
from ._permutations import axis_images as axis_images
from ._permutations import doubled as doubled
from ._permutations import induced_structure as induced_structure
from ._representation import Representation as Representation
from ._summand import Summand as Summand
from ._sums import direct_sum as direct_sum
from ._sums import tensor_product as tensor_product
from ._symmetric_square import symmetric_pairs as symmetric_pairs
from ._symmetric_square import symmetric_square as symmetric_square
