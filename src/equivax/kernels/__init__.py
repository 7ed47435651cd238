"""Kernels that commute with a group: harmonic, grid and differential bases, expanded in JAX."""

from ._from_options import differential_basis as differential_basis
from ._from_options import steerable_basis as steerable_basis
from ._parts import Part as Part
from ._parts import Recipe as Recipe
from ._solid_harmonics import solid_harmonics as solid_harmonics
from ._steerable_basis import SteerableBasis as SteerableBasis
from ._type_basis import TypeBasis as TypeBasis
from ._type_elements import Pair as Pair
from .recipes._default_rings import CUTOFFS as CUTOFFS
from .recipes._differential import Differential as Differential
from .recipes._differential import DifferentialRecipe as DifferentialRecipe
from .recipes._grid import Grid as Grid
from .recipes._grid import GridRecipe as GridRecipe
from .recipes._harmonic import Harmonic as Harmonic
from .recipes._harmonic import HarmonicRecipe as HarmonicRecipe
from .recipes._options import DifferentialOptions as DifferentialOptions
from .recipes._options import HarmonicOptions as HarmonicOptions
from .recipes._options import differential_options as differential_options
from .recipes._options import differential_recipe as differential_recipe
from .recipes._stencil_sizes import StencilSizes as StencilSizes
from .recipes._stencil_sizes import stencil_sizes as stencil_sizes
from .recipes._stencils import Discretization as Discretization
from .recipes._stencils import derivative_stencil as derivative_stencil
from .recipes._stencils import finite_difference_weights as finite_difference_weights
