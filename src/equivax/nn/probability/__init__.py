"""Distributions that know the symmetry, and dropout."""

from ._distribution import EquivariantMultivariateNormal as EquivariantMultivariateNormal
from ._dropout import FieldDropout as FieldDropout
from ._dropout import PointwiseDropout as PointwiseDropout
from ._gaussian import MultivariateNormal as MultivariateNormal
