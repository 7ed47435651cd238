"""Kernels that commute with a group: harmonic and grid bases, expanded in JAX."""

from ._basis import SteerableBasis as SteerableBasis
from ._factory import steerable_basis as steerable_basis
from ._parts import GridRecipe as GridRecipe
from ._parts import HarmonicRecipe as HarmonicRecipe
from ._parts import Part as Part
from ._parts import Recipe as Recipe
from ._policy import CUTOFFS as CUTOFFS
from ._type_basis import TypeBasis as TypeBasis
from ._type_elements import Pair as Pair
