"""Kernels that commute with a group: harmonic, grid and differential bases, expanded in JAX."""

from ._differential import DifferentialRecipe as DifferentialRecipe
from ._differential import derivative_stencil as derivative_stencil
from ._differential import differential_basis as differential_basis
from ._differential import differential_recipe as differential_recipe
from ._factory import steerable_basis as steerable_basis
from ._parts import GridRecipe as GridRecipe
from ._parts import HarmonicRecipe as HarmonicRecipe
from ._parts import Part as Part
from ._parts import Recipe as Recipe
from ._steerable_basis import SteerableBasis as SteerableBasis
from ._type_basis import TypeBasis as TypeBasis
from ._type_elements import Pair as Pair
from .recipes._policy import CUTOFFS as CUTOFFS
from .recipes._stencils import Discretization as Discretization
from .recipes._stencils import StencilSizes as StencilSizes
from .recipes._stencils import finite_difference_weights as finite_difference_weights
from .recipes._stencils import stencil_sizes as stencil_sizes
