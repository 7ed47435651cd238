"""Linear maps and what belongs to them: biases, affine maps, constraints, tensor products."""

from ._affine import Affine as Affine
from ._constraints import CommutingConstraint as CommutingConstraint
from ._constraints import InvariantConstraint as InvariantConstraint
from ._constraints import impose_equivariance as impose_equivariance
from ._invariant_bias import InvariantBias as InvariantBias
from ._linear import Linear as Linear
from ._linear import UnusedIrrepsWarning as UnusedIrrepsWarning
from ._tensor_product import TensorProduct as TensorProduct
