"""Linear maps and what belongs to them: biases, affine maps, constraints, tensor products."""

from ._affine import Affine as Affine
from ._constraints import CommutingConstraint as CommutingConstraint
from ._constraints import InvariantConstraint as InvariantConstraint
from ._constraints import impose_equivariance as impose_equivariance
from ._invariant_bias import InvariantBias as InvariantBias
from ._invariant_bias import bias_coefficients as bias_coefficients
from ._invariant_bias import initial_bias as initial_bias
from ._invariant_bias import invariant_bias as invariant_bias
from ._linear import Linear as Linear
from ._linear import UnusedIrrepsWarning as UnusedIrrepsWarning
from ._linear import basis_side_by_side as basis_side_by_side
from ._linear import checked_basis as checked_basis
from ._linear import costs_of_map as costs_of_map
from ._linear import side_by_side as side_by_side
from ._tensor_product import TensorProduct as TensorProduct
