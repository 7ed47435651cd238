"""Nonlinearities that commute with the group."""

from ._gated import GatedNonlinearity as GatedNonlinearity
from ._norm import NormNonlinearity as NormNonlinearity
from ._norm import squash as squash
from ._pointwise import ELU as ELU
from ._pointwise import PointwiseNonlinearity as PointwiseNonlinearity
from ._pointwise import ReLU as ReLU
from ._pointwise import check_pointwise as check_pointwise
