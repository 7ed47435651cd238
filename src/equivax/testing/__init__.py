"""Checks for pytest: equivariance, leaves, gradients, compilation."""

from ._equivariance import EquivarianceError as EquivarianceError
from ._equivariance import EquivarianceErrors as EquivarianceErrors
from ._equivariance import assert_equivariant as assert_equivariant
from ._equivariance import assert_homomorphism as assert_homomorphism
from ._equivariance import equivariance_error as equivariance_error
from ._equivariance import randomize_parameters as randomize_parameters
from ._leaves import TraceCount as TraceCount
from ._leaves import assert_finite_gradients as assert_finite_gradients
from ._leaves import assert_only_parameters as assert_only_parameters
from ._leaves import count_traces as count_traces
from ._symmetry import symmetry_report as symmetry_report
