"""Nonlinearities that commute with the group."""

from .._core._admission import check_pointwise as check_pointwise
from ._concatenated import ConcatenatedNonlinearity as ConcatenatedNonlinearity
from ._fourier import FourierNonlinearity as FourierNonlinearity
from ._fourier_grid import FourierGrid as FourierGrid
from ._gated import GatedNonlinearity as GatedNonlinearity
from ._induced_gated import InducedGatedNonlinearity as InducedGatedNonlinearity
from ._norm import InducedNormNonlinearity as InducedNormNonlinearity
from ._norm import NormNonlinearity as NormNonlinearity
from ._norm import squash as squash
from ._pointwise import ELU as ELU
from ._pointwise import LeakyReLU as LeakyReLU
from ._pointwise import PointwiseNonlinearity as PointwiseNonlinearity
from ._pointwise import ReLU as ReLU
from ._vector_field import VectorFieldNonlinearity as VectorFieldNonlinearity
from ._vector_neuron import VectorNeuron as VectorNeuron
