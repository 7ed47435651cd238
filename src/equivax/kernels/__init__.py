"""Kernels that commute with a group: harmonic and grid bases, expanded in JAX."""

from ._basis import SteerableBasis as SteerableBasis
from ._basis import steerable_basis as steerable_basis
