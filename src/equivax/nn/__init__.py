"""Equinox modules that commute with a group."""

from . import init as init
from ._affine import Affine as Affine
from ._constraints import CommutingConstraint as CommutingConstraint
from ._constraints import InvariantConstraint as InvariantConstraint
from ._constraints import impose_equivariance as impose_equivariance
from ._containers import Identity as Identity
from ._containers import Sequential as Sequential
from ._conv import Conv as Conv
from ._conv_transpose import ConvTranspose as ConvTranspose
from ._disentangle import Disentangle as Disentangle
from ._dropout import FieldDropout as FieldDropout
from ._export import export as export
from ._grid import GridWarning as GridWarning
from ._invariant_bias import InvariantBias as InvariantBias
from ._linear import Linear as Linear
from ._linear import UnusedIrrepsWarning as UnusedIrrepsWarning
from ._module import AbstractModule as AbstractModule
from .nonlinearities import ELU as ELU
from .nonlinearities import GatedNonlinearity as GatedNonlinearity
from .nonlinearities import NormNonlinearity as NormNonlinearity
from .nonlinearities import PointwiseNonlinearity as PointwiseNonlinearity
from .nonlinearities import ReLU as ReLU
from .nonlinearities import squash as squash
from .pooling import InvariantPool as InvariantPool
from .pooling import IrrepNormPool as IrrepNormPool
from .pooling import QuadraticPool as QuadraticPool
